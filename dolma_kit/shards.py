"""Shards of documents: written in pieces by many workers, joined in one order by one.

A piece is a run of whole gzip members or zstd frames, each of whole lines, with the table of their
sizes beside it. Since either format may be joined end to end, a shard is pieces laid one after the
other, cut between members; so neither the number of workers nor their timing can move a byte, and
nothing is compressed twice.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO

import msgspec

from dolma_kit import files, parquet_shards
from dolma_kit.decoding import Fields
from dolma_kit.ledger import Result

MEMBER_BYTES = 4 << 20


@dataclass(frozen=True)
class JoinTask:
    """Pieces in the order of the shards `<stem>-0000<suffix>` that are made of them.

    With `max_bytes` None all of it is one, `<stem><suffix>`. `fields` are those of documents, for
    shards in Parquet.
    """

    pieces: tuple[str, ...]
    stem: str
    suffix: str
    max_bytes: int | None
    fields: Fields = field(default_factory=Fields)

    def claims(self) -> tuple[str, ...]:
        """Glob patterns of the shards, whatever their number."""
        stem, suffix = glob.escape(self.stem), glob.escape(self.suffix)
        if self.max_bytes is None:
            return (stem + suffix,)
        return tuple(f"{stem}-{'[0-9]' * n}{suffix}" for n in range(4, 8))


class Members(msgspec.Struct, frozen=True):
    """The table beside a piece: (stored bytes, documents) of each member."""

    members: list[tuple[int, int]]


def members_path(piece: str) -> str:
    return f"{piece}.members.json"


def members(
    lines: Sequence[tuple[bytes, int]],
    thresholds: Sequence[int],
    compression: str | None,
    max_bytes: int,
) -> list[list[tuple[bytes, int]]]:
    """Lines as members, (compressed bytes, documents), for each of the pieces.

    A line of n copies goes to the pieces whose threshold is below n. A member holds at most
    MEMBER_BYTES (or `max_bytes`, if that is less) of lines before compression, but always a whole
    line.
    """
    max_bytes = min(MEMBER_BYTES, max_bytes)
    made = []
    for threshold in thresholds:
        of_piece: list[tuple[bytes, int]] = []
        pending: list[bytes] = []
        n_bytes = 0
        for line, copies in lines:
            if copies <= threshold:
                continue
            if pending and n_bytes + len(line) > max_bytes:
                of_piece.append((files.compress(b"".join(pending), compression), len(pending)))
                pending, n_bytes = [], 0
            pending.append(line)
            n_bytes += len(line)
        if pending:
            of_piece.append((files.compress(b"".join(pending), compression), len(pending)))
        made.append(of_piece)
    return made


class PieceWriter:
    """Writes members to pieces, with their tables beside them.

    They take their names when the block ends without an error; `outputs` are their paths.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.outputs = [path for piece in paths for path in (piece, members_path(piece))]
        self._paths = paths
        self._files = contextlib.ExitStack()
        self._streams: list[IO[bytes]] = []
        self._tables: list[list[tuple[int, int]]] = []

    def __enter__(self) -> PieceWriter:
        for path in self._paths:
            self._streams.append(
                self._files.enter_context(files.write_atomically(path, synced=False))
            )
            self._tables.append([])
        return self

    def add(self, of_pieces: Sequence[Sequence[tuple[bytes, int]]]) -> None:
        """What `members` made of some lines."""
        for stream, table, made in zip(self._streams, self._tables, of_pieces, strict=True):
            for member, n_documents in made:
                stream.write(member)
                table.append((len(member), n_documents))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.__exit__(kind, error, trace)
        if kind is None:
            for path, table in zip(self._paths, self._tables, strict=True):
                with files.write_atomically(members_path(path), synced=False) as stream:
                    stream.write(msgspec.json.encode(Members(table)))


def join(task: JoinTask) -> Result:
    """Lay pieces one after the other; a shard ends before the member that would exceed its size.

    `documents` are the lines written. Without a line there is no shard; where one cannot be
    written, those before it go.
    """
    outputs: list[str] = []
    with contextlib.ExitStack() as undoing:
        undoing.callback(_remove, outputs)
        n_documents = _join(task, outputs)
        undoing.pop_all()
    return Result(
        documents=n_documents,
        bytes_out=sum(files.size(path) for path in outputs),
        outputs=outputs,
    )


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        os.unlink(path)


def _join(task: JoinTask, outputs: list[str]) -> int:
    """Write the shards, add them to `outputs`, and return the number of their lines."""
    if task.suffix == ".parquet":
        return parquet_shards.write(
            _blocks(task.pieces), task.stem, task.suffix, task.max_bytes, task.fields, outputs
        )
    shard: list[tuple[str, int, int]] = []  # (piece, first byte, bytes)
    n_bytes = n_documents = 0
    for piece in task.pieces:
        first = 0
        for size, documents in _members_of(piece):
            if shard and task.max_bytes is not None and n_bytes + size > task.max_bytes:
                outputs.append(_write_shard(task, len(outputs), shard))
                shard, n_bytes = [], 0
            shard.append((piece, first, size))
            first += size
            n_bytes += size
            n_documents += documents
    if shard:
        outputs.append(_write_shard(task, len(outputs), shard))
    return n_documents


def _members_of(piece: str) -> list[tuple[int, int]]:
    with open(members_path(piece), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Members).members


def _blocks(pieces: Sequence[str]) -> Iterator[bytes]:
    """The members of pieces, one after the other."""
    for piece in pieces:
        with open(piece, "rb") as stream:
            for size, _ in _members_of(piece):
                yield stream.read(size)


def _write_shard(task: JoinTask, number: int, members: Sequence[tuple[str, int, int]]) -> str:
    numbered = "" if task.max_bytes is None else f"-{number:04d}"
    path = f"{task.stem}{numbered}{task.suffix}"
    with contextlib.ExitStack() as opened, files.write_atomically(path) as shard:
        sources: dict[str, IO[bytes]] = {}
        for piece, first, n_bytes in members:
            if piece not in sources:
                opened.pop_all().close()  # pieces come in order: the one before is done
                sources = {piece: opened.enter_context(open(piece, "rb"))}
            sources[piece].seek(first)
            shard.write(sources[piece].read(n_bytes))
    return path
