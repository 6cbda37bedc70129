"""Joining on disk gives what sorting in memory would."""

from __future__ import annotations

import tracemalloc
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_kit.config import Extract
from dolma_kit.extraction import joining
from dolma_kit.extraction.joining import Row, Spill, Thread, threads

ROWS = st.lists(
    st.tuples(
        st.tuples(st.integers(-(2**62), 2**62) | st.integers(0, 3), st.integers(-2, 2)),
        st.binary(max_size=8),
    ),
    max_size=60,
)


def naive(rows: list[Row], max_bytes: int) -> list[Thread]:
    """What `threads` gives, in memory and in plain words."""
    given_ = []
    for number, group in groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0][0]):
        listed = list(group)
        sizes = [sum(len(row) for _, row in listed[: i + 1]) for i in range(len(listed))]
        kept = [row for row, size in zip(listed, sizes, strict=True) if size <= max_bytes]
        given_.append(Thread(number, kept, sizes[-1], sizes[-1] > max_bytes))
    return given_


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ROWS, st.sampled_from([1, 500, 2000, 1 << 20]), st.integers(2, 5), st.integers(0, 20))
def test_threads_are_those_of_a_sort_however_small_the_runs(
    tmp_path: Path, rows: list[Row], most_bytes: int, most_runs: int, max_bytes: int
) -> None:
    spill = Spill(str(tmp_path), most_bytes=most_bytes, most_runs=most_runs)
    for key, row in rows:
        spill.add(key, row)
    assert list(threads(spill, max_bytes)) == naive(rows, max_bytes)


def test_memory_is_that_of_a_run(tmp_path: Path) -> None:
    spill = Spill(str(tmp_path), most_bytes=1 << 20, most_runs=8)
    tracemalloc.start()
    for i in range(20_000):  # 12 MB
        spill.add((i * 7919 % 1009, i), b"%0400d" % i)
    n_rows = sum(len(thread.rows) for thread in threads(spill, 1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_rows == 20_000
    assert peak < 6 << 20


@pytest.mark.parametrize("out", ["", "out"])
def test_nothing_is_left_behind(tmp_path: Path, out: str) -> None:
    settings_ = Extract(out=str(tmp_path / out) if out else "", tmp_dir=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        interrupted(settings_, tmp_path)
    assert not list(tmp_path.rglob("run-*"))


def interrupted(settings_: Extract, folder: Path) -> None:
    with joining.spilling(settings_) as spill:
        spill._most_bytes = 1
        spill.add((1,), b"x")
        assert list(folder.rglob("run-*"))
        raise KeyboardInterrupt
