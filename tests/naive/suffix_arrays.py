"""Plain twins of `kernels.suffix_array`, `suffix_search`, `common_prefixes` and `ngram_runs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


def suffix_array(tokens: list[int]) -> list[int]:
    return sorted(range(len(tokens)), key=lambda i: tokens[i:])


def common_prefixes(
    tokens: Sequence[int], suffixes: Sequence[int], max_length: int = 1 << 31
) -> list[int]:
    found = [0] * len(suffixes)
    for i in range(1, len(suffixes)):
        a, b = tokens[suffixes[i - 1] :], tokens[suffixes[i] :]
        while found[i] < min(len(a), len(b), max_length) and a[found[i]] == b[found[i]]:
            found[i] += 1
    return found


class Ngrams(NamedTuple):
    """Totals; and as count and first place, those that occur most and least often."""

    n_places: int
    n_distinct: int
    n_once: int
    most: list[tuple[int, int]]
    least: list[tuple[int, int]]


def ngrams(tokens: Sequence[int], ends: Sequence[int], n: int, k: int) -> Ngrams:
    """N-grams of documents that end at `ends`, those that occur as often in their tokens' order."""
    counts: Counter[tuple[int, ...]] = Counter()
    places: dict[tuple[int, ...], int] = {}
    for start, end in zip([0, *ends], ends, strict=False):
        for i in range(start, end - n + 1):
            gram = tuple(tokens[i : i + n])
            counts[gram] += 1
            places.setdefault(gram, i)
    by_count = sorted(counts, key=lambda gram: (counts[gram], gram))
    most = sorted(counts, key=lambda gram: (-counts[gram], gram))
    return Ngrams(
        counts.total(),
        len(counts),
        list(counts.values()).count(1),
        [(counts[gram], places[gram]) for gram in most[:k]],
        [(counts[gram], places[gram]) for gram in by_count[:k]],
    )


def places_of(tokens: Sequence[int], suffixes: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Which rows of a suffix array hold suffixes that begin with ids."""
    return [row for row, at in enumerate(suffixes) if list(tokens[at : at + len(ids)]) == list(ids)]


def continuations(tokens: Sequence[int], ids: Sequence[int]) -> list[tuple[int, int]]:
    """(token, count) of what follows ids, by token."""
    n = len(ids)
    found = Counter(
        tokens[i + n] for i in range(len(tokens) - n) if list(tokens[i : i + n]) == list(ids)
    )
    return sorted(found.items())


def longest_prefix(tokens: Sequence[int], ids: Sequence[int]) -> int:
    """How many of ids, from the first on, stand somewhere in the tokens."""
    return max(
        n
        for n in range(len(ids) + 1)
        if not n or any(list(tokens[i : i + n]) == list(ids[:n]) for i in range(len(tokens)))
    )
