"""A step as a page for eyes: one file, no network; an instance a card, documents in colours.

Corpus text is data: it is escaped, and characters that would act on the page (NUL, controls, marks
that turn the direction of text) are shown as what they are. Each text is isolated, so that it
cannot turn what stands beside it.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable

from dolma_kit.order.answers import InstancePart
from dolma_kit.order.run import Run
from dolma_kit.order.steps import Part, Ranks, instances_of

FOLDED_CHARACTERS = 600
MOST_CHARACTERS = 20_000  # of one part: a page is to be read
N_COLOURS = 8
#: what acts on a page or a terminal instead of being seen, and what breaks lines unseen
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1d21; --paper: #fff; --card: #f6f7f9; --line: #d4d9df;
  --soft: #57606a; --mark: #8a4b00;
  --c0: #0b6e99; --c1: #a34700; --c2: #2f7d32; --c3: #8e3b8e; --c4: #6b5b00; --c5: #b3003c;
  --c6: #3d4fb5; --c7: #00695c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171a; --card: #1c2126;
  --line: #39424c; --soft: #a5afba; --mark: #ffb866;
  --c0: #6cc5ea; --c1: #ffab70; --c2: #85d488; --c3: #dd9bdd; --c4: #d8c658; --c5: #ff8fab;
  --c6: #a7b4ff; --c7: #6fd3c4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
caption { text-align: left; }
h1 { font-size: 1.4rem; margin: 0.5rem 0; } h2 { font-size: 1rem; margin: 0; }
p { margin: 0.3rem 0; } .soft { color: var(--soft); }
article { border: 1px solid var(--line); border-radius: 0.5rem; background: var(--card);
  padding: 0.8rem 1rem; margin: 1rem 0; content-visibility: auto;
  contain-intrinsic-size: auto 30rem; }
section { border-left: 0.3rem solid var(--c); padding: 0.2rem 0 0.2rem 0.8rem; margin: 0.8rem 0; }
h3 { color: var(--c); font-size: 0.95rem; margin: 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3rem 0; unicode-bidi: isolate;
  font: 0.9rem/1.45 ui-monospace, monospace; }
summary { cursor: pointer; color: var(--soft); }
.mark { color: var(--mark); border: 1px solid currentColor; border-radius: 0.25rem;
  padding: 0 0.25rem; font-size: 0.8em; unicode-bidi: isolate; white-space: nowrap; }
.status { font-weight: 600; } .masked, .skipped { color: var(--c5); }
table { border-collapse: collapse; margin: 0.5rem 0; } th, td { text-align: left;
  padding: 0.15rem 1rem 0.15rem 0; border-bottom: 1px solid var(--line); }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.bar { display: flex; height: 0.5rem; border-radius: 0.25rem; overflow: hidden; margin: 0.4rem 0; }
.bar span { background: var(--c); border-right: 1px solid var(--card); }
a { color: var(--c0); }
"""


def step_page(run: Run, step: int, ranks: Ranks | None = None) -> str:
    """The page of a step, as HTML."""
    seen = run.step(step)
    instances = instances_of(seen, ranks or Ranks())
    cards = [
        _card(instance, seen.parts(instance.instance), run, nth)
        for nth, instance in enumerate(instances)
    ]
    title = f"Step {seen.step:,} of {run.n_steps:,}"
    n_documents = sum(len(one.documents) for one in instances)
    head = (
        f"<p>Batch {seen.batch:,} (from 0) of epoch {seen.epoch}; {len(instances)} instances, "
        f"{n_documents} parts of documents. The first token of an instance is context only: no "
        "prediction of it is trained. <span class=mark>EOS</span> ends a document.</p>"
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"<main><h1>{title}</h1>{head}{_sources(instances)}{''.join(cards)}</main>"
        f"<footer class=soft><p>{_escaped(run.path)}, fingerprint {run.fingerprint}</p></footer>"
        "</body></html>\n"
    )


def _sources(instances: Iterable[InstancePart]) -> str:
    tokens = Counter[str]()
    for instance in instances:
        for part in instance.documents:
            tokens[part.source or "unknown"] += part.end - part.start
    total = max(tokens.total(), 1)
    rows = "".join(
        f"<tr><th scope=row>{_escaped(name)}</th><td class=n>{n:,}</td>"
        f"<td class=n>{n / total:.1%}</td></tr>"
        for name, n in tokens.most_common()
    )
    return (
        "<table><caption class=soft>Tokens by source</caption><thead><tr><th scope=col>source</th>"
        "<th scope=col>tokens</th><th scope=col>share</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _card(instance: InstancePart, parts: list[Part], run: Run, nth: int) -> str:
    micro = "" if instance.micro_batch is None else f", micro-batch {instance.micro_batch}"
    widths = [part.document.end - part.document.start for part in parts]
    bar = "".join(
        f"<span style='--c:var(--c{i % N_COLOURS});flex:{width}'></span>"
        for i, width in enumerate(widths)
    )
    scanned = "" if instance.boundaries is None else (
        "<p class=mark>borders of documents by EOS tokens only</p>"
    )  # fmt: skip
    sections = "".join(_section(part, run, i) for i, part in enumerate(parts))
    return (
        f"<article id=i{nth} aria-labelledby=h{nth}><h2 id=h{nth}>Instance {instance.instance:,}"
        f"</h2><p class=soft>position {instance.position:,}, rank {instance.rank}{micro}, "
        f"<span class='status {instance.status}'>{instance.status}</span></p>"
        f"<div class=bar aria-hidden=true>{bar}</div>{scanned}{sections}</article>"
    )


def _section(part: Part, run: Run, nth: int) -> str:
    d = part.document
    place = d.src if d.line is None else f"{d.src}:{d.line}"
    source = f"{_escaped(d.source)}, " if d.source else ""
    context = "<span class=mark>context only: token 0</span> " if d.start == 0 else ""
    begins = "" if d.doc_start == 0 else "<span class=mark>goes on from before</span> "
    ends = " <span class=mark>EOS</span>" if part.ends else (
        " <span class=mark>goes on</span>"
    )  # fmt: skip
    return (
        f"<section style='--c:var(--c{nth % N_COLOURS})'><h3>{_escaped(d.id)}</h3>"
        f"<p class=soft>tokens {d.start:,} to {d.end:,}; {source}{_escaped(place)}, its tokens "
        f"{d.doc_start:,} to {d.doc_end:,}</p>{_text(d.text, context + begins, ends)}</section>"
    )


def _text(text: str, before: str, after: str) -> str:
    """A text, its rest folded where it is long."""
    shown = text[:MOST_CHARACTERS]
    left_out = len(text) - len(shown)
    cut = f" <span class=mark>{left_out:,} characters more</span>" if left_out else ""
    if len(shown) <= FOLDED_CHARACTERS:
        return f"<pre dir=auto>{before}{_escaped(shown)}{cut}{after}</pre>"
    head, rest = shown[:FOLDED_CHARACTERS], shown[FOLDED_CHARACTERS:]
    return (
        f"<pre dir=auto>{before}{_escaped(head)}</pre><details><summary>{len(rest):,} characters "
        f"more</summary><pre dir=auto>{_escaped(rest)}{cut}</pre></details><p>{after}</p>"
    )


def _escaped(text: str) -> str:
    """Text as HTML that does nothing: what would act is named in its place."""
    pieces, at = [], 0
    for match in _ACTING.finditer(text):
        pieces.append(html.escape(text[at : match.start()]))
        pieces.append(f"<span class=mark>U+{ord(match.group()):04X}</span>")
        at = match.end()
    pieces.append(html.escape(text[at:]))
    return "".join(pieces)
