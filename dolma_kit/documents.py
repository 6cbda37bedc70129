"""Documents: the one reader of all stages, and the Arrow batch in which they travel.

On disk they are Dolma's: `<dir>/documents/**/X.jsonl.gz` (also .zst, plain, .parquet), one JSON
object a line with `id` and `text`, both strings.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dolma_kit.decoding import Fields as Fields
from dolma_kit.decoding import Piece, Pieces, Source, decode
from dolma_kit.errors import BrokenFile
from dolma_kit.jsonl import BadLine
from dolma_kit.layout import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

T = TypeVar("T")


class Batch:
    """Some consecutive documents of one file.

    Columns of `table`: `id` string, `text` large_string, `source` string (null where a document
    has none), `metadata` large_binary (the raw JSON, null where absent). `lines` (n_docs,) int64
    are their line numbers from 1; `raw` their whole JSON, bytes or views of them, if it was asked
    for. `first_row` counts readable documents of the file from 0. `bad` are the lines among them
    that were set aside, `n_bytes_read` the uncompressed input that the batch was made of.
    """

    def __init__(
        self,
        table: pa.RecordBatch,
        *,
        path: str,
        first_row: int,
        lines: NDArray[np.int64],
        raw: Sequence[bytes | memoryview] | None = None,
        bad: Sequence[BadLine] = (),
        n_bytes_read: int = 0,
        strings: tuple[list[str], list[str]] | None = None,
    ) -> None:
        self.table = table
        if strings is not None:  # which `ids` and `texts` would make again
            self.__dict__["ids"], self.__dict__["texts"] = strings
        self.path = path
        self.first_row = first_row
        self.lines = lines
        self.raw = raw
        self.bad = bad
        self.n_bytes_read = n_bytes_read
        self.seconds: dict[str, float] = {}
        self._memory: dict[str, Any] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @functools.cached_property
    def ids(self) -> list[str]:
        return list(self.table.column("id").to_pylist())

    @functools.cached_property
    def texts(self) -> list[str]:
        return list(self.table.column("text").to_pylist())

    @functools.cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(n_docs + 1,) int64: where each text starts in `text_bytes`; no copy."""
        import numpy as np

        text = self.table.column("text")
        n = len(text)
        return np.frombuffer(text.buffers()[1], np.int64, n + 1, text.offset * 8)

    @functools.cached_property
    def text_bytes(self) -> NDArray[np.uint8]:
        """(n_bytes,) uint8: all texts as UTF-8, one after the other; no copy."""
        import numpy as np

        data = self.table.column("text").buffers()[2]
        return (
            np.frombuffer(data, np.uint8)
            if data is not None and data.size
            else np.zeros(0, np.uint8)
        )

    @functools.cached_property
    def n_characters(self) -> NDArray[np.int64]:
        """(n_docs,) int64: the length of each text in code points."""
        import pyarrow.compute as pc

        lengths = pc.utf8_length(self.table.column("text"))
        counts: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False)
        return counts

    def metadata_strings(self, key: str) -> list[str | None]:
        """`metadata[key]` of each document; None where there is none, or it is no string."""
        import msgspec

        def read(batch: Batch) -> list[str | None]:
            fields = [("value", Any, None)]
            kind: Any = msgspec.defstruct("Metadata", fields, rename={"value": key})
            decoder = msgspec.json.Decoder(kind)
            found: list[str | None] = []
            for raw in batch.table.column("metadata").to_pylist():
                value = None
                if raw is not None and raw.lstrip().startswith(b"{"):
                    value = decoder.decode(raw).value
                found.append(value if isinstance(value, str) else None)
            return found

        return self.once(f"metadata {key}", read)

    @property
    def n_bytes(self) -> int:
        return int(self.offsets[-1] - self.offsets[0])

    def once(self, name: str, work_out: Callable[[Batch], T]) -> T:
        """What several taggers need of a batch, worked out by the first that asks.

        `seconds` has what that took, by name.
        """
        if name not in self._memory:
            started = time.perf_counter()
            self._memory[name] = work_out(self)
            self.seconds[name] = time.perf_counter() - started
        value: T = self._memory[name]
        return value

    def head(self, n: int) -> Batch:
        """The first n documents; no copy."""
        if n >= len(self):
            return self
        raw = None if self.raw is None else self.raw[:n]
        return Batch(
            self.table.slice(0, n),
            path=self.path,
            first_row=self.first_row,
            lines=self.lines[:n],
            raw=raw,
            bad=[fault for fault in self.bad if fault.line < self.lines[n]],
            n_bytes_read=self.n_bytes_read,
        )


