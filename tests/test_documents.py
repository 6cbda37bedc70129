"""Finding and reading documents, and every kind of file that cannot be read."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit import decoding, files, layout, parquet_shards
from dolma_kit.documents import Batch, DocumentReader, Fields
from dolma_kit.errors import ConfigError, DataError

ODD_TEXTS = [
    "",
    "plain",
    "line one\nline two\r\n\u2028still one document\u2029\x85\x0b\x0c",
    "é中\U0001f600e\u0301",
    "nul \x00 and tab \t",
    '"quotes" and \\backslash\\',
]


def line(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def read(path: Path, **options: object) -> list[Batch]:
    return list(DocumentReader(str(path), **options))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz"])
def test_texts_survive_every_container(tmp_path: Path, suffix: str) -> None:
    data = b"".join(line(id=str(i), text=text) for i, text in enumerate(ODD_TEXTS))
    path = tmp_path / f"x{suffix}"
    path.write_bytes(files.compress(data, files.compression_of(path.name)))
    reader = DocumentReader(str(path))
    (batch,) = reader
    assert batch.texts == ODD_TEXTS
    assert batch.lines.tolist() == list(range(1, len(ODD_TEXTS) + 1))
    assert (reader.n_documents, reader.n_bytes) == (len(ODD_TEXTS), len(data))
    assert reader.sha256 == files.sha256(str(path))


def test_parquet_documents(tmp_path: Path) -> None:
    metadata = [{"url": "a"}, None, {"url": "c"}]
    table = pa.table(
        {"id": ["a", "b", "c"], "text": ["x", "é", ""], "metadata": metadata, "n": [1, 2, 3]}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    (batch,) = read(tmp_path / "x.parquet", keep_raw=True)
    assert batch.texts == ["x", "é", ""]
    assert batch.table.column("source").null_count == 3
    assert batch.table.column("metadata").to_pylist() == [b'{"url":"a"}', None, b'{"url":"c"}']
    assert json.loads(bytes(batch.raw[2])) == {
        "id": "c",
        "text": "",
        "metadata": {"url": "c"},
        "n": 3,
    }


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_kernels_see_the_text_as_bytes_and_offsets(texts: list[str]) -> None:
    table = decoding.table_of(
        [decoding._decoder(Fields()).decode(line(id="a", text=text)) for text in texts]
    )
    batch = Batch(table, path="x", first_row=0, lines=np.arange(len(texts)))
    ends = batch.offsets
    assert [batch.text_bytes[a:b].tobytes().decode() for a, b in itertools.pairwise(ends)] == texts
    assert batch.n_characters.tolist() == [len(text) for text in texts]
    assert batch.n_bytes == sum(len(text.encode()) for text in texts)
    head = batch.head(1)
    assert head.texts == texts[:1]
    assert head.text_bytes[: head.offsets[1]].tobytes().decode() == texts[0]


def test_batches_do_not_depend_on_where_the_stream_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [line(id=str(i), text="é\u2028" * i) for i in range(50)]
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(rows)))
    monkeypatch.setattr(files, "READ_BYTES", 7)
    batches = read(path, keep_raw=True)
    assert len(batches) > 10
    assert [i for batch in batches for i in batch.ids] == [str(i) for i in range(50)]
    assert [n for batch in batches for n in batch.lines.tolist()] == list(range(1, 51))
    assert [batch.first_row for batch in batches] == np.cumsum([0, *map(len, batches)])[
        :-1
    ].tolist()
    assert b"".join(bytes(raw) for batch in batches for raw in batch.raw) == b"".join(rows)


def test_blank_lines_and_a_missing_last_newline_hold_no_document(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n" + line(id="a", text="x") + b"  \r\n\n" + line(id="b", text="y").rstrip())
    first, last = read(path, keep_raw=True)
    assert (first.ids, first.lines.tolist()) == (["a"], [2])
    assert (last.ids, last.lines.tolist()) == (["b"], [5])
    assert json.loads(bytes(last.raw[0]))["text"] == "y"


@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"")])
def test_an_empty_file_has_no_documents(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / ("x.jsonl.gz" if data[:2] == b"\x1f\x8b" else "x.jsonl")
    path.write_bytes(data)
    assert read(path) == []


def test_an_empty_gz_without_a_header_has_no_documents(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").touch()
    assert read(tmp_path / "x.jsonl.gz") == []


def test_a_line_of_50_megabytes(tmp_path: Path) -> None:
    text = "word é " * (50_000_000 // 8)
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        line(id="a", text="first") + line(id="big", text=text) + line(id="b", text="last")
    )
    batches = read(path)
    assert [i for batch in batches for i in batch.ids] == ["a", "big", "b"]
    assert max(batch.n_bytes for batch in batches) >= len(text.encode())


GOOD = line(id="a", text="x")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(text="x"), "missing required field `id`"),
        (line(id=7, text="x"), "Expected `str`, got `int` - at `$.id`"),
        (line(id=None, text="x"), "Expected `str`, got `null` - at `$.id`"),
        (line(id="a"), "missing required field `text`"),
        (line(id="a", text=["x"]), "got `array` - at `$.text`"),
        (b'{"id": "a", "text": "x"\n', "truncated"),
        (b'{"id": "a", "text": "x"}, \n', "malformed"),
        (b"[1]\n", "got `array`"),
        # The decoder of lines takes these: two objects on a line, one object on two.
        (GOOD.strip() + GOOD, "trailing"),
        (GOOD.strip() + GOOD + GOOD.replace(b",", b",\n"), "trailing"),
        (GOOD.replace(b",", b",\n"), "truncated"),
        (b'{"id": "a", "text": "\xff"}\n', "utf-8"),
        (b'{"id": "a", "text": "x", "metadata": {"k": "\xc3"}}\n', "utf-8"),
        (b'{"id": "a", "text": "\\ud800"}\n', "without its other half"),
        (b"\xef\xbb\xbf" + GOOD, "malformed"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(GOOD + b"\n" + bad + GOOD)
    with pytest.raises(DataError) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert reason in caught.value.reason


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("cut", [1, 9, 40])
def test_a_truncated_container_is_an_error(tmp_path: Path, suffix: str, cut: int) -> None:
    """Dolma's mixer and deduper take what they can read and end with success."""
    data = files.compress(GOOD * 1000, suffix)
    path = tmp_path / f"x.jsonl.{suffix}"
    path.write_bytes(data[:-cut])
    with pytest.raises(DataError, match=f"broken or truncated {suffix}"):
        read(path)


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_a_file_that_is_not_what_its_suffix_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(GOOD)
    with pytest.raises(DataError):
        read(path)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"text": ["x"]}), "no column 'id'"),
        (pa.table({"id": ["a"]}), "no column 'text'"),
        (pa.table({"id": [1], "text": ["x"]}), "column 'id' is int64"),
        (pa.table({"id": ["a", None], "text": ["x", "y"]}), "`id` is null"),
    ],
)
def test_parquet_that_is_no_corpus(tmp_path: Path, table: pa.Table, reason: str) -> None:
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=reason):
        read(tmp_path / "x.parquet")


