"""A keyed permutation of 0 to n - 1 that can be asked at any place, both ways, and stores nothing.

A balanced Feistel network over 2h bits, the least even number of them that holds n (at least 2),
with cycle-walking: what falls beyond n - 1 goes through again, less than four times on average. A
round with key k takes the halves (l, r) to (r, l ^ (mix(r + k) mod 2^h)); `mix` is the finalizer of
SplitMix64 (Steele, Lea and Flood 2014). Not for secrets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from dolma_kit.kernels.unicode import OFFSETS

_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)
_MUL_1, _MUL_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@njit(uint64(uint64), inline="always")
def _mix(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> _30)) * _MUL_1
    x = (x ^ (x >> _27)) * _MUL_2
    return x ^ (x >> _31)


def half_bits(n: int) -> int:
    """h of the network for n, at least 1."""
    return max(1, ((n - 1).bit_length() + 1) // 2)


@njit(uint64[::1](OFFSETS, uint64, uint64, uint64[::1]), cache=True, nogil=True)
def forward(
    places: npt.NDArray[np.int64], n: np.uint64, half: np.uint64, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """(k,) int64 places below n -> (k,) uint64, what stands there. `half` is h of `half_bits`,
    `keys` (n_rounds,) uint64 one a round."""
    mask = (uint64(1) << half) - uint64(1)
    found = np.empty(len(places), np.uint64)
    for i in range(len(places)):
        x = uint64(places[i])
        while True:
            left, right = x >> half, x & mask
            for key in keys:
                left, right = right, left ^ (_mix(right + key) & mask)
            x = (left << half) | right
            if x < n:
                break
        found[i] = x
    return found


@njit(uint64[::1](OFFSETS, uint64, uint64, uint64[::1]), cache=True, nogil=True)
def backward(
    values: npt.NDArray[np.int64], n: np.uint64, half: np.uint64, keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """(k,) int64 values below n -> (k,) uint64, the places where they stand."""
    mask = (uint64(1) << half) - uint64(1)
    found = np.empty(len(values), np.uint64)
    for i in range(len(values)):
        x = uint64(values[i])
        while True:
            left, right = x >> half, x & mask
            for r in range(len(keys) - 1, -1, -1):
                left, right = right ^ (_mix(left + keys[r]) & mask), left
            x = (left << half) | right
            if x < n:
                break
        found[i] = x
    return found
