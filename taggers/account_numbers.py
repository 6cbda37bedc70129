"""Numbers of payment cards and of bank accounts, as `pii_v3` decides them.

Each function is given the text before and after a place that a kernel has found, whose digits
pass the check that the standard asks for, and says where the number begins and ends, or that
there is none. Digits and separators are plain ones (see `personal_data.PLAIN`).
"""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path

DATA = Path(__file__).with_name("data")
Place = tuple[int, int]  # start and end, from the place that was found
MAX_BEFORE = 64  # characters before a number that matter
MAX_LABEL = 24  # and those in which it says of what kind it is

_ROW = re.compile(r"\d{13,19}(?!\d)")
_GROUPS = (
    re.compile(r"\d{4}([ .-])\d{4}\1\d{4}\1\d{4}\1\d{3}(?!\d)"),
    re.compile(r"\d{4}([ .-])\d{4}\1\d{4}\1\d{4}(?!\d|\1\d{4}(?!\d))"),
    re.compile(r"\d{4}([ .-])\d{6}\1\d{4,5}(?!\d|\1\d)"),
)
#: first digits and lengths by scheme; ISO/IEC 7812, and what the schemes publish
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|095|[689]\d)\d{11}(?:\d\d)?"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|6(?:011\d\d|4[4-9]\d{3}|5\d{4})\d{10,13}"  # Discover, RuPay
    r"|(?:62|81)\d{14,17}"  # UnionPay
    r"|220[0-4]\d{12,15}"  # Mir
    r"|9792\d{12}"  # Troy
    r"|(?:60|82|508\d)\d{12}(?:\d\d)?"  # RuPay, Hipercard
    r"|(?:5[06-8]|6[37])\d{11,17}"  # Maestro, Elo
)
_COMMON_LENGTHS = {
    13: "4", 14: "3", 15: "3", 16: "23456789", 19: ("4", "62"),
}  # of rows without separators: others are cards only where the text says so  # fmt: skip
_CARD_BEFORE = re.compile(
    r"(?i)(?:card|carte|karte|carta|tarjeta|cartão|visa|master|maestro|amex|express|discover|diners"
    r"|jcb|pan\b|карт|卡号|卡號|カード|카드)[^\d\n]{0,24}\Z"
)
#: numbers of other kinds that say so
OTHER_NUMBER_BEFORE = re.compile(
    r"(?i)(?<![a-z])(?:e?isbn|issn|ismn|doi|ean|upc|gtin|asin|oclc|lccn|pmid|pmcid|pmc|arxiv|imei|iccid"
    r"|uuid|guid|sku|vin|serial)(?:[- ]?1[034])?(?:\s?(?:number|no|nr|code))?[\s.:#=(\"'/]{0,4}\Z"
)
_NO_NUMBER_BEFORE = re.compile(r"[\w/\\+]\Z|[A-Za-z0-9]-\Z|\d\.\Z|(?<!\d)0,\Z|--\Z", re.ASCII)
_NO_NUMBER_AFTER = re.compile(r"\w|\.\d|-[A-Za-z0-9]|@", re.ASCII)


def payment_card(before: str, after: str) -> Place | None:
    """The number of a payment card at the start of `after`.

    13 to 19 digits in one row, or in groups of 4-4-4-4, 4-4-4-4-3 or 4-6-4(5) with one kind of
    separator, that pass Luhn's test, with the first digits and the length of a scheme. Rows of
    13 digits that are an EAN, and of lengths that only Maestro and others have, need a word such
    as `card` before them.
    """
    before = before[-MAX_BEFORE:]
    match = _ROW.match(after)
    matches = [match] if match else [m for groups in _GROUPS if (m := groups.match(after))]
    for match in matches:
        digits = re.sub(r"\D", "", match[0])
        if not _ISSUERS.fullmatch(digits) or not _passes_luhn(digits):
            continue
        separator = match[1] if match.re.groups else ""
        if _NO_NUMBER_BEFORE.search(before) or OTHER_NUMBER_BEFORE.search(
            before, max(0, len(before) - MAX_LABEL)
        ):
            continue
        if _NO_NUMBER_AFTER.match(after, match.end()):
            continue
        if separator and re.search(rf"\d\{separator}\Z", before):
            continue
        if not separator and not _CARD_BEFORE.search(before):
            if not digits.startswith(tuple(_COMMON_LENGTHS.get(len(digits), ()))):
                continue
            if len(digits) == 13 and _is_ean(digits):
                continue
        return 0, match.end()
    return None


def _passes_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _is_ean(digits: str) -> bool:
    """Whether 13 digits are an article's number: GS1 General Specifications, section 7.9."""
    return (sum(map(int, digits[::2])) + 3 * sum(map(int, digits[1::2]))) % 10 == 0


@functools.cache
def iban_structures() -> dict[str, re.Pattern[str]]:
    """Country -> what follows the check digits, from the ISO 13616 registry."""
    classes = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}
    with (DATA / "iban.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["country"]: re.compile(
                "".join(
                    f"{classes[kind]}{{{n}}}"
                    for n, kind in re.findall(r"(\d+)!([nac])", row["structure"])
                )
            )
            for row in csv.DictReader(file)
        }


@functools.cache
def iban_lengths() -> dict[str, int]:
    """Country -> characters of an IBAN: country, two check digits, and the structure."""
    with (DATA / "iban.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["country"]: 4 + sum(map(int, re.findall(r"(\d+)!", row["structure"])))
            for row in csv.DictReader(file)
        }


_IBAN_CHARACTER = re.compile(r"([ -]?)([A-Za-z0-9])")


def iban(before: str, after: str) -> Place | None:
    """An IBAN at the start of `after`: ISO 13616, in one row or with single spaces or hyphens.

    The country's structure decides besides the remainder by 97, which the kernel has worked out.
    """
    country = after[:2].upper()
    before = before[-MAX_BEFORE:]
    structure, length = iban_structures().get(country), iban_lengths().get(country, 0)
    if structure is None or _NO_NUMBER_BEFORE.search(before):
        return None
    written, separators, end = "", set(), 0
    while len(written) < length:
        match = _IBAN_CHARACTER.match(after, end)
        if match is None:
            return None
        written, end = written + match[2], match.end()
        if match[1]:
            separators.add(match[1])
    if len(separators) > 1 or not (written.isupper() or written.islower()):
        return None
    if _NO_NUMBER_AFTER.match(after, end) or not structure.fullmatch(written[4:].upper()):
        return None
    return 0, end
