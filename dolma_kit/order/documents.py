"""From tokens to documents and back: which document each token of a token file belongs to.

Two forms, the first that exists beside `X.npy` (design, section 3):

    X.docs.parquet   start, end, loc: int64; id, src: string; source: string or null
    X.csv.gz         start,end,id,src,loc without a header, Dolma's; `source` is null

A row a document, in the order of the tokens: its tokens are [start, end) of X.npy, the EOS that
ends it included; `src` and `loc` say which line, from 1, of which file it was. Documents follow
each other without a gap and fill the file; rows that do not are refused, never repaired.
"""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.files import expand
from dolma_kit.order.paths import TokenFile

SCHEMA = pa.schema(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("src", pa.string(), nullable=False),
        pa.field("loc", pa.int64(), nullable=False),
        pa.field("source", pa.string()),
    ]
)
SUFFIXES = (".docs.parquet", ".csv.gz")
CSV_ROWS = 1 << 16


class Document(NamedTuple):
    """One row: the document holds tokens [start, end) of its file, `line` is its `loc`."""

    id: str
    source: str | None
    src: str
    line: int
    start: int
    end: int


class DocumentTable:
    """The documents of one token file; `starts` and `ends` are (n_docs,) int64.

    `path` and `rows` (SCHEMA's columns) are where and what was read; VerificationError if the
    rows do not fill `tokens` one after the other.
    """

    def __init__(self, path: str, rows: pa.Table, tokens: TokenFile) -> None:
        self.path = path
        self.starts: NDArray[np.int64] = rows["start"].to_numpy()
        self.ends: NDArray[np.int64] = rows["end"].to_numpy()
        self._rows = rows
        self._check(tokens)

    def __len__(self) -> int:
        return len(self.starts)

    def _check(self, tokens: TokenFile) -> None:
        begins = np.concatenate(([0], self.ends))[:-1]  # (n_docs,) int64, where each has to start
        if (wrong := np.flatnonzero(self.starts != begins)).size:
            row = int(wrong[0])
            raise VerificationError(
                f"{self.path}: row {row + 1} starts at token {self.starts[row]}, not at "
                f"{begins[row]}: documents follow each other from 0 on without a gap"
            )
        if (empty := np.flatnonzero(self.ends <= self.starts)).size:
            row = int(empty[0])
            raise VerificationError(
                f"{self.path}: row {row + 1} starts at token {self.starts[row]} and ends at "
                f"{self.ends[row]}: a document has at least one token"
            )
        end = int(self.ends[-1]) if len(self) else 0
        if end != tokens.n_tokens:
            raise VerificationError(
                f"{self.path} ends at token {end}, {tokens.path} has {tokens.n_tokens} tokens: "
                "they do not belong together"
            )

    def __getitem__(self, row: int) -> Document:
        doc_id, source, src, line = (
            self._rows[name][row].as_py() for name in ("id", "source", "src", "loc")
        )
        return Document(doc_id, source, src, line, int(self.starts[row]), int(self.ends[row]))

    def overlapping(self, start: int, end: int) -> range:
        """The rows of the documents that hold a token of [start, end), by binary search."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        return range(first, int(np.searchsorted(self.starts, end, side="left")))

    def rows_with_id(self, doc_id: str) -> list[int]:
        """Every row of that id, ascending; one pass over the ids."""
        same = pc.equal(self._rows["id"], pa.scalar(doc_id, pa.string()))
        return [int(row) for row in np.flatnonzero(same.to_numpy())]


def find_table(token_path: str, pattern: str | None) -> str:
    """Where the documents of a token file are listed: beside it, or among what `pattern` finds.

    Of several files of the same name that a pattern finds, the one whose folders agree with the
    token file's in most names, from the last one up. ConfigError for none, or for a choice.
    """
    stem, _ = os.path.splitext(token_path)
    if pattern is None:
        for suffix in SUFFIXES:
            if os.path.isfile(stem + suffix):
                return stem + suffix
        raise ConfigError(
            f"no documents of {token_path}: neither {os.path.basename(stem)}{SUFFIXES[0]} nor "
            f"{SUFFIXES[1]} is beside it; name them by the key documents"
        )
    wanted = _names_upwards(stem)
    best: dict[str, str] = {}  # stem -> file; Parquet first where both are there
    most = 1
    for suffix in SUFFIXES:
        for path in expand(pattern):
            found = path.removesuffix(suffix)
            names = _names_upwards(found)
            if found == path or names[0] != wanted[0]:
                continue
            agreeing = next(
                (i for i, (a, b) in enumerate(zip(names, wanted, strict=False)) if a != b),
                min(len(names), len(wanted)),
            )
            if agreeing > most:
                best, most = {}, agreeing
            if agreeing == most:
                best.setdefault(found, path)
    if len(best) != 1:
        choice = f"finds {' and '.join(sorted(best.values()))}" if best else "finds none"
        raise ConfigError(f"documents of {token_path}: the pattern {pattern} {choice}")
    return next(iter(best.values()))


def _names_upwards(path: str) -> list[str]:
    return os.path.abspath(path).split(os.sep)[::-1]


def read_table(path: str, tokens: TokenFile) -> DocumentTable:
    """The documents of `tokens`, listed in a `.docs.parquet` or a `.csv.gz`.

    DataError for a file that is not of that format, VerificationError for one of other tokens.
    """
    return DocumentTable(path, read_rows(path), tokens)


def read_rows(path: str) -> pa.Table:
    """The rows of a `.docs.parquet` or a `.csv.gz`, of SCHEMA; DataError for another file."""
    if path.endswith(SUFFIXES[0]):
        return _read_parquet(path)
    return pa.Table.from_batches(stream_csv(path), SCHEMA)


def _read_parquet(path: str) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            rows = file.read().select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError) as error:
        raise DataError(path, None, " ".join(str(error).split())) from None
    for field in SCHEMA:
        if not field.nullable and rows[field.name].null_count:
            raise DataError(path, None, f"column {field.name} has nulls")
    return rows


def stream_csv(path: str) -> Iterator[pa.RecordBatch]:
    """The rows of a `.csv.gz`, CSV_ROWS at a time, of SCHEMA; DataError for another file."""
    columns: list[list[Any]] = [[] for _ in range(5)]
    line = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            for row in rows:
                line = rows.line_num
                start, end, doc_id, src, loc = row
                values = (int(start), int(end), doc_id, src, int(loc))
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
                if len(columns[0]) == CSV_ROWS:
                    yield _batch(columns)
                    columns = [[] for _ in range(5)]
    except UnicodeDecodeError as error:
        raise DataError(path, line + 1, str(error)) from None
    except ValueError as error:  # not five fields, or one that is no number
        raise DataError(path, line, f"not start,end,id,src,loc: {error}") from None
    except csv.Error as error:
        raise DataError(path, line + 1, str(error)) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(path, None, f"broken or truncated gzip: {error}") from None
    yield _batch(columns)


def _batch(columns: list[list[Any]]) -> pa.RecordBatch:
    source = pa.nulls(len(columns[0]), pa.string())
    return pa.record_batch([*columns, source], schema=SCHEMA)
