"""Periodic stretches of ids, and nested spans."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import periods
from tests.naive import repetition

stretch = st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=15), st.integers(0, 60)).map(
    lambda parts: (parts[0] * 60)[: parts[1]]
)
sequences = st.lists(st.lists(stretch, max_size=4).map(lambda found: [*chain(*found)]), max_size=4)


def found_in(ids: list[list[int]], **limits: int) -> list[list[tuple[int, int, int]]]:
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    stretches = periods.find(np.array([*chain(*ids)], np.uint32), offsets, **limits)
    found: list[list[tuple[int, int, int]]] = [[] for _ in ids]
    for i, start, end, period in zip(*(column.tolist() for column in stretches), strict=True):
        found[i].append((start, end, period))
    return found


@settings(deadline=None, max_examples=100)
@given(sequences, st.sampled_from([(1, 13, 3), (1, 13, 32), (2, 5, 4), (1, 4, 2)]))
def test_equals_twin(ids: list[list[int]], limits: tuple[int, int, int]) -> None:
    names = ("min_period", "max_period", "min_times")
    found = found_in(ids, **dict(zip(names, limits, strict=True)))
    assert found == [repetition.periods(one, *limits) for one in ids]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], []),
        ([5, 5], []),
        ([5, 5, 5], [(0, 3, 1)]),
        ([1, 2, 1, 2, 1], []),
        ([1, 2, 1, 2, 1, 2, 1], [(0, 7, 2)]),
        ([9, *[1, 2] * 6, 9], [(1, 13, 2), (1, 13, 4)]),
        ([*range(13)] * 3, [(0, 39, 13)]),
        ([*range(14)] * 9, []),
        ([2**32 - 1] * 4, [(0, 4, 1)]),
    ],
)
def test_by_hand(ids: list[int], expected: list[tuple[int, int, int]]) -> None:
    assert found_in([[7], ids]) == [[], expected]


def test_times_are_whole_repetitions() -> None:
    found = periods.find(np.array([1, 2, 1, 2, 1, 2, 1], np.uint32), np.array([0, 7]))
    assert found.times.tolist() == [3]


def test_many_stretches() -> None:
    """More than there is room for at first."""
    n = periods._N_EXPECTED + 1
    ids = np.arange(n, dtype=np.uint32).repeat(3)
    found = periods.find(ids, np.array([0, 3 * n]))
    assert found.starts.tolist() == list(range(0, 3 * n, 3))
    assert set(found.times) == {3}


@pytest.mark.parametrize("limits", [{"min_period": 0}, {"min_times": 1}])
def test_no_sense_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 and 2"):
        found_in([[1]], **limits)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_outermost(spans: list[tuple[int, int, int]]) -> None:
    ordered = sorted(
        ((owner, min(a, b), max(a, b)) for owner, a, b in spans),
        key=lambda span: (span[0], span[1], -span[2]),
    )
    owners, _, ends = np.ascontiguousarray(np.array(ordered, np.int64).reshape(-1, 3).T)
    kept = periods.outermost(owners, ends)
    assert kept.tolist() == repetition.outermost(ordered)
