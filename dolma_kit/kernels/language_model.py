"""N-gram language models with backoff: tables of n-grams, and what they say of lines of text.

The probability of a word after a context is that of the longest n-gram that the model holds, times
the backoffs of the contexts that are longer than that n-gram's (Katz 1987; ARPA's format). In
logarithms, to base 10:

    log p(w | c1 .. ck) = log p(w | cm .. ck) + sum of log b(ci .. ck) for i < m, where
    cm .. ck w is the longest n-gram that is held; a context that is not held has b = 1

A model is one array of 32-bit words, laid out as in KenLM's binary files of the kind "probing"
(Heafield 2011), so that such a file can be mapped as it is. It holds open-addressing tables, slot
by key modulo the number of slots, then one slot on; key 0 is free:

    vocabulary   key (2 words), id                  12 bytes a slot; MurmurHash64A of the word
    1-grams      log p, log b                        8 bytes an id; id 0 is the unknown word
    n-grams      key (2 words), log p, log b        16 bytes a slot, for 2 <= n < order
    longest      key (2 words), log p               12 bytes a slot

With 1.5 slots a key that is 26 bytes a word, 24 an n-gram, 18 one of the longest. The key of
w1 .. wn starts as the id of wn and takes in the ids before it one by one (`extend`). Keys are
64-bit hashes that are not checked against the words, as in KenLM: an n-gram that is not held passes
for another with probability 2^-64 times the number held. `layout` (int64) says where things are,
see `FIRST_TABLE`. A log p that is no number marks a blank: its n-gram is there only because longer
ones end in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, njit, types, uint8, uint32, uint64

from dolma_kit.kernels.interning import I64, U64
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS, space_length

# Places in `layout`: a table's start, in 32-bit words, and its slots are next to each other. From
# FIRST_TABLE on are those of n-grams, for n from 2.
ORDER, VOCABULARY, VOCABULARY_SLOTS, UNIGRAMS, BOS, EOS = range(6)
FIRST_TABLE = 6
MAX_ORDER = 16
UNKNOWN = 0
# Of a document: the sum of log10 probabilities, words and ends of lines, words that are unknown.
LOG10, LENGTH, N_UNKNOWN = range(3)

ENTRIES = types.Array(types.uint32, 1, "C", readonly=True)
VALUES = types.Array(types.float32, 1, "C", readonly=True)
LAYOUT = OFFSETS
F32 = types.float32[::1]
F64 = types.float64[::1]

_CHUNK = 256  # words that are looked up together

_MURMUR = np.uint64(0xC6A4A7935BD1E995)
_CONTEXT = np.uint64(8978948897894561157)
_WORD = np.uint64(17894857484156487943)
# Without "numpy", `%` would test for zero and could not be called where nothing is allocated.
FAST = LEAF | {"error_model": "numpy"}


@njit(uint64(BYTES, int64, int64), **LEAF)
def hash_word(text: npt.NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """MurmurHash64A of `text[start:end]` with seed 0 (Austin Appleby, MurmurHash2.cpp)."""
    h = uint64(end - start) * _MURMUR
    i = start
    while end - i >= 8:
        k = uint64(0)
        for j in range(8):
            k |= uint64(text[i + j]) << uint64(8 * j)
        k *= _MURMUR
        k ^= k >> uint64(47)
        h = (h ^ k * _MURMUR) * _MURMUR
        i += 8
    if i < end:
        for j in range(end - i):
            h ^= uint64(text[i + j]) << uint64(8 * j)
        h *= _MURMUR
    h ^= h >> uint64(47)
    h *= _MURMUR
    return h ^ (h >> uint64(47))


@njit(uint64(uint64, int64), **LEAF)
def extend(key: np.uint64, word: int) -> np.uint64:
    """The key of an n-gram with the word of this id before it."""
    return key * _CONTEXT ^ uint64(1 + word) * _WORD


@njit(int64(ENTRIES, int64, int64, int64, uint64), **FAST)
def find(
    entries: npt.NDArray[np.uint32], start: int, n_slots: int, width: int, key: np.uint64
) -> int:
    """Where a key stands in a table of `width` words a slot, or -1 - where it would.

    In a table without a free slot, which no sound one is, a key that is not there gives -1.
    """
    slot = int(int64(key % uint64(n_slots)))
    low, high = uint32(key & uint64(0xFFFFFFFF)), uint32(key >> uint64(32))
    at = start + slot * width
    for _ in range(n_slots):
        a, b = entries[at], entries[at + 1]
        if a == low and b == high:
            return at
        if a == 0 and b == 0:
            return -1 - at
        slot += 1
        at += width
        if slot == n_slots:
            slot = 0
            at = start
    return -1


@njit(boolean(BYTES, int64, int64), **LEAF)
def is_unknown(text: npt.NDArray[np.uint8], start: int, end: int) -> bool:
    """Whether a word is `<unk>`, or `<UNK>`, as some write it."""
    if end - start != 5 or text[start] != 0x3C or text[end - 1] != 0x3E:
        return False
    case = text[start + 1] & 0x20  # all three letters are of one case
    return bool(
        text[start + 1] == 0x55 | case
        and text[start + 2] == 0x4E | case
        and text[start + 3] == 0x4B | case
    )


@njit(boolean(uint8), **LEAF)
def parts_words(b: np.uint8) -> bool:
    """Whether a byte parts words for KenLM: tab to carriage return, space, and NUL, its end."""
    return bool(b == 0x20 or 0x09 <= b <= 0x0D or b == 0)


@njit(int64(BYTES, int64, int64), **LEAF)
def count_words(text: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """The words of `str.split`."""
    n = 0
    in_word = False
    i = start
    while i < end:
        size = space_length(text, i)
        if size > 0:
            in_word = False
            i += size
        else:
            n += not in_word
            in_word = True
            i += 1
    return n


@njit(
    float64(int64, ENTRIES, LAYOUT, VALUES, I64, F32, U64, F64, I64, I64),
    **LEAF,
)
def score_chunk(
    n_words: int,
    entries: npt.NDArray[np.uint32],
    layout: npt.NDArray[np.int64],
    values: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    backoffs: npt.NDArray[np.float32],
    keys: npt.NDArray[np.uint64],
    log10s: npt.NDArray[np.float64],
    held: npt.NDArray[np.int64],
    alive: npt.NDArray[np.int64],
) -> float:
    """The sum of log10 probabilities of words, looked up order by order: the processor can wait for
    many places in memory at once, which takes most of the time.

    Word i is `ids[front + i]`, where front is the model's order; before the first word stand those
    of its context, -1 where there is none. `held[j]` becomes the longest n-gram that is held and
    ends at word `ids[j]`, `backoffs[order * j + n]` the backoff of that of n words; those of the
    word before the first one are there already. The others are scratch space.
    """
    order = front = layout[ORDER]
    matched = ids[len(ids) // 2 :]
    for i in range(n_words):
        word = ids[front + i]
        at = layout[UNIGRAMS] + 2 * word
        log10s[i] = -abs(float64(values[at]))
        keys[i] = word
        alive[i] = i
        matched[i] = 1
        held[front + i] = min(1, order - 1)
        if order > 1:
            backoffs[order * (front + i) + 1] = values[at + 1]
    n_alive = n_words
    for n in range(2, order + 1):
        start, n_slots = layout[FIRST_TABLE + 2 * (n - 2)], layout[FIRST_TABLE + 2 * (n - 2) + 1]
        width = 4 if n < order else 3
        n_found = 0
        for k in range(n_alive):
            i = alive[k]
            before = ids[front + i - (n - 1)]
            if before < 0:
                continue
            key = extend(keys[i], before)
            at = find(entries, start, n_slots, width, key)
            if at < 0:
                continue
            value = values[at + 2]
            if value == value:
                log10s[i] = -abs(float64(value))
                matched[i] = n
            if n < order:
                backoffs[order * (front + i) + n] = values[at + 3]
                held[front + i] = n
            keys[i] = key
            alive[n_found] = i
            n_found += 1
        n_alive = n_found
    total = 0.0
    for i in range(n_words):
        total += log10s[i]
        j = front + i - 1
        for n in range(matched[i], held[j] + 1):
            total += backoffs[order * j + n]
    return total


@njit(
    float64[:, ::1](BYTES, OFFSETS, OFFSETS, OFFSETS, ENTRIES, VALUES, LAYOUT),
    cache=True,
    nogil=True,
)
def score_documents(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    first_lines: npt.NDArray[np.int64],
    entries: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
    layout: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """What a model says of documents, (n_docs, 3) float64: see LOG10, LENGTH, N_UNKNOWN.

    Line i is `text[starts[i]:ends[i]]`, document d has lines `first_lines[d]` to
    `first_lines[d + 1]`. Each line is a sentence: it begins after `<s>` and ends with `</s>`. Its
    length is its words, as `str.split` has them, and 1, as in cc_net; the words that are scored are
    parted as KenLM parts them.
    """
    order = front = layout[ORDER]
    found = np.zeros((len(first_lines) - 1, 3), np.float64)
    half = front + _CHUNK
    ids, held = np.empty(2 * half, np.int64), np.zeros(half, np.int64)
    backoffs = np.zeros(order * half + 1, np.float32)
    keys, log10s = np.empty(_CHUNK, np.uint64), np.empty(_CHUNK, np.float64)
    alive = np.empty(_CHUNK, np.int64)
    for doc in range(len(found)):
        for line in range(first_lines[doc], first_lines[doc + 1]):
            i, end = starts[line], ends[line]
            found[doc, LENGTH] += count_words(text, i, end) + 1
            ids[: front - 1] = -1
            ids[front - 1] = layout[BOS]
            held[front - 1] = min(1, order - 1)
            if order > 1:
                at = layout[UNIGRAMS] + 2 * layout[BOS]
                backoffs[order * (front - 1) + 1] = values[at + 1]
            is_end = False
            while not is_end:
                n_words = 0
                while n_words < _CHUNK - 1:
                    while i < end and parts_words(text[i]):
                        i += 1
                    if i == end:
                        is_end = True
                        break
                    begin = i
                    while i < end and not parts_words(text[i]):
                        i += 1
                    keys[n_words] = hash_word(text, begin, i)
                    n_words += 1
                for k in range(n_words):
                    at = find(entries, layout[VOCABULARY], layout[VOCABULARY_SLOTS], 3, keys[k])
                    word = int64(entries[at + 2]) if at >= 0 else UNKNOWN
                    found[doc, N_UNKNOWN] += word == UNKNOWN
                    ids[front + k] = word
                if is_end:
                    ids[front + n_words] = layout[EOS]
                    n_words += 1
                found[doc, LOG10] += score_chunk(
                    n_words, entries, layout, values, ids, backoffs, keys, log10s, held, alive
                )
                for k in range(front):
                    ids[k] = ids[n_words + k]
                held[front - 1] = held[n_words + front - 1]
                for n in range(1, order):
                    last = order * (n_words + front - 1)
                    backoffs[order * (front - 1) + n] = backoffs[last + n]
    return found
