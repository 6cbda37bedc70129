"""Permutation, the third layer: which instance stands at which position of an epoch.

Kind `olmo` (olmo/data/iterable_dataset.py, `_build_global_indices`), with seed S and epoch e:

    order = arange(N, uint32); numpy.random.Generator(PCG64(S + e)).shuffle(order)
    drop_last:  n_positions = ceil((N - W) / W) * W if N % W else N; the rest is cut off
    otherwise:  n_positions = ceil(N / W) * W; the head of the order is repeated

with W the world size. So W alters only the tail, and position p holds shuffled[p % N] either way.
Seeds and epochs add up: (S, e) has the order of (S + 1, e - 1).

Kind `olmo-core` (OLMo-core, `NumpyFSLDataLoader._build_global_indices`): the same shuffle, but of
chunks of c instances that follow each other, N // c of them; c is 1 unless the run is to go on with
a longer sequence. Epochs count from 1, and what fills no chunk, or no batch, is left over.

Kind `feistel`, for new runs: the permutation of `kernels.feistel` under 8 keys, of which key r is
the first 8 bytes, little-endian, of BLAKE2b of S, e and r (8 bytes each, little-endian, person
`dolma-kit order`). World size and drop_last mean the same. It is asked both ways at any place, and
nothing of it is stored. Kind `sequential` is no shuffle: what is stored in training order, as
Pythia's data is. Orders in files are in `stored`.

Stream policy: numpy promises the bits of PCG64 for ever, but not the methods of Generator: a new
release may let `shuffle` draw otherwise (NEP 19). An order that changed with numpy would answer
every question wrong without a sign of it, so tests/order/test_permutation.py pins the vectors of
the reference (section 1.4) and a twin in plain Python.
"""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError

MAX_INSTANCES = 2**32 - 2  # OLMo asserts N < 2**32 - 1
FEISTEL_ROUNDS = 8
STORED = 1 << 26  # instances of which the whole order is made at once
MOST_REPLAYED = 1 << 20  # places that are followed at a time


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


