"""WARC files cut into records, whatever is wrong with them.

A record is `WARC/1.x`, header lines, an empty line, `Content-Length` bytes, two line ends (ISO
28500). Where a length is wrong, or something else stands where a record has to begin, the next
record is looked for, and what was passed over is told. Nothing larger than a record may be is ever
held; headers end within MOST_HEADER bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dolma_kit.extraction.records import RAW_BYTES
from dolma_kit.extraction.streams import Stream

MOST_HEADER = 1 << 20
MAGIC = b"WARC/"
STRETCH = 1 << 20  # in which the next record is looked for at once
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,18})[ \t]*\r?$")
_BEGINNING = re.compile(rb"\nWARC/[01]\.\d{1,8}\r?\n")
LONGEST_BEGINNING = 32
_BETWEEN = (b"\r\n\r\n", b"\n\n")


class RawRecord(NamedTuple):
    """A record at byte `offset` of the decompressed file: its header, its end-of-header included,
    and its block. With a `fault` it is none, and `block` is the beginning of what was passed over.
    `is_mended`: its Content-Length was wrong, and the next record told where it ends."""

    offset: int
    header: bytes
    block: bytes
    fault: str | None = None
    is_mended: bool = False


class _Window:
    """A stretch of a decompressed file: `data` begins at byte `offset` of it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.data = bytearray()
        self.offset = 0
        self.is_whole = False

    def fill(self, n: int) -> bool:
        """Have n bytes, if there are so many."""
        while len(self.data) < n and not self.is_whole:
            block = self._stream.read()
            self.data += block
            self.is_whole = not block
        return len(self.data) >= n

    def drop(self, n: int) -> None:
        """Pass over n bytes, which may be more than are there."""
        while n > 0 and (self.data or self.fill(1)):
            part = min(n, len(self.data))
            del self.data[:part]
            self.offset += part
            n -= part

    def skip_line_ends(self) -> None:
        while self.fill(1):
            n = len(self.data) - len(self.data.lstrip(b"\r\n"))
            self.drop(n)
            if self.data:
                return

    def find(self, what: bytes, start: int, most: int) -> int:
        """Where something begins first, at `start` or later and within `most` bytes; -1 if not."""
        at = start
        while True:
            found = self.data.find(what, at, start + most)
            n = len(self.data)
            if found >= 0 or n >= start + most or self.is_whole:
                return found
            at = max(start, n - len(what))
            self.fill(n + 1)

    def find_record(self, start: int, most: int, *, after_gap: bool) -> int:
        """Where a record begins first: in a line of its own, after an empty one if asked for."""
        at = start
        while True:
            found = _BEGINNING.search(self.data, at, start + most)
            if found is not None and after_gap and not self._has_gap(found.start()):
                at = found.start() + 1
            elif found is not None:
                return found.start() + 1
            elif len(self.data) >= start + most or self.is_whole:
                return -1
            else:
                at = max(start, len(self.data) - LONGEST_BEGINNING)
                self.fill(len(self.data) + 1)

    def _has_gap(self, at: int) -> bool:
        """Whether the line that ends at a byte is empty."""
        return bytes(self.data[max(at - 2, 0) : at]).removesuffix(b"\r").endswith(b"\n")


def records(path: str, max_record_bytes: int) -> Iterator[RawRecord]:
    """The records of a file (plain, .gz, .zst or .bz2), and what is none."""
    stream = Stream(path)
    window = _Window(stream)
    try:
        while True:
            window.skip_line_ends()
            if not window.data:
                break
            yield _next(window, max_record_bytes)
        if stream.fault is not None:
            yield RawRecord(window.offset, b"", b"", f"{stream.fault}; nothing more can be read")
    finally:
        stream.close()


