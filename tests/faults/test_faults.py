"""Disks that fill, units that fail, workers that are killed, rivals, clocks: run for real.

A fault ends a command with exit code 1 (2 for a refusal) and one line. No final name ever stands
for half a file, what is finished is kept, and the next run gives the bytes of an undisturbed one.
Kills at every other moment: test_campaign.py. What a fault is in one process alone: test_resume.py
(stale shards, others' files), test_bad_input.py (what cannot be read), test_ray.py (Ray's
workers), tokens/test_stage.py and deduplication/test_stage.py (failures inside one stage).
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dolma_kit import files, ledger
from dolma_kit.config import Options
from dolma_kit.execute import Phase, Plan, Unit, execute
from dolma_kit.execute.local import LocalEngine
from dolma_kit.ledger import Result

from ..conftest import RunCommand
from . import processes
from .conftest import RUN, TAG, UNLUCKY, Bytes, written
from .processes import Command, wait_until

KIB = 1024
OUT_OF_MEMORY = "killed by SIGKILL (out of memory? try fewer --workers)"

Undisturbed = Callable[[list[Any]], Bytes]


def hidden(folder: Path) -> list[Path]:
    """Temporary files beside outputs."""
    return [
        path
        for path in folder.rglob(".*")
        if files.is_temporary(path.name) and ledger.FOLDER not in path.parts
    ]


def check_one_line(command: Command, code: int = 1) -> str:
    """The command failed as it should; the line that it said."""
    assert (command.driver.returncode, command.out) == (code, ""), command.err
    assert command.err.count("\n") == 1, command.err
    (line,) = command.err.splitlines()
    assert line.startswith("dolma-kit: ")
    return line


# A disk that fills


def limit_file_size(n_bytes: int) -> Callable[[], None]:
    """No process can write a file beyond this: the error comes where a full disk's would."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))

    return prepare


def test_files_that_cannot_grow(corpus: Path, undisturbed: Undisturbed) -> None:
    """Each limit lets some more stages through."""
    whole = undisturbed(RUN)
    reached = set()
    for limit in (512, 40 * KIB, 160 * KIB):
        command = processes.run(RUN, corpus, prepare=limit_file_size(limit))
        assert "File too large" in check_one_line(command)
        there = written(corpus)
        assert there.items() <= whole.items(), f"half a file at {limit}"
        assert hidden(corpus) == []
        reached.add(tuple(sorted({name.split("/")[-2] for name in there})))
    assert reached == {(), ("dup", "q"), ("documents", "dup", "mixed", "q")}
    command = processes.run(RUN, corpus)
    assert command.driver.returncode == 0
    assert command.json["units_skipped"] > 0
    assert written(corpus) == whole


def test_a_file_that_cannot_be_written_is_named(corpus: Path) -> None:
    line = check_one_line(processes.run(TAG, corpus, prepare=limit_file_size(512)))
    assert "web/attributes/q" in line


@pytest.fixture
def small_disk(corpus: Path) -> Iterator[Path]:
    """A file system of 16 MiB in place of the folder that the recipe's tokens and mix go to."""
    place = corpus / "small"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk, mounting is not permitted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_fills(corpus: Path, undisturbed: Undisturbed, small_disk: Path) -> None:
    """It has room for a little more each time."""
    recipe = json.loads(Path("recipe.yaml").read_text())
    recipe["stages"][2]["mix"]["streams"][0]["output"]["path"] = "small/mixed"
    recipe["stages"][3]["tokenize"] |= {"documents": ["small/mixed"], "out": "small/tokens"}
    Path("recipe.yaml").write_text(json.dumps(recipe))
    whole = undisturbed(RUN)
    ballast = small_disk / "ballast"
    for n_free in (0, 64 * KIB, 800 * KIB):
        ballast.unlink(missing_ok=True)
        status = os.statvfs(small_disk)
        ballast.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - n_free)))
        command = processes.run(RUN, corpus)
        assert "No space left on device" in check_one_line(command)
        there = {k: v for k, v in written(corpus).items() if k != "small/ballast"}
        assert there.items() <= whole.items(), f"half a file with {n_free} bytes free"
        assert hidden(corpus) == []
    ballast.unlink()
    assert processes.run(RUN, corpus).driver.returncode == 0
    assert written(corpus) == whole


# A unit that fails


def n_recorded(folder: Path) -> int:
    """The lines of a folder's ledger after its header."""
    book = folder / ledger.FOLDER / "ledger.jsonl"
    return book.read_bytes().count(b"\n") - 1 if book.exists() else 0


def check_taken_up(corpus: Path, whole: Bytes, n_kept: int) -> None:
    """The next run keeps what is finished and gives the rest."""
    kept = {path: path.stat().st_mtime_ns for path in corpus.glob("web/attributes/q/*.parquet")}
    assert corpus / "web/attributes/q/b.parquet" not in kept
    assert written(corpus).items() <= whole.items()
    command = processes.run(TAG, corpus)
    assert command.driver.returncode == 0, command.err
    assert command.json["units_skipped"] >= n_kept
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert written(corpus) == whole
    assert hidden(corpus) == []


