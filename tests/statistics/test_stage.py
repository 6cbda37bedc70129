"""The stage: the same bytes however it is run, nothing read twice, bad input, what is refused."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from dolma_kit import decoding, files
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.execute import running
from dolma_kit.execute.ray import RayEngine
from dolma_kit.statistics.stage import stats
from tests.conftest import RunCommand
from tests.killed import everything

from . import corpus as corpora
from .corpus import write_attributes, write_documents, write_jsonl_attributes

ROOT = Path(__file__).parents[2]
QUIET: dict[str, Any] = {"workers": 1, "quiet": True}
ALL = ["summary", "lengths", "urls", "dates", "languages", "licenses", "ngrams", "duplicates",
       "pii", "toxicity", "contamination", "attributes", "overlap"]  # fmt: skip
#: what needs no attributes
PLAIN = [name for name in ALL if name not in ("toxicity", "contamination", "attributes")]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The corpus of `corpus.build`, relative to where the process is."""
    monkeypatch.chdir(tmp_path)
    corpora.build(tmp_path)
    corpora.write_lexicon(tmp_path / "words.tsv")
    return tmp_path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of ten documents."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        add(tmp_path, name)
    return tmp_path


def add(folder: Path, name: str, source: str = "web", n: int = 10) -> Path:
    path = folder / source / f"documents/{name}.jsonl"
    rows = [
        {"id": f"{name}{i}", "text": f"{name} says {i % 4} times more\nand ends", "source": source,
         "metadata": {"url": f"https://{name}{i % 3}.example.org/"}}
        for i in range(n)
    ]  # fmt: skip
    write_documents(path, rows)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files of documents that were read, each time that one was."""
    found: list[str] = []
    init = decoding.Pieces.__init__

    def noted(self: decoding.Pieces, source: decoding.Source) -> None:
        found.append(Path(source.path).name)
        init(self, source)

    monkeypatch.setattr(decoding.Pieces, "__init__", noted)
    return found


def measure(out: str, *documents: str, names: list[str] = PLAIN, **keys: Any) -> Any:
    return stats(names=names, documents=list(documents) or ["web"], out=out, **(QUIET | keys))


def reason_of(kind: type[Exception], *arguments: Any, **keys: Any) -> str:
    with pytest.raises(kind) as caught:
        measure(*arguments, **keys)
    return str(caught.value)


# The same bytes


def test_the_same_bytes_however_it_is_run(corpus: Path, ray_cluster: RayEngine) -> None:
    keys: dict[str, Any] = {"names": ALL, "lexicon": "words.tsv", "sample": 5, "quiet": True}
    documents = ["web", "books"]
    stats(documents=documents, out="one", workers=1, **keys)
    expected = everything(corpus / "one")
    assert len(expected) > len(ALL) * (3 + 4)  # whole and answer, twice, and four partials
    stats(documents=documents, out="two", workers=2, **keys)
    stats(documents=documents, out="ray", engine=ray_cluster, **keys)
    for shard in ("0/2", "1/2"):
        part = stats(documents=documents, out="parts", shard=shard, workers=1, **keys)
        assert (part.summary.complete, part.answers) == (False, {})
    whole = stats(documents=documents, out="parts", workers=1, **keys)
    assert whole.summary.units_skipped == len(ALL) * 4
    for folder in ("two", "ray", "parts"):
        assert everything(corpus / folder) == expected, folder


def test_a_file_that_all_workers_share(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of its pieces come from several processes, and add up in the order of the file."""
    monkeypatch.setattr(files, "READ_BYTES", 3000)
    monkeypatch.setattr(running, "SHARED_BYTES", 1)
    names = [name for name in ALL if name != "ngrams"]
    keys: dict[str, Any] = {"names": names, "documents": ["web/documents/a.jsonl"], "quiet": True}
    stats(**keys, out="one", workers=1, lexicon="words.tsv")
    shared = []
    read_shared = running.reading.read_shared
    monkeypatch.setattr(
        running.reading, "read_shared", lambda *a: shared.append(a) or read_shared(*a)
    )
    stats(**keys, out="two", workers=2, lexicon="words.tsv")
    assert len(shared) == 1
    assert everything(corpus / "two") == everything(corpus / "one")


