"""`contamination`: which documents hold items of evaluations, and which benchmarks are held.

After `decontaminate`: by its attributes, counted by rule and source, with the shares of benchmarks
that its report beside them tells. A rule is one column `..._contaminated`.

Table: `source`, `rule`, `documents` with attributes of it, `contaminated` of these, `spans`, and
`characters` in them. Notes: `sources`, by name [documents, missing]: missing are those without any
of the attributes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit import files
from dolma_kit.attributes import Spans
from dolma_kit.decontamination.intervals import wilson
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.statistics import tables
from dolma_kit.statistics.attribute_columns import Choice, choose
from dolma_kit.statistics.partials import Partial, added
from dolma_kit.statistics.statistic import About, Measure, Statistic, sources

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

SUFFIX = "_contaminated"
KEYS = ("source", "rule")
SUMS = ("documents", "contaminated", "spans", "characters")


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """Of one benchmark by one rule: `items` that the rule can find, `contaminated` ones, their
    share with Wilson's 95 % interval: of benchmarks like this one, as items are a sample."""

    items: int
    contaminated: int
    share: float
    low: float
    high: float


class OfRule(msgspec.Struct, frozen=True, kw_only=True):
    """Documents by one rule; `sources` are contaminated documents. `benchmarks` is empty where no
    report stands beside the attributes."""

    documents: int
    contaminated: int
    spans: int
    characters: int
    sources: dict[str, int]
    benchmarks: dict[str, Benchmark]


class Contamination(msgspec.Struct, frozen=True, kw_only=True):
    """`missing` documents have no such attributes."""

    about: About
    documents: int
    missing: int
    missing_rate: float
    reports: list[str]
    rules: dict[str, OfRule]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in SUMS)]
    )


def choice(shards: Sequence[Shard], experiments: Sequence[str]) -> Choice:
    """The columns of verdicts and of what matches; ConfigError where there are none."""
    found = choose(shards, experiments, lambda column: True)
    verdicts = [c for c in found.columns if c.kind == "score" and c.name.endswith(SUFFIX)]
    if not verdicts:
        raise ConfigError(
            "contamination: the documents have no attributes of a decontamination: run dolma-kit "
            "decontaminate DOCS --evals FILES --rule NAME --name dec"
        )
    named = {c.name.removesuffix(SUFFIX) for c in verdicts}
    spans = [c for c in found.columns if c.kind == "spans" and c.name in named]
    return Choice((*verdicts, *spans))


def reports_of(shards: Sequence[Shard], experiments: Sequence[str]) -> tuple[str, ...]:
    """The reports that stand beside the attributes."""
    folders = dict.fromkeys(shard.attributes for shard in shards if shard.attributes)
    paths = [f"{folder}/{name}.report.json" for folder in folders for name in experiments]
    return tuple(path for path in paths if files.exists(path))


