"""Items of evaluations, from the files that they come in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_kit.decontamination import items
from dolma_kit.decontamination.items import Item
from dolma_kit.errors import ConfigError, DataError, MissingInput


def write(path: Path, rows: list[Any]) -> str:
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def request(context: str, continuation: str, doc_id: int, label: int, **more: Any) -> Any:
    return {"doc": {}, "request": {"context": context, "continuation": continuation},
            "doc_id": doc_id, "label": label, "task_name": "quiz", **more}  # fmt: skip


def test_requests_of_an_item_are_one(tmp_path: Path) -> None:
    context = "The sky.\nIt is wide.\nQuestion: What colour is it?\nAnswer:"
    rows = [request(context, f" {colour}", 7, 1, native_id="q7") for colour in ("red", "blue")]
    rows += [request("Q: Who?\nA:", " me", 8, 0), request("Answer:", " me", 9, 0)]
    rows += [request("Ann is tall so Ann", " can reach.", 10, 1),
             request("Ann is tall so Bob", " can reach.", 10, 1)]  # fmt: skip
    read = items.read([write(tmp_path / "quiz/requests.jsonl.gz", rows)])
    assert read.n_empty == 1  # the likelihood of the answer alone
    common = {"benchmark": "quiz", "split": "", "src": str(tmp_path / "quiz/requests.jsonl.gz")}
    assert read.items == [
        Item(id="q7", question="What colour is it?", passage="The sky.\nIt is wide.", line=1,
             answer="blue", choices=("red", "blue"), **common),
        Item(id="8", question="Who?", answer="me", line=3, **common),
        Item(id="10", question="Ann is tall so Bob can reach.", line=5, **common),
    ]  # fmt: skip


def test_plain_rows_and_what_their_fields_are_called(tmp_path: Path) -> None:
    rows = [
        {"q": "One?", "answer": 1, "choices": ["a", "b"], "id": 3},
        {"q": "Two?", "answer": "B", "choices": {"label": ["A", "B"], "text": ["x", "y"]}},
        {"q": "", "answer": None},
        {"q": "Three?", "answer": ["yes", "sure"], "split": "dev", "task_name": "other"},
        {"q": "Four?", "answer": True},
    ]
    path = write(tmp_path / "maths_test.jsonl", rows)
    read = items.read([path], {"question": "q"})
    found = [(i.benchmark, i.split, i.id, i.question, i.answer, i.choices) for i in read.items]
    assert found == [
        ("maths", "test", "3", "One?", "b", ("a", "b")),
        ("maths", "test", "2", "Two?", "y", ("x", "y")),
        ("other", "dev", "4", "Three?", "yes", ()),
        ("maths", "test", "5", "Four?", "true", ()),
    ]
    assert (read.n_empty, read.n_other_splits) == (1, 0)
    chosen = items.read([path], {"question": "q"}, ["dev"])
    assert [item.question for item in chosen.items] == ["Three?"]
    assert chosen.n_other_splits == 3


def test_folders_parquet_and_each_file_once(tmp_path: Path) -> None:
    one = write(tmp_path / "evals/b.jsonl", [{"question": "B?"}])
    table = pa.table({"question": ["P?"], "answer": ["p"]})
    (tmp_path / "evals/deep").mkdir()
    pq.write_table(table, tmp_path / "evals/deep/a_validation.parquet")
    (tmp_path / "evals/README.md").write_text("no evaluation")
    read = items.read([one, str(tmp_path / "evals")])
    assert [(i.benchmark, i.split, i.question) for i in read.items] == [
        ("b", "", "B?"), ("a", "validation", "P?"),
    ]  # fmt: skip
    assert len(read.sha256) == 2


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([{"prompt": "P?", "x": 1}], {}, r"1: has no field 'question' for the question, but "
         r"prompt, x: name the right one with --fields question=NAME"),
        ([{"question": "Q?"}, {"question": "R?"}], {"answer": "target"},
         "1: has no field 'target' for the answer"),
        ([{"question": "Q?"}, {"question": ["R?"]}], {}, "2: has a list for the question"),
        ([["Q?"]], {}, "is no JSON object"),
        ([{"request": {"prompt": "P"}}], {}, "a request without a context"),
    ],
)  # fmt: skip
def test_rows_that_are_no_items(
    tmp_path: Path, rows: list[Any], fields: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        items.read([write(tmp_path / "e.jsonl", rows)], fields)


def test_files_that_are_no_evaluations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no evaluations: name files"):
        items.read([])
    with pytest.raises(MissingInput, match="no evaluations match"):
        items.read([str(tmp_path / "nothing")])
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(MissingInput, match="give files that end in"):
        items.read([str(tmp_path / "a.txt")])
    with pytest.raises(ConfigError, match=r"no items in .*: 1 have no question, 0 are of other"):
        items.read([write(tmp_path / "e.jsonl", [{"question": " "}])])
    with pytest.raises(ConfigError, match="no part title of an item"):
        items.read([write(tmp_path / "e.jsonl", [])], {"title": "t"})
    (tmp_path / "broken.jsonl").write_bytes(b'{"question": "Q?"}\n{"question"\n')
    with pytest.raises(DataError, match="2: is no JSON"):
        items.read([str(tmp_path / "broken.jsonl")])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        items.read([str(tmp_path / "broken.parquet")])


def test_the_shared_evaluations(shared_data: Path) -> None:
    read = items.read([str(shared_data / "evals")])
    counts: dict[str, int] = {}
    for item in read.items:
        counts[item.benchmark] = counts.get(item.benchmark, 0) + 1
    assert counts == {
        "arc_challenge": 299, "arc_easy": 570, "boolq": 3270, "copa": 100, "csqa": 1221,
        "gsm8k": 1319, "openbookqa": 500, "piqa": 1838, "sciq": 1000, "socialiqa": 1954,
        "winogrande": 1267,
    }  # fmt: skip
    assert all(not item.question.startswith(("Question:", "Goal:")) for item in read.items)
