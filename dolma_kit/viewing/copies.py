"""All documents of an id: among the tokens, and those that a mix has read and removed.

An id is one document as a rule. It is several where a mix wrote it more than once, where streams
share it, and where a corpus gives it twice; each of them is a copy, numbered from 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dolma_kit.decoding import Fields
from dolma_kit.errors import ConfigError, DolmaKitError, MissingInput, VerificationError
from dolma_kit.explaining import Why
from dolma_kit.order.answers import Never, Sighting
from dolma_kit.viewing import stored
from dolma_kit.viewing.asked import Refused, line_of
from dolma_kit.viewing.stored import Stored
from dolma_kit.viewing.viewed import Viewed

if TYPE_CHECKING:
    from dolma_kit.order.run import Run
    from dolma_kit.viewing.origins import Mix

MOST_TOKENS = 1 << 22  # of a document that are decoded


@dataclass(frozen=True)
class Decided:
    """What a mix decided of a document."""

    mix: Mix
    why: Why


@dataclass(frozen=True)
class Copy:
    """A document: its tokens (file, start, end), or what a mix decided of one that has none."""

    tokens: tuple[int, int, int] | None
    decided: Decided | None = None


@dataclass(frozen=True)
class Traced:
    """What is known of an id. `seen` and `never` are of all copies, as `trace doc` tells them;
    `faults` are mixes that could not be asked."""

    id: str
    copies: list[Copy]
    seen: list[Sighting]
    never: Never | None
    decided: list[Decided]
    faults: list[str]


def traced(viewed: Viewed, doc_id: str) -> Traced:
    """The copies of an id; Refused where neither tokens nor mixes know it."""
    run, faults = viewed.run, list[str]()
    try:
        occurrences, unknown = run.occurrences(doc_id), ""
    except MissingInput:
        raise
    except ConfigError as error:
        occurrences, unknown = [], line_of(error)
    decided = []
    try:
        for mix in viewed.origins.mixes:
            decided += [Decided(mix, why) for why in mix.decided(doc_id)]
    except (DolmaKitError, OSError) as error:
        faults.append(line_of(error))
    if not occurrences and not decided:
        raise Refused("; ".join([unknown, *faults]), 404)
    copies = [Copy(one) for one in occurrences]
    # What a mix has written is among the tokens, if they were made from all of it.
    copies += [Copy(None, one) for one in decided if not one.why.copies or not occurrences]
    seen, never = run.sightings(occurrences) if occurrences else ([], None)
    if not occurrences and any(one.why.first is not None for one in decided):
        never = "removed"
    return Traced(doc_id, copies, seen, never, decided, faults)


@dataclass
class Texts:
    """A copy as the tokens have it (None where it has none), as the file has it that was tokenized,
    and before the mix. What cannot be had is None, and a line of `faults` says why."""

    tokens: str | None = None
    n_tokens: int = 0
    tokenized: Stored | None = None
    original: Stored | None = None
    fields: Fields = field(default_factory=Fields)
    is_mixed: bool = False
    faults: list[str] = field(default_factory=list)


def texts_of(viewed: Viewed, copy: Copy, doc_id: str, decided: list[Decided]) -> Texts:
    """All texts of a copy that there are."""
    found = Texts()
    if copy.tokens is None:
        assert copy.decided is not None
        found.is_mixed = True
        _find_original(found, copy.decided.mix, copy.decided.why, doc_id)
        return found
    file, start, end = copy.tokens
    found.n_tokens = end - start
    try:
        found.tokens = decoded(viewed.run, file, start, end)
        _find_tokenized(found, viewed, file, start, doc_id)
        if found.tokenized is not None:
            _find_before_mix(found, viewed, found.tokenized, doc_id, decided)
    except (DolmaKitError, OSError) as error:
        found.faults.append(line_of(error))
    return found


def _find_tokenized(found: Texts, viewed: Viewed, file: int, start: int, doc_id: str) -> None:
    (document,) = viewed.run.documents(file).within(start, start + 1)
    if document.line is None:
        return
    paths, fields = viewed.origins.tokenized(file, document.src)
    faults = []
    for path in paths:
        try:
            found.tokenized = _checked(stored.read(path, document.line, fields), doc_id)
            found.fields = fields
            return
        except (DolmaKitError, OSError) as error:
            faults.append(line_of(error))
    found.faults += faults


def _find_before_mix(
    found: Texts, viewed: Viewed, tokenized: Stored, doc_id: str, decided: list[Decided]
) -> None:
    mix = viewed.origins.mix_of(tokenized.path)
    if mix is None:
        found.original = tokenized
        return
    found.is_mixed = True
    stream = mix.stream_of(tokenized.path)
    place = provenance(tokenized.metadata)
    if place is None:  # a mix that discards metadata; its decisions still know
        kept = [
            (one.why.src, one.why.line, one.why.stream)
            for one in decided
            if one.why.copies and one.mix.folder == mix.folder and one.why.stream in (stream, None)
        ]
        if len(set(kept)) != 1:
            where = f"{tokenized.path}:{tokenized.line}"
            found.faults.append(f"{where} has no metadata.provenance, which tells what it was")
            return
        place, stream = kept[0][:2], kept[0][2]
    found.original = _checked(
        stored.read(mix.source(stream, place[0]), place[1], mix.fields), doc_id
    )
    found.fields = mix.fields


def _find_original(found: Texts, mix: Mix, why: Why, doc_id: str) -> None:
    try:
        path = mix.source(why.stream, why.src)
        found.original = _checked(stored.read(path, why.line, mix.fields), doc_id)
        found.fields = mix.fields
    except (DolmaKitError, OSError) as error:
        found.faults.append(line_of(error))


def _checked(document: Stored, doc_id: str) -> Stored:
    if document.id != doc_id:
        raise VerificationError(
            f"{document.path}:{document.line} is document {document.id!r} now, not {doc_id!r}: the "
            "file has changed since it was read"
        )
    return document


def provenance(metadata: bytes | None) -> tuple[str, int] | None:
    """File and line that a mix has noted in a document's metadata.

    >>> provenance(b'{"provenance": "documents/a.jsonl.gz:12"}'), provenance(b'{"provenance": 1}')
    (('documents/a.jsonl.gz', 12), None)
    """
    import msgspec

    try:
        place = msgspec.json.decode(metadata or b"null")["provenance"]
        src, _, line = place.rpartition(":")
        return (src, int(line)) if src else None
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError, ValueError):
        return None


@functools.lru_cache(maxsize=4)
def decoded(run: Run, file: int, start: int, end: int) -> str:
    """The text of a document's tokens, without the EOS that ends it; at most MOST_TOKENS of it."""
    ids: list[int] = run.files[file].read(start, min(end, start + MOST_TOKENS)).tolist()
    if end - start <= MOST_TOKENS and ids[-1] == run.description.eos_token_id:
        del ids[-1]
    return str(run.tokenizer.decode(ids, skip_special_tokens=False))
