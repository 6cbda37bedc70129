"""Training fastText's classifier: against its twin, and against the library's training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.classifying.examples import Vocabulary
from dolma_kit.fasttext_files import Reader
from dolma_kit.kernels import fasttext, fasttext_training
from tests import naive
from tests.naive import fasttext_training as twin

GOLDEN = Path(__file__).parents[1] / "golden" / "fasttext_training"
LOSSES = {"softmax": fasttext_training.SOFTMAX, "ova": fasttext_training.ONE_VS_ALL}
PIECES = [
    *" " * 9, "\t", "\n", "\0", "\u3000", "the", "cat", "größer", "貓", "坐在", "😀", "</s>", "</s",
    "__label__x", "__label__", "_", "<", ">", "x" * 9, "y" * 80, "\u0301",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


class Training:
    """Texts and settings as the kernels want them."""

    def __init__(
        self,
        sources: list[str],
        dictionary: list[str] | None,
        *,
        dim: int,
        bucket: int,
        word_ngrams: int,
        min_n: int = 0,
        max_n: int = 0,
        loss: str = "softmax",
        n_labels: int = 2,
    ) -> None:
        self.vocabulary = Vocabulary()
        text, offsets = naive.as_arrays(sources)
        self.ids, ends = self.vocabulary.number(text, offsets[:-1], offsets[1:])
        words = [self.vocabulary.word(i).decode() for i in range(len(self.vocabulary))]
        self.dictionary = words if dictionary is None else dictionary
        word_rows = np.array(
            [self.dictionary.index(w) if w in self.dictionary else -1 for w in words], np.int32
        )
        self.offsets = np.concatenate([np.zeros(1, np.int64), ends])
        self.n_rows = len(self.dictionary) + bucket
        self.arrays = (
            self.ids, self.offsets, word_rows, self.vocabulary.hashes,
            *self._subwords(bucket, min_n, max_n),
        )  # fmt: skip
        self.numbers = np.zeros(6, np.int64)
        self.numbers[:] = (
            len(self.dictionary), dim, bucket, word_ngrams, LOSSES[loss], n_labels,
        )  # fmt: skip
        most = fasttext_training.mark_rows(
            self.arrays, self.numbers, np.zeros(0, np.int32), np.zeros(0, np.uint8)
        )
        self.scratch_rows = np.zeros(max(most, 1), np.int32)
        self.scratch = np.zeros(2 * (dim + n_labels), np.float32)

    def _subwords(self, bucket: int, min_n: int, max_n: int) -> tuple[Any, Any]:
        letters, starts, sizes = self.vocabulary.letters
        offsets = np.zeros(len(self.vocabulary) + 1, np.int64)
        rows = np.zeros(int(((sizes + 2) * max(max_n, 1)).sum()) + 1, np.int32)
        if max_n == 0:
            return offsets, rows[:0]
        numbers = np.zeros(9, np.int64)
        numbers[fasttext.N_WORDS], numbers[fasttext.BUCKET] = len(self.dictionary), bucket
        numbers[fasttext.MIN_N], numbers[fasttext.MAX_N] = min_n, max_n
        n = fasttext_training.list_subwords(
            *fasttext_training.no_model(), numbers, letters, starts, sizes,
            len(self.vocabulary), offsets, rows,
        )  # fmt: skip
        return offsets, rows[:n]

    def rows(self, text: int) -> list[int]:
        n = fasttext_training.rows_of(self.arrays, self.numbers, text, self.scratch_rows)
        return self.scratch_rows[:n].tolist()

    def run(self, labels: list[int], epochs: int, rate: float, input_: Any, output: Any) -> None:
        total = epochs * (len(self.ids) + len(labels))
        progress = np.array([0, total], np.int64)
        order = np.arange(len(labels), dtype=np.int64)
        for _ in range(epochs):
            fasttext_training.train(
                self.arrays, self.numbers, order, np.array(labels, np.int32),
                np.ones(int(self.numbers[fasttext_training.N_LABELS])), np.array([rate]),
                progress, input_, output, self.scratch_rows, self.scratch,
            )  # fmt: skip
        assert progress[0] == total


def read(path: Path) -> tuple[Any, list[str], tuple[str, ...], Any, Any]:
    """Settings, words, labels and both matrices of a model's file."""
    reader = Reader(str(path))
    model = reader.settings()
    labels, _, arrays, facts = reader.dictionary(model)
    letters, starts, sizes = arrays[:3]
    words = [
        letters[a : a + n].tobytes().decode()
        for a, n in zip(starts[: facts["n_words"]], sizes, strict=False)
    ]
    matrices = [reader.matrix(which, reader.flag(which)) for which in ("input", "output")]
    input_, output = (np.array(matrix[0], np.float32) for matrix in matrices)
    return model, words, labels, input_, output


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_those_of_the_librarys_training(loss: str) -> None:
    """From the library's first weights, over the same texts in the same order, to its last ones."""
    examples = json.loads((GOLDEN / "examples.json").read_text("utf-8"))
    model, words, names, input_, output = read(GOLDEN / f"{loss}_start.bin")
    trained = read(GOLDEN / f"{loss}_end.bin")
    assert (words, names) == trained[1:3]
    assert not output.any()
    training = Training(
        [text for _, text in examples],
        words,
        dim=model.dim,
        bucket=model.bucket,
        word_ngrams=model.word_ngrams,
        min_n=model.min_n,
        max_n=model.max_n,
        loss=loss,
        n_labels=len(names),
    )
    labels = [names.index(label) for label, _ in examples]
    training.run(labels, 8, 2.0, input_, output)
    # The library takes the sigmoid of one-vs-all off a table, some half a step of 0.008 too low.
    tolerance = 1e-5 if loss == "softmax" else 0.2
    np.testing.assert_allclose(input_, trained[3], rtol=0, atol=tolerance)
    np.testing.assert_allclose(output, trained[4], rtol=0, atol=tolerance)
    assert np.abs(trained[4]).max() > 2


