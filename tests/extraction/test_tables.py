"""CSV, Parquet, Arrow files and data sets as sources."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import itertools
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.config import Extract
from dolma_kit.errors import ConfigError
from dolma_kit.extraction import arrow_tables, csv_records, csv_tables
from dolma_kit.extraction.csv_records import Dialect
from dolma_kit.extraction.outcomes import document_id
from dolma_kit.extraction.records import Record, SourceFile

Read = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """What becomes of a file with these bytes, by the reader for its name."""

    def records(data: bytes | str, name: str = "a.csv", **keys: Any) -> list[Record]:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        is_csv = csv_tables.is_csv(name, b"")
        reader = csv_tables.read if is_csv else arrow_tables.read
        file = SourceFile("csv" if is_csv else "arrow", str(path), name.split(".")[0])
        return list(reader(file, Extract(sources=[str(path)], **keys)))

    return records


def short(records: list[Record]) -> list[Any]:
    """The texts of documents, the reasons and faults of others."""
    return [(r.document.text if r.document else r.reason or f"! {r.fault}") for r in records]


def first(records: list[Record]) -> Any:
    assert records[0].document is not None, records[0]
    return records[0].document


# --- CSV


def test_a_table(read: Read) -> None:
    found = read('id,Text,date,n\n1,"a, ""b""\r\nc",2024-04-25,\n2,d,x,5\n3, ,,\n')
    assert [record[:2] for record in found] == [(1, "1"), (2, "2"), (3, "3")]
    assert short(found) == ['a, "b"\r\nc', "d", "empty"]
    assert first(found)[:4] == ("1", 'a, "b"\r\nc', "2024-04-25", {"n": ""})
    assert found[1].document is not None
    assert found[1].document.metadata == {"date": "x", "n": "5"}
    assert found[1].notes == ("unreadable date",)


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        ("text\na\n\nb\n", "a.csv", ["a", "b"]),
        ("text\ra\r\rb", "a.csv", ["a", "b"]),
        ("text\r\na\r\nb\r\n", "a.csv", ["a", "b"]),
        ("\ufefftext,n\na,1\n", "a.csv", ["a"]),
        ("text;n\na, b, c;1\nd;2\n", "a.csv", ["a, b, c", "d"]),
        ("text|n\na, b;1|1\n", "a.csv", ["a, b;1"]),
        ("text\tn\na, b\t1\n", "a.csv", ["a, b"]),
        ('text\tn\n"a\tb"\t1\n', "a.TSV", ["a\tb"]),
        ("text\na;b\n", "a.csv", ["a;b"]),
        ("text\na,b\n", "a.tsv", ["a,b"]),
        ('n, text\n1, "a, b"\n2, "c"\n', "a.csv", ["a, b", "c"]),
        ('text,n\n5" pipe,1\n"x"y,2\n', "a.csv", ['5" pipe', "xy"]),
        ("text,\na,1\n", "a.csv", ["a"]),
        ("", "a.csv", []),
        ("text,n\n", "a.csv", []),
        ("text\tn\n\t\n", "a.tsv", ["empty"]),
    ],
)  # fmt: skip
def test_dialects(read: Read, data: str, name: str, expected: list[str]) -> None:
    assert short(read(data, name)) == expected


def test_utf_16_and_gzip(read: Read) -> None:
    assert short(read("text,n\nä🐝,1\n".encode("utf-16"), "a.csv")) == ["ä🐝"]
    assert short(read(gzip.compress("text,n\nä,1\n".encode()), "a.csv.gz")) == ["ä"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b"1,a", "line 3: 2 fields, the header has 3"),
        (b"1,a,x,y", "line 3: 4 fields, the header has 3"),
        (b"1,\xff,x", "line 3: 'utf-8' codec can't decode byte 0xff in position 2: invalid start "
         "byte"),
        (b",a,x", "the id, 'id', is empty"),
        (b'1,"' + b"x" * 100 + b'",',
         "line 3: 105 bytes, max_record_bytes is 100: raise it to read this"),
    ],
)  # fmt: skip
def test_a_bad_row_is_alone(read: Read, row: bytes, expected: str) -> None:
    found = read(b"id,text,n\n0,good,\n" + row + b"\n2,good,\n", max_record_bytes=100)
    assert short(found) == ["good", f"! {expected}", "good"]
    assert [record.number for record in found] == [1, 2, 3]
    assert found[1].raw == row
    assert found[1].name == "a:2"


def test_a_quote_that_is_never_closed_takes_its_line_alone(read: Read) -> None:
    found = read('id,text\n0,a\n1,"b\n2,c\n3,d')
    assert short(found) == ["a", "! line 3: a quote that is never closed", "c", "d"]
    assert [record.number for record in found] == [1, 2, 3, 4]
    assert found[1].raw == b'1,"b'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a,b\n1,2\n", "no column of text, content, body, article, raw_content, document, "
         "page_content, raw_text, full_text, maintext, passage: name it with --text-key "
         "(columns: a, b)"),
        ("text,text\n1,2\n", "the header has 'text' twice: rename one of the columns"),
        (b"text,\xff\n1,2\n", "no header: line 1: 'utf-8' codec can't decode byte 0xff in position "
         "5: invalid start byte"),
    ],
)  # fmt: skip
def test_headers_that_do_not_do(read: Read, data: Any, expected: str) -> None:
    assert short(read(data)) == [f"! {expected}"]


def test_settings_name_columns(read: Read) -> None:
    data = "text,other,key,when,n\nt,o,k,2024-04-25,5\n"
    keys = {"text_key": "other", "id_key": "key", "created_key": "when", "metadata_keys": ["n"]}
    assert first(read(data, **keys))[:4] == ("k", "o", "2024-04-25", {"n": "5"})
    assert short(read(data, text_key="x")) == [
        "! no column 'x', which --text-key names (columns: text, other, key, when, n)"
    ]


def test_a_truncated_csv(read: Read) -> None:
    rows = "".join(f"{i},{i * i * 7919}\n" for i in range(20_000))
    found = read(gzip.compress(f"id,text\n{rows}".encode())[:40_000], "a.csv.gz")
    assert found[-1].fault is not None
    assert "truncated gzip" in found[-1].fault
    assert short(found[:-1]) == [str(i * i * 7919) for i in range(len(found) - 1)]
    assert len(found) > 1000


cells = st.text(alphabet="\"',;\t| \n\r\0aé🐝\u2028", max_size=8)


@settings(max_examples=60)
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 100), max_size=4),
)
def test_csv_comes_back(rows: list[list[str]], delimiter: str, end: str, cuts: list[int]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows(rows)
    data = stream.getvalue().encode()
    dialect = Dialect(delimiter)
    ends = [0, *sorted(cuts), len(data)]
    for blocks in (
        [data[a:b] for a, b in itertools.pairwise(ends)],
        [data[i : i + 1] for i in range(len(data))],
    ):
        parts = list(csv_records.records(blocks, dialect, 1 << 20))
        assert [csv_records.fields(part.data.decode(), dialect) for part in parts] == rows
        assert [part.number for part in parts] == list(range(1, len(rows) + 1))


@settings(max_examples=60)
@given(st.text(alphabet='",a\n\r ', max_size=60).map(str.encode))
def test_whatever_the_blocks_the_records_are_the_same(data: bytes) -> None:
    whole = list(csv_records.records([data], Dialect(), 20))
    one_by_one = [data[i : i + 1] for i in range(len(data))]
    assert list(csv_records.records(one_by_one, Dialect(), 20)) == whole


@pytest.mark.parametrize(
    "sample", [b"'" * 65536, b'"a,' * 20_000, b"it's a, 'b' \"c\", " * 4000, b'"\n' * 30_000]
)
def test_choosing_a_dialect_is_quick(sample: bytes) -> None:
    started = time.perf_counter()
    csv_records.choose(sample[:65536], False)
    assert time.perf_counter() - started < 1


def test_memory_of_csv_is_bounded_by_a_record(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    row = b"x" * 20_000 + b",1\n"
    path.write_bytes(b"text,n\n" + row * 200 + b'"' + b"x,\n" * 3_000_000 + b'",2\n' + row * 200)
    tracemalloc.start()
    try:
        keys = Extract(max_record_bytes=100_000)
        records = csv_tables.read(SourceFile("csv", str(path), "a"), keys)
        outcomes = [record.fault is None for record in records]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcomes == [True] * 200 + [False] + [True] * 200
    assert peak < 2_000_000


# --- Parquet and Arrow


def parquet(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def arrow(table: pa.Table, kind: str, rows: int = 1000, **options: Any) -> bytes:
    stream = io.BytesIO()
    open_ = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with open_(stream, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return stream.getvalue()


WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    "a.parquet": parquet,
    "a.arrow": lambda table: arrow(table, "stream"),
    "b.arrow": lambda table: arrow(table, "file"),
    "a.feather": lambda table: arrow(table, "file", compression="zstd"),
}
UTC = datetime.UTC


@pytest.mark.parametrize("name", WRITERS)
def test_values_of_all_types(read: Read, name: str) -> None:
    table = pa.table(
        {
            "doc_id": pa.array([7, 8], pa.int64()),
            "content": pa.array(["a", "b"]).dictionary_encode(),
            "created_at": pa.array(
                [1714062284123456789, None], pa.timestamp("ns", "Europe/Berlin")
            ),
            "f": [float("nan"), 0.5],
            "raw": [b"a", b"\xff"],
            "d": [datetime.date(2024, 4, 25), None],
            "m": [decimal.Decimal("1.50"), None],
            "s": [{"x": [1, None], "at": datetime.datetime(2024, 1, 2, 3)}, None],
            "t": pa.array([1, 2], pa.time64("ns")),
            "u": pa.array([1500, 2], pa.duration("ns")),
            "l": pa.array([[1], []], pa.list_(pa.timestamp("ns"))),
            "n": pa.nulls(2),
        }
    )
    found = read(WRITERS[name](table), name)
    assert first(found)[:3] == ("7", "a", "2024-04-25T16:24:44Z")
    metadata = first(found).metadata
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata == {
        "f": None, "raw": "a", "d": "2024-04-25", "m": "1.50", "t": "00:00:00",
        "s": {"x": [1, None], "at": "2024-01-02T03:00:00Z"}, "u": "0:00:00.000001",
        "l": ["1970-01-01T00:00:00Z"], "n": None,
    }  # fmt: skip
    assert found[1].document is not None
    assert found[1].document.metadata["raw"] is None


@pytest.mark.parametrize("name", WRITERS)
def test_bad_rows_are_alone(read: Read, name: str) -> None:
    rows = [b"a", b"\xff", b"c", None, b"", b"x" * 101, b"g"]
    text = pa.array(rows, pa.binary())
    text = pa.StringArray.from_buffers(len(rows), *text.buffers()[1:], text.buffers()[0])
    at = pa.array([0, 0, 0, 0, 0, 0, 2**62], pa.timestamp("us"))
    table = pa.table({"text": text, "at": at})
    found = read(WRITERS[name](table), name, max_record_bytes=100)
    faults = [record.fault for record in found]
    assert [faults[i] is None for i in range(7)] == [True, False, True, False, True, False, False]
    assert "UTF" in str(faults[1]) or "utf" in str(faults[1])
    assert faults[3] == "the text, 'text', is null, not a string"
    assert faults[5] == "101 bytes, max_record_bytes is 100: raise it to read this"
    assert str(faults[6]).startswith("column 'at': ")
    assert short(found)[::2][:3] == ["a", "c", "empty"]
    assert [record.number for record in found] == list(range(1, 8))


def test_row_groups_and_batches(read: Read) -> None:
    n = 3000
    table = pa.table({"text": [f"t{i}" for i in range(n)], "x": list(range(n))})
    for name, data in (
        ("a.parquet", parquet(table, row_group_size=700)),
        ("a.arrow", arrow(table, "stream", 700)),
        ("b.arrow", arrow(table, "file", 700)),
    ):
        found = read(data, name, metadata_keys=["x"])
        assert short(found) == [f"t{i}" for i in range(n)]
        assert [r.document.metadata for r in found if r.document] == [{"x": i} for i in range(n)]
        assert [record.number for record in found] == list(range(1, n + 1))


def test_a_broken_row_group_is_told_and_the_others_are_read(read: Read) -> None:
    table = pa.table({"text": [f"a rather long text {i * i}" for i in range(300)]})
    options = {"compression": "zstd", "use_dictionary": False, "write_page_checksum": True}
    data = bytearray(parquet(table, row_group_size=100, **options))
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    data[group.data_page_offset + group.total_compressed_size // 2] ^= 1
    found = read(bytes(data), "a.parquet")
    assert [record.number for record in found] == [*range(1, 102), *range(201, 301)]
    faults = [record.fault for record in found if record.fault]
    assert len(faults) == 1
    assert faults[0].startswith("rows 101-200, in row group 1: ")


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "a.parquet", "no Parquet file: it does not begin with PAR1"),
        (b"nonsense", "a.parquet", "no Parquet file: it does not begin with PAR1"),
        (parquet(pa.table({"text": ["a"]}))[:-4], "a.parquet", "broken or truncated Parquet: "),
        (parquet(pa.table({"x": ["a"]})), "a.parquet", "no column of text, "),
        (b"", "a.arrow", "the file is empty"),
        (b"nonsense", "a.arrow", "broken or truncated Arrow file after row 0: "),
        (b"FEA1xxxx", "a.feather", "Feather of version 1: "),
        (arrow(pa.table({"x": ["a"]}), "file"), "a.arrow", "no column of text, "),
        (arrow(pa.table([["a"], ["b"]], ["text", "text"]), "file"), "a.arrow",
         "two columns are named 'text'"),
    ],
)  # fmt: skip
def test_files_that_do_not_do(read: Read, data: bytes, name: str, expected: str) -> None:
    (record,) = read(data, name)
    assert record.fault is not None
    assert record.fault.startswith(expected)


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_truncated_arrow_file_gives_what_it_has(read: Read, kind: str) -> None:
    table = pa.table({"text": [f"t{i}" for i in range(100)]})
    data = arrow(table, kind, 10)
    seen = set()
    for cut in range(300, len(data) - 1, 97):
        found = read(data[:cut], "a.arrow")
        *rows, last = found
        if kind == "file" and last.fault is None:
            assert len(found) == 100  # only the end of the file, which nobody needs, is missing
            continue
        assert str(last.fault).startswith(f"broken or truncated Arrow file after row {len(rows)}")
        assert short(rows) == [f"t{i}" for i in range(len(rows))]
        assert len(rows) % 10 == 0
        seen.add(len(rows))
    assert len(seen) > 5


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damage_is_a_fault_or_nothing(data: st.DataObject) -> None:
    """No damage to a byte raises anything or brings the process down."""
    import tempfile

    name = data.draw(st.sampled_from(sorted(WRITERS)))
    table = pa.table({"text": ["a", "bc", "def"] * 5, "l": [[1], [2, 3], None] * 5})
    bytes_ = bytearray(WRITERS[name](table))
    at = data.draw(st.integers(8, len(bytes_) - 1))
    bytes_[at] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(bytes_)
        found = list(arrow_tables.read(SourceFile("arrow", str(path), "a"), Extract()))
    assert [record.number for record in found] == sorted(record.number for record in found)


# --- data sets


def test_data_sets_of_hugging_face(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"]})
    files = {
        "saved/dataset_dict.json": b'{"splits": ["train", "test"]}',
        "saved/train/state.json": b'{"_data_files": [], "_indices_files": null}',
        "saved/train/dataset_info.json": b"{}",
        "saved/train/data-00000-of-00002.arrow": arrow(table, "stream"),
        "saved/train/data-00001-of-00002.arrow": arrow(table, "stream"),
        "saved/train/cache-1234.arrow": arrow(table, "stream"),
        "saved/test/data-00000-of-00001.arrow": arrow(table, "stream"),
        "hub/README.md": b"---\n---\n",
        "hub/data/train-00000-of-00001.parquet": parquet(table),
        "hub/data/test-00000-of-00001.parquet": parquet(table),
        "flat/train-00000-of-00001.parquet": parquet(table),
        "other/a.txt": b"a",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    kinds = {name: arrow_tables.is_dataset(str(tmp_path / name))
             for name in ("saved", "saved/train", "hub", "flat", "other")}  # fmt: skip
    assert kinds == {"saved": True, "saved/train": True, "hub": True, "flat": True, "other": False}
    found = arrow_tables.members_of(f"{tmp_path}/saved/")
    assert [file.tree for file in found] == [
        "saved/test/data-00000-of-00001",
        "saved/train/data-00000-of-00002",
        "saved/train/data-00001-of-00002",
    ]
    assert {file.kind for file in found} == {"arrow"}
    texts = [short(list(arrow_tables.read(file, Extract()))) for file in found]
    assert texts == [["a", "b"]] * 3
    hub = arrow_tables.members_of(str(tmp_path / "hub"))
    assert [(file.kind, file.tree) for file in hub] == [
        ("parquet", "hub/data/test-00000-of-00001"),
        ("parquet", "hub/data/train-00000-of-00001"),
    ]
    ids = [r.document.id for f in hub for r in arrow_tables.read(f, Extract()) if r.document]
    assert ids[0] == document_id("row", hub[0], "1")
    assert len(set(ids)) == 4
    (tmp_path / "saved/test/state.json").write_bytes(b'{"_indices_files": [{"filename": "i"}]}')
    with pytest.raises(ConfigError, match="flatten_indices"):
        arrow_tables.members_of(str(tmp_path / "saved"))


def test_kinds_are_known_by_first_bytes() -> None:
    table = pa.table({"text": ["a"]})
    assert arrow_tables.is_parquet("x", parquet(table))
    assert arrow_tables.is_arrow("x", arrow(table, "file"))
    assert arrow_tables.is_arrow("x.arrow", arrow(table, "stream"))
    assert not arrow_tables.is_arrow("x.txt", arrow(table, "stream"))
    assert not arrow_tables.is_parquet("a.parquet", b"x")
