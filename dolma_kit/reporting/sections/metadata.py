"""In which languages, from where, from when and under which licences documents are; and of how many
that is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.blocks import n, part, percent
from dolma_kit.reporting.drawings.histograms import years as years_drawing
from dolma_kit.reporting.drawings.points import points
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, number
from dolma_kit.reporting.reading import Answer, Section, heading
from dolma_kit.reporting.reading import section as section_of
from dolma_kit.statistics.dates import Dates
from dolma_kit.statistics.languages import Languages
from dolma_kit.statistics.licenses import Licenses
from dolma_kit.statistics.urls import Level, Urls, display

MOST_POINTS = 18
MOST_ROWS = 16
MOST_CORPORA = 4  # in one figure
MOST_SOURCES = 40
LEVELS = {"domain": "Registered domains", "suffix": "Public suffixes", "host": "Hosts"}


def languages(report: Report) -> Section:
    return section_of(report, "languages", "Languages", "languages", Languages, _languages)


def _languages(found: list[Answer]) -> str:
    body = _missing_rates(
        "Documents whose language is not known",
        [n("no attributes"), n("no language told"), n("unsure (below 0.5)")],
        [
            (one, one.value.documents,
             [one.value.missing, one.value.none,
              sum(language.unsure for language in one.value.languages.values())])
            for one in found
        ],
    )  # fmt: skip
    body += _figure(
        "languages", "Share of documents by language", found,
        lambda one: {k: v.documents for k, v in one.value.languages.items()},
        lambda one: one.value.documents,
    )  # fmt: skip
    tables = ""
    for one in found:
        answer: Languages = one.value
        words = sum(language.words for language in answer.languages.values())
        rows = [
            (blocks.name(label), count(language.documents),
             part(language.documents, answer.documents), count(language.words),
             part(language.words, words), count(language.unsure))
            for label, language in list(answer.languages.items())[:MOST_ROWS]
        ]  # fmt: skip
        heads = ["language", n("documents"), n("share"), n("words"), n("share"), n("unsure")]
        table = blocks.table(
            f"Languages of {blocks.name(one.corpus.name)}, told by {blocks.name(answer.by)}", heads,
            rows,
        )  # fmt: skip
        table += blocks.others(len(answer.languages) - len(rows), "language")
        tables += f"<div>{heading(one.corpus, found)}{table}{_languages_by_source(one)}</div>"
    return f"{body}<div class=pair>{tables}</div>"


def _languages_by_source(one: Answer) -> str:
    answer: Languages = one.value
    if len(answer.sources) < 2:
        return ""
    rows = []
    for source, known in list(answer.sources.items())[:MOST_SOURCES]:
        total = sum(language.documents for language in known.values())
        best = ", ".join(
            f"{blocks.name(label)} {part(language.documents, total)}"
            for label, language in list(known.items())[:5]
        )
        rows.append((blocks.name(source), count(total), count(len(known)), best))
    heads = ["source", n("documents"), n("languages"), "most frequent"]
    name = blocks.name(one.corpus.name)
    inside = blocks.table(f"Languages by source of {name}", heads, rows)
    inside += blocks.others(len(answer.sources) - len(rows), "source")
    return blocks.folded(f"Languages of {name}, by source", inside)


def urls(report: Report) -> Section:
    return section_of(report, "urls", "Domains", "urls", Urls, _urls)


def _urls(found: list[Answer]) -> str:
    states = [
        state for state in dict.fromkeys(s for one in found for s in one.value.states)
        if state != "url"
    ]  # fmt: skip
    above = _missing_rates(
        "Documents without a URL, by why",
        [n(_state(state)) for state in states],
        [(one, one.value.documents, [one.value.states.get(s, 0) for s in states]) for one in found],
    )
    some = [one for one in found if one.value.states.get("url")]
    for level in ("suffix", "domain"):
        above += _figure(
            f"urls-{level}", f"{LEVELS[level]}: share of documents with a URL", some,
            lambda one, level=level: {  # type: ignore[misc]
                display(share.name): share.documents
                for share in one.value.levels[level].by_documents
            } if level in one.value.levels else {},
            lambda one: one.value.states["url"],
        )  # fmt: skip
    columns = below = ""
    for one in some:
        answer: Urls = one.value
        body = heading(one.corpus, found)
        name = blocks.name(one.corpus.name)
        for key, title in (("scheme", "Schemes"), *LEVELS.items()):
            if key in answer.levels:
                body += _level(title, name, answer.levels[key], answer.states["url"],
                               is_open=key in ("scheme", "domain"))  # fmt: skip
        if "domain" in answer.levels:
            below += _spread(name, answer.levels["domain"])
        if answer.not_urls:
            rows = [
                (blocks.text(example.value, 80), blocks.place(example.file, example.line))
                for example in answer.not_urls
            ]
            inside = blocks.table(f"The first values of {name} that are no URLs",
                                  ["value", "where"], rows)  # fmt: skip
            body += blocks.folded(f"Values of {name} that are no URLs", inside)
        columns += f"<div>{body}</div>"
    return f"{above}<div class=pair>{columns}</div>{below}"


def _state(state: str) -> str:
    return {"missing": "none there"}.get(state, state)


def _level(title: str, name: str, level: Level, with_url: int, *, is_open: bool) -> str:
    has_tokens = any(one.tokens is not None for one in level.by_documents)
    heads = [title.lower(), n("documents"), n("share"), n("words"), *([n("tokens")] * has_tokens)]
    rows = [
        [blocks.name(display(one.name)), count(one.documents), part(one.documents, with_url),
         count(one.words), *([count(one.tokens)] * has_tokens)]
        for one in level.by_documents[:MOST_ROWS]
    ]  # fmt: skip
    which = f", the most frequent of {count(level.distinct)}" if level.distinct > len(rows) else ""
    caption = f"{title} of {name}{which}"
    table = blocks.table(caption, heads, rows) + blocks.others(level.distinct - len(rows), "row")
    return table if is_open else blocks.folded(caption, table)


def _spread(name: str, level: Level) -> str:
    rows = [
        (unit, *(count(value) for value in spread.quantiles.values()),
         *(percent(share) for share in spread.top.values()), number(spread.gini, 3))
        for unit, spread in level.spread.items()
        if spread.quantiles
    ]  # fmt: skip
    if not rows:
        return ""
    first = next(one for one in level.spread.values() if one.quantiles)
    heads = [
        "of a domain", *(n(f"{100 * float(q):g} %") for q in first.quantiles),
        *(n(f"the top {int(k):,}") for k in first.top), n("Gini"),
    ]  # fmt: skip
    caption = (
        f"How unequal the domains of {name} are: quantiles of what one has, and the share of the "
        "largest"
    )
    return blocks.table(caption, heads, rows)


def dates(report: Report) -> Section:
    return section_of(report, "dates", "Dates", "dates", Dates, _dates)


def _dates(found: list[Answer]) -> str:
    body = _missing_rates(
        "Documents without a date",
        [n("none there"), n("not readable")],
        [
            (one, one.value.documents,
             [one.value.states.get(state, 0) for state in ("missing", "unreadable")])
            for one in found
        ],
    )  # fmt: skip
    some = [one for one in found if one.value.years][:MOST_CORPORA]
    by_year = [
        (one.corpus.name, {int(y): c.documents for y, c in one.value.years.items()}) for one in some
    ]
    if by_year:
        body += figure_of(
            years_drawing("dates", "Documents by year", by_year), "Documents by year."
        )
    for one in some:
        answer: Dates = one.value
        name = blocks.name(one.corpus.name)
        rows = [
            (blocks.name(year), count(c.documents), part(c.documents, answer.documents),
             count(c.words))
            for year, c in list(answer.years.items())[-100:]
        ]  # fmt: skip
        inside = blocks.table(
            f"Years of {name}", ["year", n("documents"), n("share"), n("words")], rows
        )
        body += blocks.folded(f"Years of {name} as a table", inside)
        if answer.unreadable:
            unread = [
                (blocks.text(example.value, 60), blocks.name(example.key),
                 blocks.place(example.file, example.line))
                for example in answer.unreadable
            ]  # fmt: skip
            inside = blocks.table(f"Dates of {name} that could not be read",
                                  ["value", "key", "where"], unread)  # fmt: skip
            body += blocks.folded(f"Dates of {name} that could not be read", inside)
    return body


def licenses(report: Report) -> Section:
    return section_of(report, "licenses", "Licences", "licenses", Licenses, _licenses)


def _licenses(found: list[Answer]) -> str:
    body = _missing_rates(
        "Documents without a licence",
        [n("none"), n("of these not readable"), n("with several")],
        [
            (one, one.value.total.documents,
             [one.value.total.without, one.value.total.unreadable, one.value.total.several])
            for one in found
        ],
    )  # fmt: skip
    for one in found:
        answer: Licenses = one.value
        if not answer.licenses:
            continue
        rows = [
            (blocks.name(license_.license), blocks.name(license_.from_), count(license_.documents),
             part(license_.documents, answer.total.documents), count(license_.words))
            for license_ in answer.licenses[:MOST_ROWS]
        ]  # fmt: skip
        heads = ["licence", "as told by", n("documents"), n("share"), n("words")]
        body += heading(one.corpus, found)
        body += blocks.table(f"Licences of {blocks.name(one.corpus.name)}", heads, rows)
        body += blocks.others(len(answer.licenses) - len(rows), "licence")
    return body


def _missing_rates(
    caption: str, heads: list[blocks.Head], rows: list[tuple[Answer, int, list[int]]]
) -> str:
    cells = [
        (blocks.name(one.corpus.name), count(documents),
         *(f"{count(value)} ({part(value, documents)})" for value in values))
        for one, documents, values in rows
    ]  # fmt: skip
    return blocks.table(caption, ["corpus", n("documents"), *heads], cells)


def _figure(
    name: str,
    title: str,
    found: Sequence[Answer],
    counts_of: Callable[[Answer], Mapping[str, int]],
    total_of: Callable[[Answer], int],
) -> str:
    """Points by what has most in any of the corpora; the rest, as far as it is known, as others."""
    some = [one for one in found if total_of(one)][:MOST_CORPORA]
    shares = [{k: v / total_of(one) for k, v in counts_of(one).items()} for one in some]
    best: dict[str, float] = {}
    for known in shares:
        for key, share in known.items():
            best[key] = max(best.get(key, 0.0), share)
    order = sorted(best, key=lambda key: (-best[key], key))[:MOST_POINTS]
    if len(order) < 2:
        return ""
    rows = [(key, [known.get(key, 0.0) for known in shares]) for key in order]
    if len(best) > len(order):
        rest = [sum(v for k, v in known.items() if k not in order) for known in shares]
        rows.append((f"{len(best) - len(order)} others", rest))
    drawn = points(name, title, [one.corpus.name for one in some], rows)
    of = " The figure beside a row is that of the greatest point." if len(some) > 1 else ""
    return figure_of(drawn, f"{blocks.name(title)}; the axis is logarithmic.{of}")
