"""`run`: the stages of a recipe one after the other, on one engine, each resumable by itself."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from dolma_kit import config, plugins, registry
from dolma_kit.config import Options, Recipe
from dolma_kit.errors import ConfigError, MissingAttributes, MissingInput
from dolma_kit.execute import Engine, Plan, engine_for, execute_together
from dolma_kit.summary import Summary

Stage = tuple[str, Options]
MODULES = {
    "extract": "dolma_kit.extraction.stage",
    "tag": "dolma_kit.tagging",
    "dedupe": "dolma_kit.deduplication.stage",
    "decontaminate": "dolma_kit.decontamination.stage",
    "mix": "dolma_kit.mixing",
    "tokenize": "dolma_kit.tokens.stage",
}


def run(settings: Recipe | None = None, *, engine: Engine | None = None, **keys: Any) -> Summary:
    """Run a recipe; `keys` are those of `config.Recipe`, or give the struct itself.

    The keys and the parts of all stages are checked before the first one starts. The summary's
    `documents` and `bytes_in` are those of the first stage, `counts` holds each stage's own.
    """
    settings = settings or config.build(Recipe, keys)
    stages = resolve(settings)
    started = time.perf_counter()
    summaries: list[Summary] = []
    if settings.shard is not None or any(stage.shard is not None for _, stage in stages):
        raise ConfigError(
            "--shard: a recipe's stages need all that those before them made; run the stages one "
            "by one as commands with --shard"
        )
    with engine_for(settings, engine) as running:
        for group in _groups(stages, settings):
            if len(group) > 1:
                summaries += _run_together(group, running)
            else:
                ((name, stage),) = group
                alike = _runs_alike(stage, settings)
                summaries.append(run_stage(name, stage, running if alike else None))
    seconds = time.perf_counter() - started
    return Summary(
        command="run",
        documents=summaries[0].documents,
        bytes_in=summaries[0].bytes_in,
        bytes_out=sum(summary.bytes_out for summary in summaries),
        seconds=round(seconds, 3),
        mb_per_s=round(summaries[0].bytes_in / 1e6 / max(seconds, 1e-9), 3),
        quarantined=sum(summary.quarantined for summary in summaries),
        outputs=summaries[-1].outputs,
        partial=any(summary.partial for summary in summaries),
        engine=summaries[-1].engine,
        compile_seconds=round(sum(summary.compile_seconds for summary in summaries), 3),
        units_skipped=sum(summary.units_skipped for summary in summaries),
        counts={"stages": [msgspec.to_builtins(summary) for summary in summaries]},
    )


def _runs_alike(stage: Options, settings: Recipe) -> bool:
    """Whether a stage wants the recipe's engine."""
    return (stage.workers, stage.engine) == (settings.workers, settings.engine)


def _groups(stages: list[Stage], settings: Recipe) -> Iterator[list[Stage]]:
    """The stages in their order; those that only add attributes to documents, and to other folders
    than their neighbours', go together: what they read in common is read once."""
    group: list[Stage] = []
    taken: set[str] = set()
    for name, stage in stages:
        folder = _experiment(stage)
        alone = folder is None or not _runs_alike(stage, settings)
        if group and (alone or folder in taken):
            yield group
            group, taken = [], set()
        if alone:
            yield [(name, stage)]
        else:
            group.append((name, stage))
            taken.add(str(folder))
    if group:
        yield group


def _experiment(stage: Options) -> str | None:
    """Which attributes a stage makes, if it makes nothing else and reads none."""
    if isinstance(stage, config.Tag):
        return stage.experiment
    if isinstance(stage, config.Dedupe):
        return stage.experiment or stage.name
    return None


def _run_together(group: list[Stage], engine: Engine) -> list[Summary]:
    modules = [importlib.import_module(MODULES[name]) for name, _ in group]
    made = [module.plan(stage) for module, (_, stage) in zip(modules, group, strict=True)]
    stages = [stage for _, stage in group]
    outcomes = execute_together(list(zip(made, stages, strict=True)), engine)
    every = zip(modules, stages, made, outcomes, strict=True)
    return [module.summary(stage, plan, outcome) for module, stage, plan, outcome in every]


def run_stage(name: str, stage: Options, engine: Engine | None) -> Summary:
    """Run one resolved stage on a shared engine; on its own where it wants another."""
    function = getattr(importlib.import_module(MODULES[name]), name)
    summary: Summary = function(stage, engine=engine)
    return summary


def resolve(settings: Recipe) -> list[Stage]:
    """The stages as structs. What the recipe itself says (workers, limit, ...) holds for each
    stage that does not say otherwise."""
    if not settings.stages:
        raise ConfigError(f"no stages: a recipe names at least one of {', '.join(MODULES)}")
    inherited = {
        name: value
        for name, value in msgspec.to_builtins(settings).items()
        if name != "stages" and value not in (None, False)
    }
    stages = []
    for i, entry in enumerate(settings.stages, 1):
        if len(entry) != 1 or next(iter(entry)) not in config.STAGES:
            raise ConfigError(
                f"stage {i} is {{{', '.join(entry)}}}: write one of {', '.join(config.STAGES)} "
                "and its keys"
            )
        name, keys = next(iter(entry.items()))
        kind = config.STAGES[name]
        own = {k: v for k, v in inherited.items() if k in kind.__struct_fields__}
        stage = config.build(kind, own | keys, where=f"stage {i} ({name})")
        if isinstance(stage, config.Tag):
            registry.taggers(stage.taggers, plugins.read(stage.plugin))
        elif isinstance(stage, config.Mix):
            given = plugins.read(stage.plugin)
            for spec in (spec for stream in stage.streams for spec in stream.policies):
                registry.mixer(spec, given)
        stages.append((name, stage))
    return stages


def plans(settings: Recipe) -> Iterator[tuple[str, Plan | None]]:
    """Each stage's plan, or None where its inputs are still to be made by an earlier stage."""
    for name, stage in resolve(settings):
        try:
            yield name, importlib.import_module(MODULES[name]).plan(stage)
        except (MissingInput, MissingAttributes, FileNotFoundError):
            yield name, None
