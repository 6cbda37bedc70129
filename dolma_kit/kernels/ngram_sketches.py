"""N-grams in bounded memory: their hashes, how many are distinct, and which are frequent.

Three structures, each for one n, that batches of texts are put into one after the other:

Hashes. Of tokens with 64-bit hashes h, an n-gram has mix(sum h[i] * B^(n-1-i)) mod 2^64, with an
odd B, so that one follows from the one before in the same time for every n. `mix` is the finalizer
of SplitMix64 (Steele, Lea and Flood 2014). Only n-grams within a text count.

HyperLogLog (Flajolet et al. 2007): 2^16 registers of 8 bits. The first 16 bits of a hash choose the
register, the position of the first 1 among the other 48, from 1, goes into it if it is the
greatest. Registers of parts put together by maximum are those of all. See `statistics.cardinality`.

Lossy counting (Manku and Motwani 2002, section 4.2, with purges where the table is full instead of
at fixed windows): a table of hashes with a count and the most that may have been missed before, the
table's `floor` when the hash came in. Where it is full, the floor rises to the median of count +
missed, and what does not exceed it goes. So the true count is from count to count + missed, that of
a hash which is not there at most the floor, and as long as nothing was purged all counts are exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint8, uint64

from dolma_kit.kernels.unicode import LEAF, OFFSETS

REGISTER_BITS = 16
N_REGISTERS = 1 << REGISTER_BITS
_BASE = np.uint64(0x9E3779B97F4A7C15)
_1, _16, _27, _30, _31, _48, _63 = (np.uint64(i) for i in (1, 16, 27, 30, 31, 48, 63))
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_IDS = types.Array(types.uint32, 1, "C", readonly=True)
_TABLE = types.Array(types.int64, 2, "C")
_ROWS = types.Array(types.int64, 2, "C", readonly=True)
#: columns of a table, (n_slots, 4) int64 with a power of two of slots: the hash's bits, the count
#: (0: the slot is free), what may have been missed, and where it came in
HASH, COUNT, MISSED, PLACE = range(4)


@njit(uint64(uint64), inline="always")
def mix(x: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64: a permutation of 64-bit numbers."""
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@njit(uint64[::1](_IDS), cache=True, nogil=True)
def hash_ids(ids: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """(n,) uint64: hashes of token ids."""
    hashes = np.empty(len(ids), np.uint64)
    for i in range(len(ids)):
        hashes[i] = mix(np.uint64(ids[i]) + _BASE)
    return hashes


@njit(types.Tuple((uint64[::1], int64[::1]))(_HASHES, OFFSETS, int64), cache=True, nogil=True)  # type: ignore[no-untyped-call]
def hash_ngrams(
    tokens: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], n: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The hashes of all n-grams of texts, in order, and where each begins in `tokens`.

    `tokens` (n_tokens,) uint64 are hashes; text i has those from `offsets[i]` up to `offsets[i+1]`.
    """
    total = 0
    for i in range(len(offsets) - 1):
        total += max(offsets[i + 1] - offsets[i] - n + 1, 0)
    hashes = np.empty(total, np.uint64)
    places = np.empty(total, np.int64)
    power = _1  # of the base, n - 1 times
    for _ in range(n - 1):
        power *= _BASE
    k = 0
    for i in range(len(offsets) - 1):
        start, end = offsets[i], offsets[i + 1]
        if end - start < n:
            continue
        rolling = np.uint64(0)
        for j in range(start, start + n):
            rolling = rolling * _BASE + tokens[j]
        hashes[k] = mix(rolling)
        places[k] = start
        k += 1
        for j in range(start + n, end):
            rolling = (rolling - tokens[j - n] * power) * _BASE + tokens[j]
            hashes[k] = mix(rolling)
            places[k] = j - n + 1
            k += 1
    return hashes, places


@njit(types.void(uint8[::1], uint64), **LEAF, inline="always")
def _register(registers: npt.NDArray[np.uint8], h: np.uint64) -> None:
    rest = h << _16
    rank = np.uint8(1)
    if rest == 0:
        rank = np.uint8(49)
    else:
        while rest >> _63 == 0:
            rest <<= _1
            rank += np.uint8(1)
    at = h >> _48
    registers[at] = max(registers[at], rank)


@njit(types.void(uint8[::1], _HASHES), **LEAF)
def register(registers: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint64]) -> None:
    """Put hashes (n,) uint64 into a HyperLogLog, (N_REGISTERS,) uint8, in place."""
    for i in range(len(hashes)):
        _register(registers, hashes[i])


@njit(types.void(uint8[::1], uint64, uint64), **LEAF)
def register_numbers(registers: npt.NDArray[np.uint8], start: np.uint64, end: np.uint64) -> None:
    """The same for the `end - start` different hashes that the numbers from `start` on have."""
    number = start
    while number < end:
        _register(registers, mix(number * _BASE + _1))
        number += _1


@njit(types.UniTuple(int64, 2)(_TABLE, int64, int64, _HASHES, OFFSETS, int64), **LEAF)  # type: ignore[no-untyped-call]
def note(
    table: npt.NDArray[np.int64],
    room: int,
    floor: int,
    hashes: npt.NDArray[np.uint64],
    places: npt.NDArray[np.int64],
    start: int,
) -> tuple[int, int]:
    """Count the hashes (n,) from `start` on in a table, in place, until one finds no room.

    `room` is how many new hashes may come in. Returns n, or which hash found no room, and how much
    room is left.
    """
    mask = len(table) - 1
    for i in range(start, len(hashes)):
        key = np.int64(hashes[i])
        slot = key & mask
        while table[slot, COUNT] != 0 and table[slot, HASH] != key:
            slot = (slot + 1) & mask
        if table[slot, COUNT] == 0:
            if room == 0:
                return i, 0
            room -= 1
            table[slot, HASH] = key
            table[slot, MISSED] = floor
            table[slot, PLACE] = places[i]
        table[slot, COUNT] += 1
    return len(hashes), room


@njit(types.void(_TABLE, _ROWS), **LEAF)
def fill(table: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
    """Put rows (n, 4) of different hashes into an empty table, in place."""
    mask = len(table) - 1
    for i in range(len(rows)):
        slot = rows[i, HASH] & mask
        while table[slot, COUNT] != 0:
            slot = (slot + 1) & mask
        for column in range(4):
            table[slot, column] = rows[i, column]
