"""`toxicity`: toxic and obscene documents, by the attributes that classifiers gave, or a lexicon.

A kind is a column of a classifier (`jigsaw_*`, or those that `columns` names): of a score,
documents from `threshold` on are hits; of spans, as of sentences, those spans are. With a
`lexicon`, its categories are kinds, too. See `findings`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dolma_kit.attributes import Spans
from dolma_kit.errors import ConfigError
from dolma_kit.statistics import lexicon
from dolma_kit.statistics.attribute_columns import Choice, Column, choose
from dolma_kit.statistics.findings import FindingsOf, Found, Hits, in_documents
from dolma_kit.statistics.lexicon import Lexicon

if TYPE_CHECKING:
    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

FAMILY = "jigsaw_"
NEGATIONS = ("non", "not", "clean", "neutral")


def choice(
    shards: Sequence[Shard],
    experiments: Sequence[str],
    columns: Sequence[str],
    has_lexicon: bool,
) -> Choice:
    """The columns to look at; ConfigError where there are none and no lexicon."""

    def is_wanted(column: Column) -> bool:
        if columns:
            return any(fnmatch.fnmatchcase(column.name, pattern) for pattern in columns)
        label = column.key.removeprefix("__label__").replace("_", "-")
        return column.tagger.startswith(FAMILY) and not label.startswith(NEGATIONS)

    found = choose(shards, experiments, is_wanted)
    if not found and not has_lexicon:
        what = f"none of {', '.join(columns)}" if columns else "no jigsaw_* tagger's"
        raise ConfigError(
            f"toxicity: the documents have {what} attributes: tag them (dolma-kit tag --taggers "
            "jigsaw_hatespeech_sentence_v2), name columns of your own classifier with --columns, "
            "or give a --lexicon"
        )
    return found


@dataclass(frozen=True)
class Toxicity(FindingsOf):
    columns: Choice
    words: Lexicon | None = None
    threshold: float = 0.5
    sample: int = 100
    seed: int = 0
    judged: tuple[str, ...] = ()

    id: ClassVar[str] = "toxicity"
    kernels: ClassVar[tuple[str, ...]] = ("uax29", "paragraphs", "hashing", "lowercase")

    def deciding(self) -> dict[str, Any]:
        return {**super().deciding(), "words": None if self.words is None else self.words.sha256}

    @property
    def by(self) -> str:
        parts = [f"attributes {prefix}" for prefix in self.columns.prefixes]
        if self.columns:
            parts[-1] += f" from {self.threshold:g} on"
        if self.words is not None:
            parts.append(f"the lexicon {self.words.path.rstrip('/').rsplit('/', 1)[-1]}")
        return " and ".join(parts)

    @property
    def kinds(self) -> Sequence[str]:
        named = [column.name for column in self.columns.columns]
        return [*named, *(self.words.phrases if self.words is not None else ())]

    def finder(self, shard: Shard) -> Callable[[Batch], Found]:
        opened = self.columns.open(shard)
        words = None if self.words is None else lexicon.Finder(self.words.phrases)

        def find(batch: Batch) -> Found:
            hits: dict[str, Hits] = {}
            there = opened(batch)
            for name, value in there.items():
                hits[name] = self._from(batch, value)
            missing = np.full(len(batch), bool(self.columns) and not there)
            if words is not None:
                hits |= words(batch)
            return Found(hits, missing, np.zeros(len(batch), np.bool_))

        return find

    def _from(self, batch: Batch, value: Any) -> Hits:
        """The hits of a column."""
        if isinstance(value, Spans):
            rows = np.flatnonzero(value.score >= self.threshold)
            docs = np.repeat(np.arange(len(batch)), np.diff(value.offsets))
            return Hits(docs[rows], value.start[rows], value.end[rows], value.score[rows])
        docs = np.flatnonzero(np.nan_to_num(value, nan=-np.inf) >= self.threshold)
        return in_documents(docs, batch.n_characters, value[docs])
