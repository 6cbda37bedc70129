"""Before the first step: settings against data, the model with its values, and where to go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from dolma_kit.errors import ConfigError
from dolma_kit.files import sha256
from dolma_kit.order import step_trace
from dolma_kit.order.fingerprint import data_hash
from dolma_kit.order.run import Run, open_run
from dolma_kit.training import checkpoints, schedules
from dolma_kit.training.batches import Data, Place
from dolma_kit.training.models import Shape, Transformer, initialise, shape_of
from dolma_kit.training.optimizer import adamw
from dolma_kit.training.ranking import read_requests
from dolma_kit.training.recording import Metrics, cut_evaluations
from dolma_kit.training.settings import Train, check
from dolma_kit.training.sharding import Processes, prepared


@dataclass
class Progress:
    """How far a run has come: steps and tokens done, and where the next batch begins."""

    step: int
    tokens: int
    place: Place


@dataclass
class Trainer:
    """All that the loop works with, on one process."""

    settings: Train
    shape: Shape
    data: Data
    processes: Processes
    model: nn.Module
    optimizer: torch.optim.AdamW
    progress: Progress
    trace: step_trace.TraceWriter | None
    identity: dict[str, Any]
    last_loss: float | None = None
    stop_asked: bool = False
    evaluated: int = 0
    saved: int = 0
    data_seconds: float = 0.0
    metrics: Metrics | None = None

    def close(self) -> None:
        """Close the files that it writes to."""
        if self.trace is not None:
            self.trace.close()
        if self.metrics is not None:
            self.metrics.close()

    @property
    def folder(self) -> str:
        return os.path.join(self.settings.out, "checkpoints")


def prepare(told: Train, processes: Processes, overwrite: bool) -> Trainer:
    run = open_run(told.run)
    shape = shape_of(told.model)
    data = Data(run, vocab_size=shape.vocab_size)
    data.check_ids()
    for size in {schedules.batch_size(told.batch, run.description.global_batch_size, s)
                 for s in [1, *(g.from_step for g in told.batch.growth)]}:  # fmt: skip
        _check_batch(size, told.batch.micro_batch_size, processes.world_size)
    with torch.device("meta"):
        bare = Transformer(shape)
    model = prepared(
        bare,
        processes,
        bf16=is_bf16(told, processes),
        compiled=told.compile,
        recomputed=told.activation_checkpointing,
    )
    initialise(model, shape, told.seed)
    optimizer = adamw(model, shape, told.optimizer)
    identity = _identity(told, run, shape)
    head = step_trace.header(run.description.sequence_length, data_hash(run))
    progress, chain = _resume(told, model, optimizer, identity, data, overwrite, processes)
    _check_lasts(told, data, progress)
    _check_evaluation(told, run)
    writer = metrics = None
    processes.wait()  # others may still be reading a checkpoint that goes now
    if processes.is_first:
        os.makedirs(told.out, exist_ok=True)
        if overwrite:
            checkpoints.remove_all(os.path.join(told.out, "checkpoints"))
        cut_evaluations(told.out, progress.step if chain else 0)
        path = os.path.join(told.out, step_trace.NAME)
        writer = step_trace.TraceWriter(path, head, step=progress.step if chain else 0, chain=chain)
        metrics = Metrics(told, progress.step if chain else 0)
    return Trainer(
        told, shape, data, processes, model, optimizer, progress, writer, identity, metrics=metrics
    )


class TrainingPlan(msgspec.Struct, frozen=True):
    """What a train.yaml comes to: `parameters` and of them those that are not embeddings."""

    settings: Train
    model: dict[str, Any]
    parameters: int
    parameters_without_embeddings: int
    steps: int
    tokens: int
    flops: int


def plan(told: Train) -> TrainingPlan:
    """What would be trained, for how long; errors are those of `prepare` that need no model."""
    check(told)
    run = open_run(told.run)
    shape = shape_of(told.model)
    data = Data(run, vocab_size=shape.vocab_size)
    data.check_ids()
    beginning = Progress(0, 0, data.first_place)
    _check_lasts(told, data, beginning)
    length = run.description.sequence_length
    batches = list(sizes(told, data, beginning))
    return TrainingPlan(
        settings=told,
        model=msgspec.to_builtins(shape.__dict__),
        parameters=shape.n_parameters(),
        parameters_without_embeddings=shape.n_parameters(embeddings=False),
        steps=len(batches),
        tokens=sum(batches) * length,
        flops=sum(batches) * length * shape.flops_per_token(length),
    )


def _check_batch(size: int, micro: int, world_size: int) -> None:
    if size % (micro * world_size):
        raise ConfigError(
            f"global_batch_size {size} is no multiple of {world_size} ranks x micro_batch_size "
            f"{micro}"
        )


def is_bf16(told: Train, processes: Processes) -> bool:
    return told.precision == "bf16" or (told.precision is None and processes.device.type == "cuda")


def _identity(told: Train, run: Run, shape: Shape) -> dict[str, Any]:
    tokenizer = run.description.tokenizer
    return {
        "model": msgspec.to_builtins(shape.__dict__),
        "sequence_length": run.description.sequence_length,
        "data": data_hash(run).hex(),
        "tokenizer": sha256(tokenizer) if tokenizer and os.path.isfile(tokenizer) else None,
        "seed": told.seed,
    }


def _resume(
    told: Train,
    model: nn.Module,
    optimizer: torch.optim.AdamW,
    identity: dict[str, Any],
    data: Data,
    overwrite: bool,
    processes: Processes,
) -> tuple[Progress, bytes | None]:
    """Where to go on, and the chain of the trace there; None for a trace that begins."""
    own = [] if overwrite else checkpoints.checkpoints(os.path.join(told.out, "checkpoints"))
    beginning = Progress(0, 0, data.first_place)
    if own:
        state = checkpoints.read_state(own[-1])
        checkpoints.check(own[-1], state.identity, identity)
        checkpoints.load(own[-1], model, optimizer)
        place = Place(state.epoch, state.position)
        return Progress(state.step, state.tokens, place), bytes.fromhex(state.chain)
    left = os.path.join(told.out, step_trace.NAME)
    if os.path.exists(left) and not overwrite and any(True for _ in step_trace.read(left)):
        raise ConfigError(
            f"{told.out} has a trace of steps and no checkpoint to go on from: pass --overwrite, "
            "or name another out"
        )
    source = told.checkpoint.load_path
    if source is None:
        return beginning, None
    state = checkpoints.read_state(source)
    # How many ids there are beside padding, and first values, are no matter of tensors.
    same = {k: v for k, v in identity["model"].items() if k not in ("vocab_size", "init")}
    its_model = dict(state.identity.get("model") or {})
    checkpoints.check(source, {"model": {k: its_model.get(k) for k in same}}, {"model": same})
    fresh = told.checkpoint.reset_optimizer_state
    checkpoints.load(source, model, None if fresh else optimizer)
    if told.checkpoint.reset_trainer_state:
        return beginning, None
    checkpoints.check(source, state.identity, identity)
    return Progress(state.step, state.tokens, Place(state.epoch, state.position)), None


def _check_evaluation(told: Train, run: Run) -> None:
    """What is to be evaluated on is there, before the first step."""
    if told.evaluate.run is not None:
        held_out = open_run(told.evaluate.run)
        _ = held_out.tokenizer
    if told.evaluate.requests:
        read_requests(told.evaluate.requests)
        _ = run.tokenizer


def _check_lasts(told: Train, data: Data, progress: Progress) -> None:
    """ConfigError if the data ends before the schedule does."""
    asked = list(sizes(told, data, progress))
    there = data.steps_left(progress.place, iter(asked))
    if there < len(asked):
        raise ConfigError(
            f"the schedule asks for {len(asked)} steps, the data has {there}: {data.run.path} has "
            f"epochs: {data.run.description.epochs}; say more there, or train for less"
        )


def sizes(told: Train, data: Data, progress: Progress) -> Iterator[int]:
    """The batch sizes of the steps that are to come."""
    step, tokens = progress.step, progress.tokens
    length = data.run.description.sequence_length
    while not _is_done(told, step, tokens):
        step += 1
        size = schedules.batch_size(told.batch, data.run.description.global_batch_size, step)
        tokens += size * length
        yield size


def _is_done(told: Train, step: int, tokens: int) -> bool:
    if told.schedule.steps is not None:
        return step >= told.schedule.steps
    return tokens >= (told.schedule.tokens or 0)
