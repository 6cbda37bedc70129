"""Documents packed into instances by best fit, the longest first.

Optimised Best-Fit Decreasing (arXiv:2404.10830, appendix B), as OLMo-core does it: each document
goes to the instance with the least room that still fits it; of several, to the one that has had
that room for the longest; where none fits, to a new one. A tree over the rooms of 1 to T tokens,
each leaf as large as its room where an instance has it, finds the least that fits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, void

_IDS = types.Array(types.int64, 1, "C", readonly=True)


@njit(void(int64[::1], int64, int64), cache=True, nogil=True)
def _set(tree: npt.NDArray[np.int64], leaf: int, weight: int) -> None:
    tree[leaf] = weight
    node = leaf >> 1
    while node >= 1:
        tree[node] = max(tree[2 * node], tree[2 * node + 1])
        node >>= 1


@njit(int64(_IDS, int64, int64[::1]), cache=True, nogil=True)
def pack_into(
    lengths: npt.NDArray[np.int64], sequence_length: int, instances: npt.NDArray[np.int64]
) -> int:
    """The instance of each document, of lengths (n_docs,) from 1 to sequence_length (a power of 2);
    instances are numbered as they are begun. Returns how many there are."""
    tree = np.zeros(2 * sequence_length, np.int64)
    _set(tree, 2 * sequence_length - 1, sequence_length)
    oldest = np.full(sequence_length + 1, -1, np.int64)  # by room, a queue of instances
    newest = np.full(sequence_length + 1, -1, np.int64)
    behind = np.full(len(lengths), -1, np.int64)
    n = 0
    for d in range(len(lengths)):
        length = lengths[d]
        node = 1
        while node < sequence_length:
            node = 2 * node if length <= tree[2 * node] else 2 * node + 1
        room = node - sequence_length + 1
        if room == sequence_length:
            instance = n
            n += 1
        else:
            instance = oldest[room]
            oldest[room] = behind[instance]
            if oldest[room] < 0:
                _set(tree, node, 0)
        instances[d] = instance
        left = room - length
        if left > 0:
            if oldest[left] < 0:
                _set(tree, sequence_length + left - 1, left)
                oldest[left] = instance
            else:
                behind[newest[left]] = instance
            newest[left] = instance
            behind[instance] = -1
    return n
