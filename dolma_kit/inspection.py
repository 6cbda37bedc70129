"""One row of any of our files, found by its number or its id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dolma_kit import files, jsonl, parquet
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.layout import format_of


def row_by_number(path: str, number: int) -> str:
    """Row `number` (from 1; in JSONL: line) as JSON; ConfigError where the file is shorter."""
    if number < 1:
        raise ConfigError(f"rows count from 1, not {number}")
    n = 0
    for n, (_, row) in enumerate(_rows(path), 1):
        if n == number:
            return row
    raise ConfigError(f"{path} has {n} rows, no row {number}")


def row_by_id(path: str, document_id: str) -> str:
    """The first row whose `id` is `document_id` as JSON; ConfigError where there is none."""
    for found, row in _rows(path):
        if found == document_id:
            return row
    raise ConfigError(f"{path} has no row with id {document_id!r}")


class _Id(msgspec.Struct):
    id: Any = None


def _rows(path: str) -> Iterator[tuple[Any, str]]:
    if not files.exists(path):
        raise ConfigError(f"{path} does not exist")
    if files.is_folder(path):
        raise ConfigError(f"{path} is a folder: name one of its files")
    if format_of(path) == ".parquet":
        yield from _parquet_rows(path)
        return
    decoder = msgspec.json.Decoder(_Id)
    reader = files.Reader(path)
    first_line = 1
    try:
        # Line by line: a bad line further on is no reason not to show this one.
        for chunk in jsonl.whole_lines(reader):
            for line, raw in enumerate(chunk.split(b"\n"), first_line):
                if not raw.strip():
                    continue
                try:
                    yield decoder.decode(raw).id, raw.decode("utf-8").strip()
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise DataError(path, line, str(error)) from None
            first_line += chunk.count(b"\n")
    finally:
        reader.close()


def _parquet_rows(path: str) -> Iterator[tuple[Any, str]]:
    for record in parquet.batches(parquet.open_file(path), path, batch_size=1024):
        for row in record.to_pylist():
            plain = {
                k: v.decode("utf-8", "replace") if isinstance(v, bytes) else v
                for k, v in row.items()
            }
            yield row.get("id"), msgspec.json.encode(plain).decode()
