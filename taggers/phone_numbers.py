"""Phone numbers, as `pii_v3` decides them.

A number has to be whole, and either international (`+44 ...`, `0044 ...`, `011 44 ...`), of the
length that the country has; or North American, 3-3-4; or to stand behind a cue (`Tel.:`, `电话`).
The functions are given the text before and after the first digits that a kernel has found, in
plain digits and separators (see `personal_data.PLAIN`).

Sources: ITU-T E.164 and E.123; North American Numbering Plan, area codes `[2-9][0-8]X` and
exchanges `[2-9]XX` without `N11`; lengths and first digits
from libphonenumber 9.0.43, older lengths from 8.8.0.
"""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path
from typing import NamedTuple

from taggers.account_numbers import MAX_LABEL, OTHER_NUMBER_BEFORE

DATA = Path(__file__).with_name("data")
Place = tuple[int, int]  # start and end, from the place that was found

MAX_DIGITS = 15  # E.164, section 6
MIN_DIGITS = 7
MAX_NATIONAL_DIGITS = 13
MAX_BEFORE = 64  # characters before a number that matter
MAX_CUE = 40  # and those among which its cue stands

#: words that announce a phone number, by their first three bytes for the kernel
CUES = (
    "tel", "tél", "τηλ", "тел", "phone", "ph.", "ph:", "fone", "fono", "fax", "faks", "mob",
    "mób", "móv", "mov", "handy", "portable", "gsm", "whatsapp", "viber", "hotline", "helpline",
    "puh", "tlf", "tfn", "cel", "cell", "call", "contact", "sms", "моб", "факс", "κιν", "電話",
    "电话", "手机", "手機", "携帯", "传真", "傳真", "전화", "연락", "휴대", "핸드", "팩스",
    "هات", "جوا", "تلف", "موب", "טלפ", "נייד", "फ़ो", "फोन", "मोब", "โทร", "điệ", "ĐT", "SĐT",
    "☎", "☏", "✆", "📞", "📱", "📠",
    *(f"{letter}{mark} " for letter in "TFMP" for mark in ":."),
)  # fmt: skip
_CUE = re.compile(
    r"(?:(?<![^\W_])(?:"
    r"tel(?:ephone|éphone|[eé]f[oó]n[oeai]?|efoon|e?fax|efax|émóvel|emóvel|f|p|epon|no)?|t[ée]l(?:[ée]phone)?"
    r"|(?:tele|mobile|cell|home|work|office|hand)?_?phones?|ph(?=[.:])|fone|fono|fax|faks|mob(?=[.:])"
    r"|mobile?|mobiltelefon|móvil|movil|handy|portable|gsm(?=[.:])|whatsapp|viber|hotline|helpline"
    r"|puh(?:elin)?|tlfn?|tfno|cell?(?:ul(?:ar|are))?(?=[.:])|celular|sms"
    r"|тел(?:ефон)?|моб(?:ильный)?|факс|τηλ(?:έφωνο)?|κιν(?:ητό)?|هاتف|جوال|تلفون|تلفن|موبايل"
    r"|טלפון|טל|נייד|फ़ोन|फोन|मोबाइल|điện thoại|s?đt"
    r")|電話|电话|手机|手機|携帯|传真|傳真|전화|연락처|휴대폰|휴대전화|핸드폰|팩스|โทร(?:ศัพท์)?|[☎☏✆📞📱📠]\ufe0f?)"
    r"(?:[ _]?(?:numbers?|no|nr|num|numéro|número|nummer|番号|号码|号|號碼|번호))?"
    r"(?:[\s.:=#/>\"'№-]|\((?:home|work|office|mobile|cell)\)|\b(?:is|at|on)\b){0,8}\(?\Z",
    re.IGNORECASE,
)
#: these need a number in groups, or one that begins with 0, too
_WEAK_CUE = re.compile(
    r"(?<![^\W_])(?:call|contact|cell|mob|ring|dial|text|reach)"
    r"(?:\s(?:us|me|him|her|them|now|today|toll[ -]free|free|at|on|is))*[\s:.]{1,3}\(?\Z",
    re.IGNORECASE,
)
#: these only before such a number as has both
_LETTER_CUE = re.compile(r"(?<![^\W_])[TFMP][:.]\s{1,2}\(?\Z")
_TOKEN = re.compile(r"(\d+)|([ ./()-]{1,3})")
#: what may stand between the groups of a number
_SEPARATOR = re.compile(r"[ ./-]| [/-] | ?\(|\)[ /-]?|-\(|/\(|\) \(|\)\(")


class Number(NamedTuple):
    """A number as it is written: its groups, and what stands before each but the first."""

    groups: list[str]
    separators: list[str]
    ends: list[int]  # of each group, a bracket that closes behind it included

    def digits(self, n_groups: int) -> str:
        return "".join(self.groups[:n_groups])


