"""What a run leaves besides checkpoints: a line of metrics a step, and the run.yaml as it was."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from dolma_kit import config, files
from dolma_kit.errors import ConfigError
from dolma_kit.order import step_trace
from dolma_kit.training.batches import segments_of
from dolma_kit.training.settings import Train

if TYPE_CHECKING:
    from dolma_kit.training.batches import Data
    from dolma_kit.training.sharding import Processes

METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
#: dense bf16 FLOP/s that makers state, by what a device's name begins with
PEAK_FLOPS = {"NVIDIA H100": 989e12, "NVIDIA H200": 989e12, "NVIDIA A100": 312e12}


class Metrics:
    """`metrics.jsonl` of a run that goes on behind a step, and `tensorboard/` beside it; what they
    had behind it is dropped."""

    def __init__(self, told: Train, step: int) -> None:
        out = told.out
        self._remote: Any = None if told.wandb is None else _wandb(told)
        from torch.utils.tensorboard import SummaryWriter

        path = os.path.join(out, METRICS)
        folder = os.path.join(out, "tensorboard")
        if not step:
            shutil.rmtree(folder, ignore_errors=True)
        self._board: Any = SummaryWriter(folder, purge_step=step + 1)
        kept = []
        if step and os.path.exists(path):
            with open(path, "rb") as stream:
                for line in stream:
                    with contextlib.suppress(msgspec.DecodeError):
                        if msgspec.json.decode(line)["step"] <= step:
                            kept.append(line)
        self._stream = open(path, "wb")
        self._stream.writelines(kept)

    def add(self, line: dict[str, Any]) -> None:
        self._stream.write(msgspec.json.encode(line) + b"\n")
        self._stream.flush()
        for name, value in line.items():
            if name != "step" and value is not None:
                self._board.add_scalar(f"train/{name}", value, line["step"])
        if self._remote is not None:
            kept = {f"train/{name}": value for name, value in line.items() if value is not None}
            self._remote.log(kept, step=line["step"])

    def close(self) -> None:
        self._stream.close()
        self._board.close()
        if self._remote is not None:
            self._remote.finish()


def _wandb(told: Train) -> Any:
    """A run of Weights & Biases; one that goes on has the name of `out`."""
    try:
        import wandb
    except ImportError:
        raise ConfigError('wandb: pip install "dolma-kit[wandb]"') from None
    assert told.wandb is not None
    os.makedirs(told.out, exist_ok=True)
    name = hashlib.sha256(os.path.abspath(told.out).encode()).hexdigest()[:16]
    return wandb.init(
        project=told.wandb.project,
        name=told.wandb.name,
        mode=told.wandb.mode,
        id=name,
        resume="allow",
        dir=told.out,
        config=msgspec.to_builtins(told),
        settings=wandb.Settings(silent=True, console="off"),
    )


def plot(out: str) -> str:
    """OUT/loss.png: the loss of every step over tokens, and the learning rate; its path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with open(os.path.join(out, METRICS), "rb") as stream:
        rows = [msgspec.json.decode(line) for line in stream]
    tokens = [row["tokens"] for row in rows]
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(8, 5), height_ratios=(4, 1), layout="constrained"
    )
    above.plot(tokens, [row["loss"] for row in rows], color="#0072b2", linewidth=1.2)
    above.set_ylabel("loss (nats a token)")
    above.grid(alpha=0.3)
    below.plot(tokens, [row["lr"] for row in rows], color="#d55e00", linewidth=1.2)
    below.set_ylabel("learning rate")
    below.set_xlabel("tokens")
    below.grid(alpha=0.3)
    path = os.path.join(out, "loss.png")
    with files.write_atomically(path) as picture:
        figure.savefig(picture, format="png", dpi=150)
    pyplot.close(figure)
    return path


