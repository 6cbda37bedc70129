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
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
) -> None:
    """List taggers, mixers or configs."""
    from dolma_kit import config, registry

    rows: list[dict[str, Any]] = []
    if what == "configs":
        rows = [{"id": name, "about": about} for name, about in config.shipped().items()]
    else:
        for part_id, part in registry.parts(what).items():
            about = (inspect.getdoc(part) or "").split("\n")[0]
            origin = f"{part.__module__.replace('.', '/')}.py"
            rows.append({"id": part_id, "about": about, "file": origin})
    if as_json:
        typer.echo(msgspec.json.encode({what: rows}).decode())
        return
    width = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        origin = f"  ({row['file']})" if "file" in row else ""
        typer.echo(f"{row['id']:<{width}}  {row['about']}{origin}")
