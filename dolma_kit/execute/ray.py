"""The engine of many machines: one Ray task a unit, on a cluster of its own or at an address.

The only module that imports ray, and only once there is work. A task brings its unit pickled, the
kernels to load and the folder that relative paths start from; it gives back what it counted or its
error, so that what Ray itself raises is only ever a fault of a worker, a node or the cluster.

Nodes see documents and outputs under the same paths: on a file system that they share, or by URL.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pickle
import platform
import shutil
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dolma_kit
from dolma_kit import files, kernels, ledger
from dolma_kit.errors import ConfigError
from dolma_kit.execute import progress as reporting
from dolma_kit.execute.local import RemoteTraceback, WorkerDied, bound_threads, of_unit, sendable
from dolma_kit.execute.plans import Unit, Work, usable_cpus
from dolma_kit.execute.progress import Progress

ATTEMPTS = 3  # of a unit whose worker dies
IN_FLIGHT_PER_CPU = 3  # enough to keep workers busy, few enough for any number of units
STOP_SECONDS = 5.0
REACH_SECONDS = 5.0
MOST_WAITING = 2  # of what may be in flight: answers of `map` wait for those before them
RECOUNT_SECONDS = 5.0  # an autoscaled cluster grows while we run
DEFAULT_PORT = 6379
OBJECT_STORE_BYTES = 80_000_000  # near Ray's least: tasks and their answers are small
LONGEST_TEMPORARY = 30  # bytes of a path: Ray's sockets lie below, and the kernel allows 107


class RayEngine:
    """Runs units as Ray tasks.

    `address` as Ray takes it: `auto`, `HOST` or `HOST:PORT` of a cluster's head; None starts a
    cluster on this machine, of `workers` CPUs or all. Where this process is connected to Ray
    already, that connection is used, and stays. At an address, `workers` bounds the units that run
    at a time.
    Nothing starts before there is a unit to run.
    """

    name = "ray"

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self._bound = workers
        self._address = None if address == "local" else address
        self._ray: Any = None
        self._task: Any = None
        self._started = False
        self._temporary: str | None = None
        self._kernels: list[str] = []
        self._counted = float("-inf")
        self.cpu_seconds = 0.0
        self._n_cpus = self._largest_node = 1

    def start(self) -> None:
        """Connect to Ray, or start it, if that has not been done."""
        if self._ray is not None:
            return
        import ray

        if not ray.is_initialized():
            quiet = {"log_to_driver": False, "configure_logging": False}
            if self._address is None:
                self._start_own(ray, quiet)
            else:
                _connect(ray, self._address, quiet)
            self._started = True
        self._ray = ray
        # Retries are ours: Ray's own would start a unit that runs out of memory for ever again.
        self._task = ray.remote(max_retries=0)(_do)

    def _start_own(self, ray: Any, quiet: dict[str, Any]) -> None:
        short = len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TEMPORARY
        self._temporary = tempfile.mkdtemp(prefix="ray-", dir=None if short else "/tmp")
        with (
            _environment(_inherited()),
            _silence(),
            _as_config_error("cannot start Ray on this machine"),
        ):
            ray.init(
                address="local",
                num_cpus=self._bound or usable_cpus(),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=self._temporary,
                **quiet,
            )

    def warm(self, module: str, function: str, *arguments: Any) -> None:
        """Nothing: workers may be on other machines, and start as the cluster has room."""

    def prepare(self, kernel_names: Sequence[str]) -> float:
        """Have one worker compile kernels; the others of its machine find them on disk."""
        new = [name for name in kernel_names if name not in self._kernels]
        seconds = 0.0

        def loaded(unit: Unit, answer: _Done) -> None:
            nonlocal seconds
            seconds = answer.result

        if new:
            unit = Unit("the loading of kernels", new, (), "")
            self._run(kernels.load, [unit], loaded, lambda text: None)
            self._kernels += new
        return seconds

    def run(
        self,
        work: Work,
        units: Sequence[Unit],
        finished: Callable[[Unit, Any, float], None],
        progress: Progress,
    ) -> None:
        def ended(unit: Unit, answer: _Done) -> None:
            finished(unit, answer.result, answer.seconds)
            progress.advance(answer.documents, answer.n_bytes)
            progress.unit_done(unit.n_bytes)

        for folder in self._run(work, units, ended, progress.note):
            ledger.sweep(folder)  # the dead had no time to remove their temporary files

    @property
    def width(self) -> int:
        """How many units run at a time."""
        self.start()
        self._most_in_flight()
        return min(self._n_cpus, self._bound or self._n_cpus)

    def map(
        self, work: Callable[[Any], Any], tasks: Iterable[Any], what: str
    ) -> Generator[Any, None, None]:
        """`work(task)` of each task, in their order; `what` names a task in errors."""
        units = (Unit(what, task, (), "") for task in tasks)
        done: dict[int, _Done | _Failed] = {}
        n_answered = 0

        def n_waiting() -> int:
            return len(done)

        ended = self._each(work, units, n_waiting)
        with contextlib.closing(ended):
            for number, unit, answer in ended:
                if isinstance(answer, _Died):
                    continue
                done[number] = answer
                while n_answered in done:  # in its turn: the first fault is the one to tell
                    yield _result(unit, done.pop(n_answered)).result
                    n_answered += 1

    def _run(
        self,
        work: Callable[[Any], Any],
        units: Sequence[Unit],
        ended: Callable[[Unit, _Done], None],
        note: Callable[[str], None],
    ) -> set[str]:
        """Run units; returns where those that were retried write."""
        retried: set[str] = set()
        with contextlib.closing(self._each(work, units, lambda: 0)) as answers:
            for _, unit, answer in answers:
                if isinstance(answer, _Died):
                    note(f"{answer.why}; {unit.name} is done again")
                    retried.update(unit.output_folders())
                else:
                    ended(unit, _result(unit, answer))
        return retried

    def _each(
        self, work: Callable[[Any], Any], units: Iterable[Unit], n_waiting: Callable[[], int]
    ) -> Generator[tuple[int, Unit, _Done | _Failed | _Died], None, None]:
        """Each unit's number and answer as they come, a bounded number of units in flight.

        One whose worker died is told of and done again, up to ATTEMPTS times. No more units are
        begun while `n_waiting` answers, which the caller keeps, and those in flight are too many.
        """
        self.start()
        waiting = enumerate(units)
        flying: dict[Any, tuple[int, Unit, int]] = {}
        try:
            while True:
                most = self._most_in_flight()
                room = min(most, MOST_WAITING * most - n_waiting()) - len(flying)
                for number, unit in itertools.islice(waiting, max(room, 0)):
                    flying[self._submit(work, unit)] = (number, unit, 1)
                if not flying:
                    return
                for ref in self._some_done(list(flying)):
                    number, unit, attempt = flying.pop(ref)
                    answer = self._answer(ref, unit, attempt)
                    if isinstance(answer, _Died):
                        flying[self._submit(work, unit)] = (number, unit, attempt + 1)
                    yield number, unit, answer
        except BaseException:
            self._cancel(list(flying))
            raise

    def _most_in_flight(self) -> int:
        now = time.monotonic()
        if now - self._counted > RECOUNT_SECONDS:
            self._counted = now
            nodes = [int(n["Resources"].get("CPU", 0)) for n in self._ray.nodes() if n["Alive"]]
            self._n_cpus = max(sum(nodes), 1)
            self._largest_node = max([*nodes, 1])
        if self._bound is not None and self._bound < self._n_cpus:
            return self._bound  # what is in flight may all run
        return IN_FLIGHT_PER_CPU * self._n_cpus

    def _submit(self, work: Callable[[Any], Any], unit: Unit) -> Any:
        # A task that asks for more than the largest node has would wait for ever.
        task = self._task.options(num_cpus=min(unit.threads, self._largest_node), name=unit.name)
        there = _Place(dolma_kit.__version__, tuple(self._kernels), os.getcwd())
        return task.remote(there, pickle.dumps((work, unit.task)))

    def _some_done(self, refs: list[Any]) -> list[Any]:
        """Those that have ended; waits for one."""
        self._ray.wait(refs, num_returns=1)
        done: list[Any] = self._ray.wait(refs, num_returns=len(refs), timeout=0)[0]
        return done

    def _answer(self, ref: Any, unit: Unit, attempt: int) -> _Done | _Failed | _Died:
        known = self._ray.exceptions
        deaths = (
            known.WorkerCrashedError, known.NodeDiedError, known.OutOfMemoryError,
            known.ObjectLostError,
        )  # fmt: skip
        try:
            answer: _Done | _Failed = self._ray.get(ref)
        except deaths as error:
            why = _cause_of_death(error, unit)
            if attempt < ATTEMPTS:
                return _Died(why)
            raise WorkerDied(
                f"{why}, {attempt} times; what is finished is kept, run again to go on"
            ) from error
        except known.RayError as error:
            last = str(error).strip().splitlines()[-1]
            raise ConfigError(
                f"Ray cannot run {unit.name}: {last}; the nodes need Python and dolma-kit "
                f"{dolma_kit.__version__} as they are here"
            ) from error
        if isinstance(answer, _Done):
            self.cpu_seconds += answer.cpu_seconds
        return answer

    def _cancel(self, refs: list[Any]) -> None:
        """End units in the middle; they have some seconds to remove their temporary files."""
        if not refs or not self._ray.is_initialized():
            return
        for force in (False, True):
            for ref in refs:
                self._ray.cancel(ref, force=force)
            refs = self._ray.wait(refs, num_returns=len(refs), timeout=STOP_SECONDS)[1]
            if not refs:
                return

    def close(self) -> None:
        """Shut down, or disconnect from, what this engine has started or connected to."""
        if self._started:
            self._ray.shutdown()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._started, self._temporary, self._ray = False, None, None


@dataclass(frozen=True)
class _Place:
    """What a worker has to be like: our version, these kernels loaded, in this folder."""

    version: str
    kernels: tuple[str, ...]
    folder: str


@dataclass(frozen=True)
class _Done:
    result: Any
    seconds: float
    cpu_seconds: float
    documents: int
    n_bytes: int


@dataclass(frozen=True)
class _Failed:
    error: Exception
    trace: str


@dataclass(frozen=True)
class _Died:
    why: str


_loaded: set[str] | None = None  # the kernels of this worker process; None before its first unit


def _do(place: _Place, payload: bytes) -> _Done | _Failed:
    """Runs in a worker: one unit. Its own errors are answers, which Ray does not wrap."""
    counted = [0, 0]

    def count(documents: int, n_bytes: int) -> None:
        counted[0] += documents
        counted[1] += n_bytes

    try:
        _make_ready(place)
        work, task = pickle.loads(payload)
        reporting.report_to(count)
        started, cpu = time.perf_counter(), time.process_time()
        result = work(task)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        return _Done(result, seconds, cpu_seconds, counted[0], counted[1])
    except Exception as error:  # every fault of a unit is the driver's to report
        return _Failed(sendable(error), traceback.format_exc())
    finally:
        reporting.report_to(None)


def _make_ready(place: _Place) -> None:
    global _loaded
    if _loaded is None:
        if place.version != dolma_kit.__version__:
            raise ConfigError(
                f"{platform.node()} has dolma-kit {dolma_kit.__version__}, the command is "
                f"{place.version}: install the same on every node"
            )
        bound_threads(1)
        files.sync_all()
        _loaded = set()
    try:
        os.chdir(place.folder)
    except OSError as error:
        raise ConfigError(
            f"the node {platform.node()} cannot enter {place.folder} ({error.strerror}): start "
            "from a folder that all nodes have; they need to see the same files"
        ) from None
    if new := [name for name in place.kernels if name not in _loaded]:
        with _uninterrupted():
            kernels.load(new)
        _loaded.update(new)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off the interrupt by which Ray cancels a task. The worker serves other tasks afterwards,
    and a package whose import was broken off half way (numba's) cannot be imported again."""
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _result(unit: Unit, answer: _Done | _Failed) -> _Done:
    """What a unit gave; its own error is raised."""
    if isinstance(answer, _Failed):
        raise of_unit(unit, answer.error) from RemoteTraceback(answer.trace)
    return answer


