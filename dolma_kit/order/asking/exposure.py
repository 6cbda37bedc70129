"""What a run has seen by a step: tokens by source, how often, and how long ago.

The token files are cut into chunks as long as the greatest common divisor of the run's sequence
lengths. For each chunk it is counted how often it was trained on, and when last; the tokens of a
document follow from the sums over its chunks. Nothing but positions and lists of documents is read
(and tokens, where an instance filter masks instances).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, MissingInput
from dolma_kit.order.documents import DocumentTable
from dolma_kit.order.instances import InstanceTable

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

POSITIONS_AT_ONCE = 1 << 22
UNKNOWN = "unknown"


class SourceExposure(msgspec.Struct, frozen=True):
    """What was seen of a source: `tokens` with repeats, `share` of all that were trained on;
    `unique_tokens` of its `available_tokens`; documents of which a token was seen. `steps_since`
    is the mean over its seen tokens of the steps since they were last seen."""

    source: str
    tokens: int
    share: float
    unique_tokens: int
    available_tokens: int
    repeats: float
    documents_seen: int | None
    documents: int | None
    steps_since: float | None


class Exposure(msgspec.Struct, frozen=True):
    """What a run has seen up to and with a step. `times_seen` are tokens by how often each was
    trained on; `steps_since` are quantiles, over tokens seen, of the steps since the last time."""

    step: int
    tokens: int
    unique_tokens: int
    available_tokens: int
    masked_tokens: int
    epochs: float
    sources: list[SourceExposure]
    times_seen: dict[int, int]
    steps_since: dict[str, int]


class _Chunks:
    """How often each chunk was trained on, and in which step last (0 for never)."""

    def __init__(self, run: Run, length: int) -> None:
        self.length = length
        n_chunks = [file.n_tokens // length for file in run.files]
        self.offsets = np.concatenate(([0], np.cumsum(n_chunks))).astype(np.int64)
        self.times = np.zeros(int(self.offsets[-1]), np.uint16)
        self.last = np.zeros(int(self.offsets[-1]), np.uint32)

    def add(
        self, table: InstanceTable, instances: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> None:
        """Count instances, none of them twice, that steps (of each) have trained on."""
        files = np.searchsorted(table.offsets, instances, side="right") - 1
        ratio = table.sequence_length // self.length
        first = self.offsets[files] + (instances - table.offsets[files]) * ratio
        for nth in range(ratio):
            self.times[first + nth] += 1
            self.last[first + nth] = np.maximum(self.last[first + nth], steps)


def exposure_at(run: Run, step: int) -> Exposure:
    """What the run has seen by a step, which counts.

    ConfigError for a step that the run has not, and for instances that are not stretches of files
    or only their heads.
    """
    (found,) = exposures(run, [step])
    return found


def exposures(run: Run, steps: Sequence[int]) -> Iterator[Exposure]:
    """The same by each of some steps, ascending, in one pass."""
    for step in steps:
        run.schedule.batch(step)
    _check(run)
    lengths = {view.sequence_length for one in _lineage(run) for view in one.own_views()}
    chunks = _Chunks(run, functools.reduce(math.gcd, lengths))
    masked, before = 0, 0
    for step in steps:
        masked += sum(
            _read(one, chunks, max(first, before + 1), min(last, step))
            for one, first, last in _steps_of(run)
            if first <= step and last > before
        )
        before = step
        yield _seen(run, chunks, step, masked)


def _seen(run: Run, chunks: _Chunks, step: int, masked: int) -> Exposure:
    """What was counted, by a step."""
    since = np.where(chunks.times > 0, step - chunks.last.astype(np.int64), 0)
    rows: dict[str, list[float]] = {}
    known = True
    for n, file in enumerate(run.files):
        known &= _add_file(run, n, chunks, since, rows, known=file.label)
    tokens = int(chunks.times.sum(dtype=np.int64)) * chunks.length
    seen = chunks.times > 0
    available = sum(file.n_tokens for file in run.files)
    counts = np.bincount(chunks.times)
    quantiles = (
        np.quantile(since[seen], [0, 0.5, 0.9, 1], method="lower") if seen.any() else np.zeros(0)
    )
    return Exposure(
        step=step,
        tokens=tokens,
        unique_tokens=int(seen.sum()) * chunks.length,
        available_tokens=available,
        masked_tokens=masked,
        epochs=round(tokens / available, 6),
        sources=[_row(source, values, tokens) for source, values in sorted(rows.items())],
        times_seen={
            times: int(n) * chunks.length for times, n in enumerate(counts.tolist()) if times and n
        },
        steps_since=dict(zip(("min", "median", "p90", "max"), map(int, quantiles), strict=False)),
    )


def _check(run: Run) -> None:
    for one in _lineage(run):
        if [(f.path, f.n_bytes) for f in one.files] != [(f.path, f.n_bytes) for f in run.files]:
            raise ConfigError(
                f"{run.path}: {one.path}, its parent, has other files: ask each alone"
            )
        for n in range(len(one.schedule.segments)):
            if n in one.parents:
                continue
            view = one.view_of(n)
            if not isinstance(view.instances, InstanceTable):
                raise ConfigError("exposure: instances are not stretches of one file each")
            if one.truncated_to(n) < view.sequence_length:
                raise ConfigError(
                    f"exposure: segment {n + 1} trains on the heads of instances only"
                )


def _lineage(run: Run) -> Iterator[Run]:
    yield run
    for parent in run.parents.values():
        yield from _lineage(parent)


def _steps_of(run: Run, first: int = 1, last: int | None = None) -> Iterator[tuple[Run, int, int]]:
    """(run, first step, last step) of each stretch of steps that one run, or a parent, trained."""
    for n, segment in enumerate(run.schedule.segments):
        begin = max(first, segment.from_step)
        end = segment.to_step if last is None else min(last, segment.to_step)
        if begin > end:
            continue
        if n in run.parents:
            yield from _steps_of(run.parents[n], begin, end)
        else:
            yield run, begin, end


def _read(run: Run, chunks: _Chunks, first: int, last: int) -> int:
    """Count what steps first to last have trained on; the tokens that were masked."""
    masked = 0
    step = first
    while step <= last:
        batch = run.schedule.batch(step)
        segment = run.schedule.segments[batch.segment]
        view = run.view_of(batch.segment)
        table = view.instances
        assert isinstance(table, InstanceTable)
        order = view.order_of(batch.epoch)
        # As many whole batches of this epoch and segment as fit, none of them twice.
        in_epoch = (segment.n_positions - batch.start) // segment.batch_size
        most = max(1, min(POSITIONS_AT_ONCE, table.n_instances) // segment.batch_size)
        n = min(in_epoch, last - step + 1, segment.to_step - step + 1, most)
        if not segment.skip:
            end = batch.start + n * segment.batch_size
            instances = order.instances_at(batch.start, end).astype(np.int64)
            steps = step + np.arange(len(instances)) // segment.batch_size
            if run.description.instance_filter is not None:
                kept = np.array([not run.is_masked(view, i) for i in instances.tolist()])
                masked += int((~kept).sum()) * table.sequence_length
                instances, steps = instances[kept], steps[kept]
            for part in _without_repeats(instances):
                chunks.add(table, instances[part], steps[part])
        step += n
    return masked


def _without_repeats(instances: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Which to take at a time, so that none is there twice (a repeated head, a small epoch)."""
    order = np.argsort(instances, kind="stable")
    ordered = instances[order]
    is_first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    if is_first.all():
        yield np.arange(len(instances))
        return
    starts = np.flatnonzero(is_first)
    nth = np.arange(len(ordered)) - np.repeat(starts, np.diff([*starts, len(ordered)]))
    for k in range(int(nth.max()) + 1):
        yield order[nth == k]


