"""What a corpus shares with evaluations, with other corpora, and how it compares to published
ones."""

from __future__ import annotations

import importlib.resources
import shlex
from typing import Any

import msgspec

from dolma_kit.markup import escaped
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report, Similarity
from dolma_kit.reporting.blocks import heat, n, part, percent, texts
from dolma_kit.reporting.numbers import count, estimate, interval
from dolma_kit.reporting.reading import Answer, Section, heading, missing
from dolma_kit.reporting.reading import answers as answers_of
from dolma_kit.reporting.reading import section as section_of
from dolma_kit.statistics.contamination import Contamination, OfRule
from dolma_kit.statistics.duplicates import Duplicates
from dolma_kit.statistics.findings import Findings
from dolma_kit.statistics.languages import Languages
from dolma_kit.statistics.lengths import Lengths
from dolma_kit.statistics.summary import Summary
from dolma_kit.statistics.urls import Urls

MOST_BENCHMARKS = 80
MOST_RULES = 12
MOST_PAIRS = 12
MOST_NAMES = 16
KINDS = {"text": "documents", "texts": "documents", "url": "URLs", "urls": "URLs",
         "paragraph": "paragraphs", "paragraphs": "paragraphs"}  # fmt: skip


def contamination(report: Report) -> Section:
    about = (
        "Which items of evaluations the documents hold, by the rules in use. The share is of the "
        "items that a rule can find, with Wilson's 95 % interval. What a rule does not find is not "
        "proved to be absent."
    )
    return section_of(
        report, "contamination", "Contamination", "contamination", Contamination, _contamination,
        about=about,
    )  # fmt: skip


def _contamination(found: list[Answer]) -> str:
    body = ""
    for one in found:
        answer: Contamination = one.value
        name = blocks.name(one.corpus.name)
        body += heading(one.corpus, found)
        rules = list(answer.rules.items())[:MOST_RULES]
        rows = [
            (blocks.name(rule), count(each.documents), count(each.contaminated),
             part(each.contaminated, each.documents), count(each.spans), count(each.characters))
            for rule, each in rules
        ]  # fmt: skip
        heads = ["rule", n("documents"), n("contaminated"), n("share"), n("spans"), n("characters")]
        body += blocks.table(
            f"Documents of {name} that hold items; without attributes: {count(answer.missing)} "
            f"({percent(answer.missing_rate)})", heads, rows,
        )  # fmt: skip
        body += _matrix(name, rules, len(answer.rules)) + _held(one)
        if not any(each.benchmarks for _, each in rules):
            body += blocks.soft("No report stands beside the attributes: nothing on benchmarks.")
    return body


def _matrix(name: str, rules: list[tuple[str, OfRule]], n_rules: int) -> str:
    benchmarks = list(dict.fromkeys(b for _, each in rules for b in each.benchmarks))
    if not benchmarks:
        return ""
    rows = []
    for benchmark in benchmarks[:MOST_BENCHMARKS]:
        cells = [blocks.name(benchmark)]
        for _, each in rules:
            one = each.benchmarks.get(benchmark)
            if one is None or not one.items:
                cells.append("<td><span class=soft>–</span></td>")
                continue
            cells.append(
                heat(one.share,
                     f"{percent(one.share)}<small>{interval(one.low, one.high)}; "
                     f"{count(one.contaminated)} of {count(one.items)}</small>")
            )  # fmt: skip
        rows.append(cells)
    caption = (
        f"Items of each benchmark that {name} holds, by rule: share, 95 % interval, items; – where "
        "a rule can find none"
    )
    heads = ["benchmark", *(n(rule) for rule, _ in rules)]
    more = blocks.others(len(benchmarks) - len(rows), "benchmark")
    more += blocks.others(n_rules - len(rules), "rule")
    return blocks.table(caption, heads, rows, kind="heat") + more


