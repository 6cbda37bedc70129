"""Faults after which the Dolma toolkit (1.2.1) loses data and reports success: a test a cause.

Each test is named for the cause; the line above it says what happens there. The same kinds of
bad input in every stage: test_bad_input.py; keys of de-duplication: deduplication/test_keys.py.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dolma_kit import ledger

from ..conftest import RunCommand, WriteDocuments
from . import processes
from .campaign import kill_at
from .conftest import N_DOCUMENTS, RUN, TAG, Bytes, written
from .moments import Writing
from .processes import Command, wait_until
from .test_faults import check_one_line, hidden, n_recorded

Undisturbed = Callable[[list[Any]], Bytes]
BAD = Path("web/documents/c.jsonl.gz")
DEDUPE = ["dedupe", "web", "--name", "dup", "--quiet"]
TOKENIZE = ["tokenize", "web", "--tokenizer", "tiny.json", "--encoder", "tokenizers",
            "--eos-token-id", 0, "--out", "tokens", "--quiet"]  # fmt: skip


def cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def wrong_crc(whole: bytes) -> bytes:
    return whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]


def wrong_length(whole: bytes) -> bytes:
    return whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:]


def second_member_cut(whole: bytes) -> bytes:
    return (whole + whole)[:-100]


def garbage_behind(whole: bytes) -> bytes:
    return whole + b"\x1f\x8b no more"


# The reader logs the fault and stops reading; half of the documents are mixed, marked, "success".


def test_truncated_gzip_in_a_chain(corpus: Path, undisturbed: Undisturbed) -> None:
    whole = undisturbed(RUN)
    data = BAD.read_bytes()
    BAD.write_bytes(cut(data))
    line = check_one_line(processes.run(RUN, corpus))
    assert line.startswith(f"dolma-kit: {BAD}: broken or truncated gz: ")
    there = written(corpus)
    assert there.items() <= whole.items()
    assert there.keys() <= {f"web/attributes/q/{name}.parquet" for name in "abd"}
    assert hidden(corpus) == []
    BAD.write_bytes(data)
    assert processes.run(RUN, corpus).driver.returncode == 0
    assert written(corpus) == whole


@pytest.mark.parametrize("damage", [cut, wrong_crc, wrong_length, second_member_cut,
                                    garbage_behind])  # fmt: skip
@pytest.mark.parametrize("command", [TAG, DEDUPE, TOKENIZE], ids=lambda command: command[0])
def test_damaged_gzip_is_no_end_of_file(
    corpus: Path, dolma_kit: RunCommand, command: list[Any], damage: Callable[[bytes], bytes]
) -> None:
    BAD.write_bytes(damage(BAD.read_bytes()))
    answer = dolma_kit(*command, "--workers", 1)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert answer.err.startswith(f"dolma-kit: {BAD}: broken or truncated gz: ")
    assert not [name for name in written(corpus) if Path(name).name.startswith(("c.", "part"))]


# A line of invalid UTF-8 ends the file for it: one of three documents is kept, "success".


@pytest.mark.parametrize("command", [TAG, DEDUPE, TOKENIZE], ids=lambda command: command[0])
def test_an_invalid_line_is_no_end_of_file(
    corpus: Path, dolma_kit: RunCommand, command: list[Any]
) -> None:
    lines = gzip.decompress(BAD.read_bytes()).splitlines(keepends=True)
    lines[1] = b'{"id": "c1", "text": "\xc3("}\n'
    BAD.write_bytes(gzip.compress(b"".join(lines), mtime=0))
    answer = dolma_kit(*command, "--workers", 1)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert re.match(rf"dolma-kit: {BAD}:2: .*utf-8", answer.err)
    assert not [name for name in written(corpus) if Path(name).name.startswith(("c.", "part"))]


# `dolma tokens` logs a bad file and leaves the rest of it out; bad lines are skipped, not counted.


def test_tokenizing_a_bad_file_stops(corpus: Path, undisturbed: Undisturbed) -> None:
    whole = undisturbed(TOKENIZE)
    data = BAD.read_bytes()
    BAD.write_bytes(gzip.compress(gzip.decompress(data)[:-30] + b"\n", mtime=0))
    line = check_one_line(processes.run([*TOKENIZE, "--workers", 2], corpus))
    assert line.startswith(f"dolma-kit: {BAD}:{N_DOCUMENTS}: ")
    assert written(corpus) == {}
    BAD.write_bytes(data)
    assert processes.run([*TOKENIZE, "--workers", 2], corpus).driver.returncode == 0
    assert written(corpus) == whole


# A panic in a thread counts as success: exit code 0, and only a `.tmp` is left.


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "is missing"),
        ({"metadata": None}, "cannot be reached"),
        ({"metadata": {}}, "is missing"),
        ({"metadata": {"url": None}}, "is null"),
        ({"metadata": {"url": 7}}, "is a number"),
        ({"metadata": {"url": ["http://a"]}}, "is a list"),
        ({"metadata": ["url"]}, "cannot be reached"),
    ],
)
def test_a_document_without_its_dedupe_key_fails_loudly(
    corpus: Path,
    dolma_kit: RunCommand,
    write_documents: WriteDocuments,
    document: dict[str, Any],
    reason: str,
) -> None:
    good = {"id": "good", "text": "", "metadata": {"url": "http://a"}}
    documents = [good, good, {"id": "bad", "text": ""} | document, good]
    for path in corpus.glob("web/documents/*"):
        write_documents(path, [good] if path.name != BAD.name else documents)
    command = [*DEDUPE, "--key", "metadata.url", "--workers", 1]
    answer = dolma_kit(*command)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert f"{BAD}:3: the key metadata.url {reason}" in answer.err
    assert (written(corpus), hidden(corpus)) == ({}, [])
    write_documents(corpus / BAD, [good] * 4)
    assert dolma_kit(*command).json["counts"]["duplicates"] == 6


# Resuming looks for `X.tmp` instead of `X`: a shard that crashed is skipped for ever, with success,
# and finished ones are done again.


def test_a_stale_temporary_file_skips_nothing(corpus: Path, undisturbed: Undisturbed) -> None:
    whole = undisturbed(DEDUPE)
    folder = corpus / "web/attributes/dup"
    folder.mkdir(parents=True)
    stale = [folder / name for name in ("b.parquet.tmp", "b.jsonl.gz.tmp", ".b.parquet.77.tmp")]
    for path in stale:
        path.write_bytes(b"half")
    assert processes.run([*DEDUPE, "--workers", 2], corpus).driver.returncode == 0
    assert hidden(corpus) == []  # ours went; names that are none of ours are no business of ours
    for path in stale[:2]:
        path.unlink()
    assert written(corpus) == whole


def test_finished_files_are_not_made_again(corpus: Path, undisturbed: Undisturbed) -> None:
    """Killed when the first two of its attribute files are on record."""
    whole = undisturbed(DEDUPE)
    folder = corpus / "web/attributes/dup"
    command = Command([*DEDUPE, "--workers", 2], corpus)
    try:
        wait_until(
            lambda: n_recorded(folder) >= 4 + 1 + 1 + 2 or command.driver.poll() == 0, command
        )
    finally:
        command.kill()
    found = ledger.read(str(folder))
    assert found is not None
    done = [folder / name for record in found[1] for name in record.sizes if "/" not in name]
    assert len(done) >= 2
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in done}
    again = processes.run([*DEDUPE, "--workers", 2], corpus)
    assert again.driver.returncode == 0
    assert again.json["units_skipped"] >= len(done)
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in done} == before
    assert written(corpus) == whole


# Attribute files are written in place: whoever looks meanwhile sees half of one. A list for
# `metadata` makes the tagger do nothing, in silence.


def test_no_half_attribute_file_is_seen(
    corpus: Path, dolma_kit: RunCommand, undisturbed: Undisturbed
) -> None:
    whole = undisturbed(TAG)
    stream = {"name": "w", "documents": ["web"], "attributes": ["q"], "output": {"path": "mixed"}}
    Path("mix.yaml").write_text(json.dumps({"streams": [stream]}))
    Path("wait").touch()
    command = Command(TAG, corpus)
    try:
        wait_until(lambda: n_recorded(corpus / "web/attributes/q") == 3, command)
        wait_until(Path("reached").exists, command)
        assert len(hidden(corpus)) == 1
        there = written(corpus)
        assert there.items() <= whole.items()
        assert there.keys() == whole.keys() - {"web/attributes/q/b.parquet"}
        answer = dolma_kit("mix", "-c", "mix.yaml", "--workers", 1)
        assert answer.code == 1
        assert "web/documents/b.jsonl.gz has no attributes 'q'" in answer.err
        Path("wait").unlink()
        assert command.wait() == 0
    finally:
        command.kill()
    assert written(corpus) == whole


def test_metadata_that_is_a_list_is_metadata(
    corpus: Path, dolma_kit: RunCommand, write_documents: WriteDocuments
) -> None:
    rows = [{"id": f"m{i}", "text": "x" * i, "metadata": [i, {"a": []}]} for i in range(9)]
    write_documents(corpus / BAD, rows)
    assert dolma_kit(*TAG, "--workers", 1).code == 0
    table = pq.read_table("web/attributes/q/c.parquet")
    assert table["id"].to_pylist() == [row["id"] for row in rows]
    assert table["q__faulty_v1__n"].to_pylist() == list(map(float, range(9)))


# `tokens` writes marks of what is done and never reads them.


def test_tokenizing_is_taken_up(corpus: Path, undisturbed: Undisturbed) -> None:
    """All is encoded; killed while it is joined."""
    whole = undisturbed(TOKENIZE)
    command = Command([*TOKENIZE, "--workers", 2], corpus)
    try:
        assert kill_at(
            command, "process group", Writing("tokens/part-00000.npy"), random.Random(0), corpus
        )
        command.wait()
        assert command.wait_for_all() == []
    finally:
        command.kill()
    n_done = n_recorded(corpus / "tokens")
    assert n_done >= 4
    again = processes.run([*TOKENIZE, "--workers", 2], corpus)
    assert again.driver.returncode == 0
    assert again.json["units_skipped"] == (4 if n_done == 4 else 1)
    assert written(corpus) == whole
