"""`dolma-kit sql`: each view against plain Python, what is refused, and the forms of an answer."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_kit import cli, files
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.statistics import sql, sql_output
from dolma_kit.statistics.sql import Sql

from ..conftest import RunCommand, WriteDocuments
from ..tokens.conftest import EOS, byte_level

Rows = list[tuple[Any, ...]]


def ask(query: str, *documents: object, **keys: Any) -> Rows:
    """The rows of an answer, JSON decoded."""
    settings = Sql(query=query, documents=[str(d) for d in documents], **keys)
    with sql.query(settings) as answer:
        return [
            tuple(json.loads(bytes(v)) if isinstance(v, msgspec.Raw) else v for v in row)
            for rows in answer.rows()
            for row in rows
        ]


# A corpus of every form, and what plain Python makes of it.

DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "a.jsonl.gz": [
        {"id": "a1", "text": "one", "source": "s", "added": "2024", "metadata": {"n": 1, "u": "é"}},
        {"id": "a2", "text": "", "metadata": None, "created": "2020-01-01"},
        {"id": "same", "text": "déjà 😀", "extra": [1, {"x": None}], "added": 5},
    ],
    "b.jsonl": [
        {"id": "same", "text": "zero \x00 and tab \t", "metadata": "words"},
        {"id": "same", "text": "again\r\nline\u2028", "source": None, "metadata": [1, 2.5]},
    ],
    "c/d.jsonl.zst": [{"id": f"d{i}", "text": "x" * i, "source": "z"} for i in range(40)],
    "e.parquet": [
        {"id": "p1", "text": "table", "source": "t", "added": "1999", "metadata": '{"n": 3}'},
        {"id": "p2", "text": "row", "source": None, "added": None, "metadata": None},
    ],
    "f.parquet": [{"id": "q1", "text": "of structs", "metadata": {"n": 4}}],
}
COLUMNS = ("id", "text", "source", "added", "created", "metadata", "file", "row", "line", "bytes")


def encoded(name: str, rows: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=i % 2 == 0).encode() for i, row in enumerate(rows)]
    if name == "a.jsonl.gz":  # two members, the first of which ends within a line
        data = b"\n".join(lines) + b"\n"
        return gzip.compress(data[:50], mtime=0) + gzip.compress(data[50:], mtime=0)
    if name == "b.jsonl":  # blank lines, \r\n, and no end of the last line
        return b"\n \r\n" + lines[0] + b"\r\n\n" + lines[1]
    return b"".join(files.compress(line + b"\n", "zst") for line in lines)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for name, rows in DOCUMENTS.items():
        path = root / "documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_bytes(encoded(name, rows))
    return root


def plainly() -> Rows:
    """The view `documents`, by nothing but json."""
    found: Rows = []
    for name in sorted(DOCUMENTS, key=str.encode):
        for i, row in enumerate(DOCUMENTS[name], 1):
            metadata = row.get("metadata")
            if name == "e.parquet" and metadata is not None:
                metadata = json.loads(metadata)
            added = row.get("added")
            found.append(
                (
                    row["id"], row["text"], row.get("source"),
                    added if added is None else str(added), row.get("created"), metadata,
                    f"documents/{name}", i, {1: 3, 2: 5}[i] if name == "b.jsonl" else i,
                    len(row["text"].encode()),
                )
            )  # fmt: skip
    return found


def test_documents_are_those_of_plain_python(corpus: Path) -> None:
    assert ask("from documents", corpus) == plainly()
    names = ask("select column_name from (describe documents)", corpus)
    assert [name for (name,) in names] == list(COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_alone_is_the_same(corpus: Path, column: str) -> None:
    assert ask(f"select {column} from documents", corpus) == [
        (row[COLUMNS.index(column)],) for row in plainly()
    ]


QUERIES = (
    "select count(*), count(text), count(metadata) from documents",
    "select documents from documents order by file, row",
    "select * exclude (text) from documents",
    "select * replace (upper(text) as text) from documents",
    "select columns('i.*') from documents",
    "select id from documents where source is null and bytes > 3",
    "select id, row_number() over (partition by source order by text) from documents order by all",
    "select file, max(text), sum(bytes) from documents group by 1 having count(*) > 1 order by 1",
    "with d as materialized (from documents) select a.id, b.text from d a, d b where a.row = b.line"
    " order by all",
    "select (select max(added) from documents e where e.source = d.source) from documents d",
    "select id from documents where exists (select 1 from documents e where e.text = id)",
    "select metadata->>'n' from documents order by text desc limit 5",
    "from documents where id in (select id from documents group by id having count(*) > 1)"
    " order by file, row",
    "select unnest(string_split(text, ' ')) from documents",
    "with recursive t(n, s) as (select 1, '' union all select n + 1, d.text from t, documents d"
    " where d.row = t.n and d.file like '%a.jsonl.gz' and n < 4) select * from t order by n",
    "summarize documents",
    "select id from documents union select source from documents order by 1",
    "select a.id from documents a left join documents b using (file, row) order by b.created, a.id",
    "pivot documents on source in ('s', 'z') using count(*) group by created order by created",
)


@pytest.mark.parametrize("query", QUERIES)
def test_columns_that_are_not_wanted_change_nothing(
    corpus: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some joins give rows in another order each time; two threads, quantiles of another estimate.
    got = sorted(ask(query, corpus, workers=1), key=repr)
    monkeypatch.setattr(sql._Work, "_scanned", lambda self, statement: None)
    assert sorted(ask(query, corpus, workers=1), key=repr) == got


@pytest.mark.parametrize("query", [q for q in QUERIES if "order by" in q])
def test_answers_are_the_same_by_one_and_two_threads(corpus: Path, query: str) -> None:
    assert ask(query, corpus, workers=1) == ask(query, corpus, workers=2)


def test_the_first_rows_are_the_corpus_first(corpus: Path) -> None:
    for workers in (1, 2):
        got = ask("select id from documents limit 7", corpus, workers=workers)
        assert got == [(row[0],) for row in plainly()[:7]]


def test_real_texts(shared_data: Path) -> None:
    path = shared_data / "corpus/wiki/documents/wiki-0000.jsonl.gz"
    texts = [json.loads(line)["text"] for line in gzip.open(path, "rb")]
    got = ask(
        "select count(*), sum(bytes), sum(strlen(text)), sum(length(text)), max(text)"
        " from documents", path
    )  # fmt: skip
    n_bytes = sum(len(text.encode()) for text in texts)
    n_characters = sum(map(len, texts))
    assert got == [(len(texts), n_bytes, n_bytes, n_characters, max(texts))]


def test_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"key":"k","added":"body","id":3,"text":[1]}\n')
    rows = ask("select id, text, added from documents", path, id_key="key", text_key="added")
    assert rows == [("k", "body", None)]


@pytest.mark.parametrize("n_bytes", [5 << 20, 20 << 20])
def test_long_lines(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"id":"a","text":"' + b"y" * n_bytes + b'"}\n{"id":"b","text":""}')
    assert ask("select id, strlen(text) from documents", path) == [("a", n_bytes), ("b", 0)]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_bytes(b"")
    assert ask("from documents", tmp_path / "none.jsonl") == []


GOOD = b'{"id":"a","text":"x"}\n'
BAD = {
    "cut": (b'{"id":"b","text":\n', ":2: Input data was truncated"),
    "two on a line": (GOOD.strip() + GOOD, ":2: JSON is malformed"),
    "over two lines": (b'{"id":"b",\n"text":"y"}\n', ":2: "),
    "words after": (b'{"id":"b","text":"y"} z\n', ":2: JSON is malformed"),
    "bytes in the text": (b'{"id":"b","text":"\xff"}\n', ":2: 'utf-8' codec"),
    "bytes elsewhere": (b'{"id":"b","text":"y","other":"\xff"}\n', ":2: 'utf-8' codec"),
    "half a pair": (b'{"id":"b","text":"\\ud800"}\n', ":2: a \\ud800-\\udfff escape"),
    "half a pair in metadata": (b'{"id":"b","text":"","metadata":"\\ud800"}\n', ":2: a \\ud800"),
    "a NUL": (b'{"id":"b","text":"\x00"}\n', ":2: JSON is malformed"),
    "no id": (b'{"text":"y"}\n', ":2: Object missing required field `id`"),
    "a number as id": (b'{"id":1,"text":"y"}\n', ":2: Expected `str`, got `int` - at `$.id`"),
    "null as text": (b'{"id":"b","text":null}\n', ":2: Expected `str`, got `null` - at `$.text`"),
    "NaN": (b'{"id":"b","text":"","metadata":NaN}\n', ":2: JSON is malformed"),
    "a comma": (b'{"id":"b","text":"",}\n', ":2: JSON is malformed: trailing comma"),
    "a list": (b"[1]\n", ":2: Expected `object`, got `array`"),
    "a mark": (b'\xef\xbb\xbf{"id":"b","text":""}\n', ":2: JSON is malformed"),
}


@pytest.mark.parametrize("query", ["select count(*) from documents", "select id from documents"])
@pytest.mark.parametrize(("line", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_an_error_that_names_it(
    tmp_path: Path, dolma_kit: RunCommand, query: str, line: bytes, reason: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(GOOD + line + GOOD)
    answer = dolma_kit("sql", query, path, "--format", "json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"dolma-kit: {path}{reason}")
    assert answer.err.count("\n") == 1


def test_of_two_equal_keys_the_last_counts_as_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id":"a","id":"b","text":"x","text":"y"}\n')
    assert ask("select id, text from documents", path) == [("b", "y")]


BROKEN = {
    "cut.jsonl.gz": gzip.compress(GOOD * 9999)[:-20],
    "sum.jsonl.gz": gzip.compress(GOOD)[:-8] + bytes(8),
    "cut.jsonl.zst": files.compress(GOOD * 9999, "zst")[:-4],
    "no.parquet": b"PAR1",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_container_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(DataError, match=name):
        ask("select count(*) from documents", tmp_path / name)


# Attributes.

SCORES = {"q__t__len": [1.0, None, 0.5], "dup": [[(0, 2, 1.0), (2, 3, 0.25)], [], [(0, 1, 2.0)]]}


def as_parquet(path: Path, ids: list[str], columns: dict[str, list[Any]]) -> None:
    spans = pa.list_(
        pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())])
    )
    arrays = {"id": pa.array(ids)}
    for name, values in columns.items():
        if name.startswith("dup"):
            lists = [
                [dict(zip(("start", "end", "score"), s, strict=True)) for s in v] for v in values
            ]
            arrays[name] = pa.array(lists, spans)
        else:
            arrays[name] = pa.array(values, pa.float64())
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path)


def as_jsonl(path: Path, ids: list[str], columns: dict[str, list[Any]]) -> None:
    lines = []
    for i, one in enumerate(ids):
        row = {
            name: values[i] if name.startswith("dup") else [[0, 9, values[i]]]
            for name, values in columns.items()
            if values[i] not in (None, [])
        }
        lines.append(json.dumps({"id": one, "attributes": row}) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(lines).encode()))


def make_attributes(
    root: Path, form: str, columns: dict[str, list[Any]], ids: list[str], experiment: str = "q",
    name: str = "a",
) -> None:  # fmt: skip
    """Attributes of a file, with a ledger that says the kinds, as JSONL does not."""
    folder = root / "attributes" / experiment
    kinds = {n: "spans" if n.startswith("dup") else "score" for n in columns}
    (folder / ".dolma-kit").mkdir(parents=True, exist_ok=True)
    header = {"version": 1, "stage": "tag", "config": {"columns": kinds}}
    (folder / ".dolma-kit/ledger.jsonl").write_text(json.dumps(header) + "\n")
    if form == "parquet":
        as_parquet(folder / f"{name}.parquet", ids, columns)
    else:
        as_jsonl(folder / f"{name}.jsonl.gz", ids, columns)


@pytest.fixture
def tagged(tmp_path: Path, write_documents: WriteDocuments) -> Path:
    """Three documents, of which the last two have one id, and a file without attributes."""
    rows = [{"id": one, "text": f"text {i}"} for i, one in enumerate(("x", "y", "y"))]
    write_documents(tmp_path / "c/documents/a.jsonl.gz", rows)
    write_documents(tmp_path / "c/documents/b.jsonl", [{"id": "z", "text": "none"}])
    return tmp_path / "c"


def spans(*found: tuple[int, int, float]) -> list[dict[str, Any]]:
    return [dict(zip(("start", "end", "score"), one, strict=True)) for one in found]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_attributes_of_both_formats(tagged: Path, form: str, dolma_kit: RunCommand) -> None:
    make_attributes(tagged, form, SCORES, ["x", "y", "y"])
    make_attributes(tagged, form, {"r__n": [7.0, 8.0, 9.0]}, ["x", "y", "y"], "r")
    a, b = "documents/a.jsonl.gz", "documents/b.jsonl"
    assert ask("from attributes", tagged) == [
        ("x", a, 1, 1, 1.0, spans((0, 2, 1.0), (2, 3, 0.25)), 7.0),
        ("y", a, 2, 2, None, [], 8.0),
        ("y", a, 3, 3, 0.5, spans((0, 1, 2.0)), 9.0),
        ("z", b, 1, 1, None, None, None),
    ]
    assert ask("select row, r__n from attributes_r where file like '%gz'", tagged) == [
        (1, 7.0), (2, 8.0), (3, 9.0),
    ]  # fmt: skip
    assert ask("select * from attributes limit 1", tagged, experiments=["r"]) == [
        ("x", a, 1, 1, 7.0)
    ]
    joined = ask(
        "select text, q__t__len, len(dup), list_max([s.score for s in dup]) from documents"
        " join attributes using (file, row) order by file, row", tagged
    )  # fmt: skip
    assert joined == [
        ("text 0", 1.0, 2, 1.0), ("text 1", None, 0, None), ("text 2", 0.5, 1, 2.0),
        ("none", None, None, None),
    ]  # fmt: skip
    answer = dolma_kit("sql", "select count(*) from attributes", tagged, "--format", "csv")
    assert answer.out == "count_star()\r\n4\r\n"
    assert answer.err == "".join(
        f"dolma-kit: 1 of 2 files have no attributes '{name}': their columns are null\n"
        for name in ("q", "r")
    )


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (["x", "y"], "has 2 rows"),
        (["x", "y", "y", "w"], "more than the 3 rows"),
        (["x", "w", "y"], r"row 2 is of document 'w', but .*a.jsonl.gz:2 is 'y'"),
    ],
)
def test_attributes_of_other_documents_are_refused(
    tagged: Path, form: str, ids: list[str], reason: str
) -> None:
    make_attributes(tagged, form, {"n": [1.0] * len(ids)}, ids)
    with pytest.raises(VerificationError, match=reason):
        ask("select sum(n) from attributes", tagged)


def test_a_column_of_two_experiments_is_named_by_one(tagged: Path) -> None:
    for name in ("q", "r"):
        make_attributes(tagged, "parquet", {"n": [1.0, 2.0, 3.0]}, ["x", "y", "y"], name)
    with pytest.raises(ConfigError, match="'n' is one of 'q' and of 'r'"):
        ask("from attributes", tagged)
    assert ask("select sum(n) from attributes_q", tagged) == [(6.0,)]
    assert ask("select sum(n) from attributes", tagged, experiments=["r"]) == [(6.0,)]


def test_loose_files_have_their_attributes_elsewhere(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    path = write_documents(tmp_path / "loose.jsonl", [{"id": "x", "text": ""}])
    as_parquet(tmp_path / "at/q/loose.parquet", ["x"], {"n": [4.0]})
    with pytest.raises(ConfigError, match="--attributes DIR"):
        ask("from attributes", path)
    assert ask("select n from attributes", path, attributes=str(tmp_path / "at")) == [(4.0,)]


# What other stages wrote.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A corpus that was tagged, mixed and tokenized, as the working directory."""
    root = tmp_path_factory.mktemp("made")
    (root / "web/documents").mkdir(parents=True)
    rows = [{"id": f"w{i}", "text": "word " * i, "source": "w"} for i in range(1, 7)]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    (root / "web/documents/a.jsonl").write_bytes(lines)
    (root / "tiny.json").write_text(byte_level("cl100k").to_str(), encoding="utf-8")
    stream = {
        "name": "web", "documents": ["web"], "attributes": ["q"],
        "keep": "q__char_length_v1__length > 5", "output": {"path": "mixed"},
    }  # fmt: skip
    (root / "mix.yaml").write_text(json.dumps({"streams": [stream]}), encoding="utf-8")
    eos = json.loads((root / "tiny.json").read_text())["added_tokens"][-1]
    assert eos["content"] == EOS
    with contextlib.chdir(root), contextlib.redirect_stdout(io.StringIO()):
        for command in (
            "tag web --taggers char_length_v1 --experiment q --workers 1 --quiet",
            "mix -c mix.yaml --workers 1 --quiet",
            f"tokenize web --tokenizer tiny.json --eos-token-id {eos['id']} --out tokens "
            "--workers 1 --quiet",
        ):
            assert cli.run(command.split()) == 0
        yield root


