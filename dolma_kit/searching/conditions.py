"""Conjunctive normal form: documents in which one phrase of each clause stands near the others.

After infini-gram's `find_cnf` (Liu et al. 2024): a clause is a list of phrases, of which any will
do. The clause with the fewest occurrences is the anchor; those of its occurrences count that have
one of every other clause within `within` tokens, before or after, in the same document. A clause
with more than `max_occurrences` in a shard is sampled, each occurrence with the same probability
by a hash of its place, and the answer says so: the count is then of what was looked at, a lower
bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.searching.index import Shard
from dolma_kit.searching.phrases import Places
from dolma_kit.searching.queries import CONTEXT, LIMIT, Query, Searcher, Shown

WITHIN = 100
MAX_OCCURRENCES = 1 << 20
OPERATOR = " OR "


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """`count` occurrences of the anchor meet the others in `documents`. `occurrences` are those of
    each clause in all; `sampled` says that not all of them were looked at."""

    query: list[list[str]]
    within: int
    occurrences: list[int]
    count: int
    documents: int
    sampled: bool
    shown: list[Shown]


def clause_of(text: str) -> list[str]:
    """
    >>> clause_of("cat OR dog"), clause_of("cat")
    (['cat', 'dog'], ['cat'])
    """
    found = text.split(OPERATOR)
    if not all(found):
        raise ConfigError(f"the clause {text!r} has an empty phrase")
    return found


def meet(
    searcher: Searcher,
    clauses: Sequence[Sequence[Query]],
    *,
    within: int = WITHIN,
    max_occurrences: int = MAX_OCCURRENCES,
    limit: int = LIMIT,
    context: int = CONTEXT,
) -> Met:
    """Where one query of each clause stands near one of every other."""
    if not clauses or not all(clauses):
        raise ConfigError("no clause: give a phrase, or several with OR between them")
    totals = [0] * len(clauses)
    count = n_documents = 0
    sampled = False
    shown: list[Shown] = []
    of_shards = []
    for _, shard in searcher.shards:
        of_shards.append([_of_clause(searcher, shard, clause) for clause in clauses])
        for i, places in enumerate(of_shards[-1]):
            totals[i] += len(places.tokens)
    anchor = min(range(len(clauses)), key=lambda i: (totals[i], i))
    for (index, shard), found in zip(searcher.shards, of_shards, strict=True):
        kept = [_sampled(places, max_occurrences) for places in found]
        sampled |= any(len(a.tokens) < len(b.tokens) for a, b in zip(kept, found, strict=True))
        places = kept[anchor]
        owners = shard.documents_at(places.tokens)
        fits = np.ones(len(owners), np.bool_)
        for i, other in enumerate(kept):
            if i != anchor:
                fits &= _near(shard, places.tokens, owners, other.tokens, within)
        rows = np.flatnonzero(fits)
        distinct, first, times = np.unique(owners[rows], return_index=True, return_counts=True)
        count += len(rows)
        n_documents += len(distinct)
        pairs = list(zip(rows[first].tolist(), times.tolist(), strict=True))
        for row, n in pairs[: max(limit - len(shown), 0)]:
            place = (
                int(places.tokens[row]), int(places.n_tokens[row]), int(places.offsets[row])
            )  # fmt: skip
            query = _query_at(searcher, shard, clauses[anchor], place)
            shown.append(searcher.show(index, shard, place, n, query, context))
    return Met(
        query=[[one.shown for one in clause] for clause in clauses],
        within=within,
        occurrences=totals,
        count=count,
        documents=n_documents,
        sampled=sampled,
        shown=shown,
    )


def _of_clause(searcher: Searcher, shard: Shard, clause: Sequence[Query]) -> Places:
    """The occurrences of any query of a clause, each place once."""
    parts = [searcher.places_in(shard, query) for query in clause]
    joined = Places(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.lexsort((joined.n_tokens, joined.offsets, joined.tokens))
    joined = Places(*(column[order] for column in joined))
    same = (joined.tokens[1:] == joined.tokens[:-1]) & (joined.offsets[1:] == joined.offsets[:-1])
    first = np.concatenate((np.ones(min(len(order), 1), np.bool_), ~same))
    return Places(*(column[first] for column in joined))


def _sampled(places: Places, most: int) -> Places:
    if len(places.tokens) <= most:
        return places
    drawn = kernels.ngram_sketches.hash_ids(places.tokens.astype(np.uint32))
    chosen = np.sort(np.argsort(drawn, kind="stable")[:most])
    return Places(*(column[chosen] for column in places))


def _near(
    shard: Shard,
    tokens: NDArray[np.int64],
    owners: NDArray[np.int64],
    others: NDArray[np.int64],
    within: int,
) -> NDArray[np.bool_]:
    """Which places have one of the others near them, in their document."""
    if not len(others):
        return np.zeros(len(tokens), np.bool_)
    starts = np.concatenate(([0], shard.ends))[owners]
    low = np.maximum(tokens - within, starts)
    high = np.minimum(tokens + within, shard.ends[np.minimum(owners, len(shard.ends) - 1)] - 1)
    found: NDArray[np.bool_] = np.searchsorted(others, low, "left") < np.searchsorted(
        others, high, "right"
    )
    return found


def _query_at(
    searcher: Searcher, shard: Shard, clause: Sequence[Query], place: tuple[int, int, int]
) -> Query:
    """Which of a clause's queries stands at a place."""
    for query in clause:
        places = searcher.places_in(shard, query)
        at = np.flatnonzero((places.tokens == place[0]) & (places.offsets == place[2]))
        if any(int(places.n_tokens[i]) == place[1] for i in at):
            return query
    return clause[0]