def _held(one: Answer) -> str:
    if not one.corpus.held:
        return ""
    rows = [
        (
            blocks.name(each.rule), f"{blocks.name(each.benchmark)}, {blocks.name(each.item)}",
            percent(each.share), blocks.place(each.file, each.line),
            "–" if each.asked is None else blocks.text(each.asked),
            "–" if each.matched is None else blocks.text(each.matched),
        )
        for each in one.corpus.held[:MOST_PAIRS]
    ]  # fmt: skip
    heads = ["rule", "item", n("share"), "document", texts("asked"), texts("in the document")]
    name = blocks.name(one.corpus.name)
    table = blocks.table(f"Items that {name} holds, and where", heads, rows)
    return table + blocks.others(len(one.corpus.held) - len(rows), "item")


def overlap(report: Report) -> Section:
    """How much corpora share, by the sketches that are saved of them."""
    id_, title = "overlap", "Overlap of corpora"
    found = [one for one in report.similarities if one.names]
    if not found:
        return Section(id_, title, missing(report, id_, is_measured=False), False)
    body = (
        "<p>How much of the corpus of a row stands in that of a column, too, by different keys, "
        "equal byte by byte. What is estimated has half of its 95 % interval beside it.</p>"
    )
    body += "".join(map(_similarity, found))
    names = shlex.join(found[0].names[:MOST_NAMES])
    body += blocks.command(f"dolma-kit stats overlap {names}")
    return Section(id_, title, body + missing(report, id_, is_measured=True), True)


def _similarity(one: Similarity) -> str:
    shown = range(min(len(one.names), MOST_NAMES))
    rows = []
    for i in shown:
        about = "" if one.exact[i] else "≈ "
        cells = [blocks.name(one.names[i]), f"<td>{about}{count(one.distinct[i])}</td>"]
        for j in shown:
            share, error = one.shared[i][j], one.errors[i][j]
            if i == j:
                cells.append("<td><span class=soft>itself</span></td>")
            elif share is None:
                cells.append("<td><span class=soft>–</span></td>")
            else:
                sure = f"± {100 * error:.2g} %" if error else "exact"
                cells.append(heat(share, f"{percent(share)}<small>{sure}</small>"))
        rows.append(cells)
    kind = KINDS.get(one.kind, one.kind)
    heads = ["of", n("different"), *(n(_head(one.names[j])) for j in shown)]
    more = blocks.others(len(one.names) - len(rows), "corpus")
    caption = f"Different {escaped(kind)} of each corpus, and how many stand in another one, too"
    return blocks.table(caption, heads, rows, kind="heat") + more


def _head(name: str) -> str:
    return f"in {name[:24] or blocks.NO_NAME}"


def published(report: Report) -> Section:
    """The figures of our corpora beside those that others printed of theirs."""
    id_, title = "published", "Beside published corpora"
    reference = wimbd()
    ours = [row for corpus in report.corpora if (row := _ours(report, corpus.name)) is not None]
    source = reference["source"]
    cited = (
        f"{escaped(source['authors'])} ({source['year']}), {escaped(source['title'])}, arXiv "
        f"{escaped(source['arxiv'])}, tables {escaped(source['tables'])}"
    )
    rows = [*ours, *(_theirs(one) for one in reference["corpora"])]
    heads = ["corpus", n("GB"), n("documents"), n("tokens"), n("median"), n("longest"),
             n("shortest"), n("with a text that occurs again")]  # fmt: skip
    body = blocks.table(
        f"Ours, and those of {cited}. Tokens are words by UAX #29, lengths are in them", heads,
        [row[: len(heads)] for row in rows], named="Sizes of published corpora",
    )  # fmt: skip
    more = ["corpus", n("e-mails"), n("phones"), n("IPs"), n("toxic, classifier"),
            n("toxic, lexicon"), n("English"), n("https")]  # fmt: skip
    body += blocks.table(
        "Personal data, toxicity, languages and schemes. Theirs are corrected by the precision of "
        "a sample, ours are what our rules find", more,
        [[row[0], *row[len(heads) :]] for row in rows], named="Contents of published corpora",
    )  # fmt: skip
    note = "".join(f"<li>{escaped(line)}</li>" for line in reference["notes"])
    body += blocks.folded("How to read their figures", f"<ul class=small>{note}</ul>")
    wanted = "dolma-kit stats summary,lengths,languages,urls,duplicates,pii DOCS --out DIR"
    body += blocks.command(wanted)
    return Section(id_, title, body + missing(report, id_, is_measured=True), bool(ours))


