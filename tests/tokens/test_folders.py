"""`tokens count`, `inspect`, `verify`, `reshard`, `index-ids` over folders that `tokenize` made, or
such as Dolma makes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.tokens import id_index, lookup, resharding, store, totals, verifying
from dolma_kit.tokens.folder import open_folder
from tests.conftest import RunCommand
from tests.tokens.conftest import MakeDocuments, MakeTokenizer
from tests.tokens.test_shuffle import documents_of
from tests.tokens.test_stage import EOS_ID, digests, run

N = 200


@pytest.fixture
def folder(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """Two sources in parts of some documents each; the id a-7 stands in both."""
    monkeypatch.setattr(store, "ROWS_IN_GROUP", 7)
    make_documents([f"one {i} " * (i % 5 + 1) for i in range(N)], name="a", source="x")
    documents = make_documents(["", *(f"two {i}" for i in range(N))], folder="more", name="a")
    run(documents, make_tokenizer(), tmp_path / "out", max_tokens_per_part=1500)
    return tmp_path / "out"


def test_count_is_what_tokenize_writes(
    folder: Path, make_tokenizer: MakeTokenizer, tmp_path: Path, dolma_kit: RunCommand
) -> None:
    record = json.loads((folder / "tokens.json").read_text())
    corpus, tokenizer = str(tmp_path / "corpus"), str(make_tokenizer())
    for workers in (1, 2):
        found = totals.count(documents=[corpus], tokenizer=tokenizer, workers=workers, quiet=True)
        assert found.total.tokens == record["tokens"]
        assert (found.total.documents, found.total.empty) == (record["documents"], 1)
        assert list(found.sources) == ["", "x"]
        assert found.sources["x"].documents == N
    assert found.total.bytes == sum(t.bytes for t in found.sources.values())
    answer = dolma_kit("tokens", "count", corpus, "--tokenizer", tokenizer, "--workers", "1")
    assert json.loads(answer.out.splitlines()[-1])["total"]["tokens"] == record["tokens"]
    assert f"{record['tokens']:,}" in answer.out


def test_which_document_holds_a_token(folder: Path, dolma_kit: RunCommand) -> None:
    opened = open_folder(str(folder))
    at = 0
    for part in opened.parts:
        found = lookup.PartLookup(part)
        for row, document in enumerate(pq.read_table(part.table).to_pylist()):
            for token in {document["start"], document["end"] - 1}:
                one = found.at(token)
                assert (one.row, one.document.id) == (row, document["id"])
                assert (one.document.start, one.document.line) == (
                    document["start"],
                    document["loc"],
                )
            assert found.row(row).document.id == document["id"]
        last = at + part.n_tokens - 1
        answer = dolma_kit("tokens", "inspect", folder, "--at", last, "--json")
        assert answer.json[0]["document"][0] == document["id"]
        at += part.n_tokens
    answer = dolma_kit("tokens", "inspect", folder, "--at", at)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"has tokens 0 to {at - 1}, not {at}" in answer.err
    for token in (-1, opened.parts[0].n_tokens):
        with pytest.raises(ConfigError, match="has tokens 0 to"):
            lookup.PartLookup(opened.parts[0]).at(token)


def test_where_a_document_is(
    folder: Path, dolma_kit: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_folder(str(folder))
    by_scan = {f"a-{i}": lookup.by_id(opened, f"a-{i}") for i in (1, 7, N - 1, N, N + 1)}
    assert [len(found) for found in by_scan.values()] == [2, 2, 2, 1, 0]
    monkeypatch.setattr(id_index, "BUCKET_BYTES", 500)
    answer = dolma_kit("tokens", "index-ids", folder)
    assert answer.json["documents"] == 2 * N
    size = (folder / id_index.NAME).stat().st_size
    assert size == id_index.HEADER_BYTES + 2 * N * id_index.ENTRY_BYTES
    index = id_index.open_index(opened)
    assert index is not None
    assert (np.diff(index.hashes.astype(np.float64)) >= 0).all()
    assert {i: lookup.by_id(opened, i) for i in by_scan} == by_scan
    assert (
        dolma_kit("tokens", "inspect", folder, "--id", "a-7", "--json").json[1]["document"][1]
        == "x"
    )
    assert "no document of this id" in dolma_kit("tokens", "inspect", folder, "--id", "b").out
    # The same index, whatever the number of buckets.
    before = (folder / id_index.NAME).read_bytes()
    monkeypatch.undo()
    id_index.build(opened)
    assert (folder / id_index.NAME).read_bytes() == before


def test_an_index_that_is_broken_or_of_other_parts(folder: Path) -> None:
    opened = open_folder(str(folder))
    path = Path(id_index.build(opened)[0])
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:20], b"X" + whole[1:], b""):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"no index of ids|broken"):
            id_index.open_index(opened)
    path.write_bytes(whole[:16] + bytes(32) + whole[48:])
    with pytest.raises(VerificationError, match="of other parts than lie beside it"):
        id_index.open_index(opened)


def test_verify_finds_nothing_in_what_was_written(folder: Path, dolma_kit: RunCommand) -> None:
    found = verifying.verify(open_folder(str(folder)))
    record = json.loads((folder / "tokens.json").read_text())
    assert found.faults == []
    assert (found.documents, found.tokens) == (record["documents"], record["tokens"])
    assert (found.eos_within, found.parts) == (0, len(record["parts"]))
    answer = dolma_kit("tokens", "verify", folder)
    assert (answer.code, answer.out.count("\n")) == (0, 1)
    assert "as it should be" in answer.out


def flip(path: Path, at: int, value: int) -> None:
    ids = np.fromfile(path, "<u2")
    ids[at] = value
    ids.tofile(path)


def spoil_eos(folder: Path) -> None:
    end = pq.read_table(folder / "part-00000.docs.parquet")["end"][3].as_py()
    flip(folder / "part-00000.npy", end - 1, 5)


def cut_table(folder: Path) -> None:
    table = pq.read_table(folder / "part-00000.docs.parquet")
    pq.write_table(table.slice(0, 5), folder / "part-00000.docs.parquet")


def gap(folder: Path) -> None:
    table = pq.read_table(folder / "part-00000.docs.parquet")
    kept = table.take([0, 1, *range(3, len(table))])
    pq.write_table(kept, folder / "part-00000.docs.parquet")


def other_csv(folder: Path) -> None:
    path = folder / "part-00000.csv.gz"
    text = gzip.decompress(path.read_bytes()).replace(b"a-3,", b"a-x,", 1)
    path.write_bytes(gzip.compress(text))


SPOILT: dict[str, tuple[Any, str]] = {
    "EOS": (spoil_eos, r"row 4 .* does not end with 269"),
    "vocabulary": (lambda f: flip(f / "part-00000.npy", 2, 60_000), "token 2 is 60000, beyond"),
    "odd size": (lambda f: (f / "part-00000.npy").write_bytes(b"abc"), "no whole number of tokens"),
    "shorter": (
        lambda f: (f / "part-00000.npy").write_bytes((f / "part-00000.npy").read_bytes()[:-2]),
        "tokens.json says",
    ),
    "table": (cut_table, "part-00000.docs.parquet ends at token"),
    "gap": (gap, "row 3 has tokens"),
    "csv": (other_csv, r"part-00000.csv.gz: row 3 is .*a-x"),
    "broken csv": (lambda f: (f / "part-00000.csv.gz").write_bytes(b"\x1f\x8b\x08"), "broken or"),
    "broken table": (lambda f: (f / "part-00000.docs.parquet").write_bytes(b"PAR1"), "Parquet"),
    "tokenizer": (lambda f: (f / "tiny.json").write_bytes(b"{}"), "is not the tokenizer that"),
    "no tokenizer": (lambda f: (f / "tiny.json").unlink(), "tiny.json, which tokens.json"),
}  # fmt: skip


@pytest.mark.parametrize("spoilt", SPOILT)
def test_verify_finds_what_is_spoilt(folder: Path, dolma_kit: RunCommand, spoilt: str) -> None:
    spoil, message = SPOILT[spoilt]
    spoil(folder)
    answer = dolma_kit("tokens", "verify", folder)
    assert answer.code == 1
    assert __import__("re").search(message, answer.out), answer.out
    assert not answer.err


def test_eos_that_stands_in_texts_is_counted(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    documents = make_documents(["a<|endoftext|>b", "c"])
    run(documents, make_tokenizer(), tmp_path / "o", special_tokens="parse")
    found = verifying.verify(open_folder(str(tmp_path / "o")))
    assert (found.eos_within, found.faults) == (1, [])


def as_dolma_leaves_it(folder: Path) -> None:
    """No tokens.json, no Parquet."""
    for path in [*folder.glob("*.parquet"), folder / "tokens.json", folder / "tiny.json"]:
        path.unlink()


def reshard(folder: Path, out: Path, **keys: Any) -> Any:
    return resharding.reshard(
        tokens=[str(folder)], out=str(out), **{"workers": 1, "quiet": True, **keys}
    )


def test_reshard_keeps_documents_as_they_are(folder: Path, tmp_path: Path) -> None:
    before = documents_of(folder)
    summary = reshard(folder, tmp_path / "a", max_bytes_per_part=700)
    assert documents_of(tmp_path / "a") == before
    assert summary.counts["tokens"] == open_folder(str(folder)).n_tokens
    assert all(path.stat().st_size <= 700 for path in (tmp_path / "a").glob("*.npy"))
    assert verifying.verify(open_folder(str(tmp_path / "a"))).faults == []
    again = reshard(folder, tmp_path / "a", max_bytes_per_part=700)
    assert again.units_skipped == 1
    # And back: the parts that there were.
    reshard(tmp_path / "a", tmp_path / "b", max_tokens_per_part=1500)
    assert digests(tmp_path / "b") == digests(folder)


def test_reshard_samples_repeats_and_shuffles(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # of which other processes do not know
    before = documents_of(folder)
    reshard(folder, tmp_path / "third", rate=0.3)
    reshard(folder, tmp_path / "half", rate=0.6)
    third, half = (documents_of(tmp_path / name) for name in ("third", "half"))
    assert set(third) < set(half) < set(before)
    assert abs(len(third) - 0.3 * len(before)) < 30
    reshard(folder, tmp_path / "more", rate=2.5)
    more = Counter(documents_of(tmp_path / "more"))
    assert set(more) == set(before)
    assert set(more.values()) == {2, 3}
    assert documents_of(tmp_path / "more")[: len(before)] == before
    for name, workers in (("s", 1), ("t", 2)):
        reshard(folder, tmp_path / name, rate=2.5, shuffle=True, workers=workers)
    assert Counter(documents_of(tmp_path / "s")) == more
    assert digests(tmp_path / "s") == digests(tmp_path / "t")
    for name in ("third", "more", "s"):
        assert verifying.verify(open_folder(str(tmp_path / name))).faults == []


def test_reshard_of_what_dolma_made(folder: Path, tmp_path: Path, dolma_kit: RunCommand) -> None:
    before = documents_of(folder)
    as_dolma_leaves_it(folder)
    with pytest.raises(ConfigError, match="say of what dtype its tokens are with --dtype"):
        open_folder(str(folder))
    with pytest.raises(ConfigError, match="give --eos-token-id"):
        reshard(folder, tmp_path / "a", dtype="uint16")
    out = tmp_path / "a"
    answer = dolma_kit(
        "tokens", "reshard", folder, "--out", out, "--dtype", "uint16", "--eos-token-id", EOS_ID,
        "--workers", 1,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    after = documents_of(out)
    assert [(*d[:3], d[4]) for d in after] == [(*d[:3], d[4]) for d in before]
    assert {d[3] for d in after} == {None}  # the csv.gz does not say it
    found = verifying.verify(open_folder(str(folder), "uint16"), eos_token_id=EOS_ID)
    assert (found.documents, found.faults) == (2 * N, [])
    assert lookup.PartLookup(open_folder(str(folder), "uint16").parts[1]).at(3).row == 0
    plain = open_folder(str(folder), "uint16")
    found_by_scan = lookup.by_id(plain, "a-7")
    assert len(found_by_scan) == 2
    id_index.build(plain)
    assert lookup.by_id(plain, "a-7") == found_by_scan


def test_what_cannot_be_opened_or_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no token files at"):
        open_folder(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInput, match="no token files in"):
        open_folder(str(tmp_path / "empty"), "uint16")
    with pytest.raises(ConfigError, match=r"holds uint16, as its tokens\.json says, not uint32"):
        open_folder(str(folder), "uint32")
    with pytest.raises(ConfigError, match="would be written while it is read"):
        reshard(folder, folder)
    with pytest.raises(ConfigError, match="that 269 ends documents, not 3"):
        reshard(folder, tmp_path / "a", eos_token_id=3)
    (folder / "part-00001.npy").unlink()
    with pytest.raises(VerificationError, match=r"part-00001\.npy, which tokens\.json names"):
        open_folder(str(folder))
    (folder / "tokens.json").write_text("{")
    with pytest.raises(DataError, match=r"tokens\.json"):
        open_folder(str(folder))


def read_megatron(stem: Path) -> list[list[int]]:
    """Documents as Megatron-LM's IndexedDataset reads them."""
    index = stem.with_suffix(".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code = np.frombuffer(index, "<u8", 1, 9)[0], index[17]
    n_sequences, n_bounds = np.frombuffer(index, "<u8", 2, 18).tolist()
    assert version == 1
    dtype = {8: "<u2", 4: "<i4"}[code]
    lengths = np.frombuffer(index, "<i4", n_sequences, 34)
    pointers = np.frombuffer(index, "<i8", n_sequences, 34 + lengths.nbytes)
    bounds = np.frombuffer(index, "<i8", n_bounds, 34 + lengths.nbytes + pointers.nbytes)
    assert len(index) == 34 + lengths.nbytes + pointers.nbytes + bounds.nbytes
    assert bounds.tolist() == list(range(n_sequences + 1))
    data = stem.with_suffix(".bin").read_bytes()
    return [
        np.frombuffer(data, dtype, n, at).tolist()
        for n, at in zip(lengths.tolist(), pointers.tolist(), strict=True)
    ]


@pytest.mark.parametrize("highest", [None, 100_000])
def test_megatrons_layout(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path,
    highest: int | None,
) -> None:  # fmt: skip
    def more(content: Any) -> None:
        if highest is not None:  # ids that need 32 bits
            content["added_tokens"].append(
                {"id": highest, "content": "<high>", "special": False, "single_word": False,
                 "lstrip": False, "rstrip": False, "normalized": False}
            )  # fmt: skip

    tokenizer = make_tokenizer(change=more)
    documents = make_documents([f"text {i} <high>" for i in range(30)])
    keys = {"max_tokens_per_part": 120}
    run(documents, tokenizer, tmp_path / "m", layout="megatron", **keys)
    run(documents, tokenizer, tmp_path / "o", **keys)
    parts = sorted((tmp_path / "m").glob("*.bin"))
    assert len(parts) > 2
    assert not list((tmp_path / "m").glob("*.npy"))
    for part in parts:
        other = tmp_path / "o" / part.with_suffix(".npy").name
        assert part.read_bytes() == other.read_bytes()
        table = pq.read_table(part.with_suffix(".docs.parquet"))
        ids = np.fromfile(part, "<u2" if highest is None else "<u4").tolist()
        expected = [ids[a:b] for a, b in zip(*(table[n].to_pylist() for n in ("start", "end")),
                                             strict=True)]  # fmt: skip
        assert read_megatron(part) == expected
    opened = open_folder(str(tmp_path / "m"))
    assert verifying.verify(opened).faults == []
    assert lookup.PartLookup(opened.parts[0]).at(0).document.id == "a-0"


def test_an_index_of_megatrons_for_the_longest_document(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="too long for Megatron's layout"):
        store.write_idx(str(tmp_path / "a.idx"), np.array([2**31]), 2)
    assert not list(tmp_path.iterdir())
