"""Edges by band and part, and the union-find of two levels, beside a plain one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.deduplication import linking
from tests.naive import clusters

EDGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(EDGES, min_size=1, max_size=7), st.integers(1, 5))
def test_groups_do_not_matter(files_of_edges: list[list[tuple[int, int]]], n_groups: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        paths = []
        for i, edges in enumerate(files_of_edges):
            paths.append(str(Path(place) / f"{i}.edges"))
            np.array(edges, "<i8").reshape(-1, 2).tofile(paths[-1])
        forests = []
        for group in range(n_groups):
            forests.append(str(Path(place) / f"{group}.forest"))
            linking.join(
                linking.JoinTask(tuple(paths[group::n_groups]) or (paths[0],), forests[-1])
            )
        found = linking.roots_of(61, forests)
    together = [edge for edges in files_of_edges for edge in edges]
    assert found.tolist() == clusters.roots(61, together)


def test_a_forest_has_an_edge_a_document_at_most(tmp_path: Path) -> None:
    edges = np.array([(a, b) for a in range(30) for b in range(30)], "<i8")
    edges.tofile(tmp_path / "all")
    linking.join(linking.JoinTask((str(tmp_path / "all"),), str(tmp_path / "forest")))
    forest = linking.edges_in(str(tmp_path / "forest"))
    assert forest.tolist() == [[0, i] for i in range(1, 30)]


def test_each_key_has_one_part_and_parts_are_alike() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
    ends = np.array([0, 2**64 - 1], np.uint64)
    for n_parts in (1, 2, 3, 7, 1000):
        sizes = np.bincount(linking.part_of(keys, n_parts).astype(np.int64), minlength=n_parts)
        assert len(sizes) == n_parts
        assert abs(sizes - 100_000 / n_parts).max() < 6 * (100_000 / n_parts) ** 0.5 + 1
        assert linking.part_of(ends, n_parts).tolist() == [0, n_parts - 1]


def test_every_file_of_edges_is_joined_once(tmp_path: Path) -> None:
    for n_bands, n_parts in ((1, 1), (14, 1), (14, 8), (9, 3)):
        finding, joining = linking.tasks(n_bands, n_parts, 1, str(tmp_path))
        joined = [path for task in joining for path in task.edges]
        assert sorted(joined) == sorted(task.edges for task in finding)
        assert len(joined) == n_bands * n_parts
        assert all(task.edges for task in joining)
