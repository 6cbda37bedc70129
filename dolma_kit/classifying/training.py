"""The weights of a classifier, from numbered words: see `dolma_kit.kernels.fasttext_training`.

In each epoch every text is seen once, in an order that goes by the texts' keys and the seed. So the
weights depend on the texts, their labels and the settings alone, not on the order of the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dolma_kit import kernels
from dolma_kit.classifying.examples import Examples, Vocabulary
from dolma_kit.config import TrainClassifier
from dolma_kit.deduplication.bloom import available_memory
from dolma_kit.errors import ConfigError
from dolma_kit.execute.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BUCKETS = 2_000_000  # unless more are asked for
_WORDS_A_CALL = 1 << 20  # Ctrl-C waits for a call to end
_LOSSES = {"softmax": 3, "ova": 4}


@dataclass(frozen=True)
class Weights:
    """A trained model: words and labels by falling count, the two matrices flat, by rows."""

    words: list[tuple[bytes, int]]
    labels: list[tuple[str, int]]
    n_tokens: int
    buckets: int
    input: NDArray[np.float32]
    output: NDArray[np.float32]


def fit(examples: Examples, labels: list[str], settings: TrainClassifier, bar: Progress) -> Weights:
    """Train on the examples, whose labels are numbers of `labels`; takes them away from there.

    ConfigError where no word is left, where the weights would not fit in memory, and where they
    grow out of all bounds.
    """
    import numpy as np

    training = kernels.fasttext_training
    ids, offsets, label_numbers = examples.training()
    counts = [examples.counts[i].train for i in range(len(labels))]
    ranked = sorted(range(len(labels)), key=lambda i: (-counts[i], labels[i]))
    places = np.empty(len(labels), np.int32)
    places[ranked] = np.arange(len(labels))
    label_numbers = places[label_numbers]
    words, word_rows = _dictionary(examples.vocabulary, settings.min_count)
    buckets = _buckets(ids, offsets, examples.vocabulary, settings)
    _require_memory(len(words), buckets, settings.dim)
    subwords = _subwords(examples.vocabulary, settings, len(words), buckets)
    texts = (ids, offsets, word_rows, examples.vocabulary.hashes, *subwords)
    numbers = np.zeros(6, np.int64)
    numbers[training.N_WORDS], numbers[training.DIM] = len(words), settings.dim
    numbers[training.BUCKET] = max(buckets, 1)
    numbers[training.WORD_NGRAMS] = settings.word_ngrams
    numbers[training.LOSS], numbers[training.N_LABELS] = _LOSSES[settings.loss], len(labels)
    used = np.zeros(len(words) + buckets, np.uint8)
    most = training.mark_rows(texts, numbers, np.zeros(0, np.int32), used)
    rows = np.zeros(max(most, 1), np.int32)
    training.mark_rows(texts, numbers, rows, used)
    input_ = np.zeros(len(used) * settings.dim, np.float32)
    training.fill_rows(input_, settings.dim, used, np.uint64(settings.seed))
    output = np.zeros(len(labels) * settings.dim, np.float32)
    label_weights = np.ones(len(labels))
    if settings.balance:
        label_weights = np.array([min(counts) / counts[i] for i in ranked])
    progress = np.array([0, settings.epochs * (len(ids) + len(label_numbers))], np.int64)
    scratch = np.empty(2 * (settings.dim + len(labels)), np.float32)
    keys, sizes = examples.keys(), np.diff(offsets)
    for epoch in range(settings.epochs):
        order = shuffled(keys, label_numbers, settings.seed, epoch)
        for part in _in_parts(order, sizes):
            training.train(
                texts, numbers, part, label_numbers, label_weights, np.array([settings.lr]),
                progress, input_, output, rows, scratch,
            )  # fmt: skip
            bar.advance(len(part), examples.n_bytes * len(part) // len(order))
        bar.unit_done(examples.n_bytes)
    if not (_is_finite(output) and _is_finite(input_)):
        raise ConfigError(f"--lr {settings.lr:g}: the weights grew out of all bounds; take a lower")
    ranked_labels = [(labels[i], counts[i]) for i in ranked]
    return Weights(words, ranked_labels, len(ids) + len(label_numbers), buckets, input_, output)


def _require_memory(n_words: int, buckets: int, dim: int) -> None:
    n_rows = n_words + buckets
    if n_rows >= 2**31:
        raise ConfigError(f"{n_words:,} words and {buckets:,} buckets: 2^31 is too many in all")
    available = available_memory()
    if available is not None and 4 * dim * n_rows > available:
        raise ConfigError(
            f"vectors of {dim} numbers for {n_words:,} words and {buckets:,} buckets take "
            f"{4 * dim * n_rows:,} bytes, but {available:,} are available: lower --dim or "
            "--buckets, or raise --min-count"
        )


def _in_parts(order: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """An order of texts cut so that each part has some _WORDS_A_CALL words."""
    import numpy as np

    part = np.cumsum(sizes[order]) // _WORDS_A_CALL
    return np.split(order, np.flatnonzero(np.diff(part)) + 1)


def _is_finite(matrix: NDArray[np.float32]) -> bool:
    import numpy as np

    with np.errstate(invalid="ignore"):  # of opposite infinities
        return bool(np.isfinite(matrix.sum(dtype=np.float64)))


def shuffled(
    keys: NDArray[np.uint64], labels: NDArray[np.int32], seed: int, epoch: int
) -> NDArray[np.int64]:
    """An order of the texts, (n,) int64, that looks like chance and goes by keys and labels.

    Texts that agree in both are the same, so their order says nothing.
    """
    import numpy as np

    chances = np.empty(len(keys), np.uint64)
    salt = kernels.fasttext_training.mix(np.uint64(seed)) + np.uint64(epoch + 1)
    kernels.fasttext_training.mix_all(keys, salt, chances)
    return np.lexsort((labels, keys, chances)).astype(np.int64)


def _dictionary(
    vocabulary: Vocabulary, min_count: int
) -> tuple[list[tuple[bytes, int]], NDArray[np.int32]]:
    """The words that come often enough, with their counts, and the row of each word or -1."""
    import numpy as np

    frequencies = vocabulary.frequencies
    kept = np.flatnonzero(frequencies >= min_count).tolist()
    if not kept:
        raise ConfigError(f"--min-count {min_count}: no word comes that often; take a lower one")
    ranked = sorted(
        (-count, vocabulary.word(i), i)
        for i, count in zip(kept, frequencies[kept].tolist(), strict=True)
    )
    word_rows = np.full(len(vocabulary), -1, np.int32)
    word_rows[[i for _, _, i in ranked]] = np.arange(len(ranked))
    return [(word, -count) for count, word, _ in ranked], word_rows


def _buckets(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    vocabulary: Vocabulary,
    settings: TrainClassifier,
) -> int:
    """Rows for n-grams: none without n-grams, or as many as asked for, or as many as there are
    different n-grams, so that few share a row."""
    import numpy as np

    training = kernels.fasttext_training
    if settings.word_ngrams == 1 and settings.max_n == 0:
        return 0
    if settings.buckets is not None:
        return settings.buckets
    seen = np.zeros(training.DISTINCT, np.uint8)
    training.mark_ngrams(ids, offsets, vocabulary.hashes, settings.word_ngrams, seen)
    seen[_subwords(vocabulary, settings, 0, training.DISTINCT)[1]] = 1
    return min(max(int(seen.sum()), 1), MOST_BUCKETS)


def _subwords(
    vocabulary: Vocabulary, settings: TrainClassifier, n_words: int, buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The rows of the character n-grams of each word: where a word's begin, and the rows."""
    import numpy as np

    if settings.max_n == 0:
        return np.zeros(len(vocabulary) + 1, np.int64), np.zeros(0, np.int32)
    fasttext = kernels.fasttext
    letters, starts, sizes = vocabulary.letters
    lengths = max(settings.max_n - max(settings.min_n, 1) + 1, 0)
    # A slot too many: an empty list would mean that rows are added up, not listed.
    rows = np.empty(int((sizes.astype(np.int64) + 2).sum()) * lengths + 1, np.int32)
    offsets = np.empty(len(vocabulary) + 1, np.int64)
    numbers = np.zeros(9, np.int64)
    numbers[fasttext.N_WORDS], numbers[fasttext.BUCKET] = n_words, buckets
    numbers[fasttext.MIN_N], numbers[fasttext.MAX_N] = settings.min_n, settings.max_n
    made: tuple[Any, ...] = kernels.fasttext_training.no_model()
    n_rows = kernels.fasttext_training.list_subwords(
        *made, numbers, letters, starts, sizes, len(vocabulary), offsets, rows
    )
    return offsets, rows[:n_rows]
