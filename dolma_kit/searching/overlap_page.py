"""The page of `search overlap`: one file, which works offline and without scripts."""

from __future__ import annotations

import math

from dolma_kit.markup import counted, escaped, page
from dolma_kit.searching.overlap import (
    HIGH,
    MEDIUM,
    SCORE_OF_CHARACTER,
    Occurrence,
    Overlap,
    SharedDocument,
    SharedSpan,
)

N_STRENGTHS = 5
MOST_ROWS = 100  # documents in the table below the text
_STYLE = """
:root { --span: 255, 150, 0; --lit: #b3003c; --high: #1f7a33; --medium: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --span: 255, 160, 40; --lit: #ff8fab;
  --high: #85d488; --medium: #e5c558; } }
body { max-width: 92rem; } h2 { font-size: 1rem; margin: 0; } h3 { font-size: 0.95rem; margin: 0; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 30rem); gap: 1.5rem;
  align-items: start; margin: 1rem 0; }
.text { white-space: pre-wrap; unicode-bidi: plaintext; text-align: start; tab-size: 4;
  font-size: 1.02rem; line-height: 1.75; border: 1px solid var(--line); border-radius: 0.5rem;
  padding: 1rem 1.2rem; margin: 0; }
.text a { color: inherit; text-decoration: none; background: rgba(var(--span), var(--a));
  border-bottom: 2px solid rgba(var(--span), calc(var(--a) + 0.25)); padding: 0.1em 0; }
.s1 { --a: 0.1; } .s2 { --a: 0.19; } .s3 { --a: 0.29; } .s4 { --a: 0.41; } .s5 { --a: 0.56; }
.text a:hover, .text a:focus-visible, .text a.lit { border-bottom-color: var(--lit); outline: none;
  box-shadow: inset 0 -0.18em 0 var(--lit); }
.key i { font-style: normal; background: rgba(var(--span), var(--a)); padding: 0.15em 0.55em; }
aside { position: sticky; top: 1rem; max-height: calc(100vh - 2rem); overflow-y: auto;
  scrollbar-gutter: stable; }
article { border: 1px solid var(--line); border-radius: 0.5rem; background: var(--card);
  padding: 0.8rem 1rem; margin: 0 0 1rem; content-visibility: auto;
  contain-intrinsic-size: auto 12rem; }
.js article { display: none; } .js article.on { display: block; } .js .hint { display: block; }
.hint { display: none; border: 1px dashed var(--line); border-radius: 0.5rem; padding: 0.8rem 1rem;
  margin: 0; }
.js .picked .hint { display: none; }
article h2 { font-weight: 600; white-space: pre-wrap; unicode-bidi: plaintext; }
section { border-top: 1px solid var(--line); padding: 0.5rem 0 0.1rem; margin: 0.5rem 0 0; }
pre b { background: rgba(var(--span), 0.35); font-weight: 600; }
.high, .medium, .low { font-size: 0.8rem; font-weight: 600; border: 1px solid currentColor;
  border-radius: 1rem; padding: 0 0.5rem; white-space: nowrap; }
.high { color: var(--high); } .medium { color: var(--medium); } .low { color: var(--soft); }
table { width: 100%; } td a, article a { color: var(--link); }
@media (max-width: 60rem) { .columns { grid-template-columns: minmax(0, 1fr); }
  .js aside.picked { position: sticky; top: auto; bottom: 0; max-height: 50vh;
    background: var(--paper); border-top: 2px solid var(--line); padding-top: 0.6rem; } }
@media print { .js article { display: block; } .columns { display: block; } .hint { display: none; }
  aside { position: static; max-height: none; } }
"""
# A span is shown while the pointer or the focus is on it, and kept by a click, until the next one.
_SCRIPT = """
const root = document.documentElement, aside = document.querySelector('aside');
root.classList.add('js');
const marks = [...document.querySelectorAll('.text a')];
const spansOf = mark => mark.dataset.s.split(' ');
let kept = [];
function show(ids) {
  document.querySelectorAll('article.on').forEach(card => card.classList.remove('on'));
  ids.forEach(id => document.getElementById('s' + id)?.classList.add('on'));
  marks.forEach(mark => mark.classList.toggle('lit', spansOf(mark).includes(ids[0])));
  aside.classList.toggle('picked', ids.length > 0);
  aside.scrollTop = 0;
}
for (const mark of marks) {
  mark.addEventListener('mouseenter', () => show(spansOf(mark)));
  mark.addEventListener('focus', () => show(spansOf(mark)));
  mark.addEventListener('mouseleave', () => show(kept));
  mark.addEventListener('click', event => {
    event.preventDefault();
    kept = spansOf(mark);
    show(kept);
  });
}
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') { kept = []; show(kept); }
});
document.querySelectorAll('td a').forEach(link => link.addEventListener('click', event => {
  event.preventDefault();
  kept = [link.hash.slice(2)];
  show(kept);
  marks.find(mark => spansOf(mark).includes(kept[0]))?.scrollIntoView({block: 'center'});
}));
function follow() {
  if (/^#s\\d+$/.test(location.hash)) { kept = [location.hash.slice(2)]; show(kept); }
}
addEventListener('hashchange', follow);
follow();
"""


