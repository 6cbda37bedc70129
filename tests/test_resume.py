"""Taking up a run again: nothing of another run stays, nothing of somebody else's goes."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit import ledger, shards
from dolma_kit.errors import ConfigError

from .conftest import WriteDocuments

ROOT = Path(dolma_kit.__file__).parent.parent
QUIET: dict[str, Any] = {"workers": 1, "quiet": True}


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "marking", "z"):
        rows = [{"id": f"{name}{i}", "text": f"text {i} " * 50} for i in range(20)]
        write_documents(tmp_path / f"web/documents/{name}.jsonl", rows)
    return tmp_path


def mix(max_size: int, **keys: Any) -> Any:
    output = {"path": "mixed", "max_size_in_bytes": max_size}
    stream = {"name": "web", "documents": ["web"], "output": output}
    return dolma_kit.mix(streams=[stream], **QUIET, **keys)


def mixed() -> list[str]:
    paths = sorted(Path("mixed/documents").iterdir())
    lines = [line for path in paths for line in gzip.decompress(path.read_bytes()).splitlines()]
    return [json.loads(line)["id"] for line in lines]


def forget(folder: str, phase: str) -> None:
    """What a kill between the rename of the outputs and their record leaves."""
    path = Path(folder, ledger.FOLDER, "ledger.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if f'"phase":"{phase}"'.encode() not in line))


def test_a_file_may_bear_the_name_of_a_unit(corpus: Path) -> None:
    dolma_kit.dedupe(documents=["web"], name="d", **QUIET)
    made = {path.name for path in Path("web/attributes/d").glob("*.parquet")}
    assert made == {"a.parquet", "marking.parquet", "z.parquet"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_shards_of_a_killed_run_do_not_stay(corpus: Path, overwrite: bool) -> None:
    mix(300)
    n_before = len(mixed())
    assert len(list(Path("mixed/documents").iterdir())) > 3
    forget("mixed", "joining")
    if overwrite:
        mix(1_000_000, overwrite=True)
    else:  # the same config, but there is less to write now
        Path("web/documents/z.jsonl").write_text("")
        mix(300)
    assert len(mixed()) == n_before - (0 if overwrite else 20) == len(set(mixed()))


def test_shards_before_one_that_cannot_be_written_go(corpus: Path, monkeypatch: Any) -> None:
    written: list[int] = []
    write_shard = shards._write_shard

    def full_after_two(task: Any, number: int, members: Any) -> str:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(number)
        return write_shard(task, number, members)

    monkeypatch.setattr(shards, "_write_shard", full_after_two)
    with pytest.raises(OSError, match="No space left"):
        mix(300)
    assert list(Path("mixed/documents").iterdir()) == []


def test_overwrite_starts_again(corpus: Path) -> None:
    keys: dict[str, Any] = {"documents": ["web"], "taggers": ["char_length_v1"], "experiment": "q"}
    dolma_kit.tag(**keys, **QUIET)
    assert dolma_kit.tag(**keys, **QUIET).units_skipped == 3
    assert dolma_kit.tag(**keys, **QUIET, overwrite=True).units_skipped == 0


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.parquet"])
def test_what_others_made_is_not_replaced(corpus: Path, name: str) -> None:
    theirs = Path("web/attributes/q", name)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"made by another tool")
    keys: dict[str, Any] = {"documents": ["web"], "taggers": ["char_length_v1"], "experiment": "q"}
    with pytest.raises(ConfigError, match=f"{name} is there and was not made by this command"):
        dolma_kit.tag(**keys, **QUIET)
    assert theirs.read_bytes() == b"made by another tool"
    assert not Path("web/attributes/q", ledger.FOLDER).exists()
    dolma_kit.tag(**keys, **QUIET, overwrite=True)
    assert theirs.exists() == (name == "a.parquet")


def test_a_command_that_is_refused_leaves_the_other_ones_files(corpus: Path) -> None:
    """Its temporary files go only when the lock says that nobody is writing them."""
    keys: dict[str, Any] = {"documents": ["web"], "taggers": ["char_length_v1"], "experiment": "q"}
    dolma_kit.tag(**keys, **QUIET)
    folder = Path("web/attributes/q")
    half_written = folder / ".a.parquet.4242.tmp"
    half_written.touch()
    found = ledger.read(str(folder))
    assert found is not None
    book = ledger.Ledger(str(folder), found[0].stage, found[0].config)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="another command is writing"):
            dolma_kit.tag(**keys, **QUIET, overwrite=overwrite)
    assert half_written.exists()
    assert len(list(folder.glob("*.parquet"))) == 3
    book.close()
    dolma_kit.tag(**keys, **QUIET)
    assert not half_written.exists()


def test_loose_files_of_one_name_do_not_replace_each_other(
    corpus: Path, write_documents: WriteDocuments
) -> None:
    for folder in ("x", "y"):
        write_documents(corpus / folder / "1.jsonl", [{"id": folder, "text": "t"}])
    keys: dict[str, Any] = {
        "taggers": ["char_length_v1"], "experiment": "q", "attributes": "attributes", **QUIET,
    }  # fmt: skip
    dolma_kit.tag(documents=["x/1.jsonl"], **keys)
    with pytest.raises(ConfigError, match=r"1 was made of \.\./\.\./x/1.jsonl, not of"):
        dolma_kit.tag(documents=["y/1.jsonl"], **keys)


def test_another_tmp_dir_takes_a_run_up_from_the_start(corpus: Path, monkeypatch: Any) -> None:
    from dolma_kit.deduplication import marking

    with monkeypatch.context() as patch:
        patch.setattr(marking, "mark", _fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            dolma_kit.dedupe(documents=["web"], name="d", tmp_dir=str(corpus / "t1"), **QUIET)
    summary = dolma_kit.dedupe(documents=["web"], name="d", **QUIET)
    assert (summary.documents, summary.counts["duplicates"]) == (60, 40)


def _fail(task: Any) -> Any:
    raise RuntimeError("in the middle")


SCRIPT = """
import sys
from pathlib import Path
from dolma_kit.config import Options
from dolma_kit.execute import Phase, Plan, Unit, execute
from dolma_kit.execute.local import LocalEngine
from tests import test_resume

folder = sys.argv[1]
units = [Unit(str(i), folder, (), folder) for i in range(2)]
plan = Plan("endless", {}, [Phase("writing", test_resume.write_for_ever, units)])
execute(plan, Options(quiet=True), LocalEngine(2))
"""


def write_for_ever(folder: str) -> Any:
    while True:
        Path(folder, f"{time.monotonic_ns()}.out").touch()
        time.sleep(0.01)


def test_workers_end_with_a_driver_that_was_killed(tmp_path: Path) -> None:
    """They would write under final names while the next command holds the lock."""
    driver = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("*.out")):
        assert time.monotonic() < deadline, "the workers never started"
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(0.5)
    n_then = len(list(tmp_path.glob("*.out")))
    time.sleep(0.5)
    assert len(list(tmp_path.glob("*.out"))) == n_then
