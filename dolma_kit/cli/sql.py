"""`dolma-kit sql QUERY DOCS...`: a question to a corpus in SQL."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import msgspec
import typer

from dolma_kit.cli.options import command_for

if TYPE_CHECKING:
    from dolma_kit.statistics.sql import Sql


def add_to(app: typer.Typer) -> None:
    from dolma_kit.statistics.sql import Sql

    app.command("sql")(command_for(Sql, _sql))


def _sql(settings: Sql, dry_run: bool) -> None:
    from dolma_kit.layout import find
    from dolma_kit.statistics import sql_output

    if dry_run:
        typer.echo(msgspec.json.format(msgspec.json.encode(settings), indent=2).decode())
        documents = find(settings.documents or ["."], attributes=settings.attributes)
        typer.echo("\n".join(shard.src for shard in documents))
        return
    sql_output.write(
        settings,
        functools.partial(typer.echo, nl=False),
        lambda note: print(f"dolma-kit: {note}", file=sys.stderr),
    )
