"""`round5` is `round(x, 5)` bit for bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels.rounding import round5
from tests import naive


def bits(values: list[float]) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def check(values: list[float]) -> None:
    rounded = round5(np.array(values, np.float64)).tolist()
    assert bits(rounded) == bits([round(value, 5) for value in values])


def test_ties_and_their_neighbours() -> None:
    ties = (np.arange(200_000) + 0.5) / 1e5
    near = np.concatenate([ties, np.nextafter(ties, 0), np.nextafter(ties, 9)])
    check(near.tolist())
    check((-near[::7]).tolist())


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 5e-324, -5e-324, -1e-9, 1e-5, 5e-6],
        [0.5, 1.5, 2.5, 1 / 3, 2 / 3, 0.1, 0.000005, 0.000015, 1.000005, 2.675],
        [21474.836475, 21474.836485, 2.0**31 + 0.1, 1e10 + 0.00001, 2.0**52 + 0.5],
        [2.0**53, 1e22, 1e305, 1.7976931348623157e308, -1e305],
        [math.inf, -math.inf],
        [],
    ],
    ids=["tiny", "usual", "large", "huge", "infinite", "empty"],
)
def test_edges(values: list[float]) -> None:
    check(values)


def test_nan_passes_shape_and_input_stay() -> None:
    values = np.array([[math.nan, 0.123456], [1.0, 2.0]])
    values.flags.writeable = False
    assert np.array_equal(round5(values), [[math.nan, 0.12346], [1.0, 2.0]], equal_nan=True)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.floats(allow_nan=False) | st.floats(-1, 1) | st.floats(-1e6, 1e6)))
def test_any_float(values: list[float]) -> None:
    check(values)


@given(st.floats(allow_nan=False) | st.floats(-1, 1))
def test_twin_is_round(value: float) -> None:
    assert bits([naive.round5(value)]) == bits([round(value, 5)])
