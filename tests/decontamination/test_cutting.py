"""What of a document is cut."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

from dolma_kit.decontamination.collisions import Gpt3
from dolma_kit.decontamination.cutting import cut, united
from dolma_kit.decontamination.intervals import wilson


def spans(places: list[tuple[int, int]], n: int, **keys: Any) -> list[tuple[int, int]]:
    starts, ends = (np.array([p[i] for p in places], np.int64) for i in range(2))
    found = cut(starts, ends, np.ones(len(places)), n, Gpt3(**keys))
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


@pytest.mark.parametrize(
    ("places", "n", "expected"),
    [
        ([], 50, []),
        ([(20, 25)], 100, [(15, 30)]),
        ([(3, 5)], 100, [(0, 10)]),  # nothing before is left
        ([(12, 14)], 100, [(0, 19)]),  # 7 characters before are too few to stay
        ([(85, 90)], 100, [(80, 100)]),
        ([(30, 32), (45, 46)], 100, [(25, 51)]),  # and 3 between
        ([(30, 32), (60, 61)], 100, [(25, 37), (55, 66)]),
        ([(60, 61), (30, 32), (31, 33)], 100, [(25, 38), (55, 66)]),
        ([(5, 6)], 12, [(0, 12)]),
        ([(20, 21), (50, 51), (80, 81)], 110, [(0, 110)]),  # four pieces
    ],
)
def test_cuts(places: list[tuple[int, int]], n: int, expected: list[tuple[int, int]]) -> None:
    assert spans(places, n, cut_characters=5, min_rest=10, max_pieces=3) == expected


def test_against_a_row_of_marks() -> None:
    chance = random.Random(5)
    for _ in range(500):
        n = chance.randrange(1, 60)
        begins = [chance.randrange(n) for _ in range(chance.randrange(1, 5))]
        places = [(b, min(n, b + chance.randrange(1, 6))) for b in begins]
        width, rest, most = chance.randrange(4), chance.randrange(6), chance.randrange(1, 4)
        gone = [any(a - width <= i < b + width for a, b in places) for i in range(n)]
        text = "".join(" " if one else "x" for one in gone)
        pieces = [piece for piece in text.split() if len(piece) >= max(rest, 1)]
        left = sum(map(len, pieces)) if len(pieces) <= most else 0
        found = spans(places, n, cut_characters=width, min_rest=rest, max_pieces=most)
        assert n - sum(b - a for a, b in found) == left
        assert all(a < b for a, b in found)
        assert all(b < a for (_, b), (a, _) in itertools.pairwise(found))


def test_united_places_have_the_greatest_score() -> None:
    found = united(np.array([5, 0, 20]), np.array([9, 6, 22]), np.array([0.5, 0.9, 0.1]))
    assert [x.tolist() for x in found] == [[0, 20], [9, 22], [0.9, 0.1]]


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962),
     (1, 1000, 0.0002, 0.0056)],
)  # fmt: skip
def test_wilsons_interval(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)
