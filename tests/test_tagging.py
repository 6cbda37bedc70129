"""The stage `tag`: what it writes where, what it does again, what it refuses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dolma_kit import attribute_files, attributes, config, files, ledger, registry, tagging
from dolma_kit.config import Tag
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.tagging import tag

from .conftest import WriteDocuments

TAGGERS = ["char_length_v1", "pii_regex_with_counts_fast_v2"]
FILES = {"web/documents/b.jsonl": 4, "web/documents/a/x.jsonl.gz": 3, "wiki/documents/c.jsonl": 5}
ORDER = ["web/documents/a/x.jsonl.gz", "web/documents/b.jsonl", "wiki/documents/c.jsonl"]


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, n in FILES.items():
        stem = Path(name).name.split(".")[0]
        rows = [
            {
                "id": f"{stem}{i}",
                "text": "é" * i + " jane@example.com or 206-555-0100.",
                "source": "s",
            }
            for i in range(n)
        ]
        write_documents(tmp_path / name, rows)
    return tmp_path


def run(*documents: str, **keys: Any) -> Any:
    defaults = {"taggers": TAGGERS, "experiment": "q", "workers": 1, "quiet": True}
    return tag(**{**defaults, "documents": list(documents or ("web", "wiki")), **keys})


def outputs(folder: Path = Path()) -> dict[str, bytes]:
    """Attribute files below a folder, by name; their ledgers left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "attributes" in path.parts and ledger.FOLDER not in path.parts
    }


COLUMNS = {
    "q__char_length_v1__length": "score",
    "q__pii_regex_with_counts_fast_v2__EMAIL_ADDRESS": "spans",
    "q__pii_regex_with_counts_fast_v2__PHONE_NUMBER": "spans",
    "q__pii_regex_with_counts_fast_v2__IP_ADDRESS": "spans",
    "q__pii_regex_with_counts_fast_v2__doc_count": "score",
    "q__pii_regex_with_counts_fast_v2__doc_frac": "score",
}


def test_parquet_lies_beside_the_documents_in_dolmas_names(corpus: Path) -> None:
    summary = run()
    assert sorted(outputs()) == [
        "web/attributes/q/a/x.parquet",
        "web/attributes/q/b.parquet",
        "wiki/attributes/q/c.parquet",
    ]
    table = pq.read_table("web/attributes/q/b.parquet")
    assert table.schema.remove_metadata() == attributes.schema(COLUMNS)  # type: ignore[arg-type]
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [f"b{i}" for i in range(4)]
    for i, row in enumerate(rows):
        text = "é" * i + " jane@example.com or 206-555-0100."
        assert row["q__char_length_v1__length"] == len(text)
        (email,) = row["q__pii_regex_with_counts_fast_v2__EMAIL_ADDRESS"]
        assert text[email["start"] : email["end"]].strip() == "jane@example.com"
        assert row["q__pii_regex_with_counts_fast_v2__IP_ADDRESS"] == []
    n_bytes = sum(
        len(gzip.decompress(data) if name.endswith("gz") else data)
        for name in FILES
        for data in (Path(name).read_bytes(),)
    )
    assert (summary.command, summary.documents, summary.bytes_in) == ("tag", 12, n_bytes)
    assert summary.bytes_out == sum(map(len, outputs().values()))
    assert summary.outputs == ["web/attributes/q", "wiki/attributes/q"]
    assert (summary.partial, summary.quarantined, summary.units_skipped) == (False, 0, 0)


def test_jsonl_is_dolmas_row_format(corpus: Path) -> None:
    run(format="jsonl")
    assert sorted(outputs()) == [
        "web/attributes/q/a/x.jsonl.gz",
        "web/attributes/q/b.jsonl.gz",
        "wiki/attributes/q/c.jsonl.gz",
    ]
    data = outputs()["web/attributes/q/b.jsonl.gz"]
    assert data[3:8] == bytes(5)  # no name, no time
    rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    assert [row["id"] for row in rows] == [f"b{i}" for i in range(4)]
    length = len("éé jane@example.com or 206-555-0100.")
    assert rows[2]["source"] == "s"
    assert rows[2]["attributes"]["q__char_length_v1__length"] == [[0, length, length]]
    assert "q__pii_regex_with_counts_fast_v2__IP_ADDRESS" not in rows[2]["attributes"]
    assert rows[2]["attributes"].keys() == COLUMNS.keys() - {
        "q__pii_regex_with_counts_fast_v2__IP_ADDRESS"
    }


