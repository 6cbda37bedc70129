"""Many synthetic keys through the filter of `dedupe`, whole and in partitions, then fresh ones.

    python benchmarks/bloom.py [--keys 200_000_000] [--fp-rate 1e-6] [--partitions 1,4]
                               [--probes 1_000_000_000] [--threads 2]

The hashes are those of a counter (splitmix64), so all are distinct, and fresh ones have never been
in. They go through in the chunks and by the code that `dedupe` uses, partition by partition. Prints
keys a second, bytes a key, the SHA-256 of blocks and marks, which has to be one and the same for
any partitions, and how many distinct keys were taken for known; then how many of the fresh keys are
known, beside the number that the rate says, with the deviation of such a count.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from dolma_kit.deduplication import bloom
from dolma_kit.deduplication.marking import KEYS_AT_ONCE, MarkTask, PartitionFilter
from dolma_kit.kernels.bloom import block_indices, count_bits


def splitmix64(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64 bits (Steele, Lea and Flood 2014, figure 16)."""
    z = numbers * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(first: int, n: int) -> Iterator[NDArray[np.uint64]]:
    for start in range(first, first + n, KEYS_AT_ONCE):
        stop = min(start + KEYS_AT_ONCE, first + n)
        yield splitmix64(np.arange(start, stop, dtype=np.uint64))


def partition(i: int, n: int, threads: int, *, read_only: bool = False) -> MarkTask:
    return MarkTask(
        partition=i, n_partitions=n, srcs=(), temporary="", selection={}, expected_items=None,
        fp_rate=0, threads=threads, read_only=read_only,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keys", type=int, default=200_000_000)
    parser.add_argument("--fp-rate", type=float, default=1e-6)
    parser.add_argument("--partitions", default="1,4")
    parser.add_argument("--probes", type=int, default=1_000_000_000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    geometry = bloom.size_for(arguments.keys, arguments.fp_rate)
    print(f"{arguments.keys:,} keys at {arguments.fp_rate:g}: {geometry.n_bytes:,} bytes, "
          f"{geometry.n_bytes / arguments.keys:.3f} a key, k = {geometry.k}")  # fmt: skip
    with ThreadPoolExecutor(arguments.threads) as threads:
        for n in map(int, arguments.partitions.split(",")):
            marked = np.zeros(arguments.keys, np.bool_)
            digest, seconds, n_known, parts = hashlib.sha256(), 0.0, 0, []
            for i in range(n):
                own = PartitionFilter(partition(i, n, arguments.threads), geometry, threads)
                start = 0
                for chunk in hashes(0, arguments.keys):
                    started = time.perf_counter()
                    marks = own.look_up(own.own(chunk))
                    seconds += time.perf_counter() - started
                    blocks = block_indices(chunk, np.uint64(geometry.n_blocks))
                    where = (blocks >= own.first) & (blocks < own.last)
                    marked[start : start + len(chunk)][where] = marks.view(np.bool_)
                    n_known += int(marks.sum())
                    start += len(chunk)
                digest.update(own.blocks.data)
                parts.append(own)
            digest.update(np.packbits(marked).data)
            print(f"{n} partitions: {arguments.keys / seconds / 1e6:.1f} million keys/s, "
                  f"{n_known} taken for known, {digest.hexdigest()[:16]}")  # fmt: skip
        whole = PartitionFilter(
            partition(0, 1, arguments.threads, read_only=True), geometry, threads
        )
        whole.blocks[:] = np.concatenate([part.blocks for part in parts])
        n_bits, chances = count_bits(whole.blocks, geometry.k)
        rate = chances / geometry.n_blocks
        seconds, hits = 0.0, 0
        for chunk in hashes(arguments.keys, arguments.probes):
            started = time.perf_counter()
            hits += int(whole.look_up(chunk).sum())
            seconds += time.perf_counter() - started
    expected = rate * arguments.probes
    print(f"{n_bits / geometry.n_blocks / bloom.BLOCK_BITS:.4f} of the bits are set; "
          f"rate by them {rate:.4g}")  # fmt: skip
    print(
        f"{arguments.probes:,} fresh keys: {hits:,} known, {expected:,.0f} +- "
        f"{math.sqrt(expected):.0f} expected; {arguments.probes / seconds / 1e6:.1f} million/s"
    )


if __name__ == "__main__":
    main()
