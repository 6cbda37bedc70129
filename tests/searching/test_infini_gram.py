"""infini-gram's files and answers: those of the package itself (tests/golden/infini_gram.json)."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dolma_kit.cli.search_overlap import add_overlap_commands
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.searching import spans
from dolma_kit.searching.infini_gram import export_index, import_index, pointer_width, table_of
from dolma_kit.searching.queries import Searcher, continuations, open_searcher
from dolma_kit.searching.spans import Rule
from dolma_kit.tokens.folder import open_folder

from ..order.tiny_run import WEB, train_tokenizer, write_part
from .test_overlap import record

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden" / "infini_gram.json").read_text(encoding="utf-8")
)
EOS = GOLDEN["eos"]
DTYPES = ["uint16", "uint32"]


def write_layout(
    folder: Path, shards: list[list[list[int]]], dtype: str, meta: list[Any] | None = None
) -> Path:
    """A folder as infini-gram's indexer makes it, by the plainest means."""
    folder.mkdir(parents=True, exist_ok=True)
    separator, width = int(np.iinfo(dtype).max), np.dtype(dtype).itemsize
    for number, shard in enumerate(shards):
        data: list[int] = []
        offsets = []
        for document in shard:
            offsets.append(len(data) * width)
            data += [separator, *document]
        raw = np.array(data, dtype).tobytes()
        (folder / f"tokenized.{number}").write_bytes(raw)
        np.array(offsets, "<u8").tofile(folder / f"offset.{number}")
        (folder / f"table.{number}").write_bytes(plain_table(raw, width))
        if meta is not None:
            lines = [(json.dumps(one) + "\n").encode() for one in meta]
            (folder / f"metadata.{number}").write_bytes(b"".join(lines))
            ends = np.cumsum([0, *map(len, lines)])[:-1]
            ends.astype("<u8").tofile(folder / f"metaoff.{number}")
    return folder


