"""OLMo-core's packed instances: whole documents, as many as fit (`NumpyPackedFSLDataset`).

Files are taken in groups of `group_size`, one after the other. The documents of a group are what
ends in an EOS (in EOS and BOS, where there is a `bos_token_id`), or the rows of the tables of
documents (`boundaries: documents`, what OLMo-core goes by for remote files). One longer than an
instance is cut (`truncate`: the rest is lost; `fragment`: into several). They are packed by
`kernels.packing`, the longest first; an instance is padded at its end.

Documents of one length come in the order in which numpy's unstable argsort leaves them, as in
OLMo-core; another release of numpy, or one on another kind of processor, may leave another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.order.description import RunDescription
from dolma_kit.order.documents import DocumentTable, find_table, read_table
from dolma_kit.order.instances import Held, Instances, Left, Span
from dolma_kit.order.paths import TokenFile

READ_TOKENS = 1 << 24


class PackedInstances(Instances):
    """The packed instances of a run; reads its tokens, or its tables of documents, when it is made.

    ConfigError where nothing says what a document ends with, and for a sequence length that is no
    power of two, which OLMo-core does not pack.
    """

    def __init__(
        self, description: RunDescription, files: Sequence[TokenFile], sequence_length: int
    ) -> None:
        if sequence_length & (sequence_length - 1):
            raise ConfigError(f"packed: sequence_length {sequence_length} is no power of two")
        self.sequence_length = sequence_length
        form = description.instances
        groups = [
            range(first, min(first + form.group_size, len(files)))
            for first in range(0, len(files), form.group_size)
        ]
        packed: dict[tuple[str, ...], tuple[NDArray[np.int64], ...]] = {}
        found = []
        n_instances = 0
        for group in groups:
            names = tuple(files[i].path for i in group)
            if names not in packed:
                packed[names] = _pack([files[i] for i in group], description, sequence_length)
            nth, starts, ends, instances = packed[names]
            found.append((nth + group[0], starts, ends, instances + n_instances))
            n_instances += int(instances[-1]) + 1 if len(instances) else 0
        if n_instances == 0:
            raise ConfigError("packed: no document in the token files")
        self.n_instances = n_instances
        columns = [np.concatenate(column) for column in zip(*found, strict=True)]
        self._files, self._starts, self._ends, self._instances = columns
        counts = np.bincount(self._instances, minlength=n_instances)
        self._rows = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        lengths = self._ends - self._starts
        before = np.cumsum(lengths) - lengths
        self._places = before - before[self._rows[self._instances]]  # within the instance
        self._by_place = np.lexsort((self._starts, self._files))

    def spans(self, instance: int) -> list[Span]:
        self._check(instance)
        rows = range(int(self._rows[instance]), int(self._rows[instance + 1]))
        return [Span(int(self._files[r]), int(self._starts[r]), int(self._ends[r])) for r in rows]

    def holding(self, file: int, start: int, end: int) -> list[Held]:
        order = self._by_place
        first = int(np.searchsorted(self._files, file, "left", sorter=order))
        last = int(np.searchsorted(self._files, file, "right", sorter=order))
        ends = self._ends[order[first:last]]
        found = []
        for row in order[first + int(np.searchsorted(ends, start, "right")) : last].tolist():
            begin = int(self._starts[row])
            if begin >= end:
                break
            at = int(self._places[row])
            a, b = max(start, begin), min(end, int(self._ends[row]))
            found.append(Held(int(self._instances[row]), a - begin + at, b - begin + at))
        return found

    def left_out(self, file: int, start: int, end: int) -> Left:
        rows = self._by_place[self._files[self._by_place] == file]
        last = int(self._ends[rows].max()) if len(rows) else 0
        return "file-remainder" if start >= last else "truncated"


def _pack(
    files: Sequence[TokenFile], description: RunDescription, sequence_length: int
) -> tuple[NDArray[np.int64], ...]:
    """(n_docs,) int64 each, by instance: the file (of the group), start, end, and the instance."""
    pieces = []
    for nth, file in enumerate(files):
        starts, ends = _documents(file, description)
        starts, ends = _cut(starts, ends, sequence_length, description.instances.long_documents)
        pieces.append((np.full(len(starts), nth, np.int64), starts, ends))
    of, starts, ends = (np.concatenate(column) for column in zip(*pieces, strict=True))
    lengths = ends - starts
    order = np.argsort(-1 * lengths)  # unstable, as OLMo-core's
    instances = np.zeros(len(lengths), np.int64)
    kernels.packing.pack_into(np.ascontiguousarray(lengths[order]), sequence_length, instances)
    by_instance = np.argsort(instances, kind="stable")
    order = order[by_instance]
    return of[order], starts[order], ends[order], instances[by_instance]


def _documents(
    file: TokenFile, description: RunDescription
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    form, eos = description.instances, description.eos_token_id
    if form.boundaries == "documents":
        table = read_table(find_table(file.path, description.documents), file)
        assert isinstance(table, DocumentTable)
        return table.starts, table.ends
    if eos is None:
        raise ConfigError("packed: no eos_token_id, which ends a document")
    found = []
    for first in range(0, file.n_tokens, READ_TOKENS):
        # One token more, as BOS may be the first of the next piece.
        tokens = file.read(first, min(first + READ_TOKENS + 1, file.n_tokens))
        own = tokens[:READ_TOKENS]
        ends = own == eos
        if form.bos_token_id is not None:
            follows = np.zeros(len(own), np.bool_)
            follows[: len(tokens) - 1] = tokens[1:][: len(own)] == form.bos_token_id
            ends &= follows
        found.append(first + np.flatnonzero(ends) + 1)
    stops = np.concatenate([np.zeros(0, np.int64), *found]).astype(np.int64)
    if form.bos_token_id is not None and file.n_tokens and _last(file) == eos:
        stops = np.append(stops, file.n_tokens)  # no BOS follows the last one
    return np.concatenate(([0], stops))[:-1].astype(np.int64), stops


def _last(file: TokenFile) -> int:
    return int(file.read(file.n_tokens - 1, file.n_tokens)[0])


def _cut(
    starts: NDArray[np.int64], ends: NDArray[np.int64], most: int, long_documents: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if long_documents == "truncate":
        return starts, np.minimum(ends, starts + most)
    n_pieces = -(-(ends - starts) // most)
    nth = np.arange(int(n_pieces.sum())) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    cut = np.repeat(starts, n_pieces) + nth * most
    return cut, np.minimum(cut + most, np.repeat(ends, n_pieces))