def read_number(text: str, max_digits: int, max_before_bracket: int = 3) -> Number:
    """The groups at the start of a text, as many as hold up to `max_digits` digits.

    A bracket opens after `max_before_bracket` digits at most: it is an area code's.
    """
    groups: list[str] = []
    separators: list[str] = []
    ends: list[int] = []
    end = n_digits = 0
    separator = ""
    while match := _TOKEN.match(text, end):
        if match[2]:
            separator = match[2]
            if not _SEPARATOR.fullmatch(separator):
                break
            if "(" in separator and n_digits > max_before_bracket:
                break
        else:
            n_digits += len(match[1])
            if n_digits > max_digits:
                break
            if groups:
                separators.append(separator)
            groups.append(match[1])
            is_bracket = text[match.end() : match.end() + 1] == ")"
            ends.append(match.end() + is_bracket)
        end = match.end()
    return Number(groups, separators, ends)


@functools.cache
def plans() -> dict[str, dict[int, str]]:
    """Calling code -> length of a number without it -> first digits of such numbers."""
    with (DATA / "calling_codes.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["code"]: {
                int(length): firsts
                for length, _, firsts in (item.partition(":") for item in row["plan"].split())
            }
            for row in csv.DictReader(file)
        }


@functools.cache
def area_codes() -> frozenset[str]:
    """North American area codes in use."""
    return frozenset((DATA / "north_american_area_codes.txt").read_text(encoding="ascii").split())


def is_international(digits: str, is_grouped: bool) -> bool:
    """Whether digits are a calling code and a number of a length that the plan knows.

    A number in groups may begin with any digit but 0: plans grow, and numbers of novels and films
    are taken from where nobody lives. One 0 too many is forgiven, as of `+44 (0)20 ...`.

    >>> is_international("442079460958", False), is_international("44207946095", False)
    (True, False)
    """
    code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in plans()), "")
    number = digits[len(code) :]
    if not code or len(digits) < MIN_DIGITS:
        return False
    if code == "1":
        return len(number) == 10 and is_north_american(number[:3], number[3:6])
    plan = plans()[code]
    for written in (number, number.removeprefix("0")):
        firsts = plan.get(len(written), "")
        if written[:1] and (
            written[0] in firsts
            or (firsts and is_grouped and len(digits) > 8 and written[0] != "0")
        ):
            return True
    return False


def is_north_american(area: str, exchange: str) -> bool:
    """Whether an area code and an exchange may be; area 555 is fiction's, with any exchange."""
    if area == "555":
        return True
    is_valid = (part[0] in "23456789" and part[1:] != "11" for part in (area, exchange))
    return all(is_valid) and area[1] != "9"


_PLUS_BEFORE = re.compile(r"(?<![0-9A-Za-z_+.])(\(?)\+\Z")
_NO_NUMBER_AFTER = re.compile(r"(?!x\s?\d|ext)[0-9A-Za-z_@]|:\d")
_THOUSANDS = re.compile(r"\d{1,3}(?:[ .]\d{3}){4}(?!\d)")
_MORE_GROUPS = re.compile(r"[.-]\d")
_DECIMAL = re.compile(r"\d+\.\d+")


def phone(before: str, after: str) -> Place | None:
    """A phone number whose first digits `after` begins with: `before` may hold `+` or `(` of it."""
    if before.endswith("+"):
        return _international(before, after)
    before = before[-MAX_BEFORE:]
    if OTHER_NUMBER_BEFORE.search(before, max(0, len(before) - MAX_LABEL)):
        return None
    return (
        _international_by_prefix(before, after)
        or _north_american(before, after)
        or _national(before, after)
    )


def _international(before: str, after: str) -> Place | None:
    plus = _PLUS_BEFORE.search(before)
    if plus is None:
        return None
    number = read_number(after, MAX_DIGITS)
    end = _end_of_international(number, after, 0)
    if not end:
        return None
    written = after[:end]
    if written.count(")") == written.count("("):
        return -1, end
    # The bracket of `(+44 20 ...)` is around the number, that of `(+44) 20 ...` is the number's.
    if written.endswith(")"):
        return -1, end - 1
    return (-2, end) if plus[1] else None


def _end_of_international(number: Number, after: str, n_prefix: int) -> int:
    """Where the most groups end that make a number; 0 if none do.

    The first `n_prefix` digits are no part of it.
    """
    for n_groups in range(len(number.groups), 0, -1):
        end = number.ends[n_groups - 1]
        following = number.separators[n_groups - 1] if n_groups <= len(number.separators) else ""
        if n_groups < len(number.groups) and following.strip() and " " not in following:
            continue  # inside a row of groups
        if n_groups < len(number.groups) and _THOUSANDS.match(after):
            continue  # inside a large number
        if _NO_NUMBER_AFTER.match(after, end) or _MORE_GROUPS.match(after, end):
            continue
        if _DECIMAL.fullmatch(after[:end].rstrip(")")):
            continue
        if is_international(number.digits(n_groups)[n_prefix:], n_groups > 1):
            return end
    return 0


