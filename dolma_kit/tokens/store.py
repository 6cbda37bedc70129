"""The files that tokenizing writes, and what one of them says of another.

    part-00000.npy            token ids, raw little-endian uint16 or uint32, no header
    part-00000.csv.gz         start,end,id,src,loc: Dolma's, no header, lines end with \\r\\n
    part-00000.docs.parquet   the same and `source` (null where a document has none)
    part-00000.bin, .idx      in Megatron's layout instead of the .npy (see `write_idx`)
    tokens.json               tokenizer, encoder, ids of EOS and PAD, dtype, sizes (`Record`)

A row a document, in the order of its tokens [start, end), the EOS that ends it included; `src` is
the file it came from and `loc` its line there, from 1. A document never crosses parts.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import csv
import io
import os
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import IO, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dolma_kit import files, parquet
from dolma_kit.errors import VerificationError
from dolma_kit.tokens.tokenizer_file import Dtype

VERSION = 1
RECORD_NAME = "tokens.json"
#: glob patterns of what lies in the folder, but for the copy of the tokenizer
NAME_PATTERNS = (
    *(f"part-[0-9]*{suffix}" for suffix in (".npy", ".bin", ".idx", ".csv.gz", ".docs.parquet")),
    RECORD_NAME,
)
COPY_BYTES = 8 << 20
CSV_MEMBER_CHARACTERS = 4 << 20
#: few enough that one of them is read in less than a millisecond, to find a document in it
ROWS_IN_GROUP = 1 << 11
NUMPY_DTYPES: dict[Dtype, str] = {"uint16": "<u2", "uint32": "<u4"}

SCHEMA = pa.schema(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("src", pa.string(), nullable=False),
        pa.field("loc", pa.int64(), nullable=False),
        pa.field("source", pa.string()),
    ]
)
ENCODINGS = {
    "start": "DELTA_BINARY_PACKED",
    "end": "DELTA_BINARY_PACKED",
    "loc": "DELTA_BINARY_PACKED",
}


Layout = Literal["olmo", "megatron"]
#: Megatron's codes of dtypes: it has no uint32, but ids below 2^31 are the same bytes as int32
IDX_CODES = {2: 8, 4: 4}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part: its name in the folder, and what it holds."""

    path: str
    documents: int
    tokens: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """tokens.json. `tokenizer` is a file in the same folder; `seed` null: canonical order."""

    version: Literal[1] = 1
    tokenizer: str
    tokenizer_sha256: str
    encoder: str
    eos_token_id: int
    pad_token_id: int | None
    bos_token_id: int | None = None
    vocab_size: int
    dtype: Dtype
    sequence_length: int
    documents: int
    tokens: int
    parts: list[Part]
    seed: int | None = None

    def write(self, folder: str) -> str:
        """Write it to the folder; returns its path."""
        path = os.path.join(folder, RECORD_NAME)
        with files.write_atomically(path) as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
        return path


def part_name(index: int) -> str:
    """
    >>> part_name(7)
    'part-00007'
    """
    return f"part-{index:05d}"


