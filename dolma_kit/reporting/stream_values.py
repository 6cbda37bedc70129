"""Values over the attributes of a mix's stream, for all of its documents.

A stream with more than MOST_ROWS documents is looked at in part: files are taken by a hash of
their names until there are enough.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dolma_kit import attribute_files, attributes, decisions
from dolma_kit.attributes import Kind
from dolma_kit.errors import DataError, VerificationError
from dolma_kit.filtering import Expression, FilterError
from dolma_kit.layout import Shard, find
from dolma_kit.reporting.inventory import Book

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MOST_ROWS = 4_000_000


class StreamFile(NamedTuple):
    """A file of a stream; `src` is its name in the mix's decisions."""

    shard: Shard
    src: str


@dataclass
class StreamValues:
    """(n_docs,) float64 by expression, NaN for none, over `files`, one after the other.

    The documents of file i are numbers `starts[i]` to `starts[i + 1]`, `ids[i]` theirs as the
    attributes have them; the stream has `n_files`.
    """

    n_files: int
    files: list[StreamFile] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    ids: list[pa.ChunkedArray] = field(default_factory=list)
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def place(self, number: int) -> tuple[StreamFile, int]:
        """The file of a document and its row there, from 0."""
        file = int(np.searchsorted(self.starts, number, side="right")) - 1
        return self.files[file], number - self.starts[file]


def files_of(book: Book, stream: str) -> list[StreamFile]:
    """The files that a mix read for a stream, by name."""
    found: dict[str, StreamFile] = {}
    for src, path in decisions.files_of(book.records, stream).items():
        (shard,) = find([os.path.normpath(os.path.join(book.folder, path))])
        found[src] = StreamFile(shard, src)
    return [found[src] for src in sorted(found, key=os.fsencode)]


def kinds_of(files: Sequence[StreamFile], experiments: Sequence[str]) -> dict[str, Kind]:
    """The attribute columns of the experiments of any of the files."""
    return {
        name: kind
        for experiment in experiments
        for one in files
        for name, kind in attribute_files.known_columns(one.shard, experiment).items()
    }


def evaluate(
    files: Sequence[StreamFile],
    experiments: Sequence[str],
    kinds: Mapping[str, Kind],
    expressions: Sequence[str],
) -> StreamValues:
    """What expressions over attribute columns, in SQL, are of each document."""
    compiled = {one: Expression(one, kinds, "threshold", "DOUBLE") for one in expressions}
    columns = {name for one in compiled.values() for name in one.columns}
    parts: dict[str, list[NDArray[np.float64]]] = {one: [] for one in expressions}
    found = StreamValues(len(files))
    for one in sorted(files, key=lambda file: hashlib.sha256(file.src.encode()).digest()):
        table, ids = _table(one.shard, experiments, columns)
        for text, expression in compiled.items():
            try:
                parts[text].append(np.asarray(expression.evaluate(table), np.float64))
            except FilterError as error:
                raise DataError(one.shard.path, None, str(error)) from None
        found.files.append(one)
        found.ids.append(ids)
        found.starts.append(found.starts[-1] + len(table))
        if found.starts[-1] >= MOST_ROWS:
            break
    found.values = {text: np.concatenate([np.zeros(0), *some]) for text, some in parts.items()}
    return found


def _table(
    shard: Shard, experiments: Sequence[str], columns: set[str]
) -> tuple[pa.Table, pa.ChunkedArray]:
    """The columns of a file's attributes side by side, and the ids of its rows."""
    import pyarrow as pa

    names: list[str] = []
    arrays: list[Any] = []
    n_rows: int | None = None
    ids: Any = None
    for experiment in experiments:
        known = attribute_files.known_columns(shard, experiment)
        wanted = {name: kind for name, kind in known.items() if name in columns}
        if not wanted:
            continue
        path, format = attributes.locate(shard, experiment)
        tables = list(attribute_files.column_tables(path, format, wanted))
        schema = attributes.schema(wanted)
        table = pa.concat_tables(tables) if tables else schema.empty_table()
        if n_rows not in (None, len(table)):
            raise VerificationError(
                f"{path} has {len(table):,} rows, other attributes of {shard.path} have "
                f"{n_rows:,}: tag it again"
            )
        n_rows, ids = len(table), table.column("id")
        names += wanted
        arrays += [table.column(name) for name in wanted]
    return pa.table(arrays, names=names), ids
