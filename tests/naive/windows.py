"""Plain twins of `kernels.windows`, and repeated spans, found in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from tests.naive.words import uax29_words

PRIME = (1 << 61) - 1
BASES = 0x0F1E2D3C4B5A6978, 0x1C6EF372FE94F82B
ALL = (1 << 64) - 1


class Unit(NamedTuple):
    """A character or token, what stands between the one before and it, its place in code points."""

    text: str
    gap: str
    start: int
    end: int


def characters(text: str) -> list[Unit]:
    return [Unit(c, "", i, i + 1) for i, c in enumerate(text)]


def tokens(text: str) -> list[Unit]:
    found: list[Unit] = []
    at = last = 0
    for word in uax29_words(text):
        if not word.isspace():
            found.append(Unit(word, text[last:at], at, at + len(word)))
            last = at + len(word)
        at += len(word)
    return found


UNITS = {"characters": characters, "tokens": tokens}


def window(units: Sequence[Unit]) -> tuple[str, ...]:
    """What has to be equal: all units and what is between them."""
    return tuple(part for unit in units for part in (unit.gap, unit.text))[1:]


def elements(units: Sequence[Unit], unit: str, seed: int) -> list[int]:
    """The numbers that a window's fingerprint is made of."""
    if unit == "characters":
        return [ord(one.text) + 1 for one in units]
    hashes = (xxhash.xxh64_intdigest(p.encode(), seed) % PRIME if p else 0 for p in window(units))
    return list(hashes)


def fingerprint(units: Sequence[Unit], unit: str) -> tuple[int, int]:
    values = []
    for seed, base in enumerate(BASES, 1):
        value = 0
        for element in elements(units, unit, seed):
            value = (value * base + element) % PRIME
        values.append(value)
    a, b = values
    z = a | (b & 7) << 61
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & ALL
    z = (z ^ z >> 27) * 0x94D049BB133111EB & ALL
    return z ^ z >> 31, (b >> 3) + 1


Span = tuple[int, int, int]  # start and end in code points, units


def merged(units: Sequence[Unit], matches: Sequence[tuple[int, int]]) -> list[Span]:
    """Matches, as first unit and the one after the last, that overlap or touch made one."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(matches):
        if found and units[first].start <= units[found[-1][1] - 1].end:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((first, end))
    return [(units[a].start, units[b - 1].end, b - a) for a, b in found]


def spans_by_windows(texts: Sequence[str], unit: str, n: int) -> list[list[Span]]:
    """Of each text, by a set of all windows seen so far."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for text in texts:
        units, matches = UNITS[unit](text), []
        for i in range(len(units) - n + 1):
            here = window(units[i : i + n])
            if here in seen:
                matches.append((i, i + n))
            seen.add(here)
        found.append(merged(units, matches))
    return found


def spans_by_suffix_array(texts: Sequence[str], n: int) -> list[list[Span]]:
    """Of each text, of characters: the longest match of each suffix with one that begins earlier.

    Suffixes of all texts are sorted; from each one's place the common prefix only gets shorter both
    ways. A text ends in a number that stands for nothing else.
    """
    codes, starts = [], []
    for i, text in enumerate(texts):
        starts.append(len(codes))
        codes += [*map(ord, text), -1 - i]
    array = sorted(range(len(codes)), key=lambda i: codes[i:])
    common = [0] * len(codes)  # with the one before in the array
    for k in range(1, len(array)):
        a, b = array[k - 1], array[k]
        while a + common[k] < len(codes) and b + common[k] < len(codes):
            if codes[a + common[k]] != codes[b + common[k]]:
                break
            common[k] += 1
    matches: list[list[tuple[int, int]]] = [[] for _ in texts]
    for k, i in enumerate(array):
        longest = 0
        for step in (-1, 1):
            other, length = k, len(codes)
            while 0 <= other + step < len(array):
                length = min(length, common[max(other, other + step)])
                other += step
                if length < n:
                    break
                if array[other] < i:
                    longest = max(longest, length)
        if longest >= n:
            doc = max(d for d, start in enumerate(starts) if start <= i)
            matches[doc].append((i - starts[doc], i - starts[doc] + longest))
    return [merged(characters(t), found) for t, found in zip(texts, matches, strict=True)]
