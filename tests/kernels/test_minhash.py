"""MinHash: signatures of the plain twin, permutations that are some, estimates without bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.kernels import minhash
from tests import naive
from tests.naive import minhash as plain

WORDS = ["a", "b", "the", "İ", "é", "中文", "x" * 40, "\0", "😀", "a\u0301"]
SPACES = [" ", "\n", "\u3000", "  \t", "\x85", "\x1c"]
texts = st.lists(st.sampled_from(WORDS + SPACES + [" "] * 6), max_size=40).map("".join)


@settings(deadline=None, max_examples=150)
@given(made=st.lists(texts, max_size=4), n=st.integers(1, 6), seed=st.integers(0, 2**64 - 1))
def test_signatures_and_keys_are_those_of_the_twin(made: list[str], n: int, seed: int) -> None:
    permuted_by = minhash.permutations(12, seed)
    pairs = plain.permutations(12, seed)
    assert permuted_by.T.tolist() == [list(pair) for pair in pairs]
    data, offsets = naive.as_arrays(made)
    found, counts = minhash.signatures(data, offsets[:-1], offsets[1:], n, permuted_by)
    assert found.tolist() == [plain.signature(text, n, pairs) for text in made]
    words = [len(text.split()) for text in made]
    assert counts.tolist() == [min(w, 1) if w < n else w - n + 1 for w in words]
    keys = minhash.band_keys(found, 3, 4)
    assert keys.T.tolist() == [plain.band_keys(row, 3, 4) for row in found.tolist()]


def test_more_grams_than_wait_at_once() -> None:
    text = " ".join(map(str, range(3000)))
    data, offsets = naive.as_arrays([text])
    found, _ = minhash.signatures(data, offsets[:-1], offsets[1:], 2, minhash.permutations(4))
    assert found[0].tolist() == plain.signature(text, 2, plain.permutations(4))


def test_a_permutation_is_one() -> None:
    """Undone step by step, each gives back what went in; so no two numbers become one."""
    rng = np.random.default_rng(6198)
    numbers = [0, 1, plain.LOW, *rng.integers(0, 1 << 32, 500).tolist()]
    undo_2, undo_1 = pow(0x846CA68B, -1, 1 << 32), pow(0x7FEB352D, -1, 1 << 32)
    for a, b in plain.permutations(20, seed=5):
        undo_a = pow(a, -1, 1 << 32)
        for x in numbers:
            z = plain.permute(x, a, b)
            z = (z ^ z >> 16) * undo_2 & plain.LOW
            z = (z ^ z >> 15 ^ z >> 30) * undo_1 & plain.LOW
            assert ((z ^ z >> 16) ^ b) * undo_a & plain.LOW == x


@pytest.mark.parametrize("similarity", [0.0, 0.25, 0.5, 0.8, 0.95])
def test_agreement_estimates_jaccard_similarity(similarity: float) -> None:
    """Over 200 pairs of sets of 200, each with 128 permutations: within four standard errors."""
    n_pairs, size, k = 200, 200, 128
    n_shared = round(2 * size * similarity / (1 + similarity))
    rng = np.random.default_rng(int(similarity * 100))
    made = []
    for _ in range(n_pairs):
        words = rng.integers(0, 1 << 60, 2 * size - n_shared).tolist()
        made += [" ".join(map(str, words[:size])), " ".join(map(str, words[size - n_shared :]))]
    true = n_shared / (2 * size - n_shared)
    data, offsets = naive.as_arrays(made)
    found, _ = minhash.signatures(data, offsets[:-1], offsets[1:], 1, minhash.permutations(k))
    agreement = (found[::2] == found[1::2]).mean()
    error = np.sqrt(max(true * (1 - true), 1e-6) / (n_pairs * k))
    assert abs(agreement - true) < 4 * error
    spread = (found[::2] == found[1::2]).mean(axis=1).std()
    assert spread < 1.25 * np.sqrt(true * (1 - true) / k) + 1e-9
