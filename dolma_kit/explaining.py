"""Questions to a finished mix: why a document is in it or not, what each rule does, and what other
thresholds would keep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attribute_files, attributes, decisions
from dolma_kit.attributes import Spans
from dolma_kit.errors import ConfigError, DataError, MissingInput
from dolma_kit.layout import Shard, find

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 20  # thresholds of a sweep that is given none


class Why(msgspec.Struct, frozen=True):
    """What became of a document in a stream; `first` is null, and `rules` empty, if it was kept."""

    stream: str
    src: str
    line: int
    copies: int
    first: str | None
    rules: list[str]


class RuleCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule removes: all that it says go, those of which it is the first to say so, and those
    of which no other one does; documents, bytes of their texts as they were read, and tokens (null
    where nobody counted)."""

    rule: str
    documents: int
    bytes: int
    tokens: int | None
    first_documents: int
    first_bytes: int
    first_tokens: int | None
    alone_documents: int
    alone_bytes: int
    alone_tokens: int | None


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """What came in and what is left of a stream; rules in the order in which they are asked.

    `overlaps` are the documents that two rules both remove.
    """

    stream: str
    documents: int
    bytes: int
    tokens: int | None
    kept_documents: int
    kept_bytes: int
    kept_tokens: int | None
    written: int
    rules: list[RuleCount]
    overlaps: dict[str, dict[str, int]]


class Step(msgspec.Struct, frozen=True):
    """What stays from a threshold on, and below it."""

    threshold: float
    at_least: int
    below: int


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A column's values: of how many documents, how many have none, and what thresholds keep."""

    column: str
    documents: int
    without: int
    steps: list[Step]


def decisions_of(place: str) -> str:
    """The decisions of a mix: the file itself, or that of an output folder."""
    path = decisions.path_in(place) if os.path.isdir(place) else place
    if not os.path.exists(path):
        raise MissingInput(f"no {decisions.NAME} at {place}: name the folder that a mix wrote to")
    return path


def explain(place: str, document_id: str) -> list[Why]:
    """What became of a document, in each stream that read it; nothing if none did."""
    rows = query(
        decisions_of(place),
        "SELECT stream, src, line, copies, first, rules FROM decisions WHERE id = ? "
        "ORDER BY stream, src, line",
        [document_id],
    )
    return [Why(*row) for row in rows]


def funnels(place: str) -> list[Funnel]:
    """What the rules did, by stream, in the order of the file."""
    path = decisions_of(place)
    totals = query(
        path,
        f"SELECT stream, {_sizes('true')}, {_sizes('first IS NULL')}, sum(copies) FROM decisions "
        "GROUP BY stream ORDER BY min(file_row_number)",
    )
    counts = query(
        path,
        f"SELECT stream, rule, {_sizes('true')}, {_sizes('rule = first')}, {_sizes('n = 1')}, "
        "max(place) FROM (SELECT stream, first, bytes, tokens, len(rules) AS n, "
        "unnest(rules) AS rule, generate_subscripts(rules, 1) AS place FROM decisions) "
        "GROUP BY stream, rule ORDER BY max(place), count(*) DESC, rule",
    )
    pairs = query(
        path,
        "SELECT a.stream, a.rule, b.rule, count(*) FROM "
        "(SELECT stream, file_row_number AS row, unnest(rules) AS rule FROM decisions) a JOIN "
        "(SELECT file_row_number AS row, unnest(rules) AS rule FROM decisions) b USING (row) "
        "WHERE a.rule <> b.rule GROUP BY ALL ORDER BY ALL",
    )
    found = []
    for stream, *numbers in totals:
        overlaps: dict[str, dict[str, int]] = {}
        for of_stream, a, b, n in pairs:
            if of_stream == stream:
                overlaps.setdefault(a, {})[b] = n
        rules = [
            RuleCount(
                rule=rule, documents=own[0], bytes=own[1], tokens=own[2],
                first_documents=own[3], first_bytes=own[4], first_tokens=own[5],
                alone_documents=own[6], alone_bytes=own[7], alone_tokens=own[8],
            )
            for of_stream, rule, *own in counts
            if of_stream == stream
        ]  # fmt: skip
        n, n_bytes, n_tokens, kept, kept_bytes, kept_tokens, written = numbers
        found.append(
            Funnel(
                stream=stream, documents=n, bytes=n_bytes, tokens=n_tokens,
                kept_documents=kept, kept_bytes=kept_bytes, kept_tokens=kept_tokens,
                written=int(written), rules=rules, overlaps=overlaps,
            )
        )  # fmt: skip
    return found


