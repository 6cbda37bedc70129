"""What mixes removed: funnels of rules, which of them remove the same, edges of thresholds."""

from __future__ import annotations

import shlex

from dolma_kit.explaining import Funnel
from dolma_kit.markup import counted
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Edge, Example, Mix, Report, StreamRemoval
from dolma_kit.reporting.blocks import n, part, percent, texts
from dolma_kit.reporting.drawings import removal
from dolma_kit.reporting.drawings.histograms import edge as edge_drawing
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, number, size
from dolma_kit.reporting.reading import Section, missing

MOST_DRAWN = 10  # streams of a mix with figures of their own, the largest
MOST_STREAMS = 60
MOST_RULES = 60
MOST_EDGES = 32  # with figures
MOST_EXCERPT = 110
MOST_NEAREST = 2


def funnel(report: Report) -> Section:
    """What rules remove, by mix and stream."""
    id_, title = "funnel", "What filters remove"
    shown = [mix for mix in report.mixes if mix.streams]
    if not shown:
        return Section(id_, title, missing(report, id_, is_measured=False), False)
    body = (
        "<p>Rules in the order in which they are asked. A rule removes what it says should go, "
        "whether others say so, too; it is the first for what no rule before it removed, and "
        "alone for what no other one removes.</p>"
    )
    for number_, mix in enumerate(shown):
        if len(shown) > 1:
            body += f"<h3>{blocks.name(mix.folder)}</h3>"
        body += _streams(number_, mix, "h4" if len(shown) > 1 else "h3")
        body += blocks.command(f"dolma-kit mix funnel --from {shlex.quote(mix.folder)} --json")
    return Section(id_, title, body + missing(report, id_, is_measured=True), True)


def _streams(n_mix: int, mix: Mix, heading: str) -> str:
    ranked = sorted(mix.streams, key=lambda one: -one.funnel.documents)
    drawn = {id(one) for one in ranked[:MOST_DRAWN]}
    body = ""
    for number_, one in enumerate(mix.streams[:MOST_STREAMS]):
        inside = _stream(one, f"{n_mix}-{number_}" if id(one) in drawn else None)
        title = f"{blocks.name(one.funnel.stream)}"
        if id(one) in drawn:
            body += f"<{heading}>{title}</{heading}>{inside}"
        else:
            body += blocks.folded(f"{title}: {_said(one.funnel)}", inside)
    return body + blocks.others(len(mix.streams) - MOST_STREAMS, "stream")


def _said(one: Funnel) -> str:
    kept = part(one.kept_documents, one.documents)
    return (
        f"{counted(one.documents, 'document')} read, {count(one.kept_documents)} kept ({kept}), "
        f"{count(one.written)} written"
    )


def _stream(one: StreamRemoval, drawn: str | None) -> str:
    found = one.funnel
    body = f"<p>{_said(found)}.</p>"
    if not found.rules:
        return body + "<p class=soft>No rule removed a document.</p>"
    of = f"of {blocks.name(found.stream)}"
    if drawn is not None:
        body += figure_of(
            removal.funnel(f"funnel-{drawn}", "What is left after each rule", found),
            f"What is left {of} after each rule, in documents.",
        )
    body += _rules(found)
    several = [combination for combination in one.combinations if len(combination.rules) > 1]
    if drawn is not None and several and len(one.combinations) > 1:
        shown = min(len(one.combinations), removal.MOST_COMBINATIONS)
        more = f" The largest {shown} of {len(one.combinations)}." if (
            len(one.combinations) > shown) else ""  # fmt: skip
        body += figure_of(
            removal.combinations(f"rules-{drawn}", "Rules that remove the same", one.combinations),
            f"Documents {of} by exactly which rules remove them: a bar for each combination of "
            f"the rules dotted below it.{more}",
        )
    if several:
        rows = [
            (" + ".join(blocks.name(rule) for rule in each.rules[:12]), count(each.documents),
             size(each.bytes))
            for each in one.combinations[:MOST_RULES]
        ]  # fmt: skip
        inside = blocks.table(
            f"Combinations of rules {of}", ["rules", n("documents"), n("bytes")], rows
        )
        body += blocks.folded(f"All {len(rows)} combinations {of} as a table", inside)
    return body


def _rules(found: Funnel) -> str:
    has_tokens = found.tokens is not None
    unit = "tokens" if has_tokens else "bytes"
    left = found.documents
    rows = []
    for rule in found.rules[:MOST_RULES]:
        left -= rule.first_documents
        first = count(rule.first_tokens) if has_tokens else size(rule.first_bytes)
        rows.append(
            (blocks.name(rule.rule, 100), count(rule.documents),
             part(rule.documents, found.documents), count(rule.first_documents), first,
             count(rule.alone_documents), count(left), part(left, found.documents))
        )  # fmt: skip
    heads = ["rule", n("removes"), n("share"), n("first"), n(f"first, {unit}"), n("alone"),
             n("left"), n("share")]  # fmt: skip
    caption = f"Rules of {blocks.name(found.stream)}, in documents"
    more = blocks.others(len(found.rules) - MOST_RULES, "rule")
    return blocks.table(caption, heads, rows) + more


