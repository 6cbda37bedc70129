"""OLMo's loader restated step by step, as slow and plain as its source: the oracle of tests.

From olmo/data/memmap_dataset.py and olmo/data/iterable_dataset.py, as section 1 of the reference
describes them; `pcg64_shuffle` is section 1.4, in Python integers, without numpy.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

M32, M64, M128 = 2**32 - 1, 2**64 - 1, 2**128 - 1


def chunks(n_tokens: list[int], sequence_length: int) -> list[tuple[int, int]]:
    """(file, first token) of every instance, file after file."""
    table = []
    for file, n in enumerate(n_tokens):
        first = 0
        while first + sequence_length <= n:
            table.append((file, first))
            first += sequence_length
    return table


def global_indices(n: int, seed: int, epoch: int, world_size: int, drop_last: bool) -> list[int]:
    """`_build_global_indices`: the order of one epoch, its tail dropped or padded."""
    if drop_last and n % world_size != 0:
        total = math.ceil((n - world_size) / world_size) * world_size
    else:
        total = math.ceil(n / world_size) * world_size
    indices = np.arange(n, dtype=np.uint32)
    np.random.Generator(np.random.PCG64(seed=seed + epoch)).shuffle(indices)
    order = [int(i) for i in indices]
    if drop_last:
        return order[:total]
    padded = list(order)
    while len(padded) < total:
        padded += order[: min(total - len(padded), len(order))]
    return padded


def rank_micro_batches(
    order: list[int], start_index: int, rank: int, world_size: int, device_batch_size: int, n: int
) -> Iterator[list[int]]:
    """What one rank trains on, `n` instances at once, from `start_index` of the epoch on."""
    mine = order[start_index:][rank::world_size]
    n_whole = len(mine) // device_batch_size * device_batch_size  # the left-over is no batch
    for first in range(0, n_whole, device_batch_size):
        device_batch = mine[first : first + device_batch_size]
        for begin in range(0, device_batch_size, n):
            yield device_batch[begin : begin + n]


def loader_batches(
    order: list[int], rank: int, world_size: int, device_batch_size: int, n_workers: int
) -> list[list[int]]:
    """The batches that a rank's DataLoader gives: each worker iterates over its own slice, and the
    loader takes one batch of each in turn; without workers, threads read every fourth instance and
    are merged again (`IterableDataset.__iter__`)."""
    mine = order[rank::world_size]
    n_whole = len(mine) // device_batch_size * device_batch_size
    rows = [mine[i : i + device_batch_size] for i in range(0, n_whole, device_batch_size)]
    if n_workers == 0:
        threads = [deque(mine[:n_whole][i::4]) for i in range(4)]
        merged = [threads[i % 4].popleft() for i in range(n_whole)]
        return [merged[i : i + device_batch_size] for i in range(0, n_whole, device_batch_size)]
    workers = [deque(rows[k::n_workers]) for k in range(n_workers)]
    return [workers[i % n_workers].popleft() for i in range(len(rows))]


def pcg64_shuffle(n: int, seed: int) -> list[int]:
    """Generator(PCG64(seed)).shuffle(arange(n)) for a seed below 2**64."""
    draw = _u32_stream(_seed_words(seed))
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        mask = (1 << i.bit_length()) - 1
        while (j := next(draw) & mask) > i:
            pass
        order[i], order[j] = order[j], order[i]
    return order


def _seed_words(seed: int) -> list[int]:
    """SeedSequence(seed).generate_state(4, uint64)."""
    entropy = [seed & M32] + ([seed >> 32] if seed >> 32 else [])
    constant = 0x43B0D7E5

    def hashed(value: int) -> int:
        nonlocal constant
        value ^= constant
        constant = constant * 0x931E8875 & M32
        value = value * constant & M32
        return value ^ value >> 16

    def mixed(x: int, y: int) -> int:
        result = (0xCA01F9DD * x - 0x4973F715 * y) & M32
        return result ^ result >> 16

    pool = [hashed(entropy[i] if i < len(entropy) else 0) for i in range(4)]
    for source in range(4):
        for target in range(4):
            if source != target:
                pool[target] = mixed(pool[target], hashed(pool[source]))
    constant, words = 0x8B51F9DD, []
    for i in range(8):
        value = pool[i % 4] ^ constant
        constant = constant * 0x58F38DED & M32
        value = value * constant & M32
        words.append(value ^ value >> 16)
    return [words[i] | words[i + 1] << 32 for i in range(0, 8, 2)]


def _u32_stream(words: list[int]) -> Iterator[int]:
    """PCG64 (XSL-RR, stepped before each output), the low half of each number first."""
    multiplier = 0x2360ED051FC65DA44385DF649FCCF645
    increment = ((words[2] << 64 | words[3]) << 1 | 1) & M128
    state = increment  # one step from 0
    state = (state + (words[0] << 64 | words[1])) & M128
    state = (state * multiplier + increment) & M128
    while True:
        state = (state * multiplier + increment) & M128
        folded, rotation = (state >> 64 ^ state) & M64, state >> 122
        number = (folded >> rotation | folded << (64 - rotation)) & M64
        yield number & M32
        yield number >> 32
