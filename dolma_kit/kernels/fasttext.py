"""fastText's input side: from words to the mean of their vectors (Joulin et al. 2016, 2017).

The hidden vector of a text is the mean of rows of the input matrix: for each word its own row, if
the dictionary has it, and the rows of its character n-grams; then the rows of its word n-grams.
N-grams have no entries, their hash modulo `bucket` is their row, or no row in a pruned model. As
fastText reads a line: the end of a text is the word `</s>`, and a text that holds this word ends
there; words that begin with `__label__` are skipped. A line feed, at which fastText's library ends
a line (its `predict` refuses one), is a space here.

float32 additions are made in fastText's order, row by row (`ROW_BY_ROW`), which gives its bits; or
a word's rows are added up first (`WORD_BY_WORD`). Which rows a word has, and their sum, is kept for
the next time it comes. The two orders differ by rounding, and this grows with the text, as
fastText's own sums are off by then: so texts of more than 128 KiB are always summed row by row.
Either way a text's vector depends on the text and the model, not on what was measured before or
beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float32, int64, njit, types, uint32, uint64

from dolma_kit.kernels.fasttext_dictionary import (
    DICTIONARY,
    END_HASH,
    FNV_START,
    LOW_32,
    find,
    fnv,
    is_end,
    is_label,
    is_space,
    kept_row,
    same,
    slot_of,
)
from dolma_kit.kernels.interning import I32, I64, U64
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

#: Weights lie in the model's file wherever they come to lie, so not always at a multiple of 4.
FLOATS = types.Array(types.float32, 1, "C", readonly=True, aligned=False)
_F32 = types.float32[::1]
_U8 = types.uint8[::1]

# A matrix: its weights, row after row; or, quantized, `weights` are centroids, `codes` (n_rows *
# n_parts,) says which of 256 each part of a row is, and `norms` (n_rows,), unless it is empty, by
# what the row is multiplied. `shape` is (n_rows, dim, dim of a part, dim of the last part).
MATRIX = types.Tuple((FLOATS, BYTES, FLOATS, OFFSETS))  # type: ignore[no-untyped-call]
# Words whose rows are known: `counts` (2,) of them and of all their rows; a table of two numbers a
# slot, the last 8 bytes of the word, and, 0 where the slot is free, _PLACE_BITS of place + 1,
# _SIZE_BITS of size, _ROWS_BITS of rows + 1 (0: a label, to be skipped) and bits of the hash; at
# each place its bytes, _LONGEST each, its sum, `dim` each, and where its rows begin in the last.
CACHE = types.Tuple((I64, U64, _U8, _F32, I32, I32))  # type: ignore[no-untyped-call]

# Where the settings of a model stand in an array of int64.
N_WORDS, DIM, BUCKET, MIN_N, MAX_N, WORD_NGRAMS, IS_PRUNED, ORDER, END_ENTRY = range(9)
WORD_BY_WORD, ROW_BY_ROW = 0, 1
LABEL = -1  # instead of a number of rows

_WORD_NGRAM = np.uint64(116049371)
_LONGEST_BY_WORD = 1 << 17  # bytes of a text
_LONGEST = 64  # bytes of a word that is kept
_PLACE_BITS, _SIZE_BITS, _ROWS_BITS = 20, 7, 18
_SHIFT_SIZE = np.uint64(_PLACE_BITS)
_SHIFT_ROWS = np.uint64(_PLACE_BITS + _SIZE_BITS)
_SHIFT_HASH = np.uint64(_PLACE_BITS + _SIZE_BITS + _ROWS_BITS)
_PLACE = np.uint64((1 << _PLACE_BITS) - 1)
_ROWS = np.uint64((1 << _ROWS_BITS) - 1)
_SIGNATURE = ~(_PLACE | _ROWS << _SHIFT_ROWS)
_MOST_ROWS = 1 + (_LONGEST + 2) * (_LONGEST + 3) // 2  # of a word that is kept
_ROWS_A_WORD = 12  # how many there is room for on average
MAX_CACHED = (1 << _PLACE_BITS) - 2  # words
MAX_CACHED_N = 1 << 10  # of the longest n-grams: _LONGEST words have fewer than 2^_ROWS_BITS rows


@njit(inline="always")
def _add(x: npt.NDArray[np.float32], numbers: npt.NDArray[np.float32], first: int, n: int) -> None:
    """x += numbers[first : first + n]; a signed index would be tested for negative ones."""
    at = uint64(first)
    for j in range(uint64(n)):
        x[j] += numbers[at + j]


@njit(inline="always")
def _add_row(x: npt.NDArray[np.float32], matrix: Any, row: int) -> None:
    """x += a row of the matrix."""
    weights, codes, norms, shape = matrix
    dim = shape[1]
    if len(codes) == 0:
        _add(x, weights, row * dim, dim)
        return
    part_dim, last_dim = shape[2], shape[3]
    n_parts = (dim + part_dim - 1) // part_dim
    norm = norms[row] if len(norms) > 0 else float32(1)
    for part in range(n_parts):
        width = last_dim if part == n_parts - 1 else part_dim
        centroid = part * 256 * part_dim + int64(codes[row * n_parts + part]) * width
        for j in range(width):
            x[part * part_dim + j] += norm * weights[centroid + j]


@njit(inline="always")
def _row_of(dictionary: Any, numbers: npt.NDArray[np.int64], ngram: np.uint64) -> int:
    """The row of an n-gram, given modulo `bucket`; -1 if it was pruned."""
    row = int(int64(ngram))
    if numbers[IS_PRUNED]:
        row = kept_row(ngram, dictionary[5], dictionary[6])
        if row < 0:
            return -1
    return int(numbers[N_WORDS] + row)


@njit(int64(_F32, I32, int64, MATRIX, DICTIONARY, OFFSETS, BYTES, int64, int64), **LEAF)
def subwords(
    x: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int32],
    at: int,
    matrix: Any,
    dictionary: Any,
    numbers: npt.NDArray[np.int64],
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
) -> int:
    """The character n-grams of `<word>`, in the order of their starts; returns how many rows.

    They are listed at rows[at:], or if `rows` is empty, added to x. Characters are what begins at
    a byte that continues none; the brackets alone are no n-grams.
    """
    bucket, min_n, max_n = numbers[BUCKET], numbers[MIN_N], numbers[MAX_N]
    inverse = 1.0 / bucket
    n_rows = 0
    i = start - 1  # the place of `<`; that of `>` is `end`
    while i <= end:
        if start <= i < end and (text[i] & 0xC0) == 0x80:
            i += 1
            continue
        h = FNV_START
        j = i
        n = 1
        while j <= end and n <= max_n:
            if j < start:
                h = fnv(h, 0x3C)
            elif j == end:
                h = fnv(h, 0x3E)
            else:
                h = fnv(h, text[j])
            j += 1
            while start < j < end and (text[j] & 0xC0) == 0x80:
                h = fnv(h, text[j])
                j += 1
            if n >= min_n and not (n == 1 and (i < start or j > end)):
                # The hash modulo `bucket`: division is slow, and a product one off at most.
                ngram = int64(h & LOW_32)
                ngram -= int64(ngram * inverse) * bucket
                if ngram < 0:
                    ngram += bucket
                elif ngram >= bucket:
                    ngram -= bucket
                row = _row_of(dictionary, numbers, uint64(ngram))
                if row >= 0:
                    if len(rows) > 0:
                        rows[at + n_rows] = row
                    else:
                        _add_row(x, matrix, row)
                    n_rows += 1
            n += 1
        i += 1
    return n_rows


@njit(int64(_F32, I32, int64, MATRIX, DICTIONARY, OFFSETS, BYTES, int64, int64, uint64), **LEAF)
def _word(
    x: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int32],
    at: int,
    matrix: Any,
    dictionary: Any,
    numbers: npt.NDArray[np.int64],
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    h: np.uint64,
) -> int:
    """All rows of a word; returns how many, or LABEL where the word is to be skipped.

    They are listed at rows[at:], or if `rows` is empty, added to x. The word `</s>` is not for
    here.
    """
    entry = find(text, start, end, h, dictionary)
    if entry >= numbers[N_WORDS] or (entry < 0 and is_label(text, start, end)):
        return LABEL
    n_rows = 0
    if entry >= 0:
        if len(rows) > 0:
            rows[at] = entry
        else:
            _add_row(x, matrix, entry)
        n_rows = 1
    if numbers[MAX_N] > 0:
        n_rows += subwords(x, rows, at + n_rows, matrix, dictionary, numbers, text, start, end)
    return n_rows


@njit(inline="always")
def _signature(size: int, h: np.uint64) -> np.uint64:
    """What a slot of the cache says of a word beside its place and its rows."""
    return (h << _SHIFT_HASH) | (uint64(size) << _SHIFT_SIZE)


@njit(uint64(MATRIX, DICTIONARY, OFFSETS, CACHE, BYTES, int64, int64, uint64, uint64), **LEAF)
def _keep_sum(
    matrix: Any,
    dictionary: Any,
    numbers: npt.NDArray[np.int64],
    cache: Any,
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    h: np.uint64,
    tail: np.uint64,
) -> np.uint64:
    """Sum up a word that is not in the cache and put it there; returns what its slot says."""
    said: np.uint64
    counts, table, letters, sums, firsts, rows = cache
    dim, size = numbers[DIM], end - start
    if counts[0] == len(firsts) or counts[1] + _MOST_ROWS > len(rows):
        table[:] = 0
        counts[:] = 0
    place, first = counts[0], counts[1]
    x = sums[place * dim : (place + 1) * dim]
    x[:] = 0
    n_rows = _word(x, rows, first, matrix, dictionary, numbers, text, start, end, h)
    for k in range(n_rows):
        _add_row(x, matrix, rows[first + k])
    firsts[place] = first
    counts[0] += 1
    counts[1] += max(n_rows, 0)
    for k in range(size):
        letters[place * _LONGEST + k] = text[start + k]
    mask = len(table) // 2 - 1
    slot = slot_of(h, mask)
    while table[2 * slot + 1] != 0:
        slot = (slot + 1) & mask
    said = _signature(size, h) | (uint64(n_rows + 1) << _SHIFT_ROWS) | uint64(place + 1)
    table[2 * slot] = tail
    table[2 * slot + 1] = said
    return said


@njit(inline="always")
def _sum_of(
    matrix: Any,
    dictionary: Any,
    numbers: npt.NDArray[np.int64],
    cache: Any,
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    h: np.uint64,
    tail: np.uint64,
) -> np.uint64:
    """What the cache's slot for a word says, put there if it was not."""
    said: np.uint64
    table, letters = cache[1], cache[2]
    mask = len(table) // 2 - 1
    size = end - start
    signature = _signature(size, h)
    slot = slot_of(h, mask)
    said = table[2 * slot + 1]
    while said != 0:
        if (said & _SIGNATURE) == signature and table[2 * slot] == tail:
            place = int(int64(said & _PLACE)) - 1
            if size <= 8 or same(letters, place * _LONGEST, text, start, size):
                return said
        slot = (slot + 1) & mask
        said = table[2 * slot + 1]
    return _keep_sum(matrix, dictionary, numbers, cache, text, start, end, h, tail)


