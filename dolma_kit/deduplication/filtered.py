"""De-duplication by a Bloom filter: what occurs before, in memory of a few bytes a key.

Four phases. `hashing`, a unit a file, reads the documents and leaves their keys' hashes on disk;
`marking`, a unit a partition of the filter, passes all hashes through it in canonical order;
`filling` adds up what they found and keeps the filter, if that is asked for; `writing`, a unit a
file, makes the attribute files. The first occurrence in canonical order is kept, a repeat within a
document is a duplicate too, and no number of workers or partitions changes a byte. With `--keep` a
phase `ranking` sorts the documents (`keeping`), and keys pass in that order. With a filter on disk,
what it holds counts as having occurred before; with `--read-only` nothing else does.

By document: the score `name`, 1.0 for a duplicate, else 0.0. By paragraph: the spans `name`, each
over a duplicate and the separator that follows it, with the score 1.0; and the score
`<name>_fraction`, the spans' share of the text's code points (0.0 of an empty text). By n-gram the
same columns: a span for each paragraph of whose n-grams a share of at least `overlap_threshold`
occurs before, with that share for its score, rounded to 5 decimals.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dolma_kit import attribute_files, attributes, files, kernels
from dolma_kit.attributes import Format, Kind, Spans
from dolma_kit.deduplication import keeping
from dolma_kit.deduplication.inputs import Inputs
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Plan, usable_cpus
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.config import Dedupe
    from dolma_kit.deduplication.keys import Selection
    from dolma_kit.deduplication.marking import MarkTask
    from dolma_kit.execute.spill import Spill

MARKING, FILLING = "marking", "filling"
#: intermediate files, by what is compared
KINDS = {
    "document": ("hashes",),
    "paragraph": ("hashes", "spans"),
    "ngram": ("hashes", "spans", "grams", "paragraphs"),
}
KERNELS = ("unicode", "hashing", "paragraphs", "bloom")
NGRAM_KERNELS = ("uax29", "windows", "minhash", "word_ngrams", "rounding")


@dataclass(frozen=True)
class HashTask:
    """One file of documents to turn into hashes, number `number` in canonical order."""

    number: int
    temporary: str
    selection: Selection
    with_checks: bool = False


@dataclass(frozen=True)
class WriteTask:
    """One attribute file to write; `made_by` goes into it."""

    number: int
    marking: MarkTask
    output: str
    format: Format
    name: str
    by: str
    overlap_threshold: float
    made_by: dict[str, Any]


def plan(inputs: Inputs) -> Plan:
    """Hashes and marks belong to the first folder's ledger."""
    from dolma_kit.deduplication import bloom, marking, structures

    settings, temporary = inputs.settings, inputs.temporary
    structure = structures.asked_for(
        is_classic=settings.classic, fingerprints=settings.fingerprints
    )
    with_checks = structure.hash_bits > 64
    if with_checks and settings.by == "ngram":
        raise ConfigError("--by ngram has hashes of 64 bits: take --fingerprints 64")
    selection = selection_of(settings)
    described = {k: v for k, v in dataclasses.asdict(selection).items() if v is not None}
    if settings.expected_items is not None:
        structure.require_rate(settings.expected_items, settings.fp_rate)
        size = structure.size_for(settings.expected_items, settings.fp_rate)
        bloom.require_memory(size, settings.expected_items, settings.fp_rate, settings.partitions)
    ranking, more = keeping.ranking(inputs)
    more |= _checked_filter(settings, described, structure.name)
    tasks = [
        marking.MarkTask(
            partition=i,
            n_partitions=settings.partitions,
            srcs=tuple(shard.src for shard, _ in inputs.shards),
            temporary=temporary,
            selection=described,
            expected_items=settings.expected_items,
            fp_rate=settings.fp_rate,
            threads=settings.workers or usable_cpus(),
            path=settings.filter,
            read_only=settings.read_only,
            rebuild=settings.rebuild,
            structure=structure.name,
            by_place=bool(ranking),
        )
        for i in range(settings.partitions)
    ]
    name, by, format = inputs.name, settings.by, settings.format
    made_by = inputs.made_by | more

    def write_task(i: int, path: str) -> WriteTask:
        threshold = settings.overlap_threshold
        return WriteTask(i, tasks[0], path, format, name, by, threshold, made_by)

    phases = [
        inputs.reading(Hasher, HashSink, lambda i: HashTask(i, temporary, selection, with_checks)),
        *ranking,
        inputs.between(
            MARKING,
            marking.mark,
            {f"{MARKING} {i}": task for i, task in enumerate(tasks)},
            tasks[0].threads,
        ),
        inputs.between(FILLING, marking.fill, {FILLING: tasks[0]}),
        inputs.writing(write_file, write_task),
    ]
    needed = KERNELS + (NGRAM_KERNELS if by == "ngram" else ())
    needed += structure.kernels
    return inputs.plan(phases, columns(name, by), needed, more)


