"""`dolma-kit status DIR`: what was made below a folder, by which stage, and how far it is."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from dolma_kit.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    app.command("status")(status)


def status(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder with outputs in it.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
) -> None:
    """Show what each ledger below a folder says."""
    from dolma_kit import ledger

    rows: list[dict[str, Any]] = []
    for place in ledger.find(folder):
        found = ledger.read(place)
        if found is None:
            continue
        header, records = found
        rows.append(
            {
                "folder": place,
                "stage": header.stage,
                "units": len(records),
                "documents": sum(r.result.documents for r in records),
                "bytes_out": sum(r.result.bytes_out for r in records),
                "worker_seconds": round(sum(r.seconds for r in records), 3),
                "last": max((r.finished for r in records), default=None),
                "partial": header.config.get("limit") is not None,
            }
        )
    if not rows:
        raise ConfigError(
            f"nothing below {folder} was made by dolma-kit: no .dolma-kit folder there"
        )
    if as_json:
        typer.echo(msgspec.json.encode({"ledgers": rows}).decode())
        return
    for row in rows:
        partial = " (partial)" if row["partial"] else ""
        typer.echo(
            f"{row['folder']}: {row['stage']}{partial}, {row['units']} units, "
            f"{row['documents']:,} documents, {row['bytes_out']:,} bytes, "
            f"{row['worker_seconds']:,} worker seconds, last {row['last']}"
        )
