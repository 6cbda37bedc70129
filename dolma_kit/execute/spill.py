"""What the phases of a de-duplication hand on: intermediate files, some for each input.

They lie in the ledger's temporary folder, numbered by the input's place in canonical order:

    NNNNNN.rows     Arrow stream: id, source, n_characters, n_keys, line of each document
    NNNNNN.json     About: what was read
    NNNNNN.hashes   uint64, little-endian: the keys' hashes, in order
    NNNNNN.checks   uint64, little-endian: a second hash of each key, of the method exact only
    NNNNNN.spans    int64, little-endian: start and end of each paragraph that takes part
    NNNNNN.grams    int64 (n, 2), little-endian: how many keys each of those has, and how many of
                    them, the last ones, say whether it is a duplicate; by n-gram only
    NNNNNN.paragraphs  int64, little-endian: how many of those each document has, by n-gram only
    NNNNNN.bands    uint64, little-endian, (n_bands, n_docs): the keys of bands, for MinHash
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_kit import files
from dolma_kit.documents import Batch
from dolma_kit.execute.reading import Read

HASH_BYTES = 8
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("n_characters", pa.int64()),
        ("n_keys", pa.int64()),
        ("line", pa.int64()),
    ]
)


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of an input; `sha256` is of the stored file, None if a limit cut it short.

    `set_aside` where it is a broken file, of which there are to be no attributes.
    """

    documents: int
    bytes_in: int
    sha256: str | None
    set_aside: bool


@dataclass(frozen=True)
class Spill:
    """The intermediate files of one input."""

    folder: str
    number: int

    def path(self, kind: str) -> str:
        return os.path.join(self.folder, f"{self.number:06d}.{kind}")

    @property
    def n_keys(self) -> int:
        return os.path.getsize(self.path("hashes")) // HASH_BYTES

    @property
    def n_documents(self) -> int:
        return sum(rows.num_rows for rows in self.rows())

    def hashes(self) -> NDArray[np.uint64]:
        """(n_keys,) uint64, mapped from disk."""
        return self.mapped("hashes", "<u8")

    def spans(self) -> NDArray[np.int64]:
        """(n_spans, 2) int64, mapped from disk."""
        return self.mapped("spans", "<i8").reshape(-1, 2)

    def mapped(self, kind: str, dtype: str) -> NDArray[Any]:
        """An array, mapped from disk, (n,)."""
        return mapped(self.path(kind), dtype)

    def n_keys_of_documents(self) -> NDArray[np.int64]:
        """(n_docs,) int64: how many keys each document has."""
        found = [batch.column("n_keys").to_numpy() for batch in self.rows()]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def rows(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(self.path("rows")) as stream:
            yield from pa.ipc.open_stream(stream)

    def about(self) -> About:
        with open(self.path("json"), "rb") as stream:
            return msgspec.json.decode(stream.read(), type=About)


def mapped(path: str, dtype: str) -> NDArray[Any]:
    """An array file, mapped from disk, (n,)."""
    if os.path.getsize(path) == 0:  # which cannot be mapped
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))


def rows_of(batch: Batch, n_keys: NDArray[np.int64]) -> pa.RecordBatch:
    """A row a document, of SCHEMA; `n_keys` (n_docs,) is how many keys each has."""
    columns = [
        batch.table.column("id"),
        batch.table.column("source"),
        pa.array(batch.n_characters),
        pa.array(n_keys),
        pa.array(batch.lines),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


class SpillWriter:
    """Writes an input's rows and arrays; the files take their names at the end, if all went well.

    `kinds` are the arrays' names, and suffixes of their files.
    """

    def __init__(self, spill: Spill, kinds: Sequence[str]) -> None:
        self._kinds = ("rows", *kinds)
        self.outputs = [spill.path(kind) for kind in (*self._kinds, "json")]
        self._spill = spill
        self._stack = contextlib.ExitStack()
        self._streams: dict[str, IO[bytes]] = {}

    def __enter__(self) -> SpillWriter:
        with contextlib.ExitStack() as stack:
            for kind in self._kinds:
                opened = files.write_atomically(self._spill.path(kind), synced=False)
                self._streams[kind] = stack.enter_context(opened)
            self._rows = stack.enter_context(pa.ipc.new_stream(self._streams["rows"], SCHEMA))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, rows: pa.RecordBatch | None = None, **arrays: NDArray[Any]) -> None:
        """Append rows, and to each array that is named; little-endian on disk."""
        if rows is not None:
            self._rows.write_batch(rows)
        for kind, array in arrays.items():
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            self._streams[kind].write(little.tobytes())

    def finish(self, read: Read, *, set_aside: bool) -> None:
        about = About(
            documents=read.documents,
            bytes_in=read.bytes_in,
            sha256=read.sha256,
            set_aside=set_aside,
        )
        with files.write_atomically(self._spill.path("json"), synced=False) as stream:
            stream.write(msgspec.json.encode(about, order="deterministic"))
