"""UTF-8 and Python's character classes, over all code points."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import unicode
from tests import naive

EVERY = [chr(c) for c in range(unicode.N_CODE_POINTS) if not 0xD800 <= c < 0xE000]


@pytest.fixture(scope="module")
def every() -> tuple[np.ndarray, np.ndarray]:
    return naive.as_arrays(EVERY)


def test_white_space_is_that_of_str_and_re(every: tuple[np.ndarray, np.ndarray]) -> None:
    text, offsets = every
    found = [
        character
        for character, start, end in zip(EVERY, offsets, offsets[1:], strict=False)
        if unicode.space_length(text, start) == end - start
    ]
    joined = "".join(EVERY)
    assert found == [c for c in EVERY if c.isspace()]
    assert found == re.findall(r"\s", joined)
    assert "x".join(found).split() == ["x"] * (len(found) - 1)


def test_no_other_byte_looks_like_white_space(every: tuple[np.ndarray, np.ndarray]) -> None:
    text, offsets = every
    starts = set(offsets.tolist())
    inner = [i for i in range(int(offsets[0x3100])) if i not in starts]
    assert not any(unicode.space_length(text, i) for i in inner)


def test_decode_inverts_encode(every: tuple[np.ndarray, np.ndarray]) -> None:
    text, offsets = every
    for place in [*range(0, len(EVERY), 97), *range(0x3000)]:
        start = int(offsets[place])
        assert unicode.decode(text, start) == ord(EVERY[place])
        assert unicode.char_length(text, start) == offsets[place + 1] - start


def test_tables_are_those_of_the_running_python() -> None:
    tables = (
        (unicode.alphabetic_table(), str.isalpha),
        (unicode.decimal_table(), str.isdecimal),
        (unicode.punctuation_table(), lambda c: unicodedata.category(c)[0] in "PS"),
    )
    for table, test in tables:
        bits = np.unpackbits(table, bitorder="little")
        assert np.flatnonzero(bits).tolist() == [ord(c) for c in EVERY if test(c)]
    digits = re.findall(r"\d", "".join(EVERY))
    assert all(unicode.has_bit(unicode.decimal_table(), ord(c)) for c in digits)
    assert len(digits) == sum(map(str.isdecimal, EVERY))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text()))
def test_code_point_counts(texts: list[str]) -> None:
    counts = unicode.code_point_counts(*naive.as_arrays(texts))
    assert counts.tolist() == [naive.code_point_count(text) for text in texts]