def selection_of(settings: Dedupe) -> Selection:
    """What of a document is a key. A stride of 0, as Dolma has it, is one of 1."""
    from dolma_kit.deduplication.keys import Selection

    by_ngram = settings.by == "ngram"
    return Selection(
        by=settings.by,
        key=settings.key,
        separator=settings.separator,
        min_length=settings.min_length,
        min_words=settings.min_words,
        skip_empty=settings.skip_empty,
        ngram_length=settings.ngram_length if by_ngram else None,
        stride=max(settings.stride, 1) if by_ngram else None,
        skip_short_paragraphs=settings.skip_short_paragraphs if by_ngram else None,
    )


def _checked_filter(settings: Dedupe, selection: dict[str, Any], structure: str) -> dict[str, Any]:
    """What a filter on disk adds to the config; ConfigError where it cannot be used."""
    from dolma_kit.deduplication import filters

    if settings.filter is None:
        if settings.read_only or settings.rebuild:
            flag = "--read-only" if settings.read_only else "--rebuild"
            raise ConfigError(f"{flag} is about a filter: name one with --filter FILE")
        return {}
    if settings.read_only and settings.rebuild:
        raise ConfigError("--read-only and --rebuild exclude each other: leave one out")
    if files.is_remote(settings.filter):
        raise ConfigError(f"{settings.filter}: a filter is kept on a local or shared disk")
    is_there = os.path.exists(settings.filter)
    if settings.read_only and not is_there:
        raise ConfigError(f"no filter {settings.filter} to look keys up in: make it first")
    if is_there and not settings.rebuild:
        found = filters.FilterFile(settings.filter).description
        filters.check_use(
            found, settings.filter, selection, structure, read_only=settings.read_only
        )
    if not settings.read_only:
        files.require_writable(os.path.dirname(os.path.abspath(settings.filter)))
        return {"filter": "kept"}
    return {"filter": {"read_only": files.sha256(settings.filter)}}


def columns(name: str, by: str) -> dict[str, Kind]:
    """The columns that are written, in their order."""
    column = attributes.column_name(name)
    if by == "document":
        return {column: "score"}
    return {column: "spans", f"{column}_fraction": "score"}


class Hasher:
    """The worker: the hashes of a batch's keys, and what writing needs of its documents."""

    def __init__(self, task: HashTask) -> None:
        self._task = task

    def __call__(self, batch: Batch) -> tuple[Any, Any]:
        from dolma_kit.deduplication.keys import keys_of
        from dolma_kit.execute.spill import rows_of

        keys = keys_of(batch, self._task.selection, with_checks=self._task.with_checks)
        return rows_of(batch, keys.n_per_document), keys


class HashSink(Sink):
    """The sink: the intermediate files of one file of documents."""

    def __init__(self, task: HashTask) -> None:
        from dolma_kit.execute.spill import Spill, SpillWriter

        kinds = KINDS[task.selection.by] + (("checks",) if task.with_checks else ())
        self._spill = Spill(task.temporary, task.number)
        self._writer = SpillWriter(self._spill, kinds)
        self._broken = True

    def open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self._writer)

    def take(self, answer: tuple[Any, Any]) -> None:
        rows, keys = answer
        self._writer.write(rows, hashes=keys.hashes)
        if keys.spans is not None:
            self._writer.write(spans=keys.spans)
        if keys.checks is not None:
            self._writer.write(checks=keys.checks)
        if keys.n_per_span is not None and keys.spans_per_document is not None:
            self._writer.write(grams=keys.n_per_span, paragraphs=keys.spans_per_document)

    def end(self, read: Read) -> None:
        self._broken = False

    def result(self, read: Read) -> Result:
        self._writer.finish(read, set_aside=self._broken)
        return Result(outputs=self._writer.outputs, counts={"keys": self._spill.n_keys})


def write_file(task: WriteTask) -> Result:
    """Make one attribute file of an input's marks."""
    from dolma_kit.deduplication.marking import marked_of, marks_of
    from dolma_kit.execute.spill import Spill

    spill = Spill(task.marking.temporary, task.number)
    marked = marked_of(task.marking.temporary)
    found = msgspec.to_builtins(marked)
    if spill.about().set_aside:
        return nothing_of(spill, found)
    made_by = task.made_by | {"shape": {"n_blocks": marked.n_blocks, "k": marked.k}}
    marks = marks_of(task.marking, task.number)
    return write_marks(
        spill, marks, Output(task.output, task.format, task.name, task.by, made_by),
        found, task.overlap_threshold,
    )  # fmt: skip


