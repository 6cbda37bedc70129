"""The rule `substring50`: the share of an item's substrings of 50 characters that occur.

Xu et al. 2025, "Infini-gram mini", section 4: over all documents together, an item of which at
least 80 % of the substrings occur is dirty, from 20 % on suspicious. Characters are compared as
they are. A document by itself has a share, too: that is what decides whether it goes.
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
    Part,
    Positive,
    Postings,
    Rule,
    Share,
    WordsOf,
    merged,
)
from dolma_kit.decontamination.ngrams import texts_of

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch


class Substring50(Rule, frozen=True, tag="substring50"):
    """Items of whose substrings of `length` characters at least `threshold` are in a document.

    Of an item, `parts` one by one; the score is the greatest share of any item. `suspicious` is a
    share for the report.
    """

    length: Positive = 50
    threshold: Share = 0.8
    suspicious: Share = 0.2
    parts: tuple[Part, ...] = ("question",)

    kernels = (*Rule.kernels, "windows")

    def index(self, items: Sequence[Item]) -> Index:
        texts, owners = texts_of(items, self.parts)
        encoded = [text.encode() for text in texts]
        offsets = np.concatenate(([0], np.cumsum([len(one) for one in encoded]))).astype(np.int64)
        n_characters = np.array([len(text) for text in texts], np.int64)
        prints, _ = kernels.windows.of_characters(
            np.frombuffer(b"".join(encoded), np.uint8), offsets[:-1], offsets[1:], n_characters,
            self.length,
        )  # fmt: skip
        counts = np.maximum(n_characters - self.length + 1, 0)
        of_items = np.repeat(owners, counts)
        n_windows = np.bincount(of_items, minlength=len(items))
        # Windows of an item are distinct, so that one that stands twice in it counts once.
        pairs = np.unique(np.stack((of_items.astype(np.uint64), prints[:, 0]), axis=1), axis=0)
        own = pairs[:, 0].astype(np.int64)
        postings = Postings.of(pairs[:, 1], own, np.zeros(len(own), np.int64))
        arrays = {"n_windows": np.bincount(own, minlength=len(items)), **postings.arrays("windows")}
        return Index(
            arrays, (n_windows == 0).astype(np.uint8), (f"fewer than {self.length} characters",)
        )

    def finder(self, arrays: Arrays) -> SubstringFinder:
        return SubstringFinder(self, arrays)


class SubstringFinder:
    """Finds for `substring50`."""

    def __init__(self, rule: Substring50, arrays: Arrays) -> None:
        self._rule = rule
        self._n_windows = arrays["n_windows"]
        self._postings = Postings.from_arrays(arrays, "windows")

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        rule, postings = self._rule, self._postings
        counts = batch.n_characters
        prints, places = kernels.windows.of_characters(
            batch.text_bytes, batch.offsets[:-1], batch.offsets[1:], counts, rule.length
        )
        ids = kernels.ngram_table.look_up(np.ascontiguousarray(prints[:, 0]), postings.table)
        known = np.flatnonzero(ids >= 0)
        at, ids = places[known].astype(np.int64), ids[known].astype(np.int64)
        begins = np.concatenate(([0], np.cumsum(counts)))
        docs = np.searchsorted(begins, at, "right") - 1
        at -= begins[docs]
        pairs = np.unique(docs * postings.n_keys + ids)
        which, of_items, _ = postings.expanded(pairs % postings.n_keys)
        of_both = pairs[which] // postings.n_keys * len(self._n_windows) + of_items
        both, n_found = np.unique(of_both, return_counts=True)
        owners, items = both // len(self._n_windows), both % len(self._n_windows)
        shares = n_found / self._n_windows[items]
        scores = np.zeros(len(batch))
        np.maximum.at(scores, owners, shares)
        is_hit = shares >= rule.threshold
        # Places of a hit: of its document, all windows that are its item's.
        hit_of = np.full(len(both), -1)
        hit_of[is_hit] = np.arange(is_hit.sum())
        hits = hit_of[np.searchsorted(both, of_both)]
        rows = np.flatnonzero(hits >= 0)
        hits, keys = hits[rows], pairs[which[rows]]
        by_key = np.argsort(docs * postings.n_keys + ids, kind="stable")
        sorted_keys = (docs * postings.n_keys + ids)[by_key]
        first = np.searchsorted(sorted_keys, keys, "left")
        sizes = np.searchsorted(sorted_keys, keys, "right") - first
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        starts = at[by_key[np.repeat(first, sizes) + within]]
        of_hits = np.repeat(hits, sizes)
        order = np.lexsort((starts, of_hits))
        offsets, spans = merged(
            of_hits[order], starts[order], starts[order] + rule.length, int(is_hit.sum())
        )
        return Found(
            scores, owners[is_hit], items[is_hit], items[is_hit], shares[is_hit], offsets, spans,
            np.unique(ids),
        )  # fmt: skip
