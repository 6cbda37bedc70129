"""How a part is written: its id, or its id with settings, as text or as a mapping."""

from __future__ import annotations

import ast
import re
from typing import Any

from dolma_kit.errors import ConfigError

Spec = str | dict[str, Any]


def parse_spec(text: str) -> dict[str, Any]:
    """`name(key=value, ...)` as `{"id": "name", key: value}`; values are Python literals or words.

    >>> parse_spec("fasttext(model=lid.bin, k=1)")
    {'id': 'fasttext', 'model': 'lid.bin', 'k': 1}
    """
    match = re.fullmatch(r"\s*([\w.-]+)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if match is None:
        raise ConfigError(f"cannot read {text!r} as a part: write id or id(key=value, key=value)")
    settings: dict[str, Any] = {"id": match.group(1)}
    for item in split_specs(match.group(2) or ""):
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {item!r} in {text!r}: write key=value")
        try:
            settings[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            settings[key.strip()] = value.strip()
    return settings


def split_specs(text: str) -> list[str]:
    """Split at commas that stand outside of parentheses, brackets and quotes.

    >>> split_specs("a, b(k=1, l=2)")
    ['a', 'b(k=1, l=2)']
    """
    items, depth, quote, start = [], 0, "", 0
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            items.append(text[start:i].strip())
            start = i + 1
    items.append(text[start:].strip())
    return [item for item in items if item]
