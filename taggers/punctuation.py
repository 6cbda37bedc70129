"""Paragraphs that say nothing: of punctuation, symbols, emoji and white space alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dolma_kit import kernels, segments
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMOJI = ((0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x2600, 0x27BF))


class NotAlphanumParagraphV1(Tagger, frozen=True):
    """`all_punct`: paragraphs of punctuation, symbols, emoji and white space alone, scored 1.

    A document without one has a span of all of it, scored 0. Punctuation and symbols are those of
    Unicode 17 that are not alphabetic, as `[[:punct:]]` of the library regex 2026.11.19, which
    emoji are among. The joiners and variation selectors of emoji do not count, nor do U+001C to
    U+001F as white space. Dolma can be busy for ever with a row of emoji before something else;
    this is not. Source: Dolma's taggers/punctuation.py.
    """

    id: ClassVar[str] = "not_alphanum_paragraph_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"all_punct": "spans"}

    def kernels(self) -> tuple[str, ...]:
        return (*segments.KERNELS, "punctuation", "whitespace")

    def tag(self, batch: Batch) -> Columns:
        pieces = segments.segments(batch, "paragraph")
        is_found = kernels.punctuation.only_of(
            batch.text_bytes, pieces.starts, pieces.ends, characters()
        )
        docs = pieces.docs[is_found]
        without = np.setdiff1d(np.arange(len(batch)), docs)
        owners = np.concatenate([docs, without])
        order = np.argsort(owners, kind="stable")
        starts = np.concatenate([pieces.from_[is_found], np.zeros(len(without), np.int64)])
        ends = np.concatenate([pieces.to[is_found], batch.n_characters[without]])
        scores = np.repeat([1.0, 0.0], [len(docs), len(without)])
        offsets = np.zeros(len(batch) + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=len(batch)), out=offsets[1:])
        return {"all_punct": Spans(offsets, starts[order], ends[order], scores[order])}


@functools.cache
def characters() -> NDArray[np.uint8]:
    """What such a paragraph may hold, as a bit table (see `dolma_kit.kernels.unicode`)."""
    ranges = [*punctuation(), *EMOJI]
    found = "".join(chr(c) for first, last in ranges for c in range(first, last + 1))
    table: NDArray[np.uint8] = kernels.whitespace.table_of(found + kernels.whitespace.WHITE_SPACE)
    return table


def punctuation() -> Iterator[tuple[int, int]]:
    """Ranges of code points, both ends included."""
    data = resources.files("taggers") / "data" / "posix_punct.txt"
    for line in data.read_text(encoding="ascii").split():
        first, _, last = line.partition("-")
        yield int(first, 16), int(last or first, 16)
