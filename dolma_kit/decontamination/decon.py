"""The rule `decon`: what OLMo 3 was decontaminated by, AI2's tool of that name.

A question is searched for by samples (`kernels.sampled_matches`); the answer and the passage near a
match support it. Parameters and formulas are those of AI2's documentation (allenai/decon,
doc/simple-details.md), but for what is counted: words (`kernels.normal_words`) stand for tokens of
cl100k, of which there are some 1.3 a word.

Of an item with the parts question (q), answer (a) and passage (p), the score is the sum of the
overlaps O of its parts by weight,

    S = w_q O_q + w_a O_a + w_p O_p
    w = 0.7, 0.2, 0.1 of all three; 0.75, 0.25 without a passage; 0.85, 0.15 without an answer

where O is the share of a part's distinct n-grams that are found, by weights

    idf(x) = 1 + ln((1 + N) / (1 + df(x)))       N parts of that kind, df(x) of them with x

Of a question with fewer than 20 distinct n-grams, N_q, the weight is w_q (0.5 + 0.5 N_q / 20), and
what it loses goes to the other parts in proportion. An answer of at most 3 words overlaps by 1 if
it stands within 50 words of the match as it is, else by 0. An item of L words is contaminated from

    S >= 1 if L <= 20;  1 - (1 - threshold) (L - 20) / 30 if L < 50;  threshold if L >= 50

on. AI2's documentation gives no formula for IDF and says of the last one that it is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.decontamination.finding import (
    Arrays,
    Found,
    Index,
    Length,
    Normalization,
    Positive,
    Postings,
    Rule,
    Share,
    Words,
    WordsOf,
    merged,
    nothing,
    words_of,
)

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch

PARTS = ("question", "answer", "passage")
#: by whether there is an answer, and a passage: the weights of the three
WEIGHTS = {
    (False, False): (1.0, 0.0, 0.0),
    (True, False): (0.75, 0.25, 0.0),
    (False, True): (0.85, 0.0, 0.15),
    (True, True): (0.7, 0.2, 0.1),
}
ROUNDING = 1e-9  # sums of floats may miss a threshold by that


class Decon(Rule, frozen=True, tag="decon"):
    """Items of which the question, with its answer and passage nearby, is in a document.

    The score of a document is that of its best item, whether or not it is contaminated by it.
    """

    n: Positive = 5
    threshold: Share = 0.8
    normalize: Normalization = "words"
    sample_every: Positive = 10
    max_misses: Positive = 11
    hot: Positive = 1000
    perfect_until: Length = 20
    threshold_from: Positive = 50
    min_words: Positive = 20
    min_distinct_words: Positive = 4
    confident_from: Positive = 20
    short_answer_words: Length = 3
    answer_window: Length = 50
    passage_window: Length = 100

    kernels = (*Rule.kernels, "sampled_matches")

    def index(self, items: Sequence[Item]) -> Index:
        parts = {
            part: words_of([getattr(i, part) for i in items], self.normalize) for part in PARTS
        }
        counts = {part: words.counts for part, words in parts.items()}
        n_words = sum((counts[part] for part in PARTS), np.zeros(len(items), np.int64))
        left_out = np.zeros(len(items), np.int64)
        left_out[counts["question"] < self.n] = 3
        left_out[_distinct_words(list(parts.values()), len(items)) < self.min_distinct_words] = 2
        left_out[n_words < self.min_words] = 1
        grams = {part: self._grams(parts[part], left_out == 0, part) for part in PARTS}
        question = grams["question"]
        n_distinct = np.bincount(question.items, minlength=len(items))
        weights = self._weights(counts["answer"] > 0, counts["passage"] > 0, n_distinct)
        required = np.interp(
            n_words, (self.perfect_until, self.threshold_from), (1.0, self.threshold)
        ) if self.threshold_from > self.perfect_until else np.where(
            n_words <= self.perfect_until, 1.0, self.threshold
        )  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {
            "weights": weights,
            "required": required,
            # With all of answer and passage, a question needs at least this overlap.
            "least": (required - weights[:, 1] - weights[:, 2]) / weights[:, 0] - ROUNDING,
            "question_grams": n_distinct.astype(np.int32),
            "answer_offsets": parts["answer"].offsets,
            "answer_words": parts["answer"].hashes,
            "passage_counts": counts["passage"],
        }
        arrays |= question.postings.arrays("question")
        arrays["question.weights"] = question.shares
        for part in ("answer", "passage"):
            own = grams[part]
            order = np.lexsort((own.keys, own.items))
            n_own = np.bincount(own.items, minlength=len(items))
            arrays[f"{part}.offsets"] = np.concatenate(([0], np.cumsum(n_own))).astype(np.int64)
            arrays[f"{part}.keys"] = own.keys[order]
            arrays[f"{part}.weights"] = own.shares[order]
        reasons = (
            f"fewer than {self.min_words} words in all",
            f"fewer than {self.min_distinct_words} distinct words",
            f"fewer than {self.n} words in the question",
        )
        return Index(arrays, left_out.astype(np.uint8), reasons)

    def _weights(
        self, has_answer: NDArray[np.bool_], has_passage: NDArray[np.bool_],
        n_distinct: NDArray[np.int64],
    ) -> NDArray[np.float64]:  # fmt: skip
        """(n_items, 3): the weights of question, answer and passage."""
        weights = np.array(
            [WEIGHTS[bool(a), bool(p)] for a, p in zip(has_answer, has_passage, strict=True)]
        ).reshape(-1, 3)
        confidence = np.minimum(1.0, 0.5 + 0.5 * n_distinct / self.confident_from)
        others = weights[:, 1] + weights[:, 2]
        has_others = others > 0
        moved = np.where(has_others, weights[:, 0] * (1 - confidence), 0.0)
        weights[:, 0] -= moved
        weights[has_others, 1:] *= (1 + moved / np.maximum(others, ROUNDING))[has_others, None]
        return weights

    def _grams(self, words: Words, is_in: NDArray[np.bool_], part: str) -> _Grams:
        """The distinct n-grams of a part, shorter ones where it has fewer words than n."""
        keys, items = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for n in range(1, self.n + 1):
            own = (np.minimum(words.counts, self.n) == n) & is_in
            counts = np.maximum(words.counts - n + 1, 0)
            owners = np.repeat(np.arange(len(counts)), counts)
            all_keys = kernels.ngram_table.keys_of(words.hashes, words.offsets, n)
            keys.append(all_keys[own[owners]])
            items.append(owners[own[owners]])
        pairs = np.unique(
            np.stack((np.concatenate(keys), np.concatenate(items).astype(np.uint64)), axis=1),
            axis=0,
        )
        own_keys, own_items = pairs[:, 0].copy(), pairs[:, 1].astype(np.int64)
        postings = Postings.of(own_keys, own_items, np.zeros(len(own_keys), np.int64))
        n_parts = int((words.counts > 0)[is_in].sum())
        df = np.diff(postings.offsets)
        idf = np.repeat(1 + np.log((1 + n_parts) / (1 + df)), df)
        totals = np.bincount(own_items, idf, minlength=len(is_in))
        # By key, then item: the order of the pairs is that of the postings.
        return _Grams(own_keys, own_items, idf / totals[own_items], postings)

    def finder(self, arrays: Arrays) -> DeconFinder:
        return DeconFinder(self, arrays)


class _Grams(NamedTuple):
    """Distinct n-grams of items, by key, then item; (n,) each."""

    keys: NDArray[np.uint64]
    items: NDArray[np.int64]
    shares: NDArray[np.float64]  # of the item's weight
    postings: Postings


def _distinct_words(parts: Sequence[Words], n_items: int) -> NDArray[np.int64]:
    """(n_items,) how many different words all parts of an item have."""
    owners = [np.repeat(np.arange(n_items), words.counts) for words in parts]
    hashes = [words.hashes for words in parts]
    pairs = np.unique(
        np.stack((np.concatenate(owners).astype(np.uint64), np.concatenate(hashes)), axis=1), axis=0
    )
    return np.bincount(pairs[:, 0].astype(np.int64), minlength=n_items)


class DeconFinder:
    """Finds for `decon`: matches of questions by a kernel, what is near them one by one."""

    def __init__(self, rule: Decon, arrays: Arrays) -> None:
        self._rule = rule
        self._arrays = arrays
        postings = Postings.from_arrays(arrays, "question")
        self._search = kernels.sampled_matches.Search(
            kernels.sampled_matches.Questions(
                *postings.table, postings.offsets, postings.items, arrays["question.weights"],
                arrays["least"], arrays["question_grams"],
            ),
            sample_every=rule.sample_every,
            max_misses=rule.max_misses,
            hot=rule.hot,
        )  # fmt: skip

    def __call__(self, batch: Batch, words_of: WordsOf) -> Found:
        rule, words = self._rule, words_of(self._rule.normalize)
        grams = kernels.ngram_table.keys_of(words.hashes, words.offsets, rule.n)
        counts = np.maximum(words.counts - rule.n + 1, 0)
        gram_offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        matches = self._search(grams, words.offsets, gram_offsets)
        if not len(matches.documents):
            return nothing(len(batch))
        found = np.array(
            [
                self._score(words, int(doc), int(item), int(first), int(last) + rule.n, share)
                for doc, item, first, last, share in zip(*matches, strict=True)
            ]
        )
        scores = np.zeros(len(batch))
        np.maximum.at(scores, matches.documents, found)
        is_hit = found >= self._arrays["required"][matches.questions] - ROUNDING
        docs, items = matches.documents[is_hit], matches.questions[is_hit]
        firsts, lasts, found = matches.firsts[is_hit], matches.lasts[is_hit], found[is_hit]
        # Of each document and item one hit, with all its matches for places.
        order = np.lexsort((firsts, items, docs))
        docs, items, firsts, lasts, found = (x[order] for x in (docs, items, firsts, lasts, found))
        is_new = np.ones(len(docs), np.bool_)
        is_new[1:] = (docs[1:] != docs[:-1]) | (items[1:] != items[:-1])
        hits = np.cumsum(is_new) - 1
        best = np.zeros(int(is_new.sum()))
        np.maximum.at(best, hits, found)
        offsets, places = merged(
            hits,
            words.spans[firsts, 0].astype(np.int64),
            words.spans[lasts + rule.n - 1, 1].astype(np.int64),
            len(best),
        )
        return Found(scores, docs[is_new], items[is_new], items[is_new], best, offsets, places)

    def _score(
        self, words: Words, doc: int, item: int, first: int, end: int, overlap: float
    ) -> float:
        """S of a match of an item's question at words `first` to `end`."""
        rule, arrays = self._rule, self._arrays
        of_question, of_answer, of_passage = arrays["weights"][item]
        score = of_question * overlap
        bounds = int(words.offsets[doc]), int(words.offsets[doc + 1])

        def near(width: int) -> NDArray[np.uint64]:
            return words.hashes[max(bounds[0], first - width) : min(bounds[1], end + width)]

        if of_answer:
            answer = arrays["answer_words"][slice(*arrays["answer_offsets"][item : item + 2])]
            if len(answer) <= rule.short_answer_words:
                score += of_answer * _stands(answer, near(rule.answer_window + len(answer)))
            else:
                width = max(rule.answer_window, 2 * len(answer))
                n = min(rule.n, len(answer))
                score += of_answer * self._overlap("answer", item, near(width), n)
        if of_passage:
            n_words = int(arrays["passage_counts"][item])
            n, width = min(rule.n, n_words), rule.passage_window + n_words
            score += of_passage * self._overlap("passage", item, near(width), n)
        return float(score)

    def _overlap(self, part: str, item: int, words: NDArray[np.uint64], n: int) -> float:
        """The share of an item's n-grams of a part that are among words, by weight."""
        own = slice(*self._arrays[f"{part}.offsets"][item : item + 2])
        keys = self._arrays[f"{part}.keys"][own]
        there = kernels.ngram_table.keys_of(words, np.array([0, len(words)]), n)
        found = np.isin(keys, there)
        return float(self._arrays[f"{part}.weights"][own][found].sum())


def _stands(phrase: NDArray[np.uint64], words: NDArray[np.uint64]) -> bool:
    """Whether words have a phrase, which is not empty, somewhere."""
    if len(phrase) > len(words):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(words, len(phrase))
    return bool((windows == phrase).all(axis=1).any())
