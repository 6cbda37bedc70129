"""Plain twin of `kernels.word_ngrams`."""

from __future__ import annotations

from collections.abc import Sequence

import xxhash

MASK = 2**64 - 1


def mix64(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def ngrams(words: Sequence[str], n: int, stride: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(0, len(words) - n + 1, stride)]


def keys(
    text: str, words: Sequence[str], n: int, stride: int, skip_short: bool
) -> tuple[list[object], int]:
    """The distinct n-grams in order, and how many, from the last, say whether it is a duplicate.

    A paragraph of fewer than two n-grams is compared as a whole, after its n-gram.
    """
    found = ngrams(words, n, stride)
    distinct: list[object] = list(dict.fromkeys(found))
    if len(found) >= 2 or skip_short:
        return distinct, len(distinct)
    return [*distinct, text], 1


def hash_of(key: object) -> int:
    if isinstance(key, str):
        return xxhash.xxh64_intdigest(key.encode())
    assert isinstance(key, tuple)
    h = len(key)
    for word in key:
        h = mix64(h ^ xxhash.xxh64_intdigest(word.encode()))
    return h
