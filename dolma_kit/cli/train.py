"""`dolma-kit train` and what it has beside it: export, import, soup, evaluate, generate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import typer

from dolma_kit.errors import ConfigError

Checkpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="A folder like step1000-tokens4B.")
]
Out = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder to write.")]
TokenizerFile = Annotated[
    str | None, typer.Option("--tokenizer", metavar="FILE", help="The run's tokenizer.json.")
]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(train)
    group.command("export")(export)
    group.command("import")(import_)
    group.command("soup")(soup)
    group.command("evaluate")(evaluate)
    group.command("generate")(generate)
    app.add_typer(group, name="train")


def train(
    context: typer.Context,
    config: Annotated[
        str | None, typer.Option("-c", "--config", metavar="FILE", help="train.yaml.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew over what is in `out`.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the model's size and the steps; train nothing.")
    ] = False,
) -> None:
    """Train a model of OLMo 1 or OLMo 2 on a run's tokens; under torchrun, on several devices.

    Goes on from the newest checkpoint in `out`. Needs PyTorch: pip install "dolma-kit[train]".
    """
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise ConfigError("name what to train: -c train.yaml")
    from dolma_kit import config as configs
    from dolma_kit.training.settings import Train

    told = configs.build(Train, configs.read(config), where=config)
    _require_torch()
    if dry_run:
        from dolma_kit.training.preparing import plan

        typer.echo(msgspec.json.format(msgspec.json.encode(plan(told)), indent=2).decode())
        return
    from dolma_kit.training.loop import train as run
    from dolma_kit.training.sharding import is_first_process

    done = run(told, overwrite=overwrite)
    if is_first_process():
        _say(done)


def export(
    checkpoint: Checkpoint,
    out: Out,
    dtype: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="Type of the weights.")
    ] = "float32",
    tokenizer: TokenizerFile = None,
    eos_token_id: Annotated[int | None, typer.Option(help="The id that ends a document.")] = None,
) -> None:
    """Write a checkpoint as a folder that transformers loads."""
    _require_torch()
    from dolma_kit.training import exporting

    _say(
        exporting.export(
            checkpoint, out, dtype=dtype, tokenizer=tokenizer, eos_token_id=eos_token_id
        )
    )


def import_(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A model of Hugging Face: olmo or olmo2.")
    ],
    out: Out,
) -> None:
    """Write a model of Hugging Face as a checkpoint to train from."""
    _require_torch()
    from dolma_kit.training import exporting

    _say(exporting.import_folder(folder, out))


def soup(
    paths: Annotated[
        list[str], typer.Argument(metavar="CHECKPOINT...", help="Two checkpoints or more.")
    ],
    out: Out,
) -> None:
    """Write the mean of checkpoints' weights as a checkpoint."""
    _require_torch()
    from dolma_kit.training import exporting

    _say(exporting.soup(paths, out))


def evaluate(
    checkpoint: Checkpoint,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN.YAML", help="Tokens held out.")
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(help="The first of each source (default: all).", min=1)
    ] = None,
    requests: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Questions with several answers; repeatable."),
    ] = None,
    tokenizer: TokenizerFile = None,
    normalization: Annotated[
        Literal["olmo", "olmo-paper", "none", "per-token", "per-character", "unconditional"],
        typer.Option(help="How answers are compared: by a table of tasks, or one way."),
    ] = "olmo",
    max_questions: Annotated[
        int | None, typer.Option(help="The first of each task (default: all).", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON instead.")] = False,
) -> None:
    """Show perplexity and bits per byte by source, or how questions are answered by task."""
    if (run is None) == (not requests):
        raise ConfigError("evaluate on one thing: --run RUN.YAML, or --requests FILE")
    _require_torch()
    from dolma_kit.training import exporting

    model, _, identity = exporting.load_model(checkpoint)
    length = int(identity.get("sequence_length") or 2048)
    if run is not None:
        from dolma_kit.order.run import open_run
        from dolma_kit.training import evaluating

        losses = evaluating.evaluate(
            model, open_run(run), sequence_length=length, max_documents=max_documents
        )
        text = [
            f"{row.source:<16} {row.documents:>8,} documents {row.tokens:>11,} tokens  perplexity "
            f"{row.perplexity:,.2f}  {row.bits_per_byte:.4f} bits per byte"
            for row in losses
        ]
        _say({"checkpoint": checkpoint, "sources": losses}) if as_json else typer.echo(
            "\n".join(text)
        )
        return
    from tokenizers import Tokenizer

    from dolma_kit.tokens.tokenizer_file import resolve
    from dolma_kit.training import ranking

    if tokenizer is None:
        raise ConfigError("questions are read by the run's tokenizer: --tokenizer FILE")
    answers = ranking.answer(
        model,
        Tokenizer.from_file(resolve(tokenizer).path),
        ranking.read_requests(requests or []),
        most=length,
        normalization=normalization,
        max_questions=max_questions,
    )
    lines = [
        f"{row.task:<16} {row.questions:>7,} questions  {row.accuracy:.1%} right (+- "
        f"{row.standard_error:.1%}, chance {row.chance:.1%}; {row.normalization})  "
        f"{row.gold_bits_per_byte:.4f} bits per byte of the right answer"
        for row in answers
    ]
    _say({"checkpoint": checkpoint, "tasks": answers}) if as_json else typer.echo("\n".join(lines))


def generate(
    checkpoint: Checkpoint,
    prompt: Annotated[str, typer.Argument(metavar="TEXT", help="What to go on with.")],
    tokenizer: Annotated[str, typer.Option(metavar="FILE", help="The run's tokenizer.json.")],
    n: Annotated[int, typer.Option("--tokens", help="At most so many.", min=1)] = 64,
    temperature: Annotated[float, typer.Option(help="0: the likeliest; else drawn.", min=0)] = 0.0,
    seed: Annotated[int, typer.Option(help="Of what is drawn.", min=0)] = 0,
    eos_token_id: Annotated[int | None, typer.Option(help="The id to stop at.")] = None,
) -> None:
    """Print how a model goes on with a text."""
    _require_torch()
    from tokenizers import Tokenizer

    from dolma_kit.tokens.tokenizer_file import resolve
    from dolma_kit.training import exporting
    from dolma_kit.training.generating import generate as generated

    model, _, identity = exporting.load_model(checkpoint)
    made = Tokenizer.from_file(resolve(tokenizer).path)
    ids = made.encode(prompt, add_special_tokens=False).ids
    if not ids:
        raise ConfigError("nothing to go on with: the text has no tokens")
    most = int(identity.get("sequence_length") or 2048)
    found = generated(
        model, ids, n=n, most=most, temperature=temperature, seed=seed, eos_token_id=eos_token_id
    )
    typer.echo(made.decode([*ids, *found], skip_special_tokens=False))


def _require_torch() -> None:
    try:
        import torch
    except ImportError:
        raise ConfigError('training needs PyTorch: pip install "dolma-kit[train]"') from None
    del torch


def _say(what: Any) -> None:
    typer.echo(msgspec.json.encode(what).decode())