def test_nothing_tells_where_or_when(corpus: Path) -> None:
    """No path of this machine, no name of it, no time."""
    documents = [str(corpus / "web"), str(corpus / "books")]
    lexicon = str(corpus / "words.tsv")
    stats(names=ALL, documents=documents, out=str(corpus / "out"), lexicon=lexicon, **QUIET)
    for name, data in everything(corpus / "out").items():
        if name.endswith(".parquet"):
            table = pq.read_table(corpus / "out" / name)
            data = repr((table.schema.metadata, table.to_pylist())).encode()
        for word in (str(corpus), corpus.name, f"{Path.home()}/"):
            assert word.encode() not in data, (name, word)
    answer = json.loads((corpus / "out/toxicity/answer.json").read_bytes())
    assert answer["about"]["command"] == "dolma-kit stats toxicity DOCS DOCS --lexicon words.tsv"
    shutil.move(corpus / "web", corpus / "elsewhere/web")
    shutil.move(corpus / "books", corpus / "elsewhere/books")
    moved = [str(corpus / "elsewhere/web"), str(corpus / "elsewhere/books")]
    out = str(corpus / "elsewhere/out")
    stats(names=ALL, documents=moved, out=out, lexicon=lexicon, **QUIET)
    assert everything(corpus / "elsewhere/out") == everything(corpus / "out")


# What is read, and how often


def test_each_file_is_read_once_for_all_statistics(small: Path, read: list[str]) -> None:
    found = measure("out", names=[name for name in PLAIN if name != "ngrams"])
    assert sorted(read) == ["a.jsonl", "b.jsonl"]
    n_bytes = sum(path.stat().st_size for path in small.glob("web/documents/*"))
    assert (found.summary.documents, found.summary.bytes_in) == (20, n_bytes)


def test_a_second_run_reads_nothing(small: Path, read: list[str]) -> None:
    first = measure("out")
    before = everything(small / "out")
    read.clear()
    again = measure("out")
    assert read == []
    assert again.summary.units_skipped == 2 * len(PLAIN)
    assert (again.answers, again.texts) == (first.answers, first.texts)
    assert everything(small / "out") == before


def test_other_statistics_join_later(small: Path, read: list[str]) -> None:
    measure("out", names=["summary"])
    measure("out", names=["summary", "urls", "lengths"])
    assert sorted(read) == ["a.jsonl", "a.jsonl", "b.jsonl", "b.jsonl"]
    measure("fresh", names=["urls", "lengths", "summary"])
    found = everything(small / "out")
    assert found == everything(small / "fresh")


@pytest.mark.parametrize("source", ["web", "books"])
def test_a_corpus_that_has_grown(small: Path, read: list[str], source: str) -> None:
    """Only the new file is read, and it is as if all had been measured at once."""
    measure("out", ".")
    add(small, "c", source)
    read.clear()
    grown = measure("out", ".")
    assert set(read) == {"c.jsonl"}
    assert grown.summary.units_skipped == 2 * len(PLAIN)
    assert grown.summary.documents == 30
    fresh = measure("fresh", ".")
    assert grown.answers == fresh.answers
    assert everything(small / "out") == everything(small / "fresh")


def test_a_file_that_has_changed_is_measured_again(small: Path, read: list[str]) -> None:
    measure("out")
    add(small, "b", n=7)
    read.clear()
    again = measure("out")
    assert set(read) == {"b.jsonl"}
    assert again.summary.documents == 17
    assert again.answers == measure("fresh").answers
    assert everything(small / "out") == everything(small / "fresh")


def test_a_file_that_is_gone_does_not_count(small: Path) -> None:
    measure("out")
    (small / "web/documents/a.jsonl").unlink()
    again = measure("out")
    assert again.answers == measure("fresh").answers
    assert again.answers["summary"].about.files == ["documents/b.jsonl"]


def test_attributes_that_have_changed_are_read_again(small: Path) -> None:
    ids = {name: [f"{name}{i}" for i in range(10)] for name in ("a", "b")}
    for name in ids:
        write_attributes(
            small / f"web/attributes/q/{name}.parquet", ids[name], {"q__t__x": [1.0] * 10}
        )
    first = measure("out", names=["attributes"])
    assert first.answers["attributes"].columns["q__t__x"].values.mean == 1.0
    write_attributes(small / "web/attributes/q/b.parquet", ids["b"], {"q__t__x": [3.0] * 10})
    again = measure("out", names=["attributes"])
    assert again.summary.units_skipped == 1
    assert again.answers["attributes"].columns["q__t__x"].values.mean == 2.0


def test_attributes_that_came_later(small: Path) -> None:
    """In one process, too: that there were none is not remembered."""
    assert "have no attributes" in reason_of(ConfigError, "out", names=["attributes"])
    assert measure("out", names=["languages"]).answers["languages"].by == "language_v1"
    for name in ("a", "b"):
        columns = {"l__language_v1__en": [0.9] * 10}
        ids = [f"{name}{i}" for i in range(10)]
        write_attributes(small / f"web/attributes/l/{name}.parquet", ids, columns)
    assert measure("out", names=["attributes"]).answers["attributes"].columns
    found = measure("fresh", names=["languages"])
    assert found.answers["languages"].by == "attributes l__language_v1"


