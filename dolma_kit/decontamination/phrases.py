"""The rule `wimbd`: documents that hold all that an item gives to a model.

Elazar et al. 2023, "What's In My Big Data?", section 4.4.2: of items with two fields or more, each
field is a phrase that the document has. What is given is the passage, the question and the choices;
of an item without choices its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dolma_kit import kernels
from dolma_kit.decontamination.finding import (
    Arrays,
    Found,
    Index,
    Normalization,
    Positive,
    Postings,
    Rule,
    WordsOf,
    merged,
    nothing,
    words_of,
)

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch

LONGEST_ANCHOR = 8


class Wimbd(Rule, frozen=True, tag="wimbd"):
    """Documents in which all fields of an item, `min_fields` or more, stand as phrases.

    The longest field has to have `min_words` words. The score is 1 where an item is found.
    """

    min_fields: Positive = 2
    min_words: Positive = 5
    normalize: Normalization = "words"

    kernels = (*Rule.kernels, "phrases")

    def index(self, items: Sequence[Item]) -> Index:
        texts = [text for item in items for text in item.fields]
        owners = np.repeat(np.arange(len(items)), [len(item.fields) for item in items])
        words = words_of(texts, self.normalize)
        has_words = words.counts > 0
        n_fields = np.bincount(owners[has_words], minlength=len(items))
        longest_first = np.lexsort((-words.counts, owners))
        n_all = np.bincount(owners, minlength=len(items))
        first = longest_first[np.cumsum(n_all) - n_all]  # every item has a question
        longest = words.counts[first]
        left_out = np.where(longest < self.min_words, 2, 0)
        left_out[n_fields < self.min_fields] = 1
        anchors = np.minimum(longest, LONGEST_ANCHOR)
        arrays = {
            "lengths": np.unique(anchors[left_out == 0]),
            "field_offsets": np.concatenate(([0], np.cumsum(n_all))).astype(np.int64),
            "fields": longest_first,
            "word_offsets": words.offsets,
            "words": words.hashes,
        }
        for n in arrays["lengths"].tolist():
            own = np.flatnonzero((anchors == n) & (left_out == 0))
            begins = words.offsets[first[own]]
            spans = (begins[:, None] + np.arange(n)).reshape(-1)
            keys = kernels.ngram_table.keys_of(
                words.hashes[spans], np.arange(len(own) + 1, dtype=np.int64) * n, n
            )
            arrays |= Postings.of(keys, own, np.zeros(len(own), np.int64)).arrays(f"anchors{n}")
        reasons = (
            f"fewer than {self.min_fields} fields",
            f"the longest field has fewer than {self.min_words} words",
        )
        return Index(arrays, left_out.astype(np.uint8), reasons)

    def finder(self, arrays: Arrays) -> PhraseFinder:
        return PhraseFinder(self, arrays)


class PhraseFinder:
    """Finds for `wimbd`: by the first words of the longest field, then all fields are compared."""

    def __init__(self, rule: Wimbd, arrays: Arrays) -> None:
        self._rule = rule
        self._arrays = arrays
        self._postings = {
            n: Postings.from_arrays(arrays, f"anchors{n}") for n in arrays["lengths"].tolist()
        }

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        words = words_of(self._rule.normalize)
        candidates = [np.zeros((0, 3), np.int64)]
        for n, postings in self._postings.items():
            places, ids = kernels.ngram_table.find(words.hashes, words.offsets, n, postings.table)
            which, items, _ = postings.expanded(ids)
            docs = words.text_of(places)[which]
            candidates.append(np.stack((docs, items, places[which]), axis=1))
        pairs = np.concatenate(candidates)
        if not len(pairs):
            return nothing(len(batch))
        pairs = pairs[np.lexsort(pairs.T[::-1])]  # by document, item, place
        fields, offsets = self._arrays["fields"], self._arrays["field_offsets"]
        hits, found = kernels.phrases.find_all(
            np.ascontiguousarray(pairs), words.hashes, words.offsets, offsets, fields,
            self._arrays["words"], self._arrays["word_offsets"],
        )  # fmt: skip
        hits, docs, items = hits.astype(np.int64), *pairs[hits, :2].T
        scores = np.zeros(len(batch))
        scores[docs] = 1.0
        sizes = offsets[items + 1] - offsets[items]
        owners = np.repeat(np.arange(len(hits)), sizes)
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        own = fields[np.repeat(offsets[items], sizes) + within]
        n_words = np.diff(self._arrays["word_offsets"])[own]
        is_there = n_words > 0
        owners, at, n_words = owners[is_there], found[is_there], n_words[is_there]
        order = np.lexsort((at, owners))
        owners, at, n_words = owners[order], at[order], n_words[order]
        place_offsets, places = merged(
            owners, words.spans[at, 0].astype(np.int64),
            words.spans[at + n_words - 1, 1].astype(np.int64), len(hits),
        )  # fmt: skip
        return Found(scores, docs, items, items, np.ones(len(hits)), place_offsets, places)
