"""`dolma-kit train-classifier`: labelled documents in, a model for the tagger `fasttext` out."""

from __future__ import annotations

import shlex

import msgspec
import typer

from dolma_kit.cli.options import command_for, takes_many
from dolma_kit.cli.stages import pretty
from dolma_kit.config import TrainClassifier
from dolma_kit.summary import Summary


def add_to(app: typer.Typer) -> None:
    command = command_for(TrainClassifier, _train)
    app.command("train-classifier", cls=takes_many(TrainClassifier))(command)


def _train(settings: TrainClassifier, dry_run: bool) -> None:
    from dolma_kit import classifying

    if dry_run:
        lines = [pretty(settings)]
        for label, shards in classifying.inputs(settings).items():
            lines += [f"{label}: {len(shards)} files", *(f"    {s.path}" for s in shards[:20])]
        typer.echo("\n".join(lines))
        return
    summary = classifying.train_classifier(settings)
    if not settings.quiet:
        typer.echo(_for_eyes(summary), err=True)
    typer.echo(msgspec.json.encode(summary).decode())


def _for_eyes(summary: Summary) -> str:
    """What the JSON says, as tables."""
    counts = summary.counts
    held_out, majority = counts["held_out"], counts["held_out"]["majority"]
    lines = [
        f"{'label':<20} {'held out':>9} {'precision':>9} {'recall':>7} {'F1':>7} {'AP':>7} "
        f"{'AUC':>7}"
    ]
    for label, found in held_out["labels"].items():
        figures = " ".join(
            f"{found[key]:>{width}.3f}"
            for key, width in (
                ("precision", 9), ("recall", 7), ("f1", 7), ("average_precision", 7),
                ("roc_auc", 7),
            )
        )  # fmt: skip
        lines.append(f"{label:<20} {found['documents']:>9,} {figures}")
    lines += [
        "",
        f"accuracy {held_out['accuracy']:.3f}, macro F1 {held_out['macro_f1']:.3f}; always "
        f"{majority['label']!r}: {majority['accuracy']:.3f}, {majority['macro_f1']:.3f}",
    ]
    for label, found in held_out["thresholds"].items():
        lines += ["", f"{label + ' from':<20} {'precision':>9} {'recall':>7} {'F1':>7} {'kept':>7}"]
        rows = [(f"{row['threshold']:g}", row) for row in found["table"]]
        best = found["best_f1"]
        for name, row in [*rows, (f"{best['threshold']:.5f} (best F1)", best)]:
            lines.append(
                f"{name:<20} {row['precision']:>9.3f} {row['recall']:>7.3f} {row['f1']:>7.3f} "
                f"{row['kept']:>7.1%}"
            )
    if counts["texts_in_several_labels"]:
        lines += ["", f"{counts['texts_in_several_labels']:,} texts stand under several labels"]
    tagger = shlex.quote(counts["tagger"])
    lines += ["", f"use it: dolma-kit tag DOCS --taggers {tagger} --experiment NAME"]
    return "\n".join(lines)
