"""Records of CSV as bytes, one after the other, as RFC 4180 and Python's `csv` part them.

A quote opens a field only where the field begins; within quotes, two of them stand for one, and
line breaks and delimiters for themselves. Lines end in `\\n`, `\\r\\n` or `\\r`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dolma_kit.extraction.parts import Bounded, Part
from dolma_kit.extraction.records import RAW_BYTES
from dolma_kit.extraction.streams import Stream

DELIMITERS = (",", ";", "\t", "|")
_MOST_UNCLOSED = 100  # quotes that are never closed, of which lines are taken up again
_LOOK_BACK = 64  # bytes before a quote that are looked at
_SAMPLE_RECORDS = 200
_MARK = re.compile(rb'["\r\n]')
_BREAK = re.compile(rb"\r\n?|\n")


class Dialect(NamedTuple):
    """`skips_spaces`: those after a delimiter belong to it, as `a, "b"` wants it."""

    delimiter: str = ","
    skips_spaces: bool = False


def choose(sample: bytes, is_whole: bool, *, is_tsv: bool = False) -> Dialect:
    """The dialect of a file that begins with a sample: tabs for .tsv, else the delimiter by which
    most records have as many fields as the header, then the one of most fields; comma if none.

    Not by csv.Sniffer: 64 kB of quoted fields take it 11 seconds, and it finds delimiters in texts.
    """
    best, best_score = Dialect("\t" if is_tsv else ","), (0.0, 0)
    for delimiter in ("\t",) if is_tsv else DELIMITERS:
        mark = delimiter.encode()
        spaced = sample.count(mark + b' "')
        dialect = Dialect(delimiter, spaced > sample.count(mark + b'"'))
        found = []
        for part in records([sample], dialect, 1 << 30, until_end=is_whole):
            found.append(len(fields(part.data.decode("utf-8", "replace"), dialect)))
            if len(found) == _SAMPLE_RECORDS:
                break
        if found and found[0] > 1:
            score = (Counter(found)[found[0]] / len(found), found[0])
            if score > best_score:
                best, best_score = dialect, score
    return best


def fields(record: str, dialect: Dialect) -> list[str]:
    """The fields of one record."""
    csv.field_size_limit(max(csv.field_size_limit(), len(record)))  # of the whole process
    reader = csv.reader(
        [record], delimiter=dialect.delimiter, skipinitialspace=dialect.skips_spaces
    )
    return next(reader, [])


def records(
    stream: Stream | Iterable[bytes], dialect: Dialect, max_bytes: int, *, until_end: bool = True
) -> Iterator[Part]:
    """The records of a stream without their line breaks; blank lines are none.

    Where a quote is never closed, its line is a fault, and the next line begins a record. Without
    `until_end`, the last record, which may not be whole, is not given.
    """
    blocks: Iterable[bytes] = stream
    number = line = 1
    for _ in range(_MOST_UNCLOSED):
        splitter = _Splitter(dialect, max_bytes, number, line)
        for block in blocks:
            yield from splitter.split(block)
        broken = stream.fault if isinstance(stream, Stream) else None
        if broken is not None:
            fault = f"line {splitter.line}: {broken}"
            yield Part(splitter.number, splitter.pending.take()[:RAW_BYTES], splitter.line, fault)
            return
        number, line = splitter.number, splitter.line
        is_large = splitter.pending.is_large
        if not until_end:
            return
        if not splitter.in_quotes or is_large:
            yield from splitter.taken()
            return
        rest = splitter.pending.take()
        cut = _BREAK.search(rest)
        head = rest if cut is None else rest[: cut.start()]
        yield Part(number, head[:RAW_BYTES], line, f"line {line}: a quote that is never closed")
        if cut is None:
            return
        blocks, number, line = [rest[cut.end() :]], number + 1, line + 1
    yield Part(number, b"", line, f"line {line}: too many quotes that are never closed")


class _Splitter:
    """The state between two blocks: of the record `number`, which begins in `line`."""

    def __init__(self, dialect: Dialect, max_bytes: int, number: int, line: int) -> None:
        self.number = number
        self.line = line
        self.pending = Bounded(max_bytes)
        self.in_quotes = False
        self._opens_after = dialect.delimiter.encode()
        self._skips_spaces = dialect.skips_spaces
        self._before = b""  # the last bytes of what is pending
        self._n_breaks = 0  # within what is pending
        self._closes_quote = False  # a block ended in a quote that closes, unless another follows
        self._ended_in_cr = False

    def split(self, block: bytes) -> Iterator[Part]:
        start = at = 0
        if self._ended_in_cr and block:
            self._ended_in_cr = False
            start = at = int(block.startswith(b"\n"))
        if self._closes_quote and block:
            self._closes_quote = False
            if block.startswith(b'"'):
                at, self.in_quotes = 1, True
        while True:
            if self.in_quotes:
                close = block.find(b'"', at)
                if close < 0:
                    break
                at = close + 1
                if block[at : at + 1] == b'"':
                    at += 1
                else:
                    self.in_quotes = False
                    self._closes_quote = at == len(block)
                continue
            found = _MARK.search(block, at)
            if found is None:
                break
            at = found.end()
            if found[0] == b'"':
                self.in_quotes = self._is_field_begin(block, start, found.start())
                continue
            self._add(block[start : found.start()])
            yield from self.taken()
            self.line += 1
            if found[0] == b"\r":
                self._ended_in_cr = at == len(block)
                at += block[at : at + 1] == b"\n"
            start = at
        self._add(block[start:])

    def taken(self) -> Iterator[Part]:
        """What is pending, as a part, unless it is a blank line."""
        fault, data, line = self.pending.fault(), self.pending.take(), self.line
        self.line += self._n_breaks
        self._n_breaks, self._before = 0, b""
        if data.strip(b" ") or fault:
            yield Part(self.number, data, line, f"line {line}: {fault}" if fault else None)
            self.number += 1

    def _is_field_begin(self, block: bytes, start: int, quote: int) -> bool:
        before = block[max(start, quote - _LOOK_BACK) : quote]
        if len(before) < _LOOK_BACK:
            before = self._before + before
        if self._skips_spaces:
            before = before.rstrip(b" ")
        return not before or before.endswith(self._opens_after)

    def _add(self, piece: bytes) -> None:
        self.pending.add(piece)
        self._n_breaks -= self._before.endswith(b"\r") and piece.startswith(b"\n")  # one, in two
        self._before = (self._before + piece[-_LOOK_BACK:])[-_LOOK_BACK:]
        self._n_breaks += len(_BREAK.findall(piece)) if b"\r" in piece else piece.count(b"\n")
