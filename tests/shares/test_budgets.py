"""Mixes by budget and share: what is taken, what was planned, and what cannot be had."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import explaining, ledger, mixing
from dolma_kit.config import Mix, build
from dolma_kit.errors import ConfigError
from dolma_kit.shares import composition
from tests.conftest import RunCommand, WriteDocuments
from tests.test_mixing import rows

N = 1500
SOURCES = ("web", "wiki", "code")


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    """Three sources with a column of tokens, q__own__n: a third of the characters; q__own__half is
    the half of each text."""
    monkeypatch.chdir(tmp_path)
    for k, source in enumerate(SOURCES, 1):
        for part in range(2):
            documents = [
                {"id": f"{source}-{part}-{i}", "text": "x" * (3 * (i * 31 % 50 + 1))}
                for i in range(N // (2 * k))
            ]
            write_documents(tmp_path / f"{source}/documents/{part}.jsonl.gz", documents)
            attributes = [
                {
                    "id": d["id"],
                    "attributes": {
                        "q__own__n": [[0, 9, len(d["text"]) / 3]],
                        "q__own__half": [[0, len(d["text"]) // 2, 1.0]],
                    },
                }
                for d in documents
            ]
            write_documents(tmp_path / f"{source}/attributes/q/{part}.jsonl.gz", attributes)
    return tmp_path


def streams(out: str = "out", **more: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "documents": [name], "attributes": ["q"], "output": {"path": out}}
        | more.get(name, {})
        for name in SOURCES
    ]


def mix(*, workers: int = 1, **keys: Any) -> Any:
    keys = {"token_column": "q__own__n", "quiet": True} | keys
    return dolma_kit.mix(workers=workers, **keys)


def tokens(out: str = "out") -> dict[str, int]:
    found = dict.fromkeys(SOURCES, 0)
    for row in rows(Path(out)):
        found[row["id"].split("-")[0]] += len(row["text"]) // 3
    return found


def digests(out: str) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(out).rglob("*.*"))
        if ledger.FOLDER not in path.parts and path.is_file()
    }


def test_half_of_it_web(corpus: Path) -> None:
    summary = mix(streams=streams(web={"share": 0.5}), budget={"tokens": "20K"})
    found = tokens()
    assert found["web"] == pytest.approx(10_000, abs=50)  # to one document
    assert sum(found.values()) == pytest.approx(20_000, abs=150)
    wiki, code = 750, 500  # documents of the others, in whose proportion they are taken
    assert found["wiki"] / found["code"] == pytest.approx(wiki / code, rel=0.02)
    parts = {part["name"]: part for part in summary.counts["composition"]}
    assert parts["web"]["planned"]["tokens"] == 10_000
    assert {name: part["written"]["tokens"] for name, part in parts.items()} == found
    assert parts["web"]["asked"] == "a share of 0.5"
    (funnel,) = [one for one in explaining.funnels("out") if one.stream == "web"]
    assert funnel.tokens == tokens_of("web")
    assert funnel.kept_tokens == found["web"]
    assert [one.alone_tokens for one in funnel.rules] == [funnel.tokens - found["web"]]
    assert summary.counts["streams"]["web"]["removed"].keys() == {"share"}
    assert summary.counts["streams"]["wiki"]["removed"].keys() == {"budget"}


def test_the_same_whatever_the_workers_and_in_parts(corpus: Path) -> None:
    keys: dict[str, Any] = {"budget": {"tokens": 15_000}, "temperature": 2.0}
    mix(streams=streams("a"), **keys)
    mix(streams=streams("b"), workers=2, **keys)
    for part in ("0/2", "1/2"):
        assert not mix(streams=streams("c"), shard=part, **keys).complete
    mix(streams=streams("c"), **keys)
    assert digests("a") == digests("b") == digests("c")
    again = mix(streams=streams("a"), **keys)
    assert again.units_skipped == len(SOURCES) + 1
    assert [part["planned"] for part in again.counts["composition"]] == [
        {"documents": part.planned.documents, "bytes": part.planned.bytes,
         "tokens": part.planned.tokens}
        for part in composition.read("a").streams if part.planned is not None
    ]  # fmt: skip


def test_more_contains_less(corpus: Path) -> None:
    mix(streams=streams("less"), budget={"documents": 700})
    mix(streams=streams("more"), budget={"documents": 1100})
    less, more = ({row["id"] for row in rows(Path(p))} for p in ("less", "more"))
    assert len(less) == pytest.approx(700, abs=3)
    assert len(more) == pytest.approx(1100, abs=3)
    assert less < more


def test_a_budget_that_is_too_large_stops_or_repeats(corpus: Path) -> None:
    there = sum(tokens_of(source) for source in SOURCES)
    with pytest.raises(ConfigError, match=rf"{3 * there:,} tokens are left for .*{there:,}"):
        mix(streams=streams(), budget={"tokens": 3 * there})
    assert not Path("out/documents").exists()
    mix(streams=streams("twice"), budget={"tokens": 3 * there}, max_rate=4)
    assert sum(tokens("twice").values()) == pytest.approx(3 * there, abs=150)
    copies = pq.read_table("twice/decisions.parquet").column("copies").to_pylist()
    assert set(copies) <= {2, 3, 4}


def tokens_of(source: str) -> int:
    return sum(i * 31 % 50 + 1 for i in range(N // (2 * (SOURCES.index(source) + 1)))) * 2


def test_budgets_count_what_the_rules_leave_and_as_it_is_written(corpus: Path) -> None:
    """Half of each text is cut out, so that a document counts for half of its tokens."""
    web = {
        "keep": "id LIKE '%-0-%'",
        "span_replacement": [{"span": "q__own__half"}],
        "budget": {"tokens": 3000},
    }
    mix(streams=streams(web=web))
    written = [row for row in rows() if row["id"].startswith("web")]
    assert all(row["id"].startswith("web-0-") for row in written)
    assert sum(len(row["text"]) for row in written) == pytest.approx(9000, abs=160)


def test_a_dry_run_says_what_the_run_then_does(corpus: Path, dolma_kit: RunCommand) -> None:
    config = {"streams": streams(web={"share": 0.5}), "budget": {"tokens": 12_000}}
    config |= {"token_column": "q__own__n", "quiet": True}
    before = digests(".")
    predicted = mixing.predict(build(Mix, config))
    assert digests(".") == before
    assert not Path("out").exists()
    mix(**config)
    for expected, part in zip(predicted.streams, composition.read("out").streams, strict=True):
        assert expected.planned == part.planned
        assert expected.available == part.available
        assert part.written is not None
        assert part.written.documents == pytest.approx(part.planned.documents, abs=2)  # type: ignore[union-attr]
    Path("mix.json").write_bytes(__import__("msgspec").json.encode(config))
    answer = dolma_kit("mix", "-c", "mix.json", "--dry-run")
    assert answer.code == 0
    assert re.search(r"^web .* 6,000 +50.00%$", answer.out, re.MULTILINE), answer.out
    answer = dolma_kit("mix", "composition", "--from", "out")
    assert re.search(r"^in all .* 100.00%$", answer.out, re.MULTILINE), answer.out


def test_a_dry_run_of_plain_rates(corpus: Path) -> None:
    settings = build(Mix, {"streams": streams(web={"rate": 2.5}), "quiet": True})
    found = mixing.predict(settings)
    web = found.streams[0]
    assert web.planned is not None
    assert web.planned.documents == pytest.approx(2.5 * N, rel=0.02)
    mix(streams=streams(web={"rate": 2.5}))
    written = composition.read("out").streams[0].written
    assert written is not None
    assert abs(written.documents - web.planned.documents) <= 2


@pytest.mark.parametrize(
    ("keys", "web", "message"),
    [
        ({}, {"share": 0.5}, "a share of what"),
        ({"budget": {"tokens": 9}}, {"rate": 1.0, "share": 0.1}, "rate and share say how much"),
        ({"budget": {"tokens": 9, "bytes": 9}}, {}, "give one of tokens, bytes and documents"),
        ({"budget": {}}, {}, "give one of tokens"),
        ({"budget": {"tokens": "9X"}}, {}, "'9X' is no amount"),
        ({"budget": {"tokens": 9}, "token_column": None}, {}, "--taggers dolma_v2_tokenizer"),
        ({"token_column": "q__own__m"}, {}, "no column 'q__own__m' .* 'q__own__n'"),
        ({"budget": {"documents": 9}, "max_rate": 101}, {}, "up to 101 copies"),
        ({"budget": {"documents": 9}, "temperature": 0}, {}, "temperature"),
        ({"budget": {"documents": 9}}, {"share": 1.5}, "share"),
        ({"budget": {"word": 9}}, {}, "unknown key 'word' in budget"),
        ({"budget": {"documents": 10}}, {"keep": "false", "share": 0.5}, "its rules leave none"),
    ],
)
def test_what_cannot_be_asked(
    corpus: Path, keys: dict[str, Any], web: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        mix(streams=streams(web=web), **keys)
    assert not Path("out/documents").exists()


def test_two_streams_of_one_name_have_rates_but_no_budgets(corpus: Path) -> None:
    both = [
        {"name": "s", "documents": [name], "attributes": ["q"], "output": {"path": out}, "rate": r}
        for name, out, r in (("web", "a", 0.5), ("wiki", "b", 1.0))
    ]
    mix(streams=both)
    assert [composition.read(out).streams[0].asked for out in "ab"] == [
        "a rate of 0.5", "a rate of 1",
    ]  # fmt: skip
    others = [one | {"output": {"path": out}} for one, out in zip(both, "cd", strict=True)]
    with pytest.raises(ConfigError, match="two streams are named 's'"):
        mix(streams=others, budget={"documents": 2000}, max_rate=9.0)
    with pytest.raises(ConfigError, match="two streams are named 's'"):
        mixing.predict(build(Mix, {"streams": others, "quiet": True}))


def test_documents_without_a_count_have_no_tokens(
    corpus: Path, write_documents: WriteDocuments
) -> None:
    path = corpus / "web/attributes/q/0.jsonl.gz"
    path.unlink()
    attributes = [{"id": f"web-0-{i}", "attributes": {}} for i in range(N // 2)]
    write_documents(path, attributes)
    mix(streams=streams())
    found = pq.read_table("out/decisions.parquet")
    assert found.column("tokens").null_count == N // 2
    web = composition.read("out").streams[0]
    assert web.written is not None
    assert web.written.tokens == tokens_of("web") // 2
