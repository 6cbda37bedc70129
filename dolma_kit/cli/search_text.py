"""`dolma-kit search index-text` and `search text`: documents by their words."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from dolma_kit.cli.options import command_for
from dolma_kit.cli.stages import describe
from dolma_kit.errors import ConfigError
from dolma_kit.searching.settings import IndexText
from dolma_kit.specs import split_specs


def add_text_commands(group: typer.Typer) -> None:
    group.command("index-text")(command_for(IndexText, text_index_command))
    group.command("text")(text)


def text_index_command(settings: IndexText, dry_run: bool) -> None:
    from dolma_kit.searching import text_index

    if dry_run:
        typer.echo(describe(settings, text_index.plan(settings)))
    else:
        typer.echo(msgspec.json.encode(text_index.build(settings)).decode())


def text(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help='Words, "phrases", AND, OR, NOT, +must, -not, wor*, word~, /regex/, '
            '"near words"~5, field:value; see docs/search.md.',
        ),
    ],
    index: Annotated[str, typer.Option(metavar="DIR", help="Folder of search index-text.")],
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Documents to show.")] = 10,
    source: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Only documents of these sources.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Only documents in these languages.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="From this year or month: 2020-01.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="To this one, inclusive.")
    ] = None,
    phrase: Annotated[
        bool, typer.Option("--phrase", help="QUERY is one phrase as it stands, without syntax.")
    ] = False,
    any_word: Annotated[
        bool, typer.Option("--any/--all", help="Documents with any of the words, or with all.")
    ] = False,
    count: Annotated[
        bool, typer.Option("--count", help="Only say how many documents match.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
) -> None:
    """Find documents by their words, the best first (BM25)."""
    from dolma_kit.searching import full_text

    if phrase and any_word:
        raise ConfigError("--phrase is of all its words: leave out --any")
    filters = full_text.Filters(
        sources=_values(source), languages=_values(language), since=since, until=until
    )
    found = full_text.search(
        full_text.open_index(index), query, limit=1 if count else limit, filters=filters,
        phrase=phrase, any_word=any_word, snippets=not count,
    )  # fmt: skip
    if count:
        said = {"query": found.query, "total": found.total}
        typer.echo(msgspec.json.encode(said).decode() if json else f"{found.total}")
    elif json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        typer.echo(f"{found.total:,} documents")
        for number, hit in enumerate(found.hits, 1):
            about = ", ".join(filter(None, (hit.source, hit.language, hit.date)))
            typer.echo(f"\n{number}. {hit.id}" + (f" ({about})" if about else ""))
            typer.echo(f"   {hit.score:.4f}  {hit.file}:{hit.line}\n   {hit.snippet}")


def _values(given: list[str] | None) -> list[str]:
    return [one for text in given or [] for one in split_specs(text)]
