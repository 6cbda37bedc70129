"""`dolma-kit search ...`: exact n-grams and full text over a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from dolma_kit.cli.options import command_for

if TYPE_CHECKING:
    from dolma_kit.searching.conditions import Met
    from dolma_kit.searching.queries import Documents, Following, Found, Searcher
    from dolma_kit.searching.regexes import Matches

At = Annotated[
    list[str] | None,
    typer.Option("--index", metavar="DIR", help="Folder of tokens with an index; repeatable."),
]
Text = Annotated[str | None, typer.Argument(metavar="TEXT", help="What to look for, as it stands.")]
Ids = Annotated[
    str | None, typer.Option("--ids", metavar="N,N", help="Token ids instead of a text.")
]
IgnoreCase = Annotated[bool, typer.Option("--ignore-case", help="Letters in any case.")]
TokenizerFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Where the tokens record no tokenizer."),
]
Limit = Annotated[int, typer.Option(help="How many are shown; all are counted.", min=0)]
Context = Annotated[int, typer.Option(help="Tokens shown before and after.", min=0)]
Token = Annotated[
    int | None, typer.Option(metavar="ID", help="Give the probability of this token.")
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON instead.")]


def add_to(app: typer.Typer) -> None:
    from dolma_kit.cli.search_overlap import add_overlap_commands
    from dolma_kit.cli.search_text import add_text_commands
    from dolma_kit.searching.settings import IndexTokens

    search = typer.Typer(help="Search a corpus: exact n-grams, text, what a text shares with it.")
    search.command("index")(command_for(IndexTokens, _index))
    search.command("count")(count)
    search.command("find")(find)
    search.command("docs")(docs)
    search.command("next")(next_)
    search.command("infgram")(infgram)
    search.command("cnf")(cnf)
    search.command("regex")(regex)
    add_overlap_commands(search)
    add_text_commands(search)
    app.add_typer(search, name="search")


def _index(settings: Any, dry_run: bool) -> None:
    from dolma_kit.cli.stages import described, pretty
    from dolma_kit.searching import building

    if dry_run:
        typer.echo(f"{pretty(settings)}\n{described(building.plan(settings))}")
        return
    typer.echo(msgspec.json.encode(building.build(settings)).decode())


def _opened(index: list[str] | None, tokenizer: str | None) -> Searcher:
    from dolma_kit.searching.queries import open_searcher

    return open_searcher(index or [], tokenizer)


def _query(searcher: Searcher, text: str | None, ids: str | None, ignore_case: bool) -> Any:
    from dolma_kit.errors import ConfigError

    if (text is None) == (ids is None):
        raise ConfigError("give a text, or --ids")
    if ids is not None:
        return searcher.ids(_numbers(ids))
    assert text is not None
    return searcher.text(text, ignore_case=ignore_case)


def _numbers(ids: str) -> list[int]:
    from dolma_kit.errors import ConfigError

    try:
        return [int(one) for one in ids.replace(",", " ").split()]
    except ValueError:
        raise ConfigError(f"--ids {ids[:100]}: numbers, with commas between") from None


def _prompt(searcher: Searcher, text: str | None, ids: str | None) -> list[int]:
    from dolma_kit.errors import ConfigError

    if (text is None) == (ids is None):
        raise ConfigError("give a text, or --ids")
    if ids is not None:
        return _numbers(ids)
    assert text is not None
    return searcher.encoded(text)


def _say(answer: Any, as_json: bool, text: str) -> None:
    typer.echo(msgspec.json.encode(answer).decode() if as_json else text)


def count(
    text: Text = None,
    index: At = None,
    ids: Ids = None,
    ignore_case: IgnoreCase = False,
    tokenizer: TokenizerFile = None,
    as_json: Json = False,
) -> None:
    """Count the occurrences of a text, however it was tokenized, or of token ids."""
    searcher = _opened(index, tokenizer)
    query = _query(searcher, text, ids, ignore_case)
    n = searcher.count(query)
    _say({"query": query.shown, "count": n}, as_json, f"{n:,}")


def find(
    text: Text = None,
    index: At = None,
    ids: Ids = None,
    ignore_case: IgnoreCase = False,
    tokenizer: TokenizerFile = None,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Show where a text or token ids stand in the token files."""
    searcher = _opened(index, tokenizer)
    answer = searcher.find(_query(searcher, text, ids, ignore_case), limit)
    _say(answer, as_json, _positions(answer))


def docs(
    text: Text = None,
    index: At = None,
    ids: Ids = None,
    ignore_case: IgnoreCase = False,
    tokenizer: TokenizerFile = None,
    limit: Limit = 10,
    context: Context = 40,
    as_json: Json = False,
) -> None:
    """Show the documents that hold a text or token ids, with what stands around."""
    searcher = _opened(index, tokenizer)
    answer = searcher.documents(_query(searcher, text, ids, ignore_case), limit, context)
    _say(answer, as_json, _documents(answer))


