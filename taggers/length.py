"""How long documents and their paragraphs are, in bytes and characters.

Keys and values are those of Dolma's taggers/length.py, whose other lengths are in
`taggers/words.py` and `taggers/tokens.py`. A paragraph ends with its line feed; those of white
space alone are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from dolma_kit.segments import Segments, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARAGRAPHS = ("lowercase", "paragraphs", "rounding")


class CharLength(Tagger, frozen=True):
    """Length of the text in code points (`length`). Source: Dolma's taggers/length.py."""

    id: ClassVar[str] = "char_length_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length": "score"}

    def tag(self, batch: Batch) -> Columns:
        return {"length": batch.n_characters.astype(np.float64)}


class BytesLength(Tagger, frozen=True):
    """Length of the text in bytes of UTF-8 (`bytes`). Source: Dolma's taggers/length.py."""

    id: ClassVar[str] = "bytes_length_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"bytes": "score"}

    def tag(self, batch: Batch) -> Columns:
        return {"bytes": np.diff(batch.offsets).astype(np.float64)}


class DocCount(Tagger, frozen=True):
    """1 for each document (`docs`), to be summed. Source: Dolma's taggers/length.py."""

    id: ClassVar[str] = "doc_count_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"docs": "score"}

    def tag(self, batch: Batch) -> Columns:
        return {"docs": np.ones(len(batch))}


class CharLengthStripWs(Tagger, frozen=True):
    """Length of the text in code points, without white space at its ends (`length_no_ws`).

    White space within counts, whatever the key says. Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "char_length_strip_ws_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length_no_ws": "score"}

    def kernels(self) -> tuple[str, ...]:
        return PARAGRAPHS

    def tag(self, batch: Batch) -> Columns:
        starts, ends = stripped(batch, batch.offsets[:-1], batch.offsets[1:])
        lengths = kernels.paragraphs.code_points(batch.text_bytes, starts, ends)
        return {"length_no_ws": lengths.astype(np.float64)}


class CharLengthWithParagraphs(Tagger, frozen=True):
    """Length of each paragraph (`paragraph`) and of the text (`document`) in code points.

    The line feed of a paragraph counts. Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "char_length_with_paragraphs_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"paragraph": "spans", "document": "score"}

    def kernels(self) -> tuple[str, ...]:
        return PARAGRAPHS

    def tag(self, batch: Batch) -> Columns:
        found = segments(batch, "paragraph")
        return {
            "paragraph": spans(found, found.to - found.from_),
            "document": batch.n_characters.astype(np.float64),
        }


def stripped(
    batch: Batch, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Slices of the batch's bytes without white space at their ends, as `str.strip` has it."""
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]] = kernels.lowercase.strip(
        batch.text_bytes, starts, ends
    )
    return bounds


def spans(found: Segments, scores: NDArray[np.int64]) -> Spans:
    """The segments, each with its score."""
    offsets = np.zeros(found.n_docs + 1, np.int64)
    np.cumsum(np.bincount(found.docs, minlength=found.n_docs), out=offsets[1:])
    return Spans(offsets, found.from_, found.to, scores.astype(np.float64))


def sums(found: Segments, scores: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the segments' scores for each document; 0 where it has none."""
    return np.bincount(found.docs, scores, found.n_docs).astype(np.float64)
