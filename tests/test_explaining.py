"""Decisions of a mix, and questions to it, beside what the rules say document by document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import explaining
from dolma_kit.errors import ConfigError, DataError, MissingInput
from dolma_kit.shares.sampling import Sample
from dolma_kit.shares.surveys import draws
from tests.conftest import RunCommand, WriteDocuments

N = 40
KEEP = ["length(text) >= 8", "id <> 'a12'", "source IS NULL OR source <> 'no'"]


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        rows = [{"id": f"{name}{i}", "text": "é" * i} for i in range(N)]
        write_documents(tmp_path / f"web/documents/{name}.jsonl.gz", rows)
    dolma_kit.tag(documents=["web"], taggers=["char_length_v1"], experiment="t", workers=1)
    return tmp_path


def mix(**more: Any) -> Any:
    output = {"path": "out", "min_text_length": 30}
    stream = {"name": "s", "documents": ["web"], "keep": KEEP, "rate": 0.5, "output": output}
    return dolma_kit.mix(streams=[stream], workers=1, quiet=True, **more)


def expected() -> list[dict[str, Any]]:
    rows = []
    for name in ("a", "b"):
        for i in range(N):
            fires = {
                KEEP[0]: i < 8,
                KEEP[1]: f"{name}{i}" == "a12",
                KEEP[2]: False,
                "rate": Sample.at(0.5).copies(draws([f"{name}{i}"], 6198))[0] == 0,
            }
            rules = [rule for rule, fired in fires.items() if fired]
            if not rules and 2 * i < 30:
                rules = ["min_text_length"]
            rows.append(
                {"stream": "s", "src": f"documents/{name}.jsonl.gz", "line": i + 1,
                 "id": f"{name}{i}", "bytes": 2 * i, "copies": 0 if rules else 1,
                 "first": rules[0] if rules else None, "rules": rules, "group": None,
                 "tokens": None, "written_bytes": 0 if rules else 2 * i, "written_tokens": None}
            )  # fmt: skip
    return rows


def test_a_row_for_each_document(corpus: Path) -> None:
    summary = mix()
    rows = pq.read_table("out/decisions.parquet").to_pylist()
    assert rows == expected()
    assert len({row["first"] for row in rows}) == 5
    assert summary.counts["kept"] == sum(row["copies"] for row in rows)
    assert summary.counts["warnings"] == [f"stream 's': {KEEP[2]} removes nothing"]
    before = Path("out/decisions.parquet").read_bytes()
    mix(overwrite=True)
    assert Path("out/decisions.parquet").read_bytes() == before


def test_why_a_document_went(corpus: Path, dolma_kit: RunCommand) -> None:
    mix()
    said = {row["id"]: row for row in expected()}
    answer = dolma_kit("mix", "explain", "a3", "--from", "out", "--json")
    (found,) = answer.json
    assert (found["first"], found["rules"]) == (KEEP[0], said["a3"]["rules"])
    assert (found["src"], found["line"]) == ("documents/a.jsonl.gz", 4)
    kept = next(id for id, row in said.items() if row["copies"])
    assert "kept, written 1 times" in dolma_kit("mix", "explain", kept, "--from", "out").out
    answer = dolma_kit("mix", "explain", "nobody", "--from", "out")
    assert (answer.code, answer.out) == (0, "nobody: no stream has read it\n")


def test_the_funnel_adds_up(corpus: Path, dolma_kit: RunCommand) -> None:
    mix()
    rows = expected()
    (funnel,) = explaining.funnels("out")
    assert (funnel.documents, funnel.bytes) == (2 * N, sum(row["bytes"] for row in rows))
    assert funnel.kept_documents == sum(not row["rules"] for row in rows)
    assert funnel.documents - sum(one.first_documents for one in funnel.rules) == (
        funnel.kept_documents
    )
    for one in funnel.rules:
        own = [row for row in rows if one.rule in row["rules"]]
        assert (one.documents, one.bytes) == (len(own), sum(row["bytes"] for row in own))
        assert one.alone_documents == sum(len(row["rules"]) == 1 for row in own)
        for other, n in funnel.overlaps.get(one.rule, {}).items():
            assert n == sum(other in row["rules"] for row in own)
    out = dolma_kit("mix", "funnel", "--from", "out").out
    assert f"kept: {funnel.kept_documents} documents" in out


def test_what_thresholds_would_keep(corpus: Path, dolma_kit: RunCommand) -> None:
    column = "t__char_length_v1__length"
    found = explaining.sweep(["web"], column, thresholds=[0, 7.5, 39, 40])
    assert [(one.at_least, one.below) for one in found.steps] == [
        (80, 0), (64, 16), (2, 78), (0, 80),
    ]  # fmt: skip
    assert (found.documents, found.without) == (80, 0)
    answer = dolma_kit("mix", "sweep", "web", "--column", column, "--json")
    assert len(answer.json["steps"]) == explaining.STEPS + 1
    assert json.loads(answer.out)["column"] == column
    assert "share" in dolma_kit("mix", "sweep", "web", "--column", column).out


def test_what_cannot_be_asked(corpus: Path, dolma_kit: RunCommand) -> None:
    with pytest.raises(MissingInput, match=r"no decisions\.parquet at"):
        explaining.explain("nowhere", "a")
    with pytest.raises(ConfigError, match="has no column 't__x__y', but t__char"):
        explaining.sweep(["web"], "t__x__y")
    Path("broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as decisions"):
        explaining.explain("broken.parquet", "a")
    answer = dolma_kit("mix", "sweep", "web", "--column", "t__x__y", "--thresholds", "high")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "numbers, like 0.1,0.5" in answer.err
