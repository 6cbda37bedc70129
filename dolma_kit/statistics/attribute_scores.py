"""`attributes`: what taggers and deduplication said, column by column.

A column of scores has a histogram: bins are those of float32 numbers by their sign, exponent and
first 13 bits of the fraction, so that quantiles are true to 1/8,192 of the value (and zero is
exact); minimum, maximum, sum and the number of missing values are exact. Of a column of spans, how
many there are, how many characters they cover, and the histogram of their scores.

Table: `source`, `column`, `bin` (uint32, in the order of scores), `count`. Notes: `columns`, by
name and source: `kind`, `documents`, `missing` (no value, or no file), `with_spans`, `characters`,
`least`, `greatest`, `sum`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit.attributes import Kind, Spans
from dolma_kit.errors import ConfigError
from dolma_kit.shares.surveys import SCORE_BITS, score_bins
from dolma_kit.statistics import tables
from dolma_kit.statistics.attribute_columns import Choice
from dolma_kit.statistics.partials import Partial, added, tallied
from dolma_kit.statistics.statistic import About, Measure, Statistic, sources

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

KEYS = ("source", "column", "bin")
SUMS = ("count",)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
PRECISION = 2.0**-13


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of some documents; `quantiles` are within `precision` of the value."""

    n: int
    least: float | None
    greatest: float | None
    mean: float | None
    quantiles: dict[str, float]


class OfColumn(msgspec.Struct, frozen=True, kw_only=True):
    """Of one column: `documents`, of which `missing` have no value.

    Of spans, `with_spans` documents have any, over `characters`; `values` are the spans' scores.

    `sources` are the values by source, `histogram` [lower bound of a bin, count] ascending.
    """

    kind: Kind
    documents: int
    missing: int
    missing_rate: float
    with_spans: int | None
    characters: int | None
    values: Values
    sources: dict[str, Values]
    histogram: list[tuple[float, int]]


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """`precision` is the relative error of quantiles at most."""

    about: About
    precision: float
    columns: dict[str, OfColumn]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [("source", pa.string()), ("column", pa.string()), ("bin", pa.uint32()),
         ("count", pa.int64())]
    )  # fmt: skip


