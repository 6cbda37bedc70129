"""The part of a document that shows what was found, and reading it from its file."""

from __future__ import annotations

import contextlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dolma_kit.decoding import Piece, Pieces, Source, decode
from dolma_kit.documents import Fields
from dolma_kit.searching import text_words
from dolma_kit.searching.text_queries import Pattern

SNIPPET_LENGTH = 200
MAX_MARKS = 10_000


def documents_at(path: str, fields: Fields, lines: set[int]) -> dict[int, tuple[str, str]]:
    """Line -> id and text of the documents at lines (from 1) of a file; it is read that far."""
    source = Source(path, fields, set_aside=True)
    found = {}
    for piece in _pieces_with(source, lines):
        for decoded in decode(source, piece):
            for row, line in enumerate(decoded.lines.tolist()):
                if line in lines:
                    table = decoded.table
                    found[line] = (table["id"][row].as_py(), table["text"][row].as_py())
    return found


def _pieces_with(source: Source, lines: set[int]) -> Iterator[Piece]:
    before: Piece | None = None
    last = max(lines)
    with contextlib.closing(iter(Pieces(source))) as pieces:  # type: ignore[type-var]
        for piece in itertools.chain(pieces, [None]):
            if before is not None:
                end = last + 1 if piece is None else piece.first_line
                if any(before.first_line <= line < end for line in lines):
                    yield before
                if end > last:
                    return
            before = piece


def snippet(text: str, patterns: Sequence[Pattern], length: int = SNIPPET_LENGTH) -> str:
    """About `length` characters of a text, where most of the patterns are, what they find between
    `**`, and white space run together; the begin of the text where none is."""
    text = unicodedata.normalize("NFC", text)
    spans = _spans(text, patterns)
    start, end = _window(spans, length)
    margin = max(length - (end - start), 0) // 2
    start = max(0, min(start - margin, len(text) - length))
    end = min(len(text), max(start + length, end))
    end = min(end, start + 2 * length)
    start, end = _trimmed(text, start, end, spans)
    parts, at = ["… " if start else ""], start
    for a, b, _ in spans:
        a, b = max(a, at), min(b, end)
        if a < b:
            parts += [text[at:a], "**", text[a:b], "**"]
            at = b
    parts += [text[at:end], " …" if end < len(text) else ""]
    return " ".join("".join(parts).split())


class _Span(NamedTuple):
    """Characters [start, end) that a pattern finds."""

    start: int
    end: int
    pattern: int


def _spans(text: str, patterns: Sequence[Pattern]) -> list[_Span]:
    """What patterns find in a text in NFC, in its order."""
    import numpy as np

    made = text_words.words_of_texts([text])
    words = made.of(0)
    known = set(words)
    spans = []
    begins = np.frombuffer(text.encode(), np.uint8) & 0xC0 != 0x80
    before = np.concatenate([[0], np.cumsum(begins)])  # characters that begin before each byte
    starts, ends = before[made.starts].tolist(), before[made.ends].tolist()
    for number, pattern in enumerate(dict.fromkeys(patterns)):
        meant = [
            {word} & known if isinstance(word, str) else set(filter(word, known))
            for word in pattern.words
        ]
        if not all(meant):
            continue
        first, n = meant[0], len(meant)
        places = (
            at
            for at, word in enumerate(words[: len(words) - n + 1])
            if word in first and all(words[at + k] in meant[k] for k in range(1, n))
        )
        for at in itertools.islice(places, MAX_MARKS):
            spans.append(_Span(starts[at], ends[at + n - 1], number))
    return sorted(spans)


def _window(spans: Sequence[_Span], length: int) -> tuple[int, int]:
    """From the first to the last of the spans within a length that has most patterns."""
    best, found = (0, 0), (0, 0)
    inside: Counter[int] = Counter()
    first = 0
    for last, span in enumerate(spans):
        inside[span.pattern] += 1
        while first < last and span.end - spans[first].start > length:
            inside[spans[first].pattern] -= 1
            if not inside[spans[first].pattern]:
                del inside[spans[first].pattern]
            first += 1
        score = (len(inside), last - first)
        if score > best or not last:
            best, found = score, (spans[first].start, span.end)
    return found


def _trimmed(text: str, start: int, end: int, spans: Sequence[_Span]) -> tuple[int, int]:
    """A stretch without the words that it cuts, if they are short and none that was found."""
    inner = [span for span in spans if span.start < end and span.end > start]
    if start and (space := re.search(r"\s", text[start : start + 20])):
        cut = start + space.end()
        start = cut if not inner or cut <= inner[0].start else start
    if end < len(text) and (space := re.search(r"\s\S*$", text[max(end - 20, start) : end])):
        cut = max(end - 20, start) + space.start()
        end = cut if not inner or cut >= max(span.end for span in inner) else end
    return start, end
