"""The rules of C4 as its own code has them.

Raffel et al. 2020 (arXiv:1910.10683), section 2.2; tensorflow_datasets, `text/c4_utils.py`. A line
is one of `str.splitlines`, stripped; citation marks are cut out of it (and the rest not stripped
again) before all rules but that of long words. Phrases are found in the line in lower case, words
of the list where no letter, digit or `_` stands beside them.

Lower-casing in full is not needed: of the characters beyond ASCII only U+0130 and U+212A become
something that these rules can see (`c4` says more). A line that has one of these or a citation is
copied, all others are read where they stand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8, uint64

from dolma_kit.kernels.c4 import is_at, read_only
from dolma_kit.kernels.c4_lines import copy_line, end_of_line, ends_sentence, has_long_word
from dolma_kit.kernels.c4_words import (
    CURLY,
    FEW_WORDS,
    JAVASCRIPT,
    LONG_WORD,
    LOREM,
    MULTIPLIER,
    NAUGHTY,
    NO_END,
    POLICY,
    WordList,
    word_table,
)
from dolma_kit.kernels.unicode import (
    BYTES,
    LEAF,
    OFFSETS,
    char_length,
    decimal_table,
    decode,
    has_bit,
    space_length,
)

#: what may be wrong with a line, in the order in which C4 asks; bit i of `C4Lines.rules`, which
#: `c4_words` names too
RULES = (
    "lines_with_too_long_word",
    "lines_with_no_ending_punctuation",
    "lines_with_too_few_words",
    "lines_with_javascript",
    "lines_with_policy",
)
#: columns of `C4Lines.counts`
COUNTS = (
    "line_count",
    "kept_line_count",
    "sentence_count",
    "has_lorem_ipsum",
    "has_curly_brace",
    "has_naughty_word",
    "lorem_ipsum_in_kept_lines",
    "curly_brace_in_kept_lines",
    "naughty_word_in_kept_lines",
)
LONGEST_WORD = 1000  # code points

_VASCRIPT = int.from_bytes(b"vascript", "big")
_1 = np.uint64(1)
#: ASCII's letters, in lower case, digits and `_`, by byte; 0 for other bytes
_WORD_BYTES = np.array(
    [
        ord(chr(b).lower()) if b < 0x80 and (chr(b).isalnum() or b == 0x5F) else 0
        for b in range(256)
    ],
    np.uint8,
)
_SHORTS = types.Array(types.uint16, 1, "C", readonly=True)
_INTS = types.Array(types.int32, 1, "C", readonly=True)


class C4Lines(NamedTuple):
    """What `find` returns; of document i, lines are rows `line_offsets[i]` to
    `line_offsets[i + 1]`, citations likewise. Positions are in code points of the text."""

    counts: npt.NDArray[np.int64]  # (n_docs, len(COUNTS))
    line_offsets: npt.NDArray[np.int64]  # (n_docs + 1,)
    lines: npt.NDArray[np.int64]  # (n_lines, 2) start and end, the line break included
    rules: npt.NDArray[np.uint8]  # (n_lines,) bit i: RULES[i] holds
    citation_offsets: npt.NDArray[np.int64]  # (n_docs + 1,)
    citations: npt.NDArray[np.int64]  # (n_citations, 2) start and end


@njit(boolean(BYTES, int64, int64, BYTES), **LEAF)
def stands_alone(
    text: npt.NDArray[np.uint8], i: int, end: int, word: npt.NDArray[np.uint8]
) -> bool:
    """Whether no character that a word may have begins at byte `i`."""
    return i >= end or not has_bit(word, decode(text, i))


_Scanned = types.UniTuple(int64, 2)  # type: ignore[no-untyped-call]


@njit(
    _Scanned(BYTES, int64, int64, int64, BYTES,
             BYTES, _INTS, _SHORTS, _SHORTS, _SHORTS, _INTS, BYTES),
    **LEAF,
)  # fmt: skip
def scan_line(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    min_words: int,
    word: npt.NDArray[np.uint8],
    entries: npt.NDArray[np.uint8],
    entry_starts: npt.NDArray[np.int32],
    word_slots: npt.NDArray[np.uint16],
    phrase_heads: npt.NDArray[np.uint16],
    next_phrases: npt.NDArray[np.uint16],
    phrase_gaps: npt.NDArray[np.int32],
    phrase_bits: npt.NDArray[np.uint8],
) -> tuple[int, int]:
    """Of a line without citations: what it has (bits of the rules and of words), its sentences."""
    mask = len(word_slots) - 1
    found = 0
    n_words = n_sentences = 0
    word_start = -1  # of the word of `str.split` that is being read
    may_end = False  # whether the word before may end a sentence
    key = uint64(0)  # the last 8 bytes of the run of letters, digits and `_`, in lower case
    run = i = start
    while True:
        at, last = uint64(i), uint64(end)  # a signed index would be tested for negative ones
        while at < last:
            lowered = _WORD_BYTES[text[at]]
            if lowered == 0:
                break
            key = key << uint64(8) | uint64(lowered)
            at += _1
            if key == _VASCRIPT and int64(at) - run >= 10:
                before = int64(at) - 9
                if text[before] | 0x20 == 0x61 and text[before - 1] | 0x20 == 0x6A:
                    found |= JAVASCRIPT
        if int64(at) > i:
            if word_start < 0:
                word_start = i
                n_words += 1
                n_sentences += may_end and not uint8(text[i] - 0x61) < 26
            i = int(int64(at))
        step = 1
        b = uint8(0)
        is_space = i >= end
        if i < end:
            b = text[i]
            if b < 0x80:
                is_space = b <= 0x20 and space_length(text, i) > 0
            else:
                step = char_length(text, i)
                if has_bit(word, decode(text, i)):
                    if word_start < 0:
                        word_start = i
                        n_words += 1
                        n_sentences += may_end
                    for k in range(i, i + step):
                        key = key << uint64(8) | uint64(text[k])
                    i += step
                    continue
                is_space = space_length(text, i) > 0
        # The run ends here.
        n_bytes = i - run
        if n_bytes > 0 and not found & NAUGHTY:
            slot = int64((key + uint64(n_bytes)) * MULTIPLIER >> uint64(32)) & mask
            while word_slots[slot] != 0:
                entry = int64(word_slots[slot]) - 1
                low, high = int64(entry_starts[entry]), int64(entry_starts[entry + 1])
                if high - low == n_bytes and is_at(text, run, end, entries, low, high):
                    found |= NAUGHTY
                    break
                slot = (slot + 1) & mask
        if i + 1 < end and (n_bytes > 0 or b >= 0x80):
            pair = int64(b) << 8 | int64(text[i + 1])
            if b < 0x80:
                next_byte = text[i + 1]
                if uint8(next_byte - 0x41) < 26:
                    next_byte |= uint8(0x20)
                pair = int64(key & uint64(0xFF)) << 8 | int64(next_byte)
            entry = int64(phrase_heads[pair]) - 1
            while entry >= 0:
                low, high = int64(entry_starts[entry]), int64(entry_starts[entry + 1])
                at = i - phrase_gaps[entry]
                if at >= start and is_at(text, at, end, entries, low, high):
                    bit = int64(phrase_bits[entry])
                    alone = True
                    if bit == NAUGHTY:
                        before = at - 1
                        while before > start and (text[before] & 0xC0) == 0x80:
                            before -= 1
                        alone = before < start or stands_alone(text, before, end, word)
                        alone &= stands_alone(text, at + high - low, end, word)
                    if alone:
                        found |= bit
                entry = int64(next_phrases[entry]) - 1
        key = uint64(0)
        if is_space:
            if word_start >= 0:
                may_end = ends_sentence(text, word_start, i)
                word_start = -1
            if i >= end:
                break
            i += space_length(text, i)
        else:
            if b == 0x7B:
                found |= CURLY
            if word_start < 0:
                word_start = i
                n_words += 1
                n_sentences += may_end
            i += step
        run = i
    if n_words < min_words:
        found |= FEW_WORDS
    b = text[end - 1] if end > start else uint8(0)
    if b == 0x2E:
        if end - start >= 3 and text[end - 2] == 0x2E and text[end - 3] == 0x2E:
            found |= NO_END
    elif b != 0x3F and b != 0x21 and b != 0x22:
        found |= NO_END
    return found, n_sentences + (n_words > 0)


_Found = types.Tuple(  # type: ignore[no-untyped-call]
    (int64[:, ::1], int64[::1], int64[:, ::1], uint8[::1], int64[::1], int64[:, ::1])
)


@njit(
    _Found(BYTES, OFFSETS, int64, BYTES, BYTES,
           BYTES, _INTS, _SHORTS, _SHORTS, _SHORTS, _INTS, BYTES),
    cache=True,
    nogil=True,
)  # fmt: skip
def _find(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    min_words: int,
    word: npt.NDArray[np.uint8],
    decimal: npt.NDArray[np.uint8],
    entries: npt.NDArray[np.uint8],
    entry_starts: npt.NDArray[np.int32],
    word_slots: npt.NDArray[np.uint16],
    phrase_heads: npt.NDArray[np.uint16],
    next_phrases: npt.NDArray[np.uint16],
    phrase_gaps: npt.NDArray[np.int32],
    phrase_bits: npt.NDArray[np.uint8],
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.uint8],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
]:
    n_docs = len(offsets) - 1
    longest = 0
    most_lines = n_docs
    most_citations = 0
    for doc in range(n_docs):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    for b in text[offsets[0] : offsets[n_docs]]:
        # The last bytes of line breaks; some end other characters too.
        most_lines += (b >= 0x0A) & (b <= 0x0D) | (b >= 0x1C) & (b <= 0x1E)
        most_lines += (b == 0x85) | (b == 0xA8) | (b == 0xA9)
        most_citations += b == 0x5B
    copied = np.empty(longest + longest // 2 + 1, np.uint8)  # touched only if needed
    counts = np.zeros((n_docs, 9), np.int64)
    line_offsets, citation_offsets = np.zeros(n_docs + 1, np.int64), np.zeros(n_docs + 1, np.int64)
    lines, rules = np.empty((most_lines, 2), np.int64), np.empty(most_lines, np.uint8)
    citations = np.empty((most_citations, 2), np.int64)
    n_lines = n_citations = 0
    for doc in range(n_docs):
        next_line, end = offsets[doc], offsets[doc + 1]
        position = 0
        row = counts[doc]
        while next_line < end:
            start = next_line
            line_end, next_line, n_code_points, is_odd = end_of_line(text, start, end)
            lines[n_lines, 0] = position
            lines[n_lines, 1] = position + n_code_points
            strip_start, strip_end = start, line_end
            while strip_start < strip_end:
                space = space_length(text, strip_start)
                if space == 0:
                    break
                strip_start += space
            while strip_start < strip_end:
                last = strip_end - 1
                while (text[last] & 0xC0) == 0x80:
                    last -= 1
                if space_length(text, last) == 0:
                    break
                strip_end = last
            found = 0
            may_be_long = strip_end - strip_start > LONGEST_WORD
            if may_be_long and has_long_word(text, strip_start, strip_end, LONGEST_WORD):
                found = LONG_WORD
            source, source_start, source_end = text, strip_start, strip_end
            if is_odd:
                for k in range(start, strip_start):
                    position += (text[k] & 0xC0) != 0x80
                source_end, n_citations = copy_line(
                    text, strip_start, strip_end, position, decimal, copied,
                    citations, n_citations,
                )  # fmt: skip
                source, source_start = read_only(copied), int64(0)
            position = lines[n_lines, 1]
            has, n_sentences = scan_line(
                source, source_start, source_end, min_words, word,
                entries, entry_starts, word_slots,
                phrase_heads, next_phrases, phrase_gaps, phrase_bits,
            )  # fmt: skip
            found |= has
            is_kept = found & (LONG_WORD | NO_END | FEW_WORDS | JAVASCRIPT | POLICY) == 0
            row[0] += 1
            row[1] += is_kept
            row[2] += n_sentences * is_kept
            row[3] |= found & LOREM != 0
            row[4] |= found & CURLY != 0
            row[5] |= found & NAUGHTY != 0
            # C4's code looks for these in lines that no rule before has dropped.
            row[6] |= found & (LONG_WORD | NO_END | FEW_WORDS | LOREM) == LOREM
            row[7] |= found & (LONG_WORD | NO_END | FEW_WORDS | JAVASCRIPT | CURLY) == CURLY
            row[8] |= is_kept and found & NAUGHTY != 0
            rules[n_lines] = uint8(found & 31)
            n_lines += 1
        line_offsets[doc + 1] = n_lines
        citation_offsets[doc + 1] = n_citations
    return (
        counts,
        line_offsets,
        lines[:n_lines].copy(),
        rules[:n_lines].copy(),
        citation_offsets,
        citations[:n_citations].copy(),
    )


def find(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    words: WordList,
    *,
    min_words: int = 5,
) -> C4Lines:
    """Lines with the rules that they break, citations, and counts and flags of each document.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64. A line is kept if it breaks no
    rule; `sentence_count` is that of the kept lines.
    """
    return C4Lines(*_find(text_bytes, offsets, min_words, word_table(), decimal_table(), *words))
