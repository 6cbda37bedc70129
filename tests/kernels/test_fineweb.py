"""FineWeb's line statistics against their twin."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import fineweb
from tests import naive
from tests.naive import fineweb as twin

SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
PIECES = [
    *SPACES, *" \n\n\n\n.!?\"'…。", "a", "b", "the end.", "中", "é", "😀", "\0", "\u061d",
    "\U00011f44",
    "x" * 29, "é" * 30, "a" * 31, "(a).", "--", "don't", "a\n", "a \n", "12345678\n", "123456789\n",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=30)


def check(texts: list[str]) -> None:
    for original in (False, True):
        values = fineweb.measure(*naive.as_arrays(texts), original=original)
        assert values.shape == (len(texts), len(fineweb.KEYS))
        assert values.tolist() == [twin.measure(text, original) for text in texts]


@settings(deadline=None, max_examples=400)
@given(st.lists(texts, max_size=4))
def test_equals_twin(texts: list[str]) -> None:
    check(texts)


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\n\n", " \n ", "a", "a\n", "a\na", "a\na \na", " \n \na", "x" * 30, "x" * 31,
        "é" * 30 + "\n" + "é" * 31, "a.\nb!\nc?\nd\"\ne'\nf…\ng。\nh. ", "\r\na.\r\n", "\u061d",
        "a\u2028.\n\u2028\n", "12345678\n12345678\n1234567\n", "\n".join("abcd" * 9), "...",
        "a" * 17,
        "\n".join(str(i % 700) for i in range(3000)),
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    check([text])
    check(["a b c.\n", text, "", text])


def test_no_documents() -> None:
    check([])


def test_offsets_need_not_begin_at_zero() -> None:
    text, offsets = naive.as_arrays(["skip me", "a.\na.\n\nc", "x"])
    assert np.array_equal(fineweb.measure(text, offsets[1:]), fineweb.measure(text, offsets)[1:])


def test_terminal_punctuation_is_datatroves() -> None:
    """The SHA-256 is that of its 159 characters, sorted and joined, of datatrove 0.10.1."""
    found = fineweb.terminal_punctuation()
    assert len(found) == 159
    assert "".join(sorted(found)) == found
    assert hashlib.sha256(found.encode()).hexdigest() == (
        "223fdebf0f76873809176fd2d6d8872e39bdc969664a293b233a45ce7fc396ab"
    )
    assert {unicodedata.category(c) for c in found} <= {"Po", "Cn"}


@pytest.mark.parametrize(
    "text",
    [
        "ab " * 700_000, "x" * 3_000_000, "\n" * 2_000_000, "- a b\n" * 300_000, "中 " * 500_000,
        "\n".join(map(str, range(300_000))), "." * 2_000_000, " \n" * 1_000_000,
        "\n".join(f"12345678{i:08}" for i in range(200_000)),
    ],
    ids=[
        "one word", "long word", "empty lines", "same line", "wide", "lines", "stops",
        "blank lines",
        "same size",
    ],
)  # fmt: skip
def test_time_is_linear(text: str) -> None:
    values = fineweb.measure(*naive.as_arrays([text]))
    assert (values[0, :3] <= 1).all()
