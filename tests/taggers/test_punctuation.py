"""`not_alphanum_paragraph_v1` and its characters; Dolma's own answers are in `test_dolma.py`."""

from __future__ import annotations

import string
import unicodedata

import numpy as np

from dolma_kit.attributes import Spans
from taggers import punctuation

from .test_taggers import spans, tag


def test_paragraphs_of_punctuation() -> None:
    columns = tag("not_alphanum_paragraph_v1", ["***\n\nwords\n… !\n", "", "a", "\n \n", "!"])
    found = columns["all_punct"]
    assert isinstance(found, Spans)
    assert [spans(columns, "all_punct", i) for i in range(5)] == [
        [(0, 4), (11, 15)], [(0, 0)], [(0, 1)], [(0, 3)], [(0, 1)],
    ]  # fmt: skip
    assert found.score.tolist() == [1, 1, 0, 0, 0, 1]


def test_punctuation_is_what_unicode_says() -> None:
    ranges = list(punctuation.punctuation())
    code_points = [c for first, last in ranges for c in range(first, last + 1)]
    assert len(code_points) == 9490
    assert code_points == sorted(set(code_points))
    assert {chr(c) for c in code_points if c < 0x80} == set(string.punctuation)
    known = {c for c in code_points if unicodedata.category(chr(c)) != "Cn"}
    categories = {unicodedata.category(chr(c))[0] for c in known}
    assert categories == {"P", "S"}
    every = {c for c in range(0x110000) if unicodedata.category(chr(c))[0] == "P"}
    assert every <= known


def test_characters_are_punctuation_emoji_and_white_space() -> None:
    held = np.unpackbits(punctuation.characters(), bitorder="little")
    for character in "!€ \u3000\u20c1\U0001f6d8":  # the last two are new, and not assigned
        assert held[ord(character)]
    for character in "aé\x1c\u200d\ufe0f":
        assert not held[ord(character)]
