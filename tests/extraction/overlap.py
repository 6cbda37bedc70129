"""How much of a page's expected text is found, and of what is found was expected."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SETS = ("pages", "held_out")  # written before content.py, and after it, never to be tuned on
# as UAX #29 has them: words of letters and digits, ideographs and kana one by one
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


class Example(NamedTuple):
    name: str
    html: str
    text: str


def examples(folder: str) -> list[Example]:
    """The pages of a set with the texts that are expected of them."""
    return [
        Example(
            path.stem,
            path.read_text(encoding="utf-8"),
            path.with_suffix(".txt").read_text(encoding="utf-8"),
        )
        for path in sorted((HERE / folder).glob("*.html"))
    ]


def f1(found: str, expected: str) -> float:
    """Of the tokens, as multisets."""
    a, b = (Counter(_TOKEN.findall(text)) for text in (found, expected))
    n_tokens = a.total() + b.total()
    return 2 * (a & b).total() / n_tokens if n_tokens else 1.0
