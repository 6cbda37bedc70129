"""`dolma-kit dedupe-size`: how large a filter, or a set of hashes, has to be."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from dolma_kit.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    app.command("dedupe-size")(dedupe_size)


def dedupe_size(
    items: Annotated[
        float, typer.Option(metavar="N", help="Distinct keys: documents or paragraphs, like 60e9.")
    ],
    fp_rate: Annotated[
        float, typer.Option(metavar="X", help="False-positive rate of the full filter.")
    ] = 1e-6,
    memory: Annotated[
        float | None,
        typer.Option(metavar="BYTES", help="Memory of a partition (default: available here)."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how many bytes a number of keys takes, by structure."""
    from dolma_kit.deduplication import bloom, sizing

    for flag, number in (("--items", items), ("--memory", memory)):
        if number is not None and not 1 <= number <= 2**63:
            raise ConfigError(f"{flag} {number:g}: the number is from 1 to 2**63")
    available = bloom.available_memory() if memory is None else int(memory)
    if available is None:
        raise ConfigError("how much memory there is cannot be found out here: give --memory")
    found = sizing.sizes(int(items), fp_rate, max(available, 1))
    typer.echo(msgspec.json.encode(found).decode() if json else sizing.table(found))