def _next(window: _Window, max_record_bytes: int) -> RawRecord:
    window.fill(len(MAGIC))
    if not window.data.startswith(MAGIC):
        return _passed_over(window, 0, "no WARC record begins here")
    end = _end_of_header(window)
    if end is None:
        why = f"a header that does not end within {MOST_HEADER:,} bytes"
        if window.is_whole and len(window.data) < MOST_HEADER:
            why = "a header that is cut short"
        return _passed_over(window, len(MAGIC), why)
    header = bytes(window.data[:end])
    found = _LENGTH.search(header)
    if found is None:
        return _passed_over(window, end, "a header without Content-Length")
    length = int(found[1])
    offset = window.offset
    if length > max_record_bytes:
        window.fill(end + RAW_BYTES)
        raw = bytes(window.data[end : end + RAW_BYTES])
        window.drop(end + length)
        fault = f"{length:,} bytes, more than max_record_bytes ({max_record_bytes:,})"
        return RawRecord(offset, header, raw, fault)
    is_there = window.fill(end + length)
    if is_there and _ends(window, end + length):
        block = bytes(window.data[end : end + length])
        window.drop(end + length)
        return RawRecord(offset, header, block)
    return _mended(window, header, length, max_record_bytes)


def _end_of_header(window: _Window) -> int | None:
    """Where the empty line after a header ends."""
    found = window.find(b"\r\n\r\n", 0, MOST_HEADER)
    if found >= 0:
        return found + 4
    found = window.find(b"\n\n", 0, MOST_HEADER)
    return None if found < 0 else found + 2


def _ends(window: _Window, at: int) -> bool:
    """Whether a record ends at a byte: two line ends follow, or the next one, or nothing."""
    window.fill(at + 16)
    after = bytes(window.data[at : at + 16])
    rest = after.lstrip(b"\r\n")
    if rest.startswith(MAGIC) and rest == after:  # some put no line ends; none took ours for theirs
        return not bytes(window.data[max(at - 4, 0) : at]).endswith(_BETWEEN)
    return not rest or rest.startswith(MAGIC) or after.startswith(_BETWEEN)


def _mended(window: _Window, header: bytes, length: int, most: int) -> RawRecord:
    """A record whose length is wrong: it ends where the next one begins, or with the file."""
    start, offset = len(header), window.offset
    found = window.find_record(start, most, after_gap=True)
    if found < 0:
        there = len(window.data) - start
        raw = bytes(window.data[start : start + RAW_BYTES])
        why = f"Content-Length is {length:,}, {there:,} bytes are there"
        if window.is_whole and there < length:
            window.drop(len(window.data))
            return RawRecord(offset, header, raw, f"cut short: {why}")
        if window.is_whole:  # the last one, which goes on to the end
            block = bytes(window.data[start:]).rstrip(b"\r\n")
            window.drop(len(window.data))
            return RawRecord(offset, header, block, is_mended=True)
        window.drop(start)
        fault = f"wrong Content-Length ({length:,}), and no record follows within {most:,} bytes"
        passed = _passed_over(window, 0, fault)
        return passed._replace(offset=offset, header=header, block=raw)
    block = bytes(window.data[start:found])
    for end in _BETWEEN:
        block = block.removesuffix(end)
    window.drop(found)
    return RawRecord(offset, header, block, is_mended=True)


def _passed_over(window: _Window, start: int, why: str) -> RawRecord:
    """Pass over what is no record, to the beginning of the next one."""
    offset = window.offset
    window.fill(RAW_BYTES)
    raw = bytes(window.data[:RAW_BYTES])
    window.drop(max(start - 1, 0))  # the line end before a record tells it
    while (found := window.find_record(0, STRETCH, after_gap=False)) < 0:
        # What could be the beginning of a beginning stays.
        n_kept = 0 if window.is_whole else LONGEST_BEGINNING
        window.drop(max(len(window.data) - n_kept, 0))
        if window.is_whole and not window.data:
            break
    window.drop(max(found, 0))
    n = window.offset - offset
    return RawRecord(offset, b"", raw, f"{why}; {n:,} bytes are passed over")
