"""`train.yaml`: what is trained, on which run's data, and how.

    run: run.yaml                        # tokens and order; segments come of training
    out: trained                         # checkpoints, metrics, order-trace.bin, run.yaml
    model: {name: olmo2-1b}              # or {family: olmo2, d_model: 64, ...}; keys win over names
    optimizer: {peak_lr: 4.0e-4, betas: [0.9, 0.95], weight_decay: 0.1, eps: 1.0e-8}
    schedule: {kind: cosine, steps: 1000, warmup_steps: 100}
    batch: {micro_batch_size: 4}         # instances of a rank at a time
    checkpoint: {every: 500, keep: 2}
    evaluate: {every: 500, run: held-out.yaml}

Relative paths are relative to the working directory, as in every `-c` file.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dolma_kit.errors import ConfigError

Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
#: how the answers of a question are compared (see `ranking`)
Normalization = Literal["none", "per-token", "per-character", "unconditional"]
#: how those of each task are
ByTask = Literal["olmo", "olmo-paper"]


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shape of a model, by a name (see `models.SIZES`), by its keys, or both: keys win.

    `vocab_size` counts the tokenizer's ids, `embedding_size` the rows of the embedding (padded).
    """

    name: str | None = None
    family: Literal["olmo1", "olmo2"] | None = None
    d_model: Count | None = None
    n_layers: Count | None = None
    n_heads: Count | None = None
    mlp_hidden: Count | None = None
    vocab_size: Count | None = None
    embedding_size: Count | None = None
    rope_theta: Positive | None = None
    tied: bool | None = None
    clip_qkv: Positive | None = None
    norm_eps: Positive | None = None
    init: Literal["mitchell", "normal"] | None = None


class Optimizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW. `decay`: what weight decay is of, as OLMo 1 (`linear`), OLMo 0424 and 0724
    (`everything`) and OLMo 2 (`all-but-embeddings`) have it; by default as the model's family, as
    `eps` is (1e-5, 1e-8)."""

    peak_lr: Positive = 3e-4
    betas: tuple[float, float] = (0.9, 0.95)
    eps: Positive | None = None
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    decay: Literal["linear", "everything", "all-but-embeddings"] | None = None
    max_grad_norm: Positive | None = 1.0


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Learning rate: a warm-up in steps or tokens, then `kind` until `steps` or `tokens`, down to
    `final` of the peak. `horizon_*` is where a cosine or line would end, if later than the run.

    `warmup_from` is the rate at which it begins, in parts of the peak. `from_step`: a checkpoint's
    step, behind which a line in steps goes down from the peak (annealing).
    """

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    steps: Count | None = None
    tokens: Count | None = None
    warmup_steps: Natural | None = None
    warmup_tokens: Natural | None = None
    warmup_from: Annotated[float, Meta(ge=0, le=1)] = 0.0
    final: Annotated[float, Meta(ge=0, le=1)] = 0.1
    from_step: Natural = 0
    horizon_steps: Count | None = None
    horizon_tokens: Count | None = None


class Growth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a step on (the first is 1), a global batch of so many instances."""

    from_step: Count
    global_batch_size: Count


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`micro_batch_size`: instances that a rank takes at a time; `growth`: a warm-up of the global
    batch size; `document_masks`: attention within documents only."""

    micro_batch_size: Count = 1
    growth: list[Growth] = []
    document_masks: bool = False


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`every` so many steps, and at the end; the newest `keep` stay. `load_path` is a checkpoint to
    begin from; what is reset of it begins anew."""

    every: Count | None = None
    keep: Count = 2
    load_path: str | None = None
    reset_trainer_state: bool = False
    reset_optimizer_state: bool = False


class Evaluate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every so many steps, and at the end: losses by source on the tokens of `run`, held out
    (`max_documents` of each source), and answers to the questions of `requests` (`max_questions` of
    each task), read by the run's tokenizer and compared by `normalization`: the name of a table by
    task, one way for all, or {task: way}."""

    every: Count | None = None
    run: str | None = None
    max_documents: Count | None = None
    requests: list[str] = []
    max_questions: Count | None = None
    normalization: Normalization | ByTask | dict[str, Normalization] = "olmo"


class Wandb(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metrics for Weights & Biases too; `offline` writes them into `out` alone. Needs the package
    `wandb`."""

    project: str
    name: str | None = None
    mode: Literal["online", "offline"] = "online"


class Energy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For the report: watts of a device at work, where no counter tells; power usage effectiveness;
    kilograms of CO2 for a kilowatt hour. The defaults are of OLMo 7B's report."""

    watts: Positive = 400.0
    pue: Annotated[float, Meta(ge=1)] = 1.1
    kg_per_kwh: Annotated[float, Meta(ge=0)] = 0.610


class Train(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of train.yaml."""

    run: str
    out: str
    model: Model
    optimizer: Optimizer = Optimizer()
    schedule: Schedule
    batch: Batch = Batch()
    checkpoint: Checkpoint = Checkpoint()
    evaluate: Evaluate = Evaluate()
    energy: Energy = Energy()
    wandb: Wandb | None = None
    seed: Natural = 6198
    z_loss: Annotated[float, Meta(ge=0)] = 0.0
    precision: Literal["fp32", "bf16"] | None = None
    compile: Literal["inductor", "aot_eager"] | None = None
    activation_checkpointing: bool = False
    log_every: Count = 1


def check(settings: Train) -> None:
    """ConfigError for what no single key shows: a schedule without an end, say."""
    schedule = settings.schedule
    if (schedule.steps is None) == (schedule.tokens is None):
        raise ConfigError("schedule: say how long to train, by either steps or tokens")
    if schedule.warmup_steps is not None and schedule.warmup_tokens is not None:
        raise ConfigError("schedule: a warm-up is in steps or in tokens, not both")
    if schedule.horizon_steps is not None and schedule.horizon_tokens is not None:
        raise ConfigError("schedule: a horizon is in steps or in tokens, not both")
    _check_units(schedule)
    steps = [one.from_step for one in settings.batch.growth]
    if steps != sorted(set(steps)) or (steps and steps[0] != 1):
        raise ConfigError(
            f"batch.growth: its steps are {steps}: from 1 on, each later than the last"
        )


def _check_units(schedule: Schedule) -> None:
    """ConfigError for a curve that begins in steps and ends in tokens, or the other way round: it
    would leap where they meet."""
    if schedule.kind == "constant":
        return
    in_steps = schedule.horizon_steps is not None or (
        schedule.steps is not None and schedule.horizon_tokens is None
    )
    if in_steps and schedule.warmup_tokens is not None:
        raise ConfigError("schedule: a warm-up in tokens needs an end in tokens: horizon_tokens")
    if not in_steps and (schedule.warmup_steps is not None or schedule.from_step):
        key = "from_step" if schedule.from_step else "a warm-up in steps"
        raise ConfigError(f"schedule: {key} needs an end in steps: horizon_steps")
    end = schedule.horizon_steps or schedule.steps
    if in_steps and end is not None and schedule.from_step >= end:
        raise ConfigError(f"schedule: from_step {schedule.from_step} is not before the end, {end}")
