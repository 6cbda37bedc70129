"""Golden bytes of the token files, and the pieces that write them."""

from __future__ import annotations

import csv
import gzip
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_kit.errors import VerificationError
from dolma_kit.order.documents import SCHEMA as READERS_SCHEMA
from dolma_kit.tokens import store

ROWS = pa.record_batch(
    {
        "id": ['a,"b"', "c\nd", "plain"],
        "loc": [1, 3, 4],
        "source": ["web", None, "web"],
        "tokens": [2, 3, 1],
        "src": ["documents/a.jsonl.gz"] * 3,
    }
)
IDS = np.array([7, 9, 1, 2, 9, 9], "<u2").tobytes()


def write(
    folder: Path,
    rows: pa.RecordBatch = ROWS,
    ids: bytes = IDS,
    threads: ThreadPoolExecutor | None = None,
) -> store.PartWriter:
    stored = folder.parent / f"{folder.name}.ids"
    stored.write_bytes(ids)
    with stored.open("rb") as stream, store.PartWriter(str(folder), 0, threads) as part:
        part.append(stream, 2, rows)
    return part


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_copy_to_the_same_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_threads: int
) -> None:
    monkeypatch.setattr(store, "COPY_BYTES", 100)
    ids = np.arange(20_000, dtype="<u2")
    stored = tmp_path / "a.ids"
    stored.write_bytes(ids.tobytes())
    with ThreadPoolExecutor(n_threads) as threads, stored.open("rb", buffering=0) as stream:
        with store.PartWriter(str(tmp_path / "out"), 0, threads) as part:
            for n in (1, 9_999, 7_000, 3_000):
                part.append(stream, 2, ROWS.slice(0, 1).set_column(3, "tokens", pa.array([n])))
        assert stream.read() == b""
    assert part.tokens == len(ids)
    assert np.array_equal(np.fromfile(tmp_path / "out" / "part-00000.npy", "<u2"), ids)


def test_ids_that_are_too_short_leave_nothing_with_threads(tmp_path: Path) -> None:
    with (
        ThreadPoolExecutor(2) as threads,
        pytest.raises(VerificationError, match=r"out\.ids is 2 bytes short"),
    ):
        write(tmp_path / "out", ids=IDS[:-2], threads=threads)
    assert list((tmp_path / "out").iterdir()) == []


def test_golden_bytes(tmp_path: Path) -> None:
    part = write(tmp_path)
    assert part.part() == store.Part(path="part-00000.npy", documents=3, tokens=6)
    assert (tmp_path / "part-00000.npy").read_bytes() == b"\7\0\11\0\1\0\2\0\11\0\11\0"
    packed = (tmp_path / "part-00000.csv.gz").read_bytes()
    assert packed[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # no name, mtime 0
    assert gzip.decompress(packed) == (
        b'0,2,"a,""b""",documents/a.jsonl.gz,1\r\n'
        b'2,5,"c\nd",documents/a.jsonl.gz,3\r\n'
        b"5,6,plain,documents/a.jsonl.gz,4\r\n"
    )
    table = pq.read_table(tmp_path / "part-00000.docs.parquet")
    assert table.schema.equals(READERS_SCHEMA)
    assert table.to_pydict() == {
        "start": [0, 2, 5],
        "end": [2, 5, 6],
        "id": ['a,"b"', "c\nd", "plain"],
        "src": ["documents/a.jsonl.gz"] * 3,
        "loc": [1, 3, 4],
        "source": ["web", None, "web"],
    }


def test_golden_tokens_json(tmp_path: Path) -> None:
    store.Record(
        tokenizer="t.json", tokenizer_sha256="00ff", encoder="fastokens 0.3.5", eos_token_id=9,
        pad_token_id=None, vocab_size=10, dtype="uint16", sequence_length=2048,
        documents=3, tokens=6,
        parts=[store.Part(path="part-00000.npy", documents=3, tokens=6)],
    ).write(str(tmp_path))  # fmt: skip
    assert (
        (tmp_path / "tokens.json").read_text()
        == """{
  "version": 1,
  "tokenizer": "t.json",
  "tokenizer_sha256": "00ff",
  "encoder": "fastokens 0.3.5",
  "eos_token_id": 9,
  "pad_token_id": null,
  "bos_token_id": null,
  "vocab_size": 10,
  "dtype": "uint16",
  "sequence_length": 2048,
  "documents": 3,
  "tokens": 6,
  "parts": [
    {
      "path": "part-00000.npy",
      "documents": 3,
      "tokens": 6
    }
  ],
  "seed": null
}
"""
    )


def test_row_groups_and_statistics_allow_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROWS_IN_GROUP", 4)
    monkeypatch.setattr(store, "CSV_MEMBER_CHARACTERS", 100)
    with store.PartWriter(str(tmp_path), 0) as part:
        for _ in range(5):
            part.append(io.BytesIO(IDS), 2, ROWS)
    found = pq.read_metadata(tmp_path / "part-00000.docs.parquet")
    groups = [found.row_group(i) for i in range(found.num_row_groups)]
    assert [group.num_rows for group in groups] == [4, 4, 4, 3]
    starts = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
    assert starts == [(0, 6), (8, 14), (17, 23), (24, 29)]
    text = gzip.decompress((tmp_path / "part-00000.csv.gz").read_bytes()).decode()
    assert [int(row[0]) for row in csv.reader(io.StringIO(text, newline=""))][-1] == 29


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="4 bytes short"):
        write(tmp_path, ids=IDS[:-4])
    assert list(tmp_path.iterdir()) == []


def test_no_sidecar_ends_in_npy(tmp_path: Path) -> None:
    assert [Path(p).suffix for p in write(tmp_path).outputs] == [".npy", ".gz", ".parquet"]
