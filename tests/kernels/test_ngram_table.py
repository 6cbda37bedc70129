"""Sets of n-grams beside plain sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import ngram_table


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=4), st.integers(1, 4))
def test_ngrams_are_found(documents: list[list[int]], n: int) -> None:
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    hashes = np.array([word * 7919 + 1 for own in documents for word in own], np.uint64)
    keys = ngram_table.keys_of(hashes, offsets, n)
    grams = [tuple(own[i : i + n]) for own in documents for i in range(len(own) - n + 1)]
    assert len(keys) == len(grams)
    assert len(set(zip(grams, keys.tolist(), strict=True))) == len(set(grams)) == len(set(keys))
    chosen = np.unique(keys)[::2].copy()
    table = ngram_table.build(chosen)
    places, ids = ngram_table.find(hashes, offsets, n, table)
    where = [
        start + i
        for start, own in zip(offsets, documents, strict=False)
        for i in range(len(own) - n + 1)
    ]
    expected = [(w, k) for w, k in zip(where, keys, strict=True) if k in chosen]
    assert [(p, chosen[i]) for p, i in zip(places, ids, strict=True)] == expected
    looked_up = ngram_table.look_up(keys, table)
    assert [i >= 0 and chosen[i] == k for i, k in zip(looked_up, keys, strict=True)] == [
        bool(k in chosen) for k in keys
    ]


def test_more_is_found_than_there_was_room_for() -> None:
    words = np.ones(20_000, np.uint64)
    offsets = np.array([0, len(words)])
    table = ngram_table.build(ngram_table.keys_of(words[:5], np.array([0, 5]), 5))
    places, ids = ngram_table.find(words, offsets, 5, table)
    assert places.tolist() == list(range(20_000 - 4))
    assert set(ids.tolist()) == {0}


def test_keys_at_the_edges_of_the_table() -> None:
    keys = np.array([0, 1, 2**63, 2**64 - 1, 64, 128], np.uint64)
    table = ngram_table.build(keys)
    assert ngram_table.look_up(keys, table).tolist() == list(range(6))
    assert ngram_table.look_up(np.array([3, 2**64 - 2], np.uint64), table).tolist() == [-1, -1]
    assert ngram_table.look_up(keys, ngram_table.build(keys[:0])).tolist() == [-1] * 6
