"""Many synthetic keys through the filter of `dedupe`, whole and in partitions, then fresh ones.

    python benchmarks/bloom.py [--keys 200_000_000] [--fp-rate 1e-6] [--partitions 1,4]
                               [--probes 1_000_000_000] [--threads 2] [--structure blocked]

The hashes are those of a counter (splitmix64), so all are distinct, and fresh ones have never been
in. They go through in the chunks and by the code that `dedupe` uses, partition by partition. Prints
keys a second, bytes a key, the SHA-256 of what is held and of marks, which has to be one and the
same for any partitions, and how many distinct keys were taken for known; then how many of the fresh
keys are known, beside the number that the rate says, with the deviation of such a count.
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

from dolma_kit.deduplication import structures
from dolma_kit.deduplication.marking import KEYS_AT_ONCE
from dolma_kit.deduplication.structures import Held, Part


def splitmix64(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64 bits (Steele, Lea and Flood 2014, figure 16)."""
    z = numbers * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(first: int, n: int, width: int) -> Iterator[NDArray[np.uint64]]:
    """Chunks of (n,) uint64, or (n, 2) of 128 bits."""
    for start in range(first, first + n, KEYS_AT_ONCE):
        stop = min(start + KEYS_AT_ONCE, first + n)
        own = splitmix64(np.arange(start, stop, dtype=np.uint64))
        yield own if width == 1 else np.stack((own, splitmix64(~own)), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keys", type=int, default=200_000_000)
    parser.add_argument("--fp-rate", type=float, default=1e-6)
    parser.add_argument("--partitions", default="1,4")
    parser.add_argument("--probes", type=int, default=1_000_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--structure", default="blocked",
        choices=["blocked", "classic", "fingerprints64", "fingerprints128"],
    )  # fmt: skip
    arguments = parser.parse_args()
    structure = structures.of(arguments.structure)
    width = structure.hash_bits // 64
    geometry = structure.size_for(arguments.keys, arguments.fp_rate)
    print(f"{structure.name}, {arguments.keys:,} keys at {arguments.fp_rate:g}: "
          f"{geometry.n_bytes:,} bytes, {geometry.n_bytes / arguments.keys:.3f} a key, "
          f"k = {geometry.k}")  # fmt: skip
    with ThreadPoolExecutor(arguments.threads) as threads:
        for n in map(int, arguments.partitions.split(",")):
            marked = np.ones(arguments.keys, np.bool_)
            digest, seconds = hashlib.sha256(), 0.0
            parts: list[Held] = []
            for i in range(n):
                own = structure.hold(geometry, Part(i, n, arguments.threads), threads)
                start = 0
                for chunk in hashes(0, arguments.keys, width):
                    started = time.perf_counter()
                    is_own = own.is_own(chunk if width == 1 else chunk[:, 0].copy())
                    marks = own.look_up(chunk[is_own])
                    seconds += time.perf_counter() - started
                    here = marked[start : start + len(chunk)]
                    here[is_own] &= marks.view(np.bool_)
                    start += len(chunk)
                digest.update(np.ascontiguousarray(own.stored()).data)
                parts.append(own)
            digest.update(np.packbits(marked).data)
            print(f"{n} partitions: {arguments.keys / seconds / 1e6:.1f} million keys/s, "
                  f"{int(marked.sum())} taken for known, {digest.hexdigest()[:16]}")  # fmt: skip
            if n == 1:
                whole = parts[0]
        n_held, chances = whole.fill()
        fill, rate = structure.found(geometry, [n_held], chances)
        whole.part = whole.part._replace(read_only=True)
        seconds, hits = 0.0, 0
        for chunk in hashes(arguments.keys, arguments.probes, width):
            started = time.perf_counter()
            hits += int(whole.look_up(chunk).sum())
            seconds += time.perf_counter() - started
    expected = rate * arguments.probes
    print(f"{fill:.4f} of the bits or slots are taken; rate by them {rate:.4g}")
    print(
        f"{arguments.probes:,} fresh keys: {hits:,} known, {expected:,.0f} +- "
        f"{math.sqrt(expected):.0f} expected; {arguments.probes / seconds / 1e6:.1f} million/s"
    )


if __name__ == "__main__":
    main()
