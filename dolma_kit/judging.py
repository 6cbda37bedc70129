"""Judging: what the rules of a stream say of a batch, as far as that does not depend on shares.

Documents are filtered, and cut and masked by spans. The rules, in their order, with the name under
which each counts what it removed: `keep`, each policy's id, and last of all `min_text_length`,
which is asked after what says how often a document is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import (
    attribute_files,
    attributes,
    checking,
    decisions,
    dolma_filters,
    registry,
)
from dolma_kit.attributes import Columns, Format, Kind, Spans
from dolma_kit.config import DolmaRule, Stream
from dolma_kit.decoding import Fields
from dolma_kit.documents import Batch
from dolma_kit.errors import DataError
from dolma_kit.execute.reading import Read
from dolma_kit.layout import Shard
from dolma_kit.plugins import Plugin
from dolma_kit.replacing import Cuts, Replacement

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.dolma_filters import DolmaFilter
    from dolma_kit.filtering import Expression, Filter

#: spans, what replaces them (`{}`: what was there), scores from and below which it applies
SpanRule = tuple[Spans, str, float | None, float | None]


@dataclass
class Decision:
    """What a policy says of a batch: `drop` (n_docs,) bool, and spans to replace in the others.

    `by_document` has replacements by row of the batch; they must lie within the text.
    """

    drop: NDArray[np.bool_]
    replacements: list[SpanRule] = field(default_factory=list)
    by_document: dict[int, list[Replacement]] = field(default_factory=dict)

    @classmethod
    def keep_all(cls, n_docs: int) -> Decision:
        import numpy as np

        return cls(np.zeros(n_docs, np.bool_))


@dataclass(frozen=True)
class Attributes:
    """The attribute files of one file of documents, and the columns to read of each."""

    located: tuple[tuple[str, Format, dict[str, Kind]], ...]

    @property
    def kinds(self) -> dict[str, Kind]:
        return {name: kind for _, _, group in self.located for name, kind in group.items()}


@dataclass(frozen=True)
class JudgeTask:
    """One file of one stream.

    `attributes` are None where one is not there, as of a file that was set aside. `tokens` is the
    column of their numbers, if there is one.
    """

    stream: Stream
    fields: Fields
    seed: int
    shard: Shard
    attributes: Attributes | None
    tokens: str | None
    partial: bool
    plugins: tuple[Plugin, ...] = ()


@functools.lru_cache(maxsize=16)
def filter_of(expression: str, known: tuple[tuple[str, Kind], ...]) -> Filter:
    from dolma_kit.filtering import Filter

    return Filter(expression, dict(known))


@functools.lru_cache(maxsize=16)
def _dolma_filter_of(rule: bytes, known: tuple[tuple[str, Kind], ...]) -> DolmaFilter:
    return dolma_filters.DolmaFilter(msgspec.json.decode(rule, type=DolmaRule), dict(known))


def dolma_filter_of(rule: DolmaRule, known: tuple[tuple[str, Kind], ...]) -> DolmaFilter:
    """The compiled filter, made once a process."""
    return _dolma_filter_of(msgspec.json.encode(rule), known)


@functools.lru_cache(maxsize=16)
def value_of(expression: str, known: tuple[tuple[str, Kind], ...], key: str, type_: str) -> Any:
    """The compiled expression of a policy's key."""
    from dolma_kit.filtering import Expression

    return Expression(expression, dict(known), key, type_)


selection_of = functools.lru_cache(maxsize=64)(dolma_filters.selection)


def _evaluated(filter_: Expression, batch: Batch, arrow: Mapping[str, Any]) -> Any:
    """(n_docs,): what an expression in SQL is of each document."""
    from dolma_kit.filtering import FilterError, document_table

    table = document_table(batch.table, {name: arrow[name] for name in filter_.columns})
    try:
        return filter_.evaluate(table)
    except FilterError as error:
        lines = f"in lines {batch.lines[0]} to {batch.lines[-1]}, {error}"
        raise DataError(batch.path, None, lines) from None


