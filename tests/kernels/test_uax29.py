"""Words of UAX #29 against uniseg's, and against the rules one by one."""

from __future__ import annotations

import json
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import uax29
from tests import naive
from tests.naive import words as twins

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "word_boundaries.json").read_text())
CLASSES = GOLDEN["classes"]
awkward = st.lists(st.sampled_from([*CLASSES, *"é中٣\u3000\U0001f1ea👩\u0301"]), max_size=20).map(
    "".join
)


def words(texts: list[str]) -> list[list[str]]:
    text_bytes, offsets = naive.as_arrays(texts)
    first, ends = uax29.words(text_bytes, offsets[:-1], offsets[1:])
    assert first[0] == 0
    assert first[-1] == len(ends)
    found = []
    for i in range(len(texts)):
        bounds = [int(offsets[i]), *ends[first[i] : first[i + 1]].tolist()]
        found.append([text_bytes[a:b].tobytes().decode() for a, b in pairwise(bounds)])
    return found


def counts(texts: list[str]) -> list[tuple[int, int]]:
    text_bytes, offsets = naive.as_arrays(texts)
    found = uax29.count(text_bytes, offsets[:-1], offsets[1:])
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_three_characters_of_all_classes_are_parted_as_by_uniseg() -> None:
    triples = ["".join(triple) for triple in product(CLASSES, repeat=3)]
    found = words(triples)
    for triple, digit, parts in zip(triples, GOLDEN["triples"], found, strict=True):
        second, third = divmod(int(digit), 2)
        inner = triple[1] if not third else triple[1] + "|"
        expected = triple[0] + ("|" if second else "") + inner + triple[2]
        assert "|".join(parts) == expected, ascii(triple)


def test_words_are_those_of_uniseg() -> None:
    texts = [text for text, *_ in GOLDEN["texts"]]
    found = words(texts)
    assert [list(map(len, parts)) for parts in found] == [
        lengths for _, lengths, *_ in GOLDEN["texts"]
    ]
    assert ["".join(parts) for parts in found] == texts
    visible = [sum(1 for word in parts if word.strip()) for parts in found]
    assert counts(texts) == list(zip(map(len, found), visible, strict=True))


def test_golden_texts_have_every_class() -> None:
    table = uax29.word_break_table()
    assert {int(table[ord(c)]) & 31 for c in CLASSES} == set(range(19))
    assert sum(table[ord(c)] >= uax29.PICTOGRAPHIC for c in CLASSES) == 2


@settings(deadline=None, max_examples=100)
@given(st.lists(awkward | st.text(max_size=8), max_size=4))
def test_equals_twin(texts: list[str]) -> None:
    expected = [twins.uax29_words(text) for text in texts]
    assert words(texts) == expected
    assert counts(texts) == [(len(w), sum(1 for x in w if x.strip())) for w in expected]


@settings(deadline=None, max_examples=60)
@given(awkward)
def test_what_begins_at_a_boundary_is_parted_as_if_alone(text: str) -> None:
    (parts,) = words([text])
    tails = ["".join(parts[i:]) for i in range(len(parts))]
    assert words(tails) == [parts[i:] for i in range(len(parts))]


def test_the_standards_example() -> None:
    text = "The quick (“brown”) fox can’t jump 32.3 feet, right?"
    expected = "The| |quick| |(|“|brown|”|)| |fox| |can’t| |jump| |32.3| |feet|,| |right|?"
    assert words([text]) == [expected.split("|")]


def test_slices_may_overlap_and_be_empty() -> None:
    text_bytes, _ = naive.as_arrays(["ab cd"])
    starts, ends = np.array([0, 1, 5, 0]), np.array([5, 4, 5, 0])
    n_words, n_visible = uax29.count(text_bytes, starts, ends)
    assert n_words.tolist() == [3, 3, 0, 0]
    assert n_visible.tolist() == [2, 2, 0, 0]
    first, word_ends = uax29.words(text_bytes, starts, ends)
    assert first.tolist() == [0, 3, 6, 6, 6]
    assert word_ends.tolist() == [2, 3, 5, 2, 3, 4]


def test_no_slices() -> None:
    assert words([]) == []
    assert counts([]) == []


@pytest.mark.parametrize(
    "unit", ["x", "\u0301", "\U0001f1e6", "a:\u0301", "1,", "א'", " ", "\r\n", "\u200d⌚"]
)
def test_time_is_linear(unit: str) -> None:
    text = unit * (500_000 // len(unit))
    ((n_words, _),) = counts([text])
    assert 1 <= n_words <= len(text)
