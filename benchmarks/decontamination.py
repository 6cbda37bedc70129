"""The rules of `decontaminate`: what they find of planted items, what they cost in time and memory.

    python benchmarks/decontamination.py [--data FOLDER] [--items 500] [--documents N] [--seed 1]

`FOLDER` has `corpus/` and `evals/` (default: $DOLMA_KIT_DATA). First `--items` items of each kind
are put into documents of the corpus (`tests/decontamination/planting.py`): the share that each rule
finds of those it can find, and how many clean documents it takes for contaminated. Then each rule
goes alone over the corpus on one core, reading and decoding apart, splitting into words included:
microseconds a document and nanoseconds a byte, the least of three; bytes of its index an item, and
what 200 benchmarks as large as these come to.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from dolma_kit import kernels
from dolma_kit.decontamination import items, rules
from dolma_kit.decontamination.finding import WordsOf
from dolma_kit.documents import Batch, DocumentReader
from tests.decontamination import planting

BENCHMARKS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.environ.get("DOLMA_KIT_DATA"))
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.data is None:
        parser.error("no data: give --data, or set DOLMA_KIT_DATA")
    evals = items.read([f"{asked.data}/evals"]).items
    batches: list[Batch] = []
    for path in sorted(Path(asked.data, "corpus").glob("*/documents/*.jsonl.gz")):
        n = 0
        for batch in DocumentReader(str(path)):
            batches.append(batch)
            n += len(batch)
            if asked.documents and n >= asked.documents:
                break
    n_documents = sum(map(len, batches))
    n_bytes = sum(len(batch.text_bytes) for batch in batches)
    n_benchmarks = len({item.benchmark for item in evals})
    print(
        f"{len(evals):,} items of {n_benchmarks} benchmarks; {n_documents:,} documents, "
        f"{n_bytes / 1e6:.0f} MB of text\n"
    )
    made = rules.build(["all"], {})
    kernels.load(name for rule in made for name in rule.kernels)
    texts = [text for batch in batches for text in batch.table.column("text").to_pylist()]
    texts = planting.clean_texts(texts, 4 * asked.items, asked.seed)
    every = [*made, rules.build(["decon(sample_every=1)"], {})[0]]
    counts = planting.plant(made, evals, texts, asked.items, asked.seed)
    exhaustive = planting.plant(every[-1:], evals, texts, asked.items, asked.seed)
    counts["decon, sample_every=1"] = exhaustive["decon"]
    print(f"recall of {asked.items} items of each kind, of those that a rule can find\n")
    print(planting.table(counts))
    print("\n| rule | us a document | ns a byte | index, bytes an item | 200 benchmarks, MiB |")
    print("|---|--:|--:|--:|--:|")
    for batch in batches:
        _ = batch.n_characters  # which is known after reading
    for rule in made:
        index = rule.index(evals)
        finder = rule.finder(index.arrays)
        size = sum(array.nbytes for array in index.arrays.values()) / len(evals)
        best = np.inf
        for _ in range(3):
            started = time.perf_counter()
            for batch in batches:
                finder(batch, WordsOf(batch))
            best = min(best, time.perf_counter() - started)
        whole = size * len(evals) / n_benchmarks * BENCHMARKS / 2**20
        print(
            f"| {rule.id} | {best / n_documents * 1e6:.1f} | {best / n_bytes * 1e9:.1f} | "
            f"{size:,.0f} | {whole:,.0f} |"
        )


if __name__ == "__main__":
    main()
