"""What finders find in texts, counted by kind and source, with samples for judging by hand.

`pii` and `toxicity` are findings: a kind is a type of personal data, or a column of scores.

Table: `source`, `kind`, `documents` with a hit, `hits`, `characters` in them. Notes: `sources`, by
name [documents, missing, words, not searched], where missing are documents without the attributes
that others have; `kinds`, by name [documents that were looked at for it, their words]; and
`samples`, by kind, the items of `samples`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec
import numpy as np

from dolma_kit.statistics import samples, tables
from dolma_kit.statistics.attribute_columns import Choice
from dolma_kit.statistics.partials import Partial, added
from dolma_kit.statistics.samples import Item, Precision
from dolma_kit.statistics.statistic import About, Measure, Statistic, n_words, sources

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

KEYS = ("source", "kind")
SUMS = ("documents", "hits", "characters")
COUNTS = ("documents", "missing", "words", "not_searched")


class Hits(NamedTuple):
    """Of one kind in a batch, (n,) each: documents, code points from and to, scores."""

    docs: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    scores: NDArray[np.float64]


class Found(NamedTuple):
    """Kind -> hits, of the kinds that documents were searched for; (n_docs,) bool each: documents
    that lack attributes, and those that a rule of the finder's leaves out."""

    hits: dict[str, Hits]
    missing: NDArray[np.bool_]
    not_searched: NDArray[np.bool_]


class OfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Of one kind: `documents` with a hit of those `searched`, `hits`, `characters` in them, hits
    `per_million_words` of those searched.

    Where worksheets were judged, `precision`, and `true_hits` between the bounds that its interval
    gives. `sources` are documents with a hit by source.
    """

    documents: int
    searched: int
    hits: int
    characters: int
    per_million_words: float
    sources: dict[str, int]
    sampled: int
    precision: Precision | None = None
    true_hits: tuple[float, float] | None = None


class OfSource(msgspec.Struct, frozen=True, kw_only=True):
    """`missing` documents have no attributes, `not_searched` ones the finder leaves out; shares
    are by the others. `words` are those of documents that were looked at."""

    documents: int
    missing: int
    words: int
    not_searched: int


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """`by` is what found it; `sample` and `seed` are those of the worksheets."""

    about: About
    by: str
    sample: int
    seed: int
    missing_rate: float
    total: OfSource
    sources: dict[str, OfSource]
    kinds: dict[str, OfKind]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in SUMS)]
    )


class FindingsOf(Statistic):
    """The base: subclasses are dataclasses with `columns`, `sample`, `seed` and `judged`."""

    asking: ClassVar[tuple[str, ...]] = ("judged",)
    columns: Choice
    sample: int
    seed: int
    judged: tuple[str, ...]

    @property
    @abc.abstractmethod
    def by(self) -> str:
        """What finds, in words."""

    @property
    @abc.abstractmethod
    def kinds(self) -> Sequence[str]:
        """All kinds that it may find, in the order in which they are told."""

    @abc.abstractmethod
    def finder(self, shard: Shard) -> Callable[[Batch], Found]:
        """What finds in the batches of a file."""

    @property
    def needs_rows(self) -> bool:
        return bool(self.columns)

    def inputs(self, shard: Shard) -> tuple[str, ...]:
        return self.columns.paths(shard)

    def start(self, shard: Shard) -> Measure:
        find = self.finder(shard)
        return lambda batch: self._counted(batch, find(batch))

    def _counted(self, batch: Batch, found: Found) -> Partial:
        import pyarrow as pa

        by_source = sources(batch)
        words = np.where(found.missing | found.not_searched, 0, n_words(batch))
        searched = [
            int(np.count_nonzero(~found.not_searched)),
            int(n_words(batch)[~found.not_searched].sum()),
        ]
        kinds = dict.fromkeys(found.hits, searched)
        notes: dict[str, Any] = {"sources": {}, "kinds": kinds, "samples": {}}
        for code, name in enumerate(by_source.names):
            mine = by_source.codes == code
            notes["sources"][name] = [
                int(mine.sum()), int((mine & found.missing).sum()), int(words[mine].sum()),
                int((mine & found.not_searched).sum()),
            ]  # fmt: skip
        rows: dict[str, list[Any]] = {name: [] for name in schema().names}
        for kind, hits in found.hits.items():
            codes = by_source.codes[hits.docs]
            for code in np.unique(codes).tolist():
                mine = codes == code
                sizes = hits.ends[mine] - hits.starts[mine]
                values = (
                    by_source.names[code], kind, len(np.unique(hits.docs[mine])),
                    int(mine.sum()), int(sizes.sum()),
                )  # fmt: skip
                for name, value in zip(rows, values, strict=True):
                    rows[name].append(value)
            if len(hits.docs):
                notes["samples"][kind] = msgspec.to_builtins(self._drawn(batch, kind, hits))
        return Partial(notes, added([pa.table(rows, schema=schema())], KEYS, SUMS))

    def _drawn(self, batch: Batch, kind: str, hits: Hits) -> list[Item]:
        """The sample of a batch's hits."""
        places = zip(hits.docs.tolist(), hits.starts.tolist(), hits.ends.tolist(), strict=True)
        drawn = [
            (samples.draw(self.seed, kind, batch.ids[doc], start, end), i)
            for i, (doc, start, end) in enumerate(places)
        ]
        found = []
        for number, i in sorted(drawn)[: self.sample]:
            doc = int(hits.docs[i])
            found.append(
                samples.item(
                    number, int(batch.lines[doc]), batch.ids[doc], batch.texts[doc],
                    int(hits.starts[i]), int(hits.ends[i]), float(hits.scores[i]),
                )
            )  # fmt: skip
        return found

    def placed(self, partial: Partial, file: int) -> Partial:
        for items in partial.notes["samples"].values():
            for one in items:
                one[1] = file
        return partial

    def empty(self) -> Partial:
        notes: dict[str, Any] = {"sources": {}, "kinds": {}, "samples": {}}
        return Partial(notes, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        drawn = samples.merged([samples_in(partial) for partial in partials], self.sample)
        notes = {
            "sources": _summed([partial.notes["sources"] for partial in partials]),
            "kinds": _summed([partial.notes["kinds"] for partial in partials]),
            "samples": msgspec.to_builtins(drawn),
        }
        return Partial(notes, added([partial.table for partial in partials], KEYS, SUMS))

    def answer(self, whole: Partial, about: About) -> Findings:
        by_source = {
            name: OfSource(**dict(zip(COUNTS, counts, strict=True)))
            for name, counts in whole.notes["sources"].items()
        }
        total = OfSource(
            **{name: sum(getattr(one, name) for one in by_source.values()) for name in COUNTS}
        )
        judged = samples.judgements(self.judged)
        rows = whole.table.to_pylist()
        drawn = samples_in(whole)
        return Findings(
            about=about,
            by=self.by,
            sample=self.sample,
            seed=self.seed,
            missing_rate=total.missing / total.documents if total.documents else 0.0,
            total=total,
            sources=by_source,
            kinds={
                kind: _of_kind(
                    [row for row in rows if row["kind"] == kind],
                    whole.notes["kinds"].get(kind, (0, 0)), len(drawn.get(kind, ())),
                    judged.get(kind),
                )
                for kind in self.kinds
            },
        )  # fmt: skip

    def text(self, answer: Findings) -> str:
        total = answer.total
        searched = total.documents - total.missing - total.not_searched
        lines = [f"{searched:,} of {total.documents:,} documents looked at, by {answer.by}"]
        if total.missing:
            lines.append(
                f"without these attributes: {total.missing:,} "
                f"({tables.share(total.missing, total.documents)})"
            )
        if total.not_searched:
            lines.append(f"left out by the rule: {total.not_searched:,}")
        rows = [
            [name, kind.documents, tables.share(kind.documents, kind.searched), kind.hits,
             kind.per_million_words, _precise(kind), _true(kind)]
            for name, kind in answer.kinds.items()
        ]  # fmt: skip
        heads = ["kind", "documents", "", "hits", "per million words", "precision", "true hits"]
        if not any(kind.precision for kind in answer.kinds.values()):
            heads, rows = heads[:5], [row[:5] for row in rows]
        lines += ["", tables.aligned(heads, rows)]
        if len(answer.sources) > 1 and answer.kinds:
            rows = [
                [name or "(none)", one.documents, one.missing,
                 *(kind.sources.get(name, 0) for kind in answer.kinds.values())]
                for name, one in answer.sources.items()
            ]  # fmt: skip
            lines += ["", tables.aligned(["source", "documents", "missing", *answer.kinds], rows)]
        drawn = sum(kind.sampled for kind in answer.kinds.values())
        lines += [
            "",
            f"sample for judging: {drawn:,} hits (up to {answer.sample} of a kind, seed "
            f"{answer.seed}); --out writes it as sheet.csv, --judged reads it back",
        ]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Findings, about: About) -> dict[str, Any]:
        return {self.id: whole.table}

    def sheets(self, whole: Partial, about: About) -> dict[str, bytes]:
        return {"sheet.csv": samples.sheet(samples_in(whole), about.files)}


