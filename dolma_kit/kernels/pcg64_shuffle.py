"""numpy's shuffle of 0 to n - 1 under PCG64, asked at a few places without an array of n.

The shuffle swaps, for i from n - 1 down to 1, place i with a place j that is drawn from 0 to i:
32 bits at a time (the low half of a 64-bit draw, then the high half), masked by the least 2^k - 1
that is not below i, until one is not above i. PCG64 is a 128-bit LCG that steps, then gives the
XSL-RR permutation of its state (O'Neill 2014, `pcg64_random_r`).

Forwards, the swaps say where a value goes; backwards, what comes to a place. The draws cannot be
made backwards, as some are rejected, so a first pass keeps the generator's state at every BLOCK-th
swap and each block is drawn again. Places that are followed are bits of a map of n bits, and the
values that lie there in a table of few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, njit, types, uint64

BLOCK = 1 << 20
_MUL_HI, _MUL_LO = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)
_0, _1, _6, _32, _58, _63, _64 = (np.uint64(i) for i in (0, 1, 6, 32, 58, 63, 64))
_LOW = np.uint64(0xFFFFFFFF)
_U64 = uint64[::1]
_PAIR: Any = types.UniTuple(uint64, 2)  # type: ignore[no-untyped-call]
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


def initial_state(seed: int) -> npt.NDArray[np.uint64]:
    """(6,) uint64: state and increment, high half first, then whether half a draw is kept and
    which; of a PCG64 seeded as numpy seeds it."""
    state: Any = np.random.PCG64(seed).state["state"]
    low = 2**64 - 1
    return np.array(
        [state["state"] >> 64, state["state"] & low, state["inc"] >> 64, state["inc"] & low, 0, 0],
        np.uint64,
    )


@njit(_PAIR(uint64, uint64), inline="always")
def _product(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The 128 bits of a product, high and low."""
    a_hi, a_lo, b_hi, b_lo = a >> _32, a & _LOW, b >> _32, b & _LOW
    low, mid_1, mid_2 = a_lo * b_lo, a_hi * b_lo, a_lo * b_hi
    carried = (low >> _32) + (mid_1 & _LOW) + (mid_2 & _LOW)
    return (
        a_hi * b_hi + (mid_1 >> _32) + (mid_2 >> _32) + (carried >> _32),
        (carried << _32) | (low & _LOW),
    )


@njit(uint64(_U64), inline="always")
def _next_32(state: npt.NDArray[np.uint64]) -> np.uint64:
    if state[4]:
        state[4] = _0
        kept: np.uint64 = state[5]
        return kept
    hi, lo = _product(state[1], _MUL_LO)
    hi += state[0] * _MUL_LO + state[1] * _MUL_HI
    lo_sum = lo + state[3]
    hi += state[2] + (_1 if lo_sum < lo else _0)
    state[0], state[1] = hi, lo_sum
    x, turn = hi ^ lo_sum, hi >> _58
    drawn = (x >> turn) | (x << ((_64 - turn) & _63))
    state[4], state[5] = _1, drawn >> _32
    low: np.uint64 = drawn & _LOW
    return low


@njit(uint64(_U64, uint64, uint64), inline="always")
def _draw(state: npt.NDArray[np.uint64], i: np.uint64, mask: np.uint64) -> np.uint64:
    """A place from 0 to i; `mask` is the least 2^k - 1 that is not below i."""
    j = _next_32(state) & mask
    while j > i:
        j = _next_32(state) & mask
    return j


@njit(uint64(uint64), inline="always")
def _mask_of(i: np.uint64) -> np.uint64:
    mask = i
    mask |= mask >> _1
    mask |= mask >> np.uint64(2)
    mask |= mask >> np.uint64(4)
    mask |= mask >> np.uint64(8)
    mask |= mask >> np.uint64(16)
    return mask


@njit(uint64(_U64, _U64, uint64), inline="always")
def _slot(
    keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64], place: np.uint64
) -> np.uint64:
    """Where a place is in an open table, or the free slot where it would be."""
    last = uint64(len(keys) - 1)
    slot = (place * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & last
    while keys[slot] != _EMPTY and keys[slot] != place:
        slot = (slot + _1) & last
    return slot


@njit(types.void(_U64, _U64, uint64), inline="always")
def _forget(keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64], slot: np.uint64) -> None:
    """Empty a slot, and move those up that were put behind it."""
    last = uint64(len(keys) - 1)
    free, at = slot, slot
    while True:
        at = (at + _1) & last
        if keys[at] == _EMPTY:
            break
        home = (keys[at] * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & last
        # may it stand at `free`, at or behind its home?
        if ((at - home) & last) >= ((at - free) & last):
            keys[free], values[free] = keys[at], values[at]
            free = at
    keys[free] = _EMPTY


@njit(types.void(_U64, _U64, _U64, uint64, uint64), inline="always")
def _swap(
    bits: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64],
    i: np.uint64, j: np.uint64,
) -> None:  # fmt: skip
    """Swap what lies at two places, of which at least one may be followed."""
    has_i = bits[i >> _6] >> (i & _63) & _1
    has_j = bits[j >> _6] >> (j & _63) & _1
    if not (has_i or has_j) or i == j:
        return
    if has_i and has_j:
        a, b = _slot(keys, values, i), _slot(keys, values, j)
        values[a], values[b] = values[b], values[a]
        return
    old, new = (i, j) if has_i else (j, i)
    slot = _slot(keys, values, old)
    value = values[slot]
    _forget(keys, values, slot)
    slot = _slot(keys, values, new)
    keys[slot], values[slot] = new, value
    bits[old >> _6] ^= _1 << (old & _63)
    bits[new >> _6] |= _1 << (new & _63)