def test_other_field_names(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(line(uid="a", content="x", id=1, text=None))
    (batch,) = read(path, fields=Fields(text="content", id="uid"))
    assert (batch.ids, batch.texts) == (["a"], ["x"])


def test_limit_stops_after_n_documents(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(line(id=str(i), text="x") for i in range(10)))
    reader = DocumentReader(str(path), limit=3)
    assert [i for batch in reader for i in batch.ids] == ["0", "1", "2"]
    assert (reader.n_documents, reader.sha256) == (3, None)


class TestFind:
    @pytest.fixture(autouse=True)
    def corpus(self, tmp_path: Path) -> Path:
        for name in ("web/documents/b.jsonl", "web/documents/a/é.jsonl.gz", "web/documents/a.json",
                     "web/documents/.hidden.jsonl", "web/documents/notes.txt", "loose/x.jsonl",
                     "wiki/documents/z.parquet", "web/attributes/q/b.parquet"):  # fmt: skip
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    def names(self, root: Path, *arguments: str) -> list[str]:
        found = layout.find([str(root / argument) for argument in arguments])
        return [shard.path.removeprefix(f"{root}/") for shard in found]

    @pytest.mark.parametrize("argument", ["web", "web/documents", "web/documents/**", "web/"])
    def test_a_folder_means_its_documents_by_utf8_bytes(
        self, tmp_path: Path, argument: str
    ) -> None:
        expected = ["web/documents/a.json", "web/documents/a/é.jsonl.gz", "web/documents/b.jsonl"]
        assert self.names(tmp_path, argument) == expected

    def test_a_glob_takes_no_attributes_and_no_table_of_tokens(self, tmp_path: Path) -> None:
        (tmp_path / "web/documents/part-00000.docs.parquet").touch()
        assert len(self.names(tmp_path, "web/**")) == 3
        assert len(self.names(tmp_path, "*/**/*.parquet")) == 1

    def test_arguments_keep_their_order_and_a_file_counts_once(self, tmp_path: Path) -> None:
        assert self.names(tmp_path, "wiki", "web/documents/b.jsonl", "web")[:2] == [
            "wiki/documents/z.parquet",
            "web/documents/b.jsonl",
        ]
        assert len(self.names(tmp_path, "web", "web/documents/*", "wiki", "wiki")) == 4

    def test_src_is_relative_to_the_folder_of_all_documents_folders(self, tmp_path: Path) -> None:
        one = layout.find([str(tmp_path / "web")])
        both = layout.find([str(tmp_path / "web"), str(tmp_path / "wiki")])
        assert one[1].src == "documents/a/é.jsonl.gz"
        assert [shard.src for shard in both][1::2] == [
            "web/documents/a/é.jsonl.gz",
            "wiki/documents/z.parquet",
        ]

    def test_attributes_lie_beside_the_documents(self, tmp_path: Path) -> None:
        shard = layout.find([str(tmp_path / "web/documents/a/é.jsonl.gz")])[0]
        assert shard.attribute_stem("q") == str(tmp_path / "web/attributes/q/a/é")

    def test_files_outside_documents_need_to_be_told_where(self, tmp_path: Path) -> None:
        (shard,) = layout.find([str(tmp_path / "loose/x.jsonl")])
        with pytest.raises(ConfigError, match="--attributes DIR"):
            shard.attribute_stem("q")
        (told,) = layout.find([str(tmp_path / "loose/x.jsonl")], attributes="elsewhere")
        assert told.attribute_stem("q") == "elsewhere/q/x"

    def test_two_files_of_one_attribute_file_are_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "web/documents/b.parquet").touch()
        with pytest.raises(ConfigError, match="would share one attribute file"):
            layout.find([str(tmp_path / "web")])

    @pytest.mark.parametrize("argument", ["nowhere", "web/documents/*.zst", "web/attributes"])
    def test_nothing_matched_is_an_error(self, tmp_path: Path, argument: str) -> None:
        with pytest.raises(ConfigError, match="no documents match"):
            layout.find([str(tmp_path / argument)])

    def test_a_relative_path_has_the_same_src(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert [s.src for s in layout.find(["web"])] == [
            s.src for s in layout.find([str(tmp_path / "web")])
        ]


def test_a_field_of_the_metadata_is_read_alone(tmp_path: Path) -> None:
    values = ['{"url": "http://a.b/\\u00e9", "x": [{"url": 1}]}', '{"x": 1}', "null", '{"url": 5}',
              "[1]", '"url"', ' {"url": null}', '{"url": "a", "url": "b"}']  # fmt: skip
    rows = [f'{{"id": "{i}", "text": "", "metadata": {value}}}' for i, value in enumerate(values)]
    rows.append('{"id": "none", "text": ""}')
    (tmp_path / "a.jsonl").write_text("\n".join([*rows, ""]), encoding="utf-8")
    (batch,) = DocumentReader(str(tmp_path / "a.jsonl"))
    expected = ["http://a.b/é", None, None, None, None, None, None, "b", None]
    assert batch.metadata_strings("url") == expected
    assert batch.metadata_strings("nothing") == [None] * 9


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_further_fields_come_as_raw_json(tmp_path: Path, name: str) -> None:
    rows = [
        {"id": "a", "text": "x", "created": "2023-05-01", "n": 7},
        {"id": "b", "text": "y", "n": 2.5},
        {"id": "c", "text": "z", "created": None, "n": None},
    ]
    path = tmp_path / name
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    source = decoding.Source(str(path), more=("created", "n", "absent"))
    (batch,) = DocumentReader(source)
    found = {name: batch.table.column(name).to_pylist() for name in source.more}
    null = b"null" if name.endswith(".jsonl") else None  # a column cannot tell null from absent
    assert found["created"] == [b'"2023-05-01"', None, null]
    assert [value and float(value) for value in found["n"][:2]] == [7.0, 2.5]
    assert found["n"][2] == null
    assert found["absent"] == [None, None, None]


def test_further_fields_of_our_own_parquet_shards(tmp_path: Path) -> None:
    """What a shard has no column for is in its column `extra`."""
    lines = [
        b'{"id":"a","text":"x","created":"2023","url":"http://a.b","k":[1]}',
        b'{"id":"b","text":""}',
    ]
    fields = decoding.Fields()
    outputs: list[str] = []
    parquet_shards.write(
        iter([b"".join(line + b"\n" for line in lines)]), str(tmp_path / "s"), ".parquet", None,
        fields, outputs,
    )  # fmt: skip
    (batch,) = DocumentReader(decoding.Source(outputs[0], more=("created", "url", "k")))
    assert batch.table.column("created").to_pylist() == [b'"2023"', None]
    assert batch.table.column("url").to_pylist() == [b'"http://a.b"', None]
    assert batch.table.column("k").to_pylist() == [b"[1]", None]