def write_run(told: Train, data: Data) -> None:
    """OUT/run.yaml: the keys of the run, and the segments that the trace has."""
    import yaml

    out = os.path.abspath(told.out)
    keys = config.read(told.run)
    records = list(step_trace.read(os.path.join(out, step_trace.NAME)))
    n_positions = len(data.view.order_of(data.run.first_epoch))
    keys["segments"] = segments_of(records, n_positions)
    keys = _moved(keys, os.path.dirname(os.path.abspath(told.run)), out)
    text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
    with files.write_atomically(os.path.join(out, "run.yaml")) as stream:
        stream.write(f"# The run as it was trained, by `dolma-kit train`.\n{text}".encode())


def _moved(keys: dict[str, Any], source: str, out: str) -> dict[str, Any]:
    """Keys of a run.yaml whose paths are relative to another folder."""

    def moved(path: str) -> str:
        if files.is_remote(path) or os.path.isabs(path):
            return path
        return os.path.relpath(os.path.join(source, path), out)

    found = dict(keys)
    for key in ("tokens", "tokenizer", "documents", "label_masks", "decisions"):
        value = found.get(key)
        if isinstance(value, list):
            found[key] = [moved(one) for one in value]
        elif isinstance(value, str) and value != "eos-scan":
            found[key] = moved(value)
    order = dict(found["order"])
    for key in ("path", "stored", "inverse"):
        if order.get(key):
            order[key] = moved(order[key])
    if isinstance(found.get("instances"), dict):
        instances = dict(found["instances"])
        if instances.get("indices"):
            instances["indices"] = [moved(one) for one in instances["indices"]]
        if instances.get("blend"):
            instances["blend"] = moved(instances["blend"])
        found["instances"] = instances
    return found | {"order": order}


def mfu(processes: Processes, flops_per_second: float) -> float | None:
    """The share of the devices' stated peak; None for devices that state none."""
    if processes.device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(processes.device)
    peak = next((peak for begins, peak in PEAK_FLOPS.items() if name.startswith(begins)), None)
    return None if peak is None else flops_per_second / (peak * processes.world_size)


def say(line: dict[str, Any], told: Train, processes: Processes, seconds_left: float) -> None:
    """The step, for a person: on stderr, a line."""
    goal = f"/{told.schedule.steps}" if told.schedule.steps else ""
    mfu_ = f", MFU {line['mfu']:.1%}" if line["mfu"] is not None else ""
    speed = line["tokens_per_second"] / processes.world_size
    hours, rest = divmod(round(seconds_left), 3600)
    print(
        f"step {line['step']}{goal}: loss {line['loss']:.4f}, lr {line['lr']:.3g}, norm "
        f"{line['grad_norm']:.3f}, {speed:,.0f} tokens/s/device{mfu_}, "
        f"{line['memory_bytes'] / 1e9:.1f} GB, {hours}:{rest // 60:02d}:{rest % 60:02d} left",
        file=sys.stderr,
        flush=True,
    )


def memory_bytes(processes: Processes) -> int:
    """The most that this process has had: of its GPU, or resident."""
    if processes.device.type == "cuda":
        return torch.cuda.max_memory_allocated(processes.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def add_evaluation(out: str, line: dict[str, Any]) -> None:
    """Append to OUT/evaluations.jsonl, over what an earlier run wrote of the step or later ones."""
    kept = _evaluations(out, line["step"] - 1)
    with files.write_atomically(os.path.join(out, EVALUATIONS)) as stream:
        stream.write(b"".join(kept) + msgspec.json.encode(line) + b"\n")


def cut_evaluations(out: str, step: int) -> None:
    """Drop from OUT/evaluations.jsonl what is behind a step, from which a run goes on."""
    path = os.path.join(out, EVALUATIONS)
    if os.path.exists(path):
        kept = _evaluations(out, step)
        with files.write_atomically(path) as stream:
            stream.write(b"".join(kept))


def _evaluations(out: str, step: int) -> list[bytes]:
    """The lines of OUT/evaluations.jsonl, as far as a step."""
    path = os.path.join(out, EVALUATIONS)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as stream:
        return [row for row in stream if msgspec.json.decode(row)["step"] <= step]
