"""A blocked Bloom filter (Putze, Sanders, Singler 2007): a key's bits lie in one 64-byte block.

The filter is one array of blocks, `uint64[n_blocks, 8]`. What follows is a file format. For a key
with 64-bit hash h, all arithmetic on unsigned 64-bit integers, wrapping:

    block       = floor(h * n_blocks / 2**64)                       the 128-bit product's high half
    draw(j)     = mix(h + (j + 1) * 0x9E3779B97F4A7C15)             j = 0, 1, 2, ...
    mix(z):       z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9
                  z = (z ^ z >> 27) * 0x94D049BB133111EB
                  z ^ z >> 31                                       i.e. SplitMix64 seeded with h
    position(p) = draw(p div 7) >> 9 * (p mod 7) & 511              p = 0 .. k - 1

Position b is bit b mod 64 (from the lowest) of the block's word b div 64. Positions are drawn with
replacement, so fewer than k bits may stand for a key.

Since a key touches one block only, contiguous ranges of blocks are filters of their own: each
given all hashes in the same sequence, they hold the same bits and give the same answers as one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint8, uint64, void

BLOCK_BYTES = 64
BLOCK_BITS = 512
POSITIONS_PER_DRAW = 7

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_BLOCKS = types.Array(types.uint64, 2, "C")
_FROZEN_BLOCKS = types.Array(types.uint64, 2, "C", readonly=True)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_32 = np.uint64(0xFFFFFFFF)
_ODD, _PAIRS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_NIBBLES, _ONES = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_COUNTS = types.Tuple((int64, types.float64))  # type: ignore[no-untyped-call]
_32 = np.uint64(32)
_GROUP = 32


@njit(inline="always")
def high_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """The high 64 bits of the 128-bit product, by 32-bit halves; no partial sum overflows."""
    a_high, a_low = a >> _32, a & _LOW_32
    b_high, b_low = b >> _32, b & _LOW_32
    middle = a_high * b_low + (a_low * b_low >> _32)
    other = a_low * b_high + (middle & _LOW_32)
    return a_high * b_high + (middle >> _32) + (other >> _32)


@njit(inline="always")
def _mix(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> uint64(30))) * _MIX_1
    z = (z ^ (z >> uint64(27))) * _MIX_2
    return z ^ (z >> uint64(31))


def empty_blocks(n_blocks: int) -> npt.NDArray[np.uint64]:
    """(n_blocks, 8) uint64 of zeros, each block in one cache line; pages are taken when touched."""
    words = np.zeros(8 * n_blocks + 7, np.uint64)
    skipped = -(words.ctypes.data // 8) % 8
    return words[skipped : skipped + 8 * n_blocks].reshape(n_blocks, 8)


@njit(uint64[::1](_HASHES, uint64), cache=True, nogil=True)
def block_indices(hashes: npt.NDArray[np.uint64], n_blocks: np.uint64) -> npt.NDArray[np.uint64]:
    """The block of each hash: (n,) uint64 -> (n,) uint64 below `n_blocks`."""
    indices = np.empty(len(hashes), np.uint64)
    for i in range(len(hashes)):
        indices[i] = high_product(hashes[i], n_blocks)
    return indices


@njit(void(_BLOCKS, uint64, uint64, _HASHES, int64, uint8[::1]), cache=True, nogil=True)
def check_and_insert(
    blocks: npt.NDArray[np.uint64],
    first_block: np.uint64,
    n_blocks: np.uint64,
    hashes: npt.NDArray[np.uint64],
    k: int,
    out: npt.NDArray[np.uint8],
) -> None:
    """Look each hash up and insert it, in sequence.

    `blocks` (n, 8) uint64 are blocks `first_block` to `first_block + n` of a filter of `n_blocks`,
    changed in place. `out` (n_hashes,) uint8 becomes 1 where all k bits were set before, else 0,
    for the hashes whose block is among them; the others are left as they are.
    """
    end_block = first_block + uint64(len(blocks))
    rows = np.empty(_GROUP, np.uint64)
    keys = np.empty(_GROUP, np.int64)
    i, n = 0, len(hashes)
    touched = uint64(0)
    while i < n:
        # First touch the blocks of a group, whose loads do not wait for each other: in a filter
        # larger than the cache this hides most of the memory's latency.
        held = 0
        while i < n and held < _GROUP:
            block = high_product(hashes[i], n_blocks)
            if first_block <= block < end_block:
                row = block - first_block
                touched |= blocks[row, 0]
                rows[held] = row
                keys[held] = i
                held += 1
            i += 1
        for j in range(held):
            row, key = rows[j], keys[j]
            state, missing, left = hashes[key], uint64(0), k
            while left > 0:
                state += _GAMMA
                draw = _mix(state)
                for _ in range(min(left, POSITIONS_PER_DRAW)):
                    word = (draw >> uint64(6)) & uint64(7)
                    bit = uint64(1) << (draw & uint64(63))
                    before = blocks[row, word]
                    missing |= bit & ~before
                    blocks[row, word] = before | bit
                    draw >>= uint64(9)
                left -= POSITIONS_PER_DRAW
            out[key] = missing == uint64(0)
    rows[0] = touched  # keeps the loads above from being dropped as unused


@njit(void(_FROZEN_BLOCKS, uint64, uint64, _HASHES, int64, uint8[::1]), cache=True, nogil=True)
def check(
    blocks: npt.NDArray[np.uint64],
    first_block: np.uint64,
    n_blocks: np.uint64,
    hashes: npt.NDArray[np.uint64],
    k: int,
    out: npt.NDArray[np.uint8],
) -> None:
    """Look each hash up without inserting it; arguments and `out` as for `check_and_insert`."""
    end_block = first_block + uint64(len(blocks))
    for i in range(len(hashes)):
        block = high_product(hashes[i], n_blocks)
        if not first_block <= block < end_block:
            continue
        row = block - first_block
        state, p = hashes[i], 0
        draw = uint64(0)
        while p < k:
            if p % POSITIONS_PER_DRAW == 0:
                state += _GAMMA
                draw = _mix(state)
            word = (draw >> uint64(6)) & uint64(7)
            if not (blocks[row, word] >> (draw & uint64(63))) & uint64(1):
                break
            draw >>= uint64(9)
            p += 1
        out[i] = p == k


@njit(_COUNTS(_FROZEN_BLOCKS, int64), cache=True, nogil=True)
def count_bits(blocks: npt.NDArray[np.uint64], k: int) -> tuple[int, float]:
    """The bits that are set, and the sum over blocks of (set bits / 512)^k.

    That power is the chance that the block takes a fresh key for known, whose k positions are
    drawn with replacement.
    """
    powers = (np.arange(BLOCK_BITS + 1) / BLOCK_BITS) ** k
    n_bits, chances = 0, 0.0
    for row in range(len(blocks)):
        n = 0
        for word in range(8):
            x = blocks[row, word]
            x -= x >> uint64(1) & _ODD
            x = (x & _PAIRS) + (x >> uint64(2) & _PAIRS)
            x = x + (x >> uint64(4)) & _NIBBLES
            n += int64(x * _ONES >> uint64(56))
        n_bits += n
        chances += powers[n]
    return n_bits, chances
