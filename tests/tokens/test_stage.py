from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.tokens import encoder, store
from dolma_kit.tokens.stage import plan, tokenize

from .conftest import EMAIL, EOS, MERGES, MakeDocuments, MakeTokenizer

EMAIL_ID = 256 + len(MERGES)
EOS_ID = EMAIL_ID + 1


def run(documents: str | list[str], tokenizer: Path, out: Path, **keys: Any) -> Any:
    return tokenize(
        **{
            "documents": [documents] if isinstance(documents, str) else documents,
            "tokenizer": str(tokenizer),
            "eos_token_id": EOS_ID,
            "out": str(out),
            "workers": 1,
            "sequence_length": 4,
            "encoder": "tokenizers",
            "quiet": True,
            **keys,
        }
    )


def digests(out: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir() if p.is_file()
    }


def ids_of(out: Path, part: int = 0) -> np.ndarray[Any, Any]:
    return np.fromfile(out / f"part-{part:05d}.npy", "<u2")


def rows_of(out: Path, part: int = 0) -> list[list[str]]:
    text = gzip.decompress((out / f"part-{part:05d}.csv.gz").read_bytes()).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def encoded(tokenizer: Path, texts: list[str]) -> list[list[int]]:
    data = tokenizer.read_text(encoding="utf-8")
    ids, offsets = encoder.TokenizersEncoder(data).encode(texts)
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


