"""`dolma-kit trace step|doc|export`: what a training run saw, and when."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    from dolma_kit.order.answers import DocumentAnswer, StepAnswer

RunFile = Annotated[str, typer.Option("--run", metavar="RUN.YAML", help="The training run.")]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON instead.")]
SHOWN_CHARACTERS = 160


def add_to(app: typer.Typer) -> None:
    trace = typer.Typer(help="Which documents a training run saw, and when.")
    trace.command("step")(step)
    trace.command("doc")(doc)
    trace.command("export")(export)
    app.add_typer(trace, name="trace")


def step(
    n: Annotated[int, typer.Argument(metavar="N", help="Training step, from 1.")],
    run: RunFile,
    as_json: AsJson = False,
) -> None:
    """Show what the batch at a step saw: documents, sources, token ranges, text."""
    from dolma_kit.order.run import open_run, trace_step

    answer = trace_step(open_run(run), n)
    typer.echo(msgspec.json.encode(answer).decode() if as_json else step_text(answer))


def doc(
    document_id: Annotated[str, typer.Argument(metavar="ID", help="A document's id.")],
    run: RunFile,
    as_json: AsJson = False,
) -> None:
    """Show when a document was seen, or why never."""
    from dolma_kit.order.run import open_run, trace_doc

    answer = trace_doc(open_run(run), document_id)
    typer.echo(msgspec.json.encode(answer).decode() if as_json else _doc_text(answer))


def export(
    run: RunFile,
    global_indices: Annotated[
        str | None,
        typer.Option("--global-indices", metavar="FILE", help="The order, as OLMo reads it."),
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="Which epoch's (default: the first).")] = None,
) -> None:
    """Write the order of instances as a headerless uint32 file."""
    from dolma_kit.order.export import export_global_indices
    from dolma_kit.order.run import open_run
    from dolma_kit.summary import Summary

    if global_indices is None:
        raise ConfigError("nothing to export: name a file with --global-indices FILE")
    started = time.perf_counter()
    n = export_global_indices(open_run(run), global_indices, epoch)
    summary = Summary(
        command="trace export",
        documents=0,
        bytes_in=0,
        bytes_out=4 * n,
        seconds=round(time.perf_counter() - started, 3),
        mb_per_s=0.0,
        outputs=[global_indices],
        counts={"positions": n},
    )
    typer.echo(msgspec.json.encode(summary).decode())


def step_text(answer: StepAnswer) -> str:
    """A step for eyes: one instance a paragraph, one document a line with the start of its text."""
    n_documents = sum(len(instance.documents) for instance in answer.instances)
    lines = [
        f"step {answer.step} (batch {answer.batch} of epoch {answer.epoch}): "
        f"{len(answer.instances)} instances, {n_documents} documents"
    ]
    for instance in answer.instances:
        lines.append(
            f"\ninstance {instance.instance} at position {instance.position}, "
            f"rank {instance.rank}, {instance.status}"
        )
        for part in instance.documents:
            text = " ".join((part.text or "").split())
            shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " ..."
            source = f"{part.source}, " if part.source else ""
            place = f"{source}{part.src}:{part.line}, its tokens {part.doc_start}-{part.doc_end}"
            lines.append(f"  tokens {part.start:>5}-{part.end:<5} {part.id} ({place})")
            lines.append(f"      {shown}")
    tokens = Counter[str]()
    for instance in answer.instances:
        for part in instance.documents:
            tokens[part.source or "unknown"] += part.end - part.start
    total = max(tokens.total(), 1)
    shares = ", ".join(f"{name} {n / total:.0%}" for name, n in sorted(tokens.items()))
    lines.append(f"\ntokens by source: {shares}")
    return "\n".join(lines)


def _doc_text(answer: DocumentAnswer) -> str:
    if answer.never is not None:
        return f"{answer.id} was never seen: {answer.never}"
    lines = [f"{answer.id} was seen {len(answer.seen)} times"]
    lines += [
        f"  step {s.step} (batch {s.batch} of epoch {s.epoch}), rank {s.rank}, "
        f"instance {s.instance}, tokens {s.start}-{s.end}"
        for s in answer.seen
    ]
    return "\n".join(lines)
