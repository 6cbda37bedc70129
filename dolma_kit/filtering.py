"""Filters in SQL: an expression over attribute and document columns, true for what is kept.

DuckDB evaluates it on Arrow batches, without access to files, network or settings. The columns
are the attributes of the stream (scores as DOUBLE, spans as lists of structs) and `id`, `text`,
`source`, `metadata` (JSON as text) of the document. As in SQL's WHERE, null is not true.

Helpers for spans; each takes also `least := X`, for spans of at least that score alone:

    span_max(NAME)       the greatest score, 0 without spans
    span_count(NAME)     how many there are
    span_fraction(NAME)  the share of the text's code points that they cover, 0 of an empty text
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attributes
from dolma_kit.attributes import Kind
from dolma_kit.errors import ConfigError, DolmaKitError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

DOCUMENT_COLUMNS = ("id", "text", "source", "metadata")
CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
_CHOSEN = "list_filter(coalesce(spans, []), lambda s: s.score >= least)"
#: code points in any of the spans, added up from left to right
_COVERED = f"""
    list_reduce(
        list_prepend(
            {{'start': 0::BIGINT, 'end': 0::BIGINT}},
            list_sort(
                list_transform({_CHOSEN}, lambda s: {{'start': s.start, 'end': s."end"}})
            )
        ),
        lambda sum, s: {{
            'start': sum.start + greatest(0, s."end" - greatest(s.start, sum."end")),
            'end': greatest(sum."end", s."end")
        }}
    ).start
"""
HELPERS = (
    "CREATE MACRO span_max(spans, least := '-inf'::DOUBLE) AS "
    f"coalesce(list_max(list_transform({_CHOSEN}, lambda s: s.score)), 0.0)",
    f"CREATE MACRO span_count(spans, least := '-inf'::DOUBLE) AS len({_CHOSEN})",
    "CREATE MACRO span_fraction_of(whole, spans, least := '-inf'::DOUBLE) AS "
    f"coalesce({_COVERED} / nullif(length(whole), 0), 0.0)",
)
#: what an expression may give, and what stands for null
TYPES = {"BOOLEAN": "false", "DOUBLE": "'nan'::DOUBLE", "VARCHAR": "''"}
UNFIT_FUNCTIONS = """
    SELECT function_name FROM duckdb_functions() WHERE list_contains(?, function_name)
    GROUP BY function_name
    HAVING bool_and(function_type = 'aggregate' OR coalesce(stability, '') IN (
        'VOLATILE', 'CONSISTENT_WITHIN_QUERY'))
"""


class FilterError(DolmaKitError):
    """An expression that cannot be evaluated: a wrong one, or one that the data does not suit."""


class Expression:
    """A compiled expression of one of `TYPES`, `key` of a config. Raises ConfigError for one that
    cannot be evaluated on the columns."""

    def __init__(
        self, expression: str, known: Mapping[str, Kind], key: str = "keep", type_: str = "BOOLEAN"
    ) -> None:
        import duckdb

        self.expression = expression
        self._said = f"{key} {expression!r}"
        #: the attribute columns that the expression names
        self.columns = {name: kind for name, kind in known.items() if name in _words(expression)}
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        for setting in (
            *HELPERS,
            "SET enable_external_access = false",
            "SET python_enable_replacements = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(setting)
        expression = re.sub(r"\bspan_fraction\s*\(", "span_fraction_of(text, ", expression)
        # The line break keeps a comment at the expression's end from hiding the parenthesis.
        value = f"coalesce(CAST(({expression}\n) AS {type_}), {TYPES[type_]})"
        self._query = f"SELECT {value} FROM documents"
        self._check(known)

    def _check(self, known: Mapping[str, Kind]) -> None:
        import duckdb

        try:
            statements = self._connection.extract_statements(self._query)
        except duckdb.Error as error:
            raise ConfigError(f"{self._said}: {_first_line(error)}") from None
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ConfigError(f"{self._said}: write one SQL expression, no statements")
        self._refuse_what_is_not_of_one_document()
        try:
            self.evaluate(_empty_documents(self.columns))
        except FilterError as error:
            raise ConfigError(f"{error}{_hint(str(error), known)}") from None

    def _refuse_what_is_not_of_one_document(self) -> None:
        """An expression sees a batch at a time, and the same document must always fare the same."""
        trees = self._connection.execute("SELECT json_serialize_sql(?)", [self._query]).fetchall()
        classes, functions = _classes_and_functions(msgspec.json.decode(trees[0][0]))
        unfit = classes & {"SUBQUERY", "WINDOW"} | _words(self.expression.lower()) & CLOCKS
        rows = self._connection.execute(UNFIT_FUNCTIONS, [sorted(functions)]).fetchall()
        unfit |= {f"{name}()" for (name,) in rows}
        if unfit:
            raise ConfigError(
                f"{self._said}: {', '.join(sorted(unfit)).lower()} looks at more than "
                "one document or changes from run to run; write a rule over one document's columns"
            )

    def evaluate(self, table: pa.Table) -> Any:
        """(n_docs,): the value for each row; FilterError where it fails."""
        import duckdb

        self._connection.register("documents", table)
        try:
            column = self._connection.sql(self._query).to_arrow_table().column(0)
        except duckdb.Error as error:
            raise FilterError(f"{self._said}: {_first_line(error)}") from None
        finally:
            self._connection.unregister("documents")
        if len(column) != len(table):
            raise ConfigError(
                f"{self._said} gives {len(column)} values for {len(table)} documents: "
                "it has to give one a document"
            )
        return column.to_numpy()


class Filter(Expression):
    """An expression that says what is kept."""

    def evaluate(self, table: pa.Table) -> NDArray[np.bool_]:
        """(n_docs,) bool: which rows the expression holds for; FilterError where it fails."""
        kept: NDArray[np.bool_] = super().evaluate(table)
        return kept


def _classes_and_functions(node: Any) -> tuple[set[str], set[str]]:
    """The classes of expressions, and the functions called, in a serialized statement."""
    classes: set[str] = set()
    functions: set[str] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            classes.add(str(node.get("class")))
            if node.get("class") == "FUNCTION":
                functions.add(str(node.get("function_name")))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return classes, functions


def document_table(documents: pa.RecordBatch, columns: Mapping[str, pa.Array | Any]) -> pa.Table:
    """What a filter sees of a batch: the document's columns and the attributes'."""
    import pyarrow as pa

    arrays = [documents.column(name) for name in DOCUMENT_COLUMNS]
    arrays[3] = arrays[3].cast(pa.large_string())
    return pa.table([*arrays, *columns.values()], names=[*DOCUMENT_COLUMNS, *columns])


def _empty_documents(kinds: Mapping[str, Kind]) -> pa.Table:
    import pyarrow as pa

    document = [(name, pa.large_string()) for name in DOCUMENT_COLUMNS]
    fields = [f for f in attributes.schema(kinds) if f.name != "id"]
    return pa.schema([*document, *fields]).empty_table()


def _words(expression: str) -> set[str]:
    return set(re.findall(r"\w+", expression))


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0].strip()


def _hint(message: str, known: Iterable[str]) -> str:
    """The nearest known column where DuckDB missed one."""
    if "STRUCT" in message and "cast" in message.lower():
        return "; a column that nobody declares is read as spans: write len(NAME) > 0"
    missed = re.search(r'column "?([\w.]+)"? not found', message)
    if missed is None:
        return ""
    near = difflib.get_close_matches(missed.group(1), list(known), n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return "; no attributes of that name are loaded: name their experiment in `attributes`"
