"""De-duplication by substrings: spans of text that occur before, wherever they begin and end.

Lee et al. 2021, "Deduplicating Training Data Makes Language Models Better", section 4.1. A place in
a text is marked if it lies in a match of at least N units with text that occurs earlier in
canonical order: in an earlier document, or in the same one at an earlier place, which the match may
overlap: of `aaaa`, with N = 2, all but the first `a` is marked. So the first occurrence is kept. No
match goes across the end of a document.

Units are tokens, which are words of UAX #29 that are not white space alone, punctuation marks among
them, or characters, which are code points. Tokens match together with the white space between them.
A match is as long as it can be, but a place lies in one of at least N units just if a window of N
units that covers it occurs before. So windows are all that is looked for (`repeats`).

Four phases: `hashing`, a unit a file, leaves the fingerprints of windows on disk; `finding`, a unit
a shard, finds those that occur before; `adding up`, one unit; `writing`, a unit a file.

Columns: the spans `name`, merged where they overlap or touch, with the number of units in each for
its score; `<name>_fraction`, the spans' share of the text's code points (0.0 of an empty text).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import attribute_files, attributes, files, kernels
from dolma_kit.attributes import Format, Kind, Spans
from dolma_kit.deduplication import repeats
from dolma_kit.deduplication.inputs import Inputs
from dolma_kit.deduplication.repeats import N_RANGES, ShardTask
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Plan
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FINDING, ADDING = "finding", "adding up"
FOUND = "found.json"
KERNELS = ("unicode", "hashing", "uax29", "windows")
FEWEST_SHARDS = 16  # for workers to share, and for tables that stay in the cache
UNPACKED = 4  # bytes of text to a byte of a compressed file, about
BYTES_OF_UNIT = {"tokens": 5, "characters": 1}  # about


@dataclass(frozen=True)
class WindowTask:
    """One file of documents, number `number` in canonical order; windows of `length` units."""

    number: int
    temporary: str
    length: int
    unit: str


@dataclass(frozen=True)
class WriteTask:
    """One attribute file to write; `made_by` goes into it."""

    windows: WindowTask
    shards: list[ShardTask]
    output: str
    format: Format
    name: str
    made_by: dict[str, Any]


def plan(inputs: Inputs) -> Plan:
    """Windows, and what is found of them, belong to the first folder's ledger."""
    settings, temporary = inputs.settings, inputs.temporary
    if settings.by != "document" or settings.key != "text":
        raise ConfigError("--method substring compares places of texts: no --by, no --key")
    if settings.keep != "first":
        raise ConfigError("--method substring keeps what is first: no --keep")
    length, unit = settings.substring_length, settings.substring_unit
    name, format, made_by = inputs.name, settings.format, inputs.made_by
    n = _n_shards(inputs)
    shards = [ShardTask(i, n, len(inputs), temporary, settings.shard_bytes) for i in range(n)]

    def window_task(i: int) -> WindowTask:
        return WindowTask(i, temporary, length, unit)

    phases = [
        inputs.reading(Windower, WindowSink, window_task),
        inputs.between(
            FINDING, repeats.find, {f"{FINDING} {i} of {n}": task for i, task in enumerate(shards)}
        ),
        inputs.between(ADDING, add_up, {f"{ADDING} {n}": shards}),
        inputs.writing(
            write_file,
            lambda i, path: WriteTask(window_task(i), shards, path, format, name, made_by),
        ),
    ]
    return inputs.plan(phases, columns(name), KERNELS)


def _n_shards(inputs: Inputs) -> int:
    """About as many as it takes for one to fit in its bytes; no output depends on it."""
    n_bytes = sum(
        files.size(path) * (1 if path.endswith((".jsonl", ".json")) else UNPACKED)
        for path in inputs.paths
    )
    settings = inputs.settings
    n_windows = n_bytes // BYTES_OF_UNIT[settings.substring_unit]
    needed = -(-n_windows * repeats.SLOT_BYTES * 3 // 2 // settings.shard_bytes)
    return min(N_RANGES, max(FEWEST_SHARDS, needed))


def columns(name: str) -> dict[str, Kind]:
    """The columns that are written, in their order."""
    column = attributes.column_name(name)
    return {column: "spans", f"{column}_fraction": "score"}


class Windower:
    """The worker: a batch's windows as a chunk, and what writing needs of its documents."""

    def __init__(self, task: WindowTask) -> None:
        self._task = task

    def __call__(self, batch: Batch) -> tuple[pa.RecordBatch, dict[str, NDArray[Any]]]:
        from dolma_kit.execute.spill import rows_of

        bounds, n = (batch.offsets[:-1], batch.offsets[1:]), self._task.length
        if self._task.unit == "characters":
            counts = batch.n_characters
            found = kernels.windows.of_characters(batch.text_bytes, *bounds, counts, n)
            return rows_of(batch, counts), repeats.chunk_of(*found, counts)
        prints, places, counts, tokens = kernels.windows.of_tokens(batch.text_bytes, *bounds, n)
        chunk = repeats.chunk_of(prints, places, counts)
        return rows_of(batch, counts), {**chunk, "tokens": tokens}


class WindowSink(Sink):
    """The sink: the intermediate files of one file of documents."""

    def __init__(self, task: WindowTask) -> None:
        from dolma_kit.execute.spill import Spill, SpillWriter

        kinds = ("prints", "places", "index", "units") + (
            ("tokens",) if task.unit == "tokens" else ()
        )
        self._writer = SpillWriter(Spill(task.temporary, task.number), kinds)
        self._n_windows = 0
        self._broken = True

    def open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self._writer)

    def take(self, answer: tuple[pa.RecordBatch, dict[str, NDArray[Any]]]) -> None:
        rows, chunk = answer
        self._writer.write(rows, **chunk)
        self._n_windows += len(chunk["places"])

    def end(self, read: Read) -> None:
        self._broken = False

    def result(self, read: Read) -> Result:
        self._writer.finish(read, set_aside=self._broken)
        return Result(outputs=self._writer.outputs, counts={"keys": self._n_windows})


