"""What the corpus consists of, by source, from what was read to what is trained on."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report, Share
from dolma_kit.reporting.blocks import n, part, percent
from dolma_kit.reporting.drawings.stacks import OTHERS, stacks
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, integer, number, size
from dolma_kit.reporting.reading import Section, missing

ID = "composition"
MOST_ROWS = 40
MOST_PARTS = 8
_SUMMED = ("documents_in", "bytes_in", "words_in", "documents_out", "bytes_out", "words_out",
           "tokens")  # fmt: skip


def section(report: Report) -> Section:
    rows = report.composition
    if not rows:
        return Section(ID, "Composition", missing(report, ID, is_measured=False), False)
    body = ""
    order, stages = _stages(rows)
    if stages:
        body += figure_of(
            stacks("composition", "Sources through the pipeline", stages, order),
            "How sources are mixed: text as it was read and as it was written, by bytes; tokens; "
            "and tokens by how often a run trains on them.",
        )
    total = {key: _sum(rows, key) for key in _SUMMED}
    largest = sorted(rows, key=lambda one: -(one.tokens or one.bytes_out or one.bytes_in or 0))
    body += _table(largest[:MOST_ROWS], total, _epochs(rows, total["tokens"]))
    body += blocks.others(len(rows) - MOST_ROWS, "source")
    body += _tokens(report)
    commands = []
    for mix in report.mixes:
        commands.append(f"dolma-kit mix composition --from {shlex.quote(mix.folder)}")
    commands += [f"dolma-kit trace exposure --run {shlex.quote(run.run)}" for run in report.runs]
    body += blocks.command(*commands)
    return Section(ID, "Composition", body + missing(report, ID, is_measured=True), True)


def _sum(rows: list[Share], key: str) -> int | None:
    known = [value for one in rows if (value := getattr(one, key)) is not None]
    return sum(known) if known else None


def _trained(one: Share) -> float | None:
    return one.tokens * one.epochs if one.tokens and one.epochs is not None else None


#: what a source has of a corpus at a stage
_AMOUNTS: dict[str, Callable[[Share], float | None]] = {
    "read (bytes)": lambda one: one.bytes_in,
    "written (bytes)": lambda one: one.bytes_out,
    "tokens": lambda one: one.tokens,
    "trained on (tokens × epochs)": _trained,
}


def _stages(rows: list[Share]) -> tuple[list[str], list[tuple[str, dict[str, float]]]]:
    """The sources that have a part of their own, and what each has at each stage that is known."""

    def greatest(one: Share) -> float:
        return max(one.bytes_in or 0, one.bytes_out or 0, one.tokens or 0)

    own = [one.source for one in sorted(rows, key=lambda one: -greatest(one))]
    order = own if len(own) <= MOST_PARTS else [*own[: MOST_PARTS - 1], OTHERS]
    found = []
    for label, value in _AMOUNTS.items():
        parts: dict[str, float] = dict.fromkeys(order, 0.0)
        for one in rows:
            amount = value(one)
            if amount:
                parts[one.source if one.source in parts else OTHERS] += amount
        if any(parts.values()):
            found.append((label, parts))
    return order, found


def _epochs(rows: list[Share], tokens: int | None) -> float | None:
    """How often a run trains on a token of the corpus, on average."""
    trained = [amount for one in rows if (amount := _trained(one)) is not None]
    return sum(trained) / tokens if trained and tokens else None


def _table(rows: list[Share], total: dict[str, int | None], epochs: float | None) -> str:
    has_words = total["words_in"] is not None or total["words_out"] is not None
    heads = ["source", n("documents read"), n("written"), n("kept"), n("text read"), n("written"),
             n("words written"), n("tokens"), n("share"), n("epochs")]  # fmt: skip
    cells = [
        [
            blocks.name(one.source), count(one.documents_in), count(one.documents_out),
            part(one.documents_out, one.documents_in), size(one.bytes_in), size(one.bytes_out),
            count(one.words_out), count(one.tokens), percent(one.token_share),
            number(one.epochs, 3),
        ]
        for one in rows
    ]  # fmt: skip
    sums = [
        "all", count(total["documents_in"]), count(total["documents_out"]),
        part(total["documents_out"], total["documents_in"]), size(total["bytes_in"]),
        size(total["bytes_out"]), count(total["words_out"]), count(total["tokens"]),
        "100 %" if total["tokens"] else "–", number(epochs, 3),
    ]  # fmt: skip
    if not has_words:
        heads.pop(6), sums.pop(6)
        for row in cells:
            row.pop(6)
    caption = (
        "By source, the largest first. Kept is by documents, and more than 100 % where they are "
        "taken several times; share is by tokens; epochs are how often a run trains on a token, on "
        "average"
    )
    return blocks.table(caption, heads, cells, sum_row=sums, named="Composition by source")


def _tokens(report: Report) -> str:
    if not report.tokens:
        return ""
    rows = [
        (
            blocks.name(one.folder), blocks.name(str(one.about.get("tokenizer", ""))),
            blocks.digest(str(one.about.get("tokenizer_sha256") or "")),
            number(integer(one.about.get("vocab_size"))),
            blocks.name(str(one.about.get("dtype", ""))),
            number(integer(one.about.get("documents"))), number(integer(one.about.get("tokens"))),
        )
        for one in report.tokens[:MOST_ROWS]
    ]  # fmt: skip
    heads = ["folder", "tokenizer", "SHA-256", n("ids"), "type", n("documents"), n("tokens")]
    return blocks.table("Token files, as their tokens.json says", heads, rows)
