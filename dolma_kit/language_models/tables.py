"""The arrays of a language model (see `dolma_kit.kernels.language_model`), and where they start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dolma_kit import kernels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SLOTS_PER_NGRAM = 1.5  # KenLM's default
NO_UNKNOWN = -100.0  # log10 of an unknown word where a model has no <unk>, KenLM's


class Tables(NamedTuple):
    """A model's arrays: `entries` (n,) uint32, `values` the same memory as float32, `layout` int64.

    `note` is what the file says of how its text was prepared; None where it says nothing.
    """

    entries: NDArray[np.uint32]
    values: NDArray[np.float32]
    layout: NDArray[np.int64]
    note: str | None = None


def slots(n_keys: int, slots_per_key: float) -> int:
    """How many slots KenLM gives a table; the product is in single precision, as there."""
    import numpy as np

    return max(n_keys + 1, int(np.float32(slots_per_key) * np.float32(n_keys)))


def lay_out(
    counts: Sequence[int], slots_per_key: float, first_byte: int = 0
) -> tuple[NDArray[np.int64], int]:
    """The layout of a model of so many 1-grams, 2-grams, ..., and the bytes at which it ends.

    As in KenLM's files: a header of 8 bytes, vocabulary, 1-grams (one more than counted, for an
    unknown word that is not), tables of n-grams. The ids of `<s>` and `</s>` are left at 0.
    """
    import numpy as np

    names = kernels.language_model
    layout = np.zeros(names.FIRST_TABLE + 2 * (len(counts) - 1), np.int64)
    at = first_byte // 4 + 2
    layout[names.ORDER] = len(counts)
    layout[names.VOCABULARY] = at
    layout[names.VOCABULARY_SLOTS] = slots(counts[0], slots_per_key)
    at += 3 * int(layout[names.VOCABULARY_SLOTS])
    layout[names.UNIGRAMS] = at
    at += 2 * (counts[0] + 1)
    for n, count in enumerate(counts[1:], 2):
        table = names.FIRST_TABLE + 2 * (n - 2)
        layout[table], layout[table + 1] = at, slots(count, slots_per_key)
        at += (4 if n < len(counts) else 3) * int(layout[table + 1])
    return layout, 4 * at


def word_id(tables: Tables, word: str) -> int:
    """The id of a word, -1 where the vocabulary has it not."""
    import numpy as np

    data = np.frombuffer(word.encode(), np.uint8)
    names = kernels.language_model
    key = names.hash_word(data, 0, len(data))
    start, n_slots = tables.layout[names.VOCABULARY], tables.layout[names.VOCABULARY_SLOTS]
    at = names.find(tables.entries, start, n_slots, 3, key)
    return int(tables.entries[at + 2]) if at >= 0 else -1
