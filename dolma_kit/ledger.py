"""The ledger: which units of work are finished, from what they were made, and what came out.

It lies in `.dolma-kit/` beside the outputs: `ledger.jsonl`, a header line (version, stage, config)
and then a line for each finished unit, appended by the driver alone; `lock`, held while a command
writes there; `tmp/`, intermediate files; `executions.jsonl`, what commands took. Times and sizes
stand here and in no output. A line that a kill cut short is dropped when the ledger is read: its
unit is simply done again.

A command that does part I of N keeps a ledger of its own, `part-I-of-N.jsonl` with `part-I-of-N
.lock`, so that all of them may write at the same time. The next command that does the whole takes
these into `ledger.jsonl`, as does `merge`.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec

from dolma_kit import executions, files
from dolma_kit.config import digest
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.executions import Execution

VERSION = 1
FOLDER = ".dolma-kit"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what this folder is made by. `config` holds only keys that decide bytes."""

    version: int
    stage: str
    config: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit of work reports: sizes, output paths, and the stage's own counts.

    `bytes_in` is uncompressed input, `bytes_out` what lies on disk; `outputs` are paths,
    `quarantined` counts the lines and files that were set aside.
    """

    documents: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    outputs: list[str] = []
    quarantined: int = 0
    counts: dict[str, Any] = {}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A finished unit of a phase.

    `inputs` is the digest of its inputs' fingerprints, `source` where the first of them lay, seen
    from the ledger's folder; `sizes` are the bytes of its outputs. `boot` is the run of the machine
    that its outputs do not outlive, None where they are on the disk.
    """

    unit: str
    phase: str
    inputs: str
    source: str | None
    sizes: dict[str, int]
    seconds: float
    finished: str
    result: Result
    boot: str | None = None