def overlap_page(answer: Overlap) -> str:
    """The answer as a page for eyes: one file, no network; without scripts all spans are listed."""
    share = answer.n_covered / max(answer.n_tokens, 1)
    seen = "" if answer.run is None else _of_run(answer)
    least = counted(answer.min_length, "token")
    rule = "whole words, none with a period or line feed but at its end" if (
        answer.rule == "olmotrace") else "any tokens"  # fmt: skip
    limits = "" if answer.max_count is None else f", {answer.max_count:,} times at most"
    keys = " ".join(f"<i class=s{k}>{k}</i>" for k in range(1, N_STRENGTHS + 1))
    cards = "".join(_card(answer, number) for number in range(len(answer.spans)))
    hint = (
        "Point at a marked span, or move to it by Tab, to see where it stands; click to keep it."
        if answer.spans else "No span of this text stands in the indexed documents."
    )  # fmt: skip
    body = (
        "<main><h1>What this text shares with the corpus</h1>"
        f"<p>{answer.n_tokens:,} tokens, {share:.0%} of them in {answer.n_spans:,} spans that "
        f"stand in documents word for word; the {len(answer.spans):,} rarest are marked, "
        f"{len(answer.documents):,} documents listed. {seen}</p>"
        f"<p class='soft small'>A span is {rule}; {least} at least{limits}. "
        "A shared span says neither that the model learned it there nor that it would not know it "
        "otherwise.</p>"
        f"<p class='key small'>common {keys} rare</p>"
        f"<div class=columns><div class=text>{_marked(answer)}</div>"
        f"<aside aria-label='Where spans stand'><p class=hint>{hint}</p>{cards}</aside></div>"
        f"{_table(answer)}</main>"
    )
    return page("What a text shares with a corpus", body, style=_STYLE, script=_SCRIPT)


def _of_run(answer: Overlap) -> str:
    until = "" if answer.until is None else f" up to step {answer.until:,}"
    return f"Steps are those of <bdi>{escaped(answer.run or '')}</bdi>{until}."


def _extent(answer: Overlap, span: SharedSpan) -> tuple[int, int]:
    """Where a span is marked: without white space at its ends."""
    text = answer.text[span.start_char : span.end_char]
    start = span.start_char + len(text) - len(text.lstrip())
    return start, max(span.start_char + len(text.rstrip()), start)


def _strengths(answer: Overlap) -> list[int]:
    """Of each span from 1, the most common, to N_STRENGTHS: by equal ratios of its rarity."""
    rarities = [math.log(max(-span.log_probability, 1.0)) for span in answer.spans]
    low, high = min(rarities, default=0.0), max(rarities, default=0.0)
    step = (high - low) / N_STRENGTHS or 1.0
    return [min(int((one - low) / step) + 1, N_STRENGTHS) for one in rarities]


def _marked(answer: Overlap) -> str:
    """The text, cut where spans begin and end; a piece in several is as strong as the rarest."""
    strengths = _strengths(answer)
    begins: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for number, span in enumerate(answer.spans):
        start, end = _extent(answer, span)
        if start < end:
            begins.setdefault(start, []).append(number)
            ends.setdefault(end, []).append(number)
    pieces, open_spans, at = [], set[int](), 0
    for cut in sorted({*begins, *ends, len(answer.text)}):
        piece = escaped(answer.text[at:cut])
        if open_spans and piece:
            numbers = sorted(open_spans)
            listed = " ".join(map(str, numbers))
            strength = strengths[numbers[0]]
            piece = f"<a class=s{strength} href=#s{numbers[0]} data-s='{listed}'>{piece}</a>"
        pieces.append(piece)
        open_spans.difference_update(ends.get(cut, ()))
        open_spans.update(begins.get(cut, ()))
        at = cut
    return "".join(pieces)


