"""A language model at a path or URL, and what it says of documents."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from dolma_kit import downloads, files, kernels
from dolma_kit.errors import ConfigError
from dolma_kit.language_models import arpa_files, kenlm_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.language_models.text import Lines

MAX_BYTES = 64 << 30  # of a model fetched from a URL
KERNELS = ("language_model", "arpa")


def local_path(name: str, what: str = "language model") -> str:
    """Where a file is that was named by path or URL; a URL is fetched once."""
    if files.is_remote(name):
        return downloads.fetch(name, max_bytes=MAX_BYTES)
    if not os.path.isfile(name):
        fault = "is a folder" if os.path.isdir(name) else "is not there"
        raise ConfigError(f"the {what} {name} {fault}: name a file, or a URL")
    return name


def load(name: str) -> Model:
    """The model at a path or URL; read once a process, and again where the file has changed."""
    path = local_path(name)
    status = os.stat(path)
    return _load(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _load(path: str, n_bytes: int, mtime_ns: int) -> Model:
    return Model(path)


class Model:
    """An n-gram model of an ARPA file (see `arpa_files`) or a KenLM file (see `kenlm_files`).

    A broken file is a DataError. `note` is what an ARPA file that we wrote says of how the text
    was prepared that it was trained on.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        is_kenlm = kenlm_files.is_kenlm(path)
        self._tables = kenlm_files.map_file(path) if is_kenlm else arpa_files.read(path)
        self.order = int(self._tables.layout[kernels.language_model.ORDER])
        self.note = self._tables.note

    def score(self, lines: Lines) -> NDArray[np.float64]:
        """(n_docs, 3) float64: log10 probability, words and ends of lines, unknown words.

        Each line is a sentence between `<s>` and `</s>`. A document without lines has zeros.
        """
        entries, values, layout, _ = self._tables
        scores: NDArray[np.float64] = kernels.language_model.score_documents(
            lines.text, lines.starts, lines.ends, lines.first_lines, entries, values, layout
        )
        return scores


def perplexity(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """10 ** (-log10 probability / length) of each document, NaN where the length is 0.

    The highest float64 where the power would be beyond it.
    """
    import numpy as np

    log10, length = scores[:, 0], scores[:, 1]
    exponents = np.full(len(scores), np.nan)
    np.divide(-log10, length, out=exponents, where=length > 0)
    with np.errstate(over="ignore"):
        powers: NDArray[np.float64] = np.minimum(10.0**exponents, np.finfo(np.float64).max)
    return powers
