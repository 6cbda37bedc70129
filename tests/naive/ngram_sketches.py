"""Plain twins of `kernels.ngram_sketches`: Python's integers, a list of ranks, a dict of counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

MODULUS = 1 << 64
BASE = 0x9E3779B97F4A7C15
REGISTER_BITS = 16


def mix(x: int) -> int:
    """The finalizer of SplitMix64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % MODULUS
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % MODULUS
    return x ^ (x >> 31)


def hash_id(token: int) -> int:
    return mix((token + BASE) % MODULUS)


def hash_ngram(tokens: Sequence[int]) -> int:
    """The polynomial itself, each power anew."""
    powers = reversed(range(len(tokens)))
    return mix(
        sum(h * pow(BASE, k, MODULUS) for h, k in zip(tokens, powers, strict=True)) % MODULUS
    )


def hash_ngrams(tokens: Sequence[int], offsets: Sequence[int], n: int) -> list[tuple[int, int]]:
    """The hash of each n-gram of each text, and where it begins."""
    return [
        (hash_ngram(tokens[i : i + n]), i)
        for start, end in itertools.pairwise(offsets)
        for i in range(start, end - n + 1)
    ]


def register(registers: dict[int, int], hashes: Sequence[int]) -> None:
    """By binary digits: the first 16 choose, the others are looked at for their first 1."""
    for h in hashes:
        digits = f"{h:064b}"
        at, rest = int(digits[:REGISTER_BITS], 2), digits[REGISTER_BITS:] + "1"
        registers[at] = max(registers.get(at, 0), rest.index("1") + 1)


def number_hashes(start: int, end: int) -> list[int]:
    return [mix((number * BASE + 1) % MODULUS) for number in range(start, end)]


#: hash -> count, missed, place
Table = dict[int, tuple[int, int, int]]


def note(
    table: Table, room: int, floor: int, hashes: Sequence[int], places: Sequence[int], start: int
) -> tuple[int, int]:
    for i in range(start, len(hashes)):
        if hashes[i] not in table:
            if room == 0:
                return i, 0
            room -= 1
            table[hashes[i]] = (0, floor, places[i])
        count, missed, place = table[hashes[i]]
        table[hashes[i]] = (count + 1, missed, place)
    return len(hashes), room
