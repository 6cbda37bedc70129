"""What a unit of extraction writes: documents, what became of each record, what was set aside.

OUT/documents/<tree>.jsonl.gz     the documents, in the order of their records
OUT/records/<tree>.parquet        a row a record (`schema`): nothing is lost without a line here
OUT/quarantine/extract/<tree>.jsonl   records that could not be read, with --on-error quarantine
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dolma_kit import files, parquet, quarantine
from dolma_kit.errors import DataError
from dolma_kit.extraction.records import RAW_BYTES, Document, Record
from dolma_kit.jsonl import BadLine
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = b"1"
MEMBER_BYTES = 4 << 20
ROWS_AT_ONCE = 1 << 14
SUFFIXES = {"gz": ".jsonl.gz", "zst": ".jsonl.zst"}


def schema() -> pa.Schema:
    """`outcome` is document, filtered or failed; `id` is that of a document, `reason` in a few
    words that others share, `detail` says more."""
    import pyarrow as pa

    return pa.schema(
        [
            ("file", pa.string()), ("number", pa.int64()), ("name", pa.string()),
            ("outcome", pa.string()), ("id", pa.string()), ("reason", pa.string()),
            ("detail", pa.string()), ("notes", pa.list_(pa.string())),
        ],
        metadata={b"dolma_kit_records": VERSION},
    )  # fmt: skip


class Paths(NamedTuple):
    """The files that a unit may write."""

    documents: str
    records: str
    aside: str


def paths_of(out: str, tree: str, compression: str) -> Paths:
    return Paths(
        documents=os.path.join(out, "documents", tree + SUFFIXES[compression]),
        records=os.path.join(out, "records", f"{tree}.parquet"),
        aside=os.path.join(out, "quarantine", "extract", f"{tree}.jsonl"),
    )


class Outputs:
    """Takes the records of the sources of one unit and writes them; use it as a context manager.

    `counts` are documents, what was filtered by reason, what failed, notes. Files take their names
    when the block ends without an error.
    """

    def __init__(self, out: str, tree: str, compression: str, *, set_aside: bool) -> None:
        self.documents, self.records, aside = paths_of(out, tree, compression)
        self._compression = compression
        self._set_aside = set_aside
        self._aside = quarantine.Aside(aside, tree)
        self._stack = contextlib.ExitStack()
        self._lines: list[bytes] = []
        self._n_bytes = 0
        self._rows: list[dict[str, Any]] = []
        self.n_bytes_out = 0
        self.n_documents = 0
        self.filtered: Counter[str] = Counter()
        self.failed = 0
        self.notes: Counter[str] = Counter()

    def __enter__(self) -> Outputs:
        opened = self._stack.enter_context
        self._stream = opened(files.write_atomically(self.documents))
        table = opened(files.write_atomically(self.records))
        self._table = opened(parquet.writing(table, schema(), compression="zstd"))
        self._faults = opened(quarantine.Writer(self._aside if self._set_aside else None))
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            try:
                self._flush()
                self._flush_rows()
                if not self.n_bytes_out:  # no document is an empty file, not a broken one
                    self._stream.write(files.compress(b"", self._compression))
            except BaseException as failed:
                self._stack.__exit__(type(failed), failed, failed.__traceback__)
                raise
        self._stack.__exit__(kind, error, trace)

    def take(self, file: str, path: str, record: Record, row: dict[str, Any] | None) -> None:
        """A record of a file (`path` in errors), with the row of its document, if it became one.

        DataError for a fault, unless those are set aside.
        """
        if record.fault is not None and not self._set_aside:
            raise DataError(path, record.number, f"{_shown(record.name)}: {record.fault}")
        outcome = "failed" if record.fault else "document" if row is not None else "filtered"
        if record.fault is not None:
            self.failed += 1
            reason = f"{record.name}: {record.fault}" if record.name else record.fault
            raw = (record.raw or b"")[:RAW_BYTES]
            self._faults.add([BadLine(record.number, reason, raw)])
        elif row is None:
            self.filtered[record.reason or "no reason"] += 1
        else:
            self._write(msgspec.json.encode(row) + b"\n")
            self.notes.update(record.notes)
        self._rows.append(
            {
                "file": file, "number": record.number, "name": _clean(record.name),
                "outcome": outcome, "id": row["id"] if row else None,
                "reason": _clean(record.fault or record.reason), "detail": _clean(record.detail),
                "notes": list(record.notes),
            }
        )  # fmt: skip
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush_rows()

    def _write(self, line: bytes) -> None:
        if self._lines and self._n_bytes + len(line) > MEMBER_BYTES:
            self._flush()
        self._lines.append(line)
        self._n_bytes += len(line)
        self.n_documents += 1

    def _flush(self) -> None:
        if self._lines:
            data = files.compress(b"".join(self._lines), self._compression)
            self._stream.write(data)
            self.n_bytes_out += len(data)
        self._lines, self._n_bytes = [], 0

    def _flush_rows(self) -> None:
        import pyarrow as pa

        self._table.write_table(pa.Table.from_pylist(self._rows, schema=schema()))
        self._rows = []

    def result(self, bytes_in: int) -> Result:
        """After the block has ended."""
        outputs = [self.documents, self.records, *self._faults.outputs]
        return Result(
            documents=self.n_documents,
            bytes_in=bytes_in,
            bytes_out=sum(map(files.size, outputs)),
            outputs=outputs,
            quarantined=self.failed,
            counts={
                "filtered": dict(sorted(self.filtered.items())),
                "failed": self.failed,
                "notes": dict(sorted(self.notes.items())),
            },
        )


def row_of(document: Document, source: str, added: str | None) -> dict[str, Any]:
    """A document as Dolma's JSON has it; what is not known is left out."""
    row: dict[str, Any] = {"id": document.id, "text": document.text}
    row["source"] = document.source or source
    if document.created is not None:
        row["created"] = document.created
    if added is not None:
        row["added"] = added
    row["metadata"] = document.metadata
    if document.attributes:
        row["attributes"] = document.attributes
    return row


def _clean(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()[:4096]


def _shown(name: str) -> str:
    clean = " ".join((_clean(name) or "").split())
    return clean if len(clean) <= 200 else clean[:200] + "..."


def ids_in(path: str) -> Iterator[tuple[list[str], list[int], list[str]]]:
    """(ids, numbers, files) of the documents in a file of records, some at a time."""
    import pyarrow.compute as pc

    for batch in parquet.open_file(path).iter_batches(columns=["id", "number", "file", "outcome"]):
        found = batch.filter(pc.equal(batch.column("outcome"), "document"))
        ids, numbers, names = (found.column(i).to_pylist() for i in range(3))
        yield ids, numbers, names
