"""Maximal spans against a plain search of every document, over shards, indexes and their bounds."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.searching.index import Description, Index, Shard, ShardDescription
from dolma_kit.searching.queries import Searcher
from dolma_kit.searching.spans import Rule, Span, maximal_spans, rarest, reach

EOS = 0
Documents = list[list[int]]


def shard_of(documents: Documents, number: int = 0, dtype: str = "uint32") -> Shard:
    """A shard in memory, as `searching.building` makes them."""
    tokens = np.array([one for document in documents for one in document], dtype)
    ends = np.cumsum([len(document) for document in documents], dtype=np.int64)
    filled = [document for document in documents if document]
    whole = all(document[-1] == EOS and EOS not in document[:-1] for document in filled)
    about = ShardDescription(
        name=str(number), part="p.npy", first=0, tokens=len(tokens), row=0,
        documents=len(documents), sha256="", ended=whole, whole=whole,
    )  # fmt: skip
    part: Any = SimpleNamespace(path="p.npy")
    return Shard(number, about, part, tokens, kernels.suffix_array.build(tokens), ends, EOS)


def searcher_of(*indexes: list[Documents], dtype: str = "uint32") -> Searcher:
    opened = []
    for shards in indexes:
        about = Description(tokens="", dtype="uint32", eos_token_id=EOS, parts={}, shards=[])
        tokens: Any = SimpleNamespace(path="", record=None, parts=())
        opened.append(
            Index("", about, tokens, [shard_of(one, n, dtype) for n, one in enumerate(shards)])
        )
    return Searcher(opened)


def occurrences(documents: Documents, ids: list[int]) -> int:
    n = len(ids)
    return sum(one[i : i + n] == ids for one in documents for i in range(len(one) - n + 1))


def plain_ends(documents: Documents, ids: list[int]) -> list[int]:
    ends = []
    for start in range(len(ids)):
        end = start
        while end < len(ids) and occurrences(documents, ids[start : end + 1]):
            end += 1
        ends.append(end)
    return ends


def plain_spans(
    documents: Documents, ids: list[int], rule: Rule
) -> list[tuple[int, int, int, float]]:
    total = sum(map(len, documents))
    bounds = [True] * (len(ids) + 1) if rule.boundaries is None else rule.boundaries.tolist()
    candidates = []
    for start, end in enumerate(plain_ends(documents, ids)):
        inside = [k for k in range(start, end) if ids[k] in rule.delimiters]
        end = min([end, *(k + 1 for k in inside)])
        while end > start and not bounds[end]:
            end -= 1
        if bounds[start] and end > start:
            candidates.append((start, end))
    found = []
    for start, end in candidates:
        others = [o for o in candidates if o != (start, end)]
        if any(a <= start and end <= b for a, b in others) or end - start < rule.min_length:
            continue
        count = occurrences(documents, ids[start:end])
        if rule.max_count is None or count <= rule.max_count:
            logs = [math.log(occurrences(documents, [i]) / total) for i in ids[start:end]]
            found.append((start, end, count, math.fsum(logs)))
    return found


def row(span: Span) -> tuple[int, int, int]:
    return span.start, span.end, span.count


ended = st.lists(st.integers(1, 4), max_size=9).map(lambda ids: [*ids, EOS])
ragged = st.lists(st.integers(0, 4), max_size=9)  # an EOS anywhere, or nowhere
shards = st.lists(st.lists(ended, max_size=4) | st.lists(ended | ragged, max_size=4), max_size=3)


@settings(deadline=None, max_examples=400)
@given(
    indexes=st.lists(shards, min_size=1, max_size=2),
    ids=st.lists(st.integers(0, 5), max_size=14),
    min_length=st.integers(1, 4),
    max_count=st.none() | st.integers(1, 4),
    delimiters=st.sets(st.integers(0, 5), max_size=2),
    data=st.data(),
)
def test_equals_a_plain_search(
    indexes: list[list[Documents]],
    ids: list[int],
    min_length: int,
    max_count: int | None,
    delimiters: set[int],
    data: st.DataObject,
) -> None:
    n = len(ids) + 1
    drawn = data.draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    boundaries = None if drawn is None else np.array(drawn, np.bool_)
    rule = Rule(min_length, max_count, frozenset(delimiters), boundaries)
    searcher = searcher_of(*indexes)
    documents = [one for index in indexes for shard in index for one in shard]
    found = maximal_spans(searcher, ids, rule)
    expected = plain_spans(documents, ids, rule)
    assert [row(one) for one in found] == [one[:3] for one in expected]
    for one, (*_, log_probability) in zip(found, expected, strict=True):
        assert one.log_probability == pytest.approx(log_probability)
    filled = [pair for pair in searcher.shards if pair[1].about.tokens]
    if ids and filled:
        assert reach(filled, np.array(ids)).tolist() == plain_ends(documents, ids)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_spans_of_both_dtypes(dtype: str) -> None:
    searcher = searcher_of([[[1, 2, 3, EOS], [60_000, 2, 3, 4, EOS]], [[9, EOS]]], dtype=dtype)
    spans = maximal_spans(searcher, [2, 3, 4, 1, 2, 60_000, 7])
    assert [row(one) for one in spans] == [(0, 3, 1), (3, 5, 1), (5, 6, 1)]
    assert spans[0].ranges[1] == (spans[0].ranges[1][0],) * 2  # nothing in the second shard


def test_no_span_goes_on_into_the_next_document() -> None:
    two = [[1, 2, EOS], [3, 4, EOS]]
    ids = [1, 2, EOS, 3, 4]
    assert [row(one) for one in maximal_spans(searcher_of([two]), ids)] == [(0, 3, 1), (3, 5, 1)]
    without = [[1, 2], [3, 4]]
    assert [row(one) for one in maximal_spans(searcher_of([without]), [1, 2, 3, 4])] == [
        (0, 2, 1), (2, 4, 1),
    ]  # fmt: skip
    assert maximal_spans(searcher_of([[]]), ids) == []
    assert maximal_spans(searcher_of([two]), []) == []


def test_a_long_text_that_stands_there_is_found_at_once() -> None:
    """Not a search of thousands of tokens from each of thousands of starts."""
    draw = np.random.default_rng(1)
    document = [*draw.integers(1, 50, 60_000).tolist(), EOS]
    searcher = searcher_of([[document], [[5] * 2000 + [EOS]]])
    maximal_spans(searcher, [1, 2, 3])
    started = time.perf_counter()
    (whole,) = maximal_spans(searcher, document)
    assert row(whole) == (0, len(document), 1)
    middle = [*document[:30_000], 5, 5, *document[30_000:60_000]]
    assert len(maximal_spans(searcher, middle)) < 9
    # A text of one token: each start has a span of its own, as long as the longest there is.
    assert len(maximal_spans(searcher, [5] * 4000)) == 2001
    assert time.perf_counter() - started < 3.0


@pytest.mark.parametrize(
    ("n_ids", "share", "kept"),
    [
        (40, 0.05, [3, 2]),
        (41, 0.05, [3, 2, 1]),
        (1, 0.05, [3]),
        (1, 1.0, [3]),
        (9, None, [3, 2, 1, 0]),
    ],
)
def test_the_rarest_are_kept(n_ids: int, share: float | None, kept: list[int]) -> None:
    spans = [Span(i, i + 2, 1, -float(i), ()) for i in range(4)]
    assert [one.start for one in rarest(spans, n_ids, share)] == kept


def test_of_equally_rare_spans_the_first_is_kept() -> None:
    spans = [Span(i, i + 2, 1, -1.0, ()) for i in range(4)]
    assert [one.start for one in rarest(spans, 20)] == [0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rule(min_length=0), "a least length of 0 tokens"),
        (lambda: Rule(max_count=0), "a largest count of 0"),
        (lambda: rarest([], 9, 0.0), "a share of 0.0 to keep"),
        (lambda: rarest([], 9, 1.5), "a share of 1.5 to keep"),
    ],
)
def test_wrong_terms(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
