"""The rule `gpt3`: n-grams that training text and evaluation share are cut out.

Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C, as NeMo Curator's
documentation has it too. For each benchmark, n is the 5th percentile of its items' lengths in
words, from 8 to 13. Each n-gram that a document shares with an item is cut with 200 characters on
either side; pieces of fewer than 200 characters are dropped; of a document that would be in more
than 10 pieces, all. An n-gram that more than 10 documents have is common text and counts no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.decontamination.finding import (
    Arrays,
    Found,
    Index,
    Length,
    Normalization,
    Part,
    Positive,
    Postings,
    Rule,
    Words,
    WordsOf,
    merged,
    words_of,
)
from dolma_kit.decontamination.ngrams import postings_of, texts_of, together

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch

PERCENTILE = 5


class Gpt3(Rule, frozen=True, tag="gpt3"):
    """N-grams, of `min_n` to `max_n` words by benchmark, that documents and `parts` of items share.

    The score is 1 where there is one.
    """

    min_n: Positive = 8
    max_n: Positive = 13
    normalize: Normalization = "words"
    parts: tuple[Part, ...] = ("question", "passage", "answer", "choices")
    max_documents: Positive | None = 10
    action: Literal["drop", "cut"] = "cut"
    cut_characters: Length = 200
    min_rest: Length = 200
    max_pieces: Positive | None = 10

    def lengths(self, items: Sequence[Item], n_words: NDArray[np.int64]) -> dict[str, int]:
        """The n of each benchmark."""
        names = np.array([item.benchmark for item in items])
        return {
            name: int(
                np.clip(np.percentile(n_words[names == name], PERCENTILE), self.min_n, self.max_n)
            )
            for name in dict.fromkeys(names.tolist())
        }

    def index(self, items: Sequence[Item]) -> Index:
        texts, owners = texts_of(items, self.parts)
        words = words_of(texts, self.normalize)
        n_words = np.bincount(owners, words.counts, minlength=len(items)).astype(np.int64)
        by_benchmark = self.lengths(items, n_words)
        n_of = np.array([by_benchmark[item.benchmark] for item in items])
        left_out = np.ones(len(items), np.uint8)
        arrays = {"lengths": np.unique(n_of)}
        for n in arrays["lengths"].tolist():
            postings, is_in = postings_of(words, owners, n, n_of == n)
            left_out[is_in] = 0
            arrays |= postings.arrays(f"ngrams{n}")
        return Index(arrays, left_out, ("no part has as many words as the benchmark's n-grams",))

    def finder(self, arrays: Arrays) -> CollisionFinder:
        return CollisionFinder(self, arrays)


class CollisionFinder:
    """Finds for `gpt3`: a hit for each n-gram, document and item."""

    def __init__(self, rule: Gpt3, arrays: Arrays) -> None:
        self._rule = rule
        self._postings = {
            n: Postings.from_arrays(arrays, f"ngrams{n}") for n in arrays["lengths"].tolist()
        }

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        words = words_of(self._rule.normalize)
        found, n_before = [], 0
        for n, postings in self._postings.items():
            found.append(self._find(n, postings, words, len(batch), n_before))
            n_before += postings.n_keys
        return together(found, len(batch))

    def _find(self, n: int, postings: Postings, words: Words, n_docs: int, n_before: int) -> Found:
        places, ids = kernels.ngram_table.find(words.hashes, words.offsets, n, postings.table)
        docs = words.text_of(places)
        by_key = np.lexsort((places, ids, docs))
        docs, places, ids = docs[by_key], places[by_key], ids[by_key].astype(np.int64)
        is_new = np.ones(len(docs), np.bool_)
        is_new[1:] = (docs[1:] != docs[:-1]) | (ids[1:] != ids[:-1])
        offsets, spans = merged(
            np.cumsum(is_new) - 1,
            words.spans[places, 0].astype(np.int64),
            words.spans[places + n - 1, 1].astype(np.int64),
            int(is_new.sum()),
        )
        # An n-gram of a document, and so its places, for each item that has it.
        which, items, _ = postings.expanded(ids[is_new])
        is_other = np.ones(len(which), np.bool_)  # an item may have an n-gram twice
        is_other[1:] = (which[1:] != which[:-1]) | (items[1:] != items[:-1])
        which, items = which[is_other], items[is_other]
        counts = np.diff(offsets)
        sizes = counts[which]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        scores = np.zeros(n_docs)
        scores[docs] = 1.0
        return Found(
            scores,
            docs[is_new][which],
            items,
            (ids[is_new] + n_before)[which].astype(np.int64),
            np.ones(len(which)),
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            spans[np.repeat(offsets[:-1][which], sizes) + within],
        )
