"""The engine of one machine: this process alone, or a pool of worker processes.

Workers come from a fork server, which loads the libraries once and forks in milliseconds; unlike
a fork of the caller it is safe when threads (of a tokenizer, of Arrow) are about, and unlike
`spawn` it never runs the caller's script again. Each worker takes one unit at a time over a pipe,
so a worker that dies is known together with the unit that it had.
"""

from __future__ import annotations

import _thread
import collections
import contextlib
import gc
import json
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from dolma_kit import kernels
from dolma_kit.errors import DolmaKitError
from dolma_kit.execute import progress as reporting
from dolma_kit.execute.plans import Unit, Work
from dolma_kit.execute.progress import Progress

REPORT_SECONDS = 0.1
STOP_SECONDS = 5.0
TASKS_AHEAD = 4  # of `map` for each worker, counted from the first that has no answer yet
PRELOAD = "dolma_kit.execute.preload"  # by name: importing it is loading what it loads
KERNELS_VARIABLE = "DOLMA_KIT_PRELOADED_KERNELS"
CALL_VARIABLE = "DOLMA_KIT_PRELOADED_CALL"
#: by which libraries with thread pools of their own are bound; fastokens has two
THREADS_VARIABLES = (
    "RAYON_NUM_THREADS", "FASTOKENS_BPE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
)  # fmt: skip


class WorkerDied(DolmaKitError):
    """A worker process ended in the middle of a unit."""


class LocalEngine:
    """Runs units here (`workers=1`) or in a pool that starts with the first run and then stays."""

    name = "local"

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.cpu_seconds = 0.0
        self._pool: list[_Worker] = []
        self._prepared: set[str] = set()
        if workers == 1:
            bound_threads(1)

    def warm(self, module: str, function: str, *arguments: Any) -> None:
        """Start the fork server now, and have it call a function before it forks workers: what that
        keeps, all of them have. It must start no threads. For arguments that JSON has."""
        if self.workers == 1 or self._pool:
            return
        multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOAD])
        call = json.dumps([module, function, arguments])
        with _without_main(), _environment((), call), _without_interrupts():
            forkserver.ensure_running()

    def prepare(self, kernel_names: Sequence[str]) -> float:
        """Have kernels compiled and loaded, once for all workers; returns the seconds it took."""
        new = [name for name in kernel_names if name not in self._prepared]
        self._prepared.update(new)
        if self.workers == 1:
            return kernels.load(new)
        if self._pool:
            # The fork server runs already: one worker compiles, the others find it on disk.
            return self._pool[0].load(new) if new else 0.0
        self._pool = [_Worker(new)]
        return self._pool[0].seconds

    def run(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Any, float], None],
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
        finished: Callable[[Unit, Any, float], None],
        progress: Progress,
    ) -> None:
        reporting.report_to(progress.advance)
        try:
            for unit in units:
                started = time.perf_counter()
                try:
                    result = work(unit.task)
                except MemoryError as error:
                    raise of_unit(unit, error) from error
                finished(unit, result, time.perf_counter() - started)
                progress.unit_done(unit.n_bytes)
        finally:
            reporting.report_to(None)

    def _run_pool(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Any, float], None],
        progress: Progress,
    ) -> None:
        while len(self._pool) < min(self.workers, len(units)):
            self._pool.append(_Worker(()))
        waiting = iter(units)
        busy: dict[Connection, tuple[_Worker, Unit]] = {}

        def give(worker: _Worker) -> None:
            if (unit := next(waiting, None)) is not None:
                worker.send((work, unit.task), unit.name)
                busy[worker.connection] = (worker, unit)

        reporting.report_to(progress.advance)
        try:
            for worker in self._pool:
                give(worker)
            while busy:
                for connection in wait(list(busy)):
                    assert isinstance(connection, Connection)
                    worker, unit = busy[connection]
                    message = self._receive(worker, unit)
                    if message is not None:
                        del busy[connection]
                        finished(unit, *message)
                        progress.unit_done(unit.n_bytes)
                        give(worker)
        except BaseException:
            self._stop()
            raise
        finally:
            reporting.report_to(None)

    @property
    def width(self) -> int:
        return self.workers

    def map(
        self, work: Callable[[Any], Any], tasks: Iterable[Any], what: str
    ) -> Generator[Any, None, None]:
        """`work(task)` of each task, in their order, by the pool; `what` names a task in errors.

        Tasks are made in this process while the workers are busy, a few ahead of the answers.
        """
        while len(self._pool) < self.workers:
            self._pool.append(_Worker(()))
        try:
            yield from self._map(work, iter(tasks), Unit(what, None, (), ""))
        except BaseException:
            self._stop()
            raise

    def _map(
        self, work: Callable[[Any], Any], tasks: Iterator[Any], unit: Unit
    ) -> Generator[Any, None, None]:
        idle = list(self._pool)
        busy: dict[Connection, tuple[_Worker, int]] = {}
        made: collections.deque[Any] = collections.deque()  # tasks that wait for a worker
        done: dict[int, Any] = {}  # answers that wait for those before them
        n_given = n_answered = 0
        fault: Exception | None = None  # what making the next task raised; the answers come first
        exhausted = False
        while True:
            while idle and made and n_given - n_answered < TASKS_AHEAD * len(self._pool):
                worker = idle.pop()
                worker.send((work, made.popleft()), unit.name)
                busy[worker.connection] = (worker, n_given)
                n_given += 1
            if not exhausted and len(made) < len(self._pool) and not wait(list(busy), timeout=0):
                try:
                    made.append(next(tasks))
                except StopIteration:
                    exhausted = True
                except Exception as error:
                    exhausted, fault = True, error
                continue
            if not busy:
                if fault is not None:
                    raise fault
                return
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker, number = busy[connection]
                try:
                    message = self._receive(worker, unit)
                except WorkerDied:
                    raise
                except Exception as error:  # waits for its turn: the first fault is the one to tell
                    exhausted, done[number] = True, _Raised(error)
                else:
                    if message is None:
                        continue
                    done[number] = message[0]
                del busy[connection]
                idle.append(worker)
            while n_answered in done:
                answer = done.pop(n_answered)
                if isinstance(answer, _Raised):
                    raise answer.error
                yield answer
                n_answered += 1

    def _receive(self, worker: _Worker, unit: Unit) -> tuple[Any, float] | None:
        """A worker's answer and its seconds; None if it only tells how far it is."""
        kind, *message = worker.receive(unit.name)
        if kind == "progress":
            reporting.advance(*message)
            return None
        if kind == "error":
            error, trace = message
            raise of_unit(unit, error) from RemoteTraceback(trace)
        answer, seconds, cpu_seconds = message
        self.cpu_seconds += cpu_seconds
        return answer, seconds

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


