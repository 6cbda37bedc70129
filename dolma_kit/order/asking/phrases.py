"""When a phrase was seen: every byte occurrence in the decoded tokens, however they were cut.

All token files of the run are decoded and searched, a block of whole documents at a time. An
occurrence lies within one document; it may begin or end inside a token, and occurrences may
overlap. The phrase is normalized as the tokenizer normalizes texts. The EOS that ends a document
is no text.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError
from dolma_kit.order.answers import Hit, TextAnswer
from dolma_kit.order.asking.vocabulary import Vocabulary, normalized
from dolma_kit.order.documents import Document, DocumentTable, ScannedDocuments

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

BLOCK_TOKENS = 1 << 21
LIMIT = 100


@dataclass(frozen=True)
class Occurrence:
    """Where a phrase stands: tokens [start, end) of a file, bytes from `byte` on in the text of
    the document that begins at token `document`."""

    start: int
    end: int
    byte: int
    document: int


class Found(NamedTuple):
    """How often a phrase stands somewhere, in how many documents, and the first occurrences of it;
    of the others there is nothing, as a phrase may be as short as a space."""

    n: int
    n_documents: int
    first: list[Occurrence]


@dataclass(frozen=True)
class Block:
    """Whole documents of one file: tokens [bounds[0], bounds[-1]), a document between two."""

    file: int
    bounds: NDArray[np.int64]


#: what is found of a needle in a file of the run, by its number, with so many of the first
#: occurrences; None where it has to be read
Known = Callable[[int, bytes, Vocabulary, int], Found | None]


def trace_text(
    run: Run,
    text: str,
    *,
    limit: int = LIMIT,
    until: int | None = None,
    workers: int = 1,
    known: Known = lambda file, needle, vocabulary, most: None,
) -> TextAnswer:
    """The answer of `trace text`: all occurrences counted, the first `limit` of them with their
    documents and steps; sightings after step `until` do not count. `known` may have an index.

    ConfigError for an empty phrase, one that the normalizer leaves nothing of, and a tokenizer that
    is not byte-level.
    """
    needle = _needle(run, text)
    if not needle:
        raise ConfigError("an empty phrase is everywhere: give some text")
    vocabulary = run.vocabulary
    n_found, n_documents, limit = 0, 0, max(limit, 0)
    shown: list[tuple[int, Occurrence]] = []
    with ThreadPoolExecutor(workers) as pool:
        for file in _files(run):
            indexed = known(file, needle, vocabulary, limit - len(shown))
            parts: Iterator[Found] = (
                _read(run, file, vocabulary, needle, limit - len(shown), pool, workers)
                if indexed is None
                else iter((indexed,))
            )
            for found in parts:
                n_found += found.n
                n_documents += found.n_documents
                shown += [(file, one) for one in found.first[: limit - len(shown)]]
    hits = _hits(run, shown, len(needle), until)
    steps = [s.step for hit in hits for s in hit.seen]
    return TextAnswer(
        text=_printable(text),
        occurrences=n_found,
        documents=n_documents,
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
        hits=hits,
    )


def _read(
    run: Run,
    file: int,
    vocabulary: Vocabulary,
    needle: bytes,
    most: int,
    pool: ThreadPoolExecutor,
    workers: int,
) -> Iterator[Found]:
    """What is found in a file, block by block, with the first `most` occurrences or some more."""
    blocks = _blocks(run, file)
    while batch := list(itertools.islice(blocks, 4 * workers)):
        same = map(itertools.repeat, (vocabulary, needle, most))
        for found in pool.map(find_in, itertools.repeat(run), batch, *same):
            most -= min(most, len(found.first))
            yield found


def _printable(text: str) -> str:
    """The phrase as JSON can hold it: bytes that are no UTF-8 are escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    return text


def _needle(run: Run, text: str) -> bytes:
    try:
        return normalized(run.tokenizer, text).encode()
    except (UnicodeEncodeError, TypeError):  # bytes that are no UTF-8, as Python's argv holds them
        try:
            return os.fsencode(text)
        except UnicodeEncodeError:
            raise ConfigError("the phrase holds half a surrogate pair, which is no text") from None


