"""Dolma's own mix configs: what its mixer writes for them (`tests/golden/make_mixes.py`)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

import dolma_kit
from dolma_kit import config, dolma_filters
from dolma_kit.config import DolmaRule, Mix
from dolma_kit.errors import ConfigError, DataError
from tests.conftest import RunCommand, WriteDocuments

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden/mixes.json").read_text(encoding="utf-8")
)


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    write_documents(tmp_path / "s/documents/a.jsonl.gz", GOLDEN["documents"])
    rows = [
        {"id": document["id"], "attributes": own}
        for document, own in zip(GOLDEN["documents"], GOLDEN["attributes"], strict=True)
    ]
    write_documents(tmp_path / "s/attributes/t/a.jsonl.gz", rows)
    return tmp_path


def stream_of(i: int, **more: Any) -> dict[str, Any]:
    one = dict(GOLDEN["streams"][i])
    output = {"path": f"out{i}/documents", "min_text_length": one.pop("min_text_length", 0)}
    return {"name": f"s{i}", "documents": ["s/documents/*.gz"], "attributes": ["t"],
            "output": output, **one, **more}  # fmt: skip


def written(folder: str) -> list[list[str]]:
    rows: list[list[str]] = []
    for path in sorted(Path(folder, "documents").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows += [[row["id"], row["text"]] for row in map(json.loads, lines)]
    return rows


@pytest.mark.parametrize("i", range(len(GOLDEN["streams"])))
def test_writes_what_dolma_writes(corpus: Path, i: int, dolma_kit: RunCommand) -> None:
    """By the command, with Dolma's config as it is."""
    text = json.dumps({"streams": [stream_of(i)], "processes": 1, "work_dir": {"input": "/x"}})
    (corpus / "config.json").write_text(text)
    answer = dolma_kit("mix", "-c", "config.json", "--workers", 1, "--quiet")
    assert answer.code == 0, answer.err
    assert written(f"out{i}") == GOLDEN["written"][i]


@pytest.mark.parametrize("workers", [1, 2])
def test_attributes_in_parquet_give_the_same(corpus: Path, workers: int) -> None:
    """Scores are no whole numbers there, and no spans are no key: no rules on `dup`."""
    dolma_kit_convert(corpus)
    chosen = [i for i, one in enumerate(GOLDEN["streams"]) if "dup" not in json.dumps(one)]
    streams = [stream_of(i, attributes=["p"]) for i in chosen]
    dolma_kit.mix(streams=streams, workers=workers, quiet=True)
    for i in chosen:
        assert written(f"out{i}") == GOLDEN["written"][i]
    assert len(chosen) >= 10


def dolma_kit_convert(corpus: Path) -> None:
    from dolma_kit.conversion import convert

    made = {"documents": ["s"], "experiment": "t", "format": "parquet", "to": "p", "quiet": True}
    convert(config.build(config.Convert, made))


@pytest.mark.parametrize("inline", [False, True])
def test_columns_and_documents_agree(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any, inline: bool
) -> None:
    """A rule over columns is the rule over documents: with attributes in the documents themselves
    the quick way is not taken."""
    monkeypatch.chdir(tmp_path)
    documents = [{"id": f"d{i}", "text": "é" * (i % 40)} for i in range(200)]
    if inline:
        documents = [row | {"attributes": {"other": [[0, 1, 2.0]]}} for row in documents]
    write_documents(tmp_path / "s/documents/a.jsonl", documents)
    dolma_kit.tag(documents=["s"], taggers=["char_length_v1"], experiment="t", workers=1)
    key = "t__char_length_v1__length"
    rules = [
        f"@.{key} && @.{key}[0] && @.{key}[0][2] > 7", f"@.{key}[0][2] >= 7",
        f"@.{key}[0][2] >= 7.0", f"@.{key}[0][2] == 7", f"@.{key}[0][2] != 7.0",
        f"!@.{key}[0] || @['{key}'][0][2] < 3.5",
        f"!(@.{key}[0][2] > 3 && @.{key}[0][2] <= 9.0)", f"@.{key}[1]", f"@.{key}",
    ]  # fmt: skip
    streams = [
        {"name": f"r{i}", "documents": ["s"], "attributes": ["t"], "output": {"path": f"out{i}"},
         "filter": {"exclude": [f"$.attributes[?({rule})]"]}}
        for i, rule in enumerate(rules)
    ]  # fmt: skip
    dolma_kit.mix(streams=streams, workers=1, quiet=True)
    from dolma_kit.jsonpath import Path as JsonPath

    for i, rule in enumerate(rules):
        path = JsonPath(f"$.attributes[?({rule})]")
        expected = []
        for row in documents:
            own = {key: [[0, len(str(row["text"])), float(len(str(row["text"])))]]}
            if not path.matches(row | {"attributes": own}):
                expected.append(row["id"])
        assert [id for id, _ in written(f"out{i}")] == expected, rule


