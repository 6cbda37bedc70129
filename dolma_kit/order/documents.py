"""From tokens to documents and back: which document each token of a token file belongs to.

Three forms, the first that exists beside `X.npy` (design, section 3):

    X.docs.parquet   start, end, loc: int64; id, src: string; source: string or null
    X.csv.gz         start,end,id,src,loc without a header, Dolma's; `source` is null
    X.idx            Megatron's, of X.bin: a document has no id but the file's name and its number

A row a document, in the order of the tokens: its tokens are [start, end) of X.npy, the EOS that
ends it included; `src` and `loc` say which line, from 1, of which file it was. Documents follow
each other without a gap and fill the file; rows that do not are refused, never repaired.
"""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dolma_kit import downloads
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.files import expand, is_remote
from dolma_kit.order import remote
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
STRINGS = ("id", "source", "src", "loc")
CSV_ROWS = 1 << 16
KEPT_GROUPS = 64  # row groups of a table whose strings are kept
SCANNED_TOKENS = 1 << 12
MAX_REMOTE_BYTES = 16 << 30
EOS_SCAN = "eos-scan"


class Document(NamedTuple):
    """One row: the document holds tokens [start, end) of its file, `line` is its `loc`; None where
    nothing but the tokens says where a document is."""

    id: str
    source: str | None
    src: str
    line: int | None
    start: int
    end: int


class DocumentTable:
    """The documents of one token file; `starts` and `ends` are (n_docs,) int64.

    `path` and `rows` (SCHEMA's columns, or the open file that has them) are where and what was
    read; the strings of a Parquet file are read as they are asked for, by row group.
    VerificationError if the rows do not fill `tokens` one after the other.
    """

    boundaries: str | None = None

    def __init__(self, path: str, rows: pa.Table | pq.ParquetFile, tokens: TokenFile) -> None:
        self.path = path
        bounds = rows if isinstance(rows, pa.Table) else rows.read(columns=["start", "end"])
        self.starts: NDArray[np.int64] = bounds["start"].cast(pa.int64()).to_numpy()
        self.ends: NDArray[np.int64] = bounds["end"].cast(pa.int64()).to_numpy()
        self._rows = rows
        self._label = tokens.label
        self._groups: dict[int, pa.Table] = {}
        if isinstance(rows, pq.ParquetFile):
            sizes = [rows.metadata.row_group(i).num_rows for i in range(rows.num_row_groups)]
            self._first_rows = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
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
        table, i = self._at(row)
        doc_id, source, src, line = (
            table[name][i].as_py() for name in ("id", "source", "src", "loc")
        )
        return Document(
            doc_id, source or self._label, src, line, int(self.starts[row]), int(self.ends[row])
        )

    def _at(self, row: int) -> tuple[pa.Table, int]:
        """The table that holds a row, and its place there."""
        if isinstance(self._rows, pa.Table):
            return self._rows, row
        group = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        if group not in self._groups:
            if len(self._groups) >= KEPT_GROUPS:
                del self._groups[next(iter(self._groups))]
            self._groups[group] = self._group(group)
        return self._groups[group], row - int(self._first_rows[group])

    def _group(self, group: int, columns: Sequence[str] = STRINGS) -> pa.Table:
        assert isinstance(self._rows, pq.ParquetFile)
        # By one thread: handing a few small columns to several takes longer than reading them.
        return self._rows.read_row_group(group, columns=list(columns), use_threads=False)

    def overlapping(self, start: int, end: int) -> range:
        """The rows of the documents that hold a token of [start, end), by binary search."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        return range(first, int(np.searchsorted(self.starts, end, side="left")))

    def within(self, start: int, end: int) -> list[Document]:
        """The documents that hold a token of [start, end), in their order."""
        return [self[row] for row in self.overlapping(start, end)]

    def rows_with_id(self, doc_id: str) -> list[int]:
        """Every row of that id, ascending; one pass over the ids."""
        wanted = pa.scalar(doc_id, pa.string())
        found, first = [], 0
        for ids in self._ids():
            same = pc.equal(ids, wanted)
            found += [first + int(row) for row in np.flatnonzero(same.to_numpy())]
            first += len(ids)
        return found

    def _ids(self) -> Iterator[pa.ChunkedArray]:
        if isinstance(self._rows, pa.Table):
            yield self._rows["id"]
            return
        for group in range(self._rows.num_row_groups):
            yield self._group(group, ["id"])["id"]

    def sources(self) -> tuple[NDArray[np.int64], list[str | None]]:
        """(n_docs,) int64, a number for each document's source, and what the numbers mean."""
        if isinstance(self._rows, pa.Table):
            column = self._rows["source"]
        else:
            column = self._rows.read(columns=["source"])["source"].cast(pa.string())
        coded = column.combine_chunks().dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.combine_chunks()
        names: list[str | None] = [*coded.dictionary.to_pylist(), self._label]
        codes = coded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
        return codes.astype(np.int64), names


