"""Units that read a file of documents: for one stage or several, in one process or by all workers.

What a stage does with a file has two halves. Its *worker* makes an answer of each batch and looks
at nothing else, so any process may do that; its *sink* takes the answers in the file's order and
writes. So a file may be decoded once for several stages (`read` with several consumers), or its
batches shared between workers (`read_shared`), and not a byte of the outputs depends on it.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

from dolma_kit import decoding, quarantine
from dolma_kit.decoding import Piece, Pieces, Source
from dolma_kit.documents import Batch, DocumentReader, batches_of
from dolma_kit.errors import BrokenFile
from dolma_kit.execute.progress import advance
from dolma_kit.jsonl import BadLine
from dolma_kit.ledger import Result
from dolma_kit.quarantine import Aside

if TYPE_CHECKING:
    from dolma_kit.execute import Engine

Worker = Callable[[Batch], Any]


@dataclass
class Read:
    """What was read of a file. `sha256` is None where a limit cut it short, or it is broken.

    `text_bytes` counts the texts alone, `seconds` is what reading and decoding took.
    """

    documents: int = 0
    bytes_in: int = 0
    sha256: str | None = None
    text_bytes: int = 0
    seconds: float = 0.0


class Sink(abc.ABC):
    """Takes a worker's answers in the order of the file and writes.

    Used as a context manager: outputs that `open` has put on the stack take their names at the end
    of the block, if that is no error.
    """

    @abc.abstractmethod
    def open(self, stack: contextlib.ExitStack) -> None:
        """Open what is written to."""

    @abc.abstractmethod
    def take(self, answer: Any) -> None:
        """Write what the worker made of a batch."""

    def end(self, read: Read) -> None:  # noqa: B027  most have nothing to object to
        """After the last answer, before the outputs take their names: the place to object."""

    @abc.abstractmethod
    def result(self, read: Read) -> Result:
        """After the block. What is known of every reading (`documents`, ...) is added."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)


@dataclass(frozen=True)
class Consumer:
    """What one stage does with a file of documents.

    `worker(task)` and `sink(task)` make the halves; both are at the top level of a module, and
    answers can be pickled. `aside` is where bad input goes, None where another phase notes it. Of a
    broken file that is set aside, nothing is written, or with `empty_if_broken` what an empty file
    would give.
    """

    worker: Callable[[Any], Worker]
    sink: Callable[[Any], Sink]
    task: Any
    aside: Aside | None
    empty_if_broken: bool = False


@dataclass(frozen=True)
class Reading:
    """The task of a unit that reads a file.

    `needs_rows`: a worker asks for `first_row`, which is known before a batch is decoded only if
    nothing is set aside. Where not `shareable`, the batches have to stay in one process.
    """

    source: Source
    consumers: tuple[Consumer, ...]
    needs_rows: bool = False
    shareable: bool = True

    @property
    def can_be_shared(self) -> bool:
        cannot = self.source.limit is not None or (self.needs_rows and self.source.set_aside)
        return self.shareable and not cannot


class Share(NamedTuple):
    """What a consumer made of a file, and the seconds of a process that it took."""

    result: Result
    seconds: float


class Answers(NamedTuple):
    """Of one batch: each consumer's answer and seconds (None of a batch without documents)."""

    n_documents: int
    n_bytes_read: int
    n_bytes: int
    bad: Sequence[BadLine]
    answers: list[Any] | None
    seconds: list[float]
    decoding_seconds: float


def read(reading: Reading) -> list[Share]:
    """Read a file here; what came of it, for each consumer."""
    return _consume(reading, lambda: _answers_here(reading))


def read_shared(reading: Reading, engine: Engine) -> list[Share]:
    """Read a file with all workers of an engine: the file here, its batches there."""
    return _consume(reading, lambda: _answers_of_all(reading, engine))


@dataclass
class _Source:
    """A stream of answers; `sha256` is set at its end."""

    answers: Generator[Answers, None, None]
    sha256: Callable[[], str | None]


def _answers_here(reading: Reading) -> _Source:
    reader = DocumentReader(reading.source)
    workers = [consumer.worker(consumer.task) for consumer in reading.consumers]

    def answers() -> Generator[Answers, None, None]:
        started = time.perf_counter()
        for batch in reader:
            yield _answer(batch, workers, time.perf_counter() - started)
            started = time.perf_counter()

    return _Source(answers(), lambda: reader.sha256)