class Ledger:
    """The ledger of one output folder, locked for as long as it is open.

    Opening it with another config than the one that made what is there is a ConfigError that
    names the keys that differ. With `overwrite` it starts again: what was recorded is removed.
    `part` (I, N) opens the ledger of a part, while those of other parts may be open too.
    """

    def __init__(
        self,
        folder: str,
        stage: str,
        config: Mapping[str, Any],
        *,
        overwrite: bool = False,
        part: tuple[int, int] | None = None,
    ) -> None:
        if files.is_remote(folder):
            raise ConfigError(f"{folder}: outputs have to be local, only inputs may be remote")
        self.folder = folder
        self._own = os.path.join(folder, FOLDER)
        os.makedirs(self._own, exist_ok=True)
        self._locks = contextlib.ExitStack()
        self._records: dict[tuple[str, str], Record] = {}
        header = Header(version=VERSION, stage=stage, config=dict(config))
        try:
            self._locks.enter_context(_lock(os.path.join(self._own, "lock"), folder, part))
            name = "ledger"
            if part is not None:
                name = f"part-{part[0]}-of-{part[1]}"
                self._locks.enter_context(_lock(os.path.join(self._own, f"{name}.lock"), folder))
            self.path = os.path.join(self._own, f"{name}.jsonl")
            # With the lock of this name, nobody else can be writing under it.
            sweep(self._own, None if part is None else os.path.basename(self.path))
            for path in _paths(folder):
                old, records = _read(path)
                self._records |= {(record.phase, record.unit): record for record in records}
                if not overwrite and (difference := _difference(old, header)):
                    raise ConfigError(
                        f"{folder} was made by another config: {difference}; "
                        "use another name, or --overwrite to replace it"
                    )
            if overwrite:
                self._discard()
            own = self._records if part is None else self._of(self.path)
            self._rewrite(header, own.values())
            if part is None:
                _remove_parts(folder)
            self._stream = open(self.path, "ab")
        except BaseException:
            self._locks.close()
            raise

    @staticmethod
    def _of(path: str) -> dict[tuple[str, str], Record]:
        if not os.path.exists(path):
            return {}
        return {(record.phase, record.unit): record for record in _read(path)[1]}

    def _discard(self) -> None:
        for record in self._records.values():
            for name in record.sizes:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.folder, name))
        self._records = {}
        executions.forget(self._own)
        shutil.rmtree(temporary(self.folder), ignore_errors=True)

    def _rewrite(self, header: Header, records: Iterable[Record]) -> None:
        """Start from a clean file: one line a unit, no cut line at the end."""
        with files.write_atomically(self.path) as stream:
            encoder = msgspec.json.Encoder()
            stream.write(encoder.encode_lines([header, *records]))

    def finished(self, phase: str, unit: str, inputs: str, source: str | None) -> Result | None:
        """The result of a unit that was finished from these inputs and whose outputs are there.

        ConfigError where the unit was made of a file of another place, which it would replace.
        """
        record = self._records.get((phase, unit))
        if record is None:
            return None
        if record.source != source:
            raise ConfigError(
                f"{self.folder}: {unit} was made of {record.source}, not of {source} (both seen "
                "from there); use another name, or --overwrite to replace it"
            )
        if record.inputs != inputs or record.boot not in (None, files.boot_id()):
            return None
        for name, size in record.sizes.items():
            try:
                if os.stat(os.path.join(self.folder, name)).st_size != size:
                    return None
            except (FileNotFoundError, NotADirectoryError):
                return None
        return self.recorded(phase, unit)

    def recorded(self, phase: str, unit: str) -> Result:
        """The last result of a unit, whatever has become of its inputs and outputs since."""
        record = self._records[phase, unit]
        outputs = [os.path.normpath(os.path.join(self.folder, name)) for name in record.sizes]
        return msgspec.structs.replace(record.result, outputs=outputs)

    def record(
        self,
        phase: str,
        unit: str,
        inputs: str,
        source: str | None,
        result: Result,
        seconds: float,
        *,
        synced: bool = True,
    ) -> None:
        """Note a finished unit; outputs that an earlier run of it made and this one did not go.

        `synced` as its outputs were written.
        """
        sizes = {self._seen_from_here(p): os.path.getsize(p) for p in result.outputs}
        if (old := self._records.get((phase, unit))) is not None:
            for name in old.sizes.keys() - sizes.keys():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.folder, name))
        record = Record(
            phase=phase,
            unit=unit,
            inputs=inputs,
            source=source,
            sizes=sizes,
            seconds=round(seconds, 6),
            finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            boot=None if synced else files.boot_id(),
            # Their places are in `sizes`, seen from here: the folder may be moved.
            result=msgspec.structs.replace(result, outputs=[]),
        )
        self._records[phase, unit] = record
        # Flushed but not synced: a record that a power cut loses costs one unit done again.
        self._stream.write(msgspec.json.encode(record) + b"\n")
        self._stream.flush()

    def _seen_from_here(self, path: str) -> str:
        start = self.folder + os.sep
        if path.startswith(start) and ".." not in path:  # nearly always, and ten times as fast
            return path[len(start) :]
        return os.path.relpath(path, self.folder)

    def note(self, execution: Execution) -> None:
        """Note what a command took that worked on this folder (see `executions`)."""
        executions.note(self._own, execution)

    def close(self) -> None:
        self._stream.close()
        self._locks.close()


def sweep(folder: str, name: str | None = None) -> None:
    """Remove the temporary files that a killed command left in a folder (not below it), or only
    those of the file of a name."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if files.is_temporary(entry.name) and entry.name.startswith(f".{name or ''}"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)


def temporary(folder: str, elsewhere: str | None = None) -> str:
    """Where intermediate files of what goes to `folder` lie: the same place in every run."""
    if elsewhere is None:
        return os.path.join(folder, FOLDER, "tmp")
    place = digest({"folder": os.path.abspath(folder)})[:16]
    return os.path.join(elsewhere, f"dolma-kit-{place}")


def _lock(path: str, folder: str, part: tuple[int, int] | None = None) -> IO[bytes]:
    """The lock of a file for us alone; for a part, together with other parts."""
    stream = open(path, "a+b")  # some file systems want a shared lock's file open for reading
    try:
        fcntl.flock(stream, (fcntl.LOCK_EX if part is None else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise ConfigError(f"another command is writing to {folder}: wait for it to end") from None
    return stream


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What `merge` did: the stage, the parts that it took in, and all units that are finished."""

    folder: str
    stage: str
    parts: int
    units: int
    documents: int
    quarantined: int


def merge_below(folders: Sequence[str]) -> list[Merged]:
    """`merge` each folder below (and including) the given ones that has parts."""
    places = [place for folder in folders for place in find(folder) if parts(place)]
    if not places:
        raise ConfigError(f"nothing to merge below {', '.join(folders)}: --shard I/N makes parts")
    return [merge(place) for place in dict.fromkeys(places)]


