"""What counts, decided over all documents: common text, and how far to back off.

What is found in more documents than a rule's `max_documents` is common text: it counts no more.
With a limit on what may be removed, sets of benchmarks are tried, the strictest first, and the
items of the first that stays below it count; the others do not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import files
from dolma_kit.decontamination.scanning import ScanTask, hits_in
from dolma_kit.errors import ConfigError
from dolma_kit.execute.spill import Spill
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    from dolma_kit.decontamination.finding import Rule

DECIDING = "deciding"


@dataclass(frozen=True)
class DecideTask:
    """All files, for all rules; `backoff` are sets of benchmarks, strictest first."""

    scans: tuple[ScanTask, ...]
    max_removed: float | None
    backoff: tuple[tuple[str, ...], ...]

    @property
    def temporary(self) -> str:
        return self.scans[0].temporary

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.scans[0].rules


class Hits(NamedTuple):
    """The hits of a rule in all documents, which are counted from 0 in canonical order; (n,)."""

    documents: NDArray[np.int64]
    items: NDArray[np.int64]
    needles: NDArray[np.int64]

    def pick(self, chosen: NDArray[Any]) -> Hits:
        return Hits(*(column[chosen] for column in self))


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A set of benchmarks, and the documents that go by it."""

    benchmarks: list[str]
    documents: int


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What counts by one rule: needles that do not, benchmarks that do (None: all)."""

    common_needles: list[int]
    benchmarks: list[str] | None
    tried: list[Tried] = []


def decide(task: DecideTask) -> Result:
    """Decide for each rule."""
    items = task.scans[0].index.indexed().items
    names = list(dict.fromkeys(item.benchmark for item in items))
    number_of = {name: i for i, name in enumerate(names)}
    benchmark_of = np.array([number_of[item.benchmark] for item in items], np.int64)
    if unknown := [name for one in task.backoff for name in one if name not in number_of]:
        raise ConfigError(f"--backoff: no benchmark {unknown[0]!r}, there are {', '.join(names)}")
    n_documents = sum(Spill(task.temporary, scan.number).n_documents for scan in task.scans)
    outputs = []
    for rule in task.rules:
        hits = all_hits(task.scans, rule.id)
        common: list[int] = []
        if rule.max_documents is not None:
            common = common_needles(hits, rule.max_documents)
            hits = hits.pick(~np.isin(hits.needles, common))
        decided = Decided(common_needles=common, benchmarks=None)
        if task.max_removed is not None:
            pairs = np.unique(np.stack((hits.documents, benchmark_of[hits.items]), axis=1), axis=0)
            tried = list(back_off(pairs, names, task, n_documents))
            if tried[-1].documents > task.max_removed * n_documents:
                raise ConfigError(
                    f"rule {rule.id}: no set of benchmarks stays below --max-removed "
                    f"{task.max_removed:g} of {n_documents:,} documents; the last, "
                    f"{'+'.join(tried[-1].benchmarks)}, removes {tried[-1].documents:,}"
                )
            decided = Decided(common_needles=common, benchmarks=tried[-1].benchmarks, tried=tried)
        outputs.append(_path(task.temporary, rule.id))
        with files.write_atomically(outputs[-1], synced=False) as stream:
            stream.write(msgspec.json.encode(decided, order="deterministic"))
    return Result(outputs=outputs)


def all_hits(scans: Sequence[ScanTask], rule: str) -> Hits:
    """The hits of a rule in all files."""
    columns: list[list[NDArray[np.int64]]] = [[np.zeros(0, np.int64)] for _ in range(3)]
    first = 0
    for scan in scans:
        for batch in hits_in(scan, rule):
            rows, items, needles = (batch.column(i).to_numpy() for i in range(3))
            for column, values in zip(columns, (rows + first, items, needles), strict=True):
                column.append(values)
        first += Spill(scan.temporary, scan.number).n_documents
    return Hits(*(np.concatenate(column) for column in columns))


def common_needles(hits: Hits, max_documents: int) -> list[int]:
    """The needles that are found in more documents than that."""
    pairs = np.unique(np.stack((hits.needles, hits.documents), axis=1), axis=0)
    needles, counts = np.unique(pairs[:, 0], return_counts=True)
    found: list[int] = needles[counts > max_documents].tolist()
    return found


def back_off(
    pairs: NDArray[np.int64], names: Sequence[str], task: DecideTask, n_documents: int
) -> Iterator[Tried]:
    """Sets of benchmarks up to the first that removes no more than `max_removed` of documents.

    `pairs` (n, 2) are documents and numbers of benchmarks, each once. Without sets of one's own:
    all, then without the one that has most documents, the first of equal ones, and so on.
    """
    most = (task.max_removed or 0) * n_documents
    sets: Iterator[Sequence[str]]
    if task.backoff:
        sets = iter(task.backoff)
    else:
        counts = np.bincount(pairs[:, 1], minlength=len(names))
        order = np.argsort(-counts, kind="stable").tolist()
        gone = (set(order[:k]) for k in range(len(names)))
        sets = ([name for i, name in enumerate(names) if i not in left] for left in gone)
    for one in sets:
        chosen = np.isin(pairs[:, 1], [names.index(name) for name in one])
        n_removed = len(np.unique(pairs[chosen, 0]))
        yield Tried(benchmarks=list(one), documents=n_removed)
        if n_removed <= most:
            return


def decided_in(temporary: str, rule: str) -> Decided:
    with open(_path(temporary, rule), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Decided)


def _path(temporary: str, rule: str) -> str:
    return os.path.join(temporary, f"{rule}.decided.json")
