"""Decompressed bytes of a file, as far as they can be had.

Unlike `files.Reader`, which is for files that are whole or set aside, a stream gives all that comes
before a fault, to the byte in gzip, and then tells it: `fault` is None until then, and after a file
that is whole.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator

from dolma_kit import files

BLOCK = 1 << 16  # of stored bytes
PIECE = 256  # of zstd, of which a byte may be 128 KiB
MOST_AT_ONCE = 1 << 22  # of decompressed bytes: a bomb is told by its records, not by its memory
ZSTD_WINDOW = 1 << 31  # of dumps made with --long=31


class Stream:
    """Blocks of a file's bytes, decompressed by its suffix (.gz, .bz2, .zst; plain otherwise).

    `n_stored` counts stored bytes that were read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fault: str | None = None
        self.n_stored = 0
        self._raw = files.open_raw(path)
        self._blocks = self._opened(path.lower())

    def _opened(self, name: str) -> Iterator[bytes]:
        if name.endswith(".gz"):
            return self._gzip()
        if name.endswith(".bz2"):
            return self._bzip2()
        if name.endswith((".zst", ".zstd")):
            return self._zstd()
        return self._stored()

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def read(self) -> bytes:
        """The next block; b"" at the end, or where a fault is."""
        return next((block for block in self._blocks if block), b"")

    def close(self) -> None:
        self._raw.close()

    def _stored(self) -> Iterator[bytes]:
        while block := self._raw.read(BLOCK):
            self.n_stored += len(block)
            yield block

    def _gzip(self) -> Iterator[bytes]:
        """All members; what follows the last one and is none is a fault, but for zeros."""
        member = zlib.decompressobj(wbits=31)
        began = False
        for block in self._stored():
            waiting = block
            while waiting:
                if not began and not (waiting := waiting.lstrip(b"\0\r\n")):
                    break  # padding of tapes and blocks, and what some writers put between members
                began = True
                before = member.copy()
                try:
                    given = member.decompress(waiting, MOST_AT_ONCE)
                except zlib.error as error:
                    self.fault = f"broken gzip: {error}"
                    yield _until_fault(before, waiting)
                    return
                if given:
                    yield given
                if member.eof:
                    waiting = member.unused_data
                    member, began = zlib.decompressobj(wbits=31), False
                else:
                    waiting = member.unconsumed_tail
        if began:
            self.fault = "truncated gzip: it ends within a member"

    def _bzip2(self) -> Iterator[bytes]:
        part = bz2.BZ2Decompressor()
        began = False
        for block in self._stored():
            waiting = block
            while waiting or (began and not part.needs_input):
                try:
                    given = part.decompress(waiting, MOST_AT_ONCE)
                except OSError as error:
                    self.fault = f"broken bzip2: {error}"
                    return
                began, waiting = True, b""
                if given:
                    yield given
                if part.eof:
                    waiting = part.unused_data
                    part, began = bz2.BZ2Decompressor(), False
        if began:
            self.fault = "truncated bzip2: it ends within a stream"

    def _zstd(self) -> Iterator[bytes]:
        import zstandard

        engine = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        frame = engine.decompressobj()
        began = False
        for block in self._stored():
            waiting = block
            while waiting:
                # What it gives at once is not bounded: small pieces keep a bomb small.
                piece, waiting = waiting[:PIECE], waiting[PIECE:]
                began = True
                try:
                    given = frame.decompress(piece)
                except zstandard.ZstdError as error:
                    self.fault = f"broken zstd: {error}"
                    return
                if given:
                    yield given
                if frame.eof:
                    waiting = frame.unused_data + waiting
                    frame, began = engine.decompressobj(), False
        if began:
            self.fault = "truncated zstd: it ends within a frame"


def _until_fault(member: zlib._Decompress, stored: bytes) -> bytes:
    """What comes of stored bytes until the first one that is wrong."""
    found = []
    try:
        for i in range(len(stored)):
            found.append(member.decompress(stored[i : i + 1]))
    except zlib.error:
        pass
    return b"".join(found)
