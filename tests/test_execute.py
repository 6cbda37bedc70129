"""Engines: the same results from one process and from a pool, and faults of units and workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from dolma_kit.config import Options
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute import Phase, Plan, Unit, execute
from dolma_kit.execute.local import LocalEngine, WorkerDied
from dolma_kit.execute.progress import advance
from dolma_kit.files import write_atomically
from dolma_kit.ledger import Result

QUIET = Options(quiet=True)


def square(task: tuple[str, int]) -> Result:
    path, n = task
    if n == 13:
        raise DataError(path, n, "unlucky")
    if n == 14:
        raise Unpicklable(lambda: None)
    if n == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    advance(1, n)
    with write_atomically(path) as stream:
        stream.write(str(n * n).encode())
    return Result(documents=1, bytes_in=n, outputs=[path], counts={"n": n})


class Unpicklable(Exception):
    pass


def plan(folder: Path, numbers: Any, config: dict[str, Any] | None = None) -> Plan:
    units = [
        Unit(f"unit {n}", (str(folder / f"{n}.out"), n), (), str(folder), n_bytes=n)
        for n in numbers
    ]
    return Plan(stage="square", config=config or {}, phases=[Phase("squaring", square, units)])


@pytest.fixture(params=[1, 2])
def engine(request: pytest.FixtureRequest) -> Any:
    made = LocalEngine(request.param)
    yield made
    made.close()


def test_results_come_in_the_order_of_the_units(tmp_path: Path, engine: LocalEngine) -> None:
    outcome = execute(plan(tmp_path, range(10)), QUIET, engine)
    assert [result.counts["n"] for result in outcome.results["squaring"]] == list(range(10))
    assert outcome.total("squaring", "bytes_in") == outcome.total("squaring", "n") == 45
    assert (tmp_path / "9.out").read_text() == "81"


def test_what_is_finished_is_not_done_again(tmp_path: Path, engine: LocalEngine) -> None:
    execute(plan(tmp_path, range(5)), QUIET, engine)
    before = (tmp_path / "3.out").stat().st_mtime_ns
    outcome = execute(plan(tmp_path, range(8)), QUIET, engine)
    assert (outcome.units_skipped, len(outcome.results["squaring"])) == (5, 8)
    assert (tmp_path / "3.out").stat().st_mtime_ns == before


def test_a_fault_of_a_unit_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, engine: LocalEngine
) -> None:
    with pytest.raises(DataError, match=r"13.out:13: unlucky"):
        execute(plan(tmp_path, range(1, 14)), QUIET, engine)
    done = list(tmp_path.glob("*.out"))
    outcome = execute(plan(tmp_path, range(1, 10)), QUIET, engine)
    assert outcome.units_skipped <= len(done)
    assert not (tmp_path / "13.out").exists()
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_fault_that_cannot_travel_is_told_in_words(tmp_path: Path) -> None:
    engine = LocalEngine(2)
    with pytest.raises(RuntimeError, match="Unpicklable"):
        execute(plan(tmp_path, [14]), QUIET, engine)
    engine.close()


def test_a_killed_worker_is_named_with_its_unit(tmp_path: Path) -> None:
    engine = LocalEngine(2)
    with pytest.raises(WorkerDied, match=r"unit 15 was killed by SIGKILL .*--workers"):
        execute(plan(tmp_path, [15]), QUIET, engine)
    outcome = execute(plan(tmp_path, [1, 2]), QUIET, engine)
    assert len(outcome.results["squaring"]) == 2
    engine.close()


def test_another_config_is_refused_before_any_work(tmp_path: Path, engine: LocalEngine) -> None:
    execute(plan(tmp_path, [1], {"k": 1}), QUIET, engine)
    with pytest.raises(ConfigError, match="k was 1, is 2"):
        execute(plan(tmp_path, [2], {"k": 2}), QUIET, engine)
    assert not (tmp_path / "2.out").exists()


def test_progress_is_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, engine: LocalEngine, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    from dolma_kit.execute import progress

    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    execute(plan(tmp_path, range(3)), Options(), engine)
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("square: squaring: 3 of 3 units, 3 documents")
    execute(plan(tmp_path, range(3, 6)), QUIET, engine)
    assert capsys.readouterr().err == ""
