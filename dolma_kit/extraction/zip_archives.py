"""Members of zip archives, also of one whose end, with the list of them, is missing.

Nothing is ever written under a member's name, and none is decompressed further than asked, whatever
size it declares. Read are members that are stored or compressed by deflate.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from dolma_kit import files

NAMES = re.compile(r"\.zip$", re.IGNORECASE)
MAGIC = (b"PK\3\4", b"PK\5\6")
BLOCK = 1 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 0x1, 0x8, 0x800


class Member(NamedTuple):
    """`offset` is that of its header; sizes are as declared."""

    name: str
    offset: int
    method: int
    flags: int
    crc: int
    n_stored: int
    n_bytes: int
    is_link: bool = False


class Unreadable(Exception):
    """A member that cannot be read, and why."""


class Archive:
    """The members of a zip by name, folders excepted; several may have the same.

    `fault` says what is wrong with the archive as a whole; then `members` are those that are whole.
    """

    def __init__(self, path: str) -> None:
        self.fault: str | None = None
        self.members: dict[str, list[Member]] = {}
        self._raw = files.open_raw(path)
        try:
            found = list(_listed(self._raw))
        except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, struct.error) as error:
            self.fault = f"broken or truncated zip: {error}"
            found = list(_met(self._raw))
        for member in found:
            if not member.name.endswith("/"):
                self.members.setdefault(member.name, []).append(member)

    def read(self, member: Member, max_bytes: int) -> bytes:
        """Its bytes, at most one more than `max_bytes`; of one that is read whole, the checksum is
        checked. Unreadable where they cannot be had."""
        if member.flags & _ENCRYPTED:
            raise Unreadable("encrypted: decrypt the archive")
        if member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unreadable(f"compressed by method {member.method}: pack it again with deflate")
        pieces, n_bytes, crc = [], 0, 0
        try:
            for piece in _content(self._raw, member, max_bytes):
                pieces.append(piece)
                n_bytes += len(piece)
                crc = zlib.crc32(piece, crc)
                if n_bytes > max_bytes:
                    return b"".join(pieces)[: max_bytes + 1]
        except (zlib.error, EOFError, struct.error) as error:
            raise Unreadable(f"broken: {error}") from None
        if crc != member.crc:
            raise Unreadable(f"broken: its checksum is {crc:08x}, it says {member.crc:08x}")
        return b"".join(pieces)

    def close(self) -> None:
        self._raw.close()


def _listed(raw: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(raw) as archive:
        for info in archive.infolist():
            yield Member(
                info.filename, info.header_offset, info.compress_type, info.flag_bits, info.CRC,
                info.compress_size, info.file_size, stat.S_ISLNK(info.external_attr >> 16),
            )  # fmt: skip


def _met(raw: IO[bytes]) -> Iterator[Member]:
    """The whole members that stand one after the other from the begin, by their own headers."""
    size = raw.seek(0, os.SEEK_END)
    at = 0
    while True:
        raw.seek(at)
        head = raw.read(_LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(MAGIC[0]):
            return
        _, _, flags, method, _, _, crc, stored, length, n_name, n_extra = _LOCAL.unpack(head)
        name, extra = raw.read(n_name), raw.read(n_extra)
        stored, length = _wide(extra, stored, length)
        data = at + _LOCAL.size + n_name + n_extra
        if flags & _SIZES_FOLLOW:
            if method != zipfile.ZIP_DEFLATED or flags & _ENCRYPTED:
                return  # where it ends is not known
            raw.seek(data)
            measured = _measured(raw)
            if measured is None:
                return
            stored, length, crc, n_after = measured
        else:
            n_after = 0
        if data + stored > size:
            return
        text = name.decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
        yield Member(text, at, method, flags, crc, stored, length)
        at = data + stored + n_after


def _wide(extra: bytes, stored: int, length: int) -> tuple[int, int]:
    """Sizes of Zip64, which stand in the extra field where those of the header are all ones."""
    while len(extra) >= 4:
        kind, n_bytes = struct.unpack_from("<2H", extra)
        if kind == 1 and n_bytes >= 16 and len(extra) >= 20:
            wide_length, wide_stored = struct.unpack_from("<2Q", extra, 4)
            return (
                wide_stored if stored == 0xFFFFFFFF else stored,
                wide_length if length == 0xFFFFFFFF else length,
            )
        extra = extra[4 + n_bytes :]
    return stored, length


def _measured(raw: IO[bytes]) -> tuple[int, int, int, int] | None:
    """(stored, length, checksum, bytes of the descriptor after it) of a member whose sizes follow
    it; None if it does not end."""
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    n_read = length = crc = 0
    while not engine.eof:
        block = engine.unconsumed_tail
        if not block:
            block = raw.read(BLOCK)
            n_read += len(block)
        try:
            piece = engine.decompress(block, BLOCK)
        except zlib.error:
            return None
        if not block and not piece:
            return None
        length += len(piece)
        crc = zlib.crc32(piece, crc)
    stored = n_read - len(engine.unused_data)
    raw.seek(-len(engine.unused_data), os.SEEK_CUR)
    after = raw.read(28)
    begin = 4 if after.startswith(b"PK\7\x08") else 0
    for n_after in (begin + 12, begin + 20):
        if after[n_after : n_after + 2] in (b"PK", b""):
            return stored, length, crc, n_after
    return None


def _content(raw: IO[bytes], member: Member, max_bytes: int) -> Iterator[bytes]:
    if not 0 <= member.offset < raw.seek(0, os.SEEK_END):
        raise EOFError("it lies beyond the archive")
    raw.seek(member.offset)
    head = raw.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(MAGIC[0]):
        raise EOFError("no header where the list of members says it is")
    *_, n_name, n_extra = _LOCAL.unpack(head)
    raw.seek(n_name + n_extra, os.SEEK_CUR)
    left = member.n_stored
    if member.method == zipfile.ZIP_STORED:
        left = min(left, max_bytes + 1)
        while left:
            block = raw.read(min(BLOCK, left))
            if not block:
                raise EOFError("the archive ends within it")
            left -= len(block)
            yield block
        return
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    while not engine.eof:
        block = engine.unconsumed_tail
        if not block:
            block = raw.read(min(BLOCK, left))
            left -= len(block)
        piece = engine.decompress(block, BLOCK)
        if not block and not piece:
            raise EOFError("it ends before its deflate stream does")
        if piece:
            yield piece
