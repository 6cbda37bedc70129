"""Plans of work and the engines that run them.

A stage is a plan: phases of units, and for each phase a pure function that does a unit. The plan
is data; any engine runs it, and the bytes that come out do not depend on which one, on how many
workers it has, or on the order in which units finish.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dolma_kit import files
from dolma_kit.config import Options, digest
from dolma_kit.errors import ConfigError
from dolma_kit.execute.progress import Progress
from dolma_kit.ledger import Ledger, Result

Work = Callable[[Any], Result]


@dataclass(frozen=True)
class Unit:
    """A piece of work: `task` (picklable) goes to the phase's function.

    `inputs` are the files whose change makes it due again, `folder` the output folder whose ledger
    notes it, `n_bytes` its cost by the size of what it reads, `threads` how many CPUs it uses.
    """

    name: str
    task: Any
    inputs: tuple[str, ...]
    folder: str
    n_bytes: int = 0
    threads: int = 1


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
        ledgers = {}
        for folder in plan.folders:
            files.require_writable(folder)
            ledgers[folder] = Ledger(folder, plan.stage, plan.config, overwrite=options.overwrite)
            stack.callback(ledgers[folder].close)
        for folder in plan.temporary:
            files.require_writable(folder)
        digests = _Digests()
        todo = plan.phases
        if not _unfinished(plan.phases[-1], ledgers, digests):
            # The intermediate files of the earlier phases are gone, what they counted is not.
            *earlier, last = plan.phases
            todo = [last]
            for phase in earlier:
                outcome.results[phase.name] = [
                    ledgers[unit.folder].recorded(unit.name) for unit in phase.units
                ]
        if any(_unfinished(phase, ledgers, digests) for phase in todo):
            outcome.compile_seconds = engine.prepare(plan.kernels)
        for phase in todo:
            _run_phase(plan, phase, ledgers, digests, engine, options, outcome)
        for folder in plan.temporary:
            shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = time.perf_counter() - started
    return outcome


class _Digests:
    """Digests of input fingerprints; each file is looked at once, each tuple hashed once."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, int | str]] = {}
        self._tuples: dict[tuple[str, ...], str] = {}

    def __call__(self, inputs: tuple[str, ...]) -> str:
        if inputs not in self._tuples:
            for path in inputs:
                if path not in self._files:
                    self._files[path] = files.fingerprint(path)
            # Not the paths: the same files spelled otherwise, or moved, are the same files.
            self._tuples[inputs] = digest({"files": [self._files[path] for path in inputs]})
        return self._tuples[inputs]


def _unfinished(phase: Phase, ledgers: Mapping[str, Ledger], digests: _Digests) -> list[Unit]:
    return [u for u in phase.units if ledgers[u.folder].finished(u.name, digests(u.inputs)) is None]


def _run_phase(
    plan: Plan,
    phase: Phase,
    ledgers: Mapping[str, Ledger],
    digests: _Digests,
    engine: Engine,
    options: Options,
    outcome: Outcome,
) -> None:
    results: dict[tuple[str, str], Result] = {}  # a unit's name is its ledger's, not the plan's
    for unit in phase.units:
        done = ledgers[unit.folder].finished(unit.name, digests(unit.inputs))
        if done is not None:
            results[unit.folder, unit.name] = done
            outcome.units_skipped += 1
    todo = [unit for unit in phase.units if (unit.folder, unit.name) not in results]

    def finished(unit: Unit, result: Result, seconds: float) -> None:
        ledgers[unit.folder].record(unit.name, digests(unit.inputs), result, seconds)
        results[unit.folder, unit.name] = result

    if todo:
        total = sum(unit.n_bytes for unit in todo)
        with Progress(f"{plan.stage}: {phase.name}", len(todo), total, quiet=options.quiet) as bar:
            # The largest first: a long unit that starts last would leave the others idle.
            engine.run(phase.work, sorted(todo, key=lambda u: -u.n_bytes), finished, bar)
    outcome.results[phase.name] = [results[unit.folder, unit.name] for unit in phase.units]
