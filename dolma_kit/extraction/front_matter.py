"""Front matter of Markdown: YAML between two lines of `---` at the begin of a text."""

from __future__ import annotations

import re
from typing import Any

MOST_CHARACTERS = 1 << 16
MOST_DEPTH = 32  # the time that PyYAML takes grows with the square of it
UNREADABLE = "unreadable front matter"  # a note
_BEGIN = re.compile(r"---[ \t]*\r?\n")
_END = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.MULTILINE)


def split(text: str) -> tuple[dict[str, Any], str, str | None]:
    """(What the front matter says, the text after it, a note or None).

    What is no YAML of an object stays in the text. Aliases count as none: with them a few lines can
    stand for gigabytes.

    >>> split("---\\ntitle: Of bees\\n---\\nBees.\\n")
    ({'title': 'Of bees'}, 'Bees.\\n', None)
    """
    begin = _BEGIN.match(text)
    end = _END.search(text, begin.end(), begin.end() + MOST_CHARACTERS) if begin else None
    if begin is None or end is None:
        return {}, text, None
    import yaml

    try:
        found = _load(text[begin.end() : end.start()])
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError):
        return {}, text, UNREADABLE
    if found is None:
        return {}, text[end.end() :], None
    if not isinstance(found, dict):
        return {}, text, None  # a thematic break, and another one
    return {str(key): value for key, value in found.items()}, text[end.end() :], None


def _load(data: str) -> Any:
    import yaml

    loader = yaml.SafeLoader(data)
    try:
        depth = 0
        for event in yaml.parse(data, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > MOST_DEPTH:
                raise yaml.YAMLError("an alias, or too deep")
        return loader.get_single_data()
    finally:
        loader.dispose()
