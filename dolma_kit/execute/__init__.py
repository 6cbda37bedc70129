"""Plans of work and the engines that run them.

A stage is a plan: phases of units, and for each phase a pure function that does a unit. The plan
is data; any engine runs it, and the bytes that come out do not depend on which one, on how many
workers it has, or on the order in which units finish.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dolma_kit import files, ledger
from dolma_kit.config import Options, digest
from dolma_kit.errors import ConfigError
from dolma_kit.execute.progress import Progress
from dolma_kit.ledger import Ledger, Result

Work = Callable[[Any], Result]


@dataclass(frozen=True)
class Unit:
    """A piece of work: `task` (picklable) goes to the phase's function.

    `inputs` are the files whose change makes it due again, `folder` the output folder whose ledger
    notes it, `n_bytes` its cost by the size of what it reads. `claims` are glob patterns of the
    paths that it writes, `rivals` of such as must not stand beside them. `threads` is how many
    CPUs it uses.
    """

    name: str
    task: Any
    inputs: tuple[str, ...]
    folder: str
    n_bytes: int = 0
    claims: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    threads: int = 1

    def output_folders(self) -> set[str]:
        """The folders that are there of those that it writes its outputs to."""
        return {f for pattern in self.claims for f in glob.iglob(os.path.dirname(pattern))}


@dataclass(frozen=True)
class Phase:
    """Units that may run at the same time, once the phase before is done.

    `work` is a function at the top level of a module, so that workers can import it.
    """

    name: str
    work: Work
    units: Sequence[Unit]


@dataclass(frozen=True)
class Plan:
    """A stage's work. The outputs proper are those of the last phase; earlier ones prepare them.

    `config` is what decides the bytes; `kernels` are the modules to compile before workers start;
    `temporary` folders are removed once the last phase is done.
    """

    stage: str
    config: Mapping[str, Any]
    phases: Sequence[Phase]
    kernels: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()

    @property
    def folders(self) -> list[str]:
        return sorted({unit.folder for phase in self.phases for unit in phase.units})


class Engine(Protocol):
    """Runs units; `finished` is called in the driver, in whatever order they end.

    `prepare` has kernels compiled before units run, once and not in each worker, and returns the
    seconds that loading them took.
    """

    @property
    def name(self) -> str: ...

    def prepare(self, kernel_names: Sequence[str]) -> float: ...

    def run(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Result, float], None],
        progress: Progress,
    ) -> None: ...

    def close(self) -> None: ...


@dataclass
class Outcome:
    """What came of a plan: each phase's results in the order of its units, and the times."""

    results: dict[str, list[Result]] = field(default_factory=dict)
    seconds: float = 0.0
    compile_seconds: float = 0.0
    engine: str = "local"
    units_skipped: int = 0

    def total(self, phase: str, count: str) -> Any:
        """A count of a phase, summed over its units (`documents`, `bytes_in`, or a stage's own)."""
        results = self.results[phase]
        if count in Result.__struct_fields__:
            return sum(getattr(result, count) for result in results)
        return sum(result.counts.get(count, 0) for result in results)


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def engine_for(options: Options, engine: Engine | None = None) -> Iterator[Engine]:
    """The given engine, or one that the options name, closed at the end."""
    if engine is not None:
        yield engine
        return
    made = _made(options)
    try:
        yield made
    finally:
        made.close()


def _made(options: Options) -> Engine:
    """An address of a cluster, from the options or the environment, is a wish for Ray."""
    if options.engine == "local" and options.ray_address is not None:
        raise ConfigError("--engine local runs at no --ray-address: leave one of them out")
    address = options.ray_address or os.environ.get("RAY_ADDRESS") or None
    if options.engine == "ray" or (options.engine is None and address is not None):
        from dolma_kit.execute.ray import RayEngine

        return RayEngine(options.workers, address)
    from dolma_kit.execute.local import LocalEngine

    return LocalEngine(options.workers or usable_cpus())


