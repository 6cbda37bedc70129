"""The kill campaign: run a recipe, kill some of its processes, run it again, compare every byte.

What is killed, always with SIGKILL:

    worker          one worker process, as the kernel does that runs out of memory; the command
                    has to end by itself, with one line that says so
    command         the driver alone; its workers have to end by themselves, and half of the time
                    the next run starts at once, while they may still be about
    fork server     the process that workers are forked from
    process group   everything at once, as a batch system does

After one to several such runs the recipe is run to its end. Then each file has to be that of the
undisturbed run, there must be no other one, and nothing that a ledger had on record may have been
written again.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dolma_kit import executions, files, ledger

from .corpus import RECIPE, SOURCES
from .moments import Course, Moment, recorded
from .processes import POLL_SECONDS, TIMEOUT_SECONDS, Command, Process

KINDS = ("worker", "command", "fork server", "process group")
STARTING_SECONDS = 0.3  # what a command takes before its own clock starts
COMPILING_SECONDS = 2.0  # kernels that are compiled already are loaded in less


@dataclass
class Row:
    """What came of the faults of one kind.

    `survived` are those after which the runs that followed gave the bytes of an undisturbed one,
    `outlived` those of them that the command itself did not end of. `bytes_lost` are of outputs
    that were not there in the end, or were others; `files_left` are files that an undisturbed run
    does not leave, `files_redone` outputs on record that were written again.
    """

    kind: str
    injected: int = 0
    survived: int = 0
    outlived: int = 0
    bytes_lost: int = 0
    files_left: int = 0
    files_redone: int = 0


@dataclass
class Report:
    """`faults` are other bytes, files too many, runs that hang or cannot be taken up, finished work
    done again; `odd_endings` are commands that ended otherwise than they should have said."""

    rows: dict[str, Row] = field(default_factory=lambda: {kind: Row(kind) for kind in KINDS})
    seconds: float = 0.0
    recoveries: int = 0
    faults: list[str] = field(default_factory=list)
    odd_endings: list[str] = field(default_factory=list)

    def table(self) -> str:
        counts = [name for name in Row.__dataclass_fields__ if name != "kind"]
        total = Row("in all", *(sum(getattr(r, c) for r in self.rows.values()) for c in counts))
        lines = [f"{'killed':<14}" + "".join(f"{c.replace('_', ' '):>13}" for c in counts)]
        for row in (*self.rows.values(), total):
            lines.append(f"{row.kind:<14}" + "".join(f"{getattr(row, c):>13,}" for c in counts))
        return "\n".join(lines)


class Kill(NamedTuple):
    """A kill that took place."""

    kind: str
    moment: Moment
    code: int
    said: str

    def __str__(self) -> str:
        return f"{self.kind} killed {self.moment} (exit code {self.code}, said {self.said!r})"


class Campaign:
    """Kills runs of the recipe in a folder that `corpus.write` has filled.

    `again` is the chance that a run that takes up another one is killed too; `say` is told of
    every recovery.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        again: float = 0.75,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._folder = folder
        self._again = again
        self._arguments = ["run", "-c", RECIPE, "--workers", workers, "--quiet"]
        self._say = say
        self._earlier: list[Command] = []  # killed; their workers may still be about
        self.report = Report()
        command = self._finish()
        if command.json["compile_seconds"] > COMPILING_SECONDS:  # would spread the moments too far
            self._clear()
            command = self._finish()
        self.undisturbed = digests(folder)
        self.course = Course.of(folder, command.json["seconds"] + STARTING_SECONDS)

    def run(self, kills: int, seed: int) -> Report:
        """Inject so many faults, an equal number of each kind, in the order that the seed gives."""
        chance = random.Random(seed)
        kinds = [KINDS[i % len(KINDS)] for i in range(kills)]
        chance.shuffle(kinds)
        started = time.monotonic()
        while kinds:
            self._clear()
            chain: list[Kill] = []
            redone = 0
            while kinds and (not chain or chance.random() < self._again):
                moment = self.course.draw(chance, self._folder)
                before = self._finished_outputs()
                kill = self._killed_run(kinds[-1], moment, chance)
                redone += self._redone(before)
                if kill is None:
                    break  # it was done before the moment came
                kinds.pop()
                chain.append(kill)
            before = self._finished_outputs()
            self._recover(chain)
            redone += self._redone(before)
            self._count(chain, redone)
        self.report.seconds = time.monotonic() - started
        return self.report

    def _killed_run(self, kind: str, moment: Moment, chance: random.Random) -> Kill | None:
        """Run until the moment, kill, and see how it ends; None if it ended before."""
        command = Command(self._arguments, self._folder)
        self._earlier.append(command)
        killed = kill_at(command, kind, moment, chance, self._folder)
        try:
            code = command.wait()
        except subprocess.TimeoutExpired:
            self.report.faults.append(f"{kind} killed {moment}: the command hangs")
            command.kill()
            code = command.wait()
        if kind != "command" or chance.random() < 0.5:
            self._see_workers_off()
        said = command.err.strip()
        if kind in ("command", "process group"):
            killed = code == -signal.SIGKILL  # or it had ended, unseen, between look and kill
        kill = Kill(kind, moment, code, said)
        if fault := fault_of_ending(kill, killed):
            self.report.odd_endings.append(f"{kill}: {fault}")
        return kill if killed else None

    def _see_workers_off(self) -> None:
        for command in self._earlier:
            if left := command.wait_for_all(TIMEOUT_SECONDS / 2):
                self.report.faults.append(f"processes outlive their command: {left}")
                command.kill()
        self._earlier = []

    def _recover(self, chain: Sequence[Kill]) -> None:
        try:
            self._finish()
        except RuntimeError as error:
            story = "; ".join(map(str, chain))
            self.report.faults.append(f"{story}: cannot be taken up: {error}")
        self.report.recoveries += 1

    def _finish(self) -> Command:
        """Run to the end; RuntimeError where that fails."""
        command = Command(self._arguments, self._folder)
        self._earlier.append(command)
        try:
            code = command.wait()
        except subprocess.TimeoutExpired:
            raise RuntimeError("the command hangs") from None
        finally:
            self._see_workers_off()
        if code or command.err:
            raise RuntimeError(f"exit code {code}: {command.err.strip()}")
        return command

    def _count(self, chain: Sequence[Kill], redone: int) -> None:
        """Hold what is there against the undisturbed run; all kills of a chain answer for it."""
        found = digests(self._folder)
        lost = [name for name, digest in self.undisturbed.items() if found.get(name) != digest]
        left = sorted(found.keys() - self.undisturbed.keys())
        story = "; ".join(map(str, chain))
        if lost:
            self.report.faults.append(f"{story}: other bytes in {', '.join(lost)}")
        if left:
            self.report.faults.append(f"{story}: not cleared away: {', '.join(left)}")
        if redone:
            self.report.faults.append(f"{story}: {redone} finished files were written again")
        for kill in chain:
            row = self.report.rows[kill.kind]
            row.injected += 1
            row.survived += not lost
            row.outlived += kill.code == 0
            row.bytes_lost += sum(self.undisturbed[name][0] for name in lost)
            row.files_left += len(left)
            row.files_redone += redone
        self._say(f"{'OTHER' if lost else 'equal'} bytes after {story or 'no kill'}")

    def _clear(self) -> None:
        """Back to the documents alone."""
        for name in ("mixed", "tokens", *(f"{source}/attributes" for source in SOURCES)):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _finished_outputs(self) -> dict[str, tuple[int, int]]:
        """The outputs on record that are there as recorded, by their inode and time."""
        found = {}
        for sizes in recorded(self._folder).values():
            for name, size in sizes.items():
                if ledger.FOLDER in name:  # intermediate
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = (self._folder / name).stat()
                    if status.st_size == size:
                        found[name] = status.st_ino, status.st_mtime_ns
        return found

    def _redone(self, before: dict[str, tuple[int, int]]) -> int:
        after = self._finished_outputs()
        return sum(after.get(name) != identity for name, identity in before.items())


