"""Schedule, the fourth layer: which positions a step trains on, and in which step a position is.

One segment from step 1 over `epochs` epochs, each with an order of its own of n_positions (P):

    batches_per_epoch = P // B         the last P % B positions of each epoch are never trained on
    step s, from 1:  epoch (s - 1) // batches_per_epoch, batch b = (s - 1) % batches_per_epoch,
                     positions [b * B, (b + 1) * B) of that epoch's order

with B the global batch size. OLMo's loader slices idx[rank::W], then by worker and micro-batch;
none of it moves an instance to another step, and the q-th of a batch goes to rank q % W because W
divides B (olmo/data/iterable_dataset.py asserts it; reference, section 1.3).
"""

from __future__ import annotations

import msgspec

from dolma_kit.errors import ConfigError


class Batch(msgspec.Struct, frozen=True):
    """What one step trains on: positions [start, end) of the order of `epoch`.

    `step` counts from 1 through the run, `batch` from 0 within its epoch, so that the instances
    are rows [batch * B, (batch + 1) * B) of OLMo's global_indices.npy of that epoch. `epoch` is
    OLMo's number: the first one is the run's `order.epoch`.
    """

    step: int
    batch: int
    epoch: int
    start: int
    end: int


class Schedule:
    """The steps of a run; knows numbers only, no files and no permutation.

    ConfigError if the ranks cannot share a batch, and if an epoch does not fill one.

    >>> schedule = Schedule(n_positions=11, global_batch_size=4, epochs=2)
    >>> schedule.n_steps, schedule.batch(3)
    (4, Batch(step=3, batch=0, epoch=1, start=0, end=4))
    >>> schedule.step_of(1, 7), schedule.step_of(1, 8)
    (4, None)
    """

    def __init__(
        self,
        *,
        n_positions: int,
        global_batch_size: int,
        epochs: int = 1,
        first_epoch: int = 0,
        world_size: int = 1,
    ) -> None:
        if global_batch_size % world_size:
            raise ConfigError(
                f"global_batch_size {global_batch_size} is no multiple of world_size "
                f"{world_size}: OLMo gives every rank the same number of instances"
            )
        self.global_batch_size = global_batch_size
        self.world_size = world_size
        self.batches_per_epoch = n_positions // global_batch_size
        self.epochs = range(first_epoch, first_epoch + epochs)
        self.n_steps = self.batches_per_epoch * epochs
        if self.n_steps == 0:
            raise ConfigError(
                f"too few instances for one batch: global_batch_size is {global_batch_size}, an "
                f"epoch has {n_positions} instances (world_size {world_size})"
            )

    def batch(self, step: int) -> Batch:
        """The batch of a step from 1; ConfigError for a step that the run does not have."""
        if step < 1:
            raise ConfigError(f"there is no step {step}: steps are counted from 1")
        if step > self.n_steps:
            raise ConfigError(
                f"step {step} is beyond the end: the run has {self.n_steps} steps "
                f"({len(self.epochs)} x {self.batches_per_epoch} batches)"
            )
        nth_epoch, batch = divmod(step - 1, self.batches_per_epoch)
        start = batch * self.global_batch_size
        end = start + self.global_batch_size
        return Batch(step, batch, self.epochs[nth_epoch], start, end)

    def step_of(self, epoch: int, position: int) -> int | None:
        """The step that trains on a position of an epoch; None in the epoch's tail."""
        batch = position // self.global_batch_size
        if batch >= self.batches_per_epoch:
            return None
        return self.epochs.index(epoch) * self.batches_per_epoch + batch + 1

    def rank_of(self, position: int) -> int:
        """The rank, of 0 to world_size - 1, that a position falls to."""
        return position % self.global_batch_size % self.world_size
