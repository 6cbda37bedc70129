"""How large a classic Bloom filter must be: one array of bits, sized in steps of 64 bytes."""

from __future__ import annotations

import math

from dolma_kit.deduplication.bloom import BLOCK_BITS, Geometry
from dolma_kit.errors import ConfigError


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