@njit(
    types.void(BYTES, OFFSETS, OFFSETS, MATRIX, DICTIONARY, OFFSETS, CACHE, _F32, I64, I32),
    **LEAF,
)
def _add_up(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    matrix: Any,
    dictionary: Any,
    numbers: npt.NDArray[np.int64],
    cache: Any,
    vectors: npt.NDArray[np.float32],
    row_counts: npt.NDArray[np.int64],
    word_hashes: npt.NDArray[np.int32],
) -> None:
    """Fill `vectors` (n * dim,) and `row_counts` (n,); scratch: a hash for each word and `</s>`."""
    dim, end_entry = numbers[DIM], numbers[END_ENTRY]
    word_ngrams, bucket = numbers[WORD_NGRAMS], uint64(numbers[BUCKET])
    sums, firsts, kept_rows = cache[3], cache[4], cache[5]
    for n in range(len(starts)):
        x = vectors[n * dim : (n + 1) * dim]
        x[:] = 0
        n_rows = n_words = 0
        i, end = starts[n], ends[n]
        by_word = numbers[ORDER] == WORD_BY_WORD and end - i <= _LONGEST_BY_WORD
        while True:
            while i < end and is_space(text[i]):
                i += 1
            start = i
            h = FNV_START
            tail = uint64(0)
            while i < end and not is_space(text[i]):
                h = fnv(h, text[i])
                tail = tail << uint64(8) | uint64(text[i])
                i += 1
            h &= LOW_32
            ends_here = start == end or (h == END_HASH and is_end(text, start, i))
            if ends_here:
                h = END_HASH
                added = 0
                if end_entry >= 0:
                    _add_row(x, matrix, end_entry)
                    added = 1
            elif numbers[MAX_N] > 0 and i - start <= _LONGEST:
                said = _sum_of(matrix, dictionary, numbers, cache, text, start, i, h, tail)
                added = int(int64((said >> _SHIFT_ROWS) & _ROWS)) - 1
                place = int64(said & _PLACE) - 1
                if by_word and added > 0:
                    _add(x, sums, place * dim, dim)
                elif added > 0:
                    first_row = int64(firsts[place])
                    for k in range(added):
                        _add_row(x, matrix, int64(kept_rows[first_row + k]))
            else:
                added = _word(x, kept_rows[:0], 0, matrix, dictionary, numbers, text, start, i, h)
            if added >= 0:
                n_rows += added
                if word_ngrams > 1:
                    word_hashes[n_words] = uint32(h)
                    n_words += 1
            if ends_here:
                break
        for first in range(n_words if word_ngrams > 1 else 0):
            # Hashes are signed there, too, and the sum wraps at 64 bits.
            h = uint64(int64(word_hashes[first]))
            for last in range(first + 1, min(n_words, first + word_ngrams)):
                h = h * _WORD_NGRAM + uint64(int64(word_hashes[last]))
                row = _row_of(dictionary, numbers, h % bucket)
                if row >= 0:
                    _add_row(x, matrix, row)
                    n_rows += 1
        if n_rows > 0:
            share = float32(1.0 / n_rows)
            for j in range(dim):
                x[j] *= share
        row_counts[n] = n_rows