def test_tokens(made: Path) -> None:
    table = pq.read_table("tokens/part-00000.docs.parquet").to_pylist()
    expected = [
        ("tokens", "part-00000", t["start"], t["end"], t["end"] - t["start"], t["id"], t["src"],
         t["loc"], t["source"])
        for t in table
    ]  # fmt: skip
    assert len(expected) == 6
    assert ask("from tokens") == ask("from tokens", tokens=["tokens"]) == expected
    assert ask("select n_tokens, id from tokens") == [(row[4], row[5]) for row in expected]
    joined = "select text, n_tokens from documents d join tokens t on d.file = t.src and line = loc"
    assert len(ask(joined, "web", tokens=["tokens"])) == 6


def test_tokens_of_dolmas_own_tables(made: Path, tmp_path: Path) -> None:
    for name in ("part-00000.npy", "part-00000.csv.gz"):
        (tmp_path / name).write_bytes((made / "tokens" / name).read_bytes())
    (tmp_path / "other.csv.gz").write_bytes(gzip.compress(b"no,tokens\n"))
    query = "select id, start, n_tokens, source from tokens"
    expected = [(*row[:3], None) for row in ask(query)]
    assert ask(query, tmp_path) == expected


def test_decisions(made: Path) -> None:
    table = pq.read_table("mixed/decisions.parquet").to_pylist()
    assert ask("from decisions") == [("mixed", *row.values()) for row in table]
    query = "select first, count(*) from decisions group by 1 order by 1"
    kept = [row["first"] for row in table].count(None)
    for keys in ({}, {"mix": ["mixed"]}, {"mix": ["mixed/decisions.parquet"]}):
        got = ask(query, **keys)
        assert got == [(stream_rule(table), 6 - kept), (None, kept)]


