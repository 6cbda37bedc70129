"""Dates as `created` has them: ISO 8601 in UTC to the second, or a day alone.

Read are, with white space around them or not:

    2023-05-17, 2023/5/17, 2023.05.17, 20230517        a day
    2023-05-17T10:00:00Z, 2023-05-17 10:00:00.5 +0200, 20230517T100000, 20230517100000
    1684317600, "1684317600", 1684317600000, ...       seconds since 1970, or thousandths,
                                                       millionths, 10^-9s of them, by their size
    Wed, 17 May 2023 10:00:00 +0200                    RFC 2822 and RFC 850
    Wed May 17 10:00:00 2023                           C's asctime, also with a zone before the year
    17 May 2023, May 17th, 2023                        English months, in full or by three letters
    17.05.2023, 05/17/2023                             days by what they can be; 05/06/2023 is none

A moment without a zone is taken to be in UTC. Years are from 1000 to 2999; numbers are moments from
1973 to 2099.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from email.utils import parsedate_to_datetime
from typing import Any

_MONTHS = {
    name: number
    for number, full in enumerate(
        (
            "january", "february", "march", "april", "may", "june", "july", "august", "september",
            "october", "november", "december",
        ),
        start=1,
    )
    for name in (full, full[:3])
} | {"sept": 9}  # fmt: skip
_ZONE = r"\s*(?P<zone>z|utc|gmt|(?:utc|gmt)?[+-]\d{2}(?::?\d{2})?)?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?"
_TIME = rf"(?:(?:t|,?\s+|,){_CLOCK}{_ZONE})?"
_WEEKDAY = r"(?:[a-z]{3,9},?\s+)?"
_NAME = r"(?P<name>[a-z]{3,9})\.?"
_FORMS = [
    re.compile(form + "$", re.ASCII)
    for form in (
        rf"(?P<year>\d{{4}})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}}){_TIME}",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
        rf"(?:t(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?(?:[.,]\d+)?{_ZONE})?",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]+{_NAME},?[\s-]+(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}})\s+{_CLOCK}{_ZONE}\s+(?P<year>\d{{4}})",
        rf"(?P<a>\d{{1,2}})(?P<mark>[-/.])(?P<b>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}){_TIME}",
    )
]
_MAIL = re.compile(
    r"(?:[a-z]{3,9},\s*)?\d{1,2}[ -][a-z]{3}[ -](?:\d{2}|\d{4})\s+\d{1,2}:\d\d(?::\d\d)?\s*"
    r"(?:[+-]\d{4}|[a-z]{1,5})?(?:\s*\([^()]*\))?$",
    re.ASCII,
)
_NUMBER = re.compile(r"\d{9,10}(?:\.\d*)?$|\d{12,13}$|\d{15,16}$|\d{18,19}$", re.ASCII)
_LONGEST = 100  # characters of a date as text
_FIRST_YEAR, _LAST_YEAR = 1000, 2999
_FIRST_SECOND, _LAST_SECOND = 10**8, 4102444800  # of 1973, and the begin of 2100
_UNITS = (1, 10**3, 10**6, 10**9)


def iso(value: Any) -> str | None:
    """The date or moment that a value stands for; None where it is none.

    >>> iso("2024-04-25T18:24:44+02:00"), iso(1714062284000), iso("Thu, 25 Apr 2024 16:24:44 GMT")
    ('2024-04-25T16:24:44Z', '2024-04-25T16:24:44Z', '2024-04-25T16:24:44Z')
    >>> iso("25 April 2024"), iso("20240425"), iso("03/04/2024"), iso("2024-02-30"), iso(None)
    ('2024-04-25', '2024-04-25', None, None, None)
    """
    if isinstance(value, datetime.datetime):
        return _of_moment(value)
    if isinstance(value, datetime.date):
        return value.isoformat() if _FIRST_YEAR <= value.year <= _LAST_YEAR else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _of_number(value)
    return _of_text(value) if isinstance(value, str) and len(value) <= _LONGEST else None


def _of_moment(value: datetime.datetime) -> str | None:
    try:
        utc = value.astimezone(datetime.UTC) if value.tzinfo else value
    except (OverflowError, ValueError):  # at the ends of time
        return None
    if not _FIRST_YEAR <= utc.year <= _LAST_YEAR:
        return None
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_number(value: int | float) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if (moment := _since_1970(value)) is not None:
        return moment
    if value == int(value) and 10**7 <= value < 10**14:
        return _of_text(str(int(value)))
    return None


def _since_1970(value: int | float) -> str | None:
    for unit in _UNITS:
        if _FIRST_SECOND * unit <= value < _LAST_SECOND * unit:
            return _of_moment(datetime.datetime.fromtimestamp(int(value // unit), datetime.UTC))
    return None


@functools.lru_cache(maxsize=1 << 12)
def _of_text(text: str) -> str | None:
    text = " ".join(text.split()).lower()
    for form in _FORMS:
        if (found := form.match(text)) and (date := _checked(found.groupdict())) is not None:
            return date
    if _MAIL.match(text):
        try:
            return _of_moment(parsedate_to_datetime(text))
        except (ValueError, IndexError, TypeError):
            return None
    return _since_1970(float(text)) if _NUMBER.match(text) else None


def _checked(parts: dict[str, str | None]) -> str | None:
    """The date of a form's parts, if there is such a day and time."""
    year = int(parts["year"] or 0)
    if parts.get("a") is not None:
        a, b = int(parts["a"] or 0), int(parts["b"] or 0)
        # European dates have points; else either may be the month.
        options = {(b, a)} if parts["mark"] == "." else {(a, b), (b, a)}
        days = {date for month, day in options if (date := _day(year, month, day)) is not None}
        if len(days) != 1:
            return None
        date = days.pop()
    else:
        name = parts.get("name")
        month = int(parts["month"] or 0) if name is None else _MONTHS.get(name, 0)
        found = _day(year, month, int(parts["day"] or 0))
        if found is None:
            return None
        date = found
    if parts.get("hour") is None:
        return date.isoformat()
    second = min(int(parts.get("second") or 0), 59)  # 60 is a leap second
    hour, minute = int(parts["hour"] or 0), int(parts["minute"] or 0)
    if hour > 23 or minute > 59:
        return None
    zone = (parts.get("zone") or "z").removeprefix("utc").removeprefix("gmt")
    moment = datetime.datetime(date.year, date.month, date.day, hour, minute, second)
    try:
        return _of_moment(moment - _offset(zone))
    except OverflowError:
        return None


def _day(year: int, month: int, day: int) -> datetime.date | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def _offset(zone: str) -> datetime.timedelta:
    if zone in ("", "z"):
        return datetime.timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset
