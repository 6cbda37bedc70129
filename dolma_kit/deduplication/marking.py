"""Passing keys through a Bloom filter, which may be cut into partitions and may be kept on disk.

A partition is a contiguous range of the filter's blocks, a unit of work: it goes through the hashes
of all inputs in canonical order and leaves a mark for each whose block it has. As blocks know
nothing of each other, any number of partitions gives the marks of one; so a filter may be larger
than the memory of a machine. Afterwards `fill` adds up what all of them found, and writes the
filter if it is to be kept. Files, in the ledger's temporary folder:

    PPPP.marks    a bit for each key of a partition, from each byte's lowest: 1 for a duplicate
    PPPP.json     Partition: what it found, and how many keys each input had there
    PPPP.blocks   its blocks, only if the filter is to be kept
    filter.json   Marked: all of them together
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec

from dolma_kit import config, files
from dolma_kit.deduplication import bloom, classic, filters
from dolma_kit.deduplication.bloom import Geometry
from dolma_kit.deduplication.classic import ClassicFilter
from dolma_kit.deduplication.filters import Absorbed, Description, FilterFile
from dolma_kit.errors import ConfigError
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    classic: bool = False
    by_place: bool = False  # keys pass in the order of their documents' places, see `keeping`


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """What one partition found: keys of each input, duplicates, and of its blocks, the set bits
    and the sum of the chances that each takes a fresh key for known."""

    n_keys: list[int]
    n_duplicates: int
    n_bits: int
    hit_chances: float


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The filter as it was in the end.

    `fill` is the share of its bits that are set, `fp_rate` the chance that it takes a fresh key
    for known as those bits lie, `expected_fp_rate` what the formula gives for as many keys; both
    with the chance that two keys have one hash.
    """

    keys: int
    duplicates: int
    n_blocks: int
    k: int
    filter_bytes: int
    fill: float
    fp_rate: float
    expected_fp_rate: float


