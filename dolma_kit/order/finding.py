"""Where the documents of an id are: by the index beside the tokens, or by a pass over the ids."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolma_kit import files
from dolma_kit.errors import DolmaKitError
from dolma_kit.order.documents import DocumentTable

if TYPE_CHECKING:
    from dolma_kit.order.run import Run
    from dolma_kit.tokens.folder import TokenFolder
    from dolma_kit.tokens.id_index import IdIndex

INDEX = "ids.index"


@dataclass(frozen=True)
class IndexedFolder:
    """A folder of token files and the index of its ids, both open."""

    folder: TokenFolder
    index: IdIndex


def rows_of(run: Run, doc_id: str) -> list[tuple[int, int, int]]:
    """(file, start, end) of every document of an id, by file and row; a file that stands twice in
    the run has its documents twice."""
    by_path: dict[str, list[tuple[int, int]]] = {}
    for folder in _folders_with_index(run):
        by_path |= _by_index(folder, doc_id)
    found = []
    for n, file in enumerate(run.files):
        if file.path not in by_path:
            table = run.documents(n)
            rows = table.rows_with_id(doc_id)
            assert isinstance(table, DocumentTable) or not rows
            by_path[file.path] = [
                (int(table.starts[row]), int(table.ends[row]))
                for row in rows
                if isinstance(table, DocumentTable)
            ]
        found += [(n, start, end) for start, end in by_path[file.path]]
    return found


def _folders_with_index(run: Run) -> list[IndexedFolder]:
    if run.description.documents is not None:  # which are not those beside the tokens
        return []
    local = [file.path for file in run.files if not files.is_remote(file.path)]
    for folder in dict.fromkeys(os.path.dirname(path) for path in local):
        if folder not in run.indices:
            run.indices[folder] = _opened(run, folder)
    return [one for one in run.indices.values() if one is not None]


def _opened(run: Run, folder: str) -> IndexedFolder | None:
    if not os.path.exists(os.path.join(folder, INDEX)):
        return None
    from dolma_kit.tokens import folder as token_folder
    from dolma_kit.tokens import id_index

    try:
        opened = token_folder.open_folder(folder, run.description.dtype)
    except DolmaKitError:  # a folder that holds other things as well: its ids are read instead
        return None
    index = id_index.open_index(opened)
    assert index is not None
    return IndexedFolder(opened, index)


def _by_index(one: IndexedFolder, doc_id: str) -> dict[str, list[tuple[int, int]]]:
    """By path of the folder's parts, where documents of the id are."""
    from dolma_kit.tokens import lookup

    found: dict[str, list[tuple[int, int]]] = {part.path: [] for part in one.folder.parts}
    for place in lookup.by_id(one.folder, doc_id, one.index):
        found[place.part].append((place.document.start, place.document.end))
    return found
