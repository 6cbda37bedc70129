"""Sets of hashes of 64 and 128 bits, and the stage with each structure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit.deduplication import structures
from dolma_kit.deduplication.filters import FilterFile
from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError, DataError
from tests.conftest import WriteDocuments
from tests.deduplication.test_stage import FILES, documents, outputs, rows_of

THREADS = ThreadPoolExecutor(2)
EVERY: list[dict[str, Any]] = [{}, {"classic": True}, {"fingerprints": 64}, {"fingerprints": 128}]


def hashes(n: int, width: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """With repeats, zeros, and keys that differ in one half only."""
    random = np.random.default_rng(seed)
    keys = random.integers(0, 2**64, (n, width), np.uint64)
    keys[random.integers(0, n, n // 3)] = keys[random.integers(0, n, n // 3)]
    keys[5::50] = 0
    keys[7::50, 0] = 2**64 - 1
    keys[9::50, -1] = 0
    return keys


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize(("n_parts", "threads"), [(1, 1), (1, 2), (4, 1), (7, 2)])
def test_equals_a_plain_set(width: int, n_parts: int, threads: int) -> None:
    structure = structures.Fingerprints(64 * width)
    keys = hashes(3_000, width, seed=1)
    seen: set[tuple[int, ...]] = set()
    expected = []
    for key in keys.tolist():
        own = tuple(key) if any(key) else (*key[:-1], 1)
        expected.append(own in seen)
        seen.add(own)
    geometry = structure.size_for(300, 1e-6)  # too few: the tables grow
    marks = np.zeros(len(keys), np.bool_)
    stored = []
    for i in range(n_parts):
        held = structure.hold(geometry, structures.Part(i, n_parts, threads), THREADS)
        is_own = held.is_own(keys[:, 0].copy())
        own = keys[is_own]
        for start in range(0, len(own), 700):
            marks[np.arange(len(keys))[is_own][start : start + 700]] = held.look_up(
                own[start : start + 700]
            )
        stored.append(held.stored())
        assert held.fill()[0] == len(stored[-1])
    assert marks.tolist() == expected
    assert [tuple(row) for row in np.concatenate(stored).tolist()] == sorted(seen)


def settings_of(corpus: Path, **more: Any) -> dict[str, Any]:
    return {"documents": [str(corpus)], "name": "dup", "workers": 1, "quiet": True,
            "by": "paragraph", "fp_rate": 1e-9, **more}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    for name, rows in zip(FILES, documents(43), strict=True):
        write_documents(tmp_path / name, rows)
    return tmp_path


@pytest.mark.parametrize("structure", EVERY, ids=str)
@pytest.mark.parametrize("keep", ["first", "longest"])
def test_each_structure_finds_the_same_in_any_partitions(
    corpus: Path, structure: dict[str, Any], keep: str
) -> None:
    dedupe(**settings_of(corpus, keep=keep))
    expected = [row["dup"] for row in rows_of(corpus, "dup")]
    assert any(expected)
    made = []
    for n, workers in ((1, 1), (3, 1), (5, 2)):
        path = str(corpus / f"{n}.filter")
        summary = dedupe(
            **settings_of(
                corpus, keep=keep, overwrite=True, partitions=n, workers=workers, filter=path,
                rebuild=True, **structure,
            )
        )  # fmt: skip
        assert [row["dup"] for row in rows_of(corpus, "dup")] == expected
        made.append((outputs(corpus, "dup"), Path(path).read_bytes(), summary.counts))
    assert made[0] == made[1] == made[2]
    counts = made[0][2]
    assert counts["bytes_per_key"] * (counts["keys"] - counts["duplicates"]) == pytest.approx(
        counts["filter_bytes"], rel=0.01
    )
    assert 0 < counts["fill"] <= 0.81
    assert counts["fp_rate"] < 2e-9


@pytest.mark.parametrize("structure", EVERY[1:], ids=str)
def test_a_filter_of_each_structure_goes_on(corpus: Path, structure: dict[str, Any]) -> None:
    path = str(corpus / "f")
    common = {"filter": path, "expected_items": 500, **structure}
    dedupe(**settings_of(corpus, **{**common, "documents": [str(corpus / "books")]}))
    before = Path(path).read_bytes()
    with pytest.raises(ConfigError, match="has taken in"):
        dedupe(**settings_of(corpus, **{**common, "name": "again"}))
    dedupe(**settings_of(corpus, **common, name="known", read_only=True))
    spans = [row["known"] for row in rows_of(corpus, "known")]
    assert Path(path).read_bytes() == before
    dedupe(**settings_of(corpus, **{**common, "documents": [str(corpus / "web")]}, partitions=3))
    both = Path(path).read_bytes()
    order = [str(corpus / source) for source in ("books", "web")]
    joint = {**common, "filter": str(corpus / "g"), "documents": order}
    dedupe(**settings_of(corpus, **joint, name="joint"))
    start, other = (FilterFile(name)._start for name in (path, str(corpus / "g")))
    assert both[start:] == Path(corpus / "g").read_bytes()[other:]
    assert len(FilterFile(path).description.absorbed) == 2
    assert any(spans)


@pytest.mark.parametrize("structure", EVERY[1:], ids=str)
@pytest.mark.parametrize("cut", [1, 64])
def test_a_filter_that_was_cut_short(corpus: Path, structure: dict[str, Any], cut: int) -> None:
    path = corpus / "f"
    dedupe(**settings_of(corpus, filter=str(path), **structure))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match="its description says"):
        dedupe(**settings_of(corpus, name="other", filter=str(path), read_only=True, **structure))


def test_filters_of_other_structures_are_refused(corpus: Path) -> None:
    path = str(corpus / "f")
    dedupe(**settings_of(corpus, filter=path, fingerprints=64))
    for other in ({}, {"classic": True}, {"fingerprints": 128}):
        with pytest.raises(ConfigError, match="is a fingerprints64 filter, not "):
            dedupe(**settings_of(corpus, name="o", filter=path, read_only=True, **other))
    data = Path(path).read_bytes()
    Path(path).write_bytes(data.replace(b"fingerprints64", b"fingerprints65"))
    with pytest.raises(ConfigError, match="of a structure that this dolma-kit has not"):
        dedupe(**settings_of(corpus, name="o", filter=path, fingerprints=64))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"fingerprints": 32}, "64 or 128 bits"),
        ({"fingerprints": 64, "classic": True}, "exclude each other"),
        ({"fingerprints": 128, "by": "ngram"}, "take --fingerprints 64"),
        ({"fp_rate": 1e-12, "expected_items": 10**9}, "take --fingerprints 128"),
        ({"fp_rate": 1e-18, "fingerprints": 64}, "take --fingerprints 128"),
    ],
)
def test_settings_that_make_no_sense(corpus: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dedupe(**settings_of(corpus, **more))


def test_a_rate_that_only_128_bits_keep(corpus: Path) -> None:
    summary = dedupe(**settings_of(corpus, fp_rate=1e-18, fingerprints=128))
    assert summary.counts["structure"] == "fingerprints128"
    assert summary.counts["fp_rate"] < 1e-30
    assert summary.counts["bytes_per_key"] > 20