def _answer(batch: Batch, workers: Sequence[Worker], decoding_seconds: float) -> Answers:
    seconds = [0.0] * len(workers)
    if not len(batch):
        return Answers(0, batch.n_bytes_read, 0, batch.bad, None, seconds, decoding_seconds)
    answers = []
    for i, worker in enumerate(workers):
        started = time.perf_counter()
        answers.append(worker(batch))
        seconds[i] = time.perf_counter() - started
    return Answers(
        len(batch),
        batch.n_bytes_read,
        batch.n_bytes,
        batch.bad,
        answers,
        seconds,
        decoding_seconds,
    )


def _answers_of_all(reading: Reading, engine: Engine) -> _Source:
    pieces = Pieces(reading.source)
    label = f"{os.getpid()} {next(_labels)}"

    def tasks() -> Iterator[PieceTask]:
        first_row = 0
        for piece in pieces:
            yield PieceTask(reading, label, piece, first_row)
            if reading.needs_rows:
                first_row += decoding.count_rows(reading.source.path, piece)

    def answers() -> Generator[Answers, None, None]:
        found = engine.map(answer_piece, tasks(), f"a part of {reading.source.path}")
        with contextlib.closing(found):
            for of_piece in found:
                yield from of_piece

    return _Source(answers(), lambda: pieces.sha256)


@dataclass(frozen=True)
class PieceTask:
    """A piece of a file for any worker. `label` tells one reading of a file from another."""

    reading: Reading
    label: str
    piece: Piece
    first_row: int


_labels = itertools.count()
#: the reading that this process last worked for, and its workers
_open: tuple[str, list[Worker]] | None = None


def answer_piece(task: PieceTask) -> list[Answers]:
    """Runs in a worker: the answers to the batches of a piece."""
    global _open
    if _open is None or _open[0] != task.label:
        _open = None  # what the last reading held goes first
        workers = [consumer.worker(consumer.task) for consumer in task.reading.consumers]
        _open = (task.label, workers)
    answers = []
    started = time.perf_counter()
    for batch in batches_of(task.reading.source, task.piece, task.first_row):
        answers.append(_answer(batch, _open[1], time.perf_counter() - started))
        started = time.perf_counter()
    return answers


@dataclass
class _Consuming:
    """A consumer at work on a file."""

    sink: Sink
    faults: quarantine.Writer
    seconds: float = 0.0

    def share(self, read: Read) -> Share:
        made = self.sink.result(read)
        return Share(_completed(made, read, self.faults), self.seconds)


def _consume(reading: Reading, start: Callable[[], _Source]) -> list[Share]:
    read = Read()
    source = reading.source
    try:
        with contextlib.ExitStack() as stack:
            consuming = [
                _Consuming(c.sink(c.task), quarantine.Writer(c.aside)) for c in reading.consumers
            ]
            for each in consuming:
                stack.enter_context(each.sink)
                if source.set_aside:
                    stack.enter_context(each.faults)
            stream = start()
            with contextlib.closing(stream.answers) as answers:
                for found in answers:
                    _take(found, consuming, read)
            read.sha256 = stream.sha256()
            for each in consuming:
                each.sink.end(read)
        return [each.share(read) for each in consuming]
    except BrokenFile as error:
        if not source.set_aside or error.path != source.path:
            raise
        return [_set_aside(consumer, error) for consumer in reading.consumers]


def _take(found: Answers, consuming: list[_Consuming], read: Read) -> None:
    read.documents += found.n_documents
    read.bytes_in += found.n_bytes_read
    read.text_bytes += found.n_bytes
    read.seconds += found.decoding_seconds
    for i, each in enumerate(consuming):
        started = time.perf_counter()
        each.faults.add(found.bad)
        if found.answers is not None:
            each.sink.take(found.answers[i])
        each.seconds += time.perf_counter() - started
        each.seconds += found.seconds[i] + found.decoding_seconds / len(consuming)
    advance(found.n_documents, found.n_bytes)


def _set_aside(consumer: Consumer, error: BrokenFile) -> Share:
    """Put a whole file aside: nothing of it is left but the fault."""
    read = Read()
    made = Result()
    if consumer.empty_if_broken:
        with consumer.sink(consumer.task) as sink:
            pass
        made = sink.result(read)
    with quarantine.Writer(consumer.aside) as faults:
        faults.add_file(error)
    return Share(_completed(made, read, faults), 0.0)


def _completed(made: Result, read: Read, faults: quarantine.Writer) -> Result:
    return msgspec.structs.replace(
        made,
        documents=read.documents,
        bytes_in=read.bytes_in,
        quarantined=faults.n_faults,
        outputs=[*made.outputs, *faults.outputs],
        counts={**made.counts, "sha256": read.sha256},
    )
