"""Quarantine: bad input that a stage sets aside instead of stopping at it.

`quarantine/<stage>/X.jsonl`, a line a fault, in the order of the file:

    {"file": "documents/a.jsonl.gz", "line": 7, "reason": "...", "raw": "eyJpZCI6..."}

`line` counts from 1 (in Parquet: rows) and `raw` is its bytes in base64 without the `\\n` (in
Parquet: the row as JSON). A broken container sets its whole file aside: one fault whose `line` and
`raw` are null; the file itself stays where it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import IO

import msgspec

from dolma_kit import files
from dolma_kit.errors import BrokenFile
from dolma_kit.jsonl import BadLine
from dolma_kit.layout import Shard, format_of


class Fault(msgspec.Struct, frozen=True):
    """A line of a quarantine file; JSON has `raw` in base64."""

    file: str
    line: int | None
    reason: str
    raw: bytes | None


@dataclass(frozen=True)
class Aside:
    """Where the faults of one file of documents go, and by which name they call that file."""

    path: str
    file: str


def beside_attributes(stage: str, shard: Shard) -> Aside:
    """`<dir>/quarantine/<stage>/<tree>/X.jsonl`, for what writes below `<dir>/attributes`."""
    folder = os.path.dirname((shard.attributes or "attributes").rstrip("/"))
    return Aside(os.path.join(folder, "quarantine", stage, f"{shard.tree}.jsonl"), shard.name)


def below_output(stage: str, folder: str, shard: Shard) -> Aside:
    """`<folder>/quarantine/<stage>/<source>/X.jsonl`, for what writes outputs of many sources."""
    stem = shard.src.removesuffix(shard.src[-len(format_of(shard.src) or "") :])
    stem = stem.removeprefix("documents/").lstrip("/")
    return Aside(os.path.join(folder, "quarantine", stage, f"{stem}.jsonl"), shard.src)


class Writer:
    """Writes the quarantine file of one file of documents, if it has a fault.

    It takes its name when the block ends without an error; without a fault, one of an earlier run
    goes. `n_faults` counts, `outputs` names it. Without a place nothing is written or counted.
    """

    def __init__(self, aside: Aside | None) -> None:
        self.n_faults = 0
        self._aside = aside
        self._stack = contextlib.ExitStack()
        self._stream: IO[bytes] | None = None

    @property
    def outputs(self) -> list[str]:
        return [self._aside.path] if self._aside and self.n_faults else []

    def __enter__(self) -> Writer:
        return self

    def add(self, faults: Iterable[BadLine]) -> None:
        for fault in faults:
            self._write(fault.line, fault.reason, fault.raw)

    def add_file(self, error: BrokenFile) -> None:
        self._write(None, error.reason, None)

    def _write(self, line: int | None, reason: str, raw: bytes | None) -> None:
        if self._aside is None:
            return
        if self._stream is None:
            self._stream = self._stack.enter_context(files.write_atomically(self._aside.path))
        fault = Fault(self._aside.file, line, reason, raw)
        self._stream.write(msgspec.json.encode(fault) + b"\n")
        self.n_faults += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None and self._aside and not self.n_faults:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self._aside.path)
