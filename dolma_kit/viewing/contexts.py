"""What stands before and after a phrase: the tokens around it, as bytes.

Bytes are exact where a phrase begins or ends inside a token, and need no decoding of more than is
shown.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dolma_kit.errors import ConfigError
from dolma_kit.order.answers import Hit, Sighting
from dolma_kit.order.asking.vocabulary import Vocabulary
from dolma_kit.order.documents import Document
from dolma_kit.order.run import Run

TOKENS = 48  # before, and after


class Context(NamedTuple):
    """A phrase between what stands before and after it; whether that is the document's begin and
    end."""

    before: str
    match: str
    after: str
    is_begin: bool
    is_end: bool


def context_of(run: Run, hit: Hit, vocabulary: Vocabulary) -> Context | None:
    """The text around a hit; None for one that nothing says where it is."""
    found = _seen_at(run, hit.seen[0], hit) if hit.seen else _listed(run, hit)
    if found is None:
        return None
    of_run, file, document = found
    ids = of_run.files[file].read(document.start, document.start + hit.doc_end)
    lengths = np.diff(vocabulary.offsets)
    begin = max(0, hit.doc_start - TOKENS)
    last = min(document.end - document.start, hit.doc_end + TOKENS)
    around = of_run.files[file].read(document.start + begin, document.start + last)
    silent = np.zeros(len(around), np.bool_)
    is_end = document.start + last == document.end
    if is_end and around[-1] == of_run.description.eos_token_id:
        silent[-1] = True
    decoded, _ = vocabulary.decode(around, silent)
    start = hit.start_byte - int(lengths[ids[:begin]].sum())
    stop = start + hit.end_byte - hit.start_byte
    return Context(
        before=_whole(decoded[:start], begin > 0),
        match=decoded[start:stop].decode("utf-8", "replace"),
        after=decoded[stop:].decode("utf-8", "ignore" if not is_end else "replace"),
        is_begin=begin == 0,
        is_end=is_end,
    )


def _whole(data: bytes, is_cut: bool) -> str:
    """Text without the rest of a character that the first token began."""
    if is_cut:
        data = data.lstrip(bytes(range(0x80, 0xC0)))
    return data.decode("utf-8", "replace")


def _seen_at(run: Run, seen: Sighting, hit: Hit) -> tuple[Run, int, Document] | None:
    """The run that trained on it, the file, and the document that holds the hit."""
    segment = run.schedule.batch(seen.step).segment
    if segment in run.parents:
        return _seen_at(run.parents[segment], seen, hit)
    at = seen.start
    for file, first, stop in run.view_of(segment).instances.spans(seen.instance):
        if at < stop - first:
            (document,) = run.documents(file).within(first + at, first + at + 1)
            return run, file, document
        at -= stop - first
    return None


def _listed(run: Run, hit: Hit) -> tuple[Run, int, Document] | None:
    """The same of a hit that was never seen, by its id."""
    try:
        occurrences = run.occurrences(hit.id)
    except ConfigError:  # ids that EOS tokens made up
        return None
    for file, start, _ in occurrences:
        (document,) = run.documents(file).within(start, start + 1)
        if (document.src, document.line) == (hit.src, hit.line):
            return run, file, document
    return None
