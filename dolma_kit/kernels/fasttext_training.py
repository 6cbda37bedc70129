"""Training fastText's classifier (Joulin et al. 2016): stochastic gradient descent over rows.

The hidden vector h of a text is the mean of the n rows of the input matrix that
`dolma_kit.kernels.fasttext` finds for it. With w_l the row of a label in the output matrix, p_l its
probability (softmax, or one-vs-all: the sigmoid of w_l h), y_l 1 for the text's own label and 0 for
others, and r the rate of the step, one text changes

    w_l += r (y_l - p_l) h             for every label l
    each of the n rows += 1/n sum_l r (y_l - p_l) w_l      with w_l as it was

one text after the other, in float32, as fastText's library does with one thread. The rate falls
from `lr` to 0 with the share of the words that were seen. Sums and products are made in one order
and the exponential is our own, so that the same texts in the same order give the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float32, float64, int64, njit, types, uint32, uint64

from dolma_kit.kernels.fasttext import MATRIX, subwords
from dolma_kit.kernels.fasttext_dictionary import (
    DICTIONARY,
    END_HASH,
    FNV_START,
    IDS,
    LOW_32,
    fnv,
    is_end,
    is_label,
    is_space,
    same,
    slot_of,
)
from dolma_kit.kernels.interning import I32, I64, MULTIPLIER, U64
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

SOFTMAX, ONE_VS_ALL = 3, 4  # as in a model's file
END_ID = 0  # of the word `</s>` in a vocabulary
#: n-grams are told apart by their hash modulo this where they are counted
DISTINCT = 1 << 24

# Where the settings of a training stand in an array of int64.
N_WORDS, DIM, BUCKET, WORD_NGRAMS, LOSS, N_LABELS = range(6)

_F32 = types.float32[::1]
_F64 = types.float64[::1]
_U8 = types.uint8[::1]
_U32 = types.uint32[::1]
_HASHES = types.Array(types.uint32, 1, "C", readonly=True)

# Words by number: `counts` (2,) of them and of the bytes of all; these bytes, where each word
# starts and how long it is, its hash, how often it came, and a table of number + 1.
VOCABULARY = types.Tuple((I64, _U8, I64, I32, _U32, I64, I32))  # type: ignore[no-untyped-call]
# Texts as numbers of words, where each begins, and of each word: the row of its own or -1, its
# hash, and where its character n-grams begin in a list of rows.
TEXTS = types.Tuple((IDS, OFFSETS, IDS, _HASHES, OFFSETS, IDS))  # type: ignore[no-untyped-call]

_WORD_NGRAM = np.uint64(116049371)
_29 = np.uint64(29)
_LN_2_HIGH, _LN_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TERMS = 13  # of the series of exp over [-ln 2 / 2, ln 2 / 2]: the rest is below a bit


@njit(inline="always")
def _next_word(text: npt.NDArray[np.uint8], i: int, end: int) -> tuple[int, int, np.uint64]:
    """Where the next word from byte `i` starts and ends, and its hash; empty at the end."""
    while i < end and is_space(text[i]):
        i += 1
    start = i
    h = FNV_START
    while i < end and not is_space(text[i]):
        h = fnv(h, text[i])
        i += 1
    return start, i, h & LOW_32


@njit(types.void(BYTES, OFFSETS, OFFSETS, U64, I64), **LEAF)
def text_keys(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    word_counts: npt.NDArray[np.int64],
) -> None:
    """Fill `keys` (n,), equal for slices of the same words, and `word_counts` (n,)."""
    for n in range(len(starts)):
        i, end = starts[n], ends[n]
        key = uint64(0)
        n_words = 0
        while True:
            start, i, h = _next_word(text, i, end)
            if start == i or (h == END_HASH and is_end(text, start, i)):
                break
            if not is_label(text, start, i):
                key = (key ^ h) * MULTIPLIER
                key ^= key >> _29
                n_words += 1
        keys[n] = key
        word_counts[n] = n_words


@njit(types.void(_U32, int64, I32), **LEAF)
def fill_table(hashes: npt.NDArray[np.uint32], n_words: int, slots: npt.NDArray[np.int32]) -> None:
    """Enter the first `n_words` words, all different, into an empty table (a power of two)."""
    mask = len(slots) - 1
    for word in range(n_words):
        slot = slot_of(uint64(hashes[word]), mask)
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = word + 1


@njit(int64(VOCABULARY, BYTES, int64, int64, uint64), **LEAF)
def _number(
    vocabulary: Any, text: npt.NDArray[np.uint8], start: int, end: int, h: np.uint64
) -> int:
    """The number of a word, which is put into the vocabulary if it is new."""
    counts, letters, starts, sizes, hashes, frequencies, slots = vocabulary
    mask = len(slots) - 1
    size = end - start
    slot = slot_of(h, mask)
    while slots[slot] != 0:
        word = int64(slots[slot]) - 1
        if (
            hashes[word] == uint32(h)
            and sizes[word] == size
            and same(letters, starts[word], text, start, size)
        ):
            frequencies[word] += 1
            return int(word)
        slot = (slot + 1) & mask
    word, at = counts[0], counts[1]
    for k in range(size):
        letters[at + k] = text[start + k]
    starts[word], sizes[word], hashes[word], frequencies[word] = at, size, uint32(h), 1
    slots[slot] = word + 1
    counts[0], counts[1] = word + 1, at + size
    return int(word)


@njit(int64(BYTES, OFFSETS, OFFSETS, VOCABULARY, I32, I64), **LEAF)
def number_words(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    vocabulary: Any,
    ids: npt.NDArray[np.int32],
    id_ends: npt.NDArray[np.int64],
) -> int:
    """Write the words of the slices to `ids`, as numbers, `</s>` at the end of each slice.

    `id_ends` (n,) is where each slice ends there; returns where the last does. There has to be room
    for all words that the slices could have, and for as many new ones in the vocabulary.
    """
    at = 0
    for n in range(len(starts)):
        i, end = starts[n], ends[n]
        while True:
            start, i, h = _next_word(text, i, end)
            if start == i or (h == END_HASH and is_end(text, start, i)):
                break
            if not is_label(text, start, i):
                ids[at] = _number(vocabulary, text, start, i, h)
                at += 1
        vocabulary[5][END_ID] += 1
        ids[at] = END_ID
        at += 1
        id_ends[n] = at
    return at


@njit(int64(_F32, MATRIX, DICTIONARY, OFFSETS, BYTES, I64, I32, int64, I64, I32), **LEAF)
def list_subwords(
    nothing: npt.NDArray[np.float32],
    matrix: Any,
    dictionary: Any,
    numbers: npt.NDArray[np.int64],
    letters: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
    n_words: int,
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
) -> int:
    """The rows of the character n-grams of each word but `</s>`, word i's from `offsets[i]` on.

    The first three are `no_model()`. Returns how many rows.
    """
    at = 0
    for word in range(n_words):
        offsets[word] = at
        if word != END_ID:
            start = starts[word]
            end = start + sizes[word]
            at += subwords(nothing, rows, at, matrix, dictionary, numbers, letters, start, end)
    offsets[n_words] = at
    return at


@njit(inline="always")
def _ngram(h: np.uint64, word_hash: np.uint32) -> np.uint64:
    """A word n-gram and one word more; hashes are signed, and the sum wraps at 64 bits."""
    return h * _WORD_NGRAM + uint64(int64(types.int32(word_hash)))


@njit(types.void(IDS, OFFSETS, _HASHES, int64, _U8), **LEAF)
def mark_ngrams(
    ids: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint32],
    word_ngrams: int,
    seen: npt.NDArray[np.uint8],
) -> None:
    """Set `seen` (DISTINCT,) where the hash of a word n-gram falls."""
    for n in range(len(offsets) - 1):
        for first in range(offsets[n], offsets[n + 1]):
            h = _ngram(uint64(0), hashes[ids[first]])
            for last in range(first + 1, min(offsets[n + 1], first + word_ngrams)):
                h = _ngram(h, hashes[ids[last]])
                seen[h % uint64(DISTINCT)] = 1


@njit(int64(TEXTS, OFFSETS, int64, I32), **LEAF)
def rows_of(
    texts: Any, settings: npt.NDArray[np.int64], text: int, rows: npt.NDArray[np.int32]
) -> int:
    """List the rows of a text in fastText's order; returns how many.

    With `rows` empty, they are only counted.
    """
    ids, offsets, word_rows, hashes, subword_offsets, subword_rows = texts
    first_ngram, bucket = settings[N_WORDS], uint64(settings[BUCKET])
    word_ngrams = settings[WORD_NGRAMS]
    writing = len(rows) > 0
    n_rows = 0
    for i in range(offsets[text], offsets[text + 1]):
        word = ids[i]
        if word_rows[word] >= 0:
            if writing:
                rows[n_rows] = word_rows[word]
            n_rows += 1
        for k in range(subword_offsets[word], subword_offsets[word + 1]):
            if writing:
                rows[n_rows] = subword_rows[k]
            n_rows += 1
    if word_ngrams > 1:
        for first in range(offsets[text], offsets[text + 1]):
            h = _ngram(uint64(0), hashes[ids[first]])
            for last in range(first + 1, min(offsets[text + 1], first + word_ngrams)):
                h = _ngram(h, hashes[ids[last]])
                if writing:
                    rows[n_rows] = first_ngram + int64(h % bucket)
                n_rows += 1
    return n_rows


@njit(int64(TEXTS, OFFSETS, I32, _U8), **LEAF)
def mark_rows(
    texts: Any,
    settings: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
    used: npt.NDArray[np.uint8],
) -> int:
    """Set `used` for every row that a text has; with `rows` empty, only the most rows of a text.

    Returns these most, for which `rows` has to have room.
    """
    most = 0
    for text in range(len(texts[1]) - 1):
        n_rows = rows_of(texts, settings, text, rows)
        most = max(most, n_rows)
        if len(rows) > 0:
            for k in range(n_rows):
                used[rows[k]] = 1
    return most


@njit(uint64(uint64), **LEAF)
def mix(x: np.uint64) -> np.uint64:
    """SplitMix64's output function: a bijection of 64 bits that looks like chance."""
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@njit(types.void(U64, uint64, U64), **LEAF)
def mix_all(values: npt.NDArray[np.uint64], salt: np.uint64, out: npt.NDArray[np.uint64]) -> None:
    """`mix(mix(salt) + value)` of each, so that another salt gives other values."""
    start = mix(salt)
    for i in range(len(values)):
        out[i] = mix(start + values[i])


