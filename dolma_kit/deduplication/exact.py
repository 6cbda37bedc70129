"""Exact de-duplication: keys are equal when two hashes of 64 bits are.

The hashes are XXH64 of the key's UTF-8 with the seeds 0 and 1, 128 bits in all: among n distinct
keys two agree in both with a chance of n^2 / 2^129, which is 5e-18 for 60 billion. `hashing`, a
unit a file, leaves them on disk; `finding`, a unit a partition, which is a range of the first hash,
sorts its own in memory of 48 bytes a key and finds the first of equal ones in canonical order;
`clustering`, one unit, adds up; `writing`, a unit a file, makes the attribute files. No number of
partitions changes a byte.

By document the columns and the list of duplicates are those of `near`, with the clusters of equal
documents; by paragraph those of `filtered`. In the ledger's temporary folder:

    PPPP.repeats   int64 (n, 2), little-endian: the first of equal keys, and another; by rising
                   others. Documents are counted in canonical order from 0, by paragraph keys are
"""

from __future__ import annotations

import dataclasses
import glob
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import files
from dolma_kit.attributes import Format
from dolma_kit.deduplication import filtered, keeping, near
from dolma_kit.deduplication.inputs import Inputs
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Phase, Plan, Unit
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FINDING, CLUSTERING = "finding", "clustering"
FEWEST_PARTITIONS = 16  # for workers to share
KEY_BYTES = 48  # of memory, for a key of a partition
KERNELS = ("unicode", "hashing", "paragraphs", "clusters")


@dataclass(frozen=True)
class FindTask:
    """Partition `partition` of `n_partitions` of the keys of all inputs."""

    partition: int
    n_partitions: int
    n_inputs: int
    temporary: str
    by: str
    by_place: bool  # the first is so by the places of documents, see `keeping`

    @property
    def repeats(self) -> str:
        return os.path.join(self.temporary, f"{self.partition:04d}.repeats")


@dataclass(frozen=True)
class WriteTask:
    """The attribute file of input `number`, by paragraph."""

    number: int
    finding: tuple[FindTask, ...]
    output: str
    format: Format
    name: str
    made_by: dict[str, Any]


def plan(inputs: Inputs) -> Plan:
    """Hashes, and what is found of them, belong to the first folder's ledger."""
    settings, temporary, n = inputs.settings, inputs.temporary, len(inputs)
    if settings.by == "ngram":
        raise ConfigError("--by ngram asks which keys are known: take --method bloom")
    selection = filtered.selection_of(settings)
    n_partitions = max(settings.partitions, FEWEST_PARTITIONS)
    ranking, more = keeping.ranking(inputs)
    finding = tuple(
        FindTask(i, n_partitions, n, temporary, settings.by, bool(ranking))
        for i in range(n_partitions)
    )
    phases = [
        inputs.reading(
            filtered.Hasher,
            filtered.HashSink,
            lambda i: filtered.HashTask(i, temporary, selection, with_checks=True),
        ),
        *ranking,
        inputs.between(FINDING, find, {f"{FINDING} {i}": task for i, task in enumerate(finding)}),
    ]
    if settings.by == "paragraph":
        phases += _by_paragraph(inputs, finding)
        return inputs.plan(phases, filtered.columns(inputs.name, "paragraph"), KERNELS, more)
    phases += _by_document(inputs, finding)
    return inputs.plan(phases, near.columns(inputs.name), KERNELS, more)


def _by_paragraph(inputs: Inputs, finding: tuple[FindTask, ...]) -> list[Phase]:
    format, name, made_by = inputs.settings.format, inputs.name, inputs.made_by
    return [
        inputs.between(CLUSTERING, add_up, {CLUSTERING: finding}),
        inputs.writing(
            write_file, lambda i, path: WriteTask(i, finding, path, format, name, made_by)
        ),
    ]


def _by_document(inputs: Inputs, finding: tuple[FindTask, ...]) -> list[Phase]:
    temporary, n, made_by = inputs.temporary, len(inputs), inputs.made_by
    clustering = near.ClusterTask(
        tuple(task.repeats for task in finding),
        n,
        temporary,
        left_out="without_key",
        by_place=finding[0].by_place,
    )
    format, name = inputs.settings.format, inputs.name
    writing = inputs.writing(
        near.write, lambda i, path: near.WriteTask(i, n, temporary, path, format, name, made_by)
    )
    listing = near.list_task(inputs, made_by)
    unit = Unit(
        "duplicates", listing, inputs.paths, inputs.folders[0], 0, (glob.escape(listing.output),)
    )
    return [
        inputs.between(CLUSTERING, near.cluster, {CLUSTERING: clustering}),
        dataclasses.replace(writing, units=[*writing.units, unit]),
    ]


