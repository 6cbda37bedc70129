"""`trace text` with an index gives the answer that reading gives."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dolma_kit.errors import VerificationError
from dolma_kit.order.asking import phrases
from dolma_kit.order.run import open_run
from dolma_kit.searching import building, tracing
from dolma_kit.searching.patterns import LONGEST
from tests.conftest import RunCommand
from tests.order.test_phrases import phrases_of
from tests.order.tiny_run import CODE, EOS, WEB, train_tokenizer, write_ids, write_run
from tests.served import Served

TEXTS = [text for *_, text in WEB + CODE]
PHRASES = [
    *phrases_of(TEXTS, 5, 30),
    *TEXTS,
    *(
        EOS,
        "|endof",
        "> two",
        "aa",
        " ",
        "\n",
        "é",
        "\udcc3",
        "\udca9 ",
        "🦊",
        "\udc9f",
        "not there",
    ),
    "the" * 30_000,
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tiny.json"
    train_tokenizer(path)
    return path


def write_indexed(
    folder: Path, tokenizer: Path, /, shard_tokens: int = 1 << 20, **changed: Any
) -> Path:
    """A run whose tokens.json has all that `tokenize` records, and the index of its tokens."""
    path = write_run(folder, tokenizer, **changed)
    complete(folder / "tokens")
    build(folder / "tokens", shard_tokens=shard_tokens)
    return path


def complete(tokens: Path) -> None:
    record = json.loads((tokens / "tokens.json").read_text())
    more = {"pad_token_id": None, "vocab_size": 300, "sequence_length": 8, "documents": 10,
            "tokens": sum(part["tokens"] for part in record["parts"])}  # fmt: skip
    for part in record["parts"]:
        part.setdefault("documents", 1)
    (tokens / "tokens.json").write_text(json.dumps(record | more))


def build(folder: Path, **keys: Any) -> None:
    building.build(tokens=str(folder), workers=1, quiet=True, **keys)


def answers(path: Path, phrase: str, **keys: Any) -> tuple[bytes, bytes]:
    """By reading, and by the index, as the command writes them."""
    plain = phrases.trace_text(open_run(path), phrase, **keys)
    indexed = tracing.trace_text(open_run(path), phrase, **keys)
    return as_json(plain), as_json(indexed)


def as_json(answer: Any) -> bytes:
    shown = ascii(answer.text).encode()
    return shown + msgspec.json.encode(msgspec.structs.replace(answer, text=""))


def read_files(path: Path, monkeypatch: pytest.MonkeyPatch, phrase: str = "the") -> set[str]:
    """The names of the files that were read, and not asked of an index."""
    read: set[str] = set()
    find_in = phrases.find_in

    def noted(run: Any, block: Any, *more: Any) -> Any:
        read.add(os.path.relpath(run.files[block.file].path, path.parent))
        return find_in(run, block, *more)

    with monkeypatch.context() as patched:
        patched.setattr(phrases, "find_in", noted)
        tracing.trace_text(open_run(path), phrase)
    return read


@pytest.mark.parametrize(
    ("changed", "shard_tokens"),
    [
        ({}, 1 << 20),
        ({}, 80),
        (
            {"tokens": [f"tokens/part-0000{n}.npy" for n in (1, 0, 1)], "epochs": 1},
            80,
        ),
        ({"order": {"kind": "feistel", "seed": 3}, "epochs": 3}, 1 << 20),
    ],
)
def test_the_answer_is_the_same(
    tmp_path: Path,
    tokenizer: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    shard_tokens: int,
) -> None:
    path = write_indexed(tmp_path, tokenizer, shard_tokens, **changed)
    assert read_files(path, monkeypatch) == set()
    by_reading, by_index = open_run(path), open_run(path)
    n_found = 0
    for phrase in PHRASES:
        for keys in ({"limit": 10**6}, {"limit": 1, "until": 2}):
            expected = phrases.trace_text(by_reading, phrase, **keys)
            found = tracing.trace_text(by_index, phrase, **keys)
            assert as_json(found) == as_json(expected), phrase
        n_found += expected.occurrences
    assert n_found > 200


def test_the_command_gives_the_same_line(
    tmp_path: Path, tokenizer: Path, dolma_kit: RunCommand
) -> None:
    path = write_indexed(tmp_path, tokenizer)
    command = ["trace", "text", "fox", "--run", path]
    indexed = [dolma_kit(*command, "--json"), dolma_kit(*command)]
    shutil.rmtree(tmp_path / "tokens" / "search")
    plain = [dolma_kit(*command, "--json"), dolma_kit(*command)]
    assert [one.out for one in indexed] == [one.out for one in plain]
    assert (plain[0].out.count("\n"), plain[0].json["occurrences"]) == (1, 5)


def test_phrases_longer_than_a_pattern_are_read(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_indexed(tmp_path, tokenizer)
    assert read_files(path, monkeypatch, "a" * LONGEST) == set()
    assert len(read_files(path, monkeypatch, "a" * (LONGEST + 1))) == 2


def test_an_index_that_is_older_than_its_tokens(
    tmp_path: Path, tokenizer: Path, dolma_kit: RunCommand
) -> None:
    """Refused: its answer would be wrong, and reading instead would hide that."""
    path = write_indexed(tmp_path, tokenizer)
    part = tmp_path / "tokens" / "part-00000.npy"
    ids = np.fromfile(part, "<u4")
    ids[4] += 1
    ids.tofile(part)
    os.utime(part, ns=(5, 5))
    with pytest.raises(VerificationError, match="has changed since"):
        tracing.trace_text(open_run(path), "fox")
    answer = dolma_kit("trace", "text", "fox", "--run", path)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "make the index again (dolma-kit search index)" in answer.err
    build(tmp_path / "tokens", overwrite=True)
    assert dolma_kit("trace", "text", "fox", "--run", path).code == 0


def test_a_run_that_reads_the_tokens_otherwise(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a tokens.json says what they are, such a run is refused: here it is gone."""
    write_indexed(tmp_path, tokenizer)
    keys = {"eos_token_id": 0, "dtype": "uint32", "tokenizer": str(tokenizer)}
    same, path, narrow = (
        Path(shutil.copy(write_run(tmp_path, tokenizer, **keys | changed), tmp_path / name))
        for name, changed in (
            ("same.yaml", {}),
            ("other.yaml", {"eos_token_id": 7}),
            ("narrow.yaml", {"dtype": "uint16"}),
        )
    )
    (tmp_path / "tokens" / "tokens.json").unlink()
    assert read_files(same, monkeypatch) == set()
    assert len(read_files(path, monkeypatch)) == 2
    for phrase in ("the", EOS, "fox"):
        for one in (same, path):
            plain, indexed = answers(one, phrase)
            assert plain == indexed
    for ask in (phrases.trace_text, tracing.trace_text):  # twice as many tokens as documents have
        with pytest.raises(VerificationError, match="they do not belong together"):
            ask(open_run(narrow), "not there")


