"""Encoding a file of documents: the phase of `tokenize` that every worker takes part in.

What a file gives is intermediate, under its stem: `<stem>.counts.json`, and either `<stem>.ids`
(tokens as they will stand in the parts) with `<stem>.parquet` (their documents), or, to be
shuffled, a spill of `dolma_kit.shuffling` whose lines are a document each: the length of a header
(4 bytes), the header (msgpack), and the ids.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dolma_kit import files, parquet, shuffling
from dolma_kit.documents import Batch
from dolma_kit.errors import DataError
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.ledger import Result
from dolma_kit.tokens import encoder, store
from dolma_kit.tokens.encoder import EncodingError, Library
from dolma_kit.tokens.special_strings import SpecialStrings
from dolma_kit.tokens.tokenizer_file import AddedToken, Dtype

DOCUMENTS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("loc", pa.int64()),
        pa.field("source", pa.string()),
        pa.field("tokens", pa.int64()),  # EOS included
        pa.field("src", pa.string()),
    ]
)
TABLE: dict[str, Any] = {"compression": "zstd", "use_dictionary": ["source", "src"]}
ROWS_AT_ONCE = 1 << 16
_LENGTH = struct.Struct("<I")


class Counts(msgspec.Struct, kw_only=True):
    """Of one file of documents: what was read, and of that what was left out or is odd.

    `special_in_text` counts the strings of special tokens that stand in texts.
    """

    documents: int = 0
    bytes_in: int = 0
    empty: int = 0
    eos_in_text: int = 0
    special_in_text: dict[str, int] = {}

    def add(self, other: Counts) -> None:
        for key in ("documents", "bytes_in", "empty", "eos_in_text"):
            setattr(self, key, getattr(self, key) + getattr(other, key))
        both = Counter(self.special_in_text) + Counter(other.special_in_text)
        self.special_in_text = dict(sorted(both.items()))


@dataclass(frozen=True)
class EncodeTask:
    """One file of documents; `src` is its name in the tables.

    With `parse` special strings in a text are these tokens. `dolmas` is how the Dolma toolkit
    encodes: without white space at a text's ends, and no BOS or EOS where a text brings its own.
    """

    stem: str
    src: str
    tokenizer: str
    tokenizer_sha256: str
    library: Library
    special: tuple[AddedToken, ...]
    bos_token_id: int | None
    eos_token_id: int
    dtype: Dtype
    parse: bool = False
    dolmas: bool = False
    spill: shuffling.Spill | None = None


class EncodedBatch(NamedTuple):
    """`ids` (n_tokens,) of the dtype of the parts, `rows` of DOCUMENTS, those that have ids; or
    None of both, and all of it in lines to shuffle."""

    ids: NDArray[Any] | None
    rows: pa.RecordBatch | None
    keyed: shuffling.Keyed | None
    counts: Counts


class BatchEncoder:
    """The worker: the ids of a batch as they stand on disk, and the table of its documents."""

    def __init__(self, task: EncodeTask) -> None:
        self._task = task
        self._encoder = encoder.load(
            task.tokenizer, task.tokenizer_sha256, task.library, with_special=task.parse
        )
        self._special = SpecialStrings(task.special)

    def __call__(self, batch: Batch) -> EncodedBatch:
        task = self._task
        texts = [text.strip() for text in batch.texts] if task.dolmas else batch.texts
        try:
            ids, offsets = self._encoder.encode(texts)
        except EncodingError as error:
            raise DataError(batch.path, int(batch.lines[error.index]), error.reason) from None
        full = np.diff(offsets) > 0
        kept = np.concatenate(([0], offsets[1:][full]))
        stored, ends = store.framed(
            ids, kept, task.eos_token_id, task.dtype, bos_token_id=task.bos_token_id,
            only_missing=task.dolmas,
        )  # fmt: skip
        counts = Counts(
            empty=len(batch) - int(full.sum()),
            eos_in_text=int(np.count_nonzero(ids == task.eos_token_id)),
            special_in_text=dict(self._special.count(batch.text_bytes, batch.offsets)),
        )
        rows = self._rows(batch, np.diff(ends), full)
        if task.spill is None:
            return EncodedBatch(stored, rows, None, counts)
        lines = [(line, 1) for line in packed(rows, stored, ends)]
        keyed = task.spill.grouped(lines, rows.column("id").to_pylist())
        return EncodedBatch(None, None, keyed, counts)

    def _rows(
        self, batch: Batch, lengths: NDArray[np.int64], full: NDArray[np.bool_]
    ) -> pa.RecordBatch:
        """The documents that have ids, with the lengths that they have on disk."""
        some = pa.array(np.flatnonzero(full))
        columns = [
            batch.table.column("id").take(some),
            pa.array(batch.lines[full]),
            batch.table.column("source").take(some),
            pa.array(lengths),
            pa.repeat(pa.scalar(self._task.src, pa.string()), len(some)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=DOCUMENTS)


def packed(rows: pa.RecordBatch, ids: NDArray[Any], ends: NDArray[np.int64]) -> Iterator[bytes]:
    """Each document as bytes: the length of its header, the header, its ids."""
    columns = [rows.column(name).to_pylist() for name in ("id", "loc", "source", "src")]
    bounds = ends.tolist()
    for i, header in enumerate(zip(*columns, strict=True)):
        said = msgspec.msgpack.encode(header)
        yield _LENGTH.pack(len(said)) + said + ids[bounds[i] : bounds[i + 1]].tobytes()


_HEADER = msgspec.msgpack.Decoder(tuple[str, int, str | None, str])


@dataclass(frozen=True)
class BucketTask:
    """One bucket of a shuffle, that becomes `<stem>.ids` and `<stem>.parquet`."""

    spills: tuple[shuffling.Spill, ...]
    bucket: int
    stem: str
    itemsize: int


def sort_bucket(task: BucketTask) -> Result:
    """Sort a bucket's documents by their keys."""
    headers, sizes = [], []
    outputs = [f"{task.stem}.ids", f"{task.stem}.parquet"]
    with files.write_atomically(outputs[0], synced=False) as stream:
        for line in shuffling.sorted_lines(task.spills, task.bucket):
            (length,) = _LENGTH.unpack_from(line)
            headers.append(_HEADER.decode(line[4 : 4 + length]))
            ids = line[4 + length :]
            sizes.append(len(ids) // task.itemsize)
            stream.write(ids)
    ids_of, locs, sources, srcs = zip(*headers, strict=True) if headers else ((), (), (), ())
    table = pa.table([ids_of, locs, sources, sizes, srcs], schema=DOCUMENTS)
    with (
        files.write_atomically(outputs[1], synced=False) as stream,
        parquet.writing(stream, DOCUMENTS, **TABLE) as writer,
    ):
        writer.write_table(table)
    return Result(documents=len(headers), outputs=outputs)


class EncodedSink(Sink):
    """The sink: an intermediate file of ids and a table of documents, or a spill of both."""

    def __init__(self, task: EncodeTask) -> None:
        self._task = task
        self._counts = Counts()
        self._outputs: list[str] = []
        self._spill = shuffling.SpillWriter(task.spill) if task.spill else None

    def open(self, stack: ExitStack) -> None:
        if self._spill is not None:
            stack.enter_context(self._spill)
            self._outputs = self._spill.outputs
            return
        self._outputs = [f"{self._task.stem}.ids", f"{self._task.stem}.parquet"]
        self._ids, table = (
            stack.enter_context(files.write_atomically(o, synced=False)) for o in self._outputs
        )
        self._table = stack.enter_context(parquet.writing(table, DOCUMENTS, **TABLE))

    def take(self, answer: EncodedBatch) -> None:
        if answer.keyed is not None:
            assert self._spill is not None
            self._spill.add(answer.keyed)
        else:
            assert answer.ids is not None
            self._ids.write(answer.ids.data)
            self._table.write_batch(answer.rows)
        self._counts.add(answer.counts)

    def end(self, read: Read) -> None:
        self._counts.documents, self._counts.bytes_in = read.documents, read.bytes_in

    def result(self, read: Read) -> Result:
        path = counts_path(self._task.stem)
        with files.write_atomically(path, synced=False) as stream:
            stream.write(msgspec.json.encode(self._counts))
        n_bytes = sum(files.size(path) for path in self._outputs)
        return Result(bytes_out=n_bytes, outputs=[*self._outputs, path])


def counts_path(stem: str) -> str:
    return f"{stem}.counts.json"


def counts_of(stem: str) -> Counts:
    with open(counts_path(stem), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Counts)


def documents_of(stem: str) -> Iterator[pa.RecordBatch]:
    """The rows of what was encoded or sorted under a stem."""
    with pq.ParquetFile(f"{stem}.parquet") as table:
        yield from table.iter_batches(batch_size=ROWS_AT_ONCE)
