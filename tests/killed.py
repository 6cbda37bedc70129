"""Runs stages that are killed again and again, each time a little later.

    python -m tests.killed CALM KILLED < runs, a JSON object a line: {"stage": NAME, **settings}

In the folder CALM all run undisturbed, which also loads what the forks would have to load each
time. In KILLED, the n-th run of the same settings is killed by SIGKILL at the n-th file that takes
its name: before it does if n is even, else after. The first run that comes to its end is the last.
Prints how many were killed, a number a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dolma_kit
from dolma_kit import ledger

ROOT = Path(__file__).parent.parent


def check(calm: Path, killed: Path, runs: Sequence[dict[str, Any]], *, at_least: int) -> None:
    """Two folders with the same documents have the same files in the end, whatever was killed: of
    each run `at_least` so many."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed", str(calm), str(killed)],
        input="".join(json.dumps(run) + "\n" for run in runs),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n_killed = [int(line) for line in done.stdout.split()]
    assert len(n_killed) == len(runs)
    assert min(n_killed) >= at_least, n_killed
    expected = everything(calm)
    assert len(expected) > 3 * len(runs)
    assert everything(killed) == expected


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ledger.FOLDER not in path.parts
    }


def run(given: dict[str, Any]) -> None:
    settings = dict(given)
    getattr(dolma_kit, settings.pop("stage"))(**settings, workers=1, quiet=True)


def run_or_die(settings: dict[str, Any], kill_at: int) -> None:
    """In a child: run, unless the `kill_at`-th file takes its name before the end."""
    replace: Callable[..., None] = os.replace
    n = 0

    def replace_or_die(source: str, target: str) -> None:
        nonlocal n
        n += 1
        if n == kill_at and n % 2 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if n == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die  # type: ignore[assignment]
    run(settings)


def main() -> None:
    calm, killed = sys.argv[1:]
    runs = [json.loads(line) for line in sys.stdin]
    os.chdir(calm)
    for settings in runs:
        run(settings)
    os.chdir(killed)
    for settings in runs:
        n_killed = 0
        while True:
            child = os.fork()
            if child == 0:
                run_or_die(settings, n_killed + 1)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                break
            n_killed += 1
        if status:
            sys.exit(f"{settings}: ended with status {status}")
        print(n_killed, flush=True)


if __name__ == "__main__":
    main()
