"""What differs between two corpora, by what is saved of them.

The Jensen-Shannon distance of two corpora is that of their unigrams, as WIMBD's (Elazar et al.
2023, section 4.5.1): of the counts of the 1,000 most common of each, those that both have among
them (`intersection`), or that one has (`union`), made to sum to 1; the root of the divergence, with
logarithms to base 2, from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from dolma_kit.statistics import tables
from dolma_kit.statistics.duplicates import Duplicates
from dolma_kit.statistics.languages import Languages
from dolma_kit.statistics.lengths import Lengths
from dolma_kit.statistics.ngram_counting import COUNT, HASH, MISSED, Tally, most_common
from dolma_kit.statistics.ngrams import tallies_in
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.summary import Summary
from dolma_kit.statistics.urls import Urls

TOP = 1000
SHOWN = 20


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of A and of B; null where one has none."""

    what: str
    a: float | None
    b: float | None


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    """Of one n: Jensen-Shannon distances over the `compared` most common n-grams of each, of which
    `common` are among those of both. `error` bounds what inexact counts move a share by at most."""

    n: int
    compared: int
    common: int
    intersection: float | None
    union: float | None
    error: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` by statistic; `distances` by n, where both have n-grams by one unit. What one of
    them has no answer for is not compared: `left_out`."""

    a: str
    b: str
    changes: dict[str, list[Change]]
    distances: list[Distance]
    left_out: list[str]


def changes(name: str, a: Any, b: Any) -> list[Change]:
    """The figures of two answers of one statistic that are worth a line."""
    by_kind: dict[type, Any] = {
        Summary: _summary, Lengths: _lengths, Urls: _urls, Languages: _languages,
        Duplicates: _duplicates,
    }  # fmt: skip
    if type(a) in by_kind:
        return _paired(by_kind[type(a)](a), by_kind[type(a)](b))
    return _paired(_numbers(a), _numbers(b))


def _paired(a: Mapping[str, float | None], b: Mapping[str, float | None]) -> list[Change]:
    return [
        Change(what=what, a=a.get(what), b=b.get(what))
        for what in dict.fromkeys((*a, *b))
        if a.get(what) is not None or b.get(what) is not None
    ]


def _summary(answer: Summary) -> dict[str, float | None]:
    found: dict[str, float | None] = dict(msgspec.to_builtins(answer.total.amount).items())
    for name, one in answer.sources.items():
        found[f"words of {name or '(none)'}"] = one.amount.words
    return found


def _lengths(answer: Lengths) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, unit in answer.units.items():
        found[f"{name}, mean"] = unit.mean
        for q in ("0.05", "0.5", "0.95"):
            found[f"{name}, {float(q):.0%}"] = unit.quantiles.get(q)
        found[f"{name}, spikes"] = len(unit.spikes)
    return found


def _urls(answer: Urls) -> dict[str, float | None]:
    found: dict[str, float | None] = {"missing rate": answer.missing_rate}
    for name, level in answer.levels.items():
        found[f"{name}, distinct"] = level.distinct
    n = answer.states["url"]
    for name in ("scheme", "suffix", "domain"):
        for one in answer.levels[name].by_documents[:SHOWN]:
            found[f"share of {name} {one.name}"] = one.documents / n
    return found


def _languages(answer: Languages) -> dict[str, float | None]:
    found: dict[str, float | None] = {"missing rate": answer.missing_rate}
    for name, one in list(answer.languages.items())[:SHOWN]:
        found[f"share of {name}"] = one.documents / answer.documents
    return found


def _duplicates(answer: Duplicates) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, kind in answer.kinds.items():
        found[f"{name}, distinct"] = kind.distinct.value
        found[f"{name}, removable share"] = kind.rate
    return found


def _numbers(answer: Any) -> dict[str, float | None]:
    """All single figures of an answer, by where they stand in it."""
    found: dict[str, float | None] = {}

    def walk(value: Any, place: str) -> None:
        if isinstance(value, bool) or place.startswith("about"):
            return
        if isinstance(value, int | float):
            found[place] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{place}, {key}" if place else str(key))

    walk(msgspec.to_builtins(answer), "")
    return found


def distances(a: Partial, b: Partial) -> list[Distance]:
    """Of the n-grams of two corpora, for each n that both have."""
    of_a, of_b = tallies_in(a), tallies_in(b)
    return [distance(n, of_a[n], of_b[n]) for n in of_a if n in of_b]


def distance(n: int, a: Tally, b: Tally) -> Distance:
    tops = [_top(a), _top(b)]
    common = sorted(tops[0].keys() & tops[1].keys())
    either = sorted(tops[0].keys() | tops[1].keys())
    # Of an n-gram that is not among the other's most common, its count there, if it is known.
    whole = [dict(zip(_hashes(t), t.rows[:, COUNT].tolist(), strict=True)) for t in (a, b)]
    return Distance(
        n=n,
        compared=max(len(top) for top in tops),
        common=len(common),
        intersection=jensen_shannon(*([top[h] for h in common] for top in tops)),
        union=jensen_shannon(*([counts.get(h, 0) for h in either] for counts in whole)),
        error=max(_error(a), _error(b)),
    )


def _hashes(tally: Tally) -> list[int]:
    return [int(h) for h in tally.rows[:, HASH].view(np.uint64).tolist()]


def _top(tally: Tally) -> dict[int, int]:
    rows = most_common(tally, TOP)
    hashes = _hashes(tally._replace(rows=tally.rows[rows]))
    return dict(zip(hashes, tally.rows[rows, COUNT].tolist(), strict=True))


def _error(tally: Tally) -> float:
    """By how much a share among the most common may be too small."""
    rows = most_common(tally, TOP)
    total = int(tally.rows[rows, COUNT].sum())
    return float(tally.rows[rows, MISSED].max(initial=0)) / total if total else 0.0


def jensen_shannon(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The Jensen-Shannon distance of two vectors of counts, to base 2; None of nothing.

    >>> jensen_shannon([1, 1], [5, 5]), jensen_shannon([1, 0], [0, 1]), jensen_shannon([], [])
    (0.0, 1.0, None)
    """
    if not len(a) or not sum(a) or not sum(b):
        return None
    p, q = (np.asarray(one, np.float64) / sum(one) for one in (a, b))
    middle = (p + q) / 2
    divergence = 0.0
    for one in (p, q):
        there = one > 0
        divergence += float((one[there] * np.log2(one[there] / middle[there])).sum()) / 2
    return math.sqrt(max(divergence, 0.0))


def text_of(answer: Comparison) -> str:
    """A comparison for eyes."""
    lines = [f"A: {answer.a}", f"B: {answer.b}"]
    for name, found in answer.changes.items():
        rows = [[one.what, one.a, one.b, _change(one)] for one in found]
        lines += ["", tables.aligned([name, "A", "B", "change"], rows)]
    if answer.distances:
        rows = [
            [one.n, one.compared, one.common, one.intersection, one.union, one.error]
            for one in answer.distances
        ]
        heads = ["n", "most common", "in both", "distance over those", "over all", "share's error"]
        lines += ["", "Jensen-Shannon distance of n-grams", tables.aligned(heads, rows)]
    if answer.left_out:
        lines += ["", f"not compared, as one has none: {', '.join(answer.left_out)}"]
    return "\n".join(lines)


def _change(one: Change) -> str:
    if one.a is None or one.b is None:
        return "gone" if one.b is None else "new"
    if one.a == one.b:
        return "="
    if not one.a:
        return "from nothing"
    return f"{100 * (one.b / one.a - 1):+.2f} %"
