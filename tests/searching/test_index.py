"""`search index`: the same bytes however it runs, whole documents a shard, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from dolma_kit import ledger
from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.searching import building, index
from dolma_kit.searching.queries import open_searcher
from dolma_kit.tokens import store
from tests.conftest import RunCommand
from tests.naive import suffix_arrays as plain
from tests.order.tiny_run import write_rows

if TYPE_CHECKING:
    from dolma_kit.execute.ray import RayEngine

EOS_ID = 1
AGAIN = "make the index again (dolma-kit search index)"


class Doc(NamedTuple):
    """A document of a part, by its ids, EOS and all; its file is `<source>.jsonl.gz`."""

    id: str
    ids: list[int]
    source: str | None = "web"


def write_tokens(
    folder: Path,
    parts: Sequence[Sequence[Doc]],
    *,
    dtype: Any = "uint16",
    tokenizer: Path | None = None,
    eos: int = EOS_ID,
    form: str = "parquet",
    record: bool = True,
) -> Path:
    """A folder of token files as `tokenize` has it, or, without a record, as others do."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, documents in enumerate(parts):
        stem = folder / store.part_name(number)
        ids: list[int] = []
        rows = []
        for line, one in enumerate(documents, start=1):
            rows.append(
                (len(ids), len(ids) + len(one.ids), one.id, f"{one.source}.jsonl.gz", line,
                 one.source)
            )  # fmt: skip
            ids += one.ids
        np.array(ids, store.NUMPY_DTYPES[dtype]).tofile(f"{stem}.npy")
        if rows or form == "csv":
            write_rows(stem, rows, form)
        else:
            write_rows(stem, [(0, 0, "", "", 0, None)], form)
            cut_rows(Path(f"{stem}.docs.parquet"), 0)
        made.append(store.Part(path=f"{stem.name}.npy", documents=len(rows), tokens=len(ids)))
    if not record:
        return folder
    name, digest = "none.json", ""
    if tokenizer is not None:
        shutil.copy(tokenizer, folder / tokenizer.name)
        name = tokenizer.name
        digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    store.Record(
        tokenizer=name, tokenizer_sha256=digest, encoder="tokenizers", eos_token_id=eos,
        pad_token_id=None, vocab_size=1 << 16, dtype=dtype, sequence_length=8,
        documents=sum(part.documents for part in made), tokens=sum(part.tokens for part in made),
        parts=made,
    ).write(str(folder))  # fmt: skip
    return folder


def cut_rows(path: Path, n: int) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(path).slice(0, n), path)


def build(folder: Path, **keys: Any) -> Any:
    return building.build(tokens=str(folder), **{"workers": 1, "quiet": True, **keys})


def documents_of(seed: int, n: int, most: int = 12, n_ids: int = 5) -> list[Doc]:
    """Documents of few different ids, each with an EOS at its end."""
    draw = np.random.default_rng(seed)
    return [
        Doc(f"d{seed}-{i}", [*draw.integers(2, 2 + n_ids, draw.integers(0, most)).tolist(), EOS_ID])
        for i in range(n)
    ]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All that an index is but for its ledger."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def shards_of(parts: Sequence[Sequence[Doc]], most: int) -> list[tuple[int, list[list[int]]]]:
    """(part, documents) of each shard: as many whole documents as fit."""
    found: list[tuple[int, list[list[int]]]] = []
    for number, documents in enumerate(parts):
        for one in documents:
            last = found[-1] if found and found[-1][0] == number else None
            if last is None or sum(map(len, last[1])) + len(one.ids) > most:
                found.append((number, []))
            found[-1][1].append(one.ids)
    return found


PARTS = [documents_of(1, 20), documents_of(2, 7), [], documents_of(3, 1), documents_of(4, 40)]