def test_golden(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    tokenizer, out = make_tokenizer(), tmp_path / "out"
    documents = make_documents(["the", f" the\n\n{EMAIL}"])
    make_documents(["'s"], folder="wiki", name="b,", source="w")
    summary = run(documents, tokenizer, out, encoder="auto")
    the, space_the, s, newlines = 257, 258, 259, 260
    assert ids_of(out).tolist() == [the, EOS_ID, space_the, newlines, EMAIL_ID, EOS_ID, s, EOS_ID]
    assert rows_of(out) == [
        ["0", "2", "a-0", "web/documents/a.jsonl.gz", "1"],
        ["2", "6", "a-1", "web/documents/a.jsonl.gz", "2"],
        ["6", "8", "b,-0", "wiki/documents/b,.jsonl.gz", "1"],
    ]
    assert pq.read_table(out / "part-00000.docs.parquet")["source"].to_pylist() == [None, None, "w"]
    record = json.loads((out / "tokens.json").read_text())
    assert record == {
        "version": 1,
        "tokenizer": "tiny.json",
        "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
        "encoder": encoder.version("fastokens"),
        "eos_token_id": EOS_ID,
        "pad_token_id": None,
        "bos_token_id": None,
        "vocab_size": EOS_ID + 1,
        "dtype": "uint16",
        "sequence_length": 4,
        "documents": 3,
        "tokens": 8,
        "parts": [{"path": "part-00000.npy", "documents": 3, "tokens": 8}],
        "seed": None,
    }
    assert (out / "tiny.json").read_bytes() == tokenizer.read_bytes()
    assert sorted(digests(out)) == [
        "part-00000.csv.gz", "part-00000.docs.parquet", "part-00000.npy",
        "tiny.json", "tokens.json",
    ]  # fmt: skip
    assert [p.name for p in (out / ".dolma-kit").iterdir() if p.name == "tmp"] == []
    assert summary.counts == {
        "tokens": 8, "parts": 1, "instances": 2, "empty": 0, "eos_in_text": 0,
        "special_in_text": {},
        "encoder": encoder.version("fastokens"), "warnings": [],
    }  # fmt: skip
    assert (summary.documents, summary.outputs) == (3, [str(out)])


@pytest.mark.parametrize("kind", ["fastokens", "tokenizers"])
def test_special_strings_do_not_end_documents(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path, kind: str
) -> None:
    texts = [
        EOS,
        f"a{EOS}",
        f"{EOS}{EOS}b",
        "c\u2028d\u2029e\x85f\x0cg",
        "",
        "  h  \n",
        "i\r\nj\rk",
    ]
    tokenizer, out = make_tokenizer(), tmp_path / "out"
    summary = run(make_documents(texts), tokenizer, out, encoder=kind)
    expected = [ids for text, ids in zip(texts, encoded(tokenizer, texts), strict=True) if text]
    assert ids_of(out).tolist() == [i for ids in expected for i in [*ids, EOS_ID]]
    assert (ids_of(out) == EOS_ID).sum() == len(texts) - 1
    assert [int(row[4]) for row in rows_of(out)] == [1, 2, 3, 4, 6, 7]  # line 5 is empty
    assert (summary.documents, summary.counts["empty"]) == (7, 1)
    assert json.loads((out / "tokens.json").read_text())["documents"] == 6


def test_an_eos_that_text_can_give_is_counted(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    summary = run(
        make_documents([f"x{EMAIL}", "y"]), make_tokenizer(), tmp_path / "o", eos_token_id=EMAIL_ID
    )
    assert summary.counts["eos_in_text"] == 1
    (warning,) = summary.counts["warnings"]
    assert warning.startswith(f"eos_token_id {EMAIL_ID} also comes from text, 1 times")
    assert len(rows_of(tmp_path / "o")) == 2


def test_the_same_bytes_for_any_number_of_workers(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    for i in range(6):
        corpus = make_documents([f"the {i} {j} " * (40 * i + j) for j in range(20)], name=f"f{i}")
    tokenizer = make_tokenizer()
    made = []
    for workers in (1, 2, 4):
        out = tmp_path / f"out{workers}"
        run(
            corpus, tokenizer, out, workers=workers, max_tokens_per_part=20_000, encoder="fastokens"
        )
        made.append(digests(out))
    assert made[0] == made[1] == made[2]
    assert len(made[0]) > 8


def test_parts(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    """Sizes with EOS 3, 3, 4, 12 (larger than a part), 2, 8 (all of a part), 2."""
    texts = ["z" * n for n in (2, 2, 3)]
    corpus = make_documents(texts, name="a")
    make_documents(["z" * n for n in (11, 1, 7, 1)], name="b")
    summary = run(
        corpus, make_tokenizer(), tmp_path / "out", max_tokens_per_part=8, sequence_length=5
    )
    parts = json.loads((tmp_path / "out" / "tokens.json").read_text())["parts"]
    assert [(part["documents"], part["tokens"]) for part in parts] == [
        (2, 6), (1, 4), (1, 12), (1, 2), (1, 8), (1, 2),
    ]  # fmt: skip
    assert [part["path"] for part in parts] == [f"part-{i:05d}.npy" for i in range(6)]
    for i, part in enumerate(parts):
        assert len(ids_of(tmp_path / "out", i)) == part["tokens"]
        assert rows_of(tmp_path / "out", i)[0][0] == "0"
    assert summary.counts["instances"] == 1 + 0 + 2 + 0 + 1 + 0


def test_limit_takes_the_first_documents(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    make_documents(["a", "b"], name="a")
    summary = run(make_documents(["c", "d"], name="b"), make_tokenizer(), tmp_path / "out", limit=3)
    assert summary.partial
    assert [row[2] for row in rows_of(tmp_path / "out")] == ["a-0", "a-1", "b-0"]


def test_too_few_tokens_is_a_warning(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    summary = run(make_documents(["z"]), make_tokenizer(), tmp_path / "out", sequence_length=2048)
    assert summary.counts["instances"] == 0
    assert summary.counts["warnings"] == [
        "too few tokens for one instance: sequence_length is 2048, the largest of 1 parts has 2"
    ]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_tokens_at_all(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path, texts: list[str]
) -> None:
    with pytest.raises(VerificationError, match=f"no tokens: {len(texts)} documents"):
        run(make_documents(texts), make_tokenizer(), tmp_path / "out")
    assert digests(tmp_path / "out") == {}


def test_an_empty_file_leaves_no_trace(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    make_documents([], name="a")
    run(make_documents(["z"], name="b"), make_tokenizer(), tmp_path / "out")
    assert len(rows_of(tmp_path / "out")) == 1


def test_taken_up_after_bad_input(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    tokenizer, out = make_tokenizer(), tmp_path / "out"
    make_documents([f"text {i} of many" for i in range(300)], name="a")  # the larger goes first
    corpus = make_documents(["b"], name="b")
    bad = tmp_path / "corpus/web/documents/b.jsonl.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"b\.jsonl\.gz.*truncated"):
        run(corpus, tokenizer, out)
    assert digests(out) == {}
    bad.write_bytes(whole)
    again = run(corpus, tokenizer, out)
    assert again.units_skipped == 1
    run(corpus, tokenizer, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")
    assert run(corpus, tokenizer, out).counts == again.counts


def test_a_failure_while_joining_leaves_no_final_name(
    make_tokenizer: MakeTokenizer,
    make_documents: MakeDocuments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer, out = make_tokenizer(), tmp_path / "out"
    corpus = make_documents(["one", "two", "three"])
    append = store.PartWriter.append

    def full_disk(self: store.PartWriter, *args: Any) -> None:
        if self.name == "part-00002":
            raise OSError(28, "No space left on device")
        append(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(store.PartWriter, "append", full_disk)
        with pytest.raises(OSError, match="No space left"):
            run(corpus, tokenizer, out, max_tokens_per_part=1)
    assert digests(out) == {}
    assert run(corpus, tokenizer, out, max_tokens_per_part=1).units_skipped == 1
    assert len(digests(out)) == 3 * 3 + 2


def test_fewer_parts_replace_more(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    tokenizer, out = make_tokenizer(), tmp_path / "out"
    corpus = make_documents(["one", "two", "three"])
    run(corpus, tokenizer, out, max_tokens_per_part=1)
    with pytest.raises(ConfigError, match="max_tokens_per_part was 1, is 100"):
        run(corpus, tokenizer, out, max_tokens_per_part=100)
    run(corpus, tokenizer, out, max_tokens_per_part=100, overwrite=True)
    assert len(digests(out)) == 3 + 2


def test_the_config_holds_contents_not_places(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    corpus = make_documents(["z"])
    tokenizer = make_tokenizer()
    made = plan_of(corpus, tokenizer, tmp_path / "out")
    assert str(tmp_path) not in json.dumps(made.config)
    elsewhere = tmp_path / "elsewhere" / "tiny.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(tokenizer.read_bytes())
    assert plan_of(corpus, elsewhere, tmp_path / "out2").config == made.config
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    assert plan_of(corpus, tokenizer, tmp_path / "out").config != made.config


def plan_of(corpus: str, tokenizer: Path, out: Path) -> Any:
    from dolma_kit.config import Tokenize

    return plan(
        Tokenize(
            documents=[corpus],
            tokenizer=str(tokenizer),
            eos_token_id=EOS_ID,
            out=str(out),
            encoder="tokenizers",
        )
    )


def test_overwrite_never_removes_the_tokenizer_it_reads(
    make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    corpus, out = make_documents(["z"]), tmp_path / "out"
    run(corpus, make_tokenizer(), out)
    with pytest.raises(ConfigError, match="give the original"):
        run(corpus, out / "tiny.json", out, overwrite=True, sequence_length=8)
    assert (out / "tiny.json").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"eos_token_id": 50279}, r"50279 is no id of tiny.json .*likely: 269 <\|endoftext\|>"),
        ({"eos_token_id": None}, "no eos_token_id"),
        ({"tokenizer": "/nowhere/x.json"}, "no tokenizer '/nowhere/x.json'"),
        ({"tokenizer": ""}, "no tokenizer"),
        ({"out": ""}, "no output folder"),
        ({"documents": []}, "no documents"),
        ({"documents": ["/nowhere"]}, "no documents match"),
    ],
)
def test_bad_requests(
    make_tokenizer: MakeTokenizer,
    make_documents: MakeDocuments,
    tmp_path: Path,
    keys: dict[str, Any],
    message: str,
) -> None:
    corpus = make_documents(["z"])
    settings: dict[str, Any] = {
        "documents": corpus,
        "tokenizer": make_tokenizer(),
        "out": tmp_path / "out",
    } | keys
    with pytest.raises(ConfigError, match=message):
        run(**settings)
    assert not (tmp_path / "out").exists()


def test_a_text_that_cannot_be_encoded_names_its_line(
    make_tokenizer: MakeTokenizer,
    make_documents: MakeDocuments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def encode(self: Any, texts: list[str]) -> encoder.Encoded:
        raise encoder.EncodingError(texts.index("bad"), "gives up on it")

    corpus, tokenizer = make_documents(["z", "y", "bad"]), make_tokenizer()
    monkeypatch.setattr(encoder.TokenizersEncoder, "encode", encode)
    with pytest.raises(DataError, match=r"a\.jsonl\.gz:3: gives up on it"):
        run(corpus, tokenizer, tmp_path / "out", encoder="tokenizers")


def test_ids_with_commas_quotes_and_line_ends(
    make_tokenizer: MakeTokenizer, tmp_path: Path
) -> None:
    ids = ['a,b"c', "d\ne\r\nf", "", "\u2028", " g "]
    path = tmp_path / "documents" / "x.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps({"id": i, "text": "z"}) + "\n" for i in ids))
    run(str(path), make_tokenizer(), tmp_path / "out")
    assert [row[2] for row in rows_of(tmp_path / "out")] == ids
    table = pq.read_table(tmp_path / "out" / "part-00000.docs.parquet")
    assert table["id"].to_pylist() == ids
    assert table["src"].to_pylist() == ["documents/x.jsonl"] * len(ids)
    assert not re.search(str(tmp_path), (tmp_path / "out" / "tokens.json").read_text())
