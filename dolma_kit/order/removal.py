"""Why a document never came to be tokens: what the mixes' `decisions.parquet` say of it.

They are those that run.yaml's `decisions` name (folders or files), else those beside the
`documents/` folders that the tokens were made from, as the ledger of the tokens' folder says.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dolma_kit import decisions, explaining, files, ledger
from dolma_kit.order.answers import Removed

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
    """The decisions of the mixes that the tokens were made from."""
    places: dict[str, None] = {}
    local = [file.path for file in run.files if not files.is_remote(file.path)]
    for folder in dict.fromkeys(os.path.dirname(path) for path in local):
        recorded = ledger.read(folder)
        for record in recorded[1] if recorded else []:
            names = os.path.normpath(os.path.join(folder, record.source or "")).split(os.sep)
            if "documents" not in names:
                continue
            mix = os.sep.join(names[: len(names) - 1 - names[::-1].index("documents")])
            if os.path.isfile(decisions.path_in(mix)):
                places[mix] = None
    return list(places)
