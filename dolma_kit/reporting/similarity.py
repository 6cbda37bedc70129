"""How much folders of documents share: from the sketches of `stats overlap` that are kept a file.

The partials of a folder's files are put together, so no document is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from dolma_kit.reporting.answers import Similarity
from dolma_kit.reporting.inventory import Book, Inventory
from dolma_kit.statistics import overlap, partials
from dolma_kit.statistics.duplicates import KINDS

MOST_FOLDERS = 16


def similarities(inventory: Inventory, books: Sequence[Book]) -> list[Similarity]:
    """Of each kind of key, of the folders that have sketches made in one way; the largest of many.

    `books` are ledgers of `stats overlap`.
    """
    groups: dict[str, list[str]] = {}
    how: Any = None
    seen: set[str] = set()
    for book in books:
        if how is None:
            how = book.header.config
        if book.header.config != how:  # of other URLs or paragraphs: sketches of other things
            continue
        for record in book.records:
            if record.source is None:
                continue
            path = os.path.normpath(os.path.join(book.folder, record.source))
            made = [os.path.join(book.folder, name) for name in record.sizes]
            if path in seen or not all(map(os.path.exists, made)):
                continue
            seen.add(path)
            groups.setdefault(_folder(inventory, path), []).extend(made)
    if len(groups) < 2:
        return []
    notes = {
        name: [partials.read_notes(path, "overlap") for path in paths]
        for name, paths in sorted(groups.items())
    }
    largest = sorted(notes, key=lambda name: -_keys(notes[name]))[:MOST_FOLDERS]
    return [_of_kind(kind, {name: notes[name] for name in sorted(largest)}) for kind in KINDS]


def _folder(inventory: Inventory, path: str) -> str:
    """The folder above a file's `documents/`, as the report shows it."""
    place = inventory.seen_from_root(os.path.dirname(path))
    parts = place.split(os.sep)
    if "documents" in parts:
        parts = parts[: len(parts) - 1 - parts[::-1].index("documents")]
    return os.sep.join(parts) or "."


def _keys(notes: Sequence[Mapping[str, Any]]) -> int:
    return sum(int(one[kind]["keys"]) for one in notes for kind in KINDS)


def _of_kind(kind: str, notes: Mapping[str, Sequence[Mapping[str, Any]]]) -> Similarity:
    sketches = {
        name: overlap.union(overlap.sketch_in(one[kind]) for one in some)
        for name, some in notes.items()
    }
    shared: list[list[float | None]] = []
    errors: list[list[float | None]] = []
    for a in sketches.values():
        found = [overlap.shared(kind, a, b).a_in_b for b in sketches.values()]
        has_keys = a.get_estimate() > 0
        shared.append([round(one.value, 6) if has_keys else None for one in found])
        errors.append(
            [round((one.high - one.low) / 2, 6) if has_keys else None for one in found]
        )  # fmt: skip
    return Similarity(
        kind=kind,
        names=list(sketches),
        distinct=[round(overlap.estimate_of(one).value, 1) for one in sketches.values()],
        exact=[not one.is_estimation_mode() for one in sketches.values()],
        shared=shared,
        errors=errors,
    )
