"""Passing keys through a filter, which may be cut into partitions and may be kept on disk.

A partition is a contiguous range of a structure (`structures`), a unit of work: it goes through the
hashes of all inputs in canonical order and leaves a mark for each that it has a say on. Any number
of partitions gives the marks of one; so a filter may be larger than the memory of a machine.
Afterwards `fill` adds up what all of them found, and writes the filter if it is to be kept. Files,
in the ledger's temporary folder:

    PPPP.marks    a bit for each key of a partition, from each byte's lowest: 1 for a duplicate
    PPPP.json     Partition: what it found, and how many keys each input had there
    PPPP.stored   what it holds, only if the filter is to be kept
    filter.json   Marked: all of them together
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import msgspec

from dolma_kit import config, files
from dolma_kit.deduplication import bloom, filters, structures
from dolma_kit.deduplication.bloom import Geometry
from dolma_kit.deduplication.filters import Absorbed, Description, FilterFile
from dolma_kit.deduplication.structures import Held, Part
from dolma_kit.errors import ConfigError
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.execute.spill import Spill

KEYS_AT_ONCE = 1 << 22
FILTER = "filter.json"


@dataclass(frozen=True)
class MarkTask:
    """Partition `partition` of `n_partitions`, for all inputs, whose names are `srcs`.

    `expected_items` None sizes the filter for as many keys as come. `path` is a filter on disk to
    go on with, where there is one, and to write, but with `read_only`.
    """

    partition: int
    n_partitions: int
    srcs: tuple[str, ...]
    temporary: str
    selection: dict[str, bool | int | str]
    expected_items: int | None
    fp_rate: float
    threads: int
    path: str | None = None
    read_only: bool = False
    rebuild: bool = False
    structure: str = "blocked"
    by_place: bool = False  # keys pass in the order of their documents' places, see `keeping`


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """What one partition found: keys of each input that it has a say on, those that it marks, and
    what it holds (`Held.fill`)."""

    n_keys: list[int]
    n_duplicates: int
    n_held: int
    hit_chances: float


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The filter as it was in the end.

    `fill` is the share of its bits that are set, or of its slots that are taken, `fp_rate` the
    chance that it takes a fresh key for known as those bits lie, `expected_fp_rate` what the
    formula gives for as many keys; both with the chance that two keys have one hash.
    """

    structure: str
    keys: int
    duplicates: int
    n_blocks: int
    k: int
    filter_bytes: int
    bytes_per_key: float
    fill: float
    fp_rate: float
    expected_fp_rate: float


class _Bits:
    """Appends marks to a file as bits, whole bytes at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        import numpy as np

        self._stream = stream
        self._left = np.zeros(0, np.uint8)

    def write(self, marks: NDArray[np.uint8]) -> None:
        import numpy as np

        marks = np.concatenate((self._left, marks))
        whole = len(marks) // 8 * 8
        self._stream.write(np.packbits(marks[:whole], bitorder="little").tobytes())
        self._left = marks[whole:]

    def close(self) -> None:
        import numpy as np

        self._stream.write(np.packbits(self._left, bitorder="little").tobytes())


def mark(task: MarkTask) -> Result:
    """Pass the keys of one partition through it, in canonical order."""
    from dolma_kit.execute.spill import Spill

    spills = [Spill(task.temporary, i) for i in range(len(task.srcs))]
    n_keys = sum(spill.n_keys for spill in spills)
    found = _file_before(task)
    if found and not task.read_only:
        filters.check_inputs(found.description, found.path, _inputs(task))
    structure = structures.of(task.structure)
    n_expected, geometry = _size(task, found, n_keys)
    structure.require_rate(n_expected, task.fp_rate)
    bloom.require_memory(geometry, n_expected, task.fp_rate, task.n_partitions)
    counts: list[int] = []
    n_duplicates = 0
    outputs = [_path(task, task.partition, kind) for kind in ("marks", "json")]
    part = Part(task.partition, task.n_partitions, task.threads, task.read_only)
    with ThreadPoolExecutor(task.threads) as threads:
        own = structure.hold(geometry, part, threads)
        if found:
            own.load(found)
        with files.write_atomically(outputs[0], synced=False) as stream:
            bits = _Bits(stream)
            if task.by_place:
                marks, counts = _marks_by_place(task, own)
                n_duplicates = int(marks.sum())
                bits.write(marks)
            for spill in () if task.by_place else spills:
                keys, n = _keys(task, spill), 0
                for start in range(0, len(keys[0]), KEYS_AT_ONCE):
                    mine = _own(own, [part[start : start + KEYS_AT_ONCE] for part in keys])
                    marks = own.look_up(mine)
                    n_duplicates += int(marks.sum())
                    n += len(mine)
                    bits.write(marks)
                counts.append(n)
            bits.close()
        n_held, chances = own.fill()
        said = Partition(
            n_keys=counts, n_duplicates=n_duplicates, n_held=n_held, hit_chances=chances
        )
        with files.write_atomically(outputs[1], synced=False) as stream:
            stream.write(msgspec.json.encode(said, order="deterministic"))
        if task.path and not task.read_only:
            outputs.append(_path(task, task.partition, "stored"))
            with files.write_atomically(outputs[2], synced=False) as stream:
                stream.write(own.stored().astype("<u8", copy=False).tobytes())
    return Result(outputs=outputs)


def _keys(task: MarkTask, spill: Spill) -> list[NDArray[np.uint64]]:
    """The hashes of an input's keys, (n_keys,) each, mapped from disk: one, or two of 128 bits."""
    if structures.of(task.structure).hash_bits == 64:
        return [spill.hashes()]
    return [spill.hashes(), spill.mapped("checks", "<u8")]


