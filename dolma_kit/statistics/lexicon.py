"""A lexicon: words and phrases by category, found as whole words whatever their case.

A file of lines `CATEGORY<tab>WORD OR PHRASE`; blank lines and lines that begin with `#` are none.
Words are those of UAX #29 in lower case, so the last word of a category is found as any other, and
`ass` is not found in `assess`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dolma_kit import files, kernels
from dolma_kit.errors import DataError
from dolma_kit.statistics.findings import Hits
from dolma_kit.statistics.statistic import words_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch

SEED = np.uint64(0)


@dataclass(frozen=True)
class Lexicon:
    """Category -> phrases; `sha256` is that of the file."""

    path: str
    sha256: str
    phrases: dict[str, tuple[str, ...]]


def read(path: str) -> Lexicon:
    """DataError, with the line, for what is no lexicon."""
    with files.open_raw(path) as stream:
        data = stream.read()
    found: dict[str, dict[str, None]] = {}
    for number, raw in enumerate(data.split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(path, number, "is not UTF-8") from None
        if not line or line.startswith("#"):
            continue
        category, tab, phrase = line.partition("\t")
        if not tab or not category.strip() or not phrase.strip():
            raise DataError(path, number, "write CATEGORY, a tab, and a word or phrase")
        found.setdefault(category.strip(), {})[phrase.strip()] = None
    if not found:
        raise DataError(path, None, "has no words")
    return Lexicon(path, files.sha256(path), {name: tuple(words) for name, words in found.items()})


class Finder:
    """Finds the phrases of a lexicon in batches."""

    def __init__(self, phrases: dict[str, tuple[str, ...]]) -> None:
        self._phrases: dict[int, list[tuple[str, NDArray[np.uint64]]]] = {}
        known: set[tuple[str, bytes]] = set()
        for category, texts in phrases.items():
            for text in texts:
                data = text.encode("utf-8", "surrogatepass")
                bounds = np.array([0, len(data)], np.int64)
                hashes = _words(np.frombuffer(data, np.uint8), bounds).hashes
                # `Word` and `word` are one, and count once.
                if len(hashes) and (what := (category, hashes.tobytes())) not in known:
                    known.add(what)
                    self._phrases.setdefault(int(hashes[0]), []).append((category, hashes))
        self._firsts = np.array(sorted(self._phrases), np.uint64)
        self.categories = tuple(phrases)

    def __call__(self, batch: Batch) -> dict[str, Hits]:
        """Category -> where its words are; of phrases that begin with one word, each is one."""
        words = _words(batch.text_bytes, batch.offsets)
        at = np.minimum(np.searchsorted(self._firsts, words.hashes), len(self._firsts) - 1)
        found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in self.categories}
        for i in np.flatnonzero(self._firsts[at] == words.hashes).tolist():
            doc = int(np.searchsorted(words.offsets, i, "right")) - 1
            for category, hashes in self._phrases[int(words.hashes[i])]:
                end = i + len(hashes)
                if end <= words.offsets[doc + 1] and np.array_equal(words.hashes[i:end], hashes):
                    found[category].append((doc, int(words.starts[i]), int(words.ends[end - 1])))
        return {name: _hits(batch, places) for name, places in found.items()}


@dataclass(frozen=True)
class _Words:
    """Words that are no white space: hashes of them in lower case, and their bytes."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]  # (n_texts + 1,) the first of each text


def _words(text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> _Words:
    starts, ends, owners = words_in(text, offsets)
    hashes = kernels.hashing.hash_slices(*kernels.lowercase.lower(text, starts, ends), SEED)
    return _Words(hashes, starts, ends, owners)


def _hits(batch: Batch, places: list[tuple[int, int, int]]) -> Hits:
    rows = np.array(sorted(places), np.int64).reshape(-1, 3)
    docs = rows[:, 0].copy()
    begins = batch.offsets[docs]
    count = kernels.paragraphs.code_points
    starts = count(batch.text_bytes, begins, rows[:, 1].copy())
    ends = count(batch.text_bytes, begins, rows[:, 2].copy())
    return Hits(docs, starts, ends, np.ones(len(docs)))
