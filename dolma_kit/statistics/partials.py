"""Partials: what a statistic found of some documents, as a table that adds up with others.

On disk, `<out>/<statistic>/partials/<file>.parquet` for each file of documents and
`<out>/<statistic>/whole.parquet` for all: Parquet, zstd, with this in its metadata under
`dolma_kit_statistics`, as JSON:

    {"version": 1, "statistic": "lengths", "notes": {...}}

Columns and notes are the statistic's own; see each module. A column `file` counts files of
documents from 0, in canonical order; it is 0 in the partial of one file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from dolma_kit import files, parquet
from dolma_kit.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

VERSION = 1
MARK = b"dolma_kit_statistics"
HASHES = ("hash",)  # columns of them


class Partial(NamedTuple):
    """`notes` are plain data, as JSON has them."""

    notes: dict[str, Any]
    table: pa.Table


class _Header(msgspec.Struct, frozen=True):
    version: int
    statistic: str
    notes: dict[str, Any]


def write(path: str, statistic: str, partial: Partial) -> None:
    header = msgspec.json.encode(_Header(VERSION, statistic, partial.notes), order="deterministic")
    table = partial.table.replace_schema_metadata({MARK: header})
    # Hashes neither repeat nor shrink.
    plain = {name for name in table.schema.names if name in HASHES}
    options: dict[str, Any] = {
        "compression": {name: "none" if name in plain else "zstd" for name in table.schema.names},
        "use_dictionary": [f.name for f in table.schema if "string" in str(f.type)],
    }
    with (
        files.write_atomically(path) as stream,
        parquet.writing(stream, table.schema, **options) as writer,
    ):
        writer.write_table(table)


def read(path: str, statistic: str) -> Partial:
    """DataError where it is none of this statistic and version."""
    import pyarrow as pa

    file = parquet.open_file(path)
    notes = _notes_in(file, path, statistic)
    return Partial(notes, pa.Table.from_batches(parquet.batches(file, path), file.schema_arrow))


def read_notes(path: str, statistic: str) -> dict[str, Any]:
    """The same without the table."""
    return _notes_in(parquet.open_file(path), path, statistic)


def _notes_in(file: pq.ParquetFile, path: str, statistic: str) -> dict[str, Any]:
    metadata = file.schema_arrow.metadata or {}
    if MARK not in metadata:
        raise DataError(path, None, "holds no statistics")
    try:
        header = msgspec.json.decode(metadata[MARK], type=_Header)
    except msgspec.MsgspecError as error:
        raise DataError(path, None, f"holds no statistics that can be read: {error}") from None
    if (header.version, header.statistic) != (VERSION, statistic):
        raise DataError(
            path, None,
            f"holds `{header.statistic}` of version {header.version}, not `{statistic}` of "
            f"{VERSION}: make it again with --overwrite",
        )  # fmt: skip
    return header.notes


def of_file(partial: Partial, file: int) -> Partial:
    """A partial of one file as that of file number `file`."""
    names = partial.table.schema.names
    if file == 0 or "file" not in names:
        return partial
    import pyarrow as pa

    numbers = pa.array(np.full(len(partial.table), file, np.int32))
    return partial._replace(table=partial.table.set_column(names.index("file"), "file", numbers))


def added(tables: Sequence[pa.Table], keys: Sequence[str], sums: Sequence[str]) -> pa.Table:
    """Tables of one schema put together: rows with equal `keys` become one, `sums` are added.

    In ascending order of the keys, which are never null.
    """
    import pyarrow as pa

    schema = tables[0].schema
    together = pa.concat_tables(tables)
    grouped = together.group_by(list(keys), use_threads=False)
    found = grouped.aggregate([(name, "sum") for name in sums])
    found = found.rename_columns([*keys, *sums]).select(schema.names).cast(schema)
    return found.sort_by([(name, "ascending") for name in keys])


def tallied(
    columns: Mapping[str, Any],
    schema: pa.Schema,
    keys: Sequence[str],
    sums: Sequence[str],
) -> pa.Table:
    """Columns (sequences or arrays), a row a document, as a table of sums; see `added`."""
    import pyarrow as pa

    rows = pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    return added([rows], keys, sums)