@njit(types.void(_U64, _U64, _U64, _U64), cache=True, nogil=True)
def _follow(
    bits: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64],
    places: npt.NDArray[np.uint64],
) -> None:  # fmt: skip
    """Put places into an empty table, each with its number."""
    for k in range(len(places)):
        place = places[k]
        slot = _slot(keys, values, place)
        keys[slot], values[slot] = place, uint64(k)
        bits[place >> _6] |= _1 << (place & _63)


@njit(boolean(uint64, _U64, _U64, _U64, _U64, _U64), cache=True, nogil=True)
def _replay(
    n: np.uint64, state: npt.NDArray[np.uint64], bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64],
    result: npt.NDArray[np.uint64],
) -> bool:  # fmt: skip
    """Do all swaps on the places that are followed; `result[k]` is where number k lies then."""
    i = n - _1
    while i >= _1:
        mask = _mask_of(i)
        least = max((mask >> _1) + _1, _1)  # down to which the mask stays
        while i >= least:
            _swap(bits, keys, values, i, _draw(state, i, mask))
            i -= _1
    for slot in range(len(keys)):
        if keys[slot] != _EMPTY:
            result[values[slot]] = keys[slot]
    return True


@njit(types.void(uint64, _U64, uint64[:, ::1]), cache=True, nogil=True)
def _states(n: np.uint64, state: npt.NDArray[np.uint64], kept: npt.NDArray[np.uint64]) -> None:
    """The generator's state before each block of swaps: block b does swaps b * BLOCK and on."""
    done = _0
    i = n - _1
    while i >= _1:
        if done % uint64(BLOCK) == _0:
            kept[done // uint64(BLOCK)] = state
        _draw(state, i, _mask_of(i))
        done += _1
        i -= _1


@njit(boolean(uint64, uint64[:, ::1], _U64, _U64, _U64, _U64, _U64), cache=True, nogil=True)
def _replay_back(
    n: np.uint64, kept: npt.NDArray[np.uint64], bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64],
    result: npt.NDArray[np.uint64], drawn: npt.NDArray[np.uint64],
) -> bool:  # fmt: skip
    """Undo all swaps, the last first; `result[k]` is what came to the place with number k."""
    n_swaps = n - _1
    state = np.empty(6, np.uint64)
    for back in range(len(kept)):
        block = uint64(len(kept) - 1 - back)
        first = block * uint64(BLOCK)
        count = min(uint64(BLOCK), n_swaps - first)
        state[:] = kept[block]
        for k in range(count):
            i = n - _1 - first - uint64(k)
            drawn[k] = _draw(state, i, _mask_of(i))
        for k in range(count - _1, -1, -1):
            _swap(bits, keys, values, n - _1 - first - uint64(k), drawn[uint64(k)])
    for slot in range(len(keys)):
        if keys[slot] != _EMPTY:
            result[values[slot]] = keys[slot]
    return True


def _tables(n: int, places: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], ...]:
    bits = np.zeros((n >> 6) + 1, np.uint64)
    size = 1 << max(4, (4 * len(places)).bit_length())
    keys, values = np.full(size, _EMPTY), np.zeros(size, np.uint64)
    _follow(bits, keys, values, places)
    return bits, keys, values


def places_of(n: int, seed: int, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where values (k,) int64, each once, of 0 to n - 1 lie in the shuffle: (k,) int64. Takes time
    for n, and n / 8 bytes."""
    result = np.zeros(len(values), np.uint64)
    bits, keys, numbers = _tables(n, values.astype(np.uint64))
    _replay(np.uint64(n), initial_state(seed), bits, keys, numbers, result)
    return result.astype(np.int64)


def values_at(n: int, seed: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What lies at places (k,) int64, each once, of the shuffle: (k,) int64. Takes twice the time
    of `places_of`."""
    result = np.zeros(len(places), np.uint64)
    if n < 2:
        return places.copy()
    bits, keys, numbers = _tables(n, places.astype(np.uint64))
    kept = np.zeros((-(-(n - 1) // BLOCK), 6), np.uint64)
    _states(np.uint64(n), initial_state(seed), kept)
    drawn = np.empty(min(BLOCK, n), np.uint64)
    _replay_back(np.uint64(n), kept, bits, keys, numbers, result, drawn)
    return result.astype(np.int64)
