"""A document: when it was seen or why never, as the tokens have it, and before the mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dolma_kit.errors import DolmaKitError
from dolma_kit.markup import N_COLOURS, attribute, counted, escaped
from dolma_kit.viewing import document_parts as parts
from dolma_kit.viewing import highlighting, sightings
from dolma_kit.viewing.addresses import MOST_BYTES, Addresses
from dolma_kit.viewing.asked import Refused, line_of, number, shortened
from dolma_kit.viewing.copies import MOST_TOKENS, Copy, Texts, Traced, texts_of, traced
from dolma_kit.viewing.stored import Attributes, Column, attributes_of
from dolma_kit.viewing.viewed import Viewed

SHOWN_CHARACTERS = 20_000
SHOWN_COPIES = 20
HUGE = 1 << 60

STYLE = (
    highlighting.STYLE
    + """
h1 .id { font-size: 1.15rem; font-weight: 600; letter-spacing: 0; }
.whereabouts { display: grid; gap: 0 3rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.whereabouts h2 { margin-top: 1.2rem; } .whereabouts dl { font-size: 0.9rem; }
.texts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
  gap: 0.5rem 1.5rem; align-items: start; }
.texts > section { min-width: 0; border: 1px solid var(--line); border-radius: 0.5rem;
  padding: 0.7rem 1rem 1rem; }
.texts h3 { font-size: 1rem; margin: 0; } .texts .go { margin: 0.5rem 0; font-size: 0.9rem; }
fieldset { border: 1px solid var(--line); border-radius: 0.5rem; margin: 0.6rem 0 1rem;
  padding: 0.4rem 1rem 0.8rem; width: 100%; min-width: 0; } legend { font-weight: 500;
  padding: 0 0.4rem; margin-left: -0.4rem; }
