"""Batches of a file shared between workers, stages that share decoding: never another byte."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_kit import decoding, files, recipe, tagging
from dolma_kit.config import Options
from dolma_kit.decoding import Lines, Pieces, Source
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import BrokenFile, DataError
from dolma_kit.execute import Unit, engine_for, running
from dolma_kit.execute.local import LocalEngine, WorkerDied
from dolma_kit.execute.reading import Reading

from .tokens.conftest import EOS, byte_level

N_DOCUMENTS = 300
PLUGIN = """
import os, signal
import dolma_kit

@dolma_kit.tagger("mark_v1", keys={"n": "score", "s": "spans"})
def mark(document):
    if document.text.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if document.text.startswith("raise"):
        raise ValueError("not this one")
    return {"n": len(document.text), "s": [(0, 1, 1.0)]}
"""


def lines_of(n: int) -> list[bytes]:
    rows = []
    for i in range(n):
        text = f"document {i} of some, é\nevery document has this line\n{'word ' * (i % 50)}\n"
        rows.append(json.dumps({"id": f"d{i}", "text": text, "metadata": {"n": i}}).encode())
    rows.insert(7, b"")
    rows.insert(100, b"   ")
    return rows


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are read in many small pieces, and shared whatever their size."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "READ_BYTES", 3000)
    monkeypatch.setattr(running, "SHARED_BYTES", 0)
    monkeypatch.setattr(running, "UNEVEN", 0.0)
    Path("my.py").write_text(PLUGIN)
    byte_level("gpt2").save("tiny.json")
    return tmp_path


def write_documents(name: str, lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    path = Path("web/documents", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        rows = [json.loads(line) for line in lines if line.strip()]
        table = pa.Table.from_pylist([row | {"metadata": str(row["metadata"])} for row in rows])
        pq.write_table(table.drop_columns("metadata"), path, row_group_size=50)
    elif name.endswith(".members.jsonl.gz"):
        path.write_bytes(gzip.compress(data[:5000]) + gzip.compress(data[5000:]))
    elif name.endswith(".zst"):
        path.write_bytes(files.compress(data[:5000], "zst") + files.compress(data[5000:], "zst"))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


def chain() -> list[dict[str, Any]]:
    stream = {
        "name": "web",
        "documents": ["web"],
        "attributes": ["q", "dup", "d"],
        "keep": "q__mark_v1__n > 30 AND length(text) > 3 AND d < 1",
        "span_replacement": [{"span": "dup", "replacement": ""}],
        "rate": 1.5,
        "output": {"path": "mixed", "max_size_in_bytes": 2000},
    }
    eos = byte_level("gpt2").token_to_id(EOS)
    taggers = ["mark_v1", "gopher_v2", "char_length_v1"]
    return [
        {"tag": {"documents": ["web"], "taggers": taggers, "experiment": "q"}},
        {"tag": {"documents": ["web"], "taggers": ["c4_v2"], "experiment": "r",
                 "format": "jsonl"}},
        {"dedupe": {"documents": ["web"], "by": "paragraph", "name": "dup"}},
        {"dedupe": {"documents": ["web"], "name": "d"}},
        {"mix": {"streams": [stream]}},
        {"tokenize": {"documents": ["web"], "tokenizer": "tiny.json", "eos_token_id": eos,
                      "out": "tokens", "encoder": "tokenizers"}},
    ]  # fmt: skip


def run(engine: LocalEngine | None = None, **keys: Any) -> Any:
    settings: dict[str, Any] = {"stages": chain(), "plugin": ["my.py"], "quiet": True}
    return recipe.run(engine=engine, **(settings | {"workers": 1} | keys))


def outputs() -> dict[str, bytes]:
    made = [path for top in ("web/attributes", "mixed", "tokens") for path in Path(top).rglob("*")]
    return {
        str(path): path.read_bytes()
        for path in sorted(made)
        if path.is_file() and ".dolma-kit" not in path.parts
    }


def start_again() -> None:
    for top in ("web/attributes", "mixed", "tokens"):
        shutil.rmtree(top)


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.jsonl.gz", "a.members.jsonl.gz", "a.jsonl.zst", "a.parquet"],
    ids=lambda name: name[2:],
)
def test_a_file_that_is_shared_gives_the_bytes_of_one_that_is_not(work: Path, name: str) -> None:
    write_documents(name, lines_of(N_DOCUMENTS))
    write_documents("b.jsonl", lines_of(20))
    alone = run()
    expected = outputs()
    assert alone.documents == N_DOCUMENTS + 20
    start_again()
    engine = SharingEngine()
    shared = run(engine)
    engine.close()
    assert outputs() == expected
    assert engine.shared == 2 * 3  # each file, by what only adds attributes, by mix, by tokenize
    assert engine.n_pieces > 20
    kept = ("documents", "bytes_in", "bytes_out")
    assert [getattr(shared, key) for key in kept] == [getattr(alone, key) for key in kept]


class SharingEngine(LocalEngine):
    """Two workers, and how often a file was shared, in how many pieces."""

    def __init__(self) -> None:
        super().__init__(2)
        self.shared = self.n_pieces = 0

    def map(self, work: Any, tasks: Any, what: str) -> Any:
        def counted() -> Iterator[Any]:
            for task in tasks:
                self.n_pieces += 1
                yield task

        self.shared += 1
        return super().map(work, counted(), what)


def test_stages_of_a_recipe_read_a_file_once(work: Path, monkeypatch: Any) -> None:
    write_documents("a.jsonl", lines_of(50))
    for stage in chain():
        recipe.run(stages=[stage], plugin=["my.py"], quiet=True, workers=1)
    expected = outputs()
    start_again()
    n_read = 0
    begin = DocumentReader.__iter__

    def counted(reader: DocumentReader) -> Any:
        nonlocal n_read
        n_read += 1
        return begin(reader)

    monkeypatch.setattr(DocumentReader, "__iter__", counted)
    summary = run()
    assert outputs() == expected
    assert n_read == 3  # for the four that add attributes, for mix, for tokenize
    stages = summary.counts["stages"]
    assert [stage["documents"] for stage in stages] == [50] * 6
    assert all(stage["seconds"] > 0 for stage in stages)


def test_one_of_the_stages_that_read_together_may_be_finished(work: Path) -> None:
    write_documents("a.jsonl", lines_of(50))
    write_documents("b.jsonl", lines_of(20))
    run()
    expected = outputs()
    Path("web/attributes/dup/a.parquet").unlink()
    Path("web/attributes/q/b.parquet").unlink()
    again = run()
    assert outputs() == expected
    skipped = [stage["units_skipped"] for stage in again.counts["stages"]]
    assert skipped[:2] == [1, 2]


def test_stages_that_write_to_one_folder_do_not_run_together(work: Path) -> None:
    stage = {"tag": {"documents": ["web"], "taggers": ["char_length_v1"], "experiment": "q"}}
    write_documents("a.jsonl", lines_of(5))
    summary = recipe.run(stages=[stage, stage], quiet=True, workers=1)
    assert [stage["units_skipped"] for stage in summary.counts["stages"]] == [0, 1]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_bad_document_of_a_shared_file_is_named(work: Path, name: str) -> None:
    lines = lines_of(N_DOCUMENTS)
    lines[250] = json.dumps({"id": "x", "text": "raise", "metadata": {}}).encode()
    write_documents(name, lines)
    keys: dict[str, Any] = {"documents": ["web"], "experiment": "q", "quiet": True, "workers": 2}
    line = 251 if name != "a.parquet" else 249  # of which two are blank
    with pytest.raises(DataError, match=rf"{name}:{line}: .*not this one"):
        tagging.tag(**keys, taggers=["mark_v1"], plugin=["my.py"])
    assert [path.name for path in Path("web/attributes/q").iterdir()] == [".dolma-kit"]


def test_a_broken_end_of_a_shared_file(work: Path) -> None:
    write_documents("a.jsonl.gz", lines_of(N_DOCUMENTS))
    path = Path("web/documents/a.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-20])
    keys: dict[str, Any] = {"documents": ["web"], "experiment": "q", "taggers": ["char_length_v1"]}
    with pytest.raises(BrokenFile):
        tagging.tag(**keys, quiet=True, workers=2)
    summary = tagging.tag(**keys, quiet=True, workers=2, on_error="quarantine")
    assert (summary.documents, summary.quarantined) == (0, 1)
    assert [path.name for path in Path("web/attributes/q").iterdir()] == [".dolma-kit"]


def test_a_worker_that_is_killed_over_a_shared_file(work: Path) -> None:
    lines = lines_of(N_DOCUMENTS)
    lines[200] = json.dumps({"id": "x", "text": "die", "metadata": {}}).encode()
    write_documents("a.jsonl", lines)
    with pytest.raises(WorkerDied, match=r"a part of web/documents/a.jsonl was killed by SIGKILL"):
        tagging.tag(
            documents=["web"], taggers=["mark_v1"], plugin=["my.py"], experiment="q",
            quiet=True, workers=2,
        )  # fmt: skip
    assert [path.name for path in Path("web/attributes/q").iterdir()] == [".dolma-kit"]


# Pieces


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" ")), max_size=40))
def test_pieces_are_the_file_and_count_its_lines(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "READ_BYTES", 16)
        path = Path(folder, "a.jsonl")
        path.write_bytes(data)
        pieces = Pieces(Source(str(path)))
        found = [piece for piece in pieces if isinstance(piece, Lines)]
        assert b"".join(piece.data for piece in found) == data
        assert pieces.sha256 == files.sha256(str(path))
        for piece in found:
            before = data[: len(b"".join(p.data for p in found[: found.index(piece)]))]
            assert piece.first_line == 1 + before.count(b"\n")
        n_rows = sum(decoding.count_rows(str(path), piece) for piece in found)
        assert n_rows == sum(1 for line in lines if line.strip())


# Which files are shared


def job(n_bytes: int, *, shareable: bool = True) -> Unit:
    task = Reading(Source(f"{n_bytes}.jsonl"), (), shareable=shareable)
    return Unit(str(n_bytes), task, (), "", n_bytes=n_bytes << 20)


@pytest.mark.parametrize(
    ("sizes", "width", "shared"),
    [
        ([100], 1, []),
        ([100], 2, [100]),
        ([100, 100], 2, []),
        ([100, 90, 10], 2, []),
        ([100, 10, 10], 2, [100]),
        ([100] * 7, 4, [100] * 3),
        ([3], 2, []),  # too small for it
        ([50] * 1000, 16, []),
    ],
)
def test_what_would_leave_workers_idle_is_shared(
    sizes: list[int], width: int, shared: list[int]
) -> None:
    jobs = [job(size) for size in sizes]
    for_all, whole = running.split(jobs, width)
    assert [unit.n_bytes >> 20 for unit in for_all] == shared
    assert sorted(map(id, for_all + whole)) == sorted(map(id, jobs))


def test_what_cannot_be_shared_is_not() -> None:
    fixed, free = job(100, shareable=False), job(60)
    assert running.split([fixed, free], 2) == ([free], [fixed])


# The engine's map


def square(n: int) -> int:
    if n == 13:
        raise DataError("numbers", n, "unlucky")
    if n == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with engine_for(Options(workers=2)) as made:
        assert isinstance(made, LocalEngine)
        yield made


def test_answers_come_in_the_order_of_the_tasks(engine: LocalEngine) -> None:
    assert list(engine.map(square, iter(range(12)), "a number")) == [n * n for n in range(12)]
    assert list(engine.map(square, [], "a number")) == []


def test_no_more_tasks_are_made_than_can_be_held(engine: LocalEngine) -> None:
    made = []

    def tasks() -> Iterator[int]:
        for _ in range(500):
            made.append(1)
            yield 1

    for n_answered, _ in enumerate(engine.map(square, tasks(), "a number"), 1):
        assert len(made) - n_answered <= 12


@pytest.mark.parametrize(
    ("last", "error", "message"), [(13, DataError, "unlucky"), (14, WorkerDied, "a number was")]
)
def test_faults_of_a_task(
    engine: LocalEngine, last: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(engine.map(square, [1, 2, last, 3], "a number"))
    assert list(engine.map(square, [2, 3], "a number")) == [4, 9]


def slow_or_wrong(n: int) -> int:
    if n == 1:
        time.sleep(0.3)
        raise DataError("numbers", n, "the first")
    raise DataError("numbers", n, "a later one")


def test_of_several_faults_the_first_is_told(engine: LocalEngine) -> None:
    with pytest.raises(DataError, match="the first"):
        list(engine.map(slow_or_wrong, [1, 2, 3], "a number"))


def test_what_is_wrong_with_making_a_task_comes_after_the_answers(engine: LocalEngine) -> None:
    def tasks() -> Iterator[int]:
        yield from range(5)
        raise BrokenFile("a.jsonl.gz", "truncated")

    answers = engine.map(square, tasks(), "a number")
    assert [next(answers) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(BrokenFile, match="truncated"):
        next(answers)
