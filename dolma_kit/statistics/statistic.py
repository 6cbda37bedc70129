"""What a statistic is, and what all of them know of a batch of documents."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from dolma_kit import kernels
from dolma_kit.statistics.attribute_columns import Choice
from dolma_kit.statistics.partials import Partial, of_file
from dolma_kit.statistics.token_counts import TokenCounts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.decoding import Fields
    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

Measure = Callable[["Batch"], Any]
HELD = 32  # partials of batches before they are put together


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is of: `files` are the names of the files of documents, in canonical order,
    `n_documents` how many they have, `command` what asks again."""

    files: list[str]
    n_documents: int
    command: str


@dataclass(frozen=True)
class Corpus:
    """Files of documents in canonical order, each with how many of its documents count (None:
    all), and how they are read."""

    shards: list[tuple[Shard, int | None]]
    fields: Fields
    set_aside: bool


class Gathering(abc.ABC):
    """Takes what the measure of one file gives, batch by batch in order."""

    @abc.abstractmethod
    def take(self, found: Any) -> None: ...

    @abc.abstractmethod
    def partial(self) -> Partial:
        """Of all that was taken, if only once."""


class Statistic(abc.ABC):
    """A statistic with its settings: frozen, and a dataclass, so that it travels to workers.

    The fields decide partials, but for those that `asking` names, which decide answers alone.
    """

    id: ClassVar[str]
    asking: ClassVar[tuple[str, ...]] = ()
    kernels: ClassVar[tuple[str, ...]] = ()
    #: whether it measures documents; if not, an answer is made of other files
    reads_documents: ClassVar[bool] = True

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of documents that it looks at, beside id, text, source and metadata."""
        return ()

    @property
    def needs_rows(self) -> bool:
        """Whether batches have to know which rows they are."""
        return False

    @property
    def shareable(self) -> bool:
        """Whether several processes may measure one file's batches."""
        return True

    def deciding(self) -> dict[str, Any]:
        """The settings that decide partials, as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        if isinstance(counts := getattr(self, "tokens", None), TokenCounts):
            plain["tokens"] = counts.recorded()
        return {key: value for key, value in plain.items() if key not in self.asking}

    def inputs(self, shard: Shard) -> tuple[str, ...]:
        """Files that it reads for a file of documents, beside that."""
        counts = getattr(self, "tokens", None)
        return counts.inputs() if isinstance(counts, TokenCounts) else ()

    def require_whole(self, shard: Shard, n_documents: int) -> None:
        """VerificationError where a file beside one of documents goes on after their end."""
        if isinstance(columns := getattr(self, "columns", None), Choice):
            columns.require_whole(shard, n_documents)

    @abc.abstractmethod
    def start(self, shard: Shard) -> Measure:
        """What measures the batches of a file: a partial of each, or what `gathering` takes."""

    def gathering(self) -> Gathering:
        return _Merging(self)

    @abc.abstractmethod
    def merge(self, partials: Sequence[Partial]) -> Partial:
        """Partials put together, in their order; at least one. Associative."""

    def placed(self, partial: Partial, file: int) -> Partial:
        """The partial of a file, as that of file number `file` of all."""
        return of_file(partial, file)

    @abc.abstractmethod
    def empty(self) -> Partial:
        """The partial of no documents."""

    def completed(self, whole: Partial, corpus: Corpus, before: dict[str, Any]) -> Partial:
        """The partial of all with what answers need besides; it is kept so. `before` are the notes
        of the one that was kept last, if there is one."""
        return whole

    @abc.abstractmethod
    def answer(self, whole: Partial, about: About) -> msgspec.Struct:
        """What it says of all."""

    @abc.abstractmethod
    def text(self, answer: Any) -> str:
        """An answer for eyes."""

    def tables(self, whole: Partial, answer: Any, about: About) -> dict[str, pa.Table]:
        """Name -> what an answer has in rows, for files."""
        return {}

    def plot(self, folder: str, answer: Any) -> list[str]:
        """Draw an answer; the paths of the pictures."""
        return []

    def sheets(self, whole: Partial, about: About) -> dict[str, bytes]:
        """File name -> samples for judging by hand."""
        return {}


class _Merging(Gathering):
    """Puts partials together, some at a time."""

    def __init__(self, statistic: Statistic) -> None:
        self._statistic = statistic
        self._held: list[Partial] = []

    def take(self, found: Partial) -> None:
        self._held.append(found)
        if len(self._held) >= HELD:
            self._held = [self._statistic.merge(self._held)]

    def partial(self) -> Partial:
        return self._statistic.merge([self._statistic.empty(), *self._held])


@dataclass(frozen=True)
class Sources:
    """The `source` of each document: `names` (n_sources,) in order of appearance ("" where a
    document has none), `codes` (n_docs,) int64 into them."""

    names: list[str]
    codes: NDArray[np.int64]

    def of_documents(self) -> list[str]:
        return [self.names[code] for code in self.codes.tolist()]


def sources(batch: Batch) -> Sources:
    """Worked out once a batch."""

    def find(batch: Batch) -> Sources:
        import numpy as np
        import pyarrow.compute as pc

        encoded = pc.fill_null(batch.table.column("source"), "").dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return Sources(encoded.dictionary.to_pylist(), codes)

    return batch.once("sources", find)


def n_words(batch: Batch) -> NDArray[np.int64]:
    """(n_docs,) int64: words by UAX #29 that are not white space, as WIMBD counts them."""

    def count(batch: Batch) -> NDArray[np.int64]:
        found: NDArray[np.int64] = kernels.uax29.count(
            batch.text_bytes, batch.offsets[:-1], batch.offsets[1:]
        )[1]
        return found

    return batch.once("words by UAX #29", count)


