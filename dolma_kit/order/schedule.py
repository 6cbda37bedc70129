"""Schedule, the fourth layer: which positions a step trains on, and in which steps a position is.

A run is segments, each over a range of steps; an epoch has an order of its own of n_positions (P).
A segment begins at a position of an epoch and has one batch size B throughout:

    its k-th batch (from 0)       positions [first + k * B, first + (k + 1) * B) of its epoch
    at the epoch's end            the last positions that fill no batch are never trained on; the
                                  next batch is the first of the next epoch, position 0

So a run without a break is one segment, `Segment(first position 0)`. A batch size that changes,
a restart that skips or reads again, a fork, and another sequence length begin a new one; absent
places continue where the segment before has stopped.

OLMo's loader slices idx[rank::W], then by worker and micro-batch; none of it moves an instance to
another step, and the q-th of a batch goes to rank q % W because W divides B
(olmo/data/iterable_dataset.py asserts it; reference, section 1.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from dolma_kit.errors import ConfigError


class Batch(msgspec.Struct, frozen=True):
    """What one step trains on: positions [start, end) of the order of `epoch`.

    `step` counts from 1 through the run, `batch` from 0 within its epoch, so that the instances
    are rows [batch * B, (batch + 1) * B) of OLMo's global_indices.npy of that epoch where B has not
    changed within it. `epoch` is OLMo's number: the first one is the run's `order.epoch`.
    `segment` counts from 0.
    """

    step: int
    batch: int
    epoch: int
    start: int
    end: int
    segment: int = 0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A segment as it is asked for; None continues (steps, epoch, position), or goes on to the end
    of the last epoch (`to_step`). `n_positions` is P of its epochs."""

    n_positions: int
    batch_size: int
    from_step: int | None = None
    to_step: int | None = None
    epoch: int | None = None
    first_position: int | None = None
    skip: bool = False


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A segment as it came out: `n_steps` from `from_step` on, the first of them is batch number
    `first_batch` of `epoch` and begins at `first_position`."""

    n_positions: int
    batch_size: int
    from_step: int
    n_steps: int
    epoch: int
    first_position: int
    first_batch: int
    skip: bool

    @property
    def to_step(self) -> int:
        return self.from_step + self.n_steps - 1

    @property
    def per_epoch(self) -> int:
        """Batches of a whole epoch."""
        return self.n_positions // self.batch_size

    @property
    def in_first(self) -> int:
        """Batches from its first position to the end of its first epoch."""
        return (self.n_positions - self.first_position) // self.batch_size

    def place(self, k: int) -> tuple[int, int, int]:
        """(epoch, number of the batch in it, first position) of the k-th batch."""
        if k < self.in_first:
            return self.epoch, self.first_batch + k, self.first_position + k * self.batch_size
        nth, batch = divmod(k - self.in_first, self.per_epoch)
        return self.epoch + 1 + nth, batch, batch * self.batch_size

    def find(self, epoch: int, position: int) -> int | None:
        """The k of the batch that holds a position; None if none of the segment does."""
        if epoch == self.epoch:
            k = (position - self.first_position) // self.batch_size
            if position < self.first_position or k >= self.in_first:
                return None
        elif epoch > self.epoch:
            batch = position // self.batch_size
            if batch >= self.per_epoch:
                return None
            k = self.in_first + (epoch - self.epoch - 1) * self.per_epoch + batch
        else:
            return None
        return k if k < self.n_steps else None

    def leaves_over(self, epoch: int, position: int) -> bool:
        """Whether a position is behind the last whole batch of an epoch that the segment ends."""
        if epoch == self.epoch:
            return (
                self.n_steps >= self.in_first
                and position >= self.first_position + self.in_first * self.batch_size
            )
        n_whole = (self.n_steps - self.in_first) // self.per_epoch if self.per_epoch else 0
        return 0 < epoch - self.epoch <= n_whole and position >= self.per_epoch * self.batch_size


class Schedule:
    """The steps of a run; knows numbers only, no files and no permutation.

    ConfigError if the ranks cannot share a batch, if an epoch does not fill one, and for segments
    that leave a gap, overlap, begin beyond the order or go on beyond the last epoch.

    >>> schedule = Schedule(n_positions=11, global_batch_size=4, epochs=2)
    >>> schedule.n_steps, schedule.batch(3)
    (4, Batch(step=3, batch=0, epoch=1, start=0, end=4, segment=0))
    >>> schedule.steps_of(1, 7), schedule.steps_of(1, 8)
    ((4,), ())
    """

    def __init__(
        self,
        *,
        n_positions: int,
        global_batch_size: int,
        epochs: int = 1,
        first_epoch: int = 0,
        world_size: int = 1,
        segments: Sequence[Planned] = (),
    ) -> None:
        self.global_batch_size = global_batch_size
        self.world_size = world_size
        self.epochs = range(first_epoch, first_epoch + epochs)
        planned = segments or [Planned(n_positions=n_positions, batch_size=global_batch_size)]
        for one in planned:
            if one.batch_size % world_size:
                raise ConfigError(
                    f"global_batch_size {one.batch_size} is no multiple of world_size "
                    f"{world_size}: OLMo gives every rank the same number of instances"
                )
            if one.n_positions < one.batch_size:
                raise ConfigError(
                    f"too few instances for one batch: global_batch_size is {one.batch_size}, an "
                    f"epoch has {one.n_positions} instances (world_size {world_size})"
                )
        self.segments: list[Segment] = []
        for i, one in enumerate(planned):
            after = planned[i + 1].from_step if i + 1 < len(planned) else None
            self.segments.append(self._resolved(i + 1, one, after))
        self.first_step = self.segments[0].from_step
        self.n_steps = self.segments[-1].to_step

    def _resolved(self, number: int, planned: Planned, next_step: int | None) -> Segment:
        """A segment after those that there are; `next_step` is where the one behind it begins."""
        before = self.segments[-1] if self.segments else None
        start = 1 if before is None else before.to_step + 1
        from_step = start if planned.from_step is None else planned.from_step
        if from_step < 1 or (before is not None and from_step != start):
            raise ConfigError(
                f"segment {number} begins at step {from_step}, the one before it ends at "
                f"{start - 1}: segments follow each other without a gap"
            )
        epoch, position, batch = self.epochs[0], 0, 0
        if before is not None:
            epoch, batch, position = before.place(before.n_steps - 1)
            batch, position = batch + 1, position + before.batch_size
            if planned.n_positions != before.n_positions and planned.first_position is None:
                raise ConfigError(
                    f"segment {number} has other instances than the one before it: say where it "
                    "begins, by first_position"
                )
        if planned.epoch is not None and planned.epoch != epoch:
            epoch, position, batch = planned.epoch, 0, 0
        if planned.first_position is not None and planned.first_position != position:
            position = planned.first_position
            batch = position // planned.batch_size
        if epoch in self.epochs and not 0 <= position <= planned.n_positions:
            raise ConfigError(
                f"segment {number} begins at position {position}, the order of an epoch has "
                f"{planned.n_positions}"
            )
        if planned.n_positions - position < planned.batch_size and planned.first_position is None:
            epoch, position, batch = epoch + 1, 0, 0  # as the loader goes on
        segment = Segment(
            n_positions=planned.n_positions,
            batch_size=planned.batch_size,
            from_step=from_step,
            n_steps=0,
            epoch=epoch,
            first_position=position,
            first_batch=batch,
            skip=planned.skip,
        )
        left = self.epochs[-1] - epoch
        room = segment.in_first + left * segment.per_epoch if left >= 0 else 0
        to_step = planned.to_step
        if to_step is None:
            to_step = from_step + room - 1 if next_step is None else next_step - 1
        n_steps = to_step - from_step + 1
        if n_steps < 1 or n_steps > room:
            raise ConfigError(
                f"segment {number} is of steps {from_step} to {to_step}; from epoch {epoch}, "
                f"position {position} on there are batches of {planned.batch_size} for {room} "
                f"steps (epochs {self.epochs[0]} to {self.epochs[-1]}, {planned.n_positions} "
                "instances each)"
            )
        return replace(segment, n_steps=n_steps)

    def batch(self, step: int) -> Batch:
        """The batch of a step from 1; ConfigError for a step that the run does not have."""
        if step < 1:
            raise ConfigError(f"there is no step {step}: steps are counted from 1")
        if step < self.first_step:
            raise ConfigError(f"step {step} is before the run's first, {self.first_step}")
        if step > self.n_steps:
            raise ConfigError(
                f"step {step} is beyond the end: the run has {self.n_steps} steps ({self._shape()})"
            )
        number = next(i for i, s in enumerate(self.segments) if step <= s.to_step)
        segment = self.segments[number]
        epoch, batch, start = segment.place(step - segment.from_step)
        return Batch(step, batch, epoch, start, start + segment.batch_size, number)

    def _shape(self) -> str:
        if len(self.segments) > 1:
            return f"{len(self.segments)} segments"
        return f"{len(self.epochs)} x {self.segments[0].per_epoch} batches"

    def steps_of(self, epoch: int, position: int) -> tuple[int, ...]:
        """The steps that read a position of an epoch, ascending: none in an epoch's tail and where
        the run did not come, several where a restart has read again."""
        found = []
        for segment in self.segments:
            if (k := segment.find(epoch, position)) is not None:
                found.append(segment.from_step + k)
        return tuple(found)

    def is_left_over(self, epoch: int, position: int) -> bool:
        """Whether a position is in the tail of an epoch that the run went through to its end."""
        return any(segment.leaves_over(epoch, position) for segment in self.segments)

    def rank_of(self, batch: Batch, position: int, world_size: int | None = None) -> int:
        """The rank, of 0 to world_size - 1, that a position of a batch falls to."""
        return (position - batch.start) % (world_size or self.world_size)

    def positions_until(self, step: int) -> Mapping[int, list[tuple[int, int, int, int]]]:
        """What the steps up to `step` have read, by epoch: (first position, end, first step,
        batch size) of each run of batches; skipped ones not."""
        found: dict[int, list[tuple[int, int, int, int]]] = {}
        for segment in self.segments:
            n_steps = min(segment.n_steps, step - segment.from_step + 1)
            k = 0
            while k < n_steps and not segment.skip:
                epoch, _, start = segment.place(k)
                in_epoch = segment.in_first - k if k < segment.in_first else segment.per_epoch
                count = min(in_epoch, n_steps - k)
                size = segment.batch_size
                row = (start, start + count * size, segment.from_step + k, size)
                found.setdefault(epoch, []).append(row)
                k += count
        return found
