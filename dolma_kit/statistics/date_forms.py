"""Dates as corpora write them: to a year, and a month where the form tells it.

Read are, with white space around them or not:

    2023, 2023-05, 2023-05-17, 2023/05/17, 2023.5.17, 20230517, 2023-W20-3   ISO 8601 and near it
    2023-05-17T10:00:00Z, 2023-05-17 10:00:00.5+02:00, 20230517T100000
    20230517100000                      14 digits, as archives of the Web name captures
    1684317600, 1684317600.5, 1684317600000, "1684317600"   seconds or milliseconds since 1970
    Wed, 17 May 2023 10:00:00 GMT       RFC 5322, and RFC 850: Wednesday, 17-May-23 10:00:00 GMT
    Wed May 17 10:00:00 2023            C's asctime
    17 May 2023, May 17th, 2023, Sept. 2011   months are English, in full or by three letters
    05/17/2023, 17.05.2023              day and month by what they can be; 05/06/2023 has no month

Four digits are a year; 5, 6 and 7 are nothing; 8 a day if they can be one; 9 to 11 seconds, 12 and
13 milliseconds. Years are from 1000 to 2999; a moment of 1970 or later that a number stands for,
before 2100. Two digits are a year in RFC 850's form alone. Times of day are not looked at, a date
is that of its own time zone.
"""

from __future__ import annotations

import calendar
import datetime
import functools
import re
from typing import Any, NamedTuple


class Date(NamedTuple):
    """`month` is 0 where it is not known."""

    year: int
    month: int


_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTHS = {
    name: number for number, full in enumerate(_NAMES, start=1) for name in (full, full[:3])
} | {"sept": 9}
_DAYS = "(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = "(?P<name>[a-z]{3,9})"
_TIME = (
    r"(?:[t,\s]\s*\d{1,2}(?::?\d{2}){0,2}(?:[.,]\d+)?(?:\s*[ap]\.?m\.?)?"
    r"(?:\s*(?:z|[a-z]{1,5}|(?:utc|gmt)?[+-]\d{2}(?::?\d{2})?))?(?:\s*\([^()]*\))?)?"
)
_DAY_MONTH = rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]+{_MONTH}\.?,?[\s-]+(?P<year>\d{{4}})"
_MONTH_DAY = rf"{_MONTH}\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})"
_FORMS = [
    re.compile(form + "$", re.ASCII)
    for form in (
        r"(?P<year>\d{4})",
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})",
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})" + _TIME,
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
        r"(?:t\d{2,6}(?:[.,]\d+)?(?:z|[+-]\d\d:?\d\d)?|\d{6})?",
        rf"(?:{_DAYS},?\s+)?{_DAY_MONTH}{_TIME}",
        rf"{_DAYS},\s+(?P<day>\d{{1,2}})-{_MONTH}-(?P<short>\d\d){_TIME}",
        rf"(?:{_DAYS},?\s+)?{_MONTH_DAY}{_TIME}",
        rf"{_DAYS}\s+{_MONTH}\s+(?P<day>\d{{1,2}})\s+\d\d:\d\d:\d\d(?:\s+[a-z]{{3,4}})?"
        r"\s+(?P<year>\d{4})",
        rf"{_MONTH}\.?,?\s+(?P<year>\d{{4}})",
        r"(?P<first>\d{1,2})(?P<mark>[/.-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4})" + _TIME,
    )
]
_WEEK = re.compile(r"(\d{4})-?w(\d\d)(?:-?([1-7]))?$", re.ASCII)
_NUMBER = re.compile(r"[1-9]\d{8,10}(?:\.\d*)?$|[1-9]\d{11,12}$", re.ASCII)
_LONGEST = 100  # characters of a date as text
_FIRST_YEAR, _LAST_YEAR = 1000, 2999
_LAST_SECOND = 4102444800  # the begin of 2100


def read(value: Any) -> Date | None:
    """The date that a value of JSON stands for; None where it is none.

    >>> read("2023-02-01T00:00:00.000Z"), read("Tue, 15 Nov 1994 08:12:31 GMT"), read(1684317600)
    (Date(year=2023, month=2), Date(year=1994, month=11), Date(year=2023, month=5))
    >>> read("02/03/2021"), read("31/12/2021"), read("not a date"), read("2021-02-30")
    (Date(year=2021, month=0), Date(year=2021, month=12), None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _of_number(value)
    return _of_text(value) if isinstance(value, str) and len(value) <= _LONGEST else None


def _of_number(value: float) -> Date | None:
    if not 0 <= value < 10**14:  # more than any form has digits, or not a number
        return None
    if (date := _of_moment(value)) is not None:
        return date
    return _of_text(str(int(value))) if value == int(value) else None


def _of_moment(value: float) -> Date | None:
    """The date of seconds or milliseconds since 1970; None of numbers of other sizes."""
    if 1000 * 10**8 <= value < 1000 * _LAST_SECOND:
        value /= 1000
    if not 10**8 <= value < _LAST_SECOND:
        return None
    moment = datetime.datetime.fromtimestamp(value, datetime.UTC)
    return Date(moment.year, moment.month)


@functools.lru_cache(maxsize=1 << 16)
def _of_text(text: str) -> Date | None:
    text = " ".join(text.split()).lower()
    for form in _FORMS:
        if (found := form.match(text)) and (date := _checked(found.groupdict())) is not None:
            return date
    if found := _WEEK.match(text):
        year, week, day = int(found[1]), int(found[2]), int(found[3] or 1)
        try:
            moment = datetime.date.fromisocalendar(year, week, day)
        except ValueError:
            return None
        date = Date(moment.year, moment.month) if found[3] else Date(year, 0)
        return date if _FIRST_YEAR <= date.year <= _LAST_YEAR else None
    return _of_moment(float(text)) if _NUMBER.match(text) else None


def _checked(parts: dict[str, str | None]) -> Date | None:
    """The date of a form's parts, if there is such a day."""
    if (short := parts.get("short")) is not None:
        year = int(short) + (1900 if int(short) >= 70 else 2000)
    else:
        year = int(parts["year"] or 0)
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    if parts.get("first") is not None:
        a, b = int(parts["first"] or 0), int(parts["second"] or 0)
        # European dates have points; else either may be the month.
        options = [(b, a)] if parts["mark"] == "." else [(a, b), (b, a)]
        months = {month for month, day in options if _is_day(year, month, day)}
        return None if not months else Date(year, months.pop() if len(months) == 1 else 0)
    month = 0
    if (name := parts.get("name")) is not None:
        if name not in _MONTHS:
            return None
        month = _MONTHS[name]
    elif parts.get("month") is not None:
        month = int(parts["month"] or 0)
        if not 1 <= month <= 12:
            return None
    day = parts.get("day")
    if day is not None and not _is_day(year, month, int(day)):
        return None
    return Date(year, month)


def _is_day(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
