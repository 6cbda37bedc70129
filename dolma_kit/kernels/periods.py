"""Stretches of token ids that repeat with a short period.

Sequence x is periodic with period p in [start, end) if x[t] == x[t - p] for every t from start + p
to end, and the stretch cannot be made longer. It holds (end - start) // p whole repetitions; those
that hold `min_times` of them or more are found. This is the closed form of the search that Dolma's
`tokenizer_repetitions_*` (periods 1 to 13, 3 times) and OLMo's instance filter (periods 1 to 13,
32 times) do by comparing the rows of a matrix: both only see a stretch that fills a row, which one
of three repetitions always does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, void

from dolma_kit.kernels.unicode import LEAF, OFFSETS

IDS = types.Array(types.uint32, 1, "C", readonly=True)
_N_EXPECTED = 1 << 14  # with more stretches, all is done twice


class Stretches(NamedTuple):
    """By sequence, period and place, all arrays (n_stretches,) int64."""

    sequences: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]  # ids of the sequence
    ends: npt.NDArray[np.int64]
    periods: npt.NDArray[np.int64]

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """Whole repetitions in each stretch."""
        return (self.ends - self.starts) // self.periods


@njit(int64(IDS, OFFSETS, int64, int64, int64, int64[::1]), **LEAF)
def find_into(
    ids: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    min_period: int,
    max_period: int,
    min_times: int,
    found: npt.NDArray[np.int64],
) -> int:
    """Write sequence, start, end, period of each stretch to `found`, as far as there is room.

    Returns how many numbers there are, with room or not.
    """
    n = 0
    for sequence in range(len(offsets) - 1):
        first, end = offsets[sequence], offsets[sequence + 1]
        for period in range(min_period, min(max_period, (end - first) // min_times) + 1):
            # Equal pairs in a row that a stretch has at least: so every `n_pairs`-th is looked at.
            n_pairs = (min_times - 1) * period
            before = first + period  # the first pair after the last stretch
            at = before + n_pairs - 1
            while at < end:
                if ids[at] != ids[at - period]:
                    at += n_pairs
                    continue
                low, high = at, at + 1
                while low > before and ids[low - 1] == ids[low - 1 - period]:
                    low -= 1
                while high < end and ids[high] == ids[high - period]:
                    high += 1
                if high - low >= n_pairs:
                    if n + 4 <= len(found):
                        found[n] = sequence
                        found[n + 1] = low - period - first
                        found[n + 2] = high - first
                        found[n + 3] = period
                    n += 4
                before = high + 1
                at = high + n_pairs
    return n


def find(
    ids: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    *,
    min_period: int = 1,
    max_period: int = 13,
    min_times: int = 3,
) -> Stretches:
    """The periodic stretches of each sequence, which is `ids[offsets[i]:offsets[i + 1]]`.

    `ids` (n_ids,) uint32 and `offsets` (n_sequences + 1,) int64. Periods are 1 or more, times 2 or
    more. A stretch of period p is one of period 2p, 3p, ... too, where it is long enough: it is
    found once for each.
    """
    if min_period < 1 or min_times < 2:
        raise ValueError(f"periods from {min_period}, {min_times} times: at least 1 and 2")
    found = np.empty(4 * _N_EXPECTED, np.int64)
    n = find_into(ids, offsets, min_period, max_period, min_times, found)
    if n > len(found):
        found = np.empty(n, np.int64)
        find_into(ids, offsets, min_period, max_period, min_times, found)
    return Stretches(*np.ascontiguousarray(found[:n].reshape(-1, 4).T))


@njit(void(OFFSETS, OFFSETS, boolean[::1]), **LEAF)
def mark_outermost(
    owners: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    is_kept: npt.NDArray[np.bool_],
) -> None:
    """Fill the last array; see `outermost`."""
    last = -1
    for i in range(len(owners)):
        is_kept[i] = last < 0 or owners[last] != owners[i] or ends[i] > ends[last]
        if is_kept[i]:
            last = i


def outermost(owners: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which spans do not lie within the last one of the same owner that does not: (n,) bool.

    `owners`, `ends` (n,) int64 of spans sorted by owner, start, and end from the last one down.
    """
    is_kept = np.empty(len(owners), np.bool_)
    mark_outermost(owners, ends, is_kept)
    return is_kept
