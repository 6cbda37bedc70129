"""Spans of a sequence of tokens that stand in indexed documents as they are.

    maximal_spans(searcher, ids)     # (Span(start=3, end=9, count=2, log_probability=-61.5), ...)

From each token on, the longest run is taken that stands within one document of any shard, cut and
backed off as the `Rule` says; runs that lie within another are dropped, as in OLMoTrace (arXiv
2504.07096, section 3) and `attribute` of infini-gram. Counts are exact, of all shards. A span is as
rare as the product of its tokens' shares of all indexed tokens is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.execute import usable_cpus
from dolma_kit.searching.index import Index, Shard

if TYPE_CHECKING:
    from dolma_kit.searching.queries import Searcher

KERNELS = ("spans",)
KEEP_SHARE = 0.05

Shards = Sequence[tuple[Index, Shard]]


@dataclass(frozen=True)
class Rule:
    """Which spans count; by default all.

    `delimiters` are ids that a span may hold at its end alone. `boundaries` (n_ids + 1,) says
    before which of the ids, and after the last, a span may begin and end. `max_count`: spans that
    occur more often are dropped.
    """

    min_length: int = 1
    max_count: int | None = None
    delimiters: Collection[int] = ()
    boundaries: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.min_length < 1:
            raise ConfigError(f"a least length of {self.min_length} tokens: 1 or more")
        if self.max_count is not None and self.max_count < 1:
            raise ConfigError(f"a largest count of {self.max_count}: 1 or more")


@dataclass(frozen=True)
class Span:
    """Ids [start, end) occur `count` times; `log_probability` is the sum of the logs of their
    shares of all indexed tokens. Suffixes [low, high) of each shard, in the searcher's order,
    begin with them; where shards have other documents than their EOS says, some of these may go
    on into the next."""

    start: int
    end: int
    count: int
    log_probability: float
    ranges: tuple[tuple[int, int], ...]


def maximal_spans(searcher: Searcher, ids: Sequence[int], rule: Rule | None = None) -> list[Span]:
    """All maximal spans of some ids, by their start."""
    rule = rule or Rule()
    row = np.array(ids, np.int64)
    shards = [(index, shard) for index, shard in searcher.shards if shard.about.tokens]
    if not len(row) or not shards:
        return []
    starts, stops = _candidates(row, reach(shards, row), rule)
    counts, ranges = count(shards, row, starts, stops)
    kept = np.ones(len(starts), np.bool_) if rule.max_count is None else counts <= rule.max_count
    logs = log_shares(shards, row)
    logs[np.isinf(logs)] = 0.0  # an id that nowhere occurs is in no span
    sums = np.concatenate(([0.0], np.cumsum(logs)))
    return [
        Span(
            start=int(starts[i]), end=int(stops[i]), count=int(counts[i]),
            log_probability=float(sums[stops[i]] - sums[starts[i]]),
            ranges=tuple((int(low), int(high)) for low, high in ranges[i]),
        )
        for i in np.flatnonzero(kept).tolist()
    ]  # fmt: skip


def rarest(spans: Sequence[Span], n_ids: int, keep_share: float | None = KEEP_SHARE) -> list[Span]:
    """The rarest first, K = ceil(keep_share * n_ids) of them (all for None); of equally rare ones
    the first.

    >>> spans = [Span(i, i + 2, 1, -float(i), ()) for i in range(4)]
    >>> [one.start for one in rarest(spans, 40)]
    [3, 2]
    """
    if keep_share is not None and not 0 < keep_share <= 1:
        raise ConfigError(f"a share of {keep_share} to keep: above 0, at most 1")
    ordered = sorted(spans, key=lambda one: (one.log_probability, one.start))
    return ordered if keep_share is None else ordered[: math.ceil(keep_share * n_ids)]


def reach(shards: Shards, ids: NDArray[np.int64]) -> NDArray[np.int64]:  # (n_ids,)
    """Where the longest run of ids that begins at each of them, and stands within a document of any
    shard, ends."""

    def of(pair: tuple[Index, Shard]) -> NDArray[np.int64]:
        found = np.arange(len(ids))
        kernels.spans.reach_into(*_arrays(pair), ids, found)
        return found

    farthest: NDArray[np.int64] = np.maximum.reduce(_each(of, shards))
    return farthest


def count(
    shards: Shards,
    ids: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often ids [starts[i], stops[i]) stand within a document, (n,), and the range of suffixes
    of each shard, (n, n_shards, 2)."""

    def of(pair: tuple[Index, Shard]) -> NDArray[np.int64]:
        lows, highs, counts = (np.empty(len(starts), np.int64) for _ in range(3))
        kernels.spans.count_into(*_arrays(pair), ids, starts, stops, lows, highs, counts)
        return np.stack((lows, highs, counts), axis=1)

    found = np.stack(_each(of, shards), axis=1)  # (n, n_shards, 3)
    return found[:, :, 2].sum(axis=1), found[:, :, :2]


def log_shares(shards: Shards, ids: NDArray[np.int64]) -> NDArray[np.float64]:  # (n_ids,)
    """The log of each id's share of all indexed tokens; -inf where it is none of them."""
    distinct, inverse = np.unique(ids, return_inverse=True)
    places = np.arange(len(distinct))
    counts, _ = count(shards, distinct, places, places + 1)
    total = sum(shard.about.tokens for _, shard in shards)
    with np.errstate(divide="ignore"):
        logs: NDArray[np.float64] = np.log(counts / max(total, 1))
    return logs[inverse]


def _candidates(
    ids: NDArray[np.int64], stops: NDArray[np.int64], rule: Rule
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where spans of the rule begin and end that lie within no other."""
    n = len(ids)
    if rule.delimiters:
        is_delimiter = np.isin(ids, np.array(list(rule.delimiters), np.int64))
        after = np.where(is_delimiter, np.arange(1, n + 1), n)
        stops = np.minimum(stops, np.minimum.accumulate(after[::-1])[::-1])
    starts = np.arange(n)
    if rule.boundaries is not None:
        at_boundary = np.where(rule.boundaries, np.arange(n + 1), 0)
        stops = np.maximum.accumulate(at_boundary)[stops]
        chosen = rule.boundaries[:-1] & (stops > starts)
        starts, stops = starts[chosen], stops[chosen]
    before = np.concatenate(([0], np.maximum.accumulate(stops)))[:-1] if len(stops) else stops
    chosen = (stops > before) & (stops - starts >= rule.min_length)
    return starts[chosen], stops[chosen]


def _arrays(pair: tuple[Index, Shard]) -> tuple[object, ...]:
    """What the kernels ask of a shard."""
    shard = pair[1]
    whole = shard.about.whole and shard.eos is not None
    eos = -1 if shard.eos is None else shard.eos
    return shard.tokens, shard.suffixes, shard.ends, whole, eos


def _each(
    call: Callable[[tuple[Index, Shard]], NDArray[np.int64]], shards: Shards
) -> list[NDArray[np.int64]]:
    """The results of all shards, found side by side: kernels hold no lock, and wait for disks."""
    if len(shards) == 1:
        return [call(shards[0])]
    with ThreadPoolExecutor(min(len(shards), 4 * usable_cpus())) as pool:
        return list(pool.map(call, shards))
