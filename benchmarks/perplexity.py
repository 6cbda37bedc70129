"""What a small language model makes of real text, and how fast.

    python benchmarks/perplexity.py [--data FOLDER] [--order 5] [--kenlm]

FOLDER holds `corpus/<source>/documents/*.jsonl.gz` (default: $DOLMA_KIT_DATA). A model is trained
on nine tenths of the English text of `wiki` and `books`; the cutoffs are the 30th and the 60th
percentile of the perplexities of all that is left: the other tenth, `web`, and the declarations of
human rights in other languages, some of them mis-decoded. Printed are the share of each in CCNet's
buckets and speeds, in MB (10^6 bytes) of text a second of processor time. With --kenlm (the package
`kenlm` has to be there), scores are compared with KenLM's and cc_net's way is timed beside ours.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dolma_kit import kernels, registry
from dolma_kit.config import TrainLanguageModel
from dolma_kit.documents import Batch, DocumentReader
from dolma_kit.language_models import models, text, training

ENGLISH = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("DOLMA_KIT_DATA"))
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--kenlm", action="store_true")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data FOLDER, or DOLMA_KIT_DATA, has to say where the texts are")
    with tempfile.TemporaryDirectory() as folder:
        groups = split(Path(arguments.data) / "corpus", Path(folder))
        for name, documents in groups.items():
            write(Path(folder, f"{name}.jsonl"), documents)
        out = f"{folder}/model.arpa"
        held_out = [f"{folder}/{name}.jsonl" for name in groups if name != "trained"]
        kernels.load(("ngram_rows", *models.KERNELS, *text.KERNELS))
        settings = TrainLanguageModel(
            documents=[f"{folder}/trained.jsonl"], out=out, order=arguments.order, held_out=held_out
        )
        started = time.process_time()
        summary = training.train(msgspec.structs.replace(settings, held_out=[]))
        seconds = time.process_time() - started
        n_bytes = sum(len(document.encode()) for document in groups["trained"])
        speed = n_bytes / 1e6 / seconds
        print(f"trained at {speed:.1f} MB/s: {summary.counts}\n")
        cutoffs = training.cutoffs(settings, text.Preparation())
        buckets(out, folder, list(groups), cutoffs)
        speeds(out, folder, list(groups), arguments.kenlm)


def split(corpus: Path, folder: Path) -> dict[str, list[str]]:
    """Name of a group -> its texts."""
    groups: dict[str, list[str]] = {
        "trained": [], "same sources": [], "web, English": [], "web, other": [], "declarations": [],
    }  # fmt: skip
    english = registry.tagger("language_en_v1")
    for source in ("wiki", "books", "web"):
        for batch in read(*sorted(corpus.glob(f"{source}/documents/*.jsonl.gz"))):
            shares = english.tag(batch)["en"]
            metadata = batch.table.column("metadata").to_pylist()
            for i, (document, share) in enumerate(zip(batch.texts, shares, strict=True)):
                is_english = share >= ENGLISH
                if source == "web":
                    groups["web, English" if is_english else "web, other"].append(document)
                elif is_english:
                    groups["trained" if i % 10 else "same sources"].append(document)
                elif b"udhr" in metadata[i]:
                    groups["declarations"].append(document)
    return groups


def read(*paths: Path) -> Iterator[Batch]:
    for path in paths:
        yield from DocumentReader(str(path))


def write(path: Path, documents: list[str]) -> None:
    rows: list[dict[str, Any]] = [{"id": str(i), "text": d} for i, d in enumerate(documents)]
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def buckets(model: str, folder: str, names: list[str], cutoffs: dict[str, float]) -> None:
    head, tail = cutoffs["head"], cutoffs["tail"]
    tagger = registry.tagger({"id": "perplexity_v1", "model": model, "head": head, "tail": tail})
    print(f"{'':<16}{'documents':>10}{'median':>12}{'head':>8}{'middle':>8}{'tail':>8}")
    for name in names:
        columns = [tagger.tag(batch) for batch in read(Path(folder, f"{name}.jsonl"))]
        values = np.concatenate([np.asarray(c["perplexity"]) for c in columns])
        found = np.concatenate([np.asarray(c["bucket"]) for c in columns])
        shares = [float(np.mean(found[found == found] == bucket)) for bucket in (0, 1, 2)]
        print(f"{name:<16}{len(values):>10,}{np.nanmedian(values):>12,.0f}"
              + "".join(f"{share:>8.1%}" for share in shares))  # fmt: skip


def speeds(model: str, folder: str, names: list[str], with_kenlm: bool) -> None:
    loaded = models.load(model)
    paths = [Path(folder, f"{name}.jsonl") for name in names[1:]]
    batches = list(read(*paths))
    n_bytes = sum(batch.n_bytes for batch in batches)
    prepared = text.Preparation()
    lines = [prepared.lines(batch) for batch in batches]  # also makes the table
    steps = {
        "prepared": lambda: [prepared.lines(batch) for batch in batches],
        "scored": lambda: [loaded.score(one) for one in lines],
        "both": lambda: [loaded.score(prepared.lines(batch)) for batch in batches],
    }
    for name, step in steps.items():
        print(f"{name:<10}{n_bytes / 1e6 / seconds_of(step):8.1f} MB/s")
    if with_kenlm:
        beside_kenlm(model, batches, np.concatenate(steps["both"]()))


def seconds_of(step: Any, n_times: int = 3) -> float:
    best = float("inf")
    for _ in range(n_times):
        started = time.process_time()
        step()
        best = min(best, time.process_time() - started)
    return best


def beside_kenlm(model: str, batches: list[Batch], ours: Any) -> None:
    """cc_net's way: Python's normalisation of each line, and KenLM's score of it."""
    import kenlm

    theirs = kenlm.Model(model)
    worst = 0.0
    started = time.process_time()
    scores = []
    for batch in batches:
        for document in batch.texts:
            lines = document.split("\n") if document else []
            normalized = [kernels.ccnet_text.normalized(line.strip()) for line in lines]
            scores.append(sum(theirs.score(line) for line in normalized))
    seconds = time.process_time() - started
    n_bytes = sum(batch.n_bytes for batch in batches)
    for score, row in zip(scores, ours, strict=True):
        worst = max(worst, abs(score - row[0]) / max(1, abs(score)))
    print(
        f"{'cc_net':<10}{n_bytes / 1e6 / seconds:8.1f} MB/s, scores differ by {worst:.1e} at most"
    )


if __name__ == "__main__":
    main()
