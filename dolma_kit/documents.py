"""Documents: the one reader of all stages, and the Arrow batch in which they travel.

On disk they are Dolma's: `<dir>/documents/**/X.jsonl.gz` (also .zst, plain, .parquet), one JSON
object a line with `id` and `text`, both strings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dolma_kit import files, jsonl, parquet
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.layout import Shard, format_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

T = TypeVar("T")

BATCH_BYTES = files.READ_BYTES


@dataclass(frozen=True)
class Fields:
    """The names under which a corpus keeps its text and its ids."""

    text: str = "text"
    id: str = "id"

    def __post_init__(self) -> None:
        if len({self.text, self.id, "source", "metadata"}) < 4:
            raise ConfigError(
                f"text_key {self.text!r} and id_key {self.id!r} must differ from each other and "
                "from 'source' and 'metadata'"
            )


class Batch:
    """Some consecutive documents of one file.

    Columns of `table`: `id` string, `text` large_string, `source` string (null where a document
    has none), `metadata` large_binary (the raw JSON, null where absent). `lines` (n_docs,) int64
    are their line numbers from 1; `raw` their whole JSON, one binary a document, if it was asked
    for. `first_row` counts readable documents of the file from 0.
    """

    def __init__(
        self,
        table: pa.RecordBatch,
        *,
        path: str,
        first_row: int,
        lines: NDArray[np.int64],
        raw: pa.LargeBinaryArray | None = None,
    ) -> None:
        self.table = table
        self.path = path
        self.first_row = first_row
        self.lines = lines
        self.raw = raw
        self._memory: dict[str, Any] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @functools.cached_property
    def ids(self) -> list[str]:
        return list(self.table.column("id").to_pylist())

    @functools.cached_property
    def texts(self) -> list[str]:
        return list(self.table.column("text").to_pylist())

    @functools.cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(n_docs + 1,) int64: where each text starts in `text_bytes`; no copy."""
        import numpy as np

        text = self.table.column("text")
        n = len(text)
        return np.frombuffer(text.buffers()[1], np.int64, n + 1, text.offset * 8)

    @functools.cached_property
    def text_bytes(self) -> NDArray[np.uint8]:
        """(n_bytes,) uint8: all texts as UTF-8, one after the other; no copy."""
        import numpy as np

        data = self.table.column("text").buffers()[2]
        return (
            np.frombuffer(data, np.uint8)
            if data is not None and data.size
            else np.zeros(0, np.uint8)
        )

    @functools.cached_property
    def n_characters(self) -> NDArray[np.int64]:
        """(n_docs,) int64: the length of each text in code points."""
        import pyarrow.compute as pc

        lengths = pc.utf8_length(self.table.column("text"))
        counts: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False)
        return counts

    @property
    def n_bytes(self) -> int:
        return int(self.offsets[-1] - self.offsets[0])

    def once(self, name: str, work_out: Callable[[Batch], T]) -> T:
        """What several taggers need of a batch, worked out by the first that asks."""
        if name not in self._memory:
            self._memory[name] = work_out(self)
        value: T = self._memory[name]
        return value

    def head(self, n: int) -> Batch:
        """The first n documents; no copy."""
        raw = None if self.raw is None else self.raw.slice(0, n)
        return Batch(
            self.table.slice(0, n),
            path=self.path,
            first_row=self.first_row,
            lines=self.lines[:n],
            raw=raw,
        )