@njit(types.void(_F32, int64, _U8, uint64), **LEAF)
def fill_rows(
    matrix: npt.NDArray[np.float32], dim: int, used: npt.NDArray[np.uint8], seed: np.uint64
) -> None:
    """Even values within [-1 / dim, 1 / dim) for the rows in use; the others stay as they are."""
    step = 1.0 / (dim * float64(1 << 23))
    start = mix(seed)
    for row in range(len(used)):
        if used[row]:
            for k in range(row * dim, (row + 1) * dim):
                value = int64(mix(start + uint64(k)) >> uint64(40))  # 24 bits
                matrix[k] = float32((value - (1 << 23)) * step)


@njit(float64(float64), **LEAF)
def exp(x: float) -> float:
    """e^x for x <= 0, by sums and products alone; below -700 it is 0."""
    if x < -700.0:
        return 0.0
    if x != x:
        return x
    n = math.floor(x * (1.0 / 0.6931471805599453) + 0.5)
    r = (x - n * _LN_2_HIGH) - n * _LN_2_LOW
    total = 1.0
    for k in range(_TERMS, 0, -1):
        total = 1.0 + total * r / k
    return math.ldexp(total, int(n))


@njit(types.void(_F32, int64, int64, _F32), **LEAF)
def _probabilities(
    scores: npt.NDArray[np.float32], n_labels: int, loss: int, out: npt.NDArray[np.float32]
) -> None:
    if loss == ONE_VS_ALL:
        for label in range(n_labels):
            power = exp(-abs(float64(scores[label])))
            share = 1.0 / (1.0 + power)
            out[label] = float32(share if scores[label] >= 0 else 1.0 - share)
        return
    most = scores[0]
    for label in range(n_labels):
        most = max(most, scores[label])
    total = 0.0
    for label in range(n_labels):
        power = exp(float64(scores[label] - most))
        out[label] = float32(power)
        total += power
    for label in range(n_labels):
        out[label] = float32(float64(out[label]) / total)


