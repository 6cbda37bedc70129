"""`dolma-kit demo DIR`: the whole pipeline on text that this machine has."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer


def add_to(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to write to.")],
    workers: Annotated[
        int | None, typer.Option(help="Worker processes (default: usable CPUs).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again from nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the last line.")] = False,
) -> None:
    """Tag, dedupe, mask, mix, tokenize and trace text found on this machine."""
    from dolma_kit import demonstration

    say = (lambda text: None) if quiet else typer.echo
    summary = demonstration.demonstrate(folder, workers=workers, overwrite=overwrite, say=say)
    typer.echo(msgspec.json.encode(summary).decode())
