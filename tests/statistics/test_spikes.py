"""Spikes: those that were planted are found and nothing else; smooth histograms have none."""

from __future__ import annotations

import decimal
import itertools
import math
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from dolma_kit.statistics.spikes import MIN_DOCUMENTS, MIN_RATIO, Found, find, log_tail


def histogram(lengths: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values, counts = np.unique(lengths.astype(np.int64), return_counts=True)
    return values, counts


def found_at(lengths: NDArray) -> list[int]:
    return [found.length for found in find(*histogram(lengths))]


def log_normal(random: Generator, n: int) -> NDArray:
    return random.lognormal(7.5, 1.1, n)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("length", "n_documents"),
    [
        (8194, 200),  # a limit: 1 % of the Pile (Elazar et al. 2023, section 4.3)
        (20_000, 60), (100_000, 20),  # OpenWebText's
        (8194, 40), (100_000, 10), (5, 100), (0, 50), (1, 40), (1_000_000, 10), (1800, 400),
    ],
)  # fmt: skip
def test_a_planted_spike_is_found_and_nothing_else(
    length: int, n_documents: int, seed: int
) -> None:
    lengths = log_normal(np.random.default_rng(seed), 20_000)
    assert found_at(lengths) == []
    (found,) = find(*histogram(np.append(lengths, np.full(n_documents, length))))
    assert found.length == length
    assert n_documents <= found.n_documents <= n_documents + 25
    assert found.n_documents >= MIN_RATIO * found.expected
    assert 0 <= found.p_value < 1e-6


def test_several_spikes_come_in_order_of_their_excess() -> None:
    planted = {8194: 300, 20_000: 200, 100_000: 100, 100_001: 90, 512: 150}
    lengths = [log_normal(np.random.default_rng(1), 20_000)]
    lengths += [np.full(n, length) for length, n in planted.items()]
    found = find(*histogram(np.concatenate(lengths)))
    assert [one.length for one in found] == [8194, 20_000, 512, 100_000, 100_001]
    excess = [one.n_documents - one.expected for one in found]
    assert excess == sorted(excess, reverse=True)


@pytest.mark.parametrize(
    "spikes",
    [
        {8190: 500, 8192: 500, 8194: 500, 8196: 500, 8200: 500},
        {8190: 100_000, 8194: 200, 8195: 100},
        {100_000: 30, 100_001: 50_000},
    ],
)
def test_a_spike_does_not_hide_those_beside_it(spikes: dict[int, int]) -> None:
    """Up to a tenth of the lengths around are left out of the mean."""
    lengths = log_normal(np.random.default_rng(2), 20_000)
    planted = [np.full(n, length) for length, n in spikes.items()]
    assert sorted(found_at(np.concatenate([lengths, *planted]))) == list(spikes)


SMOOTH: dict[str, Callable[[Generator, int], NDArray]] = {
    "log-normal": log_normal,
    "a wide log-normal": lambda r, n: r.lognormal(6, 2, n),
    "uniform": lambda r, n: r.integers(0, 5000, n),
    "normal": lambda r, n: r.normal(3000, 400, n).clip(0),
    "a narrow normal": lambda r, n: r.normal(280, 8, n),
    "exponential": lambda r, n: r.exponential(1000, n),
    "a steep exponential": lambda r, n: r.exponential(10, n),
    "a very narrow normal": lambda r, n: r.normal(30, 3, n),
    "Poisson": lambda r, n: r.poisson(10, n),
    "Pareto": lambda r, n: 1000 * (1 + r.pareto(1.2, n)),
    "two humps": lambda r, n: np.where(
        r.random(n) < 0.5, r.normal(500, 50, n), r.lognormal(8, 0.5, n)
    ),
}


STEEP: dict[str, Callable[[Generator, int], NDArray]] = {
    "geometric": lambda r, n: r.geometric(0.5, n),
    "zipf": lambda r, n: r.zipf(2.0, n).clip(0, 10**6),
}


@pytest.mark.parametrize("shape", STEEP)
def test_steep_histograms_of_many_documents_have_none(shape: str) -> None:
    """Of 30 documents, 18 of one word do stand out; of thousands that is how the shape begins."""
    made = [
        found_at(STEEP[shape](np.random.default_rng(seed), n))
        for n in (1000, 20_000)
        for seed in range(40)
    ]
    assert sum(map(len, made)) <= 1


@pytest.mark.parametrize("shape", SMOOTH)
def test_smooth_histograms_have_none(shape: str) -> None:
    """At a false-discovery rate of 0.1 %, one in 120 histograms would be many."""
    made = [
        found_at(SMOOTH[shape](np.random.default_rng(seed), n))
        for n in (30, 1000, 20_000)
        for seed in range(40)
    ]
    assert sum(map(len, made)) <= 1


def test_a_step_is_no_spike() -> None:
    """Texts cut at a length of 1,000, and left out there: the edge itself is smooth."""
    lengths = np.random.default_rng(3).integers(0, 3000, 50_000)
    assert found_at(lengths[lengths <= 1000]) == []
    assert found_at(np.minimum(lengths, 1000)) == [1000]


