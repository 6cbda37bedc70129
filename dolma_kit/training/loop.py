"""The training loop: reads top to bottom.

Each step: its batch comes from the order; all ranks count its targets; each rank adds up the
gradients of its micro-batches, of losses divided by the targets of all; gradients are clipped by
their norm over all ranks; the step is checked, made, traced and noted. The run's own files:

    OUT/checkpoints/         see `checkpoints`
    OUT/order-trace.bin      see `order.step_trace`
    OUT/run.yaml             the run as it was: its segments are those of the trace
    OUT/metrics.jsonl        a line a step; the same for TensorBoard in OUT/tensorboard
    OUT/evaluations.jsonl    a line an evaluation
    OUT/loss.png             at the end
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from dolma_kit.energy import JOULES_PER_KWH, Energy, Meter, energy_of
from dolma_kit.errors import ConfigError, DataError, DolmaKitError
from dolma_kit.order.run import open_run
from dolma_kit.training import (
    checkpoints,
    evaluating,
    ranking,
    recording,
    schedules,
    settings,
)
from dolma_kit.training.batches import Prefetcher, StepBatch
from dolma_kit.training.models import document_mask
from dolma_kit.training.optimizer import summed_loss
from dolma_kit.training.preparing import Progress, Trainer, is_bf16, prepare, sizes
from dolma_kit.training.settings import Train
from dolma_kit.training.sharding import Processes, start, stop


class Trained(msgspec.Struct, frozen=True):
    """What `train` prints: the run's last step, tokens and loss, and where it is."""

    command: str
    step: int
    tokens: int
    loss: float | None
    seconds: float
    tokens_per_second: float
    stopped_by_signal: bool
    energy: Energy
    outputs: list[str]


def train(told: Train, *, overwrite: bool = False) -> Trained:
    """Train as train.yaml says, on all processes that torchrun has started (or one).

    Goes on from the newest checkpoint in `out`. ConfigError for settings that cannot be and for
    data that does not fit the model or does not last, before the first step; VerificationError for
    an `out` of another model, order or tokenizer; DataError for a loss that is no number.
    """
    settings.check(told)
    started = time.perf_counter()
    processes = start()
    trainer = None
    try:
        trainer = prepare(told, processes, overwrite)
        first = trainer.progress.step
        tokens_before = trainer.progress.tokens
        meter = Meter(
            device=processes.device.index if processes.device.type == "cuda" else None,
            watts=told.energy.watts,
            counts_machine=processes.is_first_here,
        )
        with _signals(trainer):
            loop_started = time.perf_counter()
            _run(trainer, meter)
            seconds = time.perf_counter() - loop_started
            if trainer.progress.step > first:
                _save(trainer)
                _evaluate(trainer)
                if processes.is_first:
                    recording.plot(told.out)
        done = Trained(
            command="train",
            step=trainer.progress.step,
            tokens=trainer.progress.tokens,
            loss=trainer.last_loss,
            seconds=round(time.perf_counter() - started, 3),
            tokens_per_second=round((trainer.progress.tokens - tokens_before) / seconds, 1),
            stopped_by_signal=trainer.stop_asked,
            energy=_energy(told, processes, meter),
            outputs=[told.out],
        )
        # Gloo's threads may still hold tensors of the last exchange, which must not outlive the
        # interpreter (pytorch/pytorch#179291): a barrier has none, and comes behind it.
        processes.wait()
        return done
    except RuntimeError as error:
        if processes.mesh is None or not _is_lost(error):
            raise
        raise DolmaKitError(
            f"rank {processes.rank} has lost the others ({str(error).splitlines()[0][:160]}): one "
            f"of them has died; start again, it goes on from the newest checkpoint in {told.out}"
        ) from None
    finally:
        if trainer is not None:
            trainer.close()
        stop(processes)


def _is_lost(error: RuntimeError) -> bool:
    """Whether what went wrong is that another process is not there any more."""
    said = str(error).lower()
    return any(
        words in said
        for words in ("closed by peer", "reset by peer", "broken pipe", "timed out",
                      "process exited", "gloo", "nccl")
    )  # fmt: skip


