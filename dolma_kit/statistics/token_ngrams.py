"""`ngrams` of a folder of token files: exact, for all n at once, from a suffix array in memory.

The tokens of all parts, without the EOS that ends each document, are sorted by suffix; n-grams that
are equal then stand together. All figures are exact. It takes 14 bytes of memory a token beside the
tokens themselves, and at most 2^31 - 1 of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit import files, kernels
from dolma_kit.deduplication.bloom import available_memory
from dolma_kit.errors import ConfigError
from dolma_kit.statistics import ngrams
from dolma_kit.statistics.key_counts import Estimate
from dolma_kit.statistics.ngrams import Ngram, Ngrams, OfLength
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.statistic import About, Measure, Statistic
from dolma_kit.statistics.token_counts import TokenCounts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.kernels.ngram_runs import NgramRuns
    from dolma_kit.layout import Shard
    from dolma_kit.tokens.folder import TokenFolder

MOST_TOKENS = (1 << 31) - 1
BYTES_A_TOKEN = 14  # beside the tokens: 4 and 4 to sort, 4 + 1 + 1 to count
MAX_LENGTH = 65535


@dataclass(frozen=True)
class TokenNgrams(Statistic):
    lengths: tuple[int, ...]
    tokens: TokenCounts
    top: int = 20

    id: ClassVar[str] = "ngrams"
    asking: ClassVar[tuple[str, ...]] = ("top",)
    reads_documents: ClassVar[bool] = False

    def start(self, shard: Shard) -> Measure:
        raise AssertionError("token files are read as a whole")

    def empty(self) -> Partial:
        import pyarrow as pa

        return Partial({}, pa.table({"none": pa.array([], pa.int8())}))

    def merge(self, partials: Sequence[Partial]) -> Partial:
        return partials[0]

    def answer(self, whole: Partial, about: About) -> Ngrams:
        from dolma_kit.tokens.folder import open_folder

        if self.lengths[-1] > MAX_LENGTH:
            raise ConfigError(f"--n {self.lengths[-1]}: at most {MAX_LENGTH:,} in token files")
        folder = open_folder(self.tokens.path)
        tokens, ends, documents = _texts_of(folder)
        found = count(tokens, ends, self.lengths, self.top)
        about = msgspec.structs.replace(about, n_documents=len(ends))  # that have tokens
        show = _Shown(folder, tokens, ends, documents)
        lengths = {str(n): _of_length(n, i, found, show) for i, n in enumerate(self.lengths)}
        return Ngrams(about=about, unit="tokens", lengths=lengths)

    def text(self, answer: Ngrams) -> str:
        return ngrams.text_of(answer)

    def tables(self, whole: Partial, answer: Ngrams, about: About) -> dict[str, pa.Table]:
        return ngrams.tables_of(answer)


def count(
    tokens: NDArray[Any], ends: NDArray[np.int64], lengths: Sequence[int], top: int
) -> NgramRuns:
    """N-grams of documents of tokens, exactly: `tokens` (n_tokens,) uint16 or uint32, `ends`
    (n_documents,) int64 where each document ends."""
    suffixes = kernels.suffix_array.build(tokens)
    prefixes = kernels.common_prefixes.between_neighbours(tokens, suffixes, max(lengths))
    found: NgramRuns = kernels.ngram_runs.count(
        suffixes, prefixes, ends, np.array(lengths, np.int64), top
    )
    return found


def _texts_of(folder: TokenFolder) -> tuple[NDArray[Any], NDArray[np.int64], list[Any]]:
    """The tokens without EOS, where documents end among them, and the tables that list those.

    ConfigError where they are too many, or would not fit in memory.
    """
    n = folder.n_tokens
    if n > MOST_TOKENS:
        raise ConfigError(
            f"{folder.path} has {n:,} tokens, more than {MOST_TOKENS:,}: leave out --tokens, and "
            "n-grams are counted from the documents in bounded memory"
        )
    itemsize = np.dtype(folder.dtype).itemsize
    needed, available = n * (BYTES_A_TOKEN + itemsize), available_memory()
    if available is not None and needed > available:
        raise ConfigError(
            f"{folder.path}: {n:,} tokens take {needed / 1e9:,.1f} GB of memory, there are "
            f"{available / 1e9:,.1f}: leave out --tokens, and n-grams are counted from the "
            "documents in bounded memory"
        )
    eos = None if folder.record is None else folder.record.eos_token_id
    tokens = np.empty(n, folder.dtype)
    ends: list[NDArray[np.int64]] = []
    tables = []
    filled = 0
    for part in folder.parts:
        ids = part.ids()
        for batch in part.rows():
            starts = batch.column("start").to_numpy()
            stops = batch.column("end").to_numpy().copy()
            full = stops > starts
            if eos is None:  # of another tool: what ends the most documents is what it wrote
                eos = int(np.bincount(ids[stops[full] - 1]).argmax()) if full.any() else None
            last = np.zeros(len(stops), np.bool_)
            last[full] = ids[stops[full] - 1] == eos
            stops -= last
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                tokens[filled : filled + stop - start] = ids[start:stop]
                filled += stop - start
            lengths = stops - starts
            ends.append(filled - lengths.sum() + np.cumsum(lengths))
            tables.append(batch)
    return tokens[:filled], np.concatenate([np.zeros(0, np.int64), *ends]), tables


class _Shown:
    """N-grams for eyes, by their place among all tokens."""

    def __init__(
        self,
        folder: TokenFolder,
        tokens: NDArray[Any],
        ends: NDArray[np.int64],
        documents: list[Any],
    ) -> None:
        from tokenizers import Tokenizer

        self._tokens, self._ends, self._documents = tokens, ends, documents
        self._tokenizer = None
        if folder.record is not None:
            path = os.path.join(folder.path, folder.record.tokenizer)
            if files.exists(path):
                self._tokenizer = Tokenizer.from_file(path)

    def __call__(self, n: int, place: int, n_times: int) -> Ngram:
        ids = self._tokens[place : place + n].tolist()
        text = " ".join(map(str, ids))
        if self._tokenizer is not None:
            text = self._tokenizer.decode(ids, skip_special_tokens=False)
        row = int(np.searchsorted(self._ends, place, "right"))
        for batch in self._documents:
            if row < len(batch):
                break
            row -= len(batch)
        return Ngram(
            text=text, count=n_times, at_most=n_times, file=batch.column("src")[row].as_py(),
            line=batch.column("loc")[row].as_py(),
        )  # fmt: skip


def _of_length(n: int, i: int, found: NgramRuns, show: _Shown) -> OfLength:
    n_distinct, n_once = float(found.distinct[i]), float(found.once[i])

    def listed(counts: NDArray[np.int64], places: NDArray[np.int64]) -> list[Ngram]:
        pairs = zip(counts.tolist(), places.tolist(), strict=True)
        return [show(n, place, times) for times, place in pairs if times]

    return OfLength(
        n=n,
        exact=True,
        total=int(found.totals[i]),
        distinct=Estimate(n_distinct, n_distinct, n_distinct, True),
        error=0.0,
        once=Estimate(n_once, n_once, n_once, True),
        entropy=None,
        floor=0,
        sampled=0,
        most=listed(found.most_counts[i], found.most_places[i]),
        least=listed(found.least_counts[i], found.least_places[i]),
    )
