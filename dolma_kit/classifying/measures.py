"""How good a classifier is on documents that it has not seen.

With tp the documents of a label that are given it, precision is tp over all that are given it,
recall tp over all that have it, and F1 = 2 tp / (given + have). A label that is given to none has
precision 0. Average precision is the sum over falling scores of precision times the recall that is
gained there; ROC AUC the chance that a document of the label scores above one of another, ties
counting one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THRESHOLDS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_DIGITS = 5


def measure(
    labels: Sequence[str],
    true: NDArray[np.int32],
    best: NDArray[np.int32],
    scores: NDArray[np.float64],
    majority: int,
) -> dict[str, Any]:
    """All figures as plain data.

    `true` (n,) is the label that each document has, `best` (n,) the one that the model likes best,
    `scores` (n, n_labels) what it gives to each; `majority` is the commonest label in training.
    Thresholds are given for the first label of two, or for all of more.
    """
    import numpy as np

    by_label = _by_label(labels, true, best)
    for i, label in enumerate(labels):
        by_label[label] |= {
            "average_precision": _rounded(average_precision(true == i, scores[:, i])),
            "roc_auc": _rounded(roc_auc(true == i, scores[:, i])),
        }
    always = _by_label(labels, true, np.full_like(true, majority))
    return {
        "documents": len(true),
        "accuracy": _rounded((true == best).mean()),
        "macro_f1": _mean_f1(by_label),
        "majority": {
            "label": labels[majority],
            "accuracy": _rounded((true == majority).mean()),
            "macro_f1": _mean_f1(always),
        },
        "labels": by_label,
        "thresholds": {
            label: thresholds(true == i, scores[:, i])
            for i, label in enumerate(labels[:1] if len(labels) == 2 else labels)
        },
    }


def _by_label(
    labels: Sequence[str], true: NDArray[np.int32], best: NDArray[np.int32]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for i, label in enumerate(labels):
        row = _figures(
            int(((true == i) & (best == i)).sum()), int((best == i).sum()), int((true == i).sum())
        )
        found[label] = {"documents": int((true == i).sum())} | row
    return found


def _figures(n_right: int, n_given: int, n_have: int) -> dict[str, float]:
    return {
        "precision": _rounded(n_right / max(n_given, 1)),
        "recall": _rounded(n_right / max(n_have, 1)),
        "f1": _rounded(2 * n_right / max(n_given + n_have, 1)),
    }


def _mean_f1(by_label: dict[str, dict[str, Any]]) -> float:
    return _rounded(sum(row["f1"] for row in by_label.values()) / len(by_label))


def _rounded(value: Any) -> float:
    return round(float(value), _DIGITS)


def _falling(
    has: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Each score that occurs, the highest first; how many documents reach it; of these, how many
    have the label."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    right = np.cumsum(has[order], dtype=np.int64)
    return ranked[last], last.astype(np.int64) + 1, right[last]


def average_precision(has: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Of a label that at least one document has."""
    import numpy as np

    _, reached, right = _falling(has, scores)
    gained = np.diff(right, prepend=0) / right[-1]
    return float((right / reached * gained).sum())


def roc_auc(has: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Of a label that at least one document has and at least one has not."""
    import numpy as np

    _, reached, right = _falling(has, scores)
    wrong = reached - right
    right_here, wrong_here = np.diff(right, prepend=0), np.diff(wrong, prepend=0)
    below = wrong[-1] - wrong
    return float((right_here * (below + wrong_here / 2)).sum() / (right[-1] * wrong[-1]))


def thresholds(has: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, Any]:
    """What a label's scores from some thresholds on give, and the threshold of the best F1.

    `kept` is the share of all documents that reach the threshold. Of equally good ones the highest
    is named.
    """

    def row(threshold: float) -> dict[str, float]:
        kept = scores >= threshold
        figures = _figures(int((kept & has).sum()), int(kept.sum()), int(has.sum()))
        return {"threshold": threshold} | figures | {"kept": _rounded(kept.mean())}

    levels, reached, right = _falling(has, scores)
    best = int((2 * right / (reached + right[-1])).argmax())
    return {"table": [row(at) for at in THRESHOLDS], "best_f1": row(float(levels[best]))}
