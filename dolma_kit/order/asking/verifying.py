"""Is a recorded order that of this run, and if it is not, why: what differs is tried out.

Recorded are `global_indices.npy` (one epoch, headerless uint32) and OLMo's `data-indices/rank{r}.
tsv.gz`, a line a step: the step and, tab-separated, the instances of that rank in their order.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.order import step_trace
from dolma_kit.order.documents import DocumentTable
from dolma_kit.order.fingerprint import data_hash
from dolma_kit.order.instances import InstanceTable
from dolma_kit.order.paths import ITEM_BYTES
from dolma_kit.order.permutation import OlmoCorePermutation, OlmoPermutation, Permutation

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

AT_ONCE = 1 << 22
HEAD = 256  # values that a supposed cause has to explain
PROBES = 1000
MAX_TRIED = 1 << 28  # instances, beyond which causes that take a shuffle are not tried


class FirstDifference(msgspec.Struct, frozen=True):
    """Where two orders part: `position` of the epoch, or step and rank; the values there, null
    beyond the end."""

    position: int | None
    step: int | None
    rank: int | None
    recorded: int | None
    run: int | None


class Verification(msgspec.Struct, frozen=True):
    """What was compared: `recorded` and `run` are the numbers of positions (or of steps)."""

    equal: bool
    file: str
    recorded: int
    run: int
    first_difference: FirstDifference | None
    likely_causes: list[str]
    fingerprint: str


class Checked(msgspec.Struct, frozen=True):
    """What of a run has been checked against itself."""

    equal: bool
    files: int
    instances: int
    steps: int
    documents: int
    without_documents: list[str]
    fingerprint: str


def verify_run(run: Run) -> Checked:
    """Check a run against itself: sizes (as it is opened), that the lists of documents fill their
    files, and at a thousand places of each epoch that order and positions undo each other.

    VerificationError for what does not fit; files without a list of documents are named.
    """
    n_documents = 0
    without = []
    for n, file in enumerate(run.files):
        try:
            table = run.documents(n)
        except (ConfigError, MissingInput):
            without.append(file.path)
            continue
        if isinstance(table, DocumentTable):
            n_documents += len(table)
        else:
            without.append(file.path)
    for epoch in run.schedule.epochs:
        order = run.order_of(epoch)
        probes = np.unique(np.linspace(0, len(order) - 1, PROBES).astype(np.int64)).tolist()
        if not order.is_replayed:
            instances = [order[p] for p in probes]
            places = order.positions_of_each(instances)
            odd = [p for p, i in zip(probes, instances, strict=True) if p not in places[i]]
            if odd:
                raise VerificationError(f"epoch {epoch}: position {odd[0]} is not found again")
    return Checked(
        equal=True,
        files=len(run.files),
        instances=run.instances.n_instances,
        steps=run.n_steps,
        documents=n_documents,
        without_documents=list(dict.fromkeys(without)),
        fingerprint=run.fingerprint,
    )


def verify_order_file(run: Run, path: str, epoch: int | None = None) -> Verification:
    """Compare a `global_indices.npy` with the order of an epoch (default: the run's first).

    ConfigError for a file that is not there, DataError for one that holds no order.
    """
    epoch = run.first_epoch if epoch is None else epoch
    order = run.order_of(epoch)
    recorded = _read(path)
    difference = None
    if not np.array_equal(recorded[: len(order)], _head(order, len(recorded))):
        difference = _first_difference(recorded, order)
    elif len(recorded) != len(order):
        at = min(len(recorded), len(order))
        theirs = int(recorded[at]) if at < len(recorded) else None
        difference = FirstDifference(at, None, None, theirs, order[at] if at < len(order) else None)
    causes = [] if difference is None else list(_causes(run, recorded, epoch, path))
    return Verification(
        equal=difference is None,
        file=path,
        recorded=len(recorded),
        run=len(order),
        first_difference=difference,
        likely_causes=causes,
        fingerprint=run.fingerprint,
    )


def _head(order: Permutation, n: int) -> NDArray[np.uint32]:
    return order.instances_at(0, min(n, len(order)))


def _first_difference(recorded: NDArray[np.uint32], order: Permutation) -> FirstDifference:
    for start in range(0, min(len(recorded), len(order)), AT_ONCE):
        end = min(start + AT_ONCE, len(recorded), len(order))
        ours = order.instances_at(start, end)
        if (odd := np.flatnonzero(recorded[start:end] != ours)).size:
            at = int(odd[0])
            return FirstDifference(start + at, None, None, int(recorded[start + at]), int(ours[at]))
    raise AssertionError("equal after all")


def _read(path: str) -> NDArray[np.uint32]:
    try:
        n_bytes = os.path.getsize(path)
    except OSError as error:
        raise ConfigError(f"cannot read the order {path}: {error.strerror}") from None
    if n_bytes == 0 or n_bytes % 4:
        raise DataError(path, None, f"{n_bytes} bytes are no order: it is 4 bytes an instance")
    return np.memmap(path, "<u4", "r")


def _causes(run: Run, recorded: NDArray[np.uint32], epoch: int, path: str) -> Iterator[str]:
    """What, were it otherwise, would give the recorded order; the likeliest first."""
    n = run.instances.n_instances
    n_recorded = len(recorded)
    top = int(recorded.max()) + 1
    with open(path, "rb") as stream:
        if stream.read(6) == b"\x93NUMPY":
            yield "format: the file has a numpy header, OLMo's has none"
            return
    pairs = recorded[: HEAD // 2 * 2]
    if len(pairs) > 2 and not pairs[1::2].any() and pairs[::2].any():
        yield "dtype: every second value is 0, so it is uint64, as OLMo wrote it before Sept. 2023"
        return
    fits = _tried(run, recorded, epoch)
    yield from fits
    if fits:
        return
    if max(n_recorded, top) > n:
        yield (
            f"missing paths: the file has {n_recorded} positions up to instance {top - 1}, the "
            f"run's files give {n} instances"
        )
    yield from _other_instances(run, max(n_recorded, top), n)
    if n_recorded == len(run.order_of(epoch)) and sorted(recorded[:HEAD].tolist()) == sorted(
        _head(run.order_of(epoch), HEAD).tolist()
    ):
        yield "tail: the same instances in another order at the head"


def _tried(run: Run, recorded: NDArray[np.uint32], epoch: int) -> list[str]:
    """The seeds, epochs, chunks and kinds of order that give the head of the recorded one."""
    order = run.description.order
    n, seed = run.instances.n_instances, order.seed
    if n > MAX_TRIED:
        return []
    head = np.array(recorded[:HEAD])
    if np.array_equal(head, np.arange(len(head))):
        return ["kind: it is not shuffled"]
    tried: list[tuple[str, Callable[[], Permutation]]] = []
    if seed is not None:
        for other in (seed - 1, seed + 1):
            if other >= 0:
                tried.append((f"seed: {other}, not {seed} (or the epoch is counted from another "
                              "base: seeds and epochs add up)",
                              _olmo(n, other, epoch)))  # fmt: skip
        others = [e for e in range(max(0, epoch - 3), epoch + 4) if abs(e - epoch) > 1]
        tried += [(f"epoch: {e}, not {epoch}", _olmo(n, seed, e)) for e in others]
        for chunk_size in (1, 2, 4, 8, 16):
            if chunk_size != order.chunk_size and n >= chunk_size:
                tried.append(
                    (f"chunk: chunk_size {chunk_size}, not {order.chunk_size}",
                     _core(n, seed, epoch, chunk_size))
                )  # fmt: skip
        tried.append(("kind: it is OLMo's order of this seed and epoch", _olmo(n, seed, epoch)))
    found = [cause for cause, made in tried if _explains(made(), head)]
    ours = _head(run.order_of(epoch), len(head))
    if len(recorded) != len(run.order_of(epoch)) and np.array_equal(ours, head):
        return [
            f"tail: the file has {len(recorded)} positions, the run {len(run.order_of(epoch))}: "
            "drop_last or the world size differs"
        ]
    return [
        cause for cause in found if not (cause.startswith("kind") and np.array_equal(ours, head))
    ]


def _explains(order: Permutation, head: NDArray[np.uint32]) -> bool:
    n = min(len(order), len(head))
    return n > 1 and np.array_equal(order.instances_at(0, n), head[:n])


def _olmo(n: int, seed: int, epoch: int) -> Callable[[], Permutation]:
    return lambda: OlmoPermutation(n, seed=seed, epoch=epoch)


def _core(n: int, seed: int, epoch: int, chunk_size: int) -> Callable[[], Permutation]:
    return lambda: OlmoCorePermutation(n, seed=seed, epoch=epoch, chunk_size=chunk_size)


def _other_instances(run: Run, n_recorded: int, n: int) -> Iterator[str]:
    """Another number of instances, explained by another length, dtype or list of files."""
    table = run.instances
    if n_recorded == n or not isinstance(table, InstanceTable):
        return
    cut_off = min(2048, n_recorded // 50)  # what drop_last may have
    within = range(n_recorded, n_recorded + 1 + cut_off)
    length = table.sequence_length
    for other in (length // 4, length // 2, length * 2, length * 4):
        if other and sum(t // other for t in table.n_tokens) in within:
            yield f"length: with sequence_length {other}, not {length}, there are as many instances"
    item = ITEM_BYTES[run.files[0].dtype]
    for name, other in ITEM_BYTES.items():
        if other != item and sum(f.n_bytes // (other * length) for f in run.files) in within:
            yield f"dtype: with {name}, not {run.files[0].dtype}, there are as many instances"
    for f, file in enumerate(run.files):
        own = int(table.offsets[f + 1] - table.offsets[f])
        if own and n - own == n_recorded:
            yield f"paths: without {file.path} there are as many instances"
        elif own and n + own == n_recorded:
            yield f"paths: with {file.path} once more there are as many instances"


def verify_ranks(run: Run, paths: Sequence[str]) -> Verification:
    """Compare OLMo's record of the instances that ranks took, a file a rank, with the run's steps.

    The files are named rank{r}.tsv.gz (or .tsv) and are those of all ranks, or of some, of the
    world size that the run has. DataError for a line that is not of the form above.
    """
    difference, n_steps = None, 0
    shifts: set[str] = set()
    for path in paths:
        named = re.search(r"rank(\d+)\.tsv(\.gz)?$", os.path.basename(path))
        if named is None:
            raise ConfigError(f"{path}: a rank's record is named rank{{r}}.tsv.gz")
        rank = int(named.group(1))
        world_size = max(run.schedule.world_size, len(paths))
        if rank >= world_size:
            raise ConfigError(
                f"{path} is of rank {rank}, the run has world_size {world_size}: set order."
                "world_size"
            )
        for step, recorded in _lines(path):
            n_steps = max(n_steps, step)
            ours = _of_rank(run, step, rank, world_size)
            if ours is not None and np.array_equal(ours, recorded):
                continue
            if difference is None:
                difference = _rank_difference(step, rank, recorded, ours)
            shifts |= set(_shifted(run, step, rank, world_size, recorded))
            break
    return Verification(
        equal=difference is None,
        file=", ".join(paths),
        recorded=n_steps,
        run=run.n_steps,
        first_difference=difference,
        likely_causes=sorted(shifts),
        fingerprint=run.fingerprint,
    )


def verify_trace(run: Run, path: str) -> Verification:
    """Compare the trace of a training run with the steps of its run.yaml, in full: the place of
    every step in the order, and by the chain of hashes all instances and all steps before.

    ConfigError for a file that is not there, DataError for one that is no trace.
    """
    try:
        length, data, head = step_trace.read_header(path)
    except OSError as error:
        raise ConfigError(f"cannot read the trace {path}: {error.strerror}") from None
    causes = []
    if length != run.description.sequence_length:
        causes.append(f"length: it is of instances of {length} tokens")
    if data != data_hash(run):
        causes.append("data: it is of other files, or another order")
    difference, n_steps, first = None, 0, None
    chain = step_trace.first_chain(head)
    for record in step_trace.read(path):
        n_steps, first = record.step, first or record.step
        difference = None if causes else _trace_difference(run, record, chain)
        if difference is not None:
            causes += _trace_causes(run, record)
        if causes or difference is not None:
            break
        chain = record.chain
    if not causes and difference is None and n_steps != run.n_steps:
        causes.append(f"steps: it ends at step {n_steps}, the run at {run.n_steps}")
    if not causes and difference is None and first != run.schedule.first_step:
        causes.append(f"steps: it begins at {first}, the run at {run.schedule.first_step}")
    return Verification(
        equal=not causes and difference is None,
        file=path,
        recorded=n_steps,
        run=run.n_steps,
        first_difference=difference,
        likely_causes=causes,
        fingerprint=run.fingerprint,
    )


def _trace_causes(run: Run, record: step_trace.Record) -> Iterator[str]:
    if not run.schedule.first_step <= record.step <= run.n_steps:
        yield f"steps: the run has steps {run.schedule.first_step} to {run.n_steps}"
        return
    batch = run.schedule.batch(record.step)
    if record.batch_size != batch.end - batch.start:
        yield f"batch: {record.batch_size} instances there, {batch.end - batch.start} here"
    if record.epoch != batch.epoch:
        yield f"epoch: {record.epoch} there, {batch.epoch} here"


def _trace_difference(run: Run, record: step_trace.Record, chain: bytes) -> FirstDifference | None:
    if not run.schedule.first_step <= record.step <= run.n_steps:
        return FirstDifference(None, record.step, None, record.first_position, None)
    batch = run.schedule.batch(record.step)
    place = (record.epoch, record.first_position, record.batch_size)
    if place != (batch.epoch, batch.start, batch.end - batch.start):
        return FirstDifference(batch.start, record.step, None, record.first_position, batch.start)
    instances = run.step(record.step).instances
    if step_trace.chained(chain, record.head, instances) != record.chain:
        return FirstDifference(batch.start, record.step, None, None, int(instances[0]))
    return None


def _of_rank(run: Run, step: int, rank: int, world_size: int) -> NDArray[np.uint32] | None:
    if not run.schedule.first_step <= step <= run.n_steps:
        return None
    return run.step(step).instances[rank::world_size]


def _rank_difference(
    step: int, rank: int, recorded: NDArray[np.int64], ours: NDArray[np.uint32] | None
) -> FirstDifference:
    if ours is None:
        return FirstDifference(None, step, rank, int(recorded[0]) if len(recorded) else None, None)
    n = min(len(recorded), len(ours))
    odd = np.flatnonzero(recorded[:n] != ours[:n])
    at = int(odd[0]) if len(odd) else n
    theirs = int(recorded[at]) if at < len(recorded) else None
    return FirstDifference(None, step, rank, theirs, int(ours[at]) if at < len(ours) else None)


def _shifted(
    run: Run, step: int, rank: int, world_size: int, recorded: NDArray[np.int64]
) -> Iterator[str]:
    for other in (step - 1, step + 1):
        ours = _of_rank(run, other, rank, world_size)
        if ours is not None and np.array_equal(ours, recorded):
            yield f"steps: what is recorded for step {step} is step {other} of the run"
    for other in range(world_size):
        ours = _of_rank(run, step, other, world_size)
        if other != rank and ours is not None and np.array_equal(ours, recorded):
            yield f"ranks: what is recorded for rank {rank} is rank {other} of the run"
    whole = _of_rank(run, step, 0, 1)
    if whole is not None and len(recorded) and len(whole) // len(recorded) != world_size:
        yield (
            f"batch: {len(recorded)} instances are recorded for one rank, the run gives "
            f"{len(whole)} to {world_size}"
        )


def _lines(path: str) -> Iterator[tuple[int, NDArray[np.int64]]]:
    line = 0
    opened = gzip.open(path, "rt") if path.endswith(".gz") else open(path, encoding="utf-8")
    try:
        with opened as stream:
            for text in stream:
                line += 1
                step, *instances = text.split("\t")
                yield int(step), np.array([int(i) for i in instances], np.int64)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(path, line, f"not a step and its instances: {error}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(path, None, f"broken or truncated gzip: {error}") from None
