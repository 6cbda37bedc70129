"""Paragraphs of punctuation alone.

The rule reproduced exactly is that of `not_alphanum_paragraph_v1` in Dolma 1.2.1,
`taggers/punctuation.py`: no `[a-zA-Z0-9]`, and the whole of it a match of

    ^([[:punct:]]|\\s|[\\U0001F300-\\U0001F64F\\U0001F680-\\U0001F6FF\\u2600-\\u27BF]+)+$

which means that every character belongs to one set. The pattern takes time exponential in a row of
characters that belong to both the first and the last class, where something else follows them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, njit

from dolma_kit.kernels.unicode import BYTES, OFFSETS, char_length, decode, has_bit


@njit(boolean[::1](BYTES, OFFSETS, OFFSETS, BYTES), cache=True, nogil=True)
def only_of(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint8],
) -> npt.NDArray[np.bool_]:
    """Which slices hold characters of a bit table alone, or nothing: (n,) int64 -> (n,) bool."""
    found = np.empty(len(starts), np.bool_)
    for n in range(len(starts)):
        i, end = starts[n], ends[n]
        while i < end and has_bit(table, decode(text_bytes, i)):
            i += char_length(text_bytes, i)
        found[n] = i >= end
    return found
