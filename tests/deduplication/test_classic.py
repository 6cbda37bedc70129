"""The classic Bloom filter: its rate, its size, and the stage with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit.deduplication import classic, structures
from dolma_kit.deduplication.bloom import BLOCK_BITS, Geometry
from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError
from tests.conftest import WriteDocuments
from tests.deduplication import naive
from tests.deduplication.test_stage import FILES, documents, rows_of

THREADS = ThreadPoolExecutor(2)


def positions_of(h: int, k: int, n_bits: int) -> set[int]:
    draws = (h + (j + 1) * 0x9E3779B97F4A7C15 & naive.MASK for j in range(k))
    return {naive.mix(draw) * n_bits >> 64 for draw in draws}


def held(geometry: Geometry, *, read_only: bool = False, n_parts: int = 1) -> list[Any]:
    """All partitions of a filter, of two threads each."""
    return [
        structures.HeldWords(geometry, structures.Part(i, n_parts, 2, read_only), THREADS)
        for i in range(n_parts)
    ]


def test_equals_a_plain_set_of_positions() -> None:
    geometry = Geometry(n_blocks=3, k=5)
    (filter,) = held(geometry)
    hashes = np.random.default_rng(3).integers(0, 2**64, 400, np.uint64)
    hashes[200:250] = hashes[:50]
    bits: set[int] = set()
    for h, mark in zip(hashes.tolist(), filter.look_up(hashes).tolist(), strict=True):
        needed = positions_of(h, 5, 3 * BLOCK_BITS)
        assert mark == (needed <= bits)
        bits |= needed
    words = filter.blocks.reshape(-1).tolist()
    assert {64 * i + j for i, word in enumerate(words) for j in range(64) if word >> j & 1} == bits
    assert filter.fill()[0] == len(bits)


@pytest.mark.parametrize("n_parts", [2, 7])
def test_all_parts_together_are_one(n_parts: int) -> None:
    geometry = classic.size_for(500, 1e-2)
    hashes = np.random.default_rng(5).integers(0, 2**64, 900, np.uint64)
    hashes[500:] = hashes[:400]
    (whole,) = held(geometry)
    parts = held(geometry, n_parts=n_parts)
    expected = whole.look_up(hashes)
    assert (np.minimum.reduce([part.look_up(hashes) for part in parts]) == expected).all()
    assert (np.concatenate([part.blocks for part in parts]) == whole.blocks).all()


@pytest.mark.parametrize(("n", "rate"), [(20_000, 1e-2), (50_000, 1e-3), (100, 0.2)])
def test_measured_rate_is_the_formulas(n: int, rate: float) -> None:
    geometry = classic.size_for(n, rate)
    (filter,) = held(geometry)
    random = np.random.default_rng(11)
    filter.look_up(random.integers(0, 2**64, n, np.uint64))
    (fresh,) = held(geometry, read_only=True)
    fresh.blocks[:] = filter.blocks
    n_probes = 1_000_000
    hits = int(fresh.look_up(random.integers(0, 2**64, n_probes, np.uint64)).sum())
    _, by_fill = structures.Classic().found(geometry, [fresh.fill()[0]], 0.0)
    assert abs(hits - by_fill * n_probes) < 5 * (by_fill * n_probes) ** 0.5
    assert classic.false_positive_rate(n, geometry) <= rate
    assert abs(by_fill - classic.false_positive_rate(n, geometry)) < 0.25 * rate
    assert (fresh.blocks == filter.blocks).all()


@pytest.mark.parametrize(("n", "rate"), [(10**6, 1e-6), (12_345, 1e-3), (10**9, 1e-9), (1, 0.5)])
def test_no_smaller_filter_would_do(n: int, rate: float) -> None:
    made = classic.size_for(n, rate)
    for k in range(1, 60):
        if made.n_blocks > 1:
            less = Geometry(n_blocks=made.n_blocks - 1, k=k)
            assert classic.false_positive_rate(n, less) > rate


def settings_of(corpus: Path, **more: Any) -> dict[str, Any]:
    return {"documents": [str(corpus)], "name": "dup", "workers": 1, "quiet": True,
            "by": "paragraph", "fp_rate": 1e-9, **more}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    for name, rows in zip(FILES, documents(41), strict=True):
        write_documents(tmp_path / name, rows)
    return tmp_path


@pytest.mark.parametrize("keep", ["first", "longest"])
def test_finds_what_the_blocked_filter_finds(corpus: Path, keep: str) -> None:
    one = dedupe(**settings_of(corpus, keep=keep, classic=True))
    marked = [row["dup"] for row in rows_of(corpus, "dup")]
    other = dedupe(**settings_of(corpus, keep=keep, overwrite=True))
    assert marked == [row["dup"] for row in rows_of(corpus, "dup")]
    assert any(marked)
    assert one.counts["duplicates"] == other.counts["duplicates"]
    assert one.counts["filter_bytes"] <= other.counts["filter_bytes"]
    assert 0 < one.counts["fill"] < 0.6
    assert one.counts["fp_rate"] < 2e-9


def test_overfull_is_refused(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="sized for 5 keys"):
        dedupe(**settings_of(corpus, classic=True, expected_items=5))


@pytest.mark.parametrize(("n_items", "fp_rate"), [(-1, 0.1), (5, 0.0), (5, 1.0)])
def test_no_filter_for_that(n_items: int, fp_rate: float) -> None:
    with pytest.raises(ConfigError, match="no filter for"):
        classic.size_for(n_items, fp_rate)
