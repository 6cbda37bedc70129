"""What n-grams a text has: ids of its words, its positions in order, its distinct n-grams.

A text is one array of word ids, (n,) int32, in which each sentence is `<s>`, its words, `</s>`.
The n-gram at a position is the one that ends there; before the start of its sentence stands nothing
but `<s>`. N-grams are in *suffix order*: by their last word, then the one before it, and so on,
words by their ids. Equal ones are then next to each other, for every n at once. This is the order
of KenLM's lmplz (Heafield et al. 2013).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, void

from dolma_kit.kernels.interning import I32, I64, U64, slot_of
from dolma_kit.kernels.language_model import hash_word, is_unknown, parts_words
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

UNKNOWN, BOS, EOS = range(3)  # the ids of <unk>, <s>, </s>
# Places in `state` of `intern_lines`: words known, bytes of the pool in use.
N_WORDS, N_BYTES = range(2)

U8 = types.uint8[::1]


@njit(int64(BYTES, OFFSETS, OFFSETS, U8, I64, U64, I32, int64, I64, I32), **LEAF)
def intern_lines(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    pool: npt.NDArray[np.uint8],
    word_starts: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    slots: npt.NDArray[np.int32],
    mask: int,
    state: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int32],
) -> int:
    """Write the ids of lines, each between `<s>` and `</s>`; returns how many. New words get the
    next ids and their bytes go to `pool`, word w to `pool[word_starts[w]:word_starts[w + 1]]`.

    The words `<unk>` (and `<UNK>`), `<s>` and `</s>`, for which the first three ids stand, are
    passed over. There
    has to be room: in the pool for all bytes, in `word_starts` and `keys` for a word every other
    byte, in `slots` (id + 1, or 0 where free) for twice as many.
    """
    n = 0
    for line in range(len(starts)):
        ids[n] = BOS
        n += 1
        i, end = starts[line], ends[line]
        while True:
            while i < end and parts_words(text[i]):
                i += 1
            if i == end:
                break
            begin = i
            while i < end and not parts_words(text[i]):
                i += 1
            if state[N_WORDS] > EOS and is_unknown(text, begin, i):
                continue
            size = i - begin
            key = hash_word(text, begin, i)
            slot = slot_of(key, mask)
            word = int64(slots[slot]) - 1
            while word >= 0:
                start = word_starts[word]
                if keys[word] == key and word_starts[word + 1] - start == size:
                    same = True
                    for k in range(size):
                        same &= pool[start + k] == text[begin + k]
                    if same:
                        break
                slot = (slot + 1) & mask
                word = int64(slots[slot]) - 1
            if word < 0:
                word = state[N_WORDS]
                slots[slot] = word + 1
                keys[word] = key
                at = state[N_BYTES]
                for k in range(size):
                    pool[at + k] = text[begin + k]
                state[N_BYTES] = at + size
                word_starts[word + 1] = at + size
                state[N_WORDS] = word + 1
            if word > EOS:
                ids[n] = word
                n += 1
        ids[n] = EOS
        n += 1
    return n


@njit(int64(I32, U8, int64), **LEAF)
def measure_distances(
    ids: npt.NDArray[np.int32], distances: npt.NDArray[np.uint8], most: int
) -> int:
    """Write how far back the start of its sentence is from each position, `most` at most; returns
    how many positions are no starts."""
    n = distance = 0
    for i in range(len(ids)):
        distance = 0 if ids[i] == BOS else min(distance + 1, most)
        distances[i] = distance
        n += ids[i] != BOS
    return n


@njit(int64(I32, U8, int64, int64), **LEAF)
def word_before(
    ids: npt.NDArray[np.int32], distances: npt.NDArray[np.uint8], position: int, back: int
) -> int:
    """The id of the word so many places before a position; `<s>` before the start of a sentence."""
    return int64(ids[position - back]) if back <= distances[position] else BOS


@njit(void(I32, U8, int64, int64, I32, I32), cache=True, nogil=True)
def sort_positions(
    ids: npt.NDArray[np.int32],
    distances: npt.NDArray[np.uint8],
    order: int,
    n_words: int,
    positions: npt.NDArray[np.int32],
    spare: npt.NDArray[np.int32],
) -> None:
    """Write the positions that are no starts in suffix order of their n-grams of an order.

    Equal n-grams stay as in the text. A radix sort from the farthest word to the last one, each in
    two digits; `spare` is as long as `positions`.
    """
    bits = 1
    while n_words > 1 << (2 * bits):
        bits += 1
    mask = (1 << bits) - 1
    n = 0
    for i in range(len(ids)):
        if ids[i] != BOS:
            positions[n] = i
            n += 1
    places = np.empty((1 << bits) + 1, np.int64)
    for back in range(order - 1, -1, -1):
        for digit in range(2):
            shift = digit * bits
            source = positions if digit == 0 else spare
            target = spare if digit == 0 else positions
            places[:] = 0
            for k in range(n):
                word = word_before(ids, distances, int64(source[k]), back)
                places[(word >> shift & mask) + 1] += 1
            for value in range(mask + 1):
                places[value + 1] += places[value]
            for k in range(n):
                word = word_before(ids, distances, int64(source[k]), back)
                value = word >> shift & mask
                target[places[value]] = source[k]
                places[value] += 1


@njit(void(I32, U8, int64, I32, U8), **LEAF)
def measure_shared(
    ids: npt.NDArray[np.int32],
    distances: npt.NDArray[np.uint8],
    order: int,
    positions: npt.NDArray[np.int32],
    shared: npt.NDArray[np.uint8],
) -> None:
    """Write how many last words each n-gram shares with that before it in suffix order, `order` at
    most; 0 for the first one."""
    for k in range(len(positions)):
        same = 0
        if k > 0:
            a, b = int64(positions[k - 1]), int64(positions[k])
            while same < order and (
                word_before(ids, distances, a, same) == word_before(ids, distances, b, same)
            ):
                same += 1
        shared[k] = same


@njit(int64(I32, U8, int64, int64, I32, U8, I32, I32, I32, I32), **LEAF)
def number_rows(
    ids: npt.NDArray[np.int32],
    distances: npt.NDArray[np.uint8],
    n: int,
    order: int,
    positions: npt.NDArray[np.int32],
    shared: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int32],
    examples: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
    adjusted: npt.NDArray[np.int32],
) -> int:
    """Number the distinct n-grams in suffix order; returns how many there are.

    `rows[i]` becomes the row of the n-gram at position i, -1 where its sentence starts too late for
    one. Of each row, a position, its count, and its adjusted count, which is that of the different
    words before it, but for the highest order and for n-grams that begin with `<s>` the plain one
    (Kneser & Ney 1995; Heafield et al. 2013, section 3.2). Of 1-grams, rows are ids: the first two
    are `<unk>` and `<s>`, which are nowhere and count 0.
    """
    n_rows = 0
    rows[:] = -1
    if n == 1:
        n_rows = 2
        examples[0] = examples[1] = -1
        counts[0] = counts[1] = adjusted[0] = adjusted[1] = 0
        for i in range(len(ids)):
            if ids[i] == BOS:
                rows[i] = BOS
    for k in range(len(positions)):
        position = int64(positions[k])
        if distances[position] < n - 1:
            continue
        is_new = shared[k] < n
        n_rows += is_new
        row = n_rows - 1
        rows[position] = row
        if is_new:
            examples[row] = position
            counts[row] = adjusted[row] = 0
        counts[row] += 1
        is_plain = n == order or (n > 1 and ids[position - (n - 1)] == BOS)
        if is_plain or shared[k] < n + 1:
            adjusted[row] += 1
    return n_rows
