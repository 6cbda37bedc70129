"""`dolma-kit trace import|export|verify|exposure|plan|diff`: questions to the order of a run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    from dolma_kit.order.asking.comparing import Comparison
    from dolma_kit.order.asking.exposure import Exposure
    from dolma_kit.order.asking.planning import Plan
    from dolma_kit.order.asking.verifying import Checked, Verification

RunFile = Annotated[str, typer.Option("--run", metavar="RUN.YAML", help="The training run.")]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON instead.")]
Epoch = Annotated[int | None, typer.Option(help="Which epoch's (default: the first).")]


def add_to(trace: typer.Typer) -> None:
    trace.command("import")(import_)
    trace.command("export")(export)
    trace.command("verify")(verify)
    trace.command("exposure")(exposure)
    trace.command("plan")(plan)
    trace.command("diff")(diff)


def step_of(at: str | None) -> int | None:
    """A step, or that of a revision's name."""
    if at is None:
        return None
    if at.isdecimal():
        return int(at)
    from dolma_kit.order.importing.revisions import parse

    return parse(at).step


def _say(answer: msgspec.Struct, as_json: bool, text: str) -> None:
    typer.echo(msgspec.json.encode(answer).decode() if as_json else text)


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="OLMo's config.yaml, a checkpoint's folder, a mix (.txt), an order (.npy), an "
            "index (.idx), or a folder of Megatron's cached indices.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="RUN.YAML", help="The run.yaml to write.")],
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM=TO", help="Prefix of paths, and what is there now; repeatable."),
    ] = None,
    stat: Annotated[bool, typer.Option("--stat", help="Ask for the sizes of remote files.")] = (
        False
    ),
    revisions: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="Checkpoints: their names, or lists of them."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="REVISION", help="The checkpoint at which it ends.")
    ] = None,
    tokens: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Token files (or a mix), where the source has none."),
    ] = None,
    kind: Annotated[
        Literal["olmo", "olmo-core", "feistel", "sequential"] | None,
        typer.Option(help="Kind of order over a mix (default: olmo-core)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order.")] = None,
    sequence_length: Annotated[int | None, typer.Option(help="Tokens of an instance.")] = None,
    global_batch_size: Annotated[int | None, typer.Option(help="Instances of a batch.")] = None,
    world_size: Annotated[int | None, typer.Option(help="Ranks.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.")] = None,
    dtype: Annotated[
        Literal["uint16", "uint32"] | None, typer.Option(help="Type of the tokens.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(metavar="FILE", help="tokenizer.json.")] = None,
    tokenizer_name: Annotated[
        str | None, typer.Option(help="What stands for {TOKENIZER} in the paths of a mix.")
    ] = None,
    eos_token_id: Annotated[int | None, typer.Option(help="The id that ends a document.")] = None,
) -> None:
    """Write the run.yaml of another program's run, and the list of its files with their sizes."""
    from dolma_kit.order.importing.writing import Options, import_run

    roots = [_root(one) for one in root or []]
    if not out.endswith((".yaml", ".yml")):
        raise ConfigError(f"--out {out}: a run description is a .yaml")
    for name, value in (
        ("--sequence-length", sequence_length),
        ("--global-batch-size", global_batch_size),
        ("--world-size", world_size),
        ("--epochs", epochs),
    ):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value}: 1 or more")
    made = import_run(
        source,
        out,
        Options(
            roots=roots, stat=stat, revisions=revisions or [], at=at, tokens=tokens or [],
            kind=kind, seed=seed, sequence_length=sequence_length,
            global_batch_size=global_batch_size, world_size=world_size, epochs=epochs, dtype=dtype,
            tokenizer=tokenizer, tokenizer_name=tokenizer_name, eos_token_id=eos_token_id,
        ),
    )  # fmt: skip
    for warning in made.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(msgspec.json.encode(made).decode())


def _root(text: str) -> tuple[str, str]:
    before, equals, now = text.partition("=")
    if not equals or not before:
        raise ConfigError(f"--root {text}: write FROM=TO, two prefixes of paths")
    return before, now


def export(
    run: RunFile,
    global_indices: Annotated[
        str | None,
        typer.Option("--global-indices", metavar="FILE", help="The order, as OLMo reads it."),
    ] = None,
    inverse: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also the position of each instance.")
    ] = None,
    epoch: Epoch = None,
) -> None:
    """Write the order of instances as a headerless uint32 file."""
    from dolma_kit.order.export import export_global_indices
    from dolma_kit.order.run import open_run
    from dolma_kit.summary import Summary

    if global_indices is None:
        raise ConfigError("nothing to export: name a file with --global-indices FILE")
    started = time.perf_counter()
    opened = open_run(run)
    n = export_global_indices(opened, global_indices, epoch, inverse)
    n_inverse = opened.instances.n_instances if inverse else 0
    summary = Summary(
        command="trace export",
        documents=0,
        bytes_in=0,
        bytes_out=4 * (n + n_inverse),
        seconds=round(time.perf_counter() - started, 3),
        mb_per_s=0.0,
        outputs=[global_indices, *([inverse] if inverse else [])],
        counts={"positions": n},
    )
    typer.echo(msgspec.json.encode(summary).decode())


