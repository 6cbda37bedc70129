"""Where documents match questions but for some words: sampled n-grams, and what is around them.

The search of AI2's decon, whose documentation calls it SIMPLE. Only each `sample_every`-th n-gram
of a document is looked up, until one is of some question. From there the text is gone through, to
the right and to the left, n-gram by n-gram, and of each question that has that first n-gram it is
counted which others of its n-grams are met, each once. A question is given up after `max_misses`
n-grams in a row that are not its own, and at a distance of twice its length. The search goes on
where the last question on the right was met. An n-gram of more than `hot` questions starts nothing;
after it every n-gram is looked up until one is of no question, or of few.

Time: each n-gram that is gone through costs as many steps as it has questions, or as there are
questions in question, whichever is fewer, and a question's is gone through again only within twice
its length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types

from dolma_kit.kernels.ngram_table import number_of, shift_of
from dolma_kit.kernels.unicode import LEAF, OFFSETS

_KEYS = types.Array(types.uint64, 1, "C", readonly=True)
_IDS = types.Array(types.int32, 1, "C", readonly=True)
_SHARES = types.Array(types.float64, 1, "C", readonly=True)
_I64 = types.int64[::1]
_FEW = 1024


class Matches(NamedTuple):
    """A row for each question that is met in a stretch of text: document, question, the first word
    of the first and of the last n-gram met, (n,) int64 each, and the share of its n-grams that are
    met, by weight, (n,) float64."""

    documents: npt.NDArray[np.int64]
    questions: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    lasts: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]


@njit(
    int64(
        _KEYS, OFFSETS, OFFSETS, int64, _KEYS, _KEYS, _IDS, OFFSETS, _IDS, _SHARES, _SHARES, _IDS,
        int64, int64, int64, _I64, _I64, _I64, types.float64[::1], _I64, _I64, _I64, _I64,
        types.int64[:, ::1], types.float64[::1],
    ),
    **LEAF,
)  # fmt: skip
def _search(
    grams: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    gram_offsets: npt.NDArray[np.int64],
    first_stamp: int,
    bits: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
    ids: npt.NDArray[np.int32],
    posting_offsets: npt.NDArray[np.int64],
    postings: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float64],
    least: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int32],
    sample_every: int,
    max_misses: int,
    hot: int,
    met: npt.NDArray[np.int64],
    stamps: npt.NDArray[np.int64],
    last_met: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
    lefts: npt.NDArray[np.int64],
    rights: npt.NDArray[np.int64],
    active: npt.NDArray[np.int64],
    reach: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
) -> int:
    """How many matches there are; only as many are written as there is room for."""
    stamp, n_rows, shift = first_stamp, 0, shift_of(bits)
    for doc in range(len(offsets) - 1):
        start, end = gram_offsets[doc], gram_offsets[doc + 1]
        place, step = start, sample_every
        while place < end:
            gram = number_of(grams[place], shift, bits, keys, ids)
            if gram < 0:
                step = sample_every
                place += step
                continue
            begin, stop = posting_offsets[gram], posting_offsets[gram + 1]
            if stop - begin > hot:
                step = 1
                place += step
                continue
            stamp += 1
            n_active = 0
            farthest = 0
            for k in range(begin, stop):
                question = postings[k]
                stamps[question] = stamp
                active[n_active] = question
                n_active += 1
                met[k] = stamp
                sums[question] = weights[k]
                lefts[question] = rights[question] = place
                farthest = max(farthest, 2 * lengths[question] + max_misses)
            furthest_right = place
            for direction in (1, -1):
                for k in range(n_active):
                    last_met[active[k]] = place
                at, latest = place + direction, place
                while start <= at < end and abs(at - latest) <= max_misses:
                    if abs(at - place) > farthest:
                        break
                    gram = number_of(grams[at], shift, bits, keys, ids)
                    if gram >= 0:
                        low, high = posting_offsets[gram], posting_offsets[gram + 1]
                        by_postings = high - low <= n_active
                        for k in range(high - low if by_postings else n_active):
                            if by_postings:
                                own = low + k
                                question = postings[own]
                                if stamps[question] != stamp:
                                    continue
                            else:
                                question = active[k]
                                own, after = low, high
                                while own < after:
                                    middle = (own + after) >> 1
                                    if postings[middle] < question:
                                        own = middle + 1
                                    else:
                                        after = middle
                                if own == high or postings[own] != question:
                                    continue
                            if abs(at - last_met[question]) > max_misses:
                                continue  # given up before
                            if abs(at - place) > 2 * lengths[question] + max_misses:
                                continue
                            last_met[question] = latest = at
                            if met[own] != stamp:
                                met[own] = stamp
                                sums[question] += weights[own]
                            if direction > 0:
                                rights[question] = at
                                furthest_right = max(furthest_right, at)
                            else:
                                lefts[question] = at
                    at += direction
            for k in range(n_active):
                question = active[k]
                if sums[question] >= least[question]:
                    if n_rows < len(shares):
                        # Words, of which a document has more than n-grams.
                        ahead = offsets[doc] - start
                        rows[n_rows, 0], rows[n_rows, 1] = doc, question
                        rows[n_rows, 2] = lefts[question] + ahead
                        rows[n_rows, 3] = rights[question] + ahead
                        shares[n_rows] = sums[question]
                    n_rows += 1
            step = sample_every
            place = furthest_right + 1
    reach[0] = stamp
    return n_rows


class Questions(NamedTuple):
    """What is searched for: distinct n-grams, and the questions that have them.

    N-gram i is of the questions `postings[posting_offsets[i]:posting_offsets[i + 1]]`, ascending,
    in which it has a share `weights`, those of a question being 1 together. A match of a question
    is one from a share of `least` on. `lengths` are its n-grams.
    """

    bits: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.int32]
    posting_offsets: npt.NDArray[np.int64]
    postings: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int32]


class Search:
    """Searches documents for questions; keeps what it needs for that from one batch to the next."""

    def __init__(
        self, questions: Questions, *, sample_every: int, max_misses: int, hot: int
    ) -> None:
        n, n_postings = len(questions.lengths), len(questions.postings)
        self._questions = questions
        self._settings = sample_every, max_misses, hot
        self._met = np.zeros(n_postings, np.int64)
        self._stamps, self._last_met = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._sums = np.zeros(n)
        self._lefts, self._rights = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._active = np.zeros(max(n, 1), np.int64)
        self._stamp = np.zeros(1, np.int64)

    def __call__(
        self,
        grams: npt.NDArray[np.uint64],
        offsets: npt.NDArray[np.int64],
        gram_offsets: npt.NDArray[np.int64],
    ) -> Matches:
        """The matches in documents, as they come.

        `grams` are the keys of all n-grams (`ngram_table.keys_of`), document i having
        `grams[gram_offsets[i]:gram_offsets[i + 1]]` and its words from `offsets[i]` on.
        """
        n_rows, room = _FEW, 0
        while room < n_rows:
            room = n_rows
            rows, shares = np.empty((room, 4), np.int64), np.empty(room)
            n_rows = _search(
                grams, offsets, gram_offsets, int(self._stamp[0]), *self._questions,
                *self._settings, self._met, self._stamps, self._last_met, self._sums, self._lefts,
                self._rights, self._active, self._stamp, rows, shares,
            )  # fmt: skip
        documents, questions, firsts, lasts = (rows[:n_rows, i].copy() for i in range(4))
        return Matches(documents, questions, firsts, lasts, shares[:n_rows])
