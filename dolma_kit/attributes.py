"""Attributes: what taggers and deduplication say of documents, in files beside the documents.

Two formats, read everywhere: Parquet (native: `id` and one column a key, version in the schema's
metadata) and Dolma's JSONL (`{"id", "attributes": {key: [[start, end, score], ...]}, "source"}`).
Row i belongs to the i-th readable document and carries its id. A column is a *score*, one float64
a document (in JSONL `[[0, length, score]]`), or *spans*, `list<struct<start, end, score>>` in code
points of the text, end exclusive, never beyond the text. NaN and null mean: no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from dolma_kit import files
from dolma_kit.errors import ConfigError, DataError, MissingAttributes, VerificationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch, Shard

Kind = Literal["score", "spans"]
Format = Literal["parquet", "jsonl"]
VERSION = 1
METADATA_KEY = b"dolma_kit"
SUFFIXES: dict[Format, str] = {"parquet": ".parquet", "jsonl": ".jsonl.gz"}
JSONL_SUFFIXES = (".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".jsonl", ".json")
JSONL_MEMBER_BYTES = 4 << 20


class Spans(NamedTuple):
    """Spans of a batch: those of document i are rows `offsets[i]` to `offsets[i + 1]`."""

    offsets: NDArray[np.int64]  # (n_docs + 1,)
    start: NDArray[np.int64]  # (n_spans,) code points
    end: NDArray[np.int64]  # (n_spans,) code points, exclusive
    score: NDArray[np.float64]  # (n_spans,)


Columns = dict[str, "NDArray[np.float64] | Spans"]


def column_name(*parts: str) -> str:
    """Dolma's key: parts joined by `__`, characters other than letters, digits and `_` replaced.

    >>> column_name("q", "gopher_v2", "word_count")
    'q__gopher_v2__word_count'
    """
    name = "__".join(re.sub(r"[^a-zA-Z0-9_]", "_", part) for part in parts)
    if name[:1].isdigit():
        raise ConfigError(f"{name!r} cannot name a column: let the experiment start with a letter")
    return name


def no_spans(n_docs: int) -> Spans:
    import numpy as np

    nothing = np.zeros(0, np.int64)
    return Spans(np.zeros(n_docs + 1, np.int64), nothing, nothing, np.zeros(0, np.float64))


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
        self._kinds = dict(kinds)
        self._parquet: Any = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_parquet = format == "parquet"
        if self._is_parquet:
            import pyarrow.parquet as pq

            note = msgspec.json.encode({"version": VERSION, **made_by}, order="deterministic")
            self._schema = schema(kinds).with_metadata({METADATA_KEY: note})
            self._parquet = pq.ParquetWriter(
                stream, self._schema, compression="zstd", use_dictionary=False
            )

    def write(self, batch: Batch, columns: Columns) -> None:
        """One row a document of the batch; `columns` has exactly the keys that were declared."""
        lengths = None if self._is_parquet else batch.n_characters
        self.write_rows(batch.table.column("id"), batch.table.column("source"), lengths, columns)

    def write_rows(
        self,
        ids: pa.Array,
        sources: pa.Array,
        n_characters: NDArray[np.int64] | None,
        columns: Columns,
    ) -> None:
        """The same for documents that are not at hand; Parquet needs ids and columns alone."""
        if columns.keys() != self._kinds.keys():
            odd = sorted(columns.keys() ^ self._kinds.keys())
            raise AssertionError(f"columns differ from the declared ones: {odd}")
        if self._is_parquet:
            self._parquet.write_batch(to_arrow(ids, columns, self._kinds))
            return
        assert n_characters is not None
        block = _dolma_rows(ids, sources, n_characters, columns)
        self._pending.append(block)
        self._pending_bytes += len(block)
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

    def __exit__(self, *error: object) -> None:
        self.close()  # also after an error, while the stream is open: pyarrow complains otherwise


def schema(kinds: Mapping[str, Kind]) -> pa.Schema:
    import pyarrow as pa

    span = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())])
    types: dict[Kind, pa.DataType] = {"score": pa.float64(), "spans": pa.list_(span)}
    return pa.schema([("id", pa.string()), *((name, types[kind]) for name, kind in kinds.items())])


def to_arrow(ids: pa.Array, columns: Columns, kinds: Mapping[str, Kind]) -> pa.RecordBatch:
    """`id` and the columns as Arrow; NaN scores become null."""
    import numpy as np
    import pyarrow as pa

    arrays = [ids.cast(pa.string())]
    for name in kinds:
        value = columns[name]
        if isinstance(value, Spans):
            fields = [pa.array(value.start), pa.array(value.end), pa.array(value.score)]
            spans = pa.StructArray.from_arrays(fields, names=["start", "end", "score"])
            arrays.append(pa.ListArray.from_arrays(pa.array(value.offsets.astype(np.int32)), spans))
        else:
            scores = np.asarray(value, np.float64)
            arrays.append(pa.array(scores, mask=np.isnan(scores)))
    return pa.RecordBatch.from_arrays(arrays, schema=schema(kinds))


class _DolmaRow(msgspec.Struct):
    id: str
    attributes: dict[str, list[tuple[int, int, float]]]
    source: str | None = ""


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


def locate(shard: Shard, experiment: str) -> tuple[str, Format]:
    """The attribute file of a shard; none, or one in each format, is an error.

    `experiment` names a folder under the shard's `attributes/`, or is a path to such a folder.
    """
    stem = f"{_folder(shard, experiment)}/{shard.tree}"
    found: list[tuple[str, Format]] = []
    if files.exists(f"{stem}.parquet"):
        found.append((f"{stem}.parquet", "parquet"))
    for suffix in JSONL_SUFFIXES:
        if files.exists(stem + suffix):
            found.append((stem + suffix, "jsonl"))
    if not found:
        raise MissingAttributes(
            f"{shard.path} has no attributes {experiment!r}: neither {stem}.parquet nor "
            f"{stem}.jsonl.gz is there; make them, or take {experiment!r} out"
        )
    if len(found) > 1:
        raise VerificationError(f"{found[0][0]} and {found[1][0]} both claim to be one: remove one")
    return found[0]


class Reader:
    """Reads an attribute file beside its documents, batch by batch, and checks that they match.

    `kinds` are the wanted columns; one that the file does not have gives no values. A file that
    is shorter or longer than its documents, or carries other ids, is a VerificationError that
    names file and row (from 1).
    """

    def __init__(
        self, path: str, format: Format, kinds: Mapping[str, Kind], documents: str
    ) -> None:
        self.path = path
        self._kinds = kinds
        self._documents = documents
        self._row = 0
        self._tables = self._parquet_tables() if format == "parquet" else self._jsonl_tables()
        self._held: pa.Table | None = None
        self.clamped = 0

    def read(self, batch: Batch) -> pa.Table:
        """The rows of a batch's documents: `id` and the wanted columns, as Arrow."""
        import pyarrow as pa

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

    def _check_ids(self, table: pa.Table, batch: Batch) -> None:
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

    def finish(self) -> None:
        """To be called after the last document: a longer attribute file is an error."""
        left = self._held if self._held is not None else next(self._tables, None)
        if left is not None and len(left):
            raise VerificationError(
                f"{self.path} has more than the {self._row} rows that {self._documents} has "
                "documents: make the attributes again with --overwrite"
            )

    def _parquet_tables(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        from dolma_kit.documents import parquet_batches

        wanted = schema(self._kinds)
        file = open_parquet(self.path)
        names = [name for name in wanted.names if name in file.schema_arrow.names]
        if "id" not in names:
            raise DataError(self.path, None, "has no column 'id'")
        for record in parquet_batches(file, self.path, batch_size=8192, columns=names):
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

        wanted = schema(self._kinds)
        for rows in _read_jsonl(self.path):
            arrays = [pa.array([row.id for row in rows], pa.string())]
            for name, kind in self._kinds.items():
                values = [row.attributes.get(name) for row in rows]
                if kind == "score":
                    scores = [spans[0][2] if spans else None for spans in values]
                    arrays.append(pa.array(scores, pa.float64()))
                else:
                    arrays.append(_span_lists(values))
            yield pa.Table.from_arrays(arrays, schema=wanted)


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


def open_parquet(path: str) -> Any:
    """A pyarrow ParquetFile, local or remote; DataError for a file that is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path if not files.is_remote(path) else _remote(path))
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(path, None, f"not a readable Parquet file: {error}") from None


def _remote(path: str) -> Any:
    import fsspec

    return fsspec.open(path, "rb").open()


def _read_jsonl(path: str) -> Iterator[list[_DolmaRow]]:
    from dolma_kit.documents import whole_lines

    decoder = msgspec.json.Decoder(_DolmaRow)
    reader = files.Reader(path)
    first_line = 1
    try:
        for chunk in whole_lines(reader):
            try:
                rows = decoder.decode_lines(chunk)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                for i, line in enumerate(chunk.split(b"\n")):
                    try:
                        if line.strip():
                            decoder.decode(line)
                    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                        raise DataError(path, first_line + i, str(error)) from None
                raise
            first_line += chunk.count(b"\n")
            yield rows
    finally:
        reader.close()


def values_of(column: pa.ChunkedArray, kind: Kind) -> NDArray[np.float64] | Spans:
    """A column as arrays: scores with NaN for null, or spans with nothing for null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    if kind == "score":
        scores: NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
        return scores
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy(), out=offsets[1:])
    fields = array.flatten()  # respects the slice and leaves out null lists
    start, end, score = (fields.field(i).to_numpy() for i in range(3))
    return Spans(offsets, start, end, score)


