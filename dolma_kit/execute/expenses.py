"""What executing plans takes: wall time, the CPU time of all processes, energy where it is counted.

The CPU time is that of this process and what the engine says of its workers.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dolma_kit import executions
from dolma_kit.energy import JOULES_PER_KWH, Meter
from dolma_kit.executions import Execution

if TYPE_CHECKING:
    from dolma_kit.execute.plans import Engine


class Expenses:
    """Counts from when it is made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._meter = Meter(device=None, watts=0.0)
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._wall = time.perf_counter()
        self._cpu = time.process_time() + engine.cpu_seconds

    def keep_up(self) -> None:
        """To be called often, as counters of energy run over."""
        self._meter.keep_up()

    def shared(self, parts: Sequence[tuple[int, float]]) -> list[Execution]:
        """An execution a stage, of (units, seconds of its work); what cannot be told apart is
        dealt out by those seconds."""
        seconds = time.perf_counter() - self._wall
        cpu = time.process_time() + self._engine.cpu_seconds - self._cpu
        joules = self._meter.kwh() * JOULES_PER_KWH if self._meter.source == "rapl" else None
        total = sum(part for _, part in parts)
        found = []
        for units, part in parts:
            share = part / total if total > 0 else 1 / len(parts)
            found.append(
                Execution(
                    versions=executions.versions(),
                    engine=self._engine.name,
                    workers=self._engine.width,
                    started=self._started,
                    units=units,
                    seconds=round(seconds * share, 6),
                    cpu_seconds=round(cpu * share, 6),
                    joules=None if joules is None else round(joules * share, 3),
                )
            )
        return found