def _own(own: Held, keys: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Those keys of which a partition has a say: (n,) uint64, or (n, 2) of 128 bits."""
    import numpy as np

    is_own = own.is_own(keys[0])
    return keys[0][is_own] if len(keys) == 1 else np.stack([key[is_own] for key in keys], axis=1)


def _marks_by_place(task: MarkTask, own: Held) -> tuple[NDArray[np.uint8], list[int]]:
    """The marks of a partition's keys, in canonical order, and how many each input has.

    Memory: 40 bytes a key of the partition, 48 of one of 128 bits.
    """
    import numpy as np

    from dolma_kit.deduplication.keeping import places_in
    from dolma_kit.execute.spill import Spill

    places, first = places_in(task.temporary), 0
    keys: list[NDArray[np.uint64]] = []
    key_places = [np.zeros(0, np.int64)]
    for i in range(len(task.srcs)):
        spill = Spill(task.temporary, i)
        n_keys = spill.n_keys_of_documents()
        hashes = _keys(task, spill)
        keys.append(_own(own, hashes))
        of_keys = np.repeat(places[first : first + len(n_keys)], n_keys)
        key_places.append(of_keys[own.is_own(hashes[0])])
        first += len(n_keys)
    together = np.concatenate(keys)
    order = np.argsort(np.concatenate(key_places), kind="stable")
    marks = np.zeros(len(together), np.uint8)
    for start in range(0, len(order), KEYS_AT_ONCE):
        some = order[start : start + KEYS_AT_ONCE]
        marks[some] = own.look_up(together[some])
    return marks, [len(part) for part in keys]


def fill(task: MarkTask) -> Result:
    """Add up what all partitions found, and write the filter if it is to be kept.

    ConfigError where it holds more keys in the end than it was sized for, so that its
    false-positive rate is not the one that was asked for.
    """
    from dolma_kit.execute.spill import Spill

    structure = structures.of(task.structure)
    n_keys = sum(Spill(task.temporary, i).n_keys for i in range(len(task.srcs)))
    said = [_partition(task, i) for i in range(task.n_partitions)]
    if structure.parts_keys:
        n_duplicates = sum(one.n_duplicates for one in said)
    else:
        marks = (marks_of(task, i, structure) for i in range(len(task.srcs)))
        n_duplicates = sum(int(own.sum()) for own in marks)
    found = _file_before(task)
    written = _written(task)  # by an earlier try, which was cut short after that
    n_expected, geometry = _size(task, found, n_keys, written)
    if written:
        n_items = written.description.n_items
    else:
        n_before = found.description.n_items if found else 0
        n_items = n_before + (0 if task.read_only else n_keys - n_duplicates)
    rate = structure.false_positive_rate(n_items, geometry)
    if n_items > n_expected and not structure.keeps_keys:
        cure = (
            f"leave --expected-items out, or give at least {n_items:,}, with --overwrite"
            if not task.path
            else f"give --expected-items of at least {n_items:,}, with --rebuild"
        )
        raise ConfigError(
            f"the filter was sized for {n_expected:,} keys but took in {n_items:,}, which makes "
            f"its false-positive rate {rate:.2g} instead of {task.fp_rate:g}: {cure}"
        )
    structure.require_rate(n_items, task.fp_rate)
    by_hash = structure.by_hash(n_items)
    share, by_bits = structure.found(
        geometry, [one.n_held for one in said], sum(one.hit_chances for one in said)
    )
    marked = Marked(
        structure=structure.name,
        keys=n_keys,
        duplicates=n_duplicates,
        n_blocks=geometry.n_blocks,
        k=geometry.k,
        filter_bytes=geometry.n_bytes,
        bytes_per_key=round(geometry.n_bytes / max(n_items, 1), 3),
        fill=round(share, 6),
        fp_rate=_rounded(by_bits + by_hash),
        expected_fp_rate=_rounded(rate + by_hash),
    )
    path = os.path.join(task.temporary, FILTER)
    with files.write_atomically(path, synced=False) as stream:
        stream.write(msgspec.json.encode(marked, order="deterministic"))
    if task.path and not task.read_only and not written:
        before = found.description.absorbed if found else []
        description = Description(
            hash=filters.HASH,
            n_blocks=geometry.n_blocks,
            k=geometry.k,
            n_expected=n_expected,
            fp_rate=found.description.fp_rate if found else task.fp_rate,
            n_items=sum(one.n_held for one in said) if structure.keeps_keys else n_items,
            selection=task.selection,
            absorbed=[*before, Absorbed(run=_run(task, before), inputs=_inputs(task))],
            structure=structure.name,
        )
        filters.write(task.path, description, _stored(task))
    return Result(outputs=[path], counts=msgspec.to_builtins(marked))


def _rounded(rate: float) -> float:
    """To six digits: sums of partitions differ in the last ones of a float."""
    return float(f"{rate:.6g}")


def _file_before(task: MarkTask) -> FilterFile | None:
    """The filter to go on with, if there is one."""
    if task.path is None or task.rebuild or not os.path.exists(task.path):
        return None
    return FilterFile(task.path)


def _written(task: MarkTask) -> FilterFile | None:
    """The filter that this very run has written, if it has."""
    if task.path is None or task.read_only or not os.path.exists(task.path):
        return None
    found = FilterFile(task.path)
    *before, last = found.description.absorbed
    is_ours = last.run == _run(task, before) and not (before and task.rebuild)
    return found if is_ours else None


def _inputs(task: MarkTask) -> dict[str, str | None]:
    """The inputs' names and the SHA-256 of what was read."""
    from dolma_kit.execute.spill import Spill

    return {src: Spill(task.temporary, i).about().sha256 for i, src in enumerate(task.srcs)}


def _run(task: MarkTask, before: Sequence[Absorbed]) -> str:
    """What stands for this run, after those before it."""
    deciding: list[Any] = [task.selection, task.expected_items, task.fp_rate, _inputs(task)]
    if task.structure != "blocked":
        deciding.append(task.structure)
    return config.digest({"run": deciding, "before": [one.run for one in before]})


def _size(
    task: MarkTask, found: FilterFile | None, n_keys: int, written: FilterFile | None = None
) -> tuple[int, Geometry]:
    """For how many keys the filter is, and its shape. A set of keys grows with what comes."""
    structure = structures.of(task.structure)
    if done := written or (None if structure.keeps_keys else found):
        return done.description.n_expected, done.description.geometry
    n_expected = n_keys if task.expected_items is None else task.expected_items
    if found:
        n_expected = max(n_expected, found.description.n_items + n_keys)
    return n_expected, structure.size_for(n_expected, task.fp_rate)


def _path(task: MarkTask, partition: int, kind: str) -> str:
    return os.path.join(task.temporary, f"{partition:04d}.{kind}")


def _partition(task: MarkTask, i: int) -> Partition:
    with open(_path(task, i, "json"), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Partition)


def _stored(task: MarkTask) -> Iterator[NDArray[np.uint64]]:
    from dolma_kit.execute.spill import mapped

    for i in range(task.n_partitions):
        yield mapped(_path(task, i, "stored"), "<u8")


def marked_of(temporary: str) -> Marked:
    with open(os.path.join(temporary, FILTER), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Marked)


def marks_of(
    task: MarkTask, number: int, structure: structures.Structure | None = None
) -> NDArray[np.bool_]:
    """(n_keys,) bool: which keys of input `number` are duplicates, in the order of its keys."""
    import numpy as np

    from dolma_kit.execute.spill import Spill

    structure = structure or structures.of(task.structure)
    hashes = Spill(task.temporary, number).hashes()
    marks = np.ones(len(hashes), np.bool_)
    partition = None
    if task.n_partitions > 1 and structure.parts_keys:
        shape = marked_of(task.temporary)
        geometry = Geometry(n_blocks=shape.n_blocks, k=shape.k)
        partition = structure.partition_of(hashes, geometry, task.n_partitions)
    for i in range(task.n_partitions):
        said = _partition(task, i)
        first, n = sum(said.n_keys[:number]), said.n_keys[number]
        with open(_path(task, i, "marks"), "rb") as stream:
            stream.seek(first // 8)
            data = np.frombuffer(stream.read((first % 8 + n + 7) // 8), np.uint8)
        bits = np.unpackbits(data, bitorder="little")[first % 8 : first % 8 + n].view(np.bool_)
        if partition is None:
            marks &= bits  # of one partition, or all have a say
        else:
            marks[partition == i] = bits
    return marks
