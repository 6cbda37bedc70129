"""What taggers and deduplication said: the distribution of each column of attributes."""

from __future__ import annotations

import math

from dolma_kit.markup import attribute, counted
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.blocks import n, part, percent
from dolma_kit.reporting.numbers import count, number
from dolma_kit.reporting.reading import Answer, Section, heading
from dolma_kit.reporting.reading import section as section_of
from dolma_kit.statistics.attribute_scores import Attributes, OfColumn

MOST_COLUMNS = 60
BINS = 36
WIDE, HIGH = 144, 30  # of a small histogram, pixels
MIDDLE = ("0.05", "0.5", "0.95")


def section(report: Report) -> Section:
    about = (
        "The small histograms span each column's own values from the least to the greatest, the "
        "highest bin as high as the line; of columns that are wide and above 0, by their logarithm "
        "(marked log). A dot is the median."
    )
    return section_of(
        report, "attributes", "Scores of attributes", "attributes", Attributes, _show, about=about
    )


def _show(found: list[Answer]) -> str:
    body = ""
    for one in found:
        answer: Attributes = one.value
        name = blocks.name(one.corpus.name)
        body += heading(one.corpus, found)
        scores = [(k, c) for k, c in answer.columns.items() if c.kind == "score"]
        spans = [(k, c) for k, c in answer.columns.items() if c.kind != "score"]
        # Columns with something to see first: a column of a rare language has few values.
        shown = [(k, c) for k, c in scores if c.missing_rate <= 0.5 and _varies(c)]
        rest = [(k, c) for k, c in scores if c.missing_rate > 0.5 or not _varies(c)]
        if shown:
            body += _scores(name, shown, answer.precision)
        if rest:
            title = f"{counted(len(rest), 'column')} of {name} with one value, or mostly missing"
            body += blocks.folded(title, _scores(name, rest, answer.precision))
        if spans:
            body += _spans(name, spans)
    return body


def _varies(one: OfColumn) -> bool:
    values = one.values
    return values.least is not None and values.least != values.greatest


def _scores(name: str, columns: list[tuple[str, OfColumn]], precision: float) -> str:
    rows = [
        (
            blocks.name(column, 46, tail=18), small_histogram(column, one),
            percent(one.missing_rate), number(one.values.mean), number(one.values.least),
            *(number(one.values.quantiles.get(q)) for q in MIDDLE), number(one.values.greatest),
        )
        for column, one in columns[:MOST_COLUMNS]
    ]  # fmt: skip
    heads = ["score", "distribution", n("missing"), n("mean"), n("least"), n("5 %"), n("median"),
             n("95 %"), n("greatest")]  # fmt: skip
    documents = max(one.documents for _, one in columns)
    caption = (
        f"Scores of {name}, of {count(documents)} documents; quantiles are true to "
        f"{percent(precision)} of the value"
    )
    table = blocks.table(caption, heads, rows)
    return table + blocks.others(len(columns) - len(rows), "column")


def _spans(name: str, columns: list[tuple[str, OfColumn]]) -> str:
    rows = [
        (
            blocks.name(column, 46, tail=18), small_histogram(column, one),
            count(one.documents - one.missing), percent(one.missing_rate), count(one.with_spans),
            part(one.with_spans, one.documents - one.missing), count(one.values.n),
            count(one.characters), number(one.values.mean),
        )
        for column, one in columns[:MOST_COLUMNS]
    ]  # fmt: skip
    heads = ["spans", "their scores", n("documents"), n("missing"), n("with spans"), n("share"),
             n("spans"), n("characters"), n("mean score")]  # fmt: skip
    table = blocks.table(f"Spans of {name}", heads, rows)
    return table + blocks.others(len(columns) - len(rows), "column")


def small_histogram(column: str, one: OfColumn) -> str:
    """A histogram as high as a line; empty where there is one value or none."""
    bins = [(low, n_values) for low, n_values in one.histogram if math.isfinite(low)]
    least, greatest = one.values.least, one.values.greatest
    if least is None or greatest is None or least >= greatest or not bins:
        return "<span class='soft small'>one value</span>" if bins else "–"
    is_log = least > 0 and greatest / least > 1000
    scale = math.log10 if is_log else float
    low, high = scale(least), scale(greatest)
    counts = [0] * BINS
    for value, n_values in bins:
        where = (scale(min(max(value, least), greatest)) - low) / (high - low)
        counts[min(int(where * BINS), BINS - 1)] += n_values
    top = max(counts)
    step = WIDE / BINS
    path = "".join(
        f"M{i * step:.1f} {HIGH}v-{max(HIGH * c / top, 0.7):.1f}h{step - 0.5:.1f}V{HIGH}z"
        for i, c in enumerate(counts)
        if c
    )
    middle = one.values.quantiles.get("0.5")
    dot = ""
    if middle is not None:
        x = (scale(min(max(middle, least), greatest)) - low) / (high - low) * WIDE
        dot = f'<circle cx="{x:.1f}" cy="{HIGH + 3.5}" r="2.5" style="fill:var(--ink)"/>'
    said = attribute(f"{column}: {number(least)} to {number(greatest)}, median {number(middle)}")
    log = " <span class='soft small'>log</span>" if is_log else ""
    return (
        f'<span class=when><svg class=small viewBox="-3 0 {WIDE + 6} {HIGH + 7}" width={WIDE + 6} '
        f"height={HIGH + 7} role=img "
        f'aria-label="{said}"><path d="{path}" style="fill:var(--c0)"/>'
        f'<path d="M0 {HIGH}H{WIDE}" style="stroke:var(--line)"/>{dot}</svg>{log}</span>'
    )
