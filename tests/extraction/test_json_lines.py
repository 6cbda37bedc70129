"""JSON lines and arrays as sources: fields under other names, and what is wrong with rows."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import itertools
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.config import Extract
from dolma_kit.extraction import json_lines
from dolma_kit.extraction.json_arrays import elements
from dolma_kit.extraction.outcomes import document_id
from dolma_kit.extraction.records import RAW_BYTES, Record, SourceFile

Read = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """What becomes of a file that has these bytes, or these rows as lines."""

    def records(data: Any, name: str = "a.jsonl", **settings: Any) -> list[Record]:
        path = tmp_path / name
        if not isinstance(data, bytes):
            data = b"".join(json.dumps(row).encode() + b"\n" for row in data)
        path.write_bytes(data)
        file = SourceFile("jsonl", str(path), name.split(".")[0])
        return list(json_lines.read(file, Extract(sources=[str(path)], **settings)))

    return records


def short(records: list[Record]) -> list[Any]:
    """The texts of documents, the reasons and faults of others."""
    return [(r.document.text if r.document else r.reason or f"! {r.fault}") for r in records]


def test_the_names_of_fields_are_found(read: Read) -> None:
    row = {"_ID": 7, "Content": "Bees.", "published_at": 1714062284, "url": "a.com", "n": [1.5]}
    (record,) = read([row])
    assert record.document is not None
    assert record.document._asdict() == {
        "id": "7", "text": "Bees.", "created": "2024-04-25T16:24:44Z",
        "metadata": {"url": "a.com", "n": [1.5]}, "source": None, "attributes": None,
    }  # fmt: skip
    assert (record.number, record.name) == (1, "a.com")


@pytest.mark.parametrize(
    ("row", "settings", "expected"),
    [
        ({"text": "t", "content": "c"}, {}, ("", "t", None, {"content": "c"})),
        ({"text": "t", "content": "c"}, {"text_key": "content"}, ("", "c", None, {"text": "t"})),
        ({"document": {"x": 1}, "body": "b"}, {}, ("", "b", None, {"document": {"x": 1}})),
        ({"d": {"t": "x", "y": 1}}, {"text_key": "d.t"}, ("", "x", None, {"d": {"y": 1}})),
        ({"d.t": "x", "d": {"t": "y"}}, {"text_key": "d.t"}, ("", "x", None, {"d": {"t": "y"}})),
        ({"text": "t", "_id": {"$oid": "5f"}}, {"id_key": "_id.$oid"},
         ("5f", "t", None, {"_id": {}})),
        ({"text": "t", "_id": {"$oid": "5f"}, "uuid": "u"}, {},
         ("u", "t", None, {"_id": {"$oid": "5f"}})),
        ({"text": "t", "url": "u"}, {}, ("u", "t", None, {"url": "u"})),
        ({"text": "t", "date": "soon"}, {}, ("", "t", None, {"date": "soon"})),
        ({"text": "t", "date": None}, {}, ("", "t", None, {"date": None})),
        ({"text": "t", "d": {"at": "2024-04-25", "x": 1}}, {"created_key": "d.at"},
         ("", "t", "2024-04-25", {"d": {"x": 1}})),
        ({"text": "t", "a": 1, "b": {"c": 2, "d": 3}}, {"metadata_keys": ["b.c", "z"]},
         ("", "t", None, {"b": {"c": 2}})),
        ({"text": "t", "metadata": {"url": "u"}, "n": 1}, {},
         ("", "t", None, {"url": "u", "n": 1})),
        ({"text": "t", "metadata": '{"url": "u"}'}, {}, ("", "t", None, {"url": "u"})),
        ({"text": "t", "metadata": {"n": 2}, "n": 1}, {},
         ("", "t", None, {"metadata": {"n": 2}, "n": 1})),
        ({"text": "t", "metadata": "{no"}, {}, ("", "t", None, {"metadata": "{no"})),
        ({"text": "t", "id": 10**30, "n": 2**70}, {}, (str(10**30), "t", None, {"n": 2**70})),
    ],
)  # fmt: skip
def test_fields(read: Read, row: Any, settings: Any, expected: Any) -> None:
    (record,) = read([row], **settings)
    assert record.document is not None
    id_ = document_id("row", SourceFile("jsonl", "", "a"), "1")
    assert record.document[:4] == (expected[0] or id_, *expected[1:])
    assert record.notes == (("unreadable date",) if row.get("date") == "soon" else ())


def test_the_first_row_that_has_a_text_decides(read: Read) -> None:
    rows = [
        {"x": 1},
        {"body": "b", "uuid": "u"},
        {"text": "t", "uuid": "v"},
        {"body": "c", "id": 1},
    ]
    assert short(read(rows)) == [
        "! no text: it has none of text, content, body, article, raw_content, document, "
        "page_content, raw_text, full_text, maintext, passage: name it with --text-key (the fields "
        "are x)",
        "b",
        "! no field 'body', which has the text of this file",
        "! no field 'uuid', which has the ids of this file",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"id": null, "text": "x"}', "the id, 'id', is null, neither a string nor a number"),
        (b'{"id": true, "text": "x"}',
         "the id, 'id', is true or false, neither a string nor a number"),
        (b'{"id": ["a"], "text": "x"}', "the id, 'id', is a list, neither a string nor a number"),
        (b'{"id": "", "text": "x"}', "the id, 'id', is empty"),
        (b'{"text": "x"}', "no field 'id', which has the ids of this file"),
        (b'{"id": 1}', "no field 'text', which has the text of this file"),
        (b'{"id": 1, "text": null}', "the text, 'text', is null, not a string"),
        (b'{"id": 1, "text": 5}', "the text, 'text', is a number, not a string"),
        (b'{"id": 1, "text": {}}', "the text, 'text', is an object, not a string"),
        (b'{"id": 1, "text": ["a"]}', "the text, 'text', is a list, not a string"),
        (b'["id", "text"]', "no JSON object but a list"),
        (b"7", "no JSON object but a int"),
        (b"{", "no JSON: Input data was truncated"),
        (b'{"id": 1, "text": "\xff"}', "no JSON: 'utf-8' codec can't decode byte 0xff in position "
         "0: invalid start byte"),
        (b'{"id": 1, "text": "\\ud800"}',
         "a \\ud800-\\udfff escape without its other half stands for no character"),
        (b'{"id": 1} {"id": 2}', "no JSON: JSON is malformed: trailing characters (byte 11)"),
        (b"[" * 100_000, "no JSON: maximum recursion depth exceeded while deserializing an object"),
        (b'{"id": 1, "text": "%s"}' % (b"x" * 100_000),
         "100021 bytes, max_record_bytes is 100001: raise it to read this"),
    ],
)  # fmt: skip
def test_a_bad_row_is_alone(read: Read, line: bytes, expected: str) -> None:
    good = b'{"id": "%d", "text": "good"}\n'
    found = read(b"\n".join([good % 1 + line, good % 2]), max_record_bytes=100_001)
    assert short(found) == ["good", f"! {expected}", "good"]
    assert [record.number for record in found] == [1, 2, 3]
    assert found[1].raw == line[:RAW_BYTES]
    assert found[1].name == "a:2"


def test_lines_end_at_newlines_only_and_blank_ones_are_none(read: Read) -> None:
    data = '\ufeff{"text": "a\u2028b\x85"}\r\n\n \t\n{"text": "c"}'.encode()
    found = read(data)
    assert short(found) == ["a\u2028b\x85", "c"]
    assert [record.number for record in found] == [1, 4]


def test_white_space_is_empty(read: Read) -> None:
    assert short(read([{"text": ""}, {"text": " \n\u3000"}, {"text": "."}])) == ["empty"] * 2 + [
        "."
    ]


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("a.jsonl.gz", gzip.compress),
        ("a.ndjson.bz2", bz2.compress),
        ("a.jsonl.zst", lambda data: pa.Codec("zstd").compress(data, asbytes=True)),
    ],
)
def test_compressed_and_truncated(read: Read, name: str, compress: Any) -> None:
    rows = [{"text": f"{i} " + "".join(chr(33 + (i * j * j) % 90) for j in range(99))}
            for i in range(2000)]  # fmt: skip
    data = compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    texts = [row["text"] for row in rows]
    assert short(read(data, name)) == texts
    found = read(data[: len(data) * 2 // 3], name)
    assert short(found[:-1]) == texts[: len(found) - 1]
    assert found[-1].fault is not None
    assert f"line {len(found)}: truncated" in found[-1].fault
    assert short(read(data + b"junk", name))[: len(rows)] == texts


ROWS = [{"text": 'a "quoted, [text]}'}, {"text": "\\\\", "n": [[{}], "]"]}, {"text": "c"}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf \n"])
def test_an_array(read: Read, indent: int | None, begin: bytes) -> None:
    found = read(begin + json.dumps(ROWS, indent=indent).encode() + b"\n \n", "a.json")
    assert short(found) == [row["text"] for row in ROWS]
    assert [record.number for record in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[]", []),
        (b" [ ] ", []),
        (b"", []),
        (b'[{"text": "a"}, {"text": "b"]', ["a", "! element 2: the array has no end"]),
        (b'[{"text": "a"}, {"text": "b"}', ["a", "! element 2: the array has no end"]),
        (b'[{"text": "a"},', ["a", "! element 2: the array has no end"]),
        (b'[{"text": "a"},]', ["a", "! no element"]),
        (b'[{"text": "a"},,{"text": "b"}]', ["a", "! no element", "b"]),
        (b'[{"text": "a"}] 7', ["a", "! something follows the array"]),
        (b'[{"text": "a"}] [', ["a", "! something follows the array"]),
        (b'[{"text": "a"}}, {"text": "b"}]',
         ["! no JSON: JSON is malformed: trailing characters (byte 14)", "b"]),
        (b'[{"text": nul}, {"text": "b"}]',
         ["! no JSON: JSON is malformed: invalid character (byte 13)", "b"]),
        (b'[1, {"text": "b"}]', ["! no JSON object but a int", "b"]),
    ],
)  # fmt: skip
def test_arrays_that_are_odd(read: Read, data: bytes, expected: list[str]) -> None:
    found = read(data, "a.json")
    assert short(found) == expected
    assert [record.number for record in found] == list(range(1, len(found) + 1))


def test_a_json_file_of_lines_and_lines_that_are_arrays(read: Read) -> None:
    assert short(read([{"text": "a"}, {"text": "b"}], "a.json")) == ["a", "b"]
    assert short(read(b"[1]\n[2]\n")) == ["! no JSON object but a list"] * 2


def test_an_element_that_is_too_large(read: Read) -> None:
    data = json.dumps([{"text": "a"}, {"text": "x" * 200}, {"text": "b"}]).encode()
    assert short(read(data, "a.json", max_record_bytes=100)) == [
        "a", "! 213 bytes, max_record_bytes is 100: raise it to read this", "b",
    ]  # fmt: skip


def test_a_truncated_array(read: Read) -> None:
    rows = [{"text": f"{i} {i * i}"} for i in range(8_000)]
    data = gzip.compress(json.dumps(rows).encode())
    found = read(data[: len(data) // 2], "a.json.gz")
    assert len(found) > 1000
    assert short(found[:-1]) == [row["text"] for row in rows[: len(found) - 1]]
    assert found[-1].fault == f"element {len(found)}: truncated gzip: it ends within a member"


class Blocks:
    """A stream of these blocks."""

    fault = None

    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = blocks

    def __iter__(self) -> Any:
        return iter(self._blocks)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='"\\[]{},: \u2028é🐝\ud7ffa'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\]}a'), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(
    st.lists(json_values, max_size=5),
    st.lists(st.integers(1, 200), max_size=5),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_arrays_are_split_as_they_are_parsed(
    values: list[Any], cuts: list[int], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    ends = [0, *sorted(cuts), len(data)]
    for blocks in (
        [data[a:b] for a, b in itertools.pairwise(ends)],
        [data[i : i + 1] for i in range(len(data))],
    ):
        parts = list(elements(Blocks(blocks), 1 << 20))  # type: ignore[arg-type]
        assert [json.loads(part.data) for part in parts] == values
        assert [part.fault for part in parts] == [None] * len(values)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_memory_is_bounded_by_a_record(tmp_path: Path, name: str) -> None:
    row = b'{"text": "' + b"x" * 20_000 + b'"}'
    huge = b'{"text": "' + b"x" * 8_000_000 + b'"}'
    path = tmp_path / name
    mark, ends = (b",", (b"[", b"]")) if name == "a.json" else (b"\n", (b"", b""))
    path.write_bytes(ends[0] + mark.join([row] * 300 + [huge] + [row] * 300) + ends[1])
    tracemalloc.start()
    try:
        records = json_lines.read(
            SourceFile("jsonl", str(path), "a"), Extract(max_record_bytes=100_000)
        )
        outcomes = [record.fault is None for record in records]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcomes == [True] * 300 + [False] + [True] * 300
    assert peak < 2_000_000


def test_ids_depend_on_place_alone(tmp_path: Path) -> None:
    found = []
    for folder, texts in (("x", "ab"), ("y", "cd")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "a.jsonl"
        path.write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
        records = list(json_lines.read(SourceFile("jsonl", str(path), "a"), Extract()))
        found.append([record.document.id for record in records if record.document])
    assert found[0] == found[1]
    assert found[0] == [hashlib.sha1(b"row\0a\0%d" % i).hexdigest() for i in (1, 2)]


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.jsonl", b'{"a"', True),
        ("a.NDJSON.gz", b"\xef\xbb\xbf\n{", True),
        ("a.json", b" [", True),
        ("a.json.zst", b"", True),
        ("a.json", b"<html>", False),
        ("a.txt", b"{", False),
    ],
)
def test_what_is_json(name: str, head: bytes, expected: bool) -> None:
    assert json_lines.is_json(name, head) is expected
