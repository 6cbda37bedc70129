"""Orders that lie in files, checked and searched: 4 bytes an instance, mapped from disk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint32, uint64, void

_ORDER = types.Array(types.uint32, 1, "C", readonly=True)
_SORTED = types.Array(types.uint32, 1, "C", readonly=True)
_0, _1, _63 = np.uint64(0), np.uint64(1), np.uint64(63)
NOWHERE = np.uint32(0xFFFFFFFF)


@njit(int64(_ORDER, int64, uint64[::1]), cache=True, nogil=True)
def first_fault(
    order: npt.NDArray[np.uint32], n_instances: int, seen: npt.NDArray[np.uint64]
) -> int:
    """The first place of a value that is not below n_instances or stood before; -1 for none.

    `seen` (n_instances // 64 + 1,) is a bit an instance, and is added to.
    """
    for place in range(len(order)):
        value = uint64(order[place])
        if value >= uint64(n_instances):
            return place
        word, bit = value >> np.uint64(6), _1 << (value & _63)
        if seen[word] & bit:
            return place
        seen[word] |= bit
    return -1


@njit(void(_ORDER, int64, uint32[::1]), cache=True, nogil=True)
def invert_into(order: npt.NDArray[np.uint32], first: int, inverse: npt.NDArray[np.uint32]) -> None:
    """Write the positions of a piece of an order, from `first` on, to the places of its
    instances."""
    for k in range(len(order)):
        inverse[order[k]] = uint32(first + k)


@njit(int64(_ORDER, int64, _SORTED, int64[::1], int64[::1], int64), cache=True, nogil=True)
def find_into(
    order: npt.NDArray[np.uint32], first: int, wanted: npt.NDArray[np.uint32],
    which: npt.NDArray[np.int64], positions: npt.NDArray[np.int64], n_found: int,
) -> int:  # fmt: skip
    """Where `wanted` (k,), ascending, stand in a piece of an order: pairs (number in wanted,
    position) go behind the n_found that there are, as many as find room; how many there are."""
    low, high = wanted[0], wanted[-1]
    for k in range(len(order)):
        value = order[k]
        if value < low or value > high:
            continue
        i = np.searchsorted(wanted, value)
        if wanted[i] == value:
            if n_found < len(which):
                which[n_found], positions[n_found] = i, first + k
            n_found += 1
    return n_found
