"""Replacing spans of texts: united where they overlap, then written out anew.

A *cut* says that code points [start, end) of a document become one of several texts. Cuts that
overlap are one *region*, which gets the text of the first of them (in the order given) that does
not quote what was there, else of the first; cuts that only touch stay apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types

from dolma_kit.kernels.unicode import BYTES, OFFSETS

_ARRAYS = types.UniTuple(int64[::1], 4)  # type: ignore[no-untyped-call]
_LEFT, _RIGHT = 0x7B, 0x7D  # { and }


@njit(int64(BYTES, int64, int64), inline="always")
def _forward(text: npt.NDArray[np.uint8], i: int, n: int) -> int:
    """The byte that lies `n` code points behind byte `i`, which begins one."""
    while n > 0:
        first = text[i]
        if first < 0x80:
            i += 1
        elif first < 0xE0:
            i += 2
        elif first < 0xF0:
            i += 3
        else:
            i += 4
        n -= 1
    return i


@njit(_ARRAYS(BYTES, OFFSETS, OFFSETS, OFFSETS, OFFSETS, OFFSETS, OFFSETS, BYTES), cache=True,
      nogil=True)  # fmt: skip
def regions(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    n_characters: npt.NDArray[np.int64],
    docs: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    choices: npt.NDArray[np.int64],
    quotes: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], ...]:
    """The regions of documents: (n_bytes,) uint8, (n_docs + 1,) int64, (n_docs,) int64, then
    (n_cuts,) int64 each, not empty, within their texts, and sorted by document, start, and from
    the longest down; `choices` are numbers of texts, `quotes` (n_texts,) which of these quote.

    Four int64 arrays, (n_regions,) each: document, first byte, byte after the last, both in
    `text_bytes`, and the number of the text.
    """
    most = len(docs)
    doc_of, from_ = np.empty(most, np.int64), np.empty(most, np.int64)
    to, chosen = np.empty(most, np.int64), np.empty(most, np.int64)
    n = i = 0
    last = -1
    at_byte = at = 0  # the same place in bytes of all and in code points of its document
    while i < most:
        doc = int(docs[i])
        if doc != last:
            last, at_byte, at = doc, int(offsets[doc]), 0
        is_ascii = n_characters[doc] == offsets[doc + 1] - offsets[doc]
        start, end, choice = int(starts[i]), int(ends[i]), int(choices[i])
        i += 1
        while i < most and docs[i] == doc and starts[i] < end:
            end = max(end, int(ends[i]))
            if quotes[choice] and not quotes[choices[i]]:
                choice = int(choices[i])
            i += 1
        if is_ascii:
            from_[n], to[n] = offsets[doc] + start, offsets[doc] + end
        else:
            first = _forward(text_bytes, at_byte, start - at)
            at_byte, at = _forward(text_bytes, first, end - start), end
            from_[n], to[n] = first, at_byte
        doc_of[n], chosen[n] = doc, choice
        n += 1
    return doc_of[:n].copy(), from_[:n].copy(), to[:n].copy(), chosen[:n].copy()


@njit(types.void(BYTES, OFFSETS, OFFSETS, OFFSETS, OFFSETS, OFFSETS, BYTES, OFFSETS, BYTES, OFFSETS,
                 types.Array(types.uint8, 1, "C")), cache=True, nogil=True)  # fmt: skip
def write(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    docs: npt.NDArray[np.int64],
    from_: npt.NDArray[np.int64],
    to: npt.NDArray[np.int64],
    choices: npt.NDArray[np.int64],
    texts: npt.NDArray[np.uint8],
    text_offsets: npt.NDArray[np.int64],
    quotes: npt.NDArray[np.uint8],
    out_offsets: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
) -> None:
    """Write the texts of documents that have regions, one after the other, into `out`.

    Regions are as `regions` gives them; text k is `texts[text_offsets[k]:text_offsets[k + 1]]`, in
    which, where it quotes, each `{}` stands for what was there. `out_offsets` (n_written + 1,) says
    where the new texts lie, in the order of their documents.
    """
    position = int64(0)
    n_written = 0
    for i in range(len(docs)):
        doc = docs[i]
        if i == 0 or docs[i - 1] != doc:
            position = out_offsets[n_written]
            n_written += 1
            before = offsets[doc]
        else:
            before = to[i - 1]
        n = from_[i] - before
        out[position : position + n] = text_bytes[before : from_[i]]
        position += n
        k, end = text_offsets[choices[i]], text_offsets[choices[i] + 1]
        while k < end:
            if quotes[choices[i]] and k + 1 < end and texts[k] == _LEFT and texts[k + 1] == _RIGHT:
                n = to[i] - from_[i]
                out[position : position + n] = text_bytes[from_[i] : to[i]]
                position += n
                k += 2
            else:
                out[position] = texts[k]
                position += 1
                k += 1
        if i + 1 == len(docs) or docs[i + 1] != doc:
            n = offsets[doc + 1] - to[i]
            out[position : position + n] = text_bytes[to[i] : offsets[doc + 1]]