def word_cache(dim: int, max_words: int) -> tuple[npt.NDArray[Any], ...]:
    """An empty CACHE for up to `max_words` words (MAX_CACHED at most): 170 + 4 * dim bytes each.

    It serves one model, and one call at a time. When it is full, it starts again.
    """
    n_slots = 1 << (2 * max_words - 1).bit_length()
    return (
        np.zeros(2, np.int64),
        np.zeros(2 * n_slots, np.uint64),
        np.empty(max_words * _LONGEST, np.uint8),
        np.empty(max_words * dim, np.float32),
        np.empty(max_words, np.int32),
        np.empty(max(max_words * _ROWS_A_WORD, _MOST_ROWS), np.int32),
    )


def dense(matrix: tuple[npt.NDArray[Any], ...]) -> tuple[npt.NDArray[Any], ...]:
    """A quantized MATRIX as one of weights: the float32 numbers that its rows stand for."""
    weights, codes, norms, shape = matrix
    n_rows, dim, part_dim, last_dim = (int(n) for n in shape)
    n_parts = -(-dim // part_dim)
    rows = np.empty((n_rows, dim), np.float32)
    of_part = codes.reshape(n_rows, n_parts)
    for part in range(n_parts):
        width = last_dim if part == n_parts - 1 else part_dim
        first = part * 256 * part_dim
        centroids = weights[first : first + 256 * width].reshape(256, width)
        rows[:, part * part_dim : part * part_dim + width] = centroids[of_part[:, part]]
    if len(norms):
        # Of weights that are no numbers, the scores tell.
        with np.errstate(invalid="ignore", over="ignore"):
            rows *= norms[:, None]
    nothing = np.zeros(0, np.uint8), np.zeros(0, np.float32)
    return rows.ravel(), *nothing, np.array([n_rows, dim, dim, dim], np.int64)


def mean_vectors(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    matrix: tuple[npt.NDArray[Any], ...],
    dictionary: tuple[npt.NDArray[Any], ...],
    numbers: npt.NDArray[np.int64],
    cache: tuple[npt.NDArray[Any], ...],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The hidden vector of each slice, (n, dim) float32, and of how many rows it is the mean.

    Slice i is `text_bytes[starts[i]:ends[i]]`; slices may overlap. A vector of no rows is zero.
    """
    dim = int(numbers[DIM])
    longest = int((ends - starts).max(initial=0))
    vectors = np.empty(len(starts) * dim, np.float32)
    row_counts = np.empty(len(starts), np.int64)
    # A word and the space after it take two bytes at least.
    hashes = np.empty(longest // 2 + 2 if numbers[WORD_NGRAMS] > 1 else 0, np.int32)
    _add_up(
        text_bytes, starts, ends, matrix, dictionary, numbers, cache, vectors, row_counts, hashes
    )
    return vectors.reshape(len(starts), dim), row_counts
