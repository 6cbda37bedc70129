"""Learning rate and batch size, as functions of steps and tokens alone: nothing to resume.

The rate of step s is that after it: steps and tokens include the step's own batch, as OLMo has it
(olmo/train.py, olmo/optim.py). With peak p, warm-up W, end E, floor f:

    s < W          p * (w0 + (1 - w0) * s / W)
    cosine         f p + (1 - f) p (1 + cos(pi (s - W) / (E - W))) / 2
    linear         p - (1 - f) p (s - W) / (E - W)

and f p from E on. All in steps, or all in tokens. Where a run anneals from a checkpoint, its step
stands for W.
"""

from __future__ import annotations

import math

from dolma_kit.training.settings import Batch, Schedule


def learning_rate(schedule: Schedule, peak: float, step: int, tokens: int) -> float:
    """The rate of a step, from 1, after which `tokens` have been trained on."""
    in_tokens = schedule.warmup_tokens is not None
    done, warmup = (tokens, schedule.warmup_tokens) if in_tokens else (step, schedule.warmup_steps)
    warmup = warmup or 0
    if done < warmup:
        return peak * (schedule.warmup_from + (1 - schedule.warmup_from) * done / warmup)
    if schedule.kind == "constant":
        return peak
    by_tokens = schedule.horizon_tokens is not None or (
        schedule.tokens is not None and schedule.horizon_steps is None
    )
    if by_tokens:
        end, at = schedule.horizon_tokens or schedule.tokens or 0, tokens
        start = schedule.warmup_tokens or 0
    else:
        end, at = schedule.horizon_steps or schedule.steps or 0, step
        start = max(schedule.warmup_steps or 0, schedule.from_step)
    if at >= end:
        return peak * schedule.final
    share = (at - start) / max(end - start, 1)
    if schedule.kind == "linear":
        return peak - (1 - schedule.final) * peak * share
    return peak * (schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * share)) / 2)


def batch_size(batch: Batch, global_batch_size: int, step: int) -> int:
    """The instances of a step: of the growth that holds, else run.yaml's."""
    size = global_batch_size
    for one in batch.growth:
        if one.from_step <= step:
            size = one.global_batch_size
    return size
