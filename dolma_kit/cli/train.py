"""`dolma-kit train`: the bundled trainer."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from dolma_kit.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    config: Annotated[str, typer.Option("-c", "--config", metavar="FILE", help="train.yaml.")],
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
    from dolma_kit import config as configs
    from dolma_kit.training.settings import Train

    told = configs.build(Train, configs.read(config), where=config)
    try:
        import torch
    except ImportError:
        raise ConfigError('training needs PyTorch: pip install "dolma-kit[train]"') from None
    del torch
    if dry_run:
        from dolma_kit.training.preparing import plan

        typer.echo(msgspec.json.format(msgspec.json.encode(plan(told)), indent=2).decode())
        return
    from dolma_kit.training.loop import train as run
    from dolma_kit.training.sharding import is_first_process

    done = run(told, overwrite=overwrite)
    if is_first_process():
        typer.echo(msgspec.json.encode(done).decode())
