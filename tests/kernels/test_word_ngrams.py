"""N-grams of paragraphs beside their plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import word_ngrams
from tests import naive
from tests.naive import windows as words_twin
from tests.naive import word_ngrams as twin

TEXTS = st.lists(
    st.sampled_from(["a", "b", "ab", "é", "日本", ",", "don't", "\u3000", "1.5", "😀"])
)


def words_of(text: str) -> list[str]:
    return [unit.text for unit in words_twin.tokens(text)]


def kernel(texts: list[str], n: int, stride: int, skip_short: bool) -> list[tuple[list[int], int]]:
    data, offsets = naive.as_arrays(texts)
    hashes, counts, counting = word_ngrams.of_slices(
        data, offsets[:-1], offsets[1:], n, stride, skip_short=skip_short
    )
    ends = np.cumsum(counts)
    return [
        (hashes[end - count : end].tolist(), int(last))
        for end, count, last in zip(ends, counts, counting, strict=True)
    ]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(TEXTS.map(" ".join), max_size=4), st.integers(1, 4), st.integers(1, 3), st.booleans()
)
def test_equals_twin(texts: list[str], n: int, stride: int, skip_short: bool) -> None:
    expected = []
    for text in texts:
        keys, n_counting = twin.keys(text, words_of(text), n, stride, skip_short)
        expected.append(([twin.hash_of(key) for key in keys], n_counting))
    assert kernel(texts, n, stride, skip_short) == expected


def test_words_are_not_run_together() -> None:
    (one, _), (other, _) = kernel(["ab c ab c", "a bc a bc"], 2, 1, False)
    assert not set(one) & set(other)


@pytest.mark.parametrize(
    ("text", "n_keys", "n_counting", "n_if_skipped"),
    [
        ("", 1, 1, 0), ("a b", 1, 1, 0), ("a b c", 2, 1, 1), ("a b c d", 2, 2, 2),
        ("a a a a a a a", 1, 1, 1), ("a b a b a b a b", 2, 2, 2),
        ("  a\u2028b \x85 c  d ", 2, 2, 2),
    ],
)  # fmt: skip
def test_how_many_keys(text: str, n_keys: int, n_counting: int, n_if_skipped: int) -> None:
    ((found, counting),) = kernel([text], 3, 1, False)
    assert len(found) == len(set(found)) == n_keys
    assert counting == n_counting
    ((found, counting),) = kernel([text], 3, 1, True)
    assert len(found) == counting == n_if_skipped


def test_strides_are_even() -> None:
    """The second n-gram begins at the stride, not at the second word."""
    text = "a b c d e f g h"
    every, fourth = (kernel([text], 2, stride, False)[0][0] for stride in (1, 3))
    assert fourth == every[::3]


def test_time_is_linear() -> None:
    for text in ("a " * 500_000, " ".join(map(str, range(300_000))), "," * 1_000_000):
        ((found, _),) = kernel([text], 13, 1, False)
        assert found
