"""One document of a file, by its line, and what the attributes beside the file say of it.

A file is read as far as the document and no further; what was read last is kept.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa

from dolma_kit import attribute_files, attributes, files, jsonl
from dolma_kit.attributes import Kind
from dolma_kit.decoding import Fields, Lines, Piece, Pieces, Source, count_rows, decode
from dolma_kit.errors import ConfigError, DolmaKitError, VerificationError
from dolma_kit.layout import Shard, find
from dolma_kit.parquet import open_file

KEPT = 8


class Stored(msgspec.Struct, frozen=True):
    """A document as a file holds it. `metadata` is its JSON, None where there is none."""

    path: str
    line: int
    id: str
    text: str
    source: str | None
    metadata: bytes | None


class Span(msgspec.Struct, frozen=True):
    """Characters [start, end) of a text."""

    start: int
    end: int
    score: float


class Column(msgspec.Struct, frozen=True):
    """What one attribute says of a document: a score, or spans."""

    name: str
    experiment: str
    kind: Kind
    score: float | None = None
    spans: tuple[Span, ...] = ()


class Attributes(msgspec.Struct, frozen=True):
    """All that is said of a document; `faults` are files that could not be asked, a line each."""

    columns: list[Column]
    faults: list[str]


def read(path: str, line: int, fields: Fields) -> Stored:
    """The document at a line (from 1) of a file.

    MissingInput or ConfigError where there is no such file, VerificationError where it has no
    document at that line.
    """
    find([path])  # says what is wrong with a path that cannot be read
    return _read(path, line, fields, tuple(files.fingerprint(path).values()))[0]


@functools.lru_cache(maxsize=KEPT)
def _read(path: str, line: int, fields: Fields, state: object) -> tuple[Stored, int]:
    """The document, and how many lines or rows that are not blank come before it."""
    source = Source(path, fields, set_aside=True)
    row = 0
    with contextlib.closing(iter(Pieces(source))) as pieces:  # type: ignore[type-var]
        for piece in pieces:
            if line >= piece.first_line + _n_lines(path, piece):
                row += count_rows(path, piece)
                continue
            for decoded in decode(source, piece):
                at = int(np.searchsorted(decoded.lines, line))
                if at < len(decoded.lines) and decoded.lines[at] == line:
                    names = ("id", "text", "source", "metadata")
                    values = [decoded.table[name][at].as_py() for name in names]
                    return Stored(path, line, *values), row + at
                row += len(decoded.lines)
            break
    raise VerificationError(
        f"{path} has no document at line {line}: it is another file than when it was read"
    )


def _n_lines(path: str, piece: Piece) -> int:
    if isinstance(piece, Lines):
        return jsonl.count_lines(piece.data)
    return int(open_file(path).metadata.row_group(piece.number).num_rows)


def attributes_of(document: Stored, fields: Fields) -> Attributes:
    """What all experiments beside a document's file say of it, by experiment and column."""
    state = tuple(files.fingerprint(document.path).values())
    row = _read(document.path, document.line, fields, state)[1]
    shard = find([document.path])[0]
    if shard.attributes is None:
        why = f"{document.path} lies outside a documents/ folder, beside which attributes would lie"
        return Attributes([], [why])
    columns: list[Column] = []
    faults: list[str] = []
    for experiment in _experiments(shard.attributes):
        try:
            columns += _columns(shard, experiment, document, row, fields)
        except (DolmaKitError, OSError) as error:
            faults.append(str(error))
    return Attributes(columns, faults)


def _experiments(folder: str) -> list[str]:
    if files.is_remote(folder):
        return []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return sorted(one.name for one in entries if one.is_dir() and one.name[0] != ".")
    return []


def _columns(
    shard: Shard, experiment: str, document: Stored, row: int, fields: Fields
) -> Iterator[Column]:
    located = attributes.locate_if_there(shard, experiment)
    if located is None:
        return
    kinds = attribute_files.known_columns(shard, experiment)
    try:
        found = _row(located, kinds, document, row)
    except VerificationError:  # lines that nobody could read stand before it, or it is another's
        exact = _exact_row(document, fields)
        if exact == row:
            raise
        found = _row(located, kinds, document, exact)
    for name, kind in kinds.items():
        value = found.column(name)[0].as_py()
        if kind == "score":
            yield Column(name, experiment, kind, score=value)
            continue
        spans = tuple(Span(one["start"], one["end"], one["score"]) for one in value or ())
        yield Column(name, experiment, kind, spans=spans)


def _row(
    located: tuple[str, attributes.Format], kinds: dict[str, Kind], document: Stored, row: int
) -> pa.Table:
    """A row of an attribute file, which has to be the document's."""
    reader = attribute_files.Reader(*located, kinds, document.path)
    table = pa.record_batch([[document.id], [document.line]], names=["id", "line"])
    return reader.read(attribute_files.Documents(row, table))


def _exact_row(document: Stored, fields: Fields) -> int:
    """How many documents that can be read come before one."""
    source = Source(document.path, fields, set_aside=True)
    row = 0
    with contextlib.closing(iter(Pieces(source))) as pieces:  # type: ignore[type-var]
        for piece in pieces:
            for decoded in decode(source, piece):
                before = int(np.searchsorted(decoded.lines, document.line))
                row += before
                if before < len(decoded.lines):
                    return row
    raise ConfigError(f"{document.path} has become shorter: reload the page")
