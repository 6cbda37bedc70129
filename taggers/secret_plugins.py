"""The plugins and filters of the library detect-secrets, called without its machinery.

The library makes all its plugins anew for each document and asks each of them about each line,
through an injection of arguments. Here they are made once a process and asked about lines that may
hold something (`dolma_kit.kernels.secrets`). Where a plugin's expressions take time that grows with
the square of a line's length or faster, something linear gives the same strings.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: what the plugins of detect-secrets 1.4.0 call their secrets
TYPES = (
    "AWS Access Key",
    "Artifactory Credentials",
    "Azure Storage Account access key",
    "Base64 High Entropy String",
    "Basic Auth Credentials",
    "Cloudant Credentials",
    "Discord Bot Token",
    "GitHub Token",
    "Hex High Entropy String",
    "IBM COS HMAC Credentials",
    "IBM Cloud IAM Key",
    "JSON Web Token",
    "Mailchimp Access Key",
    "NPM tokens",
    "Private Key",
    "Secret Keyword",
    "SendGrid API Key",
    "Slack Token",
    "SoftLayer Credentials",
    "Square OAuth Secret",
    "Stripe Access Key",
    "Twilio API Key",
)

_SPACES = re.compile(" {2,}")
_JWT_PART = re.compile(r"[A-Za-z0-9\-_=]++")
_NPM_TOKEN = re.compile(r"\s*+(npm_.+|[A-Fa-f0-9-]{36})")


@functools.cache
def plugins() -> Mapping[str, Any]:
    """Type -> plugin of detect-secrets, with its default settings."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes: Mapping[str, Any] = get_mapping_from_secret_type_to_class()
    return {name: plugin() for name, plugin in classes.items()}


@functools.cache
def entropy_plugins() -> tuple[Any, ...]:
    return tuple(plugins()[f"{kind} High Entropy String"] for kind in ("Base64", "Hex"))


@functools.cache
def token_plugins() -> tuple[Any, ...]:
    others = {"Secret Keyword", *(plugin.secret_type for plugin in entropy_plugins())}
    return tuple(plugins()[name] for name in TYPES if name not in others)


@functools.cache
def filters() -> tuple[Any, ...]:
    """The filters of detect-secrets that look at the secret alone."""
    from detect_secrets.filters import heuristic

    return (
        heuristic.is_templated_secret,
        heuristic.is_prefixed_with_dollar_sign,
        heuristic.is_not_alphanumeric_string,
        heuristic.is_sequential_string,
        heuristic.is_potential_uuid,
    )


def high_entropy(line: str) -> list[tuple[str, str]]:
    """Strings in quotes, of one alphabet, whose characters have enough entropy; with their type."""
    return [
        (plugin.secret_type, string)
        for plugin in entropy_plugins()
        for string in set(plugin.analyze_string(line))
        if plugin.calculate_shannon_entropy(string) > plugin.entropy_limit
    ]


def tokens(line: str) -> list[tuple[str, str]]:
    """What the plugins for forms of tokens find in a line; with its type."""
    return [(plugin.secret_type, s) for plugin in token_plugins() for s in tokens_of(plugin, line)]


def tokens_of(plugin: Any, line: str) -> Iterable[str]:
    """What a plugin made of regular expressions finds, in linear time.

    Expressions that begin with an assignment take time that is cubic in a row of spaces, of which
    one will do: no secret has spaces.
    """
    if plugin.secret_type == "JSON Web Token":
        return filter(plugin.is_formally_valid, web_tokens(line))
    if plugin.secret_type == "NPM tokens":
        return npm_token(line)
    found: list[str] = []
    for pattern in plugin.denylist:
        is_assignment = pattern.pattern.startswith(r"(?:(?<=\W)|(?<=^))")
        for match in pattern.findall(_SPACES.sub(" ", line) if is_assignment else line):
            found += [match] if isinstance(match, str) else filter(None, match)
    return found


def web_tokens(line: str) -> Iterator[str]:
    """Matches of `eyJ[A-Za-z0-9-_=]+\\.[A-Za-z0-9-_=]+\\.?`, the shortest of the plugin's."""
    parts = list(_JWT_PART.finditer(line))
    position = 0
    for part, following in itertools.pairwise(parts):
        start = line.find("eyJ", max(part.start(), position), part.end())
        if start < 0 or part.end() < start + 4:
            continue
        if following.start() == part.end() + 1 and line[part.end()] == ".":
            position = following.end() + line.startswith(".", following.end())
            yield line[start:position]


def npm_token(line: str) -> list[str]:
    """The token after the last `/:_authToken=` that has one, with `//` and something before it."""
    name = "/:_authToken="
    first = line.find("//") + 3
    at = line.rfind(name)
    while at >= first > 2:
        if match := _NPM_TOKEN.match(line, at + len(name)):
            return [match[1]]
        at = line.rfind(name, 0, at)
    return []
