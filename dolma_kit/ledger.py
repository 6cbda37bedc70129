"""The ledger: which units of work are finished, from what they were made, and what came out.

It lies in `.dolma-kit/` beside the outputs: `ledger.jsonl`, a header line (version, stage, config)
and then a line for each finished unit, appended by the driver alone; `lock`, held while a command
writes there; `tmp/`, intermediate files. Times and sizes stand here and in no output. A line that
a kill cut short is dropped when the ledger is read: its unit is simply done again.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import IO, Any

import msgspec

from dolma_kit import files
from dolma_kit.config import digest
from dolma_kit.errors import ConfigError, DataError

VERSION = 1
FOLDER = ".dolma-kit"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what this folder is made by. `config` holds only keys that decide bytes."""

    version: int
    stage: str
    config: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit of work reports: sizes, output paths, and the stage's own counts.

    `bytes_in` is uncompressed input, `bytes_out` what lies on disk; `outputs` are paths.
    """

    documents: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    outputs: list[str] = []
    counts: dict[str, Any] = {}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A finished unit. `inputs` is the digest of its inputs' fingerprints; `sizes` in bytes."""

    unit: str
    inputs: str
    sizes: dict[str, int]
    seconds: float
    finished: str
    result: Result


class Ledger:
    """The ledger of one output folder, locked for as long as it is open.

    Opening it with another config than the one that made what is there is a ConfigError that
    names the keys that differ; with `overwrite`, what was recorded is removed instead.
    """

    def __init__(
        self, folder: str, stage: str, config: Mapping[str, Any], *, overwrite: bool = False
    ) -> None:
        self.folder = folder
        self._own = os.path.join(folder, FOLDER)
        os.makedirs(self._own, exist_ok=True)
        self._lock = _lock(os.path.join(self._own, "lock"), folder)
        self.path = os.path.join(self._own, "ledger.jsonl")
        self._records: dict[str, Record] = {}
        header = Header(version=VERSION, stage=stage, config=dict(config))
        try:
            found = read(folder)
            if found is not None:
                old, records = found
                self._records = {record.unit: record for record in records}
                if difference := _difference(old, header):
                    if not overwrite:
                        raise ConfigError(
                            f"{folder} was made by another config: {difference}; "
                            "use another name, or --overwrite to replace it"
                        )
                    self._discard()
                sweep(folder)
            self._rewrite(header)
            self._stream = open(self.path, "ab")
        except BaseException:
            self._lock.close()
            raise

    def _discard(self) -> None:
        for record in self._records.values():
            for name in record.sizes:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.folder, name))
        self._records = {}
        shutil.rmtree(temporary(self.folder), ignore_errors=True)

    def _rewrite(self, header: Header) -> None:
        """Start from a clean file: one line a unit, no cut line at the end."""
        with files.write_atomically(self.path) as stream:
            encoder = msgspec.json.Encoder()
            stream.write(encoder.encode_lines([header, *self._records.values()]))

    def finished(self, unit: str, inputs: str) -> Result | None:
        """The result of a unit that was finished from these inputs and whose outputs are there."""
        record = self._records.get(unit)
        if record is None or record.inputs != inputs:
            return None
        for name, size in record.sizes.items():
            path = os.path.join(self.folder, name)
            if not os.path.exists(path) or os.path.getsize(path) != size:
                return None
        return record.result

    def recorded(self, unit: str) -> Result:
        """The last result of a unit, whatever has become of its inputs and outputs since."""
        return self._records[unit].result

    def record(self, unit: str, inputs: str, result: Result, seconds: float) -> None:
        """Note a finished unit; outputs that an earlier run of it made and this one did not go."""
        sizes = {os.path.relpath(p, self.folder): os.path.getsize(p) for p in result.outputs}
        if (old := self._records.get(unit)) is not None:
            for name in old.sizes.keys() - sizes.keys():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.folder, name))
        record = Record(
            unit=unit,
            inputs=inputs,
            sizes=sizes,
            seconds=round(seconds, 6),
            finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            result=result,
        )
        self._records[unit] = record
        # Flushed but not synced: a record that a power cut loses costs one unit done again.
        self._stream.write(msgspec.json.encode(record) + b"\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
        self._lock.close()


def sweep(folder: str) -> None:
    """Remove the temporary files that a killed command left; the lock says that it is gone."""
    for place, folders, names in os.walk(folder):
        # A folder with a ledger of its own may be in use by another command.
        folders[:] = [
            name for name in folders if not os.path.exists(os.path.join(place, name, FOLDER))
        ]
        for name in names:
            if files.is_temporary(name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(place, name))


def temporary(folder: str, elsewhere: str | None = None) -> str:
    """Where intermediate files of what goes to `folder` lie: the same place in every run."""
    if elsewhere is None:
        return os.path.join(folder, FOLDER, "tmp")
    place = digest({"folder": os.path.abspath(folder)})[:16]
    return os.path.join(elsewhere, f"dolma-kit-{place}")


def _lock(path: str, folder: str) -> IO[bytes]:
    stream = open(path, "ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise ConfigError(f"another command is writing to {folder}: wait for it to end") from None
    return stream


def _difference(old: Header, new: Header) -> str:
    """What differs, in words; empty where nothing does."""
    if old.version != new.version:
        return f"ledger version {old.version}, this is {new.version}"
    if old.stage != new.stage:
        return f"it holds the outputs of `{old.stage}`, not of `{new.stage}`"
    theirs = msgspec.json.decode(msgspec.json.encode(old.config))
    ours = msgspec.json.decode(msgspec.json.encode(new.config))
    keys = [k for k in sorted(theirs.keys() | ours.keys()) if theirs.get(k) != ours.get(k)]
    return "; ".join(f"{k} was {_short(theirs.get(k))}, is {_short(ours.get(k))}" for k in keys)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:120]} ... (sha256 {digest({'': value})[:12]})"


def read(folder: str) -> tuple[Header, list[Record]] | None:
    """The ledger of a folder without locking it; None where there is none."""
    path = os.path.join(folder, FOLDER, "ledger.jsonl")
    if not os.path.exists(path):
        return None
    with open(path, "rb") as stream:
        lines = stream.read().split(b"\n")
    try:
        header = msgspec.json.decode(lines[0], type=Header)
        # What follows the last newline was cut short by a kill: empty, or not a record.
        return header, [msgspec.json.decode(line, type=Record) for line in lines[1:-1]]
    except msgspec.MsgspecError as error:
        raise DataError(path, None, f"not a ledger: {error}") from None


def find(folder: str) -> Iterator[str]:
    """The folders below (and including) a folder that hold a ledger, in order."""
    for place, folders, _ in os.walk(folder):
        if FOLDER in folders:
            yield place
        folders[:] = sorted(name for name in folders if name != FOLDER)