class WordBounds(NamedTuple):
    """Words that are not white space: bytes [starts, ends) of each, and which of them are each
    text's, `offsets` (n_texts + 1,)."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]


def words_in(text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> WordBounds:
    """The words by UAX #29 of texts that lie one after the other."""
    import numpy as np

    first, ends = kernels.uax29.words(text, offsets[:-1], offsets[1:])
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1]
    has_words = np.diff(first) > 0
    starts[first[:-1][has_words]] = offsets[:-1][has_words]
    visible = np.flatnonzero(~kernels.paragraphs.blank(text, starts, ends))
    owners = np.searchsorted(visible, first).astype(np.int64)
    return WordBounds(starts[visible], ends[visible], owners)


def n_bytes(batch: Batch) -> NDArray[np.int64]:
    """(n_docs,) int64: bytes of UTF-8 of each text."""
    import numpy as np

    return np.diff(batch.offsets)


def values_at(batch: Batch, key: str) -> list[Any]:
    """What each document has at a key (`created`, `id`, `metadata.url`, `metadata.page.date`).

    `msgspec.UNSET` where there is nothing, null included. Worked out once a batch.
    """
    return batch.once(f"values at {key}", lambda batch: _values_at(batch, key))


def _values_at(batch: Batch, key: str) -> list[Any]:
    first, *path = key.split(".")
    if first in ("id", "source") and not path:
        column = batch.table.column(first).to_pylist()
        return [msgspec.UNSET if value is None else value for value in column]
    if first not in batch.table.schema.names:  # what documents have for an id
        return _values_at(batch, "id") if not path else [msgspec.UNSET] * len(batch)
    raws = batch.table.column(first).to_pylist()
    decoder = msgspec.json.Decoder(_shape(path) if path else Any)
    found = []
    for raw in raws:
        value: Any = msgspec.UNSET
        if raw is not None:
            try:
                value = decoder.decode(raw)
                for _ in path:
                    value = getattr(value, "value", msgspec.UNSET)
            except msgspec.MsgspecError:  # no object on the way, or no JSON
                value = msgspec.UNSET
        found.append(msgspec.UNSET if value is None else value)
    return found


def _shape(path: Sequence[str]) -> Any:
    """A struct that decodes one path of a JSON object as `.value.value...` and skips the rest."""
    kind: Any = Any
    for name in reversed(path):
        fields: Any = [("value", kind | None if kind is not Any else Any, msgspec.UNSET)]
        kind = msgspec.defstruct("Level", fields, rename={"value": name})
    return kind


def first_at(batch: Batch, keys: Sequence[str]) -> tuple[list[Any], list[str]]:
    """The first of the keys that each document has something at, and which key that is ("")."""
    values: list[Any] = [msgspec.UNSET] * len(batch)
    where = [""] * len(batch)
    for key in keys:
        if "" not in where:
            break
        for i, value in enumerate(values_at(batch, key)):
            if where[i] == "" and value is not msgspec.UNSET and value != "":
                values[i], where[i] = value, key
    return values, where


def fields_of(keys: Sequence[str]) -> tuple[str, ...]:
    """The fields of documents that keys begin with, beside those that every batch has."""
    firsts = dict.fromkeys(key.split(".")[0] for key in keys)
    return tuple(name for name in firsts if name not in ("id", "text", "source", "metadata"))
