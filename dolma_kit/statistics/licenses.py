"""`licenses`: under which licences documents are, as their metadata or attributes say.

Of the metadata, the first value at the keys `license_key`: a string, or a list of strings. Where
there is none, the Creative Commons licences that the taggers `cc_re` and `cc_re_fast` found, if the
documents have their attributes. Names stay as they are written but for white space around them; two
spellings are two licences.

Table: `source`, `from` (the key, or the attribute's column prefix; "" of documents without),
`license`, and how many `documents`, `bytes` and `words` have it: a document with several is counted
at each. Notes: `documents`, `without` and `several` by source, and `unreadable`, the number of
values that are no strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit.attributes import Spans
from dolma_kit.statistics import tables
from dolma_kit.statistics.attribute_columns import Choice
from dolma_kit.statistics.partials import Partial, added, tallied
from dolma_kit.statistics.statistic import (
    About,
    Measure,
    Statistic,
    fields_of,
    first_at,
    n_bytes,
    n_words,
    sources,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

KEYS = ("source", "from", "license")
SUMS = ("documents", "bytes", "words")
COUNTS = ("documents", "without", "several", "unreadable")
TAGGERS = ("cc_re", "cc_re_fast")


class License(msgspec.Struct, frozen=True, kw_only=True):
    """`from_` is where it stands: a key of the documents, or attributes."""

    license: str
    from_: str
    documents: int
    bytes: int
    words: int


class OfSource(msgspec.Struct, frozen=True, kw_only=True):
    """Of `documents`, those `without` a licence and with `several`; `unreadable` are among those
    without: their value is neither a string nor a list of strings."""

    documents: int
    without: int
    several: int
    unreadable: int


class Licenses(msgspec.Struct, frozen=True, kw_only=True):
    """`missing_rate` is the share of documents without a licence. A document with several is
    counted at each, so that shares of documents may come to more than all."""

    about: About
    keys: list[str]
    attributes: list[str]
    missing_rate: float
    total: OfSource
    sources: dict[str, OfSource]
    licenses: list[License]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in SUMS)]
    )


@dataclass(frozen=True)
class LicensesOf(Statistic):
    keys: tuple[str, ...]
    columns: Choice

    id: ClassVar[str] = "licenses"
    kernels: ClassVar[tuple[str, ...]] = ("uax29",)

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_of(self.keys)

    @property
    def needs_rows(self) -> bool:
        return bool(self.columns)

    def start(self, shard: Shard) -> Measure:
        opened = self.columns.open(shard)

        def measure(batch: Batch) -> Partial:
            values, where = first_at(batch, self.keys)
            attributes = opened(batch)
            found: list[list[str]] = []
            unreadable = np.zeros(len(batch), np.bool_)
            for i, (value, key) in enumerate(zip(values, where, strict=True)):
                names = None if key == "" else names_of(value)
                unreadable[i] = key != "" and names is None
                found.append(names or [])
            for column in self.columns.columns:
                prefix, name, spans = column.prefix, column.key, attributes.get(column.name)
                if isinstance(spans, Spans):
                    for i in np.flatnonzero(np.diff(spans.offsets)).tolist():
                        if where[i] in ("", prefix):
                            where[i] = prefix
                            found[i].append(name)
            return _counted(batch, found, where, unreadable)

        return measure

    def inputs(self, shard: Shard) -> tuple[str, ...]:
        return self.columns.paths(shard)

    def empty(self) -> Partial:
        return Partial({name: {} for name in COUNTS}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        notes: dict[str, dict[str, int]] = {name: {} for name in COUNTS}
        for partial in partials:
            for name, counts in notes.items():
                for source, n in partial.notes[name].items():
                    counts[source] = counts.get(source, 0) + n
        return Partial(notes, added([partial.table for partial in partials], KEYS, SUMS))

    def answer(self, whole: Partial, about: About) -> Licenses:
        notes = whole.notes
        by_source = {
            name: OfSource(**{count: notes[count].get(name, 0) for count in COUNTS})
            for name in sorted(notes["documents"])
        }
        total = OfSource(**{count: sum(notes[count].values()) for count in COUNTS})
        sums: dict[tuple[str, str], list[int]] = {}
        for row in whole.table.to_pylist():
            known = sums.setdefault((row["license"], row["from"]), [0, 0, 0])
            for i, name in enumerate(SUMS):
                known[i] += row[name]
        ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
        return Licenses(
            about=about,
            keys=list(self.keys),
            attributes=self.columns.prefixes,
            missing_rate=total.without / total.documents if total.documents else 0.0,
            total=total,
            sources=by_source,
            licenses=[
                License(license=name, from_=place, documents=n, bytes=size, words=words)
                for (name, place), (n, size, words) in ordered
            ],
        )

    def text(self, answer: Licenses) -> str:
        total = answer.total
        with_one = total.documents - total.without
        places = [*answer.keys, *answer.attributes]
        lines = [
            f"{with_one:,} of {total.documents:,} documents have a licence at "
            f"{' or '.join(places)}; without one: {tables.share(total.without, total.documents)}, "
            f"with several: {tables.share(total.several, total.documents)}"
        ]
        if total.unreadable:
            lines.append(f"{total.unreadable:,} of those without have something else there")
        rows = [
            [name or "(none)", one.documents, one.without, tables.share(one.without, one.documents)]
            for name, one in answer.sources.items()
        ]
        lines += ["", tables.aligned(["source", "documents", "without", ""], rows)]
        if answer.licenses:
            heads = ["licence", "documents", "", "bytes", "words", "from"]
            rows = [
                [one.license, one.documents, tables.share(one.documents, with_one), one.bytes,
                 one.words, one.from_]
                for one in answer.licenses[:40]
            ]  # fmt: skip
            lines += ["", tables.aligned(heads, rows)]
            if len(answer.licenses) > 40:
                lines.append(f"... and {len(answer.licenses) - 40:,} more")
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Licenses, about: About) -> dict[str, pa.Table]:
        return {"licenses": whole.table}


def names_of(value: Any) -> list[str] | None:
    """The licences that a value names, each once; None where it is of another kind.

    >>> names_of(" MIT "), names_of(["MIT", "Apache-2.0", "MIT"]), names_of({"a": 1})
    (['MIT'], ['MIT', 'Apache-2.0'], None)
    """
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        return None
    return list(dict.fromkeys(name for one in values if (name := one.strip())))


def _counted(batch: Batch, found: list[list[str]], where: list[str], unreadable: Any) -> Partial:
    sizes, words = n_bytes(batch).tolist(), n_words(batch).tolist()
    names = sources(batch).of_documents()
    notes: dict[str, dict[str, int]] = {name: {} for name in COUNTS}
    rows: dict[str, list[Any]] = {name: [] for name in schema().names}
    for i, licenses in enumerate(found):
        source = names[i]
        flags = (True, not licenses, len(licenses) > 1, bool(unreadable[i]) and not licenses)
        for count, is_so in zip(COUNTS, flags, strict=True):
            if is_so:
                notes[count][source] = notes[count].get(source, 0) + 1
        for license in licenses:
            values = (source, where[i], license, 1, sizes[i], words[i])
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    return Partial(notes, tallied(rows, schema(), KEYS, SUMS))