def stream_rule(table: list[dict[str, Any]]) -> str:
    (rule,) = {row["first"] for row in table} - {None}
    return str(rule)


def test_ledger(made: Path) -> None:
    got = ask("select folder, stage, phase, unit, documents, outputs from ledger")
    expected = []
    for place in sorted(made.rglob(".dolma-kit/ledger.jsonl")):
        header, *records = map(json.loads, place.read_text().splitlines())
        folder = f"./{place.parent.parent.relative_to(made)}"
        expected += [
            (folder, header["stage"], r["phase"], r["unit"], r["result"]["documents"],
             r["result"]["outputs"])
            for r in records
        ]  # fmt: skip
    assert sorted(got, key=str) == sorted(expected, key=str)
    assert {row[1] for row in got} == {"tag", "mix", "tokenize"}
    ((seconds, first),) = ask("select sum(seconds), min(finished) from ledger")
    assert seconds >= 0
    assert first.startswith("20")


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("documents", "no documents match"),
        ("attributes", "no documents match"),
        ("tokens", "no tokens below {}: made by `dolma-kit tokenize`; name it with --tokens DIR"),
        ("decisions", "no decisions.parquet below {}: made by `dolma-kit mix`; name it with --mix"),
        ("ledger", "no ledger below {}: made by any stage; name it with its folder among DOCS"),
    ],
)
def test_a_view_of_nothing_says_what_is_missing(
    tmp_path: Path, dolma_kit: RunCommand, view: str, said: str
) -> None:
    for query in (f"from {view}", f"describe {view}", f"explain from {view}"):
        answer = dolma_kit("sql", query, tmp_path)
        assert answer.code == 2
        assert answer.err.startswith(f"dolma-kit: {said.format(tmp_path)}")
        assert answer.err.count("\n") == 1