class _Notes(msgspec.Struct, kw_only=True):
    kind: Kind
    documents: int = 0
    missing: int = 0
    with_spans: int = 0
    characters: int = 0
    least: float | None = None
    greatest: float | None = None
    sum: float = 0.0

    def add(self, other: _Notes) -> None:
        for name in ("documents", "missing", "with_spans", "characters", "sum"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, choose in (("least", min), ("greatest", max)):
            there = [v for v in (getattr(self, name), getattr(other, name)) if v is not None]
            setattr(self, name, choose(there) if there else None)


_AllNotes = dict[str, dict[str, _Notes]]  # by column and source


def require(choice: Choice, columns: Sequence[str]) -> Choice:
    """ConfigError where there is no column to look at."""
    if not choice:
        what = f"columns like {', '.join(columns)}" if columns else "attributes"
        raise ConfigError(
            f"attributes: the documents have no {what}: tag them (dolma-kit tag), or say with "
            "--attributes DIR where their attributes are"
        )
    return choice


@dataclass(frozen=True)
class AttributesOf(Statistic):
    columns: Choice

    id: ClassVar[str] = "attributes"

    @property
    def needs_rows(self) -> bool:
        return True

    def inputs(self, shard: Shard) -> tuple[str, ...]:
        return self.columns.paths(shard)

    def start(self, shard: Shard) -> Measure:
        opened = self.columns.open(shard)

        def measure(batch: Batch) -> Partial:
            there = opened(batch)
            parts = [
                _measured(batch, column.name, column.kind, there.get(column.name))
                for column in self.columns.columns
            ]
            return self.merge(parts)

        return measure

    def empty(self) -> Partial:
        return Partial({"columns": {}}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        notes: _AllNotes = {}
        for partial in partials:
            for column, by_source in notes_in(partial).items():
                known = notes.setdefault(column, {})
                for source, more in by_source.items():
                    known.setdefault(source, _Notes(kind=more.kind)).add(more)
        table = added([partial.table for partial in partials], KEYS, SUMS)
        return Partial({"columns": msgspec.to_builtins(notes)}, table)

    def answer(self, whole: Partial, about: About) -> Attributes:
        table = whole.table.combine_chunks()
        names = table.column("column").to_pylist()
        origin = table.column("source").to_pylist()
        places: dict[str, dict[str, list[int]]] = {}
        for i, (column, source) in enumerate(zip(names, origin, strict=True)):
            places.setdefault(column, {}).setdefault(source, []).append(i)
        bins, counts = table.column("bin").to_numpy(), table.column("count").to_numpy()
        notes = notes_in(whole)
        found = {}
        for column in (column.name for column in self.columns.columns):
            rows = places.get(column, {})
            found[column] = _of_column(notes[column], rows, bins, counts)
        return Attributes(about=about, precision=PRECISION, columns=found)

    def text(self, answer: Attributes) -> str:
        scores, spans = [], []
        for name, one in answer.columns.items():
            values = one.values
            missing = tables.share(one.missing, one.documents)
            if one.kind == "score":
                middle = [values.quantiles.get(str(q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
                scores.append([name, values.n, missing, values.mean, values.least, *middle,
                               values.greatest])  # fmt: skip
            else:
                spans.append(
                    [name, one.documents - one.missing, missing, one.with_spans,
                     tables.share(one.with_spans or 0, one.documents - one.missing), values.n,
                     one.characters, values.mean]
                )  # fmt: skip
        parts = []
        if scores:
            heads = ["score", "documents", "missing", "mean", "least", "5%", "25%", "median",
                     "75%", "95%", "greatest"]  # fmt: skip
            parts.append(tables.aligned(heads, scores))
        if spans:
            heads = ["spans", "documents", "missing", "with spans", "", "spans", "characters",
                     "mean score"]  # fmt: skip
            parts.append(tables.aligned(heads, spans))
        return "\n\n".join(parts)

    def tables(self, whole: Partial, answer: Attributes, about: About) -> dict[str, Any]:
        import pyarrow as pa

        bins = whole.table.column("bin").to_numpy()
        low = pa.array(lower_bounds(bins))
        return {"histogram": whole.table.append_column("low", low)}


def notes_in(partial: Partial) -> _AllNotes:
    return msgspec.convert(partial.notes["columns"], _AllNotes)


def _measured(batch: Batch, column: str, kind: Kind, value: Any) -> Partial:
    by_source = sources(batch)
    n = len(batch)
    if value is None:
        docs, scores = np.zeros(0, np.int64), np.zeros(0)
        is_missing = np.ones(n, np.bool_)
        sizes = np.zeros(0, np.int64)
    elif isinstance(value, Spans):
        docs = np.repeat(np.arange(n), np.diff(value.offsets))
        scores, sizes = value.score, value.end - value.start
        is_missing = np.zeros(n, np.bool_)
    else:
        is_missing = np.isnan(value)
        docs = np.flatnonzero(~is_missing)
        scores, sizes = value[docs], np.zeros(len(docs), np.int64)
    notes: dict[str, _Notes] = {}
    for code, name in enumerate(by_source.names):
        mine = by_source.codes == code
        inside = mine[docs]
        own = scores[inside]
        finite = own[np.isfinite(own)]
        notes[name] = _Notes(
            kind=kind,
            documents=int(mine.sum()),
            missing=int((mine & is_missing).sum()),
            with_spans=len(np.unique(docs[inside])) if kind == "spans" else 0,
            characters=int(sizes[inside].sum()),
            least=float(finite.min()) if len(finite) else None,
            greatest=float(finite.max()) if len(finite) else None,
            sum=math.fsum(finite.tolist()),
        )
    codes = by_source.codes[docs]
    columns = {
        "source": [by_source.names[code] for code in codes.tolist()],
        "column": [column] * len(docs),
        "bin": score_bins(np.asarray(scores, np.float64)),
        "count": np.ones(len(docs), np.int64),
    }
    return Partial(
        {"columns": msgspec.to_builtins({column: notes})}, tallied(columns, schema(), KEYS, SUMS)
    )


def lower_bounds(bins: NDArray[np.uint32]) -> NDArray[np.float64]:
    """(n,) float64: the least score, in size, of each bin; see `surveys.score_bins`."""
    ordered = bins.astype(np.uint32) << np.uint32(32 - SCORE_BITS)
    is_negative = ordered >> np.uint32(31) == 0
    bits = np.where(is_negative, ~ordered, ordered & np.uint32(0x7FFFFFFF))
    # of negative ones the bits below are ones: the nearest to zero has none
    low_bits = np.uint32((1 << (32 - SCORE_BITS)) - 1)
    bits = np.where(is_negative, bits & ~low_bits, bits)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def _of_column(
    notes: dict[str, _Notes],
    rows: dict[str, list[int]],
    bins: NDArray[np.uint32],
    counts: NDArray[np.int64],
) -> OfColumn:
    kind = next(iter(notes.values())).kind
    whole = _Notes(kind=kind)
    for one in notes.values():
        whole.add(one)
    all_rows = np.array([i for places in rows.values() for i in places], np.int64)
    distinct, where = np.unique(bins[all_rows], return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, where, counts[all_rows])
    is_spans = kind == "spans"
    return OfColumn(
        kind=kind,
        documents=whole.documents,
        missing=whole.missing,
        missing_rate=whole.missing / whole.documents if whole.documents else 0.0,
        with_spans=whole.with_spans if is_spans else None,
        characters=whole.characters if is_spans else None,
        values=_values(whole, distinct, sums),
        sources={
            source: _values(one, bins[rows.get(source, [])], counts[rows.get(source, [])])
            for source, one in sorted(notes.items())
        },
        histogram=list(zip(lower_bounds(distinct).tolist(), sums.tolist(), strict=True)),
    )


def _values(notes: _Notes, bins: NDArray[np.uint32], counts: NDArray[np.int64]) -> Values:
    n = int(counts.sum())
    if not n:
        return Values(n=0, least=None, greatest=None, mean=None, quantiles={})
    below = np.cumsum(counts)
    at = [int(np.searchsorted(below, max(-(-int(q * 1000) * n // 1000), 1))) for q in QUANTILES]
    bounds = lower_bounds(bins)
    least, greatest = notes.least, notes.greatest
    found = {}
    for q, i in zip(QUANTILES, at, strict=True):
        value = float(bounds[i])
        if least is not None and greatest is not None:
            value = min(max(value, least), greatest)
        found[str(q)] = value
    return Values(n=n, least=least, greatest=greatest, mean=notes.sum / n, quantiles=found)
