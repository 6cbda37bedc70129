"""`dolma-kit mix explain`, `funnel`, `composition`, `sweep`: questions to a mix."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from dolma_kit.specs import split_specs

Place = Annotated[str, typer.Option("--from", metavar="DIR", help="Folder that the mix wrote to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    app.command("explain")(explain)
    app.command("funnel")(funnel)
    app.command("composition")(composition)
    app.command("sweep")(sweep)


def explain(
    document_id: Annotated[str, typer.Argument(metavar="ID", help="Of the document.")],
    place: Place,
    json: Json = False,
) -> None:
    """Say why a document is in a mix, or which rules removed it."""
    from dolma_kit import explaining

    found = explaining.explain(place, document_id)
    if json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    if not found:
        typer.echo(f"{document_id}: no stream has read it")
    for one in found:
        where = f"{document_id}: stream {one.stream}, {one.src}:{one.line}"
        if one.first is None:
            typer.echo(f"{where}: kept, written {one.copies} times")
        else:
            also = [rule for rule in one.rules if rule != one.first]
            more = f"; also by {', '.join(also)}" if also else ""
            typer.echo(f"{where}: removed by {one.first}{more}")


def funnel(place: Place, json: Json = False) -> None:
    """Show what each rule removes: in all, as the first, and alone."""
    from dolma_kit import explaining

    found = explaining.funnels(place)
    if json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        typer.echo("\n\n".join(map(explaining.funnel_table, found)))


def composition(place: Place, json: Json = False) -> None:
    """Show what a mix is made of: what there was, what was planned, what was written."""
    from dolma_kit.shares import composition as compositions

    found = compositions.read(place)
    typer.echo(msgspec.json.encode(found).decode() if json else compositions.table(found))


def sweep(
    documents: Annotated[
        list[str],
        typer.Argument(metavar="DOCS...", help="Files, folders (their documents/**) or globs."),
    ],
    column: Annotated[
        str, typer.Option(metavar="NAME", help="Column of scores or spans: q__tagger__key.")
    ],
    thresholds: Annotated[
        str, typer.Option(metavar="X,X", help="Thresholds (default: even shares of documents).")
    ] = "",
    attributes: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="attributes/ folder for files outside a documents/ folder."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show how many documents each threshold would keep, from attributes alone."""
    from dolma_kit import explaining
    from dolma_kit.errors import ConfigError

    try:
        asked = [float(one) for one in split_specs(thresholds)]
    except ValueError:
        raise ConfigError(f"--thresholds {thresholds}: numbers, like 0.1,0.5") from None
    found = explaining.sweep(documents, column, thresholds=asked, attributes_folder=attributes)
    typer.echo(msgspec.json.encode(found).decode() if json else explaining.sweep_table(found))
