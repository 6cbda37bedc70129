"""De-duplication by a Bloom filter: what occurs before, in memory of a few bytes a key.

Three phases. `hashing`, a unit a file, reads the documents and leaves their keys' hashes on disk;
`marking`, one unit, passes all hashes in canonical order through one Bloom filter; `writing`, a
unit a file, makes the attribute files. The first occurrence in canonical order is kept, a repeat
within a document is a duplicate too, and no number of workers changes a byte: a thread of
`marking` owns a contiguous range of the filter's blocks and sees all hashes in sequence.

By document: the score `name`, 1.0 for a duplicate, else 0.0. By paragraph: the spans `name`, each
over a duplicate and the separator that follows it, with the score 1.0; and the score
`<name>_fraction`, the spans' share of the text's code points (0.0 of an empty text).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attribute_files, attributes, files
from dolma_kit.attributes import Format, Kind, Spans
from dolma_kit.deduplication.inputs import Inputs
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Plan, usable_cpus
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.deduplication.bloom import Geometry
    from dolma_kit.deduplication.keys import Selection

MARKING = "marking"
KERNELS = ("unicode", "hashing", "paragraphs", "bloom")
KEYS_AT_ONCE = 1 << 22  # a multiple of 8: marks go to disk as whole bytes
FILTER = "filter.json"


@dataclass(frozen=True)
class HashTask:
    """One file of documents to turn into hashes, number `number` in canonical order."""

    number: int
    temporary: str
    selection: Selection


@dataclass(frozen=True)
class MarkTask:
    """All hashes to pass through the filter; `expected_items` None sizes it for as many as come."""

    n_inputs: int
    temporary: str
    expected_items: int | None
    fp_rate: float
    threads: int


@dataclass(frozen=True)
class WriteTask:
    """One attribute file to write; `made_by` goes into it."""

    number: int
    temporary: str
    output: str
    format: Format
    name: str
    by: str
    made_by: dict[str, Any]


def plan(inputs: Inputs) -> Plan:
    """Hashes and marks belong to the first folder's ledger."""
    from dolma_kit.deduplication import bloom
    from dolma_kit.deduplication.keys import Selection

    settings, temporary = inputs.settings, inputs.temporary
    selection = Selection(
        by=settings.by,
        key=settings.key,
        separator=settings.separator,
        min_length=settings.min_length,
        min_words=settings.min_words,
        skip_empty=settings.skip_empty,
    )
    if settings.expected_items is not None:
        size = bloom.size_for(settings.expected_items, settings.fp_rate)
        bloom.require_memory(size, settings.expected_items, settings.fp_rate)
    threads = settings.workers or usable_cpus()
    marking = MarkTask(
        n_inputs=len(inputs),
        temporary=temporary,
        expected_items=settings.expected_items,
        fp_rate=settings.fp_rate,
        threads=threads,
    )
    name, by, made_by, format = inputs.name, settings.by, inputs.made_by, settings.format

    def write_task(i: int, path: str) -> WriteTask:
        return WriteTask(i, temporary, path, format, name, by, made_by)

    phases = [
        inputs.reading(Hasher, HashSink, lambda i: HashTask(i, temporary, selection)),
        inputs.between(MARKING, mark, {MARKING: marking}, threads),
        inputs.writing(write_file, write_task),
    ]
    return inputs.plan(phases, columns(name, by), KERNELS)


def columns(name: str, by: str) -> dict[str, Kind]:
    """The columns that are written, in their order."""
    column = attributes.column_name(name)
    if by == "document":
        return {column: "score"}
    return {column: "spans", f"{column}_fraction": "score"}


class Hasher:
    """The worker: the hashes of a batch's keys, and what writing needs of its documents."""

    def __init__(self, task: HashTask) -> None:
        self._selection = task.selection

    def __call__(self, batch: Batch) -> tuple[Any, Any]:
        from dolma_kit.deduplication.keys import keys_of
        from dolma_kit.deduplication.spill import rows_of

        keys = keys_of(batch, self._selection)
        return rows_of(batch, keys.n_per_document), keys


class HashSink(Sink):
    """The sink: the intermediate files of one file of documents."""

    def __init__(self, task: HashTask) -> None:
        from dolma_kit.deduplication.spill import Spill, SpillWriter

        kinds = ("hashes", "spans") if task.selection.by == "paragraph" else ("hashes",)
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

    def end(self, read: Read) -> None:
        self._broken = False

    def result(self, read: Read) -> Result:
        self._writer.finish(read, set_aside=self._broken)
        return Result(outputs=self._writer.outputs, counts={"keys": self._spill.n_keys})


