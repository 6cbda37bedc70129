"""`dolma-kit list taggers|mixers|configs`: what there is, without loading a model."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import msgspec
import typer


def add_to(app: typer.Typer) -> None:
    app.command("list")(list_parts)


def list_parts(
    what: Annotated[Literal["taggers", "mixers", "configs"], typer.Argument(help="What to list.")],
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            metavar="FILE",
            help="Also what this file brings; may be given several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
) -> None:
    """List taggers, mixers or configs."""
    from dolma_kit import config, plugins, registry

    rows: list[dict[str, Any]] = []
    if what == "configs":
        rows = [{"id": name, "about": about} for name, about in config.shipped().items()]
    else:
        for entry in registry.entries(what, plugins.read(plugin or [])).values():
            about = inspect.cleandoc(entry.load().__doc__ or "").split("\n")[0]
            rows.append(
                {"id": entry.id, "about": about, "file": entry.file, "origin": entry.origin}
            )
    if as_json:
        typer.echo(msgspec.json.encode({what: rows}).decode())
        return
    width = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        origin = f"  ({row['file']}, {row['origin']})" if "file" in row else ""
        typer.echo(f"{row['id']:<{width}}  {row['about']}{origin}")
