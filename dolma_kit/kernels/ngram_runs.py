"""N-grams of all documents counted, of several lengths at once, in one pass over a suffix array.

Suffixes that begin with the same n tokens are neighbours in the array, a run: where two neighbours
share less than n tokens, a run of n ends and one begins. An n-gram lies within one document, so of
a run only those suffixes count that have n tokens to their document's end.

Each place of the text has a level, the number of lengths that fit from it to its document's end.
A suffix is noted once, in the open run of its level's length, the longest it counts for. When a run
ends, that of the next shorter length takes over what it has, how many and the first place. So a
suffix costs one step, and one more for each length whose run ends with it.

Memory: 1 byte a token.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, void

from dolma_kit.kernels.common_prefixes import Lengths
from dolma_kit.kernels.unicode import LEAF, OFFSETS

MOST_LENGTHS = 255
_SUFFIXES = types.Array(types.int32, 1, "C", readonly=True)
_LEVELS = types.uint8[::1]
_SHARED = [types.Array(kind, 1, "C", readonly=True) for kind in (types.uint8, types.uint16)]
_TALLIES, _KEPT = int64[:, ::1], types.Array(int64, 3, "C")
_KEY, _RUN, _FIRST = range(3)


class NgramRuns(NamedTuple):
    """What `count` found, a row for each of the lengths, all int64; width is min(k, n_tokens).

    Where fewer n-grams than that are distinct, counts and places after the last one are 0. The
    place is where the n-gram occurs first in the text, in tokens. Of n-grams that occur as often,
    that with the lesser ids comes first.
    """

    totals: npt.NDArray[np.int64]  # (n_lengths,) places that have an n-gram
    distinct: npt.NDArray[np.int64]  # (n_lengths,)
    once: npt.NDArray[np.int64]  # (n_lengths,) n-grams that occur exactly once
    most_counts: npt.NDArray[np.int64]  # (n_lengths, width) the most common ones, most first
    most_places: npt.NDArray[np.int64]  # (n_lengths, width)
    least_counts: npt.NDArray[np.int64]  # (n_lengths, width) the least common ones, least first
    least_places: npt.NDArray[np.int64]  # (n_lengths, width)


@njit(void(OFFSETS, OFFSETS, _LEVELS), **LEAF)
def _find_levels(
    ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], levels: npt.NDArray[np.uint8]
) -> None:
    start = 0
    for end in ends:
        level = 0
        for place in range(end - 1, start - 1, -1):
            if level < len(lengths) and end - place >= lengths[level]:
                level += 1
            levels[place] = level
        start = end


@njit(types.boolean(int64[:, ::1], int64, int64), **LEAF)
def _is_worse(heap: npt.NDArray[np.int64], a: int, b: int) -> bool:
    if heap[a, _KEY] != heap[b, _KEY]:
        return bool(heap[a, _KEY] < heap[b, _KEY])
    return bool(heap[a, _RUN] > heap[b, _RUN])


@njit(void(int64[:, ::1], int64, int64, int64), **LEAF)
def _keep(heap: npt.NDArray[np.int64], key: int, run: int, first: int) -> None:
    """Keep a run in a heap of the k with the greatest keys, (k, 3) int64, the worst on top.

    Of those with the same key the first ones are kept. `run` is how many there were before; from
    the k-th on, the key has to be more than that on top.
    """
    n = min(run, len(heap))
    i = n if n < len(heap) else 0
    heap[i, _KEY], heap[i, _RUN], heap[i, _FIRST] = key, run, first
    while i > 0 and _is_worse(heap, i, (i - 1) // 2):  # up from the end
        above = (i - 1) // 2
        for k in range(3):
            heap[i, k], heap[above, k] = heap[above, k], heap[i, k]
        i = above
    while n == len(heap):  # down from the top
        worst = i
        for below in range(2 * i + 1, min(2 * i + 3, n)):
            if _is_worse(heap, below, worst):
                worst = below
        if worst == i:
            break
        for k in range(3):
            heap[i, k], heap[worst, k] = heap[worst, k], heap[i, k]
        i = worst


@njit(
    [void(_SUFFIXES, shared, _LEVELS, OFFSETS, _TALLIES, _KEPT, _KEPT) for shared in _SHARED],
    cache=True,
    nogil=True,
)
def _count(
    suffixes: npt.NDArray[np.int32],
    prefixes: Lengths,
    levels: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    tallies: npt.NDArray[np.int64],  # (3, n_lengths): totals, distinct, once
    most: npt.NDArray[np.int64],  # (n_lengths, width, 3)
    least: npt.NDArray[np.int64],
) -> None:
    n, width = len(suffixes), most.shape[1]
    counts = np.zeros(len(lengths) + 1, np.int64)  # of open runs by level; 0 is that of no length
    firsts = np.full(len(lengths) + 1, n, np.int64)
    for i in range(n + 1):
        shared = int64(prefixes[i]) if i < n else 0
        level = len(lengths)
        while level > 0 and lengths[level - 1] > shared:
            if counts[level] > 0:
                count, first, row = counts[level], firsts[level], level - 1
                run = tallies[1, row]
                if run < width or (width > 0 and count > most[row, 0, _KEY]):
                    _keep(most[row], count, run, first)
                if run < width or (width > 0 and -count > least[row, 0, _KEY]):
                    _keep(least[row], -count, run, first)
                tallies[0, row] += count
                tallies[1, row] += 1
                tallies[2, row] += count == 1
                counts[row] += count
                firsts[row] = min(firsts[row], first)
                counts[level], firsts[level] = 0, n
            level -= 1
        if i < n:
            place = int64(suffixes[i])
            level = int64(levels[place])
            counts[level] += 1
            firsts[level] = min(firsts[level], place)


def _in_order(
    kept: npt.NDArray[np.int64], n_distinct: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Counts and places of the runs that heaps hold, the best first."""
    counts, places = np.zeros(kept.shape[:2], np.int64), np.zeros(kept.shape[:2], np.int64)
    for row, (heap, n) in enumerate(zip(kept, n_distinct.tolist(), strict=True)):
        heap = heap[:n]
        heap = heap[np.lexsort((heap[:, _RUN], -heap[:, _KEY]))]
        counts[row, : len(heap)] = np.abs(heap[:, _KEY])
        places[row, : len(heap)] = heap[:, _FIRST]
    return counts, places