def _sizes(condition: str) -> str:
    """Documents, bytes and tokens of the rows that a condition holds for, as integers; tokens are
    null where no row of the stream has any."""
    only = f"FILTER ({condition})"
    return (
        f"count(*) {only}, coalesce(sum(bytes) {only}, 0)::BIGINT, CASE WHEN count(tokens) > 0 "
        f"THEN coalesce(sum(tokens) {only}, 0)::BIGINT END"
    )


def funnel_table(funnel: Funnel) -> str:
    """A funnel as text: what is left after each rule, and what each does on its own."""
    width = max([len("rule"), *(len(one.rule) for one in funnel.rules)])
    unit = "bytes" if funnel.tokens is None else "tokens"
    heads = ("removes", "first", "alone", "left", f"first {unit}")
    lines = [
        f"{funnel.stream}: {_said(funnel.documents, funnel.bytes, funnel.tokens)}",
        " ".join([f"{'rule':{width}}", *(f"{head:>12}" for head in heads)]),
    ]
    left = funnel.documents
    for one in funnel.rules:
        left -= one.first_documents
        size = one.first_bytes if one.first_tokens is None else one.first_tokens
        lines.append(
            f"{one.rule:{width}} {one.documents:12,} {one.first_documents:12,} "
            f"{one.alone_documents:12,} {left:12,} {size:12,}"
        )
    kept = _said(funnel.kept_documents, funnel.kept_bytes, funnel.kept_tokens)
    lines.append(f"kept: {kept}, {funnel.written:,} written")
    return "\n".join(lines)


def _said(documents: int, n_bytes: int, tokens: int | None) -> str:
    more = "" if tokens is None else f", {tokens:,} tokens"
    return f"{documents:,} documents, {n_bytes:,} bytes{more}"


def sweep(
    documents: Sequence[str],
    column: str,
    *,
    thresholds: Sequence[float] = (),
    attributes_folder: str | None = None,
) -> Sweep:
    """How many documents have at least a score, by thresholds, from attributes alone.

    Of a column of spans a document's value is the greatest score of them. Without thresholds,
    those at even steps of the documents.
    """
    import numpy as np

    experiment = column.split("__")[0]
    values = [np.zeros(0)]
    for shard in find(documents, attributes=attributes_folder):
        values.append(_values(shard, experiment, column))
    together = np.concatenate(values)
    known = np.sort(together[~np.isnan(together)])
    if not len(thresholds) and len(known):
        even = np.linspace(0, len(known) - 1, STEPS + 1).round().astype(np.int64)
        thresholds = np.unique(known[even]).tolist()
    steps = [
        Step(float(one), len(known) - int(below), int(below))
        for one in thresholds
        for below in (np.searchsorted(known, one, "left"),)
    ]
    without = len(together) - len(known)
    return Sweep(column=column, documents=len(together), without=without, steps=steps)


def sweep_table(found: Sweep) -> str:
    """A sweep as text."""
    lines = [f"{'threshold':>14} {'at least':>12} {'share':>8} {'below':>12} {'share':>8}"]
    n = max(found.documents, 1)
    lines += [
        f"{one.threshold:14.5g} {one.at_least:12,} {one.at_least / n:8.2%} {one.below:12,} "
        f"{one.below / n:8.2%}"
        for one in found.steps
    ]
    lines.append(f"{found.documents:,} documents, {found.without:,} without a value")
    return "\n".join(lines)


def _values(shard: Shard, experiment: str, column: str) -> NDArray[np.float64]:
    """(n_docs,) float64: a column's values, NaN where there is none."""
    import numpy as np

    path, format = attributes.locate(shard, experiment)
    known = attribute_files.known_columns(shard, experiment)
    if column not in known:
        raise ConfigError(f"{path} has no column {column!r}, but {', '.join(known) or 'none'}")
    tables = attribute_files.column_tables(path, format, {column: known[column]})
    parts = [np.zeros(0)]
    for table in tables:
        found = attributes.values_of(table.column(column), known[column])
        if isinstance(found, Spans):
            scores = np.full(len(table), np.nan)
            some = np.flatnonzero(np.diff(found.offsets))
            scores[some] = np.maximum.reduceat(found.score, found.offsets[some]) if len(some) else 0
            found = scores
        parts.append(found)
    return np.concatenate(parts)


def query(path: str, query: str, values: Sequence[Any] = ()) -> list[Any]:
    """Rows of a query over the view `decisions`, which has file_row_number besides."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        source = connection.read_parquet(path, file_row_number=True)
        source.create_view("decisions")
        return connection.execute(query, list(values)).fetchall()
    except duckdb.Error as error:
        raise DataError(path, None, f"cannot be read as decisions: {error}") from None
    finally:
        connection.close()
