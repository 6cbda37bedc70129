"""The blocked Bloom filter: its format, and that ranges of blocks are filters of their own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dolma_kit.kernels import bloom
from tests.deduplication import naive

GOLDEN = [157, 469, 291, 244, 384, 465, 85, 147]


def some_hashes(n: int, n_distinct: int, seed: int) -> NDArray[np.uint64]:
    rng = np.random.default_rng(seed)
    return rng.choice(rng.integers(0, 2**64, n_distinct, np.uint64), n)


def run(
    hashes: NDArray[np.uint64], n_blocks: int, k: int, edges: list[int]
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    blocks = bloom.empty_blocks(n_blocks)
    out = np.full(len(hashes), 7, np.uint8)
    for first, end in itertools.pairwise(edges):
        part = blocks[first:end]
        bloom.check_and_insert(part, np.uint64(first), np.uint64(n_blocks), hashes, k, out)
    return blocks, out


def test_positions_of_a_key_are_those_of_the_format() -> None:
    """Written down once: a filter on disk holds these bits for ever."""
    blocks, _ = run(np.array([0x0123456789ABCDEF], np.uint64), 1000, 8, [0, 1000])
    assert naive.block_of(0x0123456789ABCDEF, 1000) == 4
    assert naive.positions_of(0x0123456789ABCDEF, 8) == GOLDEN
    expected = [0] * 8
    for bit in GOLDEN:
        expected[bit // 64] |= 1 << bit % 64
    assert blocks[4].tolist() == expected
    assert np.flatnonzero(blocks.any(axis=1)).tolist() == [4]


@pytest.mark.parametrize(
    ("n_blocks", "k"), [(1, 1), (1, 64), (3, 7), (50, 8), (2**16 + 1, 15), (997, 30)]
)
def test_bits_and_answers_are_those_of_the_plain_filter(n_blocks: int, k: int) -> None:
    hashes = some_hashes(1000, 600, seed=n_blocks)
    hashes[:4] = 0, 1, 2**63, 2**64 - 1
    plain = naive.Filter(n_blocks, k)
    expected = [plain.check_and_insert(h) for h in hashes.tolist()]
    blocks, out = run(hashes, n_blocks, k, [0, n_blocks])
    assert out.tolist() == expected
    assert blocks.tolist() == plain.words()


@pytest.mark.parametrize("n_blocks", [1, 2**32 - 1, 2**32, 2**40 + 7, 2**64 - 1])
def test_block_is_the_high_half_of_the_128_bit_product(n_blocks: int) -> None:
    hashes = [*some_hashes(200, 200, seed=1).tolist(), 0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1]
    for h in hashes:
        block = naive.block_of(h, n_blocks)
        touched = bloom.empty_blocks(1)
        out = np.full(1, 7, np.uint8)
        bloom.check_and_insert(
            touched, np.uint64(block), np.uint64(n_blocks), np.array([h], np.uint64), 3, out
        )
        assert out.tolist() == [0]


@pytest.mark.parametrize("n_ranges", [2, 3, 4, 17])
def test_contiguous_ranges_of_blocks_change_no_bit_and_no_answer(n_ranges: int) -> None:
    hashes = some_hashes(20_000, 9_000, seed=3)
    n_blocks = 501
    blocks, out = run(hashes, n_blocks, 11, [0, n_blocks])
    edges = [n_blocks * i // n_ranges for i in range(n_ranges + 1)]
    parted_blocks, parted_out = run(hashes, n_blocks, 11, edges)
    assert np.array_equal(parted_blocks, blocks)
    assert np.array_equal(parted_out, out)


def test_keys_of_other_ranges_are_left_alone() -> None:
    hashes = some_hashes(500, 500, seed=5)
    _, out = run(hashes, 100, 9, [20, 30])
    mine = [20 <= naive.block_of(h, 100) < 30 for h in hashes.tolist()]
    assert (out != 7).tolist() == mine


def test_check_answers_as_insertion_would_and_changes_nothing() -> None:
    hashes = some_hashes(3000, 3000, seed=7)
    blocks, _ = run(hashes[:2000], 300, 6, [0, 300])
    before = blocks.copy()
    out = np.full(len(hashes), 7, np.uint8)
    bloom.check(blocks, np.uint64(0), np.uint64(300), hashes, 6, out)
    assert np.array_equal(blocks, before)
    again = out.copy()
    for i in range(2000, 3000):  # one by one, each into the same filter
        one = before.copy()
        bloom.check_and_insert(
            one, np.uint64(0), np.uint64(300), hashes[i : i + 1], 6, again[i : i + 1]
        )
    assert out[:2000].all()
    assert np.array_equal(out, again)


@pytest.mark.parametrize("n_blocks", [1, 2, 1000, 100_000])
def test_a_block_is_a_cache_line(n_blocks: int) -> None:
    blocks = bloom.empty_blocks(n_blocks)
    assert blocks.shape == (n_blocks, 8)
    assert blocks.ctypes.data % bloom.BLOCK_BYTES == 0
    assert not blocks.any()


def test_no_hashes() -> None:
    blocks, out = run(np.zeros(0, np.uint64), 10, 5, [0, 10])
    assert not blocks.any()
    assert len(out) == 0


@settings(deadline=None, max_examples=30)
@given(words=st.lists(st.integers(0, 2**64 - 1), max_size=32), k=st.integers(1, 20))
def test_bits_and_chances_of_blocks(words: list[int], k: int) -> None:
    words += [0] * (-len(words) % 8)
    blocks = np.array(words, np.uint64).reshape(-1, 8)
    n_bits, chances = bloom.count_bits(blocks, k)
    by_block = [sum(w.bit_count() for w in words[i : i + 8]) for i in range(0, len(words), 8)]
    assert n_bits == sum(by_block)
    assert chances == pytest.approx(sum((n / 512) ** k for n in by_block), rel=1e-12)