def fail_last(corpus: Path, how: str) -> Command:
    """Run until the unlucky document is all that is left, then let it fail."""
    Path("wait").touch()
    Path(how).touch()
    command = Command(TAG, corpus)
    try:
        wait_until(lambda: n_recorded(corpus / "web/attributes/q") == 3, command)
        wait_until(Path("reached").exists, command)
        Path("wait").unlink()
        command.wait()
        assert command.wait_for_all() == []
    finally:
        command.kill()
    Path(how).unlink()
    return command


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("raise", f"document '{UNLUCKY}': ValueError: no luck"),
        ("starve", f"document '{UNLUCKY}': MemoryError"),
    ],
)
def test_a_unit_that_raises_leaves_the_others_work(
    corpus: Path, undisturbed: Undisturbed, how: str, says: str
) -> None:
    whole = undisturbed(TAG)
    line = check_one_line(fail_last(corpus, how))
    number = int(UNLUCKY[1:]) + 1
    assert line.startswith(f"dolma-kit: web/documents/b.jsonl.gz:{number}: tagger 'faulty_v1'")
    assert says in line
    assert hidden(corpus) == []
    check_taken_up(corpus, whole, 3)


def test_a_worker_that_is_killed_is_named_with_its_unit(
    corpus: Path, undisturbed: Undisturbed
) -> None:
    """As the kernel does it that runs out of memory: no warning, and its file stays half."""
    whole = undisturbed(TAG)
    line = check_one_line(fail_last(corpus, "die"))
    assert line == (
        f"dolma-kit: the worker that did b was {OUT_OF_MEMORY}; "
        "what is finished is kept, run again to go on"
    )
    (half,) = hidden(corpus)
    assert half.name.startswith(".b.parquet.")
    check_taken_up(corpus, whole, 3)


def exhaust(task: str) -> Result:
    raise MemoryError


def test_a_unit_that_runs_out_of_memory_is_named(tmp_path: Path) -> None:
    """The allocation fails before the kernel kills: a limit of the shell or the batch system."""
    unit = Unit("the unit", "", (), str(tmp_path))
    engine = LocalEngine(2)
    with pytest.raises(Exception, match=r"the unit.*fewer --workers"):
        execute(Plan("any", {}, [Phase("doing", exhaust, [unit])]), Options(quiet=True), engine)


@pytest.mark.parametrize("given", [False, True])
def test_a_worker_that_is_killed_while_it_does_nothing(corpus: Path, given: bool) -> None:
    """It has no unit, or (stopped meanwhile) has not taken note of the one that it was given."""
    Path("wait").touch()
    recipe = json.loads(Path("recipe.yaml").read_text())
    waiting = {"taggers": ["faulty_v1"], "experiment": "p", "plugin": ["faulty.py"]}
    recipe["stages"].insert(0, {"tag": {"documents": ["web"], **waiting}})
    Path("recipe.yaml").write_text(json.dumps(recipe))
    command = Command(RUN, corpus)
    try:
        wait_until(lambda: n_recorded(corpus / "web/attributes/p") == 3, command)
        wait_until(Path("reached").exists, command)
        (half,) = hidden(corpus / "web/attributes/p")
        (busy,) = re.findall(r"\.b\.parquet\.(\d+)", half.name)
        (idle,) = set(command.workers()) - {int(busy)}
        if given:
            os.kill(idle, signal.SIGSTOP)
            Path("wait").unlink()
            wait_until(lambda: n_recorded(corpus / "web/attributes/p") == 4, command)
            time.sleep(1)  # sooner, it has no unit yet
        os.kill(idle, signal.SIGKILL)
        Path("wait").unlink(missing_ok=True)
        command.wait()
    finally:
        command.kill()
    assert command.driver.returncode == 0 or OUT_OF_MEMORY in check_one_line(command)


def test_a_fork_server_that_is_killed_while_it_starts(corpus: Path) -> None:
    command = Command(RUN, corpus)
    try:
        wait_until(lambda: any(p.role == "fork server" for p in command.processes()), command)
        for process in command.processes():
            if process.role == "fork server":
                os.kill(process.pid, signal.SIGKILL)
        command.wait()
    finally:
        command.kill()
    assert "killed" in check_one_line(command)


def test_outputs_that_were_renamed_and_not_recorded_are_made_again(
    corpus: Path, undisturbed: Undisturbed
) -> None:
    """The driver is stopped while a worker ends its unit, and killed before it hears of it."""
    whole = undisturbed(TAG)
    Path("wait").touch()
    command = Command(TAG, corpus)
    try:
        wait_until(Path("reached").exists, command)
        os.kill(command.driver.pid, signal.SIGSTOP)
        Path("wait").unlink()
        wait_until((corpus / "web/attributes/q/b.parquet").exists, command)
        os.kill(command.driver.pid, signal.SIGKILL)
        command.wait()
        assert command.wait_for_all() == []
    finally:
        command.kill()
    recorded = ledger.read("web/attributes/q")
    assert recorded is not None
    assert "b" not in {record.unit for record in recorded[1]}
    (corpus / "web/attributes/q/b.parquet").write_bytes(b"as if it were another's")
    command = processes.run(TAG, corpus)
    assert (command.driver.returncode, command.json["units_skipped"]) == (0, len(recorded[1]))
    assert written(corpus) == whole


