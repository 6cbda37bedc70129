"""`languages`: in which language documents are, by the attributes they have or as they are read.

Where the documents have attributes of `language_v1`, `ft_lang_id_doc_v1` or `ft_lang_id_1e2`, those
are taken; where none of them has, `language_v1` looks at the texts. A document's language is the
label of the greatest score; of equal ones the first by name. Documents below 0.5 are counted as
`unsure` beside, those for which there is no score (an empty text) have none.

Table: `source`, `state` (known, none, missing), `language`, `documents`, `bytes`, `words` and
`unsure`. Missing are documents without the attributes that others have.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit import registry
from dolma_kit.statistics import tables
from dolma_kit.statistics.attribute_columns import Choice, choose
from dolma_kit.statistics.partials import Partial, added, tallied
from dolma_kit.statistics.statistic import (
    About,
    Measure,
    Statistic,
    n_bytes,
    n_words,
    sources,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

TAGGERS = ("language_v1", "ft_lang_id_doc_v1", "ft_lang_id_1e2")
SURE = 0.5
KNOWN, NONE, MISSING = "known", "none", "missing"
KEYS = ("source", "state", "language")
SUMS = ("documents", "bytes", "words", "unsure")


class Language(msgspec.Struct, kw_only=True):
    """`unsure` documents have their greatest score, this language's, below 0.5."""

    documents: int = 0
    bytes: int = 0
    words: int = 0
    unsure: int = 0


class Languages(msgspec.Struct, frozen=True, kw_only=True):
    """`by` is what told languages. `none` have no score for any; `missing` no attributes."""

    about: About
    by: str
    documents: int
    none: int
    missing: int
    missing_rate: float
    languages: dict[str, Language]
    sources: dict[str, dict[str, Language]]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in SUMS)]
    )


def choice(shards: Sequence[Shard], experiments: Sequence[str]) -> Choice:
    """The columns of one tagger of one experiment: the first of TAGGERS that is there."""
    found = choose(shards, experiments, lambda c: c.tagger in TAGGERS and c.kind == "score")
    for tagger in TAGGERS:
        mine = [column for column in found.columns if column.tagger == tagger]
        if mine:
            return Choice(tuple(c for c in mine if c.experiment == mine[0].experiment))
    return Choice()


@dataclass(frozen=True)
class LanguagesOf(Statistic):
    columns: Choice

    id: ClassVar[str] = "languages"

    @property
    def by(self) -> str:
        return f"attributes {self.columns.prefixes[0]}" if self.columns else TAGGERS[0]

    @property
    def kernels(self) -> tuple[str, ...]:  # type: ignore[override]
        tagger = () if self.columns else registry.tagger(TAGGERS[0]).kernels()
        return ("uax29", *tagger)

    @property
    def needs_rows(self) -> bool:
        return bool(self.columns)

    def inputs(self, shard: Shard) -> tuple[str, ...]:
        return self.columns.paths(shard)

    def start(self, shard: Shard) -> Measure:
        opened = self.columns.open(shard)
        tagger = None if self.columns else registry.tagger(TAGGERS[0])

        def measure(batch: Batch) -> Partial:
            scores: dict[str, Any]
            if tagger is not None:
                scores = dict(tagger.tag(batch))
            else:
                found = opened(batch)
                scores = {c.key: found[c.name] for c in self.columns.columns if c.name in found}
            return _tallied(batch, scores)

        return measure

    def empty(self) -> Partial:
        return Partial({}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        return Partial({}, added([partial.table for partial in partials], KEYS, SUMS))

    def answer(self, whole: Partial, about: About) -> Languages:
        n_none = n_missing = n_all = 0
        together: dict[str, Language] = {}
        by_source: dict[str, dict[str, Language]] = {}
        for row in whole.table.to_pylist():
            n_all += row["documents"]
            if row["state"] == NONE:
                n_none += row["documents"]
            elif row["state"] == MISSING:
                n_missing += row["documents"]
            else:
                for known in (together, by_source.setdefault(row["source"], {})):
                    one = known.setdefault(row["language"], Language())
                    for name in SUMS:
                        setattr(one, name, getattr(one, name) + row[name])
        return Languages(
            about=about,
            by=self.by,
            documents=n_all,
            none=n_none,
            missing=n_missing,
            missing_rate=n_missing / n_all if n_all else 0.0,
            languages=_ordered(together),
            sources={name: _ordered(found) for name, found in by_source.items()},
        )

    def text(self, answer: Languages) -> str:
        lines = [f"{answer.documents:,} documents, by {answer.by}"]
        if answer.missing:
            share = tables.share(answer.missing, answer.documents)
            lines.append(f"without these attributes: {answer.missing:,} ({share})")
        if answer.none:
            lines.append(f"in no language that it knows: {answer.none:,}")
        n_words_in_all = sum(one.words for one in answer.languages.values())
        rows = [
            [name, one.documents, tables.share(one.documents, answer.documents), one.words,
             tables.share(one.words, n_words_in_all), one.unsure]
            for name, one in list(answer.languages.items())[:30]
        ]  # fmt: skip
        heads = ["language", "documents", "", "words", "", "below 0.5"]
        lines += ["", tables.aligned(heads, rows)]
        if len(answer.languages) > 30:
            lines.append(f"... and {len(answer.languages) - 30} more")
        if len(answer.sources) > 1:
            rows = []
            for name, found in answer.sources.items():
                n = sum(one.documents for one in found.values())
                best = [f"{k} {tables.share(v.documents, n)}" for k, v in list(found.items())[:5]]
                rows.append([name or "(none)", n, len(found), ", ".join(best)])
            heads = ["source", "documents", "languages", "most frequent"]
            lines += ["", tables.aligned(heads, rows)]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Languages, about: About) -> dict[str, Any]:
        return {"languages": whole.table}

    def plot(self, folder: str, answer: Languages) -> list[str]:
        from dolma_kit.statistics import plots

        return [plots.languages(os.path.join(folder, "languages.png"), answer)]


def _tallied(batch: Batch, scores: dict[str, Any]) -> Partial:
    labels = sorted(scores)
    states, languages = [MISSING] * len(batch), [""] * len(batch)
    unsure = np.zeros(len(batch), np.int64)
    if labels:
        together = np.stack([np.nan_to_num(scores[label], nan=-1.0) for label in labels])
        best = together.argmax(axis=0)
        greatest = together[best, np.arange(len(batch))]
        unsure = ((greatest >= 0) & (greatest < SURE)).astype(np.int64)
        states = [NONE if score < 0 else KNOWN for score in greatest.tolist()]
        languages = [
            labels[i] if state == KNOWN else ""
            for i, state in zip(best.tolist(), states, strict=True)
        ]
    columns = {
        "source": sources(batch).of_documents(),
        "state": states,
        "language": languages,
        "documents": np.ones(len(batch), np.int64),
        "bytes": n_bytes(batch),
        "words": n_words(batch),
        "unsure": unsure,
    }
    return Partial({}, tallied(columns, schema(), KEYS, SUMS))


def _ordered(found: dict[str, Language]) -> dict[str, Language]:
    return dict(sorted(found.items(), key=lambda item: (-item[1].documents, item[0])))