def _steps(trainer: Trainer) -> Iterator[StepBatch]:
    """The batches of this rank, one a step, as far as the schedule goes."""
    place, step = trainer.progress.place, trainer.progress.step
    for size in sizes(trainer.settings, trainer.data, trainer.progress):
        step += 1
        place = trainer.data.next_place(place, size)
        batch = trainer.data.read(
            step, place, size, trainer.processes.rank, trainer.processes.world_size
        )
        yield batch
        place = batch.next_place


def _run(trainer: Trainer, meter: Meter) -> None:
    told, processes = trainer.settings, trainer.processes
    n_steps = trainer.progress.step + len(list(sizes(told, trainer.data, trainer.progress)))
    flops = trainer.shape.flops_per_token(trainer.data.run.description.sequence_length)
    ahead = Prefetcher(_steps(trainer))
    try:
        waiting = time.perf_counter()
        for batch in ahead:
            began = time.perf_counter()
            trainer.data_seconds += began - waiting
            n_targets, n_asked = processes.summed(
                int(batch.is_target.sum()), int(trainer.stop_asked)
            )
            if n_asked:
                trainer.stop_asked = True
                break
            n_tokens = len(batch.instances) * trainer.data.run.description.sequence_length
            tokens = trainer.progress.tokens + n_tokens
            rate = schedules.learning_rate(
                told.schedule, told.optimizer.peak_lr, batch.step, tokens
            )
            loss, z_loss, norm = _train_step(trainer, batch, max(n_targets, 1), rate)
            trainer.progress = Progress(batch.step, tokens, batch.next_place)
            trainer.last_loss = loss
            if trainer.trace is not None and trainer.metrics is not None:
                place = batch.place
                trainer.trace.add(
                    batch.step, place.epoch, place.position, n_targets, batch.instances
                )
                seconds = time.perf_counter() - waiting
                line = {
                    "step": batch.step, "tokens": tokens, "loss": loss, "z_loss": z_loss,
                    "lr": rate, "grad_norm": norm, "targets": n_targets, "seconds": seconds,
                    "data_seconds": began - waiting,
                    "tokens_per_second": n_tokens / seconds,
                    "memory_bytes": recording.memory_bytes(processes),
                    "mfu": recording.mfu(processes, flops * n_tokens / seconds),
                }  # fmt: skip
                trainer.metrics.add(line)
                if batch.step % told.log_every == 0:
                    recording.say(line, told, processes, seconds * (n_steps - batch.step))
            if told.checkpoint.every and batch.step % told.checkpoint.every == 0:
                _save(trainer)
            if told.evaluate.every and batch.step % told.evaluate.every == 0:
                _evaluate(trainer)
            meter.keep_up()
            waiting = time.perf_counter()
    finally:
        ahead.close()


def _train_step(
    trainer: Trainer, batch: StepBatch, n_targets: int, rate: float
) -> tuple[float, float, float]:
    """One step of the optimizer; (loss, z-loss, norm of the gradients), over all ranks."""
    told, processes, model = trainer.settings, trainer.processes, trainer.model
    micro = told.batch.micro_batch_size
    n_micro = len(batch.ids) // micro
    sums = torch.zeros(2, device=processes.device)
    for i in range(n_micro):
        rows = slice(i * micro, (i + 1) * micro)
        ids = torch.from_numpy(batch.ids[rows]).to(processes.device, non_blocking=True)
        is_target = torch.from_numpy(batch.is_target[rows]).to(processes.device, non_blocking=True)
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(i == n_micro - 1)
        cross_entropy, z_loss = _losses(trainer, ids, is_target)
        torch.autograd.backward((cross_entropy + z_loss) / n_targets)
        sums += torch.stack((cross_entropy.detach(), z_loss.detach()))
    if processes.mesh is not None:
        torch.distributed.all_reduce(sums)
    loss, z = (float(s) / n_targets for s in sums.tolist())
    norm = _clipped(trainer)
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise DataError(
            told.out,
            None,
            f"step {batch.step}: loss {loss}, norm of the gradients {norm}: not a number; nothing "
            "of this step was kept",
        )
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)
    return loss, z, norm