SERVE = """
from multiprocessing import Pipe
from dolma_kit.execute import local

driver, worker = Pipe()
life, driver_lives = Pipe(duplex=False)
worker.send("a report that is never read")
driver.close()
local._serve(worker, life)
"""


def test_a_worker_whose_driver_is_killed_ends_in_silence() -> None:
    """Where it hears of it before the thread that waits for just that, as happens now and then."""
    ended = subprocess.run(
        [sys.executable, "-c", SERVE], cwd=processes.ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_ledger_that_was_half_written_is_cleared_away(
    corpus: Path, undisturbed: Undisturbed
) -> None:
    processes.run(TAG, corpus)
    half = corpus / "web/attributes/q" / ledger.FOLDER / ".ledger.jsonl.4242.tmp"
    half.write_bytes(b'{"version":1,')
    assert processes.run(TAG, corpus).driver.returncode == 0
    assert not half.exists()


# Two commands at once


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--taggers", "char_length_v1"]])
def test_a_second_command_is_refused_and_the_first_is_none_the_worse(
    corpus: Path, undisturbed: Undisturbed, more: list[str]
) -> None:
    whole = undisturbed(TAG)
    Path("wait").touch()
    first = Command(TAG, corpus)
    try:
        wait_until(Path("reached").exists, first)
        line = check_one_line(processes.run([*TAG, *more], corpus), code=2)
        assert line == (
            "dolma-kit: another command is writing to web/attributes/q: wait for it to end"
        )
        Path("wait").unlink()
        assert first.wait() == 0, first.err
    finally:
        first.kill()
    assert written(corpus) == whole
    assert hidden(corpus) == []


def test_commands_that_start_at_the_same_moment(corpus: Path, undisturbed: Undisturbed) -> None:
    whole = undisturbed(TAG)
    commands = [Command(TAG, corpus) for _ in range(3)]
    try:
        codes = [command.wait() for command in commands]
        assert 0 in codes
        assert set(codes) <= {0, 2}, [command.err for command in commands]
    finally:
        for command in commands:
            command.kill()
    assert written(corpus) == whole
    assert hidden(corpus) == []


# Clocks

FUTURE = 4102444800  # 2100-01-01


def tag(dolma_kit: RunCommand) -> int:
    """Runs TAG here; how many units it skipped."""
    answer = dolma_kit(*TAG, "--workers", 1)
    assert answer.code == 0, answer.err
    return int(answer.json["units_skipped"])


@pytest.mark.parametrize("seconds", [0, 1, FUTURE])
def test_times_of_inputs_decide_nothing_but_that_they_changed(
    corpus: Path, dolma_kit: RunCommand, seconds: int
) -> None:
    for path in corpus.glob("web/documents/*"):
        os.utime(path, (seconds, seconds))
    assert tag(dolma_kit) == 0
    assert tag(dolma_kit) == 4
    for path in corpus.glob("web/attributes/q/*.parquet"):  # older than inputs, or of the future
        os.utime(path, (FUTURE - seconds, FUTURE - seconds))
    assert tag(dolma_kit) == 4


def test_a_ledger_of_the_future_is_a_ledger(corpus: Path, dolma_kit: RunCommand) -> None:
    tag(dolma_kit)
    book = corpus / "web/attributes/q" / ledger.FOLDER / "ledger.jsonl"
    year = time.strftime("%Y", time.gmtime())
    dated = book.read_bytes().replace(f'"finished":"{year}'.encode(), b'"finished":"2100')
    assert dated.count(b'"finished":"2100') == 4
    book.write_bytes(dated)
    assert tag(dolma_kit) == 4
    path = corpus / "web/documents/c.jsonl.gz"
    os.utime(path, (1, 1))
    assert tag(dolma_kit) == 3


def test_an_input_replaced_by_an_older_one_of_the_same_size_is_noticed(
    corpus: Path, dolma_kit: RunCommand
) -> None:
    """As a backup is restored: what is newer than what says nothing."""
    path = Path("web/documents/c.jsonl")
    Path("web/documents/c.jsonl.gz").unlink()
    path.write_text('{"id": "c", "text": "one"}\n')
    assert tag(dolma_kit) == 0
    before = written(corpus)
    size = path.stat().st_size
    path.write_text('{"id": "C", "text": "two"}\n')
    os.utime(path, (1, 1))
    assert path.stat().st_size == size
    assert tag(dolma_kit) == 3
    after = written(corpus)
    changed = {name for name in before if after[name] != before[name]} - {str(path)}
    assert changed == {"web/attributes/q/c.parquet"}