def test_only_what_is_named_is_looked_for(tmp_path: Path) -> None:
    assert ask("select 1", tmp_path) == [(1,)]
    assert ask("with documents as (select 7 as id) from documents", tmp_path) == [(7,)]
    assert ask("with attributes_q as (select 7 as id) from attributes_q", tmp_path) == [(7,)]
    assert ask("select 'from documents'", tmp_path) == [("from documents",)]
    names = [name for (name,) in ask("show tables", tmp_path)]
    assert names == ["attributes", "decisions", "documents", "ledger", "tokens"]
    with pytest.raises(ConfigError, match="no attributes 'w'"):
        ask("from attributes", corpus_of(tmp_path), experiments=["w"])


def corpus_of(folder: Path) -> Path:
    (folder / "documents").mkdir()
    (folder / "documents/a.jsonl").write_bytes(GOOD)
    return folder


# What is refused.

REFUSED = (
    "from read_text('/etc/passwd')",
    "from read_blob('/etc/passwd')",
    "from read_csv('/etc/passwd')",
    "from read_json('documents/a.jsonl')",
    "from 'documents/a.jsonl'",
    "from 'x.parquet'",
    "from parquet_metadata('x.parquet')",
    "from sniff_csv('/etc/passwd')",
    "from glob('/etc/*')",
    "from glob('*')",
    "from 'http://localhost/x.csv'",
    "select getenv('HOME')",
    "copy (select 1) to 'documents/a.jsonl'",
    "copy documents to 'stolen.csv'",
    "explain analyze copy (select 1) to 'stolen.csv'",
    "explain analyze create table t(a int)",
    "explain explain select 1",
    "from query('copy (select 1) to ''stolen.csv''')",
    "attach 'x.db'",
    "export database 'x'",
    "import database 'x'",
    "install httpfs",
    "load httpfs",
    "load 'x.duckdb_extension'",
    "set threads = 1",
    "set enable_external_access = true",
    "reset threads",
    "pragma threads = 1",
    "pragma enable_profiling",
    "pragma profiling_output = 'documents/a.jsonl'",
    "call enable_logging(storage = 'file', storage_path = 'logs')",
    "from enable_logging(storage = 'file', storage_path = 'logs')",
    "from duckdb_secrets()",
    "create table t(a int)",
    "create view v as select 1",
    "insert into documents values (1)",
    "delete from documents",
    "update documents set id = 1",
    "drop view documents",
    "with t as (insert into documents values (1) returning *) from t",
    "create macro m() as 1",
    "prepare p as select 1",
    "begin",
    "checkpoint",
    "use temp",
    "select 1; select 2",
    "select 1; drop view documents",
    "",
    ";",
    "-- nothing",
    "select ?",
    "select $a",
    "from private_rows",
    "from arrow_scan(1, 2, 3)",
    "from python_arrow_scan()",
    "selec 1",
    "select documnt from documents",
    "from documnts",
)
private_rows = pa.table({"a": [1]})  # what a replacement scan would find