def find(task: FindTask) -> Result:
    """Find the keys of one partition that occur before, and the first of each."""
    import numpy as np

    from dolma_kit.deduplication.keeping import places_in
    from dolma_kit.deduplication.linking import part_of
    from dolma_kit.execute.spill import Spill

    hashes, checks, numbers, key_places = [], [], [], []
    first = first_document = 0
    places = places_in(task.temporary) if task.by_place else None
    spills = [Spill(task.temporary, i) for i in range(task.n_inputs)]
    _require_memory(sum(spill.n_keys for spill in spills), task.n_partitions)
    for spill in spills:
        found = spill.hashes()
        own = np.flatnonzero(part_of(found, task.n_partitions) == task.partition)
        hashes.append(found[own])
        checks.append(spill.mapped("checks", "<u8")[own])
        n_keys = spill.n_keys_of_documents()
        if places is not None:
            of_documents = places[first_document : first_document + len(n_keys)]
            key_places.append(np.repeat(of_documents, n_keys)[own])
        first_document += len(n_keys)
        if task.by == "document":
            numbers.append(first + np.flatnonzero(n_keys)[own])
            first += len(n_keys)
        else:
            numbers.append(first + own)
            first += len(found)
    all_hashes, all_checks = np.concatenate(hashes), np.concatenate(checks)
    by = [all_checks, all_hashes]  # equal ones stay in their order
    order = np.lexsort([np.concatenate(key_places), *by] if task.by_place else by)
    all_hashes, all_checks = all_hashes[order], all_checks[order]
    ordered = np.concatenate(numbers)[order]
    repeats = np.zeros(len(order), np.bool_)
    repeats[1:] = (all_hashes[1:] == all_hashes[:-1]) & (all_checks[1:] == all_checks[:-1])
    firsts = np.maximum.accumulate(np.where(repeats, 0, np.arange(len(order))))
    edges = np.stack((ordered[firsts[repeats]], ordered[repeats]), axis=1)
    edges = edges[np.argsort(edges[:, 1])]
    with files.write_atomically(task.repeats, synced=False) as stream:
        stream.write(edges.astype("<i8", copy=False).tobytes())
    return Result(outputs=[task.repeats])


def _require_memory(n_keys: int, n_partitions: int) -> None:
    """ConfigError if a partition would not fit in the memory that is available."""
    from dolma_kit.deduplication import bloom

    available, needed = bloom.available_memory(), KEY_BYTES * n_keys // n_partitions
    if available is not None and needed > available:
        enough = -(-KEY_BYTES * n_keys // max(available * 9 // 10, 1))
        raise ConfigError(
            f"a partition of {n_keys:,} keys takes {needed:,} bytes, but {available:,} are "
            f"available: give --partitions {enough}, or use a machine with more memory"
        )


def _repeats(task: FindTask) -> NDArray[np.int64]:
    """(n, 2) int64: first ones, and others."""
    from dolma_kit.deduplication.linking import edges_in

    return edges_in(task.repeats)


def add_up(tasks: tuple[FindTask, ...]) -> Result:
    """How many paragraphs there are, how many of them are distinct, and occur how often."""
    import numpy as np

    from dolma_kit.execute.spill import Spill

    first = tasks[0]
    spills = [Spill(first.temporary, i) for i in range(first.n_inputs)]
    n_keys = sum(spill.n_keys for spill in spills)
    n_repeats = n_clusters = largest = 0
    for task in tasks:
        firsts, n_others = np.unique(_repeats(task)[:, 0], return_counts=True)
        n_repeats += int(n_others.sum())
        n_clusters += len(firsts)
        largest = max(largest, int(n_others.max(initial=0)) + 1)
    found = {
        "keys": n_keys,
        "distinct": n_keys - n_repeats,
        "duplicates": n_repeats,
        "clusters": n_clusters,
        "largest_cluster": largest if n_keys else 0,
    }
    path = os.path.join(first.temporary, near.FOUND)
    with files.write_atomically(path, synced=False) as stream:
        stream.write(msgspec.json.encode(found, order="deterministic"))
    return Result(outputs=[path], counts=found)


def write_file(task: WriteTask) -> Result:
    """Make one attribute file of an input's paragraphs that occur before."""
    import numpy as np

    from dolma_kit.execute.spill import Spill

    temporary = task.finding[0].temporary
    spill, found = Spill(temporary, task.number), near.found_in(temporary)
    if spill.about().set_aside:
        return filtered.nothing_of(spill, found)
    first = sum(Spill(temporary, i).n_keys for i in range(task.number))
    marks = np.zeros(spill.n_keys, np.bool_)
    for one in task.finding:
        others = _repeats(one)[:, 1]
        begin, end = np.searchsorted(others, (first, first + len(marks)))
        marks[others[begin:end] - first] = True
    out = filtered.Output(task.output, task.format, task.name, "paragraph", task.made_by)
    return filtered.write_marks(spill, marks, out, found)
