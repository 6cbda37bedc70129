"""`dolma-kit stats`: what a corpus is made of."""

from __future__ import annotations

from typing import Any

import msgspec
import typer

from dolma_kit.cli.options import command_for
from dolma_kit.cli.stages import described, pretty
from dolma_kit.statistics.settings import Stats


def add_to(app: typer.Typer) -> None:
    app.command("stats")(command_for(Stats, _call))


def _call(settings: Stats, dry_run: bool) -> None:
    from dolma_kit.statistics import stage

    if dry_run:
        typer.echo(pretty(settings))
        if not stage.is_comparison(settings):
            for plan in stage.prepare(settings, settings.documents, settings.out or "OUT").plans:
                typer.echo(described(plan))
        return
    found = stage.stats(settings)
    summary: dict[str, Any] = msgspec.to_builtins(found.summary)
    if settings.json:
        said = {"command": "stats", "documents": summary["documents"], "statistics": found.answers}
        typer.echo(msgspec.json.encode(said).decode())
        return
    for name, text in found.texts.items():
        typer.echo(f"{name}\n\n{text}\n")
    typer.echo(msgspec.json.encode(found.summary).decode())
