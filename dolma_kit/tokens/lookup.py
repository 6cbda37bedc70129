"""Which document holds a token, and where a document's tokens are, without reading whole tables.

By token: the first tokens of a table's row groups are in its footer, and one group is read. By id:
from the index that `id_index` makes, if there is one, else by a pass over the ids.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError
from dolma_kit.order.documents import Document
from dolma_kit.tokens import id_index
from dolma_kit.tokens.folder import PartFile, TokenFolder


@dataclass(frozen=True)
class Found:
    """A document of a part; `row` counts from 0."""

    part: str
    row: int
    document: Document


class PartLookup:
    """The documents of one part; the table stays open."""

    def __init__(self, part: PartFile) -> None:
        self.part = part
        self._table: Any = None
        path = part.require_table()
        if path.endswith(".docs.parquet"):
            self._table = pq.ParquetFile(path, memory_map=True)

    @functools.cached_property
    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n_groups,) int64 each: the first token, and the first row of each row group."""
        footer = self._table.metadata
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        starts = [group.column(0).statistics.min for group in groups]
        rows = np.cumsum([0, *(group.num_rows for group in groups)])
        return np.array(starts, np.int64), rows[:-1]

    def at(self, token: int) -> Found:
        """The document that holds a token, from 0; ConfigError beyond the end."""
        if not 0 <= token < self.part.n_tokens:
            raise ConfigError(
                f"{self.part.path} has tokens 0 to {self.part.n_tokens - 1}, not {token}"
            )
        if self._table is None:
            return self._in_csv(token)
        starts, rows = self._groups
        group = int(np.searchsorted(starts, token, "right")) - 1
        # By one thread: handing six small columns to several takes longer than reading them.
        table = self._table.read_row_group(group, use_threads=False)
        i = int(np.searchsorted(table["start"].to_numpy(), token, "right")) - 1
        return self._found(table, i, int(rows[group]) + i)

    def row(self, row: int) -> Found:
        """The document of a row, from 0."""
        if self._table is None:
            for batch in self.part.rows():
                if row < len(batch):
                    return self._found(batch, row, row)
                row -= len(batch)
            raise ConfigError(f"{self.part.table} has no row {row}")
        _, rows = self._groups
        group = int(np.searchsorted(rows, row, "right")) - 1
        table = self._table.read_row_group(group, use_threads=False)
        return self._found(table, row - int(rows[group]), row)

    def _in_csv(self, token: int) -> Found:
        first = 0
        for batch in self.part.rows():
            ends = batch.column("end").to_numpy()
            if len(ends) and token < ends[-1]:
                i = int(np.searchsorted(ends, token, "right"))
                return self._found(batch, i, first + i)
            first += len(batch)
        raise ConfigError(f"{self.part.table} ends before token {token}")

    def _found(self, table: Any, i: int, row: int) -> Found:
        values = {name: table.column(name)[i].as_py() for name in table.schema.names}
        document = Document(
            values["id"], values["source"], values["src"], values["loc"], values["start"],
            values["end"],
        )  # fmt: skip
        return Found(self.part.path, row, document)


def by_id(
    folder: TokenFolder, document_id: str, index: id_index.IdIndex | None = None
) -> list[Found]:
    """Every document of an id, in the order of the parts and rows; `index` is the folder's, if it
    is open already."""
    index = index or id_index.open_index(folder)
    if index is not None:
        lookups: dict[int, PartLookup] = {}
        found = []
        for part, row in index.rows(document_id):
            if part not in lookups:
                lookups[part] = PartLookup(folder.parts[part])
            one = lookups[part].row(row)
            if one.document.id == document_id:  # and not another of the same hash
                found.append(one)
        return found
    return [one for part in folder.parts for one in _scan(part, document_id)]


def _scan(part: PartFile, document_id: str) -> list[Found]:
    import pyarrow as pa
    import pyarrow.compute as pc

    lookup = PartLookup(part)
    found, first = [], 0
    for batch in part.rows():
        same = pc.equal(batch.column("id"), pa.scalar(document_id, pa.string()))
        for i in np.flatnonzero(same.to_numpy(zero_copy_only=False)).tolist():
            found.append(lookup._found(batch, i, first + i))
        first += len(batch)
    return found
