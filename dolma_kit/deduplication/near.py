"""De-duplication by MinHash: documents that are nearly the same.

Five phases. `hashing`, a unit a file, reads the documents and leaves the keys of their bands on
disk (`kernels.minhash`); `banding`, a unit a band and partition, finds those that share a key;
`joining` makes forests of such links (`linking`); `clustering`, one unit, makes clusters of those,
in memory of 24 bytes a document; `writing`, a unit a file, makes the attribute files. The first of
a cluster in canonical order is kept. Words are compared in lower case.

Two documents of Jaccard similarity s share a key in one of b bands of r rows with the probability
1 - (1 - s^r)^b. Bands and rows are chosen for `threshold` by datasketch, which makes the areas of
false positives below and false negatives above it smallest, or given. What is linked is linked by
that chance alone: no candidate is compared again.

Columns: `name`, 1.0 for what is to go, else 0.0; `<name>_cluster`, the number of the document that
is kept in canonical order, from 0; `<name>_cluster_size`. A document without words has neither of
the two, and is no duplicate. Beside the first attribute folder, `<experiment>.duplicates.parquet`
has a row for each document that is to go: `id`, `src`, `line`, then `kept_id`, `kept_src` and
`kept_line` of the one that stays, and the cluster's `size`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dolma_kit import attribute_files, attributes, files, kernels, parquet
from dolma_kit.attributes import Format, Kind
from dolma_kit.deduplication import keeping, linking
from dolma_kit.deduplication.inputs import Inputs
from dolma_kit.deduplication.linking import find_edges, join, roots_of
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Plan, Unit
from dolma_kit.execute.reading import Read, Sink
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.config import Dedupe

BANDING, JOINING, CLUSTERING = "banding", "joining", "clustering"
FOUND = "found.json"
KINDS = ("roots", "sizes")
LIST_COLUMNS = {"id": "string", "src": "string", "line": "int64", "kept_id": "string",
                "kept_src": "string", "kept_line": "int64", "size": "int64"}  # fmt: skip
KERNELS = ("unicode", "lowercase", "minhash", "clusters")
PERMUTATIONS = 128  # what datasketch may share out among bands


class Shape(NamedTuple):
    """How signatures are made and cut: n-grams of `n` words, `bands` bands of `rows` numbers."""

    n: int
    bands: int
    rows: int
    seed: int


def shape_of(settings: Dedupe) -> Shape:
    """The shape that settings ask for; datasketch chooses bands and rows where none are given."""
    bands, rows = settings.bands, settings.rows
    if (bands is None) != (rows is None):
        raise ConfigError("--bands and --rows go together: give both, or neither and --threshold")
    if bands is None or rows is None:
        from datasketch import MinHashLSH

        chosen = MinHashLSH(threshold=settings.threshold, num_perm=PERMUTATIONS)
        bands, rows = chosen.b, chosen.r
    return Shape(settings.ngram_length, bands, rows, settings.seed)


@dataclass(frozen=True)
class SignTask:
    """One file of documents to sign, number `number` in canonical order."""

    number: int
    temporary: str
    shape: Shape


@dataclass(frozen=True)
class ClusterTask:
    """The forests of all groups of edges, to be made clusters."""

    forests: tuple[str, ...]
    n_inputs: int
    temporary: str
    left_out: str = "without_words"  # what the count of documents that take no part is called
    by_place: bool = False  # which one is kept, the places of documents say, see `keeping`


@dataclass(frozen=True)
class WriteTask:
    """One attribute file to write; `made_by` goes into it."""

    number: int
    n_inputs: int
    temporary: str
    output: str
    format: Format
    name: str
    made_by: dict[str, Any]


@dataclass(frozen=True)
class ListTask:
    """The list of all duplicates to write; `srcs` are the inputs' names in it."""

    temporary: str
    output: str
    srcs: tuple[str, ...]
    made_by: dict[str, Any]


