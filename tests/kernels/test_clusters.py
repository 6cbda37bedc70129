"""Union-find against labels that are lowered until nothing changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import clusters
from tests.naive import clusters as plain

pairs = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30)


@settings(deadline=None, max_examples=200)
@given(edges=pairs, split=st.integers(0, 30))
def test_roots_are_the_first_of_their_clusters(edges: list[tuple[int, int]], split: int) -> None:
    for order in (edges, edges[::-1]):
        parents = np.arange(20)
        for part in (order[:split], order[split:]):
            clusters.join(parents, np.array(part, np.int64).reshape(-1, 2))
        clusters.flatten(parents)
        assert parents.tolist() == plain.roots(20, edges)


@settings(deadline=None, max_examples=100)
@given(keys=st.lists(st.integers(0, 5), max_size=30))
def test_edges_go_from_the_first_of_a_key(keys: list[int]) -> None:
    docs = np.arange(len(keys)) * 3
    array = np.array(keys, np.uint64)
    found = clusters.edges_of(array, docs, np.argsort(array, kind="stable"))
    assert set(map(tuple, found.tolist())) == plain.edges_of(keys, docs.tolist())
    assert len(found) == len(keys) - len(set(keys))
