"""What remembers keys, and how it is cut into partitions.

    blocked         a Bloom filter of blocks, the default: each key touches one cache line
    classic         a Bloom filter without blocks: a quarter smaller, and slower
    fingerprints64  a set of 64-bit hashes
    fingerprints128 a set of 128-bit hashes

A partition holds a contiguous range: of blocks, of words of the classic filter's array, of first
hashes. The keys of a range of blocks or hashes are its own, each marked by one partition; of the
classic filter each partition has a say on each key, which is known if all of them know it. Either
way, as all partitions see the keys in the same sequence, their number changes no bit.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from dolma_kit.deduplication import bloom, classic
from dolma_kit.deduplication.bloom import BLOCK_BITS, BLOCK_BYTES, Geometry
from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.deduplication.filters import FilterFile

MOST_FULL = 0.8  # of a table that is made for as many keys


class Part(NamedTuple):
    """Which partition of how many, by how many threads; `read_only` adds nothing."""

    number: int
    n_parts: int
    threads: int
    read_only: bool = False


class Held(abc.ABC):
    """A partition in memory; `part` is which."""

    part: Part

    @abc.abstractmethod
    def look_up(self, keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Which of its own keys, in sequence, were there before: (n,) uint8; and add them."""

    @abc.abstractmethod
    def is_own(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_] | slice:
        """Which of the first hashes are of keys it marks: (n,) bool, or a slice of all."""

    @abc.abstractmethod
    def load(self, found: FilterFile) -> None:
        """Take in its range of a filter on disk."""

    @abc.abstractmethod
    def stored(self) -> NDArray[np.uint64]:
        """What is kept on disk of it: those of all partitions, one after the other."""

    @abc.abstractmethod
    def fill(self) -> tuple[int, float]:
        """Set bits, or held keys; and the sum over blocks of the chance that one takes a fresh key
        for known, of structures that have blocks."""