def _losses(trainer: Trainer, ids: Tensor, is_target: Tensor) -> tuple[Tensor, Tensor]:
    told, processes = trainer.settings, trainer.processes
    eos = trainer.data.run.description.eos_token_id
    mask = None
    if told.batch.document_masks:
        if eos is None:
            raise ConfigError("batch.document_masks: no eos_token_id, which ends a document")
        mask = document_mask(ids, eos)
    # Sharded, FSDP casts parameters; one process alone casts as it goes.
    casts = is_bf16(told, processes) and processes.mesh is None
    with torch.autocast(processes.device.type, torch.bfloat16, enabled=casts):
        logits = trainer.model(ids, mask)
    return summed_loss(logits, ids, is_target, told.z_loss)


def _clipped(trainer: Trainer) -> float:
    """Clip gradients to their largest norm; what it was, over all ranks."""
    most = trainer.settings.optimizer.max_grad_norm
    norm = torch.nn.utils.clip_grad_norm_(
        trainer.model.parameters(), math.inf if most is None else most
    )
    whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return float(whole)


def _save(trainer: Trainer) -> None:
    """Write a checkpoint, and the run as it was until here, unless that is done."""
    progress, processes = trainer.progress, trainer.processes
    if trainer.saved == progress.step:
        return
    if trainer.trace is not None:
        trainer.trace.sync()
    chain = trainer.trace.chain.hex() if trainer.trace is not None else ""
    state = checkpoints.State(
        step=progress.step,
        tokens=progress.tokens,
        epoch=progress.place.epoch,
        position=progress.place.position,
        chain=chain,
        identity=trainer.identity,
    )
    if processes.is_first:
        os.makedirs(trainer.folder, exist_ok=True)
    processes.wait()
    checkpoints.save(trainer.folder, trainer.model, trainer.optimizer, state, processes)
    if processes.is_first:
        checkpoints.keep_newest(trainer.folder, trainer.settings.checkpoint.keep)
        recording.write_run(trainer.settings, trainer.data)
    trainer.saved = progress.step


def _evaluate(trainer: Trainer) -> None:
    """Add a line to OUT/evaluations.jsonl. All ranks read the same, as each has a part of the
    model; only the first one writes."""
    asked, step = trainer.settings.evaluate, trainer.progress.step
    if step == trainer.evaluated or (asked.run is None and not asked.requests):
        return
    trainer.evaluated = step
    model: Any = trainer.model
    length = trainer.data.run.description.sequence_length
    line: dict[str, Any] = {"step": step, "tokens": trainer.progress.tokens}
    if asked.run is not None:
        line["sources"] = evaluating.evaluate(
            model, open_run(asked.run), sequence_length=length, max_documents=asked.max_documents
        )
    if asked.requests:
        line["tasks"] = ranking.answer(
            model,
            trainer.data.run.tokenizer,
            ranking.read_requests(asked.requests),
            most=length,
            normalization=asked.normalization,
            max_questions=asked.max_questions,
        )
    model.train()
    if trainer.processes.is_first:
        recording.add_evaluation(trainer.settings.out, line)


def _energy(told: Train, processes: Processes, meter: Meter) -> Energy:
    """What all processes and their devices have taken; measured if the first one's is."""
    (microjoules,) = processes.summed(round(meter.kwh() * JOULES_PER_KWH * 1e6))
    return energy_of(
        microjoules / 1e6 / JOULES_PER_KWH,
        pue=told.energy.pue,
        kg_per_kwh=told.energy.kg_per_kwh,
        source=meter.source,
    )


@contextlib.contextmanager
def _signals(trainer: Trainer) -> Iterator[None]:
    """SIGTERM ends the run after its step, with a checkpoint."""

    def asked(*_: Any) -> None:
        trainer.stop_asked = True

    try:
        before = signal.signal(signal.SIGTERM, asked)
    except ValueError:  # not the main thread, which alone takes signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
