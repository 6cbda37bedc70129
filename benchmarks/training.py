"""The trainer on real text: what it learns, and what its loop costs over the bare model.

    python benchmarks/training.py [--data FOLDER] [--steps 400] [--sources wiki,books]
                                  [--out FOLDER] [--threads 2]

Takes documents of FOLDER's sources (default: $DOLMA_KIT_DATA/corpus), every 20th held out, trains a
BPE of 8,192 ids on the others, tokenizes both, and trains a model of OLMo 2's form with some three
million parameters for so many steps of 16 instances of 256 tokens. Prints perplexity and bits per
byte by source on what was held out, before and after, and every tenth of the losses.

Then, on the same model and batches: the time of a step of ours beside that of a bare forward,
backward, clipping and step of the optimizer, in turns, and how long the loop waited for data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import dolma_kit
from dolma_kit import config
from dolma_kit.order.run import open_run
from dolma_kit.training import checkpoints, evaluating, exporting, preparing
from dolma_kit.training.loop import _train_step, train
from dolma_kit.training.models import Transformer, initialise, shape_of
from dolma_kit.training.optimizer import adamw, summed_loss
from dolma_kit.training.settings import Train
from dolma_kit.training.sharding import Processes

EOS = "<|endoftext|>"
LENGTH = 256
BATCH = 16
HELD_OUT = 20
ROUNDS = 30


def documents(data: Path, source: str) -> Iterator[dict[str, Any]]:
    for path in sorted((data / source / "documents").iterdir()):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            yield from map(json.loads, stream)


def prepare(data: Path, sources: list[str], folder: Path) -> None:
    """Documents for training and held-out ones, a tokenizer, and the tokens of both."""
    texts = []
    for source in sources:
        for part in ("train", "held"):
            (folder / part / source / "documents").mkdir(parents=True)
        outs = {
            part: gzip.open(folder / part / source / "documents/a.jsonl.gz", "wt")
            for part in ("train", "held")
        }
        for i, row in enumerate(documents(data, source)):
            part = "held" if i % HELD_OUT == 0 else "train"
            outs[part].write(json.dumps(row) + "\n")
            if part == "train":
                texts.append(row["text"])
        for out in outs.values():
            out.close()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192, special_tokens=[EOS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "bpe.json"))
    for part in ("train", "held"):
        dolma_kit.tokenize(
            documents=[str(folder / part / source) for source in sources],
            tokenizer=str(folder / "bpe.json"), eos_token_id=0, out=str(folder / f"{part}-tokens"),
            sequence_length=LENGTH, quiet=True,
        )  # fmt: skip
        keys = {
            "tokens": f"{part}-tokens", "sequence_length": LENGTH, "global_batch_size": BATCH,
            "order": {"kind": "olmo", "seed": 6198}, "epochs": 9,
        }  # fmt: skip
        (folder / f"{part}.yaml").write_text(yaml.safe_dump(keys))


def settings(folder: Path, steps: int) -> Train:
    model = {
        "family": "olmo2", "d_model": 128, "n_layers": 4, "n_heads": 4, "mlp_hidden": 512,
        "vocab_size": 8192,
    }  # fmt: skip
    return config.build(
        Train,
        {
            "run": str(folder / "train.yaml"), "out": str(folder / "out"), "model": model,
            "optimizer": {"peak_lr": 3e-3}, "batch": {"micro_batch_size": BATCH}, "z_loss": 1e-5,
            "schedule": {"steps": steps, "warmup_steps": max(1, steps // 20)},
            "log_every": max(1, steps // 10), "checkpoint": {"every": max(1, steps // 4)},
        },
    )  # fmt: skip


def say(name: str, rows: list[evaluating.SourceLoss]) -> None:
    for row in rows:
        print(f"  {name} {row.source}: perplexity {row.perplexity:,.1f}, "
              f"{row.bits_per_byte:.3f} bits per byte, {row.tokens:,} tokens")  # fmt: skip


def overhead(told: Train) -> None:
    """A step of ours and a bare one in turns, on the same batches."""
    alone = Processes(0, 1, torch.device("cpu"), None)
    with tempfile.TemporaryDirectory() as out:
        trainer = preparing.prepare(
            config.build(Train, json.loads(_json(told)) | {"out": out}), alone, False
        )
        shape = shape_of(told.model)
        model = Transformer(shape)
        initialise(model, shape, told.seed)
        optimizer = adamw(model, shape, told.optimizer)
        ours, bare = [], []
        place = trainer.data.first_place
        for step in range(1, ROUNDS + 1):
            batch = trainer.data.read(step, place, BATCH, 0, 1)
            place = batch.next_place
            n_targets = int(batch.is_target.sum())
            started = time.perf_counter()
            _train_step(trainer, batch, n_targets, 1e-3)
            middle = time.perf_counter()
            ids, is_target = torch.from_numpy(batch.ids), torch.from_numpy(batch.is_target)
            cross_entropy, z_loss = summed_loss(model(ids), ids, is_target, told.z_loss)
            torch.autograd.backward((cross_entropy + z_loss) / n_targets)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ours.append(middle - started)
            bare.append(time.perf_counter() - middle)
        trainer.close()
    a, b = np.median(ours[3:]), np.median(bare[3:])
    print(f"a step: {a * 1e3:.1f} ms, bare {b * 1e3:.1f} ms: {a / b - 1:+.1%} (medians of "
          f"{ROUNDS - 3}, in turns)")  # fmt: skip


def _json(told: Train) -> bytes:
    import msgspec

    return msgspec.json.encode(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", default=os.path.join(os.environ.get("DOLMA_KIT_DATA", ""), "corpus")
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--sources", default="wiki,books")
    parser.add_argument("--out")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(arguments.out or name)
        folder.mkdir(exist_ok=True)
        prepare(Path(arguments.data), arguments.sources.split(","), folder)
        told = settings(folder, arguments.steps)
        held = open_run(folder / "held.yaml")
        shape = shape_of(told.model)
        print(f"{shape.n_parameters():,} parameters, "
              f"{shape.n_parameters(embeddings=False):,} without embeddings")  # fmt: skip
        fresh = Transformer(shape)
        initialise(fresh, shape, told.seed)
        say("before", evaluating.evaluate(fresh, held, sequence_length=LENGTH, max_documents=40))
        done = train(told)
        newest = checkpoints.checkpoints(str(folder / "out/checkpoints"))[-1]
        model, *_ = exporting.load_model(newest)
        say("after", evaluating.evaluate(model, held, sequence_length=LENGTH, max_documents=40))
        rows = [
            json.loads(line) for line in (folder / "out/metrics.jsonl").read_text().splitlines()
        ]
        waited = sum(row["data_seconds"] for row in rows) / sum(row["seconds"] for row in rows)
        every = max(1, len(rows) // 10)
        print(
            "losses", ", ".join(f"{r['step']}: {r['loss']:.3f}" for r in rows[every - 1 :: every])
        )
        print(f"{done.tokens:,} tokens at {done.tokens_per_second:,.0f} a second; waited for data "
              f"{waited:.2%} of the time")  # fmt: skip
        overhead(told)


if __name__ == "__main__":
    main()
