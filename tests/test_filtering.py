"""The helpers for spans in filters, beside plain Python."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from dolma_kit import attributes
from dolma_kit.errors import ConfigError
from dolma_kit.filtering import Filter, FilterError

Span = tuple[int, int, float]


def table(rows: list[tuple[str, list[Span] | None]]) -> pa.Table:
    kinds = attributes.schema({"s": "spans"})
    spans = [
        None if own is None else [{"start": a, "end": b, "score": c} for a, b, c in own]
        for _, own in rows
    ]
    texts = [text for text, _ in rows]
    return pa.table(
        [
            pa.array([str(i) for i in range(len(rows))], pa.large_string()),
            pa.array(texts, pa.large_string()),
            pa.nulls(len(rows), pa.large_string()), pa.nulls(len(rows), pa.large_string()),
            pa.array(spans, kinds.field("s").type),
        ],
        names=["id", "text", "source", "metadata", "s"],
    )  # fmt: skip


def some_rows() -> list[tuple[str, list[Span] | None]]:
    chance = random.Random(9)
    rows: list[tuple[str, list[Span] | None]] = [("", []), ("é😀", None), ("", None), ("abc", [])]
    for _ in range(60):
        n = chance.randrange(1, 30)
        spans = []
        for _ in range(chance.randrange(0, 6)):
            a, b = sorted(chance.choices(range(n + 1), k=2))
            spans.append((a, b, chance.choice([-1.0, 0.0, 0.5, 0.75, 1.0])))
        rows.append(("é" * n, spans))
    return rows


@pytest.mark.parametrize("least", [None, 0.5, 2.0])
def test_against_plain_python(least: float | None) -> None:
    rows = some_rows()[::5]
    more = "" if least is None else f", least := {least}"
    for i, (text, spans) in enumerate(rows):
        own = [s for s in spans or [] if least is None or s[2] >= least]
        covered = {k for a, b, _ in own for k in range(a, b)}
        values = {
            "max": max((c for _, _, c in own), default=0.0),
            "count": len(own),
            "fraction": len(covered) / len(text) if text else 0.0,
        }
        rule = " AND ".join(
            f"abs(span_{name}(s{more}) - {value!r}) < 1e-12" for name, value in values.items()
        )
        assert Filter(rule, {"s": "spans"}).evaluate(table([(text, spans)])).tolist() == [True], i


def test_all_rows_at_once() -> None:
    rows = some_rows()
    kept = Filter("span_fraction( s ) > 0.5 OR span_count(s) = 0", {"s": "spans"}).evaluate(
        table(rows)
    )
    expected = []
    for text, spans in rows:
        covered = {k for a, b, _ in spans or [] for k in range(a, b)}
        expected.append(not spans or len(covered) > len(text) / 2)
    assert kept.tolist() == expected


@pytest.mark.parametrize("rule", ["span_max(id) > 1", "span_fraction() > 1", "span_least(s) > 1"])
def test_what_is_no_use_of_them(rule: str) -> None:
    with pytest.raises((ConfigError, FilterError)):
        Filter(rule, {"s": "spans"})


@pytest.mark.parametrize(
    "rule",
    [
        "id IN (SELECT content FROM read_text('/etc/passwd'))",
        "(SELECT count(*) FROM read_csv('a.csv')) > 0",
        "true) FROM documents; COPY documents TO '/tmp/x.csv'; SELECT (true",
        "true) FROM documents; ATTACH '/tmp/x.db'; SELECT (true",
        "getenv('HOME') = 'x'",
        "read_blob('/etc/passwd') IS NULL",
    ],
)
def test_files_are_out_of_reach(rule: str) -> None:
    with pytest.raises((ConfigError, FilterError)):
        Filter(rule, {"s": "spans"}).evaluate(table(some_rows()))
