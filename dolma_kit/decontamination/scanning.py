"""Looking for items in documents: an index, and then a unit a file.

The index belongs to no unit: whichever process needs it first makes it, while others wait. In the
ledger's temporary folder, with RULE the id of a rule and DIGEST that of all that decides an index:

    DIGEST.items.json     the items, as `items.read` gives them, and what was left out
    DIGEST.RULE.index     what its finders look for (`index_files`)
    DIGEST.RULE.left_out  uint8 (n_items,): 0, or the number of the reason why it cannot be found
    NNNNNN.RULE.scores    float64 (n_docs,), little-endian: the rule's score of each document
    NNNNNN.RULE.hits      Arrow stream, a row a hit (`hits_schema`)
    NNNNNN.RULE.windows   int64, little-endian: windows found, of rules that add up over documents
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import config, files
from dolma_kit.decontamination import items as evaluations
from dolma_kit.decontamination.items import Item
from dolma_kit.documents import Batch
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.decontamination.finding import Found, Rule

LONGEST_TEXT, LONGEST_CONTEXT = 300, 100  # characters that are kept of a match, and around it


class Indexed(msgspec.Struct, frozen=True, kw_only=True):
    """What was indexed; `reasons` are those for which each rule leaves items out."""

    items: list[Item]
    n_empty: int
    n_other_splits: int
    reasons: dict[str, list[str]]


@dataclass(frozen=True)
class IndexFiles:
    """The index of all evaluations, for all rules. `evals` are paths with their SHA-256."""

    evals: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...]
    splits: tuple[str, ...]
    rules: tuple[Rule, ...]
    temporary: str

    @functools.cached_property
    def digest(self) -> str:
        rules = [msgspec.to_builtins(rule) for rule in self.rules]
        return config.digest(
            {"evals": self.evals, "fields": self.fields, "splits": self.splits, "rules": rules}
        )[:16]

    def path(self, kind: str) -> str:
        return os.path.join(self.temporary, f"{self.digest}.{kind}")

    def indexed(self) -> Indexed:
        """What is in the index, which is made if it is not there."""
        self.require()
        with open(self.path("items.json"), "rb") as stream:
            return msgspec.json.decode(stream.read(), type=Indexed)

    def arrays(self, rule: str) -> dict[str, NDArray[Any]]:
        """What finders of a rule look for, mapped from disk."""
        from dolma_kit.decontamination import index_files

        self.require()
        return index_files.read(self.path(f"{rule}.index"))

    def left_out(self, rule: str) -> NDArray[np.uint8]:
        """(n_items,) uint8: 0, or the number of the reason for which an item is not in it."""
        import numpy as np

        self.require()
        return np.fromfile(self.path(f"{rule}.left_out"), np.uint8)

    def require(self) -> None:
        """Make the index if it is not there; `items.json` is written last."""
        if os.path.exists(self.path("items.json")):
            return
        os.makedirs(self.temporary, exist_ok=True)
        with open(self.path("lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(self.path("items.json")):
                self._make()

    def _make(self) -> None:
        from dolma_kit.decontamination import index_files

        read = evaluations.read([path for path, _ in self.evals], dict(self.fields), self.splits)
        reasons = {}
        for rule in self.rules:
            made = rule.index(read.items)
            reasons[rule.id] = list(made.reasons)
            index_files.write(self.path(f"{rule.id}.index"), made.arrays)
            with files.write_atomically(self.path(f"{rule.id}.left_out"), synced=False) as stream:
                stream.write(made.left_out.tobytes())
        indexed = Indexed(
            items=read.items, n_empty=read.n_empty, n_other_splits=read.n_other_splits,
            reasons=reasons,
        )  # fmt: skip
        with files.write_atomically(self.path("items.json"), synced=False) as stream:
            stream.write(msgspec.json.encode(indexed, order="deterministic"))


@dataclass(frozen=True)
class ScanTask:
    """One file of documents, number `number` in canonical order."""

    number: int
    index: IndexFiles

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.index.rules

    @property
    def temporary(self) -> str:
        return self.index.temporary

    def path(self, rule: str, kind: str) -> str:
        return os.path.join(self.temporary, f"{self.number:06d}.{rule}.{kind}")


class Scanner:
    """The worker: what each rule finds in a batch, and what writing needs of its documents."""

    def __init__(self, task: ScanTask) -> None:
        self._finders = {rule.id: rule.finder(task.index.arrays(rule.id)) for rule in task.rules}

    def __call__(self, batch: Batch) -> tuple[pa.RecordBatch, dict[str, Any]]:
        import numpy as np

        from dolma_kit.decontamination.finding import WordsOf
        from dolma_kit.execute.spill import rows_of

        words = WordsOf(batch)
        answers = {}
        for rule, finder in self._finders.items():
            found = finder(batch, words)
            answers[rule] = found.scores, hits_of(batch, found), found.windows
        return rows_of(batch, np.zeros(len(batch), np.int64)), answers


def hits_schema() -> pa.Schema:
    """Rows count the documents of the file; `places` are in code points. Of a document and an item
    only the first hit has texts: what matches, shortened, and what stands around it."""
    import pyarrow as pa

    place = pa.struct([("start", pa.int64()), ("end", pa.int64())])
    return pa.schema(
        [
            *(("row", pa.int64()), ("item", pa.int64()), ("needle", pa.int64())),
            *(("score", pa.float64()), ("places", pa.list_(place))),
            *(("text", pa.string()), ("before", pa.string()), ("after", pa.string())),
        ]
    )


def hits_of(batch: Batch, found: Found) -> pa.RecordBatch:
    """The hits of a batch, of `hits_schema`; rows count its own documents."""
    import numpy as np
    import pyarrow as pa

    schema = hits_schema()
    n = len(found.documents)
    texts: list[tuple[str | None, str | None, str | None]] = [(None, None, None)] * n
    is_new = np.ones(n, np.bool_)
    is_new[1:] = (found.documents[1:] != found.documents[:-1]) | (
        found.items[1:] != found.items[:-1]
    )
    document, text = -1, ""
    for i in np.flatnonzero(is_new).tolist():
        if found.documents[i] != document:
            document = int(found.documents[i])
            text = batch.table.column("text")[document].as_py()
        first, last = found.place_offsets[i], found.place_offsets[i + 1] - 1
        if last < first:
            continue
        start, end = int(found.places[first, 0]), int(found.places[last, 1])
        shown = text[start:end]
        if len(shown) > LONGEST_TEXT:
            shown = f"{shown[: LONGEST_TEXT // 2]} ... {shown[-LONGEST_TEXT // 2 :]}"
        before = text[max(0, start - LONGEST_CONTEXT) : start]
        texts[i] = shown, before, text[end : end + LONGEST_CONTEXT]
    places = pa.ListArray.from_arrays(
        pa.array(found.place_offsets, pa.int32()),
        pa.StructArray.from_arrays(
            [pa.array(found.places[:, 0]), pa.array(found.places[:, 1])], ["start", "end"]
        ),
    )
    columns = [
        pa.array(found.documents), pa.array(found.items), pa.array(found.needles),
        pa.array(found.hit_scores), places,
        *(pa.array([row[k] for row in texts], pa.string()) for k in range(3)),
    ]  # fmt: skip
    return pa.record_batch(columns, schema=schema)


class ScanSink(Sink):
    """The sink: the intermediate files of one file of documents."""

    def __init__(self, task: ScanTask) -> None:
        from dolma_kit.execute.spill import Spill, SpillWriter

        self._task = task
        kinds = [f"{rule.id}.scores" for rule in task.rules]
        self._writer = SpillWriter(Spill(task.temporary, task.number), kinds)
        self._n_rows = 0
        self._n_hits = 0
        self._broken = True
        self._windows: dict[str, list[NDArray[np.int64]]] = {rule.id: [] for rule in task.rules}

    def open(self, stack: contextlib.ExitStack) -> None:
        import pyarrow as pa

        stack.enter_context(self._writer)
        self._hits = {}
        for rule in self._task.rules:
            opened = files.write_atomically(self._task.path(rule.id, "hits"), synced=False)
            stream = stack.enter_context(opened)
            self._hits[rule.id] = stack.enter_context(pa.ipc.new_stream(stream, hits_schema()))

    def take(self, answer: tuple[pa.RecordBatch, dict[str, Any]]) -> None:
        import pyarrow.compute as pc

        rows, by_rule = answer
        self._writer.write(rows)
        for rule, (scores, hits, windows) in by_rule.items():
            self._writer.write(**{f"{rule}.scores": scores})
            counted = pc.add(hits.column("row"), self._n_rows)
            self._hits[rule].write_batch(hits.set_column(0, "row", counted))
            self._n_hits += hits.num_rows
            if len(windows):
                self._windows[rule].append(windows)
        self._n_rows += rows.num_rows

    def end(self, read: Read) -> None:
        self._broken = False

    def result(self, read: Read) -> Result:
        import numpy as np

        outputs = list(self._writer.outputs)
        for rule, found in self._windows.items():
            outputs.append(self._task.path(rule, "hits"))
            outputs.append(self._task.path(rule, "windows"))
            numbers = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
            with files.write_atomically(outputs[-1], synced=False) as stream:
                stream.write(numbers.astype("<i8", copy=False).tobytes())
        self._writer.finish(read, set_aside=self._broken)
        return Result(outputs=outputs, counts={"hits": self._n_hits})


def hits_in(task: ScanTask, rule: str) -> Iterator[pa.RecordBatch]:
    """The hits of a file, of `hits_schema`."""
    import pyarrow as pa

    with pa.OSFile(task.path(rule, "hits")) as stream:
        yield from pa.ipc.open_stream(stream)
