"""What is wrong with a corpus, or may do harm: repetition, faults, personal data, toxic texts,
items of evaluations."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dolma_kit.markup import counted
from dolma_kit.reporting import markdown
from dolma_kit.reporting.answers import Report, Similarity
from dolma_kit.reporting.facts.measured import REPORT, Blocks, answers, asked, bullets, named, table
from dolma_kit.reporting.facts.processing import masks
from dolma_kit.reporting.numbers import (
    NONE,
    count,
    estimate,
    interval,
    number,
    part,
    percent,
)
from dolma_kit.statistics.contamination import Contamination
from dolma_kit.statistics.duplicates import Duplicates
from dolma_kit.statistics.findings import Findings, OfKind
from dolma_kit.statistics.lengths import Lengths

MOST_SPIKES = 5
MOST_PAIRS = 10


def duplicates(report: Report) -> Blocks:
    heads = ["what", ">in all", ">different", ">in groups of equal ones", ">more than one of each",
             ">share"]  # fmt: skip
    shown = table(
        answers(report, "duplicates", Duplicates),
        heads,
        lambda value: (
            [f"{kind}s", count(one.keys), estimate(one.distinct), estimate(one.in_clusters),
             estimate(one.removable), percent(one.rate)]
            for kind, one in value.kinds.items()
        ),
    )  # fmt: skip
    return ["What occurs more than once, byte by byte:", *shown] if shown else []


def equal_texts(report: Report) -> Blocks:
    """Which documents are the same as others."""
    found = answers(report, "duplicates", Duplicates)
    return bullets(
        f"{named(one.corpus)}: {estimate(kind.in_clusters)} of {count(kind.keys)} texts are the "
        f"same as another one, in {estimate(kind.clusters)} groups."
        for one in found
        if (kind := one.value.kinds.get("text")) is not None
    ) + asked(found)


def shared(report: Report) -> Blocks:
    """How much folders have of each other's texts; not what was mixed, which is of the others."""
    mixed = {f for one in report.corpora if one.role == "mixed" for f in one.documents}
    rows = [
        [markdown.code(a), markdown.code(b), percent(share)]
        for one in report.similarities
        if one.kind == "text"
        for share, a, b in _pairs(one, mixed)[:MOST_PAIRS]
    ]
    if not rows:
        return []
    heads = ["of the different texts of", "are in", ">share"]
    said = "Texts that folders share, most first (a share is known within its sketch's error):"
    names = dict.fromkeys(name for one in report.similarities for name in one.names)
    command = f"dolma-kit stats overlap {shlex.join(name for name in names if name not in mixed)}"
    return [said, markdown.table(heads, rows), markdown.command(command)]


def _pairs(one: Similarity, left_out: set[str]) -> list[tuple[float, str, str]]:
    found = [
        (share, a, b)
        for a, row in zip(one.names, one.shared, strict=True)
        for b, share in zip(one.names, row, strict=True)
        if a != b and share and not {a, b} & left_out
    ]
    return sorted(found, key=lambda pair: (-pair[0], pair[1:]))


def spikes(report: Report) -> Blocks:
    """Lengths that stand out, as templates give them."""
    found = answers(report, "lengths", Lengths)
    told = bullets(
        f"{named(one.corpus)}: {count(spike.documents)} documents are exactly "
        f"{count(spike.length)} {unit} long; {number(spike.expected)} were to be expected."
        for one in found
        for unit, of_unit in one.value.units.items()
        for spike in [s for s in of_unit.spikes if s.source is None][:MOST_SPIKES]
    )
    return [*told, *asked(found)] if told else []


def quarantined(report: Report) -> Blocks:
    """Bad input that stages set aside; a line is told by each stage that read it."""
    stages = [one for one in report.stages if not one.stage.startswith("stats ")]
    if not stages:
        return []
    aside = [one for one in stages if one.quarantined]
    if not aside:
        none = f"None of {counted(len(stages), 'output folder')} has set input aside."
        return [none, markdown.command(REPORT)]
    told = bullets(
        f"{markdown.code(one.stage)} set {counted(one.quarantined, 'line')} aside that could not "
        f"be read, in {markdown.code(one.folder)}."
        for one in aside
    )
    return [*told, markdown.command(REPORT)]


def personal_data(report: Report) -> Blocks:
    """Hits by kind, how many of them are such, and what the mix does about them."""
    shown = _findings(report, "pii")
    if not shown:
        return masks(report)
    said = (
        "Personal data of a fixed form, as rules find it; names, places and stories are not looked "
        "for."
    )
    return [said, *shown, *masks(report)]


def toxic(report: Report) -> Blocks:
    return _findings(report, "toxicity")


def _findings(report: Report, statistic: str) -> Blocks:
    found = answers(report, statistic, Findings)
    heads = ["kind", ">documents", ">share of those searched", ">hits", ">per million words",
             "hits that are such, as judged by hand"]  # fmt: skip

    def rows(value: Findings) -> Iterator[list[str]]:
        for kind, one in value.kinds.items():
            yield [markdown.code(kind), count(one.documents), part(one.documents, one.searched),
                   count(one.hits), number(one.per_million_words), _precision(one)]  # fmt: skip

    shown = table(found, heads, rows)
    told = bullets(
        f"{named(one.corpus)}: found by {markdown.code(one.value.by)} in "
        f"{count(total.documents - total.missing - total.not_searched)} of "
        f"{count(total.documents)} documents; {count(total.missing)} have not been looked at, "
        f"{count(total.not_searched)} are left out by the rule."
        for one in found
        for total in (one.value.total,)
    )
    return [*told, *(shown or asked(found))]


def _precision(one: OfKind) -> str:
    if one.precision is None:
        return "not judged" if one.hits else NONE
    told = one.precision
    return (
        f"{count(told.correct)} of {count(told.judged)}: {percent(told.share)} "
        f"({interval(told.low, told.high)})"
    )


def contamination(report: Report) -> Blocks:
    """Documents that hold items of evaluations, and which benchmarks are held."""
    found = answers(report, "contamination", Contamination)
    shown = table(
        found,
        ["rule", ">documents looked at", ">hold items", ">share"],
        lambda value: (
            [markdown.code(rule), count(one.documents), count(one.contaminated),
             part(one.contaminated, one.documents)]
            for rule, one in value.rules.items()
        ),
    )  # fmt: skip
    held = table(
        found,
        ["rule", "benchmark", ">items", ">held", ">share", "95 % interval"],
        lambda value: (
            [markdown.code(rule), markdown.code(name), count(one.items), count(one.contaminated),
             percent(one.share), interval(one.low, one.high)]
            for rule, of_rule in value.rules.items()
            for name, one in of_rule.benchmarks.items()
        ),
    )[:-1]  # fmt: skip
    if not shown:
        return []
    said = "Evaluations are spoilt by documents that hold their items:"
    return [said, *shown, *(["Benchmarks that are held:", *held] if held else [])]
