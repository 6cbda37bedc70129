"""`ids.index`: from a document's id to its rows in the tables of a token folder, on disk.

    8 bytes     b"DKIDIDX1"
    8 bytes     n, the number of documents
    32 bytes    SHA-256 of the names and sizes of the parts and of their tables' names
    n x 8       XXH64 of the ids' UTF-8, ascending
    n x 8       part << 40 | row of each, both from 0; of equal hashes ascending

All little-endian. Every document has an entry, so ids that stand twice have two. It is built in
bounded memory: entries go to buckets by the upper bits of their hash, a bucket is sorted at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dolma_kit import files, kernels
from dolma_kit.errors import DataError, VerificationError
from dolma_kit.tokens.folder import TokenFolder

NAME = "ids.index"
MAGIC = b"DKIDIDX1"
HEADER_BYTES = 48
ROW_BITS = 40
ENTRY_BYTES = 16
BUCKET_BYTES = 64 << 20
MAX_BUCKETS = 512  # files that are open at a time
KERNELS = ("hashing",)


@dataclass(frozen=True)
class IdIndex:
    """An index, mapped from disk: (n,) uint64 each."""

    hashes: NDArray[np.uint64]
    places: NDArray[np.uint64]

    def rows(self, document_id: str) -> list[tuple[int, int]]:
        """(part, row) of each document whose id has the same hash."""
        data = np.frombuffer(document_id.encode(), np.uint8)
        (wanted,) = kernels.hashing.hash_slices(
            data, np.array([0]), np.array([len(data)]), np.uint64(0)
        )
        first = int(np.searchsorted(self.hashes, wanted, "left"))
        last = int(np.searchsorted(self.hashes, wanted, "right"))
        return [(place >> ROW_BITS, place & ((1 << ROW_BITS) - 1))
                for place in self.places[first:last].tolist()]  # fmt: skip


def build(folder: TokenFolder, tmp_dir: str | None = None) -> tuple[str, int]:
    """Write the index of a folder; its path, and how many documents it has."""
    path = os.path.join(folder.path, NAME)
    n = sum(len(rows) for part in folder.parts for rows in part.rows())
    n_buckets = min(max(1, -(-n * ENTRY_BYTES // BUCKET_BYTES)), MAX_BUCKETS)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(dir=tmp_dir or folder.path))
        buckets = [
            stack.enter_context(open(os.path.join(place, str(b)), "w+b")) for b in range(n_buckets)
        ]
        for entries in _entries(folder):
            _distribute(entries, buckets)
        out = stack.enter_context(files.write_atomically(path))
        out.write(MAGIC + np.array(n, "<u8").tobytes() + fingerprint(folder))
        places = stack.enter_context(tempfile.TemporaryFile(dir=place))
        for bucket in buckets:
            bucket.seek(0)
            entries = np.frombuffer(bucket.read(), "<u8").reshape(-1, 2)
            order = np.lexsort((entries[:, 1], entries[:, 0]))
            out.write(entries[order, 0].tobytes())
            places.write(entries[order, 1].tobytes())
        places.seek(0)
        while block := places.read(8 << 20):
            out.write(block)
    return path, n


def _entries(folder: TokenFolder) -> Iterator[NDArray[np.uint64]]:
    """(n, 2) uint64: hash and place of the documents of each batch."""
    for number, part in enumerate(folder.parts):
        first = 0
        for rows in part.rows():
            ids = rows.column("id")
            if not len(ids):  # which may have no buffers
                continue
            offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset :][: len(ids) + 1]
            data = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
            bounds = offsets.astype(np.int64)
            hashes = kernels.hashing.hash_slices(data, bounds[:-1], bounds[1:], np.uint64(0))
            places = np.arange(first, first + len(ids), dtype=np.uint64)
            yield np.stack([hashes, places | np.uint64(number << ROW_BITS)], axis=1)
            first += len(ids)


def _distribute(entries: NDArray[np.uint64], buckets: Sequence[IO[bytes]]) -> None:
    of = ((entries[:, 0] >> np.uint64(32)).astype(np.int64) * len(buckets)) >> 32
    order = np.argsort(of, kind="stable")
    ends = np.cumsum(np.bincount(of, minlength=len(buckets))).tolist()
    chosen = entries[order].astype("<u8")
    for bucket, a, b in zip(buckets, [0, *ends[:-1]], ends, strict=True):
        if b > a:
            bucket.write(chosen[a:b].tobytes())


def fingerprint(folder: TokenFolder) -> bytes:
    """What tells the documents of a folder from others: 32 bytes."""
    said = "".join(
        f"{os.path.basename(part.path)} {part.tokens.n_bytes} "
        f"{os.path.basename(part.require_table())}\n"
        for part in folder.parts
    )
    return hashlib.sha256(said.encode()).digest()


def open_index(folder: TokenFolder) -> IdIndex | None:
    """The index of a folder, None where it has none.

    DataError for a broken one, VerificationError for one of other parts.
    """
    path = os.path.join(folder.path, NAME)
    if not os.path.exists(path):
        return None
    with open(path, "rb") as stream:
        header = stream.read(HEADER_BYTES)
    if header[:8] != MAGIC or len(header) < HEADER_BYTES:
        raise DataError(path, None, "is no index of ids")
    n = int(np.frombuffer(header[8:16], "<u8")[0])
    if os.path.getsize(path) != HEADER_BYTES + n * ENTRY_BYTES:
        raise DataError(path, None, f"is not {HEADER_BYTES + n * ENTRY_BYTES} bytes long: broken")
    if header[16:] != fingerprint(folder):
        raise VerificationError(
            f"{path} is of other parts than lie beside it: make it again with "
            f"`dolma-kit tokens index-ids {folder.path}`"
        )
    if not n:
        return IdIndex(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    both = np.memmap(path, "<u8", "r", HEADER_BYTES, (2, n))
    return IdIndex(both[0], both[1])
