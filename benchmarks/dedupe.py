"""`dedupe` by each method, and beside the Dolma toolkit's where it has the like, in one run.

    python benchmarks/dedupe.py [--data FOLDER] [--dolma-python PATH] [--workers 2] [--runs 3]
                                [--only METHOD,...]

Both are run as commands, in turns, over the same files: `dolma dedupe` of dolma 1.2.1 (in the
Python that PATH names, or in an environment that is made once), with as many threads and a filter
for as many keys, and `dolma-kit dedupe`. Prints the best wall seconds of each, of whole processes,
those that our work takes (a first run has compiled and warmed the file cache), the ratio, and the
peak memory of our largest process. FOLDER holds `corpus/<source>/documents/` (default:
$DOLMA_KIT_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from beside_dolma import copy_documents
from measuring import Measured
from parity_dolma import make_environment

#: what is measured: our flags, and what of Dolma's is the like
METHODS: dict[str, tuple[list[str], str | None]] = {
    "document": (["--by", "document"], "documents"),
    "paragraph": (["--by", "paragraph"], "paragraphs"),
    "exact, paragraph": (["--method", "exact", "--by", "paragraph"], None),
    "13-grams": (["--by", "ngram", "--ngram-length", "13"], None),
    "minhash 14x8": (["--method", "minhash", "--bands", "14", "--rows", "8"], None),
    "substring": (["--method", "substring"], None),
}


def ours(folder: Path, flags: list[str], workers: int) -> Measured:
    for old in folder.glob("*/attributes"):
        shutil.rmtree(old)
    command = ["dedupe", *sorted(path.name for path in folder.iterdir() if path.is_dir())]
    return Measured([*command, *flags, "--name", "dup", "--workers", str(workers)], folder)


def dolmas(python: str, folder: Path, kind: str, n_keys: int, workers: int) -> float:
    """Wall seconds of `dolma dedupe`."""
    for old in folder.glob("*/attributes"):
        shutil.rmtree(old)
    rule: dict[str, Any] = {"attribute_name": "dup"}
    if kind == "documents":
        rule["key"] = "$.text"
    config = {
        "documents": [str(path) for path in sorted(folder.glob("*/documents/*.gz"))],
        "dedupe": {"name": "dup", kind: rule, "skip_empty": True},
        "bloom_filter": {
            "file": str(folder / "filter.bin"), "read_only": False,
            "estimated_doc_count": n_keys, "desired_false_positive_rate": 1e-6,
        },
        "processes": workers,
    }  # fmt: skip
    (folder / "filter.bin").unlink(missing_ok=True)
    (folder / "dedupe.json").write_text(json.dumps(config))
    started = time.perf_counter()
    subprocess.run(
        [python, "-I", "-m", "dolma.cli", "-c", str(folder / "dedupe.json"), "dedupe"],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dolma-python", metavar="PATH", help="a Python that has dolma 1.2.1")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="some of the methods, separated by commas")
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ["DOLMA_KIT_DATA"])
    python = arguments.dolma_python or make_environment()
    chosen = arguments.only.split(",") if arguments.only else list(METHODS)
    with tempfile.TemporaryDirectory(prefix="dedupe-") as place:
        folder = Path(place)
        copy_documents(data, folder, None)
        print(f"{'method':20} {'process s':>9} {'work s':>7} {'peak MiB':>8} {'dolma s':>8} "
              f"{'times':>6}  found")  # fmt: skip
        for name in chosen:
            flags, like = METHODS[name]
            counts = ours(folder, flags, arguments.workers).summary["counts"]
            runs, others = [], []
            for _ in range(arguments.runs):
                runs.append(ours(folder, flags, arguments.workers))
                if like:
                    n_keys = counts["keys"]
                    others.append(dolmas(python, folder, like, n_keys, arguments.workers))
            best = min(runs, key=lambda run: run.seconds)
            seconds, peak = best.summary["seconds"], max(run.peak_mib for run in runs)
            theirs = f"{min(others):8.2f} {min(others) / best.seconds:6.1f}" if others else " " * 15
            kinds = ("keys", "documents", "windows", "duplicates", "repeats", "clusters")
            found = ", ".join(f"{counts[what]:,} {what}" for what in kinds if what in counts)
            print(f"{name:20} {best.seconds:9.2f} {seconds:7.2f} {peak:8.0f} {theirs}  {found}")


if __name__ == "__main__":
    main()
