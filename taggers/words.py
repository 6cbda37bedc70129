"""How many words documents and their paragraphs have, under Dolma's ids.

Keys and values are those of Dolma's taggers/length.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from dolma_kit.segments import Segments, segments
from taggers.length import PARAGRAPHS, spans, stripped, sums

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WhitespaceTokenizer(Tagger, frozen=True):
    """Pieces of the text between matches of `\\w+|[^\\w\\s]+` (`length`): its words, and 1.

    A word is a run of word characters or of others that are not white space, by the tables of the
    library regex. Dolma splits at the words and counts what is left over, so an empty text has
    length 1. Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "whitespace_tokenizer_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("pre_tokens",)

    def tag(self, batch: Batch) -> Columns:
        starts, ends = batch.offsets[:-1], batch.offsets[1:]
        counts = kernels.pre_tokens.count_runs(batch.text_bytes, starts, ends)
        return {"length": (counts + 1).astype(np.float64)}


class WhitespaceTokenizerWithParagraphs(Tagger, frozen=True):
    """As `whitespace_tokenizer_v1`, of each paragraph (`paragraph`), and their sum (`document`).

    So 1 is added for each paragraph, and a text without any has length 0. Source: Dolma's
    taggers/length.py.
    """

    id: ClassVar[str] = "whitespace_tokenizer_with_paragraphs_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"paragraph": "spans", "document": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("pre_tokens", *PARAGRAPHS)

    def tag(self, batch: Batch) -> Columns:
        found = segments(batch, "paragraph")
        counts = kernels.pre_tokens.count_runs(batch.text_bytes, found.starts, found.ends)
        return {"paragraph": spans(found, counts + 1), "document": sums(found, counts + 1)}


class UnisegLength(Tagger, frozen=True):
    """Words of the text (`length`), those of white space too, but for those at its ends.

    Words are those of UAX #29, Unicode 16.0, so each space and each punctuation mark is one or in
    one. Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "uniseg_length_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("uax29", *PARAGRAPHS)

    def tag(self, batch: Batch) -> Columns:
        slices = stripped(batch, batch.offsets[:-1], batch.offsets[1:])
        n_words, _ = kernels.uax29.count(batch.text_bytes, *slices)
        return {"length": n_words.astype(np.float64)}


class UnisegParagraphs(Tagger, frozen=True):
    """Words of each paragraph (`paragraph`), and the same times -1 (`negative_paragraph`).

    Words are those of UAX #29, Unicode 16.0; those of white space alone do not count. The second
    key is for filters that know no "less than". Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "uniseg_length_paragraphs_v1"
    _with_empty: ClassVar[bool] = False

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"paragraph": "spans", "negative_paragraph": "spans"}

    def kernels(self) -> tuple[str, ...]:
        return ("uax29", *PARAGRAPHS)

    def tag(self, batch: Batch) -> Columns:
        found, counts = visible_words(batch, with_empty=self._with_empty)
        return {"paragraph": spans(found, counts), "negative_paragraph": spans(found, -counts)}


class UnisegParagraphsWithEmpty(UnisegParagraphs, frozen=True):
    """As `uniseg_length_paragraphs_v1`, with the paragraphs of white space alone, which have 0.

    Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "uniseg_length_paragraphs_with_empty_v1"
    _with_empty: ClassVar[bool] = True


class UnisegParagraphsWithDocLength(UnisegParagraphs, frozen=True):
    """As `uniseg_length_paragraphs_v1`, and the sum of each key (`document`, `negative_document`).

    Source: Dolma's taggers/length.py.
    """

    id: ClassVar[str] = "uniseg_length_paragraphs_with_doc_length_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {**super().keys, "document": "score", "negative_document": "score"}

    def tag(self, batch: Batch) -> Columns:
        found, counts = visible_words(batch)
        return {
            **super().tag(batch),
            "document": sums(found, counts),
            "negative_document": sums(found, -counts),
        }


def all_paragraphs(batch: Batch) -> Segments:
    """The paragraphs of a batch with those of white space alone."""
    separator = np.frombuffer(b"\n", np.uint8)
    first, *bounds = kernels.paragraphs.split(batch.text_bytes, batch.offsets, separator)
    docs = np.repeat(np.arange(len(batch)), np.diff(first))
    return Segments(len(batch), docs, *bounds)


def visible_words(batch: Batch, *, with_empty: bool = False) -> tuple[Segments, NDArray[np.int64]]:
    """The paragraphs, and how many words of each are not white space alone."""

    def count(batch: Batch) -> NDArray[np.int64]:
        slices = stripped(batch, found.starts, found.ends)
        _, n_visible = kernels.uax29.count(batch.text_bytes, *slices)
        counts: NDArray[np.int64] = n_visible
        return counts

    found = all_paragraphs(batch) if with_empty else segments(batch, "paragraph")
    return found, batch.once(f"words by paragraph{' with empty' * with_empty}", count)
