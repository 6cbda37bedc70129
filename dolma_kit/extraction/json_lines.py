"""JSON as a source: a row a line, or one array of rows (.json whose first character is `[`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit.extraction.json_arrays import elements
from dolma_kit.extraction.outcomes import faulty
from dolma_kit.extraction.parts import BOM, lines
from dolma_kit.extraction.records import RAW_BYTES, Record, SourceFile
from dolma_kit.extraction.rows import Rows
from dolma_kit.extraction.streams import Stream

if TYPE_CHECKING:
    from dolma_kit.config import Extract

NAMES = re.compile(r"\.(jsonl|ndjson|jsonlines|json)(\.(gz|bz2|zst|zstd))?$", re.IGNORECASE)
_MAY_BE_ARRAY = re.compile(r"\.json(\.\w+)?$", re.IGNORECASE)


def is_json(path: str, head: bytes) -> bool:
    """By the name of a file and its first bytes, decompressed."""
    return bool(NAMES.search(path)) and head.removeprefix(BOM).lstrip()[:1] in (b"{", b"[", b"")


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The rows of the file; of lines, blank ones count in `number` but are no records."""
    rows = Rows(file, settings)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
    stream = Stream(file.path)
    split = elements if _is_array(file.path) else lines
    try:
        for part in split(stream, settings.max_record_bytes):
            place = f"{file.tree}:{part.number}"
            if part.fault is not None:
                yield faulty(part.number, place, part.fault, part.data)
                continue
            try:
                row = decoder.decode(part.data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                yield faulty(part.number, place, _reason(part.data, error), part.data)
                continue
            if isinstance(row, dict):
                yield rows.record(part.number, row, lambda: part.data[:RAW_BYTES])  # noqa: B023
            else:
                kind = type(row).__name__
                yield faulty(part.number, place, f"no JSON object but a {kind}", part.data)
    finally:
        stream.close()


def _is_array(path: str) -> bool:
    if not _MAY_BE_ARRAY.search(path):
        return False
    stream = Stream(path)
    try:
        for block in stream:
            if first := block.removeprefix(BOM).lstrip()[:1]:
                return first == b"["
    finally:
        stream.close()
    return False


def _reason(data: bytes, error: Exception) -> str:
    """Why it cannot be read; the decoder takes half a surrogate pair for a truncated text."""
    if re.search(rb"\\u[dD][89a-fA-F]", data) and "truncated" in str(error):
        return "a \\ud800-\\udfff escape without its other half stands for no character"
    return f"no JSON: {error}"