class PartitionFilter:
    """The blocks of a partition, worked on by threads that own a range of them each."""

    def __init__(self, task: MarkTask, geometry: Geometry, threads: ThreadPoolExecutor) -> None:
        from dolma_kit.kernels.bloom import empty_blocks

        n = geometry.n_blocks
        self.first = n * task.partition // task.n_partitions
        self.last = n * (task.partition + 1) // task.n_partitions
        self.blocks = empty_blocks(self.last - self.first)
        width = self.last - self.first
        self._edges = [width * i // task.threads for i in range(task.threads + 1)]
        self._geometry, self._threads, self._read_only = geometry, threads, task.read_only

    def look_up(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Which of the hashes, all of them of this partition, were there before: (n,) uint8."""
        import numpy as np

        from dolma_kit.kernels.bloom import check, check_and_insert

        marks = np.zeros(len(hashes), np.uint8)
        apply = check if self._read_only else check_and_insert
        n_blocks, k = np.uint64(self._geometry.n_blocks), self._geometry.k

        def work(i: int) -> None:
            part = self.blocks[self._edges[i] : self._edges[i + 1]]
            apply(part, np.uint64(self.first + self._edges[i]), n_blocks, hashes, k, marks)

        list(self._threads.map(work, range(len(self._edges) - 1)))
        return marks

    def fill(self) -> tuple[int, float]:
        """Set bits, and the sum over blocks of the chance that one takes a fresh key for known."""
        from dolma_kit.kernels.bloom import count_bits

        n_bits, chances = count_bits(self.blocks, self._geometry.k)
        return int(n_bits), float(chances)

    def own(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Those of the hashes whose block is of this partition, in their order."""
        return hashes[self.is_own(hashes)]

    def is_own(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_] | slice:
        """Which of the hashes have a block of this partition: (n,) bool, or a slice of all."""
        import numpy as np

        from dolma_kit.kernels.bloom import block_indices

        if self.last - self.first == self._geometry.n_blocks:
            return slice(None)
        blocks = block_indices(hashes, np.uint64(self._geometry.n_blocks))
        mine: NDArray[np.bool_] = (blocks >= self.first) & (blocks < self.last)
        return mine


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
    """Pass the keys of one partition through its blocks, in canonical order."""
    from dolma_kit.execute.spill import Spill

    spills = [Spill(task.temporary, i) for i in range(len(task.srcs))]
    n_keys = sum(spill.n_keys for spill in spills)
    found = _file_before(task)
    if found and not task.read_only:
        filters.check_inputs(found.description, found.path, _inputs(task))
    n_expected, geometry = _size(task, found, n_keys)
    bloom.require_memory(geometry, n_expected, task.fp_rate, task.n_partitions)
    counts: list[int] = []
    n_duplicates = 0
    outputs = [_path(task, task.partition, kind) for kind in ("marks", "json")]
    with ThreadPoolExecutor(task.threads) as threads:
        own: PartitionFilter | ClassicFilter
        if task.classic:
            own = ClassicFilter(geometry, read_only=task.read_only)
        else:
            own = PartitionFilter(task, geometry, threads)
        if found:
            found.read_blocks(own.first, own.blocks)
        with files.write_atomically(outputs[0], synced=False) as stream:
            bits = _Bits(stream)
            if task.by_place:
                marks, counts = _marks_by_place(task, own)
                n_duplicates = int(marks.sum())
                bits.write(marks)
            for spill in () if task.by_place else spills:
                hashes, n = spill.hashes(), 0
                for start in range(0, len(hashes), KEYS_AT_ONCE):
                    mine = own.own(hashes[start : start + KEYS_AT_ONCE])
                    marks = own.look_up(mine)
                    n_duplicates += int(marks.sum())
                    n += len(mine)
                    bits.write(marks)
                counts.append(n)
            bits.close()
    n_bits, chances = own.fill()
    said = Partition(n_keys=counts, n_duplicates=n_duplicates, n_bits=n_bits, hit_chances=chances)
    with files.write_atomically(outputs[1], synced=False) as stream:
        stream.write(msgspec.json.encode(said, order="deterministic"))
    if task.path and not task.read_only:
        outputs.append(_path(task, task.partition, "blocks"))
        with files.write_atomically(outputs[2], synced=False) as stream:
            stream.write(own.blocks.astype("<u8", copy=False).tobytes())
    return Result(outputs=outputs)


def _marks_by_place(
    task: MarkTask, own: PartitionFilter | ClassicFilter
) -> tuple[NDArray[np.uint8], list[int]]:
    """The marks of a partition's keys, in canonical order, and how many each input has.

    Memory: 40 bytes a key of the partition.
    """
    import numpy as np

    from dolma_kit.deduplication.keeping import places_in
    from dolma_kit.execute.spill import Spill

    places, first = places_in(task.temporary), 0
    hashes, key_places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for i in range(len(task.srcs)):
        spill = Spill(task.temporary, i)
        n_keys = spill.n_keys_of_documents()
        all_hashes = spill.hashes()
        mine = own.is_own(all_hashes)
        hashes.append(all_hashes[mine])
        key_places.append(np.repeat(places[first : first + len(n_keys)], n_keys)[mine])
        first += len(n_keys)
    together = np.concatenate(hashes)
    order = np.argsort(np.concatenate(key_places), kind="stable")
    marks = np.zeros(len(together), np.uint8)
    for start in range(0, len(order), KEYS_AT_ONCE):
        some = order[start : start + KEYS_AT_ONCE]
        marks[some] = own.look_up(together[some])
    return marks, [len(part) for part in hashes[1:]]


def fill(task: MarkTask) -> Result:
    """Add up what all partitions found, and write the filter if it is to be kept.

    ConfigError where it holds more keys in the end than it was sized for, so that its
    false-positive rate is not the one that was asked for.
    """
    from dolma_kit.execute.spill import Spill

    n_keys = sum(Spill(task.temporary, i).n_keys for i in range(len(task.srcs)))
    said = [_partition(task, i) for i in range(task.n_partitions)]
    n_duplicates = sum(one.n_duplicates for one in said)
    found = _file_before(task)
    written = _written(task)  # by an earlier try, which was cut short after that
    n_expected, geometry = _size(task, written or found, n_keys)
    rate_of = classic.false_positive_rate if task.classic else bloom.false_positive_rate
    if written:
        n_items = written.description.n_items
    else:
        n_before = found.description.n_items if found else 0
        n_items = n_before + (0 if task.read_only else n_keys - n_duplicates)
    if n_items > n_expected:
        rate = rate_of(n_items, geometry)
        cure = (
            f"leave --expected-items out, or give at least {n_items:,}, with --overwrite"
            if not task.path
            else f"give --expected-items of at least {n_items:,}, with --rebuild"
        )
        raise ConfigError(
            f"the filter was sized for {n_expected:,} keys but took in {n_items:,}, which makes "
            f"its false-positive rate {rate:.2g} instead of {task.fp_rate:g}: {cure}"
        )
    by_hash = n_items / 2**64  # another key has the very hash of a fresh one
    marked = Marked(
        keys=n_keys,
        duplicates=n_duplicates,
        n_blocks=geometry.n_blocks,
        k=geometry.k,
        filter_bytes=geometry.n_bytes,
        fill=round(sum(one.n_bits for one in said) / (geometry.n_blocks * bloom.BLOCK_BITS), 6),
        fp_rate=_rounded(sum(one.hit_chances for one in said) / geometry.n_blocks + by_hash),
        expected_fp_rate=_rounded(rate_of(n_items, geometry) + by_hash),
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
            n_items=n_items,
            selection=task.selection,
            absorbed=[*before, Absorbed(run=_run(task, before), inputs=_inputs(task))],
        )
        filters.write(task.path, description, _blocks(task))
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
    deciding = [task.selection, task.expected_items, task.fp_rate, _inputs(task)]
    return config.digest({"run": deciding, "before": [one.run for one in before]})


def _size(task: MarkTask, found: FilterFile | None, n_keys: int) -> tuple[int, Geometry]:
    """For how many keys the filter is, and its shape."""
    if found:
        return found.description.n_expected, found.description.geometry
    n_expected = n_keys if task.expected_items is None else task.expected_items
    size_for = classic.size_for if task.classic else bloom.size_for
    return n_expected, size_for(n_expected, task.fp_rate)


def _path(task: MarkTask, partition: int, kind: str) -> str:
    return os.path.join(task.temporary, f"{partition:04d}.{kind}")


def _partition(task: MarkTask, i: int) -> Partition:
    with open(_path(task, i, "json"), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Partition)


def _blocks(task: MarkTask) -> Iterator[NDArray[np.uint64]]:
    from dolma_kit.execute.spill import mapped

    for i in range(task.n_partitions):
        yield mapped(_path(task, i, "blocks"), "<u8").reshape(-1, 8)


def marked_of(temporary: str) -> Marked:
    with open(os.path.join(temporary, FILTER), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=Marked)


def marks_of(task: MarkTask, number: int) -> NDArray[np.bool_]:
    """(n_keys,) bool: which keys of input `number` are duplicates, in the order of its keys."""
    import numpy as np

    from dolma_kit.execute.spill import Spill
    from dolma_kit.kernels.bloom import block_indices

    hashes = Spill(task.temporary, number).hashes()
    marks = np.zeros(len(hashes), np.bool_)
    if task.n_partitions > 1:
        n_blocks = marked_of(task.temporary).n_blocks
        edges = [n_blocks * i // task.n_partitions for i in range(1, task.n_partitions)]
        blocks = block_indices(hashes, np.uint64(n_blocks))
        partition = np.searchsorted(np.array(edges, np.uint64), blocks, side="right")
    for i in range(task.n_partitions):
        said = _partition(task, i)
        first, n = sum(said.n_keys[:number]), said.n_keys[number]
        with open(_path(task, i, "marks"), "rb") as stream:
            stream.seek(first // 8)
            data = np.frombuffer(stream.read((first % 8 + n + 7) // 8), np.uint8)
        bits = np.unpackbits(data, bitorder="little")[first % 8 : first % 8 + n].view(np.bool_)
        if task.n_partitions == 1:
            return bits
        marks[partition == i] = bits
    return marks
