"""Personal data: e-mail addresses, phone numbers, IP addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

TYPES = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS")


class PiiRegexWithCountsFastV2(Tagger, frozen=True):
    """Spans found by Dolma's regular expressions, and how many; the rule that made Dolma.

    Spans are whole matches, with the separators and white space around the datum. `doc_count` is
    the number of spans, `doc_frac` the share of characters in them plus 1 (Dolma counts its own
    count's span), -1 for an empty text. A text with more than 10,000 question marks is not
    searched. Known holes, kept because the released corpus has them: no e-mail at the very end of
    a text, no phone number at the start of a line. Source: Dolma's taggers/pii.py, FastPiiRegex.
    """

    id: ClassVar[str] = "pii_regex_with_counts_fast_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        kinds: dict[str, Kind] = dict.fromkeys(TYPES, "spans")
        return kinds | {"doc_count": "score", "doc_frac": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("pii", "rounding")

    def tag(self, batch: Batch) -> Columns:
        found = kernels.pii.find(batch.text_bytes, batch.offsets)
        counts, fractions = kernels.pii.score_documents(found, batch.n_characters)
        columns: Columns = {}
        for i, name in enumerate(kernels.pii.TYPES):
            rows = np.flatnonzero(found.types == i)
            offsets = np.zeros(len(batch) + 1, np.int64)
            np.cumsum(np.bincount(found.docs[rows], minlength=len(batch)), out=offsets[1:])
            columns[name] = Spans(offsets, found.starts[rows], found.ends[rows], np.ones(len(rows)))
        columns["doc_count"] = counts
        columns["doc_frac"] = kernels.rounding.round5(fractions)
        return columns
