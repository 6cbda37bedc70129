"""Filters on disk: what a filter holds, and of which files, for a later run to go on with.

A file is, all integers little-endian:

    8 bytes      b"DKFILTER"
    uint32       version of this format: 1 of the blocked filter, 2 of any other structure
    uint32       n, bytes of the description
    n bytes      the description, JSON (see `Description`)
    0 to 63      zero bytes, up to a multiple of 64
    blocked, classic: 64 bytes each, n_blocks of them: the blocks, 8 uint64 each (`kernels.bloom`
                 and `kernels.classic_bloom` say which bits)
    fingerprints: n_items keys, ascending, of one or two uint64 each (`kernels.fingerprints`)

The hash is fixed by the description's `hash`, so a filter can be used on any machine and by any
build that knows this name. A file takes its place whole, or not at all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from dolma_kit import files
from dolma_kit.deduplication import structures
from dolma_kit.deduplication.bloom import BLOCK_BYTES, Geometry
from dolma_kit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"DKFILTER"
VERSIONS = 1, 2
HASH = "xxh64 seed 0 of the UTF-8; blocks and positions as in version 1"
_HEAD = struct.Struct("<8sII")
_MOST_DESCRIPTION = 1 << 30


class Absorbed(msgspec.Struct, frozen=True, kw_only=True):
    """One run that added its keys: a digest of all that decides them, and the files that it read.

    `inputs` are names, as in attributes, with the SHA-256 of the stored files.
    """

    run: str
    inputs: dict[str, str | None]


class Description(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a filter is: its shape, what its keys are, how many it holds and of which files.

    `selection` says what of a document is a key; a run with another one is refused.
    """

    hash: str
    n_blocks: int
    k: int
    n_expected: int
    fp_rate: float
    n_items: int
    selection: dict[str, bool | int | str]
    absorbed: list[Absorbed]
    structure: str = "blocked"

    @property
    def geometry(self) -> Geometry:
        return Geometry(n_blocks=self.n_blocks, k=self.k)


class FilterFile:
    """A filter on disk, of which the description is read and the blocks are not yet.

    DataError for a file that is no filter, is cut short or longer than it says; ConfigError for
    one of another version or hash.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as stream:
            head = stream.read(_HEAD.size)
            if len(head) < _HEAD.size or head[:8] != MAGIC:
                raise DataError(path, None, "is no filter of dolma-kit: give another --filter")
            _, version, n = _HEAD.unpack(head)
            if version not in VERSIONS:
                known = " and ".join(map(str, VERSIONS))
                raise ConfigError(
                    f"{path} is a filter of version {version}, this dolma-kit reads versions "
                    f"{known}: --rebuild starts it again"
                )
            try:
                if n > _MOST_DESCRIPTION:
                    raise msgspec.DecodeError("its description cannot be so long")
                self.description = msgspec.json.decode(stream.read(n), type=Description)
            except msgspec.DecodeError as error:
                raise DataError(path, None, f"is a broken filter ({error}): {_CURE}") from None
        self._start = _padded(_HEAD.size + n)
        found = self.description
        if found.hash != HASH:
            raise ConfigError(
                f"{path} was made with another hash ({found.hash!r}, not {HASH!r}): --rebuild "
                "starts it again"
            )
        try:
            structure = structures.of(found.structure)
        except StopIteration:
            raise ConfigError(
                f"{path} is of a structure that this dolma-kit has not, {found.structure!r}: "
                "--rebuild starts it again"
            ) from None
        if structure.version != version:
            raise DataError(path, None, f"is no {found.structure} filter of its version: {_CURE}")
        size = os.path.getsize(path)
        expected = self._start + structure.stored_bytes(found.geometry, found.n_items)
        if size != expected or found.n_blocks < 1 or found.k < 1:
            raise DataError(
                path, None, f"has {size:,} bytes, its description says {expected:,}: {_CURE}"
            )

    def read_into(self, at: int, words: NDArray[np.uint64]) -> None:
        """Fill `words`, uint64 of any shape, with what stands from byte `at` on."""
        with open(self.path, "rb") as stream:
            stream.seek(self._start + at)
            view = memoryview(words.reshape(-1).view("u1"))  # type: ignore[arg-type]
            done = 0
            while done < len(view):
                n = stream.readinto(view[done : done + files.READ_BYTES])
                if not n:
                    raise DataError(self.path, None, f"was cut short while it was read: {_CURE}")
                done += n
        if not _is_little_endian():
            words.byteswap(inplace=True)

    def mapped(self) -> NDArray[np.uint64]:
        """(n_words,) uint64, mapped from disk."""
        import numpy as np

        if os.path.getsize(self.path) == self._start:  # nothing cannot be mapped
            return np.zeros(0, "<u8")
        return np.asarray(np.memmap(self.path, "<u8", mode="r", offset=self._start))


_CURE = "restore it, or start it again with --rebuild"


def write(path: str, description: Description, pieces: Iterable[NDArray[np.uint64]]) -> None:
    """Write a filter that holds the pieces, uint64 of any shape, one after the other."""
    encoded = msgspec.json.encode(description, order="deterministic")
    version = structures.of(description.structure).version
    head = _HEAD.pack(MAGIC, version, len(encoded)) + encoded
    with files.write_atomically(path) as stream:
        stream.write(head.ljust(_padded(len(head)), b"\0"))
        for piece in pieces:
            words = piece.reshape(-1)
            for first in range(0, len(words), files.READ_BYTES // 8):
                part = words[first : first + files.READ_BYTES // 8]
                stream.write(part.astype("<u8", copy=False).tobytes())


def check_use(
    found: Description,
    path: str,
    selection: Mapping[str, bool | int | str],
    structure: str,
    *,
    read_only: bool,
) -> None:
    """ConfigError where a filter holds keys of another kind, or holds them in another way."""
    if found.structure != structure:
        cure = "" if read_only else ", or start it again with --rebuild"
        raise ConfigError(
            f"{path} is a {found.structure} filter, not {structure}: give the flags that it was "
            f"made with{cure}"
        )
    if odd := [k for k, v in selection.items() if found.selection.get(k) != v]:
        own = ", ".join(f"{k} {found.selection.get(k)!r}" for k in odd)
        asked = ", ".join(f"{k} {selection[k]!r}" for k in odd)
        cure = "" if read_only else ", or start it again with --rebuild"
        raise ConfigError(f"{path} holds keys with {own}, not {asked}: take another --filter{cure}")


def check_inputs(found: Description, path: str, inputs: Mapping[str, str | None]) -> None:
    """ConfigError where a filter has taken in one of these files before.

    Its keys would be found in it, and the file be its own duplicate. A file is known by its bytes.
    """
    known = {sha: name for one in found.absorbed for name, sha in one.inputs.items() if sha}
    for name, sha256 in inputs.items():
        if sha256 in known:
            raise ConfigError(
                f"{path} has taken in {name} before (as {known[sha256]}), so all of it would be "
                "marked as its own duplicate: look it up with --read-only, or start the filter "
                "again with --rebuild"
            )


def _padded(n: int) -> int:
    return -(-n // BLOCK_BYTES) * BLOCK_BYTES


def _is_little_endian() -> bool:
    import sys

    return sys.byteorder == "little"