def check(folder: Path, parts: Sequence[Sequence[Doc]], most: int) -> index.Index:
    """The index against plain sorting, shard by shard."""
    opened = index.open_index(str(folder))
    expected = shards_of(parts, most)
    assert len(opened.shards) == len(expected)
    firsts, rows = dict.fromkeys(range(len(parts)), 0), dict.fromkeys(range(len(parts)), 0)
    for number, (shard, (part, documents)) in enumerate(zip(opened.shards, expected, strict=True)):
        ids = [one for document in documents for one in document]
        about = shard.about
        assert (about.part, about.first) == (f"{store.part_name(part)}.npy", firsts[part])
        assert (about.row, about.documents) == (rows[part], len(documents))
        assert (about.tokens, shard.number) == (len(ids), number)
        assert shard.tokens.tolist() == ids
        assert shard.suffixes.tolist() == plain.suffix_array(ids)
        assert shard.ends.tolist() == np.cumsum([len(one) for one in documents]).tolist()
        assert about.sha256 == hashlib.sha256(shard.tokens.tobytes()).hexdigest()
        assert about.ended == all(one[-1] == EOS_ID for one in documents if one)
        assert about.whole == (
            about.ended and all(one.count(EOS_ID) == 1 for one in documents if one)
        )
        firsts[part] += len(ids)
        rows[part] += len(documents)
    assert opened.n_tokens == sum(len(one.ids) for part in parts for one in part)
    return opened


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("most", [12, 31, 100, 1 << 28])
def test_shards_are_whole_documents(tmp_path: Path, dtype: str, most: int) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS, dtype=dtype)
    summary = build(tokens, shard_tokens=most)
    opened = check(tokens, PARTS, most)
    assert summary.counts == {"tokens": opened.n_tokens, "shards": len(opened.shards)}
    assert summary.documents == sum(map(len, PARTS))
    assert summary.outputs == [str(tokens / "search")]
    assert opened.about.eos_token_id == EOS_ID
    for shard in opened.shards:
        assert 0 < shard.about.tokens <= most
        sizes = [
            (tokens / "search" / f"{shard.about.name}{end}").stat().st_size
            for end in (".suffixes", ".ends")
        ]
        assert sizes == [4 * shard.about.tokens, 8 * shard.about.documents]


