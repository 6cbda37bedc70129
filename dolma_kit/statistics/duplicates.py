"""`duplicates`: texts, URLs and paragraphs that occur more than once, and how they cluster.

Equal is equal byte by byte. Texts and paragraphs of nothing but white space are no keys, nor are
documents without a URL; they are counted beside. Paragraphs are what `separator` parts, without it,
as in `dedupe --by paragraph`. Keys are compared by a 64-bit hash, exactly up to `max_keys` distinct
ones of a kind, beyond that by a sample with its error (`key_counts`).

Table: `kind` (text, url, paragraph), `hash`, `count`, and `file` and `line`, where it stands first.
Notes: of each kind `threshold` (as text: it may be 2^64), `keys` (how many there were), `without`
(documents, or paragraphs, that have none); and `excerpts`, the begin of paragraphs that occur often
in one piece of a file, by their hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec
import numpy as np

from dolma_kit import kernels
from dolma_kit.deduplication.keys import SEED, Selection, keys_of
from dolma_kit.statistics import key_counts, tables
from dolma_kit.statistics.key_counts import ALL, Counts, Estimate
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.statistic import About, Gathering, Measure, Statistic, fields_of, first_at

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

KINDS = ("text", "url", "paragraph")
EXCERPTS_OF_BATCH = 16
EXCERPTS = 512  # in a partial
EXCERPT_CHARACTERS = 120
HELD_KEYS = 1 << 21  # of a kind before they are grouped


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Equal keys: how many, where the first of them is, and the begin of a paragraph if kept."""

    count: int
    file: str
    line: int
    excerpt: str | None


class OfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Of one kind. `keys` in all, `without` a key (blank, or no URL) beside.

    `distinct` keys; `clusters` of two or more equal ones; `in_clusters` keys of these; `removable`
    are all but one of each cluster. `rate` is `removable` by `keys`. `sizes` tells how many
    clusters there are of each size, in powers of two: "2", "3-4", "5-8", ... Sampled sizes are
    those of the sample. `expected_collisions`: pairs of different keys that a hash may have taken
    for equal.
    """

    keys: int
    without: int
    distinct: Estimate
    clusters: Estimate
    in_clusters: Estimate
    removable: Estimate
    rate: float
    sizes: dict[str, int]
    largest: list[Cluster]
    expected_collisions: float


class Duplicates(msgspec.Struct, frozen=True, kw_only=True):
    about: About
    kinds: dict[str, OfKind]


class _Found(NamedTuple):
    """Of a batch: kind -> its keys and how many of them each document has, (n_docs,); `lines` are
    the documents', `without` counts what was left out."""

    lines: NDArray[np.int64]
    keys: dict[str, tuple[NDArray[np.uint64], NDArray[np.int64]]]
    without: dict[str, int]
    excerpts: dict[str, str]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("kind", pa.dictionary(pa.int8(), pa.string())), ("hash", pa.uint64()),
            ("count", pa.int64()), ("file", pa.int32()), ("line", pa.int64()),
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class DuplicatesOf(Statistic):
    url_keys: tuple[str, ...]
    separator: str = "\n"
    max_keys: int = 1 << 25
    top: int = 20

    id: ClassVar[str] = "duplicates"
    asking: ClassVar[tuple[str, ...]] = ("top",)
    kernels: ClassVar[tuple[str, ...]] = ("hashing", "hash_order", "paragraphs")

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_of(self.url_keys)

    def start(self, shard: Shard) -> Measure:
        return lambda batch: found_in(batch, self.url_keys, self.separator)

    def gathering(self) -> Gathering:
        return _Counting(self)

    def empty(self) -> Partial:
        return _partial({kind: key_counts.nothing() for kind in KINDS}, dict.fromkeys(KINDS, 0), {})

    def merge(self, partials: Sequence[Partial]) -> Partial:
        parts = [counts_in(partial) for partial in partials]
        together = {
            kind: key_counts.merged([part[kind] for part in parts], self.max_keys) for kind in KINDS
        }
        without = {
            kind: sum(partial.notes[kind]["without"] for partial in partials) for kind in KINDS
        }
        excerpts: dict[str, str] = {}
        for partial in partials:
            for hash_, excerpt in partial.notes["excerpts"].items():
                excerpts.setdefault(hash_, excerpt)
        return _partial(together, without, excerpts)

    def answer(self, whole: Partial, about: About) -> Duplicates:
        found = counts_in(whole)
        kinds = {}
        for kind in KINDS:
            without = whole.notes[kind]["without"]
            excerpts = whole.notes["excerpts"] if kind == "paragraph" else {}
            kinds[kind] = _of_kind(found[kind], without, excerpts, self.top, about)
        return Duplicates(about=about, kinds=kinds)

    def text(self, answer: Duplicates) -> str:
        lines = []
        heads = [
            "",
            "in all",
            "without one",
            "distinct",
            "clusters",
            "in clusters",
            "removable",
            "",
        ]
        rows = []
        for name, kind in answer.kinds.items():
            figures = (kind.distinct, kind.clusters, kind.in_clusters, kind.removable)
            rows.append(
                [name, kind.keys, kind.without, *map(shown, figures),
                 tables.share(kind.removable.value, kind.keys)]
            )  # fmt: skip
        lines.append(tables.aligned(heads, rows))
        if not all(kind.distinct.exact for kind in answer.kinds.values()):
            lines.append("~ by a sample: within the figure after +- in 95 of 100 cases")
        for name, kind in answer.kinds.items():
            if kind.largest:
                rows = [
                    [one.count, tables.place(one.file, one.line), one.excerpt or ""]
                    for one in kind.largest
                ]
                lines += ["", tables.aligned([f"{name}, times", "first", ""], rows)]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Duplicates, about: About) -> dict[str, pa.Table]:
        import pyarrow as pa

        rows = [
            {"kind": name, "size": size, "clusters": n}
            for name, kind in answer.kinds.items()
            for size, n in kind.sizes.items()
        ]
        types = [("kind", pa.string()), ("size", pa.string()), ("clusters", pa.int64())]
        return {"sizes": pa.Table.from_pylist(rows, pa.schema(types))}


