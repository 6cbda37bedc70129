"""A phrase: how often it stands in the tokens, in what text, and which steps saw it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dolma_kit.errors import ConfigError
from dolma_kit.execute import usable_cpus
from dolma_kit.markup import attribute, counted, escaped
from dolma_kit.order.answers import Hit, TextAnswer
from dolma_kit.searching.tracing import trace_text
from dolma_kit.viewing import sightings
from dolma_kit.viewing.asked import Refused, line_of, number
from dolma_kit.viewing.contexts import Context, context_of
from dolma_kit.viewing.document_view import linked
from dolma_kit.viewing.shell import MOST_PHRASE_CHARACTERS
from dolma_kit.viewing.sightings import NEVER
from dolma_kit.viewing.viewed import Viewed

LIMIT = 20
MOST_LISTED = 200

STYLE = """
.hits { list-style: none; padding: 0; margin: 1rem 0; }
.hits li { border-top: 1px solid var(--line); padding: 0.8rem 0 0.6rem; }
.hits h2 { font-size: 1rem; margin: 0; font-weight: 500; }
.hits pre { margin: 0.5rem 0 0; } .hits b { color: var(--ink);
  background: color-mix(in srgb, var(--c1) 20%, transparent); border-bottom: 2px solid var(--c1);
  font-weight: 650; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.numbers { display: flex; flex-wrap: wrap; gap: 0.5rem 2.2rem; margin: 1rem 0; }
.numbers div { display: flex; flex-direction: column-reverse; }
.numbers dt { font-size: 0.85rem; } .numbers dd { font-size: 1.35rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.ask { margin: 0.8rem 0; max-width: 46rem; }
"""


def answer(viewed: Viewed, query: Mapping[str, str]) -> str:
    """The page of a phrase, or without one the form; Refused for one that is too long."""
    phrase = query.get("q", "")
    limit = number(query, "limit", LIMIT, least=1, most=MOST_LISTED)
    if len(phrase) > MOST_PHRASE_CHARACTERS:
        raise Refused(
            f"a phrase of {len(phrase):,} characters: at most {MOST_PHRASE_CHARACTERS:,} are "
            "looked for here; `dolma-kit trace text` takes longer ones",
            400,
        )
    head = f"<h1>A phrase in the tokens</h1>{form(viewed, phrase, limit)}"
    if not phrase:
        about = "<p class=soft>Found byte by byte, as it stands, however it was tokenized.</p>"
        return viewed.shell.page("Phrase", head + about, place="phrase", style=STYLE)
    run, started = viewed.run, time.perf_counter()
    try:
        found = trace_text(run, phrase, limit=limit, workers=usable_cpus())
    except ConfigError as error:  # a phrase, or a tokenizer, in which nothing can be looked for
        raise Refused(line_of(error), 400) from None
    seconds = time.perf_counter() - started
    hits = "".join(
        _hit(viewed, hit, context_of(run, hit, viewed.run.vocabulary)) for hit in found.hits
    )
    main = (
        f"{head}{_numbers(viewed, found)}<ol class=hits>{hits}</ol>"
        f"{_more(viewed, found, phrase, limit)}<p class='soft small'>Found in {seconds:.2f} s.</p>"
    )
    title = f"“{phrase[:60]}”"
    return viewed.shell.page(title, main, place="phrase", style=STYLE, phrase=phrase)


def form(viewed: Viewed, phrase: str = "", limit: int | None = LIMIT) -> str:
    """A field for a phrase, and unless that is None how many occurrences are listed."""
    listed = (
        "<label for=limit>List</label><input id=limit type=number name=limit min=1 "
        f"max={MOST_LISTED} value={limit}>"
    )
    return (
        f"<form class=ask action='{viewed.addresses.phrases}'><label for=q>Phrase</label>"
        f'<input id=q type=text name=q value="{attribute(phrase)}" autocomplete=off '
        f"spellcheck=false maxlength={MOST_PHRASE_CHARACTERS}>"
        f"{'' if limit is None else listed}<button>Look</button></form>"
    )


def _numbers(viewed: Viewed, found: TextAnswer) -> str:
    """Count, documents, first and last step."""
    pairs = [("occurrences", f"{found.occurrences:,}"), ("documents", f"{found.documents:,}")]
    for name, step in (("first step", found.first_step), ("last step", found.last_step)):
        if step is not None:
            pairs.append((name, f"<a href='{viewed.addresses.step(step)}'>{step:,}</a>"))
    of_listed = len(found.hits) < found.occurrences and found.first_step is not None
    n = len(found.hits)
    those = "one occurrence that is" if n == 1 else f"{n:,} occurrences that are"
    note = f"<p class='soft small'>Steps are those of the {those} listed.</p>" if of_listed else ""
    made = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f"<dl class=numbers>{made}</dl>{note}"


def _hit(viewed: Viewed, hit: Hit, context: Context | None) -> str:
    to = viewed.addresses
    place = hit.src if hit.line is None else f"{hit.src}:{hit.line}"
    name = f"<bdi>{escaped(hit.id)}</bdi>"
    if hit.line is not None:
        name = linked(to, hit.id)
    source = f"<bdi>{escaped(hit.source)}</bdi>, " if hit.source else ""
    if hit.never is not None:
        seen = f"never seen: {NEVER[hit.never]}"
    else:
        across = "" if hit.whole else ", across the border of instances"
        seen = f"{sightings.step_links(to, hit.seen)}{across}"
    text = ""
    if context is not None:
        begin, end = "" if context.is_begin else "… ", "" if context.is_end else " …"
        text = (
            f"<pre dir=auto>{begin}{escaped(context.before)}<b>{escaped(context.match)}</b>"
            f"{escaped(context.after)}{end}</pre>"
        )
    return (
        f"<li><h2 class=id>{name}</h2><p class='soft small'>{source}<bdi>{escaped(place)}</bdi>, "
        f"tokens {hit.doc_start:,} to {hit.doc_end:,}; {seen}</p>{text}</li>"
    )


def _more(viewed: Viewed, found: TextAnswer, phrase: str, limit: int) -> str:
    left = found.occurrences - len(found.hits)
    if not left:
        return ""
    said = f"<span class=soft>{counted(left, 'occurrence')} more</span>"
    if limit < MOST_LISTED:
        address = attribute(viewed.addresses.phrase(phrase, limit=min(5 * limit, MOST_LISTED)))
        return f'<div class=go><a href="{address}">List more</a>{said}</div>'
    return f"<div class=go>{said}<span class=soft>`trace text` lists all.</span></div>"
