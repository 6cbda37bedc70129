"""How many different hashes a HyperLogLog has seen, and how sure that is.

Registers are those of `kernels.ngram_sketches`. The estimate is Ertl's improved raw estimator
(2017, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv 1702.01284, algorithm
6): unbiased from nothing to 2^60, with no table of corrections. Its relative standard error is 1.04
/ sqrt(2^16) = 0.41 % (Flajolet et al. 2007).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dolma_kit.statistics.key_counts import Estimate, Z

BITS = 16
N_REGISTERS = 1 << BITS
STANDARD_ERROR = 1.04 / math.sqrt(N_REGISTERS)
_HIGHEST = 64 - BITS + 1  # the greatest value of a register


def estimate(registers: NDArray[np.uint8]) -> Estimate:
    """Of registers (N_REGISTERS,) uint8; the bounds are those of 95 %.

    >>> estimate(np.zeros(N_REGISTERS, np.uint8)).value
    0.0
    """
    counts = np.bincount(registers, minlength=_HIGHEST + 1).tolist()
    m = float(N_REGISTERS)
    z = m * _tau(1 - counts[_HIGHEST] / m)
    for k in range(_HIGHEST - 1, 0, -1):
        z = 0.5 * (z + counts[k])
    z += m * _sigma(counts[0] / m)
    value = m * m / (2 * math.log(2)) / z if math.isfinite(z) else 0.0
    error = Z * STANDARD_ERROR * value
    return Estimate(value, max(value - error, 0.0), value + error, value == 0)


def _sigma(x: float) -> float:
    """x + sum of x^(2^k) 2^(k-1), k from 1; infinite at 1."""
    if x == 1:
        return math.inf
    total, y = x, 1.0
    while True:
        x *= x
        before = total
        total += x * y
        y += y
        if total == before:
            return total


def _tau(x: float) -> float:
    """(1 - x - sum of (1 - x^(2^-k))^2 2^-k, k from 1) / 3."""
    if x in (0.0, 1.0):
        return 0.0
    total, y = 1 - x, 1.0
    while True:
        x = math.sqrt(x)
        before = total
        y *= 0.5
        total -= (1 - x) ** 2 * y
        if total == before:
            return total / 3
