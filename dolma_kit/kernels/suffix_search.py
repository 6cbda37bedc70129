"""Queries to a suffix array of tokens: binary searches over `suffixes`, by the ids in `tokens`.

`tokens` (n,) uint16 or uint32 and `suffixes` (n,) int32 are as `suffix_array` has them; both may be
mapped from disk. The suffixes that begin with some ids are neighbours: a range [low, high) of the
array. A suffix that ends before the ids do comes before them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types

from dolma_kit.kernels.unicode import LEAF

_TOKENS = [types.Array(kind, 1, "C", readonly=True) for kind in (types.uint16, types.uint32)]
_SUFFIXES = types.Array(types.int32, 1, "C", readonly=True)
_IDS = types.Array(types.int64, 1, "C", readonly=True)
_RANGE = types.UniTuple(int64, 2)  # type: ignore[no-untyped-call]


@njit([int64(t, int64, _IDS, int64) for t in _TOKENS], **LEAF)
def _compare(tokens: npt.NDArray[Any], place: int, ids: npt.NDArray[np.int64], known: int) -> int:
    """How many tokens from `place` on are those of `ids`, of which `known` are known to be, times
    two; and 1 more if the suffix comes before the ids."""
    n = len(ids)
    k = known
    while k < n and place + k < len(tokens) and int64(tokens[place + k]) == ids[k]:
        k += 1
    if k == n:
        return 2 * k
    before = place + k >= len(tokens) or int64(tokens[place + k]) < ids[k]
    return 2 * k + (1 if before else 0)


@njit([_RANGE(t, _SUFFIXES, _IDS, int64, int64) for t in _TOKENS], **LEAF)
def find(
    tokens: npt.NDArray[Any],
    suffixes: npt.NDArray[np.int32],
    ids: npt.NDArray[np.int64],
    low: int,
    high: int,
) -> tuple[int, int]:
    """The range, within [low, high), of the suffixes that begin with `ids` (n_ids,) int64.

    What is known to be equal at both ends of what is left is not compared again.
    """
    n = len(ids)
    first, last = low, high
    known_first = known_last = 0
    while first < last:
        middle = (first + last) >> 1
        found = _compare(tokens, suffixes[middle], ids, min(known_first, known_last))
        if found & 1:
            first = middle + 1
            known_first = found >> 1
        else:
            last = middle
            known_last = found >> 1
    begin = first
    last = high
    known_first, known_last = 0, 0
    while first < last:
        middle = (first + last) >> 1
        found = _compare(tokens, suffixes[middle], ids, min(known_first, known_last))
        if found >> 1 == n:
            first = middle + 1
            known_first = n
        else:
            last = middle
            known_last = found >> 1
    return begin, first


@njit([_RANGE(t, _SUFFIXES, int64, int64, int64, int64) for t in _TOKENS], **LEAF)
def extend(
    tokens: npt.NDArray[Any],
    suffixes: npt.NDArray[np.int32],
    low: int,
    high: int,
    depth: int,
    token: int,
) -> tuple[int, int]:
    """The range, within one whose suffixes share `depth` tokens, of those that go on with
    `token`."""
    first, last = low, high
    while first < last:
        middle = (first + last) >> 1
        place = int64(suffixes[middle]) + depth
        if place >= len(tokens) or int64(tokens[place]) < token:
            first = middle + 1
        else:
            last = middle
    begin = first
    last = high
    while first < last:
        middle = (first + last) >> 1
        if int64(tokens[int64(suffixes[middle]) + depth]) == token:
            first = middle + 1
        else:
            last = middle
    return begin, first


@njit([int64(t, _SUFFIXES, int64, int64, int64, int64[::1], int64[::1]) for t in _TOKENS], **LEAF)
def continuations(
    tokens: npt.NDArray[Any],
    suffixes: npt.NDArray[np.int32],
    low: int,
    high: int,
    depth: int,
    ids: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> int:
    """What follows the `depth` tokens that the suffixes of a range share: different tokens,
    ascending, into `ids`, and how often into `counts`; how many there are, or -1 for lack of room.

    Suffixes that end there have no next token.
    """
    n = 0
    first = low
    while first < high and int64(suffixes[first]) + depth >= len(tokens):
        first += 1
    while first < high:
        token = int64(tokens[int64(suffixes[first]) + depth])
        step = 1  # doubled until it is beyond, then halved
        while first + step < high and (
            int64(tokens[int64(suffixes[first + step]) + depth]) == token
        ):
            step <<= 1
        begin, last = first + (step >> 1), min(first + step, high)
        while begin < last:
            middle = (begin + last) >> 1
            if int64(tokens[int64(suffixes[middle]) + depth]) == token:
                begin = middle + 1
            else:
                last = middle
        if n == len(ids):
            return -1
        ids[n] = token
        counts[n] = begin - first
        n += 1
        first = begin
    return n


@njit([_RANGE(t, _SUFFIXES, _IDS) for t in _TOKENS], **LEAF)
def longest_prefix(
    tokens: npt.NDArray[Any], suffixes: npt.NDArray[np.int32], ids: npt.NDArray[np.int64]
) -> tuple[int, int]:
    """How many of `ids` (n_ids,) int64, from the first on, stand somewhere in the tokens, and the
    place in the array where all of them would: the neighbours there share as much.

    One search: the suffix before and the one after that place share the most with the ids.
    """
    first, last = 0, len(suffixes)
    known_first = known_last = 0
    best = 0
    while first < last:
        middle = (first + last) >> 1
        found = _compare(tokens, suffixes[middle], ids, min(known_first, known_last))
        shared = found >> 1
        best = max(best, shared)
        if found & 1:
            first = middle + 1
            known_first = shared
        else:
            last = middle
            known_last = shared
    return best, first
