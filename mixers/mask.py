"""Masking of personal data, by the spans that a PII tagger found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from dolma_kit.attributes import Columns, Kind, Spans, column_name
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.mixing import Decision
from dolma_kit.registry import Mixer
from dolma_kit.replacing import Replacement

#: of Dolma's taggers the first three
TYPES = ("EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "PAYMENT_CARD", "IBAN")


#: of cities; exchange 555 with 0100 to 0199 is for fiction in each
AREA_CODES = (202, 212, 303, 312, 404, 415, 512, 617, 702, 808)


def surrogate_of(kind: str, datum: str, seed: int) -> str:
    """What stands for a datum of a kind: of a form that nobody can have.

    E-mail addresses at example.com (RFC 2606), phone numbers for fiction, addresses of
    documentation (RFC 5737, RFC 3849), cards of no issuer and IBANs of no country. Which of at most
    65,536 of a kind it is, BLAKE2b of the datum says, keyed with the seed: so few that it proves of
    no datum that it was there.

    >>> surrogate_of("EMAIL_ADDRESS", "jane@corp.test", 6198)
    'user1038@example.com'
    """
    key = seed.to_bytes(8, "little")
    data = datum.lower().encode()
    digest = hashlib.blake2b(data, digest_size=8, key=key, person=kind.encode()[:16]).digest()
    n = int.from_bytes(digest, "little")
    if kind == "EMAIL_ADDRESS":
        return f"user{n % 10_000:04d}@example.com"
    if kind == "PHONE_NUMBER":
        return f"{AREA_CODES[n // 100 % len(AREA_CODES)]}-555-01{n % 100:02d}"
    if kind == "IP_ADDRESS":
        if ":" in datum:
            return f"2001:db8::{n % 65_536:x}"
        return f"{('192.0.2', '198.51.100', '203.0.113')[n // 254 % 3]}.{n % 254 + 1}"
    if kind == "PAYMENT_CARD":
        return f"0000 0000 0000 {n % 10_000:04d}"
    return f"XX00 0000 0000 0000 {n % 10_000:04d}"


class PiiMask(Mixer, frozen=True, kw_only=True):
    """Dolma's PII policy: drop a document with more than `max_spans` spans, else mask each.

    A span of at least `min_score` becomes ` |||EMAIL_ADDRESS||| ` (or `PHONE_NUMBER`,
    `IP_ADDRESS`), padded because Dolma's spans take the white space around the datum along.
    `max_spans: null` drops nothing. With `surrogate` a datum becomes another of its kind instead
    (see `surrogate_of`), the same wherever it stands, by `seed`. `experiment` says whose spans to
    take where several experiments have them. It masks the five types of `tagger: pii_v3`, too, but
    adds spaces that `pii_mask_v2` does not. Source: configs of Dolma v1.5 and v1.6 for Common
    Crawl and C4.
    """

    id: ClassVar[str] = "pii_mask_v1"
    _around: ClassVar[str] = " "  # Dolma's spans take the white space along

    max_spans: int | None = 5
    min_score: float = 0.5
    tagger: str = "pii_regex_with_counts_fast_v2"
    experiment: str | None = None
    surrogate: bool = False
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 6198

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
            if isinstance(spans, Spans) and self.surrogate:
                self._add_surrogates(decision, batch, name, spans)
            elif isinstance(spans, Spans):
                decision.replacements.append(
                    (spans, f"{around}|||{name}|||{around}", self.min_score, None)
                )
        return decision

    def _add_surrogates(self, decision: Decision, batch: Batch, kind: str, spans: Spans) -> None:
        import numpy as np

        around = self._around
        rows = np.repeat(np.arange(len(batch)), np.diff(spans.offsets))
        for k in np.flatnonzero((spans.score >= self.min_score) & ~decision.drop[rows]).tolist():
            i = int(rows[k])
            text = batch.texts[i]
            end = min(int(spans.end[k]), len(text))
            start = min(int(spans.start[k]), end)
            other = surrogate_of(kind, text[start:end].strip(), self.seed)
            cut = Replacement(start, end, f"{around}{other}{around}", literal=True)
            decision.by_document.setdefault(i, []).append(cut)


class PiiMaskV2(PiiMask, frozen=True, kw_only=True):
    """As `pii_mask_v1`, over the spans of `pii_v3`: five types, and no spaces added.

    A datum becomes `|||EMAIL_ADDRESS|||` (`PHONE_NUMBER`, `IP_ADDRESS`, `PAYMENT_CARD`, `IBAN`)
    where it stands, and what is around it stays: `<jane@example.com>,` becomes
    `<|||EMAIL_ADDRESS|||>,`.
    """

    id: ClassVar[str] = "pii_mask_v2"
    _around: ClassVar[str] = ""

    tagger: str = "pii_v3"
