"""`tokenize` beside `dolma tokens`, datatrove and raw encoders, in one run.

    python benchmarks/tokens.py [--data FOLDER] [--dolma-python PATH] [--peers-python PATH]
                                [--workers 2] [--runs 3] [--only NAME;...] [--times N]

All work on the same files with `dolma2.json`, in turns: reading, encoding and writing for
`dolma-kit tokenize` (in order, and with --shuffle), `dolma tokens` of dolma 1.2.1 and datatrove
0.10.0 (in the Pythons that the PATHs name, or environments that are made once), each with as many
processes; and encoding alone for the libraries fastokens, gigatoken 0.10 and tokenizers, texts in
memory, with as many threads. Prints the best wall seconds of each, for ours also those of the work
(a first run has compiled and warmed the file cache), MB of text per second, the peak memory of our
largest process, and tokens. `--times N` repeats the corpus N times for ours. FOLDER holds
`corpus/<source>/documents/` and `tokenizers/` (default: $DOLMA_KIT_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from beside_dolma import copy_documents
from measuring import Measured
from parity_dolma import make_environment

from dolma_kit import downloads

HERE = Path(__file__).parent
EOS = 100257
PEERS = ("datatrove[io]==0.10.0", "gigatoken==0.10.*", "fastokens", "tokenizers", "orjson")
NAMES = (
    "dolma-kit", "dolma-kit, shuffled", "dolma tokens", "datatrove", "fastokens alone",
    "gigatoken alone", "tokenizers alone",
)  # fmt: skip
SLOW = ("dolma tokens", "datatrove", "tokenizers alone")  # measured once


def peers_python() -> str:
    """A Python with the peers, made once."""
    folder = Path(downloads.cache_folder()) / "tokenize-peers"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *PEERS]
        subprocess.run(command, check=True, stdout=sys.stderr)
        done.touch()
    return str(python)


def ours(folder: Path, tokenizer: Path, workers: int, more: list[str]) -> dict[str, Any]:
    shutil.rmtree(folder / "out", ignore_errors=True)
    sources = sorted(path.parent.name for path in folder.glob("*/documents"))
    run = Measured(
        ["tokenize", *sources, "--tokenizer", str(tokenizer), "--eos-token-id", str(EOS),
         "--out", "out", "--workers", str(workers), *more],
        folder,
    )  # fmt: skip
    return {
        "seconds": run.seconds, "work": run.summary["seconds"], "peak": run.peak_mib,
        "tokens": run.summary["counts"]["tokens"],
    }  # fmt: skip


def dolmas(python: str, folder: Path, tokenizer: Path, workers: int) -> dict[str, Any]:
    out = folder / "theirs"
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    subprocess.run(
        [python, "-I", "-m", "dolma.cli", "tokens",
         "--documents", *map(str, sorted(folder.glob("*/documents/*.gz"))),
         "--destination", str(out), "--tokenizer.name_or_path", str(tokenizer),
         "--tokenizer.eos_token_id", str(EOS), "--tokenizer.pad_token_id", "100277",
         "--dtype", "uint32", "--processes", str(workers), "--max_size", "100000000"],
        check=True, capture_output=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": sum(p.stat().st_size for p in out.rglob("*.npy")) // 4}


def peer(python: str, kind: str, folder: Path, tokenizer: Path, workers: int) -> dict[str, Any]:
    out = folder / f"peer-{kind}"
    shutil.rmtree(out, ignore_errors=True)
    sources = [str(path.parent) for path in sorted(folder.glob("*/documents"))]
    variables = {**os.environ, "RAYON_NUM_THREADS": str(workers)}
    done = subprocess.run(
        [python, str(HERE / "tokens_peers.py"), kind, str(tokenizer), str(out), str(workers),
         *sources],
        check=True, capture_output=True, text=True, env=variables,
    )  # fmt: skip
    made: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dolma-python", metavar="PATH", help="a Python that has dolma 1.2.1")
    parser.add_argument("--peers-python", metavar="PATH", help="a Python that has the peers")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="some of them, separated by semicolons")
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ["DOLMA_KIT_DATA"])
    tokenizer = (data / "tokenizers" / "dolma2.json").resolve()
    chosen = arguments.only.split(";") if arguments.only else list(NAMES)
    workers = arguments.workers
    with tempfile.TemporaryDirectory(prefix="tokenize-") as place:
        folder = Path(place)
        copy_documents(data, folder, None)
        for path in list(folder.glob("*/documents/*.gz")):
            for n in range(1, arguments.times):
                shutil.copy(path, path.with_name(f"{n}-{path.name}"))

        def measure(name: str) -> dict[str, Any]:
            if name.startswith("dolma-kit"):
                more = ["--shuffle"] if "shuffled" in name else []
                return ours(folder, tokenizer, workers, more)
            if name == "dolma tokens":
                python = arguments.dolma_python or make_environment()
                return dolmas(python, folder, tokenizer, workers)
            python = arguments.peers_python or peers_python()
            return peer(python, name.split()[0], folder, tokenizer, workers)

        if any(name.startswith("dolma-kit") for name in chosen):
            measure("dolma-kit")
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
        for run in range(arguments.runs):
            for name in chosen:
                if run == 0 or name not in SLOW:
                    found[name].append(measure(name))
        n_bytes = text_bytes(folder)
        print(f"{n_bytes / 1e6:,.1f} MB of text, {workers} workers")
        print(f"{'':20} {'seconds':>8} {'work s':>7} {'MB/s':>7} {'peak MiB':>8} {'tokens':>14}")
        for name, runs in found.items():
            best = min(runs, key=lambda one: one["seconds"])
            work = f"{best['work']:7.2f}" if "work" in best else " " * 7
            peak = f"{max(one['peak'] for one in runs):8.0f}" if "peak" in best else " " * 8
            rate = n_bytes / 1e6 / best.get("work", best["seconds"])
            print(f"{name:20} {best['seconds']:8.2f} {work} {rate:7.1f} {peak} "
                  f"{best['tokens']:14,}")  # fmt: skip


def text_bytes(folder: Path) -> int:
    """Bytes of all texts, by what dolma-kit counts."""
    from dolma_kit.documents import DocumentReader

    paths = sorted(folder.glob("*/documents/*.gz"))
    return sum(batch.n_bytes for path in paths for batch in DocumentReader(str(path)))


if __name__ == "__main__":
    main()