def execute(plan: Plan, options: Options, engine: Engine) -> Outcome:
    """Do what of the plan is not done yet, and return the results of all of it."""
    started = time.perf_counter()
    outcome = Outcome(engine=engine.name)
    with contextlib.ExitStack() as stack:
        others = _others(plan, options)
        ledgers = {}
        for folder in plan.folders:
            files.require_writable(folder)
            ledgers[folder] = Ledger(folder, plan.stage, plan.config, overwrite=options.overwrite)
            stack.callback(ledgers[folder].close)
        _clear(plan, others)
        for folder in plan.temporary:
            if options.overwrite:
                shutil.rmtree(folder, ignore_errors=True)
            files.require_writable(folder)
        books = _Books(plan, ledgers)
        last = plan.phases[-1]
        if books.unfinished(last):
            outcome.compile_seconds = engine.prepare(plan.kernels)
            for phase in plan.phases:
                _run_phase(plan, phase, books, engine, options, outcome)
        else:
            # The intermediate files of the earlier phases are gone, what they counted is not.
            for phase in plan.phases:
                outcome.results[phase.name] = [books.recorded(phase, u) for u in phase.units]
            outcome.units_skipped = len(last.units)
        for folder in plan.temporary:
            shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = time.perf_counter() - started
    return outcome


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


class _Books:
    """The ledgers of a plan's folders, asked by unit."""

    def __init__(self, plan: Plan, ledgers: Mapping[str, Ledger]) -> None:
        self._plan = plan
        self._ledgers = ledgers
        self._files: dict[str, dict[str, int | str]] = {}
        self._digests: dict[tuple[int, bool], str] = {}  # by identity: units share long tuples

    def finished(self, phase: Phase, unit: Unit) -> Result | None:
        book = self._ledgers[unit.folder]
        return book.finished(phase.name, unit.name, self._digest(phase, unit), _source(unit))

    def unfinished(self, phase: Phase) -> list[Unit]:
        return [unit for unit in phase.units if self.finished(phase, unit) is None]

    def recorded(self, phase: Phase, unit: Unit) -> Result:
        return self._ledgers[unit.folder].recorded(phase.name, unit.name)

    def record(self, phase: Phase, unit: Unit, result: Result, seconds: float) -> None:
        book = self._ledgers[unit.folder]
        inputs = self._digest(phase, unit)
        book.record(phase.name, unit.name, inputs, _source(unit), result, seconds)

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
            self._digests[key] = digest({"files": fingerprints, "places": places})
        return self._digests[key]


def _source(unit: Unit) -> str | None:
    """Where the first input of a unit lies, seen from the folder that notes it."""
    if not unit.inputs or files.is_remote(unit.inputs[0]):
        return unit.inputs[0] if unit.inputs else None
    return os.path.relpath(unit.inputs[0], unit.folder)


def _run_phase(
    plan: Plan, phase: Phase, books: _Books, engine: Engine, options: Options, outcome: Outcome
) -> None:
    # A unit's name is its ledger's, not the plan's: two folders may have a unit of one name.
    results: dict[tuple[str, str], Result] = {}
    todo = []
    for unit in phase.units:
        done = books.finished(phase, unit)
        if done is None:
            todo.append(unit)
        else:
            results[unit.folder, unit.name] = done
            outcome.units_skipped += 1
    for unit in todo:
        # What a killed run of it may have written without a record would stay otherwise.
        for path in (path for pattern in unit.claims for path in glob.iglob(pattern)):
            os.unlink(path)

    def finished(unit: Unit, result: Result, seconds: float) -> None:
        books.record(phase, unit, result, seconds)
        results[unit.folder, unit.name] = result

    if todo:
        total = sum(unit.n_bytes for unit in todo)
        with Progress(f"{plan.stage}: {phase.name}", len(todo), total, quiet=options.quiet) as bar:
            # The largest first: a long unit that starts last would leave the others idle.
            engine.run(phase.work, sorted(todo, key=lambda u: -u.n_bytes), finished, bar)
    outcome.results[phase.name] = [results[unit.folder, unit.name] for unit in phase.units]
