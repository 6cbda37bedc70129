"""Lists of hosts, a million lines and more: which lines have the usual form and where the host is.

Usual is a host of two labels or more, alone or after `0.0.0.0` or `127.0.0.1`, with spaces and tabs
around; a line of other form is left to plain code. Labels are of ASCII letters, digits, `-`, `_`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types

from dolma_kit.kernels.unicode import BYTES, LEAF

#: of a line: empty or a comment, a host, a host after either address, anything else
NOTHING, ALONE, AFTER_ZERO, AFTER_LOOPBACK, OTHER = range(5)
ZERO = np.frombuffer(b"0.0.0.0", np.uint8)
LOOPBACK = np.frombuffer(b"127.0.0.1", np.uint8)


@njit(boolean(BYTES, int64, int64, BYTES), **LEAF)
def _starts_with(
    text: npt.NDArray[np.uint8], i: int, end: int, word: npt.NDArray[np.uint8]
) -> bool:
    """Whether the word and a space or tab stand at `i`."""
    if end - i <= len(word):
        return False
    for k in range(len(word)):
        if text[i + k] != word[k]:
            return False
    return bool(text[i + len(word)] == 32 or text[i + len(word)] == 9)


@njit(boolean(BYTES, int64, int64), **LEAF)
def _is_host(text: npt.NDArray[np.uint8], start: int, end: int) -> bool:
    """Labels, two at least, with single dots between."""
    n_dots = 0
    after_dot = True
    for i in range(start, end):
        byte = text[i]
        if byte == 46:
            if after_dot:
                return False
            n_dots += 1
            after_dot = True
        elif 97 <= (byte | 32) <= 122 or 48 <= byte <= 57 or byte == 45 or byte == 95:
            after_dot = False
        else:
            return False
    return n_dots > 0 and not after_dot


_Lines = types.Tuple(  # type: ignore[no-untyped-call]
    (types.uint8[::1], types.int64[::1], types.int64[::1])
)


@njit(_Lines(BYTES, BYTES, BYTES, BYTES), cache=True, nogil=True)
def read(
    text: npt.NDArray[np.uint8],
    comments: npt.NDArray[np.uint8],
    zero: npt.NDArray[np.uint8],
    loopback: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The lines of a text, which end in `\\n`: kinds (n,) uint8, starts and ends (n,) int64.

    Starts and ends are those of the host, or of a line of other form without spaces and tabs
    around. `comments` are the bytes that begin a comment; the others are ZERO and LOOPBACK.
    """
    n_lines = 1
    for byte in text:
        n_lines += byte == 10
    kinds = np.zeros(n_lines, np.uint8)
    starts = np.zeros(n_lines, np.int64)
    ends = np.zeros(n_lines, np.int64)
    i = 0
    for line in range(n_lines):
        start = i
        while i < len(text) and text[i] != 10:
            i += 1
        end = i
        i += 1
        while start < end and (text[start] == 32 or text[start] == 9):
            start += 1
        while start < end and (text[end - 1] == 32 or text[end - 1] == 9):
            end -= 1
        starts[line], ends[line] = start, end
        if start == end:
            continue
        is_comment = False
        for byte in comments:
            is_comment |= byte == text[start]
        if is_comment:
            continue
        kind = 1
        if _starts_with(text, start, end, zero):
            kind = 2
            start += len(zero)
        elif _starts_with(text, start, end, loopback):
            kind = 3
            start += len(loopback)
        while text[start] == 32 or text[start] == 9:
            start += 1
        if _is_host(text, start, end):
            kinds[line] = kind
            starts[line] = start
        else:
            kinds[line] = 4
    return kinds, starts, ends
