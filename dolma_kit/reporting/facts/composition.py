"""What a corpus consists of: documents by source, lengths, languages, where and when they are from,
and what some of them lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dolma_kit.markup import counted
from dolma_kit.reporting import markdown
from dolma_kit.reporting.answers import Report, Share
from dolma_kit.reporting.facts.measured import (
    MOST_ROWS,
    Blocks,
    answers,
    asked,
    asked_of_mixes,
    bullets,
    named,
    table,
)
from dolma_kit.reporting.numbers import NONE, count, integer, number, part, percent, size
from dolma_kit.reporting.reading import Answer
from dolma_kit.statistics.dates import Dates
from dolma_kit.statistics.languages import Languages
from dolma_kit.statistics.lengths import Lengths
from dolma_kit.statistics.licenses import Licenses
from dolma_kit.statistics.summary import Summary
from dolma_kit.statistics.urls import Urls

TOP = 10
SUMMED = ("documents_in", "bytes_in", "words_in", "documents_out", "bytes_out", "words_out",
          "tokens")  # fmt: skip


def total(report: Report, key: str) -> int | None:
    """What all sources have together of a figure; None where nobody counted it."""
    known = [value for one in report.composition if (value := getattr(one, key)) is not None]
    return sum(known) if known else None


def kinds(report: Report) -> Blocks:
    names = dict.fromkeys(one.source for one in report.composition)
    if not names:
        names = dict.fromkeys(name for one in _others(report) for name in one.value.sources)
    if not names:
        return []
    told = counted(len(names), "source")
    return [f"Documents, which are texts, of {told}: {markdown.codes(names)}."]


def _others(report: Report) -> list[Answer]:
    """Amounts of corpora that are no part of a pipeline."""
    found = answers(report, "summary", Summary)
    return [one for one in found if one.corpus.role == "other"]


def counts(report: Report) -> Blocks:
    """By source, from what was read to tokens; without a pipeline of what was measured."""
    rows = sorted(
        report.composition, key=lambda one: -(one.tokens or one.bytes_out or one.bytes_in or 0)
    )
    if not rows:
        return _measured_counts(report)
    heads = ["source", ">documents read", ">documents written", ">text read", ">text written",
             ">words read", ">words written", ">tokens", ">share of tokens"]  # fmt: skip
    sums = {key: total(report, key) for key in SUMMED}
    whole = Share(source="", token_share=1.0 if sums["tokens"] else None, **sums)
    cells = [[markdown.code(one.source), *_figures(one)] for one in rows[:MOST_ROWS]]
    left = len(rows) - MOST_ROWS
    more = (
        [f"And {counted(left, 'source')} more, in the JSON beside this card."] if left > 0 else []
    )
    return [
        markdown.filled(heads, [*cells, ["in all", *_figures(whole)]], NONE),
        *more,
        *(_tokens(report)),
        *asked_of_mixes(report, "composition"),
        *asked(answers(report, "summary", Summary)),
    ]


def _figures(one: Share) -> list[str]:
    return [
        count(one.documents_in), count(one.documents_out), size(one.bytes_in),
        size(one.bytes_out), count(one.words_in), count(one.words_out), count(one.tokens),
        percent(one.token_share),
    ]  # fmt: skip


def _tokens(report: Report) -> Iterator[str]:
    for one in report.tokens:
        about = one.about
        yield (
            f"Tokens in {markdown.code(one.folder)}: {count(integer(about.get('tokens')))}, of "
            f"{count(integer(about.get('documents')))} documents, by "
            f"{markdown.code(str(about.get('tokenizer', '')))}, which has "
            f"{count(integer(about.get('vocab_size')))} ids (SHA-256 "
            f"{markdown.code(str(about.get('tokenizer_sha256') or 'unknown'))})."
        )


def _measured_counts(report: Report) -> Blocks:
    heads = ["source", ">documents", ">text", ">words", ">tokens"]
    return table(
        _others(report),
        heads,
        lambda value: (
            [markdown.code(name), count(one.amount.documents), size(one.amount.bytes),
             count(one.amount.words), count(one.amount.tokens)]
            for name, one in value.sources.items()
        ),
    )  # fmt: skip


def lengths(report: Report) -> Blocks:
    found = answers(report, "lengths", Lengths)
    points = {"0.05": "5 %", "0.5": "half", "0.95": "95 %", "1.0": "all"}
    heads = ["in", ">documents", ">mean", *(f">{name} at most" for name in points.values())]
    shown = table(
        found,
        heads,
        lambda value: (
            [unit, count(one.documents), number(one.mean),
             *(count(one.quantiles.get(point)) for point in points)]
            for unit, one in value.units.items()
        ),
    )  # fmt: skip
    said = "An instance is one document: an `id`, the `text`, its `source`, and metadata."
    return [said, "How long the texts are:", *shown] if shown else []


def languages(report: Report) -> Blocks:
    found = answers(report, "languages", Languages)

    def rows(value: Languages) -> Iterator[list[str]]:
        ranked = sorted(value.languages.items(), key=lambda item: (-item[1].documents, item[0]))
        for name, one in ranked[:TOP]:
            yield [markdown.code(name), count(one.documents), part(one.documents, value.documents),
                   size(one.bytes), count(one.unsure)]  # fmt: skip
        left = len(ranked) - TOP
        if left > 0:
            rest = sum(one.documents for _, one in ranked[TOP:])
            yield [f"{left:,} more", count(rest), part(rest, value.documents), "", ""]
        for words, n in (("none found", value.none), ("not looked at", value.missing)):
            if n:
                yield [words, count(n), part(n, value.documents), "", ""]

    heads = ["language", ">documents", ">share", ">text", ">unsure"]
    shown = table(found, heads, rows)
    by = markdown.codes(dict.fromkeys(one.value.by for one in found))
    return [f"Languages, as {by} tells them:", *shown] if shown else []


def domains(report: Report) -> Blocks:
    """Where texts were found, by registered domain."""
    found = answers(report, "urls", Urls)
    told = [one for one in found if "domain" in one.value.levels]
    shown = table(
        told,
        ["domain", ">documents", ">share of those with a URL", ">words"],
        lambda value: (
            [markdown.code(one.name), count(one.documents),
             part(one.documents, value.states.get("url", 0)), count(one.words)]
            for one in value.levels["domain"].by_documents[:TOP]
        ),
    )  # fmt: skip
    said = bullets(
        f"{named(one.corpus)}: {count(one.value.states.get('url', 0))} of "
        f"{count(one.value.documents)} documents have a URL, of "
        f"{counted(one.value.levels['domain'].distinct, 'registered domain')}."
        for one in told
    )
    return [*said, "The most common domains:", *shown] if shown else [*said, *asked(found)]


def self_contained(report: Report) -> Blocks:
    found = answers(report, "urls", Urls)
    lines = bullets(
        f"{named(one.corpus)}: {count(one.value.states.get('url', 0))} of "
        f"{count(one.value.documents)} documents name a URL at {markdown.codes(one.value.keys)}."
        for one in found
    )
    said = "The texts are in the corpus. URLs say where they were; nothing is read from there."
    return [said, *lines, *asked(found)] if lines else []


def dates(report: Report) -> Blocks:
    """When documents are from, and how many do not say."""
    found = answers(report, "dates", Dates)

    def rows(value: Dates) -> Iterator[list[str]]:
        span = sorted(value.months or value.years)
        dated = value.states.get("dated", 0)
        yield [count(dated), part(dated, value.documents), span[0] if span else NONE,
               span[-1] if span else NONE]  # fmt: skip

    shown = table(found, [">documents with a date", ">share", "from", "to"], rows)
    years = table(
        [one for one in found if one.value.years],
        ["year", ">documents", ">share of those with a date"],
        lambda value: (
            [markdown.code(year), count(one.documents),
             part(one.documents, value.states.get("dated", 0))]
            for year, one in sorted(
                sorted(value.years.items(), key=lambda item: -item[1].documents)[:TOP]
            )
        ),
    )[:1]  # fmt: skip
    if not shown:
        return []
    keys = markdown.codes(dict.fromkeys(key for one in found for key in one.value.keys))
    most = ["The years of most documents:", *years] if years else []
    return [f"When the texts are from, as {keys} tell:", *shown[:1], *most, *shown[1:]]


def without_text(report: Report) -> Blocks:
    found = answers(report, "summary", Summary)
    return bullets(
        f"{named(one.corpus)}: {count(amount.empty)} of {count(amount.documents)} documents have "
        f"no text, {count(amount.blank)} nothing but white space."
        for one in found
        for amount in (one.value.total.amount,)
    ) + asked(found)


def without_url(report: Report) -> Blocks:
    return _without(answers(report, "urls", Urls), "url", "URL")


def without_date(report: Report) -> Blocks:
    return _without(answers(report, "dates", Dates), "dated", "date that can be read")


def _without(found: Sequence[Answer], state: str, what: str) -> Blocks:
    """Documents that are not in a state."""
    return bullets(
        f"{named(one.corpus)}: {count(lacking)} of {count(one.value.documents)} documents have no "
        f"{what} ({percent(one.value.missing_rate)})."
        for one in found
        for lacking in (one.value.documents - one.value.states.get(state, 0),)
    ) + asked(found)


def without_licence(report: Report) -> Blocks:
    found = answers(report, "licenses", Licenses)
    return _without_licence(found) + asked(found)


def _without_licence(found: Sequence[Answer]) -> Blocks:
    return bullets(
        f"{named(one.corpus)}: {count(one.value.total.without)} of "
        f"{count(one.value.total.documents)} documents have no licence "
        f"({percent(one.value.missing_rate)})."
        for one in found
    )


def licences(report: Report) -> Blocks:
    found = answers(report, "licenses", Licenses)
    shown = table(
        found,
        ["licence", "told by", ">documents", ">share", ">text"],
        lambda value: (
            [markdown.code(one.license), markdown.code(one.from_), count(one.documents),
             part(one.documents, value.total.documents), size(one.bytes)]
            for one in value.licenses[:TOP]
        ),
    )  # fmt: skip
    if not found:
        return []
    said = "Licences, as documents or their attributes name them:"
    return [said, *_without_licence(found), *(shown or asked(found))]
