"""A text as word ids in memory, and its distinct n-grams of each order."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from dolma_kit import kernels
from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.language_models.text import Lines

#: of memory a token at most, while n-grams are counted and smoothed; words come on top
BYTES_PER_TOKEN = 104
_MOST_TOKENS = 2**31 - 4  # positions are int32
SPECIAL = (b"<unk>", b"<s>", b"</s>")  # the first ids


class Rows(NamedTuple):
    """The distinct n-grams of an order in suffix order; see `kernels.ngram_rows.number_rows`.

    `by_position` (n_tokens,) has the row of the n-gram that ends there; of each row, `examples` a
    position, `counts` and `adjusted` how often it is there; all int32.
    """

    by_position: NDArray[np.int32]
    examples: NDArray[np.int32]
    counts: NDArray[np.int32]
    adjusted: NDArray[np.int32]


class Text:
    """Sentences as word ids, gathered line by line; refuses what would take too much memory."""

    def __init__(self, max_bytes: int) -> None:
        import numpy as np

        self.max_bytes = max_bytes
        self.n_tokens = 0
        self._blocks: list[NDArray[np.int32]] = []
        self._state = np.zeros(2, np.int64)
        self._pool = np.empty(1 << 16, np.uint8)
        self._word_starts = np.zeros(1 << 12, np.int64)
        self._keys = np.empty(1 << 12, np.uint64)
        self._slots = np.zeros(1 << 13, np.int32)
        special = b" ".join(SPECIAL)
        self._intern(np.frombuffer(special, np.uint8), np.array([0]), np.array([len(special)]))

    @property
    def n_words(self) -> int:
        """How many words there are, `<unk>`, `<s>` and `</s>` among them."""
        return int(self._state[kernels.ngram_rows.N_WORDS])

    def add(self, lines: Lines) -> None:
        """Take in lines as sentences; ConfigError with the bytes needed when it gets too much."""
        ids = self._intern(lines.text, lines.starts, lines.ends)
        self._blocks.append(ids)
        self.n_tokens += len(ids)
        needed = BYTES_PER_TOKEN * self.n_tokens + self._pool.nbytes
        if needed > self.max_bytes or self.n_tokens > _MOST_TOKENS:
            raise ConfigError(
                f"so far {self.n_tokens:,} tokens, for which counting needs {needed:,} bytes of "
                f"memory, more than max_bytes={self.max_bytes:,}: raise it, or train on fewer "
                "documents (--limit)"
            )

    def _intern(
        self, text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """The ids of lines; makes room for as many new words as they can hold."""
        import numpy as np

        n_bytes = int((ends - starts).sum())
        n_most = (n_bytes + len(starts)) // 2 + 1  # words: a byte and a space, or the line's end
        self._pool = _grown(self._pool, int(self._state[1]) + n_bytes)
        self._word_starts = _grown(self._word_starts, self.n_words + n_most + 1)
        self._keys = _grown(self._keys, self.n_words + n_most)
        n_slots = len(self._slots)
        while n_slots < 2 * (self.n_words + n_most):
            n_slots *= 2
        if n_slots > len(self._slots):
            self._slots = np.zeros(n_slots, np.int32)
            kernels.interning.resize(self._slots, n_slots, self.n_words, self._keys)
        ids = np.empty(n_most + 2 * len(starts), np.int32)
        n = kernels.ngram_rows.intern_lines(
            text, starts, ends, self._pool, self._word_starts, self._keys, self._slots,
            n_slots - 1, self._state, ids,
        )  # fmt: skip
        return ids[:n].copy()

    def words(self) -> list[bytes]:
        """The words by id."""
        data = self._pool.tobytes()
        bounds = self._word_starts[: self.n_words + 1].tolist()
        return [data[a:b] for a, b in itertools.pairwise(bounds)]

    def ids(self) -> NDArray[np.int32]:
        """(n_tokens,) int32: the sentences one after the other, each from `<s>` to `</s>`."""
        import numpy as np

        self._blocks = [np.concatenate([np.zeros(0, np.int32), *self._blocks])]
        return self._blocks[0]


def _grown(array: NDArray[Any], n: int) -> NDArray[Any]:
    """An array with room for n, at least doubled where it has to grow."""
    import numpy as np

    if n <= len(array):
        return array
    grown = np.empty(max(n, 2 * len(array)), array.dtype)
    grown[: len(array)] = array
    return grown


class NgramCounter:
    """The distinct n-grams of a text up to an order, in suffix order."""

    def __init__(self, ids: NDArray[np.int32], n_words: int, order: int) -> None:
        import numpy as np

        rows = kernels.ngram_rows
        self.ids = ids
        self.order = order
        self._distances = np.empty(len(ids), np.uint8)
        n = rows.measure_distances(ids, self._distances, order)
        self._positions = np.empty(n, np.int32)
        spare = np.empty(n, np.int32)
        rows.sort_positions(ids, self._distances, order, n_words, self._positions, spare)
        del spare
        self._shared = np.empty(n, np.uint8)
        rows.measure_shared(ids, self._distances, order, self._positions, self._shared)

    def rows(self, n: int) -> Rows:
        """The n-grams of an order; for n = 1, row i is the word i."""
        import numpy as np

        n_most = len(self._positions) + 2
        by_position = np.empty(len(self.ids), np.int32)
        examples, counts, adjusted = (np.empty(n_most, np.int32) for _ in range(3))
        n_rows = kernels.ngram_rows.number_rows(
            self.ids, self._distances, n, self.order, self._positions, self._shared, by_position,
            examples, counts, adjusted,
        )  # fmt: skip
        return Rows(by_position, *(part[:n_rows].copy() for part in (examples, counts, adjusted)))

    def last_row(self, rows: Rows) -> int:
        """The row of the very last n-gram in suffix order, -1 where there is none."""
        return int(rows.by_position[self._positions[-1]])
