"""What SQL can be asked about: `documents`, `attributes`, `tokens`, `decisions` and `ledger`.

A view is an object from which DuckDB takes an Arrow stream as often as a query scans it, so DuckDB
itself opens no file: what is read, and what is an error, is what the rest of the toolkit says.
Nothing is looked for before a query names the view, and only wanted columns are made.

    documents    id, text, source, added, created, metadata (JSON), file, row, line, bytes (of text)
    attributes   id, file, row, line, and all columns of all experiments beside the documents;
                 attributes_NAME has those of one experiment
    tokens       folder, part, start, end, n_tokens, id, src, loc, source
    decisions    folder, and the columns of decisions.parquet (see `decisions`)
    ledger       folder, stage, phase, unit, documents, bytes_in, bytes_out, quarantined, seconds,
                 finished, outputs

`file` and `line` are `src` and `loc` of tokens, `src` and `line` of decisions; `row` counts
readable documents from 1. JSON's null is null; `added` and `created` are strings, or the JSON of
what else stands there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attribute_files, attributes, decisions, files, ledger, parquet
from dolma_kit.attributes import Format, Kind
from dolma_kit.decoding import Fields, Source
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.layout import Shard, find
from dolma_kit.statistics.attribute_columns import experiments_of

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.statistics.sql import Sql

NAMES = ("documents", "attributes", "tokens", "decisions", "ledger")
PREFIX = "attributes_"
ROWS_AT_ONCE = 1 << 14
Wanted = frozenset[str]
Rows = Iterator["pa.RecordBatch"]


class View:
    """A table that DuckDB scans: it asks for the schema when it binds a query, for rows when it
    runs. What goes wrong there is kept by `corpus`, since DuckDB only passes on its text."""

    def __init__(
        self,
        corpus: Corpus,
        schema: Callable[[], pa.Schema],
        rows: Callable[[Wanted], Rows],
        look: Callable[[], Any],
    ) -> None:
        self._corpus = corpus
        self._schema = schema
        self._rows = rows
        self._look = look

    def __arrow_c_schema__(self) -> Any:
        return self._known().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        import pyarrow as pa

        schema = self._known()
        wanted = self._corpus.wanted
        rows = self._rows(frozenset(schema.names) if wanted is None else wanted)
        reader = pa.RecordBatchReader.from_batches(schema, self._corpus.watched(rows))
        return reader.__arrow_c_stream__(requested_schema)

    def _known(self) -> pa.Schema:
        try:
            if self._corpus.is_asked:
                self._look()
            return self._schema()
        except BaseException as error:
            self._corpus.fault = self._corpus.fault or error
            raise


class Corpus:
    """What the views of a query are made of, found when they are asked for.

    `is_asked` goes up once a query is bound: before, a schema is one of no data. `wanted` are the
    columns that it reads, None for all. `fault` is what first went wrong, `notes` what a person
    should know; `stopped` ends all streams.
    """

    def __init__(self, settings: Sql) -> None:
        self.is_asked = False
        self.wanted: Wanted | None = None
        self.fault: BaseException | None = None
        self.notes: list[str] = []
        self.stopped = False
        self._settings = settings
        self._arguments = settings.documents or ["."]
        self._fields = Fields(settings.text_key, settings.id_key)
        self._columns: dict[str, dict[str, Kind]] = {}

    def views(self, query: str) -> dict[str, View]:
        """All views by name, those of single experiments only where the query may name one."""
        made = {
            "documents": View(self, document_schema, self._document_rows, lambda: self.shards),
            "attributes": View(
                self,
                lambda: self._attribute_schema(self.experiments if self.is_asked else ()),
                lambda wanted: self._attribute_rows(self.experiments, wanted),
                lambda: self.experiments,
            ),
            "tokens": View(self, token_schema, self._token_rows, lambda: self.token_tables),
            "decisions": View(
                self, decision_schema, self._decision_rows, lambda: self.decision_files
            ),
            "ledger": View(self, ledger_schema, self._ledger_rows, lambda: self.ledgers),
        }
        if PREFIX in query.lower():
            for name in self._experiments_there():
                made[PREFIX + _base(name)] = View(
                    self,
                    functools.partial(self._attribute_schema, (name,)),
                    functools.partial(self._attribute_rows, (name,)),
                    lambda: None,
                )
        return made

    def watched(self, rows: Rows) -> Rows:
        """The same rows; what goes wrong is kept, and they end when the query is stopped."""
        try:
            for batch in rows:
                if self.stopped:
                    return
                yield batch
        except GeneratorExit:
            raise
        except BaseException as error:
            self.fault = self.fault or error
            raise

    @functools.cached_property
    def shards(self) -> list[Shard]:
        return find(self._arguments, attributes=self._settings.attributes)

    def _document_rows(self, wanted: Wanted) -> Rows:
        for shard in self.shards:
            yield from document_rows(shard, self._fields, wanted)

    # Attributes.

    @functools.cached_property
    def experiments(self) -> tuple[str, ...]:
        """Those that were asked for, else all that any of the documents has."""
        if self._settings.experiments:
            for name in self._settings.experiments:
                if not any(self._located(shard, name) for shard in self.shards):
                    raise MissingInput(
                        f"no attributes {name!r} of {', '.join(self._arguments)}: tag or dedupe "
                        "these documents, or leave it out of --experiments"
                    )
            return tuple(dict.fromkeys(self._settings.experiments))
        found = experiments_of(self.shards)
        if not found:
            raise MissingInput(
                f"no attributes of {', '.join(self._arguments)}: make them with `dolma-kit tag` or "
                "`dolma-kit dedupe`, or say where they are with --attributes DIR"
            )
        return tuple(found)

    def _experiments_there(self) -> tuple[str, ...]:
        try:
            return self.experiments
        except MissingInput:  # the query may mean a table of its own
            return ()

    def _located(self, shard: Shard, experiment: str) -> tuple[str, Format] | None:
        if shard.attributes is None and "/" not in experiment:
            return None
        return attributes.locate_if_there(shard, experiment)

    def _columns_of(self, experiment: str) -> dict[str, Kind]:
        """Column -> kind, over all files; notes how many have no attributes of the experiment."""
        if experiment in self._columns:
            return self._columns[experiment]
        columns: dict[str, Kind] = {}
        n_missing = 0
        for shard in self.shards:
            if not self._located(shard, experiment):
                n_missing += 1
                continue
            for name, kind in attribute_files.known_columns(shard, experiment).items():
                if columns.setdefault(name, kind) != kind:
                    raise VerificationError(
                        f"column {name!r} of {experiment!r} is {kind} in {shard.path} and "
                        f"{columns[name]} in files before it: make the attributes again"
                    )
        if n_missing:
            self.notes.append(
                f"{n_missing} of {len(self.shards)} files have no attributes {experiment!r}: "
                "their columns are null"
            )
        self._columns[experiment] = columns
        return columns

    def _attribute_schema(self, experiments: Sequence[str]) -> pa.Schema:
        import pyarrow as pa

        schema = pa.schema([document_schema().field(n) for n in ("id", "file", "row", "line")])
        owners = dict.fromkeys(schema.names, "the view itself")  # SQL has no upper case
        for experiment in experiments:
            columns = self._columns_of(experiment)
            for name in columns:
                if owner := owners.get(name.lower()):
                    raise ConfigError(
                        f"column {name!r} is one of {owner} and of {experiment!r}: name the "
                        f"experiments with --experiments, or ask for {PREFIX}NAME"
                    )
                owners[name.lower()] = repr(experiment)
            for field in list(attributes.schema(columns))[1:]:
                schema = schema.append(field)
        return schema

    def _attribute_rows(self, experiments: Sequence[str], wanted: Wanted) -> Rows:
        """Attributes in step with the documents, whose ids they have to carry."""
        schema = self._attribute_schema(experiments)
        own = wanted & {"file", "row"} | {"id", "line"}
        for shard in self.shards:
            open_files: list[tuple[attribute_files.Reader, str, Format, list[str]]] = []
            for experiment in experiments:
                kinds = {c: k for c, k in self._columns_of(experiment).items() if c in wanted}
                located = self._located(shard, experiment)
                if kinds and located is not None:
                    reader = attribute_files.Reader(*located, kinds, shard.path)
                    open_files.append((reader, *located, list(kinds)))
            n = 0
            for documents in document_rows(shard, self._fields, own):
                names = documents.schema.names
                columns = dict(zip(names, documents.columns, strict=True))
                for reader, _, _, of_reader in open_files:
                    table = reader.read(attribute_files.Documents(n, documents))
                    columns |= {name: table.column(name) for name in of_reader}
                n += len(documents)
                yield _batch(schema, columns, len(documents))
            for _, path, format, _ in open_files:
                attribute_files.require_length(path, format, n, shard.path)

    # What other stages wrote.

    @functools.cached_property
    def token_tables(self) -> list[str]:
        """The tables of documents of token files, of two beside one file the Parquet."""
        from dolma_kit.order.documents import SUFFIXES

        given = self._settings.tokens
        stems: dict[str, str] = {}
        for folder in given or self._local_folders():
            n_before = len(stems)
            for path in _files_below(folder, SUFFIXES):
                suffix = next(s for s in SUFFIXES if path.endswith(s))
                stem = path.removesuffix(suffix)
                beside = (stem + ending for ending in (".npy", ".bin"))
                if suffix == ".csv.gz" and not any(map(os.path.exists, beside)):
                    continue  # any table
                stems[stem] = max(stems.get(stem, ""), path)  # .docs.parquet comes after .csv.gz
            if given and len(stems) == n_before:
                raise MissingInput(f"no tokens in {folder}: name a folder that tokenize wrote to")
        return list(stems.values()) or self._none("tokens", "`dolma-kit tokenize`", "--tokens DIR")

    def _token_rows(self, wanted: Wanted) -> Rows:
        import pyarrow.compute as pc

        from dolma_kit.order.documents import SCHEMA

        needed = wanted | ({"start", "end"} if "n_tokens" in wanted else set())
        for path in self.token_tables:
            folder, name = os.path.split(path)
            for n, columns in _token_columns(path, SCHEMA, needed):
                columns["folder"] = _repeated(folder or ".", n)
                columns["part"] = _repeated(name.split(".")[0], n)
                if "n_tokens" in wanted:
                    columns["n_tokens"] = pc.subtract(columns["end"], columns["start"])
                yield _batch(token_schema(), columns, n)

    @functools.cached_property
    def decision_files(self) -> list[str]:
        from dolma_kit.explaining import decisions_of

        if self._settings.mix:
            return [decisions_of(place) for place in self._settings.mix]
        found = [p for f in self._local_folders() for p in _files_below(f, (decisions.NAME,))]
        return found or self._none(decisions.NAME, "`dolma-kit mix`", "--mix DIR")

    def _decision_rows(self, wanted: Wanted) -> Rows:
        schema = decision_schema()
        for path in self.decision_files:
            for n, columns in _parquet_columns(path, schema.remove(0), wanted):
                columns["folder"] = _repeated(os.path.dirname(path) or ".", n)
                yield _batch(schema, columns, n)

    @functools.cached_property
    def ledgers(self) -> list[str]:
        found = [place for folder in self._local_folders() for place in ledger.find(folder)]
        return found or self._none("ledger", "any stage", "its folder among DOCS")

    def _ledger_rows(self, wanted: Wanted) -> Rows:
        import pyarrow as pa

        for folder in self.ledgers:
            found = ledger.read(folder)
            header, records = found if found is not None else (None, [])
            rows = [
                {
                    "folder": folder,
                    "stage": header.stage if header else None,
                    **{k: getattr(one, k) for k in ("phase", "unit", "seconds", "finished")},
                    **{k: getattr(one.result, k) for k in _OF_RESULT},
                }
                for one in records
            ]
            yield from pa.Table.from_pylist(rows, ledger_schema()).to_batches()

    def _local_folders(self) -> list[str]:
        return [f for f in self._arguments if not files.is_remote(f) and os.path.isdir(f)]

    def _none(self, what: str, maker: str, flag: str) -> Any:
        places = ", ".join(self._local_folders()) or "DOCS, which names no folder"
        raise MissingInput(f"no {what} below {places}: made by {maker}; name it with {flag}")


_OF_RESULT = ("documents", "bytes_in", "bytes_out", "quarantined", "outputs")


def document_schema() -> pa.Schema:
    import pyarrow as pa

    json = pa.field("metadata", pa.large_string(), metadata={"ARROW:extension:name": "arrow.json"})
    return pa.schema(
        [
            ("id", pa.string()), ("text", pa.large_string()), ("source", pa.string()),
            ("added", pa.string()), ("created", pa.string()), json, ("file", pa.string()),
            ("row", pa.int64()), ("line", pa.int64()), ("bytes", pa.int64()),
        ]
    )  # fmt: skip


def token_schema() -> pa.Schema:
    import pyarrow as pa

    numbers = [(name, pa.int64()) for name in ("start", "end", "n_tokens")]
    return pa.schema(
        [
            ("folder", pa.string()), ("part", pa.string()), *numbers, ("id", pa.string()),
            ("src", pa.string()), ("loc", pa.int64()), ("source", pa.string()),
        ]
    )  # fmt: skip


def decision_schema() -> pa.Schema:
    """That of the file with names as plain strings, after the folder."""
    import pyarrow as pa

    plain = [
        (f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
        for f in decisions.schema()
    ]
    return pa.schema([("folder", pa.string()), *plain])


def ledger_schema() -> pa.Schema:
    import pyarrow as pa

    names: list[Any] = [(name, pa.string()) for name in ("folder", "stage", "phase", "unit")]
    numbers = [(name, pa.int64()) for name in _OF_RESULT[:-1]]
    return pa.schema(
        [
            *names, *numbers, ("seconds", pa.float64()), ("finished", pa.string()),
            ("outputs", pa.list_(pa.string())),
        ]
    )  # fmt: skip


def document_rows(shard: Shard, fields: Fields, wanted: Wanted) -> Rows:
    """A file's documents as `document_schema` has them; columns that nobody wants are null.

    DataError with file and line for what cannot be read, whichever columns are wanted.
    """
    import numpy as np
    import pyarrow as pa

    schema = document_schema()
    more = wanted & {"added", "created"} - {fields.id, fields.text}
    for batch in DocumentReader(Source(shard.path, fields=fields, more=tuple(sorted(more)))):
        n, table = len(batch), batch.table
        rows = np.arange(batch.first_row + 1, batch.first_row + 1 + n)
        columns = {name: table.column(name) for name in ("id", "text", "source")}
        columns |= {"file": _repeated(shard.src, n), "row": rows, "line": batch.lines}
        if "metadata" in wanted:
            columns["metadata"] = _json(table.column("metadata"), shard.path)
        for name in more:
            columns[name] = pa.array(map(_plain, table.column(name).to_pylist()), pa.string())
        if "bytes" in wanted:
            columns["bytes"] = np.diff(batch.offsets)
        yield _batch(schema, columns, n)


def _json(column: pa.Array, path: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        text = column.cast(pa.large_string())
    except pa.ArrowInvalid:
        raise DataError(path, None, "`metadata` is not valid UTF-8") from None
    return pc.if_else(pc.equal(text, "null"), None, text)


def _plain(raw: bytes | None) -> str | None:
    """What a string of JSON says; other values as they are written."""
    if raw is None or raw == b"null":
        return None
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()


def _token_columns(
    path: str, schema: pa.Schema, wanted: Wanted
) -> Iterator[tuple[int, dict[str, Any]]]:
    from dolma_kit.order.documents import stream_csv

    if path.endswith(".docs.parquet"):
        yield from _parquet_columns(path, schema, wanted)
        return
    for batch in stream_csv(path):
        yield len(batch), dict(zip(batch.schema.names, batch.columns, strict=True))


def _parquet_columns(
    path: str, schema: pa.Schema, wanted: Wanted
) -> Iterator[tuple[int, dict[str, Any]]]:
    """How many rows, and the wanted columns, of a Parquet file that has to have all of them."""
    import pyarrow as pa

    file = parquet.open_file(path)
    there = file.schema_arrow
    for field in schema:
        if field.name not in there.names:
            raise DataError(path, None, f"has no column {field.name!r}")
    columns = [field for field in schema if field.name in wanted] or [schema.field(0)]
    names = [field.name for field in columns]
    for batch in parquet.batches(file, path, batch_size=ROWS_AT_ONCE, columns=names):
        try:
            yield len(batch), {f.name: batch.column(f.name).cast(f.type) for f in columns}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(path, None, f"{names} are {batch.schema.types}: {error}") from None


def _batch(schema: pa.Schema, columns: Mapping[str, Any], n: int) -> pa.RecordBatch:
    """A batch of n rows with the columns that there are, Arrow or numpy; others are null."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        array = columns.get(field.name)
        if array is None:
            array = pa.nulls(n, field.type)
        elif isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays([pa.nulls(0, field.type), *array.chunks])
        arrays.append(array if isinstance(array, pa.Array) else pa.array(array, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _repeated(value: str, n: int) -> pa.Array:
    import pyarrow as pa

    return pa.repeat(pa.scalar(value, pa.string()), n)


def _base(experiment: str) -> str:
    return os.path.basename(experiment.rstrip("/"))


def _files_below(place: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files below a folder whose names end so, in order; hidden ones are no outputs."""
    found = []
    for folder, folders, names in os.walk(place):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=os.fsencode)
        for name in sorted(names, key=os.fsencode):
            if name.endswith(suffixes) and not name.startswith("."):
                found.append(os.path.normpath(os.path.join(folder, name)))
    return found
