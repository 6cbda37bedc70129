"""What two ranks do; started by torchrun from test_two_ranks.py, in a folder with its runs.

Writes found.json: for each case the largest difference of any gradient from that of one process,
over the gradient's largest value.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from dolma_kit.order.run import open_run
from dolma_kit.training import preparing, sharding
from dolma_kit.training.batches import Data
from dolma_kit.training.loop import _losses, train
from dolma_kit.training.models import Transformer, initialise, plain_name
from dolma_kit.training.optimizer import summed_loss
from dolma_kit.training.sharding import FSDPModule, Processes
from tests.training.tiny import MODEL, told

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("olmo2", {}, {"micro_batch_size": 4}),
    ("olmo2, masks", {}, {"micro_batch_size": 4}),
    ("olmo2, masks, 4 micro-batches", {}, {"micro_batch_size": 1}),
    ("olmo1, tied, masks", {"family": "olmo1", "tied": True}, {"micro_batch_size": 2}),
    ("olmo2, recomputed, masks", {}, {"micro_batch_size": 2}),
]


def gradients(settings: Any, processes: Processes, size: int) -> dict[str, torch.Tensor]:
    """Of the first batch, over all ranks."""
    trainer = preparing.prepare(settings, processes, True)
    batch = trainer.data.read(
        1, trainer.data.first_place, size, processes.rank, processes.world_size
    )
    (n_targets,) = processes.summed(int(batch.is_target.sum()))
    micro = settings.batch.micro_batch_size
    for i in range(0, len(batch.ids), micro):
        if isinstance(trainer.model, FSDPModule):
            trainer.model.set_requires_gradient_sync(i + micro == len(batch.ids))
        ids = torch.from_numpy(batch.ids[i : i + micro])
        is_target = torch.from_numpy(batch.is_target[i : i + micro])
        cross_entropy, z_loss = _losses(trainer, ids, is_target)
        ((cross_entropy + z_loss) / n_targets).backward()
    trainer.close()
    found = {}
    for name, parameter in trainer.model.named_parameters():
        gradient: Any = parameter.grad
        whole = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
        found[plain_name(name)] = whole.detach()
    return found


def alone(settings: Any, size: int) -> dict[str, torch.Tensor]:
    """The same of one plain model, without any of it."""
    run = open_run(settings.run)
    shape = preparing.shape_of(settings.model)
    model = Transformer(shape)
    initialise(model, shape, settings.seed)
    data = Data(run, vocab_size=shape.vocab_size)
    batch = data.read(1, data.first_place, size, 0, 1)
    ids, is_target = torch.from_numpy(batch.ids), torch.from_numpy(batch.is_target)
    losses = summed_loss(model(ids), ids, is_target, settings.z_loss)
    (sum(losses) / int(is_target.sum())).backward()  # type: ignore[union-attr]
    return {n: p.grad.detach() for n, p in model.named_parameters() if p.grad is not None}


def main() -> None:
    folder = Path(sys.argv[1])
    processes = sharding.start()
    assert processes.world_size == 2
    found = {}
    for name, model, batch in CASES:
        run = folder / ("masked" if "masks" in name else "plain") / "run.yaml"
        settings = told(
            run, folder / "unused", model=MODEL | model,
            batch=batch | {"growth": [{"from_step": 1, "global_batch_size": 8}]},
            activation_checkpointing="recomputed" in name,
        )  # fmt: skip
        ours, plain = gradients(settings, processes, 8), alone(settings, 8)
        assert ours.keys() == plain.keys()
        found[name] = max(
            float((ours[key] - plain[key]).abs().max() / plain[key].abs().max()) for key in plain
        )
    if processes.is_first:
        (folder / "found.json").write_text(json.dumps(found))
    # From the beginning, and on from where one process was.
    for out in ("two", "one-then-two"):
        train(told(folder / "plain" / "run.yaml", folder / out, **json.loads(sys.argv[2])))
    processes.wait()
    sharding.stop(processes)


if __name__ == "__main__":
    main()
