"""Token ids as the bytes that they stand for: a table of all ids' bytes, copied one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint8, void

_IDS = types.Array(types.uint32, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
_FLAGS = types.Array(types.boolean, 1, "C", readonly=True)


@njit(void(_IDS, _OFFSETS, _FLAGS, int64[::1]), cache=True, nogil=True)
def measure_into(
    ids: npt.NDArray[np.uint32],
    table_offsets: npt.NDArray[np.int64],
    is_silent: npt.NDArray[np.bool_],
    offsets: npt.NDArray[np.int64],
) -> None:
    """Where the bytes of each token begin: `offsets` (n + 1,). Tokens that are silent, and ids
    that the table has not, have no bytes."""
    last = len(table_offsets) - 1
    at = 0
    for k in range(len(ids)):
        offsets[k] = at
        if ids[k] < last and not is_silent[k]:
            at += table_offsets[ids[k] + 1] - table_offsets[ids[k]]
    offsets[len(ids)] = at


@njit(void(_IDS, _BYTES, _OFFSETS, _OFFSETS, uint8[::1]), cache=True, nogil=True)
def copy_into(
    ids: npt.NDArray[np.uint32],
    table: npt.NDArray[np.uint8],
    table_offsets: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    decoded: npt.NDArray[np.uint8],
) -> None:
    """The bytes of all tokens, at the offsets that `measure_into` has given."""
    for k in range(len(ids)):
        start = offsets[k]
        first = table_offsets[ids[k]] if offsets[k + 1] > start else 0
        for i in range(offsets[k + 1] - start):
            decoded[start + i] = table[first + i]
