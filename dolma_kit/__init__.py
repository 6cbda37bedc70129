"""dolma-kit: build and audit open pretraining corpora.

The functions are the commands: `dolma_kit.tag(documents=["web"], taggers=["gopher_v2"],
experiment="q")` does what `dolma-kit tag web --taggers gopher_v2 --experiment q` does and returns
what the command prints. Importing the package loads none of them. `dolma_kit.tagger` and
`dolma_kit.mixer` make parts of functions, in files for `--plugin`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dolma_kit.classifying import train_classifier as train_classifier
    from dolma_kit.decontamination.stage import decontaminate as decontaminate
    from dolma_kit.decorators import mixer as mixer
    from dolma_kit.decorators import tagger as tagger
    from dolma_kit.deduplication.stage import dedupe as dedupe
    from dolma_kit.extraction.stage import extract as extract
    from dolma_kit.mixing import mix as mix
    from dolma_kit.order.run import open_run as open_run
    from dolma_kit.reporting.stage import report as report
    from dolma_kit.tagging import tag as tag
    from dolma_kit.tokens.stage import tokenize as tokenize

__version__ = "0.1.0"

_PUBLIC = {
    "tag": "dolma_kit.tagging",
    "decontaminate": "dolma_kit.decontamination.stage",
    "dedupe": "dolma_kit.deduplication.stage",
    "extract": "dolma_kit.extraction.stage",
    "mix": "dolma_kit.mixing",
    "tokenize": "dolma_kit.tokens.stage",
    "open_run": "dolma_kit.order.run",
    "report": "dolma_kit.reporting.stage",
    "train_classifier": "dolma_kit.classifying",
    "tagger": "dolma_kit.decorators",
    "mixer": "dolma_kit.decorators",
}
__all__ = [
    "__version__", "decontaminate", "dedupe", "extract", "mix", "mixer", "open_run", "report",
    "tag", "tagger", "tokenize", "train_classifier",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