def mark(task: MarkTask) -> Result:
    """Pass all hashes in canonical order through one filter and leave a mark for each.

    ConfigError where the filter would not fit in memory, or holds more than `expected_items` in
    the end, so that its false-positive rate is not the one that was asked for.
    """
    from dolma_kit.deduplication import bloom
    from dolma_kit.deduplication.spill import Marked, Spill

    spills = [Spill(task.temporary, i) for i in range(task.n_inputs)]
    n_keys = sum(spill.n_keys for spill in spills)
    n_expected = n_keys if task.expected_items is None else task.expected_items
    geometry = bloom.size_for(n_expected, task.fp_rate)
    bloom.require_memory(geometry, n_expected, task.fp_rate)
    n_duplicates = 0
    with ThreadPoolExecutor(task.threads) as threads:
        look_up = _filter(geometry, task.threads, threads)
        for spill in spills:
            hashes = spill.hashes()
            with files.write_atomically(spill.path("marks"), synced=False) as stream:
                for start in range(0, len(hashes), KEYS_AT_ONCE):
                    n, packed = look_up(hashes[start : start + KEYS_AT_ONCE])
                    n_duplicates += n
                    stream.write(packed)
    n_distinct = n_keys - n_duplicates
    if n_distinct > n_expected:
        rate = bloom.false_positive_rate(n_distinct, geometry)
        raise ConfigError(
            f"the filter was sized for {n_expected:,} keys but took in {n_distinct:,}, which makes "
            f"its false-positive rate {rate:.2g} instead of {task.fp_rate:g}: leave "
            f"--expected-items out, or give at least {n_distinct:,}, with --overwrite"
        )
    marked = Marked(
        keys=n_keys,
        duplicates=n_duplicates,
        n_blocks=geometry.n_blocks,
        k=geometry.k,
        filter_bytes=geometry.n_bytes,
        expected_fp_rate=bloom.false_positive_rate(n_distinct, geometry) + n_distinct / 2**64,
    )
    path = os.path.join(task.temporary, FILTER)
    with files.write_atomically(path, synced=False) as stream:
        stream.write(msgspec.json.encode(marked, order="deterministic"))
    return Result(
        outputs=[*(spill.path("marks") for spill in spills), path],
        counts=msgspec.to_builtins(marked),
    )


def _filter(
    geometry: Geometry, n_ranges: int, threads: ThreadPoolExecutor
) -> Callable[[NDArray[np.uint64]], tuple[int, bytes]]:
    """An empty filter, as a function: hashes in, the number of duplicates and their marks out."""
    import numpy as np

    from dolma_kit.kernels.bloom import check_and_insert, empty_blocks

    blocks = empty_blocks(geometry.n_blocks)
    n_blocks = np.uint64(geometry.n_blocks)
    edges = [geometry.n_blocks * i // n_ranges for i in range(n_ranges + 1)]

    def look_up(hashes: NDArray[np.uint64]) -> tuple[int, bytes]:
        marks = np.zeros(len(hashes), np.uint8)

        def apply(i: int) -> None:
            part = blocks[edges[i] : edges[i + 1]]
            first = np.uint64(edges[i])
            check_and_insert(part, first, n_blocks, hashes, geometry.k, marks)

        list(threads.map(apply, range(n_ranges)))
        return int(marks.sum()), np.packbits(marks, bitorder="little").tobytes()

    return look_up


def write_file(task: WriteTask) -> Result:
    """Make one attribute file of an input's marks."""
    import numpy as np

    from dolma_kit.deduplication.spill import Marked, Spill

    spill = Spill(task.temporary, task.number)
    about = spill.about()
    with open(os.path.join(task.temporary, FILTER), "rb") as stream:
        marked = msgspec.json.decode(stream.read(), type=Marked)
    counts: dict[str, Any] = {"sha256": about.sha256, "found": msgspec.to_builtins(marked)}
    if about.set_aside:
        return Result(counts={**counts, "duplicates": 0})
    made_by = task.made_by | {"filter": {"n_blocks": marked.n_blocks, "k": marked.k}}
    kinds = columns(task.name, task.by)
    duplicate = spill.marks()
    spans = spill.spans() if task.by == "paragraph" else None
    first = 0
    with (
        files.write_atomically(task.output) as output,
        attribute_files.Writer(output, task.format, kinds, made_by) as writer,
    ):
        for rows in spill.rows():
            n_characters, n_keys = (
                rows.column(name).to_numpy() for name in ("n_characters", "n_keys")
            )
            key_offsets = np.concatenate(([0], np.cumsum(n_keys)))
            last = first + int(key_offsets[-1])
            if spans is None:
                values: list[Any] = [_scores(duplicate[first:last], n_keys)]
            else:
                found = _spans(duplicate[first:last], spans[first:last], key_offsets)
                values = [found, _fractions(found, n_characters)]
            by_column = dict(zip(kinds, values, strict=True))
            ids, sources = rows.column("id"), rows.column("source")
            writer.write(
                attribute_files.rows(ids, sources, n_characters, by_column, task.format, kinds)
            )
            first = last
    return Result(
        documents=about.documents,
        bytes_in=about.bytes_in,
        bytes_out=files.size(task.output),
        outputs=[task.output],
        counts={**counts, "duplicates": int(duplicate.sum())},
    )


def _scores(duplicate: NDArray[np.bool_], n_keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_docs,) float64 1.0 or 0.0; a document has one key or, where it took no part, none."""
    import numpy as np

    scores = np.zeros(len(n_keys), np.float64)
    scores[n_keys == 1] = duplicate
    return scores


def _spans(
    duplicate: NDArray[np.bool_], spans: NDArray[np.int64], key_offsets: NDArray[np.int64]
) -> Spans:
    """The duplicates among the keys, by document: document i has keys `key_offsets[i]` on."""
    import numpy as np

    where = np.flatnonzero(duplicate)
    offsets = np.searchsorted(where, key_offsets).astype(np.int64)
    start, end = spans[where, 0], spans[where, 1]
    return Spans(offsets, start, end, np.ones(len(where), np.float64))


def _fractions(spans: Spans, n_characters: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_docs,) float64: the share of each text that lies in its spans, which do not overlap."""
    import numpy as np

    covered = np.concatenate(([0], np.cumsum(spans.end - spans.start)))
    within = covered[spans.offsets[1:]] - covered[spans.offsets[:-1]]
    return np.asarray(within / np.maximum(n_characters, 1))