class Structure(abc.ABC):
    """A way to remember keys."""

    name: ClassVar[str]
    hash_bits: ClassVar[int] = 64
    version: ClassVar[int] = 2  # of the file format
    parts_keys: ClassVar[bool] = True
    keeps_keys: ClassVar[bool] = False  # so that it can grow
    kernels: ClassVar[tuple[str, ...]] = ("bloom",)

    @abc.abstractmethod
    def size_for(self, n_items: int, fp_rate: float) -> Geometry:
        """The smallest that keeps to a rate once it holds so many keys."""

    @abc.abstractmethod
    def false_positive_rate(self, n_items: int, geometry: Geometry) -> float:
        """The chance that a fresh key is taken for known, but for keys with the same hash."""

    @abc.abstractmethod
    def hold(self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor) -> Held:
        """An empty partition."""

    def by_hash(self, n_items: int) -> float:
        """The chance that a fresh key has the very hash of one of so many others."""
        return n_items / 2.0**self.hash_bits

    def require_rate(self, n_items: int, fp_rate: float) -> None:
        """ConfigError where hashes alone err more often than is asked for."""
        if self.by_hash(n_items) > fp_rate:
            raise ConfigError(
                f"among {n_items:,} hashes of {self.hash_bits} bits a fresh key meets its own with "
                f"a chance of {self.by_hash(n_items):.2g}, above --fp-rate {fp_rate:g}: take "
                "--fingerprints 128"
            )

    def partition_of(
        self, hashes: NDArray[np.uint64], geometry: Geometry, n_parts: int
    ) -> NDArray[np.int64]:
        """(n,) int64: the partition of each key."""
        import numpy as np

        from dolma_kit.kernels.bloom import block_indices

        edges = [geometry.n_blocks * i // n_parts for i in range(1, n_parts)]
        blocks = block_indices(hashes, np.uint64(geometry.n_blocks))
        return np.searchsorted(np.array(edges, np.uint64), blocks, side="right")

    def found(
        self, geometry: Geometry, counts: Sequence[int], chances: float
    ) -> tuple[float, float]:
        """Share of bits or slots that are taken, and the rate by them."""
        return sum(counts) / (geometry.n_blocks * BLOCK_BITS), chances / geometry.n_blocks

    def stored_bytes(self, geometry: Geometry, n_items: int) -> int:
        """How long what is kept on disk is."""
        return geometry.n_bytes


class Blocked(Structure):
    """`kernels.bloom`, sized by `bloom`."""

    name = "blocked"
    version = 1

    def size_for(self, n_items: int, fp_rate: float) -> Geometry:
        return bloom.size_for(n_items, fp_rate)

    def false_positive_rate(self, n_items: int, geometry: Geometry) -> float:
        return bloom.false_positive_rate(n_items, geometry)

    def hold(self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor) -> HeldBlocks:
        return HeldBlocks(geometry, part, threads)


class Classic(Structure):
    """`kernels.classic_bloom`, sized by `classic`."""

    name = "classic"
    parts_keys = False
    kernels = ("bloom", "minhash", "classic_bloom")

    def size_for(self, n_items: int, fp_rate: float) -> Geometry:
        return classic.size_for(n_items, fp_rate)

    def false_positive_rate(self, n_items: int, geometry: Geometry) -> float:
        return classic.false_positive_rate(n_items, geometry)

    def hold(self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor) -> HeldWords:
        return HeldWords(geometry, part, threads)

    def found(
        self, geometry: Geometry, counts: Sequence[int], chances: float
    ) -> tuple[float, float]:
        fill = sum(counts) / (geometry.n_blocks * BLOCK_BITS)
        return fill, fill**geometry.k


class Fingerprints(Structure):
    """`kernels.fingerprints`: a table of slots of one or two numbers, `MOST_FULL` taken."""

    keeps_keys = True
    kernels = ("bloom", "minhash", "fingerprints")

    def __init__(self, hash_bits: int) -> None:
        self.hash_bits = hash_bits  # type: ignore[misc]
        self.name = f"fingerprints{hash_bits}"  # type: ignore[misc]

    @property
    def width(self) -> int:
        """64-bit numbers of a key."""
        return self.hash_bits // 64

    def size_for(self, n_items: int, fp_rate: float) -> Geometry:
        if n_items < 0 or not 0 < fp_rate < 1:
            raise ConfigError(f"no set for {n_items} items at a false-positive rate of {fp_rate}")
        n_slots = max(1, math.ceil(n_items / MOST_FULL))
        return Geometry(n_blocks=-(-n_slots * 8 * self.width // BLOCK_BYTES), k=1)

    def false_positive_rate(self, n_items: int, geometry: Geometry) -> float:
        return 0.0

    def hold(self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor) -> HeldKeys:
        return HeldKeys(geometry, part, threads, self.width)

    def partition_of(
        self, hashes: NDArray[np.uint64], geometry: Geometry, n_parts: int
    ) -> NDArray[np.int64]:
        import numpy as np

        from dolma_kit.kernels.bloom import block_indices

        return block_indices(hashes, np.uint64(n_parts)).astype(np.int64)

    def found(
        self, geometry: Geometry, counts: Sequence[int], chances: float
    ) -> tuple[float, float]:
        return sum(counts) * 8 * self.width / geometry.n_bytes, 0.0

    def stored_bytes(self, geometry: Geometry, n_items: int) -> int:
        return n_items * 8 * self.width


def of(name: str) -> Structure:
    """The structure of a name."""
    every: list[Structure] = [Blocked(), Classic(), Fingerprints(64), Fingerprints(128)]
    return next(one for one in every if one.name == name)


def asked_for(*, is_classic: bool, fingerprints: int | None) -> Structure:
    """The structure that settings ask for."""
    if fingerprints is None:
        return Classic() if is_classic else Blocked()
    if is_classic:
        raise ConfigError("--classic and --fingerprints exclude each other: leave one out")
    if fingerprints not in (64, 128):
        raise ConfigError(f"--fingerprints {fingerprints}: 64 or 128 bits")
    return Fingerprints(fingerprints)


class HeldBlocks(Held):
    """Blocks `first` to `last` of a blocked filter, (n, 8) uint64; each thread owns a range."""

    def __init__(self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor) -> None:
        from dolma_kit.kernels.bloom import empty_blocks

        self.first, self.last = _range(geometry.n_blocks, part)
        self.blocks = empty_blocks(self.last - self.first)
        self._edges = _edges(self.last - self.first, part.threads)
        self._geometry, self._threads, self.part = geometry, threads, part

    def look_up(self, keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        import numpy as np

        from dolma_kit.kernels.bloom import check, check_and_insert

        marks = np.zeros(len(keys), np.uint8)
        apply = check if self.part.read_only else check_and_insert
        n_blocks, k = np.uint64(self._geometry.n_blocks), self._geometry.k

        def work(i: int) -> None:
            own = self.blocks[self._edges[i] : self._edges[i + 1]]
            apply(own, np.uint64(self.first + self._edges[i]), n_blocks, keys, k, marks)

        list(self._threads.map(work, range(len(self._edges) - 1)))
        return marks

    def is_own(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_] | slice:
        import numpy as np

        from dolma_kit.kernels.bloom import block_indices

        if self.last - self.first == self._geometry.n_blocks:
            return slice(None)
        blocks = block_indices(hashes, np.uint64(self._geometry.n_blocks))
        mine: NDArray[np.bool_] = (blocks >= self.first) & (blocks < self.last)
        return mine

    def load(self, found: FilterFile) -> None:
        found.read_into(self.first * BLOCK_BYTES, self.blocks)

    def stored(self) -> NDArray[np.uint64]:
        return self.blocks

    def fill(self) -> tuple[int, float]:
        from dolma_kit.kernels.bloom import count_bits

        n_bits, chances = count_bits(self.blocks, self._geometry.k)
        return int(n_bits), float(chances)


class HeldWords(Held):
    """Words of a classic filter, by blocks of 8: `blocks` (n, 8) uint64; each thread owns a range
    and has its say on all keys."""

    def __init__(self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor) -> None:
        from dolma_kit.kernels.bloom import empty_blocks

        self.first, self.last = _range(geometry.n_blocks, part)
        self.blocks = empty_blocks(self.last - self.first)
        self._edges = _edges(self.last - self.first, part.threads)
        self._geometry, self._threads, self.part = geometry, threads, part

    def look_up(self, keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        import numpy as np

        from dolma_kit.kernels.classic_bloom import look_up

        n_words, k = np.uint64(8 * self._geometry.n_blocks), self._geometry.k

        def work(i: int) -> NDArray[np.uint8]:
            said = np.empty(len(keys), np.uint8)
            own = self.blocks[self._edges[i] : self._edges[i + 1]].reshape(-1)
            first = np.uint64(8 * (self.first + self._edges[i]))
            look_up(own, first, n_words, keys, k, not self.part.read_only, said)
            return said

        said = list(self._threads.map(work, range(len(self._edges) - 1)))
        marks = said[0]
        for other in said[1:]:
            marks &= other
        return marks

    def is_own(self, hashes: NDArray[np.uint64]) -> slice:
        return slice(None)

    def load(self, found: FilterFile) -> None:
        found.read_into(self.first * BLOCK_BYTES, self.blocks)

    def stored(self) -> NDArray[np.uint64]:
        return self.blocks

    def fill(self) -> tuple[int, float]:
        import numpy as np

        return int(np.bitwise_count(self.blocks).sum(dtype=np.int64)), 0.0


class HeldKeys(Held):
    """Keys of a range of first hashes; each thread owns a range of those, with a table that grows
    where more than its share have come."""

    def __init__(
        self, geometry: Geometry, part: Part, threads: ThreadPoolExecutor, width: int
    ) -> None:
        import numpy as np

        self.part, self._threads, self._width = part, threads, width
        self._n_ranges = part.n_parts * part.threads
        self._first_range = part.number * part.threads
        share = geometry.n_bytes // (8 * width) / self._n_ranges
        n_slots = math.ceil(share + 4 * math.sqrt(share)) + 16
        self._tables = [np.zeros((n_slots, width), np.uint64) for _ in range(part.threads)]
        self._n_held = [0] * part.threads

    def look_up(self, keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        import numpy as np

        keys = np.ascontiguousarray(keys).reshape(-1, self._width)
        marks = np.zeros(len(keys), np.uint8)
        insert = not self.part.read_only
        list(
            self._threads.map(
                lambda i: self._pass(i, keys, marks, insert), range(self.part.threads)
            )
        )
        return marks

    def _pass(
        self, i: int, keys: NDArray[np.uint64], marks: NDArray[np.uint8], insert: bool
    ) -> None:
        """All keys through the table of thread i."""
        import numpy as np

        from dolma_kit.kernels.fingerprints import look_up

        n_ranges, own = np.uint64(self._n_ranges), np.uint64(self._first_range + i)
        at = 0
        while True:
            self._n_held[i], at = look_up(
                self._tables[i], self._n_held[i], keys, at, n_ranges, own, insert, marks
            )
            if at == len(keys):
                return
            held = self._keys(i)
            self._tables[i] = np.zeros((2 * len(self._tables[i]), self._width), np.uint64)
            unused = np.zeros(len(held), np.uint8)
            look_up(self._tables[i], 0, held, 0, n_ranges, own, True, unused)

    def _keys(self, i: int) -> NDArray[np.uint64]:
        table = self._tables[i]
        taken: NDArray[np.uint64] = table[table.any(axis=1)]
        return taken

    def is_own(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_] | slice:
        import numpy as np

        from dolma_kit.kernels.bloom import block_indices

        if self.part.n_parts == 1:
            return slice(None)
        mine: NDArray[np.bool_] = (
            block_indices(hashes, np.uint64(self.part.n_parts)) == self.part.number
        )
        return mine

    def load(self, found: FilterFile) -> None:
        import numpy as np

        held = found.mapped().reshape(-1, self._width)
        bounds = [
            np.searchsorted(held[:, 0], np.uint64(-(-(number << 64) // self.part.n_parts)))
            if number < self.part.n_parts
            else len(held)
            for number in (self.part.number, self.part.number + 1)
        ]
        own = np.ascontiguousarray(held[bounds[0] : bounds[1]]).astype(np.uint64)
        unused = np.zeros(len(own), np.uint8)
        for i in range(self.part.threads):
            self._pass(i, own, unused, True)

    def stored(self) -> NDArray[np.uint64]:
        import numpy as np

        own = np.concatenate([self._keys(i) for i in range(self.part.threads)])
        order = np.lexsort(own.T[::-1])
        return own[order]

    def fill(self) -> tuple[int, float]:
        return sum(self._n_held), 0.0


def _range(n: int, part: Part) -> tuple[int, int]:
    return n * part.number // part.n_parts, n * (part.number + 1) // part.n_parts


def _edges(n: int, threads: int) -> list[int]:
    return [n * i // threads for i in range(threads + 1)]
