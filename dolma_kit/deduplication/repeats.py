"""Which windows of all texts occur before, in shards of which each fits in memory.

What a suffix array cut off at N units brings together, the equal windows of N units, lie together
by their fingerprints, too (`kernels.windows`). A shard is a range of fingerprints, a unit of work:
it passes those of all inputs, in canonical order, through a table of 16-byte slots, and leaves the
places of those that were there before. Each window is looked at once, by one shard; a suffix array
over every two shards of the text would look at it once for each shard. A table that gets too full
is given up for two of half the range, so that a shard keeps to its bytes whatever the texts are.
In a table a window takes 24 bytes, its repeats none; on disk 20, a token 8 more, a repeat 8 more.

In the ledger's temporary folder, of each input, in chunks of one batch of documents each:

    NNNNNN.prints   uint64 (n_windows, 2): the fingerprints, within a chunk by their first 12 bits
    NNNNNN.places   uint32 (n_windows,): where the window starts, in units from the chunk's first
    NNNNNN.index    uint32 (n_chunks, 4097): where in its chunk each of 4,096 ranges begins
    NNNNNN.units    int64 (n_chunks,): how many units a chunk has
    NNNNNN.tokens   uint32 (n_tokens, 2): where each token starts and ends, in code points

and of each shard s of n:

    SSSS-of-NNNN.repeats   int64: where windows start that occur before, in units from the input's
                           first, for one pass and one input after the other, in no order
    SSSS-of-NNNN.bounds    int64 (n_passes, n_inputs + 1): where in it those of an input begin
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from dolma_kit import files
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.execute.spill import Spill

SLOT_BYTES = 16
N_RANGES = 4096
RANGE_BITS = 52  # of a fingerprint's high half, those below its range's number
MOST = (1 << 64) - 1


@dataclass(frozen=True)
class ShardTask:
    """Shard `shard` of `n_shards`, of all inputs; its table takes at most `shard_bytes`."""

    shard: int
    n_shards: int
    n_inputs: int
    temporary: str
    shard_bytes: int

    def path(self, kind: str) -> str:
        name = f"{self.shard:04d}-of-{self.n_shards:04d}.{kind}"
        return os.path.join(self.temporary, name)

    @property
    def ranges(self) -> tuple[int, int]:
        """Its ranges of fingerprints: the first one, and the one after the last."""
        first, end = (N_RANGES * i // self.n_shards for i in (self.shard, self.shard + 1))
        return first, end


def chunk_of(
    prints: NDArray[np.uint64], places: NDArray[np.uint32], n_units: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """A chunk's arrays, by their kind: windows that lie in one range stay in their order.

    `n_units` (n_docs,) is how many units each document has.
    """
    import numpy as np

    from dolma_kit.kernels.windows import by_range

    sorted_prints, sorted_places, index = by_range(prints, places, 64 - RANGE_BITS)
    return {
        "prints": sorted_prints,
        "places": sorted_places,
        "index": index,
        "units": np.array([n_units.sum()], np.int64),
    }


@dataclass(frozen=True)
class _Chunks:
    """One input's windows, mapped from disk, of which a shard takes a slice of each chunk."""

    prints: NDArray[np.uint64]
    places: NDArray[np.uint32]
    index: NDArray[np.uint32]  # (n_chunks, N_RANGES + 1)
    first_windows: NDArray[np.int64]  # (n_chunks + 1,)
    first_units: NDArray[np.int64]  # (n_chunks + 1,)

    def slice(self, chunk: int, ranges: tuple[int, int]) -> slice:
        first = int(self.first_windows[chunk])
        begin, end = (first + int(self.index[chunk, i]) for i in ranges)
        return slice(begin, end)

    def count(self, ranges: tuple[int, int]) -> int:
        import numpy as np

        first, end = (self.index[:, i].sum(dtype=np.int64) for i in ranges)
        return int(end - first)


def _chunks(spill: Spill) -> _Chunks:
    import numpy as np

    index = spill.mapped("index", "<u4").reshape(-1, N_RANGES + 1)
    return _Chunks(
        spill.mapped("prints", "<u8").reshape(-1, 2),
        spill.mapped("places", "<u4"),
        index,
        np.concatenate(([0], np.cumsum(index[:, -1], dtype=np.int64))),
        np.concatenate(([0], np.cumsum(spill.mapped("units", "<i8")))),
    )


def find(task: ShardTask) -> Result:
    """Find the windows of one shard that occur before."""
    import numpy as np

    first, end = task.ranges
    waiting = [(first << RANGE_BITS, (end << RANGE_BITS) - 1)]
    bounds = []
    with files.write_atomically(task.path("repeats"), synced=False) as stream:
        while waiting:
            least, most = waiting.pop()
            begins = stream.tell()
            found = _pass(task, least, most, stream)
            if found is not None:
                bounds.append(found)
                continue
            stream.seek(begins)
            stream.truncate()
            middle = (least + most) // 2
            waiting += [(middle + 1, most), (least, middle)]
    with files.write_atomically(task.path("bounds"), synced=False) as stream:
        stream.write(np.array(bounds, "<i8").tobytes())
    return Result(
        outputs=[task.path("repeats"), task.path("bounds")],
        counts={"repeats": bounds[-1][-1], "passes": len(bounds)},
    )


def _pass(task: ShardTask, least: int, most: int, stream: IO[bytes]) -> list[int] | None:
    """Append the places of windows from `least` to `most` that occur before; gives where those of
    each input begin, or None if they do not all fit."""
    import numpy as np

    from dolma_kit.execute.spill import Spill
    from dolma_kit.kernels.windows import look_up

    ranges = least >> RANGE_BITS, (most >> RANGE_BITS) + 1
    inputs = [Spill(task.temporary, i) for i in range(task.n_inputs)]
    n_slots = sum(_chunks(spill).count(ranges) for spill in inputs) * 3 // 2 + 16
    if least < most:  # what cannot be halved takes what it takes
        n_slots = min(n_slots, max(16, task.shard_bytes // SLOT_BYTES))
    table, n_held = np.zeros((n_slots, 2), np.uint64), 0
    bounds = [stream.tell() // 8]
    for spill in inputs:
        chunks = _chunks(spill)
        for chunk in range(len(chunks.index)):
            taken = chunks.slice(chunk, ranges)
            seen = np.empty(taken.stop - taken.start, np.uint8)
            prints = np.ascontiguousarray(chunks.prints[taken], np.uint64)
            n_held = look_up(table, n_held, prints, np.uint64(least), np.uint64(most), seen)
            if n_held < 0:
                return None
            places = chunks.places[taken][seen.view(np.bool_)] + chunks.first_units[chunk]
            stream.write(places.astype("<i8").tobytes())
        bounds.append(stream.tell() // 8)
    return bounds


def repeats_of(tasks: list[ShardTask], number: int) -> NDArray[np.int64]:
    """(n,) int64: where windows of input `number` start that occur before, ascending."""
    import numpy as np

    from dolma_kit.execute.spill import mapped

    found = [np.zeros(0, np.int64)]
    for task in tasks:
        repeats = mapped(task.path("repeats"), "<i8")
        bounds = mapped(task.path("bounds"), "<i8").reshape(-1, task.n_inputs + 1)
        for begin, end in bounds[:, number : number + 2].tolist():
            found.append(repeats[begin:end])
    together = np.concatenate(found)
    together.sort()
    return together
