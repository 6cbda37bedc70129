"""Partials on disk: what was written is read, files of others are refused, old ones are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.config import build
from dolma_kit.errors import BrokenFile, DataError
from dolma_kit.statistics import catalogue, partials
from dolma_kit.statistics.partials import (
    MARK,
    VERSION,
    Partial,
    added,
    of_file,
    read,
    tallied,
    write,
)
from dolma_kit.statistics.settings import Stats
from dolma_kit.statistics.statistic import About

GOLDEN = Path(__file__).parents[1] / "golden" / "statistics"
TABLE = pa.table(
    {
        "hash": pa.array([0, 2**64 - 1, 2**63], pa.uint64()),
        "file": pa.array([0, 0, 0], pa.int32()),
        "count": pa.array([1, 2**62, -1], pa.int64()),
        "share": pa.array([0.1, float("inf"), None], pa.float64()),
        "source": pa.array(["", "é😀\0", "web"], pa.string()),
        "lines": pa.array([[1], [], [2, 3]], pa.list_(pa.int64())),
    }
)
NOTES: dict[str, Any] = {
    "none": None, "texts": ["é", "😀", "\0", '"', "\u2028"], "big": 2**63, "x": 0.1,
    "nested": {"": [[]]},
}  # fmt: skip


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    for table in (TABLE, TABLE.slice(1, 1), TABLE.slice(0, 0), TABLE.select(["source"])):
        write(path, "urls", Partial(NOTES, table))
        found = read(path, "urls")
        assert found.notes == partials.read_notes(path, "urls") == NOTES
        assert found.table.equals(table)
        assert found.table.schema.equals(table.schema)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-1, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.text(), json_values, max_size=4), st.lists(st.text(), max_size=4))
def test_any_notes_and_texts_come_back(
    tmp_path_factory: pytest.TempPathFactory, notes: dict[str, Any], texts: list[str]
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "any.parquet")
    table = pa.table({"text": pa.array(texts, pa.string())})
    write(path, "x", Partial(notes, table))
    assert read(path, "x") == Partial(notes, table)


def test_the_same_partial_is_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for i, notes in enumerate(({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})):
        path = tmp_path / f"{i}.parquet"
        write(str(path), "urls", Partial(notes, TABLE))
        made.append(path.read_bytes())
    assert made[0] == made[1]


def with_mark(path: Path, mark: bytes | None) -> str:
    metadata = {b"other": b"{}"} if mark is None else {MARK: mark}
    pq.write_table(TABLE.replace_schema_metadata(metadata), path)
    return str(path)


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        (None, "holds no statistics"),
        (b'{"version":2,"statistic":"urls","notes":{}}', "`urls` of version 2, not `urls` of 1"),
        (b'{"version":1,"statistic":"dates","notes":{}}', "holds `dates` of version 1, not `urls`"),
        (b'{"version":1,"statistic":"urls"}', "no statistics that can be read: .*`notes`"),
        (b'{"version":"1","statistic":"urls","notes":{}}', "no statistics that can be read"),
        (b"[1]", "no statistics that can be read"),
        (b"{", "no statistics that can be read"),
        (b"", "no statistics that can be read"),
    ],
)  # fmt: skip
def test_files_of_others_are_refused(tmp_path: Path, mark: bytes | None, reason: str) -> None:
    path = with_mark(tmp_path / "a.parquet", mark)
    for reader in (read, partials.read_notes):
        with pytest.raises(DataError, match=reason) as raised:
            reader(path, "urls")
        assert raised.value.path == path


def test_another_version_says_what_to_do(tmp_path: Path) -> None:
    path = with_mark(tmp_path / "a.parquet", b'{"version":2,"statistic":"urls","notes":{}}')
    with pytest.raises(DataError, match="make it again with --overwrite"):
        read(path, "urls")


def broken(kind: str, data: bytes) -> bytes:
    if kind == "a page":
        return data[:4] + bytes(b ^ 0x5A for b in data[4:200]) + data[200:]
    return {"cut off": data[:-20], "empty": b"", "no Parquet": b'{"id": "a"}\n'}[kind]


@pytest.mark.parametrize("kind", ["a page", "cut off", "empty", "no Parquet"])
def test_broken_files_are_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.parquet"
    write(str(path), "urls", Partial(NOTES, TABLE))
    path.write_bytes(broken(kind, path.read_bytes()))
    with pytest.raises(BrokenFile, match="Parquet file") as raised:
        read(str(path), "urls")
    assert raised.value.path == str(path)


def test_what_is_not_there_is_not_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "a.parquet"), "urls")


def test_the_partial_of_a_file_gets_its_number() -> None:
    partial = Partial({"n": 1}, TABLE)
    assert of_file(partial, 0) is partial
    found = of_file(partial, 7)
    assert found.table.column("file").to_pylist() == [7, 7, 7]
    assert found.table.schema.equals(TABLE.schema)
    assert found.table.drop_columns("file").equals(TABLE.drop_columns("file"))
    assert found.notes == {"n": 1}
    without = Partial({}, TABLE.drop_columns("file"))
    assert of_file(without, 7) is without
    assert of_file(Partial({}, TABLE.slice(0, 0)), 7).table.schema.equals(TABLE.schema)


SCHEMA = pa.schema(
    [("n", pa.int64()), ("key", pa.string()), ("size", pa.int64()), ("x", pa.int32())]
)
rows_of = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["", "a", "b", "é"]),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    max_size=20,
)


def table_of(rows: list[tuple[int, str, int, int]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[]] * 4
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], SCHEMA)


@settings(deadline=None)
@given(st.lists(rows_of, min_size=1, max_size=4))
def test_tables_add_up_by_their_keys(parts: list[list[tuple[int, str, int, int]]]) -> None:
    sums: dict[tuple[str, int], list[int]] = {}
    for n, key, size, x in (row for part in parts for row in part):
        known = sums.setdefault((key, size), [0, 0])
        known[0] += n
        known[1] += x
    expected = table_of([(n, key, size, x) for (key, size), (n, x) in sorted(sums.items())])
    tables = [table_of(part) for part in parts]
    found = added(tables, ["key", "size"], ["n", "x"])
    assert found.equals(expected)
    assert found.schema.equals(SCHEMA)
    one_by_one = tables[0]
    for table in tables[1:]:
        one_by_one = added([one_by_one, table], ["key", "size"], ["n", "x"])
    assert added([one_by_one], ["key", "size"], ["n", "x"]).equals(expected)


def test_sums_go_beyond_32_bits() -> None:
    table = table_of([(2**62, "a", 0, 1), (2**61, "a", 0, 1)])
    assert added([table], ["key", "size"], ["n", "x"]).column("n").to_pylist() == [2**62 + 2**61]


def test_documents_are_tallied() -> None:
    columns = {
        "key": ["b", "a", "b"], "size": np.array([1, 1, 1]), "n": np.ones(3, np.int64),
        "x": [4, 5, 6],
    }  # fmt: skip
    found = tallied(columns, SCHEMA, ["key", "size"], ["n", "x"])
    assert found.to_pylist() == [
        {"n": 1, "key": "a", "size": 1, "x": 5}, {"n": 2, "key": "b", "size": 1, "x": 10},
    ]  # fmt: skip


# Files of version 1, written once: see make_statistics.py.

RECORDED = {
    record["statistic"]: record
    for record in map(json.loads, (GOLDEN / "rows.jsonl").read_text().splitlines())
}
ABOUT = About(files=["a.jsonl", "b.jsonl"], n_documents=5, command="dolma-kit stats")


def golden(name: str) -> Partial:
    return read(str(GOLDEN / f"{name}.parquet"), name)


def test_every_golden_file_is_recorded() -> None:
    assert VERSION == 1
    assert sorted(RECORDED) == sorted(path.stem for path in GOLDEN.glob("*.parquet"))


@pytest.mark.parametrize("name", RECORDED)
def test_golden_files_are_read_as_they_were_written(name: str) -> None:
    record, found = RECORDED[name], golden(name)
    assert found.notes == record["notes"]
    assert [[field.name, str(field.type)] for field in found.table.schema] == record["columns"]
    assert [list(row.values()) for row in found.table.to_pylist()] == record["rows"]


def answer(name: str) -> Any:
    """What is said of a golden file, put together with nothing, which changes nothing."""
    own = build(Stats, {"names": [name], "documents": ["x"], "n": [1, 2, 3]})
    statistic = catalogue.make(name, own, [])
    whole = golden(name)
    told = msgspec.to_builtins(statistic.answer(whole, ABOUT))
    merged = statistic.merge([statistic.empty(), golden(name)])
    for key in ("texts", "texts_by"):  # which are looked up afterwards
        if key in whole.notes:
            merged.notes[key] = whole.notes[key]
    assert msgspec.to_builtins(statistic.answer(merged, ABOUT)) == told
    assert statistic.text(statistic.answer(whole, ABOUT))
    return told


ANSWERS: list[tuple[str, str, Any]] = [
    ("summary", "total.amount.documents", 5),
    ("summary", "total.amount.empty", 1),
    ("summary", "total.amount.blank", 1),
    ("summary", "sources.web.amount.words", 6),
    ("lengths", "units.characters.documents", 5),
    ("lengths", "units.words.mean", 12 / 5),
    ("urls", "states", {"url": 2, "missing": 1, "not a string": 1, "not a URL": 1}),
    ("urls", "levels.suffix.distinct", 2),
    ("urls", "not_urls.0", {"value": "man page", "file": "a.jsonl", "line": 2}),
    ("dates", "months", {"2023-05": {"documents": 1, "words": 6}}),
    ("dates", "unreadable.0.value", "?"),
    ("licenses", "missing_rate", 3 / 5),
    ("ngrams", "lengths.1.total", 12),
    ("ngrams", "lengths.2.most.0.text", "a b"),
    ("ngrams", "lengths.3.distinct.value", 5),
    ("duplicates", "kinds.text.removable.value", 1),
    ("duplicates", "kinds.paragraph.distinct.value", 3),
]


@pytest.mark.parametrize(("name", "where", "value"), ANSWERS)
def test_golden_files_are_answered(name: str, where: str, value: Any) -> None:
    found = answer(name)
    for key in where.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    assert found == pytest.approx(value) if isinstance(value, float) else found == value
