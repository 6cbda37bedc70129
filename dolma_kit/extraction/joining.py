"""Rows that belong together but are spread over files: sorted on disk, given thread by thread.

A row comes with a key, a tuple of integers whose first names its thread. Rows are held until they
are MOST_BYTES, sorted, and written as a run; runs are merged as they are read. So the order is that
of the keys, and of arrival where keys are equal, however large or many the runs are, and memory
is that of one run, or of a block of each of MOST_RUNS, and of one thread.

A run is blocks: their length as 4 bytes, little-endian, and so many bytes of zstd, of a msgpack
array of [key, row].
"""

from __future__ import annotations

import contextlib
import heapq
import operator
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import msgspec

from dolma_kit import ledger
from dolma_kit.config import Extract

MOST_BYTES = 64 << 20  # of rows that are held
MOST_RUNS = 64  # that are read at once
BLOCK = 1 << 17
ROW = 200  # bytes that Python takes for a row beside what is in it

Key = tuple[int, ...]
Row = tuple[Key, bytes]

_key_of: operator.itemgetter[int] = operator.itemgetter(0)


class Thread(NamedTuple):
    """The rows of a thread by their keys; of one that is larger than may be, the first ones."""

    number: int
    rows: list[Row]
    n_bytes: int
    is_too_large: bool = False


class Spill:
    """Rows in a folder, sorted once all were added."""

    def __init__(
        self, folder: str, *, most_bytes: int = MOST_BYTES, most_runs: int = MOST_RUNS
    ) -> None:
        import zstandard

        self.folder = folder
        self._most_bytes = most_bytes
        self._most_runs = most_runs
        self._held: list[Row] = []
        self._n_bytes = 0
        self._runs: list[str] = []
        self._n_runs = 0
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(list[Row])
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    def add(self, key: Key, row: bytes) -> None:
        """The key's integers have to fit in 64 bits."""
        self._held.append((key, row))
        self._n_bytes += len(row) + ROW
        if self._n_bytes >= self._most_bytes:
            self._write_held()

    def rows(self) -> Iterator[Row]:
        """All rows that were added, in order; once."""
        if not self._runs:
            self._held.sort(key=_key_of)
            yield from self._held
            return
        self._write_held()
        while len(self._runs) > self._most_runs:
            # Neighbours are merged, so that rows with equal keys stay in the order they came in.
            groups = [
                self._runs[i : i + self._most_runs]
                for i in range(0, len(self._runs), self._most_runs)
            ]
            merged = []
            for group in groups:
                merged.append(self._write(self._merged(group)))
                for path in group:
                    os.unlink(path)
            self._runs = merged
        yield from self._merged(self._runs)

    def _write_held(self) -> None:
        if self._held:
            self._held.sort(key=_key_of)
            self._runs.append(self._write(self._held))
            self._held, self._n_bytes = [], 0

    def _merged(self, paths: list[str]) -> Iterator[Row]:
        return heapq.merge(*map(self._read, paths), key=_key_of)

    def _write(self, rows: Iterable[Row]) -> str:
        self._n_runs += 1
        path = os.path.join(self.folder, f"run-{self._n_runs:06d}")
        with open(path, "wb") as stream:
            block: list[Row] = []
            n = 0
            for row in rows:
                block.append(row)
                n += len(row[1])
                if n >= BLOCK:
                    stream.write(self._packed(block))
                    block, n = [], 0
            stream.write(self._packed(block))
        return path

    def _packed(self, block: list[Row]) -> bytes:
        data = self._compressor.compress(self._encoder.encode(block))
        return len(data).to_bytes(4, "little") + data

    def _read(self, path: str) -> Iterator[Row]:
        with open(path, "rb", buffering=1 << 16) as stream:
            while head := stream.read(4):
                data = stream.read(int.from_bytes(head, "little"))
                yield from self._decoder.decode(self._decompressor.decompress(data))


@contextlib.contextmanager
def spilling(settings: Extract) -> Iterator[Spill]:
    """A spill in a folder of its own for intermediate files, which goes when the block ends."""
    place = settings.tmp_dir
    if settings.out:
        place = ledger.temporary(settings.out, settings.tmp_dir)
        os.makedirs(place, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="threads-", dir=place) as folder:
        yield Spill(folder)


def threads(spill: Spill, max_bytes: int) -> Iterator[Thread]:
    """The threads, by number; of one with more than `max_bytes` only the first ones' rows."""
    for number, rows in groupby(spill.rows(), key=lambda row: row[0][0]):
        kept: list[Row] = []
        n = 0
        for row in rows:
            n += len(row[1])
            if n <= max_bytes:
                kept.append(row)
        yield Thread(number, kept, n, n > max_bytes)
