"""Putting text in place of spans, so that no character of a masked span survives.

Spans that overlap are united before anything is replaced: what is left in clear is exactly what
no span covers. (Dolma's mixer drops a span that starts inside an earlier one, and so leaves the
tail of it in the text.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Replacement(NamedTuple):
    """Put `text` in place of code points [start, end).

    `{}` in it stands for what was there, unless it is to be taken as it is, `literal`.
    """

    start: int
    end: int
    text: str
    literal: bool = False

    @property
    def quotes(self) -> bool:
        """Whether it has a place for what was there."""
        return "{}" in self.text and not self.literal


def replace(text: str, replacements: Sequence[Replacement]) -> tuple[str, int]:
    """The text with all spans replaced, and how many regions that were.

    Overlapping spans become one region; it gets the replacement of the first of them (by start,
    then the longest, then as given) that does not quote what was there, else of the first. Spans
    that only touch stay apart. Empty spans cover nothing and are ignored. Spans must lie within
    the text.

    >>> replace("call 555 now", [Replacement(5, 8, "#"), Replacement(7, 12, "<{}>")])
    ('call #', 1)
    """
    spans = sorted(
        (r for r in replacements if r.start < r.end), key=lambda r: (r.start, -r.end)
    )  # a stable sort: equal spans stay as given
    pieces: list[str] = []
    position = n_regions = i = 0
    while i < len(spans):
        first = spans[i]
        start, end, chosen = first.start, first.end, first
        i += 1
        while i < len(spans) and spans[i].start < end:
            end = max(end, spans[i].end)
            if chosen.quotes and not spans[i].quotes:
                chosen = spans[i]
            i += 1
        pieces.append(text[position:start])
        was = text[start:end]
        pieces.append(chosen.text.replace("{}", was) if chosen.quotes else chosen.text)
        position = end
        n_regions += 1
    pieces.append(text[position:])
    return "".join(pieces), n_regions
