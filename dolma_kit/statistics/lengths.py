"""`lengths`: how long documents are, as exact histograms, and the lengths that stand out.

Table: `source`, `unit` (characters, words, tokens), `length`, `documents`, and `files` and `lines`,
the first documents of that length, up to 5. Units and words as in `summary`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit.statistics import spikes, tables
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.statistic import About, Measure, Statistic, n_words, sources
from dolma_kit.statistics.token_counts import UNKNOWN, TokenCounts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

UNITS = ("characters", "words", "tokens")
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
N_EXAMPLES = 5


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """`documents[i]` are `lengths[i]` long, ascending."""

    lengths: list[int]
    documents: list[int]


class Example(msgspec.Struct, frozen=True):
    file: str
    line: int


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """A length that far more documents have than those nearby; see `spikes`. `source` null: of all
    together. `examples` are the first such documents."""

    source: str | None
    length: int
    documents: int
    expected: float
    p_value: float
    examples: list[Example]


class OfUnit(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths by one unit. `quantiles` are exact: the least length that as large a share of
    documents does not exceed. `uncounted` documents have no length by it."""

    documents: int
    uncounted: int
    mean: float | None
    quantiles: dict[str, int]
    sources: dict[str, dict[str, int]]
    histogram: Histogram
    spikes: list[Spike]


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    about: About
    units: dict[str, OfUnit]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("source", pa.string()), ("unit", pa.string()), ("length", pa.int64()),
            ("documents", pa.int64()), ("files", pa.list_(pa.int32())),
            ("lines", pa.list_(pa.int64())),
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class LengthsOf(Statistic):
    tokens: TokenCounts | None = None

    id: ClassVar[str] = "lengths"
    kernels: ClassVar[tuple[str, ...]] = ("uax29",)

    def start(self, shard: Shard) -> Measure:
        counter = None if self.tokens is None else self.tokens.counter(shard)

        def measure(batch: Batch) -> Partial:
            lengths = {"characters": batch.n_characters, "words": n_words(batch)}
            if counter is not None:
                lengths["tokens"] = counter(batch)
            by_source = sources(batch)
            parts = [
                _grouped(
                    by_source.names, by_source.codes, unit, values,
                    np.ones(len(batch), np.int64), np.zeros(len(batch), np.int32), batch.lines,
                    np.arange(len(batch) + 1),
                )
                for unit, values in lengths.items()
            ]  # fmt: skip
            return self.merge([Partial({}, part) for part in parts])

        return measure

    def placed(self, partial: Partial, file: int) -> Partial:
        import pyarrow as pa

        table = partial.table.combine_chunks()
        files = table.column("files").combine_chunks()
        numbers = pa.array(np.full(len(files.values), file, np.int32))
        moved = pa.ListArray.from_arrays(files.offsets, numbers)
        at = table.schema.names.index("files")
        return partial._replace(table=table.set_column(at, "files", moved))

    def empty(self) -> Partial:
        return Partial({}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        import pyarrow as pa

        together = pa.concat_tables([partial.table for partial in partials]).combine_chunks()
        if not len(together):
            return Partial({}, together)
        source = together.column("source").combine_chunks().dictionary_encode()
        unit = together.column("unit").combine_chunks().dictionary_encode()
        names, units = source.dictionary.to_pylist(), unit.dictionary.to_pylist()
        lines = together.column("lines").combine_chunks()
        parts = []
        for code, name in enumerate(units):
            rows = np.flatnonzero(unit.indices.to_numpy() == code)
            picked = lines.take(pa.array(rows))
            files = together.column("files").combine_chunks().take(pa.array(rows))
            parts.append(
                _grouped(
                    names, source.indices.to_numpy()[rows], name,
                    together.column("length").to_numpy()[rows],
                    together.column("documents").to_numpy()[rows],
                    files.values.to_numpy(), picked.values.to_numpy(), picked.offsets.to_numpy(),
                )
            )  # fmt: skip
        made = pa.concat_tables(parts)
        return Partial({}, made.sort_by([(k, "ascending") for k in ("source", "unit", "length")]))

    def answer(self, whole: Partial, about: About) -> Lengths:
        table = whole.table
        unit = np.array(table.column("unit").to_pylist(), object)
        units = {}
        for name in UNITS:
            rows = np.flatnonzero(unit == name)
            if len(rows):
                units[name] = _of_unit(table.take(rows), about)
        return Lengths(about=about, units=units)

    def text(self, answer: Lengths) -> str:
        lines = []
        for name, unit in answer.units.items():
            heads = [name, "documents", "mean", *(_percent(float(q)) for q in unit.quantiles)]
            rows = [["in all", unit.documents, unit.mean, *unit.quantiles.values()]]
            rows += [
                [source or "(none)", None, None, *found.values()]
                for source, found in unit.sources.items()
            ]
            lines += [tables.aligned(heads, rows), ""]
            if unit.uncounted:
                lines += [f"{unit.uncounted:,} documents have no length in {name}", ""]
        found = [
            [name, spike.length, "(all)" if spike.source is None else spike.source or "(none)",
             spike.documents, spike.expected,
             ", ".join(tables.place(e.file, e.line) for e in spike.examples[:2])]
            for name, unit in answer.units.items()
            for spike in unit.spikes
        ]  # fmt: skip
        if found:
            heads = ["spikes", "length", "source", "documents", "expected", "first"]
            lines.append(tables.aligned(heads, found[:40]))
            if len(found) > 40:
                lines.append(f"... and {len(found) - 40} more, in answer.json and --json")
        else:
            lines.append("no length stands out")
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Lengths, about: About) -> dict[str, pa.Table]:
        return {"histogram": whole.table.select(["source", "unit", "length", "documents"])}

    def plot(self, folder: str, answer: Lengths) -> list[str]:
        from dolma_kit.statistics import plots

        return [plots.lengths(os.path.join(folder, "lengths.png"), answer)]