def test_names_of_columns_replace_what_dolma_replaces(corpus: Path) -> None:
    run("wiki", experiment="my-exp.v1", taggers=["char_length_v1"])
    names = pq.read_schema("wiki/attributes/my-exp.v1/c.parquet").names
    assert names == ["id", "my_exp_v1__char_length_v1__length"]


@pytest.mark.parametrize("experiment", ["", "a/b", "..", ".", "1q", "a b", "é", "-q", "a\n"])
def test_an_experiment_that_cannot_be_a_name_is_refused(corpus: Path, experiment: str) -> None:
    with pytest.raises(ConfigError, match="experiment"):
        run(experiment=experiment)
    assert not outputs()


@pytest.mark.parametrize(("limit", "expected"), [(1, [1]), (3, [3]), (5, [3, 2]), (99, [3, 4, 5])])
def test_limit_is_the_first_documents_in_canonical_order(
    corpus: Path, limit: int, expected: list[int]
) -> None:
    summary = run(limit=limit)
    tables = [pq.read_table(path) for path in sorted(outputs())]
    assert [len(table) for table in tables] == expected
    firsts = ["x0", "b0", "c0"]
    assert [table["id"][0].as_py() for table in tables] == firsts[: len(expected)]
    assert (summary.documents, summary.partial) == (sum(expected), True)
    found = ledger.read("web/attributes/q")
    assert found is not None
    assert found[0].config["limit"] == limit
    with pytest.raises(ConfigError, match=f"limit was {limit}, is null"):
        run()


def test_other_names_of_text_and_id(corpus: Path, write_documents: WriteDocuments) -> None:
    write_documents(corpus / "o/documents/o.jsonl", [{"uid": "a", "content": "éé", "id": 3}])
    run("o", text_key="content", id_key="uid", taggers=["char_length_v1"])
    (row,) = pq.read_table("o/attributes/q/o.parquet").to_pylist()
    assert row == {"id": "a", "q__char_length_v1__length": 2.0}
    with pytest.raises(DataError, match=r"o\.jsonl:1: .*`uidd`"):
        run("o", text_key="content", id_key="uidd", experiment="r")
    for keys in ({"text_key": "id"}, {"text_key": "x", "id_key": "x"}, {"text_key": "source"}):
        with pytest.raises(ConfigError, match="must differ"):
            run("o", experiment="s", **keys)


def test_files_outside_documents_need_attributes_and_keep_their_tree(
    corpus: Path, write_documents: WriteDocuments
) -> None:
    for name in ("loose/a/x.jsonl", "loose/b/x.jsonl"):
        write_documents(corpus / name, [{"id": name, "text": "x"}])
    with pytest.raises(ConfigError, match="outside a documents/ folder: say with --attributes DIR"):
        run("loose/*/*.jsonl")
    run("loose/*/*.jsonl", attributes="out")
    assert sorted(p for p in outputs()) == []
    assert sorted(str(p) for p in Path("out").rglob("*.parquet")) == [
        "out/q/a/x.parquet",
        "out/q/b/x.parquet",
    ]


def test_running_again_does_only_what_is_missing(
    corpus: Path, write_documents: WriteDocuments
) -> None:
    run()
    before = outputs()
    Path("web/attributes/q/b.parquet").unlink()
    Path("wiki/attributes/q/c.parquet").write_bytes(b"cut")
    assert run().units_skipped == 1
    assert outputs() == before
    write_documents(corpus / "web/documents/b.jsonl", [{"id": "new", "text": "changed"}])
    assert run().units_skipped == 2
    assert pq.read_table("web/attributes/q/b.parquet")["id"].to_pylist() == ["new"]
    write_documents(corpus / "web/documents/d.jsonl", [{"id": "d", "text": "one more"}])
    again = run()
    assert (again.units_skipped, again.documents) == (3, 10)


def test_a_run_that_failed_half_way_is_completed(corpus: Path) -> None:
    bad = corpus / "web/documents/a/x.jsonl.gz"  # the smallest, so done last
    good = bad.read_bytes()
    bad.write_bytes(good + gzip.compress(b"{\n"))
    with pytest.raises(DataError, match=r"x\.jsonl\.gz:4: "):
        run()
    assert "web/attributes/q/a/x.parquet" not in outputs()
    bad.write_bytes(good)
    assert run().units_skipped == 2
    resumed = outputs()
    run(overwrite=True, experiment="q")
    assert outputs() == resumed


