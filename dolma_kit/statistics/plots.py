"""Pictures of answers, with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dolma_kit import files

if TYPE_CHECKING:
    from dolma_kit.statistics.languages import Languages
    from dolma_kit.statistics.lengths import Lengths

BLUE, ORANGE = "#0072b2", "#d55e00"
BINS_A_DECADE = 40
MOST_LANGUAGES = 25
MOST_LABELS = 5


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: str) -> str:
    with files.write_atomically(path) as stream:
        # The version of matplotlib is left out, so that one picture is one file.
        figure.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    _pyplot().close(figure)
    return path


def lengths(path: str, answer: Lengths) -> str:
    """The histogram of each unit over the logarithm of the length, spikes marked; the path."""
    pyplot = _pyplot()
    n = max(len(answer.units), 1)
    figure, axes = pyplot.subplots(n, 1, figsize=(9, 3.2 * n), layout="constrained", squeeze=False)
    for axis, (name, unit) in zip(axes[:, 0], answer.units.items(), strict=False):
        values = np.array(unit.histogram.lengths)
        counts = np.array(unit.histogram.documents)
        greatest = max(int(values.max(initial=1)), 1)
        n_bins = int(np.ceil(np.log10(greatest + 1) * BINS_A_DECADE)) + 1
        # No bin is narrower than one length: of short ones each has its own.
        edges = np.unique(np.floor(10 ** (np.arange(n_bins + 1) / BINS_A_DECADE))) - 0.5
        axis.hist(np.maximum(values, 1), bins=edges, weights=counts, color=BLUE)
        axis.set_xscale("log")
        axis.set_xlim(max(float(values.min(initial=greatest)), 1.0) * 0.8, greatest * 1.25)
        axis.set_axisbelow(True)
        axis.set_xlabel(f"length ({name})")
        axis.set_ylabel("documents")
        axis.grid(alpha=0.3)
        median = unit.quantiles.get("0.5")
        if median is not None:
            axis.axvline(max(median, 1), color="black", linewidth=1, linestyle="--")
            axis.annotate(
                f"median {median:,}", (max(median, 1), 0.97), xycoords=("data", "axes fraction"),
                xytext=(4, 0), textcoords="offset points", va="top", fontsize=8,
            )  # fmt: skip
        top = axis.get_ylim()[1]
        shown = sorted(unit.spikes, key=lambda spike: -spike.documents)[:MOST_LABELS]
        taken: list[float] = []
        for spike in sorted(shown, key=lambda spike: spike.length):
            axis.plot([spike.length], [spike.documents], "v", color=ORANGE, markersize=5)
            level = sum(abs(np.log10(spike.length) - other) < 0.25 for other in taken)
            taken.append(float(np.log10(spike.length)))
            axis.annotate(
                f"{spike.documents:,} at {spike.length:,}", (spike.length, spike.documents),
                xytext=(0, 6 + 10 * level), textcoords="offset points", ha="center", fontsize=7,
                color=ORANGE,
            )  # fmt: skip
        axis.set_ylim(0, top * 1.15)
    return _save(figure, path)


def languages(path: str, answer: Languages) -> str:
    """Documents by language, the most frequent first; the path."""
    pyplot = _pyplot()
    found = list(answer.languages.items())
    shown = [(name, one.documents) for name, one in found[:MOST_LANGUAGES]]
    rest = sum(one.documents for _, one in found[MOST_LANGUAGES:])
    if rest:
        shown.append((f"{len(found) - MOST_LANGUAGES} others", rest))
    if answer.none:
        shown.append(("none", answer.none))
    if answer.missing:
        shown.append(("missing", answer.missing))
    height = 1.2 + 0.24 * max(len(shown), 1)
    figure, axis = pyplot.subplots(figsize=(8, height), layout="constrained")
    names = [name for name, _ in shown]
    bars = axis.barh(names, [n for _, n in shown], color=BLUE)
    if any(n > 0 for _, n in shown):
        axis.set_xscale("log")
    axis.bar_label(bars, [f"{n:,}" for _, n in shown], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_axisbelow(True)
    axis.margins(x=0.12, y=0.01)
    axis.set_xlabel(f"documents, of {answer.documents:,} (logarithmic)")
    axis.grid(alpha=0.3, axis="x")
    return _save(figure, path)
