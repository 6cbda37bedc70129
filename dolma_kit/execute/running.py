"""Running plans: what is due of them, in which order, and what the ledgers are told."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import heapq
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dolma_kit import config, files, ledger
from dolma_kit.config import Options
from dolma_kit.errors import ConfigError
from dolma_kit.execute import progress as reporting
from dolma_kit.execute import reading
from dolma_kit.execute.expenses import Expenses
from dolma_kit.execute.plans import Engine, Outcome, Phase, Plan, Unit, part_of
from dolma_kit.execute.progress import Progress
from dolma_kit.execute.reading import Reading, Share
from dolma_kit.executions import Execution
from dolma_kit.ledger import Ledger, Result

# A unit's name is its ledger's, not the plan's: two folders may have a unit of one name.
_Results = dict[tuple[str, str], Result]
SHARED_BYTES = 4 << 20  # as stored; less is done before workers could agree
UNEVEN = 1.05  # how much more than its part a worker may have


def execute(plan: Plan, options: Options, engine: Engine) -> Outcome:
    """Do what of the plan is not done yet, and return the results of all of it."""
    (outcome,) = execute_together([(plan, options)], engine)
    return outcome


def execute_together(plans: Sequence[tuple[Plan, Options]], engine: Engine) -> list[Outcome]:
    """The same for plans of which none needs what another makes, in disjoint folders.

    A file that their first phases read in the same way is decoded once for all of them.
    """
    with contextlib.ExitStack() as stack:
        runs = [_Run(plan, options, engine, stack) for plan, options in plans]
        due = [run for run in runs if run.is_due]
        if due:
            expenses = Expenses(engine)
            for run in due:
                run.books.keep_up = expenses.keep_up
            kernel_names = dict.fromkeys(name for run in due for name in run.plan.kernels)
            seconds = engine.prepare(tuple(kernel_names))
            for run in due:
                run.outcome.compile_seconds = seconds / len(due)
            _run_first_phases(due, engine)
            for run in due:
                run.finish(engine)
            _note([run.books for run in due], expenses)
        for run in runs:
            run.clean_up()
    return [run.outcome for run in runs]


def _note(books: Sequence[_Books], expenses: Expenses) -> None:
    """Note with each folder in which units were done its part of what they took."""
    there = [(one, folder, times) for one in books for folder, times in one.recorded_now.items()]
    shares = expenses.shared([(len(times), sum(times)) for _, _, times in there])
    for (one, folder, _), share in zip(there, shares, strict=True):
        one.note(folder, share)


class _Run:
    """A plan that is being executed: its ledgers, and what has come of it."""

    def __init__(
        self, plan: Plan, options: Options, engine: Engine, stack: contextlib.ExitStack
    ) -> None:
        started = time.perf_counter()
        self.plan = plan
        self.options = options
        self.outcome = Outcome(engine=engine.name, part=options.part)
        if options.part and options.overwrite:
            raise ConfigError(
                "--overwrite with --shard: one part would remove what another has made; remove "
                f"{', '.join(plan.folders)} first, or run once without --shard"
            )
        others = _others(plan, options)
        ledgers = {}
        for folder in plan.folders:
            files.require_writable(folder)
            ledgers[folder] = Ledger(
                folder, plan.stage, plan.config, overwrite=options.overwrite, part=options.part
            )
            stack.callback(ledgers[folder].close)
        if options.part is None:
            _clear(plan, others)
        for folder in plan.temporary:
            if options.overwrite:
                shutil.rmtree(folder, ignore_errors=True)
            files.require_writable(folder)
        self.books = _Books(plan, options, ledgers)
        last = plan.phases[-1]
        self.is_due = (
            options.part is not None
            or bool(self.books.unfinished(last))
            or (not options.set_aside and self.books.has_quarantined())
        )
        if not self.is_due:
            # The intermediate files of the earlier phases are gone, what they counted is not.
            for phase in plan.phases:
                self.outcome.results[phase.name] = [
                    self.books.recorded(phase, unit) for unit in phase.units
                ]
            self.outcome.units_skipped = len(last.units)
        self.outcome.seconds += time.perf_counter() - started

    @property
    def first_units(self) -> Sequence[Unit]:
        """Those of the first phase that are ours to do."""
        units = self.plan.phases[0].units
        return units if self.options.part is None else part_of(units, *self.options.part)

    def due(self, phase: Phase, units: Sequence[Unit], results: _Results) -> list[Unit]:
        """The units that have to run; the results of the others are put in."""
        todo = []
        for unit in units:
            done = self.books.finished(phase, unit)
            if done is None:
                todo.append(unit)
            else:
                results[unit.folder, unit.name] = done
                self.outcome.units_skipped += 1
        for unit in todo:
            # What a killed run of it may have written without a record would stay otherwise.
            for path in (path for pattern in unit.claims for path in glob.iglob(pattern)):
                os.unlink(path)
        return todo

    def run_phase(self, phase: Phase, units: Sequence[Unit], engine: Engine) -> None:
        """Do what is due of a phase, for this plan alone."""
        work = phase.work
        if work is None:
            _run_readings([_Reader(self, phase, units)], engine)
            return
        started = time.perf_counter()
        results: _Results = {}
        todo = self.due(phase, units, results)

        def finished(unit: Unit, result: Result, seconds: float) -> None:
            self.books.record(phase, unit, result, seconds)
            results[unit.folder, unit.name] = result

        if todo:
            n_bytes = sum(unit.n_bytes for unit in todo)
            title = f"{self.plan.stage}: {phase.name}"
            with Progress(title, len(todo), n_bytes, quiet=self.options.quiet) as bar:
                engine.run(work, _largest_first(todo), finished, bar)
        self.store(phase, units, results)
        self.outcome.seconds += time.perf_counter() - started

    def finish(self, engine: Engine) -> None:
        """The phases after the first, if all of it was ours to do."""
        if self.options.part is None:
            for phase in self.plan.phases[1:]:
                self.run_phase(phase, phase.units, engine)

    def store(self, phase: Phase, units: Sequence[Unit], results: _Results) -> None:
        self.outcome.results[phase.name] = [results[unit.folder, unit.name] for unit in units]

    def clean_up(self) -> None:
        if self.options.part is None:
            for folder in self.plan.temporary:
                shutil.rmtree(folder, ignore_errors=True)


def _largest_first(units: Sequence[Unit]) -> list[Unit]:
    """A long unit that starts last would leave the others idle."""
    return sorted(units, key=lambda unit: -unit.n_bytes)


@dataclasses.dataclass
class _Reader:
    """Units of a run that read documents, and what has come of them."""

    run: _Run
    phase: Phase
    units: Sequence[Unit]
    results: _Results = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


def _run_first_phases(runs: Sequence[_Run], engine: Engine) -> None:
    """The first phase of each plan; files that several of them read are read once."""
    readers = []
    for run in runs:
        first = run.plan.phases[0]
        if first.work is None:
            readers.append(_Reader(run, first, run.first_units))
        else:
            run.run_phase(first, run.first_units, engine)
    _run_readings(readers, engine)


def split(jobs: Sequence[Unit], width: int) -> tuple[list[Unit], list[Unit]]:
    """Which files to share between the workers, and which to give to one worker each.

    The largest are shared until what is left can be dealt out so that no worker has much more than
    its part of all. Sharing moves no byte of the outputs, so it may depend on the workers.
    """
    whole = _largest_first(jobs)
    shared: list[Unit] = []
    even = sum(job.n_bytes for job in jobs) / width
    while width > 1 and sum(job.n_bytes for job in shared) / width + _longest(whole, width) > (
        UNEVEN * even
    ):
        candidates = [
            job for job in whole if job.n_bytes >= SHARED_BYTES and job.task.can_be_shared
        ]
        if not candidates:
            break
        shared.append(candidates[0])
        whole.remove(candidates[0])
    return shared, whole


def _longest(jobs: Sequence[Unit], width: int) -> int:
    """The bytes of the worker that has most, where each next job goes to the one that has least."""
    loads = [0] * width
    for job in jobs:
        heapq.heapreplace(loads, loads[0] + job.n_bytes)
    return max(loads)


def _alike(reading: Reading) -> Any:
    """Readings with equal keys are done as one."""
    return reading.source, reading.needs_rows, reading.shareable


def _run_readings(readers: Sequence[_Reader], engine: Engine) -> None:
    """Do what is due of units that read documents; alike ones of several runs as one."""
    alike: dict[Any, list[tuple[_Reader, Unit]]] = {}
    for reader in readers:
        for unit in reader.run.due(reader.phase, reader.units, reader.results):
            alike.setdefault(_alike(unit.task), []).append((reader, unit))
    if alike:
        _read(list(alike.values()), engine)
    for reader in readers:
        reader.run.store(reader.phase, reader.units, reader.results)
        reader.run.outcome.seconds += reader.seconds


def _read(groups: Sequence[list[tuple[_Reader, Unit]]], engine: Engine) -> None:
    """Read each group's file, once, for all of its units."""
    started = time.perf_counter()
    jobs = []
    units_of: dict[int, list[tuple[_Reader, Unit]]] = {}  # by identity of the job
    for found in groups:
        units = [unit for _, unit in found]
        consumers = tuple(c for unit in units for c in unit.task.consumers)
        job = dataclasses.replace(
            units[0],
            name=" and ".join(dict.fromkeys(unit.name for unit in units)),
            task=dataclasses.replace(units[0].task, consumers=consumers),
            claims=tuple(claim for unit in units for claim in unit.claims),
        )
        jobs.append(job)
        units_of[id(job)] = found

    def finished(job: Unit, shares: Sequence[Share], _seconds: float) -> None:
        for (reader, unit), share in zip(units_of[id(job)], shares, strict=True):
            reader.run.books.record(reader.phase, unit, share.result, share.seconds)
            reader.results[unit.folder, unit.name] = share.result
            reader.seconds += share.seconds

    n_bytes = sum(job.n_bytes for job in jobs)
    # by identity, and each once
    readers = list({id(reader): reader for found in groups for reader, _ in found}.values())
    title = ", ".join(f"{reader.run.plan.stage}: {reader.phase.name}" for reader in readers)
    quiet = all(reader.run.options.quiet for reader in readers)
    with Progress(title, len(jobs), n_bytes, quiet=quiet) as bar:
        shared, whole = split(jobs, engine.width)
        reporting.report_to(bar.advance)
        try:
            for job in shared:
                finished(job, reading.read_shared(job.task, engine), 0.0)
                bar.unit_done(job.n_bytes)
        finally:
            reporting.report_to(None)
        if whole:
            engine.run(reading.read, whole, finished, bar)
    # The wall time is each stage's by what it took of the workers'.
    seconds = time.perf_counter() - started
    spent = sum(reader.seconds for reader in readers)
    for reader in readers:
        reader.seconds *= seconds / max(spent, 1e-9)


