"""A set of byte strings in three arrays: some 30 bytes a host name, a Python set takes 150.

The strings stand one after the other in `data`, string i at `offsets[i]` to `offsets[i + 1]`.
`slots` is a table with open addressing: i + 1, or 0 where it is free, at most three in four of
them taken; `longest` is the length of the longest string. Exact: strings are compared byte by byte.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types

from dolma_kit.kernels.interning import hash_bytes, slot_of
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS


class StringSet(NamedTuple):
    """See above; the arrays are (n_bytes,) uint8, (n + 1,) int64, (a power of two,) int32."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int32]
    longest: int


SLOTS = types.Array(types.int32, 1, "C", readonly=True)


@njit(boolean(BYTES, int64, BYTES, int64, int64), **LEAF)
def same(a: npt.NDArray[np.uint8], i: int, b: npt.NDArray[np.uint8], j: int, n_bytes: int) -> bool:
    """Whether `a[i:i + n_bytes]` and `b[j:j + n_bytes]` are the same."""
    for k in range(n_bytes):  # noqa: SIM110  a generator cannot be compiled
        if a[i + k] != b[j + k]:
            return False
    return True


@njit(boolean(BYTES, OFFSETS, SLOTS, BYTES, int64, int64), **LEAF)
def has(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int32],
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
) -> bool:
    """Whether `text[start:end]` is in the set."""
    mask = len(slots) - 1
    slot = slot_of(hash_bytes(text, start, end), mask)
    while slots[slot] != 0:
        known = slots[slot] - 1
        n_bytes = offsets[known + 1] - offsets[known]
        if n_bytes == end - start and same(data, offsets[known], text, start, n_bytes):
            return True
        slot = (slot + 1) & mask
    return False


_Built = types.Tuple(  # type: ignore[no-untyped-call]
    (types.uint8[::1], types.int64[::1], types.int32[::1], int64)
)


@njit(_Built(BYTES, OFFSETS, OFFSETS), cache=True, nogil=True)
def build(
    text: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int32], int]:
    """The set of the strings `text[starts[i]:ends[i]]`, fewer than 2**31."""
    n = len(starts)
    n_slots = 4
    while 3 * n_slots < 4 * n:
        n_slots *= 2
    slots = np.zeros(n_slots, np.int32)
    offsets = np.zeros(n + 1, np.int64)
    data = np.empty((ends - starts).sum(), np.uint8)
    n_known = longest = 0
    for i in range(n):
        start, end = starts[i], ends[i]
        slot = slot_of(hash_bytes(text, start, end), n_slots - 1)
        is_new = True
        while slots[slot] != 0:
            known = slots[slot] - 1
            n_bytes = offsets[known + 1] - offsets[known]
            if n_bytes == end - start and same(data, offsets[known], text, start, n_bytes):
                is_new = False
                break
            slot = (slot + 1) & (n_slots - 1)
        if is_new:
            at = offsets[n_known]
            for k in range(end - start):
                data[at + k] = text[start + k]
            n_known += 1
            longest = max(longest, end - start)
            slots[slot] = n_known
            offsets[n_known] = at + end - start
    return data[: offsets[n_known]].copy(), offsets[: n_known + 1].copy(), slots, longest


@njit(
    types.boolean[::1](BYTES, OFFSETS, SLOTS, int64, BYTES, OFFSETS, OFFSETS, types.boolean[::1]),
    cache=True,
    nogil=True,
)
def find(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int32],
    longest: int,
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    with_parents: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Which of `text[starts[i]:ends[i]]` are in the set, (n,) bool; a start below 0 never is.

    Where `with_parents`, what stands after any dot of it counts too.
    """
    found = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        start, end = starts[i], ends[i]
        if start < 0:
            continue
        if end - start <= longest:
            found[i] = has(data, offsets, slots, text, start, end)
        if with_parents[i]:
            for k in range(max(start, end - longest - 1), end):
                if found[i]:
                    break
                if text[k] == 46:
                    found[i] = has(data, offsets, slots, text, k + 1, end)
    return found
