"""The phase `surveying`: what the rules of each stream leave of each file, before any is taken."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dolma_kit.execute.reading import Read, Sink
from dolma_kit.judging import Judge, JudgeTask, require_whole
from dolma_kit.ledger import Result
from dolma_kit.shares import surveys
from dolma_kit.shares.surveys import Measured

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.documents import Batch

HELD = 64  # tables of batches before they are added up


@dataclass(frozen=True)
class SurveyTask:
    """One file of a stream; `output` is where its survey goes."""

    of: JudgeTask
    output: str


class Surveyor:
    """The worker: the survey of a batch."""

    def __init__(self, task: SurveyTask) -> None:
        self._task = task
        self._judge = None if task.of.attributes is None else Judge(task.of)

    def __call__(self, batch: Batch) -> pa.Table | None:
        import numpy as np

        if self._judge is None:
            return None
        judged = self._judge(batch)
        judged.replace()
        rows = np.flatnonzero(judged.marks.alive)
        if judged.scores is None:
            bins = surveys.draw_bins(surveys.draws(batch.ids, self._task.of.seed))
        else:
            bins = surveys.score_bins(judged.scores)
        groups = judged.groups or [""] * len(batch)
        return surveys.table_of(
            Measured(
                [groups[i] for i in rows.tolist()], bins[rows], judged.n_bytes[rows],
                judged.written_tokens[rows],
            )
        )  # fmt: skip


class SurveySink(Sink):
    """The sink: adds surveys up."""

    def __init__(self, task: SurveyTask) -> None:
        self._task = task
        self._tables: list[pa.Table] = []

    def open(self, stack: contextlib.ExitStack) -> None:
        pass

    def take(self, answer: pa.Table | None) -> None:
        if answer is not None:
            self._tables.append(answer)
        if len(self._tables) >= HELD:
            self._tables = [surveys.merged(self._tables)]

    def end(self, read: Read) -> None:
        require_whole(self._task.of, read)

    def result(self, read: Read) -> Result:
        surveys.write(self._task.output, surveys.merged(self._tables))
        return Result(outputs=[self._task.output])