def _others(plan: Plan, options: Options) -> list[str]:
    """What stands at the outputs' places and no ledger of ours knows: refused, unless it is to go.

    Looked for before our ledgers are opened, since they make a folder ours; changes nothing.
    """
    ours = {folder: ledger.read_header(folder) is not None for folder in plan.folders}
    others = []
    for unit in (unit for phase in plan.phases for unit in phase.units):
        patterns = unit.rivals if ours[unit.folder] else (*unit.claims, *unit.rivals)
        for path in (path for pattern in patterns for path in glob.iglob(pattern)):
            if ours[unit.folder] and ledger.knows(unit.folder, path):
                continue  # another config's, which the ledger refuses or removes
            if not options.overwrite:
                raise ConfigError(
                    f"{path} is there and was not made by this command: use another name, or "
                    "--overwrite to replace it"
                )
            others.append(path)
    return others


def _clear(plan: Plan, others: Sequence[str]) -> None:
    """Remove what is to be replaced, and the temporary files of killed runs. Only under the locks:
    before, they could be those of a command that is at work."""
    for path in others:
        with contextlib.suppress(FileNotFoundError):  # the ledger's --overwrite came first
            os.unlink(path)
    units = (unit for phase in plan.phases for unit in phase.units)
    for folder in {folder for unit in units for folder in unit.output_folders()}:
        ledger.sweep(folder)
    for folder in {folder for phase in plan.phases for folder in phase.quarantine_folders()}:
        ledger.sweep(folder)


