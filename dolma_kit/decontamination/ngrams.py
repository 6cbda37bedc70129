"""Rules that count n-grams: `ngram_document` by the document's, `ngram_item` by the item's.

They ask in opposite directions. A document that is made of an evaluation has a large share of its
own n-grams there, but a question in the middle of a long document has a large share of the
question's only.

`ngram_document`: BFF's rule, as infini-gram's authors used it on their reference data (Liu et al.
2024, "Infini-gram", appendix): 13-grams, documents of which 80 % are in an evaluation.

`ngram_item`: the rule of Tulu 3 (Lambert et al. 2024, section 3.2): 8-grams, items of which half
the words lie in n-grams that the document has. An item of fewer than n words is looked for as a
whole, from `min_words` on.
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
    Normalization,
    Part,
    Positive,
    Postings,
    Rule,
    Share,
    Words,
    WordsOf,
    merged,
    words_of,
)

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch


class NgramDocument(Rule, frozen=True, tag="ngram_document"):
    """Documents of whose n-grams of `n` words at least `threshold` are in `parts` of items.

    The score is that share; a document of fewer words has none, and is in no evaluation.
    """

    n: Positive = 13
    threshold: Share = 0.8
    normalize: Normalization = "words"
    parts: tuple[Part, ...] = ("question", "passage", "answer", "choices")

    def index(self, items: Sequence[Item]) -> Index:
        texts, owners = texts_of(items, self.parts)
        words = words_of(texts, self.normalize)
        postings, is_in = postings_of(words, owners, self.n)
        left_out = np.ones(len(items), np.uint8)
        left_out[is_in] = 0
        return Index(postings.arrays("ngrams"), left_out, (f"no part has {self.n} words",))

    def finder(self, arrays: Arrays) -> DocumentFinder:
        return DocumentFinder(self, arrays)


class DocumentFinder:
    """Finds for `ngram_document`."""

    def __init__(self, rule: NgramDocument, arrays: Arrays) -> None:
        self._rule = rule
        self._postings = Postings.from_arrays(arrays, "ngrams")

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        rule, words = self._rule, words_of(self._rule.normalize)
        places, ids = kernels.ngram_table.find(
            words.hashes, words.offsets, rule.n, self._postings.table
        )
        docs = words.text_of(places)
        n_ngrams = np.maximum(words.counts - rule.n + 1, 0)
        scores = np.bincount(docs, minlength=len(batch)) / np.maximum(n_ngrams, 1)
        is_over = scores[docs] >= rule.threshold
        return found_by_item(
            scores, docs[is_over], places[is_over], ids[is_over], self._postings, words, rule.n
        )


class NgramItem(Rule, frozen=True, tag="ngram_item"):
    """Items of whose words at least `threshold` lie in n-grams of `n` words that a document has.

    Of an item, what is looked for is its `parts` together, but no n-gram goes from one part to the
    next. The score is the greatest share of any item.
    """

    n: Positive = 8
    threshold: Share = 0.5
    normalize: Normalization = "words"
    parts: tuple[Part, ...] = ("question",)
    min_words: Positive = 5

    def index(self, items: Sequence[Item]) -> Index:
        texts, owners = texts_of(items, self.parts)
        words = words_of(texts, self.normalize)
        n_words = np.bincount(owners, words.counts, minlength=len(items)).astype(np.int64)
        longest = np.zeros(len(items), np.int64)
        np.maximum.at(longest, owners, words.counts)
        # The length of an item's n-grams: shorter where no part of it has n words.
        lengths = np.minimum(longest, self.n)
        left_out = (lengths < min(self.min_words, self.n)).astype(np.uint8)
        arrays = {"n_words": n_words, "lengths": np.unique(lengths[left_out == 0])}
        for length in arrays["lengths"].tolist():
            is_own = (lengths == length) & (left_out == 0)
            postings, _ = postings_of(words, owners, length, is_own)
            arrays |= postings.arrays(f"ngrams{length}")
        return Index(arrays, left_out, (f"fewer than {min(self.min_words, self.n)} words",))

    def finder(self, arrays: Arrays) -> ItemFinder:
        return ItemFinder(self, arrays)


class ItemFinder:
    """Finds for `ngram_item`: one length of n-grams after the other."""

    def __init__(self, rule: NgramItem, arrays: Arrays) -> None:
        self._rule = rule
        self._n_words = arrays["n_words"]
        self._postings = {
            length: Postings.from_arrays(arrays, f"ngrams{length}")
            for length in arrays["lengths"].tolist()
        }

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        words = words_of(self._rule.normalize)
        found = [
            self._find(n, postings, words, len(batch)) for n, postings in self._postings.items()
        ]
        return together(found, len(batch))

    def _find(self, n: int, postings: Postings, words: Words, n_docs: int) -> Found:
        places, ids = kernels.ngram_table.find(words.hashes, words.offsets, n, postings.table)
        docs = words.text_of(places)
        # How often a document has an n-gram does not matter: each once, then all its items.
        pairs = np.unique(docs * postings.n_keys + ids)
        which, items, positions = postings.expanded(pairs % postings.n_keys)
        owners = pairs[which] // postings.n_keys
        order = np.lexsort((positions, items, owners))
        owners, items, positions = owners[order], items[order], positions[order]
        is_new = np.ones(len(owners), np.bool_)
        is_new[1:] = (owners[1:] != owners[:-1]) | (items[1:] != items[:-1])
        # Each n-gram covers its words up to where the next one of the item begins.
        covered = np.full(len(positions), n)
        covered[:-1][~is_new[1:]] = np.minimum(n, np.diff(positions))[~is_new[1:]]
        groups = np.cumsum(is_new) - 1
        shares = np.bincount(groups, covered) / self._n_words[items[is_new]]
        scores = np.zeros(n_docs)
        np.maximum.at(scores, owners[is_new], shares)
        is_hit = shares >= self._rule.threshold
        hit_of = np.full(len(shares), -1)
        hit_of[is_hit] = np.arange(is_hit.sum())
        # Where a hit's n-grams stand: of its document and one of its keys, all places.
        hits = hit_of[groups]
        keys = pairs[which][order]
        return with_places(
            scores, owners[is_new][is_hit], items[is_new][is_hit],
            shares[is_hit], hits, keys, docs * postings.n_keys + ids, places, words, n,
        )  # fmt: skip


def texts_of(items: Sequence[Item], parts: Sequence[Part]) -> tuple[list[str], NDArray[np.int64]]:
    """The texts of parts, item after item, and the number of the item of each."""
    pairs = [
        (text, i) for i, item in enumerate(items) for part in parts for text in item.part(part)
    ]
    return [text for text, _ in pairs], np.array([i for _, i in pairs], np.int64)


def postings_of(
    words: Words,
    owners: NDArray[np.int64],
    n: int,
    is_own: NDArray[np.bool_] | None = None,
) -> tuple[Postings, NDArray[np.int64]]:
    """All n-grams of texts, `owners` (n_texts,) being their items; and the items that have some.

    Positions count the words of all texts of an item. With `is_own` (n_items,) of those alone.
    """
    counts = np.maximum(words.counts - n + 1, 0)
    keys = kernels.ngram_table.keys_of(words.hashes, words.offsets, n)
    # Each text's first word, counted within its item: texts of an item follow one another.
    begins = words.offsets[:-1] - words.offsets[np.searchsorted(owners, owners)]
    within = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    positions = np.repeat(begins, counts) + within
    items = np.repeat(owners, counts)
    if is_own is not None:
        chosen = is_own[items]
        keys, items, positions = keys[chosen], items[chosen], positions[chosen]
    return Postings.of(keys, items, positions), np.unique(items)


def found_by_item(
    scores: NDArray[np.float64],
    docs: NDArray[np.int64],
    places: NDArray[np.int64],
    ids: NDArray[np.int32],
    postings: Postings,
    words: Words,
    n: int,
) -> Found:
    """A hit for each document and item that has one of its keys; it has the document's score.

    `places` (n_found,) are the first words of n-grams, `ids` their keys, in documents `docs`.
    """
    pairs = np.unique(docs * postings.n_keys + ids)
    which, items, _ = postings.expanded(pairs % postings.n_keys)
    owners = pairs[which] // postings.n_keys
    order = np.lexsort((items, owners))
    owners, items, keys = owners[order], items[order], pairs[which][order]
    is_new = np.ones(len(owners), np.bool_)
    is_new[1:] = (owners[1:] != owners[:-1]) | (items[1:] != items[:-1])
    return with_places(
        scores, owners[is_new], items[is_new], scores[owners[is_new]], np.cumsum(is_new) - 1, keys,
        docs * postings.n_keys + ids, places, words, n,
    )  # fmt: skip


def with_places(
    scores: NDArray[np.float64],
    documents: NDArray[np.int64],
    items: NDArray[np.int64],
    hit_scores: NDArray[np.float64],
    hits: NDArray[np.int64],
    keys: NDArray[np.int64],
    keys_at: NDArray[np.int64],
    places: NDArray[np.int64],
    words: Words,
    n: int,
) -> Found:
    """Found, with the places of all n-grams of its hits.

    `hits`, `keys` (m,) say which keys a hit has, a hit of -1 being none; key `keys_at[i]` stands at
    word `places[i]`. Keys are numbered apart for each document.
    """
    chosen = hits >= 0
    pairs = np.unique(np.stack((hits[chosen], keys[chosen]), axis=1), axis=0)
    by_key = np.argsort(keys_at, kind="stable")
    first = np.searchsorted(keys_at[by_key], pairs[:, 1], "left")
    last = np.searchsorted(keys_at[by_key], pairs[:, 1], "right")
    counts = last - first
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    at = places[by_key[np.repeat(first, counts) + within]]
    owners = np.repeat(pairs[:, 0], counts)
    order = np.lexsort((at, owners))
    owners, at = owners[order], at[order]
    starts = words.spans[at, 0].astype(np.int64)
    ends = words.spans[at + n - 1, 1].astype(np.int64)
    offsets, spans = merged(owners, starts, ends, len(documents))
    return Found(scores, documents, items, items, hit_scores, offsets, spans)


def together(found: Sequence[Found], n_docs: int) -> Found:
    """Several findings in the same documents as one, its hits sorted."""
    scores = np.zeros(n_docs)
    for one in found:
        np.maximum(scores, one.scores, out=scores)
    columns = [
        np.concatenate([one[i] for one in found] or [np.zeros(0, np.int64)]) for i in range(1, 5)
    ]
    order = np.lexsort((columns[2], columns[1], columns[0]))
    counts = np.concatenate([np.zeros(0, np.int64), *(np.diff(one.place_offsets) for one in found)])
    places = np.concatenate([np.zeros((0, 2), np.int64), *(one.places for one in found)])
    first = np.cumsum(counts) - counts
    sizes = counts[order]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = places[np.repeat(first[order], sizes) + within]
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    documents, items, needles, hit_scores = (column[order] for column in columns)
    windows = np.concatenate([np.zeros(0, np.int64), *(one.windows for one in found)])
    return Found(scores, documents, items, needles, hit_scores, offsets, places, np.unique(windows))
