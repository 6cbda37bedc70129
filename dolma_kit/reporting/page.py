"""A report as one page: HTML of one file that works offline and without scripts.

The same report gives the same bytes. Nothing on the page comes from elsewhere, and no address that
a text has is a link.
"""

from __future__ import annotations

from dolma_kit.markup import escaped, page
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.reading import Section
from dolma_kit.reporting.style import STYLE


def report_page(report: Report) -> str:
    """The page of a report."""
    from dolma_kit.reporting.sections import overview

    parts = [
        Section("missing", "What is missing", overview.missing(report), True),
        *_sections(report),
    ]
    contents = _contents(parts)
    body = "".join(
        f"<section id={one.id} aria-labelledby=about-{one.id}>"
        f"<h2 id=about-{one.id}>{escaped(one.title)}</h2>{one.body}</section>"
        for one in parts
    )
    whole = (
        "<div class=page>"
        f"<nav class=side aria-label=Contents><p>Contents</p>{contents}</nav>"
        f"<main>{overview.head(report)}"
        f"<details class=contents><summary>Contents</summary>"
        f"<nav aria-label='Contents, narrow'>{contents}</nav></details>{body}</main></div>"
    )
    return page(report.title or "A corpus", whole, style=STYLE)


def _sections(report: Report) -> list[Section]:
    from dolma_kit.reporting.sections import (
        comparisons,
        composition,
        costs,
        harm,
        lengths,
        metadata,
        provenance,
        removal,
        scores,
        texts,
        training,
    )

    return [
        provenance.section(report),
        composition.section(report),
        removal.funnel(report),
        removal.edges(report),
        lengths.section(report),
        metadata.languages(report),
        metadata.urls(report),
        metadata.dates(report),
        metadata.licenses(report),
        texts.ngrams(report),
        texts.duplicates(report),
        scores.section(report),
        harm.pii(report),
        harm.toxicity(report),
        comparisons.contamination(report),
        comparisons.overlap(report),
        training.section(report),
        costs.section(report),
        comparisons.published(report),
    ]


def _contents(parts: list[Section]) -> str:
    """Links to sections; to what was not measured there is none."""
    rows = "".join(
        f"<li><a href=#{one.id}>{escaped(one.title)}</a></li>" for one in parts if one.is_measured
    )
    return f"<ol>{rows}</ol>"
