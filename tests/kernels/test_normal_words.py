"""Words for decontamination beside their plain twin."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import normal_words
from tests import naive
from tests.naive import decontamination as twin

TEXTS = st.lists(
    st.sampled_from(
        ["a", "B", "ab1", "É", "e\u0301", "\u0301", "日本", "ひ", "カナ", "กา", "don't", "don’t",
         "ΣΑΣ", "İ", "_", "80,000", "-", "...", "😀\ufe0f", "\u200d", "\n", "\u3000", " ", "١٢",
         "ß", "한국"]
    )
)  # fmt: skip


def kernel(texts: list[str], normalization: str) -> list[list[tuple[int, int, int]]]:
    data, offsets = naive.as_arrays(texts)
    first, hashes, spans = normal_words.of_documents(data, offsets[:-1], offsets[1:], normalization)
    rows = [(int(h), int(s), int(e)) for h, (s, e) in zip(hashes, spans, strict=True)]
    return [rows[a:b] for a, b in itertools.pairwise(first)]


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS.map("".join), max_size=4), st.sampled_from(normal_words.NORMALIZATIONS))
def test_equals_twin(texts: list[str], normalization: str) -> None:
    found = kernel(texts, normalization)
    names: dict[str, int] = {}
    for text, own in zip(texts, found, strict=True):
        expected = twin.words(text, normalization)
        assert [(s, e) for _, s, e in own] == [(s, e) for _, s, e in expected]
        for (word, _, _), (h, _, _) in zip(expected, own, strict=True):
            assert names.setdefault(word, h) == h
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("one", "other", "equal_by"),
    [
        ("Don't STOP, now!", "don’t stop now", ["words"]),
        ("A b", "a B", ["words", "case"]),
        ("a, b", "a b", ["words"]),
        ("a  b\n", "a\tb", ["words", "case", "none"]),
        ("ΟΔΟΣ", "οδος", ["words", "case"]),
        ("cafe\u0301", "cafe", []),
    ],
)
def test_what_is_the_same(one: str, other: str, equal_by: list[str]) -> None:
    for normalization in normal_words.NORMALIZATIONS:
        a, b = ([h for h, _, _ in own] for own in kernel([one, other], normalization))
        assert (a == b) == (normalization in equal_by)


def test_every_code_point_is_read_as_by_python() -> None:
    """A word that is one character: its span, and its hash is that of its lower case."""
    text = " ".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    (own,) = kernel([text], "none")
    assert all(e - s == 1 for _, s, e in own if not text[s].isspace())
    is_word = {text[s] for _, s, _ in kernel([text], "words")[0]}
    assert is_word <= {c for c in text if c.isalnum()}
    missing = {c for c in text if c.isalnum()} - is_word
    assert len(missing) < 200  # letters that Unicode has among marks or format characters
