"""Choosing: what `mix` does with a batch of one stream's documents.

Documents are filtered, cut and masked by spans, and sampled; the lines that are left become members
of pieces. The rules, in their order, with the name under which each counts what it removed: `keep`,
each policy's id, `rate`, `min_text_length`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
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
    shards,
)
from dolma_kit.attributes import Columns, Format, Kind, Spans
from dolma_kit.config import DolmaRule, Stream
from dolma_kit.decoding import Fields
from dolma_kit.documents import Batch
from dolma_kit.errors import DataError
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.layout import Shard
from dolma_kit.ledger import Result
from dolma_kit.plugins import Plugin
from dolma_kit.replacing import Replacement, replace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.dolma_filters import DolmaFilter
    from dolma_kit.filtering import Filter

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
class ChooseTask:
    """One file of one stream.

    `attributes` are its attribute files and the columns to read of each; None where one is not
    there, as of a file that was set aside.
    """

    stream: Stream
    fields: Fields
    seed: int
    shard: Shard
    attributes: tuple[tuple[str, Format, dict[str, Kind]], ...] | None
    pieces: tuple[str, ...]
    decisions: str
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


selection_of = functools.lru_cache(maxsize=64)(dolma_filters.selection)


def _kept(filter_: Filter, batch: Batch, arrow: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(n_docs,) bool: of which documents a filter in SQL is true."""
    from dolma_kit.filtering import FilterError, document_table

    table = document_table(batch.table, {name: arrow[name] for name in filter_.columns})
    try:
        return filter_.evaluate(table)
    except FilterError as error:
        lines = f"in lines {batch.lines[0]} to {batch.lines[-1]}, {error}"
        raise DataError(batch.path, None, lines) from None


class Chooser:
    """The worker: filters, masks and samples a batch; its answer is members of pieces, what
    the rules counted, and the decisions."""

    def __init__(self, task: ChooseTask) -> None:
        self._task = task
        if task.attributes is None:
            return
        stream, located = task.stream, task.attributes
        self._kinds = {name: kind for _, _, group in located for name, kind in group.items()}
        known = tuple(sorted(self._kinds.items()))
        self._filters = {
            name: filter_of(expression, known) for name, expression in stream.expressions.items()
        }
        self._dolma = None if stream.rule is None else dolma_filter_of(stream.rule, known)
        is_raw = self._dolma is not None
        self._policies = [registry.mixer(spec, task.plugins) for spec in stream.policies]
        self._readers = [
            (
                attribute_files.Reader(
                    path, format, group, task.shard.path, with_raw=is_raw and format == "jsonl"
                ),
                group,
            )
            for path, format, group in located
        ]

    def __call__(self, batch: Batch) -> tuple[Any, dict[str, Any], Any] | None:
        task = self._task
        if task.attributes is None:
            return None
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
        tally, marks = Tally(), decisions.Marks(len(batch))
        for name, filter_ in self._filters.items():
            tally.remove(name, marks.remove(name, ~_kept(filter_, batch, arrow)))
        if self._dolma is not None:
            for name, removed in self._dolma.evaluate(batch, in_parquet, raw).items():
                tally.remove("keep", marks.remove(name, removed))
        lines, rows = _chosen(batch, arrow, self._kinds, marks, self._policies, task, tally)
        output = task.stream.output
        made = shards.members(
            lines, len(task.pieces), task.stream.compression.output, output.max_size_in_bytes
        )
        return made, tally.counts, rows


class ChoiceSink(Sink):
    """The sink: members into the pieces of one file of a stream, and decisions into theirs."""

    def __init__(self, task: ChooseTask) -> None:
        self._task = task
        self._counts = Tally().counts
        self._pieces = shards.PieceWriter(task.pieces)
        self._decisions = decisions.PieceWriter(task.decisions)

    def open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self._pieces)
        self._decisions.open(stack)

    def take(self, answer: tuple[Any, dict[str, Any], Any] | None) -> None:
        if answer is not None:
            made, counts, rows = answer
            self._pieces.add(made)
            self._decisions.add(rows)
            add_counts(self._counts, counts)

    def end(self, read: Read) -> None:
        task = self._task
        if read.documents and task.attributes is None:
            attributes.require(task.shard, task.stream.attributes)
        if not task.partial:
            for path, format, _ in task.attributes or ():
                attribute_files.require_length(path, format, read.documents, task.shard.path)

    def result(self, read: Read) -> Result:
        outputs = [*self._pieces.outputs, self._decisions.path]
        return Result(outputs=outputs, counts=self._counts)


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


