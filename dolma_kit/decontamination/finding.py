"""What rules work on and what they find.

A `Rule` is made of parameters; `index` turns the items of evaluations into arrays, once a run; with
these, workers have a `Finder` that looks at batches of documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dolma_kit import kernels

if TYPE_CHECKING:
    from dolma_kit.decontamination.items import Item
    from dolma_kit.documents import Batch
    from dolma_kit.kernels.ngram_table import NgramTable

Arrays = Mapping[str, NDArray[Any]]


Part = Literal["question", "passage", "answer", "choices"]
Normalization = Literal["words", "case", "none"]
Positive = Annotated[int, Meta(ge=1)]
Length = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, le=1)]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="id"):
    """A rule by its parameters; these are what becomes of documents in which it finds something.

    `max_documents`: what is found in more documents than that is taken for common text and counts
    no more. `action` drop: all of the document goes; cut: the places, with `cut_characters` on
    either side, and of what is left the pieces of fewer than `min_rest`; of a text that would be in
    more than `max_pieces`, all.
    """

    max_documents: Positive | None = None
    action: Literal["drop", "cut"] = "drop"
    cut_characters: Length = 0
    min_rest: Length = 0
    max_pieces: Positive | None = None

    #: kernels that index or finder need
    kernels: ClassVar[tuple[str, ...]] = ("normal_words", "ngram_table")

    @property
    def id(self) -> str:
        return str(type(self).__struct_config__.tag)

    def index(self, items: Sequence[Item]) -> Index:
        """What finders look for."""
        raise NotImplementedError

    def finder(self, arrays: Arrays) -> Finder:
        """One that finds what is in an index's arrays."""
        raise NotImplementedError


class Words(NamedTuple):
    """The words of texts, one after the other (`kernels.normal_words`)."""

    offsets: NDArray[np.int64]  # (n_texts + 1,): where the words of each begin
    hashes: NDArray[np.uint64]  # (n_words,)
    spans: NDArray[np.uint32]  # (n_words, 2): start and end in code points of the text

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n_texts,) int64"""
        return np.diff(self.offsets)

    def text_of(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the text in which each of `words` stands."""
        return np.searchsorted(self.offsets, words, "right") - 1


class Found(NamedTuple):
    """What a rule found in a batch: a hit is a document and an item that it holds.

    Hits are sorted by document, then item, then needle. Places are what of a document's text
    matches, in code points; hit i has `places[place_offsets[i]:place_offsets[i + 1]]`, ascending.
    """

    scores: NDArray[np.float64]  # (n_docs,): the rule's score, whether or not it makes a hit
    documents: NDArray[np.int64]  # (n_hits,): the row in the batch
    items: NDArray[np.int64]  # (n_hits,)
    needles: NDArray[np.int64]  # (n_hits,): what was found: an n-gram, a paragraph, or the item
    hit_scores: NDArray[np.float64]  # (n_hits,)
    place_offsets: NDArray[np.int64]  # (n_hits + 1,)
    places: NDArray[np.int64]  # (n_places, 2): start, end
    #: numbers of windows that were found at all, for rules that add up over documents
    windows: NDArray[np.int64] = np.zeros(0, np.int64)


class Index(NamedTuple):
    """An index of items. `arrays` is what finders need; of each item, whether it is in it.

    `left_out` (n_items,) uint8: 0 if the rule can find the item, else the place of the reason in
    `reasons`, counted from 1.
    """

    arrays: dict[str, NDArray[Any]]
    left_out: NDArray[np.uint8]
    reasons: tuple[str, ...]


class Postings(NamedTuple):
    """Which items have which of the distinct keys, and where.

    Key number i is in `items[offsets[i]:offsets[i + 1]]`, ascending, at `positions` in them.
    """

    table: NgramTable
    offsets: NDArray[np.int64]  # (n_keys + 1,)
    items: NDArray[np.int32]  # (n,)
    positions: NDArray[np.int32]  # (n,)

    @classmethod
    def of(
        cls, keys: NDArray[np.uint64], items: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> Postings:
        """Of keys, all (n,), each with its item and its place in it."""
        distinct, numbers = np.unique(keys, return_inverse=True)
        order = np.lexsort((positions, items, numbers))
        offsets = np.concatenate(([0], np.cumsum(np.bincount(numbers, minlength=len(distinct)))))
        return cls(
            kernels.ngram_table.build(distinct), offsets.astype(np.int64),
            items[order].astype(np.int32), positions[order].astype(np.int32),
        )  # fmt: skip

    @property
    def n_keys(self) -> int:
        return len(self.offsets) - 1

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """For `from_arrays`, with names that begin with `prefix`."""
        own = {**self.table._asdict(), **self._asdict()}
        del own["table"]
        return {f"{prefix}.{name}": array for name, array in own.items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Postings:
        def own(*names: str) -> list[NDArray[Any]]:
            return [arrays[f"{prefix}.{name}"] for name in names]

        return cls(
            kernels.ngram_table.NgramTable(*own("bits", "keys", "ids")),
            *own("offsets", "items", "positions"),
        )

    def expanded(
        self, ids: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All postings of some keys: the index of each in `ids`, its item, its place in that."""
        counts = self.offsets[ids + 1] - self.offsets[ids]
        which = np.repeat(np.arange(len(ids)), counts)
        within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        own = self.offsets[ids][which] + within
        return which, self.items[own].astype(np.int64), self.positions[own].astype(np.int64)


class Finder(Protocol):
    """Looks at batches for one rule; `words_of` gives the words of a batch's texts."""

    def __call__(self, batch: Batch, words_of: WordsOf, /) -> Found: ...


class WordsOf:
    """The words of a batch, made once for each normalization that is asked for."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._made: dict[str, Words] = {}

    def __call__(self, normalization: str) -> Words:
        if normalization not in self._made:
            offsets = self._batch.offsets
            self._made[normalization] = Words(
                *kernels.normal_words.of_documents(
                    self._batch.text_bytes, offsets[:-1], offsets[1:], normalization
                )
            )
        return self._made[normalization]


def words_of(texts: Sequence[str], normalization: str) -> Words:
    """The words of some texts."""
    encoded = [text.encode() for text in texts]
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in encoded]))).astype(np.int64)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    return Words(*kernels.normal_words.of_documents(data, offsets[:-1], offsets[1:], normalization))


def nothing(n_documents: int) -> Found:
    """What a rule finds in documents that hold nothing."""
    none = np.zeros(0, np.int64)
    return Found(
        np.zeros(n_documents), none, none, none, np.zeros(0), np.zeros(1, np.int64),
        np.zeros((0, 2), np.int64),
    )  # fmt: skip


def merged(
    hits: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], n_hits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of hits, sorted by hit and start, united where they overlap or touch.

    `place_offsets` (n_hits + 1,) and `places` (n_places, 2) as in `Found`.
    """
    if not len(hits):
        return np.zeros(n_hits + 1, np.int64), np.zeros((0, 2), np.int64)
    # The greatest end so far within a hit; hits are kept apart by a term that outweighs all ends.
    apart = hits * (int(ends.max()) + 1)
    reach = np.maximum.accumulate(ends + apart) - apart
    is_first = np.ones(len(hits), np.bool_)
    is_first[1:] = (hits[1:] != hits[:-1]) | (starts[1:] > reach[:-1])
    last = np.append(np.flatnonzero(is_first)[1:], len(hits)) - 1
    places = np.stack((starts[is_first], reach[last]), axis=1)
    counts = np.bincount(hits[is_first], minlength=n_hits)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64), places
