"""`dolma-kit report DIR`: a corpus and its runs on one page."""

from __future__ import annotations

import msgspec
import typer

from dolma_kit.cli.options import command_for
from dolma_kit.cli.stages import pretty
from dolma_kit.reporting.settings import Report


def add_to(app: typer.Typer) -> None:
    app.command("report")(command_for(Report, _call))


def _call(settings: Report, dry_run: bool) -> None:
    from dolma_kit.reporting.stage import described, report

    if dry_run:
        typer.echo(pretty(settings))
        typer.echo(described(settings))
        return
    typer.echo(msgspec.json.encode(report(settings)).decode())
