"""Replays of numpy's shuffle against the shuffle itself, places and values, any size and seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import pcg64_shuffle
from dolma_kit.order import permutation
from dolma_kit.order.permutation import OlmoPermutation, shuffled_instances


def check(n: int, seed: int, asked: np.ndarray) -> None:  # type: ignore[type-arg]
    order = shuffled_instances(n, seed)
    inverse = np.empty(n, np.int64)
    inverse[order] = np.arange(n)
    assert np.array_equal(pcg64_shuffle.places_of(n, seed, asked), inverse[asked])
    assert np.array_equal(pcg64_shuffle.values_at(n, seed, asked), order[asked])


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**70), st.data())
def test_some_places(n: int, seed: int, data: st.DataObject) -> None:
    asked = data.draw(st.sets(st.integers(0, n - 1), max_size=20))
    check(n, seed, np.array(sorted(asked), np.int64))


@pytest.mark.parametrize("n", [1, 2, 3, 64, 65, 1000, 65535, 65536, 65537])
def test_all_places(n: int) -> None:
    check(n, 6198, np.arange(n))


def test_several_blocks_of_swaps() -> None:
    n = 2 * pcg64_shuffle.BLOCK + 12345
    check(n, 34521, np.unique(np.random.default_rng(1).integers(0, n, 3000)))


def test_an_order_that_is_replayed_is_that_which_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = OlmoPermutation(5000, seed=6198, epoch=2, world_size=3, drop_last=False)
    expected = stored.instances_at(0, len(stored)).tolist()
    monkeypatch.setattr(permutation, "STORED", 100)
    monkeypatch.setattr(permutation, "MOST_REPLAYED", 600)
    replayed = OlmoPermutation(5000, seed=6198, epoch=2, world_size=3, drop_last=False)
    assert replayed.instances_at(40, 140).tolist() == expected[40:140]
    assert replayed.instances_at(4990, 5001).tolist() == expected[4990:5001]  # the head again
    assert replayed[17] == expected[17]
    assert replayed.positions_of_each(range(500)) == stored.positions_of_each(range(500))
    assert not {"shuffled", "inverse"} & replayed.__dict__.keys()
    assert replayed.instances_at(0, len(replayed)).tolist() == expected  # too much to replay
    assert "shuffled" in replayed.__dict__
    assert replayed.positions_of(expected[9]) == stored.positions_of(expected[9])
