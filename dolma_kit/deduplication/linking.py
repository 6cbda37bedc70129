"""Linking what shares a key: edges between documents, and a union-find of two levels.

Each band of signatures is cut into parts by ranges of its keys, and a unit of work finds the edges
of one part, a star for each key: from its first document to the others. Units of a second phase
join the edges of some parts and leave the forest that is left of them, at most one edge a document;
the forests are joined at the end. So neither sorting nor joining is for one machine alone, and as
the root of a tree is always its first document, no grouping changes what comes out. Files, in the
ledger's temporary folder, each (n, 2) int64, little-endian: numbers of documents, from 0 in
canonical order.

    BBBB-PPPP.edges   of part P of band B
    GGGG.forest       of group G of those
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolma_kit import files, kernels
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class BandTask:
    """Part `part` of `n_parts` of one band of all documents."""

    band: int
    n_bands: int
    part: int
    n_parts: int
    n_inputs: int
    temporary: str

    @property
    def edges(self) -> str:
        return os.path.join(self.temporary, f"{self.band:04d}-{self.part:04d}.edges")


@dataclass(frozen=True)
class JoinTask:
    """Files of edges to make one forest of."""

    edges: tuple[str, ...]
    forest: str


def tasks(
    n_bands: int, n_parts: int, n_inputs: int, temporary: str
) -> tuple[list[BandTask], list[JoinTask]]:
    """What finds the edges, and what joins them: as many groups as each has files, nearly."""
    finding = [
        BandTask(band, n_bands, part, n_parts, n_inputs, temporary)
        for band in range(n_bands)
        for part in range(n_parts)
    ]
    n_groups = math.isqrt(len(finding) - 1) + 1
    joining = [
        JoinTask(
            tuple(task.edges for task in finding[group::n_groups]),
            os.path.join(temporary, f"{group:04d}.forest"),
        )
        for group in range(n_groups)
    ]
    return finding, joining


def find_edges(task: BandTask) -> Result:
    """Link the documents that agree in one part of a band, each to the first of them.

    Memory: 40 bytes a document of the part.
    """
    import numpy as np

    from dolma_kit.execute.spill import Spill

    keys, docs, first = [], [], 0
    for i in range(task.n_inputs):
        spill = Spill(task.temporary, i)
        has_words = spill.n_keys_of_documents() > 0
        band = spill.mapped("bands", "<u8").reshape(task.n_bands, -1)[task.band]
        own = np.flatnonzero(has_words & (part_of(band, task.n_parts) == task.part))
        keys.append(band[own])
        docs.append(first + own)
        first += len(has_words)
    all_keys = np.concatenate(keys).astype(np.uint64)
    order = np.argsort(all_keys, kind="stable")
    edges = kernels.clusters.edges_of(all_keys, np.concatenate(docs), order)
    return _written(task.edges, edges)


def part_of(keys: NDArray[np.uint64], n_parts: int) -> NDArray[np.uint64]:
    """(n,) uint64: each key's part, by ranges of keys that are equally long."""
    import numpy as np

    return (keys >> np.uint64(32)) * np.uint64(n_parts) >> np.uint64(32)


def join(task: JoinTask) -> Result:
    """Make one forest of some files of edges. Memory: 48 bytes an edge."""
    import numpy as np

    edges = np.concatenate([edges_in(path) for path in task.edges])
    # Documents that nothing is linked to need no place in the union-find.
    linked, places = np.unique(edges, return_inverse=True)
    roots = np.arange(len(linked))
    kernels.clusters.join(roots, np.ascontiguousarray(places.reshape(-1, 2), np.int64))
    kernels.clusters.flatten(roots)
    others = np.flatnonzero(roots != np.arange(len(roots)))
    return _written(task.forest, np.stack((linked[roots[others]], linked[others]), axis=1))


def roots_of(n_documents: int, forests: Iterable[str]) -> NDArray[np.int64]:
    """(n_documents,) int64: the first document of each one's cluster."""
    import numpy as np

    roots = np.arange(n_documents)
    for path in forests:
        kernels.clusters.join(roots, edges_in(path))
    kernels.clusters.flatten(roots)
    return roots


def edges_in(path: str) -> NDArray[np.int64]:
    """(n, 2) int64, of a file of edges."""
    import numpy as np

    from dolma_kit.execute.spill import mapped

    return np.ascontiguousarray(mapped(path, "<i8").reshape(-1, 2), np.int64)


def _written(path: str, edges: NDArray[np.int64]) -> Result:
    with files.write_atomically(path, synced=False) as stream:
        stream.write(edges.astype("<i8", copy=False).tobytes())
    return Result(outputs=[path])
