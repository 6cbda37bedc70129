"""Small runs to train on: ids that repeat, so that there is something to learn in a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dolma_kit import config
from dolma_kit.training.settings import Train

T = 16
VOCAB = 64
EOS = 0
MODEL = {
    "family": "olmo2", "d_model": 32, "n_layers": 2, "n_heads": 2, "mlp_hidden": 64,
    "vocab_size": VOCAB,
}  # fmt: skip


def write_run(
    folder: Path, /, *, n_instances: int = 44, masks: bool = False, **changed: Any
) -> Path:
    """A run.yaml over two files of ids, EOS after every few; with masks, half of them labels."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(5)
    names = []
    for name, n in (("a", n_instances // 2), ("b", n_instances - n_instances // 2)):
        ids = np.tile(draw.integers(1, VOCAB, 24), n)[: n * T + 3].astype("<u2")
        ids[draw.integers(0, len(ids), len(ids) // 8)] = draw.integers(1, VOCAB, len(ids) // 8)
        ids[draw.integers(0, len(ids), len(ids) // 9)] = EOS
        ids.tofile(folder / f"{name}.npy")
        (draw.random(len(ids)) < np.linspace(0.05, 0.95, len(ids))).tofile(folder / f"{name}.mask")
        names.append(name)
    keys: dict[str, Any] = {
        "tokens": [f"{name}.npy" for name in names],
        "dtype": "uint16",
        "eos_token_id": EOS,
        "sequence_length": T,
        "global_batch_size": 4,
        "order": {"kind": "olmo", "seed": 6198},
        "epochs": 4,
    }
    if masks:
        keys["label_masks"] = [f"{name}.mask" for name in names]
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(keys | changed))
    return path


def told(run: Path, out: Path, /, **changed: Any) -> Train:
    """A train.yaml for such a run."""
    keys: dict[str, Any] = {
        "run": str(run),
        "out": str(out),
        "model": MODEL,
        "optimizer": {"peak_lr": 3e-3},
        "schedule": {"steps": 12, "warmup_steps": 2, "horizon_steps": 40},
        "checkpoint": {"every": 3},
        "z_loss": 1e-4,
    }
    return config.build(Train, keys | changed)
