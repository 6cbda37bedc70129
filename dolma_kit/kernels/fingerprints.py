"""A set of keys by their hashes, of 64 or 128 bits: a table with open addressing.

A key is one or two 64-bit hashes. The table is `uint64[n_slots, width]`, a slot of zeros being
free, so a key of zeros is taken for one whose last number is 1. Slots are tried one after the other
from

    high 64 bits of mix64(first hash) * n_slots

on, with SplitMix64's finalizer mix64. Ranges of the first hash are sets of their own: with it times
`n_ranges`, the high 64 bits say which of them a key belongs to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8, uint64

from dolma_kit.kernels.bloom import high_product
from dolma_kit.kernels.minhash import mix64
from dolma_kit.kernels.unicode import LEAF

_KEYS = types.Array(types.uint64, 2, "C", readonly=True)
_TABLE = types.Array(types.uint64, 2, "C")
_0, _1 = np.uint64(0), np.uint64(1)
MOST_FULL = 0.9  # chains get long beyond


@njit(
    types.UniTuple(int64, 2)(  # type: ignore[no-untyped-call]
        _TABLE, int64, _KEYS, int64, uint64, uint64, boolean, uint8[::1]
    ),
    **LEAF,
)
def look_up(
    table: npt.NDArray[np.uint64],
    n_held: int,
    keys: npt.NDArray[np.uint64],
    first: int,
    n_ranges: np.uint64,
    own_range: np.uint64,
    insert: bool,
    out: npt.NDArray[np.uint8],
) -> tuple[int, int]:
    """Look up the keys from number `first` on that are of a range, in sequence, and insert them if
    `insert`.

    `out` (n_keys,) uint8 becomes 1 where a key was there before, else 0; those of other ranges are
    left as they are. Gives how many keys the table holds, `n_held` being how many it held, and the
    number of the key at which it was full, or that of all keys.
    """
    n_slots, width = uint64(len(table)), table.shape[1]
    most = int(len(table) * MOST_FULL)
    for i in range(first, len(keys)):
        head = keys[i, 0]
        if high_product(head, n_ranges) != own_range:
            continue
        tail = keys[i, width - 1]
        if (head | tail) == _0:
            tail = _1
            if width == 1:
                head = _1
        slot = high_product(mix64(head), n_slots)
        known = False
        while (table[slot, 0] | table[slot, width - 1]) != _0:
            if table[slot, 0] == head and table[slot, width - 1] == tail:
                known = True
                break
            slot += _1
            if slot == n_slots:
                slot = _0
        if not known and insert:
            if n_held >= most:
                return n_held, i
            table[slot, 0], table[slot, width - 1] = head, tail
            n_held += 1
        out[i] = known
    return n_held, len(keys)
