"""A trained classifier as fastText's `.bin`: the format is in `dolma_kit.fasttext_files`."""

from __future__ import annotations

import hashlib
import struct
from typing import IO

from dolma_kit import fasttext_files
from dolma_kit.classifying.training import Weights
from dolma_kit.config import TrainClassifier

_VERSION = 12
_LOSSES = {name: number for number, name in fasttext_files.LOSSES.items()}
_NAMES = {"softmax": "softmax", "ova": "one-vs-all"}
# Settings that training a classifier does not use: fastText's defaults.
_WINDOW, _NEGATIVES, _UPDATE_RATE, _THRESHOLD = 5, 5, 100, 1e-4


def write(stream: IO[bytes], weights: Weights, settings: TrainClassifier) -> str:
    """Write the model; returns the SHA-256 of what was written."""
    digest = hashlib.sha256()

    def put(data: bytes | memoryview) -> None:
        digest.update(data)
        stream.write(data)

    put(struct.pack("<2i", fasttext_files.MAGIC, _VERSION))
    put(
        struct.pack(
            "<12id", settings.dim, _WINDOW, settings.epochs, settings.min_count, _NEGATIVES,
            settings.word_ngrams, _LOSSES[_NAMES[settings.loss]], fasttext_files.SUPERVISED,
            weights.buckets, settings.min_n, settings.max_n, _UPDATE_RATE, _THRESHOLD,
        )
    )  # fmt: skip
    n_words, n_labels = len(weights.words), len(weights.labels)
    put(struct.pack("<3i2q", n_words + n_labels, n_words, n_labels, weights.n_tokens, -1))
    put(b"".join(word + struct.pack("<xqb", count, 0) for word, count in weights.words))
    for label, count in weights.labels:
        name = fasttext_files.LABEL_PREFIX + label
        put(name.encode() + struct.pack("<xqb", count, 1))
    for matrix, n_rows in ((weights.input, n_words + weights.buckets), (weights.output, n_labels)):
        put(struct.pack("<b2q", 0, n_rows, settings.dim))
        put(matrix.astype("<f4", copy=False).data.cast("B"))
    return digest.hexdigest()
