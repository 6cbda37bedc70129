"""Instances against OLMo's chunks, cut one after the other."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.order.instances import InstanceTable

from .naive_loader import chunks


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    n_tokens=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    sequence_length=st.integers(1, 12),
    data=st.data(),
)
def test_equals_olmo_chunks(n_tokens: list[int], sequence_length: int, data: st.DataObject) -> None:
    expected = chunks(n_tokens, sequence_length)
    assume(expected)
    table = InstanceTable(n_tokens, sequence_length)
    assert [table.locate(i) for i in range(table.n_instances)] == expected
    in_instances = table.n_instances * sequence_length
    assert table.n_remainder_tokens == sum(n_tokens) - in_instances
    assert table.n_remainder_tokens == sum(map(table.remainder, range(len(n_tokens))))

    file = data.draw(st.integers(0, len(n_tokens) - 1))
    start = data.draw(st.integers(0, n_tokens[file]))
    end = data.draw(st.integers(start, n_tokens[file]))
    holding = [
        i
        for i, (f, first) in enumerate(expected)
        if f == file and set(range(first, first + sequence_length)) & set(range(start, end))
    ]
    assert list(table.overlapping(file, start, end)) == holding


@pytest.mark.parametrize("instance", [-1, 4])
def test_instance_outside(instance: int) -> None:
    with pytest.raises(IndexError, match=f"instance {instance} of 4"):
        InstanceTable([10, 3, 9], 4).locate(instance)


@pytest.mark.parametrize("n_tokens", [[2047, 1000], [0], []])
def test_too_few_tokens_for_one_instance(n_tokens: list[int]) -> None:
    largest = max(n_tokens, default=0)
    with pytest.raises(ConfigError, match=rf"sequence_length is 2048.* has {largest}$"):
        InstanceTable(n_tokens, 2048)
