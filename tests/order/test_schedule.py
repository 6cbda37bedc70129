"""Steps, batches and ranks against OLMo's loader, rank by rank and micro-batch by micro-batch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.order.permutation import OlmoPermutation
from dolma_kit.order.schedule import Batch, Schedule

from .naive_loader import global_indices, loader_batches, rank_micro_batches


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32),
    first_epoch=st.integers(0, 3),
    epochs=st.integers(1, 3),
    world_size=st.integers(1, 5),
    micro_batch_size=st.integers(1, 3),
    n_micro_batches=st.integers(1, 3),
    spare=st.integers(0, 60),
    restart=st.integers(0, 4),
    drop_last=st.booleans(),
)
def test_equals_olmo_loader(
    seed: int,
    first_epoch: int,
    epochs: int,
    world_size: int,
    micro_batch_size: int,
    n_micro_batches: int,
    spare: int,
    restart: int,
    drop_last: bool,
) -> None:
    device_batch_size = micro_batch_size * n_micro_batches
    batch_size = device_batch_size * world_size
    n = batch_size + spare
    orders = {
        e: OlmoPermutation(n, seed=seed, epoch=e, world_size=world_size, drop_last=drop_last)
        for e in range(first_epoch, first_epoch + epochs)
    }
    schedule = Schedule(
        n_positions=len(orders[first_epoch]),
        global_batch_size=batch_size,
        epochs=epochs,
        first_epoch=first_epoch,
        world_size=world_size,
    )
    restart = min(restart, schedule.segments[0].per_epoch)
    step = 0
    for epoch, order in orders.items():
        plain = global_indices(n, seed, epoch, world_size, drop_last)
        # A run that was killed after `restart` batches goes on from their instances.
        expected = [
            [
                list(batch)
                for batch in zip(
                    *[
                        rank_micro_batches(
                            part, begin, rank, world_size, device_batch_size, micro_batch_size
                        )
                        for rank in range(world_size)
                    ],
                    strict=True,
                )
            ]
            for part, begin in (
                (plain[: restart * batch_size], 0),
                (plain, restart * batch_size),
            )
        ]
        rounds = expected[0] + expected[1]
        batches = [rounds[i : i + n_micro_batches] for i in range(0, len(rounds), n_micro_batches)]
        assert len(batches) == schedule.segments[0].per_epoch
        for number, micro_batches in enumerate(batches):
            step += 1
            batch = schedule.batch(step)
            assert (batch.step, batch.batch, batch.epoch) == (step, number, epoch)
            of_rank: list[list[int]] = [[] for _ in range(world_size)]
            for position in range(batch.start, batch.end):
                of_rank[schedule.rank_of(batch, position)].append(order[position])
                assert schedule.steps_of(epoch, position) == (step,)
            for rank in range(world_size):
                assert of_rank[rank] == [i for micro in micro_batches for i in micro[rank]]
        for position in range(len(batches) * batch_size, len(order)):
            assert schedule.steps_of(epoch, position) == ()
    assert step == schedule.n_steps


@pytest.mark.parametrize("n_workers", [0, 1, 2, 3, 16])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_workers_and_threads_move_nothing(n_workers: int, world_size: int) -> None:
    """However many workers or threads read for a rank, its batches are those of the schedule."""
    order = global_indices(107, 6198, 0, world_size, True)
    schedule = Schedule(n_positions=len(order), global_batch_size=8, world_size=world_size)
    for rank in range(world_size):
        batches = loader_batches(order, rank, world_size, 8 // world_size, n_workers)
        assert len(batches) == schedule.n_steps
        for step, instances in enumerate(batches, start=1):
            batch = schedule.batch(step)
            assert instances == [
                order[position]
                for position in range(batch.start, batch.end)
                if schedule.rank_of(batch, position) == rank
            ]


def test_second_epoch_starts_a_batch_of_its_own() -> None:
    schedule = Schedule(n_positions=11, global_batch_size=4, epochs=2, first_epoch=3)
    assert [schedule.batch(s) for s in (2, 3)] == [Batch(2, 1, 3, 4, 8), Batch(3, 0, 4, 0, 4)]


@pytest.mark.parametrize(
    ("step", "message"),
    [(5, "step 5 is beyond the end: the run has 4 steps"), (0, "no step 0"), (-1, "no step -1")],
)
def test_step_outside(step: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Schedule(n_positions=11, global_batch_size=4, epochs=2).batch(step)


def test_too_few_instances_for_one_batch() -> None:
    with pytest.raises(ConfigError, match="global_batch_size is 8, an epoch has 7 instances"):
        Schedule(n_positions=7, global_batch_size=8)


def test_ranks_that_cannot_share_a_batch() -> None:
    with pytest.raises(ConfigError, match="global_batch_size 10 is no multiple of world_size 4"):
        Schedule(n_positions=100, global_batch_size=10, world_size=4)
