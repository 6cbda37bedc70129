"""Histograms: of a score around a threshold, of lengths over their logarithm, of years."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dolma_kit.reporting import figures
from dolma_kit.reporting.answers import Edge
from dolma_kit.reporting.figures import INK, MARK, SERIES, WIDTH, Key
from dolma_kit.reporting.numbers import count, number, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS_A_DECADE = 24
PANEL = 1.5  # inches
MOST_DRAWN = 1e300  # beyond, axes overflow
MOST_YEARS = 60


def edge(name: str, title: str, one: Edge) -> str:
    """The histogram of a score, what stays and what goes by colour and hatch, the threshold as a
    line; without a histogram, or one over more than can be drawn, the line alone."""
    import numpy as np

    counts, bounds = np.array(one.histogram, float), np.array(one.bounds, float)
    with figures.settings():
        drawn = figures.blank(4.1, 1.75)
        axis = figures.axes(drawn, 0.15, 0.42, right=0.15, top=0.42)
        has_bins = 0 < len(counts) == len(bounds) - 1 and bool(np.all(np.abs(bounds) < MOST_DRAWN))
        if not has_bins:
            bounds = np.array([-1.0, 1.0])
            axis.set_xlim(-1, 1)
        else:
            middles = (bounds[:-1] + bounds[1:]) / 2
            keeps = middles >= one.threshold if ">" in one.operator else middles <= one.threshold
            for side, colour, hatch in ((keeps, SERIES[0], ""), (~keeps, SERIES[1], "////")):
                axis.stairs(np.where(side, counts, 0), bounds, fill=True, color=colour,
                            hatch=hatch, edgecolor=figures.PAPER, linewidth=0)  # fmt: skip
            axis.set_xlim(bounds[0], bounds[-1])
        at = min(max(one.threshold, bounds[0]), bounds[-1]) if has_bins else 0.0
        axis.axvline(at, color=INK, linewidth=1.3, linestyle=(0, (4, 2)))
        right_side = ">" in one.operator
        for words, x, aligned in (
            (f"{count(one.passing)} stay", 1.0 if right_side else 0.0, right_side),
            (f"{count(one.failing)} go", 0.0 if right_side else 1.0, not right_side),
        ):
            axis.annotate(
                words, (x, 1), xycoords="axes fraction", xytext=(0, 5), fontsize=figures.SMALL,
                textcoords="offset points", ha="right" if aligned else "left", color=INK,
            )  # fmt: skip
        axis.annotate(
            number(one.threshold), (at, 1), xycoords=("data", "axes fraction"), xytext=(0, 17),
            textcoords="offset points", ha=_side(at, bounds), fontsize=figures.SMALL, color=INK,
            fontweight="bold",
        )  # fmt: skip
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        if not has_bins:
            axis.set_xticks([])
        elif _is_geometric(bounds):
            axis.set_xscale("log")
            figures.log_axis(axis.xaxis, bounds[0], bounds[-1], short)
        else:
            axis.locator_params(axis="x", nbins=5)
            axis.xaxis.set_major_formatter(lambda value, _: short(value))
        axis.set_xlabel(figures.label(one.column, 44, tail=16))
        told = (
            f"Of {count(one.documents)} documents with a value, {count(one.passing)} are on the "
            f"side that stays, {count(one.failing)} on the one that goes; the threshold is "
            f"{number(one.threshold)}, {count(one.within)} are within 10 % of it."
        )
        return figures.svg(drawn, name, title, told)


def _is_geometric(bounds: NDArray[np.float64]) -> bool:
    """Whether bins are as wide as their values are great, so that the axis is to be logarithmic."""
    if len(bounds) < 3 or bounds[0] <= 0:
        return False
    return bool(bounds[-1] - bounds[-2] > 1.5 * (bounds[1] - bounds[0]))


def _side(at: float, bounds: NDArray[np.float64]) -> str:
    """Where the threshold's label stands, so that it does not leave the figure."""
    low, high = bounds[0], bounds[-1]
    if _is_geometric(bounds):
        low, high, at = math.log(low), math.log(high), math.log(at)
    at = (at - low) / (high - low) if high > low else 0.5
    return "left" if at < 0.15 else "right" if at > 0.85 else "center"


class Peak(NamedTuple):
    """A length that stands out, by its number in the table beside."""

    number: int
    length: int
    documents: int


class Spread(NamedTuple):
    """The lengths of one corpus: exact counts, the median, what stands out."""

    corpus: str
    lengths: Sequence[int]
    documents: Sequence[int]
    median: int | None
    peaks: Sequence[Peak]


