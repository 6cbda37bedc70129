"""Personal data: e-mail addresses, phone numbers, IP addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.kernels import pii

TYPES = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS")
SPANS: dict[str, Kind] = dict.fromkeys(TYPES, "spans")


class PiiRegexV1(Tagger, frozen=True):
    """Spans found by Dolma's regular expressions in whole documents, less those in odd company.

    Spans are whole matches, with the separators and white space around the datum, across lines
    too. Phone numbers and IP addresses with `isbn`, `doi` or `#` within 100 characters are left
    out, and e-mail addresses without a dot between the match's first and second `@`. Dolma also
    leaves out the phone numbers of a document with a URL, but its pattern for URLs only matches
    after a backspace character; so does this. `doc` is the number of spans by that of words
    between white space. Differs from Dolma: a text without words, where it fails, has no `doc`;
    what takes it time that grows with the square of a text's length is found in linear time.
    Source: Dolma's taggers/pii.py, PiiRegexV1.
    """

    id: ClassVar[str] = "pii_regex_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return SPANS | {"doc": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("paragraphs", "pii", "pii_documents", "rounding")

    def tag(self, batch: Batch) -> Columns:
        return columns_of(batch, found_in_documents(batch)) | {"doc": by_word(batch, np.nan)}


class PiiRegexV2(Tagger, frozen=True):
    """As `pii_regex_v1`, but `doc` of a text without words is -1.

    Differs from Dolma: linear time, as there. Source: Dolma's taggers/pii.py, PiiRegexV2.
    """

    id: ClassVar[str] = "pii_regex_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return SPANS | {"doc": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("paragraphs", "pii", "pii_documents", "rounding")

    def tag(self, batch: Batch) -> Columns:
        return columns_of(batch, found_in_documents(batch)) | {"doc": by_word(batch, -1.0)}


class PiiRegexWithCountsV2(Tagger, frozen=True):
    """As `pii_regex_v1`, and `doc_count`, the number of spans.

    Differs from Dolma: of a text without words, where it fails, `doc` has no value and `doc_count`
    is 0; linear time, as there. Source: Dolma's taggers/pii.py, PiiRegexWithCountV2.
    """

    id: ClassVar[str] = "pii_regex_with_counts_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return SPANS | {"doc": "score", "doc_count": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("paragraphs", "pii", "pii_documents", "rounding")

    def tag(self, batch: Batch) -> Columns:
        found = found_in_documents(batch)
        scores: Columns = {"doc": by_word(batch, np.nan), "doc_count": counts(batch, found)}
        return columns_of(batch, found) | scores


class PiiRegexWithCountsFastV2(Tagger, frozen=True):
    """Spans found by Dolma's regular expressions, and how many; the rule that made Dolma.

    Spans are whole matches, with the separators and white space around the datum. `doc_count` is
    the number of spans, `doc_frac` the share of characters in them plus 1 (Dolma counts its own
    count's span), -1 for an empty text. A text with more than 10,000 question marks is not
    searched. Known holes, kept because the released corpus has them: no e-mail at the very end of
    a text, no phone number at the start of a line. Differs from Dolma: what takes it time that
    grows with the square of a word's length or worse is found in linear time. Source: Dolma's
    taggers/pii.py, FastPiiRegex.
    """

    id: ClassVar[str] = "pii_regex_with_counts_fast_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return SPANS | {"doc_count": "score", "doc_frac": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("pii", "rounding")

    def tag(self, batch: Batch) -> Columns:
        found = kernels.pii.find(batch.text_bytes, batch.offsets)
        n_spans, fractions = kernels.pii.score_documents(found, batch.n_characters)
        columns = columns_of(batch, found)
        columns["doc_count"] = n_spans
        columns["doc_frac"] = kernels.rounding.round5(fractions)
        return columns


def found_in_documents(batch: Batch) -> pii.Spans:
    """What the rules for whole documents find; worked out once a batch."""

    def find(batch: Batch) -> pii.Spans:
        found: pii.Spans = kernels.pii_documents.find(batch.text_bytes, batch.offsets)
        return found

    return batch.once("personal data by document", find)


def columns_of(batch: Batch, found: pii.Spans) -> Columns:
    """Spans, all of score 1, by type."""
    columns: Columns = {}
    for i, name in enumerate(TYPES):
        rows = np.flatnonzero(found.types == i)
        offsets = np.zeros(len(batch) + 1, np.int64)
        np.cumsum(np.bincount(found.docs[rows], minlength=len(batch)), out=offsets[1:])
        columns[name] = Spans(offsets, found.starts[rows], found.ends[rows], np.ones(len(rows)))
    return columns


def counts(batch: Batch, found: pii.Spans) -> NDArray[np.float64]:
    """How many spans each document has, (n_docs,) float64."""
    return np.bincount(found.docs, minlength=len(batch)).astype(np.float64)


def by_word(batch: Batch, without_words: float) -> NDArray[np.float64]:
    """Spans by words of each document, rounded to 5 decimals; `without_words` where it has none."""
    n_words = kernels.paragraphs.words(batch.text_bytes, batch.offsets[:-1], batch.offsets[1:])
    shares = np.full(len(batch), without_words)
    n_spans = counts(batch, found_in_documents(batch))
    np.divide(n_spans, n_words, out=shares, where=n_words > 0)
    rounded: NDArray[np.float64] = kernels.rounding.round5(shares)
    return rounded
