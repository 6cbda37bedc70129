"""Where the documents of an id are: by the index beside the tokens, or by a pass over the ids."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dolma_kit import files
from dolma_kit.errors import DolmaKitError
from dolma_kit.order.documents import DocumentTable

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

INDEX = "ids.index"


def rows_of(run: Run, doc_id: str) -> list[tuple[int, int, int]]:
    """(file, start, end) of every document of an id, by file and row; a file that stands twice in
    the run has its documents twice."""
    by_path: dict[str, list[tuple[int, int]]] = {}
    for folder in _folders_with_index(run):
        by_path |= _by_index(run, folder, doc_id)
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


def _folders_with_index(run: Run) -> list[str]:
    if run.description.documents is not None:  # which are not those beside the tokens
        return []
    local = [file.path for file in run.files if not files.is_remote(file.path)]
    folders = dict.fromkeys(os.path.dirname(path) for path in local)
    return [folder for folder in folders if os.path.exists(os.path.join(folder, INDEX))]


def _by_index(run: Run, folder: str, doc_id: str) -> dict[str, list[tuple[int, int]]]:
    """By path of the folder's parts, where documents of the id are."""
    from dolma_kit.tokens import folder as token_folder
    from dolma_kit.tokens import lookup

    try:
        opened = token_folder.open_folder(folder, run.description.dtype)
    except DolmaKitError:  # a folder that holds other things as well: its ids are read instead
        return {}
    found: dict[str, list[tuple[int, int]]] = {part.path: [] for part in opened.parts}
    for one in lookup.by_id(opened, doc_id):
        found[one.part].append((one.document.start, one.document.end))
    return found
