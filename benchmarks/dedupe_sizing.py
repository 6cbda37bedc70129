"""What de-duplicating a corpus of any size takes on a Ray cluster, from rates measured here.

    python benchmarks/dedupe_sizing.py [--data FOLDER] [--documents 5e9] [--paragraphs 60e9]
                                       [--text-bytes 11.5e12] [--nodes 32] [--cores 32]
                                       [--memory 128e9] [--disk 1e9] [--network 1.25e9]
                                       [--fp-rate 1e-6]

FOLDER holds `<source>/documents/` (default: $DOLMA_KIT_DATA/corpus). `dedupe --method bloom` runs
on it by document and by paragraph with one worker, and its ledgers say how many seconds and bytes
each phase took. Keys are passed through a filter larger than any cache, for the rate that large
ones have. The rest is arithmetic: bytes over rates, each phase spread evenly over the nodes, and
bound by their cores or by their disk and network, whichever takes longer. `--disk` and `--network`
are bytes a second of each node, `--memory` what a node may give to the filter. Text comes over the
network, compressed as FOLDER's is; intermediate files lie on storage that all nodes share, so they
are written and read over the network too. `docs/deduplication.md` has a run of it.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import dolma_kit
from dolma_kit import ledger
from dolma_kit.deduplication import bloom
from dolma_kit.kernels.bloom import block_indices, check_and_insert, empty_blocks

PROBED_KEYS = 1 << 24
MARKING = "marking"
FILTER_KEYS = 1 << 28  # of the filter they go through, whose first share they fill


class Phase(NamedTuple):
    """Of one phase: seconds of cores, and bytes that go over the network; both of the cluster."""

    name: str
    core_seconds: float
    n_bytes: float


@dataclass(frozen=True)
class Measured:
    """One run over FOLDER; seconds are those of one core."""

    documents: int
    keys: int
    text_bytes: int
    stored_bytes: int
    seconds: dict[str, float]
    spilled: dict[str, int]  # bytes by kind of intermediate file
    attribute_bytes: int


def measure(data: Path, by: str) -> Measured:
    """`dedupe` on copies of the folders' names, so that nothing is written beside the texts."""
    with tempfile.TemporaryDirectory(prefix="sizing-") as place:
        folders = []
        for source in sorted(path.parent for path in data.glob("*/documents")):
            folder = Path(place) / source.name
            folder.mkdir()
            (folder / "documents").symlink_to((source / "documents").resolve())
            folders.append(str(folder))
        for _ in range(2):  # the first one warms the file cache and compiles
            done = dolma_kit.dedupe(
                documents=folders, by=by, name="dup", workers=1, quiet=True, overwrite=True
            )
        seconds: defaultdict[str, float] = defaultdict(float)
        spilled: defaultdict[str, int] = defaultdict(int)
        keys = 0
        for record in records(folders):
            seconds[record.phase] += record.seconds
            keys += record.result.counts.get("keys", 0) if record.phase == "hashing" else 0
            for path, size in record.sizes.items():
                spilled[Path(path).suffix[1:]] += size if "tmp/" in path else 0
        stored = sum(path.stat().st_size for one in folders for path in files_of(Path(one)))
        return Measured(
            done.documents, keys, done.bytes_in, stored, seconds, spilled, done.bytes_out
        )


def records(folders: list[str]) -> Iterator[ledger.Record]:
    for folder in folders:
        found = ledger.read(f"{folder}/attributes/dup")
        assert found is not None
        yield from found[1]


def files_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "documents").iterdir() if path.suffix == ".gz"]


def rates_of_filter(fp_rate: float) -> tuple[float, float]:
    """Keys a second of one core: through a filter beyond the caches, and merely sorted out."""
    geometry = bloom.size_for(FILTER_KEYS, fp_rate)
    hashes = np.random.default_rng(0).integers(0, 2**64, PROBED_KEYS, np.uint64)
    blocks = empty_blocks(geometry.n_blocks)
    marks = np.zeros(PROBED_KEYS, np.uint8)
    n_blocks = np.uint64(geometry.n_blocks)
    started = time.perf_counter()
    check_and_insert(blocks, np.uint64(0), n_blocks, hashes, geometry.k, marks)
    through = PROBED_KEYS / (time.perf_counter() - started)
    started = time.perf_counter()
    block_indices(hashes, n_blocks)
    return through, PROBED_KEYS / (time.perf_counter() - started)


