"""The classic Bloom filter in the place of a partition of the blocked one: smaller, slower.

It has one array of bits, sized in steps of 64 bytes. A key's positions are anywhere in it, so there
are no partitions, and one thread passes all keys.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dolma_kit.deduplication.bloom import BLOCK_BITS, Geometry
from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def size_for(n_items: int, fp_rate: float) -> Geometry:
    """The smallest array, in blocks of 512 bits, that keeps to `fp_rate` once it holds `n_items`.

    Of the whole numbers of positions next to the best real one, the one that takes fewer bits.
    """
    if n_items < 0 or not 0 < fp_rate < 1:
        raise ConfigError(f"no filter for {n_items} items at a false-positive rate of {fp_rate}")
    best = -math.log2(fp_rate)
    sizes = []
    for k in {max(1, math.floor(best)), math.ceil(best)}:
        n_bits = -k * n_items / math.log1p(-(fp_rate ** (1 / k)))
        sizes.append((max(1, math.ceil(n_bits / BLOCK_BITS)), k))
    n_blocks, k = min(sizes)
    return Geometry(n_blocks=n_blocks, k=k)


def false_positive_rate(n_items: int, geometry: Geometry) -> float:
    """(1 - e^(-k n / m))^k, of m bits: the chance that a fresh key finds all its bits set."""
    n_bits = geometry.n_blocks * BLOCK_BITS
    return float((-math.expm1(-geometry.k * n_items / n_bits)) ** geometry.k)


class ClassicFilter:
    """What `marking.PartitionFilter` is of a blocked filter; `blocks` (n_blocks, 8) uint64."""

    def __init__(self, geometry: Geometry, *, read_only: bool) -> None:
        from dolma_kit.kernels.bloom import empty_blocks

        self.first, self.last = 0, geometry.n_blocks
        self.blocks = empty_blocks(geometry.n_blocks)
        self._k, self._read_only = geometry.k, read_only

    def look_up(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Which of the hashes were there before: (n,) uint8."""
        import numpy as np

        from dolma_kit.kernels.classic_bloom import look_up

        marks = np.empty(len(hashes), np.uint8)
        look_up(self.blocks.reshape(-1), hashes, self._k, not self._read_only, marks)
        return marks

    def own(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return hashes

    def is_own(self, hashes: NDArray[np.uint64]) -> slice:
        return slice(None)

    def fill(self) -> tuple[int, float]:
        """Set bits, and the chance that a fresh key is known, times the number of blocks."""
        import numpy as np

        n_bits = int(np.bitwise_count(self.blocks).sum(dtype=np.int64))
        rate = (n_bits / (len(self.blocks) * BLOCK_BITS)) ** self._k
        return n_bits, rate * len(self.blocks)
