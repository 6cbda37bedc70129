"""`dates`: from when documents are, by year and month.

The date of a document is the first value at the keys `date_key`; `date_forms` says which forms are
read. Dolma's `added`, when a document came into the corpus, is not looked at unless it is asked
for.

Table: `source`, `state` (dated, missing, unreadable), `key` at which it was, `year` and `month` (0
where it is not told), `documents` and `words`. Notes: `examples`, the first values that could not
be read, each [value, key, file, line].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit.statistics import date_forms, tables
from dolma_kit.statistics.partials import Partial, added, of_file, tallied
from dolma_kit.statistics.statistic import (
    About,
    Measure,
    Statistic,
    fields_of,
    first_at,
    n_words,
    sources,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

DATED, MISSING, UNREADABLE = "dated", "missing", "unreadable"
KEYS = ("source", "state", "key", "year", "month")
SUMS = ("documents", "words")
N_EXAMPLES = 10


class Count(msgspec.Struct, kw_only=True):
    documents: int = 0
    words: int = 0


class Example(msgspec.Struct, frozen=True):
    value: str
    key: str
    file: str
    line: int


class Dates(msgspec.Struct, frozen=True, kw_only=True):
    """`states` and `sources` count documents by whether they have a date; `missing_rate` is the
    share without one that could be read, `by_key` tells where dates were. `years` are ascending;
    `months`, as 2023-05, are those of documents whose form tells one."""

    about: About
    keys: list[str]
    documents: int
    missing_rate: float
    states: dict[str, int]
    sources: dict[str, dict[str, int]]
    by_key: dict[str, int]
    years: dict[str, Count]
    months: dict[str, Count]
    unreadable: list[Example]


def schema() -> pa.Schema:
    import pyarrow as pa

    strings = [(key, pa.string()) for key in KEYS[:3]]
    numbers = [(key, pa.int64()) for key in (*KEYS[3:], *SUMS)]
    return pa.schema([*strings, *numbers])


@dataclass(frozen=True)
class DatesOf(Statistic):
    keys: tuple[str, ...]

    id: ClassVar[str] = "dates"
    kernels: ClassVar[tuple[str, ...]] = ("uax29",)

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_of(self.keys)

    def start(self, shard: Shard) -> Measure:
        def measure(batch: Batch) -> Partial:
            values, where = first_at(batch, self.keys)
            found = [date_forms.read(value) for value in values]
            states = [
                MISSING if key == "" else UNREADABLE if date is None else DATED
                for key, date in zip(where, found, strict=True)
            ]
            examples = [
                [str(values[i])[:200], where[i], 0, int(batch.lines[i])]
                for i, state in enumerate(states)
                if state == UNREADABLE
            ]
            columns = {
                "source": sources(batch).of_documents(),
                "state": states,
                "key": where,
                "year": [0 if date is None else date.year for date in found],
                "month": [0 if date is None else date.month for date in found],
                "documents": np.ones(len(batch), np.int64),
                "words": n_words(batch),
            }
            notes = {"examples": examples[:N_EXAMPLES]}
            return Partial(notes, tallied(columns, schema(), KEYS, SUMS))

        return measure

    def placed(self, partial: Partial, file: int) -> Partial:
        for example in partial.notes["examples"]:
            example[2] = file
        return of_file(partial, file)

    def empty(self) -> Partial:
        return Partial({"examples": []}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        examples = [example for partial in partials for example in partial.notes["examples"]]
        table = added([partial.table for partial in partials], KEYS, SUMS)
        return Partial({"examples": examples[:N_EXAMPLES]}, table)

    def answer(self, whole: Partial, about: About) -> Dates:
        states = {DATED: 0}
        by_source: dict[str, dict[str, int]] = {}
        by_key: dict[str, int] = {}
        years: dict[str, Count] = {}
        months: dict[str, Count] = {}
        for row in whole.table.sort_by([("year", "ascending"), ("month", "ascending")]).to_pylist():
            n, state = row["documents"], row["state"]
            states[state] = states.get(state, 0) + n
            counts = by_source.setdefault(row["source"], {DATED: 0})
            counts[state] = counts.get(state, 0) + n
            if state == DATED:
                by_key[row["key"]] = by_key.get(row["key"], 0) + n
                _add(years, f"{row['year']:04d}", row)
                if row["month"]:
                    _add(months, f"{row['year']:04d}-{row['month']:02d}", row)
        n_all = sum(states.values())
        return Dates(
            about=about,
            keys=list(self.keys),
            documents=n_all,
            missing_rate=1 - states[DATED] / n_all if n_all else 0.0,
            states=states,
            sources=dict(sorted(by_source.items())),
            by_key=dict(sorted(by_key.items())),
            years=years,
            months=months,
            unreadable=[
                Example(value, key, about.files[file], line)
                for value, key, file, line in whole.notes["examples"]
            ],
        )

    def text(self, answer: Dates) -> str:
        n_dated = answer.states[DATED]
        missing = tables.share(answer.documents - n_dated, answer.documents)
        where = ", ".join(f"{key} ({n:,})" for key, n in answer.by_key.items())
        lines = [
            f"{n_dated:,} of {answer.documents:,} documents have a date"
            + (f", at {where}" if where else f": none at {', '.join(answer.keys)}")
            + f"; without one: {missing}"
        ]
        lines += [
            f"{example.value!r} at {example.key} cannot be read as a date: "
            f"{tables.place(example.file, example.line)}"
            for example in answer.unreadable[:3]
        ]
        others = [state for state in answer.states if state != DATED]
        if others and len(answer.sources) > 1:
            rows = [
                [name or "(none)", found[DATED], *(found.get(state, 0) for state in others)]
                for name, found in answer.sources.items()
            ]
            lines += ["", tables.aligned(["source", "with a date", *others], rows)]
        if answer.years:
            rows = [
                [year, count.documents, tables.share(count.documents, n_dated), count.words]
                for year, count in answer.years.items()
            ]
            lines += ["", tables.aligned(["year", "documents", "", "words"], rows)]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Dates, about: About) -> dict[str, Any]:
        return {"dates": whole.table}


def _add(counts: dict[str, Count], name: str, row: dict[str, Any]) -> None:
    count = counts.setdefault(name, Count())
    count.documents += row["documents"]
    count.words += row["words"]
