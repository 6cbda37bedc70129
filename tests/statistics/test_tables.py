"""Answers for eyes: cells, columns, and texts in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit.statistics.tables import LONGEST, aligned, cell, place, share, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (True, "yes"), (False, "no"), (0, "0"), (-1, "-1"), (999, "999"),
        (1000, "1,000"), (-1234567, "-1,234,567"), (2**70, "1,180,591,620,717,411,303,424"),
        (0.0, "0"), (0.5, "0.5"), (1 / 3, "0.3333"), (2.0, "2"), (12.3456, "12.35"),
        (999.96, "1,000"), (1234.5678, "1,235"), (12_345.678, "12,346"), (-98_765.4, "-98,765"),
        (999_999.9, "1,000,000"), (1e6, "1,000,000"), (1.5e12, "1,500,000,000,000"),
        (1e-7, "1e-07"),
        (2.5e300, "2.5e+300"), (float("-inf"), "-inf"), (float("nan"), "nan"),
        ("", ""), ("word", "word"), ("a\nb", "a\\nb"), ([1, "x"], "[1, 'x']"),
    ],
)  # fmt: skip
def test_cells(value: Any, text: str) -> None:
    """Means of some ten thousand were shown as 1.235e+04."""
    assert cell(value) == text


@pytest.mark.parametrize(
    ("text", "longest", "line"),
    [
        ("", 10, ""),
        ("plain é 😀", 10, "plain é 😀"),
        ("a\tb\r\n\x00", 20, "a\\tb\\r\\n\\x00"),
        ("\ud800\u200b\u2028", 30, "\\ud800\\u200b\\u2028"),
        ("it's", 10, "it's"),
        ("0123456789", 10, "0123456789"),
        ("0123456789x", 10, "0123456..."),
        ("\n" * 10, 10, "\\n\\n\\n\\..."),
        ("x" * 10**6, 10, "xxxxxxx..."),
    ],
)
def test_texts_are_shown_in_one_line(text: str, longest: int, line: str) -> None:
    assert shown(text, longest) == line


@given(st.text(st.characters(exclude_categories=())), st.integers(3, 100))
def test_what_is_shown_prints_and_is_no_longer(text: str, longest: int) -> None:
    line = shown(text, longest)
    assert line.isprintable()
    assert len(line) <= longest
    line.encode()  # half surrogates are escaped


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "-"), (1, 0, "-"), (0, 5, "0.00 %"), (1, 8, "12.50 %"), (5, 5, "100.00 %"),
        (1, 300_000, "< 0.01 %"), (1, 20_000, "0.01 %"), (1, 20_001, "< 0.01 %"),
        (1.5, 3.0, "50.00 %"), (6, 3, "200.00 %"),
    ],
)  # fmt: skip
def test_shares(part: float, whole: float, text: str) -> None:
    assert share(part, whole) == text


TABLES: dict[str, tuple[list[str], list[list[Any]], list[str]]] = {
    "text left, figures right": (
        ["name", "n", "", "x"],
        [["a", 1, "50.00 %", 0.25], ["longer", 1200, "< 0.01 %", None]],
        [
            "name        n               x",
            "a           1   50.00 %  0.25",
            "longer  1,200  < 0.01 %     -",
        ],
    ),
    "a wide head": (["what there is", "n"], [["x", 1]], ["what there is  n", "x              1"]),
    "no rows": (["a", "b"], [], ["a  b"]),
    "a name that is a figure": (["year", "n"], [["2023", 5]], ["year  n", "2023  5"]),
    "text that does not print": (["t"], [["a\nb"], ["c"]], ["t", "a\\nb", "c"]),
}


@pytest.mark.parametrize(("heads", "rows", "lines"), TABLES.values(), ids=TABLES)
def test_columns_are_aligned(heads: list[str], rows: list[list[Any]], lines: list[str]) -> None:
    assert aligned(heads, rows).split("\n") == lines
    assert aligned(heads, iter(rows), "  ").split("\n") == [f"  {line}" for line in lines]


@given(
    st.lists(
        st.tuples(st.text(max_size=90), st.none() | st.integers(-(2**63), 2**63), st.floats()),
        max_size=5,
    )
)
def test_a_table_has_a_line_a_row(rows: list[tuple[Any, ...]]) -> None:
    lines = aligned(["text", "n", "x"], rows).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(len(line) <= LONGEST + 60 and line == line.rstrip() for line in lines)


def test_a_row_of_another_width_is_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        aligned(["a", "b"], [[1, 2], [1]])


def test_places() -> None:
    assert place("documents/a.jsonl", 7) == "documents/a.jsonl:7"
