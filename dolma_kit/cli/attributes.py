"""`dolma-kit attributes convert`: Parquet attributes to Dolma's JSONL, and back."""

from __future__ import annotations

import msgspec
import typer

from dolma_kit.cli.options import command_for
from dolma_kit.cli.stages import describe
from dolma_kit.config import Convert


def add_to(app: typer.Typer) -> None:
    attributes = typer.Typer(help="What was measured, in its files.")
    attributes.command("convert")(command_for(Convert, _convert))
    app.add_typer(attributes, name="attributes")


def _convert(settings: Convert, dry_run: bool) -> None:
    from dolma_kit import conversion

    if dry_run:
        typer.echo(describe(settings, conversion.plan(settings)))
    else:
        typer.echo(msgspec.json.encode(conversion.convert(settings)).decode())
