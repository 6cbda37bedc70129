"""What one step saw, and the answers of `trace step` and `trace doc`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError
from dolma_kit.order.answers import (
    DocumentAnswer,
    DocumentPart,
    InstancePart,
    Status,
    StepAnswer,
)
from dolma_kit.order.schedule import Batch
from dolma_kit.order.views import View

if TYPE_CHECKING:
    from dolma_kit.order.run import Run


class Part(msgspec.Struct, frozen=True):
    """A part of a document as it is shown: `ends` says that its last token is the EOS."""

    document: DocumentPart
    ends: bool


@dataclass(frozen=True, eq=False)
class Step:
    """One step: its instances (B,) uint32, in the order of `positions` of the epoch's order.

    `step` counts from 1 through the run, `batch` from 0 within `epoch`.
    """

    step: int
    batch: int
    epoch: int
    positions: range
    instances: NDArray[np.uint32]
    _run: Run = field(repr=False)
    _view: View = field(repr=False)
    _batch: Batch = field(repr=False)

    def documents(self) -> list[DocumentPart]:
        """The parts of documents that the step saw, instance after instance, decoded; a document
        that is in two of them is there twice."""
        return [part.document for i in self.instances for part in self.parts(int(i))]

    def parts(self, instance: int) -> list[Part]:
        """The parts of one of its instances, as far as it was trained on."""
        kept = self._run.truncated_to(self._batch.segment)
        return list(self._run.shown_parts(self._view, instance, kept))

    def status(self, instance: int) -> Status:
        """What became of one of its instances."""
        return self._run.status_of(self._view, instance, self._batch.segment)

    def boundaries(self, instance: int) -> str | None:
        """`eos-scan` where only EOS tokens told where documents begin and end."""
        file = self._view.instances.spans(instance)[0].file
        return self._run.documents(file).boundaries

    def rank_of(self, position: int, world_size: int | None = None) -> int:
        """The rank that trained on a position, of the run's ranks or of so many."""
        return self._run.schedule.rank_of(self._batch, position, world_size)


@dataclass(frozen=True)
class Ranks:
    """Which ranks of a step to show: one, or all (None); how many there are, and how many instances
    a rank takes at a time."""

    rank: int | None = None
    world_size: int | None = None
    micro_batch: int | None = None


def instances_of(step: Step, ranks: Ranks) -> list[InstancePart]:
    """The instances of a step that ranks saw, by position.

    ConfigError for ranks that cannot share the batch, and for a rank that there is not.
    """
    size = len(step.instances)
    world_size = ranks.world_size or step._run.schedule.world_size
    if size % world_size:
        raise ConfigError(f"{world_size} ranks cannot share a batch of {size} instances")
    per_rank = size // world_size
    if ranks.micro_batch and per_rank % ranks.micro_batch:
        raise ConfigError(
            f"a rank has {per_rank} instances of a batch, no multiple of {ranks.micro_batch}"
        )
    if ranks.rank is not None and not 0 <= ranks.rank < world_size:
        raise ConfigError(f"no rank {ranks.rank}: there are {world_size}, from 0")
    found = []
    for position, number in zip(step.positions, step.instances, strict=True):
        rank = step.rank_of(position, world_size)
        if ranks.rank is not None and rank != ranks.rank:
            continue
        instance = int(number)
        nth = (position - step.positions.start) // world_size
        found.append(
            InstancePart(
                instance=instance,
                position=position,
                rank=rank,
                status=step.status(instance),
                documents=[part.document for part in step.parts(instance)],
                micro_batch=nth // ranks.micro_batch if ranks.micro_batch else None,
                boundaries=step.boundaries(instance),
            )
        )
    return found


def trace_step(run: Run, step: int, ranks: Ranks | None = None) -> StepAnswer:
    """The answer of `trace step`; `msgspec.json.encode` gives its JSON."""
    seen = run.step(step)
    return StepAnswer(seen.step, seen.batch, seen.epoch, instances_of(seen, ranks or Ranks()))


def trace_doc(run: Run, doc_id: str, until: int | None = None) -> DocumentAnswer:
    """The answer of `trace doc`; sightings after step `until` do not count.

    ConfigError for an id that neither the tokens nor the mixes' decisions have.
    """
    try:
        occurrences = run.occurrences(doc_id)
    except ConfigError:
        from dolma_kit.order.removal import why_removed

        removed = why_removed(run, doc_id)
        if removed is None:
            raise
        return DocumentAnswer(doc_id, [], "removed", removed)
    seen, never = run.sightings(occurrences)
    if until is not None and seen:
        seen = [s for s in seen if s.step <= until]
        never = None if seen else "not-reached"
    return DocumentAnswer(doc_id, seen, never)