def _add_file(
    run: Run, n: int, chunks: _Chunks, since: NDArray[np.int64], rows: dict[str, list[float]],
    *, known: str | None,
) -> bool:  # fmt: skip
    """Add what was seen of a file to its sources' rows: tokens, unique tokens, available ones,
    steps since (summed over unique tokens), documents seen, documents. False where the documents
    are not known."""
    first, beyond = int(chunks.offsets[n]), int(chunks.offsets[n + 1])
    times = chunks.times[first:beyond].astype(np.int64)
    file = run.files[n]
    try:
        table = run.documents(n)
    except (ConfigError, MissingInput):
        if known is None:
            raise
        table = None
    if not isinstance(table, DocumentTable):
        row = rows.setdefault(known or UNKNOWN, [0.0] * 6)
        n_unique = int((times > 0).sum()) * chunks.length
        values = (
            int(times.sum()) * chunks.length, n_unique, file.n_tokens,
            int(since[first:beyond].sum()) * chunks.length, math.nan, math.nan,
        )  # fmt: skip
        for i, value in enumerate(values):
            row[i] += value
        return False
    codes, names = table.sources()
    bounds = np.concatenate((table.starts, table.ends[-1:]))
    per_document = [
        _over(bounds, values, chunks.length)
        for values in (times, (times > 0).astype(np.int64), since[first:beyond])
    ]
    seen = per_document[1] > 0
    for code, name in enumerate(names):
        its = codes == code
        if not its.any():
            continue
        row = rows.setdefault(name or UNKNOWN, [0.0] * 6)
        row[0] += int(per_document[0][its].sum())
        row[1] += int(per_document[1][its].sum())
        row[2] += int((table.ends - table.starts)[its].sum())
        row[3] += int(per_document[2][its].sum())
        row[4] += int(seen[its].sum())
        row[5] += int(its.sum())
    return True


def _over(bounds: NDArray[np.int64], values: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The sum over the tokens between bounds (n + 1,) of what their chunks have: (n,) int64."""
    sums = np.concatenate(([0], np.cumsum(values))) * length
    padded = np.append(values, 0)
    chunk = np.minimum(bounds // length, len(values))
    until = sums[chunk] + padded[chunk] * (bounds - chunk * length)
    summed: NDArray[np.int64] = np.diff(until)
    return summed


def _row(source: str, values: list[float], tokens: int) -> SourceExposure:
    seen, unique, available, since, documents_seen, documents = values
    known = not math.isnan(documents)
    return SourceExposure(
        source=source,
        tokens=int(seen),
        share=round(seen / tokens, 6) if tokens else 0.0,
        unique_tokens=int(unique),
        available_tokens=int(available),
        repeats=round(seen / unique, 4) if unique else 0.0,
        documents_seen=int(documents_seen) if known else None,
        documents=int(documents) if known else None,
        steps_since=round(since / unique, 2) if unique else None,
    )