def lengths(name: str, title: str, unit: str, spreads: Sequence[Spread]) -> str:
    """A histogram a corpus over the logarithm of the length; peaks marked by their numbers."""
    import numpy as np

    # Of empty texts the length is 0, and a damaged answer may have any.
    greatest = max(1, *(max(one.lengths, default=1) for one in spreads))
    edges = _edges(greatest)
    with figures.settings():
        height = PANEL * len(spreads) + 0.5
        drawn = figures.blank(WIDTH, height)
        for n, one in enumerate(spreads):
            below = 0.5 + PANEL * (len(spreads) - 1 - n)
            axis = figures.axes(drawn, 0.62, below, right=0.15, top=height - below - PANEL + 0.42)
            n_lengths = min(len(one.lengths), len(one.documents))
            values = np.maximum(np.array(one.lengths[:n_lengths], float), 1)
            weights = np.maximum(np.array(one.documents[:n_lengths], float), 0)
            counts, _ = np.histogram(values, edges, weights=weights)
            axis.stairs(counts, edges, fill=True, color=SERIES[n % 8], linewidth=0)
            axis.set_xscale("log")
            axis.set_xlim(0.8, greatest * 1.3)
            top = float(counts.max(initial=1)) or 1.0
            axis.set_ylim(0, top * 1.28)
            tall = (PANEL - 0.42) * figures.POINTS_PER_INCH
            wide = (WIDTH - 0.77) * figures.POINTS_PER_INCH
            labels = _Labels(0.8, greatest * 1.3, top * 1.28, wide, tall)
            _mark(axis, one, counts, edges, labels, tall)
            axis.set_title(figures.label(one.corpus, 50), pad=4)
            axis.yaxis.set_major_formatter(lambda value, _: short(value))
            figures.log_axis(axis.xaxis, 0.8, greatest * 1.3, short)
            axis.locator_params(axis="y", nbins=3)
            axis.grid(axis="y", alpha=0.7)
            if n < len(spreads) - 1:
                axis.set_xticklabels([])
        axis.set_xlabel(f"{unit} of a document (logarithmic)")
        return figures.svg(drawn, name, title, _lengths_told(unit, spreads))


def _edges(greatest: int) -> NDArray[np.float64]:
    """No bin is narrower than one length: of short ones each has its own."""
    import numpy as np

    n_bins = math.ceil(math.log10(greatest + 1) * BINS_A_DECADE) + 1
    found: NDArray[np.float64] = (
        np.unique(np.floor(10 ** (np.arange(n_bins + 1) / BINS_A_DECADE))) - 0.5
    )
    return found


class _Labels:
    """Places labels over a histogram so that none covers another. All in points of the axes."""

    def __init__(self, low: float, high: float, top: float, wide: float, tall: float) -> None:
        self._low, self._high = math.log10(low), math.log10(high)
        self._top, self._wide, self._tall = top, wide, tall
        self._taken: list[tuple[float, float, float]] = []

    def take(self, x: float, width: float, y: float) -> None:
        """Nothing else may be from x on, this wide, in the line at y."""
        self._taken.append((self._x(x), self._x(x) + width, y))

    def place(self, x: float, value: float, width: float) -> float:
        """How far above the value the label in the middle over x goes."""
        left, right = self._x(x) - width / 2, self._x(x) + width / 2
        base = y = self._tall * value / self._top + 5
        while any(left < b and a < right and abs(y - at) < 10 for a, b, at in self._taken):
            y += 2.0
        self._taken.append((left, right, y))
        return y - base + 5

    def _x(self, x: float) -> float:
        return (math.log10(x) - self._low) / (self._high - self._low) * self._wide