def plain_table(raw: bytes, width: int) -> bytes:
    places = sorted(range(0, len(raw), width), key=lambda place: raw[place:])
    size = math.ceil(math.log2(max(len(raw), 2)) / 8)
    return b"".join(place.to_bytes(size, "little") for place in places)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Token folders of the golden documents."""
    found = {}
    for dtype in DTYPES:
        place = tmp_path_factory.mktemp("ig")
        write_layout(place / "theirs", GOLDEN[dtype]["shards"], dtype)
        import_index(str(place / "theirs"), str(place / "ours"), eos_token_id=EOS)
        found[dtype] = place / "ours"
    return found


def searcher(imported: dict[str, Path], dtype: str) -> Searcher:
    return open_searcher([str(imported[dtype])])


@pytest.mark.parametrize("dtype", DTYPES)
def test_counts_are_those_of_the_package(imported: dict[str, Path], dtype: str) -> None:
    ours = searcher(imported, dtype)
    counts = GOLDEN[dtype]["counts"]
    assert sum(count > 0 for _, count in counts) > 100
    for query, count in counts:
        assert ours.count(ours.ids(query)) == count


def plain_following(shards: list[list[list[int]]], ids: list[int]) -> Counter[int]:
    """What follows ids in documents that each end with the EOS."""
    found = Counter[int]()
    for document in (one for shard in shards for one in shard):
        ended = [*document, EOS]
        for i in range(len(ended) - len(ids)):
            if ended[i : i + len(ids)] == ids:
                found[ended[i + len(ids)]] += 1
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_infgrams_are_those_of_the_package(imported: dict[str, Path], dtype: str) -> None:
    """But for a defect of its engine: of ids that end a shard's last document, nothing follows one
    place, which it takes for an EOS, too; it is first among those places and the separators are
    last, so the engine, which halves ranges until both ends are the same, sees nothing between."""
    ours, shards = searcher(imported, dtype), GOLDEN[dtype]["shards"]
    n_wrong = 0
    for prompt, used, count, following in GOLDEN[dtype]["infgrams"]:
        assert ours.longest_end(np.array(prompt)) == used
        ids = prompt[len(prompt) - used :]
        tallies, found = Counter[int](), 0
        for _, shard in ours.shards:
            low, high = shard.find(np.array(ids)) if used else (0, len(shard.suffixes))
            tallies.update(dict(continuations(shard, low, high, used)))
            found += high - low
        assert found == count
        if used:
            assert tallies == plain_following(shards, ids)
        if used and any(shard[-1][-used:] == ids for shard in shards):
            n_wrong += dict(following) != tallies
        else:
            assert sorted(tallies.items()) == [tuple(one) for one in following]
    assert n_wrong > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_longest_matches_are_those_of_the_package(imported: dict[str, Path], dtype: str) -> None:
    shards = list(searcher(imported, dtype).shards)
    for text, reach in GOLDEN[dtype]["reach"]:
        assert spans.reach(shards, np.array(text)).tolist() == reach


@pytest.mark.parametrize("dtype", DTYPES)
def test_spans_are_those_that_the_package_attributes(imported: dict[str, Path], dtype: str) -> None:
    ours, golden = searcher(imported, dtype), GOLDEN[dtype]
    n_spans = 0
    for one in golden["spans"]:
        text = one["text"]
        boundaries = None
        if one["enforce_bow"]:
            boundaries = np.array([*(i in golden["begins"] for i in text), True])
        rule = Rule(one["min_len"], one["max_cnt"], one["delim_ids"], boundaries)
        found = spans.maximal_spans(ours, text, rule)
        assert [(s.start, s.end, s.count) for s in found] == [tuple(s[:3]) for s in one["spans"]]
        assert [s.log_probability for s in found] == pytest.approx(
            [s[3] for s in one["spans"]], abs=1e-5
        )
        n_spans += len(found)
    assert n_spans > 80


@pytest.mark.parametrize("dtype", DTYPES)
def test_before_the_first_suffix_the_package_finds_nothing(
    imported: dict[str, Path], dtype: str
) -> None:
    """A defect of its engine: of a query that comes before all suffixes the first is not looked
    at (`start - 1` of an unsigned 0), so the id that it begins with is said not to occur."""
    text, reach = GOLDEN[dtype]["before_all"]
    assert reach == [0, 1]
    assert spans.reach(list(searcher(imported, dtype).shards), np.array(text)).tolist() == [1, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_exported_tables_are_the_bytes_of_the_package(
    imported: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, dtype: str
) -> None:
    """And tokens, offsets and counts, too."""
    place = tmp_path_factory.mktemp("ig")
    theirs = write_layout(place / "theirs", GOLDEN[dtype]["shards"], dtype)
    export_index(str(imported[dtype]), str(place / "ours"))
    for number, digest in enumerate(GOLDEN[dtype]["tables"]):
        table = (place / "ours" / f"table.{number}").read_bytes()
        assert hashlib.sha256(table).hexdigest() == digest
        for name in ("tokenized", "offset", "table"):
            mine = (place / "ours" / f"{name}.{number}").read_bytes()
            assert mine == (theirs / f"{name}.{number}").read_bytes(), name
        data = np.fromfile(theirs / f"tokenized.{number}", dtype)
        distinct, counts = np.unique(data, return_counts=True)
        unigrams = "".join(f"{a} {b}\n" for a, b in zip(distinct, counts, strict=True))
        assert (place / "ours" / f"unigram.{number}").read_text() == unigrams


documents = st.lists(
    st.lists(st.sampled_from([0, 1, 255, 256, 65_534, 300]), max_size=6), min_size=1, max_size=5
)


@settings(deadline=None, max_examples=100)
@given(shard=documents, dtype=st.sampled_from(DTYPES))
def test_tables_are_sorted_by_bytes(shard: list[list[int]], dtype: str) -> None:
    separator = int(np.iinfo(dtype).max)
    data = np.array([one for d in shard for one in (separator, *d)], dtype)
    assert b"".join(table_of(data)) == plain_table(data.tobytes(), data.itemsize)


def test_ids_of_any_size_are_sorted_by_bytes() -> None:
    data = np.array([1 << 24, 1, 1 << 31, (1 << 32) - 1, 1, 1 << 24, 256], np.uint32)
    assert b"".join(table_of(data)) == plain_table(data.tobytes(), 4)
    assert b"".join(table_of(data[:0])) == b""
    assert pointer_width(2) == 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ids") / "tiny.json"
    train_tokenizer(path)
    return path


def test_documents_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Path
) -> None:
    """Tokens, ids, sources and lines, by way of the metadata; and the index answers as before."""
    place = tmp_path_factory.mktemp("ig")
    write_part(place / "a" / "part-00000", WEB, tokenizer, "parquet")
    record(place / "a", tokenizer, [len(WEB)])
    made = export_index(str(place / "a"), str(place / "b"))
    assert made.documents == len(WEB)
    app = typer.Typer()
    add_overlap_commands(app)
    done = CliRunner().invoke(
        app,
        ["import", str(place / "b"), "--out", str(place / "c"), "--eos-token-id", "0",
         "--tokenizer", str(tokenizer)],
    )  # fmt: skip
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["documents"] == len(WEB)
    before, after = open_folder(str(place / "a")), open_folder(str(place / "c"))
    assert before.parts[0].ids().tolist() == after.parts[0].ids().tolist()
    rows = [[row for batch in one.parts[0].rows() for row in batch.to_pylist()]
            for one in (before, after)]  # fmt: skip
    assert rows[0] == rows[1]
    ours = open_searcher([str(place / "c")])
    assert ours.count(ours.text("quick brown fox")) == 1


@pytest.mark.parametrize("name", ["tokenized", "table", "offset"])
def test_version_6_has_no_numbers(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    place = tmp_path_factory.mktemp("ig")
    theirs = write_layout(place / "theirs", [[[1, 2, 3], [], [2, 3]]], "uint16")
    for path in theirs.iterdir():
        path.rename(path.with_suffix(""))
    import_index(str(theirs), str(place / "ours"), eos_token_id=9)
    ours = open_searcher([str(place / "ours")])
    assert ours.count(ours.ids([2, 3])) == 2
    rows = [row for b in open_folder(str(place / "ours")).parts[0].rows() for row in b.to_pylist()]
    assert [(r["id"], r["end"] - r["start"]) for r in rows] == [
        ("tokenized:0", 4), ("tokenized:1", 1), ("tokenized:2", 3),
    ]  # fmt: skip
    (theirs / name).unlink()
    with pytest.raises((DataError, MissingInput), match=f"no {name}"):
        import_index(str(theirs), str(place / "again"), eos_token_id=9)


def test_metadata_of_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The package's own: path, linenum from 0, and whatever the lines held."""
    place = tmp_path_factory.mktemp("ig")
    meta = [
        {"path": "a.jsonl", "linenum": 0, "metadata": {"id": 17, "source": "web", "x": [1]}},
        {"path": "a.jsonl", "linenum": 4, "metadata": {"source": 3}},
    ]
    theirs = write_layout(place / "theirs", [[[1], [2]]], "uint16", meta)
    import_index(str(theirs), str(place / "ours"), eos_token_id=9)
    rows = [row for b in open_folder(str(place / "ours")).parts[0].rows() for row in b.to_pylist()]
    assert [(r["id"], r["src"], r["loc"], r["source"]) for r in rows] == [
        ("17", "a.jsonl", 1, "web"), ("a.jsonl:5", "a.jsonl", 5, None),
    ]  # fmt: skip


