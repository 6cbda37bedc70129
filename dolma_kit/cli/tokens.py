"""`dolma-kit tokens`: token files counted, looked into, checked, written again, indexed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from dolma_kit.cli.options import command_for
from dolma_kit.cli.stages import describe
from dolma_kit.config import Chat, CountTokens, Reshard

Folder = Annotated[str, typer.Argument(metavar="DIR", help="Token folder, or one .npy file.")]
Dtype = Annotated[
    str | None, typer.Option(metavar="uint16|uint32", help="Where no tokens.json says it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    tokens = typer.Typer(help="Token files.")
    tokens.command("count")(command_for(CountTokens, _count))
    tokens.command("inspect")(inspect)
    tokens.command("verify")(verify)
    tokens.command("reshard")(command_for(Reshard, _reshard))
    tokens.command("index-ids")(index_ids)
    tokens.command("chat")(command_for(Chat, _chat))
    app.add_typer(tokens, name="tokens")


def _count(settings: CountTokens, dry_run: bool) -> None:
    from dolma_kit.layout import find
    from dolma_kit.tokens import totals

    if dry_run:
        typer.echo(msgspec.json.format(msgspec.json.encode(settings), indent=2).decode())
        typer.echo("\n".join(shard.src for shard in find(settings.documents)))
        return
    found = totals.count(settings)
    typer.echo(totals.table(found))
    typer.echo(msgspec.json.encode(found).decode())


def _reshard(settings: Reshard, dry_run: bool) -> None:
    from dolma_kit.tokens import resharding

    if dry_run:
        typer.echo(describe(settings, resharding.plan(settings)))
    else:
        typer.echo(msgspec.json.encode(resharding.reshard(settings)).decode())


def _chat(settings: Chat, dry_run: bool) -> None:
    from dolma_kit.tokens import chat

    if dry_run:
        typer.echo(msgspec.json.format(msgspec.json.encode(settings), indent=2).decode())
        return
    made = chat.chat(settings)
    said = msgspec.to_builtins(made) | {"command": "tokens chat", "outputs": [settings.out]}
    typer.echo(msgspec.json.encode(said).decode())


def inspect(
    path: Folder,
    at: Annotated[
        int | None, typer.Option(metavar="N", help="The document that holds token N of a file.")
    ] = None,
    document_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Where a document's tokens are.")
    ] = None,
    dtype: Dtype = None,
    json: Json = False,
) -> None:
    """Show what a token folder holds, or which document holds a token, or where a document is."""
    from dolma_kit.errors import ConfigError
    from dolma_kit.tokens import lookup
    from dolma_kit.tokens.folder import open_folder

    folder = open_folder(path, dtype)
    if at is not None and document_id is not None:
        raise ConfigError("--at and --id are two questions: ask one")
    answer: Any
    if at is not None:
        answer = [lookup.PartLookup(_part_at(folder, at)[0]).at(_part_at(folder, at)[1])]
    elif document_id is not None:
        answer = lookup.by_id(folder, document_id)
    else:
        answer = {
            "record": folder.record,
            "tokens": folder.n_tokens,
            "parts": [{"path": part.path, "tokens": part.n_tokens} for part in folder.parts],
        }
        if not json:
            typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
            return
    if json:
        typer.echo(msgspec.json.encode(answer).decode())
        return
    if not answer:
        typer.echo(f"{document_id}: no document of this id")
    for one in answer:
        d = one.document
        typer.echo(
            f"{d.id}: tokens {d.start} to {d.end} of {one.part}, row {one.row + 1}; "
            f"{d.src}:{d.line}" + (f", source {d.source}" if d.source else "")
        )


def _part_at(folder: Any, token: int) -> tuple[Any, int]:
    """The part that holds a token, counted over all parts, and the token's place in it."""
    from dolma_kit.errors import ConfigError

    left = token
    for part in folder.parts:
        if 0 <= left < part.n_tokens:
            return part, left
        left -= part.n_tokens
    raise ConfigError(f"{folder.path} has tokens 0 to {folder.n_tokens - 1}, not {token}")


def verify(
    path: Folder,
    dtype: Dtype = None,
    eos_token_id: Annotated[
        int | None, typer.Option(metavar="N", help="Where no tokens.json says it.")
    ] = None,
    vocab_size: Annotated[
        int | None, typer.Option(metavar="N", help="Where no tokens.json says it.")
    ] = None,
    json: Json = False,
) -> None:
    """Check sizes, boundaries, tables and vocabulary of token files; 1 where something is wrong."""
    from dolma_kit.tokens import verifying
    from dolma_kit.tokens.folder import open_folder

    found = verifying.verify(
        open_folder(path, dtype), eos_token_id=eos_token_id, vocab_size=vocab_size
    )
    if json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        for fault in found.faults:
            typer.echo(fault)
        said = "as it should be" if not found.faults else f"{len(found.faults)} faults"
        typer.echo(
            f"{path}: {found.parts} parts, {found.documents:,} documents, {found.tokens:,} tokens, "
            f"{found.eos_within:,} EOS within documents: {said}"
        )
    if found.faults:
        raise typer.Exit(1)


def index_ids(
    path: Folder,
    dtype: Dtype = None,
    tmp_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="For intermediate files (default: beside it).")
    ] = None,
) -> None:
    """Make the index from ids to documents that `tokens inspect --id` uses."""
    from dolma_kit.tokens import id_index
    from dolma_kit.tokens.folder import open_folder

    made, n = id_index.build(open_folder(path, dtype), tmp_dir)
    typer.echo(msgspec.json.encode({"command": "tokens index-ids", "documents": n,
                                    "outputs": [made]}).decode())  # fmt: skip
