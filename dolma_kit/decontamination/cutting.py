"""What of a document goes: spans for the attribute, of the places that match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dolma_kit.decontamination.finding import Rule


def united(
    starts: NDArray[np.int64], ends: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Places of one document, united where they overlap or touch; each has the greatest score."""
    if not len(starts):
        return starts, ends, scores
    order = np.argsort(starts, kind="stable")
    starts, reach, scores = starts[order], np.maximum.accumulate(ends[order]), scores[order]
    is_first = np.ones(len(starts), np.bool_)
    is_first[1:] = starts[1:] > reach[:-1]
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(starts)) - 1
    return starts[first], reach[last], np.maximum.reduceat(scores, first)


def cut(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    scores: NDArray[np.float64],
    n_characters: int,
    rule: Rule,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """What is cut of a document, from its places: (n,) starts, ends and scores.

    Places are widened by `cut_characters`; pieces between them that are shorter than `min_rest` go,
    too; and where more than `max_pieces` would be left, all does.
    """
    width = rule.cut_characters
    starts, ends, scores = united(
        np.maximum(starts - width, 0), np.minimum(ends + width, n_characters), scores
    )
    if not len(starts):
        return starts, ends, scores
    rests = np.concatenate((starts, [n_characters])) - np.concatenate(([0], ends))
    stays = (rests > 0) & (rests >= rule.min_rest)
    whole = np.zeros(1, np.int64), np.array([n_characters], np.int64), scores.max(keepdims=True)
    if not stays.any() or (rule.max_pieces is not None and stays.sum() > rule.max_pieces):
        return whole
    if not stays[0]:
        starts[0] = 0
    if not stays[-1]:
        ends[-1] = n_characters
    # A rest that goes joins what is cut on either side of it.
    joined = np.flatnonzero(~stays[1:-1])
    ends[joined] = starts[joined + 1]
    return united(starts, ends, scores)
