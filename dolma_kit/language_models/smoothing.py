"""Modified Kneser-Ney smoothing with interpolation, as KenLM's lmplz has it.

Chen & Goodman 1998 (TR-10-98), section 3.4 and equation 26; Heafield et al. 2013, "Scalable
Modified Kneser-Ney Language Model Estimation", section 3. With a(g) the adjusted count of an n-gram
g = c w, D(1), D(2), D(3) the discounts of its order for counts of 1, 2, 3 and more, N(i) how many
n-grams c v that are kept have these counts:

    p(w | c) = (a(cw) - D(a(cw))) / sum a(cv) + b(c) p(w | c without its first word)
    b(c)     = (D(1) N(1) + D(2) N(2) + D(3) N(3) + sum a(cv) of what is pruned) / sum a(cv)
    p(w)     = (a(w) - D(a(w))) / sum a(v) + b() / vocabulary

The vocabulary is all words with `<unk>` and `</s>` but not `<s>`, whose probability is 1. lmplz
computes in single, this in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dolma_kit import kernels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.language_models.counting import NgramCounter, Rows

FALLBACK = (0.5, 1.0, 1.5)  # lmplz's --discount_fallback


class Statistics(NamedTuple):
    """Of the n-grams of an order: how many there are and are kept, and their discounts.

    `fell_back` says whether the discounts are FALLBACK, because those of the text cannot be had.
    """

    n_rows: int
    n_kept: int
    discounts: tuple[float, float, float]
    fell_back: bool


def discounts(counts: Sequence[int]) -> tuple[float, float, float] | None:
    """Chen & Goodman's D(1), D(2), D(3) of how many n-grams have an adjusted count of 1, 2, 3, 4.

    None where one of the first three is 0 or a D(i) would not lie between 0 and i.
    """
    n_1, n_2, n_3, n_4 = counts
    if not (n_1 and n_2 and n_3):
        return None
    y = n_1 / (n_1 + 2 * n_2)
    found = (1 - 2 * y * n_2 / n_1, 2 - 3 * y * n_3 / n_2, 3 - 4 * y * n_4 / n_3)
    return found if all(0 <= d <= i for i, d in enumerate(found, 1)) else None


def kept(rows: Rows, n: int, threshold: int) -> NDArray[np.bool_]:
    """Which n-grams are kept: those that are there more often than the threshold.

    `<unk>`, `<s>` and `</s>` always are.
    """
    import numpy as np

    is_kept = rows.counts > threshold
    if n == 1:
        is_kept[: kernels.ngram_rows.EOS + 1] = True
    return np.asarray(is_kept)


def statistics(counter: NgramCounter, n: int, threshold: int) -> Statistics:
    """Count the n-grams of an order.

    As in lmplz, the very last n-gram counts with its plain count where others count with the
    adjusted one, and what is pruned counts with the rest.
    """
    import numpy as np

    rows = counter.rows(n)
    counts = np.bincount(np.minimum(rows.adjusted, 5), minlength=6)
    last = counter.last_row(rows)
    if n < counter.order and last >= 0:
        counts[min(rows.adjusted[last], 5)] -= 1
        counts[min(rows.counts[last], 5)] += 1
    found = discounts(counts[1:5].tolist())
    n_kept = int(kept(rows, n, threshold).sum())
    return Statistics(len(rows.examples), n_kept, found or FALLBACK, found is None)


def smooth(
    rows: Rows,
    contexts: NDArray[np.int32],
    lower: NDArray[np.float64],
    n_contexts: int,
    is_kept: NDArray[np.bool_],
    discounts: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The probabilities of n-grams, (n_rows,), and the backoffs of their contexts, (n_contexts,).

    `contexts` (n_rows,) is the context of each n-gram, `lower` (n_rows,) the probability of its
    last n - 1 words. A context that no n-gram has has the backoff 1. What is not kept has a
    probability too, which means nothing.
    """
    import numpy as np

    counts = rows.adjusted.astype(np.float64)
    sums = np.bincount(contexts, counts, n_contexts).astype(np.float64)
    discount = np.array([0.0, *discounts])[np.minimum(rows.adjusted, 3)]
    masses = np.where(is_kept, discount, counts)
    backoffs = np.bincount(contexts, masses, n_contexts).astype(np.float64)
    del masses
    has_words = sums > 0
    np.divide(backoffs, sums, out=backoffs, where=has_words)
    backoffs[~has_words] = 1.0
    counts -= discount
    counts /= sums[contexts]
    counts += backoffs[contexts] * lower
    return counts, backoffs
