"""The paper's statistics of Gopher against their twin."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import gopher_v3
from tests import naive
from tests.naive import gopher_v3 as twin

SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
PIECES = [
    *SPACES, *" \n\n\n#…*-•.", "a", "a", "b", "the", "The", "(THE)", "of", "that,", "“with”", "thé",
    "the\u0301", "\0", "a\0", "##", "...", "....", "é", "中文", "𝔸", "😀", "٣", "\u200b",
    "12345678",
    "123456789", "12345678X", "x" * 40, "a b c d ", "a b c d e f g h i j k ", "a b\n\n", "a b\n",
    "x y\n z\n\n", "x y\n  z\n\n", "x y \n z\n\n", "x\ty\n\n",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=30)


def check(texts: list[str]) -> None:
    values = gopher_v3.measure(*naive.as_arrays(texts))
    assert values.shape == (len(texts), len(gopher_v3.KEYS))
    assert (values[:, 6:] <= 1).all()
    for row, text in zip(values.tolist(), texts, strict=True):
        assert dict(zip(gopher_v3.KEYS, row, strict=True)) == twin.measure(text)


@settings(deadline=None, max_examples=400)
@given(st.lists(texts, max_size=4))
def test_equals_twin(texts: list[str]) -> None:
    check(texts)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(["a", "b", "cc", "d\n", "e\n\n"]), max_size=80))
def test_ngrams_of_few_words(words: list[str]) -> None:
    check([" ".join(words)])


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n", "\n\n\n", " \n \n", "a", "a\n", "\na", "\n\na\n\nb\n\n", "\r\n\r\n",
        "a\r\n\r\na\r\n", "a b a b a b", "b a a b b a a b", "a " * 2000, "a\n" * 500,
        "a\n\n" * 500, "…", "a…\n…\n", "a..\nb...\n...\n....", "\u2026b\n- a\n * b\n-\n*\n·x\n–\n—",
        "\u3000a\u2028b\u0085c\u00a0d\n\u3000a\u2028b\u0085c\u00a0d ", "a b\na  b\na\tb\na\u00a0b",
        "# # # ##", "a ... b......", "THE The the, (of) 'to' to-be x-to to2 that's and\0 HAVE! BE?",
        " ".join(str(i % 300) for i in range(900)), "\n".join(str(i % 300) for i in range(900)),
        "\n\n".join(str(i % 300) for i in range(900)), "a\nb\n\na\n b\n\na\nb\n\na \nb\n\n",
    ],
)  # fmt: skip
def test_edges(text: str) -> None:
    check([text])
    check(["a b c\n", text, "", text])


def test_no_documents() -> None:
    check([])


def test_offsets_need_not_begin_at_zero() -> None:
    text, offsets = naive.as_arrays(["skip me", "a b a b\n\nc", "x"])
    assert np.array_equal(
        gopher_v3.measure(text, offsets[1:]), gopher_v3.measure(text, offsets)[1:]
    )


def test_whatever_is_called_a_bullet_is_one() -> None:
    named = {chr(c) for c in range(0x10000) if "BULLET" in unicodedata.name(chr(c), "").split()}
    assert named <= set(gopher_v3.BULLETS)
    assert len(set(gopher_v3.BULLETS)) == len(gopher_v3.BULLETS)


@pytest.mark.parametrize(
    "text",
    [
        "ab " * 700_000, "x" * 3_000_000, "\n" * 2_000_000, "- a b\n\n" * 300_000, "中 " * 500_000,
        " ".join(map(str, range(300_000))), "\n\n".join(map(str, range(300_000))), "#" * 2_000_000,
        " ".join(f"{i & 1}" * (i % 50) for i in range(80_000)), "“" * 500_000 + "the",
        "." * 2_000_000,
        # Paragraphs of the same words and size, with their spaces at other places.
        "\n\n".join(f"a{' ' * (i % 700)}\n{' ' * (700 - i % 700)}a" for i in range(5_000)),
        chr(10).join(f"a{' ' * (i % 700)}\t{' ' * (700 - i % 700)}a" for i in range(5_000)),
        "\n\n".join(f"a{chr(9 + i % 2)}\r{chr(11 + i % 3)}\na" for i in range(100_000)),
    ],
    ids=[
        "one word", "long word", "empty lines", "same line", "wide", "words", "paragraphs",
        "hashes",
        "sizes", "quotes", "stops", "gaps",
        "tabs", "kinds of space",
    ],
)  # fmt: skip
def test_time_is_linear(text: str) -> None:
    values = gopher_v3.measure(*naive.as_arrays([text]))
    assert values[0, 0] == len(text)
