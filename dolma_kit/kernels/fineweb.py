"""The line statistics of FineWeb's own filters.

Penedo et al. 2024 (arXiv:2406.17557), section 3.6; the definitions are those of datatrove,
`pipeline/filters/fineweb_quality_filter.py`. Lines are those of `text.split("\\n")`, not stripped;
with `original` those of white space alone are lines too, as in datatrove 0.2.0. A duplicate is a
line with other characters than white space that stands before in the same document. Words are
those of `str.split`, and each punctuation mark or symbol at either end of one is a word too, which
is near to what a tokenizer makes.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import boolean, float64, int64, njit, uint64

from dolma_kit.kernels import whitespace
from dolma_kit.kernels.interning import MULTIPLIER, SMALLEST_TABLE, find_or_add, resize
from dolma_kit.kernels.unicode import (
    BYTES,
    LEAF,
    OFFSETS,
    decode,
    has_bit,
    punctuation_table,
    space_length,
)

KEYS = (
    "fraction_of_lines_ending_with_terminal_punctuation",
    "fraction_of_short_lines",
    "fraction_of_characters_in_duplicate_lines",
    "newline_to_word_ratio",
)
SHORT_LINE = 30  # characters of the longest short line

#: datatrove 0.10.1's TERMINAL_PUNCTUATION, which has neither quotes nor `…`: first and last of runs
_TERMINAL_PUNCTUATION = """
    21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e
    1735-1736 17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e
    1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7
    a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61
    10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd
    111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642
    1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f
    16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""
#: what FineWeb itself took for the end of a line (datatrove 0.2.0)
ORIGINAL_ENDS = ".'\"!?"


@functools.cache
def terminal_punctuation() -> str:
    """The characters of datatrove's TERMINAL_PUNCTUATION, in the order of their code points."""
    found = ""
    for run in _TERMINAL_PUNCTUATION.split():
        first, _, last = run.partition("-")
        found += "".join(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return found


@njit(boolean(BYTES, int64, int64, BYTES), **LEAF)
def ends_in(
    text: npt.NDArray[np.uint8], start: int, end: int, characters: npt.NDArray[np.uint8]
) -> bool:
    """Whether the last character of bytes `start` to `end` is one of a bit table."""
    i = end - 1
    while i > start and (text[i] & 0xC0) == 0x80:
        i -= 1
    return i >= start and has_bit(characters, decode(text, i))


@njit(float64[:, ::1](BYTES, OFFSETS, BYTES, BYTES, boolean), cache=True, nogil=True)
def _measure(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    ends: npt.NDArray[np.uint8],
    punctuation: npt.NDArray[np.uint8],
    original: bool,
) -> npt.NDArray[np.float64]:
    n_docs = len(offsets) - 1
    values = np.zeros((n_docs, 4))
    longest = 0
    for doc in range(n_docs):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    # A line that is not blank is at least one byte and its line feed.
    n_most = longest // 2 + 2
    slots, keys = np.empty(2 * SMALLEST_TABLE + 4 * n_most, np.int32), np.empty(n_most, np.uint64)
    starts, sizes = np.empty(n_most, np.int64), np.empty(n_most, np.int32)
    counts = np.empty(n_most, np.int32)
    for doc in range(n_docs):
        end = offsets[doc + 1]
        n_lines = n_ended = n_short = n_distinct = n_repeated = n_words = n_characters = 0
        n_line_feeds = 0
        mask = resize(slots, SMALLEST_TABLE, 0, keys)
        line = i = offsets[doc]
        while True:
            key = chunk = uint64(0)  # `chunk` is the last 8 bytes
            size = 0
            n_words_before = n_words
            in_word = False
            n_trailing = 0  # punctuation at the end of the word so far
            while i < end:
                b = text[i]
                if b == 0x0A:
                    break
                chunk = chunk << uint64(8) | uint64(b)
                if (i - line) & 7 == 7:
                    key = (key ^ chunk) * MULTIPLIER
                    key ^= key >> uint64(31)
                if (b & 0xC0) != 0x80:  # what continues a character continues a word, or a space
                    size += 1
                    if (b <= 0x20 or 0xC2 <= b <= 0xE3) and space_length(text, i) > 0:
                        n_words += n_trailing
                        in_word = False
                        n_trailing = 0
                    elif has_bit(punctuation, b if b < 0x80 else decode(text, i)):
                        n_trailing += in_word
                        n_words += not in_word
                    else:
                        n_words += not in_word
                        in_word = True
                        n_trailing = 0
                i += 1
            n_words += n_trailing
            n_characters += size
            is_blank = n_words == n_words_before
            if original or not is_blank:
                n_lines += 1
                n_ended += ends_in(text, line, i, ends)
                n_short += size <= SHORT_LINE
            if not is_blank:
                key = (key ^ chunk) * MULTIPLIER ^ uint64(i - line)
                known = find_or_add(
                    text, line, i, key, False, n_distinct,
                    slots, mask, keys, starts, sizes, counts,
                )  # fmt: skip
                if known < n_distinct:
                    n_repeated += size
                else:
                    n_distinct += 1
                    if 2 * n_distinct > mask:
                        mask = resize(slots, 2 * (mask + 1), n_distinct, keys)
            if i >= end:
                break
            n_line_feeds += 1
            i += 1
            line = i
        row = values[doc]
        row[0] = n_ended / max(n_lines, 1)
        row[1] = n_short / max(n_lines, 1)
        row[2] = n_repeated / max(n_characters, 1)
        row[3] = n_line_feeds / max(n_words, 1)
    return values


def measure(
    text_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], *, original: bool = False
) -> npt.NDArray[np.float64]:
    """The statistics of each document, not rounded, in the order of `KEYS`.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64 -> (n_docs, 4) float64. Where
    there is nothing to divide by, it is divided by 1.
    """
    ends = whitespace.table_of(ORIGINAL_ENDS if original else terminal_punctuation())
    return np.asarray(_measure(text_bytes, offsets, ends, punctuation_table(), original))
