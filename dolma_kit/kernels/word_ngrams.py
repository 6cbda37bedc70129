"""N-grams of the words of paragraphs, as 64-bit hashes, each once a paragraph.

A word is one of UAX #29 that is not white space alone. With the XXH64 (seed 0) of each word and
SplitMix64's finalizer mix64, an n-gram of the words w_1 ... w_n has the hash h_n of

    h_0 = n,   h_i = mix64(h_(i-1) ^ XXH64(w_i))

so that `ab c` and `a bc` differ. A paragraph of fewer than two n-grams is compared as a whole, by
the XXH64 (seed 0) of its text; its only n-gram, if it has one, is a key too that others may meet,
but says nothing of the paragraph itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint64

from dolma_kit.kernels import uax29
from dolma_kit.kernels.hashing import hash_slice
from dolma_kit.kernels.minhash import mix64
from dolma_kit.kernels.unicode import BYTES, OFFSETS
from dolma_kit.kernels.windows import visible

_0, _1 = np.uint64(0), np.uint64(1)


@njit(
    types.Tuple((uint64[::1], int64[::1], int64[::1]))(  # type: ignore[no-untyped-call]
        BYTES, OFFSETS, OFFSETS, OFFSETS, types.Array(types.int64, 2, "C"), int64, int64, boolean
    ),
    cache=True,
    nogil=True,
)
def _of_slices(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    n: int,
    stride: int,
    skip_short: bool,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    n_keys = most = 0
    for p in range(len(starts)):
        n_ngrams = max(0, counts[p] - n + stride) // stride
        n_keys += max(2, n_ngrams)
        most = max(most, n_ngrams)
    hashes = np.empty(n_keys, np.uint64)
    n_per_slice = np.zeros(len(starts), np.int64)
    n_counting = np.zeros(len(starts), np.int64)
    n_slots = 2
    while n_slots < 2 * most:
        n_slots *= 2
    mask = uint64(n_slots - 1)
    table = np.empty(n_slots, np.uint64)
    held_by = np.full(n_slots, -1, np.int64)  # the paragraph that wrote the slot
    of_words = np.empty(counts.max() if len(counts) else 0, np.uint64)
    done = first = 0
    for p in range(len(starts)):
        n_ngrams = max(0, counts[p] - n + stride) // stride
        begins = counts_from = done
        if n_ngrams >= 1:
            for k in range(counts[p]):
                begin, end = uint64(words[first + k, 0]), uint64(words[first + k, 1])
                of_words[k] = hash_slice(text, begin, end, _0)
            for k in range(0, n_ngrams * stride, stride):
                h = uint64(n)
                for i in range(k, k + n):
                    h = mix64(h ^ of_words[i])
                slot = h & mask
                while held_by[slot] == p and table[slot] != h:
                    slot = (slot + _1) & mask
                if held_by[slot] != p:
                    held_by[slot], table[slot] = p, h
                    hashes[done] = h
                    done += 1
        if n_ngrams < 2 and not skip_short:
            counts_from = done
            hashes[done] = hash_slice(text, uint64(starts[p]), uint64(ends[p]), _0)
            done += 1
        n_per_slice[p] = done - begins
        n_counting[p] = done - counts_from
        first += counts[p]
    return hashes[:done].copy(), n_per_slice, n_counting


def of_slices(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    n: int,
    stride: int,
    *,
    skip_short: bool,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The keys of paragraphs `text_bytes[starts[p]:ends[p]]`, one after the other.

    `hashes` (n_keys,) uint64: distinct n-grams of `n` words, one beginning at each `stride`-th
    word, in the order in which they first stand; `n_per_slice` (n_slices,) int64: how many of them
    are a paragraph's; `n_counting` (n_slices,) int64: how many of those, its last ones, say of the
    paragraph whether it occurred before. Of one of fewer than two n-grams that is its own hash,
    after its only n-gram; with `skip_short` it has no such hash, and its n-gram counts.
    Time and memory are linear in the words times n.
    """
    first, word_ends = uax29.words(text_bytes, starts, ends)
    counts, in_bytes, _ = visible(text_bytes, starts, first, word_ends)
    hashes, n_per_slice, n_counting = _of_slices(
        text_bytes, starts, ends, counts, in_bytes, n, stride, skip_short
    )
    return hashes, n_per_slice, n_counting