class ScannedDocuments:
    """The documents of a token file as far as its EOS tokens tell: a fallback, and labelled so.

    A document ends with an EOS; one within a text ends it too soon. Ids are made up: the file's
    name, and where the document begins in it.
    """

    boundaries = EOS_SCAN

    def __init__(self, tokens: TokenFile, eos_token_id: int) -> None:
        self.path = tokens.path
        self._tokens = tokens
        self._eos = eos_token_id

    def within(self, start: int, end: int) -> list[Document]:
        """The documents that hold a token of [start, end); one that goes on has its end beyond."""
        ids = self._tokens.read(start, end)
        stops = [start + int(i) + 1 for i in np.flatnonzero(ids == self._eos)]
        if not stops or stops[-1] != end:
            stops.append(end)
        begins = [self._begin(start), *stops[:-1]]
        found = []
        for first, stop in zip(begins, stops, strict=True):
            goes_on = stop == end and int(ids[-1]) != self._eos and end < self._tokens.n_tokens
            name = f"{os.path.basename(self.path)}:{first}"
            found.append(Document(name, self._tokens.label, self.path, None, first, stop + goes_on))
        return found

    def _begin(self, start: int) -> int:
        """Where the document that holds token `start` begins."""
        size, end = SCANNED_TOKENS, start
        while end > 0:
            first = max(0, end - size)
            stops = np.flatnonzero(self._tokens.read(first, end) == self._eos)
            if len(stops):
                return first + int(stops[-1]) + 1
            end, size = first, 4 * size
        return 0

    def rows_with_id(self, doc_id: str) -> list[int]:
        raise ConfigError(
            f"{self.path} has no list of documents, so none has an id: put its csv.gz or "
            "docs.parquet beside it"
        )


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
        if token_path.endswith(".bin") and os.path.isfile(stem + ".idx"):
            return stem + ".idx"
        if is_remote(token_path) and remote.exists(stem + ".csv.gz"):
            return stem + ".csv.gz"
        raise ConfigError(
            f"no documents of {token_path}: neither {os.path.basename(stem)}{SUFFIXES[0]} nor "
            f"{SUFFIXES[1]} is beside it; name them by the key documents (or documents: "
            f"{EOS_SCAN}, where the EOS tokens are all that tells)"
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
    if not path.endswith(SUFFIXES[0]):
        return DocumentTable(path, read_rows(path), tokens)
    file = _open_parquet(path)
    try:
        return DocumentTable(path, file, tokens)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError) as error:
        raise DataError(path, None, " ".join(str(error).split())) from None


def read_rows(path: str) -> pa.Table:
    """The rows of a `.docs.parquet` or a `.csv.gz`, of SCHEMA; DataError for another file."""
    if path.endswith(SUFFIXES[0]):
        return _read_parquet(path)
    if path.endswith(".idx"):
        from dolma_kit.order.sequences import read_index

        return read_index(path).documents()
    if is_remote(path):
        path = downloads.fetch(path, max_bytes=MAX_REMOTE_BYTES)
    return pa.Table.from_batches(stream_csv(path), SCHEMA)


def _open_parquet(path: str) -> pq.ParquetFile:
    """The file, once it has the columns of SCHEMA and no null where none may be."""
    try:
        file = pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise DataError(path, None, " ".join(str(error).split())) from None
    found = file.schema_arrow
    for field in SCHEMA:
        if field.name not in found.names:
            raise DataError(path, None, f"has no column {field.name}")
        if not field.nullable:
            nulls = file.read(columns=[field.name])[field.name].null_count if (
                found.field(field.name).nullable
            ) else 0  # fmt: skip
            if nulls:
                raise DataError(path, None, f"column {field.name} has nulls")
    return file


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
