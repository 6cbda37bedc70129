"""Paragraphs against `str.split`: any separator, any text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import paragraphs
from tests import naive as texts_as
from tests.deduplication import naive

SEPARATORS = ["\n", "\n\n", "||", "é", "aab", "😀", "\r\n", "\u2028", "é|é", "\x00"]
PIECES = ["a", "b", "aa", "é", "ü", "日本", "😀", "\n", "\r", "|", " ", "\u3000", "\x85", "İ",
          "e\u0301", "\u2028", "\x00", "\x1c", "\u200b", ""]  # fmt: skip


def split(texts: list[str], separator: str) -> list[list[tuple[str, int, int]]]:
    data, offsets = texts_as.as_arrays(texts)
    first, starts, ends, from_, to = paragraphs.split(
        data, offsets, np.frombuffer(separator.encode(), np.uint8)
    )
    assert len(starts) == len(ends) == len(from_) == len(to) == first[-1]
    return [
        [
            (data[starts[i] : ends[i]].tobytes().decode(), int(from_[i]), int(to[i]))
            for i in range(first[doc], first[doc + 1])
        ]
        for doc in range(len(texts))
    ]


@pytest.mark.parametrize(
    ("text", "separator", "expected"),
    [
        ("", "\n", []),
        ("\n", "\n", [("", 0, 1)]),
        ("a", "\n", [("a", 0, 1)]),
        ("a\n", "\n", [("a", 0, 2)]),
        ("éé\nüü", "\n", [("éé", 0, 3), ("üü", 3, 5)]),  # Dolma's ends at 6
        ("x||y||x", "||", [("x", 0, 3), ("y", 3, 6), ("x", 6, 7)]),  # Dolma's cuts `x|`, `|y`
        ("x|||y", "||", [("x", 0, 3), ("|y", 3, 5)]),
        ("x|", "||", [("x|", 0, 2)]),
        ("\n\n\n", "\n\n", [("", 0, 2), ("\n", 2, 3)]),
        ("aaab", "aab", [("a", 0, 4)]),
        ("😀é😀", "😀", [("", 0, 1), ("é", 1, 3)]),
    ],
)
def test_spans(text: str, separator: str, expected: list[tuple[str, int, int]]) -> None:
    assert split([text], separator) == [expected]
    assert naive.paragraphs(text, separator) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=5),
    st.sampled_from(SEPARATORS),
)
def test_any_text_as_str_split(texts: list[str], separator: str) -> None:
    found = split(texts, separator)
    assert found == [naive.paragraphs(text, separator) for text in texts]
    for text, spans in zip(texts, found, strict=True):
        assert "".join(text[start:end] for _, start, end in spans) == text


def test_documents_in_the_middle_of_a_buffer() -> None:
    data, offsets = texts_as.as_arrays(["zz\nz", "é\nb", "b"])
    first, starts, ends, _, to = paragraphs.split(data, offsets[1:], np.frombuffer(b"\n", np.uint8))
    assert first.tolist() == [0, 2, 3]
    assert [data[a:b].tobytes().decode() for a, b in zip(starts, ends, strict=True)] == [
        "é",
        "b",
        "b",
    ]
    assert to.tolist() == [2, 3, 1]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=20), st.lists(st.sampled_from(PIECES)).map("".join))))
def test_measures_are_those_of_str(texts: list[str]) -> None:
    data, offsets = texts_as.as_arrays(texts)
    starts, ends = offsets[:-1], offsets[1:]
    assert paragraphs.blank(data, starts, ends).tolist() == [
        not text or text.isspace() for text in texts
    ]
    assert paragraphs.words(data, starts, ends).tolist() == [len(text.split()) for text in texts]
    assert paragraphs.code_points(data, starts, ends).tolist() == [len(text) for text in texts]
