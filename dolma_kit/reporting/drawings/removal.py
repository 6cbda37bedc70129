"""What rules remove: what is left after each of them, and which rules remove the same documents."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_kit.explaining import Funnel
from dolma_kit.reporting import figures
from dolma_kit.reporting.answers import Combination
from dolma_kit.reporting.figures import INK, LINE, SERIES, WIDTH, Key
from dolma_kit.reporting.numbers import count, part

MOST_RULES = 14
MOST_COMBINATIONS = 16
ROW = 0.3  # inches


def funnel(name: str, title: str, one: Funnel) -> str:
    """A bar of what is left after each rule, with what the rule took as the first at its end."""
    rules = one.rules[:MOST_RULES]
    rows = [("read", one.documents, 0)]
    left_over = one.documents
    for rule in rules:
        left_over -= rule.first_documents
        rows.append((figures.label(rule.rule, 44, tail=12), left_over, rule.first_documents))
    if len(one.rules) > len(rules):
        rest = sum(rule.first_documents for rule in one.rules[MOST_RULES:])
        left_over -= rest
        rows.append((f"{len(one.rules) - MOST_RULES} more rules", left_over, rest))
    keys = [Key("left", SERIES[0]), Key("removed by this rule first", SERIES[1], "////")]
    left, over = figures.margin([row[0] for row in rows], 0.15), figures.KEY_LINE + 0.08
    with figures.settings():
        drawn = figures.blank(WIDTH, over + ROW * len(rows) + 0.1)
        figures.draw_keys(drawn, keys, left)
        axis = figures.axes(drawn, left, 0.05, right=1.5, top=over)
        for y, (_, n_left, removed) in enumerate(rows):
            axis.barh(y, n_left, 0.7, color=SERIES[0], linewidth=0)
            axis.barh(y, removed, 0.7, n_left, color=SERIES[1], hatch="////", linewidth=0)
            words = count(n_left) + (f"  (−{count(removed)})" if removed else "")
            axis.annotate(
                words, (n_left + removed, y), xytext=(5, 0), textcoords="offset points",
                va="center", fontsize=figures.SMALL, color=INK, annotation_clip=False,
            )  # fmt: skip
        axis.set_yticks(range(len(rows)), [row[0] for row in rows])
        axis.set_xlim(0, max(one.documents, 1))
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines["bottom"].set_visible(False)
        told = f"Of {count(one.documents)} documents {count(one.kept_documents)} are kept. " + (
            " ".join(f"{label}: {count(n)} left." for label, n, _ in rows[1:])
        )
        return figures.svg(drawn, name, title, told)


def combinations(name: str, title: str, found: Sequence[Combination]) -> str:
    """How many documents exactly these rules remove: a bar each, its rules dotted below."""
    shown = list(found[:MOST_COMBINATIONS])
    sums: dict[str, int] = {}
    for one in shown:
        for rule in one.rules:
            sums[rule] = sums.get(rule, 0) + one.documents
    rules = sorted(sums, key=lambda rule: (-sums[rule], rule))[:MOST_RULES]
    labels = [figures.label(rule, 44, tail=12) for rule in rules]
    left = figures.margin(labels, 0.2)
    width = min(left + 0.44 * len(shown) + 0.25, WIDTH)
    bars, below = 1.5, 0.24 * len(rules)
    total = sum(one.documents for one in found)
    with figures.settings():
        drawn = figures.blank(width, bars + below + 0.3)
        above = figures.axes(drawn, left, below + 0.15, right=0.15, top=0.25)
        above.bar(range(len(shown)), [one.documents for one in shown], 0.62, color=SERIES[0],
                  linewidth=0)  # fmt: skip
        for x, one in enumerate(shown):
            above.annotate(
                count(one.documents), (x, one.documents), xytext=(0, 3),
                textcoords="offset points", ha="center", fontsize=figures.SMALL, color=INK,
            )  # fmt: skip
        above.set_xticks([])
        above.set_yticks([])
        above.spines[:].set_visible(False)
        matrix = figures.axes(drawn, left, 0.05, right=0.15, top=bars + 0.25)
        for y in range(0, len(rules), 2):
            matrix.axhspan(y - 0.5, y + 0.5, color=LINE, alpha=0.35, linewidth=0)
        for x, one in enumerate(shown):
            rows = [rules.index(rule) for rule in one.rules if rule in rules]
            others = [y for y in range(len(rules)) if y not in rows]
            matrix.plot([x] * len(others), others, "o", color=LINE, markersize=5)
            matrix.plot([x] * len(rows), rows, "o-", color=SERIES[0], markersize=7.5)
        matrix.set_yticks(range(len(rules)), labels)
        matrix.set_ylim(len(rules) - 0.5, -0.5)
        matrix.set_xticks([])
        matrix.tick_params(length=0)
        matrix.spines[:].set_visible(False)
        for axis in (above, matrix):
            axis.set_xlim(-0.6, len(shown) - 0.4)
        told = " ".join(
            f"{count(one.documents)} documents ({part(one.documents, total)}) are removed by "
            f"{' and '.join(figures.label(rule, 60) for rule in one.rules[:8])}."
            for one in shown
        )
        return figures.svg(drawn, name, title, told)