@pytest.mark.parametrize("query", REFUSED)
def test_what_does_not_read_the_views_alone_is_refused(
    tmp_path: Path, dolma_kit: RunCommand, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus_of(tmp_path))
    before = tree(tmp_path)
    answer = dolma_kit("sql", query)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1), answer.err
    assert tree(tmp_path) == before


def tree(folder: Path) -> dict[str, str]:
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select documnt from documents", 'Did you mean|Candidate bindings: .*"'),
        ("from documnts", 'Did you mean "documents"'),
        ("select 1; select 2", "one statement, not 2"),
        ("copy (select 1) to 'x'", "only reads: .*, no COPY statement"),
        ("explain analyze copy (select 1) to 'x'", "no COPY statement"),
        ("pivot documents on source", r"give a PIVOT its values with IN \(...\)"),
        ("select $a", "no parameters"),
        ("select 'a'::int", "Could not convert string 'a' to INT32$"),
        ("select id::int from documents", "Could not convert string 'a' to INT32 when"),
    ],
)
def test_errors_keep_the_hint(tmp_path: Path, query: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        ask(query, corpus_of(tmp_path))
    assert "LINE" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "select 1", "values (1)", "from range(3)", "with a as (select 1) from a", "table documents",
        "describe documents", "summarize documents", "show tables", "show documents",
        "explain select 1", "EXPLAIN ANALYZE select id from documents",
        "explain (format json) from documents", "select 1 -- said\n;", "/* said */ select 1;",
        "/* said\n */ -- and\n explain select 1",
    ],
)  # fmt: skip
def test_what_reads_is_answered(tmp_path: Path, dolma_kit: RunCommand, query: str) -> None:
    answer = dolma_kit("sql", query, corpus_of(tmp_path))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out


