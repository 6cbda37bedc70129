"""Shares of many things, a row each, a point a corpus, over the logarithm of the share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dolma_kit.reporting import figures
from dolma_kit.reporting.figures import LINE, SERIES, WIDTH, Key
from dolma_kit.reporting.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.235  # inches
MARKERS = "os^Dv"


def points(
    name: str, title: str, corpora: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]
) -> str:
    """`rows` are labels with the share of each corpus, from 0 to 1; of 0 there is no point."""
    labels = [figures.label(one, 34) for one, _ in rows]
    left = figures.margin(labels, 0.2)
    some = [share for _, shares in rows for share in shares if share > 0]
    least = 10 ** math.floor(math.log10(min(some, default=0.01)) - 0.01)
    keys = [Key(figures.label(one, 30), SERIES[n % 8]) for n, one in enumerate(corpora)]
    lines = figures.key_lines(keys, WIDTH - left) if len(keys) > 1 else []
    wide = max((sum(map(figures.key_width, line)) for line in lines), default=0.0)
    over = figures.KEY_LINE * len(lines) + 0.08
    with figures.settings():
        drawn = figures.blank(min(WIDTH, left + max(4.6, wide)), over + ROW * len(rows) + 0.35)
        _draw_keys(drawn, lines, left)
        axis = figures.axes(drawn, left, 0.32, right=0.75, top=over)
        for y, (_, shares) in enumerate(rows):
            greatest = max(shares)
            axis.hlines(y, least, 1, color=LINE, linewidth=0.6)
            for n, share in enumerate(shares):
                if share > 0:
                    axis.plot([share], [y], MARKERS[n % 5], color=SERIES[n % 8], markersize=6.5)
            if greatest > 0:
                axis.annotate(
                    percent(greatest, 2), (1, y), xycoords=("axes fraction", "data"),
                    xytext=(6, 0), textcoords="offset points", va="center",
                    fontsize=figures.SMALL, annotation_clip=False,
                )  # fmt: skip
        axis.set_xscale("log")
        axis.set_xlim(least, 1.25)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_yticks(range(len(rows)), labels)
        figures.log_axis(axis.xaxis, least, 1.25, lambda value: percent(value, 2))
        axis.tick_params(length=0, which="both")
        axis.spines["left"].set_visible(False)
        told = "; ".join(
            f"{label}: {', '.join(percent(share, 2) for share in shares)}"
            for label, (_, shares) in zip(labels, rows, strict=True)
        )
        return figures.svg(drawn, name, title, f"{', '.join(map(figures.label, corpora))}. {told}")


def _draw_keys(figure: Figure, lines: Sequence[Sequence[Key]], left: float) -> None:
    """What the marks stand for, as `figures.draw_keys` with marks."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    number = 0
    for row, line in enumerate(lines):
        x, y = left, height - figures.KEY_LINE * (row + 0.5)
        for key in line:
            figure.add_artist(
                Line2D([(x + 0.06) / width], [y / height], color=key.colour, markersize=6.5,
                       marker=MARKERS[number % 5], transform=figure.transFigure)
            )  # fmt: skip
            figure.text(
                (x + 0.2) / width, y / height, key.label, fontsize=figures.SMALL, va="center"
            )
            x += figures.key_width(key)
            number += 1
