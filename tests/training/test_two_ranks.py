"""Two ranks under torchrun on gloo: gradients, batches and checkpoints are those of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

import dolma_kit
from dolma_kit.order import step_trace
from dolma_kit.order.asking.verifying import verify_trace
from dolma_kit.order.run import open_run
from dolma_kit.training.loop import train

from .tiny import told, write_run
from .two_ranks import CASES

ROOT = Path(dolma_kit.__file__).parent.parent
KEYS: dict[str, Any] = {
    "batch": {
        "micro_batch_size": 1,
        "growth": [{"from_step": 1, "global_batch_size": 4},
                   {"from_step": 7, "global_batch_size": 8}],
    },
    "schedule": {"steps": 14, "horizon_steps": 40},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one process, of two, and of one and then two."""
    folder = tmp_path_factory.mktemp("ranks")
    run = write_run(folder / "plain")
    write_run(folder / "masked", masks=True)
    train(told(run, folder / "one", **KEYS))
    half = KEYS | {"schedule": {"steps": 6, "horizon_steps": 40}}
    train(told(run, folder / "one-then-two", **half))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone",
        "tests/training/two_ranks.py", str(folder), json.dumps(KEYS),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    train(told(run, folder / "two", **(KEYS | {"schedule": {"steps": 18, "horizon_steps": 40}})))
    return folder


@pytest.mark.parametrize("case", [name for name, *_ in CASES])
def test_gradients_are_those_of_one_process(folder: Path, case: str) -> None:
    """A sum where an average was asked for, or the other way, would be off by the ranks; ranks
    weighed alike, by what their masks differ."""
    assert json.loads((folder / "found.json").read_text())[case] < 2e-5


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows]


@pytest.mark.parametrize("out", ["two", "one-then-two"])
def test_batches_are_those_of_one_process(folder: Path, out: str) -> None:
    one = (folder / "one" / step_trace.NAME).read_bytes()
    assert (folder / out / step_trace.NAME).read_bytes()[: len(one)] == one
    run = open_run(folder / out / "run.yaml")
    assert verify_trace(run, str(folder / out / step_trace.NAME)).equal
    assert losses(folder / out)[:14] == pytest.approx(losses(folder / "one"), rel=1e-4)


def test_one_process_goes_on_from_two(folder: Path) -> None:
    assert len(losses(folder / "two")) == 18


def test_a_rank_that_is_killed(folder: Path, tmp_path: Path) -> None:
    """The job ends, the other rank says why, and started again it goes on."""
    keys = KEYS | {"schedule": {"steps": 22, "horizon_steps": 40}, "checkpoint": {"every": 1}}
    settings = told(folder / "plain" / "run.yaml", tmp_path / "o", **keys)
    (tmp_path / "train.json").write_bytes(msgspec.json.encode(settings))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone",
        "-m", "dolma_kit", "train", "-c", str(tmp_path / "train.json"),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    trace = tmp_path / "o" / step_trace.NAME
    deadline = time.monotonic() + 60
    while not trace.exists() or trace.stat().st_size < 64 * 4:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if b"RANK=1" in variables:
            os.kill(int(child), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert b"SIGKILL" in said or b"Signal 9" in said
    again = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr[-2000:]
    run = open_run(tmp_path / "o" / "run.yaml")
    assert run.n_steps == 22
    assert verify_trace(run, str(trace)).equal
