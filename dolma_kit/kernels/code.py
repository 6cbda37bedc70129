"""Source code as the rules of RedPajama see it: notices at the top, lines, characters and tokens.

The rules reproduced are those of Dolma 1.2.1, `taggers/code/code_taggers.py`. A *notice* is the
first comment `/* ... */` of a text, if it says `copyright`; in a text without such a comment, the
lines at its top that begin with `//`, `#` or `--` or are empty. Tokens are the matches of
`\\w+|[^\\w\\s]+` of the library regex, which counts combining marks as word characters, and
U+001C to U+001F not as white space.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8

from dolma_kit.kernels.unicode import (
    ASSIGNED_PLANES,
    BYTES,
    LEAF,
    N_CODE_POINTS,
    OFFSETS,
    char_length,
    count_code_points,
    decode,
    space_length,
)
from dolma_kit.kernels.whitespace import LINE_BREAKS

NO_NOTICE, COPYRIGHT_NOTICE, COMMENT_BLOCK = 0, 1, 2

_ALNUM, _ALPHA, _WORD, _SPACE, _BREAK = 1, 2, 4, 8, 16


@njit(boolean(BYTES, int64, int64), **LEAF)
def says_copyright(text: npt.NDArray[np.uint8], start: int, end: int) -> bool:
    """Whether bytes `start` to `end` hold `copyright` as Python's re finds it in either case.

    Its i may be U+0130 or U+0131, bytes C4 B0 or C4 B1.
    """
    for i in range(start, end - 8):
        if text[i] | 0x20 != 0x63:
            continue
        j, k = i, 0
        while k < 9 and j < end:
            b = text[j]
            if k == 5 and b == 0xC4 and j + 1 < end and text[j + 1] in (0xB0, 0xB1):
                j += 1
            elif (b | 0x20) != b"copyright"[k] or b < 0x41:
                break
            j += 1
            k += 1
        if k == 9:
            return True
    return False


@njit(int64(BYTES, int64, int64, int64, int64), **LEAF)
def find_pair(text: npt.NDArray[np.uint8], i: int, end: int, first: int, second: int) -> int:
    """Where two bytes stand side by side from byte `i` on; -1 if nowhere."""
    for j in range(i, end - 1):
        if text[j] == first and text[j + 1] == second:
            return j
    return -1


@njit(int64[:, ::1](BYTES, OFFSETS), cache=True, nogil=True)
def find_notices(
    text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The notice of each document: kind, start and end in code points, (n_docs, 3) int64.

    The end of a comment block is where its lines would end if they had no line breaks, but for the
    empty ones, which have theirs: short of the block, and, in a text that is nothing but line
    breaks, or empty, one character beyond it.
    """
    found = np.zeros((len(offsets) - 1, 3), np.int64)
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        opening = find_pair(text, start, end, 0x2F, 0x2A)
        if opening >= 0:
            closing = find_pair(text, opening + 2, end, 0x2A, 0x2F)
            if closing >= 0:
                if says_copyright(text, opening, closing + 2):
                    found[doc, 0] = COPYRIGHT_NOTICE
                    found[doc, 1] = count_code_points(text, start, opening)
                    found[doc, 2] = found[doc, 1] + count_code_points(text, opening, closing + 2)
                continue
        i = start
        length = 0
        while i <= end:
            b = text[i] if i < end else uint8(0x0A)
            after = text[i + 1] if i + 1 < end else uint8(0)
            is_comment = b == 0x23 or (b == after and (b == 0x2F or b == 0x2D))
            if b != 0x0A and not is_comment:
                break
            found[doc, 0] = COMMENT_BLOCK
            j = i
            while j < end and text[j] != 0x0A:
                j += 1
            length += count_code_points(text, i, j) if j > i else 1
            i = j + 1
        found[doc, 2] = length
    return found


@njit(int64(BYTES, int64), **LEAF)
def break_length(text: npt.NDArray[np.uint8], i: int) -> int:
    """Bytes of the character at byte `i` if `str.splitlines` splits there, else 0."""
    b = text[i]
    if b < 0x80:
        return 1 if 0x0A <= b <= 0x0D or 0x1C <= b <= 0x1E else 0
    if b == 0xC2:
        return 2 if text[i + 1] == 0x85 else 0
    if b == 0xE2 and text[i + 1] == 0x80:
        return 3 if text[i + 2] == 0xA8 or text[i + 2] == 0xA9 else 0
    return 0


