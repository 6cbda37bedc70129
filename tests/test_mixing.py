"""Mixing: filters, spans, policies, rates, shards; and attributes that do not fit."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import ledger
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.shares.sampling import Sample
from dolma_kit.shares.surveys import draws

N = 40


@pytest.fixture
def corpus(tmp_path: Path, write_documents: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files with attributes `q`: length, and spans that mask what is between brackets."""
    monkeypatch.chdir(tmp_path)
    for part in range(2):
        texts = [f"text {part} {i} " + "é" * i + " [secret] end" for i in range(N // 2)]
        rows = [
            {
                "id": f"{part}-{i}",
                "text": text,
                "source": "s",
                "added": "then",
                "metadata": {"n": i},
            }
            for i, text in enumerate(texts)
        ]
        write_documents(tmp_path / f"web/documents/{part}.jsonl.gz", rows)
        attributes = [
            {
                "id": row["id"],
                "attributes": {
                    "q__char_length_v1__length": [[0, len(row["text"]), float(len(row["text"]))]],
                    "q__own__secret": [[row["text"].index("["), row["text"].index("]") + 1, 1.0]],
                },
            }
            for row in rows
        ]
        write_documents(tmp_path / f"web/attributes/q/{part}.jsonl.gz", attributes)
    return tmp_path


def stream(**keys: Any) -> dict[str, Any]:
    return {
        "name": "web",
        "documents": ["web/documents/**"],
        "attributes": ["q"],
        "output": {"path": "out"},
    } | keys


def rows(folder: Path = Path("out")) -> list[dict[str, Any]]:
    paths = sorted((folder / "documents").glob("*.jsonl.gz"))
    return [
        json.loads(line) for p in paths for line in gzip.decompress(p.read_bytes()).splitlines()
    ]


def test_everything_is_kept_and_nothing_else_changes(corpus: Path) -> None:
    summary = dolma_kit.mix(streams=[stream()], workers=1)
    kept = rows()
    assert [row["id"] for row in kept] == [f"{p}-{i}" for p in range(2) for i in range(N // 2)]
    assert list(kept[5]) == ["id", "text", "source", "added", "metadata"]
    assert kept[5]["metadata"] == {"n": 5, "provenance": "documents/0.jsonl.gz:6"}
    assert (summary.documents, summary.counts["kept"]) == (N, N)


def test_keep_is_sql_and_null_is_not_true(corpus: Path) -> None:
    dolma_kit.mix(
        streams=[stream(keep="q__char_length_v1__length > 30 AND id LIKE '1-%'")], workers=1
    )
    assert {row["id"][0] for row in rows()} == {"1"}
    assert all(len(row["text"]) > 30 for row in rows())
    summary = dolma_kit.mix(
        streams=[stream(keep="CASE WHEN id = '0-0' THEN true END", output={"path": "b"})], workers=1
    )
    assert summary.counts["streams"]["web"]["removed"] == {"keep": N - 1}


def test_keep_sees_metadata_and_spans(corpus: Path) -> None:
    keep = (
        "CAST(metadata->>'n' AS INT) = 3 AND len(q__own__secret) = 1 "
        "AND q__own__secret[1].start > 5"
    )
    dolma_kit.mix(streams=[stream(keep=keep)], workers=1)
    assert [row["id"] for row in rows()] == ["0-3", "1-3"]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("q__char_length_v1__lenght > 3", "did you mean q__char_length_v1__length"),
        ("q__gopher_v2__word_count > 3", "name their experiment|did you mean"),
        ("1; DROP TABLE documents", "syntax error"),
        (
            "true) AS BOOLEAN), false) FROM documents; SELECT coalesce(CAST((true",
            "one SQL expression",
        ),
        (
            "EXISTS (SELECT * FROM read_csv('/etc/passwd'))",
            "subquery looks at more",
        ),
        ("length(", "syntax|Parser"),
        ("count(*) > 0", "more than one document"),
        ("q__char_length_v1__length > (SELECT 3)", "subquery looks at more than one document"),
        ("row_number() OVER () > 3", "window looks at more than one document"),
        ("random() < 0.5", r"random\(\) looks at more .* or changes from run to run"),
        ("now() > '2020-01-01'", r"now\(\) looks at more"),
        ("current_date > '2020-01-01'", "current_date looks at more"),
    ],
)
def test_a_bad_filter_is_refused_before_anything_runs(
    corpus: Path, keep: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        dolma_kit.mix(streams=[stream(keep=keep)], workers=1)
    assert not Path("out/documents").exists()


def test_a_filter_that_the_data_does_not_suit_names_the_file(corpus: Path) -> None:
    with pytest.raises(DataError, match=r"0.jsonl.gz: in lines 1 to 20, keep .*Conversion"):
        dolma_kit.mix(streams=[stream(keep="CAST(id AS INT) > 3")], workers=1)
    assert not Path("out/documents").exists()


def test_a_comment_hides_nothing(corpus: Path) -> None:
    dolma_kit.mix(streams=[stream(keep="id = '0-1' -- the one")], workers=1)
    assert [row["id"] for row in rows()] == ["0-1"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"replacement": ""}, "é  end"),
        ({"replacement": "<{}>"}, "é <[secret]> end"),
        ({"replacement": "X", "min_score": 1.5}, "é [secret] end"),
        ({"replacement": "X", "max_score": 1.0}, "é [secret] end"),
        ({"replacement": "X", "min_score": 1.0, "max_score": 1.5}, "é X end"),
    ],
)
def test_span_replacement(corpus: Path, rule: dict[str, Any], expected: str) -> None:
    dolma_kit.mix(
        streams=[stream(span_replacement=[{"span": "q__own__secret", **rule}])], workers=1
    )
    assert all(expected in row["text"] for row in rows() if row["id"] not in ("0-0", "1-0"))


