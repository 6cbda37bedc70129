"""fastText's classifiers: what a model, named by path or URL, predicts for slices of text."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from dolma_kit import downloads, files, kernels
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.fasttext_files import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BYTES = 8 << 30  # of a model fetched from a URL
KERNELS = ("fasttext_dictionary", "fasttext", "label_scores")

_SHOWN_LABELS = 5
_CACHED_WORDS = 1 << 18
_CACHE_BYTES = 64 << 20  # for the sums of words
_DENSE_BYTES = 64 << 20  # up to which a quantized matrix is held as the numbers it stands for


def local_path(model: str) -> str:
    """Where the file of a model is that was named by path or URL; a URL is fetched once."""
    if files.is_remote(model):
        return downloads.fetch(model, max_bytes=MAX_BYTES)
    if not os.path.isfile(model):
        what = "is a folder" if os.path.isdir(model) else "is not there"
        raise ConfigError(f"the fastText model {model} {what}: name a .bin or .ftz file, or a URL")
    return model


def file_name(model: str) -> str:
    """The name of the file of a model that was named by path or URL."""
    return os.path.basename(local_path(model))


def load(model: str) -> Model:
    """The model at a path or URL; read once a process, and again where the file has changed."""
    path = local_path(model)
    status = os.stat(path)
    return _load(path, status.st_size, status.st_mtime_ns)


def load_labelled(model: str, labels: Collection[str], part: str) -> Model:
    """The same for a part that knows the model's labels: others are a ConfigError."""
    loaded = load(model)
    missing, odd = set(labels) - set(loaded.labels), set(loaded.labels) - set(labels)
    if missing or odd:
        raise ConfigError(
            f"{part}: the labels of {model} are not those of Dolma's model (missing: "
            f"{_some(missing)}; unknown: {_some(odd)}): for another classifier, take "
            f"fasttext(model={model})"
        )
    return loaded


def prepared(
    text_bytes: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    *,
    lowercase: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Slices of text as a model of ours sees them: ends stripped, and in lower case if wished.

    Bytes, starts and ends; slice i is `text_bytes[starts[i]:ends[i]]`. Training and tagging both
    come by here. Line feeds stay: they are spaces to a model.
    """
    starts, ends = kernels.lowercase.strip(text_bytes, starts, ends)
    if not lowercase:
        return text_bytes, starts, ends
    return kernels.lowercase.lower(text_bytes, starts, ends)  # type: ignore[no-any-return]


def _some(labels: Collection[str]) -> str:
    """A few labels in words."""
    first = sorted(labels)[:_SHOWN_LABELS]
    return ", ".join([*first, *(["..."] if len(labels) > len(first) else [])]) or "none"


@functools.lru_cache(maxsize=8)
def _load(path: str, n_bytes: int, mtime_ns: int) -> Model:
    return Model(path)


class Model:
    """A classifier: predicts labels for slices of UTF-8 text, without the GIL, from any thread.

    `labels` are in the file's order, without `__label__`. A model whose file is broken or no
    classifier is a DataError that names the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        reader = Reader(path)
        self.settings = reader.settings()
        self.labels, counts, self._dictionary, numbers = reader.dictionary(self.settings)
        self._input = reader.matrix("input", reader.flag("input matrix"))
        quantized = len(self._input[1]) > 0
        if numbers["is_pruned"] and not quantized:
            raise reader.broken("is pruned but not quantized, an old format: train it again")
        self._output = reader.matrix("output", reader.flag("output matrix") and quantized)
        self._numbers = reader.check(self.settings, numbers, self._input, self._output)
        is_tree = self.settings.loss == kernels.label_scores.HIERARCHICAL
        if quantized and 4 * int(self._input[3][0]) * self.settings.dim <= _DENSE_BYTES:
            self._input = kernels.fasttext.dense(self._input)
        self._tree = kernels.label_scores.label_tree(counts if is_tree else [0])
        self._caches: list[tuple[NDArray[Any], ...]] = []  # those that no thread is using

    def score(
        self,
        text_bytes: NDArray[np.uint8],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """The score of each label for each slice, (n, n_labels) float32.

        Slice i is `text_bytes[starts[i]:ends[i]]`. Scores are those of `predict(text, k=-1)` of
        fastText's library: probabilities, plus 1e-5. It gives nothing for a text without a word or
        n-gram that the model knows, nor, under hierarchical softmax, for labels below 1e-5: 0 here.
        """
        vectors, row_counts = self._vectors(text_bytes, starts, ends)
        scores = kernels.label_scores.score_labels(
            vectors, row_counts, self._output, self._tree, self.settings.loss
        )
        return self._checked(scores)  # type: ignore[no-any-return]

    def best(
        self,
        text_bytes: NDArray[np.uint8],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        k: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The `k` best labels of each slice and their scores, (n, min(k, n_labels)) each.

        Indices into `labels`, -1 (with score 0) where the library's `predict(text, k)` gives fewer.
        """
        vectors, row_counts = self._vectors(text_bytes, starts, ends)
        labels, scores = kernels.label_scores.best_labels(
            vectors, row_counts, self._output, self._tree, self.settings.loss, k
        )
        return labels, self._checked(scores)

    def _vectors(self, *slices: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        dim = self.settings.dim
        has_subwords = self._numbers[kernels.fasttext.MAX_N] > 0
        n_words = max(1, min(_CACHED_WORDS, _CACHE_BYTES // (4 * dim))) if has_subwords else 1
        try:
            cache = self._caches.pop()
        except IndexError:
            cache = kernels.fasttext.word_cache(dim, n_words)
        try:
            found: tuple[NDArray[np.float32], NDArray[np.int64]] = kernels.fasttext.mean_vectors(
                *slices, self._input, self._dictionary, self._numbers, cache
            )
            return found
        finally:
            self._caches.append(cache)

    def _checked(self, scores: Any) -> Any:
        import numpy as np

        if np.isnan(scores).any():
            raise DataError(self.path, None, "gives scores that are no numbers: train it again")
        return scores
