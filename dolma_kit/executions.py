"""What commands that worked on a folder took: `.dolma-kit/executions.jsonl`, a line each.

Beside the ledger, which tells what is finished. A command that is killed notes nothing here, so the
sums are of those that came to an end.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
from collections.abc import Iterable

import msgspec

import dolma_kit
from dolma_kit.errors import DataError

NAME = "executions.jsonl"
LIBRARIES = ("duckdb", "fastokens", "numba", "numpy", "pyarrow", "ray", "tokenizers")


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One command that worked on a folder and came to its end.

    `seconds` are its part of the wall time, where it worked on several stages at once by what each
    took of the workers; `cpu_seconds` those of all processes. `joules` is that part of what the
    machine's processors took (RAPL), null where no counter can be read. `started` is in UTC.
    """

    versions: dict[str, str]
    engine: str
    workers: int
    started: str
    units: int
    seconds: float
    cpu_seconds: float | None
    joules: float | None


@functools.cache
def versions() -> dict[str, str]:
    """The versions of Python, of this package and of the libraries whose work decides bytes."""
    found = {"dolma-kit": dolma_kit.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def note(folder: str, execution: Execution) -> None:
    """Add a line to those in a folder, a ledger's own.

    Commands that do parts of the work may do so at the same time.
    """
    line = msgspec.json.encode(execution) + b"\n"
    handle = os.open(os.path.join(folder, NAME), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, line)  # one write: lines of others stand before or behind it
    finally:
        os.close(handle)


def forget(folder: str) -> None:
    """Remove what was noted: what it was of is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, NAME))


def read(folder: str) -> list[Execution]:
    """Those of a folder, in the order in which they ended; DataError for what is none."""
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as stream:
        # What follows the last newline was cut short by a kill.
        lines = stream.read().split(b"\n")[:-1]
    return list(_decoded(path, lines))


def _decoded(path: str, lines: Iterable[bytes]) -> Iterable[Execution]:
    for number, line in enumerate(lines, 1):
        try:
            yield msgspec.json.decode(line, type=Execution)
        except msgspec.MsgspecError as error:
            raise DataError(path, number, f"not an execution: {error}") from None