def _card(answer: Overlap, number: int) -> str:
    span = answer.spans[number]
    start, end = _extent(answer, span)
    odds = f"1 : 10<sup>{-span.log_probability / math.log(10):.0f}</sup>"
    ranked = sorted(span.occurrences, key=lambda one: one.document)
    sections = "".join(_section(answer.documents[one.document], one) for one in ranked)
    more = span.count - len(ranked)
    rest = f"<p class='soft small'>and {counted(more, 'occurrence')} more</p>" if more else ""
    return (
        f"<article id=s{number}><h2>{escaped(answer.text[start:end])}</h2>"
        f"<p class='soft small'>Span {number + 1} by rarity: {span.end - span.start} tokens, "
        f"{how_often(span)}; by its single tokens {odds}.</p>{sections}{rest}</article>"
    )


def how_often(span: SharedSpan) -> str:
    """How often a span occurs, and when those that are listed were seen, in words."""
    times = "once" if span.count == 1 else f"{span.count:,} times"
    if span.first_step is None:
        return times
    if span.first_step == span.last_step:
        return f"{times}, seen at step {span.first_step:,}"
    return f"{times}, those listed seen from step {span.first_step:,} to {span.last_step:,}"


def _section(document: SharedDocument, one: Occurrence) -> str:
    return (
        f"<section><h3><bdi>{escaped(document.id)}</bdi> {_level(document)}</h3>"
        f"<p class='soft small'>{_where(document)}, token {one.token:,} of "
        f"<bdi>{escaped(document.part)}</bdi>{_steps(one)}</p>"
        f"<pre>{escaped(one.before)}<b>{escaped(one.match)}</b>{escaped(one.after)}</pre>"
        "</section>"
    )


def _where(document: SharedDocument) -> str:
    source = f"<bdi>{escaped(document.source)}</bdi>, " if document.source else ""
    line = "" if document.line is None else f":{document.line}"
    return f"{source}<bdi>{escaped(document.src)}{line}</bdi>"


def _level(document: SharedDocument) -> str:
    return f"<span class={document.relevance}>{document.relevance}</span>"


def _steps(one: Occurrence) -> str:
    if one.seen is None:
        return ""
    return f"; {steps_text(one)}"


def steps_text(one: Occurrence, most: int = 12) -> str:
    """When an occurrence was seen, or why never, in words."""
    steps = list(dict.fromkeys(sighting.step for sighting in one.seen or ()))
    if not steps:
        return f"never seen: {one.never}"
    shown = ", ".join(map(str, steps[:most])) + (" ..." if steps[most:] else "")
    across = "" if one.whole else ", across instances"
    return f"{'step' if len(steps) == 1 else 'steps'} {shown}{across}"


def _table(answer: Overlap) -> str:
    if not answer.documents:
        return ""
    rows = "".join(
        f"<tr><td>{_level(one)}</td><td class=n>{one.score:,.1f}</td>"
        f"<td><bdi>{escaped(one.id)}</bdi></td><td>{_where(one)}</td>"
        f"<td>{', '.join(f'<a href=#s{n}>{n + 1}</a>' for n in one.spans)}</td></tr>"
        for one in answer.documents[:MOST_ROWS]
    )
    more = len(answer.documents) - MOST_ROWS
    rest = f"<p class='soft small'>{more:,} documents more</p>" if more > 0 else ""
    return (
        "<h2>Documents by relevance</h2><div class=scroll><table><caption class='soft small'>"
        "BM25 of the text's words around what a document shares; high from "
        f"{HIGH * SCORE_OF_CHARACTER * len(answer.text):,.0f}, medium from "
        f"{MEDIUM * SCORE_OF_CHARACTER * len(answer.text):,.0f}</caption><thead><tr>"
        "<th scope=col>relevance</th><th scope=col>score</th><th scope=col>document</th>"
        "<th scope=col>source</th><th scope=col>spans</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{rest}"
    )
