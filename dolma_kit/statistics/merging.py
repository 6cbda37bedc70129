"""From the partials of files to answers: put together by all workers, then asked and written.

Of more than MERGED_AT_ONCE files, some partials at a time become one, until one is left. Who makes
the last of a statistic also answers, so that several statistics are answered at the same time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from dolma_kit import files, ledger, parquet
from dolma_kit.errors import DataError
from dolma_kit.execute import Engine
from dolma_kit.statistics import partials, samples
from dolma_kit.statistics.statistic import About, Corpus, Statistic

WHOLE, ANSWER, TEXT = "whole.parquet", "answer.json", "answer.txt"
MERGED_AT_ONCE = 64
HELD = 8


@dataclass(frozen=True)
class Wanted:
    """An answer to be given: by a statistic, of the partials at `paths` in canonical order.

    Where `is_kept`, its files are written, with pictures where `is_drawn`.
    """

    statistic: Statistic
    paths: tuple[str, ...]
    about: About
    corpus: Corpus
    is_kept: bool
    is_drawn: bool


class Done(NamedTuple):
    """An answer, the same for eyes, and the files that were written."""

    answer: Any
    text: str
    outputs: list[str]


@dataclass(frozen=True)
class MergeTask:
    """Partials to put together in `output`; `first` is the number of the file of documents of the
    first, None where they know theirs. `wanted` is answered if these are all that is left."""

    statistic: Statistic
    paths: tuple[str, ...]
    first: int | None
    output: str
    wanted: Wanted | None


def merge_and_answer(wanted: Sequence[Wanted], out: str, engine: Engine) -> list[Done]:
    """The answers, in their order; the whole of each goes to `<out>/<statistic>/whole.parquet`."""
    pending = [list(one.paths) for one in wanted]
    done: dict[int, Done] = {}
    level = 0
    try:
        while len(done) < len(wanted):
            tasks: list[MergeTask] = []
            owners = []
            for i, one in enumerate(wanted):
                if i not in done:
                    made = _tasks(one, pending[i], out, level)
                    tasks += made
                    owners += [i] * len(made)
                    pending[i] = []
            with contextlib.closing(_each(merge, tasks, engine)) as found:
                for i, (path, answered) in zip(owners, found, strict=True):
                    pending[i].append(path)
                    if answered is not None:
                        done[i] = answered
            level += 1
    finally:
        for one in wanted:
            shutil.rmtree(_temporary(out, one.statistic), ignore_errors=True)
    return [done[i] for i in range(len(wanted))]


def _temporary(out: str, statistic: Statistic) -> str:
    return ledger.temporary(os.path.join(out, statistic.id))


def _tasks(wanted: Wanted, paths: Sequence[str], out: str, level: int) -> list[MergeTask]:
    """What is next to be put together of one statistic's partials."""
    statistic = wanted.statistic
    starts = range(0, max(len(paths), 1), MERGED_AT_ONCE)
    whole = os.path.join(out, statistic.id, WHOLE)
    tasks = []
    for start in starts:
        is_last = len(starts) == 1
        name = f"{level}-{start}.parquet"
        tasks.append(
            MergeTask(
                statistic,
                tuple(paths[start : start + MERGED_AT_ONCE]),
                start if level == 0 else None,
                whole if is_last else os.path.join(_temporary(out, statistic), name),
                dataclasses.replace(wanted, paths=()) if is_last else None,
            )
        )
    return tasks


def _each(work: Any, tasks: Sequence[Any], engine: Engine) -> Generator[Any, None, None]:
    """`work` of each task, here where a pool would be of one."""
    if engine.width == 1:
        yield from map(work, tasks)
    else:
        yield from engine.map(work, tasks, "the merging of partials")


def merge(task: MergeTask) -> tuple[str, Done | None]:
    """Runs in a worker: write the whole of some partials; its path, and the answer if asked for."""
    statistic = task.statistic
    held = [statistic.empty()]
    for i, path in enumerate(task.paths):
        if len(held) > HELD:
            held = [statistic.merge(held)]
        partial = partials.read(path, statistic.id)
        held.append(partial if task.first is None else statistic.placed(partial, task.first + i))
    whole = statistic.merge(held)
    if task.wanted is not None:
        before = {}
        if task.wanted.is_kept and files.exists(task.output):
            with contextlib.suppress(DataError):  # of another version
                before = partials.read_notes(task.output, statistic.id)
        whole = statistic.completed(whole, task.wanted.corpus, before)
    if task.wanted is None or task.wanted.is_kept:
        partials.write(task.output, statistic.id, whole)
    return task.output, None if task.wanted is None else _answered(task.wanted, whole, task.output)


def _answered(wanted: Wanted, whole: partials.Partial, path: str) -> Done:
    statistic, about = wanted.statistic, wanted.about
    answer = statistic.answer(whole, about)
    text = statistic.text(answer)
    outputs: list[str] = []
    if wanted.is_kept:
        folder = os.path.dirname(path)
        tables = statistic.tables(whole, answer, about)
        outputs += write_answer(folder, answer, text, tables, statistic.sheets(whole, about))
        if wanted.is_drawn:
            outputs += statistic.plot(folder, answer)
    return Done(answer, text, outputs)


def write_answer(
    folder: str,
    answer: Any,
    text: str,
    tables: Mapping[str, Any],
    sheets: Mapping[str, bytes],
) -> list[str]:
    """An answer's files; the paths of what was written. A sheet that is filled in stays."""
    outputs = [os.path.join(folder, ANSWER), os.path.join(folder, TEXT)]
    encoded = msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"
    for path, content in zip(outputs, (encoded, text.encode() + b"\n"), strict=True):
        with files.write_atomically(path) as stream:
            stream.write(content)
    for name, table in tables.items():
        path = os.path.join(folder, f"{name}.parquet")
        with (
            files.write_atomically(path) as stream,
            parquet.writing(stream, table.schema, compression="zstd") as writer,
        ):
            writer.write_table(table)
        outputs.append(path)
    for name, content in sheets.items():
        path = os.path.join(folder, name)
        if samples.is_filled_in(path):
            continue
        with files.write_atomically(path) as stream:
            stream.write(content)
        outputs.append(path)
    return outputs