class _Books:
    """The ledgers of a plan's folders, asked by unit."""

    def __init__(self, plan: Plan, options: Options, ledgers: Mapping[str, Ledger]) -> None:
        self._plan = plan
        self._set_aside = options.set_aside
        self._ledgers = ledgers
        self._files: dict[str, dict[str, int | str]] = {}
        self._digests: dict[tuple[int, bool], str] = {}  # by identity: units share long tuples
        self.recorded_now: dict[str, list[float]] = {}  # folder -> seconds of each unit
        self.keep_up: Callable[[], None] | None = None  # called after each

    def finished(self, phase: Phase, unit: Unit) -> Result | None:
        book = self._ledgers[unit.folder]
        digest = self._digest(phase, unit)
        result = book.finished(phase.name, unit.name, digest, _source(unit))
        if result is not None and result.quarantined and not self._set_aside:
            return None  # to be done again, and to stop at what was set aside
        return result

    def unfinished(self, phase: Phase) -> list[Unit]:
        return [unit for unit in phase.units if self.finished(phase, unit) is None]

    def has_quarantined(self) -> bool:
        """Whether something was set aside in any phase of what is finished."""
        units = ((phase, unit) for phase in self._plan.phases for unit in phase.units)
        return any(self.recorded(phase, unit).quarantined for phase, unit in units)

    def recorded(self, phase: Phase, unit: Unit) -> Result:
        return self._ledgers[unit.folder].recorded(phase.name, unit.name)

    def record(self, phase: Phase, unit: Unit, result: Result, seconds: float) -> None:
        book = self._ledgers[unit.folder]
        inputs = self._digest(phase, unit)
        synced = phase is self._plan.phases[-1]  # outputs of the others are intermediate
        book.record(phase.name, unit.name, inputs, _source(unit), result, seconds, synced=synced)
        self.recorded_now.setdefault(unit.folder, []).append(seconds)
        if self.keep_up is not None:
            self.keep_up()

    def note(self, folder: str, execution: Execution) -> None:
        self._ledgers[folder].note(execution)

    def _digest(self, phase: Phase, unit: Unit) -> str:
        """Of the inputs' fingerprints and, as intermediate files are looked for there, of where
        those lie. Not of paths: the same files spelled otherwise are the same files."""
        is_last = phase is self._plan.phases[-1]
        key = (id(unit.inputs), is_last)
        if key not in self._digests:
            for path in unit.inputs:
                if path not in self._files:
                    self._files[path] = files.fingerprint(path)
            places = [] if is_last else [os.path.abspath(p) for p in self._plan.temporary]
            fingerprints = [self._files[path] for path in unit.inputs]
            self._digests[key] = config.digest({"files": fingerprints, "places": places})
        return self._digests[key]


def _source(unit: Unit) -> str | None:
    """Where the first input of a unit lies, seen from the folder that notes it."""
    if not unit.inputs or files.is_remote(unit.inputs[0]):
        return unit.inputs[0] if unit.inputs else None
    place = os.path.relpath(unit.inputs[0], unit.folder)
    return os.fsencode(place).decode("utf-8", "replace")  # JSON has no names that are no Unicode
