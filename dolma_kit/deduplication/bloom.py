"""How large a blocked Bloom filter must be, and what a given one errs.

A filter of B blocks of 512 bits, k positions a key (`kernels.bloom` has the format), after n
distinct keys: a fresh key's block holds i of them with the binomial probability of n trials at
1/B, and its k positions are all set there with the probability E[(X / 512)^k], X being the number
of bits that k * i draws with replacement set. So

    rate(n, B, k) = sum over i of Binomial(i; n, 1/B) * E[(X_{k i} / 512)^k]

Binomial rather than Poisson, its limit, so that it also holds for a handful of keys. The usual
(1 - (1 - 1/512)^(k i))^k puts X's mean in place of X; it is a tenth too small at 1e-6.

Not part of the rate: two keys with the same 64-bit hash are one key to any filter. A fresh key
meets the hash of one of n others with probability n / 2**64, which is 3e-9 for 60 billion.
"""

from __future__ import annotations

import functools
import math
import os

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError

BLOCK_BYTES = 64
BLOCK_BITS = 512
MOST_DRAWS = 4096  # after so many draws nearly every block of 512 bits is full: 0.2 are left
PATIENCE = 8  # size falls with k, then rises: so many k without a smaller filter end the search


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """A filter's shape: `n_blocks` blocks of 64 bytes, `k` positions a key."""

    n_blocks: int
    k: int

    @property
    def n_bytes(self) -> int:
        return self.n_blocks * BLOCK_BYTES


def size_for(n_items: int, fp_rate: float) -> Geometry:
    """The smallest filter whose false-positive rate is at most `fp_rate` once it holds `n_items`.

    Of equal sizes the one with the smallest k, which is the fastest.

    >>> size_for(1_000_000_000, 1e-6)
    Geometry(n_blocks=75829675, k=16)
    """
    if n_items < 0 or not 0 < fp_rate < 1:
        raise ConfigError(
            f"no filter for {n_items} items at a false-positive rate of {fp_rate}: the number is "
            "at least 0, the rate between 0 and 1"
        )
    first = _fewest_blocks(n_items, fp_rate, 1, None)
    assert first is not None
    best, k = Geometry(n_blocks=first, k=1), 1
    while k < best.k + PATIENCE:
        k += 1
        n_blocks = _fewest_blocks(n_items, fp_rate, k, best.n_blocks - 1)
        if n_blocks is not None:
            best = Geometry(n_blocks=n_blocks, k=k)
    return best


def _fewest_blocks(n_items: int, fp_rate: float, k: int, most: int | None) -> int | None:
    """The smallest number of blocks that does for k positions; None if that is above `most`."""
    if most is not None:
        if most < 1 or false_positive_rate(n_items, Geometry(n_blocks=most, k=k)) > fp_rate:
            return None
        enough = most
    else:
        enough = max(1, n_items // MOST_DRAWS)  # with fewer, nearly every bit is set
        while false_positive_rate(n_items, Geometry(n_blocks=enough, k=k)) > fp_rate:
            enough *= 2
    too_few = 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if false_positive_rate(n_items, Geometry(n_blocks=middle, k=k)) > fp_rate:
            too_few = middle
        else:
            enough = middle
    return enough


def false_positive_rate(n_items: int, geometry: Geometry) -> float:
    """The chance that a filter which holds `n_items` distinct keys takes a fresh one for known."""
    loads, weights = _loads(n_items, geometry.n_blocks)
    hits = _hit_rates(geometry.k)
    return min(1.0, float(weights @ hits[np.minimum(loads, len(hits) - 1)]))


def _loads(n: int, n_blocks: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The loads a block may have, and their binomial probabilities, but for tails below 1e-30."""
    if n_blocks == 1:
        return np.array([n]), np.ones(1)
    mean = n / n_blocks
    spread = 12 * math.sqrt(mean)
    low, high = max(0, int(mean - spread)), min(n, int(mean + spread) + 40)
    loads = np.arange(low, high + 1)
    # From each load to the next: P(i + 1) / P(i) = (n - i) / (i + 1) / (B - 1).
    steps = np.log((n - loads[:-1]) / (loads[1:] * (n_blocks - 1.0)))
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    return loads, weights / weights.sum()


@functools.cache
def _hit_rates(k: int) -> NDArray[np.float64]:
    """E[(X / 512)^k] after k * i draws, for i = 0, 1, ...; beyond the last it is taken to be 1."""
    share = (np.arange(BLOCK_BITS + 1) / BLOCK_BITS) ** k
    rates = _occupancies()[::k] @ share
    return np.append(rates, 1.0)


@functools.cache
def _occupancies() -> NDArray[np.float64]:
    """(MOST_DRAWS + 1, 513): the chance of each number of set bits after each number of draws."""
    chances = np.zeros((MOST_DRAWS + 1, BLOCK_BITS + 1))
    chances[0, 0] = 1.0
    stays = np.arange(BLOCK_BITS + 1) / BLOCK_BITS
    grows = 1.0 - stays[:-1]
    for draw in range(MOST_DRAWS):
        chances[draw + 1] = chances[draw] * stays
        chances[draw + 1, 1:] += chances[draw, :-1] * grows
    return chances


def available_memory() -> int | None:
    """Bytes that this process may still take, by the machine and its cgroup; None if unknown.

    What the cgroup holds as file cache counts as available: the kernel gives it up when asked.
    """
    found = []
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            fields = dict(line.split(":", 1) for line in stream)
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        if "SC_AVPHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for folder, limit, used, cached in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "file"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "cache"),
    ):
        try:
            most, now = (int(_read(f"{folder}/{name}")) for name in (limit, used))
            stat = dict(line.split() for line in _read(f"{folder}/memory.stat").splitlines())
            found.append(most - now + int(stat[cached]))
        except (OSError, KeyError, ValueError):  # no such cgroup, or its limit is the word "max"
            continue
    return max(0, min(found)) if found else None


def _read(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        return stream.read()


def require_memory(geometry: Geometry, n_items: int, fp_rate: float, n_partitions: int = 1) -> None:
    """ConfigError if a partition of the filter would not fit in the memory that is available."""
    available = available_memory()
    n_bytes = -(-geometry.n_bytes // n_partitions)
    if available is not None and n_bytes > available:
        which = "a partition of " if n_partitions > 1 else ""
        enough = -(-geometry.n_bytes // max(available * 9 // 10, 1))
        raise ConfigError(
            f"{which}a filter for {n_items:,} keys at a false-positive rate of {fp_rate:g} takes "
            f"{n_bytes:,} bytes, but {available:,} are available: give --partitions {enough}, "
            "raise --fp-rate, or use a machine with more memory"
        )
