"""Attributes from one format to the other and back: nothing is lost, and they stay bound."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dolma_kit import ledger
from dolma_kit.conversion import convert
from dolma_kit.errors import ConfigError, DolmaKitError, VerificationError
from dolma_kit.tagging import tag

from .conftest import WriteDocuments

TEXTS = [
    "Write to jane@example.com or 10.0.0.25 now, please.",
    "",
    " \n\t",
    "é中😀 206-555-0100 \u2028 end.\nEnable javascript {",
]
TAGGERS = ["language_en_v1", "gopher_v2", "c4_v2", "pii_regex_with_counts_fast_v2"]


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    for part in range(2):
        rows = [{"id": f"{part}{i}", "text": t, "source": "s"} for i, t in enumerate(TEXTS)]
        write_documents(tmp_path / f"web/documents/sub/{part}.jsonl.gz", rows)
    return tmp_path


def run(**keys: Any) -> Any:
    return convert(**{"documents": ["web"], "workers": 1, "quiet": True, **keys})


def tagged(**keys: Any) -> None:
    defaults = {"documents": ["web"], "taggers": TAGGERS, "workers": 1, "quiet": True}
    tag(**defaults, **keys)


def files_of(experiment: str) -> dict[str, bytes]:
    folder = Path("web/attributes") / experiment
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ledger.FOLDER not in path.parts
    }


def test_from_parquet_to_jsonl_and_back_nothing_is_lost(corpus: Path) -> None:
    tagged(experiment="q")
    there = run(experiment="q", format="jsonl")
    back = run(experiment="q_jsonl", format="parquet", to="back")
    assert sorted(files_of("q_jsonl")) == ["sub/0.jsonl.gz", "sub/1.jsonl.gz"]
    assert (there.documents, back.documents) == (8, 8)
    assert (there.command, there.outputs) == ("attributes convert", ["web/attributes/q_jsonl"])
    for name in ("sub/0.parquet", "sub/1.parquet"):
        first = pq.read_table(f"web/attributes/q/{name}")
        again = pq.read_table(f"web/attributes/back/{name}")
        assert again.schema.remove_metadata() == first.schema.remove_metadata()
        assert again.equals(first)


def test_converted_jsonl_is_what_tag_writes(corpus: Path) -> None:
    tagged(experiment="q")
    run(experiment="q", format="jsonl", to="converted")
    tagged(experiment="written", format="jsonl")
    for name, data in files_of("converted").items():
        expected = gzip.decompress(files_of("written")[name]).replace(b'"written__', b'"q__')
        assert gzip.decompress(data) == expected


def test_dolmas_own_jsonl_takes_kinds_from_the_registry(
    corpus: Path, write_documents: WriteDocuments
) -> None:
    """Without a ledger: a known tagger's key has its kind, any other key is spans."""
    prefix = "d__pii_regex_with_counts_fast_v2__"
    for part in range(2):
        write_documents(
            corpus / f"web/attributes/d/sub/{part}.jsonl.gz",
            [
                {
                    "id": f"{part}0",
                    "attributes": {
                        f"{prefix}doc_count": [[0, 51, 2.0]],
                        f"{prefix}EMAIL_ADDRESS": [[8, 26, 1.0]],
                        "d__their_own__key": [[0, 51, 0.25]],
                    },
                    "source": "s",
                },
                {"id": f"{part}1", "attributes": {}, "source": "s"},
                {"id": f"{part}2", "attributes": {"dup_fraction": [[0, 3, 0.5]]}, "source": "s"},
                {"id": f"{part}3", "attributes": {}},
            ],
        )
    run(experiment="d", format="parquet")
    rows = pq.read_table("web/attributes/d_parquet/sub/1.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["10", "11", "12", "13"]
    assert rows[0] == {
        "id": "10",
        f"{prefix}doc_count": 2.0,
        f"{prefix}EMAIL_ADDRESS": [{"start": 8, "end": 26, "score": 1.0}],
        "d__their_own__key": [{"start": 0, "end": 51, "score": 0.25}],
        "dup_fraction": None,
    }
    assert rows[1] == {
        "id": "11",
        f"{prefix}doc_count": None,
        f"{prefix}EMAIL_ADDRESS": [],
        "d__their_own__key": [],
        "dup_fraction": None,
    }
    assert rows[2]["dup_fraction"] == 0.5
    run(experiment="d_parquet", format="jsonl", to="again")
    for name, data in files_of("again").items():
        theirs = gzip.decompress(files_of("d")[name]).splitlines()
        ours = gzip.decompress(data).splitlines()
        for a, b in zip(theirs, ours, strict=True):
            assert {"source": "s"} | json.loads(a) == json.loads(b)


@pytest.mark.parametrize("fault", ["missing", "short", "long", "other ids", "no json"])
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_attributes_that_do_not_belong_leave_nothing_under_its_name(
    corpus: Path, fault: str, format: str
) -> None:
    tagged(experiment="q", format="jsonl")
    path = corpus / "web/attributes/q/sub/1.jsonl.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    changed = {
        "missing": None,
        "short": rows[:-1],
        "long": [*rows, rows[-1]],
        "other ids": [rows[1], rows[0], *rows[2:]],
        "no json": [rows[0], b"{\n", *rows[2:]],
    }[fault]
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(gzip.compress(b"".join(changed)))
    with pytest.raises(DolmaKitError, match=r"1\.jsonl") as caught:
        run(experiment="q", format=format, to="c")
    assert caught.value.exit_code == 1
    assert isinstance(caught.value, VerificationError) == (fault != "no json")
    assert not any("1." in name for name in files_of("c"))
    assert not list(corpus.rglob("*.tmp"))


def test_limit_converts_the_first_documents(corpus: Path) -> None:
    tagged(experiment="q")
    summary = run(experiment="q", format="jsonl", limit=5)
    counts = [len(gzip.decompress(data).splitlines()) for data in files_of("q_jsonl").values()]
    assert (counts, summary.documents, summary.partial) == ([4, 1], 5, True)


def test_running_again_does_nothing(corpus: Path) -> None:
    tagged(experiment="q")
    run(experiment="q", format="jsonl")
    before = files_of("q_jsonl")
    assert run(experiment="q", format="jsonl").units_skipped == 2
    assert files_of("q_jsonl") == before


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"to": "q"}, "write to another folder"),
        ({"to": "a/b"}, "cannot name a folder"),
        ({"documents": []}, "no documents"),
        ({"documents": ["nowhere"]}, "no documents match"),
    ],
)
def test_a_wrong_request_is_refused(corpus: Path, keys: dict[str, Any], message: str) -> None:
    tagged(experiment="q")
    with pytest.raises(ConfigError, match=message):
        run(**{"experiment": "q", "format": "jsonl", **keys})


def test_files_outside_documents(corpus: Path, write_documents: WriteDocuments) -> None:
    write_documents(corpus / "loose/x.jsonl", [{"id": "a", "text": TEXTS[0]}])
    keys = {"documents": ["loose/x.jsonl"], "attributes": "out"}
    tag(**keys, taggers=TAGGERS, experiment="q", workers=1, quiet=True)  # type: ignore[arg-type]
    run(**keys, experiment="q", format="jsonl")
    assert Path("out/q_jsonl/x.jsonl.gz").is_file()
