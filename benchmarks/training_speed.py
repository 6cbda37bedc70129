"""How fast the trainer is on this machine's devices: tokens a second, and the share of their peak.

    python benchmarks/training_speed.py --out FOLDER [--model olmo2-1b] [--length 4096] [--steps 40]
                                        [--batch 32] [--micro-batch 4] [--keys '{"compile": null}']
    torchrun --nproc-per-node=8 benchmarks/training_speed.py --out FOLDER ...

Trains a published size on random ids, in bf16, each block compiled, by `dolma-kit train` itself:
data read from memory-mapped files, order-trace.bin, metrics, all that a real run has. The figures
are medians over the steps behind the first `--skip`, which compile. MFU is a step's FLOPs as
`Shape.flops_per_token` counts them over the peak that the vendor states for dense bf16.

To compare with: OLMo 2 1B at length 4,096 on one H100, some 55,000 tokens a second in OLMo-core;
OLMo 1B has length 2,048 (`--model olmo1-1b --length 2048 --batch 64 --micro-batch 8`).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from dolma_kit import config
from dolma_kit.training.loop import train
from dolma_kit.training.models import Shape, shape_of
from dolma_kit.training.settings import Model, Train


def write_run(folder: Path, shape: Shape, length: int, batch: int, steps: int) -> Path:
    """A run.yaml over random ids, enough for all steps; written by the first rank, awaited by the
    others."""
    path = folder / "run.yaml"
    if int(os.environ.get("RANK", "0")):
        while not path.exists():
            time.sleep(0.1)
        return path
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    ids = draw.integers(0, shape.vocab_size, steps * batch * length, dtype=np.uint32)
    ids.astype("<u4").tofile(folder / "ids.npy")
    keys = {
        "tokens": ["ids.npy"], "dtype": "uint32", "eos_token_id": 0, "sequence_length": length,
        "global_batch_size": batch, "order": {"kind": "olmo", "seed": 6198}, "epochs": 1,
    }  # fmt: skip
    (folder / "run.tmp").write_text(yaml.safe_dump(keys))
    (folder / "run.tmp").rename(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="a folder that is not there yet")
    parser.add_argument("--model", default="olmo2-1b")
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=32, help="instances of a step, of all ranks")
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--skip", type=int, default=10)
    parser.add_argument("--keys", default="{}", help="JSON: further keys of train.yaml")
    asked = parser.parse_args()
    if not 0 <= asked.skip < asked.steps:
        parser.error(f"--skip {asked.skip} leaves none of {asked.steps} steps to measure")
    folder = Path(asked.out)
    shape = shape_of(Model(name=asked.model))
    run = write_run(folder, shape, asked.length, asked.batch, asked.steps)
    keys: dict[str, Any] = {
        "run": str(run), "out": str(folder / "trained"), "model": {"name": asked.model},
        "optimizer": {"peak_lr": 4e-4}, "batch": {"micro_batch_size": asked.micro_batch},
        "schedule": {"steps": asked.steps, "warmup_steps": asked.skip}, "precision": "bf16",
        "compile": "inductor", "z_loss": 1e-5,
    }  # fmt: skip
    train(config.build(Train, keys | json.loads(asked.keys)))
    if not int(os.environ.get("RANK", "0")):
        report(folder, asked.model, shape, asked.length, asked.skip)


def report(folder: Path, name: str, shape: Shape, length: int, skip: int) -> None:
    lines = (folder / "trained/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines][skip:]
    n_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    speed = float(np.median([row["tokens_per_second"] for row in rows])) / n_ranks
    flops = speed * shape.flops_per_token(length)
    waited = sum(row["data_seconds"] for row in rows) / sum(row["seconds"] for row in rows)
    share = "" if rows[0]["mfu"] is None else f", MFU {np.median([r['mfu'] for r in rows]):.1%}"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(
        f"{name} at length {length:,} on {n_ranks} x {device}, torch {torch.__version__}: "
        f"{speed:,.0f} tokens/s/device, {flops / 1e12:,.3f} TFLOPS{share}, "
        f"{max(row['memory_bytes'] for row in rows) / 1e9:.1f} GB, waited for data {waited:.2%}"
    )


if __name__ == "__main__":
    main()
