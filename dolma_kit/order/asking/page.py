"""A step as a page for eyes: one file, no network; an instance a card, documents in colours.

Its pieces are for other pages of a step too: `cards`, `sources_table`, and the `STYLE` of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dolma_kit.markup import N_COLOURS, escaped, page
from dolma_kit.order.answers import DocumentPart, InstancePart
from dolma_kit.order.run import Run
from dolma_kit.order.steps import Part, Ranks, instances_of

FOLDED_CHARACTERS = 600
MOST_CHARACTERS = 20_000  # of one part: a page is to be read

STYLE = """
h2 { font-size: 1rem; margin: 0; }
article { border: 1px solid var(--line); border-radius: 0.5rem; background: var(--card);
  padding: 0.8rem 1rem; margin: 1rem 0; content-visibility: auto;
  contain-intrinsic-size: auto 30rem; }
section { border-left: 0.3rem solid var(--c); padding: 0.2rem 0 0.2rem 0.8rem; margin: 0.8rem 0; }
h3 { color: var(--c); font-size: 0.95rem; margin: 0; overflow-wrap: anywhere; }
.status { font-weight: 600; } .masked, .skipped { color: var(--bad); }
.bar { display: flex; height: 0.5rem; border-radius: 0.25rem; overflow: hidden; margin: 0.4rem 0; }
.bar span { background: var(--c); border-right: 1px solid var(--card); }
"""


#: the id of a document as HTML, or more than that: a link
Name = Callable[[DocumentPart], str]


def plain_name(part: DocumentPart) -> str:
    """The id alone."""
    return escaped(part.id)


def step_page(run: Run, step: int, ranks: Ranks | None = None) -> str:
    """The page of a step, as HTML."""
    seen = run.step(step)
    instances = instances_of(seen, ranks or Ranks())
    shown = [(instance, seen.parts(instance.instance)) for instance in instances]
    title = f"Step {seen.step:,} of {run.n_steps:,}"
    n_documents = sum(len(one.documents) for one in instances)
    head = (
        f"<p>Batch {seen.batch:,} (from 0) of epoch {seen.epoch}; {len(instances)} instances, "
        f"{n_documents} parts of documents. The first token of an instance is context only: no "
        "prediction of it is trained. <span class=mark>EOS</span> ends a document.</p>"
    )
    body = (
        f"<main><h1>{title}</h1>{head}{sources_table(instances)}{cards(shown)}</main>"
        f"<footer class=soft><p>{escaped(run.path)}, fingerprint {run.fingerprint}</p></footer>"
    )
    return page(title, body, style=f"body {{ max-width: 68rem; }}{STYLE}")


def sources_table(instances: Iterable[InstancePart]) -> str:
    """How many tokens of instances are of which source."""
    tokens = Counter[str]()
    for instance in instances:
        for part in instance.documents:
            tokens[part.source or "unknown"] += part.end - part.start
    total = max(tokens.total(), 1)
    rows = "".join(
        f"<tr><th scope=row>{escaped(name)}</th><td class=n>{n:,}</td>"
        f"<td class=n>{n / total:.1%}</td></tr>"
        for name, n in tokens.most_common()
    )
    return (
        "<table><caption class=soft>Tokens by source</caption><thead><tr><th scope=col>source</th>"
        "<th scope=col class=n>tokens</th><th scope=col class=n>share</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def cards(shown: Iterable[tuple[InstancePart, list[Part]]], name: Name = plain_name) -> str:
    """A card for each instance and its parts; that of instance 7 is at the anchor `i7`, where it is
    there again at `i7_2`."""
    times = Counter[int]()
    made = []
    for instance, parts in shown:
        times[instance.instance] += 1
        n = times[instance.instance]
        made.append(_card(instance, parts, f"{instance.instance}{f'_{n}' if n > 1 else ''}", name))
    return "".join(made)


def _card(instance: InstancePart, parts: list[Part], nth: str, name: Name) -> str:
    micro = "" if instance.micro_batch is None else f", micro-batch {instance.micro_batch}"
    widths = [part.document.end - part.document.start for part in parts]
    bar = "".join(
        f"<span style='--c:var(--c{i % N_COLOURS});flex:{width}'></span>"
        for i, width in enumerate(widths)
    )
    scanned = "" if instance.boundaries is None else (
        "<p class=mark>borders of documents by EOS tokens only</p>"
    )  # fmt: skip
    sections = "".join(_section(part, name, i) for i, part in enumerate(parts))
    return (
        f"<article id=i{nth} aria-labelledby=h{nth}><h2 id=h{nth}>Instance {instance.instance:,}"
        f"</h2><p class=soft>position {instance.position:,}, rank {instance.rank}{micro}, "
        f"<span class='status {instance.status}'>{instance.status}</span></p>"
        f"<div class=bar aria-hidden=true>{bar}</div>{scanned}{sections}</article>"
    )


def _section(part: Part, name: Name, nth: int) -> str:
    d = part.document
    place = d.src if d.line is None else f"{d.src}:{d.line}"
    source = f"{escaped(d.source)}, " if d.source else ""
    context = "<span class=mark>context only: token 0</span> " if d.start == 0 else ""
    begins = "" if d.doc_start == 0 else "<span class=mark>goes on from before</span> "
    ends = " <span class=mark>EOS</span>" if part.ends else (
        " <span class=mark>goes on</span>"
    )  # fmt: skip
    return (
        f"<section style='--c:var(--c{nth % N_COLOURS})'><h3>{name(d)}</h3>"
        f"<p class=soft>tokens {d.start:,} to {d.end:,}; {source}{escaped(place)}, its tokens "
        f"{d.doc_start:,} to {d.doc_end:,}</p>{_text(d.text, context + begins, ends)}</section>"
    )


def _text(text: str, before: str, after: str) -> str:
    """A text, its rest folded where it is long."""
    shown = text[:MOST_CHARACTERS]
    left_out = len(text) - len(shown)
    cut = f" <span class=mark>{left_out:,} characters more</span>" if left_out else ""
    if len(shown) <= FOLDED_CHARACTERS:
        return f"<pre dir=auto>{before}{escaped(shown)}{cut}{after}</pre>"
    head, rest = shown[:FOLDED_CHARACTERS], shown[FOLDED_CHARACTERS:]
    return (
        f"<pre dir=auto>{before}{escaped(head)}</pre><details><summary>{len(rest):,} characters "
        f"more</summary><pre dir=auto>{escaped(rest)}{cut}</pre></details><p>{after}</p>"
    )
