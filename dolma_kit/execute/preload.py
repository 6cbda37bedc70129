"""Imported by the fork server for its effect: what workers need is loaded before they are forked.

multiprocessing gives a fork server modules to import and nothing else, hence the work at import:
it loads the libraries, and the kernels that the environment names, compiling what has to be, and
calls a function, if the environment names one. The workers that are forked from it have all of that
in memory.
"""

from __future__ import annotations

import contextlib
import importlib
import os

import msgspec
import numpy as np  # noqa: F401
import pyarrow.compute as pc  # noqa: F401
import pyarrow.parquet as pq  # noqa: F401

import dolma_kit.documents
import dolma_kit.registry  # noqa: F401
from dolma_kit import kernels

NAMES = tuple(os.environ.get("DOLMA_KIT_PRELOADED_KERNELS", "").split())
#: what loading (and, once a machine, compiling) the kernels took
SECONDS = kernels.load(NAMES)
if call := os.environ.get("DOLMA_KIT_PRELOADED_CALL"):
    with contextlib.suppress(Exception):  # a worker that needs it fails by itself, and says why
        module, function, arguments = msgspec.json.decode(call)
        getattr(importlib.import_module(module), function)(*arguments)
