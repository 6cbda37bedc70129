"""Shares of a whole at several stages, one bar a stage: how sources are mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dolma_kit.reporting import figures
from dolma_kit.reporting.figures import HATCHES, INK, PAPER, SERIES, WIDTH, Key
from dolma_kit.reporting.numbers import percent

BAR = 0.34  # inches
PITCH = 0.46
OTHERS = "\0others"  # no source is called so; it is shown without the NUL


def stacks(
    name: str, title: str, rows: Sequence[tuple[str, Mapping[str, float]]], order: Sequence[str]
) -> str:
    """`rows` are stages with what each part of `order` has there; the last part may be others."""
    labels = [figures.label(one, 30) for one, _ in rows]
    left = figures.margin(labels, 0.15)
    keys = [Key(figures.label(part, 24), *style(n, part)) for n, part in enumerate(order)]
    over = figures.KEY_LINE * len(figures.key_lines(keys, WIDTH - left)) + 0.1
    with figures.settings():
        drawn = figures.blank(WIDTH, over + PITCH * len(rows) + 0.3)
        figures.draw_keys(drawn, keys, left)
        axis = figures.axes(drawn, left, 0.28, right=0.25, top=over)
        room = (WIDTH - left - 0.25) / figures.COLUMN
        for y, (_, parts) in enumerate(rows):
            total = sum(parts.values()) or 1.0
            at = 0.0
            for key, part in zip(keys, order, strict=True):
                share = parts.get(part, 0.0) / total
                axis.barh(
                    y, share, BAR / PITCH, at, color=key.colour, hatch=key.hatch, edgecolor=PAPER,
                    linewidth=0.8,
                )  # fmt: skip
                words = percent(share, 2)
                if figures.columns(words) + 2 < share * room:
                    axis.text(
                        at + share / 2, y, words, ha="center", va="center", fontsize=figures.SMALL,
                        color=INK if key.colour == figures.LINE else PAPER,
                        bbox={"facecolor": key.colour, "edgecolor": "none", "pad": 1.5},
                    )  # fmt: skip
                at += share
        axis.set_yticks(range(len(rows)), labels)
        axis.set_xlim(0, 1)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        return figures.svg(drawn, name, title, _told(rows))


def _told(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    said = []
    for label, parts in rows:
        total = sum(parts.values()) or 1.0
        shares = [f"{figures.label(part)} {percent(n / total)}" for part, n in parts.items()]
        said.append(f"{label}: {', '.join(shares)}")
    return "; ".join(said)


def style(number: int, part: str = "") -> tuple[str, str]:
    """The colour and the hatch of part number so and so; those that are put together are grey."""
    if part == OTHERS:
        return figures.LINE, ""
    return SERIES[number % len(SERIES)], HATCHES[number % len(HATCHES)]
