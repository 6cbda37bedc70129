"""What is compared: a batch of documents becomes keys, and keys become 64-bit hashes.

By document a key is its `text`, its `id`, or a string in its metadata, named by a dotted path. By
paragraph, each piece of the text between separators is one. A hash is XXH64 (seed 0) of the key's
UTF-8; keys that are equal byte by byte are duplicates, nothing is normalized. By n-gram, there is
a key for each distinct n-gram of a paragraph (`kernels.word_ngrams`); being distinct, none of them
is ever known by another of the same paragraph.

Some keys take no part: they are neither remembered nor ever duplicates. Those are the ones of
nothing but white space (unless `skip_empty` is false), the ones of fewer than `min_length` code
points and of fewer than `min_words` white-space words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from dolma_kit.documents import Batch

SEED, CHECK_SEED = np.uint64(0), np.uint64(1)


@dataclass(frozen=True)
class Selection:
    """Which parts of a document are keys; the fields are those of `config.Dedupe`."""

    by: Literal["document", "paragraph", "ngram"] = "document"
    key: str = "text"
    separator: str = "\n"
    min_length: int = 0
    min_words: int = 0
    skip_empty: bool = True
    ngram_length: int | None = None  # this and those below by n-gram only
    stride: int | None = None
    skip_short_paragraphs: bool | None = None

    def __post_init__(self) -> None:
        parts = self.key.split(".")
        if self.key not in ("text", "id") and (
            parts[0] != "metadata" or len(parts) < 2 or not all(parts)
        ):
            raise ConfigError(
                f"no key {self.key!r}: it is text, id, or a path into the metadata: metadata.url"
            )
        if self.by != "document" and self.key != "text":
            raise ConfigError(f"paragraphs are those of the text: no key {self.key!r} with them")


class Keys(NamedTuple):
    """The keys of a batch that take part, document by document in order.

    `spans` are the paragraphs' places in code points of their document, separator included; by
    document None. By n-gram a span has many keys.
    """

    hashes: NDArray[np.uint64]  # (n_keys,)
    n_per_document: NDArray[np.int64]  # (n_docs,)
    spans: NDArray[np.int64] | None  # (n_spans, 2) start, end
    # (n_spans, 2): keys, and how many of them, the last ones, say whether the span is a duplicate
    n_per_span: NDArray[np.int64] | None = None
    spans_per_document: NDArray[np.int64] | None = None  # (n_docs,)
    checks: NDArray[np.uint64] | None = None  # (n_keys,): a second hash, if it was asked for
    n_left_out: int = 0  # paragraphs that take no part


def keys_of(batch: Batch, selection: Selection, *, with_checks: bool = False) -> Keys:
    """The batch's keys; DataError, with file and line, for a document that has not got its own.

    `with_checks` hashes them a second time, with CHECK_SEED; not by n-gram.
    """
    if selection.by != "document":
        return _paragraph_keys(batch, selection, with_checks)
    if selection.key == "text":
        data, offsets = batch.text_bytes, batch.offsets
    elif selection.key == "id":
        data, offsets = _buffers(batch.table.column("id").cast(pa.large_string()))
    else:
        data, offsets = _buffers(_from_metadata(batch, selection.key))
    starts, ends = offsets[:-1], offsets[1:]
    chosen = np.ones(len(batch), np.bool_)
    if selection.min_length > 0:
        chosen &= kernels.paragraphs.code_points(data, starts, ends) >= selection.min_length
    chosen &= _worth_keeping(data, starts, ends, selection)
    hashes, checks = _hashes(data, starts[chosen], ends[chosen], with_checks)
    return Keys(hashes, chosen.astype(np.int64), None, checks=checks)


def _hashes(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], with_checks: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64] | None]:
    hashes = kernels.hashing.hash_slices(data, starts, ends, SEED)
    if not with_checks:
        return hashes, None
    return hashes, kernels.hashing.hash_slices(data, starts, ends, CHECK_SEED)


def _paragraph_keys(batch: Batch, selection: Selection, with_checks: bool) -> Keys:
    separator = np.frombuffer(selection.separator.encode(), np.uint8)
    data = batch.text_bytes
    first, starts, ends, from_, to = kernels.paragraphs.split(data, batch.offsets, separator)
    chosen = _worth_keeping(data, starts, ends, selection)
    if selection.min_length > 0:
        chosen &= kernels.paragraphs.code_points(data, starts, ends) >= selection.min_length
    where = np.flatnonzero(chosen)
    if selection.by == "paragraph":
        hashes, checks = _hashes(data, starts[where], ends[where], with_checks)
        n_per_document = np.diff(np.searchsorted(where, first)).astype(np.int64)
        spans = np.stack((from_[where], to[where]), axis=1)
        left_out = len(chosen) - len(where)
        return Keys(hashes, n_per_document, spans, checks=checks, n_left_out=left_out)
    assert selection.ngram_length is not None
    hashes, n_per_slice, n_counting = kernels.word_ngrams.of_slices(
        data, starts[where], ends[where], selection.ngram_length, selection.stride or 1,
        skip_short=bool(selection.skip_short_paragraphs),
    )  # fmt: skip
    has_keys = np.flatnonzero(n_per_slice)
    where = where[has_keys]
    n_per_span = np.stack((n_per_slice, n_counting), axis=1)[has_keys]
    bounds = np.searchsorted(where, first)
    offsets = np.concatenate(([0], np.cumsum(n_per_span[:, 0])))[bounds]
    spans = np.stack((from_[where], to[where]), axis=1)
    spans_per_document = np.diff(bounds).astype(np.int64)
    return Keys(hashes, np.diff(offsets).astype(np.int64), spans, n_per_span, spans_per_document)


def _worth_keeping(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    selection: Selection,
) -> NDArray[np.bool_]:
    """Which slices `skip_empty` and `min_words` let pass: (n,) bool, the caller's to change."""
    chosen: NDArray[np.bool_] = np.ones(len(starts), np.bool_)
    if selection.skip_empty:
        np.logical_not(kernels.paragraphs.blank(data, starts, ends), out=chosen)
    if selection.min_words > 0:
        chosen &= kernels.paragraphs.words(data, starts, ends) >= selection.min_words
    return chosen


