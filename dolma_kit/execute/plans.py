"""Plans of work: phases of units, as data that any engine can run."""

from __future__ import annotations

import glob
import heapq
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dolma_kit.execute.progress import Progress
from dolma_kit.ledger import Result

Work = Callable[[Any], Any]


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

    `work` is a function at the top level of a module, so that workers can import it; it gives a
    Result. None: the units' tasks are `Reading`s of one consumer.
    """

    name: str
    work: Work | None
    units: Sequence[Unit]

    def quarantine_folders(self) -> set[str]:
        """Where its units put what they set aside."""
        if self.work is not None:
            return set()
        asides = (consumer.aside for unit in self.units for consumer in unit.task.consumers)
        return {os.path.dirname(aside.path) for aside in asides if aside is not None}


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

    `warm` may have workers call a function before they start, while the plan is still made.
    `prepare` has kernels compiled before units run, once and not in each worker, and returns the
    seconds that loading them took. `map` gives `work(task)` of each task, in their order, taking a
    bounded number of tasks ahead. `width` is how many units run at a time, `cpu_seconds` what work
    took so far in other processes than this.
    """

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def cpu_seconds(self) -> float: ...

    def map(
        self, work: Callable[[Any], Any], tasks: Iterable[Any], what: str
    ) -> Generator[Any, None, None]: ...

    def warm(self, module: str, function: str, *arguments: Any) -> None: ...

    def prepare(self, kernel_names: Sequence[str]) -> float: ...

    def run(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Any, float], None],
        progress: Progress,
    ) -> None: ...

    def close(self) -> None: ...


@dataclass
class Outcome:
    """What came of a plan: each phase's results in the order of its units, and the times.

    `part` is (I, N) where only a part of the first phase's units was asked for; their results
    alone are there, and no later phase if there is one.
    """

    results: dict[str, list[Result]] = field(default_factory=dict)
    seconds: float = 0.0
    compile_seconds: float = 0.0
    engine: str = "local"
    units_skipped: int = 0
    part: tuple[int, int] | None = None

    def total(self, phase: str, count: str) -> Any:
        """A count of a phase, summed over its units (`documents`, `bytes_in`, or a stage's own)."""
        results = self.results[phase]
        if count in Result.__struct_fields__:
            return sum(getattr(result, count) for result in results)
        return sum(result.counts.get(count, 0) for result in results)

    @property
    def quarantined(self) -> int:
        return sum(result.quarantined for results in self.results.values() for result in results)


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def part_of(units: Sequence[Unit], number: int, n_parts: int) -> list[Unit]:
    """Part `number` of the units, in order: each goes, the largest first, to the part that has the
    fewest bytes so far. Depends on the units alone, so that all parts agree."""
    shares = [(0, i) for i in range(n_parts)]  # (bytes, part), a heap
    ours = []
    for i in sorted(range(len(units)), key=lambda i: (-units[i].n_bytes, i)):
        n_bytes, part = heapq.heappop(shares)
        heapq.heappush(shares, (n_bytes + max(units[i].n_bytes, 1), part))
        if part == number:
            ours.append(i)
    return [units[i] for i in sorted(ours)]