@settings(deadline=None, max_examples=80)
@given(
    sources=st.lists(texts, min_size=1, max_size=5),
    word_ngrams=st.integers(1, 3),
    ngrams=st.sampled_from([(0, 0), (1, 3), (2, 2), (3, 5)]),
)
def test_words_and_rows_equal_the_twins(
    sources: list[str], word_ngrams: int, ngrams: tuple[int, int]
) -> None:
    dictionary = ["the", "</s>", "貓"]
    shape = {"bucket": 7, "min_n": ngrams[0], "max_n": ngrams[1]}
    training = Training(sources, dictionary, dim=2, word_ngrams=word_ngrams, **shape)
    vocabulary = training.vocabulary
    found = [vocabulary.word(i).decode() for i in training.ids.tolist()]
    expected = [twin.words(text) for text in sources]
    assert found == [word for words in expected for word in words]
    assert vocabulary.frequencies.tolist() == [
        found.count(vocabulary.word(i).decode()) for i in range(len(vocabulary))
    ]
    used = np.zeros(training.n_rows, np.uint8)
    fasttext_training.mark_rows(training.arrays, training.numbers, training.scratch_rows, used)
    all_rows = set()
    for i, text in enumerate(sources):
        rows = twin.rows(text, dictionary, 7, word_ngrams, *ngrams)
        assert training.rows(i) == rows
        all_rows |= set(rows)
    assert set(np.flatnonzero(used).tolist()) == all_rows


def test_word_ngrams_are_counted_as_the_twin_has_them() -> None:
    sources = ["the cat sat on the cat", "", "größer </s> cat", "a b c d"]
    training = Training(sources, None, dim=2, bucket=7, word_ngrams=3)
    seen = np.zeros(fasttext_training.DISTINCT, np.uint8)
    fasttext_training.mark_ngrams(
        training.ids, training.offsets, training.vocabulary.hashes, 3, seen
    )
    hashes = {h for text in sources for h in twin.word_ngrams(text, 3)}
    assert set(np.flatnonzero(seen).tolist()) == {h % fasttext_training.DISTINCT for h in hashes}


