"""Repeated n-grams of a document's words, exactly, for n from 2 to 10.

An (n+1)-gram is the pair of ids of the two n-grams that overlap in it, a 64-bit key without
collisions; and only places where both of these repeat can hold a repeated (n+1)-gram, so each
level looks at what the one before left over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int64, njit, types, uint64, void

from dolma_kit.kernels.interning import I32, SMALLEST_TABLE, U64, resize, slot_of
from dolma_kit.kernels.unicode import LEAF

_Joined = types.UniTuple(int64, 2)  # type: ignore[no-untyped-call]


@njit(_Joined(int64, I32, I32, I32, U64, I32, I32), **LEAF)
def join_neighbours(
    n_places: int,
    places: npt.NDArray[np.int32],
    grams: npt.NDArray[np.int32],
    slots: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int32],
    first_places: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Turn n-grams at `places` (ascending) into the (n+1)-grams that may repeat, in place.

    An (n+1)-gram stands where two neighbouring places are listed. Its id counts from 0 in order of
    first appearance, which is the order `collections.Counter` keeps. Returns how many places are
    left and how many ids there are.
    """
    n_slots = SMALLEST_TABLE
    while n_slots < n_places // 2:
        n_slots *= 2
    mask = resize(slots, n_slots, 0, keys)
    n_left = 0
    n_keys = 0
    for k in range(n_places - 1):
        if places[k + 1] != places[k] + 1:
            continue
        key = uint64(grams[k]) << uint64(32) | uint64(grams[k + 1])
        slot = slot_of(key, mask)
        gram = int64(slots[slot]) - 1
        while gram >= 0 and keys[gram] != key:
            slot = (slot + 1) & mask
            gram = int64(slots[slot]) - 1
        if gram < 0:
            gram = n_keys
            slots[slot] = gram + 1
            keys[gram] = key
            counts[gram] = 0
            first_places[gram] = places[k]
            n_keys += 1
            if 2 * n_keys > n_slots:
                n_slots *= 2
                mask = resize(slots, n_slots, n_keys, keys)
        counts[gram] += 1
        places[n_left] = places[k]
        grams[n_left] = gram
        n_left += 1
    return n_left, n_keys


@njit(int64(int64, I32, I32, I32), **LEAF)
def keep_repeated(
    n_places: int,
    places: npt.NDArray[np.int32],
    grams: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
) -> int:
    """Drop, in place, the places whose n-gram stands nowhere else; returns how many are left."""
    n_left = 0
    for k in range(n_places):
        places[n_left] = places[k]
        grams[n_left] = grams[k]
        n_left += counts[grams[k]] > 1
    return n_left


@njit(
    void(int64, int64, I32, I32, I32, I32, U64, I32, I32, I32, I32, float64[::1]),
    **LEAF,
)
def measure_ngrams(
    n_words: int,
    n_characters: int,
    word_ids: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int32],
    word_counts: npt.NDArray[np.int32],
    slots: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int32],
    first_places: npt.NDArray[np.int32],
    places: npt.NDArray[np.int32],
    grams: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
) -> None:
    """Fill `values` (9,) for n from 2 to 10; n-grams longer than the document stay NaN."""
    n_places = 0
    for k in range(n_words):
        places[n_places] = k
        grams[n_places] = word_ids[k]
        n_places += word_counts[word_ids[k]] > 1
    for n in range(2, min(10, n_words) + 1):
        n_places, n_keys = join_neighbours(
            n_places, places, grams, slots, keys, counts, first_places
        )
        if n <= 4:
            # Counter.most_common(1) is the first of the maxima; without repeats the very first.
            most = 1
            place = int64(0)
            for gram in range(n_keys):
                if counts[gram] > most:
                    most = int64(counts[gram])
                    place = int64(first_places[gram])
            n_in_gram = 0
            for k in range(place, place + n):
                n_in_gram += lengths[word_ids[k]]
            values[n - 2] = most * n_in_gram / max(n_characters, 1)
        n_places = keep_repeated(n_places, places, grams, counts)
        if n >= 5:
            n_repeated = 0
            n_in_gram = 0
            for k in range(n_places):
                place = int64(places[k])
                if k > 0 and places[k - 1] == place - 1:
                    n_in_gram -= lengths[word_ids[place - 1]]
                    n_in_gram += lengths[word_ids[place + n - 1]]
                else:
                    n_in_gram = 0
                    for j in range(place, place + n):
                        n_in_gram += lengths[word_ids[j]]
                n_repeated += n_in_gram
            # All n-grams together hold each word n times, but for those near the ends.
            n_total = n * n_characters
            for j in range(n - 1):
                at_ends = lengths[word_ids[j]] + lengths[word_ids[n_words - 1 - j]]
                n_total -= (n - 1 - j) * at_ends
            values[n - 2] = n_repeated / max(n_total, 1)


@njit(int64(int64, I32, I32, int64, int64, I32, I32), **LEAF)
def covered_characters(
    n_places: int,
    places: npt.NDArray[np.int32],
    grams: npt.NDArray[np.int32],
    wanted: int,
    n: int,
    word_ids: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int32],
) -> int:
    """Characters of the words that the n-grams at `places` (ascending) cover, each word once.

    Only those of the n-gram `wanted` count; all of them where it is negative.
    """
    n_covered = 0
    next_word = int64(0)
    for k in range(n_places):
        if wanted < 0 or grams[k] == wanted:
            place = int64(places[k])
            for j in range(max(place, next_word), place + n):
                n_covered += lengths[word_ids[j]]
            next_word = place + n
    return n_covered


@njit(
    void(int64, int64, I32, I32, I32, I32, U64, I32, I32, I32, I32, float64[::1]),
    **LEAF,
)
def measure_covering_ngrams(
    n_words: int,
    n_characters: int,
    word_ids: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int32],
    word_counts: npt.NDArray[np.int32],
    slots: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int32],
    first_places: npt.NDArray[np.int32],
    places: npt.NDArray[np.int32],
    grams: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
) -> None:
    """Fill `values` (9,) for n from 2 to 10 with shares of characters that n-grams cover.

    To 4, those of the most frequent n-gram, the first in the text of several; from 5, those of all
    n-grams that occur more than once. 0 where no n-gram does.
    """
    values[:] = 0.0
    n_places = 0
    for k in range(n_words):
        places[n_places] = k
        grams[n_places] = word_ids[k]
        n_places += word_counts[word_ids[k]] > 1
    for n in range(2, 11):
        if n_places == 0:
            break
        n_places, n_keys = join_neighbours(
            n_places, places, grams, slots, keys, counts, first_places
        )
        n_places = keep_repeated(n_places, places, grams, counts)
        wanted = -1
        if n <= 4:
            most = 1
            for gram in range(n_keys):
                if counts[gram] > most:
                    most = int64(counts[gram])
                    wanted = gram
        n_covered = covered_characters(n_places, places, grams, wanted, n, word_ids, lengths)
        values[n - 2] = n_covered / max(n_characters, 1)
