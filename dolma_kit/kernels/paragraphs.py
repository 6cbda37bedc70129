"""Paragraphs: the pieces of a text between separators, by bytes and by code points.

They are those of Python's `text.split(separator)`, but that a text which ends in a separator has
no further, empty paragraph after it, and an empty text has none. So the spans of a text's
paragraphs, each with the separator that follows it, tile the text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint64

from dolma_kit.kernels.unicode import BYTES, OFFSETS, char_length, count_code_points, space_length

_1 = np.uint64(1)
_ARRAYS = types.UniTuple(int64[::1], 5)  # type: ignore[no-untyped-call]


@njit(inline="always")
def _find(
    text_bytes: npt.NDArray[np.uint8], i: int, end: int, separator: npt.NDArray[np.uint8]
) -> int:
    """The first byte of the next separator in bytes `i` to `end`, or `end`."""
    lead, width = separator[0], len(separator)
    at, last = uint64(i), uint64(end)  # a signed index would be tested for negative ones
    while at < last:
        if text_bytes[at] == lead:
            j = 1
            while j < width and int64(at) + j < end and text_bytes[int64(at) + j] == separator[j]:
                j += 1
            if j == width:
                return int(at)
        at += _1
    return end


@njit(_ARRAYS(BYTES, OFFSETS, BYTES), cache=True, nogil=True)
def split(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    separator: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], ...]:
    """Paragraphs of each document: (n_bytes,) uint8, (n_docs + 1,) int64, separator (>= 1,) uint8.

    Five int64 arrays: `first` (n_docs + 1,), so that document i has paragraphs `first[i]` to
    `first[i + 1]`; and, (n_paragraphs,) each, the byte range `starts`, `ends` in `text_bytes`
    without the separator; the span `from_`, `to` in code points of the document, which covers the
    separator too. The separator is valid UTF-8, found from the left, without overlaps.
    """
    lead, width = separator[0], len(separator)
    most = len(offsets) - 1
    for b in text_bytes[offsets[0] : offsets[-1]]:
        most += b == lead
    first = np.empty(len(offsets), np.int64)
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    from_, to = np.empty(most, np.int64), np.empty(most, np.int64)
    width_in_code_points = count_code_points(separator, 0, width)
    n = 0
    for doc in range(len(offsets) - 1):
        first[doc] = n
        start, end = offsets[doc], offsets[doc + 1]
        position = 0  # code points before the paragraph
        i = start
        while i < end:
            i = _find(text_bytes, i, end, separator)
            starts[n], ends[n], from_[n] = start, i, position
            position += count_code_points(text_bytes, start, i)
            if i < end:
                position += width_in_code_points
                i += width
            to[n] = position
            n += 1
            start = i
    first[len(offsets) - 1] = n
    return first, starts[:n], ends[:n], from_[:n], to[:n]


@njit(boolean[::1](BYTES, OFFSETS, OFFSETS), cache=True, nogil=True)
def blank(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Which slices hold white space alone (`str.isspace`), or nothing: (n,) int64 -> (n,) bool."""
    found = np.empty(len(starts), np.bool_)
    for n in range(len(starts)):
        i, end = starts[n], ends[n]
        while i < end:
            step = space_length(text_bytes, i)
            if step == 0:
                break
            i += step
        found[n] = i >= end
    return found


@njit(int64[::1](BYTES, OFFSETS, OFFSETS), cache=True, nogil=True)
def code_points(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Code points of each slice: (n,) int64 -> (n,) int64."""
    counts = np.empty(len(starts), np.int64)
    for n in range(len(starts)):
        counts[n] = count_code_points(text_bytes, starts[n], ends[n])
    return counts


@njit(int64[::1](BYTES, OFFSETS, OFFSETS), cache=True, nogil=True)
def words(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """White-space words of each slice, as `len(text.split())`: (n,) int64 -> (n,) int64."""
    counts = np.empty(len(starts), np.int64)
    for n in range(len(starts)):
        i, end = starts[n], ends[n]
        count, within = 0, False
        while i < end:
            step = space_length(text_bytes, i)
            if step:
                within = False
                i += step
            else:
                count += not within
                within = True
                i += char_length(text_bytes, i)
        counts[n] = count
    return counts
