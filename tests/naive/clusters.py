"""Plain twins of `kernels.clusters`."""

from __future__ import annotations

from collections.abc import Iterable


def roots(n: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """The first of each one's cluster: labels are lowered along edges until none changes."""
    edges, found = list(edges), list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(found[a], found[b])
            changed |= (found[a], found[b]) != (least, least)
            found[a] = found[b] = least
    return found


def edges_of(keys: list[int], docs: list[int]) -> set[tuple[int, int]]:
    first: dict[int, int] = {}
    return {
        (first[key], doc)
        for key, doc in zip(keys, docs, strict=True)
        if first.setdefault(key, doc) != doc
    }