def _mark(axis: Any, one: Spread, counts: Any, edges: Any, labels: _Labels, tall: float) -> None:
    """The median as a line, and a mark on each bin that holds peaks, with their numbers."""
    import numpy as np

    x: float
    if one.median is not None:
        x = max(one.median, 1)
        axis.axvline(x, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        words = f"median {count(one.median)}"
        axis.annotate(
            words, (x, 1), xycoords=("data", "axes fraction"), xytext=(4, -1), va="top",
            textcoords="offset points", fontsize=figures.SMALL, color=INK,
        )  # fmt: skip
        labels.take(x, len(words) * 6.0, tall - 10)
    by_bin: dict[int, list[Peak]] = {}
    for peak in one.peaks:
        at = int(np.searchsorted(edges, max(peak.length, 1), side="right")) - 1
        by_bin.setdefault(min(max(at, 0), len(counts) - 1), []).append(peak)
    for at in sorted(by_bin):
        peaks = sorted(by_bin[at], key=lambda peak: peak.number)
        x = math.sqrt(max(edges[at], 0.5) * edges[at + 1])
        words = ",".join(str(peak.number) for peak in peaks[:3]) + ("…" if peaks[3:] else "")
        raised = labels.place(x, counts[at], 4.0 + 6 * len(words))
        axis.plot([x], [counts[at]], "v", color=MARK, markersize=5)
        axis.annotate(
            words, (x, counts[at]), xytext=(0, raised), textcoords="offset points",
            ha="center", fontsize=figures.SMALL, color=MARK, fontweight="bold",
            annotation_clip=False,
        )  # fmt: skip


def _lengths_told(unit: str, spreads: Sequence[Spread]) -> str:
    said = []
    for one in spreads:
        peaks = ", ".join(f"{count(p.documents)} at {count(p.length)}" for p in one.peaks[:10])
        said.append(
            f"{figures.label(one.corpus)}: {count(sum(one.documents))} documents, "
            f"{count(min(one.lengths, default=0))} to {count(max(one.lengths, default=0))} {unit}, "
            f"median {count(one.median)}; {'standing out: ' + peaks if peaks else 'no spikes'}."
        )
    return " ".join(said)


def years(name: str, title: str, corpora: Sequence[tuple[str, Mapping[int, int]]]) -> str:
    """Documents by year, bars of the corpora side by side."""
    known = sorted({year for _, found in corpora for year in found})
    first, last = max(known[0], known[-1] - MOST_YEARS + 1), known[-1]
    first = min(first, last - 11)  # a bar of a lone year is no wider than others
    shown = range(first, last + 1)
    keys = [
        Key(figures.label(corpus, 30), SERIES[n % 8], figures.HATCHES[n % 8])
        for n, (corpus, _) in enumerate(corpora)
    ]
    with figures.settings():
        over = figures.KEY_LINE + 0.1 if len(corpora) > 1 else 0.15
        drawn = figures.blank(WIDTH, 1.9 + over)
        if len(corpora) > 1:
            figures.draw_keys(drawn, keys, 0.62)
        axis = figures.axes(drawn, 0.62, 0.35, right=0.15, top=over)
        wide = 0.82 / len(corpora)
        for n, ((_, found), key) in enumerate(zip(corpora, keys, strict=True)):
            axis.bar(
                [year - 0.41 + wide * (n + 0.5) for year in shown],
                [found.get(year, 0) for year in shown], wide, color=key.colour, hatch=key.hatch,
                linewidth=0,
            )  # fmt: skip
        axis.set_xlim(first - 0.6, last + 0.6)
        every = max(1, -(-len(shown) // 14))
        ticks = [year for year in shown if (last - year) % every == 0]
        axis.set_xticks(ticks, list(map(str, ticks)))
        axis.tick_params(axis="x", length=0)
        axis.yaxis.set_major_formatter(lambda value, _: short(value))
        axis.locator_params(axis="y", nbins=4, integer=True)
        axis.grid(axis="y", alpha=0.7)
        told = " ".join(
            f"{figures.label(corpus)}: "
            + ", ".join(f"{count(found[year])} in {year}" for year in sorted(found)[-20:])
            + "."
            for corpus, found in corpora
        )
        return figures.svg(drawn, name, title, told)


def sizes(name: str, title: str, kinds: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """How many clusters there are of each size, on a logarithmic axis; a panel a kind."""
    order = sorted(
        {size for _, found in kinds for size in found}, key=lambda size: int(size.split("-")[0])
    )
    greatest = max((n for _, found in kinds for n in found.values()), default=1)
    with figures.settings():
        drawn = figures.blank(WIDTH, 2.3)
        each = (WIDTH - 0.62) / len(kinds)
        for k, (kind, found) in enumerate(kinds):
            left = 0.62 + each * k
            axis = figures.axes(drawn, left, 0.62, right=WIDTH - left - each + 0.25, top=0.35)
            xs = [i for i, size in enumerate(order) if found.get(size)]
            ys = [found[order[i]] for i in xs]
            axis.vlines(xs, 0.7, ys, color=SERIES[k % 8], linewidth=2.5)
            axis.plot(xs, ys, "os^Dv"[k % 5], color=SERIES[k % 8], markersize=6)
            axis.set_yscale("log")
            axis.set_ylim(0.7, max(greatest, 2) * 2)
            axis.set_xlim(-0.6, max(len(order), 1) - 0.4)
            every = max(1, -(-len(order) // 5))
            axis.set_xticks(range(0, len(order), every), order[::every])
            axis.set_title(figures.label(kind, 30), pad=6)
            axis.set_xlabel("copies")
            figures.log_axis(axis.yaxis, 0.7, max(greatest, 2) * 2, short)
            axis.tick_params(axis="x", length=0)
            axis.grid(axis="y", alpha=0.7)
            if k:
                axis.set_yticklabels([])
        told = " ".join(
            f"{kind}: " + (", ".join(f"{count(found[size])} of {size}" for size in order
                           if found.get(size)) or "none") + "."
            for kind, found in kinds
        )  # fmt: skip
        return figures.svg(drawn, name, title, told)
