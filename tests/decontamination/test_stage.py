"""The stage: attributes, report and sheet; the same bytes however it is run; bad input."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit import ledger
from dolma_kit.decontamination import rules
from dolma_kit.decontamination.reporting import ITEMS, SHEET
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute.ray import RayEngine
from tests.conftest import RunCommand, WriteDocuments
from tests.decontamination.test_items import write

QUESTION = "Which of the twelve grey herons that stood by the old weir flew off first this morning?"
OTHER = "Why do the lanterns on the northern pier burn green whenever a ship with salt comes in?"
COMMON = "Please answer the following question by choosing the best of the options that are given"
FILLER = "Nothing here is about birds or ships, only plain words that fill the page up. " * 8
ALL = list(rules.RULES)


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    """Clean documents, two with a question, and a dozen with what one benchmark always says."""
    monkeypatch.chdir(tmp_path)
    evals = [{"question": QUESTION, "answer": "the smallest of them all", "id": "q1"},
             {"question": OTHER, "answer": "copper", "id": "q2"}]  # fmt: skip
    write(tmp_path / "evals/birds_test.jsonl", evals)
    write(
        tmp_path / "evals/forms.jsonl", [{"question": COMMON, "id": "c"}, {"question": "How so?"}]
    )
    web = [{"id": f"w{i}", "text": f"{FILLER} page {i}"} for i in range(20)]
    web[3]["text"] = f"{FILLER}\n{QUESTION}\nthe smallest of them all\n{FILLER}"
    books = [{"id": f"b{i}", "text": f"{COMMON}. {i} {FILLER}"} for i in range(12)]
    books += [{"id": "b12", "text": f"é 😀 {OTHER.upper()} COPPER"}, {"id": "b13", "text": ""}]
    write_documents(tmp_path / "web/documents/a.jsonl.gz", web)
    write_documents(tmp_path / "web/documents/b.jsonl", web[:2])
    write_documents(tmp_path / "books/documents/a.jsonl", books)
    return tmp_path


def settings_of(**more: Any) -> dict[str, Any]:
    return {"documents": ["web", "books"], "evals": ["evals"], "rule": ["ngram_item"],
            "name": "dec", "workers": 1, "quiet": True, **more}  # fmt: skip


def rows_of(corpus: Path, name: str = "dec") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for source in ("web", "books"):
        for path in sorted((corpus / source / "attributes" / name).glob("*.parquet")):
            for row in pq.read_table(path).to_pylist():
                found[f"{path.stem if source == 'web' else source}/{row['id']}"] = row
    return found


def report_of(corpus: Path, name: str = "dec") -> dict[str, Any]:
    return json.loads((corpus / f"web/attributes/{name}.report.json").read_text())  # type: ignore[no-any-return]


def outputs(corpus: Path, name: str = "dec") -> dict[str, bytes]:
    return {
        str(path.relative_to(corpus)): path.read_bytes()
        for path in sorted(corpus.glob(f"*/attributes/{name}*/**/*")) + sorted(
            corpus.glob(f"*/attributes/{name}.*")
        )
        if path.is_file() and ledger.FOLDER not in path.parts
    }  # fmt: skip


def test_what_is_written(corpus: Path) -> None:
    summary = dolma_kit.decontaminate(**settings_of())
    rows = rows_of(corpus)
    assert {key for key, row in rows.items() if row["dec_contaminated"] == 1.0} == {
        "a/w3", "books/b12", *(f"books/b{i}" for i in range(12)),
    }  # fmt: skip
    text = f"{FILLER}\n{QUESTION}\nthe smallest of them all\n{FILLER}"
    start = text.index(QUESTION)
    end = start + len(QUESTION) - 1  # without the question mark
    assert rows["a/w3"]["dec"] == [{"start": start, "end": end, "score": 1.0}]
    assert rows["books/b12"]["dec"] == [{"start": 4, "end": 4 + len(OTHER) - 1, "score": 1.0}]
    assert (rows["books/b13"]["dec"], rows["books/b13"]["dec_score"]) == ([], 0.0)
    assert summary.counts["rules"] == {"ngram_item": {"documents": 14, "items": 3}}
    assert summary.documents == 36


def test_the_report(corpus: Path) -> None:
    dolma_kit.decontaminate(**settings_of(common=10))
    rule = report_of(corpus)["rules"]["ngram_item"]
    birds = rule["benchmarks"]["birds"]
    assert (birds["items"], birds["searchable"], birds["contaminated"]) == (2, 2, 2)
    assert (birds["documents"], birds["high"]) == (2, 1.0)
    assert 0.34 < birds["low"] < 0.35
    assert rule["benchmarks"]["forms"]["searchable"] == 1
    assert rule["left_out"] == {"fewer than 5 words": 1}
    assert rule["common_text"]["listed"] == [
        {"item": "forms/c", "question": COMMON, "documents": 12}
    ]
    table = pq.read_table("web/attributes/dec.items.parquet")
    assert table.column_names == list(ITEMS)
    found = {row["id"]: row for row in table.to_pylist()}
    assert found["q1"]["document_id"] == "w3"
    assert found["q1"]["document_line"] == 4
    assert found["q1"]["text"] == QUESTION.rstrip("?")
    assert [found[i]["common"] for i in ("q1", "q2", "c")] == [False, False, True]
    assert "/" not in found["q1"]["src"]
    sheet = list(csv.reader(io.StringIO((corpus / "web/attributes/dec.sheet.csv").read_text())))
    assert tuple(sheet[0]) == SHEET
    assert len(sheet) == 15
    assert all(row[-1] == "" for row in sheet[1:])
    assert {row[SHEET.index("matched")] for row in sheet[1:]} >= {OTHER.upper().rstrip("?")}


def test_a_sample_is_as_large_as_asked_and_the_same_again(corpus: Path) -> None:
    made = {}
    for name, more in {"one": {}, "two": {}, "three": {"seed": 1}}.items():
        dolma_kit.decontaminate(**settings_of(name=name, sample=5, **more))
        made[name] = (corpus / f"web/attributes/{name}.sheet.csv").read_text()
    assert made["one"] == made["two"] != made["three"]
    assert len(list(csv.reader(made["one"].splitlines()))) >= 6


def test_all_rules_in_one_run(corpus: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit(
        "decontaminate", "web", "books", "--evals", "evals", "--rule", "all", "--name", "dec",
        "--workers", 1, "--quiet",
    )  # fmt: skip
    assert answer.code == 0
    assert list(answer.json["counts"]["rules"]) == ALL
    for name in ALL:
        assert f"{name}: " in answer.out  # its parameters
    report = report_of(corpus)
    assert list(report["agreement"]["documents"]) == ALL
    both = report["agreement"]["documents"]["ngram_item"]["paloma"]
    assert (both["both"], both["either"]) == (1, 14)  # the same letter case, on a line of its own
    assert report["agreement"]["items"]["ngram_item"]["ngram_item"]["jaccard"] == 1.0
    rows = rows_of(corpus)
    own = [key for key in rows["a/w0"] if key.endswith("_contaminated")]
    assert own == [f"dec__{name}_contaminated" for name in ALL]
    assert rows["a/w3"]["dec__decon_contaminated"] == 1.0


def test_common_text_does_not_count(corpus: Path) -> None:
    dolma_kit.decontaminate(**settings_of(max_documents=10))
    rows = rows_of(corpus)
    assert {key for key, row in rows.items() if row["dec_contaminated"]} == {"a/w3", "books/b12"}
    assert rows["books/b0"]["dec_score"] == 0.0
    assert report_of(corpus)["rules"]["ngram_item"]["common_text"]["not_counted"] == 1


def test_back_off_by_itself(corpus: Path) -> None:
    dolma_kit.decontaminate(**settings_of(max_removed=0.1))
    rows = rows_of(corpus)
    assert {key for key, row in rows.items() if row["dec_contaminated"]} == {"a/w3", "books/b12"}
    tried = report_of(corpus)["rules"]["ngram_item"]["back_off"]["tried"]
    assert [(one["benchmarks"], one["documents"]) for one in tried] == [
        (["birds", "forms"], 14), (["birds"], 2),
    ]  # fmt: skip


def test_back_off_by_sets(corpus: Path) -> None:
    dolma_kit.decontaminate(**settings_of(max_removed=0.5, backoff=["birds+forms", "birds"]))
    assert sum(row["dec_contaminated"] for row in rows_of(corpus).values()) == 14
    with pytest.raises(ConfigError, match=r"no set of benchmarks stays below .* forms, removes 12"):
        dolma_kit.decontaminate(**settings_of(name="d2", max_removed=0.1, backoff=["forms"]))
    with pytest.raises(ConfigError, match="no benchmark 'fish', there are birds, forms"):
        dolma_kit.decontaminate(**settings_of(name="d3", max_removed=0.1, backoff=["fish"]))
    with pytest.raises(ConfigError, match="give one with --max-removed"):
        dolma_kit.decontaminate(**settings_of(name="d4", backoff=["birds"]))


def test_what_is_cut_goes_in_mix(corpus: Path) -> None:
    """gpt3: 200 characters on either side; what is left is what the paper leaves."""
    dolma_kit.decontaminate(**settings_of(rule=["gpt3"]))
    stream = {
        "name": "m", "documents": ["web", "books"], "attributes": ["dec"],
        "span_replacement": [{"span": "dec", "replacement": ""}],
        "output": {"path": "mixed", "min_text_length": 1},
    }  # fmt: skip
    dolma_kit.mix(streams=[stream], workers=1, quiet=True)
    lines = gzip.decompress(Path("mixed/documents/m-0000.jsonl.gz").read_bytes()).splitlines()
    texts = {row["id"]: row["text"] for row in map(json.loads, lines)}
    text = f"{FILLER}\n{QUESTION}\nthe smallest of them all\n{FILLER}"
    start = text.index(QUESTION) - 200
    end = start + 200 + len(QUESTION) - 1 + 200  # the answer has too few words
    assert texts["w3"] == text[:start] + text[end:]
    assert "b12" not in texts  # nothing of it was left
    assert texts["b0"].startswith("Please")  # in more than ten documents: no collision
    assert texts["w0"] == f"{FILLER} page 0"


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_the_same_bytes_however_it_is_run(
    corpus: Path, ray_cluster: RayEngine, format: str
) -> None:
    settings = settings_of(rule=["all"], format=format)
    dolma_kit.decontaminate(**settings)
    expected = outputs(corpus)
    assert len(expected) == 6
    for more in ({"workers": 2}, {"engine": ray_cluster}):
        dolma_kit.decontaminate(**{**settings, "overwrite": True, **more})
        assert outputs(corpus) == expected
    summary = dolma_kit.decontaminate(**settings)
    assert summary.units_skipped > 0
    for source in ("web", "books"):
        shutil.rmtree(corpus / source / "attributes")
    for shard in ("0/2", "1/2"):
        assert not dolma_kit.decontaminate(**settings, shard=shard).complete
    dolma_kit.decontaminate(**settings)
    assert outputs(corpus) == expected


def test_other_evaluations_are_another_config(corpus: Path) -> None:
    dolma_kit.decontaminate(**settings_of())
    write(corpus / "evals/forms.jsonl", [{"question": COMMON}])
    with pytest.raises(ConfigError, match="evals"):
        dolma_kit.decontaminate(**settings_of())
    dolma_kit.decontaminate(**settings_of(overwrite=True))


def test_the_same_question_twice_is_said(corpus: Path) -> None:
    write(corpus / "evals/more.jsonl", [{"question": QUESTION.lower().replace("?", "")}])
    dolma_kit.decontaminate(**settings_of())
    same = report_of(corpus)["evaluations"]["same_question"]
    assert (same["items"], same["groups"]) == (2, 1)
    assert same["listed"][0]["items"] == ["birds/test/q1", "more/1"]


def test_a_broken_file_is_set_aside(corpus: Path) -> None:
    whole = corpus / "web/documents/a.jsonl.gz"
    (corpus / "web/documents/z.jsonl.gz").write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"z\.jsonl\.gz"):
        dolma_kit.decontaminate(**settings_of(name="other"))
    summary = dolma_kit.decontaminate(**settings_of(on_error="quarantine"))
    assert (summary.quarantined, summary.documents) == (1, 36)
    assert not (corpus / "web/attributes/dec/z.parquet").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rule": []}, "no rule: give one with --rule"),
        ({"evals": []}, "no evaluations: name files or folders with --evals"),
        ({"name": ""}, "no name for the attribute"),
        ({"fields": ["question"]}, "write PART=NAME"),
        ({"fields": ["title=t"]}, "no part 'title'"),
        ({"fields": ["question=prompt"]}, "has no field 'prompt'"),
        ({"splits": ["train"]}, "no items in"),
        ({"share": 1.5}, "share"),
        ({"rule": ["paloma"], "normalize": "case"}, "--normalize is no parameter of paloma"),
    ],
)
def test_settings_that_make_no_sense(corpus: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        dolma_kit.decontaminate(**settings_of(**more))


def test_items_of_three_words_are_counted_not_found(corpus: Path) -> None:
    write(corpus / "evals/forms.jsonl", [{"question": "only plain words"}])
    dolma_kit.decontaminate(**settings_of(rule=["all"]))
    for name, rule in report_of(corpus)["rules"].items():
        assert rule["benchmarks"]["forms"]["searchable"] == 0, name
        assert sum(rule["left_out"].values()) >= 1
        assert rule["benchmarks"]["forms"]["share"] is None
