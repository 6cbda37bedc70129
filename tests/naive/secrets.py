"""Plain twin of the secrets: the library detect-secrets as Dolma calls it.

To be called inside of its `default_settings()`, which Dolma enters for each document.
"""

from __future__ import annotations

from detect_secrets.core.scan import _process_line_based_plugins
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import get_plugins


def secrets(text: str) -> list[tuple[str, int, int]]:
    """taggers.secrets.secrets_of: type, start and end."""
    lines = text.splitlines()
    found = SecretsCollection()
    for secret in _process_line_based_plugins(list(enumerate(lines, start=1)), "a.yml"):
        found["a.yml"].add(secret)
    spans = []
    for _, secret in found:
        line = lines[secret.line_number - 1]
        value = secret.secret_value or ""
        start = text.find(line) + line.find(value)
        spans.append((secret.type, start, start + len(value)))
    return spans


def values_of_names(line: str) -> set[str]:
    """kernels.secret_names.find: what the plugin for keywords finds."""
    (plugin,) = (p for p in get_plugins() if p.secret_type == "Secret Keyword")
    return {str(s.secret_value) for s in plugin.analyze_line("a.yml", line)}