def batch_of(
    texts: Sequence[tuple[str, str]], metadata: Sequence[Mapping[str, Any]] | None = None
) -> Batch:
    """(id, text) of documents that stand in no file, and their metadata, as a batch. A text that is
    no Unicode (a lone surrogate) has a question mark there."""
    import msgspec
    import numpy as np
    import pyarrow as pa

    n = len(texts)
    table = pa.record_batch(
        [
            pa.array([id_ for id_, _ in texts], pa.string()),
            pa.array([t.encode("utf-8", "replace") for _, t in texts], pa.large_binary()).cast(
                pa.large_string()
            ),
            pa.nulls(n, pa.string()),
            pa.nulls(n, pa.large_binary())
            if metadata is None
            else pa.array([msgspec.json.encode(one) for one in metadata], pa.large_binary()),
        ],
        names=["id", "text", "source", "metadata"],
    )
    return Batch(table, path="", first_row=0, lines=np.arange(1, n + 1))


class DocumentReader:
    """Iterates over a file's documents in batches of about 4 MiB of JSON.

    Takes a `Source`, or a path and its settings. After the last batch, `sha256` is that of the
    stored file (None if `limit` cut it short) and `n_documents`, `n_bytes` (of uncompressed input)
    say what was read. Raises DataError with file and line for what cannot be read: a broken
    container, invalid UTF-8, broken JSON, an `id` or `text` that is missing or not a string. With
    `set_aside`, only a broken container is raised; other faults are the `bad` lines of batches,
    which may then be empty.
    """

    def __init__(self, source: Source | str, **settings: Any) -> None:
        self.source = Source(source, **settings) if isinstance(source, str) else source
        self.sha256: str | None = None
        self.n_documents = 0
        self.n_bytes = 0

    def __iter__(self) -> Iterator[Batch]:
        source, limit = self.source, self.source.limit
        if limit == 0:
            return
        pieces = Pieces(source)
        for piece in pieces:
            for batch in batches_of(source, piece, self.n_documents):
                if limit is not None and self.n_documents + len(batch) >= limit:
                    batch = batch.head(limit - self.n_documents)
                self.n_documents += len(batch)
                self.n_bytes += batch.n_bytes_read
                yield batch
                if self.n_documents == limit:
                    return
        self.sha256 = pieces.sha256


def batches_of(source: Source, piece: Piece, first_row: int) -> Iterator[Batch]:
    """The documents of a piece, of which the first is number `first_row` of the file's readable
    ones. A batch has documents or bad lines."""
    for decoded in decode(source, piece):
        if len(decoded.lines) or decoded.bad:
            yield Batch(
                decoded.table,
                path=source.path,
                first_row=first_row,
                lines=decoded.lines,
                raw=decoded.raw,
                bad=decoded.bad,
                n_bytes_read=decoded.n_bytes,
                strings=decoded.strings,
            )
            first_row += len(decoded.lines)


def allot(
    shards: Sequence[Shard],
    limit: int | None,
    fields: Fields = Fields(),
    *,
    set_aside: bool = False,
) -> list[tuple[Shard, int | None]]:
    """The shards that hold the first `limit` documents, each with how many of its own count.

    Reads as many files as that takes; without a limit, nothing. With `set_aside`, a broken file
    counts for nothing.
    """
    if limit is None:
        return [(shard, None) for shard in shards]
    allotted: list[tuple[Shard, int | None]] = []
    left = limit
    for shard in shards:
        if left == 0:
            break
        reader = DocumentReader(shard.path, fields=fields, limit=left, set_aside=set_aside)
        try:
            n_documents = sum(len(batch) for batch in reader)
        except BrokenFile:
            if not set_aside:
                raise
            n_documents = 0
        allotted.append((shard, n_documents or None))
        left -= n_documents
    return allotted