def test_spans_beyond_the_text_are_clamped_and_counted(corpus: Path, write_documents: Any) -> None:
    write_documents(corpus / "one/documents/x.jsonl", [{"id": "a", "text": "éü"}])
    write_documents(
        corpus / "one/attributes/dup/x.jsonl.gz", [{"id": "a", "attributes": {"dup": [[1, 3, 1]]}}]
    )
    keys = {"documents": ["one"], "attributes": ["dup"], "span_replacement": [{"span": "dup"}]}
    summary = dolma_kit.mix(streams=[stream(**keys)], workers=1)
    assert (rows()[0]["text"], summary.counts["streams"]["web"]["clamped"]) == ("é", 1)


def test_unknown_spans_are_refused_with_the_nearest(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'q__own__secret'"):
        dolma_kit.mix(streams=[stream(span_replacement=[{"span": "q__own__secrets"}])], workers=1)


def test_a_larger_rate_contains_a_smaller_one(corpus: Path) -> None:
    chosen = {}
    for rate in (0.0, 0.3, 0.7, 1.0, 1.5):
        out = {"path": f"r{rate}"}
        dolma_kit.mix(streams=[stream(rate=rate, output=out)], workers=1)
        chosen[rate] = [row["id"] for row in rows(Path(f"r{rate}"))]
    assert chosen[0.0] == []
    assert 0 < len(chosen[0.3]) < len(chosen[0.7]) < N
    assert set(chosen[0.3]) < set(chosen[0.7])
    assert set(chosen[1.5]) == set(chosen[1.0])
    assert N < len(chosen[1.5]) < 2 * N


def taken(ids: list[str], rate: float, seed: int) -> Any:
    return Sample.at(rate).copies(draws(ids, seed))


def test_a_sample_is_a_fixed_function() -> None:
    ids = [str(i) for i in range(10_000)]
    copies = taken(ids, 0.25, 6198)
    assert copies[:16].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0]
    assert abs(copies.mean() - 0.25) < 0.02
    assert (taken(ids, 2.25, 6198) == copies + 2).all()
    assert (taken(ids, 0.25, 1) != copies).any()


def test_shards_stay_below_the_limit_and_hold_all(corpus: Path) -> None:
    output = {"path": "out", "max_size_in_bytes": 700}
    dolma_kit.mix(streams=[stream(output=output)], workers=1)
    shards = sorted(Path("out/documents").iterdir())
    assert [shard.name for shard in shards[:2]] == ["web-0000.jsonl.gz", "web-0001.jsonl.gz"]
    assert len(shards) > 3
    assert all(shard.stat().st_size <= 700 for shard in shards)
    assert len(rows()) == N


def test_a_document_larger_than_a_shard_has_one_of_its_own(corpus: Path) -> None:
    dolma_kit.mix(streams=[stream(output={"path": "out", "max_size_in_bytes": 1})], workers=1)
    assert len(list(Path("out/documents").iterdir())) == len(rows()) == N


def test_output_options(corpus: Path) -> None:
    output = {"path": "out/documents", "discard_fields": ["added", "no"], "min_text_length": 40}
    summary = dolma_kit.mix(
        streams=[stream(output=output, compression={"output": "zst"})], workers=1
    )
    (shard,) = Path("out/documents").iterdir()
    assert shard.name == "web-0000.jsonl.zst"
    from dolma_kit.documents import DocumentReader

    (batch,) = DocumentReader(str(shard), keep_raw=True)
    assert all(len(text.strip().encode()) >= 40 for text in batch.texts)
    assert "added" not in json.loads(bytes(batch.raw[0]))
    assert summary.counts["streams"]["web"]["removed"]["min_text_length"] == N - len(batch)


def test_attributes_that_are_missing_short_or_of_others_write_nothing(corpus: Path) -> None:
    path = corpus / "web/attributes/q/1.jsonl.gz"
    whole = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    for broken in (whole[:-1], [*whole[:-1], whole[0]], [*whole, whole[0]]):
        path.write_bytes(gzip.compress(b"".join(broken)))
        with pytest.raises(VerificationError):
            dolma_kit.mix(streams=[stream()], workers=1)
    path.unlink()
    with pytest.raises(VerificationError, match="has no attributes 'q'"):
        dolma_kit.mix(streams=[stream()], workers=1)
    assert not Path("out/documents").exists()