@njit(types.UniTuple(int64[::1], 4)(BYTES, OFFSETS), cache=True, nogil=True)  # type: ignore[no-untyped-call]
def stripped_lines(
    text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]
]:
    """The lines of `str.splitlines`, stripped, that are not empty then.

    Document, first byte, byte after the last, and code points of each, (n_lines,) int64.
    """
    n_most = 0
    for doc in range(len(offsets) - 1):
        n_most += 1
        i = offsets[doc]
        while i < offsets[doc + 1]:
            n_most += break_length(text, i) > 0
            i += 1
    docs, starts = np.empty(n_most, np.int64), np.empty(n_most, np.int64)
    ends, lengths = np.empty(n_most, np.int64), np.empty(n_most, np.int64)
    n = 0
    for doc in range(len(offsets) - 1):
        i, end = offsets[doc], offsets[doc + 1]
        while i < end:
            first = last = i
            is_blank = True
            while i < end and break_length(text, i) == 0:
                space = space_length(text, i)
                if space:
                    i += space
                    continue
                first = i if is_blank else first
                is_blank = False
                i += char_length(text, i)
                last = i
            if not is_blank:
                docs[n], starts[n], ends[n] = doc, first, last
                lengths[n] = count_code_points(text, first, last)
                n += 1
            if i < end:
                i += break_length(text, i)
    return docs[:n].copy(), starts[:n].copy(), ends[:n].copy(), lengths[:n].copy()


@functools.cache
def character_classes() -> npt.NDArray[np.uint8]:
    """What a code point is, (0x110000,) uint8: to the running Python and to the library regex."""
    import regex

    classes = np.zeros(N_CODE_POINTS, np.uint8)
    for first, last in ASSIGNED_PLANES:
        code_points = np.arange(first, last, dtype="<u4")
        characters = code_points.tobytes().decode("utf-32-le", "surrogatepass")
        for bit, test in ((_ALNUM, str.isalnum), (_ALPHA, str.isalpha)):
            holds = np.fromiter(map(test, characters), np.bool_, len(characters))
            classes[first:last] |= np.uint8(bit) * holds
        for bit, pattern in ((_WORD, r"\w+"), (_SPACE, r"\s+")):
            for match in regex.finditer(pattern, characters):
                classes[first + match.start() : first + match.end()] |= np.uint8(bit)
    classes[[ord(character) for character in LINE_BREAKS]] |= np.uint8(_BREAK)
    classes.flags.writeable = False
    return classes


@njit(int64[:, ::1](BYTES, OFFSETS, BYTES), cache=True, nogil=True)
def _count(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    counts = np.zeros((len(offsets) - 1, 7), np.int64)
    for doc in range(len(offsets) - 1):
        i, end = offsets[doc], offsets[doc + 1]
        n_characters = n_alnum = n_alpha = n_tokens = 0
        n_lines = longest = in_lines = 0
        length = 0
        within = -1  # of what kind of token, _WORD or 0; -1 in white space
        while i < end:
            b = text[i]
            if b < 0x80:
                what = classes[b]
                i += 1
            else:
                what = classes[decode(text, i)]
                i += char_length(text, i)
            n_characters += 1
            n_alnum += int64(what & _ALNUM)
            n_alpha += int64(what & _ALPHA)
            kind = -1 if what & _SPACE else int64(what & _WORD)
            n_tokens += kind >= 0 and kind != within
            within = kind
            if what & _BREAK == 0:
                length += 1
                continue
            if b == 0x0D and i < end and text[i] == 0x0A:
                i += 1
                n_characters += 1
            n_lines += 1
            in_lines += length
            longest = max(longest, length)
            length = 0
        if length > 0:
            n_lines += 1
            in_lines += length
            longest = max(longest, length)
        row = counts[doc]
        row[0], row[1], row[2], row[3] = n_characters, n_alnum, n_alpha // _ALPHA, n_tokens
        row[4], row[5], row[6] = n_lines, in_lines, longest
    return counts


def count(
    text_bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Of each document, (n_docs, 7) int64: characters; those of `str.isalnum` and of
    `str.isalpha`; tokens; lines, those of `str.splitlines`; characters in lines; and in the longest
    line. Characters are code points.
    """
    return np.asarray(_count(text_bytes, offsets, character_classes()))
