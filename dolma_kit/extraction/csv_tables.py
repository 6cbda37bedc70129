"""CSV and TSV as a source: a header, then a row a record; UTF-8, or UTF-16 with a byte order mark.

All values are strings. A row with more or fewer fields than the header is a fault.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dolma_kit.extraction.csv_records import choose, fields, records
from dolma_kit.extraction.outcomes import faulty
from dolma_kit.extraction.parts import BOM
from dolma_kit.extraction.records import RAW_BYTES, Record, SourceFile
from dolma_kit.extraction.rows import Rows, missing_text
from dolma_kit.extraction.streams import Stream

if TYPE_CHECKING:
    from dolma_kit.config import Extract

NAMES = re.compile(r"\.(csv|tsv|tab)(\.(gz|bz2|zst|zstd))?$", re.IGNORECASE)
SAMPLE_BYTES = 1 << 16
_TSV = re.compile(r"\.(tsv|tab)(\.\w+)?$", re.IGNORECASE)


def is_csv(path: str, head: bytes) -> bool:
    """By the name of a file; its first bytes tell nothing."""
    return bool(NAMES.search(path))


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The rows of the file; `number` counts those after the header, from 1."""
    stream = _Utf8(file.path)
    try:
        yield from _rows(stream, file, settings)
    finally:
        stream.close()


def _rows(stream: _Utf8, file: SourceFile, settings: Extract) -> Iterator[Record]:
    sample, n_sampled = [], 0
    for block in stream:
        sample.append(block)
        n_sampled += len(block)
        if n_sampled >= SAMPLE_BYTES:
            break
    start = b"".join(sample)[:SAMPLE_BYTES]
    dialect = choose(start, n_sampled < SAMPLE_BYTES, is_tsv=bool(_TSV.search(file.path)))
    stream.push_back(sample)
    header: list[str] | None = None
    rows = Rows(file, settings)
    for part in records(stream, dialect, settings.max_record_bytes):
        number = max(1, part.number - 1)
        place = f"{file.tree}:{number}"
        if part.fault is not None:
            yield faulty(number, place, part.fault, part.data)
            if header is None:
                return
            continue
        try:
            values = fields(part.data.decode("utf-8"), dialect)
        except (UnicodeDecodeError, csv.Error) as error:
            reason = f"line {part.line}: {error}"
            if header is None:
                reason = f"no header: {reason}"
            yield faulty(number, place, reason, part.data)
            if header is None:
                return
            continue
        if header is None:
            header = [name.strip() or f"column_{i}" for i, name in enumerate(values, start=1)]
            if (fault := _wrong(header, settings)) is not None:
                yield faulty(1, place, fault, part.data)
                return
        elif len(values) != len(header):
            fault = f"line {part.line}: {len(values)} fields, the header has {len(header)}"
            yield faulty(number, place, fault, part.data)
        else:
            row = dict(zip(header, values, strict=True))
            yield rows.record(number, row, lambda: part.data[:RAW_BYTES])  # noqa: B023


def _wrong(header: list[str], settings: Extract) -> str | None:
    if len(set(header)) < len(header):
        twice = next(name for i, name in enumerate(header) if name in header[:i])
        return f"the header has {twice!r} twice: rename one of the columns"
    return missing_text(header, settings)


class _Utf8(Stream):
    """A stream as UTF-8 without a byte order mark; blocks that were read can be put back."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._blocks = _recoded(self._blocks)

    def push_back(self, blocks: Iterable[bytes]) -> None:
        self._blocks = itertools.chain(blocks, self._blocks)


def _recoded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(BOM):
            break
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield decoder.decode(head).encode()
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
        return
    yield head.removeprefix(BOM)
    yield from blocks
