"""Text as cc_net normalises it before a language model sees it, and its lines.

Wenzek et al. 2019 (arXiv:1911.00359), cc_net/text_normalizer.py, `normalize`: lower case, accents
off (canonical decomposition without the characters of the category Mn), decimal digits become 0,
some Unicode punctuation becomes ASCII, control characters vanish, tabs and line feeds with them.

Each step maps code point by code point, so all of them together do; the table is made by the
running Python. Slices that hold what such a table cannot say go through Python itself: the capital
sigma, whose lower case depends on what stands around it, and combining characters that are not
taken off and that decomposition would put in another order.
"""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np
import numpy.typing as npt
from numba import boolean, njit, types

from dolma_kit.kernels.interning import I64
from dolma_kit.kernels.unicode import (
    ASSIGNED_PLANES,
    BYTES,
    LEAF,
    N_CODE_POINTS,
    OFFSETS,
    char_length,
    decode,
)

# cc_net's replacements of punctuation. Its entry for the full-width digit 1 is left out: digits are
# 0 by then.
PUNCTUATION = str.maketrans(
    {
        "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"',
        "」": '"', "「": '"', "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?",
        "！": "!", "（": "(", "）": ")", "；": ";", "–": "-", "—": " - ", "．": ". ", "～": "~",
        "’": "'", "…": "...", "━": "-", "〈": "<", "〉": ">", "【": "[", "】": "]", "％": "%",
        "►": "-",
    }
)  # fmt: skip
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DIGIT = re.compile(r"\d")
_SIGMA = 0x3A3
# The categories of what may change, or may have to be asked for, though it stays when decomposed:
# marks, digits, control characters.
_TOUCHED = {"Mn", "Mc", "Me", "Nd", "Cc"}

# What the table says of a code point other than where its replacement stands.
_SAME, _ASK_PYTHON, _KEPT_MARK = 0, -1, -2
_GROWTH = 3  # bytes that one byte becomes, at most: syllables of Hangul
_TABLE = types.Array(types.int32, 1, "C", readonly=True)


def normalized(text: str) -> str:
    """What cc_net's `normalize` gives for a text that was stripped."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    bare = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    return _CONTROL.sub("", _DIGIT.sub("0", bare).translate(PUNCTUATION))


@functools.cache
def table() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """(0x110000,) int32 and a pool of bytes: where in it the replacement of a code point stands.

    That is one byte, its length, and the replacement itself. Other values see _SAME.
    """
    index = np.zeros(N_CODE_POINTS, np.int32)
    pool = bytearray(b"\0")
    places: dict[bytes, int] = {}
    for first, last in ASSIGNED_PLANES:
        points = [c for c in range(first, last) if not 0xD800 <= c < 0xE000]
        characters = list(map(chr, points))
        lowered = "\n".join(map(str.lower, characters))  # a line feed keeps its neighbours apart
        decomposed = unicodedata.normalize("NFD", lowered)
        pieces = decomposed.split("\n")
        if first == 0:  # the line feed itself made two empty pieces
            pieces[0x0A:0x0C] = [""]
        categories = map(unicodedata.category, characters)
        for point, character, piece, category in zip(
            points, characters, pieces, categories, strict=True
        ):
            if piece == character and category not in _TOUCHED and point not in PUNCTUATION:
                continue
            kept = [c for c in piece if unicodedata.category(c) != "Mn"]
            if any(unicodedata.combining(c) for c in kept):
                index[point] = _KEPT_MARK if piece == character else _ASK_PYTHON
                continue
            made = _CONTROL.sub("", _DIGIT.sub("0", "".join(kept)).translate(PUNCTUATION))
            if made != character:
                encoded = made.encode()
                place = places.setdefault(encoded, len(pool))
                if place == len(pool):
                    pool += bytes([len(encoded)]) + encoded
                index[point] = place
    index[_SIGMA] = _ASK_PYTHON
    made_pool = np.frombuffer(bytes(pool), np.uint8)
    index.flags.writeable = False
    return index, made_pool


@njit(types.void(BYTES, OFFSETS, OFFSETS, _TABLE, BYTES, types.uint8[::1], I64), **LEAF)
def _normalize(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    index: npt.NDArray[np.int32],
    pool: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
) -> None:
    """Write the slices one after the other; one that Python has to be asked for gets the end -1."""
    at = 0
    for n in range(len(starts)):
        i, end = starts[n], ends[n]
        begin = at
        asks = False
        after_mark = False  # whether what was written last is a combining character
        while i < end:
            b = text[i]
            size = 1 if b < 0x80 else char_length(text, i)
            place = index[b if b < 0x80 else decode(text, i)]
            if place > 0:
                for k in range(place + 1, place + 1 + pool[place]):
                    out[at] = pool[k]
                    at += 1
                    after_mark = False
            elif place == _ASK_PYTHON or (place == _KEPT_MARK and after_mark):
                asks = True
                break
            else:
                after_mark = place == _KEPT_MARK
                for k in range(size):
                    out[at] = text[i + k]
                    at += 1
            i += size
        bounds[2 * n] = begin
        bounds[2 * n + 1] = at
        if asks:
            bounds[2 * n + 1] = -1
            at = begin


def normalize(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`normalized` of each slice: bytes, starts and ends anew; (n,) int64 each.

    Slice i is `text_bytes[starts[i]:ends[i]]`, valid UTF-8 without white space at its ends.
    """
    out = np.empty(_GROWTH * int((ends - starts).sum()), np.uint8)
    bounds = np.empty((len(starts), 2), np.int64)
    _normalize(text_bytes, starts, ends, *table(), out, bounds.reshape(-1))
    asked = np.flatnonzero(bounds[:, 1] < 0)
    at = int(bounds[:, 1].max(initial=0))
    out = out[:at]
    parts = [out]
    for n in asked.tolist():
        made = normalized(text_bytes[starts[n] : ends[n]].tobytes().decode()).encode()
        parts.append(np.frombuffer(made, np.uint8))
        bounds[n] = at, at + len(made)
        at += len(made)
    if len(parts) > 1:
        out = np.concatenate(parts)
    return out, np.ascontiguousarray(bounds[:, 0]), np.ascontiguousarray(bounds[:, 1])


_Split = types.Tuple((types.int64[::1], types.int64[::1], types.int64[::1]))  # type: ignore[no-untyped-call]


@njit(_Split(BYTES, OFFSETS, boolean), cache=True, nogil=True)
def split_lines(
    text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], by_line: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Starts and ends of the lines of documents, and the number of each document's first line.

    Lines are those of `str.split("\\n")`, or with `by_line` false whole documents; an empty
    document has none. (n_lines,) int64 twice, (n_docs + 1,) int64.
    """
    n_docs = len(offsets) - 1
    n = n_docs
    if by_line:
        for i in range(offsets[0], offsets[n_docs]):
            n += text[i] == 0x0A
    starts, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    first_lines = np.zeros(n_docs + 1, np.int64)
    n = 0
    for doc in range(n_docs):
        start, end = offsets[doc], offsets[doc + 1]
        if start < end:
            starts[n] = start
            if by_line:
                for i in range(start, end):
                    if text[i] == 0x0A:
                        ends[n] = i
                        n += 1
                        starts[n] = i + 1
            ends[n] = end
            n += 1
        first_lines[doc + 1] = n
    return starts[:n].copy(), ends[:n].copy(), first_lines
