"""Masking of personal data, by the spans that a PII tagger found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dolma_kit.attributes import Columns, Kind, Spans, column_name
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.mixing import Decision
from dolma_kit.registry import Mixer

#: of Dolma's taggers the first three
TYPES = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "PAYMENT_CARD", "IBAN")


class PiiMask(Mixer, frozen=True, kw_only=True):
    """Dolma's PII policy: drop a document with more than `max_spans` spans, else mask each.

    A span of at least `min_score` becomes ` |||EMAIL_ADDRESS||| ` (or `PHONE_NUMBER`,
    `IP_ADDRESS`), padded because Dolma's spans take the white space around the datum along.
    `max_spans: null` drops nothing. `experiment` says whose spans to take where several
    experiments have them. It masks the five types of `tagger: pii_v3`, too, but adds spaces that
    `pii_mask_v2` does not. Source: configs of Dolma v1.5 and v1.6 for Common Crawl and C4.
    """

    id: ClassVar[str] = "pii_mask_v1"
    _around: ClassVar[str] = " "  # Dolma's spans take the white space along

    max_spans: int | None = 5
    min_score: float = 0.5
    tagger: str = "pii_regex_with_counts_fast_v2"
    experiment: str | None = None

    def columns(self, known: Mapping[str, Kind]) -> list[str]:
        prefix = self._prefix(known)
        return [prefix + key for key in ("doc_count", *TYPES) if prefix + key in known]

    def _prefix(self, known: Mapping[str, Kind]) -> str:
        """`experiment__tagger__`, found by the count that the tagger gives every document."""
        suffix = "__" + column_name(self.tagger, "doc_count")
        found = [name[: -len("doc_count")] for name in known if name.endswith(suffix)]
        if self.experiment is not None:
            found = [p for p in found if p == column_name(self.experiment, self.tagger, "")]
        if len(found) != 1:
            have = f"{len(found)} experiments have" if found else "no experiment has"
            which = f" ({self.experiment})" if self.experiment is not None else ""
            raise ConfigError(
                f"{self.id}: {have} a column *{suffix}{which}; tag with {self.tagger} and name "
                "that experiment in `attributes`"
                + (", and here with `experiment`" if found else "")
            )
        return found[0]

    def decide(self, batch: Batch, columns: Columns) -> Decision:
        import numpy as np

        prefix = self._prefix(dict.fromkeys(columns, "score"))
        decision = Decision.keep_all(len(batch))
        around = self._around
        counts = np.nan_to_num(np.asarray(columns[prefix + "doc_count"], np.float64))
        if self.max_spans is not None:
            decision.drop[:] = counts > self.max_spans
        for name in TYPES:
            spans = columns.get(prefix + name)
            if isinstance(spans, Spans):
                decision.replacements.append(
                    (spans, f"{around}|||{name}|||{around}", self.min_score, None)
                )
        return decision


class PiiMaskV2(PiiMask, frozen=True, kw_only=True):
    """As `pii_mask_v1`, over the spans of `pii_v3`: five types, and no spaces added.

    A datum becomes `|||EMAIL_ADDRESS|||` (`PHONE_NUMBER`, `IP_ADDRESS`, `PAYMENT_CARD`, `IBAN`)
    where it stands, and what is around it stays: `<jane@example.com>,` becomes
    `<|||EMAIL_ADDRESS|||>,`.
    """

    id: ClassVar[str] = "pii_mask_v2"
    _around: ClassVar[str] = ""

    tagger: str = "pii_v3"
