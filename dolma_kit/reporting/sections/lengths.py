"""How long documents are, and the lengths that stand out."""

from __future__ import annotations

from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.blocks import n, probability
from dolma_kit.reporting.drawings import histograms
from dolma_kit.reporting.drawings.histograms import Peak, Spread
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, number
from dolma_kit.reporting.reading import Answer, Section
from dolma_kit.reporting.reading import section as section_of
from dolma_kit.statistics.lengths import Lengths, OfUnit, Spike

MOST_PANELS = 4
MOST_SPIKES = 12
MOST_MARKED = 9  # in a figure
MOST_PLACES = 2
MOST_OPEN = 2  # corpora whose spikes are not folded
QUANTILES = ("0.0", "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99", "1.0")
_HEADS = ("least", "1 %", "5 %", "25 %", "median", "75 %", "95 %", "99 %", "greatest")


def section(report: Report) -> Section:
    about = (
        "A spike is a length that far more documents have than those nearby: a limit at which "
        "texts were cut, a template, a generator. What is expected is told by the lengths around; "
        "p is Poisson's chance of as many documents or more. Spikes are those of all documents or "
        "of one source; the largest are marked in the figures by their numbers."
    )
    return section_of(report, "lengths", "Lengths", "lengths", Lengths, _show, about=about)


def _show(found: list[Answer]) -> str:
    units = dict.fromkeys(unit for one in found for unit in one.value.units)
    return "".join(_unit(unit, [one for one in found if unit in one.value.units]) for unit in units)


def _unit(unit: str, found: list[Answer]) -> str:
    spreads, rows = [], []
    for one in found:
        measured: OfUnit = one.value.units[unit]
        peaks = [
            Peak(k, spike.length, spike.documents)
            for k, spike in enumerate(_ranked(measured)[:MOST_MARKED], 1)
        ]
        spreads.append(
            Spread(
                one.corpus.name, measured.histogram.lengths, measured.histogram.documents,
                measured.quantiles.get("0.5"), peaks,
            )
        )  # fmt: skip
        rows.append(
            (
                blocks.name(one.corpus.name), count(measured.documents), number(measured.mean),
                *(count(measured.quantiles.get(q)) for q in QUANTILES), count(measured.uncounted),
            )
        )  # fmt: skip
    body = f"<h3>In {blocks.name(unit)}</h3>"
    drawable = [one for one in spreads if one.lengths][:MOST_PANELS]
    if drawable:
        body += figure_of(
            histograms.lengths(
                f"lengths-{blocks.slug(unit)}", f"Lengths in {unit}", unit, drawable
            ),
            f"Documents by length in {blocks.name(unit)}, 24 bins to a power of ten; the numbered "
            "marks are spikes.",
        )
    heads = ["corpus", n("documents"), n("mean"), *map(n, _HEADS), n("not counted")]
    body += blocks.table(f"Quantiles of lengths in {blocks.name(unit)}, exact", heads, rows)
    for number_, one in enumerate(found):
        spikes = _spikes(unit, one, one.value.units[unit])
        title = f"Spikes of {blocks.name(one.corpus.name)}, in {blocks.name(unit)}"
        body += spikes if number_ < MOST_OPEN else blocks.folded(title, spikes)
        body += _by_source(unit, one, one.value.units[unit])
    return body


def _ranked(measured: OfUnit) -> list[Spike]:
    """Spikes of all and of sources, those with most documents beyond what is expected first."""
    return sorted(measured.spikes, key=lambda one: (one.expected - one.documents, one.length))


def _spikes(unit: str, one: Answer, measured: OfUnit) -> str:
    name = f"{blocks.name(one.corpus.name)}, in {blocks.name(unit)}"
    if not measured.spikes:
        return blocks.soft(f"No length stands out in {name}.")
    rows = [
        (
            str(k), blocks.name(spike.source) if spike.source is not None else "all",
            count(spike.length), count(spike.documents), number(spike.expected, 3),
            probability(spike.p_value), _places(spike),
        )
        for k, spike in enumerate(_ranked(measured)[:MOST_SPIKES], 1)
    ]  # fmt: skip
    heads = ["", "source", n("length"), n("documents"), n("expected"), n("p"), "the first of them"]
    shown = blocks.table(f"Spikes of {name}", heads, rows)
    return shown + blocks.others(len(measured.spikes) - len(rows), "spike")


def _places(spike: Spike) -> str:
    return ", ".join(blocks.place(one.file, one.line) for one in spike.examples[:MOST_PLACES])


def _by_source(unit: str, one: Answer, measured: OfUnit) -> str:
    if len(measured.sources) < 2:
        return ""
    rows = [
        (blocks.name(source), *(count(quantiles.get(q)) for q in QUANTILES))
        for source, quantiles in list(measured.sources.items())[:40]
    ]
    name = f"{blocks.name(one.corpus.name)}, in {blocks.name(unit)}"
    inside = blocks.table(f"By source: {name}", ["source", *map(n, _HEADS)], rows)
    inside += blocks.others(len(measured.sources) - len(rows), "source")
    return blocks.folded(f"Quantiles of {name}, by source", inside)
