"""A file of documents as pieces, and a piece as tables: the two halves of reading one.

`Pieces` goes through a file in order and does as little as that takes; `decode` parses, needs
nothing but the piece, and so may run anywhere. Where pieces and tables are cut depends on the file
alone: JSONL after the last whole line of each 4 MiB that are read, Parquet at row groups and in
them every 4,096 rows.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dolma_kit import files, jsonl, parquet, parquet_shards
from dolma_kit.errors import BrokenFile, ConfigError, DataError
from dolma_kit.jsonl import BadLine
from dolma_kit.layout import format_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PARQUET_ROWS = 4096
OTHER_FIELDS = ("source", "metadata")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Fields:
    """The names under which a corpus keeps its text and its ids."""

    text: str = "text"
    id: str = "id"

    def __post_init__(self) -> None:
        if len({self.text, self.id, *OTHER_FIELDS}) < 4:
            raise ConfigError(
                f"text_key {self.text!r} and id_key {self.id!r} must differ from each other and "
                "from 'source' and 'metadata'"
            )


@dataclass(frozen=True)
class Source:
    """A file of documents and how to read it.

    `keep_raw` also keeps each document's whole JSON. `more` names further fields of documents, each
    a column of the table (raw JSON bytes, null where absent). `limit` stops after that many
    documents. With `set_aside`, what cannot be read as a document is given as a bad line instead of
    raised.
    """

    path: str
    fields: Fields = Fields()
    keep_raw: bool = False
    limit: int | None = None
    set_aside: bool = False
    more: tuple[str, ...] = ()


class Lines(NamedTuple):
    """Whole lines of JSONL, the first of them number `first_line` (from 1)."""

    data: bytes
    first_line: int


class RowGroup(NamedTuple):
    """A row group of a Parquet file, whose first row is number `first_line` (from 1)."""

    number: int
    first_line: int


Piece = Lines | RowGroup


class Decoded(NamedTuple):
    """Documents as a table (see `documents.Batch`) and what could not be read among them.

    `lines` (n_docs,) int64 are numbers from 1, `n_bytes` counts uncompressed input. `strings` are
    ids and texts once more, where decoding made them on the way.
    """

    table: pa.RecordBatch
    lines: NDArray[np.int64]
    raw: Sequence[bytes | memoryview] | None
    bad: list[BadLine]
    n_bytes: int
    strings: tuple[list[str], list[str]] | None = None


class Pieces:
    """Iterates over the pieces of a source's file, in order.

    After the last, `sha256` is that of the stored file. A file that is not whole, or no file of
    documents at all, is a BrokenFile.
    """

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self.sha256: str | None = None
        self._fields = source.fields

    def __iter__(self) -> Iterator[Piece]:
        return self._row_groups() if format_of(self.path) == ".parquet" else self._lines()

    def _lines(self) -> Iterator[Lines]:
        reader = files.Reader(self.path)
        first_line = 1
        try:
            for chunk in jsonl.whole_lines(reader):
                yield Lines(chunk, first_line)
                first_line += jsonl.count_lines(chunk)
            self.sha256 = reader.sha256
        finally:
            reader.close()

    def _row_groups(self) -> Iterator[RowGroup]:
        import pyarrow as pa

        file = parquet.open_file(self.path)
        for name in (self._fields.id, self._fields.text):
            if name not in file.schema_arrow.names:
                raise BrokenFile(self.path, f"has no column {name!r}")
            column = file.schema_arrow.field(name).type
            value = column.value_type if pa.types.is_dictionary(column) else column
            if not (pa.types.is_string(value) or pa.types.is_large_string(value)):
                raise BrokenFile(self.path, f"column {name!r} is {column}, not string")
        metadata = file.metadata
        first_line = 1
        for index in range(metadata.num_row_groups):
            yield RowGroup(index, first_line)
            first_line += metadata.row_group(index).num_rows
        self.sha256 = files.sha256(self.path)


def count_rows(path: str, piece: Piece) -> int:
    """How many documents a piece has if all of them can be read."""
    if isinstance(piece, Lines):
        return jsonl.count_rows(piece.data)
    return int(parquet.open_file(path).metadata.row_group(piece.number).num_rows)


def decode(source: Source, piece: Piece) -> Iterator[Decoded]:
    """The documents of a piece of the source's file, in one table or several.

    DataError with file and line for what cannot be read: invalid UTF-8, broken JSON, an `id` or
    `text` that is missing or not a string.
    """
    if isinstance(piece, Lines):
        yield _decode_lines(source, piece)
    else:
        yield from _decode_row_group(source, piece)


def _decode_lines(source: Source, piece: Lines) -> Decoded:

    rows = jsonl.decode(
        piece.data,
        _decoder(source.fields, source.more),
        source.path,
        piece.first_line,
        set_aside=source.set_aside,
    )
    raw = None
    if source.keep_raw:
        view = memoryview(piece.data)  # not copied: most lines are looked at once
        raw = [view[a:b] for a, b in zip(rows.starts.tolist(), rows.ends.tolist(), strict=True)]
    strings = ([row.id for row in rows.objects], [row.text for row in rows.objects])
    table = table_of(rows.objects, strings, source.more)
    return Decoded(table, rows.lines, raw, rows.bad, len(piece.data), strings)


@functools.cache
def _decoder(fields: Fields, more: tuple[str, ...] = ()) -> msgspec.json.Decoder[Any]:
    """Decodes a line to an object with id, text, source, metadata and `more_0`, ... (raw), and
    skips the rest."""
    document = msgspec.defstruct(
        "Document",
        [
            ("id", str),
            ("text", str),
            ("source", str | None, None),
            ("metadata", msgspec.Raw, msgspec.Raw()),
            *((f"more_{i}", msgspec.Raw, msgspec.Raw()) for i in range(len(more))),
        ],
        rename={
            "id": fields.id,
            "text": fields.text,
            **{f"more_{i}": name for i, name in enumerate(more)},
        },
        gc=False,
    )
    return msgspec.json.Decoder(document)


def table_of(
    rows: list[Any],
    strings: tuple[list[str], list[str]] | None = None,
    more: tuple[str, ...] = (),
) -> pa.RecordBatch:
    """Decoded lines as a table; `strings` are their ids and texts, where somebody has them."""
    import pyarrow as pa

    ids, texts = strings or ([row.id for row in rows], [row.text for row in rows])
    further = [
        pa.array([bytes(value) or None for value in map(operator.attrgetter(f"more_{i}"), rows)],
                 pa.large_binary())
        for i in range(len(more))
    ]  # fmt: skip
    return pa.record_batch(
        [
            pa.array(ids, pa.string()),
            pa.array(texts, pa.large_string()),
            pa.array([row.source for row in rows], pa.string()),
            pa.array([bytes(row.metadata) or None for row in rows], pa.large_binary()),
            *further,
        ],
        names=["id", "text", "source", "metadata", *more],
    )


def _decode_row_group(source: Source, piece: RowGroup) -> Iterator[Decoded]:
    file = parquet.open_file(source.path)
    first_line = piece.first_line
    options = {"batch_size": PARQUET_ROWS, "row_groups": [piece.number]}
    for record in parquet.batches(file, source.path, **options):
        yield _decode_record(source, record, first_line)
        first_line += record.num_rows


def _decode_record(source: Source, record: pa.RecordBatch, first_line: int) -> Decoded:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    fields = source.fields
    lines = np.arange(first_line, first_line + record.num_rows, dtype=np.int64)
    faults = _faults(record, fields)
    bad = []
    if faults:
        row = min(faults)
        if not source.set_aside:
            raise DataError(source.path, first_line + row, faults[row])
        bad = [
            BadLine(first_line + row, reason, _printed(record.slice(row, 1)))
            for row, reason in sorted(faults.items())
        ]
        good = np.ones(record.num_rows, np.bool_)
        good[list(faults)] = False
        record, lines = record.filter(pa.array(good)), lines[good]
    columns = {name: record.column(name) for name in record.schema.names}
    n = record.num_rows
    origin = columns.get("source")
    metadata = _as_json(columns["metadata"]) if "metadata" in columns else None
    table = pa.record_batch(
        [
            columns[fields.id].cast(pa.string()),
            columns[fields.text].cast(pa.large_string()),
            pa.nulls(n, pa.string()) if origin is None else origin.cast(pa.string()),
            pa.nulls(n, pa.large_binary()) if metadata is None else metadata,
            *(_further(record, name) for name in source.more),
        ],
        names=["id", "text", "source", "metadata", *source.more],
    )
    raw = _rows_as_json(record, metadata) if source.keep_raw else None
    n_bytes = pc.sum(pc.binary_length(table.column("text"))).as_py() or 0
    return Decoded(table, lines, raw, bad, n_bytes)


def _faults(record: pa.RecordBatch, fields: Fields) -> dict[int, str]:
    """Row -> why its id or text cannot be read."""
    import numpy as np
    import pyarrow as pa

    faults: dict[int, str] = {}
    for name in (fields.id, fields.text):
        column = record.column(name)
        if column.null_count:
            nulls = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
            faults.update((int(row), f"`{name}` is null") for row in nulls)
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            for row in range(len(column)):
                try:
                    column.slice(row, 1).validate(full=True)
                except pa.ArrowInvalid:
                    faults[row] = f"`{name}` is not valid UTF-8"
    return faults


def _printed(row: pa.RecordBatch) -> bytes:
    """One row as JSON, whatever is wrong with it."""
    import pyarrow as pa

    values = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        value_type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(value_type) or pa.types.is_large_string(value_type):
            (value,) = column.cast(value_type).cast(pa.large_binary()).to_pylist()
            values[name] = None if value is None else value.decode("utf-8", "replace")
        else:
            (values[name],) = column.to_pylist()
    return msgspec.json.encode(values)


def _as_json(column: pa.Array) -> pa.LargeBinaryArray:
    """Metadata of a Parquet file as raw JSON: a string column is taken to be JSON already."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary())
    values = [None if v is None else msgspec.json.encode(v) for v in column.to_pylist()]
    return pa.array(values, pa.large_binary())


