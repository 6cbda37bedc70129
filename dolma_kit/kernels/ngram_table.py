"""A set of n-grams, looked up at every place of a text: a hash table behind a filter of bits.

An n-gram of the word hashes w_1 ... w_n has, in unsigned 64-bit arithmetic that wraps, the key

    mix64(w_1 * m^(n-1) + ... + w_(n-1) * m + w_n)

with SplitMix64's finalizer mix64: a sum that is carried from each place to the next. Of two
distinct n-grams the chance to share a key is 2^-64. Nearly all that is looked up is not there: one
bit of a small filter, at the key's highest bits, says so without a look at the table, which is
probed one slot after the other from the key's lowest bits on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint64

from dolma_kit.kernels.minhash import mix64
from dolma_kit.kernels.unicode import LEAF, OFFSETS

_BASE = np.uint64(0x5851F42D4C957F2D)  # m above: a multiplier of Knuth's MMIX
_1, _6, _63 = np.uint64(1), np.uint64(6), np.uint64(63)
BITS_A_KEY = 16
_FEW = 4096
MOST_FILTER_BITS = 1 << 27  # 16 MiB

_KEYS = types.Array(types.uint64, 1, "C", readonly=True)
_IDS = types.Array(types.int32, 1, "C", readonly=True)


class NgramTable(NamedTuple):
    """Distinct keys with the numbers 0, 1, ... in the order in which they were given.

    `bits` (n,) uint64, the filter, n a power of two; `keys`, `ids` (n_slots,) uint64 and int32, -1
    where a slot is free, n_slots a power of two.
    """

    bits: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.int32]


@njit(inline="always")
def shift_of(bits: npt.NDArray[np.uint64]) -> np.uint64:
    """What a key is shifted by to the right for its bit in the filter."""
    shift, n_bits = uint64(64), len(bits) * 64
    while n_bits > 1:
        n_bits >>= 1
        shift -= _1
    return shift


@njit(types.void(_KEYS, uint64[::1], uint64[::1], types.int32[::1]), **LEAF)
def _fill(
    given: npt.NDArray[np.uint64],
    bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
) -> None:
    mask, shift = uint64(len(keys) - 1), shift_of(bits)
    for i in range(len(given)):
        key = given[i]
        place = key >> shift
        bits[place >> _6] |= _1 << (place & _63)
        slot = key & mask
        while ids[slot] >= 0:
            slot = (slot + _1) & mask
        keys[slot], ids[slot] = key, i


def build(keys: npt.NDArray[np.uint64]) -> NgramTable:
    """The table of `keys` (n,) uint64, all distinct, fewer than 2**31."""
    n_slots = n_bits = 64
    while n_slots < 2 * len(keys):
        n_slots *= 2
    while n_bits < BITS_A_KEY * len(keys) and n_bits < MOST_FILTER_BITS:
        n_bits *= 2
    table = NgramTable(
        np.zeros(n_bits // 64, np.uint64),
        np.zeros(n_slots, np.uint64),
        np.full(n_slots, -1, np.int32),
    )
    _fill(keys, *table)
    return table


@njit(uint64[::1](_KEYS, OFFSETS, int64), cache=True, nogil=True)
def _keys_of(
    words: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.uint64]:
    out = np.empty(len(words), np.uint64)
    leaving = uint64(1)
    for _ in range(n):
        leaving *= _BASE
    done = 0
    for doc in range(len(offsets) - 1):
        total = uint64(0)
        for i in range(offsets[doc], offsets[doc + 1]):
            total = total * _BASE + words[i]
            if i - offsets[doc] >= n:
                total -= words[i - n] * leaving
            if i - offsets[doc] >= n - 1:
                out[done] = mix64(total)
                done += 1
    return out[:done].copy()


def keys_of(
    words: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.uint64]:
    """The keys of all n-grams of documents, (n_ngrams,) uint64, one document after the other.

    Document i has the words `words[offsets[i]:offsets[i + 1]]`; one of m words has m - n + 1
    n-grams, or none.
    """
    found: npt.NDArray[np.uint64] = _keys_of(words, offsets, n)
    return found


@njit(int64(uint64, uint64, _KEYS, _KEYS, _IDS), **LEAF)
def number_of(
    key: np.uint64,
    shift: np.uint64,
    bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
) -> int:
    """The number of a key in a table, or -1; `shift` is `shift_of(bits)`."""
    place = key >> shift
    if not bits[place >> _6] >> (place & _63) & _1:
        return -1
    mask = uint64(len(keys) - 1)
    slot = key & mask
    while ids[slot] >= 0 and keys[slot] != key:
        slot = (slot + _1) & mask
    return int(int64(ids[slot]))


@njit(int64(_KEYS, OFFSETS, int64, _KEYS, _KEYS, _IDS, int64[::1], types.int32[::1], int64), **LEAF)
def _find(
    words: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    n: int,
    bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
    places: npt.NDArray[np.int64],
    found: npt.NDArray[np.int32],
    most: int,
) -> int:
    """How many there are; only the first `most` are written."""
    shift, leaving = shift_of(bits), uint64(1)
    for _ in range(n):
        leaving *= _BASE
    done = 0
    for doc in range(len(offsets) - 1):
        total, full = uint64(0), offsets[doc] + n - 1
        for i in range(offsets[doc], offsets[doc + 1]):
            total = total * _BASE + words[i]
            if i > full:
                total -= words[i - n] * leaving
            if i < full:
                continue
            number = number_of(mix64(total), shift, bits, keys, ids)
            if number >= 0:
                if done < most:
                    places[done], found[done] = i - n + 1, number
                done += 1
    return done


def find(
    words: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], n: int, table: NgramTable
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Where n-grams of the table stand in documents: their first words, ascending, and numbers.

    `places` (n_found,) int64 counts the words of all documents; `ids` (n_found,) int32.
    """
    n_found, room = _FEW, 0
    while room < n_found:  # as a rule there are few
        room = n_found
        places, ids = np.empty(room, np.int64), np.empty(room, np.int32)
        n_found = _find(words, offsets, n, *table, places, ids, room)
    return places[:n_found], ids[:n_found]


@njit(types.void(_KEYS, _KEYS, _KEYS, _IDS, types.int32[::1]), **LEAF)
def _look_up(
    wanted: npt.NDArray[np.uint64],
    bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
    out: npt.NDArray[np.int32],
) -> None:
    shift = shift_of(bits)
    for i in range(len(wanted)):
        out[i] = number_of(wanted[i], shift, bits, keys, ids)


def look_up(keys: npt.NDArray[np.uint64], table: NgramTable) -> npt.NDArray[np.int32]:
    """The number of each key, (n,) uint64 -> (n,) int32; -1 of one that is not in the table."""
    out = np.full(len(keys), -1, np.int32)
    _look_up(keys, *table, out)
    return out
