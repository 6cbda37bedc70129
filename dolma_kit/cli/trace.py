"""`dolma-kit trace step|doc|text`: what a training run saw, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dolma_kit.cli import orders

if TYPE_CHECKING:
    from dolma_kit.order.answers import DocumentAnswer, Sighting, StepAnswer, TextAnswer

RunFile = Annotated[str, typer.Option("--run", metavar="RUN.YAML", help="The training run.")]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON instead.")]
At = Annotated[
    str | None,
    typer.Option(metavar="STEP", help="Only up to this step, or a revision (step1000-tokens4B)."),
]
SHOWN_CHARACTERS = 160
SHOWN_STEPS = 12


def add_to(app: typer.Typer) -> None:
    trace = typer.Typer(help="Which documents a training run saw, and when.")
    trace.command("step")(step)
    trace.command("doc")(doc)
    trace.command("text")(text)
    orders.add_to(trace)
    app.add_typer(trace, name="trace")


def step(
    n: Annotated[int, typer.Argument(metavar="N", help="Training step, from 1.")],
    run: RunFile,
    as_json: AsJson = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a page for eyes instead.")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Only what this rank saw, from 0.")] = None,
    world_size: Annotated[
        int | None, typer.Option(help="How many ranks there were (default: as the run says).")
    ] = None,
    micro_batch: Annotated[
        int | None, typer.Option(help="Instances a rank takes at a time, to number them.")
    ] = None,
) -> None:
    """Show what the batch at a step saw: documents, sources, token ranges, text."""
    from dolma_kit import files
    from dolma_kit.errors import ConfigError
    from dolma_kit.order.run import open_run
    from dolma_kit.order.steps import Ranks, trace_step

    for name, value in (("--world-size", world_size), ("--micro-batch", micro_batch)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value}: 1 or more")
    ranks = Ranks(rank, world_size, micro_batch)
    opened = open_run(run)
    if html is not None:
        from dolma_kit.order.asking.page import step_page

        page = step_page(opened, n, ranks).encode("utf-8", "replace")
        with files.write_atomically(html) as stream:
            stream.write(page)
        said = {"command": "trace step", "step": n, "bytes_out": len(page), "outputs": [html]}
        typer.echo(msgspec.json.encode(said).decode())
        return
    answer = trace_step(opened, n, ranks)
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
        return
    seen = opened.step(n)
    ends = {
        (one.instance, part.document.start)
        for one in answer.instances
        for part in seen.parts(one.instance)
        if part.ends
    }
    typer.echo(step_text(answer, ends))


def doc(
    document_id: Annotated[str, typer.Argument(metavar="ID", help="A document's id.")],
    run: RunFile,
    as_json: AsJson = False,
    at: At = None,
) -> None:
    """Show when a document was seen, or why never."""
    from dolma_kit.order.run import open_run
    from dolma_kit.order.steps import trace_doc

    answer = trace_doc(open_run(run), document_id, orders.step_of(at))
    typer.echo(msgspec.json.encode(answer).decode() if as_json else _doc_text(answer))


def text(
    phrase: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, as it stands.")],
    run: RunFile,
    as_json: AsJson = False,
    at: At = None,
    limit: Annotated[
        int, typer.Option(help="Occurrences that are listed; all are counted.", min=0)
    ] = 100,
    workers: Annotated[int | None, typer.Option(help="Threads (default: usable CPUs).")] = None,
) -> None:
    """Show when a phrase was seen: every occurrence, however it was tokenized."""
    from dolma_kit.execute import usable_cpus
    from dolma_kit.order.run import open_run
    from dolma_kit.searching.tracing import trace_text

    answer = trace_text(
        open_run(run),
        phrase,
        limit=limit,
        until=orders.step_of(at),
        workers=workers or usable_cpus(),
    )
    typer.echo(msgspec.json.encode(answer).decode() if as_json else _phrase_text(answer))


def step_text(answer: StepAnswer, ends: Collection[tuple[int, int]] = ()) -> str:
    """A step for eyes: one instance a paragraph, one document a line with the start of its text.

    `ends` are (instance, start) of the parts whose last token is the EOS.
    """
    n_documents = sum(len(instance.documents) for instance in answer.instances)
    lines = [
        f"step {answer.step} (batch {answer.batch} of epoch {answer.epoch}): "
        f"{len(answer.instances)} instances, {n_documents} documents"
    ]
    for instance in answer.instances:
        micro = "" if instance.micro_batch is None else f", micro-batch {instance.micro_batch}"
        scanned = "" if instance.boundaries is None else ", borders by EOS tokens only"
        lines.append(
            f"\ninstance {instance.instance} at position {instance.position}, "
            f"rank {instance.rank}{micro}, {instance.status}{scanned}"
        )
        for part in instance.documents:
            words = " ".join(part.text.split())
            shown = words if len(words) <= SHOWN_CHARACTERS else words[:SHOWN_CHARACTERS] + " ..."
            source = f"{part.source}, " if part.source else ""
            where = part.src if part.line is None else f"{part.src}:{part.line}"
            place = f"{source}{where}, its tokens {part.doc_start}-{part.doc_end}"
            context = ", token 0 is context only" if part.start == 0 else ""
            labels = _labels(part.labels)
            lines.append(
                f"  tokens {part.start:>5}-{part.end:<5} {part.id} ({place}{labels}{context})"
            )
            eos = " <EOS>" if (instance.instance, part.start) in ends else ""
            lines.append(f"      {shown}{eos}")
    tokens = Counter[str]()
    for instance in answer.instances:
        for part in instance.documents:
            tokens[part.source or "unknown"] += part.end - part.start
    total = max(tokens.total(), 1)
    shares = ", ".join(f"{name} {n / total:.0%}" for name, n in sorted(tokens.items()))
    lines.append(f"\ntokens by source: {shares}")
    return "\n".join(lines)


def _doc_text(answer: DocumentAnswer) -> str:
    if answer.removed is not None:
        one = answer.removed
        return (
            f"{answer.id} was never seen: removed from stream {one.stream} by {one.rule} "
            f"({one.src}:{one.line}; all rules that say so: {', '.join(one.rules)})"
        )
    if answer.never is not None:
        return f"{answer.id} was never seen: {answer.never}"
    lines = [f"{answer.id} was seen {len(answer.seen)} times"]
    return "\n".join([*lines, *(_sighting(s) for s in answer.seen)])


def _sighting(s: Sighting) -> str:
    return (
        f"  step {s.step} (batch {s.batch} of epoch {s.epoch}), rank {s.rank}, "
        f"instance {s.instance}, tokens {s.start}-{s.end}{_labels(s.labels)}"
    )


def _labels(n: int | None) -> str:
    return "" if n is None else f", {n} of them labels"


def _phrase_text(answer: TextAnswer) -> str:
    lines = [f"{answer.occurrences:,} times in {answer.documents:,} documents"]
    if answer.first_step is not None:
        lines[0] += f"; those listed were seen from step {answer.first_step} to {answer.last_step}"
    for hit in answer.hits:
        where = hit.src if hit.line is None else f"{hit.src}:{hit.line}"
        steps = list(dict.fromkeys(s.step for s in hit.seen))
        shown = ", ".join(map(str, steps[:SHOWN_STEPS])) + (" ..." if steps[SHOWN_STEPS:] else "")
        seen = f"steps {shown}" if steps else f"never seen: {hit.never}"
        across = "" if hit.whole or not steps else ", across instances"
        lines.append(f"  {hit.id} ({where}, byte {hit.start_byte}): {seen}{across}")
    if len(answer.hits) < answer.occurrences:
        lines.append(f"  ... and {answer.occurrences - len(answer.hits):,} more (--limit)")
    return "\n".join(lines)
