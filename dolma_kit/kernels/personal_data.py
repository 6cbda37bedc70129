"""Places where personal data may stand: one pass over the bytes, for `pii_v3`.

Most text holds no `@`, few digits and few colons. What follows from the form of a datum alone is
tested first (in `personal_data_forms`), so that Python's `re` and `ipaddress` decide about little:

    e-mail   `@` between what may be an address; a dot and two more characters after it
    IPv4     four rows of one to three digits with dots between
    IPv6     hexadecimal digits and colons, `::` or six colons among them, a digit among them
    card     13 to 19 digits in one row, or in groups of 4, or 4 and 6, that pass Luhn's test
    IBAN     two letters and two digits, the country's length, and the remainder 1 by 97
    phone    `+` and 7 digits; groups of 3, 3 and 4; `00` or `011` and 9 digits; 7 digits with
             a word that begins as a cue (`Tel`) in the 40 bytes before

Each place is looked at a bounded number of times, so time is linear in the text. Digits are those
of ASCII, full width, Arabic, Persian and Devanagari in phone numbers, of ASCII in the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint8

from dolma_kit.kernels.personal_data_forms import (
    digit_length,
    ipv6_start,
    is_alnum,
    is_hex,
    may_be_card_at,
    may_be_email_at,
    may_be_iban_at,
    may_be_ipv4_at,
    may_be_phone_at,
    run_end,
)
from dolma_kit.kernels.unicode import BYTES, LEAF, OFFSETS

EMAIL, IPV4, IPV6, CARD, IBAN, PHONE = range(6)  # kinds of candidates

_BORING, _AT, _COLON, _DIGIT, _WIDE = range(5)  # classes of bytes


class Candidates(NamedTuple):
    """Places where something may stand, by document, all arrays (n_candidates,)."""

    docs: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    at: npt.NDArray[np.int64]  # byte of the `@`, or of the first letter, digit or colon
    characters: npt.NDArray[np.int64]  # the same place in code points of the text


def _classes() -> npt.NDArray[np.uint8]:
    """What the scan does about a byte: nothing for most."""
    classes = np.full(256, _BORING, np.uint8)
    classes[0x40], classes[0x3A] = _AT, _COLON
    classes[0x30:0x3A] = _DIGIT
    classes[[0xD9, 0xDB, 0xE0, 0xEF]] = _WIDE
    classes.flags.writeable = False
    return classes


CLASSES = _classes()

_Arrays: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@njit(
    types.UniTuple(int64, 2)(  # type: ignore[no-untyped-call]
        BYTES, int64, int64, int64, int64, BYTES, BYTES, BYTES,
        int64, int64[::1], uint8[::1], int64[::1],
    ),
    **LEAF,
)  # fmt: skip
def scan_document(
    text: npt.NDArray[np.uint8],
    start: int,
    i: int,
    end: int,
    doc: int,
    classes: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.uint8],
    cues: npt.NDArray[np.uint8],
    n_found: int,
    docs: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
    at: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Append one document's candidates from byte `i` on, as long as there is room.

    Returns the byte to go on from, and the candidates so far.
    """
    most = len(docs) - 3
    while True:
        while i < end and classes[text[i]] == _BORING:
            i += 1
        if i >= end or n_found > most:
            return i, n_found
        kind = classes[text[i]]
        if kind == _WIDE and digit_length(text, i, end) == 0:
            i += 2
            continue
        if kind == _AT:
            if may_be_email_at(text, start, i, end):
                docs[n_found], kinds[n_found], at[n_found] = doc, EMAIL, i
                n_found += 1
            i += 1
            continue
        if kind == _COLON:
            if i + 1 < end and (is_hex(text[i + 1]) or text[i + 1] == 0x3A):
                first = ipv6_start(text, start, i, end)
                if first >= 0:
                    docs[n_found], kinds[n_found], at[n_found] = doc, IPV6, first
                    n_found += 1
            i += 1
            continue
        first = i
        i = run_end(text, i, end)
        is_ascii = text[first] < 0x80
        before: Any = text[first - 1] if first > start else uint8(0)
        if before < 0x80 and (is_alnum(before) or before == 0x5F):
            if (
                is_ascii and i - first >= 2 and first - start >= 2
                and (first - start == 2 or not is_alnum(text[first - 3]))
                and may_be_iban_at(text, first - 2, end, lengths)
            ):  # fmt: skip
                docs[n_found], kinds[n_found], at[n_found] = doc, IBAN, first - 2
                n_found += 1
            continue
        if is_ascii:
            if before != 0x2E and may_be_ipv4_at(text, first, i, end):
                docs[n_found], kinds[n_found], at[n_found] = doc, IPV4, first
                n_found += 1
            n = i - first
            if before != 0x2E and (n == 4 or 13 <= n <= 19) and may_be_card_at(text, first, end):
                docs[n_found], kinds[n_found], at[n_found] = doc, CARD, first
                n_found += 1
        if may_be_phone_at(text, start, first, i, end, cues):
            docs[n_found], kinds[n_found], at[n_found] = doc, PHONE, first
            n_found += 1


