"""The estimate of how many different hashes a HyperLogLog has seen, by known numbers of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from dolma_kit.kernels import ngram_sketches
from dolma_kit.statistics import cardinality
from dolma_kit.statistics.cardinality import BITS, N_REGISTERS, STANDARD_ERROR, estimate

FAR = 1 << 40  # between ranges


def registers_of(*ranges: tuple[int, int]) -> NDArray[np.uint8]:
    """Of the hashes of ranges of numbers, (start, how many)."""
    registers = np.zeros(N_REGISTERS, np.uint8)
    for start, n in ranges:
        ngram_sketches.register_numbers(registers, np.uint64(start), np.uint64(start + n))
    return registers


def errors(n: int, n_ranges: int) -> list[float]:
    """Relative ones, over ranges that have nothing in common."""
    return [estimate(registers_of((i * FAR, n))).value / n - 1 for i in range(n_ranges)]


def test_the_registers_are_those_of_the_kernel() -> None:
    assert N_REGISTERS == ngram_sketches.N_REGISTERS == 1 << BITS
    assert pytest.approx(0.0041, abs=5e-5) == STANDARD_ERROR


def test_nothing_is_0_for_sure() -> None:
    found = estimate(registers_of())
    assert (found.value, found.low, found.high, found.exact) == (0, 0, 0, True)


@pytest.mark.parametrize(
    ("n", "n_ranges"),
    [(1, 50), (2, 50), (10, 50), (1000, 20), (100_000, 20), (1 << 20, 8), (1 << 26, 2)],
)
def test_within_4_standard_errors(n: int, n_ranges: int) -> None:
    assert max(map(abs, errors(n, n_ranges))) < 4 * STANDARD_ERROR


@pytest.mark.parametrize("n", [100, 1000, 30_000, 100_000, 200_000, 400_000])
def test_unbiased(n: int) -> None:
    """Also where other estimators change over from counting empty registers: 2.5 to 5 m."""
    found = errors(n, 30)
    assert abs(sum(found)) / 30 < 3 * STANDARD_ERROR / math.sqrt(30)


def test_the_standard_error_is_what_it_says() -> None:
    found = np.array(errors(400_000, 60))
    # A standard deviation of 60 values is 9 % off itself, one time in three.
    assert np.sqrt((found**2).mean()) == pytest.approx(STANDARD_ERROR, rel=0.3)


def test_the_bounds_are_those_of_95_percent() -> None:
    n = 200_000
    made = [estimate(registers_of((i * FAR, n))) for i in range(100)]
    assert sum(one.low <= n <= one.high for one in made) >= 90
    assert all(0 <= one.low < one.value < one.high and not one.exact for one in made)


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.1, 0.5, 0.9, 0.999, 1 - 2**-16])
def test_sigma_and_tau_are_the_sums_of_the_paper(x: float) -> None:
    """Of Ertl 2017, term by term."""
    sigma = x + math.fsum(x ** (2**k) * 2 ** (k - 1) for k in range(1, 60))
    assert cardinality._sigma(x) == pytest.approx(sigma, rel=1e-9)
    tau = (1 - x - math.fsum((1 - x ** (2.0**-k)) ** 2 / 2**k for k in range(1, 101))) / 3
    assert cardinality._tau(x) == pytest.approx(tau, rel=1e-9, abs=1e-15)
    assert cardinality._sigma(1) == math.inf
    assert cardinality._tau(1) == 0


def drawn(n: float, seed: int) -> NDArray[np.uint8]:
    """Registers as n different hashes leave them, n Poisson's: each is k or less with the
    probability exp(-n / m / 2^k)."""
    up_to = np.exp(-n / N_REGISTERS / 2.0 ** np.arange(64 - BITS + 2))
    up_to[-1] = 1
    picks = np.random.default_rng(seed).random(N_REGISTERS)
    return np.searchsorted(up_to, picks).astype(np.uint8)


@pytest.mark.parametrize("exponent", [10, 17, 20, 30, 40, 50, 56, 60, 63])
def test_as_good_far_beyond_what_can_be_counted(exponent: int) -> None:
    n = 2.0**exponent
    found = [estimate(drawn(n, seed)).value / n - 1 for seed in range(20)]
    spread = math.hypot(STANDARD_ERROR, 1 / math.sqrt(n))  # the number itself is drawn
    assert max(map(abs, found)) < 4 * spread
    assert abs(sum(found)) / 20 < 3 * spread / math.sqrt(20)


def test_registers_put_together_by_maximum_are_those_of_the_union() -> None:
    a, b = (0, 60_000), (40_000, 90_000)  # 20,000 in common
    together = np.maximum(registers_of(a), registers_of(b))
    assert np.array_equal(together, registers_of((0, 130_000)))
    assert np.array_equal(together, registers_of(b, a))
    assert estimate(together).value == pytest.approx(130_000, rel=4 * STANDARD_ERROR)


def test_repeated_keys_change_nothing() -> None:
    once = registers_of((7, 5000))
    assert np.array_equal(once, registers_of((7, 5000), (7, 5000), (2000, 3000)))
    hashes = np.random.default_rng(1).integers(0, 2**64, 5000, np.uint64)
    registers = np.zeros((2, N_REGISTERS), np.uint8)
    ngram_sketches.register(registers[0], hashes)
    for _ in range(50):
        ngram_sketches.register(registers[1], hashes[::-1].copy())
    assert np.array_equal(registers[0], registers[1])


def test_10_000_keys_are_not_50_000() -> None:
    """WIMBD's `unique` counts the slots of a table that 5 hashes of each key fill: up to 5 times
    too many, and never more than the table has."""
    assert estimate(registers_of((0, 10_000))).value == pytest.approx(10_000, rel=0.01)
    # Nor do we stop at the number of registers.
    assert estimate(registers_of((0, 20 * N_REGISTERS))).value == pytest.approx(
        20 * N_REGISTERS, rel=0.02
    )


def test_more_keys_are_not_fewer() -> None:
    registers = np.zeros(N_REGISTERS, np.uint8)
    before = 0.0
    for start in range(0, 40_000, 1000):
        ngram_sketches.register_numbers(registers, np.uint64(start), np.uint64(start + 1000))
        found = estimate(registers).value
        assert found > before
        before = found
