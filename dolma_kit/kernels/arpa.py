"""The lines of an ARPA file into the tables of a language model.

A line of the section `\\n-grams:` is a log10 probability, n words and perhaps a log10 backoff (0
where there is none), parted by tabs or spaces. Words are bytes; what they mean is not looked at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int64, njit, types, uint8, uint32, uint64, void

from dolma_kit.kernels.language_model import (
    FAST,
    FIRST_TABLE,
    LAYOUT,
    MAX_ORDER,
    ORDER,
    UNIGRAMS,
    UNKNOWN,
    VOCABULARY,
    VOCABULARY_SLOTS,
    extend,
    find,
    hash_word,
    is_unknown,
)
from dolma_kit.kernels.unicode import BYTES, LEAF

# What stopped `read_lines`; READ: no whole line, or no n-gram, is left.
(
    READ, NEXT_SECTION, FIELDS, NUMBER, POSITIVE, TWICE, UNKNOWN_WORD, LAST_BACKOFF, FULL,
) = range(9)  # fmt: skip
# Places in `progress`: where the next line begins, lines passed, n-grams still to come, the
# next free id of a word, and how many slots each table has taken from FIRST_TAKEN on, by n - 2.
POSITION, LINES, LEFT, NEXT_ID = range(4)
FIRST_TAKEN = 4

ENTRIES = types.uint32[::1]
VALUES = types.float32[::1]
PROGRESS = types.int64[::1]


@njit(float64(BYTES, int64, int64), **FAST)
def number(text: npt.NDArray[np.uint8], start: int, end: int) -> float:
    """A decimal number, exact for up to 19 digits but for the last bits of a double; else NaN."""
    i = start
    negative = i < end and text[i] == 0x2D
    if i < end and (text[i] == 0x2D or text[i] == 0x2B):
        i += 1
    digits = uint64(0)
    n_digits = n_kept = 0
    exponent = 0
    seen_point = False
    while i < end:
        b = text[i]
        if uint8(b - 0x30) < 10:
            n_digits += 1
            if n_kept < 19:
                digits = digits * uint64(10) + uint64(b - 0x30)
                n_kept += digits > 0
                exponent -= seen_point
            else:
                exponent += not seen_point
        elif b == 0x2E and not seen_point:
            seen_point = True
        else:
            break
        i += 1
    if n_digits == 0:
        return np.nan
    if i < end and (text[i] | 0x20) == 0x65:
        i += 1
        sign = 1
        if i < end and (text[i] == 0x2D or text[i] == 0x2B):
            sign = -1 if text[i] == 0x2D else 1
            i += 1
        if i == end:
            return np.nan
        power = 0
        while i < end and uint8(text[i] - 0x30) < 10:
            power = min(10 * power + int64(text[i] - 0x30), 10000)
            i += 1
        exponent += sign * power
    if i < end:
        return np.nan
    value = float64(digits)
    while exponent < 0 and value != 0.0:
        step = min(-exponent, 22)
        value /= 10.0**step
        exponent += step
    while exponent > 0 and value != 0.0 and value < 1e300:
        step = min(exponent, 22)
        value *= 10.0**step
        exponent -= step
    return -value if negative else value


@njit(void(ENTRIES, int64, uint64), **LEAF)
def _enter(entries: npt.NDArray[np.uint32], at: int, key: np.uint64) -> None:
    entries[at] = uint32(key & uint64(0xFFFFFFFF))
    entries[at + 1] = uint32(key >> uint64(32))


@njit(int64(BYTES, int64, int64, ENTRIES, LAYOUT), **LEAF)
def word_id(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    entries: npt.NDArray[np.uint32],
    layout: npt.NDArray[np.int64],
) -> int:
    """The id of a word, -1 where it is not in the vocabulary and not `<unk>` or `<UNK>`."""
    if is_unknown(text, start, end):
        return UNKNOWN
    key = hash_word(text, start, end)
    at = find(entries, layout[VOCABULARY], layout[VOCABULARY_SLOTS], 3, key)
    return int64(entries[at + 2]) if at >= 0 else -1


@njit(int64(int64, ENTRIES, VALUES, LAYOUT, PROGRESS, types.int64[::1]), **LEAF)
def _add_blanks(
    n: int,
    entries: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
    layout: npt.NDArray[np.int64],
    progress: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
) -> int:
    """See to it that an n-gram's ends, its last n - 1, n - 2, ... words, are held; READ or FULL."""
    for shorter in range(n - 1, 1, -1):
        key = uint64(words[n - 1])
        for k in range(2, shorter + 1):
            key = extend(key, words[n - k])
        table = FIRST_TABLE + 2 * (shorter - 2)
        at = find(entries, layout[table], layout[table + 1], 4, key)
        if at >= 0:
            break
        taken = FIRST_TAKEN + shorter - 2
        progress[taken] += 1
        if progress[taken] >= layout[table + 1]:
            return FULL
        at = -1 - at
        _enter(entries, at, key)
        values[at + 2] = np.nan
        values[at + 3] = 0.0
    return READ


