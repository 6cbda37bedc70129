"""Attribute files, read and written: Parquet, and Dolma's JSONL.

Row i belongs to the i-th readable document and carries its id; the reader checks that it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import msgspec

from dolma_kit import attributes, files, jsonl, parquet
from dolma_kit.attributes import Columns, Format, Kind, Spans
from dolma_kit.errors import DataError, VerificationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard
    from dolma_kit.plugins import Plugin

VERSION = 1
METADATA_KEY = b"dolma_kit"
JSONL_MEMBER_BYTES = 4 << 20


#: rows of an attribute file as they are written: an Arrow record batch, or lines of JSONL
Rows = Any


def rows_of(batch: Batch, columns: Columns, format: Format, kinds: Mapping[str, Kind]) -> Rows:
    """A row a document of the batch; `columns` has exactly the keys of `kinds`."""
    lengths = None if format == "parquet" else batch.n_characters
    ids, sources = batch.table.column("id"), batch.table.column("source")
    return rows(ids, sources, lengths, columns, format, kinds)


def rows(
    ids: pa.Array,
    sources: pa.Array,
    n_characters: NDArray[np.int64] | None,
    columns: Columns,
    format: Format,
    kinds: Mapping[str, Kind],
) -> Rows:
    """The same for documents that are not at hand; Parquet needs ids and columns alone."""
    if columns.keys() != kinds.keys():
        odd = sorted(columns.keys() ^ kinds.keys())
        raise AssertionError(f"columns differ from the declared ones: {odd}")
    if format == "parquet":
        return attributes.to_arrow(ids, columns, kinds)
    assert n_characters is not None
    return _dolma_rows(ids, sources, n_characters, columns)


class Writer:
    """Writes one attribute file; use it inside `files.write_atomically`.

    `kinds` are the columns in their order. `made_by` (plain data) is recorded in the file: what
    made it, with the SHA-256 of each model.
    """

    def __init__(
        self,
        stream: IO[bytes],
        format: Format,
        kinds: Mapping[str, Kind],
        made_by: Mapping[str, Any],
    ) -> None:
        self._stream = stream
        self._parquet: Any = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_parquet = format == "parquet"
        if self._is_parquet:
            import pyarrow.parquet as pq

            note = msgspec.json.encode({"version": VERSION, **made_by}, order="deterministic")
            self._schema = attributes.schema(kinds).with_metadata({METADATA_KEY: note})
            self._parquet = pq.ParquetWriter(
                stream, self._schema, compression="zstd", use_dictionary=False
            )

    def write(self, rows: Rows) -> None:
        """Rows that `rows` made for these columns and this format."""
        if self._is_parquet:
            self._parquet.write_batch(rows)
            return
        assert isinstance(rows, bytes)
        self._pending.append(rows)
        self._pending_bytes += len(rows)
        if self._pending_bytes >= JSONL_MEMBER_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._stream.write(files.compress(b"".join(self._pending), "gz"))
        self._pending, self._pending_bytes = [], 0

    def close(self) -> None:
        if self._is_parquet:
            self._parquet.close()
        else:
            self._flush()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.close()
        elif self._is_parquet:
            parquet.give_up(self._parquet)


class _DolmaRow(msgspec.Struct):
    id: str
    attributes: dict[str, list[tuple[int, int, float]]]
    source: str | None = ""


class _RawRow(msgspec.Struct):
    id: str
    attributes: msgspec.Raw


_SPANS_BY_KEY = msgspec.json.Decoder(dict[str, list[tuple[int, int, float]]])
#: the column of a JSONL file's attributes as they are written
RAW = "raw attributes"


def _dolma_rows(
    ids: pa.Array, sources: pa.Array, n_characters: NDArray[np.int64], columns: Columns
) -> bytes:
    """Documents in Dolma's row format; a key without spans or value is omitted, as Dolma does."""
    import numpy as np

    lengths = n_characters.tolist()
    rows: list[dict[str, list[tuple[int, int, float]]]] = [{} for _ in lengths]
    for name, value in columns.items():
        if isinstance(value, Spans):
            triples = list(
                zip(value.start.tolist(), value.end.tolist(), value.score.tolist(), strict=True)
            )
            offsets = value.offsets.tolist()
            for i in np.flatnonzero(np.diff(value.offsets)).tolist():
                rows[i][name] = triples[offsets[i] : offsets[i + 1]]
        else:
            scores = np.asarray(value, np.float64)
            for i in np.flatnonzero(~np.isnan(scores)).tolist():
                rows[i][name] = [(0, lengths[i], float(scores[i]))]
    names = zip(ids.to_pylist(), sources.to_pylist(), rows, strict=True)
    return msgspec.json.Encoder().encode_lines(
        [_DolmaRow(id, row, source or "") for id, source, row in names]
    )