def kill_at(
    command: Command, kind: str, moment: Moment, chance: random.Random, folder: Path
) -> bool:
    """Kill what `kind` says once the moment has come and it is there; False if that never was."""
    while command.driver.poll() is None:
        if moment.has_come(folder, command.seconds):
            if kind == "process group":
                os.killpg(command.driver.pid, signal.SIGKILL)
                return True
            if targets := [p for p in command.processes() if p.role == kind]:
                return _kill(chance.choice(sorted(targets)))
        time.sleep(POLL_SECONDS)
    return False


def _kill(process: Process) -> bool:
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def fault_of_ending(kill: Kill, killed: bool) -> str | None:
    """What is wrong with how a command ended, if anything."""
    if not killed:
        return None if (kill.code, kill.said) == (0, "") else "ended before it was killed"
    if kill.kind in ("command", "process group"):
        return None if (kill.code, kill.said) == (-signal.SIGKILL, "") else "was to end in silence"
    if kill.code == 0:
        return None if not kill.said else "said something though all went well"
    lines = kill.said.splitlines()
    if kill.code != 1 or len(lines) != 1 or not lines[0].startswith("dolma-kit: "):
        return "was to end with exit code 1 and one line"
    of_worker = "was killed by SIGKILL (out of memory? try fewer --workers)"
    if of_worker not in lines[0] and "the process that starts them was killed" not in lines[0]:
        return "was to say what was killed"
    return None


#: what lies beside a ledger and has times in it, or nothing
NOTES = ("ledger.jsonl", "lock", executions.NAME)


def digests(folder: Path) -> dict[str, tuple[int, str]]:
    """Path -> size and SHA-256 of all that lies in a folder, but for ledgers and their locks.

    Temporary and intermediate files are in it: after a run there must be none.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        ours = path.parent.name == ledger.FOLDER and path.name in NOTES
        if path.is_file() and not ours:
            found[name] = path.stat().st_size, files.sha256(str(path))
    return found
