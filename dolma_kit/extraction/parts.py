"""Parts of a stream that hold one record each, collected within a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dolma_kit.extraction.outcomes import too_large
from dolma_kit.extraction.records import RAW_BYTES
from dolma_kit.extraction.streams import Stream

BOM = b"\xef\xbb\xbf"


class Part(NamedTuple):
    """The bytes of record `number` (from 1), which begins in `line` (from 1; 0 if not counted).

    Of one with a `fault` (it is too large, or the stream ends within it) only the first are kept.
    """

    number: int
    data: bytes
    line: int = 0
    fault: str | None = None


class Bounded:
    """Bytes that come in pieces; beyond `max_bytes`, the first RAW_BYTES of them alone."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._pieces: list[bytes] = []
        self._is_cut = False

    def add(self, piece: bytes) -> None:
        self.n_bytes += len(piece)
        if not self.is_large:
            self._pieces.append(piece)
        elif not self._is_cut:
            head = b"".join([*self._pieces, piece[:RAW_BYTES]])[:RAW_BYTES]
            self._pieces, self._is_cut = [head], len(head) == RAW_BYTES

    @property
    def is_large(self) -> bool:
        return self.n_bytes > self.max_bytes

    def fault(self) -> str | None:
        return too_large(self.n_bytes, self.max_bytes) if self.is_large else None

    def take(self) -> bytes:
        """What was added, and an empty one from now on."""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self.n_bytes, self._is_cut = [], 0, False
        return data


def lines(stream: Stream, max_bytes: int) -> Iterator[Part]:
    """The lines of a stream without their ends, which are `\\n` only; number and line are the same.

    Blank ones count but are not given. A stream that ends in a fault gives that one last.
    """
    pending, line = Bounded(max_bytes), 1
    is_first = True
    for block in stream:
        if is_first:
            block, is_first = block.removeprefix(BOM), False
        *whole, rest = block.split(b"\n")
        for piece in whole:
            pending.add(piece)
            if (part := _taken(pending, line)) is not None:
                yield part
            line += 1
        if rest:
            pending.add(rest)
    if stream.fault is not None:
        yield Part(line, pending.take()[:RAW_BYTES], line, f"line {line}: {stream.fault}")
    elif (part := _taken(pending, line)) is not None:
        yield part


def _taken(pending: Bounded, line: int) -> Part | None:
    fault = pending.fault()
    data = pending.take()
    return Part(line, data, line, fault) if fault or data.strip() else None
