"""Why each document of a mix was kept or removed: `decisions.parquet` beside its `documents/`.

A row for each document that was read, by stream, file and line (`SCHEMA`). `rules` are all that say
it goes, in the order in which they are asked, `first` is the first of them, null of one that is
kept; `copies` is how often it was written. `bytes` and `tokens` are those of the text as it was
read (tokens null where nobody counted), `written_bytes` and `written_tokens` of one copy as it was
written, tokens in proportion to bytes; 0 of what was removed. `group` is that of an upsampled
stream. The rules, by the names in the file:

    keep, or each expression    of `keep`, where it is one expression, or a list of them
    include, exclude RULE       of a filter in Dolma's form
    each policy's id
    rate, budget, share         the sample that is taken, by what asks for it; where the stream is
                                upsampled, that policy's id
    min_text_length             asked only of what all others keep, as it is about the text after
                                replacements
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import files, parquet
from dolma_kit.ledger import Record, Result

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch

NAME = "decisions.parquet"
VERSION = b"1"
ROWS_AT_ONCE = 1 << 16


def schema() -> pa.Schema:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            ("stream", name), ("src", name), ("line", pa.int64()), ("id", pa.string()),
            ("bytes", pa.int64()), ("copies", pa.int32()), ("first", pa.string()),
            ("rules", pa.list_(pa.string())), ("group", name), ("tokens", pa.int64()),
            ("written_bytes", pa.int64()), ("written_tokens", pa.int64()),
        ],
        metadata={b"dolma_kit_decisions": VERSION},
    )  # fmt: skip


class Marks:
    """What the rules say of a batch, one after the other."""

    def __init__(self, n_docs: int) -> None:
        import numpy as np

        self.alive = np.ones(n_docs, np.bool_)
        self._fired: list[tuple[str, NDArray[np.bool_]]] = []

    def remove(self, rule: str, fires: NDArray[np.bool_]) -> int:
        """Note of which documents (n_docs,) a rule says that they go; how many are its first."""
        import numpy as np

        n = int(np.count_nonzero(self.alive & fires))
        self.alive &= ~fires
        self._fired.append((rule, fires))
        return n

    def of(self, i: int) -> list[str]:
        """The rules that say that document i goes."""
        return [rule for rule, fires in self._fired if fires[i]]

    def rows(
        self,
        batch: Batch,
        stream: str,
        src: str,
        copies: NDArray[np.int64],
        *,
        groups: Sequence[str] | None,
        tokens: NDArray[np.int64] | None,
        written_bytes: NDArray[np.int64],
        written_tokens: NDArray[np.int64],
    ) -> pa.RecordBatch:
        """The rows of the batch's documents, of `schema`; a token count of -1 is none."""
        import numpy as np
        import pyarrow as pa

        n = len(batch)
        names = [name for name, _ in self._fired]
        fired = np.array([fires for _, fires in self._fired]).reshape(len(names), n)
        where, which = np.nonzero(fired.T)  # by document, then rule
        offsets = np.concatenate(([0], np.cumsum(np.bincount(where, minlength=n)))).astype(np.int32)
        rules = pa.array(names, pa.string()).take(pa.array(which))
        first = pa.array(which[np.minimum(offsets[:-1], max(len(which) - 1, 0))] if len(which)
                         else np.zeros(n, np.int64), mask=np.diff(offsets) == 0)  # fmt: skip
        firsts = pa.array(names, pa.string()).take(first) if names else pa.nulls(n, pa.string())
        repeated = np.zeros(n, np.int32)
        columns = [
            pa.DictionaryArray.from_arrays(pa.array(repeated), pa.array([stream])),
            pa.DictionaryArray.from_arrays(pa.array(repeated), pa.array([src])),
            pa.array(batch.lines),
            batch.table.column("id").cast(pa.string()),
            pa.array(np.diff(batch.offsets)),
            pa.array(np.where(self.alive, copies, 0).astype(np.int32)),
            firsts,
            pa.ListArray.from_arrays(pa.array(offsets), rules),
            _names(groups, n),
            pa.nulls(n, pa.int64()) if tokens is None else pa.array(tokens, mask=tokens < 0),
            pa.array(np.where(self.alive, written_bytes, 0)),
            pa.nulls(n, pa.int64())
            if tokens is None
            else pa.array(np.where(self.alive, written_tokens, 0)),
        ]
        return pa.record_batch(columns, schema=schema())


def _names(groups: Sequence[str] | None, n: int) -> pa.DictionaryArray:
    import pyarrow as pa

    column = pa.nulls(n, pa.string()) if groups is None else pa.array(groups, pa.string())
    return column.dictionary_encode()


class PieceWriter:
    """Writes the decisions of one file of a stream, as an Arrow stream."""

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, stack: Any) -> None:
        import pyarrow as pa

        stream = stack.enter_context(files.write_atomically(self.path, synced=False))
        # Each file has its own names.
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=False)
        self._writer = stack.enter_context(pa.ipc.new_stream(stream, schema(), options=options))

    def add(self, rows: pa.RecordBatch) -> None:
        self._writer.write_batch(rows)


@dataclass(frozen=True)
class JoinTask:
    """Pieces, in their order, that become the decisions of one output folder, and its composition.

    `asked` is what each stream's config asks for; `planned` is where that lies which was expected.
    """

    pieces: tuple[str, ...]
    output: str
    composition: str
    asked: Mapping[str, str]
    planned: str | None


def join(task: JoinTask) -> Result:
    """Write the file, a row group at a time."""
    import pyarrow as pa

    from dolma_kit.shares import composition, solving

    n = 0
    counter = composition.Counter()
    with (
        files.write_atomically(task.output) as output,
        parquet.writing(output, schema(), compression="zstd") as writer,
    ):
        held: list[pa.RecordBatch] = []
        for rows in _rows_of(task.pieces):
            n += len(rows)
            counter.add(rows)
            held.append(rows)
            if sum(map(len, held)) >= ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_batches(held).unify_dictionaries())
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held).unify_dictionaries())
    planned = solving.read_planned(task.planned) if task.planned else {}
    found = composition.composed(task.asked, planned, counter.sizes())
    composition.write(task.composition, found)
    said = msgspec.to_builtins(found.streams)
    outputs = [task.output, task.composition]
    return Result(documents=n, outputs=outputs, counts={"decisions": n, "composition": said})


def _rows_of(pieces: Sequence[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for piece in pieces:
        with pa.OSFile(piece) as stream:
            yield from pa.ipc.open_stream(stream)


def files_of(records: Iterable[Record], stream: str) -> dict[str, str]:
    """The files that a mix read for a stream, by its ledger's records: `src` -> path as seen from
    the ledger's folder."""
    return {src: path for (name, src), path in read_files(records).items() if name == stream}


def read_files(records: Iterable[Record]) -> dict[tuple[str, str], str]:
    """The same of all streams, by stream and `src`.

    Where there is a budget, what is chosen of one file depends on all of them, and a record's
    `source` is the first of these; those of the survey before have the file itself.
    """
    phases = dict[str, dict[tuple[str, str], str]]()
    for record in records:
        if record.phase in ("surveying", "choosing") and record.source is not None:
            stream, _, src = record.unit.removeprefix(f"{record.phase} ").partition(" ")
            phases.setdefault(record.phase, {})[stream, src] = record.source
    return phases.get("surveying") or phases.get("choosing", {})


def path_in(folder: str) -> str:
    """Where the decisions of a mix lie that wrote to this folder."""
    return os.path.join(folder, NAME)
