"""`dolma-kit tag`, `dedupe`, `decontaminate`, `mix`, `tokenize`, `run`: each one library call."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
import typer

from dolma_kit import config, recipe
from dolma_kit.cli import mix
from dolma_kit.cli.options import command_for
from dolma_kit.execute import Plan
from dolma_kit.summary import Summary

MODULES = {**recipe.MODULES, "run": "dolma_kit.recipe"}


def add_to(app: typer.Typer) -> None:
    kinds: dict[str, type[config.Options]] = {**config.STAGES, "run": config.Recipe}
    for name, kind in kinds.items():
        if name == "mix":  # which has commands of its own besides
            group = typer.Typer(
                name=name, invoke_without_command=True, rich_markup_mode=None,
                context_settings={"help_option_names": ["-h", "--help"]},
            )  # fmt: skip
            group.callback()(command_for(kind, _caller(name), has_others=True))
            mix.add_to(group)
            app.add_typer(group)
        else:
            app.command(name)(command_for(kind, _caller(name)))


def _caller(name: str) -> Any:
    def call(settings: Any, dry_run: bool) -> None:
        module = importlib.import_module(MODULES[name])
        if dry_run and name == "run":
            typer.echo(pretty(settings))
            for stage, plan in module.plans(settings):
                typer.echo(described(plan) if plan else f"{stage}: its inputs are yet to be made")
        elif dry_run:
            typer.echo(describe(settings, module.plan(settings)))
            if name == "mix":
                from dolma_kit.shares import composition

                typer.echo(composition.table(module.predict(settings)))
        else:
            summary: Summary = getattr(module, name)(settings)
            if name == "decontaminate" and summary.complete:
                typer.echo(_report(summary))
            if "profile" in summary.counts:
                typer.echo(_table(summary.counts["profile"]), err=True)
            typer.echo(msgspec.json.encode(summary).decode())

    return call


def _report(summary: Summary) -> str:
    """What `decontaminate` found, as its report says."""
    from dolma_kit.decontamination import reporting

    path = next(path for path in summary.outputs if path.endswith(".report.json"))
    with open(path, "rb") as stream:
        return reporting.text_of(msgspec.json.decode(stream.read()))


def _table(profile: dict[str, dict[str, float]]) -> str:
    """What `--profile` prints: the cost of each part, of one worker."""
    lines = [f"{'part':<40} {'ns/byte':>9} {'share':>7}"]
    for name, cost in profile.items():
        lines.append(f"{name:<40} {cost['ns_per_byte']:>9.3f} {cost['share']:>7.1%}")
    whole = sum(cost["ns_per_byte"] for cost in profile.values())
    return "\n".join([*lines, f"{'in all':<40} {whole:>9.3f} {1:>7.0%}"])


def describe(settings: msgspec.Struct, plan: Plan) -> str:
    """What `--dry-run` prints: the resolved config as JSON, then the plan."""
    return f"{pretty(settings)}\n{described(plan)}"


def pretty(settings: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(settings), indent=2).decode()


def described(plan: Plan) -> str:
    """The plan for eyes: phases, their units, what each reads."""
    lines = [f"{plan.stage}: into {', '.join(plan.folders)}"]
    for phase in plan.phases:
        n_bytes = sum(unit.n_bytes for unit in phase.units)
        lines.append(f"  {phase.name}: {len(phase.units)} units, {n_bytes / 1e6:,.1f} MB stored")
        lines += [f"    {unit.name}" for unit in phase.units[:20]]
        if len(phase.units) > 20:
            lines.append(f"    ... and {len(phase.units) - 20} more")
    return "\n".join(lines)
