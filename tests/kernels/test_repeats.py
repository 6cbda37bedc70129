"""Strings repeated four times or more against Dolma's pattern itself."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import repeats
from tests import naive
from tests.naive import repetition

words = st.lists(st.sampled_from([*"ab \n", "\u3000", "é", "\x1f"]), max_size=40).map("".join)
units = st.tuples(
    st.text("ab ", max_size=7),
    st.lists(st.sampled_from(["", "", " ", "\n", "\t", "  "]), max_size=8),
    st.text("ab \n", max_size=3),
).map(lambda parts: "".join(parts[0] + gap for gap in parts[1]) + parts[2])
mixed = st.lists(units | words, max_size=4).map("".join)


def found_in(texts: list[str], *, by_paragraph: bool = False) -> list[list[tuple[int, int, int]]]:
    arrays = naive.as_arrays(texts)
    found: list[list[tuple[int, int, int]]] = [[] for _ in texts]
    columns = repeats.find(*arrays, by_paragraph=by_paragraph)
    for doc, start, end, count in zip(*(column.tolist() for column in columns), strict=True):
        found[doc].append((start, end, count))
    return found


def check(texts: list[str]) -> None:
    assert found_in(texts) == [repetition.repeats(text) for text in texts]
    by_paragraph = found_in(texts, by_paragraph=True)
    assert by_paragraph == [repetition.paragraph_repeats(text) for text in texts]


@settings(deadline=None, max_examples=200)
@given(st.lists(mixed, max_size=3))
def test_matches_are_those_of_the_pattern(texts: list[str]) -> None:
    check(texts)


@pytest.mark.parametrize(("alphabet", "longest"), [("ab", 11), ("a ", 11), ("a \n", 8), (" \t", 8)])
def test_every_short_text(alphabet: str, longest: int) -> None:
    check(["".join(c) for n in range(longest + 1) for c in itertools.product(alphabet, repeat=n)])


def test_white_space_is_pythons() -> None:
    spaces = "".join(chr(c) for c in range(0x110000) if chr(c).isspace())
    near = "".join(chr(ord(c) + d) for c in spaces for d in (-1, 1) if ord(c) + d not in (-1, 10))
    check([c.join(["ab"] * 4) for c in spaces + near])


@pytest.mark.parametrize(
    "text",
    [
        "x" * 200_000 + "@" + "x" * 200_000,
        "ab " * 100_000 + "@" + "ab " * 100_000,
        " " * 400_000 + "1",
        "a\n" * 200_000,
        "(" * 400_000,
        "中" * 200_000,
    ],
)
def test_long_lines_that_repeat_take_no_time(text: str) -> None:
    """Looking at places that have a unit already took time quadratic in the length of these."""
    started = time.process_time()
    found = found_in([text])[0]
    assert time.process_time() - started < 2
    assert sum(end - start for start, end, _ in found) >= len(text) - 4
