"""What a secret cannot do without, by the bytes of a line; see `dolma_kit.kernels.secrets`.

A *run* is a row of letters, digits, `_`, `-` and what is not ASCII, but for white space.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8, uint64

from dolma_kit.kernels.unicode import BYTES, LEAF

#: kinds: a string in quotes, a name such as `password`, a form of token
QUOTED, NAMED, TOKEN = 1, 2, 4
#: what a byte is to the scan: in a run, a break of lines, the end of a run, in a run and worth a
#: look, not ASCII
IN_RUN, BREAK, EDGE, LETTER, HIGH = 0, 1, 2, 3, 4

_MIN_DISTINCT, _MIN_DISTINCT_HEX = 22, 8  # 2**4.5 and 2**3 characters are not enough
_WORD = types.Bytes(uint8, 1, "C")


@njit(boolean(BYTES, int64, int64, _WORD), **LEAF)
def has_at(text: npt.NDArray[np.uint8], i: int, end: int, word: bytes) -> bool:
    """Whether a lower-case ASCII word stands at byte `i`, in either case."""
    if i < 0 or i + len(word) > end:
        return False
    for k in range(len(word)):
        b = text[i + k]
        if b != word[k] and not (0x41 <= b <= 0x5A and (b | 0x20) == word[k]):
            return False
    return True


@njit(boolean(BYTES, int64, int64, _WORD), **LEAF)
def is_at(text: npt.NDArray[np.uint8], i: int, end: int, word: bytes) -> bool:
    """Whether these very bytes stand at byte `i`."""
    if i < 0 or i + len(word) > end:
        return False
    k = 0
    while k < len(word) and text[i + k] == word[k]:
        k += 1
    return k == len(word)


@njit(int64(BYTES, int64, int64, BYTES), **LEAF)
def run_end(text: npt.NDArray[np.uint8], i: int, end: int, actions: npt.NDArray[np.uint8]) -> int:
    """Where the run that begins at byte `i` ends."""
    while i < end and actions[text[i]] != EDGE and actions[text[i]] != BREAK:
        i += 1
    return i


@njit(boolean(BYTES, int64, int64), **LEAF)
def follows_a_name(text: npt.NDArray[np.uint8], start: int, i: int) -> bool:
    """Whether what begins at byte `i` is assigned to a name that ends in key, pass, token, ...

    In front of it may stand a quote, spaces, one of `= : := => ::` or spaces alone, a bracket and
    a quote. Bytes before `start` are not looked at.
    """
    j = i - 1
    if j >= start and (text[j] == 0x22 or text[j] == 0x27):
        j -= 1
    n_signs = n_spaces = 0
    while j >= start and text[j] == 0x20:
        j -= 1
        n_spaces += 1
    while j >= start and n_signs < 2 and (text[j] == 0x3D or text[j] == 0x3A or text[j] == 0x3E):
        j -= 1
        n_signs += 1
    while j >= start and text[j] == 0x20:
        j -= 1
        n_spaces += 1
    if n_signs + n_spaces == 0:
        return False
    if j >= start and text[j] == 0x5D:
        j -= 1
    if j >= start and (text[j] == 0x22 or text[j] == 0x27):
        j -= 1
    end = j + 1
    return (
        (j - 2 >= start and has_at(text, j - 2, end, b"key"))
        or (j - 1 >= start and has_at(text, j - 1, end, b"pw"))
        or (j - 2 >= start and has_at(text, j - 2, end, b"pwd"))
        or (j - 3 >= start and has_at(text, j - 3, end, b"word"))
        or (j - 3 >= start and has_at(text, j - 3, end, b"pass"))
        or (j - 4 >= start and has_at(text, j - 4, end, b"token"))
    )


@njit(boolean(BYTES, int64, int64, int64, int64, BYTES), **LEAF)
def may_be_token(
    text: npt.NDArray[np.uint8],
    line: int,
    start: int,
    end: int,
    text_end: int,
    actions: npt.NDArray[np.uint8],
) -> bool:
    """Whether a run, bytes `start` to `end` of a line, can be part of a token of a known form."""
    size = end - start
    if size < 2:
        return False
    following = text[end] if end < text_end else uint8(0x0A)
    if following == 0x20 and is_at(text, end - 5, end, b"BEGIN"):
        return True
    if following == 0x3D and is_at(text, end - 10, end, b"AccountKey"):
        return True
    if (
        following == 0x2E
        and is_at(text, end - 2, end, b"SG")
        and run_end(text, end + 1, text_end, actions) - end > 22
    ):
        return True
    if size < 11:
        return False
    if is_at(text, start, end, b"AKC") or is_at(text, start, end, b"AP"):
        return True
    if size < 20:
        return False
    if size >= 64 and start > line and text[start - 1] == 0x2F:
        return True
    if size >= 24:
        if follows_a_name(text, line, start):
            return True
        if following == 0x2E:
            middle = run_end(text, end + 1, text_end, actions)
            if (
                middle - end > 6
                and middle < text_end
                and text[middle] == 0x2E
                and run_end(text, middle + 1, text_end, actions) - middle > 27
            ):
                return True
    for i in range(start, end):
        b = text[i]
        if b == 0x41:
            if is_at(text, i, end, b"AKIA") or (end - i >= 34 and text[i + 1] == 0x43):
                return True
        elif b == 0x53:
            if end - i >= 34 and text[i + 1] == 0x4B:
                return True
        elif b == 0x67:
            if end - i >= 40 and text[i + 1] == 0x68 and text[i + 3] == 0x5F:
                return True
        elif b == 0x2D:
            if i - start >= 32 and is_at(text, i, end, b"-us"):
                return True
        elif b == 0x6B:
            if is_at(text, i, end, b"k_live_"):
                return True
        elif b == 0x50 and is_at(text, i, end, b"PuTTY-User-Key-File-2"):
            return True
    return False


@njit(boolean(BYTES, int64, int64, int64), **LEAF)
def may_be_name(text: npt.NDArray[np.uint8], start: int, i: int, end: int) -> bool:
    """Whether the p, c or k at byte `i` belongs to a name such as `password` or `api_key`."""
    b = text[i] | 0x20
    if b == 0x63:
        return (i - 2 >= start and has_at(text, i - 2, end, b"secret")) or has_at(
            text, i, end, b"contras"
        )
    if b == 0x70:
        if has_at(text, i, end, b"pwd") or has_at(text, i, end, b"passw"):
            return True
        if not has_at(text, i, end, b"pass"):
            return False
    elif not has_at(text, i, end, b"key"):
        return False
    j = i - 1 if i > start and text[i - 1] == 0x5F else i
    if j - 2 < start:
        return False
    before, last = int(text[j - 2] | 0x20), int(text[j - 1] | 0x20)
    if b == 0x70:  # db, database, key
        return (before == 0x64 and last == 0x62) or last == 0x65 or last == 0x79
    # api, auth, service, account or client, db, database, priv, private
    pair = before << 8 | last
    return pair in (0x7069, 0x7468, 0x6365, 0x6E74, 0x6462, 0x7365, 0x6976, 0x7465)


@njit(int64(BYTES, int64, int64, int64), **LEAF)
def in_quotes(text: npt.NDArray[np.uint8], line: int, start: int, end: int) -> int:
    """Kinds that a string of base64's characters in quotes may be, bytes `start` to `end`."""
    low = high = uint64(0)
    all_hex, no_dash = True, True
    for i in range(start, end):
        b = text[i]
        if b < 0x40:
            low |= uint64(1) << uint64(b)
        else:
            high |= uint64(1) << uint64(b - 0x40)
        no_dash &= b != 0x5F and b != 0x2D and b != 0x5C and b != 0x3D
        all_hex &= 0x30 <= b <= 0x39 or 0x61 <= (b | 0x20) <= 0x66
    n_distinct = 0
    while low != 0:
        low &= low - uint64(1)
        n_distinct += 1
    while high != 0:
        high &= high - uint64(1)
        n_distinct += 1
    kinds = 0
    if n_distinct >= _MIN_DISTINCT or (all_hex and n_distinct >= _MIN_DISTINCT_HEX):
        kinds = QUOTED
    if no_dash and end - start == 40:
        # `aws` is at most 51 characters before the quote, of 4 bytes at most.
        for i in range(max(line, start - 1 - 4 * 51), start - 2):
            if has_at(text, i, start, b"aws"):
                return kinds | TOKEN
    return kinds