def plan(inputs: Inputs) -> Plan:
    """A file's signatures, and all that follows, belong to the first folder's ledger."""
    settings, temporary, n = inputs.settings, inputs.temporary, len(inputs)
    if settings.by != "document" or settings.key != "text":
        raise ConfigError("--method minhash compares the texts of documents: no --by, no --key")
    shape = shape_of(settings)
    name, format = inputs.name, settings.format
    made_by = inputs.made_by | {"bands": shape.bands, "rows": shape.rows}
    finding, joining = linking.tasks(shape.bands, settings.partitions, n, temporary)
    ranking, more = keeping.ranking(inputs)
    clustering = ClusterTask(
        tuple(one.forest for one in joining), n, temporary, by_place=bool(ranking)
    )
    writing = inputs.writing(
        write, lambda i, path: WriteTask(i, n, temporary, path, format, name, made_by)
    )
    listing = list_task(inputs, made_by)
    list_unit = Unit(
        "duplicates", listing, inputs.paths, inputs.folders[0], 0, (glob.escape(listing.output),)
    )
    phases = [
        inputs.reading(Signer, SignSink, lambda i: SignTask(i, temporary, shape)),
        inputs.between(
            BANDING, find_edges, {f"{BANDING} {one.band}.{one.part}": one for one in finding}
        ),
        *ranking,
        inputs.between(JOINING, join, {f"{JOINING} {i}": one for i, one in enumerate(joining)}),
        inputs.between(CLUSTERING, cluster, {CLUSTERING: clustering}),
        dataclasses.replace(writing, units=[*writing.units, list_unit]),
    ]
    return inputs.plan(phases, columns(name), KERNELS, more)


def list_task(inputs: Inputs, made_by: dict[str, Any]) -> ListTask:
    srcs = tuple(shard.src for shard, _ in inputs.shards)
    return ListTask(inputs.temporary, f"{inputs.folders[0]}.duplicates.parquet", srcs, made_by)


def columns(name: str) -> dict[str, Kind]:
    """The columns that are written, in their order."""
    column = attributes.column_name(name)
    return {column: "score", f"{column}_cluster": "score", f"{column}_cluster_size": "score"}


class Signer:
    """The worker: the keys of each document's bands, (n_bands, n_docs), and what writing needs."""

    def __init__(self, task: SignTask) -> None:
        shape = task.shape
        self._shape = shape
        self._permuted_by = kernels.minhash.permutations(shape.bands * shape.rows, shape.seed)

    def __call__(self, batch: Batch) -> tuple[pa.RecordBatch, NDArray[np.uint64]]:
        import numpy as np

        from dolma_kit.execute.spill import rows_of

        bounds = batch.offsets[:-1], batch.offsets[1:]
        text, starts, ends = kernels.lowercase.lower(batch.text_bytes, *bounds)
        shape = self._shape
        found, n_grams = kernels.minhash.signatures(text, starts, ends, shape.n, self._permuted_by)
        keys = kernels.minhash.band_keys(found, shape.bands, shape.rows)
        return rows_of(batch, (n_grams > 0).astype(np.int64)), keys


class SignSink(Sink):
    """The sink: rows as they come; keys band by band at the end, held until then."""

    def __init__(self, task: SignTask) -> None:
        from dolma_kit.execute.spill import Spill, SpillWriter

        self._writer = SpillWriter(Spill(task.temporary, task.number), ("bands",))
        self._n_bands = task.shape.bands
        self._keys: list[NDArray[np.uint64]] = []
        self._broken = True

    def open(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self._writer)

    def take(self, answer: tuple[pa.RecordBatch, NDArray[np.uint64]]) -> None:
        rows, keys = answer
        self._writer.write(rows)
        self._keys.append(keys)

    def end(self, read: Read) -> None:
        self._broken = False
        for band in range(self._n_bands):
            for keys in self._keys:
                self._writer.write(bands=keys[band])

    def result(self, read: Read) -> Result:
        self._writer.finish(read, set_aside=self._broken)
        return Result(outputs=self._writer.outputs, counts={"keys": read.documents})


def cluster(task: ClusterTask) -> Result:
    """Make clusters of all edges: the first of each document's, and how many are in it."""
    import numpy as np

    from dolma_kit.execute.spill import Spill

    spills = [Spill(task.temporary, i) for i in range(task.n_inputs)]
    roots = roots_of(sum(spill.about().documents for spill in spills), task.forests)
    if task.by_place:
        roots = keeping.first_of_each(roots, keeping.places_in(task.temporary))
    sizes = np.bincount(roots, minlength=len(roots))
    n_words = np.concatenate([spill.n_keys_of_documents() for spill in spills])
    found = {
        "documents": len(roots),
        task.left_out: int((n_words == 0).sum()),
        "duplicates": int((roots != np.arange(len(roots))).sum()),
        "clusters": int((sizes > 1).sum()),
        "largest_cluster": int(sizes.max(initial=0)),
    }
    outputs = []
    for kind, array in zip(KINDS, (roots, sizes[roots]), strict=True):
        outputs.append(os.path.join(task.temporary, f"clusters.{kind}"))
        with files.write_atomically(outputs[-1], synced=False) as stream:
            stream.write(array.astype("<i8", copy=False).tobytes())
    outputs.append(os.path.join(task.temporary, FOUND))
    with files.write_atomically(outputs[-1], synced=False) as stream:
        stream.write(msgspec.json.encode(found, order="deterministic"))
    return Result(outputs=outputs, counts=found)