def kinds_in(path: str, format: Format) -> dict[str, Kind | None]:
    """The columns of an attribute file; None where JSONL leaves a column's kind open.

    Parquet tells by its schema; JSONL is read through, since any row may bring a key.
    """
    if format == "parquet":
        import pyarrow as pa

        fields = open_parquet(path).schema_arrow
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


def declared_kind(name: str) -> Kind | None:
    """The kind that the registry declares for a column `experiment__tagger__key`, if it does."""
    from dolma_kit import registry

    parts = name.split("__", 2)
    if len(parts) != 3:
        return "score" if name.endswith("_fraction") else None
    kind = registry.parts("taggers").get(parts[1])
    if kind is None:
        return None
    made = registry.tagger(parts[1])
    by_column = {column_name(key): k for key, k in made.keys.items()}
    return by_column.get(parts[2])


def declared_columns(shard: Shard, experiment: str) -> dict[str, Kind]:
    """The columns that the ledger beside a shard's attributes declares; empty without a ledger."""
    from dolma_kit import ledger

    found = ledger.read(_folder(shard, experiment))
    columns: dict[str, Kind] = found[0].config.get("columns", {}) if found else {}
    return columns


def known_columns(shard: Shard, experiment: str) -> dict[str, Kind]:
    """The columns of a shard's attributes, as the ledger, the file and the registry tell them.

    In JSONL of another tool a key that nobody declares is taken to be spans.
    """
    if declared := declared_columns(shard, experiment):
        return declared
    found = kinds_in(*locate(shard, experiment))
    return {name: kind or declared_kind(name) or "spans" for name, kind in found.items()}


def _folder(shard: Shard, experiment: str) -> str:
    """The folder of an experiment, given by name or by path."""
    if "/" in experiment:
        return experiment.rstrip("/")
    return shard.attribute_stem(experiment)[: -len(shard.tree) - 1]
