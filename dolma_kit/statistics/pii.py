"""`pii`: personal data, by the attributes that documents have or as they are read.

Where the documents have attributes of a tagger with a key `EMAIL_ADDRESS`, the spans of all its
keys are counted; where none has, `pii_tagger` looks at the texts. See `findings`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dolma_kit import kernels as all_kernels
from dolma_kit import registry
from dolma_kit.attributes import Spans
from dolma_kit.statistics.attribute_columns import Choice, choose
from dolma_kit.statistics.findings import FindingsOf, Found, Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

MARK = "EMAIL_ADDRESS"  # the key that tells a tagger of personal data
FAST = "pii_regex_with_counts_fast_v2"


def choice(shards: Sequence[Shard], experiments: Sequence[str]) -> Choice:
    """The columns of one tagger of personal data: the first by experiment and column."""
    found = choose(shards, experiments, lambda column: column.kind == "spans")
    first = next((column for column in found.columns if column.key == MARK), None)
    if first is None:
        return Choice()
    return Choice(tuple(c for c in found.columns if c.prefix == first.prefix))


@dataclass(frozen=True)
class Pii(FindingsOf):
    columns: Choice
    tagger: dict[str, Any] = field(default_factory=dict)  # a spec; of no use with columns
    sample: int = 100
    seed: int = 0
    judged: tuple[str, ...] = ()

    id: ClassVar[str] = "pii"

    @property
    def by(self) -> str:
        if self.columns:
            return f"attributes {self.columns.prefixes[0]}"
        return repr(registry.tagger(self.tagger)) if len(self.tagger) > 1 else self.tagger["id"]

    @property
    def _searches_fast(self) -> bool:
        """Whether the rule that made Dolma is at work, which leaves out some documents."""
        if self.columns:
            return self.columns.columns[0].tagger == FAST
        return bool(self.tagger["id"] == FAST)

    @property
    def kernels(self) -> tuple[str, ...]:  # type: ignore[override]
        own = () if self.columns else registry.tagger(self.tagger).kernels()
        return ("uax29", "pii", *own)

    @property
    def kinds(self) -> Sequence[str]:
        if self.columns:
            return [column.key for column in self.columns.columns]
        keys = registry.tagger(self.tagger).keys
        return [key for key, kind in keys.items() if kind == "spans"]

    def finder(self, shard: Shard) -> Callable[[Batch], Found]:
        kinds = self.kinds
        opened = self.columns.open(shard)
        tagger = None if self.columns else registry.tagger(self.tagger)

        def find(batch: Batch) -> Found:
            if tagger is not None:
                values = tagger.tag(batch)
            else:
                there = opened(batch)
                values = {c.key: there[c.name] for c in self.columns.columns if c.name in there}
            hits = {
                kind: hits_of(value)
                for kind in kinds
                if isinstance(value := values.get(kind), Spans)
            }
            missing = np.full(len(batch), not hits)
            return Found(hits, missing, self._left_out(batch) & ~missing)

        return find

    def _left_out(self, batch: Batch) -> NDArray[np.bool_]:
        if not self._searches_fast:
            return np.zeros(len(batch), np.bool_)
        limit = all_kernels.pii.MAX_QUESTION_MARKS
        left_out = np.zeros(len(batch), np.bool_)
        for i in np.flatnonzero(np.diff(batch.offsets) > limit).tolist():
            text = batch.text_bytes[batch.offsets[i] : batch.offsets[i + 1]]
            left_out[i] = np.count_nonzero(text == ord("?")) > limit
        return left_out


def hits_of(spans: Spans) -> Hits:
    docs = np.repeat(np.arange(len(spans.offsets) - 1), np.diff(spans.offsets))
    return Hits(docs, spans.start, spans.end, spans.score)
