"""The classic Bloom filter (Bloom 1970): k positions of a key anywhere in one array of bits.

Position j of the k of hash h, in an array of n bits, with SplitMix64's finalizer mix64:

    high 64 bits of mix64(h + (j + 1) * 0x9E3779B97F4A7C15) * n

so the k are as good as independent of each other, which two hashes added up are not at small rates.

A range of the array's words says of each key whether those of its bits that lie there were set. A
key is known if all ranges say so: each sees the keys in the same sequence, and sets its own bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8, uint64, void

from dolma_kit.kernels.bloom import high_product
from dolma_kit.kernels.minhash import mix64

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_1, _6, _63 = np.uint64(1), np.uint64(6), np.uint64(63)


@njit(
    void(uint64[::1], uint64, uint64, _HASHES, int64, boolean, uint8[::1]), cache=True, nogil=True
)
def look_up(
    words: npt.NDArray[np.uint64],
    first_word: np.uint64,
    n_words: np.uint64,
    hashes: npt.NDArray[np.uint64],
    k: int,
    insert: bool,
    out: npt.NDArray[np.uint8],
) -> None:
    """Look each hash up, and insert it if `insert`, in sequence.

    `words` (n,) uint64 are those of an array of `n_words` from `first_word` on, changed in place;
    `out` (n_hashes,) uint8 becomes 1 where all bits among them were set before, else 0.
    """
    n_bits = n_words << _6
    n_own = uint64(len(words))
    for i in range(len(hashes)):
        known = uint8(1)
        draw = hashes[i]
        for _ in range(k):
            draw += _GAMMA
            position = high_product(mix64(draw), n_bits)
            word, bit = (position >> _6) - first_word, _1 << (position & _63)  # wraps before it
            if word < n_own and words[word] & bit == uint64(0):
                known = uint8(0)
                if not insert:
                    break
                words[word] |= bit
        out[i] = known
