"""What `trace` answers, as JSON: keys and their order are the design's (section 5)."""

from __future__ import annotations

from typing import Literal

import msgspec


class DocumentPart(msgspec.Struct, frozen=True):
    """The part of a document within an instance.

    `start` and `end` in tokens of the instance, `doc_start` and `doc_end` the same range in tokens
    of the document, its EOS counted. `text` is that range decoded without the EOS that ends the
    document, so it may be empty; where an instance cuts a character in two, each half is U+FFFD.
    `src` and `line` (from 1) say where the document was read from.
    """

    id: str
    source: str | None
    src: str
    line: int
    start: int
    end: int
    doc_start: int
    doc_end: int
    text: str


class InstancePart(msgspec.Struct, frozen=True):
    """One instance of a batch: its number, and its position in the order of the epoch."""

    instance: int
    position: int
    rank: int
    status: Literal["trained"]
    documents: list[DocumentPart]


class StepAnswer(msgspec.Struct, frozen=True):
    """`trace step`: `step` from 1 through the run, `batch` from 0 within the epoch."""

    step: int
    batch: int
    epoch: int
    instances: list[InstancePart]


class Sighting(msgspec.Struct, frozen=True):
    """One instance that held tokens of a document, when it was trained on: `start` and `end` in
    tokens of the instance."""

    step: int
    batch: int
    epoch: int
    rank: int
    instance: int
    start: int
    end: int


Never = Literal["file-remainder", "epoch-tail"]


class DocumentAnswer(msgspec.Struct, frozen=True):
    """`trace doc`: every sighting, by step and then by instance; if there is none, `never` says
    why.

    `file-remainder`: all its tokens are in what is left of a file after its last instance.
    `epoch-tail`: it is in instances, but each was left over when an epoch ended.
    """

    id: str
    seen: list[Sighting]
    never: Never | None
