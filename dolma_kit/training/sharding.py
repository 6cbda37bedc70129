"""Processes and how a model is spread over them: FSDP2 (`fully_shard`), a unit a block.

Gradients are summed, never averaged, and the loss is divided by the targets of all ranks: so ranks
with unequal targets weigh as they should. FSDP2 on gloo has summed where an average was asked for
(pytorch#162338); that both a divide factor of 1 and sums are asked for gives the same on gloo and
NCCL. The mesh names its device, as FSDP would take a GPU under a gloo group (pytorch#132471).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from dolma_kit.training.models import Transformer


@dataclass(frozen=True)
class Processes:
    """This process among those that train; `mesh` is None of one alone."""

    rank: int
    world_size: int
    device: torch.device
    mesh: DeviceMesh | None
    made_group: bool = False

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def is_first_here(self) -> bool:
        """Of the processes on this machine."""
        return int(os.environ.get("LOCAL_RANK", 0)) == 0

    def summed(self, *numbers: int) -> list[int]:
        """Each number's sum over all processes, exact."""
        if self.mesh is None:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.int64, device=self.device)
        dist.all_reduce(total)
        return [int(n) for n in total.tolist()]

    def wait(self) -> None:
        """Until all are here."""
        if self.mesh is not None:
            dist.barrier()


def is_first_process() -> bool:
    """Whether torchrun has started this process as the first, or not at all."""
    return int(os.environ.get("RANK", 0)) == 0


def start() -> Processes:
    """What torchrun has said in the environment; one process where it has not."""
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if world_size == 1:
        return Processes(0, 1, device, None)
    made_group = not dist.is_initialized()
    if made_group:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    mesh = init_device_mesh(device.type, (world_size,), mesh_dim_names=("data",))
    return Processes(rank, world_size, device, mesh, made_group)


def stop(processes: Processes) -> None:
    """Leave the group of processes, if it was `start` that made it."""
    if processes.made_group:
        dist.destroy_process_group()


def prepared(
    model: Transformer,
    processes: Processes,
    *,
    bf16: bool,
    compiled: str | None = None,
    recomputed: bool = False,
) -> nn.Module:
    """A model (on the meta device) made ready: blocks recomputed in the backward pass, compiled,
    sharded, in this order; its parameters have memory and no values yet."""
    blocks: Any = model.blocks
    for i, block in enumerate(blocks):
        if recomputed:
            blocks[i] = checkpoint_wrapper(block)
        if compiled is not None:
            blocks[i].compile(backend=compiled)
    if processes.mesh is not None:
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if bf16 else None,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        )
        for block in blocks:
            fully_shard(block, mesh=processes.mesh, mp_policy=policy)
        if model.head is not None:
            fully_shard(model.embedding, mesh=processes.mesh, mp_policy=policy)
            last = [part for part in (model.norm, model.head) if list(part.parameters())]
            fully_shard(last, mesh=processes.mesh, mp_policy=policy, reshard_after_forward=False)
        fully_shard(model, mesh=processes.mesh, mp_policy=policy)
        for part in model.modules():
            if isinstance(part, FSDPModule):
                part.set_gradient_divide_factor(1.0)
                part.set_force_sum_reduction_for_comms(True)
    return model.to_empty(device=processes.device)
