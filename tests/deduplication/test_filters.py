"""Partitions of a filter, and filters on disk: grown, looked up, refused when they cannot be."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dolma_kit.deduplication import bloom, filters, marking
from dolma_kit.deduplication.filters import Description, FilterFile
from dolma_kit.deduplication.stage import dedupe
from dolma_kit.errors import ConfigError, DataError
from tests.conftest import WriteDocuments
from tests.deduplication import naive

FIRST = ["one\ntwo\none", "three", "two\nfour", ""]
SECOND = ["five\none", "three", "six\nsix\nseven"]
SETTINGS: dict[str, Any] = {"by": "paragraph", "workers": 1, "quiet": True, "expected_items": 100}


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, texts in (("a", FIRST), ("b", SECOND)):
        rows = [{"id": f"{name}{i}", "text": text} for i, text in enumerate(texts)]
        write_documents(tmp_path / f"{name}/documents/x.jsonl", rows)
    return tmp_path


def marked(source: str, name: str) -> list[list[str]]:
    """The paragraphs of each document that are marked."""
    texts = FIRST if source == "a" else SECOND
    rows = pq.read_table(f"{source}/attributes/{name}/x.parquet").to_pylist()
    return [
        [text[s["start"] : s["end"]].rstrip("\n") for s in row[name]]
        for text, row in zip(texts, rows, strict=True)
    ]


@pytest.mark.parametrize("partitions", [2, 3, 16])
@pytest.mark.parametrize("by", ["document", "paragraph"])
def test_partitions_change_no_byte(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any, partitions: int, by: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(marking, "KEYS_AT_ONCE", 50)
    rng = np.random.default_rng(1)
    for name in ("a", "b", "c"):
        rows = [
            {"id": f"{name}{i}", "text": "\n".join(map(str, rng.integers(0, 60, i % 5).tolist()))}
            for i in range(70)
        ]
        write_documents(tmp_path / f"web/documents/{name}.jsonl", rows)
    settings: dict[str, Any] = {"documents": ["web"], "name": "d", "by": by, "quiet": True}
    found = []
    for n, workers in ((1, 1), (partitions, 2)):
        path = f"{n}.filter"
        summary = dedupe(
            partitions=n, workers=workers, filter=path, expected_items=500, overwrite=True,
            **settings,
        )  # fmt: skip
        files = sorted(Path("web/attributes/d").glob("*.parquet"))
        found.append((summary.counts, [f.read_bytes() for f in files], Path(path).read_bytes()))
    assert found[0] == found[1]
    assert found[0][0]["duplicates"] > 10


def test_what_a_filter_holds_occurred_before(corpus: Path) -> None:
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    assert marked("a", "d") == [["one"], [], ["two"], []]
    dedupe(documents=["b"], name="d", filter="f", **SETTINGS)
    assert marked("b", "d") == [["one"], ["three"], ["six"]]
    both = FilterFile("f").description
    assert [list(one.inputs) for one in both.absorbed] == [["documents/x.jsonl"]] * 2
    assert both.n_items == 7, "one to seven"
    joint = dedupe(documents=["a", "b"], name="joint", filter="g", **SETTINGS)
    blocks = [bytes_of_blocks(path) for path in ("f", "g")]
    assert blocks[0] == blocks[1], "the same bits as in one run over both"
    assert joint.counts["fill"] == round(bits_of(blocks[1]) / (512 * both.n_blocks), 6)


def bytes_of_blocks(path: str) -> bytes:
    return Path(path).read_bytes()[-FilterFile(path).description.n_blocks * 64 :]


def bits_of(data: bytes) -> int:
    return int.from_bytes(data, "little").bit_count()


def test_the_blocks_on_disk_are_the_formats(corpus: Path) -> None:
    """Worked out by the twin from the paragraphs alone."""
    import xxhash

    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    found = FilterFile("f").description
    twin = naive.Filter(found.n_blocks, found.k)
    for text in ("one", "two", "three", "four"):
        twin.check_and_insert(xxhash.xxh64_intdigest(text.encode()))
    words = [word for row in twin.words() for word in row]
    data = Path("f").read_bytes()
    assert data.endswith(struct.pack(f"<{len(words)}Q", *words))
    assert (data[:8], struct.unpack_from("<II", data, 8)[0]) == (b"DKFILTER", 1)
    assert (len(data) - 64 * found.n_blocks) % 64 == 0


def test_running_again_does_not_make_a_corpus_its_own_duplicate(corpus: Path) -> None:
    """Dolma's does: every document, over the good attributes."""
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    before, expected = Path("f").read_bytes(), marked("a", "d")
    assert dedupe(documents=["a"], name="d", filter="f", **SETTINGS).units_skipped == 1
    assert (marked("a", "d"), Path("f").read_bytes()) == (expected, before)
    os.unlink("a/attributes/d/x.parquet")
    with pytest.raises(ConfigError, match=r"f has taken in documents/x.jsonl before .*--read-only"):
        dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    with pytest.raises(ConfigError, match=r"--rebuild"):
        dedupe(documents=["a"], name="other", filter="f", **SETTINGS)
    assert Path("f").read_bytes() == before
    dedupe(documents=["a"], name="d", filter="f", rebuild=True, **SETTINGS)
    assert (marked("a", "d"), Path("f").read_bytes()) == (expected, before)