.columns { display: grid; gap: 0.3rem 1.5rem; margin-bottom: 0.7rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.columns label { display: flex; gap: 0.5rem; align-items: start; font-size: 0.9rem; }
.columns input, .columns .swatch { flex: none; margin-top: 0.2rem; }
.scores { columns: 24rem; column-gap: 2.5rem; } .scores section { break-inside: avoid; }
.scores table { width: 100%; margin: 0 0 1rem; font-size: 0.9rem; } .scores caption {
  font-weight: 600; } .scores th { font-weight: 400; color: var(--ink); }
td pre { margin: 0; }
"""
)


@dataclass(frozen=True)
class Asked:
    """What an address asks of a document: `copy` from 1; the first characters that are shown of
    its text before the mix and of its tokens', and the first sighting, from 0; `show` is None where
    the page chooses."""

    id: str
    copy: int
    at: int
    tokens_at: int
    seen: int
    show: Sequence[str] | None

    def address(self, to: Addresses, **changed: int) -> str:
        """The address of the same with other beginnings."""
        begins = {"at": self.at, "tokens_at": self.tokens_at, "seen": self.seen} | changed
        return to.document(self.id, copy=self.copy, show=self.show, **begins)


def answer(viewed: Viewed, query: Mapping[str, str], shown: Sequence[str]) -> str:
    """The page of a document, or without an id the form; `shown` are all values of `show`."""
    if not query.get("id"):
        return _form_page(viewed, is_empty="id" in query)
    names = [name for value in shown for name in value.split(",") if name]
    asked = Asked(
        id=query["id"],
        copy=number(query, "mix", 1, least=1, most=HUGE),
        at=number(query, "at", 0, least=0, most=HUGE),
        tokens_at=number(query, "tokens_at", 0, least=0, most=HUGE),
        seen=number(query, "seen", 0, least=0, most=HUGE),
        show=list(dict.fromkeys(names)) if shown else None,
    )
    found = traced(viewed, asked.id)
    if asked.copy > len(found.copies):
        raise Refused(f"mix={asked.copy}: there are {len(found.copies)} documents of this id", 404)
    copy = found.copies[asked.copy - 1]
    texts = texts_of(viewed, copy, asked.id, found.decided)
    main, style = _main(viewed, asked, found, copy, texts)
    title = f"Document {shortened(asked.id)}"
    return viewed.shell.page(title, main, place="document", style=STYLE + style)


def _form_page(viewed: Viewed, *, is_empty: bool) -> str:
    told = "<p class=told>Documents whose id is empty cannot be asked for.</p>" if is_empty else ""
    main = (
        "<h1>A document by its id</h1><p class=soft>When it was seen or why never, as the tokens "
        f"have it and as it was before the mix.</p>{told}{form(viewed)}"
    )
    return viewed.shell.page("Document", main, place="document")


def linked(to: Addresses, doc_id: str) -> str:
    """The id of a document, which leads to its page; where it has none, why."""
    name = f"<bdi>{escaped(doc_id)}</bdi>"
    if (why := to.no_page(doc_id)) is not None:
        return f"{name} <span class='soft small'>(no page: {why})</span>"
    return f'<a href="{attribute(to.document(doc_id))}">{name}</a>'


def form(viewed: Viewed, doc_id: str = "") -> str:
    """A field for the id of a document."""
    return (
        f"<form action='{viewed.addresses.documents}'><label for=id>Document id</label><input "
        f'id=id type=text name=id value="{attribute(doc_id)}" required autocomplete=off '
        f"spellcheck=false maxlength={MOST_BYTES}><button>Show</button></form>"
    )


def _main(viewed: Viewed, asked: Asked, found: Traced, copy: Copy, texts: Texts) -> tuple[str, str]:
    said, faults = _attributes(texts)
    faults = [*found.faults, *texts.faults, *faults]
    shown, style = _texts(viewed, asked, texts, said)
    body = (
        f"<h1>Document <bdi class=id>{escaped(asked.id)}</bdi></h1>"
        f"<p class=soft>{_summary(viewed, found, copy, texts)}</p>"
        f"{_copies(viewed, asked, found)}"
        + "".join(f"<p class=told><bdi>{escaped(one)}</bdi></p>" for one in faults)
        + "<div class=whereabouts><section><h2>When it was seen</h2>"
        + _sightings(viewed, asked, found)
        + sightings.why_never(found)
        + f"</section><section>{parts.places(viewed, copy, texts, found)}</section></div>"
        + shown
        + parts.scores(said.columns)
        + parts.metadata(texts)
    )
    return body, style


def _summary(viewed: Viewed, found: Traced, copy: Copy, texts: Texts) -> str:
    document = texts.original or texts.tokenized
    source = document.source if document else None
    pieces = [f"Source <bdi>{escaped(source)}</bdi>"] if source else []
    if copy.tokens is not None:
        pieces.append(counted(texts.n_tokens, "token"))
    steps = [one.step for one in found.seen]
    if steps:
        last = f", last at step {max(steps):,}" if max(steps) > min(steps) else ""
        pieces.append(f"first seen at step {min(steps):,}{last}")
    else:
        pieces.append("never seen")
    return "; ".join(pieces) + "."


def _copies(viewed: Viewed, asked: Asked, found: Traced) -> str:
    """To the other documents of the id; nothing where it is one."""
    n = len(found.copies)
    if n == 1:
        return ""
    first = max(1, min(asked.copy - SHOWN_COPIES // 2, n - SHOWN_COPIES + 1))
    links = []
    for nth in range(first, min(n, first + SHOWN_COPIES - 1) + 1):
        address = attribute(viewed.addresses.document(asked.id, copy=nth, show=asked.show))
        current = " aria-current=page" if nth == asked.copy else ""
        links.append(f'<a href="{address}"{current}>{nth}</a>')
    return (
        f"<nav class=go aria-label=Copies><span class=soft>{n:,} documents have this id</span>"
        f"{''.join(links)}</nav>"
    )


def _sightings(viewed: Viewed, asked: Asked, found: Traced) -> str:
    """A table, and the way to more of it where there are many."""
    n = len(found.seen)
    first = min(asked.seen, max(0, n - 1))
    made = sightings.table(viewed.addresses, found.seen, first)
    if n <= sightings.SHOWN:
        return made
    before, after = max(0, first - sightings.SHOWN), first + sightings.SHOWN
    links = _turn(viewed, asked, "seen", before, "Seen before") if first else ""
    links += _turn(viewed, asked, "seen", after, "Seen after") if after < n else ""
    extent = f"{first + 1:,} to {min(after, n):,} of {n:,}"
    return f"{made}<div class=go>{links}<span class=soft>{extent}</span></div>"


def _attributes(texts: Texts) -> tuple[Attributes, list[str]]:
    if texts.original is None:
        return Attributes([], []), []
    try:
        found = attributes_of(texts.original, texts.fields)
    except (DolmaKitError, OSError) as error:
        return Attributes([], []), [line_of(error)]
    return found, found.faults


def _texts(viewed: Viewed, asked: Asked, texts: Texts, said: Attributes) -> tuple[str, str]:
    """The texts beside each other, one where they are the same, and the colours of spans."""
    original = None if texts.original is None else texts.original.text
    same = original is not None and original == texts.tokens
    made, style = [], ""
    legend = ""
    if original is not None:
        columns = [one for one in said.columns if one.kind == "spans" and one.spans]
        chosen = _chosen(columns, asked.show, len(original))
        legend = parts.legend(viewed, asked, columns, [one.name for one in chosen])
        start, stop = _window(asked.at, len(original))
        spans = [(one.name, one.spans) for one in chosen]
        html, style, _ = highlighting.marked(original, start, stop, spans)
        names = {
            (True, True): "Before the mix and in the tokens: the same text",
            (True, False): "In the file and in the tokens: the same text",
            (False, True): "Before the mix",
            (False, False): "In the file",
        }
        name = names[same, texts.is_mixed]
        made.append(_section(viewed, asked, name, html, (start, stop, len(original)), "at"))
    if texts.tokens is not None and not same:
        start, stop = _window(asked.tokens_at, len(texts.tokens))
        html = escaped(texts.tokens[start:stop])
        if texts.n_tokens > MOST_TOKENS and stop == len(texts.tokens):
            html += f" <span class=mark>tokens from {MOST_TOKENS:,} on are not decoded</span>"
        extent = (start, stop, len(texts.tokens))
        made.append(_section(viewed, asked, "As the tokens have it", html, extent, "tokens_at"))
    if not made:
        return "", ""
    return f"<h2>Text</h2>{legend}<div class=texts>{''.join(made)}</div>", style


def _window(at: int, n: int) -> tuple[int, int]:
    """The characters that are shown from one on; the last ones where the text ends before it."""
    at = min(at, max(0, (n - 1) // SHOWN_CHARACTERS * SHOWN_CHARACTERS)) if at >= n else at
    return at, min(at + SHOWN_CHARACTERS, n)


def _chosen(columns: list[Column], show: Sequence[str] | None, n: int) -> list[Column]:
    """The columns whose spans are shown: those that were asked for, else the first that do not say
    something of the whole text only."""
    if show is not None:
        return [one for one in columns if one.name in show]
    parts_only = [one for one in columns if any((s.start, s.end) != (0, n) for s in one.spans)]
    return parts_only[:N_COLOURS]


def _section(
    viewed: Viewed, asked: Asked, name: str, html: str, extent: tuple[int, int, int], key: str
) -> str:
    start, stop, n = extent
    turning = f"<p class='soft small'>{counted(n, 'character')}</p>"
    if stop - start < n:
        links = ""
        if start:
            links += _turn(viewed, asked, key, max(0, start - SHOWN_CHARACTERS), "Text before")
        if stop < n:
            links += _turn(viewed, asked, key, stop, "Text after")
        turning = (
            f"<div class=go>{links}<span class=soft>characters {start:,} to {stop:,} of {n:,}"
            "</span></div>"
        )
    text = html or "<span class=mark>no text</span>"
    after = turning if stop - start < n else ""
    return (
        f"<section><h3>{name}</h3>{turning}<pre class=text dir=auto>{text}</pre>{after}</section>"
    )


def _turn(viewed: Viewed, asked: Asked, key: str, at: int, name: str) -> str:
    return f'<a href="{attribute(asked.address(viewed.addresses, **{key: at}))}">{name}</a>'
