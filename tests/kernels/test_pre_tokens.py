"""Counts of pieces against what regex and tokenizers said, and against the patterns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import character_classes, pre_tokens
from tests import naive
from tests.naive import words as twins

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "word_boundaries.json").read_text())
awkward = st.lists(
    st.sampled_from([*"    \n\n\t\xa0\u3000ab中1٣½.,'_$+\u0301\x1f", "ab", "12", "  "]), max_size=24
).map("".join)


def counts(texts: list[str]) -> list[tuple[int, int]]:
    text_bytes, offsets = naive.as_arrays(texts)
    starts, ends = offsets[:-1], offsets[1:]
    found = (
        pre_tokens.count_pieces(text_bytes, starts, ends),
        pre_tokens.count_runs(text_bytes, starts, ends),
    )
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_counts_are_those_of_the_libraries() -> None:
    texts = [text for text, *_ in GOLDEN["texts"]]
    assert counts(texts) == [(pieces, runs) for _, _, pieces, runs in GOLDEN["texts"]]


@settings(deadline=None, max_examples=150)
@given(st.lists(awkward | st.text(max_size=8), max_size=4))
def test_equals_twins(texts: list[str]) -> None:
    assert counts(texts) == [(twins.pieces(text), twins.runs(text)) for text in texts]


@pytest.mark.parametrize(
    ("text", "pieces", "runs"),
    [
        ("", 0, 0),
        (" ", 1, 0),
        ("don't", 3, 3),
        ("a  b", 3, 2),
        ("a \n b", 3, 2),
        ("a\n\nb", 4, 2),
        ("a .", 2, 2),
        ("a  .", 3, 2),
        ("a\n\n.", 3, 2),
        (" 12 ½½³", 3, 2),
        ("$$ a", 2, 2),
        ("x_y", 3, 1),
    ],
)
def test_counts_worked_out_by_hand(text: str, pieces: int, runs: int) -> None:
    assert counts([text, "", text]) == [(pieces, runs), (0, 0), (pieces, runs)]


def test_tables_are_read_whole() -> None:
    made = character_classes.table(
        "pre_tokens", {"punct": 1, "digit": 2, "space": 4, "letter": 8, "number": 16}
    )
    assert not made.flags.writeable
    assert [int(made[ord(c)]) for c in "a1½.$ \n"] == [8, 18, 16, 1, 0, 4, 4]
    sizes = np.bincount(made)
    assert (sizes[1], sizes[18], sizes[4], sizes[8]) == (819, 660, 25, 131_756)
