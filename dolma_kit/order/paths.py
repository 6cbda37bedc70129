"""Path table, the first layer of an order: which token files there are, in training order.

A token file is what OLMo calls a memmap: little-endian uint16 or uint32 without any header, in
spite of its name ending in `.npy` (`np.load` fails on it; olmo/data/memmap_dataset.py). Order is
that of the list, never sorted; a path that stands twice is two entries and is trained on twice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError, VerificationError

ITEM_BYTES = {"uint16": 2, "uint32": 4}


class TokenFile(msgspec.Struct, frozen=True):
    """One row of the path table: `n_bytes` is the file's size, `dtype` uint16 or uint32."""

    path: str
    n_bytes: int
    dtype: str

    @property
    def n_tokens(self) -> int:
        return self.n_bytes // ITEM_BYTES[self.dtype]

    def read(self, start: int, end: int) -> NDArray[np.unsignedinteger]:
        """Tokens [start, end) as (end - start,) of the file's dtype, a copy.

        VerificationError if the file has become shorter than the table says.
        """
        item_bytes = ITEM_BYTES[self.dtype]
        little_endian = np.dtype(self.dtype).newbyteorder("<")
        tokens = np.fromfile(
            self.path, dtype=little_endian, count=end - start, offset=start * item_bytes
        )
        if len(tokens) != end - start:
            raise VerificationError(
                f"{self.path} has {os.path.getsize(self.path)} bytes, it had {self.n_bytes} when "
                "the run was opened: open the run again"
            )
        return tokens


def token_paths(tokens: str | Sequence[str]) -> list[str]:
    """The files that the key `tokens` names: a list as it stands, a folder's parts sorted.

    The parts of a folder are its `part-[0-9]*.npy`, by the UTF-8 bytes of their names. ConfigError
    for a folder without parts, and for a file where a folder is meant or the other way round.
    """
    if not isinstance(tokens, str):
        return list(tokens)
    if os.path.isfile(tokens):
        raise ConfigError(f"tokens: {tokens} is a file; write it as a list: [{tokens}]")
    if not os.path.isdir(tokens):
        raise ConfigError(f"tokens: no folder {tokens}")
    names = [n for n in os.listdir(tokens) if n.endswith(".npy") and n.startswith("part-")]
    parts = sorted((n for n in names if n[5:6] in set("0123456789")), key=os.fsencode)
    if not parts:
        raise ConfigError(f"tokens: {tokens} holds no part-[0-9]*.npy; list its files instead")
    return [os.path.join(tokens, name) for name in parts]


def path_table(paths: Sequence[str], dtype: str) -> tuple[TokenFile, ...]:
    """The table of `paths` in their order, sizes from the file system.

    ConfigError for a path that is no file, DataError for a size that no whole number of tokens of
    `dtype` fills.
    """
    item_bytes = ITEM_BYTES[dtype]
    table = []
    for path in paths:
        if os.path.isdir(path):
            raise ConfigError(f"tokens: {path} is a folder; name it alone, not within a list")
        try:
            n_bytes = os.stat(path).st_size
        except OSError as error:
            raise ConfigError(f"tokens: cannot read {path}: {error.strerror}") from None
        if n_bytes % item_bytes:
            reason = f"{n_bytes} bytes are no multiple of {item_bytes}, the size of one {dtype}"
            raise DataError(path, None, reason)
        table.append(TokenFile(path, n_bytes, dtype))
    return tuple(table)
