r"""The words and phrases that C4 looks for, packed for the kernel `c4_v3`.

A word of the naughty list counts where no letter, digit or `_` stands beside it, as in the pattern
`(?:\W|^)(...)(?:\W|$)` of tensorflow_datasets; so an entry of such characters alone is looked up
by a run of them, any other is a phrase, found by the bytes around its first other character.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dolma_kit.kernels.unicode import bit_table

PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
# What a line may have, as bits: what C4 drops the line for, and the page.
LONG_WORD, NO_END, FEW_WORDS, JAVASCRIPT, POLICY = 1, 2, 4, 8, 16
LOREM, CURLY, NAUGHTY = 32, 64, 128
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # products wrap at 64 bits


class WordList(NamedTuple):
    """Words and phrases, packed for `find` by `pack_words`."""

    entries: npt.NDArray[np.uint8]  # (n_bytes,) all entries one after the other
    entry_starts: npt.NDArray[np.int32]  # (n_entries + 1,)
    word_slots: npt.NDArray[np.uint16]  # (power of two,) entry + 1 of a word, 0 where free
    phrase_heads: npt.NDArray[np.uint16]  # (65536,) by two bytes: entry + 1 or 0
    next_phrases: npt.NDArray[np.uint16]  # (n_entries,) entry + 1 of the next with these bytes
    phrase_gaps: npt.NDArray[np.int32]  # (n_entries,) bytes before the first that is in no word
    phrase_bits: npt.NDArray[np.uint8]  # (n_entries,) what a line has that has the phrase


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


@functools.cache
def word_table() -> npt.NDArray[np.uint8]:
    r"""What the `\w` of `re` matches, as a bit table."""
    return bit_table(_in_word)


def pack_words(words: Iterable[str]) -> WordList:
    """Prepare a list of naughty words and phrases for `find`.

    Raises ValueError for an entry that could not be found exactly.
    """
    unique = list(dict.fromkeys(words))
    for word in unique:
        odd = [c for c in word if not c.isascii() and (c == "\u0307" or c.upper() != c)]
        gap = next((i for i, c in enumerate(word) if not _in_word(c)), None)
        bad_gap = gap is not None and (
            word[0].isascii() if gap == 0 else not word[gap].isascii() or gap + 1 == len(word)
        )
        if not word or word != word.strip() or word != word.lower() or odd or bad_gap:
            raise ValueError(
                f"{word!r} is no entry: write it in lower case, without white space around it; "
                "only ASCII letters may have an upper case, and it may not begin with ASCII "
                "punctuation or end with its first punctuation"
            )
    texts = [b"lorem ipsum", *(p.encode() for p in PHRASES), *(w.encode() for w in unique)]
    if len(texts) > 0xFFFE:
        raise ValueError(f"{len(unique)} entries, at most {0xFFFE - 7} can be packed")
    n_slots = 1024
    while n_slots < 4 * len(texts):
        n_slots *= 2
    word_slots = np.zeros(n_slots, np.uint16)
    phrase_heads = np.zeros(1 << 16, np.uint16)
    next_phrases = np.zeros(len(texts), np.uint16)
    phrase_gaps = np.zeros(len(texts), np.int32)
    for entry, text in enumerate(texts):
        word = text.decode()
        gap = next((i for i, c in enumerate(word) if not _in_word(c)), None)
        if gap is None:
            slot = _slot(int.from_bytes(text[-8:], "big"), len(text), n_slots)
            while word_slots[slot]:
                slot = (slot + 1) % n_slots
            word_slots[slot] = entry + 1
        else:
            at = phrase_gaps[entry] = len(word[:gap].encode())
            pair = text[at - 1] << 8 | text[at + 1] if at else text[0] << 8 | text[1]
            next_phrases[entry] = phrase_heads[pair]
            phrase_heads[pair] = entry + 1
    phrase_bits = np.full(len(texts), NAUGHTY, np.uint8)
    phrase_bits[0] = LOREM
    phrase_bits[1 : 1 + len(PHRASES)] = POLICY
    return WordList(
        entries=np.frombuffer(b"".join(texts), np.uint8),
        entry_starts=np.cumsum([0, *map(len, texts)], dtype=np.int32),
        word_slots=word_slots,
        phrase_heads=phrase_heads,
        next_phrases=next_phrases,
        phrase_gaps=phrase_gaps,
        phrase_bits=phrase_bits,
    )


def _slot(key: int, n_bytes: int, n_slots: int) -> int:
    mixed = (key + n_bytes) * int(MULTIPLIER) & 0xFFFFFFFFFFFFFFFF
    return mixed >> 32 & (n_slots - 1)