@dataclass(frozen=True)
class Documents:
    """What a reader looks at of documents, where there is no batch of them: rows that have `id`
    and `line`, and the number of the first of them in the file."""

    first_row: int
    table: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def ids(self) -> list[str]:
        return list(self.table.column("id").to_pylist())

    @property
    def lines(self) -> list[int]:
        return list(self.table.column("line").to_pylist())


class Reader:
    """Reads an attribute file beside its documents, batch by batch, and checks that they match.

    `kinds` are the wanted columns; one that the file does not have gives no values. A file that
    is shorter or longer than its documents, or carries other ids, is a VerificationError that
    names file and row (from 1). Batches that do not follow each other are sought, which JSONL does
    by reading what lies between.
    """

    def __init__(
        self,
        path: str,
        format: Format,
        kinds: Mapping[str, Kind],
        documents: str,
        *,
        with_raw: bool = False,
    ) -> None:
        self.path = path
        self._with_raw = with_raw
        self._kinds = kinds
        self._documents = documents
        self._format = format
        self._start(0)

    def _start(self, row: int) -> None:
        """Be at a row."""
        self._row = row
        self._held: pa.Table | None = None
        if self._format == "parquet":
            self._tables = self._parquet_tables(row)
        else:
            self._tables = _without(row, self._jsonl_tables())

    def read(self, batch: Batch | Documents) -> pa.Table:
        """The rows of a batch's documents: `id` and the wanted columns, as Arrow."""
        import pyarrow as pa

        if batch.first_row != self._row:
            self._start(batch.first_row)
        parts, missing = [], len(batch)
        while missing:
            table = self._held if self._held is not None else next(self._tables, None)
            if table is None:
                have = self._row + len(batch) - missing
                raise VerificationError(
                    f"{self.path} has {have} rows, {self._documents} has more documents: tag or "
                    "dedupe it again with --overwrite"
                )
            parts.append(table.slice(0, missing))
            self._held = table.slice(missing) if len(table) > missing else None
            missing -= len(parts[-1])
        table = pa.concat_tables(parts).combine_chunks()
        self._check_ids(table, batch)
        self._row += len(batch)
        return table

    def tables(self) -> Iterator[pa.Table]:
        """All rows from the first on, for those who have no documents at hand."""
        return self._tables

    def _check_ids(self, table: pa.Table, batch: Batch | Documents) -> None:
        ids = table.column("id").combine_chunks()
        ids = ids.chunk(0) if hasattr(ids, "chunk") else ids
        if ids.equals(batch.table.column("id")):
            return
        theirs = ids.to_pylist()
        at = next(i for i, (a, b) in enumerate(zip(theirs, batch.ids, strict=True)) if a != b)
        raise VerificationError(
            f"{self.path} row {self._row + at + 1} is of document {theirs[at]!r}, but "
            f"{self._documents}:{batch.lines[at]} is {batch.ids[at]!r}: they do not belong "
            "together; make the attributes again with --overwrite"
        )

    def _parquet_tables(self, first_row: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        wanted = attributes.schema(self._kinds)
        file = parquet.open_file(self.path)
        names = [name for name in wanted.names if name in file.schema_arrow.names]
        if "id" not in names:
            raise DataError(self.path, None, "has no column 'id'")
        groups, before = _row_groups_from(file.metadata, first_row)
        records = parquet.batches(
            file, self.path, batch_size=8192, columns=names, row_groups=groups
        )
        for record in records:
            skipped = min(before, len(record))
            record, before = record.slice(skipped), before - skipped
            table = pa.Table.from_batches([record])
            columns = [
                table.column(f.name).cast(f.type)
                if f.name in names
                else pa.nulls(len(table), f.type)
                for f in wanted
            ]
            yield pa.Table.from_arrays(columns, schema=wanted)

    def _jsonl_tables(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        wanted = attributes.schema(self._kinds)
        if self._with_raw:
            yield from self._raw_tables(wanted)
            return
        for rows in _read_jsonl(self.path):
            yield pa.Table.from_arrays(self._arrays(rows), schema=wanted)

    def _raw_tables(self, wanted: pa.Schema) -> Iterator[pa.Table]:
        """The same, with a column RAW: the attributes as they are written."""
        import pyarrow as pa

        for raw in _read_jsonl(self.path, _RawRow):
            made = [_DolmaRow(row.id, _SPANS_BY_KEY.decode(row.attributes)) for row in raw]
            table = pa.Table.from_arrays(self._arrays(made), schema=wanted)
            written = pa.array([bytes(row.attributes) for row in raw], pa.binary())
            yield table.append_column(RAW, written)

    def _arrays(self, rows: Sequence[_DolmaRow]) -> list[pa.Array]:
        """`id` and the wanted columns of some rows."""
        import pyarrow as pa

        arrays = [pa.array([row.id for row in rows], pa.string())]
        for name, kind in self._kinds.items():
            values = [row.attributes.get(name) for row in rows]
            if kind == "score":
                scores = [spans[0][2] if spans else None for spans in values]
                arrays.append(pa.array(scores, pa.float64()))
            else:
                arrays.append(_span_lists(values))
        return arrays


def column_tables(path: str, format: Format, kinds: Mapping[str, Kind]) -> Iterator[pa.Table]:
    """An attribute file's own rows, without a look at documents: `id` and the wanted columns."""
    reader = Reader(path, format, kinds, path)
    yield from reader.tables()


def _row_groups_from(metadata: Any, row: int) -> tuple[list[int], int]:
    """The row groups from the one that holds a row on, and how many rows come before it there."""
    for index in range(metadata.num_row_groups):
        n_rows = metadata.row_group(index).num_rows
        if row < n_rows:
            return list(range(index, metadata.num_row_groups)), row
        row -= n_rows
    return [], 0


def _without(n_rows: int, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables without their first rows."""
    for table in tables:
        skipped = min(n_rows, len(table))
        n_rows -= skipped
        yield table.slice(skipped)


def require_length(path: str, format: Format, n_documents: int, documents: str) -> None:
    """A file with more rows than there are documents is a VerificationError."""
    if format == "parquet":
        n_rows = parquet.open_file(path).metadata.num_rows
    else:
        with contextlib.closing(files.Reader(path)) as reader:
            n_rows = sum(jsonl.count_rows(chunk) for chunk in jsonl.whole_lines(reader))
    if n_rows > n_documents:
        raise VerificationError(
            f"{path} has more than the {n_documents} rows that {documents} has documents: make the "
            "attributes again with --overwrite"
        )


def _span_lists(values: Sequence[Sequence[tuple[int, int, float]] | None]) -> pa.ListArray:
    """Lists of (start, end, score) as Arrow; a missing list is an empty one."""
    import numpy as np
    import pyarrow as pa

    lists = [value or () for value in values]
    offsets = np.zeros(len(lists) + 1, np.int32)
    np.cumsum([len(spans) for spans in lists], out=offsets[1:])
    flat = np.array([span for spans in lists for span in spans], np.float64).reshape(-1, 3)
    columns = [
        pa.array(flat[:, 0].astype(np.int64)),
        pa.array(flat[:, 1].astype(np.int64)),
        pa.array(flat[:, 2]),
    ]
    spans = pa.StructArray.from_arrays(columns, names=["start", "end", "score"])
    return pa.ListArray.from_arrays(pa.array(offsets), spans)


def _read_jsonl(path: str, kind: type[Any] = _DolmaRow) -> Iterator[list[Any]]:
    reader = files.Reader(path)
    try:
        for _, rows in jsonl.read(reader, msgspec.json.Decoder(kind)):
            yield rows.objects
    finally:
        reader.close()


def kinds_in(path: str, format: Format) -> dict[str, Kind | None]:
    """The columns of an attribute file; None where JSONL leaves a column's kind open.

    Parquet tells by its schema; JSONL is read through, since any row may bring a key.
    """
    if format == "parquet":
        import pyarrow as pa

        fields = parquet.open_file(path).schema_arrow
        return {
            f.name: "spans"
            if pa.types.is_list(f.type) or pa.types.is_large_list(f.type)
            else "score"
            for f in fields
            if f.name not in ("id", "source")
        }
    names: dict[str, Kind | None] = {}
    for rows in _read_jsonl(path):
        for row in rows:
            names.update(dict.fromkeys(row.attributes))
    return names


def known_columns(shard: Shard, experiment: str, given: Sequence[Plugin] = ()) -> dict[str, Kind]:
    """The columns of a shard's attributes, as the ledger, the file and the registry tell them.

    In JSONL of another tool a key that nobody declares is taken to be spans.
    """
    if declared := attributes.declared_columns(shard, experiment):
        return declared
    found = kinds_in(*attributes.locate(shard, experiment))
    return {
        name: kind or attributes.declared_kind(name, given) or "spans"
        for name, kind in found.items()
    }
