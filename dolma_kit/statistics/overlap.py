"""`overlap`: sketches of a corpus's texts, URLs and paragraphs, by which corpora are compared.

Theta sketches of Apache DataSketches (Dasgupta et al. 2016, "A framework for estimating stream
expression cardinalities"), 4,096 hashes of each kind, some 100 KB a corpus: of two of them follow
the sizes of union and intersection, Jaccard's index and containment, without the documents. The
keys are those of `duplicates`, so blank texts and paragraphs are none.

Notes: of each kind `sketch` (compact, in base64, in DataSketches' own format, of the XXH64 of keys
as signed integers), `keys` and `without`. The table is empty.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit.statistics import tables
from dolma_kit.statistics.duplicates import KINDS, found_in, shown
from dolma_kit.statistics.key_counts import Estimate
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.statistic import About, Gathering, Measure, Statistic, fields_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

LG_K = 12
DEVIATIONS = 2  # of the bounds: 95.4 %
NOTHING = Estimate(0.0, 0.0, 0.0, True)


class OfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Of one corpus: keys in all, documents or paragraphs `without` one, `distinct` keys."""

    keys: int
    without: int
    distinct: Estimate


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """`bytes` is the size of all three sketches."""

    about: About
    kinds: dict[str, OfKind]
    bytes: int


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Of two corpora A and B, by one kind: distinct keys `of_a`, `of_b`, in `both`, in `either`;
    `jaccard` is both by either, `a_in_b` both by A, `b_in_a` both by B."""

    kind: str
    of_a: Estimate
    of_b: Estimate
    both: Estimate
    either: Estimate
    jaccard: Estimate
    a_in_b: Estimate
    b_in_a: Estimate


@dataclass(frozen=True)
class OverlapOf(Statistic):
    url_keys: tuple[str, ...]
    separator: str = "\n"

    id: ClassVar[str] = "overlap"
    kernels: ClassVar[tuple[str, ...]] = ("hashing", "paragraphs")

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_of(self.url_keys)

    def start(self, shard: Shard) -> Measure:
        def measure(batch: Batch) -> Any:
            found = found_in(batch, self.url_keys, self.separator)
            distinct = {kind: np.unique(hashes) for kind, (hashes, _) in found.keys.items()}
            n_keys = {kind: len(hashes) for kind, (hashes, _) in found.keys.items()}
            return distinct, n_keys, found.without

        return measure

    def gathering(self) -> Gathering:
        return _Sketching()

    def empty(self) -> Partial:
        return _Sketching().partial()

    def merge(self, partials: Sequence[Partial]) -> Partial:
        notes = {}
        for kind in KINDS:
            parts = [partial.notes[kind] for partial in partials]
            joined = union(sketch_in(part) for part in parts)
            notes[kind] = {
                "sketch": _packed(joined),
                "keys": sum(part["keys"] for part in parts),
                "without": sum(part["without"] for part in parts),
            }
        return Partial(notes, partials[0].table)

    def answer(self, whole: Partial, about: About) -> Overlap:
        kinds = {
            kind: OfKind(
                keys=whole.notes[kind]["keys"], without=whole.notes[kind]["without"],
                distinct=estimate_of(sketch_in(whole.notes[kind])),
            )
            for kind in KINDS
        }  # fmt: skip
        sizes = [len(base64.b64decode(whole.notes[kind]["sketch"])) for kind in KINDS]
        return Overlap(about=about, kinds=kinds, bytes=sum(sizes))

    def text(self, answer: Overlap) -> str:
        rows = [
            [name, kind.keys, kind.without, shown(kind.distinct)]
            for name, kind in answer.kinds.items()
        ]
        table = tables.aligned(["", "in all", "without one", "distinct"], rows)
        return f"{table}\n\nsketches of {answer.bytes:,} bytes, for `dolma-kit stats overlap A B`"


class _Sketching(Gathering):
    """Puts the keys of a file into sketches."""

    def __init__(self) -> None:
        import datasketches

        self._sketches = {kind: datasketches.update_theta_sketch(LG_K) for kind in KINDS}
        self._keys = dict.fromkeys(KINDS, 0)
        self._without = dict.fromkeys(KINDS, 0)

    def take(self, found: Any) -> None:
        distinct, n_keys, without = found
        for kind in KINDS:
            update = self._sketches[kind].update
            hashes: NDArray[np.uint64] = distinct[kind]
            for number in hashes.view(np.int64).tolist():
                update(number)
            self._keys[kind] += n_keys[kind]
            self._without[kind] += without[kind]

    def partial(self) -> Partial:
        import pyarrow as pa

        notes = {}
        for kind in KINDS:
            self._sketches[kind].trim()  # to the smallest hashes, in whatever order they came
            notes[kind] = {
                "sketch": _packed(self._sketches[kind].compact()),
                "keys": self._keys[kind],
                "without": self._without[kind],
            }
        return Partial(notes, pa.table({"none": pa.array([], pa.int8())}))


def _packed(sketch: Any) -> str:
    return base64.b64encode(sketch.serialize()).decode()


def sketch_in(notes: dict[str, Any]) -> Any:
    """The compact sketch of one kind in a partial's notes."""
    import datasketches

    return datasketches.compact_theta_sketch.deserialize(base64.b64decode(notes["sketch"]))


def union(sketches: Iterable[Any]) -> Any:
    import datasketches

    joined = datasketches.theta_union(LG_K)
    for sketch in sketches:
        joined.update(sketch)
    return joined.get_result()


def estimate_of(sketch: Any) -> Estimate:
    bounds = sketch.get_lower_bound(DEVIATIONS), sketch.get_upper_bound(DEVIATIONS)
    return Estimate(sketch.get_estimate(), *bounds, not sketch.is_estimation_mode())


def shared(kind: str, a: Any, b: Any) -> Shared:
    """What two sketches tell of their corpora."""
    import datasketches

    both = datasketches.theta_intersection()
    both.update(a)
    both.update(b)
    common = both.get_result()
    either = union((a, b))
    jaccard = datasketches.theta_jaccard_similarity.jaccard(a, b)
    one_is_empty = a.get_estimate() == 0 or b.get_estimate() == 0
    is_exact = one_is_empty or not (a.is_estimation_mode() or b.is_estimation_mode())
    return Shared(
        kind=kind,
        of_a=estimate_of(a),
        of_b=estimate_of(b),
        both=NOTHING if one_is_empty else estimate_of(common),
        either=estimate_of(either),
        jaccard=Estimate(jaccard[1], jaccard[0], jaccard[2], is_exact),
        a_in_b=NOTHING if one_is_empty else _share_of(common, a),
        b_in_a=NOTHING if one_is_empty else _share_of(common, b),
    )


def _share_of(common: Any, whole: Any) -> Estimate:
    """The part of a corpus that is in both, with the interval of a ratio of counts: of the keys of
    the corpus below the threshold of both, so many are common."""
    from dolma_kit.decontamination.intervals import wilson

    threshold = min(common.theta64, whole.theta64)
    n_whole = sum(1 for hash_ in whole if hash_ < threshold)
    n_common = sum(1 for hash_ in common if hash_ < threshold)
    exact = not (common.is_estimation_mode() or whole.is_estimation_mode())
    share = n_common / n_whole if n_whole else 0.0
    low, high = (share, share) if exact else wilson(n_common, n_whole)
    return Estimate(share, low, high, exact)
