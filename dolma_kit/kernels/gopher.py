"""Gopher's statistics of quality and repetition, as Dolma's `gopher_v1` and `gopher_v2` have them.

Rae et al. 2021 (arXiv:2112.11446), appendix A.1; the definitions reproduced bug for bug are those
of Dolma 1.2.1, `taggers/gopher.py`. Known oddities that stay: the share of characters in the most
common n-gram counts overlapping repeats and may exceed 1; `fraction_of_duplicate_lines` counts
every copy of a repeated line, the first included; a text that begins or ends with a line break has
an empty first or last line.

How it is fast and still exact: words and lines get dense ids (`interning`), n-grams are pairs of
ids (`ngrams`). Time and memory are linear in the document, tables grow with what is distinct. All
scratch space is reserved once a call for the longest document and touched only as far as needed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, njit, types, uint8, uint64

from dolma_kit.kernels.interning import (
    I32,
    I64,
    MULTIPLIER,
    SMALLEST_TABLE,
    U64,
    find_or_add,
    hash_bytes,
    resize,
)
from dolma_kit.kernels.ngrams import measure_ngrams
from dolma_kit.kernels.unicode import (
    BYTES,
    LEAF,
    OFFSETS,
    alphabetic_table,
    char_length,
    count_code_points,
    decode,
    has_bit,
    space_length,
)

DOCUMENT_KEYS = (
    "character_count",
    "word_count",
    "median_word_length",
    "symbol_to_word_ratio",
    "fraction_of_words_with_alpha_character",
    "required_word_count",
    "fraction_of_lines_starting_with_bullet_point",
    "fraction_of_lines_ending_with_ellipsis",
    "fraction_of_duplicate_lines",
    "fraction_of_characters_in_duplicate_lines",
)
MOST_COMMON_KEYS = tuple(f"fraction_of_characters_in_most_common_{n}grams" for n in range(2, 5))
DUPLICATE_KEYS = tuple(f"fraction_of_characters_in_duplicate_{n}grams" for n in range(5, 11))
KEYS = DOCUMENT_KEYS + MOST_COMMON_KEYS + DUPLICATE_KEYS

# Words of at most 8 bytes are their own key: the bytes, first byte highest.
_THE, _BE, _TO, _OF = 0x746865, 0x6265, 0x746F, 0x6F66
_AND, _THAT, _HAVE, _WITH = 0x616E64, 0x74686174, 0x68617665, 0x77697468

_SHORT = 1 << 10  # words shorter than this many characters are counted in a histogram
_MAX_BYTES = 2**31 - 2  # of one document: ids and positions are int32

_Scanned = types.UniTuple(int64, 6)  # type: ignore[no-untyped-call]


@njit(
    _Scanned(BYTES, int64, int64, boolean, I32, I32, U64, I64, I32, I32,
             I32, U64, I64, I32, I32),
    **LEAF,
)  # fmt: skip
def scan_document(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    keep_empty_lines: bool,
    word_ids: npt.NDArray[np.int32],
    word_slots: npt.NDArray[np.int32],
    word_keys: npt.NDArray[np.uint64],
    word_starts: npt.NDArray[np.int64],
    word_sizes: npt.NDArray[np.int32],
    word_counts: npt.NDArray[np.int32],
    line_slots: npt.NDArray[np.int32],
    line_keys: npt.NDArray[np.uint64],
    line_starts: npt.NDArray[np.int64],
    line_sizes: npt.NDArray[np.int32],
    line_counts: npt.NDArray[np.int32],
) -> tuple[int, int, int, int, int, int]:
    """Split one document into words and lines and number the distinct ones in order.

    Returns words, distinct words, lines, distinct lines, lines that begin with a bullet (`*`, `-`)
    and lines that end in U+2026.
    """
    n_words = n_distinct_words = n_lines = n_distinct_lines = n_bullets = n_ellipses = 0
    word_mask = resize(word_slots, SMALLEST_TABLE, 0, word_keys)
    line_mask = resize(line_slots, SMALLEST_TABLE, 0, line_keys)
    line_start = i = start
    line_key = uint64(0)
    while True:
        if i == end or text[i] == 0x0A:
            if keep_empty_lines or i > line_start or line_start == start or i == end:
                n_lines += 1
                if i > line_start:
                    n_bullets += text[line_start] == 0x2A or text[line_start] == 0x2D
                    n_ellipses += (
                        i - line_start >= 3
                        and text[i - 3] == 0xE2
                        and text[i - 2] == 0x80
                        and text[i - 1] == 0xA6
                    )
                line = find_or_add(
                    text, line_start, i, line_key, False, n_distinct_lines,
                    line_slots, line_mask, line_keys, line_starts, line_sizes, line_counts,
                )  # fmt: skip
                if line == n_distinct_lines:
                    n_distinct_lines += 1
                    if 2 * n_distinct_lines > line_mask:
                        n_slots = 2 * (line_mask + 1)
                        line_mask = resize(line_slots, n_slots, n_distinct_lines, line_keys)
            if i == end:
                break
            i += 1
            line_start = i
            line_key = uint64(0)
            continue
        space = space_length(text, i)
        if space > 0:
            # Words enter the line's hash with their place; so need only the spaces that are not
            # plain ones, that lines which differ in nothing else may not all collide.
            if text[i] != 0x20:
                place = uint64(i - line_start) << uint64(32)
                line_key = (line_key ^ uint64(text[i + space - 1]) ^ place) * MULTIPLIER
            i += space
            continue
        word_start = i
        key = uint64(0)
        while i < end:
            b = text[i]
            if (b <= 0x20 or 0xC2 <= b <= 0xE3) and space_length(text, i) > 0:
                break
            key = key << uint64(8) | uint64(b)
            i += 1
        if i - word_start > 8:
            key = hash_bytes(text, word_start, i)
        line_key = (line_key ^ key ^ uint64(word_start - line_start) << uint64(32)) * MULTIPLIER
        line_key ^= line_key >> uint64(31)
        word = find_or_add(
            text, word_start, i, key, True, n_distinct_words,
            word_slots, word_mask, word_keys, word_starts, word_sizes, word_counts,
        )  # fmt: skip
        if word == n_distinct_words:
            n_distinct_words += 1
            if 2 * n_distinct_words > word_mask:
                n_slots = 2 * (word_mask + 1)
                word_mask = resize(word_slots, n_slots, n_distinct_words, word_keys)
        word_ids[n_words] = word
        n_words += 1
    return n_words, n_distinct_words, n_lines, n_distinct_lines, n_bullets, n_ellipses


@njit(int64(BYTES, BYTES, int64, int64), **LEAF)
def describe_word(
    text: npt.NDArray[np.uint8], alphabetic: npt.NDArray[np.uint8], start: int, end: int
) -> int:
    """Of one word: 4 * code points + 2 if it has a symbol (`#`, U+2026) + 1 if it has a letter."""
    n = 0
    has_symbol = 0
    has_letter = 0
    i = start
    while i < end:
        b = text[i]
        n += 1
        if b < 0x80:
            if b == 0x23:
                has_symbol = 1
            elif uint8((b | 0x20) - 0x61) < 26:
                has_letter = 1
            i += 1
        else:
            code_point = decode(text, i)
            if code_point == 0x2026:
                has_symbol = 1
            elif has_letter == 0 and has_bit(alphabetic, code_point):
                has_letter = 1
            i += char_length(text, i)
    return 4 * n + 2 * has_symbol + has_letter


@njit(float64(I32, int64, I32, int64), cache=True, nogil=True)
def median_length(
    lengths: npt.NDArray[np.int32], n_unique: int, counts: npt.NDArray[np.int32], n_words: int
) -> float:
    """Median of `lengths[u]` over words, each distinct word `u` counted `counts[u]` times."""
    if n_words == 0:
        return 0.0
    histogram = np.zeros(_SHORT, np.int64)
    n_long = 0
    for u in range(n_unique):
        if lengths[u] < _SHORT:
            histogram[lengths[u]] += counts[u]
        else:
            n_long += counts[u]
    low, high = (n_words - 1) // 2, n_words // 2  # ranks of the one or two middle words
    if high < n_words - n_long:
        total = 0.0
        for rank in (low, high):
            length = 0
            seen = histogram[0]
            while seen <= rank:
                length += 1
                seen += histogram[length]
            total += length
        return total / 2
    # Half the words are very long, so there are few of them.
    all_lengths = np.empty(n_words, np.int32)
    k = 0
    for u in range(n_unique):
        for _ in range(counts[u]):
            all_lengths[k] = lengths[u]
            k += 1
    all_lengths.sort()
    return float((int64(all_lengths[low]) + int64(all_lengths[high])) / 2)


@njit(float64[:, ::1](BYTES, OFFSETS, BYTES, boolean), cache=True, nogil=True)
def _measure(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    alphabetic: npt.NDArray[np.uint8],
    keep_empty_lines: bool,
) -> npt.NDArray[np.float64]:
    n_docs = len(offsets) - 1
    values = np.full((n_docs, 19), np.nan)
    longest = 0
    for doc in range(n_docs):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    # Words are at least one byte and one space; so are distinct lines, but for the empty one.
    n_most = longest // 2 + 2
    n_slots = 2 * SMALLEST_TABLE + 4 * n_most
    word_ids = np.empty(n_most, np.int32)
    places, grams = np.empty(n_most, np.int32), np.empty(n_most, np.int32)
    slots, keys = np.empty(n_slots, np.int32), np.empty(n_most, np.uint64)
    starts, sizes = np.empty(n_most, np.int64), np.empty(n_most, np.int32)
    counts, lengths = np.empty(n_most, np.int32), np.empty(n_most, np.int32)
    line_slots, line_keys = np.empty(n_slots, np.int32), np.empty(n_most, np.uint64)
    line_starts, line_sizes = np.empty(n_most, np.int64), np.empty(n_most, np.int32)
    line_counts = np.empty(n_most, np.int32)
    for doc in range(n_docs):
        start, end = offsets[doc], offsets[doc + 1]
        row = values[doc]
        row[:10] = 0.0
        if start == end:
            continue
        n_words, n_distinct_words, n_lines, n_distinct_lines, n_bullets, n_ellipses = scan_document(
            text, start, end, keep_empty_lines,
            word_ids, slots, keys, starts, sizes, counts,
            line_slots, line_keys, line_starts, line_sizes, line_counts,
        )  # fmt: skip
        n_characters = n_symbol = n_letter = n_required = 0
        for u in range(n_distinct_words):
            count = int64(counts[u])
            described = describe_word(text, alphabetic, starts[u], starts[u] + sizes[u])
            lengths[u] = described >> 2
            n_characters += count * (described >> 2)
            n_symbol += count * (described >> 1 & 1)
            n_letter += count * (described & 1)
            key = keys[u]
            # A word that begins with NUL has the key of the word without it.
            in_full = sizes[u] <= 4 and key >> uint64(8 * (sizes[u] - 1)) != 0
            if in_full and key in (_THE, _BE, _TO, _OF, _AND, _THAT, _HAVE, _WITH):
                n_required += count
        n_repeated_lines = n_repeated_characters = 0
        for u in range(n_distinct_lines):
            if line_counts[u] > 1:
                n_repeated_lines += line_counts[u]
                length = count_code_points(text, line_starts[u], line_starts[u] + line_sizes[u])
                n_repeated_characters += length * line_counts[u]
        row[0] = count_code_points(text, start, end)
        row[1] = n_words
        row[2] = median_length(lengths, n_distinct_words, counts, n_words)
        row[3] = n_symbol / max(n_words, 1)
        row[4] = n_letter / max(n_words, 1)
        row[5] = n_required
        row[6] = n_bullets / n_lines
        row[7] = n_ellipses / n_lines
        row[8] = n_repeated_lines / n_lines
        row[9] = n_repeated_characters / max(n_characters, 1)
        # The tables of distinct words are not needed any more, but for counts and lengths; those
        # of the lines are free.
        measure_ngrams(
            n_words, n_characters, word_ids, lengths, counts,
            slots, keys, line_counts, line_sizes, places, grams, row[10:],
        )  # fmt: skip
    return values


def measure(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    *,
    keep_empty_lines: bool = False,
) -> npt.NDArray[np.float64]:
    """All Gopher statistics of each document, not rounded, in the order of `KEYS`.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64 -> (n_docs, len(KEYS)) float64,
    NaN where Dolma writes no such key: n-grams of documents with fewer than n words. Words are
    those of `str.split()`, lengths are in code points. Lines are those of `re.split(r"\\n+")`
    (`gopher_v2`), or of `split("\\n")` with `keep_empty_lines` (`gopher_v1`).
    """
    longest = int(np.diff(offsets).max(initial=0))
    if longest > _MAX_BYTES:
        raise ValueError(f"a document has {longest} bytes, the kernel takes {_MAX_BYTES}: split it")
    return np.asarray(_measure(text_bytes, offsets, alphabetic_table(), keep_empty_lines))
