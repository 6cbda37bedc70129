"""A text with spans in colours: cut where spans begin and end, each piece in all its colours.

A piece is tinted with the colour of its first column and underlined once for each, so that spans
that overlap can be told apart. Columns are few (COLOURED at most); more share colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dolma_kit.markup import N_COLOURS, attribute, escaped
from dolma_kit.viewing.stored import Span

STYLE = """
mark { color: inherit; padding: 0.1em 0; box-decoration-break: clone;
  -webkit-box-decoration-break: clone; }
.text { line-height: 1.75; }
.swatch { display: inline-block; width: 0.9rem; height: 0.9rem; border-radius: 0.2rem;
  background: color-mix(in srgb, var(--c) 22%, transparent); border-bottom: 3px solid var(--c); }
"""


class Marked(NamedTuple):
    """The HTML of a text, the CSS of its colours, and how many spans began or went on in it."""

    html: str
    style: str
    n_spans: int


def marked(
    text: str, start: int, end: int, columns: Sequence[tuple[str, Sequence[Span]]]
) -> Marked:
    """Characters [start, end) of a text with the spans of columns (name, spans), of which the k-th
    is in colour k.

    >>> marked("abcd", 0, 4, [("x", [Span(1, 3, 1.0)])]).html
    'a<mark class=s1 title="x 1">bc</mark>d'
    """
    begins: dict[int, list[tuple[int, int, Span]]] = {}
    ends: dict[int, list[tuple[int, int]]] = {}
    n_spans = 0
    for nth, (_, spans) in enumerate(columns):
        for number, span in enumerate(spans):
            first, stop = max(span.start, start), min(span.end, end)
            if first < stop:
                begins.setdefault(first, []).append((nth, number, span))
                ends.setdefault(stop, []).append((nth, number))
                n_spans += 1
    active: list[dict[int, Span]] = [{} for _ in columns]
    sets: dict[int, list[int]] = {}
    pieces: list[str] = []
    at = start
    for cut in sorted({*begins, *ends, end}):
        if cut > at:
            piece = escaped(text[at:cut])
            nths = [nth for nth, inside in enumerate(active) if inside]
            if nths:
                mask = sum(1 << nth for nth in nths)
                sets.setdefault(mask, nths)
                said = ", ".join(_said(columns[nth][0], active[nth]) for nth in nths)
                piece = f'<mark class=s{mask} title="{attribute(said)}">{piece}</mark>'
            pieces.append(piece)
        for nth, number in ends.get(cut, ()):
            del active[nth][number]
        for nth, number, span in begins.get(cut, ()):
            active[nth][number] = span
        at = cut
    style = "".join(_rule(mask, nths) for mask, nths in sets.items())
    return Marked("".join(pieces), style, n_spans)


def _said(name: str, inside: dict[int, Span]) -> str:
    """A column and the score of its span; how many there are, where they lie in each other."""
    if len(inside) > 1:
        return f"{name}, {len(inside)} spans"
    return f"{name} {next(iter(inside.values())).score:g}"


def _rule(mask: int, nths: Sequence[int]) -> str:
    lines = [
        f"linear-gradient(var(--c{nth % N_COLOURS}),var(--c{nth % N_COLOURS})) "
        f"0 calc(100% - {3 * i}px)/100% 2px no-repeat"
        for i, nth in enumerate(nths)
    ]
    tint = f"color-mix(in srgb,var(--c{nths[0] % N_COLOURS}) 14%,transparent)"
    return f".s{mask}{{background:{','.join(lines)},{tint};padding-bottom:{3 * len(nths)}px}}\n"
