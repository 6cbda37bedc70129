"""Connected components: a union-find whose roots are the first of their clusters.

Tarjan 1975, "Efficiency of a Good But Not Linear Set Union Algorithm", with paths halved. The
smaller root always stays one, so what comes out does not depend on the order of the edges.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, void

from dolma_kit.kernels.unicode import LEAF

_EDGES = types.Array(types.int64, 2, "C", readonly=True)
_KEYS = types.Array(types.uint64, 1, "C", readonly=True)
_DOCS = types.Array(types.int64, 1, "C", readonly=True)


@njit(int64(int64[::1], int64), **LEAF)
def find_root(parents: npt.NDArray[np.int64], i: int) -> int:
    """The first of i's cluster; paths get shorter on the way."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@njit(void(int64[::1], _EDGES), **LEAF)
def join(parents: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> None:
    """Make one of the clusters of both ends of each edge.

    `parents` (n,) int64, at first `arange(n)`, changed in place; `edges` (n_edges, 2) int64.
    """
    for e in range(len(edges)):
        a, b = find_root(parents, edges[e, 0]), find_root(parents, edges[e, 1])
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b


@njit(void(int64[::1]), **LEAF)
def flatten(parents: npt.NDArray[np.int64]) -> None:
    """Let each point at the first of its cluster; a parent is never behind its child."""
    for i in range(len(parents)):
        parents[i] = parents[parents[i]]


@njit(int64[:, ::1](_KEYS, _DOCS, _DOCS), cache=True, nogil=True)
def edges_of(
    keys: npt.NDArray[np.uint64],
    docs: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """(n, 2) int64: an edge from the first of those with one key to each other.

    `keys` and `docs` (n_keys,); `order` sorts the keys, equal ones as they stand.
    """
    n = 0
    for i in range(1, len(order)):
        n += keys[order[i]] == keys[order[i - 1]]
    found = np.empty((n, 2), np.int64)
    n = first = 0
    for i in range(1, len(order)):
        if keys[order[i]] == keys[order[i - 1]]:
            found[n, 0], found[n, 1] = docs[order[first]], docs[order[i]]
            n += 1
        else:
            first = i
    return found
