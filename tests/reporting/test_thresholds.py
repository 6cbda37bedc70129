"""Thresholds out of rules, and excerpts without personal data."""

from __future__ import annotations

import pytest

from dolma_kit.attributes import Kind
from dolma_kit.reporting.masking import dotted, masked
from dolma_kit.reporting.thresholds import Threshold, thresholds_of

KINDS: dict[str, Kind] = {"q__n": "score", "q__m": "score", "dup": "spans"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("q__n >= 50", [("q__n", ">=", 50)]),
        ("50 <= q__n", [("q__n", ">=", 50)]),
        ("NOT (q__n > -1.5)", [("q__n", "<=", -1.5)]),
        ("NOT (NOT q__n > 1)", [("q__n", ">", 1)]),
        ("q__n BETWEEN 1 AND 2e3", [("q__n", ">=", 1), ("q__n", "<=", 2000)]),
        ("coalesce(q__n, 0) < 3 OR q__m > 1", [("COALESCE(q__n, 0)", "<", 3), ("q__m", ">", 1)]),
        ("(q__n / q__m) * 2 < 0.25", [("(q__n / q__m) * 2", "<", 0.25)]),
        (
            "coalesce(q__n > 3, false) AND NOT (q__m < 1 OR q__n < 2)",
            [("q__n", ">", 3), ("q__m", ">=", 1), ("q__n", ">=", 2)],
        ),
        # Below these a comparison may mean its opposite.
        ("CASE WHEN q__n > 3 THEN false ELSE true END", []),
        ("(q__n > 3) IS NOT TRUE", []),
        ("(q__n > 3) = false", []),
        ("if(q__n > 3, false, true)", []),
        ("(q__n > 3)::int = 0", []),
        ("q__n < 1e400", []),
        ("q__n = 3", []),
        ("q__n > q__m", []),
        ("1 < 2", []),
        ("source = 'a'", []),
        ("this is no SQL", []),
    ],
)
def test_in_sql(expression: str, expected: list[tuple[str, str, float]]) -> None:
    found = thresholds_of({"keep": expression}, KINDS)
    assert found == [Threshold("keep", *one) for one in expected]
    of_list = thresholds_of({"keep": [expression]}, KINDS)
    assert of_list == [Threshold(expression, *one) for one in expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$.attributes[?(@.q__n[0][2] < 50)]", [("q__n", "<", 50)]),
        (
            "$.attributes[?(@.q__n && @.q__n[0] && @.q__n[0][2] >= 0.5 || @.dup[0][2] > 1)]",
            [("q__n", ">=", 0.5), ("dup[1].score", ">", 1)],
        ),
        ("$.attributes[?(!(@.q__n[0][2] < 50))]", [("q__n", ">=", 50)]),
        ("$.attributes[?(@.unknown[0][2] < 50)]", []),
        ("$.attributes[?(@.q__n[0][2] == 1.0)]", []),
        ("$.attributes[?(@.q__n)]", []),
    ],
)
def test_in_jsonpath(expression: str, expected: list[tuple[str, str, float]]) -> None:
    """What `exclude` names goes, so the opposite stays."""
    opposite = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}
    include = thresholds_of({"filter": {"include": [expression]}}, KINDS)
    assert include == [Threshold("include", *one) for one in expected]
    exclude = thresholds_of({"keep": {"exclude": [expression]}}, KINDS)
    assert exclude == [
        Threshold(f"exclude {expression}", value, opposite[sign], number)
        for value, sign, number in expected
    ]


def test_in_jq() -> None:
    rule = {
        "syntax": "jq",
        "include": ['.attributes.q__n[0][2] >= 0.5 and .attributes["q__m"][0][2] < -2'],
    }
    found = thresholds_of({"filter": rule}, KINDS)
    assert [one[1:] for one in found] == [("q__n", ">=", 0.5), ("q__m", "<", -2.0)]
    rule["include"][0] += " | not"
    assert thresholds_of({"filter": rule}, KINDS) == []


@pytest.mark.parametrize(
    ("expression", "needs"),
    [
        ("length(text) > 5", True),
        ("span_fraction(dup) > 0.5", True),
        ("span_max(dup) > 0.5", False),
    ],
)
def test_what_needs_the_document_is_told_apart(expression: str, needs: bool) -> None:
    (found,) = thresholds_of({"keep": expression}, KINDS)
    assert found.needs_document == needs


def test_masking() -> None:
    texts = [
        "é mail joe@mail.example.org, or 192.168.10.7!", "", "nothing here\x00",
        "half a pair \ud83d and joe@mail.example.org",
    ]  # fmt: skip
    assert masked(texts) == [
        "é mail |||EMAIL_ADDRESS|||, or |||IP_ADDRESS|||!", "", "nothing here\x00",
        "half a pair ? and |||EMAIL_ADDRESS|||",
    ]  # fmt: skip
    assert masked([]) == []
    assert (dotted("word"), dotted("")) == ("w...", "")
