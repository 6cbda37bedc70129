"""N-grams of one n counted in bounded memory: how many, how many different, and which are frequent.

`Counting` takes hashes batch by batch and gives an `Tally`; tallies of parts are put together by
`merged`. A tally has

- rows (n, 4) int64 of a table of `kernels.ngram_sketches`: hash, count, missed, place. A count is
  true to what was missed; an n-gram without a row occurs `floor` times at most. With floor 0 the
  rows are all there is, and exact.
- registers of a HyperLogLog of all n-grams (`cardinality`);
- a sample of different n-grams, those of the smallest hashes (Cohen and Kaplan 2007), with their
  exact counts and texts: of all different n-grams, each is in it with the same probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.statistics.key_counts import ALL

SAMPLE = 1024
HASH, COUNT, MISSED, PLACE = range(4)
NO_FILE = 0
_SMALL = 1 << 12


class Sample(NamedTuple):
    """Different n-grams below `threshold` (ALL: every one), by hash: (n,) uint64 and (n,) int64."""

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]
    texts: list[str]
    threshold: int


class Tally(NamedTuple):
    """`rows` are in ascending order of hash as uint64, `files` (n,) int32 where they came in;
    a place is line << 32 | number of the first token in the document."""

    rows: NDArray[np.int64]
    files: NDArray[np.int32]
    floor: int
    total: int
    registers: NDArray[np.uint8]
    sample: Sample


def nothing() -> Tally:
    none = np.zeros(0, np.int64)
    return Tally(
        np.zeros((0, 4), np.int64), none.astype(np.int32), 0, 0,
        np.zeros(kernels.ngram_sketches.N_REGISTERS, np.uint8),
        Sample(none.astype(np.uint64), none, [], ALL),
    )  # fmt: skip


class Counting:
    """Counts the n-grams of texts that come in batches; at most `capacity` rows are held."""

    def __init__(self, n: int, capacity: int) -> None:
        self.n = n
        self._capacity = capacity
        self._table = np.zeros((_slots(min(capacity, 1 << 12)), 4), np.int64)
        self._n_used = 0
        self._floor = 0
        self._total = 0
        self._registers = np.zeros(kernels.ngram_sketches.N_REGISTERS, np.uint8)
        self._sample = nothing().sample

    def add(
        self,
        tokens: NDArray[np.uint64],
        offsets: NDArray[np.int64],
        lines: NDArray[np.int64],
        text_of: Callable[[int], str],
    ) -> None:
        """Count those of a batch: hashes of its tokens (n_tokens,), where each text's begin
        (n_texts + 1,), and their lines. `text_of(i)` is the n-gram that begins at token i."""
        sketches = kernels.ngram_sketches
        hashes, starts = sketches.hash_ngrams(tokens, offsets, self.n)
        if not len(hashes):
            return
        self._total += len(hashes)
        sketches.register(self._registers, hashes)
        n_grams = np.maximum(np.diff(offsets) - self.n + 1, 0)
        documents = np.repeat(np.arange(len(offsets) - 1), n_grams)
        places = (lines[documents] << 32) | (starts - offsets[documents])
        at = 0
        while True:
            limit = min(self._capacity, len(self._table) // 2)
            room = limit - self._n_used
            at, room = sketches.note(self._table, room, self._floor, hashes, places, at)
            self._n_used = limit - room
            if at == len(hashes):
                break
            if limit < self._capacity:
                self._refill(2 * len(self._table), self._rows())
            else:
                self._purge()
        self._sample_of(hashes, starts, text_of)

    def _rows(self) -> NDArray[np.int64]:
        return np.ascontiguousarray(self._table[self._table[:, COUNT] > 0])

    def _refill(self, n_slots: int, rows: NDArray[np.int64]) -> None:
        self._table = np.zeros((n_slots, 4), np.int64)
        kernels.ngram_sketches.fill(self._table, rows)
        self._n_used = len(rows)

    def _purge(self) -> None:
        """Let go of at least half of the rows, those of the least counts."""
        rows = self._rows()
        most = rows[:, COUNT] + rows[:, MISSED]
        self._floor = _median(most)
        self._refill(len(self._table), rows[most > self._floor])

    def _sample_of(
        self, hashes: NDArray[np.uint64], starts: NDArray[np.int64], text_of: Callable[[int], str]
    ) -> None:
        threshold = self._sample.threshold
        if threshold < ALL:
            low = np.flatnonzero(hashes < np.uint64(threshold))
            hashes, starts = hashes[low], starts[low]
        distinct, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        if len(distinct) > SAMPLE:
            threshold = int(distinct[SAMPLE])
            distinct, first, counts = distinct[:SAMPLE], first[:SAMPLE], counts[:SAMPLE]
        known = {int(hash_) for hash_ in self._sample.hashes}
        texts = [
            "" if int(hash_) in known else text_of(int(starts[i]))
            for hash_, i in zip(distinct, first, strict=True)
        ]
        more = Sample(distinct, counts.astype(np.int64), texts, threshold)
        self._sample = _merged_samples([self._sample, more])

    def tally(self, kept: int) -> Tally:
        """Of all so far, with the `kept` rows of the greatest counts."""
        rows = self._rows()
        rows = rows[np.argsort(rows[:, HASH].view(np.uint64), kind="stable")]
        files = np.full(len(rows), NO_FILE, np.int32)
        found = Tally(rows, files, self._floor, self._total, self._registers, self._sample)
        return _cut(found, kept)


def _median(values: NDArray[np.int64]) -> int:
    """The upper median of values above 0. Nearly always it is small, and partition is slow where
    most values are equal."""
    middle = len(values) // 2
    below = np.cumsum(np.bincount(np.minimum(values, _SMALL)))
    found = int(np.searchsorted(below, middle, "right"))
    return found if found < _SMALL else int(np.partition(values, middle)[middle])


def _slots(n_rows: int) -> int:
    """Slots of a table that holds n rows half full."""
    return 1 << max(int(2 * n_rows - 1).bit_length(), 4)


def _cut(tally: Tally, kept: int) -> Tally:
    """The `kept` rows that may have the greatest counts, of equal ones those of the least hash."""
    rows = tally.rows
    if len(rows) <= kept:
        return tally
    most = rows[:, COUNT] + rows[:, MISSED]
    order = np.argsort(-most, kind="stable")
    floor = max(tally.floor, int(most[order[kept]]))
    chosen = np.sort(order[:kept])
    return tally._replace(rows=rows[chosen], files=tally.files[chosen], floor=floor)


def merged(tallies: Sequence[Tally], kept: int) -> Tally:
    """Tallies of parts, in their order, put together."""
    floor = sum(tally.floor for tally in tallies)
    rows = np.concatenate([tally.rows for tally in tallies])
    files = np.concatenate([tally.files for tally in tallies])
    # What a row's hash may have missed where it has no row is that part's floor.
    gained = np.concatenate([tally.rows[:, MISSED] - tally.floor for tally in tallies])
    if len(rows):
        hashes = rows[:, HASH].view(np.uint64)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        first = order[begins]
        together = rows[first]
        together[:, COUNT] = np.add.reduceat(rows[order, COUNT], begins)
        together[:, MISSED] = floor + np.add.reduceat(gained[order], begins)
        rows, files = together, files[first]
    registers = np.maximum.reduce([tally.registers for tally in tallies])
    total = sum(tally.total for tally in tallies)
    sample = _merged_samples([tally.sample for tally in tallies])
    return _cut(Tally(rows, files, floor, total, registers, sample), kept)


def _merged_samples(samples: Sequence[Sample]) -> Sample:
    threshold = min(sample.threshold for sample in samples)
    counts: dict[int, int] = {}
    texts: dict[int, str] = {}
    for sample in samples:
        numbers = zip(sample.hashes.tolist(), sample.counts.tolist(), sample.texts, strict=True)
        for hash_, count, text in numbers:
            if hash_ < threshold:
                counts[hash_] = counts.get(hash_, 0) + count
                texts.setdefault(hash_, text)
    kept = sorted(counts)
    if len(kept) > SAMPLE:
        threshold = kept[SAMPLE]
        kept = kept[:SAMPLE]
    return Sample(
        np.array(kept, np.uint64), np.array([counts[h] for h in kept], np.int64),
        [texts[h] for h in kept], threshold,
    )  # fmt: skip


def _order(tally: Tally, *keys: NDArray[np.int64]) -> list[int]:
    """Rows by keys, the last first, then by where they came in."""
    by: list[NDArray[Any]] = [tally.rows[:, PLACE], tally.files, *keys]
    return [int(i) for i in np.lexsort(by)]


def most_common(tally: Tally, top: int) -> list[int]:
    """The rows of the greatest counts; of equal ones, those that came in first."""
    return _order(tally, -tally.rows[:, COUNT])[:top]


def least_common(tally: Tally, top: int) -> list[int]:
    """The rows of the least counts, where rows are all there is; of equal ones as above."""
    return _order(tally, tally.rows[:, COUNT])[:top]