def verify(
    run: RunFile,
    order_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A global_indices.npy to compare with.")
    ] = None,
    ranks: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="OLMo's rank{r}.tsv.gz; repeatable, one a rank."),
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="FILE", help="The order-trace.bin of our trainer.")
    ] = None,
    epoch: Epoch = None,
    as_json: AsJson = False,
) -> None:
    """Compare a recorded order with the run's, and say what a difference likely comes from.

    Without one, check the run against itself: sizes, lists of documents, the order both ways.
    """
    from dolma_kit.order.asking import verifying
    from dolma_kit.order.run import open_run

    if sum((order_file is not None, bool(ranks), trace is not None)) > 1:
        raise ConfigError("compare with one thing: --order-file, --trace, or --ranks of each rank")
    opened = open_run(run)
    if order_file is None and trace is None and not ranks:
        checked = verifying.verify_run(opened)
        _say(checked, as_json, _checked(checked))
        return
    if order_file is not None:
        found = verifying.verify_order_file(opened, order_file, epoch)
    elif trace is not None:
        found = verifying.verify_trace(opened, trace)
    else:
        found = verifying.verify_ranks(opened, ranks or [])
    _say(found, as_json, _verified(found))
    if not found.equal:
        raise typer.Exit(1)


def exposure(
    run: RunFile,
    at: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="The step, or a revision (default: the last)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run has seen by a step: tokens by source, repeats, how long ago."""
    from dolma_kit.order.asking.exposure import exposure_at
    from dolma_kit.order.run import open_run

    opened = open_run(run)
    step = step_of(at)
    found = exposure_at(opened, opened.n_steps if step is None else step)
    _say(found, as_json, _exposed(found))


def plan(
    n: Annotated[int, typer.Argument(metavar="N", help="Training step, from 1.")],
    run: RunFile,
    as_json: AsJson = False,
) -> None:
    """Show which byte ranges of which files a step needs; reads no token."""
    from dolma_kit.order.asking.planning import plan_of
    from dolma_kit.order.run import open_run

    found = plan_of(open_run(run), n)
    _say(found, as_json, _planned(found))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A run.yaml.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    at: Annotated[
        str | None, typer.Option(metavar="STEP", help="Compare up to this step (default: all).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where two runs differ: settings, files, and from which step on their batches."""
    from dolma_kit.order.asking.comparing import compare
    from dolma_kit.order.run import open_run

    found = compare(open_run(a), open_run(b), step_of(at))
    _say(found, as_json, _compared(found))


def _checked(found: Checked) -> str:
    lines = [
        f"{found.files:,} files, {found.instances:,} instances, {found.steps:,} steps, "
        f"{found.documents:,} documents: as it should be (fingerprint {found.fingerprint})"
    ]
    return "\n".join([*lines, *(f"  no list of documents: {p}" for p in found.without_documents)])


def _verified(found: Verification) -> str:
    if found.equal:
        return f"{found.file} is the order of this run (fingerprint {found.fingerprint})"
    lines = [f"{found.file} is not the order of this run: {found.recorded:,} and {found.run:,}"]
    first = found.first_difference
    if first is not None:
        rank = "" if first.rank is None else f", rank {first.rank}"
        place = f"position {first.position}" if first.step is None else f"step {first.step}{rank}"
        lines.append(f"  first difference at {place}: {first.recorded} there, {first.run} here")
    causes = found.likely_causes or ["no cause that was tried explains it"]
    return "\n".join([*lines, *(f"  likely: {cause}" for cause in causes)])


def _exposed(found: Exposure) -> str:
    lines = [
        f"by step {found.step:,}: {found.tokens:,} tokens, {found.unique_tokens:,} of "
        f"{found.available_tokens:,} at least once ({found.epochs:.3f} epochs); "
        f"{found.masked_tokens:,} masked"
    ]
    head = ("source", "tokens", "share", "seen of", "times", "documents", "steps since")
    rows = [
        (
            one.source,
            f"{one.tokens:,}",
            f"{one.share:.1%}",
            f"{one.unique_tokens / max(one.available_tokens, 1):.1%}",
            f"{one.repeats:.2f}",
            "" if one.documents is None else f"{one.documents_seen:,} of {one.documents:,}",
            "" if one.steps_since is None else f"{one.steps_since:,.1f}",
        )
        for one in found.sources
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    times = ", ".join(f"{n:,} {times} times" for times, n in found.times_seen.items())
    lines.append(f"tokens seen: {times or 'none'}")
    since = ", ".join(f"{name} {n:,}" for name, n in found.steps_since.items())
    lines.append(f"steps since a token was last seen: {since or 'none'}")
    return "\n".join(lines)


def _planned(found: Plan) -> str:
    lines = [
        f"step {found.step} needs {found.bytes:,} bytes of {found.files} files, for "
        f"{found.instances} instances"
    ]
    lines += [f"  {one.path} {one.start}-{one.end}" for one in found.ranges]
    return "\n".join(lines)


def _compared(found: Comparison) -> str:
    lines = [f"fingerprints {found.fingerprints[0]} and {found.fingerprints[1]}"]
    lines += [f"{one.what}: {_shown(one.a)} and {_shown(one.b)}" for one in found.differences]
    lines += [f"only in A: {path}" for path in found.only_a]
    lines += [f"only in B: {path}" for path in found.only_b]
    lines.append(f"steps: {found.steps[0]:,} and {found.steps[1]:,}")
    first = found.first_different_step
    lines.append(
        f"the {found.steps_compared:,} steps that both have are the same"
        if first is None
        else f"step {first} is the first of {found.steps_compared:,} that differs"
    )
    lines.append(
        f"instances read by then: {found.instances[0]:,} and {found.instances[1]:,}, of which "
        f"{found.shared_instances:,} are in both"
    )
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
