"""Where in a text the tokens of a byte-level tokenizer stand, in code points.

Such a tokenizer cuts a text into bytes that are its tokens, one after the other. A token that
begins or ends within a character is given the whole of it, as the library `tokenizers` does.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, void

from dolma_kit.kernels.periods import IDS
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

Aligned: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]


@njit(
    void(IDS, OFFSETS, BYTES, OFFSETS, BYTES, OFFSETS, OFFSETS, OFFSETS,
         int64[::1], int64[::1], boolean[::1]),
    **LEAF,
)  # fmt: skip
def align_into(
    ids: npt.NDArray[np.uint32],
    id_offsets: npt.NDArray[np.int64],
    text_bytes: npt.NDArray[np.uint8],
    text_offsets: npt.NDArray[np.int64],
    token_bytes: npt.NDArray[np.uint8],
    token_offsets: npt.NDArray[np.int64],
    leading: npt.NDArray[np.int64],
    trailing: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    is_aligned: npt.NDArray[np.bool_],
) -> None:
    """Fill the last three arrays; see `align`."""
    for text in range(len(is_aligned)):
        i, end = text_offsets[text], text_offsets[text + 1]
        n = 0  # characters that have begun
        k = id_offsets[text]
        while k < id_offsets[text + 1]:
            token = int64(ids[k])
            if token + 1 >= len(token_offsets):
                break
            first, last = token_offsets[token], token_offsets[token + 1]
            if last == first or i + last - first > end:
                break
            start = n - 1 if text_bytes[i] & 0xC0 == 0x80 else n
            at = first
            while at < last and text_bytes[i] == token_bytes[at]:
                n += text_bytes[i] & 0xC0 != 0x80
                i += 1
                at += 1
            if at < last:
                break
            start = min(start + leading[token], n)
            starts[k] = start
            ends[k] = max(n - trailing[token], start) if n >= trailing[token] else n
            k += 1
        is_aligned[text] = k == id_offsets[text + 1] and i == end


def align(
    ids: npt.NDArray[np.uint32],
    id_offsets: npt.NDArray[np.int64],
    text_bytes: npt.NDArray[np.uint8],
    text_offsets: npt.NDArray[np.int64],
    token_bytes: npt.NDArray[np.uint8],
    token_offsets: npt.NDArray[np.int64],
    leading: npt.NDArray[np.int64],
    trailing: npt.NDArray[np.int64],
) -> Aligned:
    """The code points at which tokens start and end, and which texts are their tokens' bytes.

    Text i has `ids[id_offsets[i]:id_offsets[i + 1]]` and bytes likewise, (n_texts + 1,) int64 each.
    Token t has `token_bytes[token_offsets[t]:token_offsets[t + 1]]`; `leading[t]` and `trailing[t]`
    characters are taken off its start and end, though never more than it has. Returns (n_ids,)
    int64 twice and (n_texts,) bool; for a text that its tokens do not make up, places mean nothing.
    """
    starts, ends = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    is_aligned = np.zeros(len(id_offsets) - 1, np.bool_)
    align_into(
        ids, id_offsets, text_bytes, text_offsets,
        token_bytes, token_offsets, leading, trailing, starts, ends, is_aligned,
    )  # fmt: skip
    return starts, ends, is_aligned
