"""MinHash signatures of documents by their word n-grams, and the keys of their bands.

Broder 1997, "On the resemblance and containment of documents". A document is the set of its word
n-grams: n words in a row, words being what stands between white space; one of fewer than n words is
one n-gram of them all, one without words has none. In unsigned 64-bit arithmetic that wraps, with
SplitMix64's finalizer mix64 and its increment g,

    word:    h = 0; for each 8 bytes c, first byte highest: h = mix64((h ^ c) + g)
             then with the bytes that are left:             h = mix64((h ^ c) + g * n_bytes)
    n-gram:  x = mix64(h_1 * m^(n-1) + ... + h_(n-1) * m + h_n) >> 32

An n-gram is a 32-bit number x, and permutation k of such numbers is, in 32-bit arithmetic,

    p_k(x) = mix(x * a_k ^ b_k)         a_k odd
    mix(z):  z = (z ^ z >> 16) * 0x7FEB352D
             z = (z ^ z >> 15) * 0x846CA68B
             z ^ z >> 16

each step of which can be undone, so that p_k is a permutation indeed. The signature is the least
p_k(x) over the document's n-grams, for each k; two documents have the same least number under one
permutation with a probability of their Jaccard similarity. a_k and b_k are the low halves of
SplitMix64's outputs number 2 k and 2 k + 1 from a seed.

Bands (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4): `rows` numbers of a
signature one after the other make a band; documents that agree in all of one band's numbers are
candidates. A band's key is a 64-bit hash of its numbers, seeded with its place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint32, uint64

from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS, space_length

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BASE = np.uint64(0x5851F42D4C957F2D)  # m above: a multiplier of Knuth's MMIX
_8, _27, _30, _31, _32 = (np.uint64(n) for n in (8, 27, 30, 31, 32))
# Beside a plain integer, a uint32 would widen: all constants are of its kind.
_LOW_1, _LOW_2 = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_S15, _S16 = np.uint32(15), np.uint32(16)
_AT_ONCE = 512  # n-grams that wait for the permutations

_NUMBERS = types.Array(types.uint32, 1, "C", readonly=True)
_KEYS = types.Array(types.uint64, 2, "C")


@njit(inline="always")
def mix64(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


def permutations(n: int, seed: int = 0) -> npt.NDArray[np.uint32]:
    """(2, n) uint32: the multipliers a and the masks b of n permutations."""
    states = np.uint64(seed) + _GAMMA * np.arange(1, 2 * n + 1, dtype=np.uint64)
    z = (states ^ states >> _30) * _MIX_1
    z = (z ^ z >> _27) * _MIX_2
    z ^= z >> _31
    low = z.astype(np.uint32).reshape(n, 2).T.copy()
    low[0] |= np.uint32(1)
    return low


@njit(types.void(types.uint32[::1], int64, _NUMBERS, _NUMBERS, types.uint32[::1]), **LEAF)
def lower_minima(
    grams: npt.NDArray[np.uint32],
    n_grams: int,
    multipliers: npt.NDArray[np.uint32],
    masks: npt.NDArray[np.uint32],
    minima: npt.NDArray[np.uint32],
) -> None:
    """Lower each of `minima` to the least that its permutation gives the first n-grams."""
    for i in range(n_grams):
        gram = grams[i]
        for k in range(len(minima)):  # the compiler does eight of these at a time
            z = uint32(uint32(gram * multipliers[k]) ^ masks[k])
            z = uint32(uint32(z ^ uint32(z >> _S16)) * _LOW_1)
            z = uint32(uint32(z ^ uint32(z >> _S15)) * _LOW_2)
            z = uint32(z ^ uint32(z >> _S16))
            minima[k] = min(minima[k], z)


@njit(
    types.Tuple((types.uint32[:, ::1], int64[::1]))(  # type: ignore[no-untyped-call]
        BYTES, OFFSETS, OFFSETS, int64, _NUMBERS, _NUMBERS
    ),
    cache=True,
    nogil=True,
)
def _signatures(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    n: int,
    multipliers: npt.NDArray[np.uint32],
    masks: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    n_docs = len(starts)
    made = np.full((n_docs, len(masks)), 0xFFFFFFFF, np.uint32)
    counts = np.zeros(n_docs, np.int64)
    last_words = np.zeros(n, np.uint64)  # a ring
    grams = np.empty(_AT_ONCE, np.uint32)
    leaving = uint64(1)  # what a word counts in the sum when its n-gram is left
    for _ in range(n):
        leaving *= _BASE
    for doc in range(n_docs):
        minima = made[doc]
        last_words[:] = 0
        total = uint64(0)
        n_words = n_waiting = place = 0
        i, end = starts[doc], ends[doc]
        while i < end:
            space = space_length(text, i)
            if space > 0:
                i += space
                continue
            word, chunk, n_bytes = uint64(0), uint64(0), 0
            while i < end:
                b = text[i]
                if (b <= 0x20 or 0xC2 <= b <= 0xE3) and space_length(text, i) > 0:
                    break
                chunk = chunk << _8 | uint64(b)
                n_bytes += 1
                i += 1
                if n_bytes & 7 == 0:
                    word, chunk = mix64((word ^ chunk) + _GAMMA), uint64(0)
            word = mix64((word ^ chunk) + _GAMMA * uint64(n_bytes))
            total = total * _BASE + word - last_words[place] * leaving
            last_words[place] = word
            place = place + 1 if place + 1 < n else 0
            n_words += 1
            if n_words >= n:
                grams[n_waiting] = uint32(mix64(total) >> _32)
                n_waiting += 1
                if n_waiting == _AT_ONCE:
                    lower_minima(grams, n_waiting, multipliers, masks, minima)
                    n_waiting = 0
        counts[doc] = n_words - n + 1
        if n_words < n:
            counts[doc] = n_waiting = min(n_words, 1)
            grams[0] = uint32(mix64(total) >> _32)
        lower_minima(grams, n_waiting, multipliers, masks, minima)
    return made, counts


def signatures(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    n: int,
    permuted_by: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """(n_docs, n_permutations) uint32 signatures, and (n_docs,) int64, how many n-grams each has.

    Document i is `text_bytes[starts[i]:ends[i]]`; `permuted_by` is what `permutations` gives. A
    document without n-grams has a signature of 0xFFFFFFFF throughout.
    """
    if n < 1:
        raise ValueError(f"n-grams of {n} words: at least 1")
    multipliers, masks = permuted_by
    return _signatures(text_bytes, starts, ends, n, multipliers, masks)


@njit(_KEYS(types.Array(types.uint32, 2, "C", readonly=True), int64, int64), cache=True, nogil=True)
def band_keys(
    signatures: npt.NDArray[np.uint32], n_bands: int, n_rows: int
) -> npt.NDArray[np.uint64]:
    """(n_bands, n_docs) uint64: the key of each band of each signature.

    Band b are the numbers b * n_rows to (b + 1) * n_rows; a signature may have more.
    """
    n_docs = len(signatures)
    keys = np.empty((n_bands, n_docs), np.uint64)
    for doc in range(n_docs):
        for band in range(n_bands):
            h = uint64(band)
            for row in range(n_rows):
                h = mix64((h ^ uint64(signatures[doc, band * n_rows + row])) + _GAMMA)
            keys[band, doc] = h
    return keys
