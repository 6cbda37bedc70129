"""Documents that hold every one of several phrases, as sequences of word hashes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types

from dolma_kit.kernels.unicode import LEAF, OFFSETS

_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_PAIRS = types.Array(types.int64, 2, "C", readonly=True)


@njit(int64(_WORDS, int64, int64, _WORDS, int64, int64), **LEAF)
def _place(
    words: npt.NDArray[np.uint64], start: int, end: int,
    phrases: npt.NDArray[np.uint64], first: int, last: int,
) -> int:  # fmt: skip
    """Where `phrases[first:last]` stands in `words[start:end]` for the first time, or -1."""
    n = last - first
    for i in range(start, end - n + 1):
        k = 0
        while k < n and words[i + k] == phrases[first + k]:
            k += 1
        if k == n:
            return i
    return -1


@njit(
    types.UniTuple(int64, 2)(  # type: ignore[no-untyped-call]
        _PAIRS, _WORDS, OFFSETS, OFFSETS, OFFSETS, _WORDS, OFFSETS, int64[::1], int64[::1]
    ),
    **LEAF,
)
def _find_all(
    pairs: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    phrase_offsets: npt.NDArray[np.int64],
    phrases: npt.NDArray[np.int64],
    phrase_words: npt.NDArray[np.uint64],
    word_offsets: npt.NDArray[np.int64],
    hits: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
) -> tuple[int, int]:
    n_hits = done = 0
    decided = False
    for i in range(len(pairs)):
        doc, item = pairs[i, 0], pairs[i, 1]
        if i and (pairs[i - 1, 0] != doc or pairs[i - 1, 1] != item):
            decided = False
        if decided:
            continue
        start, end = pairs[i, 2], offsets[doc + 1]
        n_held = done
        for k in range(phrase_offsets[item], phrase_offsets[item + 1]):
            first, last = word_offsets[phrases[k]], word_offsets[phrases[k] + 1]
            if k == phrase_offsets[item]:
                # Here its first words stand: a place later on has a pair of its own.
                place = _place(
                    words, start, min(end, start + last - first), phrase_words, first, last
                )
            else:
                decided = True
                place = _place(words, offsets[doc], end, phrase_words, first, last)
            if place < 0:
                break
            found[n_held] = place
            n_held += 1
        else:
            decided = True
            hits[n_hits] = i
            n_hits += 1
            done = n_held
    return n_hits, done


def find_all(
    pairs: npt.NDArray[np.int64],
    words: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    phrase_offsets: npt.NDArray[np.int64],
    phrases: npt.NDArray[np.int64],
    phrase_words: npt.NDArray[np.uint64],
    word_offsets: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which candidates hold all phrases of an item.

    `pairs` (n, 3) int64: documents, items, and words of the document at which the first phrase of
    the item may stand, sorted. Document d has `words[offsets[d]:offsets[d + 1]]`; item i has the
    phrases `phrases[phrase_offsets[i]:phrase_offsets[i + 1]]`, and phrase p is
    `phrase_words[word_offsets[p]:word_offsets[p + 1]]`, which may be empty and then stands
    anywhere.

    `hits` (n_hits,) int64 are rows of `pairs`, one at most for each document and item; `found`
    where each phrase of each hit stands for the first time.
    """
    hits = np.empty(len(pairs), np.int64)
    items = pairs[:, 1]
    room = int((phrase_offsets[items + 1] - phrase_offsets[items]).sum())
    found = np.empty(room, np.int64)
    n_hits, n_found = _find_all(
        pairs, words, offsets, phrase_offsets, phrases, phrase_words, word_offsets, hits, found
    )
    return hits[:n_hits], found[:n_found]
