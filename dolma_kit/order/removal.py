"""Why a document never came to be tokens: what the mixes' `decisions.parquet` say of it.

They are those that run.yaml's `decisions` name (folders or files), else those beside the
`documents/` folders that the tokens were made from, as the tables of documents say.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dolma_kit import decisions, explaining, files
from dolma_kit.errors import DolmaKitError
from dolma_kit.order.answers import Removed
from dolma_kit.order.documents import DocumentTable

if TYPE_CHECKING:
    from dolma_kit.order.run import Run


def why_removed(run: Run, doc_id: str) -> Removed | None:
    """The rule by which a mix has removed a document of an id; None if none knows the id, or what
    knows it has kept it. ConfigError for decisions that run.yaml names and that are not there."""
    for place in run.description.decisions or _found(run):
        for one in explaining.explain(place, doc_id):
            if one.first is not None and not one.copies:
                return Removed(one.stream, one.src, one.line, one.first, one.rules)
    return None


def _found(run: Run) -> list[str]:
    """The decisions of the mixes that the documents of the tokens were read from."""
    places: dict[str, None] = {}
    beside = os.path.dirname(os.path.abspath(run.path))
    for n in range(len(run.files)):
        try:
            table = run.documents(n)
        except DolmaKitError:
            continue
        if not isinstance(table, DocumentTable) or not len(table):
            continue
        src = table[0].src
        if files.is_remote(src) or "documents" not in src.split(os.sep):
            continue
        names = src.split(os.sep)
        folder = os.sep.join(names[: len(names) - 1 - names[::-1].index("documents")])
        for root in ("", beside):
            path = decisions.path_in(os.path.join(root, folder))
            if os.path.isfile(path):
                places[path] = None
                break
    return list(places)
