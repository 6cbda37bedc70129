"""N-grams of documents from a suffix array, beside a Counter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import common_prefixes, ngram_runs, suffix_array
from tests.naive import suffix_arrays as plain


def count(
    documents: list[list[int]],
    lengths: list[int],
    k: int,
    max_length: int = 255,
    kind: type = np.uint32,
) -> ngram_runs.NgramRuns:
    tokens = np.array([token for own in documents for token in own], kind)
    ends = np.cumsum([len(own) for own in documents], dtype=np.int64)
    suffixes = suffix_array.build(tokens)
    prefixes = common_prefixes.between_neighbours(tokens, suffixes, max_length)
    return ngram_runs.count(suffixes, prefixes, ends, np.array(lengths), k)


def check(
    found: ngram_runs.NgramRuns, documents: list[list[int]], lengths: list[int], k: int
) -> None:
    tokens = [token for own in documents for token in own]
    ends = np.cumsum([len(own) for own in documents], dtype=np.int64).tolist()
    width = min(k, len(tokens))
    for row, n in enumerate(lengths):
        expected = plain.ngrams(tokens, ends, n, k)
        assert found.totals[row] == expected.n_places
        assert found.distinct[row] == expected.n_distinct
        assert found.once[row] == expected.n_once
        for counts, places, twin in (
            (found.most_counts, found.most_places, expected.most),
            (found.least_counts, found.least_places, expected.least),
        ):
            assert counts.shape == places.shape == (len(lengths), width)
            rows = list(zip(counts[row].tolist(), places[row].tolist(), strict=True))
            assert rows == twin + [(0, 0)] * (width - len(twin))


ids = st.one_of(st.integers(0, 2), st.sampled_from([0, 65535, 2**31, 2**32 - 1]))


@settings(deadline=None, max_examples=300)
@given(
    documents=st.lists(st.lists(ids, max_size=12), max_size=8),
    lengths=st.sets(st.integers(1, 15), min_size=1, max_size=5).map(sorted),
    k=st.integers(0, 12),
    max_length=st.sampled_from([15, 255, 65535]),
)
def test_counts_are_those_of_the_twin(
    documents: list[list[int]], lengths: list[int], k: int, max_length: int
) -> None:
    check(count(documents, lengths, k, max_length), documents, lengths, k)


CASES: dict[str, tuple[list[list[int]], list[int]]] = {
    "no documents": ([], [1, 2]),
    "empty documents": ([[], [], []], [1]),
    "one token": ([[5]], [1, 2]),
    "longer than every document": ([[1, 2], [1, 2], [1]], [2, 3, 9]),
    "equal across an end": ([[1, 2, 3], [1], [2, 3], [], [1, 2, 3]], [1, 2, 3]),
    "one run, all but one cut": ([[7, 7, 7], [7], [7]], [1, 2, 3]),
    "one token a document": ([[1]] * 20, [1, 2]),
    "all equal": ([[4] * 40, [], [4] * 3], [1, 2, 39, 40, 41]),
}


@pytest.mark.parametrize(("documents", "lengths"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("k", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_cases(documents: list[list[int]], lengths: list[int], k: int, kind: type) -> None:
    check(count(documents, lengths, k, kind=kind), documents, lengths, k)


def test_fixed_example() -> None:
    documents = [[1, 2, 1, 2, 1], [], [1, 2, 3], [3]]
    found = count(documents, [1, 2, 3, 6], 2)
    assert found.totals.tolist() == [9, 6, 4, 0]
    assert found.distinct.tolist() == [3, 3, 3, 0]
    assert found.once.tolist() == [0, 1, 2, 0]
    assert found.most_counts.tolist() == [[4, 3], [3, 2], [2, 1], [0, 0]]
    assert found.most_places.tolist() == [[0, 1], [0, 1], [0, 5], [0, 0]]
    assert found.least_counts.tolist() == [[2, 3], [1, 2], [1, 1], [0, 0]]
    assert found.least_places.tolist() == [[7, 1], [6, 1], [5, 1], [0, 0]]


@pytest.mark.parametrize("k", [1, 10, 500, 5000])
def test_many_runs_with_many_ties(k: int) -> None:
    random = np.random.default_rng(31)
    tokens = (random.zipf(1.3, 6000) % 400).tolist()
    documents = [tokens[i : i + 37] for i in range(0, 6000, 37)]
    documents += documents[::5]
    check(count(documents, [1, 2, 3, 36, 38], k), documents, [1, 2, 3, 36, 38], k)


def test_as_many_lengths_as_there_may_be() -> None:
    documents = [[1, 2, 3] * 90, [2, 3, 1] * 90]
    lengths = list(range(1, 256))
    check(count(documents, lengths, 2), documents, lengths, 2)


@pytest.mark.parametrize("lengths", [[], [0, 1], [2, 2], [3, 2], list(range(1, 257))])
def test_lengths_that_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="lengths are"):
        ngram_runs.count(
            np.zeros(1, np.int32),
            np.zeros(1, np.uint8),
            np.array([1]),
            np.array(lengths, np.int64),
            1,
        )


def test_a_length_that_prefixes_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="256, prefixes are of uint8"):
        count([[1]], [256], 1)
    assert count([[1] * 300], [256], 1, 256).most_counts.tolist() == [[45]]


@pytest.mark.parametrize("ends", [[], [2], [4], [2, 1, 3], [-1, 3]])
def test_ends_that_are_refused(ends: list[int]) -> None:
    with pytest.raises(ValueError, match=f"ends of {len(ends)} documents"):
        ngram_runs.count(
            np.arange(3, dtype=np.int32),
            np.zeros(3, np.uint8),
            np.array(ends, np.int64),
            np.array([1]),
            1,
        )