def _summed(parts: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    """Rows of numbers added up by name, in the order of names."""
    sums: dict[str, list[int]] = {}
    for part in parts:
        for name, more in part.items():
            known = sums.get(name, [0] * len(more))
            sums[name] = [a + b for a, b in zip(known, more, strict=True)]
    return dict(sorted(sums.items()))


def samples_in(partial: Partial) -> dict[str, list[Item]]:
    return msgspec.convert(partial.notes["samples"], dict[str, list[Item]])


def in_documents(
    docs: NDArray[np.int64], sizes: NDArray[np.int64], scores: NDArray[np.float64]
) -> Hits:
    """Whole documents as hits."""
    return Hits(docs, np.zeros(len(docs), np.int64), sizes[docs], scores)


def _of_kind(
    rows: Sequence[Mapping[str, Any]],
    looked_at: Sequence[int],
    sampled: int,
    found: Precision | None,
) -> OfKind:
    """`looked_at` are documents that were searched for it, and their words."""
    searched, n_words_in_all = looked_at
    n_hits = sum(row["hits"] for row in rows)
    return OfKind(
        documents=sum(row["documents"] for row in rows),
        searched=searched,
        hits=n_hits,
        characters=sum(row["characters"] for row in rows),
        per_million_words=1e6 * n_hits / n_words_in_all if n_words_in_all else 0.0,
        sources={row["source"]: row["documents"] for row in rows},
        sampled=sampled,
        precision=found,
        true_hits=None if found is None else (n_hits * found.low, n_hits * found.high),
    )


def _precise(kind: OfKind) -> str:
    one = kind.precision
    if one is None:
        return "-"
    return f"{one.correct} of {one.judged}: {100 * one.low:.1f} to {100 * one.high:.1f} %"


def _true(kind: OfKind) -> str:
    if kind.true_hits is None:
        return "-"
    return f"{kind.true_hits[0]:,.0f} to {kind.true_hits[1]:,.0f}"
