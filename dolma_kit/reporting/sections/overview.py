"""The head of the page: what there is in one glance, how it was made, what is missing."""

from __future__ import annotations

from collections.abc import Callable

from dolma_kit.markup import counted, escaped
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report, Share
from dolma_kit.reporting.blocks import part
from dolma_kit.reporting.numbers import count, size
from dolma_kit.reporting.reading import first_documents, limits

MOST_PARTIAL = 6


def head(report: Report) -> str:
    """Title, key figures and how it was made."""
    return (
        f"<header><h1>{blocks.text(report.title, 200) if report.title else 'A corpus'}</h1>"
        f"{_partial(report)}<p class=soft>{_how(report)}</p>{_key(report)}</header>"
    )


def _partial(report: Report) -> str:
    """What was made of the first documents only; nothing where all is of all."""
    notes = []
    for limit, made in limits(report).items():
        shown = ", ".join(blocks.name(one) for one in made[:MOST_PARTIAL])
        more = f" and {len(made) - MOST_PARTIAL:,} more" if len(made) > MOST_PARTIAL else ""
        notes.append(blocks.note(
            f"<b>Partial: made of the {first_documents(limit)} only</b>: {shown}{more}."
        ))  # fmt: skip
    return "".join(notes)


def _summed(report: Report, of: Callable[[Share], int | None]) -> int | None:
    known = [n for one in report.composition if (n := of(one)) is not None]
    return sum(known) if known else None


def _key(report: Report) -> str:
    """The figures; of those that nobody counted there is a dash."""
    docs_in = _summed(report, lambda one: one.documents_in)
    docs_out = _summed(report, lambda one: one.documents_out)
    bytes_in = _summed(report, lambda one: one.bytes_in)
    bytes_out = _summed(report, lambda one: one.bytes_out)
    tokens = _summed(report, lambda one: one.tokens)
    steps = [run.n_steps for run in report.runs]
    seen = [run.exposures[-1] for run in report.runs if run.exposures]
    rows = [
        ("documents read", count(docs_in), size(bytes_in) if bytes_in else ""),
        ("documents written", count(docs_out), _of(docs_out, docs_in)),
        ("text written", size(bytes_out), _of(bytes_out, bytes_in)),
        ("tokens", count(tokens), ", ".join(_tokenizer(report))),
        ("sources", count(len(report.composition)), ""),
        ("steps of training", count(max(steps)) if steps else "–",
         f"{seen[0].epochs:.3g} epochs" if len(seen) == 1 else _runs(steps)),
    ]  # fmt: skip
    cells = "".join(
        f"<div><dt>{what}</dt><dd>{value}<small>{more}</small></dd></div>"
        for what, value, more in rows
    )
    return f"<dl class=key>{cells}</dl>"


def _of(n: int | None, of: int | None) -> str:
    return f"{part(n, of)} of what was read" if n is not None and of else ""


def _runs(steps: list[int]) -> str:
    return f"the longest of {len(steps)} runs" if len(steps) > 1 else ""


def _tokenizer(report: Report) -> list[str]:
    names = [str(one.about["tokenizer"]) for one in report.tokens if one.about.get("tokenizer")]
    return [f"by {blocks.name(one, 40)}" for one in dict.fromkeys(names)][:3]


def _how(report: Report) -> str:
    """What was done, in one sentence, and by what this page was made."""
    kinds: dict[str, int] = {}
    for stage in report.stages:
        kind = stage.stage.split(" ")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    made = ", ".join(f"{escaped(k)} ({n})" if n > 1 else escaped(k) for k, n in kinds.items())
    times = sorted(
        time for stage in report.stages for time in (stage.first, stage.last) if time is not None
    )
    between = ""
    if times:
        first, last = times[0][:10], times[-1][:10]
        between = f" on {escaped(first)}" if first == last else (
            f" between {escaped(first)} and {escaped(last)}")  # fmt: skip
    tools = ", ".join(f"{escaped(k)} {escaped(v)}" for k, v in report.made_with.items())
    did = f"Made by {counted(len(report.stages), 'stage')}: {made}{between}. " if made else ""
    by = f"This page was made with {tools}." if tools else ""
    return did + by


def missing(report: Report) -> str:
    """What is not on this page, with the commands that make it."""
    if not report.missing:
        return "<p class=soft>Nothing that this page looks for is missing.</p>"
    rows = [
        (
            escaped(one.section), blocks.text(one.what), blocks.text(one.why, 400),
            f"<code style='user-select:all'>{escaped(one.cure[: blocks.MOST_OF_COMMAND])}</code>"
            if one.cure else "",
        )
        for one in report.missing
    ]  # fmt: skip
    return blocks.table(
        "What is not there, why, and the command that makes it",
        ["section", blocks.texts("what"), blocks.texts("why"), blocks.texts("command")], rows,
    )  # fmt: skip
