"""Path table, the first layer of an order: which token files there are, in training order.

A token file is what OLMo calls a memmap: little-endian uint16 or uint32 without any header, in
spite of its name ending in `.npy` (`np.load` fails on it; olmo/data/memmap_dataset.py). Order is
that of the list, never sorted; a path that stands twice is two entries and is trained on twice.

A table that is written down (`RUN.files.csv`) needs no token data for any question about order:

    path,bytes,label,sha256,taken    one line a file; all but the path may be empty

`taken` are the tokens of a file that instances are made of, from its start, where a mixture takes
fewer than there are; where it takes more, the file stands on several lines.

Relative paths are relative to the table; URLs (http, https, and what fsspec knows) are read by
ranges. A local file that has come to have another size is refused when the table is opened.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import files
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order import remote

ITEM_BYTES = {"uint16": 2, "uint32": 4}
TABLE_SUFFIX = ".csv"
HEADER = ["path", "bytes", "label", "sha256", "taken"]


class Entry(msgspec.Struct, frozen=True):
    """A line of a written table; `label` is the source that a data mix names."""

    path: str
    n_bytes: int | None
    label: str | None = None
    sha256: str | None = None
    taken: int | None = None


class TokenFile(msgspec.Struct, frozen=True):
    """One row of the path table: `n_bytes` is the file's size, `dtype` uint16 or uint32."""

    path: str
    n_bytes: int
    dtype: str
    label: str | None = None
    sha256: str | None = None
    taken: int | None = None

    @property
    def n_tokens(self) -> int:
        return self.n_bytes // ITEM_BYTES[self.dtype]

    def read(self, start: int, end: int) -> NDArray[np.unsignedinteger]:
        """Tokens [start, end) as (end - start,) of the file's dtype, a copy.

        VerificationError if the file has become shorter than the table says, MissingInput if it
        is not there.
        """
        item_bytes = ITEM_BYTES[self.dtype]
        data = remote.read_range(self.path, start * item_bytes, end * item_bytes)
        if len(data) != (end - start) * item_bytes:
            raise VerificationError(
                f"{self.path} has {files.size(self.path)} bytes, it had {self.n_bytes} when "
                "the run was opened: open the run again"
            )
        tokens = np.frombuffer(bytearray(data), np.dtype(self.dtype).newbyteorder("<"))
        return tokens.astype(self.dtype, copy=False)


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


def path_table(entries: Sequence[Entry | str], dtype: str) -> tuple[TokenFile, ...]:
    """The table of files in their order; sizes that no entry states are asked of the file system.

    ConfigError for a path that is no file, DataError for a size that no whole number of tokens of
    `dtype` fills, VerificationError for a local file of another size than its entry states.
    """
    item_bytes = ITEM_BYTES[dtype]
    table = []
    for given in entries:
        entry = Entry(given, None) if isinstance(given, str) else given
        n_bytes = entry.n_bytes
        if n_bytes is None:
            n_bytes = _size(entry.path)
        elif not files.is_remote(entry.path) and os.path.isfile(entry.path):
            found = os.path.getsize(entry.path)
            if found != n_bytes:
                raise VerificationError(
                    f"{entry.path} has {found} bytes, the table of the run's files says {n_bytes}: "
                    "it is another file; its instances would be others"
                )
        if n_bytes % item_bytes:
            reason = f"{n_bytes} bytes are no multiple of {item_bytes}, the size of one {dtype}"
            raise DataError(entry.path, None, reason)
        file = TokenFile(entry.path, n_bytes, dtype, entry.label, entry.sha256, entry.taken)
        if file.taken is not None and file.taken > file.n_tokens:
            raise VerificationError(
                f"{file.path} has {file.n_tokens} tokens, {file.taken} of them are to be taken"
            )
        table.append(file)
    return tuple(table)


def _size(path: str) -> int:
    if files.is_remote(path):
        return remote.sizes([path])[0]
    if os.path.isdir(path):
        raise ConfigError(f"tokens: {path} is a folder; name it alone, not within a list")
    try:
        return os.stat(path).st_size
    except OSError as error:
        raise ConfigError(f"tokens: cannot read {path}: {error.strerror}") from None


def read_table(path: str) -> list[Entry]:
    """The entries of a written table, their paths joined to its folder.

    DataError for a line that is not of the format above.
    """
    entries: list[Entry] = []
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            header = next(rows, [])
            if header[:2] != HEADER[:2] or not set(header) <= set(HEADER):
                raise DataError(path, 1, f"is no table of token files: not {','.join(HEADER)}")
            for row in rows:
                named = dict(zip(header, row, strict=True))
                entries.append(
                    Entry(
                        at(os.path.dirname(path), named["path"]),
                        _count(named["bytes"]),
                        named.get("label") or None,
                        named.get("sha256") or None,
                        _count(named.get("taken", "")),
                    )
                )
    except OSError as error:
        raise ConfigError(f"tokens: cannot read {path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise DataError(path, len(entries) + 2, f"not {','.join(HEADER)}: {error}") from None
    return entries


def _count(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text!r} is no count")
    return int(text)


def write_table(path: str, entries: Sequence[Entry]) -> None:
    """Write a table; it replaces one of that name at once or not at all."""
    with files.write_atomically(path) as stream:
        text = [",".join(HEADER)]
        for entry in entries:
            n_bytes = "" if entry.n_bytes is None else str(entry.n_bytes)
            taken = "" if entry.taken is None else str(entry.taken)
            row = (entry.path, n_bytes, entry.label or "", entry.sha256 or "", taken)
            text.append(",".join(_quoted(value) for value in row))
        stream.write(("\n".join(text) + "\n").encode())


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if set(value) & set(',"\r\n') else value


def at(folder: str, path: str) -> str:
    """A path of a file that lies in `folder`: as it is if it is absolute or a URL."""
    if files.is_remote(path):
        return path
    return os.path.normpath(os.path.join(folder, path))
