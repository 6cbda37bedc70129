"""Runs of several segments against the batches that a loader with a position gives, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError
from dolma_kit.order.run import Run, open_run
from dolma_kit.order.schedule import Planned, Schedule
from dolma_kit.order.steps import trace_doc, trace_step

from .naive_loader import global_indices
from .tiny_run import T, plain_run, write_ids, write_run


class Loader:
    """Reads on from a position, a batch at a time; at the end of an epoch from the next one."""

    def __init__(self, n_positions: int, epochs: range) -> None:
        self.n_positions, self.epochs = n_positions, epochs
        self.epoch, self.position = epochs[0], 0

    def read(self, size: int) -> tuple[int, int] | None:
        if self.position + size > self.n_positions:
            self.epoch, self.position = self.epoch + 1, 0
        if self.epoch not in self.epochs:
            return None
        found = (self.epoch, self.position)
        self.position += size
        return found


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    n_positions=st.integers(6, 40),
    n_epochs=st.integers(1, 3),
    pieces=st.lists(
        st.tuples(
            st.integers(1, 6),  # steps
            st.integers(1, 6),  # batch size
            st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 39))),  # restart at
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_equals_a_loader(
    n_positions: int,
    n_epochs: int,
    pieces: list[tuple[int, int, tuple[int, int] | None, bool]],
) -> None:
    epochs = range(3, 3 + n_epochs)
    loader = Loader(n_positions, epochs)
    expected: list[tuple[int, int, int, bool]] = []  # epoch, position, size, skip
    planned = []
    for n_steps, size, restart, skip in pieces:
        place: dict[str, int] = {}
        if restart is not None:
            loader.epoch = 3 + restart[0] % n_epochs
            loader.position = min(restart[1], n_positions)
            place = {"epoch": loader.epoch, "first_position": loader.position}
        batches = [found for _ in range(n_steps) if (found := loader.read(size)) is not None]
        if not batches:
            break
        planned.append(
            Planned(
                n_positions=n_positions,
                batch_size=size,
                from_step=len(expected) + 1,
                to_step=len(expected) + len(batches),
                skip=skip,
                **place,
            )
        )
        expected += [(epoch, position, size, skip) for epoch, position in batches]
    if not planned:
        return
    schedule = Schedule(
        n_positions=n_positions, global_batch_size=1, epochs=n_epochs, first_epoch=3,
        segments=planned,
    )  # fmt: skip
    assert schedule.n_steps == len(expected)
    for step, (epoch, position, size, skip) in enumerate(expected, start=1):
        batch = schedule.batch(step)
        assert (batch.step, batch.epoch, batch.start, batch.end) == (
            step, epoch, position, position + size,
        )  # fmt: skip
        assert schedule.segments[batch.segment].skip == skip
    for epoch in epochs:
        for position in range(n_positions):
            steps = tuple(
                step
                for step, (e, p, size, _) in enumerate(expected, start=1)
                if e == epoch and p <= position < p + size
            )
            assert schedule.steps_of(epoch, position) == steps
    until = max(1, len(expected) // 2)
    read = {
        (epoch, position, first_step + (position - start) // size)
        for epoch, rows in schedule.positions_until(until).items()
        for start, end, first_step, size in rows
        for position in range(start, end)
    }
    assert read == {
        (epoch, p, step)
        for step, (epoch, position, size, skip) in enumerate(expected[:until], start=1)
        for p in range(position, position + size)
        if not skip
    }


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([{"from_step": 1, "to_step": 2}, {"from_step": 4}], "segment 2 begins at step 4, the one"),
        ([{"from_step": 1, "to_step": 2}, {"from_step": 2}], "segment 2 begins at step 2"),
        ([{"to_step": 99}], r"segment 1 is of steps 1 to 99; .* for \d+ steps"),
        ([{"first_position": 999}], "segment 1 begins at position 999, the order of an epoch has"),
        ([{"epoch": 7}], "from epoch 7, position 0 on there are batches of 4 for 0 steps"),
        ([{"global_batch_size": 3}], "global_batch_size 3 is no multiple of world_size 2"),
        ([{"global_batch_size": 64}], "too few instances for one batch: global_batch_size is 64"),
        (
            [{"to_step": 1}, {"sequence_length": 4}],
            "segment 2 has other instances than the one before it",
        ),
        ([{"parent": "run.yaml"}], "a run is not its own parent"),
    ],
)
def test_segments_that_cannot_be(
    tmp_path: Path, tokenizer: Path, segments: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_run(write_run(tmp_path, tokenizer, segments=segments))


def instances(run: Run) -> list[list[int]]:
    return [run.step(s).instances.tolist() for s in range(1, run.n_steps + 1)]


def test_warm_up_of_the_batch_size(tmp_path: Path, tokenizer: Path) -> None:
    segments = [{"to_step": 3, "global_batch_size": 2}, {"from_step": 4}]
    run = open_run(write_run(tmp_path, tokenizer, segments=segments))
    n = run.instances.n_instances
    order = [global_indices(n, 6198, epoch, 2, True) for epoch in (0, 1)]
    batches = [order[0][0:2], order[0][2:4], order[0][4:6]]
    batches += [order[0][p : p + 4] for p in range(6, len(order[0]) - 3, 4)]
    batches += [order[1][p : p + 4] for p in range(0, len(order[1]) - 3, 4)]
    assert instances(run) == batches
    assert [run.schedule.batch(s).batch for s in (1, 3, 4, 5)] == [0, 2, 3, 4]


def test_skipped_batches(tmp_path: Path, tokenizer: Path) -> None:
    document = [7] * (T - 1) + [0]
    write_ids(tmp_path / "p", dict.fromkeys("abcdef", document))
    run = plain_run(
        tmp_path,
        tokenizer,
        ["p.npy"],
        segments=[{"to_step": 2}, {"to_step": 4, "skip": True}, {"to_step": 5}],
    )
    order = global_indices(6, 1, 0, 1, True)
    seen = {"abcdef"[i]: trace_doc(run, "abcdef"[i]) for i in order}
    reasons = [None, None, "skipped", "skipped", None, "not-reached"]
    assert [answer.never for answer in seen.values()] == reasons
    assert [i.status for s in (2, 3) for i in trace_step(run, s).instances] == [
        "trained",
        "skipped",
    ]


def test_batches_read_again(tmp_path: Path, tokenizer: Path) -> None:
    """A restart from step 2 whose loader state was that of step 1 reads batch 2 twice."""
    segments = [{"to_step": 2}, {"to_step": 4, "epoch": 0, "first_position": 4}]
    run = open_run(write_run(tmp_path, tokenizer, segments=segments))
    assert instances(run)[1] == instances(run)[2]
    part = run.step(2).documents()[0]
    assert {s.step for s in run.steps_of(part.id)} >= {2, 3}


def test_another_sequence_length(tmp_path: Path, tokenizer: Path) -> None:
    segments = [
        {"to_step": 2},
        {"sequence_length": 4, "epoch": 0, "first_position": 0, "to_step": 3},
    ]
    run = open_run(write_run(tmp_path, tokenizer, segments=segments))
    n_short = sum(file.n_tokens // 4 for file in run.files)
    assert instances(run)[2] == global_indices(n_short, 6198, 0, 2, True)[:4]
    answer = trace_step(run, 3)
    assert {part.end for i in answer.instances for part in i.documents} <= set(range(1, 5))
    for instance in answer.instances:
        for part in instance.documents:
            assert any(
                (s.step, s.instance, s.start, s.end) == (3, instance.instance, part.start, part.end)
                for s in run.steps_of(part.id)
            )


def test_only_the_head_of_each_instance(tmp_path: Path, tokenizer: Path) -> None:
    write_ids(tmp_path / "p", {"a": [7] * (T - 3) + [0], "b": [8, 0], "c": [9] * (T - 1) + [0]})
    run = plain_run(tmp_path, tokenizer, ["p.npy"], segments=[{"truncate_to": T - 2}])
    assert {i: trace_doc(run, i).never for i in "abc"} == {"a": None, "b": "truncated", "c": None}
    assert [s.end for s in run.steps_of("c")] == [T - 2]
    ends = {part.end for s in (1, 2) for part in run.step(s).documents()}
    assert ends == {T - 2}


def test_fork(tmp_path: Path, tokenizer: Path) -> None:
    """The second half of a run under another order: its first steps are its parent's."""
    parent = open_run(write_run(tmp_path / "parent", tokenizer))
    fork = open_run(
        write_run(
            tmp_path / "fork",
            tokenizer,
            order={"kind": "olmo", "seed": 7},
            segments=[
                {"to_step": 2, "parent": "../parent/run.yaml"},
                {"from_step": 3, "to_step": 4, "first_position": 0, "epoch": 0},
            ],
        )
    )
    n = parent.instances.n_instances
    own = global_indices(n, 7, 0, 1, True)
    assert instances(fork) == [*instances(parent)[:2], own[0:4], own[4:8]]
    for doc_id in ("w1", "c1", "c3"):
        of_parent = [s for s in parent.steps_of(doc_id) if s.step <= 2]
        assert [s for s in fork.steps_of(doc_id) if s.step <= 2] == of_parent


def test_filter_of_repetitions(tmp_path: Path, tokenizer: Path) -> None:
    repeating = [1, 2] * (T // 2 - 1) + [1, 0]
    varied = [*range(1, T), 0]
    write_ids(tmp_path / "p", {"a": repeating, "b": varied})
    settings_ = {"max_period": 2, "min_period": 1, "max_count": 3}
    run = plain_run(tmp_path, tokenizer, ["p.npy"], instance_filter=settings_)
    assert {i: trace_doc(run, i).never for i in "ab"} == {"a": "masked", "b": None}
    statuses = [i.status for s in (1, 2) for i in trace_step(run, s).instances]
    assert sorted(statuses) == ["masked", "trained"]


def test_runs_that_are_each_others_parents(tmp_path: Path, tokenizer: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        segments = [{"to_step": 1, "parent": f"../{other}/run.yaml"}, {"to_step": 2}]
        write_run(tmp_path / name, tokenizer, segments=segments)
    with pytest.raises(ConfigError, match="a run is not its own parent"):
        open_run(tmp_path / "a" / "run.yaml")
