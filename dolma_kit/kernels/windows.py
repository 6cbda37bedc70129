"""Windows of N units of a text, by 122-bit fingerprints, and which of them occur before.

A unit is a character, or a token: a word of UAX #29 (`kernels.uax29`) that is not white space
alone. Windows are equal when their texts are, white space between tokens included; white space
before the first token and after the last one is no part of a window.

A fingerprint is Karp and Rabin's (1987, "Efficient randomized pattern-matching algorithms"), twice.
With p = 2**61 - 1 and a base B, elements e_0, e_1, ... have the prefixes

    P_0 = 0,   P_(k+1) = (P_k * B + e_k) mod p
    value of elements i to j - 1:   (P_j - P_i * B^(j-i)) mod p

Of characters, an element is the code point + 1. Of tokens, each has two elements, what stands
between it and the one before, and itself: their XXH64, reduced mod p, with seed 1 for base 1 and
seed 2 for base 2. With the values a and b by both bases, and SplitMix64's finalizer mix64,

    high = mix64(a | (b & 7) << 61),   low = (b >> 3) + 1

Two windows that differ have one value by one base with a chance of at most 2 N / p, and by both
with the square of that, 2e-33 for 50 tokens: among 10**12 windows there is one such pair with a
chance of 1e-9. Nothing else is compared.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint32, uint64

from dolma_kit.kernels import uax29
from dolma_kit.kernels.hashing import hash_slice
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS, char_length, decode, space_length

PRIME = (1 << 61) - 1
BASES = 0x0F1E2D3C4B5A6978, 0x1C6EF372FE94F82B  # any two numbers below the prime

_PRINTS = types.Array(types.uint64, 2, "C", readonly=True)
_PLACES = types.Array(types.uint32, 1, "C", readonly=True)
_TABLE = types.Array(types.uint64, 2, "C")
_P, _LOW_32 = np.uint64(PRIME), np.uint64(0xFFFFFFFF)
_BASE_1, _BASE_2 = (np.uint64(base) for base in BASES)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_0, _1, _2, _3, _7 = (np.uint64(n) for n in (0, 1, 2, 3, 7))
_26, _27, _30, _31, _32, _61 = (np.uint64(n) for n in (26, 27, 30, 31, 32, 61))


@njit(inline="always")
def _reduced(x: np.uint64) -> np.uint64:
    """x mod p, of any x."""
    x = (x & _P) + (x >> _61)
    return x - _P if x >= _P else x


@njit(uint64(uint64, uint64), **LEAF)
def product(a: np.uint64, b: np.uint64) -> np.uint64:
    """a * b mod p, of a and b below p: the 128-bit product by 32-bit halves, folded at bit 61."""
    a_high, a_low = a >> _32, a & _LOW_32
    b_high, b_low = b >> _32, b & _LOW_32
    middle = a_high * b_low + (a_low * b_low >> _32)
    other = a_low * b_high + (middle & _LOW_32)
    high = a_high * b_high + (middle >> _32) + (other >> _32)
    return _reduced((a * b & _P) + (high << _3 | a * b >> _61))


@njit(inline="always")
def _value(after: np.uint64, before: np.uint64, power: np.uint64) -> np.uint64:
    return _reduced(after + _P - product(before, power))


@njit(inline="always")
def _high(a: np.uint64, b: np.uint64) -> np.uint64:
    z = a | (b & _7) << _61
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    return z ^ (z >> _31)


_FOUND = types.Tuple((types.uint64[:, ::1], types.uint32[::1]))  # type: ignore[no-untyped-call]


@njit(_FOUND(BYTES, OFFSETS, OFFSETS, OFFSETS, int64, uint64, uint64), cache=True, nogil=True)
def _of_characters(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    n: int,
    power_1: np.uint64,
    power_2: np.uint64,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    n_windows = 0
    for doc in range(len(counts)):
        n_windows += max(0, counts[doc] - n + 1)
    prints = np.empty((n_windows, 2), np.uint64)
    places = np.empty(n_windows, np.uint32)
    before = np.zeros((min(n, 1 + counts.max()) if len(counts) else 1, 2), np.uint64)  # a ring
    done = first = 0
    for doc in range(len(counts)):
        if counts[doc] >= n:
            sum_1, sum_2 = _0, _0
            place = n_units = 0
            i = starts[doc]
            while i < ends[doc]:
                before[place, 0], before[place, 1] = sum_1, sum_2
                element = uint64(decode(text, i) + 1)
                sum_1 = _reduced(product(sum_1, _BASE_1) + element)
                sum_2 = _reduced(product(sum_2, _BASE_2) + element)
                place = place + 1 if place + 1 < n else 0
                n_units += 1
                if n_units >= n:
                    a = _value(sum_1, before[place, 0], power_1)
                    b = _value(sum_2, before[place, 1], power_2)
                    prints[done, 0], prints[done, 1] = _high(a, b), (b >> _3) + _1
                    places[done] = uint32(first + n_units - n)
                    done += 1
                i += char_length(text, i)
        first += counts[doc]
    return prints, places


@njit(
    types.Tuple((int64[::1], int64[:, ::1], types.uint32[:, ::1]))(  # type: ignore[no-untyped-call]
        BYTES, OFFSETS, OFFSETS, OFFSETS
    ),
    cache=True,
    nogil=True,
)
def visible(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    word_ends: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """The words that are not white space alone: how many each document has, where each is, in
    bytes of the text and in code points of its document."""
    counts = np.zeros(len(starts), np.int64)
    in_bytes = np.empty((len(word_ends), 2), np.int64)
    in_characters = np.empty((len(word_ends), 2), np.uint32)
    n = 0
    for doc in range(len(starts)):
        i, at, before = starts[doc], 0, n
        for word in range(first[doc], first[doc + 1]):
            begin, end = i, word_ends[word]
            step = space_length(text, i)
            while i < end and step > 0:
                i += step
                step = space_length(text, i) if i < end else 0
            is_space = i >= end
            begin_at = at
            for byte in text[begin:end]:
                at += (byte & 0xC0) != 0x80
            if not is_space:
                in_bytes[n, 0], in_bytes[n, 1] = begin, end
                in_characters[n, 0], in_characters[n, 1] = uint32(begin_at), uint32(at)
                n += 1
            i = end
        counts[doc] = n - before
    return counts, in_bytes[:n].copy(), in_characters[:n].copy()


@njit(
    _FOUND(BYTES, OFFSETS, types.Array(types.int64, 2, "C"), int64, uint64, uint64),
    cache=True,
    nogil=True,
)
def _of_tokens(
    text: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int64],
    n: int,
    power_1: np.uint64,
    power_2: np.uint64,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    n_windows = 0
    for doc in range(len(counts)):
        n_windows += max(0, counts[doc] - n + 1)
    prints = np.empty((n_windows, 2), np.uint64)
    places = np.empty(n_windows, np.uint32)
    before = np.zeros((min(n, 1 + counts.max()) if len(counts) else 1, 2), np.uint64)  # a ring
    done = first = 0
    for doc in range(len(counts)):
        if counts[doc] >= n:
            sum_1, sum_2 = _0, _0
            place = 0
            last_end = uint64(tokens[first, 0])
            for k in range(counts[doc]):
                start, end = uint64(tokens[first + k, 0]), uint64(tokens[first + k, 1])
                gap_1, gap_2 = _0, _0
                if last_end < start:
                    gap_1 = _reduced(hash_slice(text, last_end, start, _1))
                    gap_2 = _reduced(hash_slice(text, last_end, start, _2))
                sum_1 = _reduced(product(sum_1, _BASE_1) + gap_1)
                sum_2 = _reduced(product(sum_2, _BASE_2) + gap_2)
                before[place, 0], before[place, 1] = sum_1, sum_2
                word_1 = _reduced(hash_slice(text, start, end, _1))
                word_2 = _reduced(hash_slice(text, start, end, _2))
                sum_1 = _reduced(product(sum_1, _BASE_1) + word_1)
                sum_2 = _reduced(product(sum_2, _BASE_2) + word_2)
                place = place + 1 if place + 1 < n else 0
                if k + 1 >= n:
                    a = _value(sum_1, before[place, 0], power_1)
                    b = _value(sum_2, before[place, 1], power_2)
                    prints[done, 0], prints[done, 1] = _high(a, b), (b >> _3) + _1
                    places[done] = uint32(first + k + 1 - n)
                    done += 1
                last_end = end
        first += counts[doc]
    return prints, places


def of_characters(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    n_characters: npt.NDArray[np.int64],
    n: int,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """The windows of n characters of all documents, one after the other.

    `prints` (n_windows, 2) uint64, high and low; `places` (n_windows,) uint32: the number of each
    one's first character, counted from the first of all documents. Document i is `text_bytes[
    starts[i]:ends[i]]`, of `n_characters[i]` code points.
    """
    powers = (np.uint64(pow(base, n, PRIME)) for base in BASES)
    prints, places = _of_characters(text_bytes, starts, ends, n_characters, n, *powers)
    return prints, places


def of_tokens(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    n: int,
) -> tuple[
    npt.NDArray[np.uint64],
    npt.NDArray[np.uint32],
    npt.NDArray[np.int64],
    npt.NDArray[np.uint32],
]:
    """The windows of n tokens of all documents: `prints` and `places` as of characters.

    And `counts` (n_docs,) int64, how many tokens each document has, and `tokens` (n_tokens, 2)
    uint32: where each starts and ends, in code points of its document.
    """
    first, word_ends = uax29.words(text_bytes, starts, ends)
    counts, in_bytes, in_characters = visible(text_bytes, starts, first, word_ends)
    powers = (np.uint64(pow(base, 2 * n - 1, PRIME)) for base in BASES)
    prints, places = _of_tokens(text_bytes, counts, in_bytes, n, *powers)
    return prints, places, counts, in_characters


@njit(
    types.Tuple((types.uint64[:, ::1], types.uint32[::1], types.uint32[::1]))(  # type: ignore[no-untyped-call]
        _PRINTS, _PLACES, int64
    ),
    cache=True,
    nogil=True,
)
def by_range(
    prints: npt.NDArray[np.uint64], places: npt.NDArray[np.uint32], n_bits: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Windows sorted by the first `n_bits` bits of their fingerprints; equal ones as they stand.

    Copies of `prints` and `places`, and `index` (2**n_bits + 1,) uint32: where those of each number
    begin.
    """
    shift = uint64(64 - n_bits)
    next_ones = np.zeros((1 << n_bits) + 1, np.int64)
    for i in range(len(prints)):
        next_ones[int64(prints[i, 0] >> shift) + 1] += 1
    for k in range(1, len(next_ones)):
        next_ones[k] += next_ones[k - 1]
    index = next_ones.astype(np.uint32)
    sorted_prints, sorted_places = np.empty_like(prints), np.empty_like(places)
    for i in range(len(prints)):
        k = int64(prints[i, 0] >> shift)
        j = next_ones[k]
        next_ones[k] = j + 1
        sorted_prints[j, 0], sorted_prints[j, 1] = prints[i, 0], prints[i, 1]
        sorted_places[j] = places[i]
    return sorted_prints, sorted_places, index


@njit(int64(_TABLE, int64, _PRINTS, uint64, uint64, types.uint8[::1]), **LEAF)
def look_up(
    table: npt.NDArray[np.uint64],
    n_held: int,
    prints: npt.NDArray[np.uint64],
    least: np.uint64,
    most: np.uint64,
    out: npt.NDArray[np.uint8],
) -> int:
    """Look fingerprints up in a table, in sequence, and add those that are not there.

    Those whose high half is not among `least` to `most` are left out. `out` (n,) uint8 becomes 1
    for those that were there, else 0. `table` (n_slots, 2) uint64 is at first all zeros, and
    `n_held` 0; gives the new `n_held`, or -1 once it would be more than two thirds full.
    """
    n_slots = uint64(len(table))
    limit = len(table) * 2 // 3
    for i in range(len(prints)):
        out[i] = 0
        high, low = prints[i, 0], prints[i, 1]
        if high < least or high > most:
            continue
        slot = (low >> _26) * n_slots >> _32  # low has 58 bits
        while True:
            if table[slot, 1] == _0:
                if n_held >= limit:
                    return -1
                table[slot, 0], table[slot, 1] = high, low
                n_held += 1
                break
            if table[slot, 1] == low and table[slot, 0] == high:
                out[i] = 1
                break
            slot += _1
            if slot == n_slots:
                slot = _0
    return n_held