def _cause_of_death(error: Exception, unit: Unit) -> str:
    kind = type(error).__name__
    if kind == "OutOfMemoryError":
        return f"the worker that did {unit.name} ran out of memory (try fewer --workers)"
    if kind == "NodeDiedError":
        return f"the node that did {unit.name} died"
    if kind == "WorkerCrashedError":
        return f"the worker that did {unit.name} was killed or crashed (out of memory?)"
    return f"the result of {unit.name} was lost with its node"


def _connect(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    if address != "auto" and "://" not in address:
        host, _, port = address.partition(":")
        address = f"{host}:{port or DEFAULT_PORT}"
        try:  # Ray itself would try for minutes, and tell of it in its own way
            socket.create_connection((host, int(port or DEFAULT_PORT)), REACH_SECONDS).close()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster at {address}: {error}; give `auto` on a machine of the cluster, "
                "or HOST:PORT of its head"
            ) from None
    root = _root()
    # Where we are installed, the nodes have us too; a checkout has to be named to them.
    path = None if root is None else {"env_vars": {"PYTHONPATH": root + ":${PYTHONPATH}"}}
    what = (
        f"cannot connect to Ray at {address} (if it asks for a token: RAY_AUTH_MODE=token and "
        "RAY_AUTH_TOKEN_PATH)"
    )
    with _silence(), _as_config_error(what):
        ray.init(address=address, runtime_env=path, **quiet)


def _root() -> str | None:
    """The folder that holds our packages, if it is a checkout."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(dolma_kit.__file__)))
    return None if os.path.basename(root) in ("site-packages", "dist-packages") else root


def _inherited() -> dict[str, str]:
    """What the processes of a cluster of our own should find in their environment."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its new default, without the warning
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    if (root := _root()) is not None:
        wanted["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return wanted


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ray says about itself when it starts from the user's stderr."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _as_config_error(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{what}: {' '.join(str(error).split())}") from error