@pytest.mark.parametrize(
    ("keys", "difference"),
    [
        ({"taggers": ["char_length_v1"]}, "columns was|taggers was"),
        ({"format": "jsonl"}, 'format was "parquet", is "jsonl"'),
        ({"text_key": "id", "id_key": "text"}, 'id_key was "id", is "text"'),
    ],
)
def test_another_config_is_refused_until_overwritten(
    corpus: Path, keys: dict[str, Any], difference: str
) -> None:
    run()
    before = outputs()
    with pytest.raises(ConfigError, match=f"(?s)({difference}).*--overwrite"):
        run(**keys)
    assert outputs() == before
    run(**keys, overwrite=True)
    assert outputs() != before
    suffixes = {Path(name).suffix for name in outputs()}
    assert len(suffixes) == 1, "what the other config made is gone"


def test_other_settings_of_running_are_no_other_config(corpus: Path, tmp_path: Path) -> None:
    run()
    assert run(tmp_dir=str(tmp_path / "t")).units_skipped == 3
    assert run("wiki", "web").units_skipped == 3


def test_same_bytes_for_one_worker_and_two(corpus: Path) -> None:
    taggers = ["language_en_v1", "gopher_v2", "c4_v2", *TAGGERS]
    made = []
    for workers in (1, 2):
        run(workers=workers, taggers=taggers, overwrite=True)
        made.append(outputs())
        for name in made[-1]:
            Path(name).unlink()
        run(workers=workers, taggers=taggers, format="jsonl", overwrite=True)
        made.append(outputs())
        for name in made[-1]:
            Path(name).unlink()
    assert made[0] == made[2]
    assert made[1] == made[3]
    assert len(made[0]) == len(made[1]) == 3


def test_models_are_recorded_by_their_sha256(corpus: Path) -> None:
    run("wiki", taggers=["language_en_v1", "char_length_v1"])
    note = json.loads(pq.read_schema("wiki/attributes/q/c.parquet").metadata[b"dolma_kit"])
    (model,) = registry.tagger("language_en_v1").models()
    assert note == {
        "version": attribute_files.VERSION,
        "experiment": "q",
        "models": {"lid.176.ftz": files.sha256(model)},
        "taggers": [{"id": "language_en_v1"}, {"id": "char_length_v1"}],
    }


def test_another_model_is_another_config(corpus: Path, monkeypatch: Any) -> None:
    run("wiki", taggers=["language_en_v1"])
    monkeypatch.setattr(tagging.files, "sha256", lambda path: "0" * 64)
    with pytest.raises(ConfigError, match="models was"):
        run("wiki", taggers=["language_en_v1"])


def test_no_output_holds_a_time_or_a_place(corpus: Path) -> None:
    run("wiki", str(corpus / "web"))
    for data in outputs().values():
        assert str(corpus).encode() not in data


def test_the_ledger_says_what_was_done(corpus: Path) -> None:
    run()
    found = ledger.read("web/attributes/q")
    assert found is not None
    header, records = found
    assert (header.stage, header.version) == ("tag", ledger.VERSION)
    assert header.config["columns"] == COLUMNS
    assert not header.config.keys() & {"workers", "documents", "attributes", "tmp_dir"}
    by_unit = {record.unit: record for record in records}
    assert sorted(by_unit) == ["a/x", "b"]
    record = by_unit["b"]
    path = Path("web/attributes/q/b.parquet")
    assert record.sizes == {"b.parquet": path.stat().st_size}
    assert (record.result.documents, record.source) == (4, "../../documents/b.jsonl")
    assert record.result.counts["sha256"] == files.sha256("web/documents/b.jsonl")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"taggers": []}, "no taggers: name some with --taggers"),
        ({"taggers": ["char_length_v2"]}, "unknown tagger 'char_length_v2'"),
        ({"taggers": ["c4_v2", "c4_v2"]}, "named twice"),
        ({"documents": []}, "no documents: give files"),
        ({"documents": ["nowhere"]}, "no documents match 'nowhere'"),
        ({"documents": ["web", "web/documents/*.txt"]}, "no documents match 'web/documents/"),
    ],
)
def test_a_wrong_request_writes_nothing(corpus: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("*", r"\*")):
        run(**keys)
    assert not list(corpus.rglob("attributes"))


