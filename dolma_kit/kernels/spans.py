"""How far some ids, from each of them on, stand together within one document of indexed tokens.

`tokens`, `suffixes` are as in `suffix_search`, `ends` (n_documents,) int64 is where each document
ends. Where `whole`, each document ends with the token `eos` and has no other: what stands within
one is then what has an `eos` at its end at most. Else every place is held against its document.

The ends of the longest runs never fall: what is found from i to its end is found from i + 1, too.
So a start from where nothing more is found is not searched from: the next one from where there is
more is found by doubled steps and then by halves, each a search for no more than one token beyond
that end. A text that stands in the corpus as it is costs one search, not one a token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, void

from dolma_kit.kernels import suffix_search

_TOKENS = [types.Array(kind, 1, "C", readonly=True) for kind in (types.uint16, types.uint32)]
_SUFFIXES = types.Array(types.int32, 1, "C", readonly=True)
_IDS = types.Array(types.int64, 1, "C", readonly=True)
_KINDS: dict[str, Any] = {"cache": True, "nogil": True}


@njit(int64(_IDS, int64), **_KINDS)
def _document_end(ends: npt.NDArray[np.int64], place: int) -> int:
    """Where the document of a place ends; the place itself where it has none."""
    first, last = 0, len(ends)
    while first < last:
        middle = (first + last) >> 1
        if ends[middle] <= place:
            first = middle + 1
        else:
            last = middle
    return int64(ends[first]) if first < len(ends) else place


@njit([int64(t, _SUFFIXES, _IDS, boolean, _IDS) for t in _TOKENS], **_KINDS)
def _longest_within(
    tokens: npt.NDArray[Any],
    suffixes: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    whole: bool,
    ids: npt.NDArray[np.int64],
) -> int:
    """How many of `ids` (n_ids,) int64, from the first on, stand together within a document; where
    `whole`, none but the last is the EOS."""
    most = suffix_search.longest_prefix(tokens, suffixes, ids)[0]
    if whole:
        return most
    best, wrong, length = 0, most + 1, most
    while best + 1 < wrong:  # a longer run is in a document only where a shorter one is
        low, high = suffix_search.find(tokens, suffixes, ids[:length], 0, len(suffixes))
        for k in range(low, high):
            place = int64(suffixes[k])
            best = max(best, min(_document_end(ends, place) - place, length))
            if best == length:
                break
        if best < length:
            wrong = length
        length = (best + wrong) >> 1
    return best


@njit([void(t, _SUFFIXES, _IDS, boolean, int64, _IDS, int64[::1]) for t in _TOKENS], **_KINDS)
def reach_into(
    tokens: npt.NDArray[Any],
    suffixes: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    whole: bool,
    eos: int,
    ids: npt.NDArray[np.int64],
    reach: npt.NDArray[np.int64],
) -> None:
    """Raise `reach` (n_ids,) to where the longest run that begins at each of the ids ends."""
    n = len(ids)
    stops = np.empty(n, np.int64)  # after the next EOS, which no run goes beyond
    stop = n
    for i in range(n - 1, -1, -1):
        if whole and ids[i] == eos:
            stop = i + 1
        stops[i] = stop
    at = 0
    while at < n:
        end = at + _longest_within(tokens, suffixes, ends, whole, ids[at : stops[at]])
        # The first start from where it goes beyond `end`: those up to `short` do not.
        short, beyond, step = at, end + 1, 1
        if end == n:
            beyond = n
        while short + 1 < beyond and end < n:
            start = min(short + step, end) if step > 0 else (short + beyond) >> 1
            stop = min(stops[start], end + 1)
            found = _longest_within(tokens, suffixes, ends, whole, ids[start:stop])
            if start + found > end:
                beyond = start
                step = 0
            else:
                short = start
                step *= 2
        for start in range(at, min(beyond, n)):
            reach[start] = max(reach[start], end)
        at = beyond


@njit(
    [
        void(t, _SUFFIXES, _IDS, boolean, int64, _IDS, _IDS, _IDS, *[int64[::1]] * 3)
        for t in _TOKENS
    ],
    **_KINDS,
)
def count_into(
    tokens: npt.NDArray[Any],
    suffixes: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    whole: bool,
    eos: int,
    ids: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    lows: npt.NDArray[np.int64],
    highs: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    """For runs of ids [starts[i], stops[i]): the range of suffixes that begin with each, and how
    often it stands within a document."""
    for i in range(len(starts)):
        run = ids[starts[i] : stops[i]]
        low, high = suffix_search.find(tokens, suffixes, run, 0, len(suffixes))
        lows[i], highs[i], counts[i] = low, high, high - low
        crosses = not whole and len(run) > 1
        if whole:
            for k in range(len(run) - 1):
                crosses = crosses or run[k] == eos
        if crosses:
            counts[i] = 0
            for k in range(low, high):
                place = int64(suffixes[k])
                counts[i] += place + len(run) <= _document_end(ends, place)
