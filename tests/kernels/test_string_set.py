"""A set of byte strings against Python's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit import kernels, url_lists

from ..naive import as_arrays
from ..naive import urls as naive

NAMES = st.lists(st.sampled_from(["a", "b", "com", "", "ü", "a-b"]), max_size=4).map(".".join)


@given(st.lists(NAMES, max_size=30), st.lists(NAMES, max_size=20), st.booleans())
@settings(deadline=None, max_examples=150)
def test_find(known: list[str], asked: list[str], with_parents: bool) -> None:
    made = url_lists.string_set([known])
    assert len(made.offsets) - 1 == len(set(known))
    assert made.longest == max([len(name.encode()) for name in known], default=0)
    text, offsets = as_arrays(asked)
    parents = np.full(len(asked), with_parents)
    found = kernels.string_set.find(*made, text, offsets[:-1], offsets[1:], parents)
    assert found.tolist() == [naive.in_set(known, name, with_parents) for name in asked]


def test_a_host_takes_less_than_40_bytes() -> None:
    known = [f"host-{i * 7919}.example.com" for i in range(20_000)]
    made = url_lists.string_set([known])
    n_bytes = made.data.nbytes + made.offsets.nbytes + made.slots.nbytes
    assert n_bytes / len(known) < 40


def test_a_long_host_takes_no_square_of_time() -> None:
    made = url_lists.string_set([["a.com"]])
    text, offsets = as_arrays(["a." * 1_000_000 + "com"])
    found = kernels.string_set.find(*made, text, offsets[:-1], offsets[1:], np.ones(1, np.bool_))
    assert found.tolist() == [True]
