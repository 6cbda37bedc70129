"""Words of text as Unicode parts them: the word boundaries of UAX #29, Unicode 16.0.

https://www.unicode.org/reports/tr29/tr29-45.html, section 4.1, without tailoring; equal to the
library uniseg 0.10.1. Every character is in a word: white space and punctuation are words, too.

At a boundary nothing of what stands before it matters any more, so one function, `word_end`, finds
the end of the word that begins at a boundary. It looks at each character once, and at those that
rule WB4 skips once more where a rule asks for the character after the next.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types

from dolma_kit.kernels import character_classes
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS, char_length, decode, space_length

OTHER = 0
(
    ALETTER, HEBREW, NUMERIC, EXTENDNUMLET, KATAKANA, REGIONAL, WSEGSPACE,
    MIDLETTER, MIDNUM, MIDNUMLET, SINGLE_QUOTE, DOUBLE_QUOTE,
    EXTEND, FORMAT, ZWJ, NEWLINE, CR, LF,
) = range(1, 19)  # fmt: skip
PICTOGRAPHIC = 32  # beside one of those

CODES = {
    "ALetter": ALETTER,
    "Hebrew_Letter": HEBREW,
    "Numeric": NUMERIC,
    "ExtendNumLet": EXTENDNUMLET,
    "Katakana": KATAKANA,
    "Regional_Indicator": REGIONAL,
    "WSegSpace": WSEGSPACE,
    "MidLetter": MIDLETTER,
    "MidNum": MIDNUM,
    "MidNumLet": MIDNUMLET,
    "Single_Quote": SINGLE_QUOTE,
    "Double_Quote": DOUBLE_QUOTE,
    "Extend": EXTEND,
    "Format": FORMAT,
    "ZWJ": ZWJ,
    "Newline": NEWLINE,
    "CR": CR,
    "LF": LF,
    "Extended_Pictographic": PICTOGRAPHIC,
}

# What two characters that follow one another, but for what WB4 skips, have between them: 0, a
# boundary; _JOIN, none; _IN_PAIRS, none if the first is the first of a pair (WB15, WB16). Or, as
# bits, the classes that the character after them has to have for there to be none; it then is
# joined, too. With _JOIN among the bits there is none in any case.
_JOIN, _IN_PAIRS = 1, 16


def _pairs() -> npt.NDArray[np.uint8]:
    """The rules WB5 to WB16 by the classes of the characters before and after, (13, 13) uint8."""
    table = np.zeros((DOUBLE_QUOTE + 1, DOUBLE_QUOTE + 1), np.uint8)
    letters = (ALETTER, HEBREW)
    of_words = (*letters, NUMERIC)
    for before in of_words:  # WB5, WB8, WB9, WB10
        for after in of_words:
            table[before, after] = _JOIN
    for before in letters:  # WB6, WB7
        for after in (MIDLETTER, MIDNUMLET, SINGLE_QUOTE):
            table[before, after] = 1 << ALETTER | 1 << HEBREW
    table[HEBREW, SINGLE_QUOTE] |= _JOIN  # WB7a
    table[HEBREW, DOUBLE_QUOTE] = 1 << HEBREW  # WB7b, WB7c
    for after in (MIDNUM, MIDNUMLET, SINGLE_QUOTE):  # WB11, WB12
        table[NUMERIC, after] = 1 << NUMERIC
    table[KATAKANA, KATAKANA] = _JOIN  # WB13
    for other in (*of_words, KATAKANA, EXTENDNUMLET):  # WB13a, WB13b
        table[other, EXTENDNUMLET] = table[EXTENDNUMLET, other] = _JOIN
    table[REGIONAL, REGIONAL] = _IN_PAIRS
    return table


_PAIRS = _pairs()
_COUNTS = types.UniTuple(int64[::1], 2)  # type: ignore[no-untyped-call]


@njit(int64(BYTES, int64, int64, BYTES), **LEAF)
def next_class(text: npt.NDArray[np.uint8], i: int, end: int, table: npt.NDArray[np.uint8]) -> int:
    """The class, without PICTOGRAPHIC, of the first character from byte `i` on that WB4 does not
    skip; OTHER where the text ends."""
    while i < end:
        found = int(table[decode(text, i)] & 31)
        if found < EXTEND or found > ZWJ:
            return found
        i += char_length(text, i)
    return OTHER


@njit(int64(BYTES, int64, int64, BYTES), **LEAF)
def word_end(text: npt.NDArray[np.uint8], i: int, end: int, table: npt.NDArray[np.uint8]) -> int:
    """Where the word ends that begins at byte `i`, a boundary before byte `end`."""
    before = OTHER  # class of the last character that WB4 does not skip
    last = LF  # and of the last one, whatever it is
    n_regional = 0  # in a row
    begin = i
    while i < end:
        b = text[i]
        size = 1
        if b < 0x80:
            found = int64(table[b])
            if found == ALETTER and before == ALETTER:  # what most of a text is
                last = ALETTER
                i += 1
                continue
        else:
            size = char_length(text, i)
            found = int64(table[decode(text, i)])
        now = found & 31
        if i == begin:
            if now >= NEWLINE:  # WB3a, but for WB3
                i += size
                return i + 1 if now == CR and i < end and text[i] == 0x0A else i
            before = OTHER if now >= EXTEND else now
        elif now >= NEWLINE:  # WB3b
            return i
        elif now >= EXTEND:  # WB4
            pass
        elif last == ZWJ and found >= PICTOGRAPHIC:  # WB3c
            before = now
        elif now == WSEGSPACE:  # WB3d
            if last != WSEGSPACE:
                return i
            before = now
        else:
            rule = int64(_PAIRS[before, now])
            if rule == 0 or (rule == _IN_PAIRS and n_regional % 2 == 0):
                return i
            if rule > _JOIN and rule != _IN_PAIRS:
                after = next_class(text, i + size, end, table)
                if OTHER < after <= NUMERIC and rule >> after & 1:
                    now = before  # so that it joins what comes next
                elif rule & _JOIN == 0:
                    return i
            before = now
        n_regional = n_regional + 1 if now == REGIONAL else n_regional
        last = found & 31
        i += size
    return i


@njit(types.Tuple((int64[::1], int64[::1]))(BYTES, OFFSETS, OFFSETS, BYTES), cache=True, nogil=True)  # type: ignore[no-untyped-call]
def _words(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    first = np.zeros(len(starts) + 1, np.int64)
    bounds = np.empty(1024, np.int64)
    n = 0
    for k in range(len(starts)):
        i, end = starts[k], ends[k]
        while i < end:
            i = word_end(text, i, end, table)
            if n == len(bounds):
                grown = np.empty(2 * n, np.int64)
                grown[:n] = bounds
                bounds = grown
            bounds[n] = i
            n += 1
        first[k + 1] = n
    return first, bounds[:n].copy()


@njit(_COUNTS(BYTES, OFFSETS, OFFSETS, BYTES), cache=True, nogil=True)
def _count(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    counts, visible = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    for k in range(len(starts)):
        i, end = starts[k], ends[k]
        n = n_blank = 0
        while i < end:
            step = space_length(text, i)
            after = word_end(text, i, end, table)
            n += 1
            if step > 0:
                while i < after and step > 0:
                    i += step
                    step = space_length(text, i) if i < after else 0
                n_blank += i >= after
            i = after
        counts[k], visible[k] = n, n - n_blank
    return counts, visible


@functools.cache
def word_break_table() -> npt.NDArray[np.uint8]:
    """The class of each code point, (0x110000,) uint8: the sum of its codes in CODES."""
    return character_classes.table("word_break", CODES)


def words(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The words of slices: `first` (n + 1,) int64, and where each word ends, (n_words,) int64.

    Slice i, bytes `starts[i]` to `ends[i]` of `text_bytes`, is valid UTF-8, a text of its own. Its
    words are those from `first[i]` up to `first[i + 1]`: one begins where the one before it ends,
    the first at `starts[i]`.
    """
    first, word_ends = _words(text_bytes, starts, ends, word_break_table())
    return first, word_ends


def count(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many words each slice has, and how many of them are not white space alone.

    (n,) int64 each; slices as in `words`, white space as in `str.isspace`.
    """
    n_words, n_visible = _count(text_bytes, starts, ends, word_break_table())
    return n_words, n_visible
