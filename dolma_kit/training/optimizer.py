"""AdamW, what decays, and the loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dolma_kit.training.models import Shape, plain_name
from dolma_kit.training.settings import Optimizer

EPS = {"olmo1": 1e-5, "olmo2": 1e-8}
DECAY = {"olmo1": "linear", "olmo2": "all-but-embeddings"}


def adamw(model: nn.Module, shape: Shape, settings: Optimizer) -> torch.optim.AdamW:
    """The optimizer of a model's parameters, in two groups: those that decay, and the others."""
    rule = settings.decay or DECAY[shape.family]
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (decaying if _decays(plain_name(name), rule) else others).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.peak_lr,
        betas=settings.betas,
        eps=settings.eps or EPS[shape.family],
    )


def _decays(name: str, rule: str) -> bool:
    if rule == "everything":
        return True
    if name == "embedding.weight":
        return False
    return rule == "all-but-embeddings" or not name.endswith("norm.weight")


def summed_loss(logits: Tensor, ids: Tensor, is_target: Tensor, z: float) -> tuple[Tensor, Tensor]:
    """Sums over targets, in float32: cross-entropy, and z times the square of logsumexp (z-loss).

    Logits (B, T, V) at t predict ids (B, T) at t + 1; `is_target` (B, T) says of which of them.
    """
    flat = logits[:, :-1].flatten(0, 1).float()
    labels = torch.where(is_target, ids, -100)[:, 1:].flatten()
    cross_entropy = F.cross_entropy(flat, labels, ignore_index=-100, reduction="sum")
    if not z:
        return cross_entropy, torch.zeros_like(cross_entropy)
    squares = flat.logsumexp(-1).square() * (labels != -100)
    return cross_entropy, z * squares.sum()
