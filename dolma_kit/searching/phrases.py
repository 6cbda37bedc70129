"""Every occurrence of a phrase in a shard's documents, however it was tokenized, by its index.

Occurrences are those of `order.asking.phrases`: of bytes, within one document, of which the EOS at
its end is no text. One begins at a token's begin or inside a token. In the first case the tokens
that spell the phrase are followed through the suffix array, one range of suffixes a spelling. In
the other, either each first token is followed so, or the rest of the phrase is, and the token
before each place is looked at: whichever is less work.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.order.asking.phrases import Occurrence
from dolma_kit.order.asking.vocabulary import Vocabulary
from dolma_kit.searching.index import Shard
from dolma_kit.searching.patterns import Pattern, Spelling, Starts, State

STEP_COST = 64  # places that are looked at in the time of a step through the array


class Spelt(NamedTuple):
    """Suffixes [low, high) begin with `n_tokens` tokens that spell what was asked for."""

    low: int
    high: int
    n_tokens: int
    with_eos: bool


class Places(NamedTuple):
    """Occurrences in a shard, by place: `tokens` (n,) int64 in which they begin, `offsets` (n,)
    bytes into that token, and `n_tokens` (n,) that they touch."""

    tokens: NDArray[np.int64]
    offsets: NDArray[np.int64]
    n_tokens: NDArray[np.int64]

    def first(self, n: int) -> Places:
        return Places(*(column[:n] for column in self))


@dataclass(frozen=True)
class PhraseSearch:
    """Looks for a pattern in any number of shards of one vocabulary."""

    pattern: Pattern
    spelling: Spelling

    @functools.cached_property
    def _starts(self) -> dict[State | None, Starts]:
        """First tokens that hold more than the phrase before it, by the state after them."""
        return self.spelling.starts(self.pattern)

    @functools.cached_property
    def _known_steps(self) -> dict[State, tuple[list[tuple[int, State]], NDArray[np.int64]]]:
        return {}

    def _steps(self, state: State) -> tuple[list[tuple[int, State]], NDArray[np.int64]]:
        known = self._known_steps
        if state not in known:
            found = self.spelling.steps(self.pattern, state)
            known[state] = found.on, np.sort(np.array(found.last, np.int64))
        return known[state]

    def count(self, shard: Shard) -> int:
        """How many occurrences a shard has."""
        found = sum(len(places.tokens) for places in self._inside(shard))
        for one in self._aligned(shard):
            if self._is_certain(shard, one):
                found += one.high - one.low
            else:
                found += len(self._checked(shard, one).tokens)
        return found

    def find(self, shard: Shard) -> Places:
        """All occurrences in a shard."""
        parts = [self._checked(shard, one) for one in self._aligned(shard)]
        parts += self._inside(shard)
        if not parts:
            none = np.zeros(0, np.int64)
            return Places(none, none, none)
        joined = Places(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        order = np.lexsort((joined.offsets, joined.tokens))
        return Places(*(column[order] for column in joined))

    def _aligned(self, shard: Shard) -> Iterator[Spelt]:
        """The spellings of occurrences that begin where a token does."""
        yield from self._followed(shard, 0, len(shard.suffixes), 0, (0, b""), False)

    def _followed(
        self, shard: Shard, low: int, high: int, depth: int, state: State, with_eos: bool
    ) -> Iterator[Spelt]:
        """The spellings of what is left after a state, within suffixes that share `depth` tokens;
        by a stack, as a phrase may have more tokens than Python has frames."""
        stack = [(low, high, depth, state, with_eos)]
        extend = kernels.suffix_search.extend
        while stack:
            low, high, depth, state, with_eos = stack.pop()
            on, last = self._steps(state)
            if len(last):
                yield from self._ends(shard, low, high, depth, last, with_eos)
            for token, after in on:
                first, end = extend(shard.tokens, shard.suffixes, low, high, depth, token)
                if first < end:
                    stack.append((first, end, depth + 1, after, with_eos or token == shard.eos))

    def _ends(
        self, shard: Shard, low: int, high: int, depth: int, last: NDArray[np.int64], with_eos: bool
    ) -> Iterator[Spelt]:
        """The ranges whose next token is one of those that end the phrase."""
        if high - low > STEP_COST * len(last) or high - low > 1 << 20:
            found = [
                (token, *kernels.suffix_search.extend(
                    shard.tokens, shard.suffixes, low, high, depth, token))
                for token in last.tolist()
            ]  # fmt: skip
        else:
            found = _ranges(shard, low, high, depth, last)
        for token, first, end in found:
            if first < end:
                yield Spelt(first, end, depth + 1, with_eos or token == shard.eos)

    def _inside(self, shard: Shard) -> list[Places]:
        """The occurrences that begin inside a token."""
        found = []
        for state, starts in self._starts.items():
            if state is None:
                found += self._forward(shard, None, starts)
                continue
            rest = list(self._followed(shard, 0, len(shard.suffixes), 0, state, False))
            n_places = sum(one.high - one.low for one in rest)
            if not n_places:
                continue
            if n_places <= STEP_COST * len(starts.tokens) * 8:
                found += self._before(shard, rest, starts)
            else:
                found += self._forward(shard, state, starts)
        return [places for places in found if len(places.tokens)]

    def _before(self, shard: Shard, rest: list[Spelt], starts: Starts) -> list[Places]:
        """The occurrences among places of the rest: those that a first token comes before."""
        order = np.argsort(starts.tokens, kind="stable")
        known, offsets = starts.tokens[order], starts.offsets[order]
        found = []
        for one in rest:
            places = np.sort(shard.suffixes[one.low : one.high].astype(np.int64))
            places = places[places > 0] - 1
            previous = shard.tokens[places].astype(np.int64)
            # A token may begin it at several offsets: each is an occurrence.
            first = np.searchsorted(known, previous, "left")
            n_times = np.searchsorted(known, previous, "right") - first
            which = np.repeat(first, n_times) + (
                np.arange(int(n_times.sum())) - np.repeat(np.cumsum(n_times) - n_times, n_times)
            )
            with_eos = one.with_eos or bool((known == shard.eos).any())
            found.append(
                self._within(
                    shard, np.repeat(places, n_times), offsets[which], one.n_tokens + 1, with_eos
                )
            )
        return found

    def _forward(self, shard: Shard, state: State | None, starts: Starts) -> list[Places]:
        """The occurrences that each first token leads to."""
        found = []
        for token, offset in zip(starts.tokens.tolist(), starts.offsets.tolist(), strict=True):
            low, high = shard.find(np.array([token]))
            if low < high:
                eos = token == shard.eos
                if state is None:
                    found.append(self._checked(shard, Spelt(low, high, 1, eos), offset))
                    continue
                for one in self._followed(shard, low, high, 1, state, eos):
                    found.append(self._checked(shard, one, offset))
        return found

    def _is_certain(self, shard: Shard, one: Spelt) -> bool:
        """Whether all of a range's suffixes are occurrences, within one document."""
        return shard.about.ended and not one.with_eos

    def _checked(self, shard: Shard, one: Spelt, offset: int = 0) -> Places:
        """The suffixes of a range that are occurrences, by place."""
        places = np.sort(shard.suffixes[one.low : one.high].astype(np.int64))
        offsets = np.full(len(places), offset, np.int64)
        return self._within(shard, places, offsets, one.n_tokens, one.with_eos)

    def _within(
        self,
        shard: Shard,
        places: NDArray[np.int64],
        offsets: NDArray[np.int64],
        n_tokens: int,
        with_eos: bool,
    ) -> Places:
        """Those that lie within a document; where it ends with an EOS, that is no text."""
        if not shard.about.ended or with_eos:
            ends = shard.ends[np.searchsorted(shard.ends, places, "right")]
            stops = places + n_tokens
            if with_eos and shard.eos is not None:
                ends = ends - (shard.tokens[ends - 1] == shard.eos)
            inside = stops <= ends
            places, offsets = places[inside], offsets[inside]
        return Places(places, offsets, np.full(len(places), n_tokens, np.int64))


