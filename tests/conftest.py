"""What all tests share: the real texts, a small corpus, and the command line in this process."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import browsing
from .browsing import browse as browse
from .browsing import chromium as chromium
from .served import Served, serving

if TYPE_CHECKING:
    from dolma_kit.execute.ray import RayEngine

DATA_VARIABLE = "DOLMA_KIT_DATA"
RAY_CPUS = 2
#: marker -> how many tests were deselected for want of what they need
_deselected: dict[str, int] = {}

# A shell starts what it puts in the background with SIGINT ignored, and children inherit that:
# tests that interrupt would wait in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the shared data, or without a browser, the tests that need them are deselected, and
    the header says so."""
    for item in items:
        for fixture, marker in (("shared_data", "shared_data"), ("chromium", "browser")):
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
    is_there = {"shared_data": DATA_VARIABLE in os.environ, "browser": browsing.missing() is None}
    for marker in [marker for marker, there in is_there.items() if not there]:
        without = [item for item in items if item.get_closest_marker(marker)]
        _deselected[marker] = len(without)
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def pytest_report_collectionfinish() -> list[str]:
    said = [f"{DATA_VARIABLE}: {os.environ.get(DATA_VARIABLE)}"]
    if "shared_data" in _deselected:
        said = [f"{DATA_VARIABLE} is not set: {_deselected['shared_data']} tests that need the "
                "shared data are deselected"]  # fmt: skip
    if "browser" in _deselected:
        n = _deselected["browser"]
        said.append(f"{browsing.missing()}: {n} tests that drive a browser are deselected")
    return said


@pytest.fixture(scope="session")
def shared_data() -> Path:
    path = Path(os.environ[DATA_VARIABLE]).resolve()
    assert (path / "corpus").is_dir(), f"{DATA_VARIABLE}={path} holds no corpus/"
    return path


Document = dict[str, Any]
WriteDocuments = Callable[[Path, Iterable[Document]], Path]


@pytest.fixture
def write_documents() -> WriteDocuments:
    """Writes documents as JSONL, gzipped where the name says so, and returns the path."""

    def write(path: Path, documents: Iterable[Document]) -> Path:
        data = b"".join(
            json.dumps(document, ensure_ascii=False).encode() + b"\n" for document in documents
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
        return path

    return write


class Answer:
    """What one command line did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """The JSON of the last line of stdout."""
        return json.loads(self.out.strip().split("\n")[-1])


RunCommand = Callable[..., Answer]


@pytest.fixture
def dolma_kit(capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Runs `dolma-kit ARGUMENTS` in this process."""
    from dolma_kit.cli import run

    def command(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return command


@pytest.fixture
def served() -> Iterator[Served]:
    """A web server on this machine with nothing to give yet."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayEngine]:
    """A Ray cluster on this machine, started once; other Ray engines of this process use it too."""
    from dolma_kit.execute.ray import RayEngine

    engine = RayEngine(RAY_CPUS)
    engine.start()
    yield engine
    engine.close()
