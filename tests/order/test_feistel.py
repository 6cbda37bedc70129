"""Order kind `feistel`: a permutation for any size, beside a plain twin, with pinned vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.order import export
from dolma_kit.order.permutation import MAX_INSTANCES, FeistelPermutation
from dolma_kit.order.run import open_run
from dolma_kit.order.steps import trace_doc

M64 = 2**64 - 1


def plainly(n: int, seed: int, epoch: int, place: int) -> int:
    """What stands at a place, in Python's integers."""
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    keys = [
        int.from_bytes(
            hashlib.blake2b(
                b"".join(x.to_bytes(8, "little") for x in (seed, epoch, r)),
                person=b"dolma-kit order",
            ).digest()[:8],
            "little",
        )
        for r in range(8)
    ]
    x = place
    while True:
        left, right = x >> half, x & (2**half - 1)
        for key in keys:
            z = (right + key) & M64
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
            z ^= z >> 31
            left, right = right, left ^ (z & (2**half - 1))
        x = (left << half) | right
        if x < n:
            return x


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**63), st.integers(0, 9), st.integers(1, 7))
def test_a_permutation_both_ways(n: int, seed: int, epoch: int, world_size: int) -> None:
    order = FeistelPermutation(n, seed=seed, epoch=epoch, world_size=world_size, drop_last=False)
    found = order.instances_at(0, len(order)).tolist()
    assert sorted(found[:n]) == list(range(n))
    assert found[n:] == found[: len(order) - n]
    assert [order[p] for p in range(len(order))] == found
    assert all(p in order.positions_of(i) for p, i in enumerate(found))


@settings(deadline=None)
@given(st.integers(1, MAX_INSTANCES), st.integers(0, 2**64 - 1), st.integers(0, 2**32))
def test_beside_a_plain_twin(n: int, seed: int, epoch: int) -> None:
    order = FeistelPermutation(n, seed=seed, epoch=epoch)
    for place in {0, n // 2, n - 1}:
        instance = plainly(n, seed, epoch, place)
        assert order[place] == instance
        assert order.positions_of(instance) == (place,)


PINNED = [851, 858, 148, 473, 267, 674, 426, 801, 974, 763]
DIGEST = "98361c9f4bf23392"


def test_pinned() -> None:
    """Orders of runs that were made must stay what they are."""
    order = FeistelPermutation(1000, seed=6198, epoch=0)
    assert order.instances_at(0, 10).tolist() == PINNED
    digest = hashlib.sha256(order.instances_at(0, 1000).astype("<u4").tobytes()).hexdigest()
    assert digest[:16] == DIGEST


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    n = 10_000
    orders = {
        (seed, epoch): FeistelPermutation(n, seed=seed, epoch=epoch).instances_at(0, n)
        for seed in (1, 2) for epoch in (0, 1)
    }  # fmt: skip
    pairs = [(a, b) for a in orders for b in orders if a < b]
    for a, b in pairs:  # of two random ones one place is alike on average
        assert (orders[a] == orders[b]).sum() < 10


def test_it_looks_random() -> None:
    """Where instances go, and how neighbours lie, by chi-square over a grid and by correlation."""
    n, k = 1 << 16, 16
    order = FeistelPermutation(n, seed=3, epoch=0).instances_at(0, n).astype(np.int64)
    cells = np.histogram2d(np.arange(n), order, bins=k)[0]
    chi2 = ((cells - n / k**2) ** 2 / (n / k**2)).sum()
    assert 150 < chi2 < 310  # (k - 1)^2 = 225 degrees of freedom, 4 standard deviations
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    assert 0.45 < (np.diff(order) > 0).mean() < 0.55


def test_a_run_in_that_order(run_yaml: Path, tmp_path: Path) -> None:
    text = run_yaml.read_text().replace("kind: olmo", "kind: feistel")
    assert "kind: feistel" in text
    run_yaml.write_text(text)
    run = open_run(run_yaml)
    seen = [part.id for step in range(1, run.n_steps + 1) for part in run.step(step).documents()]
    assert seen
    first = run.step(1).documents()[0]
    assert any(s.step == 1 for s in trace_doc(run, first.id).seen)
    n = export.export_global_indices(run, tmp_path / "global_indices.npy")
    indices = np.fromfile(tmp_path / "global_indices.npy", "<u4")
    assert len(indices) == n == len(run.order)
    assert indices[: len(run.step(1).instances)].tolist() == run.step(1).instances.tolist()


def test_too_many_are_refused() -> None:
    with pytest.raises(ConfigError, match="too many for order kind feistel"):
        FeistelPermutation(MAX_INSTANCES + 1, seed=0, epoch=0)