@pytest.mark.parametrize(
    ("names", "before", "after", "key"),
    [
        (["ngrams"], {"n": [1, 2]}, {"n": [1, 3]}, "lengths"),
        (["ngrams"], {}, {"capacity": 100}, "capacity"),
        (["urls"], {}, {"url_key": ["url"]}, "keys"),
        (["dates"], {}, {"date_key": ["added"]}, "keys"),
        (["licenses"], {}, {"license_key": ["license"]}, "keys"),
        (["duplicates"], {}, {"separator": "\n\n"}, "separator"),
        (["duplicates"], {}, {"max_keys": 3}, "max_keys"),
        (["overlap"], {}, {"separator": " "}, "separator"),
        (["pii"], {}, {"pii_tagger": "pii_regex_v1"}, "tagger"),
        (["pii"], {}, {"sample": 5}, "sample"),
        (["pii"], {}, {"seed": 1}, "seed"),
        (["summary"], {}, {"limit": 3}, "limit"),
        (["summary"], {}, {"id_key": "text", "text_key": "id"}, "id_key"),
    ],
)  # fmt: skip
def test_what_decides_is_not_mixed(
    small: Path, names: list[str], before: dict[str, Any], after: dict[str, Any], key: str
) -> None:
    measure("out", names=names, **before)
    kept = everything(small / "out")
    said = reason_of(ConfigError, "out", names=names, **after)
    assert f"out/{names[0]} was made by another config: {key}" in said
    assert "--overwrite to replace it" in said
    assert everything(small / "out") == kept
    replaced = measure("out", names=names, **after, overwrite=True)
    assert replaced.answers == measure("fresh", names=names, **after).answers


def test_other_settings_ask_again_without_reading(small: Path, read: list[str]) -> None:
    measure("out")
    sheet = small / "out/pii/sheet.csv"
    sheet.write_text("kind,id,start,end,correct\nEMAIL_ADDRESS,a0,0,1,y\n")
    read.clear()
    again = measure("out", top=1, judged=[str(sheet)])
    assert read == []
    assert again.summary.units_skipped == 2 * len(PLAIN)
    assert len(again.answers["urls"].levels["host"].by_documents) == 1
    assert len(again.answers["ngrams"].lengths["1"].most) == 1
    assert again.answers["pii"].kinds["EMAIL_ADDRESS"].precision.judged == 1
    fresh = measure("fresh", top=1, judged=[str(sheet)])
    assert fresh.answers == again.answers


def test_judgements_are_not_written_over(small: Path) -> None:
    path = small / "web/documents/a.jsonl"
    write_documents(path, [{"id": f"a{i}", "text": f"mail a{i}@b.de !\n"} for i in range(3)])
    measure("out", names=["pii"])
    sheet = small / "out/pii/sheet.csv"
    blank = sheet.read_text()
    assert blank.count("EMAIL_ADDRESS") == 3
    sheet.write_text(blank.replace(",\n", ",y\n", 1).replace("!,\n", "!,n\n"))
    filled = sheet.read_text()
    again = measure("out", names=["pii"], judged=[str(sheet)])
    assert sheet.read_text() == filled != blank
    assert again.answers["pii"].kinds["EMAIL_ADDRESS"].precision.judged >= 1
    sheet.write_text(blank)
    write_documents(path, [{"id": "a9", "text": "mail a9@b.de !\n"}])
    measure("out", names=["pii"])
    assert sheet.read_text().count("EMAIL_ADDRESS") == 1


def test_more_of_the_most_common_are_looked_up(small: Path) -> None:
    measure("out", names=["ngrams"], top=2)
    more = measure("out", names=["ngrams"], top=30)
    assert more.answers == measure("fresh", names=["ngrams"], top=30).answers
    assert everything(small / "out") == everything(small / "fresh")


KILLED = """
import os, signal, sys
from dolma_kit.statistics.stage import stats

replace, n = os.replace, 0

def replace_or_die(source, target):
    global n
    n += 1
    if n == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = replace_or_die
names = ["summary", "urls", "ngrams", "duplicates", "pii"]
stats(names=names, documents=["web"], out="out", workers=1, quiet=True)
"""


def test_a_killed_run_goes_on(small: Path) -> None:
    names = ["summary", "urls", "ngrams", "duplicates", "pii"]
    for i in range(6):
        add(small, f"c{i}")
    measure("calm", names=names)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "25"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert not (small / "out/summary/answer.json").exists()
    found = measure("out", names=names)
    assert found.summary.units_skipped >= 15
    assert everything(small / "out") == everything(small / "calm")


# Less than all, and bad input