class Permutation(abc.ABC):
    """The order of one epoch: `permutation[position]` is an instance, `len` the positions."""

    n_instances: int
    seed: int
    epoch: int
    n_positions: int

    def __len__(self) -> int:
        return self.n_positions

    def __getitem__(self, position: int) -> int:
        if not 0 <= position < self.n_positions:
            raise IndexError(f"position {position} of {self.n_positions}")
        return int(self._between(position, position + 1)[0])

    def instances_at(self, start: int, end: int) -> NDArray[np.uint32]:
        """(end - start,) uint32, the instances at positions [start, end), a copy; IndexError
        beyond the order."""
        if not 0 <= start <= end <= self.n_positions:
            raise IndexError(f"positions {start} to {end} of {self.n_positions}")
        return self._between(start, end)

    @abc.abstractmethod
    def _between(self, start: int, end: int) -> NDArray[np.uint32]:
        """What `instances_at` gives, of positions that there are."""

    def positions_of(self, instance: int) -> tuple[int, ...]:
        """Every position of an instance, ascending: none if its place was cut off, several if
        the head of the order is repeated."""
        return self.positions_of_each([instance])[instance]

    @abc.abstractmethod
    def positions_of_each(self, instances: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """The same of several, which may cost no more than of one."""

    @property
    def is_replayed(self) -> bool:
        """Whether a question takes time for all instances, as nothing of the order is stored."""
        return False

    def fingerprint_fields(self) -> dict[str, Any]:
        """What decides the order besides the number of instances and the kind."""
        return {"seed": self.seed, "epoch": self.epoch, "positions": self.n_positions}


class WholeOrder(Permutation):
    """An order of all instances, each once, whose tail is then cut off or whose head repeated so
    that it divides among ranks. Subclasses say what stands where before that."""

    def __init__(
        self,
        n_instances: int,
        *,
        seed: int,
        epoch: int,
        world_size: int = 1,
        drop_last: bool = True,
    ) -> None:
        self.n_instances = n_instances
        self.seed = seed
        self.epoch = epoch
        self.n_positions = count_positions(n_instances, world_size, drop_last)

    @abc.abstractmethod
    def _at(self, places: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The instances at places of the whole order, (k,) int64 each below n_instances."""

    @abc.abstractmethod
    def _places_of(self, instances: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places of instances in the whole order, (k,) int64 each, each instance once."""

    def _between(self, start: int, end: int) -> NDArray[np.uint32]:
        return self._at(np.arange(start, end, dtype=np.int64) % self.n_instances)

    def positions_of_each(self, instances: Iterable[int]) -> dict[int, tuple[int, ...]]:
        asked = sorted(set(instances))
        if not asked:
            return {}
        places = self._places_of(np.array(asked, np.int64)).tolist()
        return {
            instance: tuple(range(place, self.n_positions, self.n_instances))
            for instance, place in zip(asked, places, strict=True)
        }


class OlmoPermutation(WholeOrder):
    """OLMo's order of one epoch.

    The shuffle (4 bytes an instance) is made at the first question, its inverse (4 more) at the
    first one that asks for it; both stay. Beyond STORED instances a question replays the shuffle
    instead and follows what it asks for, in an eighth of a byte an instance (see
    `kernels.pcg64_shuffle`), unless it asks for very much. ConfigError for 2**32 - 1 instances and
    more.

    >>> order = OlmoPermutation(10, seed=6198, epoch=0, world_size=4)
    >>> [order[p] for p in range(len(order))], order.positions_of(4), order.positions_of(1)
    ([2, 4, 7, 3, 8, 9, 0, 6], (1,), ())
    """

    def __init__(self, n_instances: int, **keys: Any) -> None:
        _check_size(n_instances, "olmo")
        super().__init__(n_instances, **keys)

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.uint32]:
        if self._is_replayed("shuffled", len(places)):
            each, back = np.unique(places, return_inverse=True)
            seed = self.seed + self.epoch
            found = kernels.pcg64_shuffle.values_at(self.n_instances, seed, each)
            replayed: NDArray[np.uint32] = found[back].astype(np.uint32)
            return replayed
        return self.shuffled[places]

    def _places_of(self, instances: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._is_replayed("inverse", len(instances)):
            seed = self.seed + self.epoch
            found: NDArray[np.int64] = kernels.pcg64_shuffle.places_of(
                self.n_instances, seed, instances
            )
            return found
        return self.inverse[instances].astype(np.int64)

    @property
    def is_replayed(self) -> bool:
        return self._is_replayed("shuffled", 1)

    def _is_replayed(self, stored: str, n_asked: int) -> bool:
        there = stored in self.__dict__ or "shuffled" in self.__dict__
        return self.n_instances > STORED and n_asked <= MOST_REPLAYED and not there

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


class FeistelPermutation(WholeOrder):
    """A keyed order that needs no memory and answers any place, both ways, in microseconds.

    >>> order = FeistelPermutation(10, seed=1, epoch=0)
    >>> [order[p] for p in range(10)], order.positions_of(order[7])
    ([8, 7, 5, 4, 6, 0, 3, 9, 1, 2], (7,))
    """

    def __init__(self, n_instances: int, **keys: Any) -> None:
        _check_size(n_instances, "feistel")
        super().__init__(n_instances, **keys)
        self._half = np.uint64(kernels.feistel.half_bits(n_instances))
        said = [self.seed.to_bytes(8, "little"), self.epoch.to_bytes(8, "little")]
        self._keys = np.array(
            [
                int.from_bytes(
                    hashlib.blake2b(
                        b"".join([*said, r.to_bytes(8, "little")]), person=b"dolma-kit order"
                    ).digest()[:8],
                    "little",
                )
                for r in range(FEISTEL_ROUNDS)
            ],
            np.uint64,
        )

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.uint32]:
        n = np.uint64(self.n_instances)
        found: NDArray[np.uint64] = kernels.feistel.forward(places, n, self._half, self._keys)
        return found.astype(np.uint32)

    def _places_of(self, instances: NDArray[np.int64]) -> NDArray[np.int64]:
        n = np.uint64(self.n_instances)
        found: NDArray[np.uint64] = kernels.feistel.backward(instances, n, self._half, self._keys)
        return found.astype(np.int64)


class OlmoCorePermutation(WholeOrder):
    """OLMo-core's order of one epoch, of chunks of `chunk_size` instances; its batches end before
    the last n_positions % B of them, as in any order.

    >>> order = OlmoCorePermutation(11, seed=34521, epoch=1, chunk_size=2)
    >>> [order[p] for p in range(len(order))], order.positions_of(10)
    ([4, 5, 0, 1, 8, 9, 6, 7, 2, 3], ())
    """

    def __init__(self, n_instances: int, *, seed: int, epoch: int, chunk_size: int = 1) -> None:
        _check_size(n_instances, "olmo-core")
        super().__init__(n_instances, seed=seed, epoch=epoch)
        self.chunk_size = chunk_size
        self.n_positions = n_instances // chunk_size * chunk_size
        self.chunks = OlmoPermutation(n_instances // chunk_size, seed=seed, epoch=epoch)

    @property
    def is_replayed(self) -> bool:
        return self.chunks.is_replayed

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.uint32]:
        chunks = self.chunks._at(places // self.chunk_size).astype(np.int64)
        return (chunks * self.chunk_size + places % self.chunk_size).astype(np.uint32)

    def _places_of(self, instances: NDArray[np.int64]) -> NDArray[np.int64]:
        places = np.full(len(instances), self.n_positions, np.int64)  # where nothing is
        whole = instances < self.n_positions
        each, back = np.unique(instances[whole] // self.chunk_size, return_inverse=True)
        if len(each):
            found = self.chunks._places_of(each)[back]
            places[whole] = found * self.chunk_size + instances[whole] % self.chunk_size
        return places


class SequentialPermutation(WholeOrder):
    """Instances in the order in which they are stored, in every epoch."""

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.uint32]:
        return places.astype(np.uint32)

    def _places_of(self, instances: NDArray[np.int64]) -> NDArray[np.int64]:
        return instances


def _check_size(n_instances: int, kind: str) -> None:
    if n_instances > MAX_INSTANCES:
        raise ConfigError(
            f"{n_instances} instances are too many for order kind {kind}, whose indices are "
            f"uint32: at most {MAX_INSTANCES}"
        )
