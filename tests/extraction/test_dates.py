"""Dates in the forms that sources have, in the one form of `created`."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.extraction.dates import iso

MOMENT = "2024-04-25T16:24:44Z"
PLUS_TWO = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-04-25T16:24:44Z", MOMENT),
        ("2024-04-25T16:24:44.999Z", MOMENT),
        ("2024-04-25 18:24:44+02:00", MOMENT),
        ("2024-04-25 18:24:44 +0200", MOMENT),
        ("2024-04-25T11:24:44-05", MOMENT),
        ("  2024-04-25 16:24:44 UTC\n", MOMENT),
        ("2024-04-25t16:24:44", MOMENT),
        ("2024/4/25 16:24", "2024-04-25T16:24:00Z"),
        ("20240425T162444Z", MOMENT),
        ("20240425162444", MOMENT),
        (20240425162444, MOMENT),
        (1714062284, MOMENT),
        (1714062284.9, MOMENT),
        (1714062284999, MOMENT),
        (1714062284999999, MOMENT),
        (1714062284999999999, MOMENT),
        ("1714062284", MOMENT),
        ("1714062284000", MOMENT),
        ("Thu, 25 Apr 2024 16:24:44 GMT", MOMENT),
        ("Thu, 25 Apr 2024 12:24:44 -0400", MOMENT),
        ("Thu, 25 Apr 2024 12:24:44 EDT", MOMENT),
        ("Thu, 25 Apr 2024 12:24:44 -0400 (EDT)", MOMENT),
        ("25 Apr 24 16:24:44 +0000", MOMENT),
        ("Thursday, 25-Apr-24 16:24:44 GMT", MOMENT),
        ("Thu Apr 25 16:24:44 2024", MOMENT),
        ("Thu Apr 25 18:24:44 +0200 2024", MOMENT),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        (datetime.datetime(2024, 4, 25, 16, 24, 44, 5), MOMENT),
        (datetime.datetime(2024, 4, 25, 18, 24, 44, tzinfo=PLUS_TWO), MOMENT),
        (datetime.date(2024, 4, 25), "2024-04-25"),
        ("2024-04-25", "2024-04-25"),
        ("2024.4.25", "2024-04-25"),
        ("20240425", "2024-04-25"),
        (20240425, "2024-04-25"),
        (20240425.0, "2024-04-25"),
        ("25 April 2024", "2024-04-25"),
        ("April 25th, 2024", "2024-04-25"),
        ("Sept. 5, 2024", "2024-09-05"),
        ("25.04.2024", "2024-04-25"),
        ("05.04.2024", "2024-04-05"),
        ("04/25/2024", "2024-04-25"),
        ("25/04/2024", "2024-04-25"),
        ("04/04/2024", "2024-04-04"),
    ],
)
def test_what_is_a_date(value: Any, expected: str) -> None:
    assert iso(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "today", "2024", "2024-04", "2024-02-30", "2024-13-01", "03/04/2024",
        "2024-04-25T25:00:00Z", "2024-04-25T10:61:00Z", "0024-04-25", "9024-04-25", "x" * 101,
        "1" * 4301, True, False, 0, 1, 2024, -1714062284, 10**30, 4102444800, 5 * 10**12,
        "9999999999", math.nan, math.inf, [], {},
        [2024, 4, 25], b"2024-04-25", "25 Nonsense 2024", "Thu, 32 Apr 2024 16:24:44 GMT",
        "32 Apr 24 16:24:44 +0000", "٢٠٢٤-٠٤-٢٥", "0999-12-31T23:59:59Z",
        "1000-01-01T00:00:00+01:00",
        datetime.datetime(1, 1, 1, tzinfo=PLUS_TWO), datetime.date(999, 1, 1),
    ],
)  # fmt: skip
def test_what_is_none(value: Any) -> None:
    assert iso(value) is None


@settings(max_examples=30)
@given(
    st.datetimes(
        datetime.datetime(1001, 1, 1), datetime.datetime(2998, 12, 31), timezones=st.timezones()
    )
)
def test_moments_come_back(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0)
    utc = moment.astimezone(datetime.UTC)
    expected = utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert iso(moment) == expected
    assert iso(utc.isoformat()) == expected
    assert iso(expected) == expected


@settings(max_examples=60)
@given(st.one_of(st.text(), st.integers(), st.floats(), st.text("0123456789-/:.TZ+ ")))
def test_nothing_raises_and_what_is_read_is_read_again(value: Any) -> None:
    found = iso(value)
    assert found is None or iso(found) == found
