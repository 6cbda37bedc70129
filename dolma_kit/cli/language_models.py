"""`dolma-kit train-language-model`: an n-gram model of documents."""

from __future__ import annotations

import msgspec
import typer

from dolma_kit.cli.options import command_for
from dolma_kit.config import TrainLanguageModel


def add_to(app: typer.Typer) -> None:
    app.command("train-language-model")(command_for(TrainLanguageModel, _train))


def _train(settings: TrainLanguageModel, dry_run: bool) -> None:
    from dolma_kit.language_models import training

    if dry_run:
        typer.echo(training.describe(settings))
    else:
        typer.echo(msgspec.json.encode(training.train(settings)).decode())
