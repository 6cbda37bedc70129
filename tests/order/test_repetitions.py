"""The instance filter against OLMo's own way: rows of a matrix compared (olmo/data/util.py)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.order.description import InstanceFilter
from dolma_kit.order.repetitions import is_masked


def plain(ids: list[int], max_period: int, min_period: int, max_count: int) -> bool:
    """Every start, every period: are there max_count copies."""
    for period in range(min_period, min(max_period, len(ids) // 3) + 1):
        for start in range(len(ids) - max_count * period + 1):
            first = ids[start : start + period]
            if first * max_count == ids[start : start + max_count * period]:
                return True
    return False


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    pieces=st.lists(
        st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 8)),
        min_size=1,
        max_size=6,
    ),
    max_period=st.integers(1, 6),
    min_period=st.integers(1, 3),
    max_count=st.integers(3, 6),
)
def test_equals_a_plain_search(
    pieces: list[tuple[list[int], int]], max_period: int, min_period: int, max_count: int
) -> None:
    ids = [i for unit, times in pieces for i in unit * times]
    keys = InstanceFilter(max_period=max_period, min_period=min_period, max_count=max_count)
    expected = plain(ids, max_period, min_period, max_count)
    assert is_masked(np.array(ids, np.uint16), keys) == expected
