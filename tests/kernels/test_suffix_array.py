"""Suffix arrays and what neighbours share: plain sorting, and the texts that are hard to sort."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import common_prefixes, suffix_array
from tests.naive import suffix_arrays as plain

Tokens = npt.NDArray[Any]
LARGE = [0, 1, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]


def fibonacci(n: int) -> list[int]:
    a, b = [0], [0, 1]
    while len(b) < n:
        a, b = b, b + a
    return b[:n]


def of_ids(ids: st.SearchStrategy[int], kind: type, most: int = 60) -> st.SearchStrategy[Tokens]:
    return st.lists(ids, max_size=most).map(lambda tokens: np.array(tokens, kind))


def check(tokens: Tokens, max_length: int = 255) -> None:
    suffixes = suffix_array.build(tokens)
    assert suffixes.dtype == np.int32
    assert suffixes.tolist() == plain.suffix_array(tokens.tolist())
    shared = common_prefixes.between_neighbours(tokens, suffixes, max_length)
    assert shared.dtype == (np.uint8 if max_length <= 255 else np.uint16)
    expected = plain.common_prefixes(tokens.tolist(), suffixes.tolist(), max_length)
    assert shared.tolist() == expected


@settings(deadline=None, max_examples=300)
@given(
    tokens=st.one_of(
        of_ids(st.integers(0, 1), np.uint32),
        of_ids(st.integers(0, 3), np.uint16),
        of_ids(st.integers(0, 2**16 - 1), np.uint16),
        of_ids(st.integers(0, 2**32 - 1), np.uint32),
        of_ids(st.sampled_from(LARGE), np.uint32),
    ),
    max_length=st.sampled_from([1, 2, 7, 255, 256, 65535]),
)
def test_order_and_prefixes_are_those_of_the_twin(tokens: Tokens, max_length: int) -> None:
    check(tokens, max_length)


HARD = {
    "one": [7],
    "two, ascending": [1, 2],
    "two, descending": [2, 1],
    "equal": [3] * 600,
    "ascending": list(range(600)),
    "descending": list(range(600, 0, -1)),
    "Fibonacci": fibonacci(987),
    "Thue and Morse": [i.bit_count() & 1 for i in range(1024)],
    "period 2": [1, 0] * 300,
    "period 3, cut": ([0, 1, 0] * 300)[:-1],
    "runs that get longer": [token for i in range(35) for token in [1] * i + [0]],
    "runs that get shorter": [token for i in range(35, 0, -1) for token in [0] * i + [1]],
    "twice the same": [*range(300), *range(300)],
    "a step in": [0] * 300 + [1] + [0] * 300,
    "largest ids": [2**32 - 1, 2**32 - 1, 2**31, 2**32 - 1, 0] * 50,
}


@pytest.mark.parametrize("tokens", HARD.values(), ids=HARD)
@pytest.mark.parametrize("max_length", [1, 20, 255, 300, 65535])
def test_hard_texts(tokens: list[int], max_length: int) -> None:
    check(np.array(tokens, np.uint32), max_length)


def test_no_tokens() -> None:
    for kind in (np.uint16, np.uint32):
        tokens = np.empty(0, kind)
        suffixes = suffix_array.build(tokens)
        assert (suffixes.dtype, suffixes.shape) == (np.int32, (0,))
        assert common_prefixes.between_neighbours(tokens, suffixes, 9).shape == (0,)


def test_fixed_example() -> None:
    tokens = np.frombuffer(b"mississippi", np.uint8).astype(np.uint16)
    suffixes = suffix_array.build(tokens)
    assert suffixes.tolist() == [10, 7, 4, 1, 0, 9, 8, 6, 3, 5, 2]
    shared = common_prefixes.between_neighbours(tokens, suffixes, 3)
    assert shared.tolist() == [0, 1, 1, 3, 0, 0, 1, 0, 2, 1, 3]


def is_sorted(tokens: Tokens, suffixes: npt.NDArray[np.int32]) -> bool:
    """Whether a permutation is the suffix array, in linear time.

    Neighbours have ascending first tokens, or equal ones and what follows them is in order.
    """
    n = len(tokens)
    if not np.array_equal(np.bincount(suffixes, minlength=n), np.ones(n)):
        return False
    ranks = np.full(n + 1, -1, np.int64)  # of what follows the last suffix: before all
    ranks[suffixes] = np.arange(n)
    a, b = suffixes[:-1], suffixes[1:]
    less, equal = tokens[a] < tokens[b], tokens[a] == tokens[b]
    return bool(np.all(less | (equal & (ranks[a + 1] < ranks[b + 1]))))


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
@pytest.mark.parametrize("n_ids", [2, 3, 300, 60_000, 2**32])
def test_many_random_tokens(kind: type, n_ids: int) -> None:
    random = np.random.default_rng(23)
    tokens = random.integers(0, min(n_ids, np.iinfo(kind).max + 1), 200_000).astype(kind)
    tokens[120_000:] = tokens[:80_000]
    assert is_sorted(tokens, suffix_array.build(tokens))


@pytest.mark.parametrize("tokens", [fibonacci(300_000), [5] * 300_000, [1, 0, 2] * 100_000])
def test_many_steps_of_names(tokens: list[int]) -> None:
    kept = np.array(tokens, np.uint32)
    assert is_sorted(kept, suffix_array.build(kept))


def test_inputs_stay_as_they_are_and_may_be_read_only_or_mapped(tmp_path: Path) -> None:
    tokens = np.array([4, 2, 4, 2, 9, 1], np.uint32)
    tokens.tofile(tmp_path / "tokens.npy")
    mapped = np.memmap(tmp_path / "tokens.npy", np.uint32, "r")
    every_other = np.repeat(tokens, 2)[::2]
    expected = plain.suffix_array(tokens.tolist())
    for same in (mapped, every_other):
        suffixes = suffix_array.build(same)
        assert suffixes.tolist() == expected
        suffixes.flags.writeable = False
        shared = common_prefixes.between_neighbours(same, suffixes, 9)
        assert shared.tolist() == plain.common_prefixes(tokens.tolist(), expected)
        assert same.tolist() == tokens.tolist()


@pytest.mark.parametrize(
    ("kind", "n_ids", "bytes_a_token"),
    [
        (np.uint32, 1000, 8.1),
        (np.uint16, 1000, 12.1),
        (np.uint32, 2**20, 12.1),
        (np.uint32, 2**32, 16.3),
    ],
)
def test_memory_is_bounded(kind: type, n_ids: int, bytes_a_token: float) -> None:
    tokens = np.random.default_rng(24).integers(0, n_ids, 2**20).astype(kind)
    tracemalloc.start()
    try:
        suffix_array.build(tokens)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= bytes_a_token * len(tokens)


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="tokens are of int64 and shape"):
        suffix_array.build(np.zeros(3, np.int64))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"uint16 and shape \(2, 2\)"):
        suffix_array.build(np.zeros((2, 2), np.uint16))
    with pytest.raises(ValueError, match="2147483648 tokens"):
        suffix_array.build(np.broadcast_to(np.uint16(0), 2**31))
    tokens = np.array([1, 2], np.uint16)
    for max_length in (0, -1, 65536):
        with pytest.raises(ValueError, match=f"max_length is {max_length}"):
            common_prefixes.between_neighbours(tokens, suffix_array.build(tokens), max_length)
