"""What each tagger costs beside Dolma's of the same id: nanoseconds for a byte of text, one core.

    python benchmarks/taggers.py [--data FOLDER] [--dolma-python PATH] [--documents 100]
                                 [--taggers a,b] [--seconds 20] [--out docs/costs.json]

Takes the first documents of each file under FOLDER (default: $DOLMA_KIT_DATA/corpus). Ours are
timed by batch, each tagger alone, with what it segments, compiled and loaded before: the best of
three. Dolma's (1.2.1, in the Python that PATH names, or in an environment that is made once) are
timed by document, also loaded before, once, and stopped after `--seconds`: then what they got
through counts. Models are as in `parity_dolma.py`. Prints a table; `--out` also writes it as JSON,
over what earlier runs wrote of other taggers; `make docs` takes it into `docs/taggers.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from parity_dolma import DOLMA, WORKER, make_environment, rows_of, update, what_dolma_needs

from dolma_kit import kernels, layout, registry
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, DocumentReader
from tests.taggers import settings

RUNS = 3


def read(data: Path, n_documents: int) -> list[Batch]:
    """The first documents of each file."""
    return [
        batch
        for shard in layout.find([str(data)])
        for batch in DocumentReader(Source(shard.path, limit=n_documents))
    ]


def seconds_of(part_id: str, batches: list[Batch]) -> float:
    """The best of some runs over all batches; nothing that a batch remembers is used twice."""
    made = settings.made(part_id)
    kernels.load(made.kernels())
    made.tag(batches[0])
    best = float("inf")
    for _ in range(RUNS):
        fresh = [
            Batch(one.table, path=one.path, first_row=one.first_row, lines=one.lines)
            for one in batches
        ]
        started = time.perf_counter()
        for batch in fresh:
            made.tag(batch)
        best = min(best, time.perf_counter() - started)
    return best


def seconds_of_dolma(python: str, ids: list[str], batches: list[Batch], most: float) -> Any:
    """Id -> the seconds that Dolma's took, and the bytes of text that it got through."""
    with tempfile.TemporaryDirectory() as place:
        documents = Path(place) / "documents.jsonl"
        rows = [row for batch in batches for row in rows_of(batch)]
        documents.write_bytes(msgspec.json.Encoder().encode_lines(rows))
        command = [python, "-I", WORKER, "time", "--taggers", ",".join(ids)]
        command += [*what_dolma_needs(ids), "--seconds", str(most), "--documents", str(documents)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(answer.strip().split("\n")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="default: $DOLMA_KIT_DATA/corpus")
    parser.add_argument("--dolma-python", metavar="PATH")
    parser.add_argument("--documents", type=int, default=100, help="of each file")
    parser.add_argument("--taggers", help="ids, separated by commas")
    parser.add_argument("--seconds", type=float, default=20, help="for each of Dolma's taggers")
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ["DOLMA_KIT_DATA"]) / "corpus"
    python = arguments.dolma_python or make_environment()
    ids = arguments.taggers.split(",") if arguments.taggers else list(registry.parts("taggers"))
    batches = read(data, arguments.documents)
    n_bytes = sum(batch.n_bytes for batch in batches)
    about = json.loads(subprocess.check_output([python, "-I", WORKER, "about"]))
    shared = [part_id for part_id in ids if part_id in about["ids"]]
    print(f"{sum(map(len, batches)):,} documents, {n_bytes / 1e6:.1f} MB of text; one core, "
          f"{platform.machine()}; dolma {DOLMA}\n")  # fmt: skip
    theirs = seconds_of_dolma(python, shared, batches, arguments.seconds) if shared else {}
    measured: dict[str, dict[str, float | None]] = {}
    print(f"{'ns for a byte':<46} {'ours':>9} {'Dolma':>11} {'ratio':>7}")
    for part_id in ids:
        ours = seconds_of(part_id, batches) * 1e9 / n_bytes
        found = theirs.get(part_id)
        other = found["seconds"] * 1e9 / found["bytes"] if found and found["bytes"] else None
        measured[part_id] = {"ours": round(ours, 2), "dolma": other and round(other, 1)}
        beside = f"{other:>11.1f} {other / ours:>7.1f}" if other else f"{'-':>11} {'-':>7}"
        print(f"{part_id:<46} {ours:>9.2f} {beside}", flush=True)
    if arguments.out:
        update(arguments.out, measured)
    if slow := [k for k, v in measured.items() if v["dolma"] and v["dolma"] < v["ours"]]:
        raise SystemExit(f"slower than Dolma's: {', '.join(slow)}")


if __name__ == "__main__":
    main()
