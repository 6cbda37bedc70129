"""What a mix removed: its funnels, and which rules remove the same documents."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dolma_kit import decisions, explaining
from dolma_kit.reporting.answers import Combination, Mix, StreamRemoval
from dolma_kit.reporting.inventory import Inventory

MOST_COMBINATIONS = 40


def mix_of(inventory: Inventory, folder: str) -> Mix:
    """The funnels of a mix, by stream, without the edges of its thresholds."""
    found: dict[str, list[Combination]] = {}
    for stream, combination in _combinations(folder):
        found.setdefault(stream, []).append(combination)
    return Mix(
        folder=inventory.seen_from_root(folder),
        decisions=inventory.seen_from_root(decisions.path_in(folder)),
        streams=[
            StreamRemoval(
                funnel=funnel,
                combinations=found.get(funnel.stream, [])[:MOST_COMBINATIONS],
                edges=[],
            )
            for funnel in explaining.funnels(folder)
        ],
    )


def _combinations(folder: str) -> Sequence[tuple[str, Combination]]:
    """(stream, combination), of each stream the one that removes most first."""
    rows = explaining.query(
        os.path.join(folder, decisions.NAME),
        "SELECT stream, rules, count(*), sum(bytes)::BIGINT FROM decisions WHERE len(rules) > 0 "
        "GROUP BY stream, rules ORDER BY stream, count(*) DESC, rules",
    )
    return [(stream, Combination(rules, n, n_bytes)) for stream, rules, n, n_bytes in rows]
