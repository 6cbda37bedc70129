"""What texts have in common: n-grams, and texts, URLs and paragraphs that occur more than once."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_kit.markup import counted, escaped
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.blocks import n, percent, texts
from dolma_kit.reporting.drawings.histograms import sizes
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, estimate, number
from dolma_kit.reporting.reading import Answer, Section, heading
from dolma_kit.reporting.reading import section as section_of
from dolma_kit.statistics.duplicates import Duplicates, OfKind
from dolma_kit.statistics.ngrams import Ngram, Ngrams, OfLength

MOST_NGRAMS = 12
MOST_CLUSTERS = 12
NGRAM_CHARACTERS = 140
KINDS = {"text": "documents", "url": "URLs", "paragraph": "paragraphs"}


def ngrams(report: Report) -> Section:
    about = (
        "A count is exact, or a lower bound with what the true one does not exceed beside it. "
        "Least common ones are exact, or of a sample."
    )
    return section_of(report, "ngrams", "N-grams", "ngrams", Ngrams, _ngrams, about=about)


def _ngrams(found: list[Answer]) -> str:
    body = ""
    for one in found:
        answer: Ngrams = one.value
        name = blocks.name(one.corpus.name)
        body += heading(one.corpus, found)
        rows = [
            (f"{each.n} {blocks.badge(each.exact)}", count(each.total), estimate(each.distinct),
             _error(each), estimate(each.once), number(each.entropy), count(each.floor))
            for each in answer.lengths.values()
        ]  # fmt: skip
        heads = ["n", n("in all"), n("different"), n("error"), n("occur once"),
                 n("entropy, bits"), n("not listed: at most")]  # fmt: skip
        body += blocks.table(f"N-grams of {escaped(answer.unit)} of {name}", heads, rows)
        for each in answer.lengths.values():
            title = f"{each.n}-grams of {name} {blocks.badge(each.exact)}"
            lists = _listed(each, name, "most", each.most) + _listed(
                each, name, "least", each.least
            )
            body += blocks.folded(
                title,
                f"<div class=pair>{lists}</div>",
                is_open=each.n in (1, 10) and len(found) < 3,
            )
    return body


def _error(one: OfLength) -> str:
    return "none" if one.exact else f"± {100 * one.error:.2g} %"


def _listed(one: OfLength, name: str, which: str, some: Sequence[Ngram]) -> str:
    if not some:
        return ""
    rows = [
        (
            blocks.text(ngram.text, NGRAM_CHARACTERS, mono=True), _times(ngram),
            "–" if ngram.file is None else blocks.place(ngram.file, ngram.line),
        )
        for ngram in some[:MOST_NGRAMS]
    ]  # fmt: skip
    cells: list[tuple[str, ...]] = list(rows)
    sampled = "" if which == "most" or one.exact else f", of a sample of {count(one.sampled)}"
    caption = f"{which.capitalize()} common {one.n}-grams of {name}{sampled}"
    heads = [texts("n-gram"), n("times"), "first at"]
    if all(ngram.file is None for ngram in some):
        heads, cells = heads[:2], [row[:2] for row in rows]
    return f"<div>{blocks.table(caption, heads, cells)}</div>"


def _times(one: Ngram) -> str:
    if one.at_most == one.count:
        return count(one.count)
    return f"{count(one.count)} to {count(one.at_most)}"


def duplicates(report: Report) -> Section:
    about = (
        "Equal is equal byte by byte. What could be removed is all but one of each cluster; for "
        "near duplicates see the scores of attributes, if there are any."
    )
    return section_of(
        report, "duplicates", "Duplicates", "duplicates", Duplicates, _duplicates, about=about
    )


def _duplicates(found: list[Answer]) -> str:
    body = ""
    rows = []
    for one in found:
        for kind, each in one.value.kinds.items():
            is_exact = each.distinct.exact
            rows.append(
                (
                    blocks.name(one.corpus.name), f"{KINDS.get(kind, kind)}", count(each.keys),
                    count(each.without), estimate(each.distinct), estimate(each.clusters),
                    estimate(each.removable), percent(each.rate), blocks.badge(is_exact),
                )
            )  # fmt: skip
    heads = ["corpus", "of", n("in all"), n("without a key"), n("different"), n("clusters"),
             n("could be removed"), n("share"), ""]  # fmt: skip
    body += blocks.table("Duplicates by kind", heads, rows)
    for number_, one in enumerate(found):
        answer: Duplicates = one.value
        name = blocks.name(one.corpus.name)
        kinds = [(KINDS.get(k, k), each.sizes) for k, each in answer.kinds.items() if each.sizes]
        body += heading(one.corpus, found)
        if kinds:
            body += figure_of(
                sizes(f"clusters-{number_}", "Clusters by size", kinds),
                f"How many clusters of equal keys {name} has, by how many copies are in one; both "
                "in powers.",
            )
            order = sorted({s for _, k in kinds for s in k}, key=lambda s: int(s.split("-")[0]))
            by_size = [
                (escaped(size), *(count(k.get(size, 0)) for _, k in kinds)) for size in order
            ]
            inside = blocks.table(
                f"Clusters of {name} by size", ["copies", *(n(kind) for kind, _ in kinds)], by_size
            )
            body += blocks.folded(f"Clusters of {name} by size as a table", inside)
        for kind, each in answer.kinds.items():
            body += _largest(KINDS.get(kind, kind), name, each)
    return body


def _largest(kind: str, name: str, one: OfKind) -> str:
    if not one.largest:
        return blocks.soft(f"No {escaped(kind)} of {name} occur more than once.")
    rows = [
        (
            count(cluster.count), blocks.place(cluster.file, cluster.line),
            "–" if cluster.excerpt is None else blocks.text(cluster.excerpt, 100),
        )
        for cluster in one.largest[:MOST_CLUSTERS]
    ]  # fmt: skip
    has_excerpts = any(cluster.excerpt is not None for cluster in one.largest)
    heads = [n("copies"), "the first at", *([texts("starts with")] * has_excerpts)]
    cells = [row[: len(heads)] for row in rows]
    title = f"Largest clusters of {escaped(kind)} of {name}"
    collisions = one.expected_collisions
    sure = (
        f"Pairs of different keys that one hash of 64 bits may have taken for equal: "
        f"{number(collisions, 2)} expected. {counted(len(one.largest), 'cluster')} in the JSON."
    )
    return blocks.folded(title, blocks.table(title, heads, cells) + blocks.soft(sure))