def test_an_unknown_key_is_said_or_refused(corpus: Path) -> None:
    exclude = ["$.attributes[?(@.t__pii__doc_counts[0][2] > 2)]"]
    stream = stream_of(0, filter={"exclude": exclude})
    summary = dolma_kit.mix(streams=[stream], workers=1, quiet=True)
    first, second = summary.counts["warnings"]
    assert "no attributes 't__pii__doc_counts'" in first
    assert "did you mean 't__pii__doc_count'" in first
    assert "keep removes nothing" in second
    with pytest.raises(ConfigError, match="t__pii__doc_counts"):
        dolma_kit.mix(streams=[stream], workers=1, quiet=True, strict_keys=True)


def test_a_rule_that_removes_everything_is_said(corpus: Path) -> None:
    stream = stream_of(0, filter={"exclude": ["$.id"]})
    summary = dolma_kit.mix(streams=[stream], workers=1, quiet=True)
    assert summary.counts["warnings"] == ["stream 's0': nothing is left; keep removes most"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"filter": {"exclude": ["$.attributes[?(@.x]"]}}, "cannot read the JSONPath"),
        ({"filter": {"exclude": [".a |"], "syntax": "jq"}}, "cannot read the jq filter"),
        ({"filter": {}}, "give include, exclude or both"),
        ({"filter": {"exclude": ["$.id"]}, "keep": "true"}, "keep and filter are one thing"),
        ({"filter": {"exclude": ["$.id"], "syntax": "xpath"}}, "syntax"),
        ({"span_replacement": [{"span": "$.attributes.a.b"}]}, "a path to one attribute"),
        (
            {"span_replacement": [{"span": "t__pii__IP_ADDRES"}]},
            "did you mean 't__pii__IP_ADDRESS'",
        ),
    ],
)
def test_what_cannot_be_read(corpus: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dolma_kit.mix(streams=[stream_of(0) | more], workers=1, quiet=True)


def test_expressions_that_fail_say_where(corpus: Path) -> None:
    for rules in (
        {"filter": {"exclude": [".text | keys"], "syntax": "jq"}},
        {"span_replacement": [{"span": "t__pii__IP_ADDRESS", "replacement": "$.metadata.n"}]},
    ):
        stream = {k: v for k, v in stream_of(0).items() if k != "filter"} | rules
        with pytest.raises(DataError, match=r"a\.jsonl\.gz:\d+: "):
            dolma_kit.mix(streams=[stream], workers=1, quiet=True, overwrite=True)


@pytest.mark.parametrize(
    ("selector", "syntax", "key"),
    [
        ("$.attributes.a__b", "jsonpath", "a__b"), ("$@.attributes.a-b", "jsonpath", "a-b"),
        ("$.attributes['a b']", "jsonpath", "a b"), (".attributes.a", "jq", "a"),
        (".attributes[\"a b\"]?", "jq", "a b"), (".attributes?.a?", "jq", "a"),
        ("plain", "jsonpath", "plain"),
    ],
)  # fmt: skip
def test_paths_to_spans(selector: str, syntax: str, key: str) -> None:
    assert dolma_filters.selected(selector, syntax) == key


def test_keys_that_rules_name() -> None:
    rule = "$@.attributes[?(@.a && (@.b[0] || !@.c[0][2] < 1))]"
    assert dolma_filters.keys_in(rule, "jsonpath") == ["a", "b", "c"]
    assert dolma_filters.keys_in("$.attributes.a[?(@[2] > 1)]", "jsonpath") == ["a"]
    assert dolma_filters.keys_in("$.metadata[?(@.a)]", "jsonpath") == []
    assert dolma_filters.keys_in('.attributes.a[0] > .attributes["b"]', "jq") == ["a", "b"]


def test_a_config_in_yaml_takes_either_name() -> None:
    text = "{streams: [{name: s, documents: [d], output: {path: o}, KEY: {exclude: [$.id]}}]}"
    for key in ("keep", "filter"):
        made = config.build(Mix, yaml.safe_load(text.replace("KEY", key)))
        assert made.streams[0].rule == DolmaRule(exclude=["$.id"])


def test_variables_of_the_environment(
    corpus: Path, monkeypatch: Any, dolma_kit: RunCommand
) -> None:
    monkeypatch.setenv("WHERE_IT_LIES", "s")
    text = json.dumps({"streams": [stream_of(0)]})
    text = text.replace("s/documents", "${oc.env:WHERE_IT_LIES}/documents")
    (corpus / "config.yaml").write_text(text.replace("out0", "${oc.env:NO_SUCH_ONE, 'made'}"))
    assert dolma_kit("mix", "-c", "config.yaml", "--workers", 1, "--quiet").code == 0
    assert written("made") == GOLDEN["written"][0]
    (corpus / "config.yaml").write_text(text.replace("out0", "${oc.env:NO_SUCH_ONE}"))
    answer = dolma_kit("mix", "-c", "config.yaml")
    assert answer.code == 2
    assert "the variable NO_SUCH_ONE of ${oc.env:NO_SUCH_ONE} is not set" in answer.err


@pytest.mark.parametrize("rate", [1.0, 2.5])
def test_one_output_a_file(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any, rate: float
) -> None:
    """Dolma's `shuffle: false`; all documents of all copies, in the same places for any workers."""
    monkeypatch.chdir(tmp_path)
    names = ["a.jsonl.gz", "sub/a.jsonl", "sub/deep/b.jsonl.gz"]
    for name in names:
        rows = [{"id": f"{name}{i}", "text": "x" * i} for i in range(30)]
        write_documents(tmp_path / "s/documents" / name, rows)
    stream = {"name": "m", "documents": ["s"], "output": {"path": "out"}, "rate": rate,
              "keep": "length(text) > 5", "compression": {"output": "zst"}}  # fmt: skip
    found = []
    for workers in (1, 2):
        dolma_kit.mix(streams=[stream], shuffle=False, workers=workers, quiet=True, overwrite=True)
        files = sorted(Path("out/documents").rglob("*.zst"))
        assert [str(f.relative_to("out/documents")) for f in files] == [
            "a.jsonl.zst", "sub/a.jsonl.zst", "sub/deep/b.jsonl.zst",
        ]  # fmt: skip
        found.append([f.read_bytes() for f in files])
    assert found[0] == found[1]
    for name, data in zip(names, found[0], strict=True):
        stream_of_lines = pa.CompressedInputStream(pa.BufferReader(data), "zstd")
        ids = [json.loads(line)["id"] for line in stream_of_lines.read().splitlines()]
        own = [f"{name}{i}" for i in range(6, 30)]
        assert ids[: len(own)] == own
        assert set(ids) == set(own)
        assert (len(ids) > 2 * len(own)) == (rate > 2)
    write_documents(tmp_path / "t/documents/a.jsonl", [{"id": "t", "text": "t"}])
    both = [stream, stream | {"name": "n", "documents": ["t"]}]
    with pytest.raises(ConfigError, match="would both become"):
        dolma_kit.mix(streams=both, shuffle=False, workers=1, quiet=True)