@njit(int64[::1](BYTES, OFFSETS, int64[::1], int64[::1]), cache=True, nogil=True)
def code_points_before(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    docs: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """How many characters of its document begin before each byte `at`; `docs` ascend."""
    counts = np.empty(len(at), np.int64)
    doc, place, n = -1, 0, 0
    for row in range(len(at)):
        if docs[row] != doc:
            doc = docs[row]
            place, n = offsets[doc], 0
        for b in text[place : at[row]]:
            n += (b & 0xC0) != 0x80
        for b in text[at[row] : place]:  # where a candidate begins before the last
            n -= (b & 0xC0) != 0x80
        place = at[row]
        counts[row] = n
    return counts


_ARRAYS: Any = types.Tuple((int64[::1], uint8[::1], int64[::1]))  # type: ignore[no-untyped-call]


@njit(_ARRAYS(BYTES, OFFSETS, BYTES, BYTES, BYTES), cache=True, nogil=True)
def _scan(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.uint8],
    cues: npt.NDArray[np.uint8],
) -> _Arrays:
    size = 1024
    docs, kinds, at = np.empty(size, np.int64), np.empty(size, np.uint8), np.empty(size, np.int64)
    n_found = 0
    for doc in range(len(offsets) - 1):
        i, end = offsets[doc], offsets[doc + 1]
        while i < end:
            i, n_found = scan_document(
                text, offsets[doc], i, end, doc, classes, lengths, cues, n_found, docs, kinds, at
            )
            if n_found > size - 3:
                size *= 2
                more_docs, more_kinds = np.empty(size, np.int64), np.empty(size, np.uint8)
                more_at = np.empty(size, np.int64)
                for row in range(n_found):  # to assign slices would take numba seconds to compile
                    more_docs[row], more_kinds[row] = docs[row], kinds[row]
                    more_at[row] = at[row]
                docs, kinds, at = more_docs, more_kinds, more_at
    return docs[:n_found].copy(), kinds[:n_found].copy(), at[:n_found].copy()


def cue_table(cues: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The first three bytes of each cue, ASCII in lower case, as a bit table, (8192,) uint8."""
    held = np.zeros(1 << 16, np.bool_)
    for cue in cues:
        for written in (cue.lower(), cue.title(), cue.upper()):
            a, b, c = written.encode().lower()[:3]
            held[(a * 961 + b * 31 + c) & 0xFFFF] = True
    table = np.packbits(held, bitorder="little")
    table.flags.writeable = False
    return table


def length_table(lengths: dict[str, int]) -> npt.NDArray[np.uint8]:
    """Lengths of IBANs by country, (26 * 26,) uint8, 0 for none."""
    table = np.zeros(26 * 26, np.uint8)
    for country, length in lengths.items():
        table[(ord(country[0]) - 65) * 26 + ord(country[1]) - 65] = length
    table.flags.writeable = False
    return table


def find_candidates(
    text_bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.uint8],
    cues: npt.NDArray[np.uint8],
) -> Candidates:
    """All candidates, by document and about by place.

    `text_bytes` (n_bytes,) uint8, `offsets` (n_docs + 1,) int64; `lengths` from `length_table`,
    `cues` from `cue_table`.
    """
    docs, kinds, at = _scan(text_bytes, offsets, CLASSES, lengths, cues)
    return Candidates(docs, kinds, at, code_points_before(text_bytes, offsets, docs, at))
