"""A shuffle over all shards of a stream: a permutation, the same for any cut into files."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dolma_kit
from dolma_kit import shuffling
from dolma_kit.errors import ConfigError
from dolma_kit.shuffling import BucketTask, Spill, SpillWriter, sort_bucket
from tests.conftest import WriteDocuments
from tests.shares.test_budgets import digests
from tests.test_mixing import rows

N = 400


def written(n_files: int, write_documents: WriteDocuments, folder: str) -> None:
    cuts = np.linspace(0, N, n_files + 1).astype(int).tolist()
    for k, (a, b) in enumerate(itertools.pairwise(cuts)):
        documents = [{"id": str(i), "text": f"text {i} " + "é" * (i % 7)} for i in range(a, b)]
        write_documents(Path(folder) / f"documents/{k}.jsonl.gz", documents)


def mix(folder: str, out: str, *, workers: int = 1, **more: Any) -> Any:
    stream = {
        "name": "s", "documents": [folder], "output": {"path": out, "max_size_in_bytes": 2000},
    } | more.pop("stream", {})  # fmt: skip
    keys = {"shuffle_seed": 7, "quiet": True} | more
    return dolma_kit.mix(streams=[stream], workers=workers, **keys)


def order(out: str) -> list[str]:
    return [row["id"] for row in rows(Path(out))]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 500)  # so that there are several
    return tmp_path


def test_a_permutation_that_follows_from_ids_and_seed(
    place: Path, write_documents: WriteDocuments
) -> None:
    written(3, write_documents, "three")
    written(8, write_documents, "eight")
    summary = mix("three", "a")
    assert summary.counts["shards"] > 3
    mix("three", "b", workers=2)
    assert digests("a") == digests("b")
    mix("eight", "c")
    assert sorted(order("a")) == sorted(map(str, range(N)))
    assert order("a") == order("c")
    mix("three", "d", shuffle_seed=8)
    assert sorted(order("a")) == sorted(order("d"))
    same = sum(x == y for x, y in zip(order("a"), order("d"), strict=True))
    assert same < 10  # one of a random permutation is expected


def test_it_mixes_all_through(place: Path, write_documents: WriteDocuments) -> None:
    """Each quarter of the output has a quarter of each file, give or take."""
    written(4, write_documents, "four")
    mix("four", "a")
    quarters = Counter((k // (N // 4), int(i) // (N // 4)) for k, i in enumerate(order("a")))
    assert len(quarters) == 16
    expected = N / 16
    chi2 = sum((n - expected) ** 2 / expected for n in quarters.values())
    assert chi2 < 30  # 9 degrees of freedom: 1 in 2,000


def test_copies_lie_apart_and_lines_are_whole(place: Path, write_documents: WriteDocuments) -> None:
    written(3, write_documents, "three")
    mix("three", "a", stream={"rate": 2.5})
    mix("three", "plain", stream={"rate": 2.5}, shuffle_seed=None)
    assert Counter(order("a")) == Counter(order("plain"))

    def lines(out: str) -> list[str]:
        return sorted(json.dumps(row) for row in rows(Path(out)))

    assert lines("a") == lines("plain")
    found = order("a")
    assert sum(x == y for x, y in itertools.pairwise(found)) < 10


def test_an_id_that_stands_twice(place: Path, write_documents: WriteDocuments) -> None:
    documents = [{"id": "same", "text": str(i)} for i in range(50)]
    write_documents(Path("x/documents/0.jsonl.gz"), documents[:20])
    write_documents(Path("x/documents/1.jsonl.gz"), documents[20:])
    mix("x", "a")
    assert [row["text"] for row in rows(Path("a"))] == [str(i) for i in range(50)]


def test_nothing_is_left_of_a_stream(place: Path, write_documents: WriteDocuments) -> None:
    written(2, write_documents, "two")
    summary = mix("two", "a", stream={"keep": "false"})
    assert (summary.counts["shards"], order("a")) == (0, [])


def test_a_budget_and_what_is_removed(place: Path, write_documents: WriteDocuments) -> None:
    written(3, write_documents, "three")
    more = {"budget": {"documents": 100}, "removed": "gone/documents"}
    mix("three", "a", stream=more)
    kept, gone = order("a"), order("gone")
    assert len(kept) == pytest.approx(100, abs=2)
    assert sorted(kept + gone) == sorted(map(str, range(N)))
    assert gone == sorted(gone, key=int)  # those are not shuffled
    assert {tuple(row["metadata"]["removed_by"]) for row in rows(Path("gone"))} == {("budget",)}


def test_it_cannot_keep_files_together_too(place: Path, write_documents: WriteDocuments) -> None:
    written(1, write_documents, "one")
    with pytest.raises(ConfigError, match="shuffle: false keeps each file's documents together"):
        mix("one", "a", shuffle=False)


def test_spills_beside_a_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of any bytes and sizes, runs of a few lines, three files, against sorting them all."""
    monkeypatch.setattr(shuffling, "RUN_BYTES", 300)
    draw = random.Random(1)
    spills, every = [], []
    for k in range(3):
        spill = Spill(str(tmp_path / str(k)), 5, 9)
        with SpillWriter(spill) as writer:
            for b in range(4):
                lines = [(draw.randbytes(draw.choice([1, 30, 400])) + b"\n", draw.randrange(3))
                         for _ in range(20)]  # fmt: skip
                keyed = spill.grouped(lines, [f"{k}-{b}-{i}" for i in range(20)])
                writer.add(keyed)
                every += list(zip(keyed.keys.tolist(), keyed.lines, strict=True))
        spills.append(spill)
    made = []
    for bucket in range(5):
        piece = str(tmp_path / f"{bucket}.piece")
        task = BucketTask(tuple(spills), bucket, piece, None, 1 << 20)
        result = sort_bucket(task)
        made.append(Path(piece).read_bytes())
        assert result.outputs[0] == piece
    assert b"".join(made) == b"".join(line for _, line in sorted(every, key=lambda pair: pair[0]))
    assert all(made)


def test_buckets_follow_from_sizes() -> None:
    assert shuffling.buckets_for([], 1) == 1
    assert shuffling.buckets_for([("a.jsonl", 320 << 20)], 1) == 10
    assert shuffling.buckets_for([("a.jsonl.gz", 80 << 20)], 2.5) == 25
    assert shuffling.buckets_for([("a.jsonl", 1 << 50)], 1) == shuffling.MAX_BUCKETS