def test_two_streams_of_one_name_are_refused(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="two streams named 'web'"):
        dolma_kit.mix(streams=[stream(), stream(output={"path": "out/documents/"})], workers=1)


def test_a_rule_that_removes_everything_leaves_no_file(corpus: Path) -> None:
    summary = dolma_kit.mix(streams=[stream(keep="false")], workers=1)
    assert summary.counts["kept"] == 0
    assert not Path("out/documents").exists()


def test_dolmas_own_keys_are_accepted(corpus: Path) -> None:
    keys = {"processes": 4, "work_dir": {"input": "/tmp/a", "output": "/tmp/b"}, "dryrun": False}
    dolma_kit.mix(streams=[stream()], workers=1, **keys)
    assert len(rows()) == N


def test_running_again_does_nothing_and_another_config_is_refused(corpus: Path) -> None:
    first = dolma_kit.mix(streams=[stream(rate=0.5)], workers=1)
    before = {p: p.read_bytes() for p in Path("out/documents").iterdir()}
    again = dolma_kit.mix(streams=[stream(rate=0.5)], workers=1)
    assert (again.units_skipped, again.counts) == (2, first.counts)
    with pytest.raises(ConfigError, match="seed was 6198, is 7"):
        dolma_kit.mix(streams=[stream(rate=0.5)], seed=7, workers=1)
    assert {p: p.read_bytes() for p in Path("out/documents").iterdir()} == before
    dolma_kit.mix(streams=[stream(rate=0.5)], seed=7, workers=1, overwrite=True)
    assert {p: p.read_bytes() for p in Path("out/documents").iterdir()} != before


def test_fewer_shards_than_before_leave_no_stale_one(corpus: Path, write_documents: Any) -> None:
    keys = {"attributes": [], "output": {"path": "out", "max_size_in_bytes": 500}}
    dolma_kit.mix(streams=[stream(**keys)], workers=1)
    n_before = len(list(Path("out/documents").iterdir()))
    write_documents(corpus / "web/documents/1.jsonl.gz", [{"id": "new", "text": "x"}])
    dolma_kit.mix(streams=[stream(**keys)], workers=1)
    assert 0 < len(list(Path("out/documents").iterdir())) < n_before
    assert rows()[-1]["id"] == "new"
    found = ledger.read("out")
    assert found is not None
    assert found[0].stage == "mix"


def test_no_masked_character_survives_a_mix_and_no_other_changes(
    corpus: Path, write_documents: Any
) -> None:
    """Random spans of two columns, nested, equal, touching, empty and beyond the text: each
    character of a text is another one, so that what is left says which went."""
    draw = random.Random(8)
    documents, attributes, expected = [], [], {}
    for i in range(400):
        text = "".join(chr(0x4E00 + k) for k in range(draw.randrange(40)))
        columns: dict[str, list[list[float]]] = {"q__own__a": [], "q__own__b": []}
        masked = set()
        for spans in columns.values():
            for _ in range(draw.randrange(5)):
                start = draw.randrange(45)
                end = start + draw.choice([0, 0, 1, 2, 5, 20])
                score = draw.choice([0.2, 0.9])
                spans.append([start, end, score])
                masked |= set(range(start, end)) if score >= 0.5 else set()
        documents.append({"id": str(i), "text": text})
        attributes.append({"id": str(i), "attributes": columns})
        expected[str(i)] = "".join(c for k, c in enumerate(text) if k not in masked)
    write_documents(corpus / "some/documents/x.jsonl", documents)
    write_documents(corpus / "some/attributes/q/x.jsonl", attributes)
    rules = [
        {"span": f"q__own__{name}", "min_score": 0.5, "replacement": mask}
        for name, mask in (("a", "#"), ("b", "|||B|||"))
    ]
    dolma_kit.mix(
        streams=[stream(documents=["some"], span_replacement=rules)], workers=1, quiet=True
    )
    for row in rows():
        assert row["text"].replace("#", "").replace("|||B|||", "") == expected[row["id"]]
    assert len(rows()) == 400


def test_what_was_masked_is_in_no_log_and_no_report(corpus: Path, dolma_kit: Any) -> None:
    rule = {"span": "q__own__secret", "replacement": "***"}
    Path("mix.json").write_text(json.dumps({"streams": [stream(span_replacement=[rule])]}))
    answer = dolma_kit("mix", "-c", "mix.json")
    assert answer.code == 0
    places = [path for path in Path("out").rglob("*") if path.is_file() and path.suffix != ".gz"]
    said = answer.out + answer.err + "".join(str(path.read_bytes()) for path in places)
    assert "secret]" not in said
    assert all("***" in row["text"] and "secret" not in row["text"] for row in rows())
