"""The suffix array of tokens: where all suffixes of a text begin, in their order.

By induced sorting, SA-IS: Nong, Zhang and Chan (2009, "Linear Suffix Array Construction by Almost
Pure Induced-Sorting"), with nothing beside the result but the buckets, as in Yuta Mori's sais. With
an end that is less than all tokens, a suffix is of type S if it is less than the next one, else of
type L; an LMS place is one of type S with one of type L before it. In the order, suffixes that
begin with the same token are a bucket, those of type L first. So:

1. The substrings from each LMS place to the next, both included, are sorted: all LMS places are put
   at the ends of their buckets, in any order; from left to right, each suffix puts the one before
   it, if that is of type L, at the first free place of its bucket; and from right to left, each
   puts the one before it, if of type S, at the last free place.
2. A substring's name is how many distinct ones are less. The names in the text's order are a text
   of at most half as many tokens. If two are equal, its suffix array is made the same way.
3. That is the order of the suffixes at LMS places; from it, those two passes give all.

Each step is linear in the tokens, whatever they are, and no step costs more than half the one
before, so all is. Between steps an entry is the place p of a suffix; or ~p, where the pass that
goes on has nothing to do with it but the next one has; or 0, a place that is free. (Nothing is
before suffix 0, and it is not at an LMS place.)

Memory: the result, 4 bytes a token; a copy of the text, another 4, where ids are uint16 or not all
less than the number of tokens; and 8 for each id of the text's range or, in the next step, for each
name, whichever is more. So at most 16 bytes a token; at most 8 where ids are uint32 and few, and of
real text, where names are few, 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import int32, int64, njit, types, void

from dolma_kit.kernels.unicode import LEAF

MOST_TOKENS = (1 << 31) - 1
_TEXT = types.Array(types.int32, 1, "C", readonly=True)
_IDS = types.Array(types.uint32, 1, "C", readonly=True)
_I32 = int32[::1]
_COUNTERS = 1 << 16


@njit(int64(_TEXT, int64), **LEAF)
def _lms_before(text: npt.NDArray[np.int32], i: int) -> int:
    """The last LMS place before place `i`, an LMS place or the end; 0 if there is none."""
    i -= 1
    while i > 0 and text[i - 1] >= text[i]:  # of type L
        i -= 1
    i -= 1
    while i > 0 and text[i - 1] <= text[i]:  # of type S
        i -= 1
    return max(i, 0)


@njit(void(_TEXT, _I32), **LEAF)
def _find_buckets(text: npt.NDArray[np.int32], starts: npt.NDArray[np.int32]) -> None:
    """Where each bucket starts, and where the last one ends: (n_ids + 1,) int32."""
    starts[:] = 0
    for token in text:
        starts[token + 1] += 1
    for k in range(1, len(starts)):
        starts[k] += starts[k - 1]


@njit(int64(_TEXT, _I32, _I32), **LEAF)
def _place_lms(
    text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], tails: npt.NDArray[np.int32]
) -> int:
    """Put LMS places, which are counted, at the ends of their buckets, and 0 elsewhere."""
    suffixes[: len(text)] = 0
    n_lms = 0
    i = _lms_before(text, len(text))
    while i > 0:
        tail = tails[text[i]] - 1
        tails[text[i]] = tail
        suffixes[tail] = i
        n_lms += 1
        i = _lms_before(text, i)
    return n_lms


@njit(void(_TEXT, _I32, _I32), **LEAF)
def _substrings_forwards(
    text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], heads: npt.NDArray[np.int32]
) -> None:
    """From sorted LMS places, those of type L after one of type S, in their order; 0 elsewhere."""
    for i in range(-1, len(text)):
        entry = suffixes[i] if i >= 0 else int32(len(text))  # the end comes first
        if entry > 0:
            if i >= 0:
                suffixes[i] = 0
            place = entry - 1
            token = text[place]
            head = heads[token]
            heads[token] = head + 1
            goes_on = place > 0 and text[place - 1] >= token
            suffixes[head] = place if goes_on else ~place
        elif entry < 0:
            suffixes[i] = ~entry


@njit(void(_TEXT, _I32, _I32), **LEAF)
def _substrings_backwards(
    text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], tails: npt.NDArray[np.int32]
) -> None:
    """From those, ~p of LMS places p in the order of their substrings; 0 elsewhere."""
    for i in range(len(text) - 1, -1, -1):
        entry = suffixes[i]
        if entry > 0:
            suffixes[i] = 0
            place = entry - 1
            token = text[place]
            tail = tails[token] - 1
            tails[token] = tail
            is_lms = place > 0 and text[place - 1] > token
            suffixes[tail] = ~place if is_lms else place


@njit(int64(_TEXT, _I32, int64), **LEAF)
def _name(text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], n_lms: int) -> int:
    """Gather LMS places in front, and their substrings' names, in the text's order, at the end.

    LMS places are two apart at least, so that those numbered by half the place find room. Returns
    how many names there are.
    """
    n = 0
    for i in range(len(text)):
        if suffixes[i] < 0:
            suffixes[n] = ~suffixes[i]
            n += 1
    suffixes[n_lms : n_lms + (len(text) + 1) // 2] = 0
    last = len(text) - 1
    place = _lms_before(text, len(text))
    while place > 0:
        suffixes[n_lms + place // 2] = last - place + 1
        last = place
        place = _lms_before(text, place)
    n_names = before = length_before = 0
    for i in range(n_lms):
        place = int64(suffixes[i])
        length = int64(suffixes[n_lms + place // 2])
        # One that the end of the text ends is equal to no other.
        equal = length == length_before and max(before, place) + length < len(text)
        k = 0
        while equal and k < length:
            equal = text[before + k] == text[place + k]
            k += 1
        if not equal:
            n_names += 1
            before, length_before = place, length
        suffixes[n_lms + place // 2] = n_names
    n = len(suffixes)
    for i in range(n_lms + (len(text) + 1) // 2 - 1, n_lms - 1, -1):
        if suffixes[i] > 0:
            n -= 1
            suffixes[n] = suffixes[i] - 1
    return n_names


@njit(types.UniTuple(int64, 2)(_TEXT, int64, _I32), cache=True, nogil=True)  # type: ignore[no-untyped-call]
def _sort_substrings(
    text: npt.NDArray[np.int32], n_ids: int, suffixes: npt.NDArray[np.int32]
) -> tuple[int, int]:
    """Steps 1 and 2 above: how many LMS places, gathered as by `_name`, and names there are."""
    starts, free = np.empty(n_ids + 1, np.int32), np.empty(n_ids, np.int32)
    _find_buckets(text, starts)
    free[:] = starts[1:]
    n_lms = _place_lms(text, suffixes, free)
    free[:] = starts[:-1]
    _substrings_forwards(text, suffixes, free)
    free[:] = starts[1:]
    _substrings_backwards(text, suffixes, free)
    return n_lms, _name(text, suffixes, n_lms)


@njit(void(_TEXT, _I32, int64), **LEAF)
def _to_places(text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], n_lms: int) -> None:
    """Make of the first `n_lms` entries, numbers of LMS places, the places."""
    room = len(suffixes) - n_lms
    place = _lms_before(text, len(text))
    n = n_lms
    while place > 0:
        n -= 1
        suffixes[room + n] = place
        place = _lms_before(text, place)
    for i in range(n_lms):
        suffixes[i] = suffixes[room + suffixes[i]]


@njit(void(_TEXT, _I32, _I32, int64), **LEAF)
def _spread(
    text: npt.NDArray[np.int32],
    suffixes: npt.NDArray[np.int32],
    tails: npt.NDArray[np.int32],
    n_lms: int,
) -> None:
    """Move the first `n_lms` entries to the ends of their buckets, in this order; 0 elsewhere."""
    free = len(text)
    for i in range(n_lms - 1, -1, -1):
        place = suffixes[i]
        tail = tails[text[place]] - 1
        tails[text[place]] = tail
        suffixes[tail + 1 : free] = 0
        suffixes[tail] = place
        free = tail
    suffixes[:free] = 0


@njit(void(_TEXT, _I32, _I32), **LEAF)
def _all_forwards(
    text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], heads: npt.NDArray[np.int32]
) -> None:
    """From sorted LMS places, all of type L: as ~p those that have one of type L before them."""
    for i in range(-1, len(text)):
        entry = suffixes[i] if i >= 0 else int32(len(text))
        if i >= 0:
            suffixes[i] = ~entry
        if entry > 0:
            place = entry - 1
            token = text[place]
            head = heads[token]
            heads[token] = head + 1
            is_last = place > 0 and text[place - 1] < token
            suffixes[head] = ~place if is_last else place


@njit(void(_TEXT, _I32, _I32), **LEAF)
def _all_backwards(
    text: npt.NDArray[np.int32], suffixes: npt.NDArray[np.int32], tails: npt.NDArray[np.int32]
) -> None:
    """From those, all of type S, and the result."""
    for i in range(len(text) - 1, -1, -1):
        entry = suffixes[i]
        if entry > 0:
            place = entry - 1
            token = text[place]
            tail = tails[token] - 1
            tails[token] = tail
            is_last = place == 0 or text[place - 1] > token
            suffixes[tail] = ~place if is_last else place
        else:
            suffixes[i] = ~entry


@njit(void(_TEXT, int64, _I32, int64), cache=True, nogil=True)
def _induce(
    text: npt.NDArray[np.int32], n_ids: int, suffixes: npt.NDArray[np.int32], n_lms: int
) -> None:
    """Step 3 above: of the LMS places, sorted, in front, the suffix array."""
    starts, free = np.empty(n_ids + 1, np.int32), np.empty(n_ids, np.int32)
    _find_buckets(text, starts)
    free[:] = starts[1:]
    _spread(text, suffixes, free, n_lms)
    free[:] = starts[:-1]
    _all_forwards(text, suffixes, free)
    free[:] = starts[1:]
    _all_backwards(text, suffixes, free)


@njit(int32[::1](_IDS), cache=True, nogil=True)
def _ranks(tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """Of each token, how many distinct ids are less: places sorted by 16 bits, then by the rest."""
    n = len(tokens)
    places, others = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        places[i] = i
    for shift in (0, 16):
        next_ones = np.zeros(_COUNTERS + 1, np.int32)
        for token in tokens:
            next_ones[(token >> shift & 0xFFFF) + 1] += 1
        for k in range(1, _COUNTERS):
            next_ones[k] += next_ones[k - 1]
        for place in places:
            digit = tokens[place] >> shift & 0xFFFF
            others[next_ones[digit]] = place
            next_ones[digit] += 1
        places, others = others, places
    ranks = others
    rank = 0
    for i in range(len(places)):
        if i > 0 and tokens[places[i]] != tokens[places[i - 1]]:
            rank += 1
        ranks[places[i]] = rank
    return ranks


def build(tokens: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """The suffix array: (n_tokens,) uint16 or uint32 -> (n_tokens,) int32, n_tokens below 2**31.

    Suffixes are in the order of their tokens' ids; one that another begins with comes before it.

    >>> build(np.array([5, 9, 5, 9, 5], np.uint16)).tolist()
    [4, 2, 0, 3, 1]
    """
    if tokens.ndim != 1 or tokens.dtype not in (np.uint16, np.uint32):
        raise TypeError(
            f"tokens are of {tokens.dtype} and shape {tokens.shape}, a suffix array is made of one "
            "row of uint16 or uint32: convert them"
        )
    if len(tokens) > MOST_TOKENS:
        raise ValueError(
            f"{len(tokens)} tokens, one suffix array holds {MOST_TOKENS}: make one of each part"
        )
    suffixes = np.empty(len(tokens), np.int32)
    if len(tokens) == 0:
        return suffixes
    row: npt.NDArray[Any] = np.ascontiguousarray(tokens)
    if int(row.max()) >= len(row):
        text = _ranks(row.astype(np.uint32, copy=False))
    elif row.dtype == np.uint16:
        text = row.astype(np.int32)
    else:
        text = row.view(np.int32)
    steps: list[tuple[npt.NDArray[np.int32], int, int, int]] = []
    n_ids, room, n_lms, n_names = int(text.max()) + 1, len(text), 0, -1
    while n_names < n_lms:
        n_lms, n_names = _sort_substrings(text, n_ids, suffixes[:room])
        steps.append((text, n_ids, room, n_lms))
        text, n_ids, room = suffixes[room - n_lms : room], n_names, room - n_lms
    while steps:
        text, n_ids, room, n_lms = steps.pop()
        _induce(text, n_ids, suffixes[:room], n_lms)
        if steps:
            text, _, room, n_lms = steps[-1]
            _to_places(text, suffixes[:room], n_lms)
    return suffixes
