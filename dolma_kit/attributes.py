"""Attributes: what taggers and deduplication say of documents, in files beside the documents.

Two formats, read everywhere: Parquet (native: `id` and one column a key, version in the schema's
metadata) and Dolma's JSONL (`{"id", "attributes": {key: [[start, end, score], ...]}, "source"}`).
Row i belongs to the i-th readable document and carries its id. A column is a *score*, one float64
a document (in JSONL `[[0, length, score]]`), or *spans*, `list<struct<start, end, score>>` in code
points of the text, end exclusive, never beyond the text. NaN and null mean: no value.
"""

from __future__ import annotations

import functools
import glob
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from dolma_kit import files
from dolma_kit.errors import ConfigError, MissingAttributes, VerificationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.layout import Shard
    from dolma_kit.plugins import Plugin

Kind = Literal["score", "spans"]
Format = Literal["parquet", "jsonl"]
SUFFIXES: dict[Format, str] = {"parquet": ".parquet", "jsonl": ".jsonl.gz"}
JSONL_SUFFIXES = (".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".jsonl", ".json")


class Spans(NamedTuple):
    """Spans of a batch: those of document i are rows `offsets[i]` to `offsets[i + 1]`."""

    offsets: NDArray[np.int64]  # (n_docs + 1,)
    start: NDArray[np.int64]  # (n_spans,) code points
    end: NDArray[np.int64]  # (n_spans,) code points, exclusive
    score: NDArray[np.float64]  # (n_spans,)


Columns = dict[str, "NDArray[np.float64] | Spans"]


@functools.lru_cache(maxsize=1 << 12)
def checked_name(name: str, key: str) -> str:
    """A name that can stand in a path and in a column."""
    if not name:
        raise ConfigError(f"no {key}: give one with --{key}")
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
        raise ConfigError(
            f"{key} {name!r} cannot name a folder or column: letters, digits, _ . - after a letter"
        )
    return name


def column_name(*parts: str) -> str:
    """Dolma's key: parts joined by `__`, characters other than letters, digits and `_` replaced.

    >>> column_name("q", "gopher_v2", "word_count")
    'q__gopher_v2__word_count'
    """
    name = "__".join(re.sub(r"[^a-zA-Z0-9_]", "_", part) for part in parts)
    if name[:1].isdigit():
        raise ConfigError(f"{name!r} cannot name a column: let the experiment start with a letter")
    return name


def schema(kinds: Mapping[str, Kind]) -> pa.Schema:
    import pyarrow as pa

    span = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())])
    types: dict[Kind, pa.DataType] = {"score": pa.float64(), "spans": pa.list_(span)}
    return pa.schema([("id", pa.string()), *((name, types[kind]) for name, kind in kinds.items())])


def to_arrow(ids: pa.Array, columns: Columns, kinds: Mapping[str, Kind]) -> pa.RecordBatch:
    """`id` and the columns as Arrow; NaN scores become null."""
    import numpy as np
    import pyarrow as pa

    arrays = [ids.cast(pa.string())]
    for name in kinds:
        value = columns[name]
        if isinstance(value, Spans):
            fields = [pa.array(value.start), pa.array(value.end), pa.array(value.score)]
            spans = pa.StructArray.from_arrays(fields, names=["start", "end", "score"])
            arrays.append(pa.ListArray.from_arrays(pa.array(value.offsets.astype(np.int32)), spans))
        else:
            scores = np.asarray(value, np.float64)
            arrays.append(pa.array(scores, mask=np.isnan(scores)))
    return pa.RecordBatch.from_arrays(arrays, schema=schema(kinds))


def claims(stem: str, format: Format) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Glob patterns of the attribute file of a stem, and of those that would be its rivals."""
    path = glob.escape(stem + SUFFIXES[format])
    others = (".parquet", *JSONL_SUFFIXES)
    return (path,), tuple(p for p in (glob.escape(stem) + s for s in others) if p != path)


def locate(shard: Shard, experiment: str) -> tuple[str, Format]:
    """The attribute file of a shard; none, or one in each format, is an error.

    `experiment` names a folder under the shard's `attributes/`, or is a path to such a folder.
    """
    stem = f"{_folder(shard, experiment)}/{shard.tree}"
    found: list[tuple[str, Format]] = []
    if files.exists(f"{stem}.parquet"):
        found.append((f"{stem}.parquet", "parquet"))
    for suffix in JSONL_SUFFIXES:
        if files.exists(stem + suffix):
            found.append((stem + suffix, "jsonl"))
    if not found:
        raise _missing(shard, experiment)
    if len(found) > 1:
        raise VerificationError(f"{found[0][0]} and {found[1][0]} both claim to be one: remove one")
    return found[0]


def _missing(shard: Shard, experiment: str) -> MissingAttributes:
    stem = f"{_folder(shard, experiment)}/{shard.tree}"
    return MissingAttributes(
        f"{shard.path} has no attributes {experiment!r}: neither {stem}.parquet nor "
        f"{stem}.jsonl.gz is there; make them, or take {experiment!r} out"
    )


def require(shard: Shard, experiments: Sequence[str]) -> None:
    """Raise for the first of the experiments of which a shard has no attributes."""
    for experiment in experiments:
        locate(shard, experiment)


def locate_if_there(shard: Shard, experiment: str) -> tuple[str, Format] | None:
    """The same, but None where a shard has none: what a file that was set aside has not."""
    try:
        return locate(shard, experiment)
    except MissingAttributes:
        return None


def values_of(column: pa.ChunkedArray, kind: Kind) -> NDArray[np.float64] | Spans:
    """A column as arrays: scores with NaN for null, or spans with nothing for null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    if kind == "score":
        scores: NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
        return scores
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy(), out=offsets[1:])
    fields = array.flatten()  # respects the slice and leaves out null lists
    start, end, score = (fields.field(i).to_numpy() for i in range(3))
    return Spans(offsets, start, end, score)


def declared_kind(name: str, given: Sequence[Plugin] = ()) -> Kind | None:
    """The kind that the registry declares for a column `experiment__tagger__key`, if it does."""
    from dolma_kit import registry

    parts = name.split("__", 2)
    if len(parts) != 3:
        return "score" if name.endswith("_fraction") else None
    by_name = {column_name(e.id): e for e in registry.entries("taggers", given).values()}
    entry = by_name.get(parts[1])
    if entry is None or any(field.required for field in msgspec.structs.fields(entry.load())):
        return None
    made = registry.tagger(entry.id, given)
    by_column = {column_name(key): k for key, k in made.keys.items()}
    return by_column.get(parts[2])


def declared_columns(shard: Shard, experiment: str) -> dict[str, Kind]:
    """The columns that the ledger beside a shard's attributes declares; empty without a ledger."""
    from dolma_kit import ledger

    header = ledger.read_header(_folder(shard, experiment))
    columns: dict[str, Kind] = header.config.get("columns", {}) if header else {}
    return columns


def _folder(shard: Shard, experiment: str) -> str:
    """The folder of an experiment, given by name or by path."""
    if "/" in experiment:
        return experiment.rstrip("/")
    return shard.attribute_stem(experiment)[: -len(shard.tree) - 1]