@njit(
    types.void(TEXTS, OFFSETS, OFFSETS, IDS, _F64, _F64, I64, _F32, _F32, I32, _F32),
    **LEAF,
)
def train(
    texts: Any,
    settings: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int32],
    label_weights: npt.NDArray[np.float64],
    rate: npt.NDArray[np.float64],
    progress: npt.NDArray[np.int64],
    input_: npt.NDArray[np.float32],
    output: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int32],
    scratch: npt.NDArray[np.float32],
) -> None:
    """A step for each text of `order`, whose label is `labels[text]`.

    `rate` (1,) is the rate at the beginning, times `label_weights` (n_labels,); `progress` (2,) how
    many words were seen and how many there are to see, the label of a text counting for one, as the
    library counts. Scratch: room for the rows of any text, and 2 * (dim + n_labels) numbers.
    """
    dim, n_labels, loss = settings[DIM], settings[N_LABELS], settings[LOSS]
    offsets = texts[1]
    hidden, gradient = scratch[:dim], scratch[dim : 2 * dim]
    scores = scratch[2 * dim : 2 * dim + n_labels]
    shares = scratch[2 * dim + n_labels :]
    for text in order:
        n_rows = rows_of(texts, settings, text, rows)
        lr = rate[0] * (1.0 - progress[0] / progress[1])
        progress[0] += offsets[text + 1] - offsets[text] + 1
        if n_rows == 0:
            continue
        hidden[:] = 0
        for k in range(n_rows):
            at = uint64(rows[k]) * uint64(dim)
            for j in range(uint64(dim)):
                hidden[j] += input_[at + j]
        share = float32(1.0 / n_rows)
        for j in range(dim):
            hidden[j] *= share
        for label in range(n_labels):
            total = float32(0)
            for j in range(dim):
                total += output[label * dim + j] * hidden[j]
            scores[label] = total
        _probabilities(scores, n_labels, loss, shares)
        gradient[:] = 0
        step = float32(lr * label_weights[labels[text]])
        for label in range(n_labels):
            target = float32(1) if label == labels[text] else float32(0)
            alpha = step * (target - shares[label])
            at = uint64(label) * uint64(dim)
            for j in range(uint64(dim)):
                gradient[j] += alpha * output[at + j]
                output[at + j] += alpha * hidden[j]
        for j in range(dim):
            gradient[j] *= share
        for k in range(n_rows):
            at = uint64(rows[k]) * uint64(dim)
            for j in range(uint64(dim)):
                input_[at + j] += gradient[j]


def no_model() -> tuple[Any, Any, Any]:
    """A vector, a MATRIX and a DICTIONARY with nothing in them."""
    u1, i4, u4 = np.zeros(0, np.uint8), np.zeros(0, np.int32), np.zeros(0, np.uint32)
    f4, i8 = np.zeros(0, np.float32), np.zeros(4, np.int64)
    return f4, (f4, u1, f4, i8), (u1, i8, i4, u4, i4, np.zeros(1, np.uint64), u1)