class PartWriter:
    """Writes one part, three files; they take their names when the block ends without an error.

    `documents` and `tokens` say what the part holds so far. With `threads`, ids are copied by them,
    each stretch to its place, until the block ends.
    """

    def __init__(
        self,
        folder: str,
        index: int,
        threads: Executor | None = None,
        layout: Layout = "olmo",
    ) -> None:
        self.name = part_name(index)
        stem = os.path.join(folder, self.name)
        self._suffix = ".npy" if layout == "olmo" else ".bin"
        self.outputs = [stem + suffix for suffix in (self._suffix, ".csv.gz", ".docs.parquet")]
        self._idx = f"{stem}.idx" if layout == "megatron" else None
        if self._idx is not None:
            self.outputs.append(self._idx)
        self._lengths: list[NDArray[np.int64]] = []
        self._itemsize = 0
        self.documents = 0
        self.tokens = 0
        self._stack = contextlib.ExitStack()
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._threads = threads
        self._copies: list[Future[None]] = []

    def __enter__(self) -> PartWriter:
        with contextlib.ExitStack() as opening:
            ids, rows, table = (
                opening.enter_context(files.write_atomically(path)) for path in self.outputs[:3]
            )
            self._ids: IO[bytes] = ids
            self._csv = _CsvWriter(rows)
            self._table: Any = pq.ParquetWriter(
                table,
                SCHEMA,
                compression="zstd",
                use_dictionary=["src", "source"],
                column_encoding=ENCODINGS,
                write_page_index=True,
            )
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        concurrent.futures.wait(self._copies)  # before the file that they write to is closed
        failures = (copy.exception() for copy in self._copies)
        if failed := error or next(filter(None, failures), None):
            parquet.give_up(self._table)
            self._stack.__exit__(type(failed), failed, trace)
            if error is None:
                raise failed
            return
        with self._stack:
            self._write_row_groups(at_least=1)
            self._table.close()
            self._csv.close()
        if self._idx is not None:
            lengths = np.concatenate([np.zeros(0, np.int64), *self._lengths])
            write_idx(self._idx, lengths, self._itemsize)

    def append(self, ids: IO[bytes], itemsize: int, rows: pa.RecordBatch) -> None:
        """Append documents: `rows` has their `tokens`, `id`, `src`, `loc` and `source`, `ids` is at
        the first of their tokens and is read to their last. VerificationError if it ends before."""
        lengths: NDArray[np.int64] = rows.column("tokens").to_numpy()
        self._itemsize = itemsize
        if self._idx is not None:
            self._lengths.append(lengths)
        ends = self.tokens + np.cumsum(lengths)
        n_tokens = int(ends[-1]) - self.tokens
        if self._threads is None:
            _copy(ids, self._ids, n_tokens * itemsize)
        else:
            source, first = os.dup(ids.fileno()), ids.tell()
            places = (source, first, self._ids.fileno(), self.tokens * itemsize)
            copy = self._threads.submit(_copy_stretch, *places, n_tokens * itemsize, ids.name)
            self._copies.append(copy)
            ids.seek(first + n_tokens * itemsize)
        columns = [
            pa.array(ends - lengths),
            pa.array(ends),
            rows.column("id"),
            rows.column("src"),
            rows.column("loc"),
            rows.column("source"),
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
        self._csv.write(batch)
        self._pending.append(batch)
        self._pending_rows += len(batch)
        self._write_row_groups(at_least=ROWS_IN_GROUP)
        self.documents += len(rows)
        self.tokens += n_tokens

    def part(self) -> Part:
        return Part(path=f"{self.name}{self._suffix}", documents=self.documents, tokens=self.tokens)

    def _write_row_groups(self, at_least: int) -> None:
        """Row groups of ROWS_IN_GROUP, wherever the batches that came were cut."""
        if self._pending_rows < at_least:
            return
        table = pa.Table.from_batches(self._pending)
        n_rows = len(table) if at_least == 1 else len(table) // ROWS_IN_GROUP * ROWS_IN_GROUP
        self._table.write_table(table.slice(0, n_rows), row_group_size=ROWS_IN_GROUP)
        rest = table.slice(n_rows)
        self._pending, self._pending_rows = rest.to_batches(), len(rest)


def write_idx(path: str, lengths: NDArray[np.int64], itemsize: int) -> None:
    """The index beside a `.bin` for documents of these lengths in tokens (n,), as Megatron-LM reads
    it (`megatron/core/datasets/indexed_dataset.py`).

    9 bytes `MMIDIDX` and two zeros; version 1 (u64); the dtype's code (u8); how many sequences
    (u64) and document bounds (u64); lengths (int32), first bytes (int64), bounds (int64).
    """
    n = len(lengths)
    if n and lengths.max() > np.iinfo(np.int32).max:
        raise VerificationError(
            f"{path}: a document of {lengths.max()} tokens is too long for Megatron's layout"
        )
    starts = (np.cumsum(lengths) - lengths) * itemsize
    with files.write_atomically(path) as stream:
        stream.write(b"MMIDIDX\x00\x00" + np.array(1, "<u8").tobytes())
        stream.write(bytes([IDX_CODES.get(itemsize, 4)]) + np.array([n, n + 1], "<u8").tobytes())
        stream.write(lengths.astype("<i4").tobytes())
        stream.write(starts.astype("<i8").tobytes())
        stream.write(np.arange(n + 1, dtype="<i8").tobytes())


class _CsvWriter:
    """Dolma's csv.gz, as csv.writer writes it, in gzip members without time or name."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text)

    def write(self, rows: pa.RecordBatch) -> None:
        columns = [rows.column(name).to_pylist() for name in ("start", "end", "id", "src", "loc")]
        self._rows.writerows(zip(*columns, strict=True))
        if self._text.tell() >= CSV_MEMBER_CHARACTERS:
            self.close()

    def close(self) -> None:
        """Write what is pending; a file without rows is an empty member."""
        self._stream.write(files.compress(self._text.getvalue().encode(), "gz"))
        self._text.seek(0)
        self._text.truncate()


def _copy(source: IO[bytes], target: IO[bytes], n_bytes: int) -> None:
    while n_bytes:
        block = source.read(min(n_bytes, COPY_BYTES))
        if not block:
            raise _too_short(source.name, n_bytes)
        target.write(block)
        n_bytes -= len(block)


def _copy_stretch(
    source: int, first: int, target: int, place: int, n_bytes: int, name: str
) -> None:
    """Bytes from `first` of one file to `place` of another, by descriptors; closes the source."""
    try:
        while n_bytes:
            block = os.pread(source, min(n_bytes, COPY_BYTES), first)
            if not block:
                raise _too_short(name, n_bytes)
            written = os.pwrite(target, block, place)
            first, place, n_bytes = first + written, place + written, n_bytes - written
    finally:
        os.close(source)


def _too_short(name: str, n_bytes: int) -> VerificationError:
    return VerificationError(f"{name} is {n_bytes} bytes short: run again with --overwrite")


def framed(
    ids: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    eos_token_id: int,
    dtype: Dtype,
    *,
    bos_token_id: int | None = None,
    only_missing: bool = False,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The ids of documents as they stand on disk, (n_stored,) of the dtype: BOS before each, if
    there is one, EOS after each; with `only_missing` not where a text's own ids begin or end so.

    `offsets` (n_docs + 1,) are those of documents that have ids; those of the stored ones are the
    second value.

    >>> ids, ends = framed(np.array([5, 6, 7], np.uint32), np.array([0, 2, 3]), 1, "uint16")
    >>> ids.tolist(), ends.tolist()
    ([5, 6, 1, 7, 1], [0, 3, 5])
    """
    assert not len(ids) or ids.max() <= np.iinfo(NUMPY_DTYPES[dtype]).max, "an id beyond the dtype"
    n_docs = len(offsets) - 1
    needs_bos, needs_eos = np.zeros(n_docs, np.bool_), np.ones(n_docs, np.bool_)
    if bos_token_id is not None:
        needs_bos[:] = True
    if only_missing:
        needs_bos &= ids[offsets[:-1]] != bos_token_id
        needs_eos &= ids[offsets[1:] - 1] != eos_token_id
    lengths = np.diff(offsets) + needs_bos + needs_eos
    ends = np.concatenate(([0], np.cumsum(lengths)))
    stored = np.empty(ends[-1], NUMPY_DTYPES[dtype])
    is_text = np.ones(len(stored), np.bool_)
    for needs, places, token_id in (
        (needs_bos, ends[:-1], bos_token_id), (needs_eos, ends[1:] - 1, eos_token_id),
    ):  # fmt: skip
        stored[places[needs]] = token_id or 0
        is_text[places[needs]] = False
    stored[is_text] = ids
    return stored, ends