# The forms of an answer.

VALUES = """
    from (values (1, 'a,"b"' || chr(10) || 'c', 0.5::double, true, null,
                  [{'start': 0, 'end': 2, 'score': 'nan'::double}], json '{"k": [1,  2]}'),
                 (-20, '', 'inf'::double, false, '', [], null)) t(n, s, x, b, e, l, j)
"""


def test_csv_is_that_of_rfc_4180(dolma_kit: RunCommand) -> None:
    out = dolma_kit("sql", VALUES, "--format", "csv").out
    assert list(csv.reader(io.StringIO(out, newline=""))) == [
        ["n", "s", "x", "b", "e", "l", "j"],
        [
            "1",
            'a,"b"\nc',
            "0.5",
            "true",
            "",
            '[{"start":0,"end":2,"score":null}]',
            '{"k": [1,  2]}',
        ],
        ["-20", "", "inf", "false", "", "[]", ""],
    ]
    assert out.endswith('-20,"",inf,false,"",[],\r\n')


def test_json_is_an_object_a_line(dolma_kit: RunCommand) -> None:
    lines = dolma_kit("sql", VALUES, "--format", "json").out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "n": 1, "s": 'a,"b"\nc', "x": 0.5, "b": True, "e": None,
            "l": [{"start": 0, "end": 2, "score": None}], "j": {"k": [1, 2]},
        },
        {"n": -20, "s": "", "x": None, "b": False, "e": "", "l": [], "j": None},
    ]  # fmt: skip


