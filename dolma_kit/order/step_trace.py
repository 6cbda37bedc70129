"""`order-trace.bin`: what every step of a training run has read, in a chain of hashes.

    64 bytes    b"DKTRACE1", version 1 (4), sequence_length (4), zeros (16), SHA-256 of the data:
                path table, dtype, form of instances and order, without a schedule
    64 bytes    a step: step (8), epoch (4), batch size (4), first position (8), targets that the
                loss is of (8), chain (32)

All little-endian. The chain of a step is SHA-256 of the one before it (SHA-256 of the header before
the first), the step's first 32 bytes, and the SHA-256 of its instances as uint32. A file cut short
by a kill ends in less than a record, which is dropped; going on from a checkpoint cuts off the
steps behind it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import DataError, VerificationError

MAGIC = b"DKTRACE1"
VERSION = 1
RECORD_BYTES = 64
_HEADER = struct.Struct("<8sII16x32s")
_RECORD = struct.Struct("<QIIQQ")
NAME = "order-trace.bin"


@dataclass(frozen=True)
class Record:
    """A step: `n_targets` tokens had a loss; `chain` (32 bytes) binds it to all before."""

    step: int
    epoch: int
    batch_size: int
    first_position: int
    n_targets: int
    chain: bytes

    @property
    def head(self) -> bytes:
        return _RECORD.pack(
            self.step, self.epoch, self.batch_size, self.first_position, self.n_targets
        )


def header(sequence_length: int, data: bytes) -> bytes:
    """The first 64 bytes of a trace; `data` is the SHA-256 of what is read."""
    return _HEADER.pack(MAGIC, VERSION, sequence_length, data)


def chained(before: bytes, head: bytes, instances: NDArray[np.uint32]) -> bytes:
    """The chain of a step with these instances, (B,) in their order."""
    ids = hashlib.sha256(np.ascontiguousarray(instances, "<u4").tobytes()).digest()
    return hashlib.sha256(before + head + ids).digest()


def first_chain(head: bytes) -> bytes:
    """What stands before the chain of the first step."""
    return hashlib.sha256(head).digest()


class TraceWriter:
    """Appends to a trace; `chain` is that of the last step, `step` its number (0 for none).

    What is there is gone on with from step `step` and its chain; VerificationError if the file has
    not come that far, or by another way.
    """

    def __init__(
        self, path: str, head: bytes, *, step: int = 0, chain: bytes | None = None
    ) -> None:
        self.path = path
        self.chain = first_chain(head)
        if step == 0:
            self._stream: IO[bytes] = open(path, "wb")
            self._stream.write(head)
            self._stream.flush()
            return
        kept = RECORD_BYTES
        for record in read(path, head):
            kept += RECORD_BYTES
            if record.step == step:
                if record.chain != chain:
                    raise VerificationError(
                        f"{path}: step {step} was come by another way than the checkpoint's"
                    )
                break
        else:
            raise VerificationError(f"{path} ends before step {step}, where the checkpoint is")
        os.truncate(path, kept)
        self.chain = record.chain
        self._stream = open(path, "ab")

    def add(
        self, step: int, epoch: int, first_position: int, n_targets: int,
        instances: NDArray[np.uint32],
    ) -> None:  # fmt: skip
        """Append a step, and hand it to the operating system."""
        record = Record(step, epoch, len(instances), first_position, n_targets, b"")
        self.chain = chained(self.chain, record.head, instances)
        self._stream.write(record.head + self.chain)
        self._stream.flush()

    def sync(self) -> None:
        """Force it to the disk: a checkpoint that goes on from here must not come before."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self.sync()
        self._stream.close()


def read(path: str, head: bytes | None = None) -> Iterator[Record]:
    """The steps of a trace; DataError for a file of another form, VerificationError for one whose
    header is not `head`."""
    with open(path, "rb") as stream:
        found = stream.read(RECORD_BYTES)
        if len(found) < RECORD_BYTES or not found.startswith(MAGIC):
            raise DataError(path, None, "is no trace of steps (DKTRACE1)")
        version = _HEADER.unpack(found)[1]
        if version != VERSION:
            raise DataError(path, None, f"has version {version}, {VERSION} is read")
        if head is not None and found != head:
            raise VerificationError(f"{path} is of other data, order or sequence length")
        while len(row := stream.read(RECORD_BYTES)) == RECORD_BYTES:
            step, epoch, size, first, n_targets = _RECORD.unpack(row[: _RECORD.size])
            yield Record(step, epoch, size, first, n_targets, row[_RECORD.size :])


def read_header(path: str) -> tuple[int, bytes, bytes]:
    """(sequence_length, SHA-256 of the data, the header itself)."""
    with open(path, "rb") as stream:
        found = stream.read(RECORD_BYTES)
    if len(found) < RECORD_BYTES or not found.startswith(MAGIC):
        raise DataError(path, None, "is no trace of steps (DKTRACE1)")
    _, _, length, data = _HEADER.unpack(found)
    return length, data, found
