"""Megatron's `.idx` beside a `.bin`: where its sequences lie, and which are one document.

    9 bytes     b"MMIDIDX\\0\\0"
    8 bytes     version, 1
    1 byte      kind of the ids: 4 int32, 8 uint16 (others hold no token ids that we read)
    8 bytes     S, the number of sequences
    8 bytes     D, one more than the number of documents
    S x 4       tokens of each sequence
    S x 8       where it begins in the .bin, in bytes
    D x 8       the first sequence of each document, and S

All little-endian (megatron/core/datasets/indexed_dataset.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"MMIDIDX\x00\x00"
HEADER_BYTES = 34
DTYPES: dict[int, Literal["uint16", "uint32"]] = {4: "uint32", 8: "uint16"}


@dataclass(frozen=True)
class SequenceIndex:
    """An index, mapped from disk: `lengths` (S,) int32 tokens, `pointers` (S,) int64 bytes,
    `first_sequences` (D,) int64."""

    path: str
    dtype: Literal["uint16", "uint32"]
    lengths: NDArray[np.int32]
    pointers: NDArray[np.int64]
    first_sequences: NDArray[np.int64]

    @property
    def item_bytes(self) -> int:
        return 2 if self.dtype == "uint16" else 4

    def documents(self) -> pa.Table:
        """The documents as rows of `documents.SCHEMA`: ids are the file's name and a number."""
        import pyarrow as pa

        from dolma_kit.order.documents import SCHEMA

        starts = np.append(self.pointers, self._end()) // self.item_bytes
        bounds = starts[self.first_sequences]
        n = len(bounds) - 1
        stem = os.path.basename(self.path).removesuffix(".idx")
        return pa.table(
            [
                bounds[:-1],
                bounds[1:],
                [f"{stem}:{i}" for i in range(n)],
                [self.path.removesuffix(".idx") + ".bin"] * n,
                np.arange(1, n + 1),
                pa.nulls(n, pa.string()),
            ],
            schema=SCHEMA,
        )

    def _end(self) -> int:
        if not len(self.lengths):
            return 0
        return int(self.pointers[-1]) + int(self.lengths[-1]) * self.item_bytes


def read_index(path: str) -> SequenceIndex:
    """The index; DataError for a file of another form, ConfigError for none."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEADER_BYTES)
        n_bytes = os.path.getsize(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if not head.startswith(MAGIC) or len(head) < HEADER_BYTES:
        raise DataError(path, None, "is no Megatron index (MMIDIDX)")
    version = int.from_bytes(head[9:17], "little")
    if version != 1 or head[17] not in DTYPES:
        reason = f"version {version}, ids of kind {head[17]}: version 1, kinds 4 and 8 are read"
        raise DataError(path, None, reason)
    n, n_docs = (int.from_bytes(head[i : i + 8], "little") for i in (18, 26))
    expected = HEADER_BYTES + 12 * n + 8 * n_docs
    if n_bytes not in (expected, expected + n):  # a mode of one byte may stand for each sequence
        raise DataError(path, None, f"has {n_bytes} bytes, not {expected}: broken")
    if n == 0 or n_docs < 2:
        raise DataError(path, None, "lists no sequence")
    at = HEADER_BYTES
    lengths = np.memmap(path, "<i4", "r", at, (n,))
    pointers = np.memmap(path, "<i8", "r", at + 4 * n, (n,))
    first = np.memmap(path, "<i8", "r", at + 12 * n, (n_docs,))
    return SequenceIndex(path, DTYPES[head[17]], lengths, pointers, first)


def index_of(token_path: str) -> SequenceIndex:
    """The index beside a .bin."""
    if not token_path.endswith(".bin"):
        raise ConfigError(f"{token_path} is no .bin, beside which its .idx would lie")
    return read_index(token_path.removesuffix(".bin") + ".idx")
