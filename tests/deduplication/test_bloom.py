"""Sizing: the formula against filters that were filled, and the smallest filter that will do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dolma_kit.deduplication import bloom
from dolma_kit.deduplication.bloom import Geometry
from dolma_kit.errors import ConfigError
from dolma_kit.kernels.bloom import check, check_and_insert, empty_blocks


def measured_hits(n_items: int, geometry: Geometry, n_probes: int, seed: int) -> int:
    """How many of n_probes fresh keys a filter that holds n_items others takes for known."""
    rng = np.random.default_rng(seed)
    blocks, n_blocks = empty_blocks(geometry.n_blocks), np.uint64(geometry.n_blocks)
    inserted = rng.integers(0, 2**64, n_items, np.uint64)
    out = np.zeros(max(n_items, n_probes), np.uint8)
    check_and_insert(blocks, np.uint64(0), n_blocks, inserted, geometry.k, out[:n_items])
    out[:] = 0
    probes = rng.integers(0, 2**64, n_probes, np.uint64)
    check(blocks, np.uint64(0), n_blocks, probes, geometry.k, out[:n_probes])
    return int(out.sum())


@pytest.mark.parametrize(
    ("n_items", "fp_rate", "n_probes"),
    [
        (300_000, 0.5, 100_000),
        (300_000, 1e-2, 1_000_000),
        (300_000, 1e-4, 10_000_000),
        (100_000, 1e-4, 10_000_000),
        (1_000, 1e-3, 1_000_000),
    ],
)
def test_measured_rate_is_the_formulas(n_items: int, fp_rate: float, n_probes: int) -> None:
    """Within four standard deviations of the count, and 3 % for how full this filter came out.

    A filter of few blocks differs more from the mean of all such filters: 25 % for 1,000 keys.
    """
    geometry = bloom.size_for(n_items, fp_rate)
    expected = n_probes * bloom.false_positive_rate(n_items, geometry)
    hits = measured_hits(n_items, geometry, n_probes, seed=6198)
    slack = 0.03 if n_items > 10_000 else 0.25
    assert abs(hits - expected) < 4 * math.sqrt(expected) + slack * expected


@pytest.mark.parametrize(("n_blocks", "k"), [(1000, 4), (1000, 16), (4000, 9)])
def test_rate_of_any_geometry_at_any_fill(n_blocks: int, k: int) -> None:
    geometry = Geometry(n_blocks=n_blocks, k=k)
    for n_items in (10_000, 40_000):
        expected = 2_000_000 * bloom.false_positive_rate(n_items, geometry)
        hits = measured_hits(n_items, geometry, 2_000_000, seed=1)
        assert abs(hits - expected) < 4 * math.sqrt(expected) + 0.05 * expected + 1


def test_usual_formula_is_a_tenth_too_small() -> None:
    """Why X's distribution stands in the formula and not X's mean."""
    n_items, geometry = 10**7, bloom.size_for(10**7, 1e-6)
    load = n_items / geometry.n_blocks
    usual = sum(
        math.exp(i * math.log(load) - load - math.lgamma(i + 1))
        * (1 - (1 - 1 / 512) ** (geometry.k * i)) ** geometry.k
        for i in range(200)
    )
    assert 0.85 < usual / bloom.false_positive_rate(n_items, geometry) < 0.95


@pytest.mark.parametrize("n_items", [1, 10, 1_000, 123_457, 10**7, 60 * 10**9])
@pytest.mark.parametrize("fp_rate", [0.3, 1e-3, 1e-6, 1e-12])
def test_no_smaller_filter_would_do(n_items: int, fp_rate: float) -> None:
    geometry = bloom.size_for(n_items, fp_rate)
    assert bloom.false_positive_rate(n_items, geometry) <= fp_rate
    if geometry.n_blocks > 1:
        for k in range(1, 65):
            smaller = Geometry(n_blocks=geometry.n_blocks - 1, k=k)
            assert bloom.false_positive_rate(n_items, smaller) > fp_rate


def test_size_is_no_power_of_two() -> None:
    """Bytes grow with the items, not in steps: 1.3 times the keys take 1.3 times the blocks."""
    one = bloom.size_for(10**7, 1e-6).n_blocks
    more = bloom.size_for(13 * 10**6, 1e-6).n_blocks
    assert more / one == pytest.approx(1.3, rel=1e-4)
    assert 38 < 8 * bloom.size_for(10**9, 1e-6).n_bytes / 10**9 < 39.5  # bits a key


@pytest.mark.parametrize(("n_items", "most_k"), [(0, 1), (1, 8), (10, 30), (1000, 20)])
def test_few_items_need_few_positions(n_items: int, most_k: int) -> None:
    """Dolma's takes 5,815 hashes a key for 1,000 items, for it has at least 1 MiB."""
    geometry = bloom.size_for(n_items, 1e-6)
    assert 1 <= geometry.k <= most_k
    assert geometry.n_bytes < 10_000


def test_nothing_in_it_nothing_known() -> None:
    assert bloom.false_positive_rate(0, Geometry(n_blocks=3, k=5)) == 0.0
    assert bloom.false_positive_rate(10**9, Geometry(n_blocks=1, k=5)) == 1.0


@pytest.mark.parametrize(("n_items", "fp_rate"), [(-1, 0.1), (10, 0.0), (10, 1.0)])
def test_no_filter_for_that(n_items: int, fp_rate: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        bloom.size_for(n_items, fp_rate)


def test_refused_where_it_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = bloom.size_for(10**6, 1e-6)
    monkeypatch.setattr(bloom, "available_memory", lambda: geometry.n_bytes)
    bloom.require_memory(geometry, 10**6, 1e-6)
    monkeypatch.setattr(bloom, "available_memory", lambda: geometry.n_bytes - 1)
    with pytest.raises(ConfigError) as refusal:
        bloom.require_memory(geometry, 10**6, 1e-6)
    assert f"{geometry.n_bytes:,}" in str(refusal.value)
    assert f"{geometry.n_bytes - 1:,}" in str(refusal.value)
    assert "--fp-rate" in str(refusal.value)


def test_available_memory_is_known_here() -> None:
    available = bloom.available_memory()
    assert available is not None
    assert 2**20 < available < 2**50
