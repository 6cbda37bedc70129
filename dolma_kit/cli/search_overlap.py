"""`dolma-kit search overlap|import|export`: what a text shares, and infini-gram's files."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

if TYPE_CHECKING:
    from dolma_kit.searching.overlap import Overlap

Indexes = Annotated[
    list[str] | None,
    typer.Option("--index", metavar="DIR", help="Folder of tokens with an index; repeatable."),
]
SHOWN_CHARACTERS = 160


def add_overlap_commands(group: typer.Typer) -> None:
    group.command("overlap")(overlap)
    group.command("import")(import_)
    group.command("export")(export)


def overlap(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text, at most 1 MiB; - is stdin.")],
    index: Indexes = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN.YAML", help="The run that trained on these tokens: its steps."),
    ] = None,
    before: Annotated[
        int | None, typer.Option(metavar="STEP", help="Only what was seen before this step.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="Only up to this step, or a revision of the run."),
    ] = None,
    rule: Annotated[
        Literal["olmotrace", "none"],
        typer.Option(
            help="Spans of whole words without a period or line feed inside, or of any tokens."
        ),
    ] = "olmotrace",
    min_length: Annotated[int, typer.Option(help="Tokens of a span at least.")] = 1,
    max_count: Annotated[
        int | None, typer.Option(help="Drop spans that occur more often (default: none).")
    ] = None,
    keep_share: Annotated[
        float, typer.Option(help="Rarest spans that are kept, as a share of the text's tokens.")
    ] = 0.05,
    keep_all: Annotated[bool, typer.Option("--all", help="Keep all spans.")] = False,
    documents: Annotated[int, typer.Option(help="Documents of a span at most.", min=0)] = 10,
    context: Annotated[int, typer.Option(help="Tokens shown before and after.", min=0)] = 40,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the tokens record no tokenizer.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a page for eyes instead.")
    ] = None,
) -> None:
    """Show the rarest spans of a text that stand in a corpus, and when a run saw them."""
    from dolma_kit import files
    from dolma_kit.cli import orders
    from dolma_kit.errors import ConfigError
    from dolma_kit.order.run import open_run
    from dolma_kit.searching.overlap import OverlapSearch
    from dolma_kit.searching.overlap_page import overlap_page
    from dolma_kit.searching.queries import open_searcher

    if run is None and (before is not None or at is not None):
        raise ConfigError("--before and --at are of steps: name the --run")
    if before is not None and at is not None:
        raise ConfigError("--before or --at, not both")
    if before is not None and before < 1:
        raise ConfigError(f"--before {before}: steps count from 1")
    text = _text(file)
    searcher = open_searcher(index or [], tokenizer)
    search = OverlapSearch(searcher, None if run is None else open_run(run))
    answer = search.find(
        text,
        rule=rule,
        min_length=min_length,
        max_count=max_count,
        keep_share=None if keep_all else keep_share,
        documents=documents,
        context=context,
        until=orders.step_of(at) if before is None else before - 1,
    )
    if html is not None:
        data = overlap_page(answer).encode("utf-8", "replace")
        with files.write_atomically(html) as stream:
            stream.write(data)
        said = {
            "command": "search overlap", "spans": len(answer.spans),
            "documents": len(answer.documents), "bytes_out": len(data), "outputs": [html],
        }  # fmt: skip
        typer.echo(msgspec.json.encode(said).decode())
        return
    typer.echo(msgspec.json.encode(answer).decode() if as_json else overlap_text(answer))


def _text(path: str) -> str:
    """The text of a file; no more of it is read than may be asked for."""
    from dolma_kit.errors import ConfigError, DataError, MissingInput
    from dolma_kit.searching.overlap import MOST_BYTES

    try:
        if path == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with open(path, "rb") as stream:
                data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise MissingInput(f"no file {path}: name a text, or - for stdin") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(
            f"{path} has more than {MOST_BYTES:,} bytes: it is a text that is asked for, not a "
            "corpus; cut it, or see dolma-kit decon"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DataError(path, None, f"byte {error.start} is no UTF-8: {error.reason}") from None
    if not text:
        raise ConfigError(f"{path} is empty: give some text")
    return text


def overlap_text(answer: Overlap) -> str:
    """The answer for eyes: a span a paragraph, a document a line with what stands around."""
    from dolma_kit.markup import counted
    from dolma_kit.searching.overlap_page import how_often, steps_text

    share = answer.n_covered / max(answer.n_tokens, 1)
    lines = [
        f"{answer.n_tokens:,} tokens, {share:.0%} of them in {answer.n_spans:,} spans; the "
        f"{len(answer.spans):,} rarest, in {len(answer.documents):,} documents:"
    ]
    for number, span in enumerate(answer.spans, start=1):
        lines.append(
            f"\n[{number}] {_line(span.text)}\n    characters {span.start_char}-{span.end_char}, "
            f"{span.end - span.start} tokens, {how_often(span)}"
        )
        for one in span.occurrences:
            document = answer.documents[one.document]
            source = f"{document.source}, " if document.source else ""
            where = document.src if document.line is None else f"{document.src}:{document.line}"
            seen = "" if one.seen is None else f": {steps_text(one)}"
            lines.append(
                f"  {document.id} ({source}{where}, token {one.token}, {document.relevance}){seen}"
            )
            room = SHOWN_CHARACTERS // 2
            before, after = _words(one.before)[-room:], _words(one.after)[:room]
            lines.append(f"      {before}[{_line(one.match)}]{after}")
        if len(span.occurrences) < span.count and span.occurrences:
            more = counted(span.count - len(span.occurrences), "occurrence")
            lines.append(f"  ... and {more} more")
    return "\n".join(lines)


def _line(text: str) -> str:
    words = _words(text).strip()
    return words if len(words) <= SHOWN_CHARACTERS else words[:SHOWN_CHARACTERS] + " ..."


def _words(text: str) -> str:
    """A text in one line, without what would act on a terminal; a blank at its ends stays one."""
    words = re.sub(r"\s+", " ", text)
    return "".join(one if one.isprintable() else "\ufffd" for one in words)


def import_(
    source: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder of an infini-gram index (v4 or v6).")
    ],
    out: Annotated[str, typer.Option(metavar="TOKENS", help="Folder of token files to write.")],
    eos_token_id: Annotated[int, typer.Option(help="The id that ends each document there.")],
    tokenizer: Annotated[
        str | None, typer.Option(metavar="FILE", help="tokenizer.json of the ids.")
    ] = None,
) -> None:
    """Write the documents of an infini-gram index as token files, and their index."""
    from dolma_kit.searching.infini_gram import import_index

    made = import_index(source, out, eos_token_id=eos_token_id, tokenizer=tokenizer)
    typer.echo(msgspec.json.encode(made).decode())


def export(
    tokens: Annotated[str, typer.Argument(metavar="TOKENS", help="Token files with an index.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder to write.")],
) -> None:
    """Write an index for the infini-gram engine: its tokens, tables, offsets and metadata."""
    from dolma_kit.searching.infini_gram import export_index

    typer.echo(msgspec.json.encode(export_index(tokens, out)).decode())
