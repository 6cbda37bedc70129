"""Hot loops, compiled by numba: arrays in, arrays out, no I/O and no configuration.

A kernel sees the documents of a batch as Arrow lays them out: `text_bytes` (n_bytes,) uint8, the
UTF-8 of all documents one after the other, and `offsets` (n_docs + 1,) int64, so that document i
is `text_bytes[offsets[i]:offsets[i + 1]]`. Text is valid UTF-8: the reader has checked it.

`from dolma_kit import kernels` is free; `kernels.gopher` imports numba and that one module, which
compiles on the very first use of a machine (numba keeps the result on disk) and loads after that.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _load_numba()
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def _load_numba() -> None:
    """Load numba without scipy.linalg, which it imports only to see whether a BLAS is there.

    That takes as long as all else that a kernel needs, and none of ours calls it. One that does, in
    a plug-in, finds it when it is called.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    hidden = "scipy.linalg" not in sys.modules
    if hidden:
        sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # an import of it fails
    try:
        arraymath: Any = importlib.import_module("numba.np.arraymath")
    finally:
        if hidden:
            del sys.modules["scipy.linalg"]
    if hasattr(arraymath, "_HAVE_BLAS"):
        arraymath._HAVE_BLAS = importlib.util.find_spec("scipy") is not None


def load(names: Iterable[str]) -> float:
    """Import the named kernel modules, compiling what numba has no cached copy of.

    Returns the seconds that took: about 0.1 a module when cached, seconds when not. Called in the
    parent before workers start, so that each worker finds the compiled code on disk.
    """
    started = time.perf_counter()
    if names := tuple(names):
        _load_numba()
    for name in names:
        importlib.import_module(f"{__name__}.{name}")
    return time.perf_counter() - started