def _buffers(strings: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes (n_bytes,) and offsets (n + 1,) of strings that hold no null; no copy."""
    n = len(strings)
    _, offsets, data = strings.buffers()
    if n == 0 or data is None or not data.size:
        return np.zeros(0, np.uint8), np.zeros(n + 1, np.int64)
    starts = np.frombuffer(offsets, np.int64, n + 1, strings.offset * 8)
    return np.frombuffer(data, np.uint8), starts


def _from_metadata(batch: Batch, key: str) -> pa.LargeStringArray:
    """The string at a dotted path of each document's metadata."""
    path = key.split(".")[1:]
    decoder = msgspec.json.Decoder(_shape(path))
    values = []
    for i, raw in enumerate(batch.table.column("metadata").to_pylist()):
        value: Any = msgspec.UNSET
        if raw is not None:
            try:
                value = decoder.decode(raw)
            except msgspec.ValidationError as error:  # an object was expected on the way
                raise _unfit(batch, i, key, f"cannot be reached: {error}") from None
            for _ in path:
                value = value.value if value is not msgspec.UNSET else value
        if not isinstance(value, str):
            kind = "is missing" if value is msgspec.UNSET else f"is {_json_kind(value)}"
            raise _unfit(batch, i, key, kind)
        values.append(value)
    return pa.array(values, pa.large_string())


def _unfit(batch: Batch, i: int, key: str, what: str) -> DataError:
    return DataError(
        batch.path,
        int(batch.lines[i]),
        f"the key {key} {what}, a key is a string: give every document one, or take another --key",
    )


def _shape(path: Sequence[str]) -> type[msgspec.Struct]:
    """A struct that decodes one path of a JSON object as `.value.value...` and skips the rest."""
    inner: Any = Any if len(path) == 1 else _shape(path[1:])
    return msgspec.defstruct(
        "Level", [("value", inner | msgspec.UnsetType if len(path) > 1 else Any, msgspec.UNSET)],
        rename={"value": path[0]},
    )  # fmt: skip


def _json_kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return {int: "a number", float: "a number", list: "a list"}.get(type(value), "an object")
