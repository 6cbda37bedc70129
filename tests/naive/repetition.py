"""Plain twins of kernels.repeats and kernels.periods."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

REPEAT = re.compile(r"(.+?)(\s?\1){3,}")
PARAGRAPH = re.compile(r"[^\n]*\n|[^\n]+")


def repeats(text: str) -> list[tuple[int, int, int]]:
    """kernels.repeats.find: start, end and count of each match, by Dolma's own pattern."""
    return [(m.start(), m.end(), m[0].count(m[1])) for m in REPEAT.finditer(text)]


def paragraph_repeats(text: str) -> list[tuple[int, int, int]]:
    """The same, by paragraph."""
    return [
        (m.start() + start, m.start() + end, count)
        for m in PARAGRAPH.finditer(text)
        for start, end, count in repeats(m[0])
    ]


def periods(
    ids: Sequence[int], min_period: int, max_period: int, min_times: int
) -> list[tuple[int, int, int]]:
    """kernels.periods.find: start, end and period of each stretch."""
    found = []
    for period in range(min_period, max_period + 1):
        same = ((t, ids[t] == ids[t - period]) for t in range(period, len(ids)))
        for is_same, group in groupby(same, lambda pair: pair[1]):
            places = [t for t, _ in group]
            if is_same and len(places) >= (min_times - 1) * period:
                found.append((places[0] - period, places[-1] + 1, period))
    return found


def outermost(spans: Sequence[tuple[int, int, int]]) -> list[bool]:
    """kernels.periods.outermost, of spans (owner, start, end)."""
    kept: list[bool] = []
    last = None
    for owner, start, end in spans:
        is_within = last is not None and last[0] == owner and last[1] <= start and end <= last[2]
        kept.append(not is_within)
        last = last if is_within else (owner, start, end)
    return kept


def aligned(text: str, tokens: Sequence[bytes]) -> list[tuple[int, int]] | None:
    """kernels.alignment.align, untrimmed; None for a text that is not made of the tokens."""
    if b"".join(tokens) != text.encode() or not all(tokens):
        return None
    character_of = [i for i, c in enumerate(text) for _ in c.encode()]
    places, at = [], 0
    for token in tokens:
        places.append((character_of[at], character_of[at + len(token) - 1] + 1))
        at += len(token)
    return places
