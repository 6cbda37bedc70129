"""A shuffle of all documents of a stream, over all its shards, in bounded memory.

Each copy of a document has a key: BLAKE2b, keyed with the seed, of its id and the copy's number. So
where a document comes out does not depend on how its corpus was cut into files. In the first of two
stages each file's lines are spilled by the key's upper part, its *bucket*; in the second each
bucket is read into memory, sorted by key (equal keys, of one id that stands twice, by file and
line) and compressed. The number of buckets follows from the sizes of the inputs, so that one is
about BUCKET_BYTES.

A spill has two files. NNNNNN.lines are runs, in each of them the lines of bucket 0, then 1, ...;
NNNNNN.index says for each line its key and bytes (n, 2) uint64 in the same order, after a table of
how many lines each bucket has in each run.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dolma_kit import files, shards
from dolma_kit.ledger import Result

BUCKET_BYTES = 32 << 20
RUN_BYTES = 32 << 20  # held before they are sorted into buckets and written
EXPANSION = 4  # of compressed files, about
MAX_BUCKETS = 4096


def buckets_for(stored: Sequence[tuple[str, int]], rate: float) -> int:
    """How many buckets files of these paths and sizes need, each taken `rate` times."""
    total = sum(n * (1 if path.endswith((".jsonl", ".json")) else EXPANSION) for path, n in stored)
    return int(min(max(1, -(-total * rate // BUCKET_BYTES)), MAX_BUCKETS))


class Keyed(NamedTuple):
    """Lines with their keys, (n,) uint64."""

    lines: list[bytes]
    keys: NDArray[np.uint64]


@dataclass(frozen=True)
class Spill:
    """The lines of one file of a stream; `stem` is the path without the suffixes."""

    stem: str
    n_buckets: int
    seed: int

    @property
    def lines(self) -> str:
        return self.stem + ".lines"

    @property
    def index(self) -> str:
        return self.stem + ".index"

    def grouped(self, lines: Sequence[tuple[bytes, int]], ids: Sequence[str]) -> Keyed:
        """Lines, each as often as is said beside it, with a key for each copy."""
        copies = [(line, i, n) for (line, k), i in zip(lines, ids, strict=True) for n in range(k)]
        seed = self.seed.to_bytes(8, "little", signed=True)
        drawn = b"".join(
            hashlib.blake2b(
                n.to_bytes(4, "little") + i.encode(), digest_size=8, key=seed, person=b"shuffle"
            ).digest()
            for _, i, n in copies
        )
        keys = np.frombuffer(drawn, "<u8").astype(np.uint64)
        return Keyed([line for line, _, _ in copies], keys)

    def bucket(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,) int64: equal parts of the keys' range, in its order."""
        upper = (keys >> np.uint64(32)).astype(np.int64)
        return (upper * self.n_buckets) >> 32


class SpillWriter:
    """Writes a spill; its files take their names at the end, if all went well."""

    def __init__(self, spill: Spill) -> None:
        self.outputs = [spill.lines, spill.index]
        self._spill = spill
        self._stack = contextlib.ExitStack()
        self._held: list[Keyed] = []
        self._n_bytes = 0
        self._counts: list[NDArray[np.int64]] = []
        self._rows: list[NDArray[np.uint64]] = []

    def __enter__(self) -> SpillWriter:
        self._lines: IO[bytes] = self._stack.enter_context(
            files.write_atomically(self._spill.lines, synced=False)
        )
        return self

    def add(self, keyed: Keyed) -> None:
        self._held.append(keyed)
        self._n_bytes += sum(map(len, keyed.lines))
        if self._n_bytes >= RUN_BYTES:
            self._write_run()

    def _write_run(self) -> None:
        lines = [line for keyed in self._held for line in keyed.lines]
        keys = np.concatenate([np.zeros(0, np.uint64), *(keyed.keys for keyed in self._held)])
        buckets = self._spill.bucket(keys)
        order = np.argsort(buckets, kind="stable")
        self._counts.append(np.bincount(buckets, minlength=self._spill.n_buckets))
        sizes = np.fromiter(map(len, lines), np.uint64, len(lines))
        self._rows.append(np.stack([keys[order], sizes[order]], axis=1))
        self._lines.write(b"".join([lines[i] for i in order.tolist()]))
        self._held, self._n_bytes = [], 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            if self._held:
                self._write_run()
            with files.write_atomically(self._spill.index, synced=False) as stream:
                counts = np.array(self._counts, "<i8").reshape(-1, self._spill.n_buckets)
                stream.write(np.int64(len(counts)).astype("<i8").tobytes())
                stream.write(counts.tobytes())
                for rows in self._rows:
                    stream.write(rows.astype("<u8").tobytes())
        self._stack.__exit__(kind, error, trace)


@dataclass(frozen=True)
class BucketTask:
    """One bucket of a stream: what all its files spilled into it becomes a piece."""

    spills: tuple[Spill, ...]
    bucket: int
    piece: str
    compression: str | None
    max_bytes: int


def sort_bucket(task: BucketTask) -> Result:
    """Sort a bucket's lines by their keys, and write them as members of a piece."""
    lines: Any = [(line, 1) for line in sorted_lines(task.spills, task.bucket)]
    writer = shards.PieceWriter([task.piece])
    with writer:
        writer.add(shards.members(lines, (0,), task.compression, task.max_bytes))
    return Result(documents=len(lines), outputs=writer.outputs)


def sorted_lines(spills: Sequence[Spill], bucket: int) -> list[memoryview]:
    """All lines of a bucket in the order of their keys, and of equal ones by file and line."""
    blocks, keys, sizes = _bucket_of(spills, bucket)
    lines: list[memoryview] = []
    for block, of_block in zip(blocks, sizes, strict=True):
        ends = np.cumsum(of_block)
        view = memoryview(block)
        bounds = zip((ends - of_block).tolist(), ends.tolist(), strict=True)
        lines += [view[a:b] for a, b in bounds]
    order = np.argsort(np.concatenate([np.zeros(0, np.uint64), *keys]), kind="stable")
    return [lines[i] for i in order.tolist()]


def _bucket_of(
    spills: Sequence[Spill], bucket: int
) -> tuple[list[bytes], list[NDArray[np.uint64]], list[NDArray[np.int64]]]:
    """A bucket's lines, joined, with keys and sizes (n,) of each block, by file and run."""
    blocks, all_keys, all_sizes = [], [], []
    for spill in spills:
        index = np.memmap(spill.index, np.uint8, "r")
        n_runs = int(index[:8].view("<i8")[0])
        end = 8 + n_runs * spill.n_buckets * 8
        counts = index[8:end].view("<i8").reshape(n_runs, spill.n_buckets)
        rows = index[end:].view("<u8").reshape(-1, 2)
        row = first = 0
        with open(spill.lines, "rb") as stream:
            for of_run in counts:
                before = row + int(of_run[:bucket].sum())
                after = before + int(of_run[bucket])
                last = row + int(of_run.sum())
                sizes = rows[before:after, 1].astype(np.int64)
                stream.seek(first + int(rows[row:before, 1].sum()))
                blocks.append(stream.read(int(sizes.sum())))
                all_keys.append(rows[before:after, 0].astype(np.uint64))
                all_sizes.append(sizes)
                first += int(rows[row:last, 1].sum())
                row = last
    return blocks, all_keys, all_sizes