ODD: dict[str, list[list[Doc]]] = {
    "one document": [[Doc("a", [5, 6, EOS_ID])]],
    "one token": [[Doc("a", [EOS_ID])]],
    "one token that is no EOS": [[Doc("a", [9])]],
    "no tokens at all": [[], []],
    "an empty part first and last": [[], [Doc("a", [5, EOS_ID])], []],
    "empty documents": [
        [Doc("a", []), Doc("b", [5, EOS_ID]), Doc("c", []), Doc("d", []), Doc("e", [5, 5])],
        [Doc("f", [])],
    ],
    "documents without EOS": [[Doc("a", [5, 6]), Doc("b", [5]), Doc("c", [6, EOS_ID])]],
    "an EOS within": [[Doc("a", [5, EOS_ID, 6, EOS_ID]), Doc("b", [EOS_ID, EOS_ID])]],
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_odd_folders(tmp_path: Path, parts: list[list[Doc]], form: str) -> None:
    tokens = write_tokens(tmp_path / "t", parts, form=form)
    build(tokens, shard_tokens=4)
    check(tokens, parts, 4)
    assert open_searcher([str(tokens)]).count(open_searcher([str(tokens)]).ids([5])) == sum(
        one.ids.count(5) for part in parts for one in part
    )


def test_workers_and_engines_give_the_same_bytes(
    tmp_path: Path, ray_cluster: RayEngine, dolma_kit: RunCommand
) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    command = ["search", "index", tokens, "--shard-tokens", 60, "--quiet"]
    answer = dolma_kit(*command, "--workers", 1, "--out", tmp_path / "one")
    assert answer.code == 0, answer.err
    expected = bytes_of(tmp_path / "one")
    assert len(expected) == 2 * answer.json["counts"]["shards"] + 1 > 10
    assert dolma_kit(*command, "--workers", 2, "--out", tmp_path / "two").code == 0
    assert bytes_of(tmp_path / "two") == expected
    settings = building.IndexTokens(
        tokens=str(tokens), shard_tokens=60, out=str(tmp_path / "ray"), quiet=True
    )
    assert building.build(settings, engine=ray_cluster).engine == "ray"
    assert bytes_of(tmp_path / "ray") == expected
    for number in (1, 0):
        answer = dolma_kit(
            *command, "--workers", 1, "--out", tmp_path / "parts", "--shard", f"{number}/2"
        )
        assert (answer.code, answer.json["complete"]) == (0, False)
        assert not index.exists(str(tmp_path / "parts")), "no index before all is there"
    answer = dolma_kit(*command, "--workers", 1, "--out", tmp_path / "parts")
    assert answer.json["units_skipped"] == len(expected) // 2
    assert bytes_of(tmp_path / "parts") == expected


def test_a_second_run_does_nothing(tmp_path: Path, dolma_kit: RunCommand) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    command = ["search", "index", tokens, "--shard-tokens", 60, "--quiet", "--workers", 1]
    first = dolma_kit(*command)
    assert (first.code, first.out.count("\n")) == (0, 1)
    before = {p: p.stat().st_mtime_ns for p in (tokens / "search").glob("part-*")}
    second = dolma_kit(*command)
    assert second.json["units_skipped"] == second.json["counts"]["shards"]
    assert second.json["counts"] == first.json["counts"]
    assert {p: p.stat().st_mtime_ns for p in (tokens / "search").glob("part-*")} == before
    # Of one part that is gone no more than its own shards are made again.
    next(iter(before)).unlink()
    third = dolma_kit(*command)
    assert third.json["units_skipped"] == third.json["counts"]["shards"] - 1


def test_index_json_says_nothing_of_where_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens, shard_tokens=500)
    text = (tokens / "search" / "index.json").read_text()
    assert str(tmp_path) not in text
    about = json.loads(text)
    assert about.keys() == {"version", "tokens", "dtype", "eos_token_id", "parts", "shards"}
    assert (about["tokens"], about["version"]) == ("..", 1)
    assert about["parts"] == {
        f"part-0000{n}.npy": 2 * sum(len(one.ids) for one in part) for n, part in enumerate(PARTS)
    }
    assert about["shards"][0].keys() == {
        "name", "part", "first", "tokens", "row", "documents", "sha256", "ended",
        "whole",
    }  # fmt: skip
    # By a relative path, and moved with its tokens, it is the same.
    shutil.move(tokens, tmp_path / "elsewhere" / "t")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert index.open_index("t").tokens.path == "t"
    assert index.open_index("t/search").n_tokens == index.open_index("t").n_tokens
    shutil.rmtree("t/search")
    build(Path("t/"), shard_tokens=500)
    assert Path("t/search/index.json").read_text() == text


def test_an_index_elsewhere(tmp_path: Path, dolma_kit: RunCommand) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    out = tmp_path / "a" / "b"
    summary = build(tokens, out=str(out))
    assert summary.outputs == [str(out)]
    assert json.loads((out / "index.json").read_text())["tokens"] == "../../t"
    assert not (tokens / "search").exists()
    assert index.place_of(str(out)) == str(out)
    assert not index.exists(str(tokens))
    assert index.open_index(str(out)).tokens.path == str(tokens)
    assert dolma_kit("search", "count", "--ids", "3", "--index", out).code == 0
    answer = dolma_kit("search", "count", "--ids", "3", "--index", tokens)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"no index at {tokens}/search: make one with dolma-kit search index" in answer.err


