"""How often each document is taken: by a rate, or by one for each group and score.

A document is taken `floor(rate)` times, and once more if its draw, a keyed hash of its id, lies
below the rest of the rate. So the choice depends neither on order nor on company, and a greater
rate takes all that a smaller one takes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.shares import surveys

if TYPE_CHECKING:
    import pyarrow as pa


class Sample(msgspec.Struct, frozen=True):
    """`whole` copies of each document, and one more of those whose draw is below `threshold` of
    2^64."""

    whole: int
    threshold: int

    @classmethod
    def at(cls, rate: float) -> Sample:
        whole = int(rate)
        return cls(whole, int((rate - whole) * 2**64))

    @property
    def rate(self) -> float:
        return self.whole + self.threshold / 2**64

    def copies(self, drawn: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n_docs,) int64: how often each is taken, by their draws."""
        if not self.threshold:
            return np.full(len(drawn), self.whole, np.int64)
        # A threshold may be 2^64 itself, which no uint64 is.
        return self.whole + (drawn <= np.uint64(self.threshold - 1)).astype(np.int64)


def copies_at(rates: NDArray[np.float64], drawn: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n_docs,) int64: how often each document is taken at a rate of its own, by its draw."""
    whole = np.floor(rates)
    # 53 bits of both, so that a rate's rest and a draw are compared as they are
    below = (drawn >> np.uint64(11)).astype(np.float64) < (rates - whole) * 2.0**53
    return whole.astype(np.int64) + below


@dataclass(frozen=True)
class Curves:
    """Rates by group and bin of a score, as `solving` wrote them; `path` is that of the table."""

    table: pa.Table

    @classmethod
    def read(cls, path: str) -> Curves:
        return cls(surveys.read(path))

    def rates(self, groups: Sequence[str], bins: NDArray[np.uint32]) -> NDArray[np.float64]:
        """(n_docs,) float64: each document's rate; 0 for what the survey did not see."""
        found = np.zeros(len(bins))
        names = np.asarray(groups, object)
        for name in dict.fromkeys(groups):
            own_bins, own_rates = self._of(name)
            rows = np.flatnonzero(names == name)
            where = np.searchsorted(own_bins, bins[rows])
            where = np.minimum(where, max(len(own_bins) - 1, 0))
            if len(own_bins):
                found[rows] = np.where(own_bins[where] == bins[rows], own_rates[where], 0.0)
        return found

    @functools.cached_property
    def _by_group(self) -> dict[str, tuple[NDArray[np.uint32], NDArray[np.float64]]]:
        names = np.asarray(self.table.column("group").to_pylist(), object)
        bins = self.table.column("bin").to_numpy()
        rates = self.table.column("rate").to_numpy()
        return {name: (bins[names == name], rates[names == name]) for name in dict.fromkeys(names)}

    def _of(self, group: str) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        return self._by_group.get(group, (np.zeros(0, np.uint32), np.zeros(0)))


class Solved(msgspec.Struct, frozen=True, kw_only=True):
    """What `solving` found for one stream: a sample, or the path of the table of `Curves`."""

    sample: Sample | None = None
    curves: str | None = None


def solved_path(folder: str) -> str:
    """Where the rates of all streams lie, `Solved` by name."""
    return os.path.join(folder, "rates.json")


@functools.lru_cache(maxsize=4)
def _all_solved(path: str, _changed: int) -> dict[str, Solved]:
    with open(path, "rb") as stream:
        return msgspec.json.decode(stream.read(), type=dict[str, Solved])


def solved(folder: str, stream: str) -> Solved:
    path = solved_path(folder)
    return _all_solved(path, os.stat(path).st_mtime_ns)[stream]


@functools.lru_cache(maxsize=4)
def _curves(path: str, _changed: int) -> Curves:
    return Curves.read(path)


def curves(path: str) -> Curves:
    """The table, read once a process."""
    return _curves(path, os.stat(path).st_mtime_ns)
