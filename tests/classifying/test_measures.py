"""The figures of a classifier, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.classifying import measures

Scored = list[tuple[bool, float]]
scored = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.50001, 0.9, 1.00001])),
    min_size=2,
    max_size=30,
).filter(lambda rows: len({has for has, _ in rows}) == 2)


def arrays(rows: Scored) -> tuple[Any, Any]:
    return np.array([has for has, _ in rows]), np.array([score for _, score in rows])


def at(rows: Scored, threshold: float) -> tuple[float, float, float, float]:
    """Precision, recall, F1 and the share that is kept."""
    kept = [has for has, score in rows if score >= threshold]
    precision = sum(kept) / len(kept) if kept else 0.0
    recall = sum(kept) / sum(has for has, _ in rows)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return precision, recall, f1, len(kept) / len(rows)


@settings(deadline=None)
@given(scored)
def test_roc_auc_is_the_chance_that_the_right_one_scores_higher(rows: Scored) -> None:
    with_label = [score for has, score in rows if has]
    without = [score for has, score in rows if not has]
    won = sum((a > b) + (a == b) / 2 for a in with_label for b in without)
    assert measures.roc_auc(*arrays(rows)) == pytest.approx(won / len(with_label) / len(without))


@settings(deadline=None)
@given(scored)
def test_average_precision_is_precision_times_gained_recall(rows: Scored) -> None:
    expected, before = 0.0, 0.0
    for threshold in sorted({score for _, score in rows}, reverse=True):
        precision, recall, _, _ = at(rows, threshold)
        expected += precision * (recall - before)
        before = recall
    assert measures.average_precision(*arrays(rows)) == pytest.approx(expected)


@settings(deadline=None)
@given(scored)
def test_thresholds_and_the_best_of_all(rows: Scored) -> None:
    found = measures.thresholds(*arrays(rows))
    assert [row["threshold"] for row in found["table"]] == list(measures.THRESHOLDS)
    for row in [*found["table"], found["best_f1"]]:
        expected = at(rows, row["threshold"])
        assert [row[key] for key in ("precision", "recall", "f1", "kept")] == pytest.approx(
            expected, abs=1e-5
        )
    by_f1 = [(at(rows, score)[2], score) for _, score in rows]
    best = max(f1 for f1, _ in by_f1)
    assert found["best_f1"]["f1"] == pytest.approx(best, abs=1e-5)
    assert found["best_f1"]["threshold"] == max(s for f1, s in by_f1 if abs(f1 - best) < 1e-9)


def test_figures_of_labels_and_of_the_majority() -> None:
    true = np.array([0, 0, 0, 1, 1, 2], np.int32)
    best = np.array([0, 0, 1, 1, 0, -1], np.int32)  # the last one has no label
    scores = np.eye(3)[best] * (best >= 0)[:, None]
    found = measures.measure(["a", "b", "c"], true, best, scores, 0)
    assert found["documents"] == 6
    assert found["accuracy"] == 0.5
    a = found["labels"]["a"]
    assert (a["documents"], a["precision"], a["recall"]) == (3, round(2 / 3, 5), round(2 / 3, 5))
    assert found["labels"]["c"]["f1"] == 0
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 3, abs=1e-4)
    assert found["majority"] == {
        "label": "a",
        "accuracy": 0.5,
        "macro_f1": pytest.approx(2 * 3 / 9 / 3, abs=1e-4),
    }
    assert list(found["thresholds"]) == ["a", "b", "c"]
    two = measures.measure(["a", "b"], true[:5], best[:5], scores[:5, :2], 0)
    assert list(two["thresholds"]) == ["a"]