def add_up(tasks: list[ShardTask]) -> Result:
    """How many windows there are, and how many of them occur before."""
    from dolma_kit.execute.spill import Spill, mapped

    first = tasks[0]
    spills = [Spill(first.temporary, i) for i in range(first.n_inputs)]
    found = {
        "documents": sum(spill.about().documents for spill in spills),
        "windows": sum(os.path.getsize(spill.path("places")) // 4 for spill in spills),
        "repeats": sum(len(mapped(task.path("repeats"), "<i8")) for task in tasks),
    }
    path = os.path.join(first.temporary, FOUND)
    with files.write_atomically(path, synced=False) as stream:
        stream.write(msgspec.json.encode(found, order="deterministic"))
    return Result(outputs=[path], counts=found)


def write_file(task: WriteTask) -> Result:
    """Make one attribute file of an input's windows that occur before."""
    import numpy as np

    from dolma_kit.execute.spill import Spill

    spill = Spill(task.windows.temporary, task.windows.number)
    about = spill.about()
    with open(os.path.join(task.windows.temporary, FOUND), "rb") as stream:
        found = msgspec.json.decode(stream.read(), type=dict[str, int])
    counts: dict[str, Any] = {"sha256": about.sha256, "found": found}
    if about.set_aside:
        return Result(counts={**counts, "duplicates": 0})
    kinds = columns(task.name)
    repeated = repeats.repeats_of(task.shards, task.windows.number)
    tokens = None
    if task.windows.unit == "tokens":
        tokens = spill.mapped("tokens", "<u4").reshape(-1, 2)
    first = n_spans = 0
    with (
        files.write_atomically(task.output) as output,
        attribute_files.Writer(output, task.format, kinds, task.made_by) as writer,
    ):
        for rows in spill.rows():
            n_characters, n_units = (
                rows.column(name).to_numpy() for name in ("n_characters", "n_keys")
            )
            offsets = first + np.concatenate(([0], np.cumsum(n_units, dtype=np.int64)))
            begin, end = np.searchsorted(repeated, offsets[[0, -1]])
            spans = spans_of(repeated[begin:end], task.windows.length, offsets, tokens)
            values = (spans, fractions(spans, n_characters))
            writer.write(
                attribute_files.rows(
                    rows.column("id"),
                    rows.column("source"),
                    n_characters,
                    dict(zip(kinds, values, strict=True)),
                    task.format,
                    kinds,
                )
            )
            n_spans += len(spans.start)
            first = int(offsets[-1])
    return Result(
        documents=about.documents,
        bytes_in=about.bytes_in,
        bytes_out=files.size(task.output),
        outputs=[task.output],
        counts={**counts, "duplicates": n_spans},
    )


def spans_of(
    repeated: NDArray[np.int64],
    length: int,
    offsets: NDArray[np.int64],
    tokens: NDArray[np.uint32] | None,
) -> Spans:
    """The spans that windows cover, merged where they overlap or touch in code points.

    `repeated` (n,) int64 are the windows' first units, ascending; document i has the units
    `offsets[i]` to `offsets[i + 1]`; `tokens` (n_units, 2) is where units are, None for characters.
    """
    import numpy as np

    docs = np.searchsorted(offsets, repeated, "right") - 1
    last = repeated + length - 1
    if tokens is None:
        begin, end = repeated - offsets[docs], last + 1 - offsets[docs]
    else:
        begin, end = tokens[repeated, 0].astype(np.int64), tokens[last, 1].astype(np.int64)
    # Within a document both rise from one window to the next.
    is_first = np.ones(len(repeated), np.bool_)
    is_first[1:] = (docs[1:] != docs[:-1]) | (begin[1:] > end[:-1])
    is_last = np.append(is_first[1:], True)[: len(repeated)]
    of_document = np.searchsorted(docs[is_first], np.arange(len(offsets)))
    n_units = last[is_last] + 1 - repeated[is_first]
    return Spans(
        of_document.astype(np.int64), begin[is_first], end[is_last], n_units.astype(np.float64)
    )


def fractions(spans: Spans, n_characters: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_docs,) float64: the share of each text that lies in its spans, which do not overlap."""
    import numpy as np

    covered = np.concatenate(([0], np.cumsum(spans.end - spans.start)))
    within = covered[spans.offsets[1:]] - covered[spans.offsets[:-1]]
    return np.asarray(within / np.maximum(n_characters, 1))