@dataclass(frozen=True)
class ContaminationOf(Statistic):
    columns: Choice
    reports: tuple[str, ...] = ()

    id: ClassVar[str] = "contamination"
    asking: ClassVar[tuple[str, ...]] = ("reports",)

    @property
    def needs_rows(self) -> bool:
        return True

    def inputs(self, shard: Shard) -> tuple[str, ...]:
        return self.columns.paths(shard)

    def start(self, shard: Shard) -> Measure:
        opened = self.columns.open(shard)
        verdicts = [c.name for c in self.columns.columns if c.name.endswith(SUFFIX)]

        def measure(batch: Batch) -> Partial:
            return _counted(batch, opened(batch), verdicts)

        return measure

    def empty(self) -> Partial:
        return Partial({"sources": {}}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        counts: dict[str, list[int]] = {}
        for partial in partials:
            for name, (n, missing) in partial.notes["sources"].items():
                known = counts.setdefault(name, [0, 0])
                counts[name] = [known[0] + n, known[1] + missing]
        table = added([partial.table for partial in partials], KEYS, SUMS)
        return Partial({"sources": dict(sorted(counts.items()))}, table)

    def answer(self, whole: Partial, about: About) -> Contamination:
        benchmarks = _benchmarks(self.reports)
        rules: dict[str, OfRule] = {}
        rows = whole.table.to_pylist()
        for rule in dict.fromkeys(row["rule"] for row in rows):
            mine = [row for row in rows if row["rule"] == rule]
            rules[rule] = OfRule(
                **{name: sum(row[name] for row in mine) for name in SUMS},
                sources={row["source"]: row["contaminated"] for row in mine},
                benchmarks=benchmarks.get(rule, {}),
            )
        n = sum(counts[0] for counts in whole.notes["sources"].values())
        missing = sum(counts[1] for counts in whole.notes["sources"].values())
        return Contamination(
            about=about,
            documents=n,
            missing=missing,
            missing_rate=missing / n if n else 0.0,
            reports=[os.path.basename(path) for path in self.reports],
            rules=rules,
        )

    def text(self, answer: Contamination) -> str:
        lines = [
            f"{answer.documents - answer.missing:,} of {answer.documents:,} documents looked at"
        ]
        if answer.missing:
            share = tables.share(answer.missing, answer.documents)
            lines.append(f"without these attributes: {answer.missing:,} ({share})")
        rows = [
            [name, one.contaminated, tables.share(one.contaminated, one.documents), one.spans,
             one.characters]
            for name, one in answer.rules.items()
        ]  # fmt: skip
        lines += ["", tables.aligned(["rule", "documents", "", "spans", "characters"], rows)]
        names = dict.fromkeys(name for one in answer.rules.values() for name in one.sources)
        if len(names) > 1:
            rows = [
                [name or "(none)", *(one.sources.get(name) for one in answer.rules.values())]
                for name in names
            ]
            lines += ["", tables.aligned(["source", *answer.rules], rows)]
        rows = [
            [rule, name, found.contaminated, found.items, f"{100 * found.share:.2f} %",
             f"{100 * found.low:.2f} to {100 * found.high:.2f} %"]
            for rule, one in answer.rules.items()
            for name, found in one.benchmarks.items()
        ]  # fmt: skip
        if rows:
            heads = ["rule", "benchmark", "found", "of items", "", "95 % interval"]
            lines += ["", tables.aligned(heads, rows)]
        elif not answer.reports:
            lines += ["", "no report stands beside the attributes: nothing is said of benchmarks"]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Contamination, about: About) -> dict[str, Any]:
        return {"contamination": whole.table}


def _counted(batch: Batch, columns: dict[str, Any], verdicts: Sequence[str]) -> Partial:
    import pyarrow as pa

    by_source = sources(batch)
    there = any(name in columns for name in verdicts)
    notes = {}
    rows: dict[str, list[Any]] = {name: [] for name in schema().names}
    for code, source in enumerate(by_source.names):
        mine = by_source.codes == code
        n = int(mine.sum())
        notes[source] = [n, 0 if there else n]
        for name in verdicts:
            if name not in columns:
                continue
            rule = name.removesuffix(SUFFIX)
            n_spans = n_characters = 0
            spans = columns.get(rule)
            if isinstance(spans, Spans):
                docs = np.repeat(np.arange(len(batch)), np.diff(spans.offsets))
                inside = mine[docs]
                n_spans = int(inside.sum())
                n_characters = int((spans.end - spans.start)[inside].sum())
            n_found = int(np.count_nonzero(mine & (np.nan_to_num(columns[name]) > 0)))
            values = (source, rule, n, n_found, n_spans, n_characters)
            for key, value in zip(rows, values, strict=True):
                rows[key].append(value)
    return Partial({"sources": notes}, added([pa.table(rows, schema=schema())], KEYS, SUMS))


def _benchmarks(paths: Sequence[str]) -> dict[str, dict[str, Benchmark]]:
    """Column of a rule, without its suffix -> benchmark -> its share, as the reports tell."""
    found: dict[str, dict[str, Benchmark]] = {}
    for path in paths:
        with files.open_raw(path) as stream:
            try:
                report = msgspec.json.decode(stream.read())
                name, rules = report["name"], report["rules"]
                several = len(rules) > 1
                for rule, said in rules.items():
                    column = f"{name}__{rule}" if several else name
                    found[column] = {
                        benchmark: _benchmark(one["searchable"], one["contaminated"])
                        for benchmark, one in said["benchmarks"].items()
                    }
            except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
                raise DataError(path, None, f"is no report of a decontamination: {error}") from None
    return found


def _benchmark(n_items: int, n_found: int) -> Benchmark:
    low, high = wilson(n_found, n_items)
    share = n_found / n_items if n_items else 0.0
    return Benchmark(items=n_items, contaminated=n_found, share=share, low=low, high=high)