def find_in(run: Run, block: Block, vocabulary: Vocabulary, needle: bytes, most: int) -> Found:
    """What is found in a block, with the first `most` occurrences, by place."""
    first, last = int(block.bounds[0]), int(block.bounds[-1])
    tokens = run.files[block.file].read(first, last)
    ends = block.bounds[1:] - first
    is_silent = np.zeros(len(tokens), np.bool_)
    is_silent[ends - 1] = tokens[ends - 1] == run.description.eos_token_id
    decoded, offsets = vocabulary.decode(tokens, is_silent)
    places = np.fromiter(_places(decoded, needle), np.int64)
    bounds = offsets[block.bounds - first]  # (n_docs + 1,) where each document's text begins
    document = np.searchsorted(bounds, places, side="right") - 1
    within = places + len(needle) <= bounds[document + 1]
    places, document = places[within], document[within]
    n, n_documents = len(places), int(np.count_nonzero(np.bincount(document)))
    places, document = places[:most], document[:most]
    starts = np.searchsorted(offsets, places, side="right") - 1
    stops = np.searchsorted(offsets, places + len(needle), side="left")
    shown = [
        Occurrence(first + s, first + e, b, int(block.bounds[d]))
        for s, e, b, d in zip(
            starts.tolist(),
            stops.tolist(),
            (places - bounds[document]).tolist(),
            document.tolist(),
            strict=True,
        )
    ]
    return Found(n, n_documents, shown)


def _places(decoded: bytes, needle: bytes) -> Iterator[int]:
    at = decoded.find(needle)
    while at >= 0:
        yield at
        at = decoded.find(needle, at + 1)


def _files(run: Run) -> Iterator[int]:
    """The run's files that have tokens; one that stands twice is searched once."""
    done = set()
    for n, file in enumerate(run.files):
        if file.path not in done and file.n_tokens:
            done.add(file.path)
            yield n


def _blocks(run: Run, n: int) -> Iterator[Block]:
    """All documents of a file in blocks."""
    table = run.documents(n)
    bounds = (
        np.concatenate(([0], table.ends))
        if isinstance(table, DocumentTable)
        else _scanned_bounds(run, n)
    )
    first = 0
    while first < len(bounds) - 1:
        room = int(bounds[first]) + BLOCK_TOKENS
        last = max(int(np.searchsorted(bounds, room, side="right")) - 1, first + 1)
        yield Block(n, bounds[first : last + 1])
        first = last


def _scanned_bounds(run: Run, n: int) -> NDArray[np.int64]:
    file, eos = run.files[n], run.description.eos_token_id
    found = [np.zeros(1, np.int64)]
    for first in range(0, file.n_tokens, BLOCK_TOKENS):
        tokens = file.read(first, min(first + BLOCK_TOKENS, file.n_tokens))
        found.append(first + 1 + np.flatnonzero(tokens == eos))
    if found[-1][-1:].tolist() != [file.n_tokens]:
        found.append(np.array([file.n_tokens]))
    return np.concatenate(found)


def _hits(
    run: Run, shown: list[tuple[int, Occurrence]], n_bytes: int, until: int | None
) -> list[Hit]:
    numbers: dict[str, list[int]] = {}
    for n, file in enumerate(run.files):
        numbers.setdefault(file.path, []).append(n)
    groups = [
        [(n, one.start, one.end) for n in numbers[run.files[file].path]] for file, one in shown
    ]
    hits = []
    answers = run.sightings_of_each(groups) if groups else []
    for (number, one), (seen, never) in zip(shown, answers, strict=True):
        if until is not None and seen:
            seen = [s for s in seen if s.step <= until]
            never = None if seen else "not-reached"
        document = _document(run.documents(number), one)
        hits.append(
            Hit(
                id=document.id,
                source=document.source,
                src=document.src,
                line=document.line,
                start_byte=one.byte,
                end_byte=one.byte + n_bytes,
                doc_start=one.start - document.start,
                doc_end=one.end - document.start,
                whole=any(s.end - s.start == one.end - one.start for s in seen),
                seen=seen,
                never=never,
            )
        )
    return hits


def _document(table: DocumentTable | ScannedDocuments, one: Occurrence) -> Document:
    (document,) = table.within(one.document, one.document + 1)
    return document
