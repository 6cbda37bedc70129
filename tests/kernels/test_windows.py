"""Windows: fingerprints of the plain twin, sums mod 2**61 - 1, the table against a set."""

from __future__ import annotations

import bisect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import windows
from tests import naive
from tests.naive import windows as plain

PIECES = ["a", "b", "don't", ",", "é", "中", "😀", "a\u0301", "\0", "\u200d", "x" * 40]
SPACES = [" ", "\n", "\u3000", "  ", "\x85", "\t", "\r\n"]
texts = st.lists(st.sampled_from(PIECES + SPACES + [" "] * 6), max_size=30).map("".join)
below = st.integers(0, windows.PRIME - 1)


@settings(deadline=None, max_examples=150)
@given(made=st.lists(texts, max_size=4), n=st.integers(1, 8))
@pytest.mark.parametrize("unit", ["tokens", "characters"])
def test_fingerprints_and_places_are_those_of_the_twin(made: list[str], n: int, unit: str) -> None:
    data, offsets = naive.as_arrays(made)
    expected, expected_places, first = [], [], 0
    all_units = [plain.UNITS[unit](text) for text in made]
    for units in all_units:
        for i in range(len(units) - n + 1):
            expected.append(plain.fingerprint(units[i : i + n], unit))
            expected_places.append(first + i)
        first += len(units)
    if unit == "tokens":
        prints, places, counts, tokens = windows.of_tokens(data, offsets[:-1], offsets[1:], n)
        assert counts.tolist() == [len(units) for units in all_units]
        assert tokens.tolist() == [[one.start, one.end] for units in all_units for one in units]
    else:
        lengths = np.array([len(text) for text in made], np.int64)
        prints, places = windows.of_characters(data, offsets[:-1], offsets[1:], lengths, n)
    assert [tuple(row) for row in prints.tolist()] == expected
    assert places.tolist() == expected_places


@settings(deadline=None)
@given(a=below, b=below)
def test_product_is_pythons(a: int, b: int) -> None:
    assert windows.product(np.uint64(a), np.uint64(b)) == a * b % windows.PRIME


@pytest.mark.parametrize("a", [0, 1, windows.PRIME - 1, 1 << 60, (1 << 32) - 1])
@pytest.mark.parametrize("b", [0, 1, windows.PRIME - 1, 1 << 60, (1 << 32) + 1])
def test_product_of_odd_numbers(a: int, b: int) -> None:
    assert windows.product(np.uint64(a), np.uint64(b)) == a * b % windows.PRIME


@settings(deadline=None, max_examples=150)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=40),
    bounds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    scale=st.sampled_from([1, 1 << 54]),  # of low: all in one slot, or spread
)
def test_table_against_a_set(
    numbers: list[tuple[int, int]], bounds: tuple[int, int], scale: int
) -> None:
    least, most = sorted(bounds)
    prints = np.array(numbers, np.uint64).reshape(-1, 2)
    prints[:, 1] *= np.uint64(scale)
    table, out = np.zeros((30, 2), np.uint64), np.full(len(prints), 7, np.uint8)
    n_held = windows.look_up(table, 0, prints, np.uint64(least), np.uint64(most), out)
    seen: set[tuple[int, int]] = set()
    expected = []
    for number in numbers:
        expected.append(int(number in seen))
        if least <= number[0] <= most:
            seen.add(number)
    assert out.tolist() == expected
    assert n_held == len(seen)


@settings(deadline=None, max_examples=50)
@given(numbers=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 9)), max_size=40))
@pytest.mark.parametrize("n_bits", [1, 2, 12])
def test_sorted_by_range(numbers: list[tuple[int, int]], n_bits: int) -> None:
    prints = np.array(numbers, np.uint64).reshape(-1, 2)
    found = windows.by_range(prints, np.arange(len(numbers), dtype=np.uint32), n_bits)
    order = sorted(range(len(numbers)), key=lambda i: numbers[i][0] >> 64 - n_bits)
    assert [tuple(row) for row in found[0].tolist()] == [numbers[i] for i in order]
    assert found[1].tolist() == order
    ranges = [numbers[i][0] >> 64 - n_bits for i in order]
    expected = [bisect.bisect_left(ranges, k) for k in range((1 << n_bits) + 1)]
    assert found[2].tolist() == expected


def test_table_says_when_it_is_full() -> None:
    prints = np.array([[i, i + 1] for i in range(20)], np.uint64)
    table, out = np.zeros((16, 2), np.uint64), np.empty(20, np.uint8)
    most = np.uint64(windows.PRIME)
    assert windows.look_up(table, 0, prints[:10], np.uint64(0), most, out[:10]) == 10
    assert windows.look_up(table, 10, prints[:10], np.uint64(0), most, out[:10]) == 10
    assert windows.look_up(table, 10, prints[10:], np.uint64(0), most, out[10:]) == -1