def of_unit(unit: Unit, error: Exception) -> Exception:
    """The error of a unit; one that does not tell what to do about it is put in words."""
    if not isinstance(error, MemoryError):
        return error
    return WorkerDied(
        f"out of memory in {unit.name} ({str(error) or 'no more was given'}): try fewer --workers; "
        "what is finished is kept, run again to go on"
    )


@dataclass(frozen=True)
class _Raised:
    """In place of an answer, what was raised instead."""

    error: Exception


class RemoteTraceback(Exception):
    """Carries a worker's traceback as text, so that `--traceback` can show it."""


class _Worker:
    """A worker process and our end of its pipe. `seconds` is what loading kernels took.

    The first worker of this process starts the fork server, which loads the named kernels; later
    ones are forked from it as it is.
    """

    def __init__(self, kernel_names: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([PRELOAD])
        self.connection, theirs = context.Pipe()
        life, self._life = context.Pipe(duplex=False)  # nothing is sent: its end is the message
        self.process = context.Process(target=_serve, args=(theirs, life), daemon=True)
        try:
            with _without_main(), _environment(kernel_names), _without_interrupts():
                self.process.start()
        except (EOFError, OSError) as error:
            lost = isinstance(error, EOFError | ConnectionError)
            why = "the process that starts them was killed" if lost else str(error)
            raise WorkerDied(
                f"cannot start a worker: {why}; what is finished is kept, run again to go on"
            ) from error
        theirs.close()
        life.close()
        self.seconds = self.load(kernel_names) if kernel_names else 0.0

    def load(self, kernel_names: Sequence[str]) -> float:
        """Have kernels in this worker; returns the seconds that took, here or in the server."""
        what = "the loading of kernels"
        self.send((_load_kernels, tuple(kernel_names)), what)
        kind = "progress"
        while kind == "progress":
            kind, *message = self.receive(what)
        if kind == "error":
            raise message[0]
        seconds: float = message[0]
        return seconds

    def send(self, message: Any, what: str) -> None:
        """Send work, which `what` names; WorkerDied where nobody takes it."""
        try:
            self.connection.send(message)
        except ConnectionError:
            raise self._died(what) from None

    def receive(self, what: str) -> Any:
        """What the worker says of the work that `what` names; WorkerDied if nothing any more."""
        try:
            return self.connection.recv()
        except (EOFError, ConnectionError):
            raise self._died(what) from None

    def _died(self, what: str) -> WorkerDied:
        return WorkerDied(
            f"the worker that did {what} {self._fate()}; "
            "what is finished is kept, run again to go on"
        )

    def _fate(self) -> str:
        self.process.join(timeout=5)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        fate = f"was killed by {signal.Signals(-code).name}"
        return fate + " (out of memory? try fewer --workers)" if -code == signal.SIGKILL else fate


def _load_kernels(names: Sequence[str]) -> float:
    """Runs in a worker: load kernels that the fork server has not."""
    loaded = sys.modules.get(PRELOAD)
    if loaded is not None and set(names) <= set(loaded.NAMES):
        seconds: float = loaded.SECONDS
        return seconds
    return kernels.load(names)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the caller's script: units are functions of modules, no worker has to run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C: the driver's is to hear it and to end the workers.

    A fork server that starts meanwhile, and all that it forks, keep it held back; setting it to be
    ignored in the worker alone would leave the moment before that.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(kernel_names: Sequence[str], call: str = "") -> Iterator[None]:
    """What a fork server that starts now should know: which kernels, what to call, and where we
    are.

    The latter because Python before 3.13 does not give its `sys.path` to the fork server, which
    then leaves out in silence what it cannot import.
    """
    before = os.environ.get("PYTHONPATH")
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    os.environ["PYTHONPATH"] = here if before is None else os.pathsep.join((here, before))
    os.environ[KERNELS_VARIABLE] = " ".join(kernel_names)
    os.environ[CALL_VARIABLE] = call
    try:
        yield
    finally:
        del os.environ[KERNELS_VARIABLE], os.environ[CALL_VARIABLE], os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def bound_threads(n: int) -> None:
    """Give the libraries that have thread pools of their own n threads each, before they start."""
    for name in THREADS_VARIABLES:
        os.environ[name] = str(n)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if n == 1 else "true"
    import pyarrow

    pyarrow.set_cpu_count(n)


def sendable(error: Exception) -> Exception:
    """The error itself where it survives pickling, else one of its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a foreign exception's own reduction raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _leave(*_: object) -> None:
    """Raised where the unit is, so that it removes its temporary files."""
    raise SystemExit(0)


def _die_with_driver(life: Connection) -> None:
    """Wait in a thread for the driver's end, then end at once, wherever the unit is.

    The lock on the outputs ends with the driver: a unit that went on could write under final names
    while the next command is at work.
    """
    with contextlib.suppress(EOFError, OSError):
        life.recv_bytes()
    os._exit(1)


def _serve(connection: Connection, life: Connection) -> None:
    """A worker's life: units in, results out, until the driver closes the pipe."""
    # Not a Thread, whose start waits for ever for one that finds no memory to begin in.
    _thread.start_new_thread(_die_with_driver, (life,))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver hears Ctrl-C and ends its workers
    signal.signal(signal.SIGTERM, _leave)
    # A collection would write to every object of the fork server's, and so copy all their pages.
    gc.freeze()
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
        except (EOFError, ConnectionError):
            return
        answer: tuple[Any, ...]
        started, cpu = time.perf_counter(), time.process_time()
        try:
            result = work(task)
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
            answer = ("done", result, seconds, cpu_seconds)
        except Exception as error:  # every fault of a unit is the driver's to report
            answer = ("error", sendable(error), traceback.format_exc())
        try:
            connection.send(("progress", *pending))
            pending[:] = [0, 0]
            connection.send(answer)
        except OSError:  # the driver is gone
            return