def test_a_limit(small: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("stats", "summary,ngrams", "web", "--limit", 13, "--quiet", "--workers", 1)
    assert answer.json["partial"] is True
    assert answer.json["documents"] == 13
    found = measure("out", names=["summary", "lengths"], limit=13)
    assert found.summary.partial
    assert found.answers["summary"].total.amount.documents == 13
    assert found.answers["summary"].about.n_documents == 13
    assert "--limit 13" in found.answers["summary"].about.command
    rows = pq.read_table("out/summary/sources.parquet").to_pylist()
    assert [row["documents"] for row in rows] == [13]


def test_a_limit_leaves_attributes_that_go_on(small: Path) -> None:
    for name in ("a", "b"):
        ids = [f"{name}{i}" for i in range(10)]
        write_attributes(small / f"web/attributes/q/{name}.parquet", ids, {"q__t__x": [1.0] * 10})
    found = measure("out", names=["attributes"], limit=13)
    assert found.answers["attributes"].columns["q__t__x"].values.n == 13


def spoil(path: Path) -> None:
    """Put a line that is no document between two that are."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"id": "x", "text": 3}\n' + b"".join(lines[1:]))


def test_a_bad_line_stops(small: Path, dolma_kit: RunCommand) -> None:
    spoil(small / "web/documents/b.jsonl")
    answer = dolma_kit("stats", "summary,urls", "web", "--out", "out", "--workers", 1, "--quiet")
    assert answer.code == 1
    assert "web/documents/b.jsonl:2: " in answer.err
    assert answer.out == ""


def test_a_bad_line_is_set_aside(small: Path, dolma_kit: RunCommand) -> None:
    spoil(small / "web/documents/b.jsonl")
    names = ["summary", "lengths", "ngrams", "duplicates"]
    answer = dolma_kit(
        "stats", ",".join(names), "web", "--out", "out", "--on-error", "quarantine",
        "--workers", 1, "--quiet",
    )  # fmt: skip
    assert (answer.code, answer.json["quarantined"], answer.json["documents"]) == (0, 1, 20)
    (fault,) = [
        json.loads(line)
        for path in small.glob("out/quarantine/**/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert (fault["file"], fault["line"]) == ("documents/b.jsonl", 2)
    found = json.loads((small / "out/summary/answer.json").read_bytes())
    assert found["total"]["amount"]["documents"] == 20
    kept = everything(small / "out")
    for keys in ({"workers": 2}, {}):
        measure(f"o{len(keys)}", names=names, on_error="quarantine", **keys)
        assert everything(small / f"o{len(keys)}") == kept
    for shard in ("0/2", "1/2"):
        measure("parts", names=names, on_error="quarantine", shard=shard)
    measure("parts", names=names, on_error="quarantine")
    assert everything(small / "parts") == kept
    # Who does not say so any more is told of it.
    assert "b.jsonl:2" in reason_of(DataError, "out", names=names)


def test_statistics_that_join_later_set_aside_the_same(small: Path) -> None:
    spoil(small / "web/documents/b.jsonl")
    keys: dict[str, Any] = {"on_error": "quarantine"}
    for names in (["summary"], ["urls"], ["urls", "summary"], ["lengths", "urls"]):
        found = measure("out", names=names, **keys)
        assert (found.summary.quarantined, found.summary.documents) == (1, 20), names
    assert len(list(small.glob("out/quarantine/**/*.jsonl"))) == 1


def test_attributes_beside_a_bad_line(small: Path) -> None:
    """Attributes have a row of each document that can be read."""
    path = small / "web/documents/b.jsonl"
    for name in ("a", "b"):
        ids = [f"{name}{i}" for i in range(10)]
        columns = {"q__t__x": [float(i) for i in range(10)]}
        write_attributes(small / f"web/attributes/q/{name}.parquet", ids, columns)
    spoil(path)
    found = measure("out", names=["attributes", "summary"], on_error="quarantine")
    assert found.answers["attributes"].columns["q__t__x"].values.n == 20
    assert found.answers["attributes"].columns["q__t__x"].missing == 0


def test_a_broken_file(small: Path) -> None:
    whole = gzip.compress((small / "web/documents/a.jsonl").read_bytes())
    (small / "web/documents/z.jsonl.gz").write_bytes(whole[:-9])
    names = [name for name in PLAIN if name != "languages"]
    assert "z.jsonl.gz" in reason_of(DataError, "out", names=names)
    found = measure("out", names=names, on_error="quarantine")
    assert (found.summary.quarantined, found.summary.documents) == (1, 20)
    assert found.answers["summary"].total.amount.documents == 20
    (fault,) = (small / "out/quarantine/stats/z.jsonl").read_text().splitlines()
    assert json.loads(fault)["line"] is None
    measure("again", names=names, on_error="quarantine", workers=2)
    assert everything(small / "again") == everything(small / "out")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_file_without_documents(small: Path, text: str) -> None:
    expected = measure("without").answers
    (small / "web/documents/0.jsonl").write_text(text)
    found = measure("with").answers
    for name in PLAIN:
        mine, theirs = (msgspec.to_builtins(one[name]) for one in (found, expected))
        assert mine.pop("about")["files"][0] == "documents/0.jsonl"
        theirs.pop("about")
        assert mine == theirs, name


def test_no_documents_at_all(tmp_path: Path) -> None:
    path = tmp_path / "web/documents/a.jsonl"
    write_documents(path, [])
    found = measure(str(tmp_path / "out"), str(path))
    assert found.summary.documents == 0
    assert found.answers["summary"].total.amount.documents == 0
    assert found.answers["ngrams"].lengths["1"].most == []
    assert found.answers["duplicates"].kinds["text"].rate == 0


# Where documents and attributes lie


def test_documents_outside_of_documents(small: Path) -> None:
    (small / "loose").mkdir()
    shutil.copy(small / "web/documents/a.jsonl", small / "loose/a.jsonl")
    found = measure("out", "loose/a.jsonl", names=["summary", "languages"])
    assert found.answers["summary"].about.files == ["a.jsonl"]
    assert found.answers["summary"].total.amount.documents == 10
    ids = [f"a{i}" for i in range(10)]
    write_attributes(small / "beside/q/a.parquet", ids, {"q__t__x": [2.0] * 10})
    found = measure("of", "loose/a.jsonl", names=["attributes"], attributes="beside")
    assert found.answers["attributes"].columns["q__t__x"].values.n == 10


def test_attributes_in_dolmas_form(small: Path) -> None:
    """Of another tool, with no ledger: kinds are those of our taggers of that name, or spans."""
    for name in ("a", "b"):
        ids = [f"{name}{i}" for i in range(10)]
        columns = {
            "p__pii_regex_v2__EMAIL_ADDRESS": [[(0, 2, 1.0)] if i == 3 else [] for i in range(10)],
            "p__language_v1__en": [0.75] * 10,
            "p__theirs__words": [[(0, 1, 5.0), (1, 3, 7.0)]] * 10,
        }
        write_jsonl_attributes(
            small / f"web/attributes/p/{name}.jsonl.gz", ids, ["text"] * 10, columns,
            {"p__pii_regex_v2__EMAIL_ADDRESS", "p__theirs__words"},
        )  # fmt: skip
    found = measure("out", names=["attributes", "pii", "languages"]).answers
    columns = found["attributes"].columns
    assert {name: column.kind for name, column in columns.items()} == {
        "p__pii_regex_v2__EMAIL_ADDRESS": "spans", "p__language_v1__en": "score",
        "p__theirs__words": "spans",
    }  # fmt: skip
    assert columns["p__theirs__words"].values.n == 40
    assert found["pii"].kinds["EMAIL_ADDRESS"].hits == 2
    assert found["pii"].missing_rate == 0
    assert found["languages"].languages["en"].documents == 20


def test_jsonl_attributes_without_any_span_are_attributes(small: Path) -> None:
    """Dolma leaves out a key without spans: such documents were looked at, and have nothing."""
    for name, hits in (("a", [(0, 2, 1.0)]), ("b", [])):
        ids = [f"{name}{i}" for i in range(10)]
        write_jsonl_attributes(
            small / f"web/attributes/p/{name}.jsonl.gz", ids, ["text"] * 10,
            {"p__pii_regex_v2__EMAIL_ADDRESS": [hits] * 10}, {"p__pii_regex_v2__EMAIL_ADDRESS"},
        )  # fmt: skip
    found = measure("out", names=["pii", "attributes"]).answers
    assert (found["pii"].total.missing, found["pii"].kinds["EMAIL_ADDRESS"].documents) == (0, 10)
    column = found["attributes"].columns["p__pii_regex_v2__EMAIL_ADDRESS"]
    assert (column.missing, column.with_spans) == (0, 10)


TEN = [f"a{i}" for i in range(10)]
READERS = ["attributes", "languages", "pii", "toxicity", "licenses", "contamination"]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (TEN[:9], "has 9 rows, .* has more documents"),
        ([*TEN, "a10"], "has more than the 10 rows"),
        ([*TEN[:9], "z"], "row 10 is of document 'z'"),
        ([], "has 0 rows"),
    ],
)
@pytest.mark.parametrize(
    ("name", "form"), [*((name, "parquet") for name in READERS), ("attributes", "jsonl")]
)
def test_attributes_of_other_documents(
    small: Path, form: str, ids: list[str], said: str, name: str
) -> None:
    columns: dict[str, Any] = {
        "q__language_v1__en": [0.5] * len(ids),
        "q__pii_regex_v2__EMAIL_ADDRESS": [[(0, 1, 1.0)]] * len(ids),
        "q__cc_re__cc_by": [[(0, 1, 1.0)]] * len(ids),
        "q__jigsaw_x__hate": [[(0, 1, 1.0)]] * len(ids),
        "q_contaminated": [0.0] * len(ids),
    }
    spans = {key for key, values in columns.items() if values and isinstance(values[0], list)}
    whole = {key: [values[0] if values else None] * 10 for key, values in columns.items()}
    if not ids:
        spans = {"q__pii_regex_v2__EMAIL_ADDRESS", "q__cc_re__cc_by", "q__jigsaw_x__hate"}
        whole = {key: [[] if key in spans else None] * 10 for key in columns}
    path = small / "web/attributes/q"
    write_attributes(path / "b.parquet", [f"b{i}" for i in range(10)], whole, spans)
    if form == "parquet":
        write_attributes(path / "a.parquet", ids, columns, spans)
    else:
        write_jsonl_attributes(path / "a.jsonl.gz", ids, ["x"] * len(ids), columns, spans)
    with pytest.raises(VerificationError, match=said):
        measure("out", names=[name])
    assert not (small / f"out/{name}/answer.json").exists()


# The command


def stop(small: Path, dolma_kit: RunCommand, *arguments: object) -> tuple[int, str]:
    answer = dolma_kit("stats", *arguments)
    assert answer.out == ""
    assert "Traceback" not in answer.err
    return answer.code, answer.err


def test_the_last_line_is_the_summary(small: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("stats", "summary,urls", "web", "--out", "out", "--quiet", "--workers", 1)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "summary"
    assert "urls" in lines
    assert answer.out.count("{") == answer.json.__repr__().count("{")
    assert answer.json["command"] == "stats"
    assert answer.json["outputs"] == ["out"]
    expected = [Path(f"out/{name}/answer.txt").read_text() for name in ("summary", "urls")]
    assert all(text in answer.out for text in expected)


def test_json_is_one_line(small: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit(
        "stats", "summary,lengths,ngrams", "web", "--json", "--out", "out", "--quiet",
        "--workers", 1,
    )  # fmt: skip
    assert answer.out.count("\n") == 1
    assert answer.out.endswith("}\n")
    assert answer.json["documents"] == 20
    assert list(answer.json["statistics"]) == ["summary", "lengths", "ngrams"]
    for name, found in answer.json["statistics"].items():
        assert found == json.loads(Path(f"out/{name}/answer.json").read_bytes())


def test_the_order_of_names_is_that_of_answers(small: Path, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("stats", "urls,summary,urls", "web", "--json", "--quiet", "--workers", 1)
    assert list(answer.json["statistics"]) == ["urls", "summary"]


def test_a_config(small: Path, dolma_kit: RunCommand) -> None:
    Path("c.yaml").write_text(
        "names: [summary, ngrams]\ndocuments: [web]\nn: [1, 4]\ntop: 3\nworkers: 1\nquiet: true\n"
    )
    of_file = dolma_kit("stats", "-c", "c.yaml", "--json")
    of_flags = dolma_kit(
        "stats", "summary,ngrams", "web", "--n", "1,4", "--top", 3, "--json", "--quiet",
        "--workers", 1,
    )  # fmt: skip
    assert (of_file.code, of_flags.code) == (0, 0)
    assert of_file.json == of_flags.json
    flags_win = dolma_kit("stats", "-c", "c.yaml", "--json", "--n", 2)
    assert list(flags_win.json["statistics"]["ngrams"]["lengths"]) == ["2"]
    Path("d.yaml").write_text("names: [summary]\ndocument: [web]\n")
    code, said = stop(small, dolma_kit, "-c", "d.yaml")
    assert code == 2
    assert "unknown key 'document'; did you mean 'documents'" in said


def test_a_dry_run_measures_nothing(small: Path, dolma_kit: RunCommand, read: list[str]) -> None:
    answer = dolma_kit("stats", "summary,urls", "web", "--out", "out", "--dry-run")
    assert answer.code == 0
    assert '"names": [' in answer.out
    assert "stats summary: into out/summary" in answer.out
    assert "stats urls: into out/urls" in answer.out
    assert read == []
    assert not Path("out").exists()
    for name in ("overlap", "compare"):
        measure(f"of-{name}", names=["overlap", "summary"])
        answer = dolma_kit("stats", name, "web", f"of-{name}", "--out", "out", "--dry-run")
        assert answer.code == 0, answer.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sumary", "web"], "no statistic 'sumary'; did you mean 'summary'?"),
        (["summary,xyz", "web"], "no statistic 'xyz'; there are summary, lengths, urls"),
        (["", "web"], "no statistics: name some of summary"),
        ([], "no statistics: name some of summary"),
        (["summary"], "no documents: give files, folders"),
        (["summary", "nowhere"], "no documents match 'nowhere'"),
        (["toxicity", "web"], "or give a --lexicon"),
        (["toxicity", "web", "--columns", "x*"], "none of x* attributes"),
        (["attributes", "web"], "the documents have no attributes"),
        (["attributes", "web", "--columns", "x*"], "no columns like x*"),
        (["contamination", "web"], "run dolma-kit decontaminate"),
        (["languages", "web", "--experiments", "none"], "no document has attributes 'none'"),
        (["pii", "web", "--experiments", "none"], "no document has attributes 'none'"),
        (["pii", "web", "--pii-tagger", "pii_regex_v9"], "pii_regex_v9"),
        (["pii", "web", "--pii-tagger", "char_length_v1"], "it finds no spans"),
        (["lengths", "web", "--plot"], "--plot without --out: give --out DIR"),
        (["summary", "web", "--shard", "0/2"], "--shard without --out"),
        (["summary", "web", "--shard", "2/2", "--out", "out"], "I of I/N goes from 0 to N-1"),
        (["summary", "web", "--tokens", "nope"], "--tokens nope: no such folder"),
        (["summary", "web", "--tokens", "web"], "neither part-*.docs.parquet nor"),
        (["summary", "web", "--tokens", "web", "--tokenizer", "t"], "leave one of them out"),
        (["summary", "web", "--tokenizer", "nope.json"], "nope.json"),
        (["ngrams", "web", "--n", "0"], "n"),
        (["ngrams", "web", "--n", "x"], "--n x: numbers, with commas between"),
        (["ngrams", "web", "--top", "0"], "top"),
        (["ngrams", "web", "--unit", "tokens"], "--unit tokens: give the --tokenizer"),
        (["ngrams", "web", "--unit", "letters"], "letters"),
        (["urls", "web", "--url-key", "text.x"], "--url-key 'text.x': a field of documents"),
        (["dates", "web", "--date-key", "metadata..x"], "--date-key 'metadata..x'"),
        (["duplicates", "web", "--separator", ""], "separator"),
        (["compare", "web"], "compare compares corpora: dolma-kit stats compare A B"),
        (["compare", "web", "web", "web"], "compare compares corpora"),
        (["summary,compare", "web", "web"], "stands alone"),
        (["overlap", "web", "web", "--shard", "0/2", "--out", "out"], "--shard with overlap"),
        (["pii", "web", "--seed", "-1"], "seed"),
        (["pii", "web", "--seed", str(1 << 64)], "seed"),
    ],
)
def test_what_cannot_be_asked(
    small: Path, dolma_kit: RunCommand, arguments: list[str], said: str
) -> None:
    code, found = stop(small, dolma_kit, *arguments, "--quiet", "--workers", 1)
    assert said in found.replace("\n", " ")
    assert code == 2
    assert not Path("out/summary").exists()


@pytest.mark.parametrize(
    ("content", "said", "exit_code"),
    [
        ("kind,id,start,end,correct\nIP_ADDRESS,a,0,1,maybe\n", "s.csv:2: `correct` is 'maybe'", 1),
        ("kind,id,start,end\n", "s.csv:1: is no worksheet: it has no column correct", 1),
        ("kind,id,start,end,correct\nX,a,0,1,y\nX,a,0,1,n\n", "s.csv:3: X of a is judged y and n",
         2),
        (None, "s.csv", 1),
    ],
)  # fmt: skip
def test_worksheets_that_cannot_be_read(
    small: Path, dolma_kit: RunCommand, content: str | None, said: str, exit_code: int
) -> None:
    if content is not None:
        Path("s.csv").write_text(content)
    code, found = stop(
        small, dolma_kit, "pii", "web", "--judged", "s.csv", "--quiet", "--workers", 1
    )
    assert said in found
    assert code == exit_code


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("profane damn\n", "w.tsv:1: write CATEGORY, a tab"),
        ("# only\n\n", "w.tsv: has no words"),
        ("a\tb\n\tc\n", "w.tsv:2: write CATEGORY"),
    ],
)
def test_lexicons_that_cannot_be_read(
    small: Path, dolma_kit: RunCommand, content: str, said: str
) -> None:
    Path("w.tsv").write_text(content)
    code, found = stop(
        small, dolma_kit, "toxicity", "web", "--lexicon", "w.tsv", "--quiet", "--workers", 1
    )
    assert (code, said in found) == (1, True)


# Attributes of some


@pytest.fixture
def half(small: Path) -> Path:
    """Of two files, one with attributes."""
    columns: dict[str, Any] = {
        "q__language_v1__en": [0.9] * 10,
        "q__pii_regex_v2__EMAIL_ADDRESS": [[(0, 1, 1.0)]] * 10,
        "q__jigsaw_x__hate": [[(0, 1, 1.0)]] * 10,
        "q__cc_re__cc_by": [[(0, 1, 1.0)]] * 10,
        "q_contaminated": [1.0] * 10,
    }
    spans = {name for name, values in columns.items() if isinstance(values[0], list)}
    write_attributes(small / "web/attributes/q/a.parquet", TEN, columns, spans)
    return small


@pytest.mark.parametrize("name", READERS)
def test_what_is_missing_is_told(half: Path, dolma_kit: RunCommand, name: str) -> None:
    """Never a silent zero: shares are of the documents that were looked at."""
    answer = dolma_kit("stats", name, "web", "--out", "out", "--quiet", "--workers", 1)
    assert answer.code == 0
    assert "50.00 %" in answer.out
    found = json.loads(Path(f"out/{name}/answer.json").read_bytes())
    if name == "attributes":
        for column in found["columns"].values():
            assert (column["missing"], column["missing_rate"], column["documents"]) == (10, 0.5, 20)
            assert column["values"]["n"] == 10
        return
    assert found["missing_rate"] == 0.5
    n_words = 10 * 7
    if name == "languages":
        assert (found["missing"], found["languages"]["en"]["documents"]) == (10, 10)
    elif name == "contamination":
        assert (found["missing"], found["rules"]["q"]["documents"]) == (10, 10)
    elif name in ("pii", "toxicity"):
        assert (found["total"]["missing"], found["total"]["words"]) == (10, n_words)
        (kind,) = found["kinds"].values()
        assert (kind["documents"], kind["per_million_words"]) == (10, 1e6 * 10 / n_words)


def test_a_lexicon_looks_at_documents_without_attributes(half: Path) -> None:
    """Its hits are by the words of all documents, those of the classifier by the words of those
    that have its attributes."""
    Path("w.tsv").write_text("times\ttimes\n")
    found = measure("out", names=["toxicity"], lexicon="w.tsv").answers["toxicity"]
    kinds = found.kinds
    assert kinds["times"].documents == 20
    assert kinds["times"].per_million_words == 1e6 * 20 / (20 * 7)
    assert kinds["q__jigsaw_x__hate"].per_million_words == 1e6 * 10 / (10 * 7)
    assert found.total.missing == 10


def test_several_classifiers_of_which_one_is_missing(half: Path) -> None:
    """What one of two has not looked at is no zero of it."""
    for name in ("a", "b"):
        ids = [f"{name}{i}" for i in range(10)]
        columns = {"r__jigsaw_y__nsfw": [[(0, 1, 1.0)]] * 10}
        write_attributes(half / f"web/attributes/r/{name}.parquet", ids, columns, columns)
    kinds = measure("out", names=["toxicity"]).answers["toxicity"].kinds
    assert kinds["r__jigsaw_y__nsfw"].per_million_words == 1e6 * 20 / (20 * 7)
    assert kinds["q__jigsaw_x__hate"].per_million_words == 1e6 * 10 / (10 * 7)


# Fields of other names


def test_the_url_is_the_id(small: Path) -> None:
    """A field may be the id of documents and their URL."""
    rows = [{"url": f"https://a{i}.example.org/", "content": "x y"} for i in range(3)]
    write_documents(small / "c/documents/c.jsonl", rows)
    keys = {"id_key": "url", "text_key": "content"}
    found = measure("out", "c", names=["urls", "duplicates"], **keys).answers
    assert found["urls"].states == {"url": 3}
    assert found["urls"].levels["domain"].by_documents[0].name == "example.org"
    assert found["duplicates"].kinds["url"].keys == 3


# Pictures


def test_pictures(corpus: Path) -> None:
    keys: dict[str, Any] = {"names": ["lengths", "languages"], "plot": True}
    found = stats(documents=["web", "books"], out="one", **keys, **QUIET)
    stats(documents=["web", "books"], out="two", **keys, **QUIET)
    assert found.summary.bytes_out > 10_000
    for name in ("lengths/lengths.png", "languages/languages.png"):
        data = (corpus / "one" / name).read_bytes()
        assert dimensions_of(data) > (500, 200)
        assert (corpus / "two" / name).read_bytes() == data


def dimensions_of(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG whose chunks are all whole."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, kinds, data = 8, [], b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        (crc,) = struct.unpack(">I", png[at + 8 + size : at + 12 + size])
        assert crc == zlib.crc32(kind + body)
        kinds.append(kind)
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
    width, height = struct.unpack(">II", png[16:24])
    assert len(zlib.decompress(data)) > width * height
    return width, height


def test_pictures_of_nothing(small: Path) -> None:
    write_documents(small / "c/documents/c.jsonl", [])
    measure("out", "c", names=["lengths", "languages"], plot=True)
    for name in ("lengths", "languages"):
        assert dimensions_of(Path(f"out/{name}/{name}.png").read_bytes()) > (100, 50)
