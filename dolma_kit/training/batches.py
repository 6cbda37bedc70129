"""What each step trains on: a place in the order, the instances there, and a rank's share of them.

The only state is (epoch, position), the same on every rank: a step takes the next B positions, at
an epoch's end those of the next. From a place and a step everything follows, so any number of ranks
that goes on from a checkpoint sees the same batches. Rank r takes instances r, r + W, ... of a
batch, as OLMo's loader gives them out.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dolma_kit.order.run import Run
    from dolma_kit.order.step_trace import Record

AHEAD = 2  # steps that are read before they are asked for


@dataclass(frozen=True)
class Place:
    """Where the next batch begins."""

    epoch: int
    position: int


@dataclass(frozen=True)
class StepBatch:
    """A step: its instances (B,) uint32 in their order, and a rank's share of their tokens.

    `ids` (n, T) int64, `is_target` (n, T) bool: whether the loss is of the prediction of that token
    (never of an instance's first, nor of padding, masked labels and masked instances).
    """

    step: int
    place: Place
    instances: NDArray[np.uint32]
    ids: NDArray[np.int64]
    is_target: NDArray[np.bool_]

    @property
    def next_place(self) -> Place:
        return Place(self.place.epoch, self.place.position + len(self.instances))


class Data:
    """The instances and orders of a run, for training.

    ConfigError for tokens of an id that the model has not, and where there is nothing for a batch;
    VerificationError for label masks of another length than their tokens.
    """

    def __init__(self, run: Run, *, vocab_size: int) -> None:
        self.run = run
        self.view = run.view(run.description.sequence_length)
        self.vocab_size = vocab_size
        self.label_masks = run.label_masks
        if self.view.order_of(run.first_epoch).is_replayed:
            n = self.view.instances.n_instances
            raise ConfigError(
                f"{run.path}: an order of {n} instances takes most of a minute for each step "
                "unless it is stored: write it by `dolma-kit trace export --global-indices FILE`, "
                "and add stored: FILE to the order ({epoch} in it is the epoch's number)"
            )

    @property
    def first_place(self) -> Place:
        return Place(self.run.first_epoch, 0)

    def next_place(self, place: Place, size: int) -> Place:
        """Where a batch of a size is read, from a place on; ConfigError beyond the last epoch."""
        last = self.run.first_epoch + self.run.description.epochs - 1
        while place.position + size > len(self.view.order_of(min(place.epoch, last))):
            if len(self.view.order_of(self.run.first_epoch)) < size:
                raise ConfigError(
                    f"too few instances for one batch: {size} are asked for, an epoch has "
                    f"{len(self.view.order_of(self.run.first_epoch))}"
                )
            place = Place(place.epoch + 1, 0)
        if place.epoch > last:
            raise ConfigError(
                f"the data is at its end: {self.run.path} has epochs: "
                f"{self.run.description.epochs}; say more, or train for less"
            )
        return place

    def steps_left(self, place: Place, sizes: Iterator[int]) -> int:
        """How many of the sizes there are batches for."""
        n = 0
        for size in sizes:
            try:
                place = self.next_place(place, size)
            except ConfigError:
                return n
            place = Place(place.epoch, place.position + size)
            n += 1
        return n

    def read(self, step: int, place: Place, size: int, rank: int, world_size: int) -> StepBatch:
        """The step that reads a batch from a place on, which is `next_place`'s."""
        order = self.view.order_of(place.epoch)
        instances = order.instances_at(place.position, place.position + size)
        own = instances[rank::world_size]
        length = self.view.instances.sequence_length + self.view.instances.extra_tokens
        ids = np.zeros((len(own), length), np.int64)
        is_target = np.zeros((len(own), length), np.bool_)
        for row, instance in enumerate(own.tolist()):
            self._read(instance, ids[row], is_target[row])
        is_target[:, 0] = False
        return StepBatch(step, place, instances, ids, is_target)

    def _read(self, instance: int, ids: NDArray[np.int64], is_target: NDArray[np.bool_]) -> None:
        at = 0
        for span in self.view.instances.spans(instance):
            n = span.end - span.start
            tokens = self.run.files[span.file].read(span.start, span.end)
            if len(tokens) and int(tokens.max()) >= self.vocab_size:
                raise ConfigError(
                    f"{self.run.files[span.file].path} has the id {int(tokens.max())}, the model "
                    f"{self.vocab_size} ids: another tokenizer's tokens, or another dtype"
                )
            ids[at : at + n] = tokens
            masks = self.label_masks
            is_target[at : at + n] = masks.read(*span) if masks is not None else True
            at += n
        if self.run.is_masked(self.view, instance):
            is_target[:] = False

    def check_ids(self) -> None:
        """ConfigError if the first instances of some files have ids that the model has not: what is
        wrong with all of the data shows before the first step."""
        n = self.view.instances.n_instances
        for instance in sorted({0, n // 2, n - 1}):
            length = self.view.instances.sequence_length + self.view.instances.extra_tokens
            self._read(instance, np.zeros(length, np.int64), np.zeros(length, np.bool_))


class Prefetcher:
    """Reads steps in a thread ahead of those that ask: iterate, then `close`."""

    def __init__(self, steps: Iterator[StepBatch]) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(steps,), daemon=True)
        self._thread.start()

    def _read(self, steps: Iterator[StepBatch]) -> None:
        try:
            for step in steps:
                self._put(step)
                if self._stopped.is_set():
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, what: Any) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(what, timeout=0.1)
            except queue.Full:
                continue
            return

    def __iter__(self) -> Iterator[StepBatch]:
        while (step := self._queue.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()


def segments_of(records: Sequence[Record], n_positions: int) -> list[dict[str, int]]:
    """The segments by which a run has come, from its trace: as few as describe it."""
    found: list[dict[str, int]] = []
    before: Record | None = None
    for record in records:
        goes_on = (
            before is not None
            and record.step == before.step + 1
            and record.batch_size == before.batch_size
            and _follows(before, record, n_positions)
        )
        if not goes_on:
            found.append(
                {
                    "from_step": record.step,
                    "to_step": record.step,
                    "epoch": record.epoch,
                    "first_position": record.first_position,
                    "global_batch_size": record.batch_size,
                }
            )
        found[-1]["to_step"] = record.step
        before = record
    return found


def _follows(before: Record, record: Record, n_positions: int) -> bool:
    end = before.first_position + before.batch_size
    if record.epoch == before.epoch:
        return record.first_position == end
    return (
        record.epoch == before.epoch + 1
        and record.first_position == 0
        and end + record.batch_size > n_positions
    )
