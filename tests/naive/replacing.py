"""Replacing spans of one text, one after the other, as `dolma_kit.replacing` says."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_kit.replacing import Replacement


def replace(text: str, replacements: Sequence[Replacement]) -> tuple[str, int]:
    """The text with all spans replaced, and how many regions that were."""
    spans = sorted(
        (r for r in replacements if r.start < r.end), key=lambda r: (r.start, -r.end)
    )  # a stable sort: equal spans stay as given
    pieces: list[str] = []
    position = n_regions = 0
    while spans:
        region = [spans.pop(0)]
        while spans and spans[0].start < max(span.end for span in region):
            region.append(spans.pop(0))
        start, end = region[0].start, max(span.end for span in region)
        plain = [span for span in region if span.literal or "{}" not in span.text]
        chosen = (plain or region)[0]
        was = text[start:end]
        pieces += [text[position:start], chosen.text if plain else chosen.text.replace("{}", was)]
        position = end
        n_regions += 1
    return "".join([*pieces, text[position:]]), n_regions