def next_(
    text: Text = None,
    index: At = None,
    ids: Ids = None,
    tokenizer: TokenizerFile = None,
    token: Token = None,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Show which tokens follow a text's tokens, and how often."""
    searcher = _opened(index, tokenizer)
    answer = searcher.next(_prompt(searcher, text, ids), limit, token, text or "")
    _say(answer, as_json, _following(answer))


def infgram(
    text: Text = None,
    index: At = None,
    ids: Ids = None,
    tokenizer: TokenizerFile = None,
    token: Token = None,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Show what follows the longest end of a text that occurs at all."""
    searcher = _opened(index, tokenizer)
    answer = searcher.infgram(_prompt(searcher, text, ids), limit, token, text or "")
    _say(answer, as_json, _following(answer))


def cnf(
    clauses: Annotated[
        list[str],
        typer.Argument(metavar="CLAUSE...", help="A phrase, or several with ' OR ' between them."),
    ],
    index: At = None,
    within: Annotated[int, typer.Option(help="Tokens between them at most.", min=0)] = 100,
    max_occurrences: Annotated[
        int, typer.Option(help="Of a clause and shard; beyond, a sample is looked at.", min=1)
    ] = 1 << 20,
    ignore_case: IgnoreCase = False,
    tokenizer: TokenizerFile = None,
    limit: Limit = 10,
    context: Context = 40,
    as_json: Json = False,
) -> None:
    """Show documents in which one phrase of each clause stands near one of every other."""
    from dolma_kit.searching import conditions

    searcher = _opened(index, tokenizer)
    queries = [
        [searcher.text(phrase, ignore_case=ignore_case) for phrase in conditions.clause_of(clause)]
        for clause in clauses
    ]
    answer = conditions.meet(
        searcher, queries, within=within, max_occurrences=max_occurrences, limit=limit,
        context=context,
    )  # fmt: skip
    _say(answer, as_json, _met(answer))


def regex(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="As the library regex has it.")],
    index: At = None,
    ignore_case: IgnoreCase = False,
    tokenizer: TokenizerFile = None,
    limit: Limit = 10,
    timeout: Annotated[float, typer.Option(help="Seconds for one document at most.")] = 20.0,
    as_json: Json = False,
) -> None:
    """Show what a regular expression matches in the documents' texts."""
    from dolma_kit.searching import regexes

    searcher = _opened(index, tokenizer)
    answer = regexes.search(
        searcher, pattern, ignore_case=ignore_case, limit=limit, timeout=timeout
    )
    _say(answer, as_json, _matches(answer))


def _positions(answer: Found) -> str:
    lines = [f"{answer.count:,} occurrences of {_shown(answer.query)}"]
    lines += [
        f"{one.index}/{one.part}: token {one.token}, {one.n_tokens} tokens"
        + (f", from byte {one.offset} of the first" if one.offset else "")
        for one in answer.positions
    ]
    return "\n".join(lines)


def _documents(answer: Documents) -> str:
    head = (
        f"{answer.count:,} occurrences of {_shown(answer.query)} in {answer.documents:,} documents"
    )
    return "\n".join([head, *map(_document, answer.shown)])


def _met(answer: Met) -> str:
    lines = [
        f"{n:,} occurrences of {' OR '.join(map(_shown, clause))}"
        for clause, n in zip(answer.query, answer.occurrences, strict=True)
    ]
    sampled = " at least, as not all were looked at" if answer.sampled else ""
    lines.append(
        f"{answer.count:,} of them within {answer.within} tokens of all others, in "
        f"{answer.documents:,} documents{sampled}"
    )
    return "\n".join([*lines, *map(_document, answer.shown)])


def _document(one: Any) -> str:
    source = f", {one.source}" if one.source else ""
    times = "" if one.occurrences == 1 else f", {one.occurrences} times"
    return (
        f"\n{one.id} ({one.src}:{one.line}{source}){times}\n"
        f"  {_line(one.before, 100, end=True)}[{_line(one.match, 200)}]{_line(one.after, 100)}"
    )


def _following(answer: Following) -> str:
    head = f"{answer.count:,} occurrences of the last {answer.used} of {answer.asked} tokens"
    if answer.text:
        head += f", {_shown(answer.text)}"
    lines = [f"{head}; {answer.distinct:,} different tokens follow"]
    for one in answer.next:
        lines.append(f"{one.share:8.2%} {one.count:12,}  {one.id:7}  {_shown(one.text or '')}")
    if answer.probability is not None:
        lines.append(f"probability of the token asked for: {answer.probability:.6g}")
    return "\n".join(lines)


def _matches(answer: Matches) -> str:
    how = f"those that hold {_shown(answer.literal)}" if answer.literal else "all"
    lines = [
        f"{answer.count:,} matches in {answer.documents:,} documents; {answer.looked_at:,} looked "
        f"at, {how}"
    ]
    for one in answer.shown:
        source = f", {one.source}" if one.source else ""
        lines.append(
            f"\n{one.id} ({one.src}:{one.line}{source}), characters {one.start} to {one.end}\n"
            f"  {_line(one.before, 80, end=True)}[{_line(one.match, 200)}]{_line(one.after, 80)}"
        )
    return "\n".join(lines)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _line(text: str, longest: int, *, end: bool = False) -> str:
    """A text on one line, cut where it is long; its end where that is what counts."""
    if len(text) > longest:
        text = "..." + text[-longest:] if end else text[:longest] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
