"""What a step saw and when a document was seen, at the size of a real run.

    python benchmarks/order.py [--files 1000] [--instances 1000000000] [--order NAME] [--asked 20]

Makes a run of so many files and instances of 2,048 tokens (sparse files of 4 GB each that take no
room, tables of 200 documents a file, an index of ids), opens it and asks, in a process for each
kind of order, for the instances of random steps and for the steps of random documents:

    feistel    the keyed order
    olmo       numpy's shuffle by replay, nothing stored; asked twice only
    stored     the same from the file that `trace export` has written, with its inverse (both of 4
               bytes an instance; the time and memory of writing them are printed)

Prints how long opening takes, medians and greatest times, and the greatest resident memory of the
process; of `stored`, mapped files count in it as far as they are in memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

T = 2048
BATCH = 2048
DOCUMENTS = 200
ORDERS = ("feistel", "olmo", "stored")


def make_files(folder: Path, n_files: int, per_file: int) -> None:
    """Sparse token files with a remainder of 17 tokens, and tables of short and long documents."""
    from dolma_kit.order.documents import SCHEMA

    random = np.random.default_rng(1)
    n_tokens = per_file * T + 17
    folder.mkdir()
    for n in range(n_files):
        stem = folder / f"part-{n:05d}"
        with open(f"{stem}.npy", "wb") as stream:
            stream.truncate(2 * n_tokens)
        short = random.integers(200, 2000, DOCUMENTS // 2)
        cuts = np.sort(random.choice(n_tokens // 4096, DOCUMENTS // 2, replace=False)) * 4096
        starts = np.sort(np.concatenate(([0], cuts, cuts + short)))
        starts = np.unique(starts)
        ends = np.append(starts[1:], n_tokens)
        ids = [f"{n:05d}-{i:032x}" for i in range(len(starts))]
        table = pa.table(
            [starts, ends, ids, ["web.jsonl.gz"] * len(ids), np.arange(1, len(ids) + 1),
             ["web"] * len(ids)],
            schema=SCHEMA,
        )  # fmt: skip
        pq.write_table(table, f"{stem}.docs.parquet")


def write_run(folder: Path, name: str, order: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"tokens: tokens\ndtype: uint16\nsequence_length: {T}\nglobal_batch_size: {BATCH}\n"
        f"order: {order}\n"
    )
    return path


def said(name: str, seconds: list[float]) -> str:
    median, most = np.median(seconds) * 1e3, max(seconds) * 1e3
    return (
        f"  {name}: median {median:,.2f} ms, greatest {most:,.2f} ms of {len(seconds)}, the first "
        f"{seconds[0] * 1e3:,.1f} ms"
    )


def ask(path: Path, asked: int) -> None:
    """In a process of its own: open the run, ask, print."""
    from dolma_kit.order.run import open_run
    from dolma_kit.order.steps import trace_doc

    started = time.perf_counter()
    run = open_run(path)
    n = run.instances.n_instances
    print(f"  opened in {time.perf_counter() - started:.2f} s: {len(run.files):,} files, "
          f"{n:,} instances, {run.n_steps:,} steps")  # fmt: skip
    random = np.random.default_rng(2)
    forward, backward = [], []
    for step in random.integers(1, run.n_steps + 1, asked).tolist():
        started = time.perf_counter()
        run.step(step)
        forward.append(time.perf_counter() - started)
    print(said("instances of a step", forward), flush=True)
    for file in random.integers(0, len(run.files), asked).tolist():
        started = time.perf_counter()
        answer = trace_doc(run, f"{file:05d}-{int(random.integers(0, 60)) * 2 + 1:032x}")
        backward.append(time.perf_counter() - started)
        assert answer.seen or answer.never
    print(said("steps of a document", backward))
    print(f"  resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def export(path: Path, order: Path, inverse: Path) -> None:
    from dolma_kit.order.export import export_global_indices
    from dolma_kit.order.run import open_run

    run = open_run(path)
    started = time.perf_counter()
    n = export_global_indices(run, order)
    middle = time.perf_counter()
    print(f"  order written in {middle - started:.1f} s ({4 * n / 1e9:.2f} GB)", flush=True)
    order.unlink()
    export_global_indices(run, order, inverse=inverse)
    print(f"  both written in {time.perf_counter() - middle:.1f} s")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/status", encoding="utf-8") as stream:
        own = [line.split()[1] for line in stream if line.startswith("RssAnon")]
    print(f"  resident at most {usage.ru_maxrss / 1024:,.0f} MiB, of which mapped files can be "
          f"dropped; not mapped, at the end: {int(own[0]) / 1024:,.0f} MiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=10**9)
    parser.add_argument("--order", action="append", choices=ORDERS)
    parser.add_argument("--asked", type=int, default=20)
    parser.add_argument("--in-process", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_process:
        what, *paths = arguments.in_process
        if what == "ask":
            ask(Path(paths[0]), arguments.asked)
        else:
            export(*map(Path, paths))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        make_files(folder / "tokens", arguments.files, arguments.instances // arguments.files)
        from dolma_kit.tokens import folder as token_folder
        from dolma_kit.tokens import id_index

        id_index.build(token_folder.open_folder(str(folder / "tokens"), "uint16"))
        print(f"made in {time.perf_counter() - started:.0f} s")
        for order in arguments.order or ORDERS:
            print(order, flush=True)
            kind = "feistel" if order == "feistel" else "olmo"
            path = write_run(folder, order, f"{{kind: {kind}, seed: 6198}}")
            if order == "stored":
                files = [str(folder / "order.npy"), str(folder / "inverse.npy")]
                _run(["export", str(path), *files], arguments.asked)
                stored = f"stored: {files[0]}, inverse: {files[1]}"
                write_run(folder, order, f"{{kind: olmo, seed: 6198, {stored}}}")
            _run(["ask", str(path)], 2 if order == "olmo" else arguments.asked)


def _run(what: list[str], asked: int) -> None:
    command = [sys.executable, __file__, "--asked", str(asked), "--in-process", *what]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
