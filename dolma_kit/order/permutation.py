"""Permutation, the third layer: which instance stands at which position of an epoch.

Kind `olmo` (olmo/data/iterable_dataset.py, `_build_global_indices`), with seed S and epoch e:

    order = arange(N, uint32); numpy.random.Generator(PCG64(S + e)).shuffle(order)
    drop_last:  n_positions = ceil((N - W) / W) * W if N % W else N; the rest is cut off
    otherwise:  n_positions = ceil(N / W) * W; the head of the order is repeated

with W the world size. So W alters only the tail, and position p holds shuffled[p % N] either way.
Seeds and epochs add up: (S, e) has the order of (S + 1, e - 1).

Stream policy: numpy promises the bits of PCG64 for ever, but not the methods of Generator: a new
release may let `shuffle` draw otherwise (NEP 19). An order that changed with numpy would answer
every question wrong without a sign of it, so tests/order/test_permutation.py pins the vectors of
the reference (section 1.4) and a twin in plain Python.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError

MAX_INSTANCES = 2**32 - 2  # OLMo asserts N < 2**32 - 1


def shuffled_instances(n_instances: int, seed: int) -> NDArray[np.uint32]:
    """(n_instances,) uint32, numpy's shuffle of arange under PCG64(seed)."""
    order = np.arange(n_instances, dtype=np.uint32)
    np.random.Generator(np.random.PCG64(seed)).shuffle(order)
    return order


def count_positions(n_instances: int, world_size: int, drop_last: bool) -> int:
    """Length of an epoch's order (OLMo's `total_size`); 0 if fewer instances than ranks are all
    dropped."""
    if n_instances % world_size == 0:
        return n_instances
    n_per_rank = n_instances // world_size + (0 if drop_last else 1)
    return n_per_rank * world_size


class OlmoPermutation:
    """OLMo's order of one epoch: `permutation[position]` is an instance, `len` the positions.

    The shuffle (4 bytes an instance) is made at the first question, its inverse (4 more) at the
    first one that asks for it; both stay. ConfigError for 2**32 - 1 instances and more.

    >>> order = OlmoPermutation(10, seed=6198, epoch=0, world_size=4)
    >>> [order[p] for p in range(len(order))], order.positions_of(4), order.positions_of(1)
    ([2, 4, 7, 3, 8, 9, 0, 6], (1,), ())
    """

    def __init__(
        self,
        n_instances: int,
        *,
        seed: int,
        epoch: int,
        world_size: int = 1,
        drop_last: bool = True,
    ) -> None:
        if n_instances > MAX_INSTANCES:
            raise ConfigError(
                f"{n_instances} instances are too many for order kind olmo, whose indices are "
                f"uint32: at most {MAX_INSTANCES}"
            )
        self.n_instances = n_instances
        self.seed = seed
        self.epoch = epoch
        self.n_positions = count_positions(n_instances, world_size, drop_last)

    def __len__(self) -> int:
        return self.n_positions

    def __getitem__(self, position: int) -> int:
        if not 0 <= position < self.n_positions:
            raise IndexError(f"position {position} of {self.n_positions}")
        return int(self.shuffled[position % self.n_instances])

    @cached_property
    def shuffled(self) -> NDArray[np.uint32]:
        """(n_instances,) uint32: the order before its tail is cut off or its head repeated."""
        return shuffled_instances(self.n_instances, self.seed + self.epoch)

    @cached_property
    def inverse(self) -> NDArray[np.uint32]:
        """(n_instances,) uint32: the place of each instance in `shuffled`."""
        inverse = np.empty(self.n_instances, dtype=np.uint32)
        inverse[self.shuffled] = np.arange(self.n_instances, dtype=np.uint32)
        return inverse

    def instances_at(self, start: int, end: int) -> NDArray[np.uint32]:
        """(end - start,) uint32, the instances at positions [start, end), a copy; IndexError
        beyond the order."""
        if not 0 <= start <= end <= self.n_positions:
            raise IndexError(f"positions {start} to {end} of {self.n_positions}")
        return self.shuffled[np.arange(start, end, dtype=np.int64) % self.n_instances]

    def positions_of(self, instance: int) -> tuple[int, ...]:
        """Every position of an instance, ascending: none if its place was cut off, several if
        the head of the order is repeated."""
        first = int(self.inverse[instance])
        return tuple(range(first, self.n_positions, self.n_instances))