def test_one_path_spelled_in_several_ways_is_read_once(corpus: Path) -> None:
    name = "wiki/documents/c.jsonl"
    summary = run(name, f"./{name}", str(corpus / name), "wiki", "wiki/documents/../documents/*")
    assert summary.documents == 5
    summary = run(name, str(corpus / "web"), experiment="r")
    assert summary.documents == 12


@pytest.mark.parametrize("folder", ["a b", "[v1]", "x*y?", "ünï😀", "a%20{0}$X", "documents/web"])
def test_odd_names_of_folders(corpus: Path, write_documents: WriteDocuments, folder: str) -> None:
    place = corpus / folder
    write_documents(place / "documents" / f"{place.name}.jsonl", [{"id": "a", "text": "x"}])
    for argument in (folder, str(place), f"{folder}/documents", f"{folder}/"):
        assert run(argument, taggers=["char_length_v1"]).documents == 1
    assert (place / "attributes/q" / f"{place.name}.parquet").is_file()


def test_attributes_of_a_corpus_below_a_folder_named_documents_are_no_documents(
    corpus: Path, write_documents: WriteDocuments, monkeypatch: Any
) -> None:
    """As in ~/documents/web: only the corpus's own `documents/` holds its documents."""
    write_documents(corpus / "documents/web/documents/a.jsonl", [{"id": "a", "text": "x"}])
    for experiment in ("q", "r"):
        assert run(str(corpus / "documents/web"), experiment=experiment).documents == 1


@pytest.mark.parametrize("experiment", ["q", "documents", "attributes"])
def test_attributes_are_no_documents_wherever_they_lie(
    corpus: Path, write_documents: WriteDocuments, experiment: str
) -> None:
    for name in ("n/documents/c.jsonl", "n/documents/old/documents/c.jsonl",
                 "n/documents/attributes/c.jsonl"):  # fmt: skip
        write_documents(corpus / name, [{"id": name, "text": "x"}])
    for again in (experiment, "second"):
        assert run("n", experiment=again).documents == 3
        assert run("n/documents", experiment=again).units_skipped == 3
    made = [name for name in outputs(corpus / "n") if name.endswith(".parquet")]
    assert sorted(made) == sorted(
        f"{place}attributes/{name}/{tree}.parquet"
        for name in (experiment, "second")
        for place, tree in (("", "c"), ("", "attributes/c"), ("documents/old/", "c"))
    )


def test_the_working_directory_is_a_folder_too(corpus: Path, monkeypatch: Any) -> None:
    assert run(".").documents == 12
    monkeypatch.chdir(corpus / "wiki")
    assert run(".", experiment="r").documents == 5
    assert Path("attributes/r/c.parquet").is_file()


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_ids_are_carried_as_they_are(
    corpus: Path, write_documents: WriteDocuments, format: str
) -> None:
    ids = ["same", "same", "", "a\nb\r\u2028", '"q",\\', "😀", "\x00", "i" * 1_000_000]
    write_documents(corpus / "i/documents/i.jsonl", [{"id": i, "text": i} for i in ids])
    run("i", taggers=["char_length_v1"], format=format)
    (path,) = (corpus / "i/attributes/q").glob("i.*")
    if format == "parquet":
        table = pq.read_table(path)
        assert table["id"].to_pylist() == ids
        assert table["q__char_length_v1__length"].to_pylist() == [len(i) for i in ids]
    else:
        lines = gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
        assert [json.loads(line)["id"] for line in lines] == ids


def test_a_folder_that_cannot_be_written_to_is_named(corpus: Path) -> None:
    Path("wiki/attributes").write_bytes(b"a file where the folder should be")
    with pytest.raises(ConfigError, match="cannot write to wiki/attributes/q"):
        run("wiki")
    with pytest.raises(ConfigError, match="cannot write to wiki/attributes/q"):
        run()
    assert not outputs().keys() - {"wiki/attributes"}


def test_the_struct_and_the_keys_are_one_call(corpus: Path) -> None:
    settings = config.build(
        Tag, {"documents": ["wiki"], "taggers": TAGGERS, "experiment": "q", "workers": 1}
    )
    tag(settings)
    assert run("wiki").units_skipped == 1