def _further(record: pa.RecordBatch, name: str) -> pa.LargeBinaryArray:
    """A field of documents as raw JSON: a column, or what our own writer had no column for."""
    import pyarrow as pa

    if name in record.schema.names:
        values = record.column(name).to_pylist()
        raw = [None if value is None else _encoded(value) for value in values]
        return pa.array(raw, pa.large_binary())
    if parquet_shards.MARK not in (record.schema.metadata or {}):
        return pa.nulls(record.num_rows, pa.large_binary())
    extra = record.column(parquet_shards.EXTRA).to_pylist()
    found = [_FIELDS.decode(value).get(name) if value else None for value in extra]
    return pa.array([None if raw is None else bytes(raw) for raw in found], pa.large_binary())


def _encoded(value: Any) -> bytes:
    """A value of a Parquet column as JSON; what JSON has no form for as the text it prints as."""
    return msgspec.json.encode(value, enc_hook=str)


def _rows_as_json(record: pa.RecordBatch, metadata: pa.Array | None) -> list[bytes]:
    """Each row of a Parquet file as the JSON line that would hold the same document."""

    plain = record.drop_columns(["metadata"]) if metadata is not None else record
    rows = plain.to_pylist()
    if parquet_shards.MARK in (record.schema.metadata or {}):
        for row in rows:  # what our own writer had no column for
            extra = row.pop(parquet_shards.EXTRA, None)
            row |= _FIELDS.decode(extra) if extra else {}
    if metadata is not None:
        for row, value in zip(rows, metadata.to_pylist(), strict=True):
            if value is not None:
                row["metadata"] = msgspec.Raw(value)
    return [msgspec.json.encode({k: v for k, v in row.items() if v is not None}) for row in rows]
