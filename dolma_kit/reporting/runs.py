"""What training runs see: their exposure at some of their steps."""

from __future__ import annotations

import shlex

import msgspec

from dolma_kit.errors import ConfigError, DolmaKitError
from dolma_kit.order.asking.exposure import exposures
from dolma_kit.order.run import open_run
from dolma_kit.reporting.answers import Missing, RunExposure
from dolma_kit.reporting.inventory import Inventory

N_POINTS = 24
MOST_POSITIONS = 4_000_000_000  # counted in about a minute


def run_of(inventory: Inventory, path: str) -> RunExposure | Missing:
    """A run's exposure, or why it cannot be told (its tokens moved, say)."""
    name = inventory.seen_from_root(path)
    try:
        run = open_run(path)
        first = min(segment.from_step for segment in run.schedule.segments)
        n_positions = len(run.order) * run.description.epochs
        if n_positions > MOST_POSITIONS:
            raise ConfigError(
                f"{n_positions:,} positions in all epochs are more than a report counts "
                f"({MOST_POSITIONS:,}): ask dolma-kit trace exposure"
            )
        return RunExposure(
            run=name,
            n_steps=run.n_steps,
            sequence_length=run.description.sequence_length,
            global_batch_size=run.description.global_batch_size,
            order=msgspec.to_builtins(run.description.order),
            fingerprint=run.fingerprint,
            exposures=list(exposures(run, _points(first, run.n_steps))),
        )
    except (DolmaKitError, OSError) as error:
        return Missing(
            section="order",
            what=f"the run {name}",
            why=inventory.told(error),
            cure=f"dolma-kit trace verify --run {shlex.quote(name)}",
        )


def _points(first: int, last: int) -> list[int]:
    """Steps from the first to the last, evenly, both among them."""
    n = min(N_POINTS, last - first + 1)
    return sorted({first + round(i * (last - first) / max(n - 1, 1)) for i in range(n)})
