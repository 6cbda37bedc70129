"""A state that torch has saved (`train.pt`, `rank0.pt`), read without running anything of it.

`torch.load` of a foreign file runs what the file says. Here nothing is imported and nothing called:
of the classes that a train state has (tensors, arrays, paths, configs) stand-ins are made that hold
nothing, and a file that names any other is refused. What is left are numbers, strings, lists and
dicts, and of those the counters are read.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

from dolma_kit.errors import ConfigError, DataError

MAX_BYTES = 1 << 30
#: modules whose classes a train state may hold; none of them is imported
KNOWN = ("torch", "numpy", "pathlib", "omegaconf", "olmo", "olmo_core", "collections", "datetime")
#: of the builtins, those that only hold values
HOLDING = ("set", "frozenset", "bytearray", "complex", "slice", "range")


class Opaque:
    """In the place of an object that is not looked at."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, *_: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass


def read_state(path: str) -> dict[str, Any]:
    """The state's dict; DataError for a file of another form or that names what no state has."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(2)
            stream.seek(0)
            data = _pickled(path, stream) if head == b"PK" else stream.read(MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(path, None, f"is no state that torch has saved: {error}") from None
    reader = _Reader(io.BytesIO(data), path)
    try:
        state = reader.load()
        if isinstance(state, int) and head != b"PK":
            # Before zip files, torch wrote a number and two dicts ahead of the object.
            for _ in range(3):
                state = reader.load()
    except DataError:
        raise
    except Exception as error:  # what a broken pickle raises can be anything
        raise DataError(path, None, f"is no state that torch has saved: {error}") from None
    if not isinstance(state, dict):
        raise DataError(path, None, f"holds a {type(state).__name__}, not the state of a trainer")
    return state


def _pickled(path: str, stream: io.BufferedReader) -> bytes:
    with zipfile.ZipFile(stream) as archive:
        names = [n for n in archive.namelist() if n.split("/")[-1] == "data.pkl"]
        if not names:
            raise KeyError("no data.pkl in it")
        if archive.getinfo(names[0]).file_size > MAX_BYTES:
            raise DataError(path, None, f"its data.pkl is larger than {MAX_BYTES} bytes")
        return archive.read(names[0])


class _Reader(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, path: str) -> None:
        super().__init__(stream)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "builtins" and name in HOLDING:
            return Opaque
        if module.split(".")[0] in KNOWN or (module, name) == ("_codecs", "encode"):
            return type(name.split(".")[-1], (Opaque,), {})
        raise DataError(
            self._path, None, f"names {module}.{name}, which no train state holds: not read"
        )

    def persistent_load(self, _: Any) -> Any:
        return Opaque()