class Judge:
    """Filters a file's batches and cuts spans out, as far as that does not depend on shares."""

    def __init__(self, task: JudgeTask) -> None:
        self.task = task
        assert task.attributes is not None
        stream = task.stream
        self._kinds = task.attributes.kinds
        self._known = tuple(sorted(self._kinds.items()))
        self._filters = {
            name: filter_of(expression, self._known)
            for name, expression in stream.expressions.items()
        }
        self._dolma = None if stream.rule is None else dolma_filter_of(stream.rule, self._known)
        is_raw = self._dolma is not None
        made = [registry.mixer(spec, task.plugins) for spec in stream.policies]
        self._policies = [one for one in made if not isinstance(one, registry.Upsampler)]
        self._upsampler = next((one for one in made if isinstance(one, registry.Upsampler)), None)
        self._readers = [
            (
                attribute_files.Reader(
                    path, format, group, task.shard.path, with_raw=is_raw and format == "jsonl"
                ),
                group,
            )
            for path, format, group in task.attributes.located
        ]

    def __call__(self, batch: Batch) -> Judged:
        """What the filters and policies say."""
        arrow: dict[str, Any] = {}
        in_parquet: dict[str, Any] = {}
        raw = []
        for reader, group in self._readers:
            table = reader.read(batch)
            own = {name: table.column(name) for name in group}
            arrow |= own
            if attribute_files.RAW in table.column_names:
                raw.append(table.column(attribute_files.RAW))
            else:
                in_parquet |= own
        judged = Judged(self.task, batch, arrow, self._kinds)
        for name, filter_ in self._filters.items():
            judged.remove(name, ~_evaluated(filter_, batch, arrow))
        if self._dolma is not None:
            for name, removed in self._dolma.evaluate(batch, in_parquet, raw).items():
                judged.remove(name, removed, counted_as="keep")
        for policy in self._policies:
            judged.apply(policy)
        if (upsampler := self._upsampler) is not None:
            score = value_of(upsampler.score, self._known, "score", "DOUBLE")
            judged.scores = _evaluated(score, batch, arrow)
            if upsampler.group is not None:
                group_of = value_of(upsampler.group, self._known, "group", "VARCHAR")
                judged.groups = _evaluated(group_of, batch, arrow).tolist()
        return judged


class Judged:
    """A batch, what the rules have said of it so far, and what is put in place of spans.

    `texts` are those that changed, by row; `scores` (n_docs,) and `groups` are what an upsampled
    stream is graded by. `tokens` (n_docs,) int64 are those of the text as it was read, -1 where
    nobody counted.
    """

    def __init__(
        self,
        task: JudgeTask,
        batch: Batch,
        arrow: Mapping[str, Any],
        kinds: Mapping[str, Kind],
    ) -> None:
        import numpy as np

        self.task = task
        self.batch = batch
        self.marks = decisions.Marks(len(batch))
        self.tally = Tally()
        self.scores: NDArray[np.float64] | None = None
        self.groups: list[str] | None = None
        self.texts: dict[int, str] = {}
        self._kinds = kinds
        self._values: Columns = {
            name: attributes.values_of(arrow[name], kind) for name, kind in kinds.items()
        }
        self._rules: list[SpanRule] = []
        self._more: list[tuple[int, list[Replacement]]] = []
        for rule in task.stream.span_replacement:
            spans = self._values.get(dolma_filters.selected(rule.span, rule.syntax))
            if isinstance(spans, Spans):  # a path of Dolma's may lead nowhere
                self._rules.append((spans, rule.replacement, rule.min_score, rule.max_score))
        self.n_bytes = np.diff(batch.offsets)
        self.tokens = np.full(len(batch), -1, np.int64)
        if task.tokens is not None:
            counted = _numbers(self._values[task.tokens])
            self.tokens = np.where(counted >= 0, np.nan_to_num(counted), -1).astype(np.int64)

    def remove(self, rule: str, fires: NDArray[np.bool_], *, counted_as: str | None = None) -> None:
        """Note of which documents (n_docs,) a rule says that they go."""
        self.tally.remove(counted_as or rule, self.marks.remove(rule, fires))

    def apply(self, policy: registry.Mixer) -> None:
        own = {name: self._values[name] for name in policy.columns(self._kinds)}
        decision = checking.decide(policy, self.batch, own)
        self.remove(policy.id, decision.drop)
        self._rules += decision.replacements
        self._more += decision.by_document.items()

    def replace(self) -> None:
        """Replace spans in what is left, and drop what that leaves too short."""
        import numpy as np

        batch = self.batch
        cuts = Cuts()
        for rule in self._rules:
            _add_spans(cuts, rule, batch, self.marks.alive, self.tally)
        for i, more in self._more:
            if self.marks.alive[i]:
                numbers = [cuts.text(one.text, one.literal) for one in more]
                starts, ends = [one.start for one in more], [one.end for one in more]
                cuts.add([i] * len(more), starts, ends, numbers)
        found = cuts.apply(batch.text_bytes, batch.offsets, batch.n_characters)
        self.texts = dict(zip(found.rows.tolist(), found.texts, strict=True))
        self.n_bytes = self.n_bytes.copy()
        self.n_bytes[found.rows] = found.n_bytes
        self.tally.replace(found.n_regions)
        least = self.task.stream.output.min_text_length
        too_short = np.zeros(len(batch), np.bool_)
        if least:
            for i in np.flatnonzero(self.marks.alive).tolist():
                whole = self.texts[i] if i in self.texts else batch.texts[i]
                too_short[i] = len(whole.strip().encode()) < least
        self.remove("min_text_length", too_short)

    def rows(self, copies: NDArray[np.int64]) -> pa.RecordBatch:
        """The decisions."""
        counted = None if self.task.tokens is None else self.tokens
        return self.marks.rows(
            self.batch, self.task.stream.name, self.task.shard.src, copies,
            groups=self.groups, tokens=counted, written_bytes=self.n_bytes,
            written_tokens=self.written_tokens,
        )  # fmt: skip

    @property
    def written_tokens(self) -> NDArray[np.int64]:
        """(n_docs,) int64: the tokens of each text as it is now, in proportion to its bytes; 0
        where nobody counted."""
        import numpy as np

        before = np.diff(self.batch.offsets)
        tokens = np.maximum(self.tokens, 0)
        changed = self.n_bytes != before
        shares = np.divide(self.n_bytes, before, out=np.ones(len(before)), where=before > 0)
        return np.where(changed, np.rint(tokens * shares), tokens).astype(np.int64)


