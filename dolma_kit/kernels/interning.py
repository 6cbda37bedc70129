"""Dense ids for byte strings and for pairs of ids: open-addressing tables for use inside kernels.

Exact, unlike a set of hashes: a string is compared by its bytes, a pair is a 64-bit key of its own.
The caller owns all arrays, so that one reservation serves every document of a call. A slot holds
an id + 1, or 0 where it is free; tables have a power of two of slots, of which half at most are
taken. Functions that allocate nothing are compiled without numba's reference counting (LEAF).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint64

from dolma_kit.kernels.unicode import BYTES, LEAF

SMALLEST_TABLE = 256
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio; products wrap at 64 bits

I32 = types.int32[::1]
I64 = types.int64[::1]
U64 = types.uint64[::1]


@njit(int64(uint64, int64), **LEAF)
def slot_of(key: np.uint64, mask: int) -> int:
    """First slot to look at for a key, in a table of `mask + 1` slots (a power of two)."""
    mixed = key * MULTIPLIER
    mixed ^= mixed >> uint64(32)
    return int(int64(mixed * MULTIPLIER >> uint64(32)) & mask)


@njit(int64(I32, int64, int64, U64), **LEAF)
def resize(
    slots: npt.NDArray[np.int32], n_slots: int, n_keys: int, keys: npt.NDArray[np.uint64]
) -> int:
    """Empty the first `n_slots` slots and enter `keys[:n_keys]` again; returns the new mask."""
    mask = n_slots - 1
    slots[:n_slots] = 0
    for key_id in range(n_keys):
        slot = slot_of(keys[key_id], mask)
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = key_id + 1
    return mask


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def same_bytes(text: npt.NDArray[np.uint8], a: int, b: int, n_bytes: int) -> bool:
    """Whether the `n_bytes` bytes at `a` and at `b` are the same."""
    for k in range(n_bytes):  # noqa: SIM110  a generator cannot be compiled
        if text[a + k] != text[b + k]:
            return False
    return True


@njit(uint64(BYTES, int64, int64), **LEAF)
def hash_bytes(text: npt.NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """A 64-bit hash of bytes, equal for equal bytes; wraps at 64 bits."""
    h = uint64(end - start)
    for i in range(start, end):
        h = (h ^ uint64(text[i])) * MULTIPLIER
        h ^= h >> uint64(29)
    return h


@njit(
    int64(BYTES, int64, int64, uint64, boolean, int64, I32, int64, U64, I64, I32, I32),
    **LEAF,
)
def find_or_add(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    key: np.uint64,
    key_is_exact: bool,  # for texts of at most 8 bytes
    n_known: int,
    slots: npt.NDArray[np.int32],  # id + 1, or 0 where free
    mask: int,
    keys: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
) -> int:
    """The id of `text[start:end]`, `n_known` if it is new; its count goes up by one."""
    size = end - start
    slot = slot_of(key, mask)
    while slots[slot] != 0:
        known = int64(slots[slot]) - 1
        if (
            keys[known] == key
            and sizes[known] == size
            and ((key_is_exact and size <= 8) or same_bytes(text, starts[known], start, size))
        ):
            counts[known] += 1
            return int(known)
        slot = (slot + 1) & mask
    slots[slot] = n_known + 1
    keys[n_known] = key
    starts[n_known] = start
    sizes[n_known] = size
    counts[n_known] = 1
    return n_known
