"""The rule `paloma`: paragraphs of an evaluation that stand in a document as they are.

Magnusson et al. 2023, "Paloma: A Benchmark for Evaluating Language Model Fit", section 3.1.2, and
the configs of Dolma 1.6. Lines of an evaluation with at least 13 words of UAX #29 that are not
punctuation alone; a document that has one goes as a whole. Paloma's paper says "more than 13", its
configs keep those of 13, which is what is done here. Dolma looked paragraphs up in a Bloom filter;
here they are equal by 128 bits of hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.decontamination.finding import (
    Arrays,
    Found,
    Index,
    Part,
    Positive,
    Postings,
    Rule,
    WordsOf,
    merged,
    words_of,
)
from dolma_kit.decontamination.ngrams import texts_of

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch

SEEDS = np.uint64(0), np.uint64(1)
NEWLINE = np.frombuffer(b"\n", np.uint8)


class Paloma(Rule, frozen=True, tag="paloma"):
    """Documents with a paragraph, of `min_words` words or more, that is one of an item's `parts`.

    The score is 1 where there is one.
    """

    min_words: Positive = 13
    parts: tuple[Part, ...] = ("question", "passage", "answer", "choices")

    kernels = (*Rule.kernels, "paragraphs", "hashing", "uax29")

    def index(self, items: Sequence[Item]) -> Index:
        texts, owners = texts_of(items, self.parts)
        lines = [
            (line, i) for text, i in zip(texts, owners, strict=True) for line in text.split("\n")
        ]
        encoded = [line.encode() for line, _ in lines]
        offsets = np.concatenate(([0], np.cumsum([len(one) for one in encoded]))).astype(np.int64)
        data = np.frombuffer(b"".join(encoded), np.uint8)
        starts, ends = offsets[:-1], offsets[1:]
        _, n_visible = kernels.uax29.count(data, starts, ends)
        has_letters = words_of([line for line, _ in lines], "words").counts > 0
        is_in = (n_visible >= self.min_words) & has_letters
        hashes, checks = (
            kernels.hashing.hash_slices(data, starts[is_in], ends[is_in], seed) for seed in SEEDS
        )
        of_items = np.array([i for _, i in lines], np.int64)[is_in]
        postings = Postings.of(hashes, of_items, np.zeros(len(hashes), np.int64))
        distinct, where = np.unique(hashes, return_index=True)
        assert len(distinct) == postings.n_keys
        lengths = (ends - starts)[is_in]
        is_length = np.zeros(int(lengths.max(initial=0)) + 2, np.bool_)
        is_length[lengths] = True
        left_out = np.ones(len(items), np.uint8)
        left_out[of_items] = 0
        arrays = {"checks": checks[where], "is_length": is_length, **postings.arrays("paragraphs")}
        return Index(arrays, left_out, (f"no paragraph of {self.min_words} words",))

    def finder(self, arrays: Arrays) -> ParagraphFinder:
        return ParagraphFinder(self, arrays)


class ParagraphFinder:
    """Finds for `paloma`: hashes only paragraphs that are as long as one of an item."""

    def __init__(self, rule: Paloma, arrays: Arrays) -> None:
        self._checks = arrays["checks"]
        self._is_length = arrays["is_length"]
        self._postings = Postings.from_arrays(arrays, "paragraphs")

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        data, postings = batch.text_bytes, self._postings
        first, starts, ends, from_, to = kernels.paragraphs.split(data, batch.offsets, NEWLINE)
        lengths = np.minimum(ends - starts, len(self._is_length) - 1)
        fits = np.flatnonzero(self._is_length[lengths])
        ids = kernels.ngram_table.look_up(
            kernels.hashing.hash_slices(data, starts[fits], ends[fits], SEEDS[0]), postings.table
        )
        fits, ids = fits[ids >= 0], ids[ids >= 0].astype(np.int64)
        checks = kernels.hashing.hash_slices(data, starts[fits], ends[fits], SEEDS[1])
        is_same = checks == self._checks[ids]
        fits, ids = fits[is_same], ids[is_same]
        docs = np.searchsorted(first, fits, "right") - 1
        order = np.lexsort((fits, ids, docs))
        fits, ids, docs = fits[order], ids[order], docs[order]
        which, items, _ = postings.expanded(ids)
        return self._found(len(batch), docs[which], items,
                           from_[fits[which]], to[fits[which]])  # fmt: skip

    def _found(
        self, n_docs: int, docs: NDArray[np.int64], items: NDArray[np.int64],
        starts: NDArray[np.int64], ends: NDArray[np.int64],
    ) -> Found:  # fmt: skip
        order = np.lexsort((starts, items, docs))
        docs, items, starts, ends = docs[order], items[order], starts[order], ends[order]
        is_new = np.ones(len(docs), np.bool_)
        is_new[1:] = (docs[1:] != docs[:-1]) | (items[1:] != items[:-1])
        offsets, places = merged(np.cumsum(is_new) - 1, starts, ends, int(is_new.sum()))
        scores = np.zeros(n_docs)
        scores[docs] = 1.0
        return Found(
            scores, docs[is_new], items[is_new], items[is_new], np.ones(int(is_new.sum())), offsets,
            places,
        )  # fmt: skip