def test_a_run_with_documents_of_its_own_is_read(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_indexed(tmp_path, tokenizer)
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in ("part-00000.docs.parquet", "part-00001.csv.gz"):
        shutil.copy(tmp_path / "tokens" / name, tables / name)
    for documents in ("eos-scan", "tables/*"):
        path = write_run(tmp_path, tokenizer, documents=documents)
        complete(tmp_path / "tokens")
        assert len(read_files(path, monkeypatch)) == 2
        for phrase in ("the", EOS, "fox"):
            plain, indexed = answers(path, phrase)
            assert plain == indexed


def test_one_of_two_folders_is_indexed(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, tokenizer)
    complete(tmp_path / "tokens")
    shutil.copytree(tmp_path / "tokens", tmp_path / "more")
    build(tmp_path / "more")
    paths = [f"{folder}/part-0000{n}.npy" for n in (0, 1) for folder in ("more", "tokens")]
    path = write_run(tmp_path, tokenizer, tokens=paths)
    complete(tmp_path / "tokens")
    assert read_files(path, monkeypatch) == {"tokens/part-00000.npy", "tokens/part-00001.npy"}
    for phrase in PHRASES[:30]:
        plain, indexed = answers(path, phrase, limit=10**6)
        assert plain == indexed


def test_remote_files_are_read(
    tmp_path: Path, tokenizer: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_indexed(tmp_path, tokenizer)
    for name in ("part-00001.npy", "part-00001.csv.gz"):
        served.files[f"/{name}"] = (tmp_path / "tokens" / name).read_bytes()
    path = write_run(
        tmp_path, tokenizer, dtype="uint32", eos_token_id=0, tokenizer=str(tokenizer),
        tokens=["tokens/part-00000.npy", f"{served.address}/part-00001.npy"],
    )  # fmt: skip
    complete(tmp_path / "tokens")
    (name,) = read_files(path, monkeypatch)
    assert name.endswith("part-00001.npy")
    plain, indexed = answers(path, "the", limit=10**6)
    assert plain == indexed


def test_ids_that_the_tokenizer_has_not(tmp_path: Path, tokenizer: Path) -> None:
    """They have no bytes, before an occurrence too."""
    tokens = tmp_path / "bare"
    encode = json.loads(tokenizer.read_text())["model"]["vocab"]
    f, o, x = (encode[character] for character in "fox")
    write_ids(tokens / "a", {"1": [99_999, f, o, x, 0], "2": [5_000, 70_000, f, 299_999, 0]})
    build(tokens, dtype="uint32")
    keys = {"tokens": ["bare/a.npy"], "dtype": "uint32", "tokenizer": str(tokenizer),
            "order": {"kind": "olmo", "seed": 1}, "global_batch_size": 1, "sequence_length": 2,
            "epochs": 1}  # fmt: skip
    path = write_run(tmp_path, tokenizer, eos_token_id=0, **keys)
    for phrase in ("f", "fox", "o", "xf"):
        plain, indexed = answers(path, phrase)
        assert plain == indexed


def test_a_folder_that_others_made(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a record nobody knows the index's EOS, so that it answers for no run."""
    write_run(tmp_path, tokenizer)
    (tmp_path / "tokens" / "tokens.json").unlink()
    build(tmp_path / "tokens", dtype="uint32")
    path = write_run(tmp_path, tokenizer, dtype="uint32", eos_token_id=0, tokenizer=str(tokenizer))
    (tmp_path / "tokens" / "tokens.json").unlink()
    assert len(read_files(path, monkeypatch)) == 2
    for phrase in ("the", EOS, "fox"):
        plain, indexed = answers(path, phrase)
        assert plain == indexed
