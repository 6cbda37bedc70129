"""Spikes: lengths that far more documents have than lengths nearby.

A limit at which texts were cut, a template, a generator leave such marks: the Pile has 1 % of its
documents at exactly 8,194 characters, OpenWebText a spike at 100,000 (Elazar et al. 2023, section
4.3). The count at a length is compared with those of the lengths around it, half a window on each
side, the window growing with the length. What is expected, e, is the greatest of the median there,
the mean without the greatest tenth, and of short lengths, whose window may be wider than all there
is, what the four nearest counts let expect; and at least one document in the whole window. The
chance of the count, or more, is Poisson's. Of all lengths, those are spikes that Benjamini and
Hochberg's rule takes at a false-discovery rate of 0.1 %, if they have at least 10 documents and 3
e.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE = 0.001
MIN_DOCUMENTS = 10
MIN_RATIO = 3.0
MIN_HALF_WINDOW = 10
WINDOW_SHARE = 0.02  # of the length, on each side


class Found(NamedTuple):
    """One spike: `expected` documents, and the probability of as many as there are."""

    length: int
    n_documents: int
    expected: float
    p_value: float


def find(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> list[Found]:
    """Spikes of a histogram, the greatest excess first: `lengths` (n,) ascending, `counts` (n,)."""
    candidates = []
    for i in np.flatnonzero(counts >= MIN_DOCUMENTS).tolist():
        length, count = int(lengths[i]), int(counts[i])
        expected = _expected(lengths, counts, i)
        if count >= MIN_RATIO * expected:
            chance = math.exp(log_tail(count, expected))
            candidates.append(Found(length, count, expected, chance))
    candidates.sort(key=lambda found: found.p_value)
    n_taken = 0
    for k, found in enumerate(candidates, start=1):
        if found.p_value <= RATE * k / len(lengths):
            n_taken = k
    taken = candidates[:n_taken]
    return sorted(taken, key=lambda found: (found.expected - found.n_documents, found.length))


def _expected(lengths: NDArray[np.int64], counts: NDArray[np.int64], i: int) -> float:
    length = int(lengths[i])
    half = max(MIN_HALF_WINDOW, math.ceil(WINDOW_SHARE * length))
    first = max(length - half, 0)
    window = length + half - first  # lengths around it, itself left out
    a, b = np.searchsorted(lengths, [first, length + half + 1])
    around = np.sort(np.concatenate((counts[a:i], counts[i + 1 : b])))
    n_zero = window - len(around)
    n_kept = window - window // 10
    mean = float(around[: max(n_kept - n_zero, 0)].sum()) / n_kept
    middle = window // 2
    median = float(around[middle - n_zero]) if middle >= n_zero else 0.0
    near = _by_neighbours(lengths, counts, length) if half == MIN_HALF_WINDOW else 0.0
    return max(median, mean, near, 1 / window)


def _by_neighbours(lengths: NDArray[np.int64], counts: NDArray[np.int64], length: int) -> float:
    """What the nearest counts let expect where a histogram is narrow or steep: the second greatest
    of the four around, so that a spike does not hide the one beside it; or, on either side, what
    goes on from the two nearest as a geometric series would, if they are no handful."""
    near = [length + d for d in (-2, -1, 1, 2)]
    at = np.minimum(np.searchsorted(lengths, near), len(lengths) - 1)
    far_left, left, right, far_right = np.where(lengths[at] == near, counts[at], 0).tolist()
    expected = float(sorted((far_left, left, right, far_right))[-2])
    for nearer, farther in ((left, far_left), (right, far_right)):
        if nearer > farther >= MIN_DOCUMENTS:
            expected = max(expected, nearer * nearer / farther)
    return expected


def log_tail(count: int, expected: float) -> float:
    """The logarithm of the chance that a Poisson variable of mean `expected` is `count` or more.

    >>> round(math.exp(log_tail(2, 1.0)), 6), round(log_tail(1000, 10.0), 1)
    (0.264241, -3619.5)
    """
    if count <= expected:  # the other tail is the shorter sum
        below = sum(
            math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(count)
        )
        return math.log(max(1 - below, 1e-300))
    first = count * math.log(expected) - expected - math.lgamma(count + 1)
    total = term = 1.0
    k = count
    while term > 1e-17 * total:
        k += 1
        term *= expected / k
        total += term
    return first + math.log(total)