def edges(report: Report) -> Section:
    """What stands at the edges of thresholds."""
    id_, title = "edges", "At the edges of thresholds"
    found = [
        (f"{m}-{s}-{e}", mix, stream.funnel.stream, one)
        for m, mix in enumerate(report.mixes)
        for s, stream in enumerate(mix.streams)
        for e, one in enumerate(stream.edges)
    ]
    if not found:
        return Section(id_, title, missing(report, id_, is_measured=False), False)
    # Those that decide over most documents, in their order.
    ranked = sorted(found, key=lambda one: -one[3].failing)[:MOST_EDGES]
    chosen = {key for key, *_ in ranked}
    body = (
        "<p>What a threshold parts: the values of all documents, and those that are nearest to it "
        "on either side. The line is the threshold; hatched is what goes. Excerpts are the starts "
        "of texts, personal data in them masked.</p>"
    )
    groups: dict[tuple[str, str], list[str]] = {}
    for key, mix, stream, one in found:
        if key in chosen:
            groups.setdefault((mix.folder, stream), []).append(_edge(key, stream, one))
    for (folder, stream), cards in groups.items():
        of_mix = f" of {blocks.name(folder)}" if len(report.mixes) > 1 else ""
        body += f"<h3>{blocks.name(stream)}{of_mix}</h3><div class=edges>{''.join(cards)}</div>"
    body += blocks.others(len(found) - len(chosen), "threshold")
    columns = dict.fromkeys(one.column for key, _, _, one in found if key in chosen)
    quoted = map(shlex.quote, list(columns)[:8])
    body += blocks.command(*(f"dolma-kit mix sweep DOCS --column {one}" for one in quoted))
    return Section(id_, title, body + missing(report, id_, is_measured=True), True)


def _edge(key: str, stream: str, one: Edge) -> str:
    drawn = edge_drawing(f"edge-{key}", f"{one.column} around {number(one.threshold)}", one)
    of = "" if one.files_read >= one.files else (
        f" Of {counted(one.files, 'file')} {count(one.files_read)} were looked at.")  # fmt: skip
    said = (
        f"<p class=small>{count(one.passing)} of {count(one.documents)} documents stay "
        f"({part(one.passing, one.documents)}); {counted(one.within, 'value')} within 10 % of the "
        f"threshold ({part(one.within, one.documents)}); {count(one.without)} documents have no "
        f"value.{of}</p>"
    )
    rows = [
        (stays, example)
        for stays, some in ((True, one.pass_examples), (False, one.fail_examples))
        for example in some[:MOST_NEAREST]
    ]
    heads = [n("value"), "what becomes of it", texts("document, and what it starts with")]
    named = f"{blocks.name(one.column, 44, tail=12)} in {blocks.name(stream)}"
    examples = blocks.table(
        f"Nearest to the threshold of {named}", heads,
        [(number(e.value, 6), _fate(stays, e), _document(e)) for stays, e in rows],
    )  # fmt: skip
    numbers = blocks.folded("The histogram as a table", _histogram(one))
    nearest = blocks.folded(_nearest(one), examples) if rows else ""
    asked = f"{one.column} {one.operator} {number(one.threshold)}"
    is_same = one.rule.casefold() == asked.replace(",", "").casefold()
    rule = "" if is_same else f"<p class='soft small'>of {blocks.name(one.rule, 80)}</p>"
    title = f"<h4>{blocks.name(asked, 80, tail=20)}</h4>"
    return f"<div>{title}{rule}{drawn}{said}{nearest}{numbers}</div>"


def _nearest(one: Edge) -> str:
    """The values that are nearest, in words."""
    said = []
    for words, some in (("stays", one.pass_examples), ("goes", one.fail_examples)):
        if some:
            said.append(f"{number(some[0].value, 6)} {words}")
    return f"Documents nearest to it: {', '.join(said)}"


def _fate(stays: bool, example: Example) -> str:
    by_this = "<span class=good>stays</span>" if stays else "<span class=bad>goes</span>"
    if example.kept:
        return f"{by_this}, kept"
    return f"{by_this}, removed by {blocks.name(example.first_rule or '', 28, tail=10)}"


def _document(example: Example) -> str:
    where = f"{blocks.name(example.id, 16)}, {blocks.place(example.file, example.line)}"
    excerpt = "" if example.excerpt is None else blocks.text(example.excerpt, MOST_EXCERPT)
    return f"<span class='soft small'>{where}</span><br>{excerpt}"


def _histogram(one: Edge) -> str:
    rows = [
        (f"{number(low)} to {number(high)}", count(many), percent(many / max(one.documents, 1)))
        for low, high, many in zip(one.bounds, one.bounds[1:], one.histogram, strict=False)
        if many
    ]
    return blocks.table(
        f"Documents by {blocks.name(one.column)}", ["value", n("documents"), n("share")], rows
    )