def found_in(batch: Batch, url_keys: Sequence[str], separator: str) -> _Found:
    """The keys of a batch of every kind; worked out once a batch."""

    def find(batch: Batch) -> _Found:
        texts = keys_of(batch, Selection())
        paragraphs = keys_of(batch, Selection(by="paragraph", separator=separator))
        values, _ = first_at(batch, url_keys)
        has_url = [isinstance(value, str) and bool(value.strip()) for value in values]
        rows = np.flatnonzero(has_url)
        urls = hashes_of(values[i] for i in rows.tolist())
        return _Found(
            batch.lines,
            {
                "text": (texts.hashes, texts.n_per_document),
                "url": (urls, np.bincount(rows, minlength=len(batch))),
                "paragraph": (paragraphs.hashes, paragraphs.n_per_document),
            },
            {
                "text": len(batch) - len(texts.hashes),
                "url": len(batch) - len(rows),
                "paragraph": paragraphs.n_left_out,
            },
            _excerpts(batch, paragraphs.hashes, paragraphs.n_per_document, paragraphs.spans),
        )

    return batch.once(f"keys by {separator!r} and {','.join(url_keys)}", find)


def hashes_of(strings: Iterable[str]) -> NDArray[np.uint64]:
    """(n,) uint64: XXH64 of each string's UTF-8."""
    encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    data = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
    found: NDArray[np.uint64] = kernels.hashing.hash_slices(data, offsets[:-1], offsets[1:], SEED)
    return found


def _excerpts(
    batch: Batch, hashes: NDArray[np.uint64], n_per_document: NDArray[np.int64], spans: Any
) -> dict[str, str]:
    """The begin of the paragraphs that a batch has most often, by their hash."""
    if not len(hashes):
        return {}
    order = kernels.hash_order.argsort(hashes)
    ordered = hashes[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(begins, append=len(ordered))
    frequent = np.flatnonzero(counts > 1)
    best = frequent[np.argsort(-counts[frequent], kind="stable")][:EXCERPTS_OF_BATCH]
    documents = np.repeat(np.arange(len(batch)), n_per_document)
    found = {}
    for i in best.tolist():
        at = int(order[begins[i]])
        start, end = int(spans[at][0]), int(spans[at][1])
        text = batch.texts[int(documents[at])][start : min(end, start + EXCERPT_CHARACTERS)]
        found[str(ordered[begins[i]])] = text.rstrip("\n")
    return found


class _Counting(Gathering):
    """Counts the keys of one file."""

    def __init__(self, statistic: DuplicatesOf) -> None:
        self._limit = statistic.max_keys
        self._counts = {kind: key_counts.nothing() for kind in KINDS}
        self._held: dict[str, list[tuple[NDArray[np.uint64], NDArray[np.int64]]]] = {
            kind: [] for kind in KINDS
        }
        self._without = dict.fromkeys(KINDS, 0)
        self._excerpts: dict[str, str] = {}

    def take(self, found: _Found) -> None:
        for kind in KINDS:
            hashes, n_per_document = found.keys[kind]
            self._held[kind].append((hashes, np.repeat(found.lines, n_per_document)))
            self._without[kind] += found.without[kind]
            if sum(len(hashes) for hashes, _ in self._held[kind]) >= HELD_KEYS:
                self._group(kind)
        for hash_, excerpt in found.excerpts.items():
            self._excerpts.setdefault(hash_, excerpt)

    def _group(self, kind: str) -> None:
        if self._held[kind]:
            hashes, lines = (np.concatenate(part) for part in zip(*self._held[kind], strict=True))
            known = self._counts[kind]
            more = key_counts.count(hashes, lines, known.threshold)
            self._counts[kind] = key_counts.merged([known, more], self._limit)
            self._held[kind] = []

    def partial(self) -> Partial:
        for kind in KINDS:
            self._group(kind)
        return _partial(self._counts, self._without, self._excerpts)


def counts_in(partial: Partial) -> dict[str, Counts]:
    """The counts of each kind in a partial."""
    kinds = partial.table.unify_dictionaries().column("kind").combine_chunks()
    if not hasattr(kinds, "dictionary"):
        kinds = kinds.dictionary_encode()
    codes = kinds.indices.to_numpy(zero_copy_only=False)
    names = kinds.dictionary.to_pylist()
    columns = [partial.table.column(name).to_numpy() for name in ("hash", "count", "file", "line")]
    found = {}
    for kind in KINDS:
        notes = partial.notes[kind]
        at = names.index(kind) if kind in names else -1
        a, b = np.searchsorted(codes, [at, at + 1]) if at >= 0 else (0, 0)
        found[kind] = Counts(
            columns[0][a:b], columns[1][a:b], columns[2][a:b], columns[3][a:b],
            int(notes["threshold"]), notes["keys"],
        )  # fmt: skip
    return found


def _partial(
    counts: dict[str, Counts], without: dict[str, int], excerpts: dict[str, str]
) -> Partial:
    import pyarrow as pa

    sizes = [len(counts[kind].hashes) for kind in KINDS]
    codes = np.repeat(np.arange(len(KINDS), dtype=np.int8), sizes)
    kinds = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(KINDS, pa.string()))
    columns = [
        np.concatenate([getattr(counts[kind], name) for kind in KINDS])
        for name in ("hashes", "counts", "files", "lines")
    ]
    table = pa.table([kinds, *map(pa.array, columns)], schema=schema())
    notes: dict[str, Any] = {
        kind: {
            "threshold": str(counts[kind].threshold),
            "keys": counts[kind].n_keys,
            "without": without[kind],
        }
        for kind in KINDS
    }
    notes["excerpts"] = _most_frequent(excerpts, counts["paragraph"])
    return Partial(notes, table)