def test_one_line_of_json(dolma_kit: RunCommand) -> None:
    answer = dolma_kit(
        "sql", "select 1 a, sum(i) a, date '2024-01-02' d from range(3) t(i)", "--json"
    )
    assert answer.out == (
        '{"columns":["a","a_1","d"],"types":["INTEGER","HUGEINT","DATE"],'
        '"rows":[[1,3,"2024-01-02"]]}\n'
    )
    assert dolma_kit("sql", "select 1 a where false", "--json").json["rows"] == []


def test_a_table_for_eyes(dolma_kit: RunCommand) -> None:
    query = (
        "select i * 1000 as n, repeat('wide ', i) s, case when i < 2 then chr(27) || '漢' end c"
        " from range(1, 1200, 20) t(i)"
    )
    out = dolma_kit("sql", query, "--max-rows", 2).out
    assert out.split("\n") == [
        "    n  s                                                             c",
        "-----  ------------------------------------------------------------  ------",
        " 1000  wide                                                          \\x1b漢",
        "21000  wide wide wide wide wide wide wide wide wide wide wide wi...  null",
        "60 rows, the first 2 shown (--max-rows)",
        "",
    ]
    assert dolma_kit("sql", "select 1 a").out == "a\n-\n1\n1 row\n"
    assert dolma_kit("sql", "select 1 a where false").out == "a\n-\n0 rows\n"
    assert dolma_kit("sql", "select 1 a", "--max-rows", 0).out.endswith(
        "1 row, the first 0 shown (--max-rows)\n"
    )


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_files_are_written_and_summed_up(
    corpus: Path, tmp_path: Path, dolma_kit: RunCommand, form: str
) -> None:
    out = tmp_path / f"out.{form}"
    query = (
        "select id, bytes, metadata, [{'start': row, 'end': null, 'score': 0.5}] l from documents"
    )
    answer = dolma_kit("sql", query, corpus, "--format", form, "--out", out)
    assert answer.code == 0, answer.err
    n_bytes = out.stat().st_size
    assert answer.json == {
        "command": "sql", "rows": len(plainly()), "bytes_out": n_bytes, "outputs": [str(out)],
    }  # fmt: skip
    assert os.listdir(tmp_path) == [out.name]
    if form == "parquet":
        assert [tuple(row.values())[:2] for row in pq.read_table(out).to_pylist()] == [
            (row[0], row[9]) for row in plainly()
        ]
    else:
        assert out.read_bytes().decode() == dolma_kit("sql", query, corpus, "--format", form).out


def test_a_compressed_file(tmp_path: Path, dolma_kit: RunCommand) -> None:
    out = tmp_path / "out.csv.gz"
    dolma_kit("sql", "select i from range(9999) t(i)", "--format", "csv", "--out", out)
    assert gzip.decompress(out.read_bytes()) == b"i\r\n" + b"".join(
        b"%d\r\n" % i for i in range(9999)
    )