def test_what_cannot_be_exported(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> None:
    place = tmp_path_factory.mktemp("ig")
    theirs = write_layout(place / "theirs", [[[1, 2], [3]]], "uint16")
    import_index(str(theirs), str(place / "ours"), eos_token_id=9)
    tokens, out = str(place / "ours"), str(place / "out")
    with pytest.raises(ConfigError, match="every file below a path with 'table' in it"):
        export_index(tokens, str(place / "stable" / "x"))
    export_index(tokens, out)
    with pytest.raises(ConfigError, match="holds an infini-gram index already"):
        export_index(tokens, out)
    with pytest.raises(MissingInput, match="no index at"):
        export_index(str(place), str(place / "other"))
    changed = place / "ours" / "tokens.json"
    changed.write_text(changed.read_text().replace('"vocab_size": 65535', '"vocab_size": 65536'))
    with pytest.raises(ConfigError, match="a vocabulary of 65,536 ids"):
        export_index(tokens, str(place / "other"))


def test_the_separator_is_no_id(tmp_path_factory: pytest.TempPathFactory) -> None:
    from dolma_kit.searching import building

    place = tmp_path_factory.mktemp("ig")
    theirs = write_layout(place / "theirs", [[[1, 2], [3]]], "uint16")
    import_index(str(theirs), str(place / "ours"), eos_token_id=9)
    ids = np.fromfile(place / "ours" / "part-00000.npy", np.uint16)
    ids[0] = 65_535
    ids.tofile(place / "ours" / "part-00000.npy")
    building.build(tokens=str(place / "ours"), quiet=True, overwrite=True)
    with pytest.raises(ConfigError, match="has the id 65535, which separates documents"):
        export_index(str(place / "ours"), str(place / "out"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("table.0", b"\0", "has 1 bytes, which are no table of the 10 bytes"),
        ("offset.0", b"\0" * 15, "15 bytes are no multiple of 8"),
        ("offset.0", np.array([0, 5], "<u8").tobytes(), "is not of the documents of"),
        ("offset.0", np.array([2, 6], "<u8").tobytes(), "is not of the documents of"),
        ("offset.0", np.array([0, 4], "<u8").tobytes(), "do not begin at their separators"),
        ("offset.0", np.array([0], "<u8").tobytes(), "and 1 documents"),
        ("offset.0", b"", "names no documents of"),
        ("metaoff.0", np.array([0], "<u8").tobytes(), "and 2 documents"),
        ("metadata.0", b"no json\n" * 2, "is no metadata"),
    ],
)
def test_broken_files(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes, message: str
) -> None:
    place = tmp_path_factory.mktemp("ig")
    theirs = write_layout(place / "theirs", [[[1, 2], [3]]], "uint16", [{"path": "x"}] * 2)
    (theirs / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        import_index(str(theirs), str(place / "ours"), eos_token_id=9)


def test_wrong_imports(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> None:
    place = tmp_path_factory.mktemp("ig")
    with pytest.raises(MissingInput, match="no infini-gram index at"):
        import_index(str(place / "none"), str(place / "ours"), eos_token_id=9)
    theirs = str(write_layout(place / "theirs", [[[1, 2], [3000]]], "uint16"))
    with pytest.raises(ConfigError, match="--eos-token-id 65535: no uint16"):
        import_index(theirs, str(place / "ours"), eos_token_id=65_535)
    with pytest.raises(ConfigError, match="eos_token_id 9999 is no id"):
        import_index(theirs, str(place / "ours"), eos_token_id=9999, tokenizer=str(tokenizer))
    with pytest.raises(VerificationError, match="has the id 3000, tiny"):
        import_index(theirs, str(place / "ours"), eos_token_id=0, tokenizer=str(tokenizer))
    import_index(theirs, str(place / "ours"), eos_token_id=9)
    with pytest.raises(ConfigError, match="holds token files already"):
        import_index(theirs, str(place / "ours"), eos_token_id=9)
