"""Choosing: what `mix` does with a batch of one stream's documents.

Documents are filtered, cut and masked by spans, and sampled; the lines that are left become members
of pieces, or go to where they are shuffled. The rules, in their order, with the name under which
each counts what it removed: `keep`, each policy's id, the sample (`rate`, `budget`, `share`, or the
id of what upsamples), `min_text_length`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dolma_kit import (
    decisions,
    shards,
    shuffling,
)
from dolma_kit.documents import Batch
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.judging import Judge, Judged, JudgeTask, Tally, add_counts, require_whole
from dolma_kit.ledger import Result
from dolma_kit.shares import sampling, surveys
from dolma_kit.shares.sampling import Sample

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ChooseTask:
    """What becomes of that file: pieces of lines and of decisions.

    `sample` says how often documents are taken, or if it is None what lies in `solved`. `rule` is
    the name of that. Each of `pieces` takes the lines that are written more often than its one of
    `thresholds`. `removed` is the piece of the lines that are not taken. With `shuffled` the
    lines go there instead, by buckets.
    """

    of: JudgeTask
    sample: Sample | None
    solved: str
    rule: str
    thresholds: tuple[int, ...]
    pieces: tuple[str, ...]
    decisions: str
    removed: str | None = None
    shuffled: shuffling.Spill | None = None


class Chooser:
    """The worker: filters, masks and samples a batch; its answer is members of pieces (or lines to
    shuffle), those of what is removed, what the rules counted, and the decisions."""

    def __init__(self, task: ChooseTask) -> None:
        self._task = task
        self._judge = None if task.of.attributes is None else Judge(task.of)
        self._curves = None
        self._sample = task.sample
        if task.sample is None:
            found = sampling.solved(task.solved, task.of.stream.name)
            self._sample = found.sample
            self._curves = sampling.curves(found.curves) if found.curves else None

    def __call__(self, batch: Batch) -> Answer | None:
        if self._judge is None:
            return None
        task, stream = self._task, self._task.of.stream
        judged = self._judge(batch)
        copies = self._copies(judged)
        judged.remove(task.rule, copies == 0)
        judged.replace()
        lines, keys = self._lines(judged, copies)
        format, size = stream.stored_as, stream.output.max_size_in_bytes
        removed = []
        if task.removed is not None:
            (removed,) = shards.members(_removed_lines(judged), (0,), format, size)
        rows = judged.rows(copies)
        if task.shuffled is not None:
            return Answer(
                [], task.shuffled.grouped(lines, keys), removed, judged.tally.counts, rows
            )
        made = shards.members(lines, task.thresholds, format, size)
        return Answer(made, None, removed, judged.tally.counts, rows)

    def _copies(self, judged: Judged) -> NDArray[np.int64]:
        """(n_docs,) int64: how often each document is taken."""
        ids, seed = judged.batch.ids, self._task.of.seed
        if self._curves is not None:
            assert judged.scores is not None
            groups = judged.groups or [""] * len(ids)
            rates = self._curves.rates(groups, surveys.score_bins(judged.scores))
            return sampling.copies_at(rates, surveys.draws(ids, seed))
        assert self._sample is not None
        if not self._sample.threshold:
            import numpy as np

            return np.full(len(ids), self._sample.whole, np.int64)
        return self._sample.copies(surveys.draws(ids, seed))

    def _lines(
        self, judged: Judged, copies: NDArray[np.int64]
    ) -> tuple[list[tuple[bytes, int]], list[str]]:
        """The lines that are kept, each with how many copies of it are written, and their ids."""
        import numpy as np

        batch, task = judged.batch, self._task.of
        lines, ids = [], []
        assert batch.raw is not None
        for i in np.flatnonzero(judged.marks.alive).tolist():
            judged.tally.counts["kept"] += 1
            judged.tally.counts["written"] += int(copies[i])
            place = f"{task.shard.src}:{batch.lines[i]}"
            changed = {task.fields.text: judged.texts[i]} if i in judged.texts else {}
            discard = task.stream.output.discard_fields
            line = _line(batch.raw[i], changed, {"provenance": place}, discard)
            lines.append((line, int(copies[i])))
            ids.append(batch.ids[i])
        return lines, ids


class Answer(NamedTuple):
    """What a Chooser makes of a batch; `made` has a list a piece."""

    made: Any
    shuffled: Any
    removed: list[tuple[bytes, int]]
    counts: dict[str, Any]
    rows: pa.RecordBatch


class ChoiceSink(Sink):
    """The sink: members into the pieces of one file of a stream, and decisions into theirs."""

    def __init__(self, task: ChooseTask) -> None:
        self._task = task
        self._counts = Tally().counts
        self._decisions = decisions.PieceWriter(task.decisions)
        self._removed = shards.PieceWriter([task.removed] if task.removed else [])
        self._pieces = shards.PieceWriter(task.pieces)
        self._shuffled = shuffling.SpillWriter(task.shuffled) if task.shuffled else None

    def open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self._pieces)
        stack.enter_context(self._removed)
        if self._shuffled is not None:
            stack.enter_context(self._shuffled)
        self._decisions.open(stack)

    def take(self, answer: Answer | None) -> None:
        if answer is None:
            return
        if self._shuffled is not None:
            self._shuffled.add(answer.shuffled)
        else:
            self._pieces.add(answer.made)
        if self._task.removed is not None:
            self._removed.add([answer.removed])
        self._decisions.add(answer.rows)
        add_counts(self._counts, answer.counts)

    def end(self, read: Read) -> None:
        require_whole(self._task.of, read)

    def result(self, read: Read) -> Result:
        outputs = [*self._pieces.outputs, *self._removed.outputs, self._decisions.path]
        if self._shuffled is not None:
            outputs += self._shuffled.outputs
        return Result(outputs=outputs, counts=self._counts)


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _removed_lines(judged: Judged) -> list[tuple[bytes, int]]:
    """The documents that are not taken, as they were read; `metadata.removed_by` says why."""
    import numpy as np

    batch, made = judged.batch, []
    assert batch.raw is not None
    for i in np.flatnonzero(~judged.marks.alive).tolist():
        place = f"{judged.task.shard.src}:{batch.lines[i]}"
        said = {"provenance": place, "removed_by": judged.marks.of(i)}
        made.append((_line(batch.raw[i], {}, said, []), 1))
    return made


def _line(raw: Any, changed: dict[str, str], said: dict[str, Any], discard: list[str]) -> bytes:
    """The document's JSON with its new text and what is said in `metadata`, all else as it was
    read."""
    fields: dict[str, Any] = _FIELDS.decode(raw) | changed
    metadata = bytes(fields.get("metadata", b"")) or b"null"
    if metadata == b"null":
        fields["metadata"] = said
    elif metadata.startswith(b"{"):
        fields["metadata"] = _FIELDS.decode(metadata) | said
    for name in discard:
        fields.pop(name, None)
    return msgspec.json.encode(fields) + b"\n"