def _most_frequent(excerpts: dict[str, str], counts: Counts) -> dict[str, str]:
    """The excerpts of the keys that occur most."""
    hashes = np.array([int(name) for name in excerpts], np.uint64)
    at = np.searchsorted(counts.hashes, hashes)
    inside = np.minimum(at, max(len(counts.hashes) - 1, 0))
    often = np.zeros(len(hashes), np.int64)
    if len(counts.hashes):
        often = np.where(counts.hashes[inside] == hashes, counts.counts[inside], 0)
    names = list(excerpts)
    best = np.argsort(-often, kind="stable")[:EXCERPTS].tolist()
    return {names[i]: excerpts[names[i]] for i in sorted(best, key=lambda i: names[i])}


def _of_kind(
    found: Counts, without: int, excerpts: dict[str, str], top: int, about: About
) -> OfKind:
    counts = found.counts
    several = counts > 1
    distinct = key_counts.distinct(found)
    is_exact = found.threshold >= ALL
    rows = np.flatnonzero(several)
    if len(rows) > top:  # those that have no less than the last one shown
        rows = rows[counts[rows] >= np.sort(counts[rows])[-top]]
    best = rows[np.lexsort((found.lines[rows], found.files[rows], -counts[rows]))][:top]
    if is_exact:
        more = float(found.n_keys - len(counts))
        removable = Estimate(more, more, more, True)
    else:
        value, low, high = (
            max(found.n_keys - bound, 0.0)
            for bound in (distinct.value, distinct.high, distinct.low)
        )
        removable = Estimate(value, low, high, False)
    return OfKind(
        keys=found.n_keys,
        without=without,
        distinct=distinct,
        clusters=key_counts.total(found, several.astype(np.float64)),
        in_clusters=key_counts.total(found, np.where(several, counts, 0).astype(np.float64)),
        removable=removable,
        rate=removable.value / found.n_keys if found.n_keys else 0.0,
        sizes=_sizes(counts[several]),
        largest=[
            Cluster(
                count=int(counts[i]), file=about.files[int(found.files[i])],
                line=int(found.lines[i]), excerpt=excerpts.get(str(found.hashes[i])),
            )
            for i in best.tolist()
        ],
        expected_collisions=key_counts.expected_collisions(distinct.value),
    )  # fmt: skip


def _sizes(counts: NDArray[np.int64]) -> dict[str, int]:
    """How many clusters have 2, 3 to 4, 5 to 8, ... members."""
    levels = np.ceil(np.log2(counts)).astype(np.int64)
    found = {}
    for level in np.unique(levels).tolist():
        low, high = (1 << (level - 1)) + 1, 1 << level
        name = str(high) if low == high else f"{low}-{high}"
        found[name] = int(np.count_nonzero(levels == level))
    return found


def shown(estimate: Estimate) -> str:
    """A figure, and how sure it is where it is an estimate."""
    if estimate.exact:
        return f"{round(estimate.value):,}"
    return f"~{round(estimate.value):,} +- {round((estimate.high - estimate.low) / 2):,}"