@njit(int64(BYTES, int64, int64, ENTRIES, VALUES, LAYOUT, PROGRESS), cache=True, nogil=True)
def read_lines(
    text: npt.NDArray[np.uint8],
    end: int,
    n: int,
    entries: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
    layout: npt.NDArray[np.int64],
    progress: npt.NDArray[np.int64],
) -> int:
    """Read lines of n-grams from `progress[POSITION]` on, while whole ones are left before `end`.

    Empty lines are passed over. A code other than READ stands for the line at POSITION, which is
    not counted yet.
    """
    order = layout[ORDER]
    words = np.empty(MAX_ORDER, np.int64)
    while progress[LEFT] > 0:
        line = progress[POSITION]
        stop = line
        while stop < end and text[stop] != 0x0A:
            stop += 1
        if stop == end:
            return READ
        log10 = backoff = 0.0
        key = uint64(0)
        n_fields = 0
        fault = READ
        i = line
        while i < stop:
            b = text[i]
            if b == 0x20 or b == 0x09 or b == 0x0D:
                i += 1
                continue
            begin = i
            while i < stop and text[i] != 0x20 and text[i] != 0x09 and text[i] != 0x0D:
                i += 1
            if n_fields == 0:
                if text[begin] == 0x5C:
                    return NEXT_SECTION
                log10 = number(text, begin, i)
            elif n_fields <= n:
                words[n_fields - 1] = word_id(text, begin, i, entries, layout)
                if n == 1:
                    key = hash_word(text, begin, i)
                elif words[n_fields - 1] < 0 and fault == READ:
                    fault = UNKNOWN_WORD
            elif n_fields == n + 1:
                backoff = number(text, begin, i)
            n_fields += 1
        if n_fields > 0:
            if n_fields < n + 1 or n_fields > n + 2:
                return FIELDS
            if not (abs(log10) < 1e30 and abs(backoff) < 1e30):
                return NUMBER
            if log10 > 0.0:
                return POSITIVE
            if n == order and backoff != 0.0:
                return LAST_BACKOFF
            if fault != READ:
                return fault
            if n == 1 and words[0] == UNKNOWN:
                at = layout[UNIGRAMS]
                if values[at] == values[at]:
                    return TWICE
                values[at] = log10
                values[at + 1] = backoff
            else:
                table, width = VOCABULARY, 3
                if n > 1:
                    key = uint64(words[n - 1])
                    for k in range(2, n + 1):
                        key = extend(key, words[n - k])
                    table, width = FIRST_TABLE + 2 * (n - 2), 4 if n < order else 3
                at = find(entries, layout[table], layout[table + 1], width, key)
                if at >= 0:
                    return TWICE
                at = -1 - at
                _enter(entries, at, key)
                if n == 1:
                    word = progress[NEXT_ID]
                    progress[NEXT_ID] += 1
                    entries[at + 2] = word
                    at = layout[UNIGRAMS] + 2 * word - 2
                values[at + 2] = log10
                if n < order or n == 1:
                    values[at + 3] = backoff
                if 1 < n < order:
                    progress[FIRST_TAKEN + n - 2] += 1
                if n > 2:
                    fault = _add_blanks(n, entries, values, layout, progress, words)
                    if fault != READ:
                        return fault
            progress[LEFT] -= 1
        progress[POSITION] = stop + 1
        progress[LINES] += 1
    return READ