def _chosen(
    batch: Batch,
    arrow: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    marks: decisions.Marks,
    policies: list[registry.Mixer],
    task: ChooseTask,
    tally: Tally,
) -> tuple[list[tuple[bytes, int]], pa.RecordBatch]:
    """The lines of a batch that are kept, each with how many copies of it are written; and the
    decisions."""
    import numpy as np

    values: Columns = {
        name: attributes.values_of(arrow[name], kind) for name, kind in kinds.items()
    }
    rules: list[SpanRule] = []
    more: list[tuple[int, list[Replacement]]] = []
    for rule in task.stream.span_replacement:
        spans = values.get(dolma_filters.selected(rule.span, rule.syntax))
        if isinstance(spans, Spans):  # a path of Dolma's may lead nowhere
            rules.append((spans, rule.replacement, rule.min_score, rule.max_score))
    for policy in policies:
        own = {name: values[name] for name in policy.columns(kinds)}
        decision = checking.decide(policy, batch, own)
        tally.remove(policy.id, marks.remove(policy.id, decision.drop))
        rules += decision.replacements
        more += decision.by_document.items()
    copies = sample_copies(batch.ids, task.stream.rate, task.seed)
    tally.remove("rate", marks.remove("rate", copies == 0))
    replacements = _by_document(rules, batch, marks.alive, tally)
    _look_up(replacements, batch)
    for i, cuts in more:
        replacements.setdefault(i, []).extend(cuts)
    output = task.stream.output
    lines = []
    too_short = np.zeros(len(batch), np.bool_)
    for i in np.flatnonzero(marks.alive).tolist():
        text = None
        if i in replacements:
            text, n_regions = replace(batch.texts[i], replacements[i])
            tally.replace(n_regions)
        if output.min_text_length:
            whole = batch.texts[i] if text is None else text
            if len(whole.strip().encode()) < output.min_text_length:
                too_short[i] = True
                continue
        tally.counts["kept"] += 1
        tally.counts["written"] += int(copies[i])
        assert batch.raw is not None
        place = f"{task.shard.src}:{batch.lines[i]}"
        changed = {} if text is None else {task.fields.text: text}
        line = _line(batch.raw[i].as_buffer(), changed, place, output.discard_fields)
        lines.append((line, int(copies[i])))
    tally.remove("min_text_length", marks.remove("min_text_length", too_short))
    return lines, marks.rows(batch, task.stream.name, task.shard.src, copies)


def sample_copies(ids: list[str], rate: float, seed: int) -> NDArray[np.int64]:
    """(n_docs,) int64: how often each document is written at a rate (2.5: twice or three times).

    Decided by a hash of the id keyed with the seed, so the choice does not depend on order or
    company, and a larger rate's choice contains a smaller one's.
    """
    import numpy as np

    whole = int(rate)
    copies = np.full(len(ids), whole, np.int64)
    if rate > whole:
        key = seed.to_bytes(8, "little", signed=True)
        threshold = int((rate - whole) * 2**64)
        for i, document_id in enumerate(ids):
            drawn = hashlib.blake2b(document_id.encode(), digest_size=8, key=key).digest()
            copies[i] += int.from_bytes(drawn, "little") < threshold
    return copies


def _by_document(
    rules: list[SpanRule], batch: Batch, alive: NDArray[np.bool_], tally: Tally
) -> dict[int, list[Replacement]]:
    """The replacements of each document that is still in, clamped to its text."""
    import numpy as np

    lengths = batch.n_characters
    found: dict[int, list[Replacement]] = {}
    for spans, text, min_score, max_score in rules:
        document = np.repeat(np.arange(len(batch)), np.diff(spans.offsets))
        chosen = alive[document]
        if min_score is not None:
            chosen &= spans.score >= min_score
        if max_score is not None:
            chosen &= spans.score < max_score
        document = document[chosen]
        end = np.minimum(spans.end[chosen], lengths[document])
        tally.counts["clamped"] += int(np.count_nonzero(end != spans.end[chosen]))
        start = np.minimum(spans.start[chosen], end)
        for i, a, b in zip(document.tolist(), start.tolist(), end.tolist(), strict=True):
            found.setdefault(i, []).append(Replacement(a, b, text))
    return found


def _look_up(replacements: dict[int, list[Replacement]], batch: Batch) -> None:
    """Put texts of the document in place of replacements that are paths to them."""
    for i, cuts in replacements.items():
        for k, cut in enumerate(cuts):
            if cut.text.startswith("$."):
                assert batch.raw is not None
                document = msgspec.json.decode(batch.raw[i].as_buffer())
                try:
                    text = selection_of(cut.text)(document)
                except ValueError as error:
                    raise DataError(batch.path, int(batch.lines[i]), str(error)) from None
                cuts[k] = cut._replace(text=text, literal=True)


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _line(raw: Any, changed: dict[str, str], place: str, discard: list[str]) -> bytes:
    """The document's JSON with its new text and `metadata.provenance`, all else as it was read."""
    fields: dict[str, Any] = _FIELDS.decode(raw) | changed
    metadata = bytes(fields.get("metadata", b"")) or b"null"
    if metadata == b"null":
        fields["metadata"] = {"provenance": place}
    elif metadata.startswith(b"{"):
        fields["metadata"] = _FIELDS.decode(metadata) | {"provenance": place}
    for name in discard:
        fields.pop(name, None)
    return msgspec.json.encode(fields) + b"\n"


def add_counts(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            add_counts(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
