"""The engine of one machine: this process alone, or a pool of worker processes.

Workers come from a fork server, which loads the libraries once and forks in milliseconds; unlike
a fork of the caller it is safe when threads (of a tokenizer, of Arrow) are about, and unlike
`spawn` it never runs the caller's script again. Each worker takes one unit at a time over a pipe,
so a worker that dies is known together with the unit that it had.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from dolma_kit.errors import DolmaKitError
from dolma_kit.execute import Unit, Work
from dolma_kit.execute import progress as reporting
from dolma_kit.execute.progress import Progress
from dolma_kit.ledger import Result

REPORT_SECONDS = 0.1
STOP_SECONDS = 5.0


class WorkerDied(DolmaKitError):
    """A worker process ended in the middle of a unit."""


class LocalEngine:
    """Runs units here (`workers=1`) or in a pool that starts with the first run and then stays."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: list[_Worker] = []
        if workers == 1:
            bound_threads(1)

    def run(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Result, float], None],
        progress: Progress,
    ) -> None:
        if self.workers == 1:
            self._run_here(work, units, finished, progress)
        else:
            self._run_pool(work, units, finished, progress)

    def _run_here(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Result, float], None],
        progress: Progress,
    ) -> None:
        reporting.report_to(progress.advance)
        try:
            for unit in units:
                started = time.perf_counter()
                result = work(unit.task)
                finished(unit, result, time.perf_counter() - started)
                progress.unit_done(unit.n_bytes)
        finally:
            reporting.report_to(None)

    def _run_pool(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Result, float], None],
        progress: Progress,
    ) -> None:
        while len(self._pool) < min(self.workers, len(units)):
            self._pool.append(_Worker())
        waiting = iter(units)
        busy: dict[Connection, tuple[_Worker, Unit]] = {}

        def give(worker: _Worker) -> None:
            if (unit := next(waiting, None)) is not None:
                worker.connection.send((work, unit.task))
                busy[worker.connection] = (worker, unit)

        try:
            for worker in self._pool:
                give(worker)
            while busy:
                for connection in wait(list(busy)):
                    assert isinstance(connection, Connection)
                    worker, unit = busy[connection]
                    try:
                        kind, *message = connection.recv()
                    except EOFError:
                        raise WorkerDied(worker.obituary(unit)) from None
                    if kind == "progress":
                        progress.advance(*message)
                    elif kind == "error":
                        error, trace = message
                        error.__cause__ = RemoteTraceback(trace)
                        raise error
                    else:
                        del busy[connection]
                        finished(unit, *message)
                        progress.unit_done(unit.n_bytes)
                        give(worker)
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Let the workers go; they are idle."""
        for worker in self._pool:
            worker.connection.close()
        for worker in self._pool:
            worker.process.join()
        self._pool = []

    def _stop(self) -> None:
        """End workers in the middle of their units; they have some seconds to clean up."""
        for worker in self._pool:
            worker.process.terminate()
        for worker in self._pool:
            worker.process.join(STOP_SECONDS)
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self._pool = []


class RemoteTraceback(Exception):
    """Carries a worker's traceback as text, so that `--traceback` can show it."""


class _Worker:
    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "numpy", "pyarrow", "msgspec", "numba"])
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _without_main():
            self.process.start()
        theirs.close()

    def obituary(self, unit: Unit) -> str:
        self.process.join(timeout=5)
        code = self.process.exitcode
        if code is not None and code < 0:
            why = f"was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                why += " (out of memory? try fewer --workers)"
        else:
            why = f"ended with exit code {code}"
        return (
            f"the worker that did {unit.name} {why}; what is finished is kept, run again to go on"
        )


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the caller's script: units are functions of modules, no worker has to run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def bound_threads(n: int) -> None:
    """Give the libraries that have thread pools of their own n threads each, before they start."""
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(n)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if n == 1 else "true"
    import pyarrow

    pyarrow.set_cpu_count(n)


def _sendable(error: Exception) -> Exception:
    """The error itself where it survives pickling, else one of its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a foreign exception's own reduction raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _leave(*_: object) -> None:
    """Raised where the unit is, so that it removes its temporary files."""
    raise SystemExit(0)


def _serve(connection: Connection) -> None:
    """A worker's life: units in, results out, until the driver closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver hears Ctrl-C and ends its workers
    signal.signal(signal.SIGTERM, _leave)
    bound_threads(1)
    pending = [0, 0]
    last = 0.0

    def report(documents: int, n_bytes: int) -> None:
        nonlocal last
        pending[0] += documents
        pending[1] += n_bytes
        if time.monotonic() - last > REPORT_SECONDS:
            connection.send(("progress", *pending))
            pending[:] = [0, 0]
            last = time.monotonic()

    reporting.report_to(report)
    while True:
        try:
            work, task = connection.recv()
        except EOFError:
            return
        answer: tuple[Any, ...]
        started = time.perf_counter()
        try:
            answer = ("done", work(task), time.perf_counter() - started)
        except Exception as error:  # every fault of a unit is the driver's to report
            answer = ("error", _sendable(error), traceback.format_exc())
        try:
            connection.send(("progress", *pending))
            pending[:] = [0, 0]
            connection.send(answer)
        except OSError:  # the driver is gone
            return
