"""How often keys occur, exactly, or beyond a number of them by a sample with a known error.

A key is a 64-bit hash (XXH64). As long as there are at most `limit` distinct ones, all are counted.
Beyond, only those below a threshold t stay, the limit's smallest: each key is in the sample with
probability p = t / 2^64, whichever files it is in and how often, with its exact count. So samples
of parts of a corpus put together are that of the corpus. What is estimated of a sample (Horvitz and
Thompson 1952) carries its standard error: a sum of values v over all keys is the sum over the
sample's divided by p, of variance (1 - p) / p^2 * sum(v^2).

Two different keys have one hash with probability 2^-64: of n keys, n^2 / 2^65 pairs are expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels

ALL = 1 << 64  # the threshold that all hashes are below
Z = 1.959963984540054  # of 95 %


class Counts(NamedTuple):
    """Distinct keys below `threshold`, ascending, and where each stands first.

    `hashes` (n,) uint64, `counts` (n,) int64, `files` (n,) int32, `lines` (n,) int64. `n_keys` are
    all that were counted, those beyond the threshold included.
    """

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]
    files: NDArray[np.int32]
    lines: NDArray[np.int64]
    threshold: int
    n_keys: int


class Estimate(msgspec.Struct, frozen=True):
    """`low` and `high` bound it at 95 %; all three are equal where it is exact."""

    value: float
    low: float
    high: float
    exact: bool


def count(hashes: NDArray[np.uint64], lines: NDArray[np.int64], threshold: int = ALL) -> Counts:
    """Keys of one file in order, (n,) uint64, and the lines they are on, (n,) int64."""
    n_keys = len(hashes)
    if threshold < ALL:
        below = hashes < np.uint64(threshold)
        hashes, lines = hashes[below], lines[below]
    files = np.zeros(len(hashes), np.int32)
    ones = np.ones(len(hashes), np.int64)
    order = kernels.hash_order.argsort(np.ascontiguousarray(hashes))
    return _grouped(hashes, ones, files, lines, threshold, n_keys, order)


def merged(parts: Sequence[Counts], limit: int) -> Counts:
    """Counts of parts, in their order, put together; at most `limit` keys stay."""
    threshold = min(part.threshold for part in parts)
    kept = [_below(part, threshold) for part in parts]
    hashes = np.concatenate([part.hashes for part in kept])
    together = _grouped(
        hashes,
        np.concatenate([part.counts for part in kept]),
        np.concatenate([part.files for part in kept]),
        np.concatenate([part.lines for part in kept]),
        threshold,
        sum(part.n_keys for part in parts),
        np.argsort(hashes, kind="stable"),  # which is quick where stretches are in order
    )
    if len(together.hashes) > limit:
        together = _below(together, int(together.hashes[limit]))
    return together


def nothing() -> Counts:
    none = np.zeros(0, np.int64)
    return Counts(none.astype(np.uint64), none, none.astype(np.int32), none, ALL, 0)


def _below(part: Counts, threshold: int) -> Counts:
    if threshold >= part.threshold:
        return part
    n = int(np.searchsorted(part.hashes, np.uint64(threshold)))
    return part._replace(
        hashes=part.hashes[:n], counts=part.counts[:n], files=part.files[:n],
        lines=part.lines[:n], threshold=threshold,
    )  # fmt: skip


def _grouped(
    hashes: NDArray[np.uint64],
    counts: NDArray[np.int64],
    files: NDArray[np.int32],
    lines: NDArray[np.int64],
    threshold: int,
    n_keys: int,
    order: NDArray[np.int64],
) -> Counts:
    """Rows with one hash put together, by their stable order; the first says where it stands."""
    if not len(hashes):
        return nothing()._replace(threshold=threshold, n_keys=n_keys)
    hashes = hashes[order]
    begins = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    first = order[begins]
    sums = np.add.reduceat(counts[order], begins)
    return Counts(hashes[begins], sums, files[first], lines[first], threshold, n_keys)


def distinct(found: Counts) -> Estimate:
    """How many distinct keys there are."""
    return total(found, np.ones(len(found.counts)))


def total(found: Counts, values: NDArray[np.float64]) -> Estimate:
    """The sum over all distinct keys of a value that is known of those that stayed, (n,)."""
    if found.threshold >= ALL:
        exact = float(values.sum())
        return Estimate(exact, exact, exact, True)
    p = found.threshold / ALL
    value = float(values.sum()) / p
    error = Z * math.sqrt((1 - p) * float((values * values).sum())) / p
    return Estimate(value, max(value - error, 0.0), value + error, False)


def expected_collisions(n_distinct: float) -> float:
    """Pairs of different keys that have one hash."""
    return n_distinct * max(n_distinct - 1, 0) / 2 / ALL