def test_types_that_json_has_not_are_printed_by_duckdb(tmp_path: Path) -> None:
    query = "select * exclude (geometry) from test_all_types()"
    for form in ("csv", "json"):
        written: list[str] = []
        sql_output.write(Sql(query=query, format=form), written.append)  # type: ignore[arg-type]
        assert len("".join(written).splitlines()) >= 3
    rows = ask(
        "select timestamp_ns '2024-01-02 03:04:05.123456789', interval 1 month, 7::uhugeint,"
        " [date '2024-01-02'], map {'a': 1}, 'ab'::blob, 1.50::decimal(9, 2)"
    )
    assert [str(value) for value in rows[0]] == [
        "2024-01-02 03:04:05.123456789", "1 month", "7", "[2024-01-02]", "{a=1}", "ab", "1.50",
    ]  # fmt: skip
    out = str(tmp_path / "types.parquet")
    sql_output.write(Sql(query=query, format="parquet", out=out), lambda text: None)
    assert pq.read_table(out).num_rows == 3


def test_json_that_is_none_is_a_text(tmp_path: Path, dolma_kit: RunCommand) -> None:
    table = pa.table({"id": ["a", "b"], "text": ["", ""], "metadata": ["{no", '{"a":\n1}']})
    pq.write_table(table, tmp_path / "m.parquet")
    out = dolma_kit(
        "sql", "select metadata m from documents", tmp_path / "*", "--format", "json"
    ).out
    assert [json.loads(line)["m"] for line in out.splitlines()] == ["{no", {"a": 1}]


def test_non_finite_numbers_come_as_they_are() -> None:
    ((nan, infinite),) = ask("select 'nan'::double, -'inf'::double")
    assert math.isnan(nan)
    assert infinite == -math.inf


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format", "parquet"], "has to go to a file"),
        (["--out", "x.csv"], "say with --format"),
        (["--json", "--format", "csv"], "leave out --out and --format"),
        (["--format", "json", "--out", "documents/a.jsonl"], "is a file of the corpus"),
        (["--memory", "much"], "memory"),
        (["--workers", "0"], "workers"),
        (["--text-key", "id"], "must differ"),
    ],
)
def test_flags_that_do_not_fit(
    tmp_path: Path, dolma_kit: RunCommand, monkeypatch: pytest.MonkeyPatch, flags: list[str],
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(corpus_of(tmp_path))
    answer = dolma_kit("sql", "from documents", *flags)
    assert answer.code == 2
    assert said in answer.err
    assert (tmp_path / "documents/a.jsonl").read_bytes() == GOOD


def test_what_does_not_fit_in_memory_is_spilled(tmp_path: Path, dolma_kit: RunCommand) -> None:
    query = (
        "select count(*), max(a) from"
        " (select repeat(md5(i::varchar), 8) a from range(400000) t(i) order by a limit 300000)"
    )
    enough = dolma_kit("sql", query, "--json").json
    flags = ("--json", "--memory", "60MB", "--workers", 1)
    assert dolma_kit("sql", query, *flags, "--tmp-dir", tmp_path / "t").json == enough
    assert os.listdir(tmp_path / "t") == []
    answer = dolma_kit(
        "sql", "select list(repeat(md5(i::varchar), 8)) from range(400000) t(i)", *flags
    )
    assert answer.code == 2
    assert "Out of Memory" in answer.err
    assert "--memory" in answer.err


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """Also where rows are streamed: Arrow's reader waits without looking at signals."""
    command = [sys.executable, "-m", "dolma_kit", "sql", "--format", "csv", "--tmp-dir", tmp_path]
    query = "select a.range from range(1e9::int) a, range(1e9::int) b where a.range * b.range = -1"
    with subprocess.Popen([*command, query], stdout=-1, stderr=-1, text=True) as process:
        for _ in range(400):  # its folder is there just before the query runs
            if os.listdir(tmp_path):
                break
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        started = time.perf_counter()
        _, said = process.communicate(timeout=30)
    assert process.returncode == cli.INTERRUPTED
    assert said.startswith("dolma-kit: interrupted")
    assert said.count("\n") == 1
    assert time.perf_counter() - started < 5
    assert os.listdir(tmp_path) == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from dolma_kit.cli import sql; import dolma_kit.statistics.sql\n"
        "print({'duckdb', 'pyarrow', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
