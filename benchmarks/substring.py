"""`dedupe --method substring`: MB/s of text, peak memory, bytes of intermediate files.

    python benchmarks/substring.py FOLDER... [--workers 2] [--length 50] [--shard-bytes N]

Each FOLDER holds `documents/`; its files are linked into a folder of this run's own, where the
attributes go, too. By tokens, then by characters; each first compiles on a machine that never ran
it, so run it twice. The memory is the largest of one process, pages of mapped files included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from measuring import Measured

from dolma_kit.documents import DocumentReader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--workers", default=2, type=int)
    parser.add_argument("--length", default=50, type=int)
    parser.add_argument("--shard-bytes", default=1 << 28, type=int)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place, n_bytes = Path(name), 0
        for i, folder in enumerate(chosen.folders):
            for path in sorted((folder / "documents").resolve().rglob("*.jsonl*")):
                link = place / f"{i}/documents" / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(path, link)
                n_bytes += sum(batch.n_bytes for batch in DocumentReader(str(path)))
        for unit in ("tokens", "characters"):
            arguments = ["dedupe", *(str(place / str(i)) for i in range(len(chosen.folders)))]
            arguments += ["--method", "substring", "--name", unit, "--substring-unit", unit]
            arguments += ["--substring-length", str(chosen.length)]
            arguments += ["--workers", str(chosen.workers), "--quiet"]
            arguments += ["--shard-bytes", str(chosen.shard_bytes)]
            ran = Measured(arguments, place)
            n_documents = covered = 0.0
            for path in place.glob(f"*/attributes/{unit}/**/*.parquet"):
                shares = pq.read_table(path).column(f"{unit}_fraction").to_pylist()
                n_documents += len(shares)
                covered += sum(shares)
            counts = ran.summary["counts"]
            print(
                f"{unit:<10} {n_bytes / 1e6:.1f} MB of text, {ran.seconds:.1f} s, "
                f"{n_bytes / 1e6 / ran.seconds:.1f} MB/s, {ran.peak_mib:.0f} MiB a process; "
                f"{counts['windows']:,} windows, {counts['repeats']:,} of them repeats, "
                f"{covered / n_documents:.1%} of a text on the average"
            )


if __name__ == "__main__":
    main()
