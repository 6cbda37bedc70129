"""Runs de-duplications that are killed again and again, each time a little later.

    python -m tests.deduplication.killed CALM KILLED < settings, a JSON object a line

In the folder CALM all run undisturbed, which also loads what the forks would have to load each
time. In KILLED, the n-th run of the same settings is killed by SIGKILL at the n-th file that takes
its name: before it does if n is even, else after. The first run that comes to its end is the last.
Prints how many were killed, a number a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


def run(settings: dict[str, Any], kill_at: int) -> None:
    """In a child: de-duplicate, unless the `kill_at`-th file takes its name before the end."""
    from dolma_kit.deduplication.stage import dedupe

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
    dedupe(**settings, workers=1, quiet=True)


def main() -> None:
    from dolma_kit.deduplication.stage import dedupe

    calm, killed = sys.argv[1:]
    runs = [json.loads(line) for line in sys.stdin]
    os.chdir(calm)
    for settings in runs:
        dedupe(**settings, workers=1, quiet=True)
    os.chdir(killed)
    for settings in runs:
        n_killed = 0
        while True:
            child = os.fork()
            if child == 0:
                run(settings, n_killed + 1)
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