def _clusters(temporary: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n_docs,) each, mapped from disk: the first of each one's cluster, and its size."""
    from dolma_kit.execute.spill import mapped

    roots, sizes = (mapped(os.path.join(temporary, f"clusters.{k}"), "<i8") for k in KINDS)
    return roots, sizes


def write(task: WriteTask | ListTask) -> Result:
    """Make one attribute file, or the list of duplicates."""
    return _write_list(task) if isinstance(task, ListTask) else _write_attributes(task)


def found_in(temporary: str) -> dict[str, int]:
    with open(os.path.join(temporary, FOUND), "rb") as stream:
        return msgspec.json.decode(stream.read(), type=dict[str, int])


def _write_attributes(task: WriteTask) -> Result:
    import numpy as np

    from dolma_kit.execute.spill import Spill

    spill = Spill(task.temporary, task.number)
    about = spill.about()
    counts = {"sha256": about.sha256, "found": found_in(task.temporary)}
    if about.set_aside:
        return Result(counts={**counts, "duplicates": 0})
    roots, sizes = _clusters(task.temporary)
    before = (Spill(task.temporary, i).about().documents for i in range(task.number))
    first, n_duplicates = sum(before), 0
    kinds = columns(task.name)
    with (
        files.write_atomically(task.output) as output,
        attribute_files.Writer(output, task.format, kinds, task.made_by) as writer,
    ):
        for rows in spill.rows():
            last = first + rows.num_rows
            is_duplicate = roots[first:last] != np.arange(first, last)
            has_words = rows.column("n_keys").to_numpy() > 0
            values = (
                is_duplicate.astype(np.float64),
                np.where(has_words, roots[first:last], np.nan),
                np.where(has_words, sizes[first:last], np.nan),
            )
            writer.write(
                attribute_files.rows(
                    rows.column("id"),
                    rows.column("source"),
                    rows.column("n_characters").to_numpy(),
                    dict(zip(kinds, values, strict=True)),
                    task.format,
                    kinds,
                )
            )
            n_duplicates += int(is_duplicate.sum())
            first = last
    return Result(
        documents=about.documents,
        bytes_in=about.bytes_in,
        bytes_out=files.size(task.output),
        outputs=[task.output],
        counts={**counts, "duplicates": n_duplicates},
    )


def _write_list(task: ListTask) -> Result:
    """Goes through the documents twice: for those that are kept, whose ids it remembers where a
    cluster has others, then for those others."""
    import numpy as np
    import pyarrow as pa

    roots, sizes = _clusters(task.temporary)
    kept: dict[int, tuple[str, str, int]] = {}
    numbers = np.arange(len(roots))
    for first, src, rows in _all_rows(task):
        span = slice(first, first + rows.num_rows)
        stays = np.flatnonzero((roots[span] == numbers[span]) & (sizes[span] > 1))
        for i in stays.tolist():
            kept[first + i] = (rows["id"][i].as_py(), src, rows["line"][i].as_py())
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in LIST_COLUMNS.items()])
    note = msgspec.json.encode({"version": 1, **task.made_by}, order="deterministic")
    schema = schema.with_metadata({attribute_files.METADATA_KEY: note})
    with (
        files.write_atomically(task.output) as output,
        parquet.writing(output, schema, compression="zstd") as writer,
    ):
        for first, src, rows in _all_rows(task):
            span = slice(first, first + rows.num_rows)
            goes = np.flatnonzero(roots[span] != numbers[span])
            of_kept = [kept[root] for root in roots[span][goes].tolist()]
            columns = [
                rows["id"].take(pa.array(goes)),
                pa.array([src] * len(goes), pa.string()),
                rows["line"].take(pa.array(goes)),
                *(pa.array([row[i] for row in of_kept], schema.types[3 + i]) for i in range(3)),
                pa.array(sizes[span][goes]),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    counts = {"found": found_in(task.temporary)}
    return Result(bytes_out=files.size(task.output), outputs=[task.output], counts=counts)


def _all_rows(task: ListTask) -> Iterator[tuple[int, str, pa.RecordBatch]]:
    """The number of the first document, the file's name and rows, batch by batch."""
    from dolma_kit.execute.spill import Spill

    first = 0
    for i, src in enumerate(task.srcs):
        for rows in Spill(task.temporary, i).rows():
            yield first, src, rows
            first += rows.num_rows
