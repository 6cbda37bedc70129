"""What the other kernels know about text: UTF-8, Python's white space, letters and digits.

The tables come from the running Python, so that a kernel and `str.isalpha` never disagree. They
are bit tables, one bit a code point (`table[cp >> 3] >> (cp & 7) & 1`), built once per process in
some 15 ms and handed to kernels as arguments: a numba global would be frozen into the compiled
code on disk and outlive the Python it came from.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8

# Inputs may be views of Arrow buffers, which numpy marks read-only; a writable array is accepted
# where the signature says read-only, not the other way round.
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)

# For functions that allocate nothing. Without the first option numba counts a reference to each
# array at each call, which made the scan for white space five times slower.
LEAF: dict[str, Any] = {"_nrt": False, "cache": True, "nogil": True}

N_CODE_POINTS = 0x110000
ASSIGNED_PLANES = ((0, 0x40000), (0xE0000, 0xF0000))  # of the others, 15 and 16 are private


@njit(int64(BYTES, int64), **LEAF)
def char_length(text: npt.NDArray[np.uint8], i: int) -> int:
    """Bytes of the character that begins at byte `i`, by its first byte."""
    first = text[i]
    if first < 0x80:
        return 1
    if first < 0xE0:
        return 2
    if first < 0xF0:
        return 3
    return 4


@njit(int64(BYTES, int64), **LEAF)
def decode(text: npt.NDArray[np.uint8], i: int) -> int:
    """The code point that begins at byte `i` of valid UTF-8."""
    first = int(text[i])
    if first < 0x80:
        return first
    if first < 0xE0:
        return (first & 0x1F) << 6 | int(text[i + 1] & 0x3F)
    code_point = int(text[i + 1] & 0x3F) << 6 | int(text[i + 2] & 0x3F)
    if first < 0xF0:
        return (first & 0x0F) << 12 | code_point
    return (first & 0x07) << 18 | code_point << 6 | int(text[i + 3] & 0x3F)


@njit(int64(BYTES, int64), **LEAF)
def space_length(text: npt.NDArray[np.uint8], i: int) -> int:
    """Bytes of the white space character that begins at byte `i`, 0 if it is not white space.

    White space is what `str.isspace`, `str.split`, `str.strip` and the `\\s` of `re` agree on: 29
    code points, by their bytes. A byte inside a character is never taken for white space, so
    text can be scanned byte by byte.
    """
    b = text[i]
    if b <= 0x20:
        return 1 if b == 0x20 or 0x09 <= b <= 0x0D or 0x1C <= b <= 0x1F else 0
    if b == 0xC2:
        return 2 if text[i + 1] == 0x85 or text[i + 1] == 0xA0 else 0
    if b == 0xE2:
        last = text[i + 2]
        if text[i + 1] == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
            return 3 if last <= 0x8A or last == 0xA8 or last == 0xA9 or last == 0xAF else 0
        return 3 if text[i + 1] == 0x81 and last == 0x9F else 0  # U+205F
    if b == 0xE1:
        return 3 if text[i + 1] == 0x9A and text[i + 2] == 0x80 else 0  # U+1680
    if b == 0xE3:
        return 3 if text[i + 1] == 0x80 and text[i + 2] == 0x80 else 0  # U+3000
    return 0


@njit(boolean(BYTES, int64), **LEAF)
def has_bit(table: npt.NDArray[np.uint8], code_point: int) -> bool:
    """Whether a bit table (`alphabetic_table()`, `decimal_table()`) holds a code point."""
    return bool((table[code_point >> 3] >> uint8(code_point & 7)) & 1)


@njit(int64(BYTES, int64, int64), **LEAF)
def count_code_points(text: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """Characters that begin in bytes `start` to `end`."""
    n = 0
    for b in text[start:end]:
        n += (b & 0xC0) != 0x80
    return n


@njit(int64[::1](BYTES, OFFSETS), cache=True, nogil=True)
def code_point_counts(
    text_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Length of each document in code points, as Python's `len`.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64 -> (n_docs,) int64.
    """
    counts = np.empty(len(offsets) - 1, np.int64)
    for doc in range(len(counts)):
        counts[doc] = count_code_points(text_bytes, offsets[doc], offsets[doc + 1])
    return counts


def bit_table(test: Callable[[str], bool]) -> npt.NDArray[np.uint8]:
    """A predicate on characters as a bit table, (0x110000 / 8,) uint8, lowest bit first.

    It has to be false of unassigned and private characters: only the planes that Unicode gives
    characters to are gone through.
    """
    holds = np.zeros(N_CODE_POINTS, np.bool_)
    for first, last in ASSIGNED_PLANES:
        code_points = np.arange(first, last, dtype="<u4")
        characters = code_points.tobytes().decode("utf-32-le", "surrogatepass")
        holds[first:last] = np.fromiter(map(test, characters), np.bool_, len(characters))
    table = np.packbits(holds, bitorder="little")
    table.flags.writeable = False
    return table


@functools.cache
def alphabetic_table() -> npt.NDArray[np.uint8]:
    """The running Python's `str.isalpha` as a bit table."""
    return bit_table(str.isalpha)


@functools.cache
def decimal_table() -> npt.NDArray[np.uint8]:
    """The running Python's `str.isdecimal`, which is the `\\d` of `re`, as a bit table."""
    return bit_table(str.isdecimal)


@functools.cache
def punctuation_table() -> npt.NDArray[np.uint8]:
    """Unicode's punctuation and symbols (categories P and S) as a bit table."""
    return bit_table(lambda character: unicodedata.category(character)[0] in "PS")
