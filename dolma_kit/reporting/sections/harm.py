"""Personal data and toxicity: how much was found, and how much of it is such. What it says is not
shown."""

from __future__ import annotations

from dolma_kit.markup import counted, escaped
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import MaskedExample, Report
from dolma_kit.reporting.blocks import n, part, percent, texts
from dolma_kit.reporting.numbers import count, interval, number
from dolma_kit.reporting.reading import Answer, Section, heading
from dolma_kit.reporting.reading import section as section_of
from dolma_kit.reporting.redaction import dotted
from dolma_kit.statistics.findings import Findings, OfKind

MOST_KINDS = 40
MOST_SOURCES = 30
MOST_EXAMPLES = 3
AROUND = 40  # characters


def pii(report: Report) -> Section:
    about = (
        "Personal data, by the kinds that a tagger knows. Precision is by hits that were judged by "
        "hand, with Wilson's 95 % interval; it bounds how many of the hits are such. Examples are "
        "masked."
    )
    return section_of(
        report, "pii", "Personal data", "pii", Findings,
        lambda found: _show("pii", found), about=about,
    )  # fmt: skip


def toxicity(report: Report) -> Section:
    about = (
        "Texts that a classifier or a lexicon takes for toxic. Neither is a judgement of a text: "
        "lists of words also find who is spoken of. Examples show first letters only."
    )
    return section_of(
        report, "toxicity", "Toxicity", "toxicity", Findings,
        lambda found: _show("toxicity", found), about=about,
    )  # fmt: skip


def _show(statistic: str, found: list[Answer]) -> str:
    rows = [
        (
            blocks.name(one.corpus.name), count(one.value.total.documents),
            f"{count(one.value.total.missing)} ({percent(one.value.missing_rate)})",
            count(one.value.total.not_searched), count(one.value.total.words),
            blocks.name(one.value.by, 100),
        )
        for one in found
    ]  # fmt: skip
    heads = ["corpus", n("documents"), n("no attributes"), n("left out by the rule"),
             n("words searched"), "found by"]  # fmt: skip
    body = blocks.table("What was searched", heads, rows)
    for one in found:
        body += heading(one.corpus, found) + _kinds(one) + _by_source(one)
        body += _examples(statistic, one)
    return body


def _kinds(one: Answer) -> str:
    answer: Findings = one.value
    rows = [
        (
            blocks.name(kind, 80), count(each.documents), part(each.documents, each.searched),
            count(each.hits), number(each.per_million_words), _precision(each), _true(each),
        )
        for kind, each in list(answer.kinds.items())[:MOST_KINDS]
    ]  # fmt: skip
    heads = ["kind", n("documents"), n("share"), n("hits"), n("per million words"), n("precision"),
             n("true hits")]  # fmt: skip
    table = blocks.table(f"Found in {blocks.name(one.corpus.name)}", heads, rows)
    return table + blocks.others(len(answer.kinds) - len(rows), "kind")


def _precision(one: OfKind) -> str:
    found = one.precision
    if found is None:
        return "<span class=soft>not judged</span>" if one.hits else "–"
    return (
        f"{percent(found.share)} <span class='soft small'>({interval(found.low, found.high)}; "
        f"{count(found.correct)} of {count(found.judged)})</span>"
    )


def _true(one: OfKind) -> str:
    if one.true_hits is None:
        return "–"
    return f"{count(one.true_hits[0])} to {count(one.true_hits[1])}"


def _by_source(one: Answer) -> str:
    answer: Findings = one.value
    kinds = list(answer.kinds.items())[:6]
    if len(answer.sources) < 2 or not kinds:
        return ""
    rows = [
        (blocks.name(source), count(each.documents), count(each.missing),
         *(count(kind.sources.get(source, 0)) for _, kind in kinds))
        for source, each in list(answer.sources.items())[:MOST_SOURCES]
    ]  # fmt: skip
    heads = ["source", n("documents"), n("no attributes"), *(n(kind[:40]) for kind, _ in kinds)]
    name = blocks.name(one.corpus.name)
    inside = blocks.table(f"Documents with a hit, by source of {name}", heads, rows)
    inside += blocks.others(len(answer.sources) - len(rows), "source")
    return blocks.folded(f"Documents with a hit, by source of {name}", inside)


def _examples(statistic: str, one: Answer) -> str:
    examples = one.corpus.examples.get(statistic, {})
    rows = [
        (blocks.name(kind), blocks.place(each.file, each.line), number(each.score, 3),
         _masked(each))
        for kind, some in list(examples.items())[:MOST_KINDS]
        for each in some[:MOST_EXAMPLES]
    ]  # fmt: skip
    if not rows:
        return ""
    answer: Findings = one.value
    drawn = sum(each.sampled for each in answer.kinds.values())
    name = blocks.name(one.corpus.name)
    caption = (
        f"Masked examples of {name}, of {counted(drawn, 'hit')} drawn by a hash with seed "
        f"{answer.seed}"
    )
    heads = ["kind", "where", n("score"), texts("masked, with what stands around")]
    return blocks.folded(f"Masked examples of {name}", blocks.table(caption, heads, rows))


def _masked(one: MaskedExample) -> str:
    before = " ".join(one.before.split())[-AROUND:]
    after = " ".join(one.after.split())
    return (
        f"<span class=soft>{blocks.text(before, AROUND)}</span> "
        f"<bdi class=mark>{escaped(dotted(one.mask))}</bdi> "
        f"<span class=soft>{blocks.text(after[:AROUND], AROUND)}</span>"
    )