def count(
    suffixes: npt.NDArray[np.int32],
    prefixes: Lengths,
    ends: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    k: int,
) -> NgramRuns:
    """Count the n-grams of `lengths`, and find the `k` most and least common ones of each.

    `suffixes` (n_tokens,) int32 is the suffix array of the tokens of all documents, `prefixes`
    (n_tokens,) uint8 or uint16 what `common_prefixes.between_neighbours` gives for it with a
    `max_length` no less than any of `lengths`, (n_lengths,) int64, which ascend. Document i is
    tokens `ends[i - 1]` (0, for i = 0) to `ends[i]`, (n_docs,) int64; the last one ends with the
    tokens.
    """
    if not 0 < len(lengths) <= MOST_LENGTHS or lengths[0] < 1 or np.any(np.diff(lengths) < 1):
        raise ValueError(
            f"lengths are {lengths.tolist()}: 1 to {MOST_LENGTHS} numbers, the first of them 1 or "
            "more and each more than the one before"
        )
    if lengths[-1] > np.iinfo(prefixes.dtype).max:
        raise ValueError(
            f"the greatest of lengths is {lengths[-1]}, prefixes are of {prefixes.dtype}: make "
            "them with a max_length no less than that"
        )
    if (ends[-1] if len(ends) else 0) != len(suffixes) or np.any(np.diff(ends, prepend=0) < 0):
        raise ValueError(
            f"ends of {len(ends)} documents, the last one {ends[-1:].tolist()}, of {len(suffixes)} "
            "tokens: each has to be at or after the one before, the last at the tokens' end"
        )
    levels = np.empty(len(suffixes), np.uint8)
    _find_levels(ends, lengths, levels)
    tallies = np.zeros((3, len(lengths)), np.int64)
    shape = len(lengths), min(k, len(suffixes)), 3
    most, least = np.empty(shape, np.int64), np.empty(shape, np.int64)
    _count(suffixes, prefixes, levels, lengths, tallies, most, least)
    totals, distinct, once = tallies
    return NgramRuns(
        totals, distinct, once, *_in_order(most, distinct), *_in_order(least, distinct)
    )
