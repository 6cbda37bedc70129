"""XXH64: a 64-bit hash of bytes that is the same on every machine and for ever.

The algorithm is that of xxHash's specification (Yann Collet, xxhash_spec.md, "XXH64 Algorithm"),
bytes read as little-endian words. All arithmetic is on uint64 and wraps modulo 2**64. Filters and
spilled hashes on disk hold these values, so nothing here may change a bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from dolma_kit.kernels.unicode import BYTES, OFFSETS

_PRIME_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = np.uint64(0x165667B19E3779F9)
_PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5 = np.uint64(0x27D4EB2F165667C5)
# Beside a uint64, a plain integer would turn the sum into a float64, and a signed index brings a
# test for negative ones: so every constant and every index is a uint64.
_0, _1, _2, _3, _4, _5, _6, _7, _8 = (np.uint64(i) for i in range(9))
_16, _24, _32, _64 = np.uint64(16), np.uint64(24), np.uint64(32), np.uint64(64)


@njit(inline="always")
def _rotate(x: np.uint64, left: np.uint64) -> np.uint64:
    return (x << left) | (x >> (_64 - left))


@njit(inline="always")
def _word_4(data: npt.NDArray[np.uint8], i: np.uint64) -> np.uint64:
    return (
        np.uint64(data[i])
        | np.uint64(data[i + _1]) << _8
        | np.uint64(data[i + _2]) << _16
        | np.uint64(data[i + _3]) << _24
    )


@njit(inline="always")
def _word_8(data: npt.NDArray[np.uint8], i: np.uint64) -> np.uint64:
    return _word_4(data, i) | _word_4(data, i + _4) << _32


@njit(inline="always")
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _PRIME_2, np.uint64(31)) * _PRIME_1


@njit(inline="always")
def _merge(acc: np.uint64, lane: np.uint64) -> np.uint64:
    return (acc ^ _round(_0, lane)) * _PRIME_1 + _PRIME_4


@njit(uint64(BYTES, uint64, uint64, uint64), cache=True, nogil=True)
def hash_slice(
    data: npt.NDArray[np.uint8], start: np.uint64, end: np.uint64, seed: np.uint64
) -> np.uint64:
    """XXH64 of bytes `start` to `end` of `data` (n_bytes,) uint8; 0 <= start <= end <= n_bytes."""
    i = start
    if end - start >= _32:
        lane_1 = seed + _PRIME_1 + _PRIME_2
        lane_2 = seed + _PRIME_2
        lane_3 = seed
        lane_4 = seed - _PRIME_1
        while end - i >= _32:
            lane_1 = _round(lane_1, _word_8(data, i))
            lane_2 = _round(lane_2, _word_8(data, i + _8))
            lane_3 = _round(lane_3, _word_8(data, i + _16))
            lane_4 = _round(lane_4, _word_8(data, i + _24))
            i += _32
        acc = (
            _rotate(lane_1, np.uint64(1))
            + _rotate(lane_2, np.uint64(7))
            + _rotate(lane_3, np.uint64(12))
            + _rotate(lane_4, np.uint64(18))
        )
        acc = _merge(_merge(_merge(_merge(acc, lane_1), lane_2), lane_3), lane_4)
    else:
        acc = seed + _PRIME_5
    acc += end - start
    while end - i >= _8:
        acc = _rotate(acc ^ _round(_0, _word_8(data, i)), np.uint64(27)) * _PRIME_1 + _PRIME_4
        i += _8
    if end - i >= _4:
        acc = _rotate(acc ^ (_word_4(data, i) * _PRIME_1), np.uint64(23)) * _PRIME_2 + _PRIME_3
        i += _4
    while i < end:
        acc = _rotate(acc ^ (np.uint64(data[i]) * _PRIME_5), np.uint64(11)) * _PRIME_1
        i += _1
    acc = (acc ^ (acc >> np.uint64(33))) * _PRIME_2
    acc = (acc ^ (acc >> np.uint64(29))) * _PRIME_3
    return acc ^ (acc >> _32)


@njit(uint64[::1](BYTES, OFFSETS, OFFSETS, uint64), cache=True, nogil=True)
def hash_slices(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    seed: np.uint64,
) -> npt.NDArray[np.uint64]:
    """XXH64 of each slice: (n_bytes,) uint8, (n,) int64 twice -> (n,) uint64.

    Slice i is `text_bytes[starts[i]:ends[i]]`; slices may overlap and stand in any order, their
    bounds are not checked. `seed` is XXH64's.
    """
    hashes = np.empty(len(starts), np.uint64)
    for i in range(len(starts)):
        hashes[i] = hash_slice(text_bytes, np.uint64(starts[i]), np.uint64(ends[i]), seed)
    return hashes