def _ranges(
    shard: Shard, low: int, high: int, depth: int, last: NDArray[np.int64]
) -> list[tuple[int, int, int]]:
    """(token, first, end) of the parts of a range whose token at `depth` is one of `last`."""
    places = shard.suffixes[low:high].astype(np.int64) + depth
    inside = places < len(shard.tokens)
    first = int(np.count_nonzero(~inside))  # a suffix that ends here comes before all others
    tokens = shard.tokens[places[inside]].astype(np.int64)
    begins = np.searchsorted(tokens, last, "left")
    ends = np.searchsorted(tokens, last, "right")
    found = np.flatnonzero(begins < ends)
    return [
        (int(last[i]), low + first + int(begins[i]), low + first + int(ends[i]))
        for i in found.tolist()
    ]


def document_starts(shard: Shard, places: Places) -> NDArray[np.int64]:
    """The first tokens of the documents that hold places, each once, counted in their part."""
    documents = np.unique(shard.documents_at(places.tokens))
    starts: NDArray[np.int64] = np.where(documents > 0, shard.ends[documents - 1], 0)
    return shard.about.first + starts


def occurrences(shard: Shard, places: Places, lengths: NDArray[np.int64]) -> list[Occurrence]:
    """Places as `trace text` has them, tokens and documents counted in their part; `lengths`
    (n_ids,) are the bytes of each id, ids beyond have none."""
    lengths = np.append(lengths, 0)
    documents = shard.documents_at(places.tokens)
    first = shard.about.first
    found = []
    for token, offset, n_tokens, document in zip(
        *(column.tolist() for column in places), documents.tolist(), strict=True
    ):
        start = shard.document_start(document)
        before = np.minimum(shard.tokens[start:token].astype(np.int64), len(lengths) - 1)
        byte = int(lengths[before].sum()) + offset
        found.append(Occurrence(first + token, first + token + n_tokens, byte, first + start))
    return found


def has_silent_ids(shard: Shard, vocabulary: Vocabulary) -> bool:
    """Whether a shard has ids beyond a vocabulary: no text, so that a phrase may go on after one,
    which is not looked for."""
    if not len(shard.suffixes):
        return False
    return int(shard.tokens[shard.suffixes[-1]]) >= len(vocabulary.offsets) - 1
