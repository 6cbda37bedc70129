"""Shards in Parquet hold what shards of lines hold, and read back as the same lines."""

from __future__ import annotations

import contextlib
import gc
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import parquet
from dolma_kit.decoding import Source
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import ConfigError
from tests.conftest import WriteDocuments
from tests.shares.test_budgets import digests

LINES: list[dict[str, Any]] = [
    {"id": "a", "text": "plain"},
    {"id": "b", "text": "é\u2028\x00😀", "source": "web", "added": "2024", "created": "2023"},
    {"id": "c", "text": "", "metadata": {"url": "http://x", "n": [1, 2.5, None]}},
    {"id": "d", "text": "more", "version": "v1", "score": 0.5, "nested": {"x": [{"y": 1}]}},
    {"id": "e", "text": "odd kinds", "added": 20240101, "source": None, "extra": "own"},
    {"id": "f", "text": "no object", "metadata": [1, 2]},
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mix(out: str, format: str, **more: Any) -> Any:
    output = {"path": out, "format": format} | more.pop("output", {})
    stream = {"name": "s", "documents": ["web"], "output": output} | more.pop("stream", {})
    return dolma_kit.mix(streams=[stream], workers=1, quiet=True, **more)


def documents(out: str) -> list[Any]:
    """What a stage that reads the shards sees: each document's whole JSON."""
    found = []
    for path in sorted(Path(out, "documents").iterdir()):
        for batch in DocumentReader(Source(str(path), keep_raw=True)):
            found += [json.loads(bytes(raw)) for raw in batch.raw]
    return found


def test_it_is_what_lines_are(place: Path, write_documents: WriteDocuments) -> None:
    write_documents(place / "web/documents/x.jsonl.gz", LINES)
    mix("lines", "jsonl")
    mix("columns", "parquet")
    assert documents("columns") == documents("lines")
    table = pq.read_table("columns/documents/s-0000.parquet")
    assert table.column_names == [
        "id", "text", "source", "added", "created", "metadata", "extra",
    ]  # fmt: skip
    assert table.column("text").to_pylist() == [line["text"] for line in LINES]
    assert json.loads(table.column("metadata")[2].as_py())["provenance"] == "documents/x.jsonl.gz:3"
    assert table.column("extra").to_pylist()[:3] == [None, None, None]


def test_it_is_read_by_every_stage(place: Path, write_documents: WriteDocuments) -> None:
    write_documents(place / "web/documents/x.jsonl.gz", LINES[:5])
    mix("a", "parquet")
    dolma_kit.tag(documents=["a"], taggers=["char_length_v1"], experiment="q", workers=1)
    stream = {"name": "t", "documents": ["a"], "attributes": ["q"], "output": {"path": "b"}}
    stream["keep"] = "q__char_length_v1__length > 4"
    dolma_kit.mix(streams=[stream], workers=1)
    assert [line["id"] for line in documents("b")] == ["a", "e"]
    assert documents("b")[1]["added"] == 20240101
    assert documents("b")[1]["extra"] == "own"


def test_sizes_copies_shuffles_and_removed(place: Path, write_documents: WriteDocuments) -> None:
    many = [{"id": str(i), "text": f"{i} " * 40} for i in range(500)]
    write_documents(place / "web/documents/x.jsonl.gz", many)
    more = {"rate": 1.5, "keep": "length(id) > 1", "removed": "gone"}
    for out, workers in (("a", 1), ("b", 2)):
        dolma_kit.mix(
            streams=[
                {"name": "s", "documents": ["web"], **more, "removed": f"{out}-gone",
                 "output": {"path": out, "format": "parquet", "max_size_in_bytes": 20_000}}
            ],
            workers=workers, shuffle_seed=1, quiet=True,
        )  # fmt: skip
    assert digests("a") == digests("b")
    shards = sorted(Path("a/documents").iterdir())
    assert len(shards) > 2
    assert all(path.stat().st_size <= 20_000 for path in shards)
    ids = [line["id"] for line in documents("a")]
    assert set(ids) == {str(i) for i in range(10, 500)}
    assert ids != sorted(ids, key=int)
    gone = documents("a-gone")
    assert [line["id"] for line in gone] == [str(i) for i in range(10)]
    assert gone[0]["metadata"]["removed_by"] == ["keep"]
    assert gone[0]["text"] == many[0]["text"]


def test_one_a_file(place: Path, write_documents: WriteDocuments) -> None:
    for name in ("x", "y"):
        write_documents(place / f"web/documents/{name}.jsonl.gz", LINES[:2])
    mix("a", "parquet", shuffle=False)
    assert [path.name for path in sorted(Path("a/documents").iterdir())] == [
        "x.parquet", "y.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize("removed", ["out", "out/documents", "./out"])
def test_what_is_removed_does_not_lie_among_what_is_kept(
    place: Path, write_documents: WriteDocuments, removed: str
) -> None:
    write_documents(place / "web/documents/x.jsonl.gz", LINES)
    with pytest.raises(ConfigError, match="would lie among what is kept"):
        mix("out", "jsonl", stream={"removed": removed})


def test_where_removed_documents_go_nothing_is_read(
    place: Path, write_documents: WriteDocuments
) -> None:
    write_documents(place / "web/documents/x.jsonl.gz", LINES)
    with pytest.raises(ConfigError, match="lies in a folder that this mix writes to"):
        mix("out", "jsonl", stream={"removed": "web"})


class FullDisk(io.BytesIO):
    """Takes some bytes and no more."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 60_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("n_rows", [1000, 40_000])
def test_a_parquet_file_on_a_full_disk_is_given_up_in_silence(
    capfd: pytest.CaptureFixture[str], n_rows: int
) -> None:
    """pyarrow's own writer tries again when it is collected, and complains on stderr."""
    schema = pa.schema([("id", pa.string())])
    rows = pa.table([[f"{i * 7919 % 104729:x}" for i in range(n_rows)]], schema=schema)
    stream = FullDisk()
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(OSError, match="No space left"))
        with parquet.writing(stream, schema) as writer:
            for _ in range(200):
                writer.write_table(rows)
    del writer
    gc.collect()
    assert capfd.readouterr().err == ""
