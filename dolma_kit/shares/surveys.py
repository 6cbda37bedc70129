"""Surveys: how much a stream's rules leave of it, by group and by a bin, as tables that add up.

A table has a row for each (group, bin) that has a document (`SCHEMA`). Where a stream's documents
are taken at one rate, the bin is of the document's draw, its number between 0 and 2^64 that a keyed
hash of its id gives: 2^16 bins, so that a budget is met to 1/65,536 of the stream, or to one
document of a small one. Where they are taken by a score, the bin is of that score: the upper 22
bits of it as an ordered float32 (13 bits of mantissa), so that quantiles are exact to 2^-13 of a
score; a document without a score has bin 0, below all others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_kit import files

DRAW_BITS = 16
SCORE_BITS = 22
UNITS = ("documents", "bytes", "tokens")
SCHEMA = pa.schema(
    [("group", pa.string()), ("bin", pa.uint32()), *((unit, pa.int64()) for unit in UNITS)]
)


class Size(msgspec.Struct, frozen=True):
    """An amount of text: documents, bytes of UTF-8, and tokens (null where nobody counted)."""

    documents: int
    bytes: int
    tokens: int | None

    def of(self, unit: str) -> int:
        value = getattr(self, unit)
        assert value is not None, "a stream without tokens has no budget of them"
        return int(value)

    def __add__(self, other: Size) -> Size:
        tokens = None if self.tokens is None or other.tokens is None else self.tokens + other.tokens
        return Size(self.documents + other.documents, self.bytes + other.bytes, tokens)


class Measured(NamedTuple):
    """What is left of a batch: (n,) group (or ""), bin, bytes and tokens of each document."""

    groups: Sequence[str]
    bins: NDArray[np.uint32]
    n_bytes: NDArray[np.int64]
    n_tokens: NDArray[np.int64]


def draws(ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """(n_docs,) uint64: each id's number, by BLAKE2b keyed with the seed."""
    key = seed.to_bytes(8, "little", signed=True)
    drawn = b"".join(hashlib.blake2b(i.encode(), digest_size=8, key=key).digest() for i in ids)
    return np.frombuffer(drawn, "<u8").astype(np.uint64)


def draw_bins(drawn: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return (drawn >> np.uint64(64 - DRAW_BITS)).astype(np.uint32)


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.uint32]:
    """(n_docs,) uint32: the bins of scores, in their order; 0 for NaN."""
    with np.errstate(over="ignore"):  # beyond float32 is infinite, the greatest
        single = scores.astype(np.float32) + np.float32(0)  # -0.0 is 0.0
    bits = single.view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    bins = np.maximum(ordered >> np.uint32(32 - SCORE_BITS), 1)
    return np.where(np.isnan(scores), 0, bins).astype(np.uint32)


def table_of(measured: Measured) -> pa.Table:
    """The survey of some documents."""
    one = np.ones(len(measured.bins), np.int64)
    rows = pa.table(
        [pa.array(measured.groups, pa.string()), measured.bins, one, measured.n_bytes,
         measured.n_tokens],
        schema=SCHEMA,
    )  # fmt: skip
    return merged([rows])


def merged(tables: Iterable[pa.Table]) -> pa.Table:
    """Surveys added up, by group and bin in ascending order."""
    together = pa.concat_tables([SCHEMA.empty_table(), *tables])
    grouped = together.group_by(["group", "bin"], use_threads=False)
    added = grouped.aggregate([(unit, "sum") for unit in UNITS])
    added = added.rename_columns(["group", "bin", *UNITS]).cast(SCHEMA)
    return added.sort_by([("group", "ascending"), ("bin", "ascending")])


def write(path: str, table: pa.Table) -> None:
    with (
        files.write_atomically(path, synced=False) as stream,
        pa.ipc.new_stream(stream, table.schema) as writer,
    ):
        writer.write_table(table)


def read(path: str) -> pa.Table:
    with pa.OSFile(path) as stream:
        return pa.ipc.open_stream(stream).read_all()


def size_of(table: pa.Table, has_tokens: bool) -> Size:
    """All of a survey."""
    totals = [int(table.column(unit).to_numpy().sum()) for unit in UNITS]
    return Size(totals[0], totals[1], totals[2] if has_tokens else None)