@settings(deadline=None, max_examples=40)
@given(
    sources=st.lists(texts, min_size=1, max_size=4),
    loss=st.sampled_from(list(LOSSES)),
    rate=st.sampled_from([0.1, 1.0]),
    seed=st.integers(0, 99),
)
def test_steps_equal_the_twins(sources: list[str], loss: str, rate: float, seed: int) -> None:
    training = Training(sources, None, dim=4, bucket=9, word_ngrams=2, loss=loss, n_labels=3)
    random = np.random.default_rng(seed)
    input_ = random.normal(size=(training.n_rows, 4)).astype(np.float32)
    output = random.normal(size=(3, 4)).astype(np.float32)
    labels = random.integers(0, 3, len(sources)).tolist()
    expected_input, expected_output = input_.copy(), output.copy()
    flat_input, flat_output = input_.reshape(-1), output.reshape(-1)
    training.run(labels, 1, rate, flat_input, flat_output)
    total, done = len(training.ids) + len(sources), 0
    for i, text in enumerate(sources):
        found = twin.rows(text, training.dictionary, 9, 2, 0, 0)
        now = rate * (1 - done / total)
        twin.step(expected_input, expected_output, found, labels[i], now, loss)
        done += len(twin.words(text)) + 1
    np.testing.assert_allclose(input_, expected_input, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output, expected_output, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=100)
@given(texts, texts)
def test_texts_of_the_same_words_have_one_key(a: str, b: str) -> None:
    keys, counts = np.zeros(2, np.uint64), np.zeros(2, np.int64)
    text, offsets = naive.as_arrays([a, b])
    fasttext_training.text_keys(text, offsets[:-1], offsets[1:], keys, counts)
    assert (keys[0] == keys[1]) == (twin.words(a) == twin.words(b))
    assert counts.tolist() == [len(twin.words(a)) - 1, len(twin.words(b)) - 1]


def test_first_weights_are_even_and_for_rows_in_use_alone() -> None:
    used = np.array([1, 0] * 500, np.uint8)
    matrix = np.zeros(1000 * 10, np.float32)
    fasttext_training.fill_rows(matrix, 10, used, np.uint64(1))
    rows = matrix.reshape(1000, 10)
    assert not rows[1::2].any()
    filled = rows[::2] * 10
    assert -1 <= filled.min() < -0.99
    assert 0.99 < filled.max() < 1
    assert abs(filled.mean()) < 0.03
    assert abs(filled.std() - 1 / math.sqrt(3)) < 0.01
    again = np.zeros_like(matrix)
    fasttext_training.fill_rows(again, 10, used, np.uint64(2))
    assert not (again.reshape(1000, 10)[::2] == rows[::2]).any(axis=1).any()


@settings(deadline=None, max_examples=200)
@given(st.floats(-710, 0))
def test_the_exponential_is_one(x: float) -> None:
    assert fasttext_training.exp(x) == pytest.approx(math.exp(x), rel=4e-16, abs=1e-304)


def test_the_exponential_of_no_number_is_none() -> None:
    assert math.isnan(fasttext_training.exp(math.nan))
    assert fasttext_training.exp(-math.inf) == 0
    assert fasttext_training.exp(0.0) == 1


def test_five_megabytes_on_one_line_and_a_word_of_three() -> None:
    sources = ["the cat " * 600_000, "x" * 3_000_000, "", "\0" * 1_000_000]
    training = Training(sources, None, dim=2, bucket=9, word_ngrams=2)
    input_ = np.ones(training.n_rows * 2, np.float32)
    output = np.zeros(4, np.float32)
    training.run([0, 1, 0, 1], 1, 0.1, input_, output)
    assert np.isfinite(input_).all()
    assert len(training.vocabulary) == 4