def phases(
    found: Measured, arguments: argparse.Namespace, n_keys: float, n_partitions: int,
    through: float, sorted_out: float,
) -> list[Phase]:  # fmt: skip
    """What each phase takes of the cluster, by bytes of text, keys and documents."""
    by_text = arguments.text_bytes / found.text_bytes
    by_documents, by_keys = arguments.documents / found.documents, n_keys / found.keys
    stored = found.stored_bytes * by_text
    spans = found.spilled["spans"] * by_keys
    rows = found.spilled["rows"] * by_documents
    hashes, marks = 8 * n_keys, n_keys / 8
    attributes = found.attribute_bytes * (by_keys if spans else by_documents)
    hashing = Phase("hashing", found.seconds["hashing"] * by_text, stored + spans + rows + hashes)
    read_again = hashes * n_partitions
    # Each partition sorts its own out of all, and each thread its own out of the partition's.
    passes = arguments.cores + (n_partitions if n_partitions > 1 else 0)
    seconds = n_keys / through + passes * n_keys / sorted_out
    marking = Phase(MARKING, seconds, read_again + marks)
    scale = by_keys if spans else by_documents
    marks_by_partition = n_keys / sorted_out if n_partitions > 1 else 0
    writing = Phase(
        "writing",
        found.seconds["writing"] * scale + marks_by_partition,
        rows + spans + hashes + marks + attributes,
    )
    return [hashing, marking, writing]


def show(by: str, found: Measured, arguments: argparse.Namespace, n_keys: float) -> None:
    geometry = bloom.size_for(int(n_keys), arguments.fp_rate)
    # At least as many partitions as keep one within a node's memory; then one a node.
    n_partitions = max(1, math.ceil(geometry.n_bytes / arguments.memory))
    if n_partitions > 1:
        n_partitions = max(n_partitions, arguments.nodes)
    through, sorted_out = rates_of_filter(arguments.fp_rate)
    print(f"\n### By {by}\n")
    table(
        ["measured here, one core", ""],
        ["hashing", f"{found.text_bytes / found.seconds['hashing'] / 1e6:,.0f} MB of text/s"],
        ["keys through a filter beyond the caches", f"{through / 1e6:.1f} million/s"],
        ["keys sorted out by partition", f"{sorted_out / 1e6:.0f} million/s"],
        [
            "writing",
            f"{found.documents / found.seconds['writing'] / 1e3:,.0f} thousand documents/s",
        ],
    )
    table(
        [f"{n_keys:,.0f} keys at {arguments.fp_rate:g}", ""],
        ["filter", f"{size(geometry.n_bytes)}: {geometry.n_bytes / n_keys:.2f} bytes a key"],
        ["partitions", f"{n_partitions}, each of {size(geometry.n_bytes / n_partitions)}"],
    )
    rows, total = [], 0.0
    speed = min(arguments.network, arguments.disk)
    for phase in phases(found, arguments, n_keys, n_partitions, through, sorted_out):
        # A partition is worked on by one node.
        nodes = min(n_partitions, arguments.nodes) if phase.name == MARKING else arguments.nodes
        cores = phase.core_seconds / 60 / (nodes * arguments.cores)
        moving = phase.n_bytes / nodes / speed / 60
        total += max(cores, moving)
        hours = f"{phase.core_seconds / 3600:,.1f}"
        moved = (size(phase.n_bytes), size(phase.n_bytes / nodes))
        rows.append([phase.name, hours, *moved, f"{cores:.1f}", f"{moving:.1f}"])
    head = ["phase", "core hours", "moved", "by a node", "minutes of cores", "minutes of moving"]
    table(head, *rows)
    a_key = 8 + 1 / 8 + (16 if by == "paragraph" else 0)
    spilled = found.spilled["rows"] * arguments.documents / found.documents + a_key * n_keys
    print(f"{size(spilled)} of intermediate files; {total:.0f} minutes in all.")


def table(*rows: list[str]) -> None:
    head, *others = rows
    for row in (head, ["---"] * len(head), *others):
        print(f"| {' | '.join(row)} |")
    print()


def size(n_bytes: float) -> str:
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= least:
            return f"{n_bytes / least:,.1f} {unit}"
    return f"{n_bytes:,.0f} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    for name, value in (
        ("documents", 5e9), ("paragraphs", 60e9), ("text-bytes", 11.5e12), ("memory", 128e9),
        ("disk", 1e9), ("network", 1.25e9), ("fp-rate", 1e-6),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=float, default=value, metavar="X")
    parser.add_argument("--nodes", type=int, default=32, metavar="N")
    parser.add_argument("--cores", type=int, default=32, metavar="N")
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ["DOLMA_KIT_DATA"]) / "corpus"
    print(
        f"{size(arguments.text_bytes)} of text on {arguments.nodes} nodes, each with "
        f"{arguments.cores} cores, {size(arguments.memory)} of memory for the filter, "
        f"{size(arguments.disk)}/s of disk and {size(arguments.network)}/s of network."
    )
    for by, n_keys in (("document", arguments.documents), ("paragraph", arguments.paragraphs)):
        show(by, measure(data, by), arguments, n_keys)


if __name__ == "__main__":
    main()
