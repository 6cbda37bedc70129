"""Counts of the pieces that regular expressions split text into, class by class of characters.

Two of Dolma's length taggers count such pieces. Which characters are letters, digits and so on is
frozen (see `character_classes`).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import int64, njit

from dolma_kit.kernels import character_classes
from dolma_kit.kernels.unicode import BYTES, OFFSETS, char_length, decode

WORD, SPACE = 1, 2
PUNCT, DIGIT, BLANK, LETTER, NUMBER = 1, 2, 4, 8, 16
_SINGLE = PUNCT | DIGIT
_KINDS = BLANK | LETTER | NUMBER


@njit(int64[::1](BYTES, OFFSETS, OFFSETS, BYTES), cache=True, nogil=True)
def _count_runs(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    counts = np.empty(len(starts), np.int64)
    for k in range(len(starts)):
        i, end = starts[k], ends[k]
        n = 0
        before = SPACE
        while i < end:
            b = text[i]
            if b < 0x80:
                now = int64(table[b])
                i += 1
            else:
                now = int64(table[decode(text, i)])
                i += char_length(text, i)
            n += now != SPACE and now != before
            before = now
        counts[k] = n
    return counts


@njit(int64[::1](BYTES, OFFSETS, OFFSETS, BYTES), cache=True, nogil=True)
def _count_pieces(
    text: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    counts = np.empty(len(starts), np.int64)
    for k in range(len(starts)):
        i, end = starts[k], ends[k]
        n = 0
        kind = -1  # of the piece to which the last character belongs; none can go on from -1
        n_blank = 0  # white space since the last other character
        ends_in_space = False  # and whether its last is U+0020, which the next piece can take in
        while i < end:
            b = text[i]
            if b < 0x80:
                found = int64(table[b])
                i += 1
            else:
                found = int64(table[decode(text, i)])
                i += char_length(text, i)
            if found & BLANK:
                n_blank += 1
                ends_in_space = b == 0x20
                continue
            is_single = found & _SINGLE != 0
            now = -1 if is_single else found & _KINDS
            if n_blank > 0:
                # What white space the next piece leaves is one piece; but where the next is a run,
                # its last character is a piece of its own if it is no U+0020.
                n += 2 if n_blank > 1 and not is_single and not ends_in_space else 1
                n -= n_blank == 1 and ends_in_space
                n_blank = 0
                n += 1
            else:
                n += is_single or now != kind
            kind = now
        counts[k] = n + (n_blank > 0)
    return counts


@functools.cache
def word_table() -> npt.NDArray[np.uint8]:
    """WORD for `\\w` of the library regex, SPACE for `\\s`, else 0."""
    return character_classes.table("word_characters", {"word": WORD, "space": SPACE})


@functools.cache
def piece_table() -> npt.NDArray[np.uint8]:
    """The classes of the pre-tokenizer's patterns; `\\d` is one of `\\p{N}`, too."""
    codes = {"punct": PUNCT, "digit": DIGIT, "space": BLANK, "letter": LETTER, "number": NUMBER}
    return character_classes.table("pre_tokens", codes)


def count_runs(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Matches of `\\w+|[^\\w\\s]+` in each slice, (n,) int64.

    Slice i is `text_bytes[starts[i]:ends[i]]`, valid UTF-8.
    """
    counts: npt.NDArray[np.int64] = _count_runs(text_bytes, starts, ends, word_table())
    return counts


def count_pieces(
    text_bytes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Pieces of each slice by Dolma's pre-tokenizer of OLMo, (n,) int64.

    It isolates ` ?[[:punct:]]`, then ` ?\\d`, and splits what is between these by GPT-2's pattern
    ` ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`, without its contractions, whose
    apostrophe is punctuation.
    """
    counts: npt.NDArray[np.int64] = _count_pieces(text_bytes, starts, ends, piece_table())
    return counts
