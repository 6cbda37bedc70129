"""What `trace` answers, as JSON: keys and their order are the design's (section 5).

Keys that stand here with a default are left out of the JSON where they have it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["trained", "masked", "skipped"]
Never = Literal[
    "masked",
    "skipped",
    "not-reached",
    "epoch-tail",
    "truncated",
    "not-sampled",
    "file-remainder",
    "removed",
]


class DocumentPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a document within an instance.

    `start` and `end` in tokens of the instance, `doc_start` and `doc_end` the same range in tokens
    of the document, its EOS counted. `text` is that range decoded without the EOS that ends the
    document, so it may be empty; where an instance cuts a character in two, each half is U+FFFD.
    `src` and `line` (from 1; null where only EOS tokens tell documents apart) say where the
    document was read from. `labels`, of a run with label masks, is how many of them are labels: the
    others were read, and no loss is of them.
    """

    id: str
    source: str | None
    src: str
    line: int | None
    start: int
    end: int
    doc_start: int
    doc_end: int
    text: str
    labels: int | None = None


class InstancePart(msgspec.Struct, frozen=True, omit_defaults=True):
    """One instance of a batch: its number, and its position in the order of the epoch.

    `micro_batch` counts from 0 within the rank, where its size was given. `boundaries` is
    `eos-scan` where no list of documents told where they begin and end.
    """

    instance: int
    position: int
    rank: int
    status: Status
    documents: list[DocumentPart]
    micro_batch: int | None = None
    boundaries: str | None = None


class StepAnswer(msgspec.Struct, frozen=True):
    """`trace step`: `step` from 1 through the run, `batch` from 0 within the epoch."""

    step: int
    batch: int
    epoch: int
    instances: list[InstancePart]


class Sighting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One instance that held tokens of a document, when it was trained on: `start` and `end` in
    tokens of the instance; `labels`, of a run with label masks, how many of them are labels."""

    step: int
    batch: int
    epoch: int
    rank: int
    instance: int
    start: int
    end: int
    labels: int | None = None


class Removed(msgspec.Struct, frozen=True):
    """Why a mix has removed a document: the first rule that said so, and all that did."""

    stream: str
    src: str
    line: int
    rule: str
    rules: list[str]


class DocumentAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`trace doc`: every sighting, by step and then by instance; if there is none, `never` says
    why, by what came nearest to a sighting:

    `masked`: it is in instances that were read, and the instance filter masked each.
    `skipped`: it is in batches that were read and not trained on.
    `truncated`: its tokens are behind the part of an instance or document that was kept.
    `not-reached`: the run stopped before the steps that would have read it.
    `epoch-tail`: it is in instances, but each was left over when an epoch ended.
    `not-sampled`: they are behind the part of their file that a mixture takes.
    `file-remainder`: all its tokens are in what is left of a file after its last instance.
    `removed`: a mix has removed it before tokenizing; `removed` says by which rule.
    """

    id: str
    seen: list[Sighting]
    never: Never | None
    removed: Removed | None = None


class Hit(msgspec.Struct, frozen=True):
    """One occurrence of a phrase: in bytes of the document's decoded text, and in its tokens.

    `seen` are the instances that held tokens of it when they were trained on: two of the same step
    or of different ones where it lies across a border; `whole` says that one of them held all of
    it. `never` is why, where there is none.
    """

    id: str
    source: str | None
    src: str
    line: int | None
    start_byte: int
    end_byte: int
    doc_start: int
    doc_end: int
    whole: bool
    seen: list[Sighting]
    never: Never | None


class TextAnswer(msgspec.Struct, frozen=True):
    """`trace text`: how often a phrase stands in the tokens of the run, in how many documents, and
    the first `limit` occurrences by file and place; `first_step` and `last_step` are over all that
    are listed."""

    text: str
    occurrences: int
    documents: int
    first_step: int | None
    last_step: int | None
    hits: list[Hit]
