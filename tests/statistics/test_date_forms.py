"""Dates as corpora write them, form by form, and what is none."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.statistics import date_forms
from dolma_kit.statistics.date_forms import Date, read

HUGE = 10**400
DATES: list[tuple[Any, tuple[int, int]]] = [
    # ISO 8601 and near it
    ("2023", (2023, 0)),
    ("2023-05", (2023, 5)),
    ("2023-5", (2023, 5)),
    ("2023/05", (2023, 5)),
    ("2023-05-17", (2023, 5)),
    ("2023/05/17", (2023, 5)),
    ("2023.5.17", (2023, 5)),
    ("2023-5-7", (2023, 5)),
    ("20230517", (2023, 5)),
    ("2024-02-29", (2024, 2)),
    ("2000-02-29", (2000, 2)),
    ("1000-01-01", (1000, 1)),
    ("2999-12-31", (2999, 12)),
    ("2023-W20-3", (2023, 5)),
    ("2023W203", (2023, 5)),
    ("2023-W20", (2023, 0)),
    ("2023w20", (2023, 0)),
    ("2020-W53-7", (2021, 1)),  # a Sunday of the year after
    ("2020-W01-1", (2019, 12)),
    ("2020-W53", (2020, 0)),
    # with times of day, which are not looked at
    ("2023-05-17T10:00:00Z", (2023, 5)),
    ("2023-05-17t10:00:00z", (2023, 5)),
    ("2023-05-17T10:00", (2023, 5)),
    ("2023-05-17T10", (2023, 5)),
    ("2023-05-17T1000", (2023, 5)),
    ("2023-05-17 10:00:00.5+02:00", (2023, 5)),
    ("2023-05-17 10:00:00,123456 +0200", (2023, 5)),
    ("2023-05-17T23:59:60-11", (2023, 5)),
    ("2023-05-17 10:00:00 UTC", (2023, 5)),
    ("2023-05-17 10:00:00 CEST", (2023, 5)),
    ("2023-05-17 10:00:00 GMT+02:00", (2023, 5)),
    ("2023-05-17, 10:00 pm", (2023, 5)),
    ("2023-05-17 10:00 p.m. EST", (2023, 5)),
    ("2023-12-31T23:30:00-05:00", (2023, 12)),  # that of its own time zone
    ("20230517T100000", (2023, 5)),
    ("20230517T100000Z", (2023, 5)),
    ("20230517T1000+0200", (2023, 5)),
    # 14 digits
    ("20230517100000", (2023, 5)),
    (20230517100000, (2023, 5)),
    # seconds and milliseconds
    (1684317600, (2023, 5)),
    (1684317600.5, (2023, 5)),
    (1684317600000, (2023, 5)),
    (1684317600123.0, (2023, 5)),
    ("1684317600", (2023, 5)),
    ("1684317600.", (2023, 5)),
    ("1684317600.123456", (2023, 5)),
    ("1684317600000", (2023, 5)),
    (10**8, (1973, 3)),
    ("100000000", (1973, 3)),
    (4102444799, (2099, 12)),
    (4102444799999, (2099, 12)),
    # numbers that are years and days
    (2023, (2023, 0)),
    (2023.0, (2023, 0)),
    (20230517, (2023, 5)),
    (1000, (1000, 0)),
    (2999, (2999, 0)),
    # RFC 5322, RFC 850, asctime
    ("Wed, 17 May 2023 10:00:00 GMT", (2023, 5)),
    ("Wed, 17 May 2023 10:00:00 +0200", (2023, 5)),
    ("Wed, 17 May 2023 10:00:00 +0200 (CEST)", (2023, 5)),
    ("17 May 2023 10:00 -0700", (2023, 5)),
    ("Tue, 15 Nov 1994 08:12:31 GMT", (1994, 11)),
    ("Wednesday, 17-May-23 10:00:00 GMT", (2023, 5)),
    ("Sunday, 06-Nov-94 08:49:37 GMT", (1994, 11)),
    ("Thursday, 01-Jan-70 00:00:00 GMT", (1970, 1)),
    ("Tuesday, 31-Dec-69 00:00:00 GMT", (2069, 12)),
    ("Wed May 17 10:00:00 2023", (2023, 5)),
    ("Sun Nov  6 08:49:37 1994", (1994, 11)),
    ("Wed May 17 10:00:00 UTC 2023", (2023, 5)),  # date(1)
    # English months
    ("17 May 2023", (2023, 5)),
    ("17. May 2023", (2023, 5)),
    ("17-May-2023", (2023, 5)),
    ("1st January 1999", (1999, 1)),
    ("2nd Feb. 1999", (1999, 2)),
    ("May 17th, 2023", (2023, 5)),
    ("May 17, 2023", (2023, 5)),
    ("may 17 2023", (2023, 5)),
    ("DECEMBER 3RD, 2021", (2021, 12)),
    ("Friday, March 3, 2023", (2023, 3)),
    ("Thursday, December 25, 2014 10:30 PM", (2014, 12)),
    ("Sept. 2011", (2011, 9)),
    ("September 2011", (2011, 9)),
    ("May, 2023", (2023, 5)),
    # days by slashes and points
    ("05/17/2023", (2023, 5)),
    ("17/05/2023", (2023, 5)),
    ("17-05-2023", (2023, 5)),
    ("17.05.2023", (2023, 5)),
    ("05.06.2023", (2023, 6)),
    ("05/06/2023", (2023, 0)),
    ("5/5/2023", (2023, 5)),
    ("12/31/2021 11:59 PM", (2021, 12)),
    ("29/02/2024", (2024, 2)),
    # white space around, within, and of all kinds
    ("  2023-05-17\n", (2023, 5)),
    ("17\u00a0May\t2023", (2023, 5)),
    ("\u3000 2023 ", (2023, 0)),
]
NO_DATES: list[Any] = [
    # no strings or numbers
    None, True, False, [], ["2023"], {}, {"year": 2023},
    # numbers
    0, 1, -1, -2023, 999, 3000, 12345, 123456, 1234567, 2023.5, -1684317600, 99999999,
    4102444800, 5_000_000_000, 99_999_999_999, 4102444800000, 10**13 - 1, 10**14, 10**15,
    HUGE, -HUGE, 10**5000, 1e300, 1e-300, -0.0, float("nan"), float("inf"), float("-inf"),
    # the same as text: the first two were looked for without an end
    "5000000000", "9999999999999", "99999999999", "0", "-1", "999", "3000", "12345", "1234567",
    "000002023", "00020230517", "1e9", "+1684317600", "0x7e7", "NaN",
    # days and months that are not
    "2021-02-30", "2023-02-29", "1900-02-29", "2023-13", "2023-00", "2023-13-01", "2023-00-10",
    "2023-01-00", "2023-04-31", "20231301", "20230230", "20230230100000", "2023-W54", "2023-W53",
    "2021-W00", "2023-W20-8", "2023-W20-0", "31/31/2023", "30/02/2023", "05.17.2023",
    "31 April 2023", "April 31, 2023", "Wed, 32 May 2023 10:00:00 GMT", "0 May 2023", "00/00/2023",
    # years that are not
    "0999-12-31", "3000-01-01", "0000-01-01", "0999-W52-7", "9999-W01-1", "9999-W01", "23",
    "17 May 23", "May 17, 23", "05/17/23", "-2023-05-17", "12023-05-17",
    # other words
    "", " ", "\n", "not a date", "unknown", "yesterday", "17 Mai 2023", "Smarch 2023",
    "mayday 2023", "2023-05-17 and more", "c. 2023", "2023?", "2023-", "2023--05", "05/17-2023",
    "20230517T", "2023-05-17T", "2023-05-17T10:00:00+", "(2023)", "2023\x002024", "\ud800",
    # digits that are not ASCII's
    "２０２３", "٢٠٢٣-٠٥-١٧", "2023-0５-17", "²023",
    # very long
    "2023" * 1000, "2023-05-17" + " " * 10**6 + "x", "9" * 10**6, "(" * 10**5, "a" * 100, "1" * 100,
    "2023-05-17 10:00 (" + "x" * 81,
]  # fmt: skip


@pytest.mark.parametrize(("value", "date"), DATES, ids=repr)
def test_dates(value: Any, date: tuple[int, int]) -> None:
    assert read(value) == Date(*date)


def shown(value: Any) -> str:
    return "huge" if isinstance(value, int) and abs(value) >= HUGE else repr(value)[:50]


@pytest.mark.parametrize("value", NO_DATES, ids=shown)
def test_no_dates(value: Any) -> None:
    assert read(value) is None


FORMS = [
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S.%f+02:00", "%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y", "%d %B %Y", "%B %d, %Y", "%b. %d %Y", "%d-%b-%Y", "%d.%m.%Y", "%B %Y",
    "%A, %B %d, %Y %I:%M %p", "%G-W%V-%u", "  %Y-%m-%d\t",
]  # fmt: skip
moments = st.datetimes(datetime.datetime(1000, 1, 10), datetime.datetime(2999, 12, 20))


@pytest.mark.parametrize("form", FORMS)
@given(moment=moments)
def test_what_strftime_writes_is_read(form: str, moment: datetime.datetime) -> None:
    assert read(moment.strftime(form)) == Date(moment.year, moment.month)


@given(moments)
def test_a_day_between_slashes_has_no_month_where_it_may_be_two(moment: datetime.datetime) -> None:
    for form in ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y"):
        month = moment.month if moment.day > 12 or moment.day == moment.month else 0
        assert read(moment.strftime(form)) == Date(moment.year, month)


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2069, 12, 31)))
def test_two_digits_are_a_year_from_1970_on(moment: datetime.datetime) -> None:
    assert read(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")) == Date(moment.year, moment.month)


utc = st.datetimes(
    datetime.datetime(1973, 3, 4), datetime.datetime(2099, 12, 31), timezones=st.just(datetime.UTC)
)


@given(utc)
def test_moments_since_1970(moment: datetime.datetime) -> None:
    date = Date(moment.year, moment.month)
    seconds = int(moment.timestamp())
    for value in (seconds, float(seconds), seconds + 0.25, 1000 * seconds + 7):
        assert read(value) == date
        assert read(str(value)) == date


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
like_dates = st.text("0123456789 -/.,:+TtZzWw()aprilmyjuned\u00a0٣２\ud800\x00", max_size=40)
big_numbers = st.integers(-(10**30), 10**30) | st.integers(10**8, 10**15)


@given(json_values | like_dates | big_numbers | big_numbers.map(str) | big_numbers.map(float))
def test_no_value_raises_and_dates_are_in_range(value: Any) -> None:
    date = read(value)
    if date is not None:
        assert isinstance(value, str | int | float)
        assert 1000 <= date.year <= 2999
        assert 0 <= date.month <= 12


def test_long_texts_are_not_kept() -> None:
    """A field that holds whole texts would fill the memory of what has been read."""
    date_forms._of_text.cache_clear()
    for i in range(10):
        assert read("x" * 10**5 + str(i)) is None
    assert date_forms._of_text.cache_info().currsize == 0
