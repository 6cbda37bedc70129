"""What a line is to C4: where it ends, what is cut out of it, how many sentences it has.

As in tensorflow_datasets, `text/c4_utils.py`; but its sentences are those of NLTK's Punkt, a model,
for which `ends_sentence` stands here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8, uint64

from dolma_kit.kernels.unicode import BYTES, LEAF, char_length, decode, has_bit, space_length

_1 = np.uint64(1)
_MARKS = np.frombuffer(b"[edit][citation needed]", np.uint8)

_Split = types.UniTuple(int64, 4)  # type: ignore[no-untyped-call]


@njit(_Split(BYTES, int64, int64), **LEAF)
def end_of_line(text: npt.NDArray[np.uint8], start: int, end: int) -> tuple[int, int, int, int]:
    """The line that begins at byte `start`, as `str.splitlines` splits.

    Returns where it ends and where the next begins (the same at the end of a text), its code
    points with those of the line break, and 1 if it has to be looked at closely: if it has a `[`,
    U+0130 or a character like U+212A.
    """
    n_continuations = is_odd = 0
    at, last = uint64(start), uint64(end)  # a signed index would be tested for negative ones
    while at < last:
        b = text[at]
        if 0x20 <= b < 0x80:
            is_odd |= b == 0x5B
            at += _1
            continue
        i = int(int64(at))
        size = 1
        if b < 0x20:
            is_break = 0x0A <= b <= 0x0D or 0x1C <= b <= 0x1E
            if b == 0x0D and i + 1 < end and text[i + 1] == 0x0A:
                size = 2
        else:
            size = char_length(text, i)
            n_continuations += size - 1
            c = text[i + 1]
            is_break = (b == 0xC2 and c == 0x85) or (
                b == 0xE2 and c == 0x80 and text[i + 2] >> 1 == 0x54  # U+2028, U+2029
            )
            is_odd |= (b == 0xC4 and c == 0xB0) or (b == 0xE2 and c == 0x84)
        at += uint64(size)
        if is_break:
            return i, i + size, i + size - start - n_continuations, is_odd
    return end, end, end - start - n_continuations, is_odd


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def has_long_word(text: npt.NDArray[np.uint8], start: int, end: int, most: int) -> bool:
    """Whether a word of `str.split` in bytes `start` to `end` has more than `most` code points."""
    size = 0
    i = start
    while i < end:
        space = space_length(text, i)
        if space > 0:
            size = 0
            i += space
        else:
            size += 1
            if size > most:
                return True
            i += char_length(text, i)
    return False


@njit(int64(BYTES, int64, int64, BYTES), **LEAF)
def citation_length(
    text: npt.NDArray[np.uint8], i: int, end: int, decimal: npt.NDArray[np.uint8]
) -> int:
    """Bytes of the citation mark that begins with the `[` at byte `i`, 0 if there is none.

    It is what `\\[\\d*\\]|\\[edit\\]|\\[citation needed\\]` matches.
    """
    k = i + 1
    while k < end and (
        uint8(text[k] - 0x30) < 10 or (text[k] >= 0x80 and has_bit(decimal, decode(text, k)))
    ):
        k += char_length(text, k)
    if k < end and text[k] == 0x5D:
        return k + 1 - i
    first, behind = 0, 6  # of the mark in _MARKS that it may be
    if i + 1 < end and text[i + 1] == 0x63:
        first, behind = 6, 23
    if i + behind - first > end:
        return 0
    for j in range(behind - first):
        if text[i + j] != _MARKS[first + j]:
            return 0
    return behind - first


_Copied = types.UniTuple(int64, 2)  # type: ignore[no-untyped-call]


@njit(_Copied(BYTES, int64, int64, int64, BYTES, uint8[::1], int64[:, ::1], int64), **LEAF)
def copy_line(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    position: int,
    decimal: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    citations: npt.NDArray[np.int64],
    n_citations: int,
) -> tuple[int, int]:
    """Copy a line without citations, with U+0130 and U+212A as ASCII letters (and U+0307).

    `position` is that of byte `start` in code points; `out` has room for 3 bytes for each 2.
    Returns the bytes written and the citations so far.
    """
    n = 0
    i = start
    while i < end:
        b = text[i]
        if b == 0x5B:
            size = citation_length(text, i, end, decimal)
            if size > 0:
                citations[n_citations, 0] = position
                for k in range(i, i + size):
                    position += (text[k] & 0xC0) != 0x80
                citations[n_citations, 1] = position
                n_citations += 1
                i += size
                continue
        position += (b & 0xC0) != 0x80
        if b == 0xC4 and text[i + 1] == 0xB0:
            out[n], out[n + 1], out[n + 2] = uint8(0x49), uint8(0xCC), uint8(0x87)
            n += 3
            i += 2
        elif b == 0xE2 and text[i + 1] == 0x84 and text[i + 2] == 0xAA:
            out[n] = uint8(0x4B)
            n += 1
            i += 3
        else:
            out[n] = b
            n += 1
            i += 1
    return n, n_citations


@njit(boolean(BYTES, int64, int64), **LEAF)
def ends_sentence(text: npt.NDArray[np.uint8], start: int, end: int) -> bool:
    """Whether a word that is not the last of its line may be the last of a sentence.

    It is if it ends in `.`, `?`, `!` or U+2026, with closing quotes and brackets after it; unless
    the full stop is that of an initial (`J.`) or a title (Mr, Mrs, Ms, Dr, Prof, St).
    """
    while end > start:
        b = text[end - 1]
        if b == 0x22 or b == 0x27 or b == 0x29 or b == 0x5D or b == 0x7D:  # " ' ) ] }
            end -= 1
        elif (
            end - start >= 3
            and text[end - 3] == 0xE2
            and text[end - 2] == 0x80
            and (
                b == 0x99 or b == 0x9D  # right quotes
            )
        ):
            end -= 3
        elif end - start >= 2 and text[end - 2] == 0xC2 and b == 0xBB:  # the right guillemet
            end -= 2
        else:
            break
    if end == start:
        return False
    b = text[end - 1]
    if b == 0x3F or b == 0x21:
        return True
    if b == 0xA6:
        return end - start >= 3 and text[end - 3] == 0xE2 and text[end - 2] == 0x80
    if b != 0x2E:
        return False
    while start < end - 1 and uint8((text[start] | 0x20) - 0x61) >= 26:
        start += 1
    size = end - 1 - start
    if size > 4 or size < 1:
        return True
    key = 0
    for i in range(start, end - 1):
        key = key << 8 | int64(text[i] | 0x20)
    if size == 1:
        return not uint8(text[start] - 0x41) < 26
    return not (
        key == 0x6D72 or key == 0x6D7273 or key == 0x6D73  # mr mrs ms
        or key == 0x6472 or key == 0x70726F66 or key == 0x7374  # dr prof st
    )  # fmt: skip
