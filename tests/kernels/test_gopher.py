"""Gopher's statistics against their twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import gopher
from tests import naive

SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
# Words that repeat, characters that are and are not letters, near-spaces, NUL, long words.
PIECES = [
    *SPACES, *" \n\n\n", "a", "a", "b", "the", "The", "of", "that", "with", "a\0", "\0", "\0\0a",
    "#", "…", "-", "*", "é", "e\u0301", "\u0301", "\u0130", "\u212a", "中文", "𝔸", "😀", "٣",
    "\u200b",
    "\ufeff", "12345678", "123456789", "12345678X", "x" * 40, "a b c d ", "a b c d e f g h i j k ",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=30)


def check(texts: list[str]) -> None:
    arrays = naive.as_arrays(texts)
    for keep_empty_lines in (False, True):
        values = gopher.measure(*arrays, keep_empty_lines=keep_empty_lines)
        assert values.shape == (len(texts), len(gopher.KEYS))
        assert values.dtype == np.float64
        for row, text in zip(values.tolist(), texts, strict=True):
            found = {k: v for k, v in zip(gopher.KEYS, row, strict=True) if v == v}
            assert found == naive.gopher(text, keep_empty_lines)


@settings(deadline=None, max_examples=300)
@given(st.lists(texts, max_size=4))
def test_equals_twin(texts: list[str]) -> None:
    check(texts)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["a", "b", "cc", "d\n"]), max_size=80))
def test_ngrams_of_few_words(words: list[str]) -> None:
    check([" ".join(words)])


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n", "\n\n", "\n\n\n", " \n \n", "a", "a\n", "\na", "\n\na\n\nb\n\n", "\r\n\r\n",
        "a b", "a b a b a b", "b a a b b a a b", "a " * 5000, "a\n" * 5000, "\n" * 5000,
        "…", "a…\n…\n", "\u2026b\n- a\n* b\n-\n*", "\u3000a\u2028b\u0085c\u00a0d",
        "x" * 3000 + " y " + "x" * 3000 + " y", "x" * 1023 + " " + "x" * 1024 + " a " + "x" * 1025,
        " ".join(str(i % 700) for i in range(3000)), "\n".join(str(i % 700) for i in range(3000)),
        "a\tb\na b\na\u00a0b\na b\n", "中" * 5000 + "\n" + "中" * 5000,
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    check([text])
    check(["a b c\n", text, "", text])


def test_no_documents() -> None:
    check([])


def test_offsets_need_not_begin_at_zero() -> None:
    text, offsets = naive.as_arrays(["skip me", "a b a b\n\nc", "x"])
    whole = gopher.measure(text, offsets)
    assert np.array_equal(gopher.measure(text, offsets[1:]), whole[1:], equal_nan=True)


@pytest.mark.parametrize(
    "text",
    [
        "ab " * 700_000, "x" * 3_000_000, "\n" * 2_000_000, "- a b\n" * 300_000, "中 " * 500_000,
        " ".join(map(str, range(300_000))), "\n".join(map(str, range(300_000))),
        " ".join(f"{i & 1}" * (i % 50) for i in range(80_000)),
        # With lines that differ only in where the tab stands in one chain of the table: minutes.
        "\n".join(f"a{' ' * i}\t{' ' * (6_000 - i)}b" for i in range(6_000)),
    ],
    ids=[
        "one word", "long word", "empty lines", "same line", "wide", "words", "lines", "sizes",
        "tabs",
    ],
)  # fmt: skip
def test_time_is_linear(text: str) -> None:
    # Anything quadratic would take minutes here.
    values = gopher.measure(*naive.as_arrays([text]))
    assert values[0, 0] == len(text)