def _grouped(
    names: Sequence[str],
    codes: NDArray[Any],
    unit: str,
    lengths: NDArray[np.int64],
    documents: NDArray[np.int64],
    files: NDArray[np.int32],
    lines: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> pa.Table:
    """Rows of one unit put together by source and length; their documents are `lines[offsets[i]:
    offsets[i + 1]]`, of which the first N_EXAMPLES of each group stay. UNKNOWN lengths stay -1."""
    import pyarrow as pa

    order = np.lexsort((np.arange(len(lengths)), lengths, codes))
    codes, lengths = codes[order], lengths[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (codes[1:] != codes[:-1]) | (lengths[1:] != lengths[:-1])
    begins = np.flatnonzero(is_first)
    # The documents of a row, then of its group, are consecutive once they are in this order.
    n_kept = np.diff(offsets)[order]
    starts = np.concatenate(([0], np.cumsum(n_kept)))
    at = np.repeat(offsets[:-1][order] - starts[:-1], n_kept) + np.arange(starts[-1])
    group_starts = starts[begins]
    group = np.repeat(np.cumsum(is_first) - 1, n_kept)
    rank = np.arange(starts[-1]) - group_starts[group]
    kept = rank < N_EXAMPLES
    new_offsets = np.concatenate(([0], np.cumsum(np.bincount(group[kept], minlength=len(begins)))))
    pointers = pa.array(new_offsets.astype(np.int32))
    return pa.table(
        [
            pa.array(names, pa.string()).take(pa.array(codes[begins])),
            pa.array([unit], pa.string()).take(pa.array(np.zeros(len(begins), np.int64))),
            pa.array(lengths[begins]),
            pa.array(np.add.reduceat(documents[order], begins)),
            pa.ListArray.from_arrays(pointers, pa.array(files[at[kept]].astype(np.int32))),
            pa.ListArray.from_arrays(pointers, pa.array(lines[at[kept]])),
        ],
        schema=schema(),
    )


def _of_unit(table: pa.Table, about: About) -> OfUnit:
    source = np.array(table.column("source").to_pylist(), object)
    lengths = table.column("length").to_numpy()
    documents = table.column("documents").to_numpy()
    known = lengths != UNKNOWN
    total, of_length = np.unique(lengths[known], return_inverse=True)
    counts = np.zeros(len(total), np.int64)
    np.add.at(counts, of_length, documents[known])
    found = []
    names = list(dict.fromkeys(source.tolist()))
    by_source = {}
    for name in names:
        rows = np.flatnonzero(known & (source == name))
        by_source[name] = quantiles(lengths[rows], documents[rows])
        found += [(name, spike) for spike in spikes.find(lengths[rows], documents[rows])]
    if len(names) > 1:
        # What one source has already told is not told again of all.
        told = {spike.length for _, spike in found}
        found = [(None, s) for s in spikes.find(total, counts) if s.length not in told] + found
    n = int(counts.sum())
    return OfUnit(
        documents=n,
        uncounted=int(documents[~known].sum()),
        mean=float((total * counts).sum()) / n if n else None,
        quantiles=quantiles(total, counts),
        sources=by_source,
        histogram=Histogram(lengths=total.tolist(), documents=counts.tolist()),
        spikes=[
            Spike(
                source=name, length=spike.length, documents=spike.n_documents,
                expected=spike.expected, p_value=spike.p_value,
                examples=_examples(table, source, lengths, name, spike.length, about),
            )
            for name, spike in found
        ],
    )  # fmt: skip


def quantiles(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[str, int]:
    """QUANTILES of a histogram with ascending lengths; empty of nothing."""
    if not len(lengths):
        return {}
    below = np.cumsum(counts)
    n = int(below[-1])
    # the smallest length that ceil(q n) documents, at least one, do not exceed
    at = [int(np.searchsorted(below, max(-(-int(q * 1000) * n // 1000), 1))) for q in QUANTILES]
    return {str(q): int(lengths[i]) for q, i in zip(QUANTILES, at, strict=True)}


def _examples(
    table: pa.Table,
    source: NDArray[Any],
    lengths: NDArray[np.int64],
    name: str | None,
    length: int,
    about: About,
) -> list[Example]:
    places = []
    for row in np.flatnonzero(lengths == length).tolist():
        if name is None or source[row] == name:
            files, lines = (table.column(key)[row].as_py() for key in ("files", "lines"))
            places += list(zip(files, lines, strict=True))
    return [Example(about.files[file], line) for file, line in sorted(places)[:N_EXAMPLES]]


def _percent(q: float) -> str:
    return {0.0: "least", 0.5: "median", 1.0: "greatest"}.get(q, f"{q:.0%}")
