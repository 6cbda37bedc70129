from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.documents import SCHEMA, Document, DocumentTable, find_table, read_table
from dolma_kit.order.paths import TokenFile

from .tiny_run import write_rows

ROWS = [
    (0, 3, "a", "x.jsonl.gz", 1, "web"),
    (3, 4, 'b,"\n', "x.jsonl.gz", 2, None),
    (4, 9, "a", "y.jsonl.gz", 1, "code"),
]
FORMS = {"parquet": ".docs.parquet", "csv": ".csv.gz"}


def tokens_of(tmp_path: Path, n_tokens: int = 9) -> TokenFile:
    return TokenFile(str(tmp_path / "p.npy"), n_tokens * 4, "uint32")


def read(
    tmp_path: Path, rows: list[tuple[Any, ...]], form: str, n_tokens: int = 9
) -> DocumentTable:
    write_rows(tmp_path / "p", rows, form)
    return read_table(f"{tmp_path}/p{FORMS[form]}", tokens_of(tmp_path, n_tokens))


@pytest.mark.parametrize("form", FORMS)
def test_rows(tmp_path: Path, form: str) -> None:
    table = read(tmp_path, ROWS, form)
    sources = [row[5] if form == "parquet" else None for row in ROWS]
    expected = [
        Document(i, source, src, loc, start, end)
        for (start, end, i, src, loc, _), source in zip(ROWS, sources, strict=True)
    ]
    assert [table[row] for row in range(len(table))] == expected
    assert table.rows_with_id("a") == [0, 2]  # an id that occurs twice
    assert table.rows_with_id("none") == []


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=12), data=st.data())
def test_overlapping(lengths: list[int], data: st.DataObject) -> None:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    starts = [0, *ends[:-1]]
    n = len(lengths)
    columns = [starts, ends, [str(i) for i in range(n)], [""] * n, [1] * n, [None] * n]
    table = DocumentTable(
        "", pa.table(columns, schema=SCHEMA), TokenFile("", ends[-1] * 2, "uint16")
    )
    start = data.draw(st.integers(0, ends[-1] - 1))
    end = data.draw(st.integers(start + 1, ends[-1]))
    expected = [i for i in range(n) if starts[i] < end and ends[i] > start]
    assert list(table.overlapping(start, end)) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("rows", "n_tokens", "message"),
    [
        (ROWS, 10, "ends at token 9, .*p.npy has 10 tokens"),
        (ROWS[:2], 9, "ends at token 4, .*p.npy has 9 tokens"),
        (ROWS[1:], 9, "row 1 starts at token 3, not at 0"),
        ([ROWS[0], (4, 9, "c", "", 1, None)], 9, "row 2 starts at token 4, not at 3"),
        ([ROWS[0], (3, 3, "c", "", 1, None)], 3, "row 2 starts at token 3 and ends at 3"),
    ],
)
def test_rows_of_other_tokens(
    tmp_path: Path, form: str, rows: list[tuple[Any, ...]], n_tokens: int, message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        read(tmp_path, rows, form, n_tokens)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0,3,a,x,1\r\n3,9,b,x\r\n", r"p.csv.gz:2: not start,end,id,src,loc"),
        (b"start,end,id,src,loc\r\n", r"p.csv.gz:1: not start,end,id,src,loc"),
        (b'0,3,"a,x,1\r\n', r"p.csv.gz:\d: unexpected end of data"),
        (b"0,3,\xff,x,1\r\n", r"p.csv.gz:1: .*can't decode"),
    ],
)
def test_bad_csv(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message):
        read_table(f"{tmp_path}/p.csv.gz", tokens_of(tmp_path))


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"0,9,a,x,1\n" * 99)[:-9]])
def test_bad_gzip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.csv.gz").write_bytes(content)
    with pytest.raises(DataError, match="broken or truncated gzip"):
        read_table(f"{tmp_path}/p.csv.gz", tokens_of(tmp_path))


def test_bad_parquet(tmp_path: Path) -> None:
    path = tmp_path / "p.docs.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"p\.docs\.parquet: "):
        read_table(str(path), tokens_of(tmp_path))
    pq.write_table(pa.table({"start": [0], "end": [9]}), path)
    with pytest.raises(DataError, match="id"):
        read_table(str(path), tokens_of(tmp_path))
    columns = {"start": [0], "end": [9], "id": [None], "src": [""], "loc": [1], "source": [None]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match="id"):
        read_table(str(path), tokens_of(tmp_path))


@pytest.mark.parametrize(
    ("files", "pattern", "found"),
    [
        (["web/p.docs.parquet", "web/p.csv.gz"], None, "web/p.docs.parquet"),
        (["web/p.csv.gz"], None, "web/p.csv.gz"),
        (["d/web/p.csv.gz", "d/code/p.csv.gz"], "d/*/p.csv.gz", "d/web/p.csv.gz"),
        (["d/web/p.csv.gz", "d/web/p.docs.parquet"], "d/**", "d/web/p.docs.parquet"),
        (["d/p.csv.gz", "d/q.csv.gz"], "d/*", "d/p.csv.gz"),
    ],
)
def test_where_documents_are(
    tmp_path: Path, files: list[str], pattern: str | None, found: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    pattern = pattern and str(tmp_path / pattern)
    assert find_table(str(tmp_path / "web" / "p.npy"), pattern) == str(tmp_path / found)


@pytest.mark.parametrize(
    ("files", "pattern", "message"),
    [
        ([], None, r"neither p.docs.parquet nor .csv.gz is beside it"),
        (["d/q.csv.gz"], "d/*", "finds none"),
        (["d/1/p.csv.gz", "d/2/p.csv.gz"], "d/*/*", "finds .*1/p.csv.gz and .*2/p.csv.gz"),
    ],
)
def test_no_or_two_places(
    tmp_path: Path, files: list[str], pattern: str | None, message: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(ConfigError, match=message):
        find_table(str(tmp_path / "p.npy"), pattern and str(tmp_path / pattern))