def wimbd() -> dict[str, Any]:
    """The figures that are printed in WIMBD."""
    place = importlib.resources.files("dolma_kit.reporting") / "wimbd.json"
    found: dict[str, Any] = msgspec.json.decode(place.read_bytes())
    return found


def _ours(report: Report, name: str) -> list[str] | None:
    """A row of ours: of what was not asked there is a dash."""
    kinds: dict[str, Any] = {
        "summary": Summary, "lengths": Lengths, "duplicates": Duplicates, "pii": Findings,
        "languages": Languages, "urls": Urls,
    }  # fmt: skip
    found: dict[str, Any] = {}
    corpus = None
    for statistic, kind in kinds.items():
        for one in answers_of(report, statistic, kind):
            if one.corpus.name == name and one.value is not None:
                found[statistic], corpus = one.value, one.corpus
    if corpus is None or "summary" not in found:
        return None
    total = found["summary"].total
    words = found["lengths"].units.get("words") if "lengths" in found else None
    texts_ = found["duplicates"].kinds.get("text") if "duplicates" in found else None
    hits = found["pii"].kinds if "pii" in found else {}
    english = None
    if "languages" in found and found["languages"].documents:
        known = found["languages"].languages.get("en")
        english = (known.documents if known else 0) / found["languages"].documents
    return [
        f"<b>{blocks.name(corpus.name)}</b> <span class='soft small when'>ours</span>",
        f"{total.amount.bytes / 1e9:.3g}",
        count(total.amount.documents), count(total.amount.words),
        count(words.quantiles.get("0.5")) if words else "–",
        count(total.longest["words"].length) if "words" in total.longest else "–",
        count(total.shortest["words"].length) if "words" in total.shortest else "–",
        "–" if texts_ is None else
        f"{estimate(texts_.in_clusters)} ({part(texts_.in_clusters.value, texts_.keys)})",
        *(_hits(hits, key) for key in ("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS")),
        "–", "–", percent(english), _https(found.get("urls")),
    ]  # fmt: skip


def _hits(kinds: dict[str, Any], key: str) -> str:
    return count(kinds[key].hits) if key in kinds else "–"


def _https(urls: Urls | None) -> str:
    if urls is None or "scheme" not in urls.levels or not urls.states.get("url"):
        return "–"
    schemes = urls.levels["scheme"].by_documents
    return part(sum(o.documents for o in schemes if o.name == "https"), urls.states["url"])


def _theirs(one: dict[str, Any]) -> list[str]:
    duplicates = "–"
    if one["duplicates"] is not None:
        duplicates = f"{count(one['duplicates'])} ({percent(one['duplicates'] / one['documents'])})"
    return [
        escaped(one["name"]), f"{one['gb']:,.1f}", count(one["documents"]), count(one["tokens"]),
        count(one["median_tokens"]), count(one["longest"]), count(one["shortest"]), duplicates,
        *(_round(one[key]) for key in ("emails", "phones", "ips")),
        *(_percent(one[key]) for key in ("toxic_classifier", "toxic_lexicon", "english", "https")),
    ]  # fmt: skip


def _percent(value: float | None) -> str:
    """A percentage as it was printed."""
    return "–" if value is None else f"{value:g} %"


def _round(value: float | None) -> str:
    """Printed in thousands or millions."""
    return "–" if value is None else f"{value:,.0f}"