def _numbers(column: NDArray[np.float64] | Spans) -> NDArray[np.float64]:
    """(n_docs,) float64: scores, or sums of the scores of spans; NaN where there is none."""
    import numpy as np

    if not isinstance(column, Spans):
        return np.asarray(column, np.float64)
    n_spans = np.diff(column.offsets)
    rows = np.repeat(np.arange(len(n_spans)), n_spans)
    sums = np.bincount(rows, column.score, len(n_spans))
    return np.where(n_spans > 0, sums, np.nan)


def require_whole(task: JudgeTask, read: Read) -> None:
    """The attributes of a file that was read are there, and end where it ends."""
    if read.documents and task.attributes is None:
        attributes.require(task.shard, task.stream.attributes)
    if not task.partial and task.attributes is not None:
        for path, format, _ in task.attributes.located:
            attribute_files.require_length(path, format, read.documents, task.shard.path)


class Tally:
    """What the rules did, by name; numbers only, so that tallies of files can be added up."""

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {
            "kept": 0, "written": 0, "removed": {}, "replaced": {}, "clamped": 0,
        }  # fmt: skip

    def remove(self, rule: str, n: int) -> None:
        self._add("removed", rule, n)

    def replace(self, n: int) -> None:
        self._add("replaced", "regions", n)

    def _add(self, group: str, name: str, n: int) -> None:
        if n:
            self.counts[group][name] = self.counts[group].get(name, 0) + n


def _add_spans(
    cuts: Cuts, rule: SpanRule, batch: Batch, alive: NDArray[np.bool_], tally: Tally
) -> None:
    """Add a rule's spans in documents that are still in, clamped to their texts."""
    import numpy as np

    spans, text, min_score, max_score = rule
    document = np.repeat(np.arange(len(batch)), np.diff(spans.offsets))
    chosen = alive[document]
    if min_score is not None:
        chosen &= spans.score >= min_score
    if max_score is not None:
        chosen &= spans.score < max_score
    document = document[chosen]
    end = np.minimum(spans.end[chosen], batch.n_characters[document])
    tally.counts["clamped"] += int(np.count_nonzero(end != spans.end[chosen]))
    start = np.minimum(spans.start[chosen], end)
    numbers: Any
    if text.startswith("$."):
        own = {i: cuts.text(_looked_up(text, batch, i), True) for i in np.unique(document).tolist()}
        numbers = [own[i] for i in document.tolist()]
    else:
        numbers = cuts.text(text)
    cuts.add(document, start, end, numbers)


def _looked_up(path: str, batch: Batch, i: int) -> str:
    """The text that a path leads to in document i."""
    assert batch.raw is not None
    document = msgspec.json.decode(batch.raw[i])
    try:
        return selection_of(path)(document)
    except ValueError as error:
        raise DataError(batch.path, int(batch.lines[i]), str(error)) from None


def add_counts(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            add_counts(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
