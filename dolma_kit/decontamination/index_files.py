"""Arrays on disk, for all workers of a machine to map: an index is held in memory once.

A file is, numbers little-endian: a uint64 n; n bytes of JSON, for each array its name, dtype and
shape; and the arrays, each from a multiple of 64 bytes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import files

ALIGNMENT = 64


class _Entry(NamedTuple):
    name: str
    dtype: str
    shape: tuple[int, ...]


def write(path: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers."""
    little = {
        name: array.astype(array.dtype.newbyteorder("<"), copy=False)
        for name, array in arrays.items()
    }
    entries = [_Entry(name, array.dtype.str, array.shape) for name, array in little.items()]
    head = msgspec.json.encode(entries)
    with files.write_atomically(path, synced=False) as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        at = 8 + len(head)
        for array in little.values():
            stream.write(b"\0" * (-at % ALIGNMENT))
            at += -at % ALIGNMENT + array.nbytes
            stream.write(np.ascontiguousarray(array).tobytes())


def read(path: str) -> dict[str, NDArray[Any]]:
    """The arrays, mapped from disk and read-only."""
    with open(path, "rb") as stream:
        n = int.from_bytes(stream.read(8), "little")
        entries = msgspec.json.decode(stream.read(n), type=list[_Entry])
    whole = np.memmap(path, np.uint8, mode="r")
    found: dict[str, NDArray[Any]] = {}
    at = 8 + n
    for entry in entries:
        at += -at % ALIGNMENT
        size = np.dtype(entry.dtype).itemsize * math.prod(entry.shape)
        data = np.asarray(whole[at : at + size])
        found[entry.name] = data.view(entry.dtype).reshape(entry.shape)
        at += size
    return found
