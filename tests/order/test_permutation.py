"""OLMo's order bit for bit: the reference's vectors, a twin in plain Python, and numpy."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.order.permutation import MAX_INSTANCES, OlmoPermutation, shuffled_instances

from .naive_loader import global_indices, pcg64_shuffle

# shared reference, section 1.4: n, seed of PCG64, first elements, start of sha256 over <u4
VECTORS = [
    (10, 6198, [2, 4, 7, 3, 8, 9, 0, 6, 1, 5], ""),
    (10, 42, [5, 6, 0, 7, 3, 2, 4, 9, 1, 8], ""),
    (1000, 6198, [615, 832, 881, 9, 648, 523, 809, 336, 989, 868], "fc4c978b6e6405e6"),
    (1000, 6199, [363, 586, 975, 648, 897, 311, 471, 834, 968, 2], "e66817af8979e309"),
    (1000, 34522, [905, 250, 414, 554, 333, 834, 537, 775, 686, 804], "7d0422e3a4d584a6"),
    (
        100003,
        6198,
        [27125, 8068, 8648, 62718, 32625, 99822, 96240, 52874, 98516, 5921],
        "195af959ad3aa8cf",
    ),
]


@pytest.mark.parametrize(("n", "seed", "head", "digest"), VECTORS)
def test_vectors(n: int, seed: int, head: list[int], digest: str) -> None:
    order = shuffled_instances(n, seed)
    assert order.dtype == np.uint32
    assert order[:10].tolist() == head
    assert hashlib.sha256(order.astype("<u4").tobytes()).hexdigest().startswith(digest)


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (2, 1), (1000, 6198), (3001, 2**40 + 7)])
def test_equals_plain_python(n: int, seed: int) -> None:
    assert shuffled_instances(n, seed).tolist() == pcg64_shuffle(n, seed)


def test_second_epoch_is_the_next_seed() -> None:
    second = OlmoPermutation(1000, seed=6198, epoch=1)
    assert [second[p] for p in range(10)] == VECTORS[3][2]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    n=st.integers(1, 300),
    seed=st.integers(0, 2**33),
    epoch=st.integers(0, 3),
    world_size=st.integers(1, 400),
    drop_last=st.booleans(),
)
def test_equals_olmo_loader(
    n: int, seed: int, epoch: int, world_size: int, drop_last: bool
) -> None:
    expected = global_indices(n, seed, epoch, world_size, drop_last)
    order = OlmoPermutation(n, seed=seed, epoch=epoch, world_size=world_size, drop_last=drop_last)
    assert len(order) == len(expected)
    assert order.instances_at(0, len(order)).tolist() == expected
    assert [order[p] for p in range(len(order))] == expected
    for instance in range(n):
        positions = [p for p, i in enumerate(expected) if i == instance]
        assert list(order.positions_of(instance)) == positions


def test_inverse_undoes_the_shuffle() -> None:
    order = OlmoPermutation(1000, seed=6198, epoch=0)
    assert order.shuffled[order.inverse].tolist() == list(range(1000))
    assert order.inverse is order.inverse  # computed once


@pytest.mark.parametrize("n", [MAX_INSTANCES + 1, 2**40])
def test_too_many_instances(n: int) -> None:
    with pytest.raises(ConfigError, match=rf"{n} instances .* at most 4294967294"):
        OlmoPermutation(n, seed=0, epoch=0)


@pytest.mark.parametrize("position", [-1, 8])
def test_position_outside(position: int) -> None:
    order = OlmoPermutation(10, seed=6198, epoch=0, world_size=4)
    with pytest.raises(IndexError, match=f"position {position} of 8"):
        order[position]
    with pytest.raises(IndexError):
        order.instances_at(position, position + 1)