_DIGITS_BEFORE = re.compile(r"\d[ .-]\Z")
_NO_PHONE_BEFORE = re.compile(r"[0-9A-Za-z_@$€£¥%+\\/-]\Z|\d[.:]\Z")


def _international_by_prefix(before: str, after: str) -> Place | None:
    """`00` or `011` instead of `+`; in one row only behind a cue."""
    number = read_number(after, MAX_DIGITS + 3, 6)
    first = number.groups[0] if number.groups else ""
    n_prefix = 3 if first == "011" else 2
    if not first.startswith("00") and first != "011":
        return None
    if _NO_PHONE_BEFORE.search(before) or _DIGITS_BEFORE.search(before):
        return None
    code = first[2:] if n_prefix == 2 else ""
    if code and code not in plans() and not (len(number.groups) == 1 and _has(_CUE, before)):
        return None
    end = _end_of_international(number, after, n_prefix)
    return (0, end) if end else None


_NORTH_AMERICAN = re.compile(
    r"(?:1(?:[-. ]| ?(?=\()))?"
    r"(?:\((?P<a>\d{3})\)(?P<r> |-|\.|)|(?P<b>\d{3})(?P<s>[-. /]))"
    r"(?P<exchange>\d{3})(?P<t>[-. ]?)\d{4}(?!\d)"
)
_NO_NORTH_AMERICAN_AFTER = re.compile(r"(?!x\s?\d|ext)[A-Za-z_@%]|[-.]\d|-[A-Za-z]| [-+*] \d|/\d")

_IN_ROW_BEFORE = {s: re.compile(rf"\d[{s} \t]{{1,3}}\Z") for s in " ."}
_IN_ROW_AFTER = {s: re.compile(rf"[{s} \t]{{1,3}}\d") for s in " ."}


def _north_american(before: str, after: str) -> Place | None:
    """3-3-4, with a 1 before it or not; without a hyphen or bracket, of an area code in use."""
    bracket = int(before.endswith("("))
    match = _NORTH_AMERICAN.match("(" + after) if bracket else None
    if match is None:
        match, bracket = _NORTH_AMERICAN.match(after), 0
    if match is None:
        return None
    end = match.end() - bracket
    area, separator = match["a"] or match["b"], match["s"] or ""
    if _NO_NORTH_AMERICAN_AFTER.match(after, end):
        return None
    outside = before[:-1] if bracket else before
    if separator and not match["t"] and separator != "-":
        return None
    is_in_two = bool(separator) and not match["t"]  # 206-5550100
    is_doubtful = is_in_two or not is_north_american(area, match["exchange"])
    if separator in (" ", ".") and match["t"] != "-":
        is_doubtful |= area not in area_codes() or bool(
            _IN_ROW_BEFORE[separator].search(outside, max(0, len(outside) - 4))
            or _IN_ROW_AFTER[separator].match(after, end)
        )
    if _NO_PHONE_BEFORE.search(outside, max(0, len(outside) - 2)):
        if outside[-1:].isalnum():
            return None
        is_doubtful = True
    return (-bracket, end) if not is_doubtful or _has_cue(before) else None


def _has_cue(before: str) -> bool:
    return bool(_has(_CUE, before) or _has(_WEAK_CUE, before))


def _has(cue: re.Pattern[str], before: str) -> bool:
    return cue.search(before, max(0, len(before) - MAX_CUE)) is not None


_DATE = re.compile(
    r"(?:1[89]|20)\d\d([-./])\d\d?\1\d\d?|\d\d?([-./])\d\d?\2(?:1[89]|20)?\d\d(?:[ T].*)?"
)


def _national(before: str, after: str) -> Place | None:
    """A number of any country behind a cue: 7 to 13 digits, in groups or in one row."""
    is_announced = _has(_CUE, before)
    is_letter = not is_announced and _has(_LETTER_CUE, before)
    if not is_announced and not is_letter and not _has(_WEAK_CUE, before):
        return None
    bracket = int(before.endswith("("))
    number = read_number(after, MAX_NATIONAL_DIGITS)
    for n_groups in range(len(number.groups), 0, -1):
        end = number.ends[n_groups - 1]
        written = after[:end]
        if len(number.digits(n_groups)) < MIN_DIGITS:
            break
        if _NO_NUMBER_AFTER.match(after, end) or re.match(r"[.,-]\d", after[end:]):
            continue
        if _DATE.match(written) or _DECIMAL.fullmatch(written):
            return None
        if not is_announced and n_groups == 1 and not written.startswith("0"):
            return None
        if is_letter and (n_groups == 1 or not written.startswith("0")):
            return None
        n_open, n_closed = written.count("("), written.count(")")
        if n_closed > n_open and written.endswith(")"):
            return 0, end - 1  # the bracket is around the number
        takes_bracket = n_closed == n_open + 1 and bracket
        return (-bracket, end) if takes_bracket else (0, end) if n_closed == n_open else None
    return None