def test_what_cannot_be_indexed(tmp_path: Path, dolma_kit: RunCommand) -> None:
    tokens = write_tokens(tmp_path / "t", [[Doc("a", [5, 6, EOS_ID]), Doc("b", [5] * 99)]])
    command = ["search", "index", "--workers", 1, "--quiet"]
    refused: list[tuple[list[Any], str]] = [
        ([], "no tokens: name the folder of token files"),
        ([tmp_path / "no"], f"no token files at {tmp_path / 'no'}"),
        ([tokens, "--limit", 5], "--limit: an index is of all tokens"),
        ([tokens, "--shard-tokens", 1 << 31], "at most 2,147,483,647"),
        ([tokens, "--shard-tokens", 0], "at `shard_tokens`"),
        ([tokens, "--shard-tokens", 98], "a document has 99 tokens, more than a shard may have"),
        ([tokens, "--shard-tokens", 2], "a document has 3 tokens, more than a shard may have"),
        ([tokens, "--dtype", "uint32"], "holds uint16, as its tokens.json says, not uint32"),
        ([tokens, "--dtype", "int8"], "not int8"),
    ]
    for more, message in refused:
        answer = dolma_kit(*command, *more)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert message in answer.err
    assert "raise --shard-tokens 98" in dolma_kit(*command, tokens, "--shard-tokens", 98).err
    assert not (tokens / "search").exists()
    assert dolma_kit(*command, tokens, "--shard-tokens", 99).code == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 3), (3, 5)], "ends at token 5, .* has 6 tokens: they do not belong together"),
        ([(0, 3), (3, 7)], "ends at token 7, .* has 6 tokens"),
        ([(0, 3), (4, 6)], "row 2 has tokens 4 to 6, after 3: documents follow each other from 0"),
        ([(1, 3), (3, 6)], "row 1 has tokens 1 to 3, after 0"),
        ([(0, 3), (3, 2), (2, 6)], "row 2 has tokens 3 to 2, after 3"),
        ([], "ends at token 0, .* has 6 tokens"),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_documents_that_do_not_fill_the_tokens(
    tmp_path: Path, rows: list[tuple[int, int]], message: str, form: str
) -> None:
    """Tokens of no document, and documents of no tokens, would be counted or crash later on."""
    tokens = write_tokens(tmp_path / "t", [[Doc("a", [5, 6, 7, 8, 9, EOS_ID])]], form=form)
    stem = tokens / "part-00000"
    if rows:
        write_rows(stem, [(*row, str(i), "x", i, None) for i, row in enumerate(rows)], form)
    elif form == "csv":
        write_rows(stem, [], form)
    else:
        cut_rows(tokens / "part-00000.docs.parquet", 0)
    with pytest.raises(VerificationError, match=message):
        build(tokens)
    assert not (tokens / "search" / "index.json").exists()