def test_read_only_looks_up_and_adds_nothing(corpus: Path) -> None:
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    before = Path("f").read_bytes()
    dedupe(documents=["b"], name="d", filter="f", read_only=True, **SETTINGS)
    assert marked("b", "d") == [["one"], ["three"], []], "a repeat of its own is none"
    dedupe(documents=["a"], name="again", filter="f", read_only=True, **SETTINGS)
    assert marked("a", "again") == [["one", "two", "one"], ["three"], ["two", "four"], []]
    assert Path("f").read_bytes() == before
    dedupe(documents=["b"], name="g", filter="g", **SETTINGS)
    os.replace("g", "f")
    with pytest.raises(ConfigError, match="filter"):
        dedupe(documents=["b"], name="d", filter="f", read_only=True, **SETTINGS)


def test_killed_after_the_filter_was_written(corpus: Path, monkeypatch: Any) -> None:
    dedupe(documents=["a"], name="whole", filter="g", **SETTINGS)
    write = filters.write

    def dies(*arguments: Any) -> None:
        write(*arguments)
        raise OSError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(filters, "write", dies)
        with pytest.raises(OSError, match="power"):
            dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    assert marked("a", "d") == marked("a", "whole")
    assert Path("f").read_bytes() == Path("g").read_bytes()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda data: data[:-1], DataError, "its description says"),
        (lambda data: data + b"\0", DataError, "its description says"),
        (lambda data: data[:40], DataError, "broken filter"),
        (lambda data: data[:9], DataError, "no filter of dolma-kit"),
        (lambda data: b"", DataError, "no filter of dolma-kit"),
        (lambda data: b"x" * 500, DataError, "no filter of dolma-kit"),
        (lambda data: data[:8] + struct.pack("<I", 3) + data[12:], ConfigError, "version 3"),
        (lambda data: data[:8] + struct.pack("<I", 2) + data[12:], DataError, "of its version"),
        (lambda data: data.replace(b"xxh64 seed 0", b"xxh64 seed 1"), ConfigError, "another hash"),
        (lambda data: data.replace(b'"k":', b'"q":'), DataError, "broken filter"),
    ],
)
def test_a_file_that_is_no_good_filter(
    corpus: Path, change: Any, kind: type[Exception], message: str
) -> None:
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    Path("f").write_bytes(change(Path("f").read_bytes()))
    for settings in ({}, {"read_only": True}):
        with pytest.raises(kind, match=message):
            dedupe(documents=["b"], name="d", filter="f", **SETTINGS, **settings)
    assert not list(Path("b").glob("attributes/**/*.parquet"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"read_only": True}, "name one with --filter"),
        ({"rebuild": True}, "name one with --filter"),
        ({"filter": "f", "read_only": True, "rebuild": True}, "exclude each other"),
        ({"filter": "none", "read_only": True}, "no filter none"),
        ({"filter": "s3://bucket/f"}, "local or shared disk"),
        ({"filter": "f", "by": "document"}, "holds keys with by 'paragraph', not by 'document'"),
        ({"filter": "f", "separator": "|"}, "separator"),
        ({"filter": "f", "min_words": 3}, "min_words 0, not min_words 3"),
        ({"partitions": 0}, "partitions"),
    ],
)
def test_settings_that_make_no_sense(corpus: Path, settings: dict[str, Any], message: str) -> None:
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    with pytest.raises(ConfigError, match=message):
        dedupe(documents=["b"], name="d", **(SETTINGS | settings))


def test_a_filter_that_is_full_is_left_as_it_was(corpus: Path) -> None:
    few = SETTINGS | {"expected_items": 5}
    dedupe(documents=["a"], name="d", filter="f", **few)
    before = Path("f").read_bytes()
    with pytest.raises(ConfigError, match=r"sized for 5 keys but took in 7.*--rebuild"):
        dedupe(documents=["b"], name="d", filter="f", **few)
    assert Path("f").read_bytes() == before


def test_too_large_for_memory_names_the_partitions_that_are_not(
    corpus: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(bloom, "available_memory", lambda: 10**8)
    settings = SETTINGS | {"expected_items": 10**9}
    with pytest.raises(ConfigError, match="give --partitions 54"):
        dedupe(documents=["a"], name="d", **settings)
    geometry = bloom.size_for(10**9, 1e-6)
    bloom.require_memory(geometry, 10**9, 1e-6, 54)


def test_a_description_says_what_is_in_it(corpus: Path) -> None:
    dedupe(documents=["a"], name="d", filter="f", **SETTINGS)
    found = FilterFile("f").description
    assert isinstance(found, Description)
    assert (found.n_expected, found.fp_rate, found.n_items) == (100, 1e-6, 4)
    assert found.selection["by"] == "paragraph"
    n = struct.unpack_from("<I", Path("f").read_bytes(), 12)[0]
    assert json.loads(Path("f").read_bytes()[16 : 16 + n])["hash"] == filters.HASH
