"""Labelled texts: those to train on as numbers of words, those that are held out as they are.

What a model sees of a text are its words, so these decide: texts of the same words have one key,
and all of them are trained on or all held out, whatever their labels and ids. As the choice goes by
keys, it does not depend on the order or the files in which the documents come.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dolma_kit import kernels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTES_AT_ONCE = 1 << 20  # of text whose words are numbered in one call: makes room for all


class Vocabulary:
    """Words by number, in the order in which they came first; number 0 is `</s>`."""

    def __init__(self) -> None:
        import numpy as np

        end = np.frombuffer(kernels.fasttext_dictionary.END, np.uint8)
        self._counts = np.array([1, len(end)], np.int64)
        self._letters = end.copy()
        self._starts = np.zeros(1, np.int64)
        self._sizes = np.array([len(end)], np.int32)
        self._hashes = np.array([kernels.fasttext_dictionary.END_HASH], np.uint32)
        self._frequencies = np.zeros(1, np.int64)
        self._slots = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return int(self._counts[0])

    @property
    def hashes(self) -> NDArray[np.uint32]:
        return self._hashes[: len(self)]

    @property
    def frequencies(self) -> NDArray[np.int64]:
        return self._frequencies[: len(self)]

    @property
    def letters(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]:
        """The bytes of all words, where each begins, and its size."""
        return self._letters, self._starts[: len(self)], self._sizes[: len(self)]

    def word(self, number: int) -> bytes:
        start = int(self._starts[number])
        return self._letters[start : start + int(self._sizes[number])].tobytes()

    def number(
        self, text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The words of slices as numbers, one slice after the other, and where each slice ends."""
        import numpy as np

        n_bytes = int((ends - starts).sum())
        most = n_bytes // 2 + 2 * len(starts)  # a word and the space after it take two bytes
        self._make_room(most, n_bytes)
        ids, id_ends = np.empty(most, np.int32), np.empty(len(starts), np.int64)
        n_ids = kernels.fasttext_training.number_words(
            text, starts, ends, self._arrays(), ids, id_ends
        )
        return ids[:n_ids].copy(), id_ends

    def _arrays(self) -> tuple[Any, ...]:
        return (
            self._counts, self._letters, self._starts, self._sizes, self._hashes,
            self._frequencies, self._slots,
        )  # fmt: skip

    def _make_room(self, n_words: int, n_bytes: int) -> None:
        """For so many new words of so many bytes in all."""
        import numpy as np

        known, letters = (int(n) for n in self._counts)
        self._letters = _grown(self._letters, letters + n_bytes)
        for name in ("_starts", "_sizes", "_hashes", "_frequencies"):
            setattr(self, name, _grown(getattr(self, name), known + n_words))
        if len(self._slots) < 2 * (known + n_words):
            self._slots = np.zeros(1 << (2 * (known + n_words)).bit_length(), np.int32)
            kernels.fasttext_training.fill_table(self._hashes, known, self._slots)


def _grown(array: NDArray[Any], least: int) -> NDArray[Any]:
    """The array, or one that is longer by half at least."""
    import numpy as np

    if len(array) >= least:
        return array
    longer = np.zeros(max(least, len(array) + len(array) // 2), array.dtype)
    longer[: len(array)] = array
    return longer


@dataclass
class Counts:
    """What was read under a label; `empty` texts have no word and take no part."""

    documents: int = 0
    empty: int = 0
    train: int = 0
    held_out: int = 0


class Examples:
    """The labelled texts of a training. Labels are numbers here."""

    def __init__(self, n_labels: int, *, holdout: float, seed: int) -> None:
        self.vocabulary = Vocabulary()
        self.counts = [Counts() for _ in range(n_labels)]
        self.n_bytes = 0  # of the texts that are trained on
        self._bound = int(holdout * 2**64)
        self._seed = seed
        self._ids: list[NDArray[np.int32]] = []
        self._sizes: list[NDArray[np.int64]] = []
        self._keys: list[NDArray[np.uint64]] = []
        self._labels: list[NDArray[np.int32]] = []
        self._held_out: list[list[bytes]] = [[] for _ in range(n_labels)]
        self._held_out_keys: list[list[int]] = [[] for _ in range(n_labels)]

    def add(
        self,
        label: int,
        text: NDArray[np.uint8],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> None:
        """Texts `text[starts[i]:ends[i]]`, prepared as the tagger will prepare them."""
        import numpy as np

        training = kernels.fasttext_training
        keys = np.empty(len(starts), np.uint64)
        word_counts = np.empty(len(starts), np.int64)
        training.text_keys(text, starts, ends, keys, word_counts)
        chances = np.empty(len(keys), np.uint64)
        training.mix_all(keys, np.uint64(self._seed), chances)
        has_words = word_counts > 0
        is_held_out = has_words & (chances < np.uint64(self._bound))
        counts = self.counts[label]
        counts.documents += len(starts)
        counts.empty += int((~has_words).sum())
        counts.held_out += int(is_held_out.sum())
        for i in np.flatnonzero(is_held_out).tolist():
            self._held_out[label].append(text[starts[i] : ends[i]].tobytes())
        self._held_out_keys[label] += keys[is_held_out].tolist()
        chosen = np.flatnonzero(has_words & ~is_held_out)
        counts.train += len(chosen)
        self._number(text, starts[chosen], ends[chosen])
        self._keys.append(keys[chosen])
        self._labels.append(np.full(len(chosen), label, np.int32))

    def _number(
        self, text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        import numpy as np

        sizes = np.cumsum(ends - starts)
        self.n_bytes += int(sizes[-1]) if len(sizes) else 0
        first = 0
        while first < len(starts):
            done = int(sizes[first - 1]) if first else 0
            last = int(np.searchsorted(sizes, done + _BYTES_AT_ONCE, side="right"))
            last = max(last, first + 1)
            ids, id_ends = self.vocabulary.number(text, starts[first:last], ends[first:last])
            self._ids.append(ids)
            self._sizes.append(np.diff(id_ends, prepend=0))
            first = last

    def training(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """Numbers of words, where each text begins among them (n + 1,), the label of each text.

        They are given away: a second call has nothing.
        """
        import numpy as np

        sizes = np.concatenate([np.zeros(1, np.int64), *self._sizes])
        ids = np.concatenate([np.zeros(0, np.int32), *self._ids])
        self._ids, self._sizes = [], []
        return ids, np.cumsum(sizes), np.concatenate([np.zeros(0, np.int32), *self._labels])

    def keys(self) -> NDArray[np.uint64]:
        """The key of each text that is trained on, (n,)."""
        import numpy as np

        return np.concatenate([np.zeros(0, np.uint64), *self._keys])

    def held_out(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """The bytes of the held-out texts, their starts and ends, and the label of each."""
        import numpy as np

        texts = list(itertools.chain.from_iterable(self._held_out))
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        labels = [np.full(len(of_label), i) for i, of_label in enumerate(self._held_out)]
        text = np.frombuffer(b"".join(texts), np.uint8)
        return text, ends[:-1], ends[1:], np.concatenate(labels).astype(np.int32)

    def n_texts_in_several_labels(self) -> int:
        """How many different texts stand under more than one label."""
        import numpy as np

        keys, labels = self.keys(), np.concatenate([np.zeros(0, np.int32), *self._labels])
        distinct = [
            np.unique(np.concatenate([keys[labels == i], np.array(held_out, np.uint64)]))
            for i, held_out in enumerate(self._held_out_keys)
        ]
        _, counts = np.unique(np.concatenate(distinct), return_counts=True)
        return int((counts > 1).sum())
