"""Questions in SQL to a corpus and to what was made of it: one reading statement, by DuckDB.

DuckDB sees the tables of `views` and nothing else: it opens no file but its own temporary ones,
loads no extension, keeps its settings, and is given a single statement that can only read. Rows
come and go in batches, so that neither the corpus nor the answer has to fit in memory.
"""

from __future__ import annotations

import contextlib
import queue
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dolma_kit import files
from dolma_kit.config import Count
from dolma_kit.errors import ConfigError, DolmaKitError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from dolma_kit.statistics.views import Corpus

ROWS_AT_ONCE = 2048
DIRECTORY = {"files": True, "metavar": "DIR"}
Size = Annotated[str, Meta(pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$")]
EXPLAIN = re.compile(
    r"^(\s|/\*.*?\*/|--[^\n]*\n)*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE | re.DOTALL
)
READING = "one SELECT, FROM, VALUES, WITH, DESCRIBE, SUMMARIZE or SHOW, or an EXPLAIN of one"


class Sql(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask a corpus in SQL (DuckDB's), without writing anything to it.

    Tables: documents, attributes (attributes_NAME for one experiment), tokens, decisions, ledger;
    `DESCRIBE documents` shows the columns. Join documents and attributes by `using (file, row)`.
    """

    query: Annotated[
        str, Meta(description="One reading statement.", extra={"argument": "QUERY"})
    ] = ""
    documents: Annotated[
        list[str],
        Meta(
            description="Files, folders (their documents/**) or globs (default: .).",
            extra={"argument": True},
        ),
    ] = []
    experiments: Annotated[
        list[str], Meta(description="Attributes to ask for (default: all beside the documents).")
    ] = []
    tokens: Annotated[
        list[str],
        Meta(description="Token folder (default: all below DOCS); repeatable.", extra=DIRECTORY),
    ] = []
    mix: Annotated[
        list[str],
        Meta(description="Output of a mix (default: all below DOCS); repeatable.", extra=DIRECTORY),
    ] = []
    attributes: Annotated[
        str | None, Meta(description="attributes/ folder for files outside a documents/ folder.")
    ] = None
    text_key: Annotated[str, Meta(description="Field that holds the text.")] = "text"
    id_key: Annotated[str, Meta(description="Field that holds the id.")] = "id"
    format: Annotated[
        Literal["table", "csv", "json", "parquet"],
        Meta(description="How rows are written; json is an object a line."),
    ] = "table"
    json: Annotated[
        bool, Meta(description="One line of JSON instead: columns, types and rows.")
    ] = False
    out: Annotated[
        str | None, Meta(description="File to write the rows to, rather than to stdout.")
    ] = None
    max_rows: Annotated[
        int, Meta(ge=0, description="Rows that a table shows; all are counted.")
    ] = 100
    workers: Annotated[
        Count | None, Meta(description="DuckDB's threads (default: usable CPUs).")
    ] = None
    memory: Annotated[
        Size | None,
        Meta(
            description="What DuckDB may hold before it spills to --tmp-dir, as in 4GB "
            "(default: 80 % of the machine's)."
        ),
    ] = None
    tmp_dir: Annotated[
        str | None, Meta(description="Folder for what is spilled (default: the system's).")
    ] = None


class Answer:
    """Columns that a statement gives, their types in SQL, and once its rows in Arrow batches.

    `notes` are for a person and complete once the first batch is there, `n_rows` counts what has
    been given. Of columns of the same name, later ones are `a_1`, `a_2`.
    """

    def __init__(self, work: _Work, notes: list[str]) -> None:
        self.columns, self.types, self.schema = work.next()
        self.notes = notes
        self.n_rows = 0
        self._work = work

    @property
    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in iter(self._work.next, None):
            self.n_rows += len(batch)
            yield batch

    def rows(self) -> Iterator[list[tuple[Any, ...]]]:
        """The batches as tuples of Python's values; what has the type JSON is a msgspec.Raw."""
        for batch in self.batches:
            columns = [
                [_raw(value) for value in column.to_pylist()] if kind == "JSON"
                else column.to_pylist()
                for column, kind in zip(batch.columns, self.types, strict=True)
            ]  # fmt: skip
            yield list(zip(*columns, strict=True))


def _raw(value: str | None) -> Any:
    """JSON as it is written, if it is; DuckDB takes NaN, and any string of a Parquet file, for it.

    Line feeds can only stand between values.
    """
    if value is None:
        return None
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except msgspec.MsgspecError:
        return value
    return msgspec.Raw(value.replace("\n", " ").replace("\r", " ").encode())


@contextlib.contextmanager
def query(settings: Sql, native: frozenset[str] | None = None) -> Iterator[Answer]:
    """The answer to a statement, as long as the block lasts; then whatever still runs is ended.

    Columns of types that are not among `native` (by default, those that Python and JSON have) come
    as DuckDB prints them. ConfigError for a statement that is refused or cannot be understood, and
    for a view that there is nothing of; the faults of what is read are those of every command.
    """
    from dolma_kit.statistics.views import Corpus

    corpus = Corpus(settings)
    with contextlib.ExitStack() as stack:
        if settings.tmp_dir is not None:
            files.require_writable(settings.tmp_dir)
        # DuckDB lets queries read and write in it: so it is one that holds nothing else.
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dolma-kit-sql-", dir=settings.tmp_dir)
        )
        connection = _connect(settings, folder)
        stack.callback(connection.close)
        work = _Work(connection, corpus, settings.query, native or PLAIN)
        stack.callback(work.end)
        yield Answer(work, corpus.notes)


class _Work:
    """Runs a statement in a thread of its own: the main one waits, and so can be interrupted."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        corpus: Corpus,
        statement: str,
        native: frozenset[str],
    ) -> None:
        self._connection = connection
        self._corpus = corpus
        self._statement = statement
        self._native = native
        self._made: queue.Queue[Any] = queue.Queue(4)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def next(self) -> Any:
        """The columns, then batches, then None; raises what went wrong."""
        made = self._made.get()
        if isinstance(made, BaseException):
            raise made
        return made

    def end(self) -> None:
        """Stop what runs, and wait for that."""
        self._corpus.stopped = True
        while self._thread.is_alive():
            self._connection.interrupt()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._made.get_nowait()
            self._thread.join(0.02)

    def _run(self) -> None:
        try:
            for made in self._answers():
                self._made.put(made)
            self._made.put(None)
        except BaseException as error:
            self._made.put(self._corpus.fault or _understood(error))

    def _answers(self) -> Iterator[Any]:
        import pyarrow as pa

        statement = _checked(self._connection, self._statement)
        for name, view in self._corpus.views(statement).items():
            self._connection.register(name, view)
        self._corpus.is_asked = True
        self._corpus.wanted = self._scanned(statement)
        found = self._connection.sql(statement)
        columns, types = _distinct(found.columns), [str(kind) for kind in found.types]
        shown = [
            f"#{i}" if _is_among(kind, self._native) else f"CAST(#{i} AS VARCHAR)"
            for i, kind in enumerate(found.types, 1)
        ]
        if any(one.startswith("CAST") for one in shown):
            found = found.project(", ".join(shown))
        with contextlib.closing(found.to_arrow_reader(ROWS_AT_ONCE)) as batches:
            fields = zip(columns, batches.schema, strict=True)
            yield columns, types, pa.schema([field.with_name(name) for name, field in fields])
            for batch in batches:
                yield batch.rename_columns(columns)

    def _scanned(self, statement: str) -> frozenset[str] | None:
        """The columns that the plan takes from any view; None where it does not say."""
        import duckdb

        try:
            plans = self._connection.execute(f"EXPLAIN (FORMAT JSON) {statement}").fetchall()
        except duckdb.Error:  # no plan, as of DESCRIBE; or a fault that will be met again
            return None
        names: set[str] = set()
        nodes = msgspec.json.decode(plans[0][1])
        while nodes:
            node = nodes.pop()
            nodes += node["children"]
            about = node["extra_info"]
            if "ARROW_SCAN" not in f"{node['name']} {about.get('Function')}":
                continue
            if "Projections" not in about:
                return None
            found = about["Projections"]
            names.update([found] if isinstance(found, str) else found)
        return frozenset(names)


#: types that come as they are; of lists and structs, those that are made of them
PLAIN = frozenset(
    {
        *("boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint"),
        *("usmallint", "uinteger", "ubigint", "float", "double", "decimal", "varchar"),
        *("list", "array", "struct"),
    }
)
IN_PARQUET = PLAIN | {
    *("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "blob"),
    *("timestamp with time zone",),
}


def _is_among(kind: Any, native: frozenset[str]) -> bool:
    if kind.id not in native:
        return False
    if kind.id not in ("list", "array", "struct"):
        return True
    inner = [one for name, one in kind.children if name != "size"]
    return bool(inner) and all(_is_among(one, native) for one in inner)


def _connect(settings: Sql, folder: str) -> duckdb.DuckDBPyConnection:
    """A database in memory that can reach nothing, and cannot be told otherwise."""
    import duckdb

    from dolma_kit.execute import usable_cpus

    connection = duckdb.connect(":memory:", config={"threads": settings.workers or usable_cpus()})
    options = {
        "temp_directory": folder,
        **({"memory_limit": settings.memory} if settings.memory else {}),
        "arrow_large_buffer_size": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    for name, value in options.items():
        value = value.replace("'", "''")
        connection.execute(f"SET {name} = '{value}'")
    return connection


def _checked(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """The one statement of a text, which reads; ConfigError for any other."""
    import duckdb

    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise ConfigError(f"sql takes one statement, not {len(statements)}: {READING}")
    (statement,) = statements
    kind, asked = statement.type, statement.query.strip()
    if kind == duckdb.StatementType.EXPLAIN:
        inner = EXPLAIN.sub("", asked)
        explained = connection.extract_statements(inner) if inner != asked else []
        kinds = [one.type for one in explained]
        if kinds == [duckdb.StatementType.SELECT]:
            return asked
        kind = kinds[0] if kinds else kind
    if kind != duckdb.StatementType.SELECT:
        more = "; give a PIVOT its values with IN (...)" if kind.name == "MULTI" else ""
        raise ConfigError(f"sql only reads: {READING}, no {kind.name} statement{more}")
    if statement.named_parameters:
        raise ConfigError("sql takes no parameters: write the values into the statement")
    return asked


def _understood(error: BaseException) -> BaseException:
    """What DuckDB says, without the picture of where; what else was raised, as it is."""
    import duckdb
    import pyarrow as pa

    said = str(error)
    if isinstance(error, DolmaKitError) or not isinstance(
        error, duckdb.Error | pa.ArrowInvalid | OSError | RuntimeError
    ):
        return error
    text = " ".join(re.sub(r"\n+(LINE \d+|Possible solutions):.*", "", said, flags=re.S).split())
    if "Out of Memory" in text:
        text += "; allow more with --memory, or name a --tmp-dir with room"
    return ConfigError(text)


def _distinct(names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        n, made = 0, name
        while made in found:
            n += 1
            made = f"{name}_{n}"
        found[made] = None
    return list(found)