class Output(NamedTuple):
    """An attribute file to be written; `by` is what was compared, `made_by` goes into it."""

    path: str
    format: Format
    name: str
    by: str
    made_by: dict[str, Any]


def nothing_of(spill: Spill, found: dict[str, Any]) -> Result:
    """The result for an input of which there are to be no attributes."""
    return Result(counts={"sha256": spill.about().sha256, "found": found, "duplicates": 0})


def write_marks(
    spill: Spill,
    marks: NDArray[np.bool_],
    out: Output,
    found: dict[str, Any],
    overlap_threshold: float = 1.0,
) -> Result:
    """Make one attribute file; `marks` (n_keys,) says which of an input's keys occur before."""
    import numpy as np

    about = spill.about()
    kinds = columns(out.name, out.by)
    spans = None if out.by == "document" else spill.spans()
    # By n-gram a paragraph has a score of its keys; else it is a key itself.
    scores: NDArray[np.float64] = marks.astype(np.float64)
    is_duplicate = marks
    if out.by == "ngram":
        shares = _shares(marks, spill.mapped("grams", "<i8").reshape(-1, 2))
        n_paragraphs = spill.mapped("paragraphs", "<i8")
        is_duplicate = shares >= overlap_threshold
        scores = kernels.rounding.round5(shares)
    first = first_document = 0
    with (
        files.write_atomically(out.path) as output,
        attribute_files.Writer(output, out.format, kinds, out.made_by) as writer,
    ):
        for rows in spill.rows():
            n_characters, n_pieces = (
                rows.column(name).to_numpy() for name in ("n_characters", "n_keys")
            )
            if out.by == "ngram":
                n_pieces = n_paragraphs[first_document : first_document + len(n_pieces)]
            first_document += len(n_pieces)
            offsets = np.concatenate(([0], np.cumsum(n_pieces)))
            here = slice(first, first + int(offsets[-1]))
            if spans is None:
                values: list[Any] = [_scores(is_duplicate[here], n_pieces)]
            else:
                own = _spans(is_duplicate[here], scores[here], spans[here], offsets)
                values = [own, _fractions(own, n_characters)]
            by_column = dict(zip(kinds, values, strict=True))
            ids, sources = rows.column("id"), rows.column("source")
            writer.write(
                attribute_files.rows(ids, sources, n_characters, by_column, out.format, kinds)
            )
            first = here.stop
    return Result(
        documents=about.documents,
        bytes_in=about.bytes_in,
        bytes_out=files.size(out.path),
        outputs=[out.path],
        counts={"sha256": about.sha256, "found": found, "duplicates": int(is_duplicate.sum())},
    )


def _scores(duplicate: NDArray[np.bool_], n_keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_docs,) float64 1.0 or 0.0; a document has one key or, where it took no part, none."""
    import numpy as np

    scores = np.zeros(len(n_keys), np.float64)
    scores[n_keys == 1] = duplicate
    return scores


def _shares(marks: NDArray[np.bool_], n_keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_paragraphs,) float64: the share of each one's counting keys that occur before.

    `n_keys` (n_paragraphs, 2) int64: a paragraph's keys, and how many of them, the last, count.
    """
    import numpy as np

    known = np.concatenate(([0], np.cumsum(marks, dtype=np.int64)))
    ends = np.cumsum(n_keys[:, 0])
    counting = n_keys[:, 1]
    shares: NDArray[np.float64] = (known[ends] - known[ends - counting]) / counting
    return shares


def _spans(
    is_duplicate: NDArray[np.bool_],
    scores: NDArray[np.float64],
    spans: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> Spans:
    """The duplicates among paragraphs, by document: document i has those from `offsets[i]` on."""
    import numpy as np

    where = np.flatnonzero(is_duplicate)
    of_documents = np.searchsorted(where, offsets).astype(np.int64)
    return Spans(of_documents, spans[where, 0], spans[where, 1], scores[where])


def _fractions(spans: Spans, n_characters: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_docs,) float64: the share of each text that lies in its spans, which do not overlap."""
    import numpy as np

    covered = np.concatenate(([0], np.cumsum(spans.end - spans.start)))
    within = covered[spans.offsets[1:]] - covered[spans.offsets[:-1]]
    return np.asarray(within / np.maximum(n_characters, 1))