def merge(folder: str) -> Merged:
    """Take the ledgers of all parts of a folder into one.

    ConfigError where the parts are of different configs or numbers, VerificationError where one
    of the N parts has not run.
    """
    found = parts(folder)
    counts = {n_parts for _, n_parts in found}
    if len(counts) > 1:
        raise ConfigError(
            f"{folder} has parts of {' and of '.join(map(str, sorted(counts)))}: run the command "
            "without --shard, it takes in what they did and does what is missing"
        )
    (n_parts,) = counts
    if missing := sorted(set(range(n_parts)) - {number for number, _ in found}):
        names = ", ".join(f"{number}/{n_parts}" for number in missing)
        raise VerificationError(
            f"{folder}: no part {names} has run: run it, or the command without --shard, which "
            "does what is missing"
        )
    header = _read(found[0, n_parts])[0]
    book = Ledger(folder, header.stage, header.config)
    try:
        results = [record.result for record in book._records.values()]
    finally:
        book.close()
    return Merged(
        folder=folder,
        stage=header.stage,
        parts=n_parts,
        units=len(results),
        documents=sum(result.documents for result in results),
        quarantined=sum(result.quarantined for result in results),
    )


def parts(folder: str) -> dict[tuple[int, int], str]:
    """(I, N) -> the ledger of that part, in order."""
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(os.path.join(folder, FOLDER)):
            if match := re.fullmatch(r"part-(\d+)-of-(\d+)\.jsonl", name):
                part = int(match.group(1)), int(match.group(2))
                found[part] = os.path.join(folder, FOLDER, name)
    return dict(sorted(found.items()))


def _remove_parts(folder: str) -> None:
    """Called with the lock, so no part is at work."""
    for path in parts(folder).values():
        for name in (path, path.removesuffix(".jsonl") + ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _paths(folder: str) -> list[str]:
    """The ledgers of a folder: that of the whole, and those of parts."""
    whole = os.path.join(folder, FOLDER, "ledger.jsonl")
    return [*([whole] if os.path.exists(whole) else []), *parts(folder).values()]


def _difference(old: Header, new: Header) -> str:
    """What differs, in words; empty where nothing does."""
    if old.stage != new.stage:
        return f"it holds the outputs of `{old.stage}`, not of `{new.stage}`"
    theirs = msgspec.json.decode(msgspec.json.encode(old.config))
    ours = msgspec.json.decode(msgspec.json.encode(new.config))
    keys = [k for k in sorted(theirs.keys() | ours.keys()) if theirs.get(k) != ours.get(k)]
    return "; ".join(f"{k} was {_short(theirs.get(k))}, is {_short(ours.get(k))}" for k in keys)


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:120]} ... (sha256 {digest({'': value})[:12]})"


def read_header(folder: str) -> Header | None:
    """What a folder is made by; None where there is no ledger. Reads one line."""
    paths = _paths(folder)
    return _read_header(paths[0]) if paths else None


def _read_header(path: str) -> Header:
    try:
        with open(path, "rb") as stream:
            header = msgspec.json.decode(stream.readline(), type=Header)
    except msgspec.MsgspecError as error:
        raise DataError(path, 1, f"not a ledger: {error}") from None
    if header.version != VERSION:
        raise DataError(path, 1, f"ledger version {header.version}, this reads {VERSION}")
    return header


def _read(path: str) -> tuple[Header, list[Record]]:
    header = _read_header(path)
    with open(path, "rb") as stream:
        # What follows the last newline was cut short by a kill: empty, or not a record.
        lines = stream.read().split(b"\n")[1:-1]
    try:
        return header, [msgspec.json.decode(line, type=Record) for line in lines]
    except msgspec.MsgspecError as error:
        raise DataError(path, None, f"not a ledger: {error}") from None


def read(folder: str) -> tuple[Header, list[Record]] | None:
    """The ledger of a folder, its parts included, without locking it; None where there is none."""
    found = [_read(path) for path in _paths(folder)]
    records = {(r.phase, r.unit): r for _, of_ledger in found for r in of_ledger}
    return (found[0][0], list(records.values())) if found else None


def knows(folder: str, path: str) -> bool:
    """Whether the ledger of a folder records a path as an output."""
    found = read(folder)
    name = os.path.relpath(path, folder)
    return found is not None and any(name in record.sizes for record in found[1])


def find(folder: str) -> Iterator[str]:
    """The folders below (and including) a folder that hold a ledger, in order."""
    for place, folders, _ in os.walk(folder):
        if FOLDER in folders:
            yield place
        folders[:] = sorted(name for name in folders if name != FOLDER)
