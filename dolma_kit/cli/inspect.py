"""`dolma-kit inspect FILE`: one row of a file of documents or attributes, as JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from dolma_kit.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    app.command("inspect")(inspect)


def inspect(
    path: Annotated[
        str, typer.Argument(metavar="FILE", help="Documents, attributes or docs.parquet.")
    ],
    row: Annotated[int | None, typer.Option(help="Which row, from 1 (default: the first).")] = None,
    document_id: Annotated[
        str | None, typer.Option("--id", help="The row of this document.")
    ] = None,
) -> None:
    """Print one row of a file as a line of JSON."""
    from dolma_kit.inspection import row_by_id, row_by_number

    if document_id is None:
        typer.echo(row_by_number(path, 1 if row is None else row))
    elif row is None:
        typer.echo(row_by_id(path, document_id))
    else:
        raise ConfigError("--row and --id each name a row: give one of them")
