"""Personal data by rules of our own: whole data, and nothing around them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger
from taggers import account_numbers, internet_addresses, phone_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: in the order in which the one is kept where two overlap
TYPES = ("EMAIL_ADDRESS", "IBAN", "PAYMENT_CARD", "IP_ADDRESS", "PHONE_NUMBER")


def _plain_characters() -> dict[int, int]:
    """Digits of other scripts, spaces and hyphens -> those of ASCII, one for one."""
    plain: dict[int, int] = {}
    for zero in (0xFF10, 0x0660, 0x06F0, 0x0966):
        plain |= {zero + n: ord("0") + n for n in range(10)}
    for space in (0xA0, *range(0x2007, 0x2010), 0x202F):
        plain[space] = ord(" ")
    for hyphen in (*range(0x2010, 0x2015), 0x2212, 0xFF0D):
        plain[hyphen] = ord("-")
    return plain | dict(zip(map(ord, "＋（）：．"), map(ord, "+():."), strict=True))


PLAIN = _plain_characters()


class Rule(NamedTuple):
    """How candidates of one kind are decided."""

    type_: int  # index in TYPES
    decide: Callable[[str, str], tuple[int, int] | None]
    n_before: int  # bytes of the text that it sees before and after the place
    n_after: int
    is_plain: bool  # whether it wants plain characters


class PiiV3(Tagger, frozen=True):
    """E-mail and IP addresses, phone, card and account numbers, whole, at any place of a text.

    Spans cover the datum and nothing around it, and do not overlap: where two would, the type
    that is named first is kept, of EMAIL_ADDRESS, IBAN, PAYMENT_CARD, IP_ADDRESS, PHONE_NUMBER.
    `doc_count` is their number, `doc_frac` the share of characters in them, from 0 to 1, 0 for an
    empty text. With `only_global`, addresses that `ipaddress` does not call global are left out
    (private and documentation networks, loopback). Rules: `taggers/internet_addresses.py`,
    `account_numbers.py`, `phone_numbers.py`. Differs from Dolma: data at the ends of texts and
    lines are found, and parts of longer numbers, versions, dates and ISBNs are not. Source: RFC
    5321, 791 and 4291, ITU-T E.164, ISO/IEC 7812 and ISO 13616; the files named say which of each.
    """

    id: ClassVar[str] = "pii_v3"

    only_global: bool = False

    @property
    def keys(self) -> Mapping[str, Kind]:
        spans: dict[str, Kind] = dict.fromkeys(TYPES, "spans")
        return spans | {"doc_count": "score", "doc_frac": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("personal_data", "rounding")

    def tag(self, batch: Batch) -> Columns:
        docs, types, starts, ends = find(batch.text_bytes, batch.offsets, self.only_global)
        n_docs = len(batch)
        columns: Columns = {}
        for i, name in enumerate(TYPES):
            rows = np.flatnonzero(types == i)
            offsets = np.zeros(n_docs + 1, np.int64)
            np.cumsum(np.bincount(docs[rows], minlength=n_docs), out=offsets[1:])
            columns[name] = Spans(offsets, starts[rows], ends[rows], np.ones(len(rows)))
        columns["doc_count"] = np.bincount(docs, minlength=n_docs).astype(np.float64)
        covered = np.bincount(docs, weights=ends - starts, minlength=n_docs)
        columns["doc_frac"] = kernels.rounding.round5(covered / np.maximum(batch.n_characters, 1))
        return columns


@functools.cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What the kernel has to know of accounts and cues."""
    return (
        kernels.personal_data.length_table(account_numbers.iban_lengths()),
        kernels.personal_data.cue_table(phone_numbers.CUES),
    )


def rules(only_global: bool) -> dict[int, Rule]:
    """The rule of each kind of candidate."""
    kinds = kernels.personal_data
    ipv4 = functools.partial(internet_addresses.ipv4, only_global=only_global)
    ipv6 = functools.partial(internet_addresses.ipv6, only_global=only_global)
    return {
        kinds.EMAIL: Rule(0, internet_addresses.email, 288, 288, False),
        kinds.IBAN: Rule(1, account_numbers.iban, 160, 96, True),
        kinds.CARD: Rule(2, account_numbers.payment_card, 160, 96, True),
        kinds.IPV4: Rule(3, ipv4, 160, 64, False),
        kinds.IPV6: Rule(3, ipv6, 32, 128, False),
        kinds.PHONE: Rule(4, phone_numbers.phone, 160, 96, True),
    }


def find(
    text_bytes: NDArray[np.uint8], offsets: NDArray[np.int64], only_global: bool = False
) -> tuple[NDArray[np.int64], ...]:
    """Documents, types (index in TYPES), starts and ends in code points of all spans, in order.

    `text_bytes` (n_bytes,) uint8 and `offsets` (n_docs + 1,) int64.
    """
    candidates = kernels.personal_data.find_candidates(text_bytes, offsets, *_tables())
    by_kind = rules(only_global)
    text = text_bytes.data
    first_bytes, end_bytes = offsets[candidates.docs], offsets[candidates.docs + 1]
    found: list[tuple[int, int, int, int]] = []
    last_ends = dict.fromkeys(range(len(TYPES)), (-1, 0))  # document and end of the last span
    for doc, kind, at, character, first, stop in zip(
        *(column.tolist() for column in (*candidates, first_bytes, end_bytes)), strict=True
    ):
        type_, decide, n_before, n_after, is_plain = by_kind[kind]
        if last_ends[type_] > (doc, character):
            continue  # inside the last one
        # A character that is cut at the far ends of what a rule sees is left out.
        before = str(text[max(first, at - n_before) : at], "utf-8", "ignore")
        after = str(text[at : min(stop, at + n_after)], "utf-8", "ignore")
        if is_plain and not (before.isascii() and after.isascii()):
            before, after = before.translate(PLAIN), after.translate(PLAIN)
        place = decide(before, after)
        if place is not None:
            start, end = character + place[0], character + place[1]
            if last_ends[type_] <= (doc, start):
                last_ends[type_] = (doc, end)
                found.append((doc, type_, start, end))
    columns = np.array(found, np.int64).reshape(-1, 4).T
    return without_overlaps(*columns)


def without_overlaps(
    docs: NDArray[np.int64],
    types: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.int64], ...]:
    """The spans that overlap none of a type named earlier in TYPES, by document and place.

    Those of one type do not overlap.
    """
    shift = int(ends.max(initial=0)) + 1  # sets documents apart in one row of places
    kept = np.zeros(0, np.int64)  # rows
    for type_ in range(len(TYPES)):
        rows = np.flatnonzero(types == type_)
        taken_starts = docs[kept] * shift + starts[kept]
        taken_ends = docs[kept] * shift + ends[kept]
        following = np.searchsorted(taken_ends, docs[rows] * shift + starts[rows], "right")
        is_free = np.ones(len(rows), np.bool_)
        inside = following < len(kept)
        is_free[inside] = (
            taken_starts[following[inside]] >= (docs[rows] * shift + ends[rows])[inside]
        )
        kept = np.concatenate([kept, rows[is_free]])
        kept = kept[np.argsort(docs[kept] * shift + starts[kept], kind="stable")]
    return docs[kept], types[kept], starts[kept], ends[kept]
