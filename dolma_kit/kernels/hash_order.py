"""The order of 64-bit hashes: a stable argsort that knows they are spread evenly.

The upper 33 bits are sorted by three passes of 11, from the lowest (radix sort); what they do not
tell apart, some few of evenly spread hashes, is put in order by insertion. That would take time
with the square of the number of hashes that share those bits, so equal ones are left as they are:
they are in their order already.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_BITS = 11
_SHIFTS = (31, 42, 53)


@njit(int64[::1](_HASHES), cache=True, nogil=True)
def argsort(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """(n,) int64: where the hashes stand in ascending order, equal ones as they came."""
    n = len(hashes)
    order = np.arange(n)
    other = np.empty(n, np.int64)
    counts = np.empty(1 << _BITS, np.int64)
    mask = np.uint64((1 << _BITS) - 1)
    for shift in _SHIFTS:
        by = np.uint64(shift)
        counts[:] = 0
        for i in range(n):
            counts[(hashes[i] >> by) & mask] += 1
        total = 0
        for digit in range(len(counts)):
            size = counts[digit]
            counts[digit] = total
            total += size
        for i in range(n):
            digit = (hashes[order[i]] >> by) & mask
            other[counts[digit]] = order[i]
            counts[digit] += 1
        order, other = other, order
    for i in range(1, n):
        at = order[i]
        k = i
        while k > 0 and hashes[order[k - 1]] > hashes[at]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = at
    return order
