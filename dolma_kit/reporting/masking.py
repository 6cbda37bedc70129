"""Excerpts that may be shown: personal data in them is masked, as far as rules find it.

The rules are those of `pii_v3`. A name or a story is no pattern: an excerpt is shorter than it is
harmless.
"""

from __future__ import annotations

from collections.abc import Sequence

MASK = "|||{}|||"
TAGGER = "pii_v3"


def masked(texts: Sequence[str]) -> list[str]:
    """Each text with its personal data replaced by the kind, as `|||EMAIL_ADDRESS|||`."""
    if not texts:
        return []
    import numpy as np

    from dolma_kit import registry
    from dolma_kit.attributes import Spans
    from dolma_kit.documents import batch_of

    n = len(texts)
    batch = batch_of([("", text) for text in texts])
    clean = batch.texts
    spans: list[list[tuple[int, int, str]]] = [[] for _ in range(n)]
    for kind, found in registry.tagger(TAGGER).tag(batch).items():
        if isinstance(found, Spans):
            rows = np.repeat(np.arange(n), np.diff(found.offsets))
            for row, start, end in zip(rows, found.start, found.end, strict=True):
                spans[row].append((int(start), int(end), kind))
    return [_replaced(text, sorted(some)) for text, some in zip(clean, spans, strict=True)]


def _replaced(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    pieces, at = [], 0
    for start, end, kind in spans:
        if end <= at:  # within one that is masked already
            continue
        pieces += [text[at : max(start, at)], MASK.format(kind)]
        at = end
    return "".join([*pieces, text[at:]])


def dotted(text: str) -> str:
    """A word that is not to be read: its first character, and a dot for each other one.

    >>> dotted("damn")
    'd...'
    """
    return text[:1] + "." * (len(text) - 1)