class DocumentReader:
    """Iterates over a file's documents in batches of about BATCH_BYTES of JSON.

    `keep_raw` also keeps each document's whole JSON. `limit` stops after that many documents.
    After the last batch, `sha256` is that of the stored file (None if `limit` cut it short) and
    `n_documents`, `n_bytes` (of uncompressed input) say what was read. Raises DataError with file
    and line for what cannot be read: a broken container, invalid UTF-8, broken JSON, an `id` or
    `text` that is missing or not a string.
    """

    def __init__(
        self,
        path: str,
        *,
        fields: Fields = Fields(),
        keep_raw: bool = False,
        limit: int | None = None,
    ) -> None:
        self.path = path
        self.sha256: str | None = None
        self.n_documents = 0
        self.n_bytes = 0
        self._fields = fields
        self._keep_raw = keep_raw
        self._limit = limit

    def __iter__(self) -> Iterator[Batch]:
        if self._limit == 0:
            return
        suffix = format_of(self.path)
        for batch in self._parquet() if suffix == ".parquet" else self._json_lines():
            if self._limit is not None and self.n_documents + len(batch) >= self._limit:
                batch = batch.head(self._limit - self.n_documents)
                self.n_documents += len(batch)
                yield batch
                return
            self.n_documents += len(batch)
            yield batch

    def _json_lines(self) -> Iterator[Batch]:
        import pyarrow as pa

        reader = files.Reader(self.path)
        row = 0
        try:
            for chunk, rows in jsonl.read(reader, _decoder(self._fields)):
                self.n_bytes += len(chunk)
                if not rows.objects:
                    continue
                raw = None
                if self._keep_raw:
                    bounds = zip(rows.starts.tolist(), rows.ends.tolist(), strict=True)
                    raw = pa.array([chunk[a:b] for a, b in bounds], pa.large_binary())
                table = _table(rows.objects)
                yield Batch(table, path=self.path, first_row=row, lines=rows.lines, raw=raw)
                row += len(rows.objects)
            self.sha256 = reader.sha256
        finally:
            reader.close()

    def _parquet(self) -> Iterator[Batch]:
        import numpy as np
        import pyarrow as pa

        fields = self._fields
        file = parquet.open_file(self.path)
        for name in (fields.id, fields.text):
            if name not in file.schema_arrow.names:
                raise DataError(self.path, None, f"has no column {name!r}")
        row = 0
        for record in parquet.batches(file, self.path, batch_size=4096):
            columns = {name: record.column(name) for name in record.schema.names}
            for name in (fields.id, fields.text):
                column = columns[name]
                if pa.types.is_dictionary(column.type):
                    column = columns[name] = column.dictionary_decode()
                if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
                    raise DataError(
                        self.path, None, f"column {name!r} is {column.type}, not string"
                    )
                try:
                    column.validate(full=True)
                except pa.ArrowInvalid as error:
                    raise DataError(self.path, None, f"column {name!r}: {error}") from None
                if column.null_count:
                    at = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
                    raise DataError(self.path, row + at + 1, f"`{name}` is null")
            n = record.num_rows
            source = columns.get("source")
            metadata = _as_json(columns["metadata"]) if "metadata" in columns else None
            table = pa.record_batch(
                [
                    columns[fields.id].cast(pa.string()),
                    columns[fields.text].cast(pa.large_string()),
                    pa.nulls(n, pa.string()) if source is None else source.cast(pa.string()),
                    pa.nulls(n, pa.large_binary()) if metadata is None else metadata,
                ],
                names=["id", "text", "source", "metadata"],
            )
            raw = _rows_as_json(record, metadata) if self._keep_raw else None
            lines = np.arange(row + 1, row + n + 1, dtype=np.int64)
            batch = Batch(table, path=self.path, first_row=row, lines=lines, raw=raw)
            self.n_bytes += batch.n_bytes
            row += n
            yield batch
        self.sha256 = files.sha256(self.path)


def allot(
    shards: Sequence[Shard], limit: int | None, fields: Fields = Fields()
) -> list[tuple[Shard, int | None]]:
    """The shards that hold the first `limit` documents, each with how many of its own count.

    Reads as many files as that takes; without a limit, nothing.
    """
    if limit is None:
        return [(shard, None) for shard in shards]
    allotted: list[tuple[Shard, int | None]] = []
    left = limit
    for shard in shards:
        if left == 0:
            break
        n_documents = sum(len(b) for b in DocumentReader(shard.path, fields=fields, limit=left))
        allotted.append((shard, n_documents))
        left -= n_documents
    return allotted


@functools.cache
def _decoder(fields: Fields) -> msgspec.json.Decoder[Any]:
    """Decodes a line to an object with id, text, source and metadata (raw), and skips the rest."""
    document = msgspec.defstruct(
        "Document",
        [
            ("id", str),
            ("text", str),
            ("source", str | None, None),
            ("metadata", msgspec.Raw, msgspec.Raw()),
        ],
        rename={"id": fields.id, "text": fields.text},
        gc=False,
    )
    return msgspec.json.Decoder(document)


def _table(rows: list[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch(
        [
            pa.array([row.id for row in rows], pa.string()),
            pa.array([row.text for row in rows], pa.large_string()),
            pa.array([row.source for row in rows], pa.string()),
            pa.array([bytes(row.metadata) or None for row in rows], pa.large_binary()),
        ],
        names=["id", "text", "source", "metadata"],
    )


def _as_json(column: pa.Array) -> pa.LargeBinaryArray:
    """Metadata of a Parquet file as raw JSON: a string column is taken to be JSON already."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary())
    values = [None if v is None else msgspec.json.encode(v) for v in column.to_pylist()]
    return pa.array(values, pa.large_binary())


def _rows_as_json(record: pa.RecordBatch, metadata: pa.Array | None) -> pa.LargeBinaryArray:
    """Each row of a Parquet file as the JSON line that would hold the same document."""
    import pyarrow as pa

    plain = record.drop_columns(["metadata"]) if metadata is not None else record
    rows = plain.to_pylist()
    if metadata is not None:
        for row, value in zip(rows, metadata.to_pylist(), strict=True):
            if value is not None:
                row["metadata"] = msgspec.Raw(value)
    return pa.array(
        [msgspec.json.encode({k: v for k, v in row.items() if v is not None}) for row in rows],
        pa.large_binary(),
    )