@pytest.mark.parametrize(
    ("lengths", "counts", "spikes"),
    [
        ([], [], []),
        ([7], [1], []),
        ([7], [MIN_DOCUMENTS - 1], []),
        ([7], [MIN_DOCUMENTS], [7]),  # all have one length
        ([0], [1000], [0]),
        ([280], [10**9], [280]),
        ([10, 11], [5, 6], []),
        ([10, 11], [500, 500], [10, 11]),
        (list(range(1, 21)), [1] * 20, []),
        (list(range(1, 21)), [1] * 10 + [9] + [1] * 9, []),  # few documents
        (list(range(1, 21)), [1] * 10 + [15] + [1] * 9, [11]),
        (list(range(100)), [100] * 50 + [290] + [100] * 49, []),  # not 3 times as many
        (list(range(100)), [100] * 50 + [310] + [100] * 49, [50]),
        (list(range(100)), [10**9] * 50 + [10**10] + [10**9] * 49, [50]),
    ],
)
def test_small_histograms(lengths: list[int], counts: list[int], spikes: list[int]) -> None:
    found = find(np.array(lengths, np.int64), np.array(counts, np.int64))
    assert sorted(one.length for one in found) == spikes


def test_what_is_expected_is_by_the_formula() -> None:
    lengths = np.arange(0, 41)
    counts = np.array([2] * 10 + [100] + [4] * 10 + [50] + [0] * 19)
    (first, second) = find(lengths[counts > 0], counts[counts > 0])
    # Around 10: 0 to 20 without itself, ten of 2 and ten of 4; the two greatest are left out.
    assert first[:3] == (10, 100, 4.0)
    assert first.expected == max(4.0, (10 * 2 + 8 * 4) / 18)
    # Around 21: 11 to 31, ten of 4 and ten of none.
    assert second == Found(21, 50, 4.0, second.p_value)
    assert second.p_value == pytest.approx(math.exp(log_tail(50, 4.0)))


def test_where_most_lengths_have_no_documents_the_mean_is_expected() -> None:
    (found,) = find(np.array([*range(90, 98), 100]), np.array([5] * 8 + [50]))
    assert found[:3] == (100, 50, 6 * 5 / 18)  # of 20 lengths, two of 5 documents are left out
    (found,) = find(np.array([50, 100]), np.array([9, 50]))
    assert found[:3] == (100, 50, 1 / 20)  # nothing around: one document in the window


def test_finding_again_gives_the_same() -> None:
    lengths = np.append(log_normal(np.random.default_rng(4), 5000), np.full(50, 8194))
    assert find(*histogram(lengths)) == find(*histogram(lengths[::-1]))


def exact_log_tail(count: int, expected: float) -> float:
    """Sums of terms with 80 digits; `expected` is the binary number itself."""
    with decimal.localcontext(prec=80, Emin=-(10**9), Emax=10**9):
        mean = Decimal(expected)
        first = (-mean).exp()
        if count <= expected:
            below = Decimal(0)
            for k in range(count):
                below += first
                first = first * mean / (k + 1)
            return float((1 - below).ln())
        total = term = first * mean**count / math.factorial(count)
        k = count
        while term > total.scaleb(-40):
            k += 1
            term = term * mean / k
            total += term
        return float(total.ln())


EXPECTED = (1e-300, 1e-12, 0.001, 0.05, 0.5, 1.0, 2.5, 10.0, 33.3, 100.0, 999.5, 5000.0)
COUNTS = (0, 1, 2, 3, 10, 11, 33, 50, 100, 120, 1000, 1100, 5000, 5001, 6000)


@pytest.mark.parametrize("expected", EXPECTED)
def test_log_tail_is_that_of_exact_sums(expected: float) -> None:
    for count in COUNTS:
        exact = exact_log_tail(count, expected)
        assert log_tail(count, expected) == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "expected", "log"),
    [
        (1, 1e-300, math.log(1e-300)),
        (10**6, 1e-9, 10**6 * math.log(1e-9) - math.lgamma(10**6 + 1)),
        (10**9, 1.0, -1 - math.lgamma(10**9 + 1)),
        (10**12, 0.5, 10**12 * math.log(0.5) - math.lgamma(10**12 + 1)),
        (1, 1e6, 0.0),
        (0, 1e12, 0.0),
        (10**6, 1e6, math.log(0.5 + 1 / 3 / math.sqrt(2 * math.pi * 1e6))),  # Ramanujan's, 1911
    ],
)
def test_log_tail_of_tiny_and_huge_numbers(count: int, expected: float, log: float) -> None:
    assert log_tail(count, expected) == pytest.approx(log, rel=1e-9, abs=1e-6)


def test_log_tail_falls_with_the_count_and_rises_with_what_is_expected() -> None:
    for expected in (0.1, 7.0, 300.0):
        tails = [log_tail(count, expected) for count in range(0, 1000, 3)]
        assert all(a >= b - 1e-9 for a, b in itertools.pairwise(tails))
    for count in (1, 20, 400):
        tails = [log_tail(count, 0.5 * step) for step in range(1, 1000)]
        assert all(a <= b + 1e-9 for a, b in itertools.pairwise(tails))