def test_a_part_without_a_table(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", [[Doc("a", [5, EOS_ID])]])
    (tokens / "part-00000.docs.parquet").unlink()
    with pytest.raises(MissingInput, match=r"neither .*docs\.parquet nor .*csv\.gz"):
        build(tokens)


# What becomes of an index or its tokens, and what is said then


def longer(folder: Path) -> None:
    with (folder / "part-00000.npy").open("ab") as stream:
        stream.write(b"\1\0")


def other_content(folder: Path) -> None:
    path = folder / "part-00001.npy"
    ids = np.fromfile(path, "<u2")
    ids[3] += 1
    ids.tofile(path)
    os.utime(path, ns=(1, 1))


def without_last_part(folder: Path) -> None:
    record = json.loads((folder / "tokens.json").read_text())
    del record["parts"][-1]
    (folder / "tokens.json").write_text(json.dumps(record))


def with_another_part(folder: Path) -> None:
    for suffix in (".npy", ".docs.parquet"):
        shutil.copy(folder / f"part-00000{suffix}", folder / f"part-00009{suffix}")
    record = json.loads((folder / "tokens.json").read_text())
    record["parts"].append(record["parts"][0] | {"path": "part-00009.npy"})
    (folder / "tokens.json").write_text(json.dumps(record))


def cut(name: str, n: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "search" / name
        path.write_bytes(path.read_bytes()[:n])

    return change


def grow(folder: Path) -> None:
    with (folder / "search" / "part-00001-000.suffixes").open("ab") as stream:
        stream.write(b"1234")


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "suffixes cut short": (cut("part-00000-000.suffixes", -1), "it is cut short or of another"),
    "suffixes empty": (cut("part-00000-000.suffixes", 0), "has 0 bytes, not"),
    "suffixes longer": (grow, "it is cut short or of another index"),
    "ends cut short": (cut("part-00001-000.ends", -8), "it is cut short or of another index"),
    "suffixes gone": (
        lambda folder: (folder / "search" / "part-00001-000.suffixes").unlink(),
        "part-00001-000.suffixes is gone",
    ),
    "ends gone": (lambda folder: (folder / "search" / "part-00001-000.ends").unlink(), "is gone"),
    "tokens longer": (longer, "part-00000.npy has changed since"),
    "tokens cut short": (
        lambda folder: os.truncate(folder / "part-00000.npy", 10), "has changed since"
    ),
    "other tokens, as many": (other_content, "part-00001.npy has changed since"),
    "a part less": (without_last_part, "not of the token files that are there: part-00004.npy"),
    "a part more": (with_another_part, "not of the token files that are there: part-00009.npy"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_refused_with_the_cure(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens)
    change(tokens)
    for _ in range(2):  # a refusal is not noted as seen
        with pytest.raises(VerificationError, match=message) as raised:
            index.open_index(str(tokens))
        assert AGAIN in str(raised.value)
    if message.startswith(("it is cut", "has 0", "part-00001-000", "is gone")):
        # The cure is one.
        build(tokens)
        check(tokens, PARTS, 1 << 28)


def test_a_refusal_is_one_line(tmp_path: Path, dolma_kit: RunCommand) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens)
    for change in (cut("part-00000-000.suffixes", -1), other_content, cut("index.json", 9)):
        change(tokens)
        answer = dolma_kit("search", "count", "--ids", "5", "--index", tokens)
        assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
        assert AGAIN in answer.err


def test_a_cure_for_changed_tokens(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens, shard_tokens=60)
    changed = [*PARTS[:1], documents_of(9, 12), *PARTS[2:]]
    write_tokens(tokens, changed)
    with pytest.raises(VerificationError, match=r"part-00001\.npy has changed since"):
        index.open_index(str(tokens))
    build(tokens, shard_tokens=60, overwrite=True)
    check(tokens, changed, 60)


def test_tokens_that_were_touched_are_still_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another time, they are read once; what was seen is noted."""
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens, shard_tokens=60)
    os.utime(tokens / "part-00000.npy", ns=(5, 5))
    read = []
    sha256_of = index.sha256_of
    monkeypatch.setattr(
        index, "sha256_of", lambda part, *at: (read.append(part.path), sha256_of(part, *at))[1]
    )
    check(tokens, PARTS, 60)
    assert set(read) == {str(tokens / "part-00000.npy")}
    n_read = len(read)
    check(tokens, PARTS, 60)
    assert len(read) == n_read
    shutil.rmtree(tokens / "search" / ledger.FOLDER)
    check(tokens, PARTS, 60)
    assert set(read) == {str(tokens / f"part-0000{n}.npy") for n in (0, 1, 3, 4)}
    for broken in (b"[1]", b"{", b"\xff", b'{"part-00000.npy": 3}'):
        (tokens / "search" / ledger.FOLDER / index.SEEN).write_bytes(broken)
        check(tokens, PARTS, 60)


def test_an_index_that_nobody_may_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    os.utime(tokens / "part-00000.npy", ns=(5, 5))
    monkeypatch.setattr(index, "note_seen", refuse)
    check(tokens, PARTS, 1 << 28)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe", b"[]", b"{}", b"null",
        '{"version": 2, "tokens": "..", "dtype": "uint16", "eos_token_id": 1, "parts": {}, '
        '"shards": []}',
        '{"version": 1, "tokens": "..", "dtype": "int64", "eos_token_id": 1, "parts": {}, '
        '"shards": []}',
    ],
)  # fmt: skip
def test_what_is_no_index(tmp_path: Path, content: str | bytes) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens)
    path = tokens / "search" / "index.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=r"index\.json: is no index") as raised:
        index.open_index(str(tokens))
    assert AGAIN in str(raised.value)
    build(tokens)
    check(tokens, PARTS, 1 << 28)


@pytest.mark.parametrize(
    "change",
    [
        {"part": "part-00077.npy"}, {"first": 10**6}, {"first": -1}, {"tokens": 10**6},
        {"documents": -1},
    ],
)  # fmt: skip
def test_shards_that_no_part_has(tmp_path: Path, change: dict[str, Any]) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens)
    path = tokens / "search" / "index.json"
    about = json.loads(path.read_text())
    about["shards"][0] |= change
    path.write_text(json.dumps(about))
    with pytest.raises((DataError, VerificationError)):
        index.open_index(str(tokens))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"no index at .*/no/search: make one"):
        index.open_index(str(tmp_path / "no"))
    tokens = write_tokens(tmp_path / "t", PARTS)
    build(tokens, out=str(tmp_path / "index"))
    shutil.rmtree(tokens)
    with pytest.raises(MissingInput, match="no token files at"):
        index.open_index(str(tmp_path / "index"))


def test_folders_that_others_made(tmp_path: Path, dolma_kit: RunCommand) -> None:
    """Dolma's toolkit: no tokens.json, a csv.gz beside each file, and names of its own."""
    tokens = write_tokens(tmp_path / "t", PARTS[:2], dtype="uint32", form="csv", record=False)
    for path in list(tokens.iterdir()):
        path.rename(tokens / path.name.replace("part-0", "part-1-"))
    answer = dolma_kit("search", "index", tokens, "--quiet", "--workers", 1)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "has no tokens.json: say of what dtype its tokens are with --dtype" in answer.err
    answer = dolma_kit("search", "index", tokens, "--dtype", "uint32", "--quiet", "--workers", 1)
    assert answer.code == 0, answer.err
    opened = index.open_index(str(tokens))
    assert opened.about.eos_token_id is None
    assert not any(shard.about.whole or shard.about.ended for shard in opened.shards)
    searcher = open_searcher([str(tokens)])
    found = searcher.find(searcher.ids([3, EOS_ID]), 10**6)
    assert found.count == sum(one.ids[-2:] == [3, EOS_ID] for part in PARTS[:2] for one in part)
    # The end of a document is known by the table, whatever ends it.
    assert searcher.count(searcher.ids([EOS_ID, 3])) == 0
    assert dolma_kit("search", "count", "--ids", "3", "--index", tokens, "--json").json == {
        "query": "3", "count": sum(one.ids.count(3) for part in PARTS[:2] for one in part),
    }  # fmt: skip
    answer = dolma_kit("search", "count", "x", "--index", tokens)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "records no tokenizer: search by --ids, or name it with --tokenizer" in answer.err


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", PARTS, record=False, form="csv")
    for keys in ({}, {"out": str(tmp_path / "index")}):
        with pytest.raises(ConfigError, match=r"npy is a file: an index is of a folder"):
            build(tokens / "part-00000.npy", dtype="uint16", **keys)


def test_golden_files(tmp_path: Path) -> None:
    """Version 1 of the format, byte by byte."""
    tokens = write_tokens(
        tmp_path / "t", [[Doc("a", [5, 4, 5, EOS_ID]), Doc("b", []), Doc("c", [4, EOS_ID])]]
    )
    build(tokens)
    assert bytes_of(tokens / "search") == {
        "part-00000-000.suffixes": np.array([5, 3, 4, 1, 2, 0], "<i4").tobytes(),
        "part-00000-000.ends": np.array([4, 4, 6], "<i8").tobytes(),
        "index.json": b"""{
  "version": 1,
  "tokens": "..",
  "dtype": "uint16",
  "eos_token_id": 1,
  "parts": {
    "part-00000.npy": 12
  },
  "shards": [
    {
      "name": "part-00000-000",
      "part": "part-00000.npy",
      "first": 0,
      "tokens": 6,
      "row": 0,
      "documents": 3,
      "sha256": "%s",
      "ended": true,
      "whole": true
    }
  ]
}
"""
        % hashlib.sha256(np.array([5, 4, 5, 1, 4, 1], "<u2").tobytes()).hexdigest().encode(),
    }
