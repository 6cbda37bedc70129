"""Parts made of functions, and the document as such a function sees it.

`dolma_kit.tagger` and `dolma_kit.mixer` derive a class from one of these for each function. What
a function returns is checked, value by value, while it is turned into columns.
"""

from __future__ import annotations

import difflib
import itertools
import math
import numbers
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from dolma_kit import checking
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.errors import ConfigError
from dolma_kit.registry import Mixer, Tagger
from dolma_kit.replacing import Replacement

if TYPE_CHECKING:
    from dolma_kit.documents import Batch
    from dolma_kit.mixing import Decision

Span = tuple[int, int, float]


class Document:
    """A document as functions see it; its metadata is decoded when it is asked for."""

    __slots__ = ("_column", "_metadata", "_row", "id", "source", "text")

    def __init__(self, id: str, text: str, source: str | None, column: Any, row: int) -> None:
        self.id = id
        self.text = text
        self.source = source
        self._column = column
        self._row = row
        self._metadata: Any = None

    @property
    def metadata(self) -> Any:
        """The value of `metadata`, a dict in Dolma's documents; {} where there is none."""
        if self._metadata is None:
            raw = self._column[self._row].as_py()
            value = msgspec.json.decode(raw) if raw else None
            self._metadata = {} if value is None else value
        return self._metadata


def documents(batch: Batch) -> list[Document]:
    """The documents of a batch, made by the first part that asks."""
    return batch.once("documents", _documents)


def _documents(batch: Batch) -> list[Document]:
    sources = batch.table.column("source").to_pylist()
    column = batch.table.column("metadata")
    rows = enumerate(zip(batch.ids, batch.texts, sources, strict=True))
    return [Document(id, text, source, column, i) for i, (id, text, source) in rows]


class FunctionTagger(Tagger, frozen=True):
    """What the taggers of both forms have in common."""

    function: ClassVar[Callable[..., Any]]
    declared: ClassVar[Mapping[str, Kind]]
    line: ClassVar[int]

    @property
    def keys(self) -> Mapping[str, Kind]:
        return type(self).declared


class KernelTagger(FunctionTagger, frozen=True):
    """A tagger made of a function of a batch's bytes and offsets."""

    def tag(self, batch: Batch) -> Columns:
        arrays = (batch.text_bytes.view(), batch.offsets.view())
        for array in arrays:  # Arrow's own memory, which other taggers read
            array.flags.writeable = False
        columns: Columns = type(self).function(*arrays)
        return columns


class DocumentTagger(FunctionTagger, frozen=True):
    """A tagger made of a function of one document."""

    def tag(self, batch: Batch) -> Columns:
        function = type(self).function
        keys = type(self).declared
        names = keys.keys()
        scores: dict[str, list[float]] = {k: [] for k, kind in keys.items() if kind == "score"}
        spans: dict[str, list[list[Span]]] = {k: [] for k, kind in keys.items() if kind == "spans"}
        for row, document in enumerate(documents(batch)):
            try:
                found = function(document)
                if not isinstance(found, dict):
                    raise _FaultError(f"returned {reprlib.repr(found)}, not a dict of its keys")
                if not found.keys() <= names:
                    odd = next(key for key in found if key not in names)
                    raise _FaultError(checking.undeclared(odd, keys))
                for key, column in scores.items():
                    column.append(_score(key, found.get(key)))
                for key, lists in spans.items():
                    lists.append(_span_list(key, found.get(key), len(document.text)))
            except _FaultError as error:
                raise checking.fault(self, batch, row, str(error)) from None
            except Exception as error:  # a stranger's code may raise whatever it likes
                raise checking.raised(self, batch, row, error) from error
        return _columns(keys, scores, spans)


class _FaultError(Exception):
    """What a function returned is not what it should be."""


def _number(value: Any) -> float | None:
    """A finite number as float; None for what is none."""
    if type(value) is float:  # nearly all are, and the general test is slow
        return value if math.isfinite(value) else None
    try:
        if isinstance(value, numbers.Real) or _is_truth(value):
            number = float(value)
            return number if math.isfinite(number) else None
    except OverflowError:
        pass
    return None


def _score(key: str, value: Any) -> float:
    """A score as float, NaN where it was left out: a NaN that a function computed is a fault."""
    if value is None:
        return math.nan
    if (score := _number(value)) is None:
        raise _FaultError(
            f"{key!r} is {reprlib.repr(value)}, no finite number; leave the key out for no value"
        )
    return score


def _span_list(key: str, value: Any, length: int) -> list[Span]:
    """Spans as tuples of int, int and float that lie within a text of `length` code points."""
    if value is None:
        return []
    if not _is_list(value):
        raise _FaultError(f"{key!r} is {reprlib.repr(value)}, not a list of (start, end, score)")
    found = []
    for span in value:
        if not _is_list(span) or len(span) != 3 or not _are_ints(span[:2]):
            raise _FaultError(f"{key!r} holds {reprlib.repr(span)}, not (start, end, score)")
        start, end = int(span[0]), int(span[1])
        if not 0 <= start <= end <= length:
            raise _FaultError(f"{key!r} {checking.outside(start, end, length)}")
        if (score := _number(span[2])) is None:
            raise _FaultError(f"{key!r} holds {reprlib.repr(span)}, whose score is no number")
        found.append((start, end, score))
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_truth(value: Any) -> bool:
    return type(value).__name__ in ("bool", "bool_")  # Python's, or numpy's of either version


def _are_ints(values: Sequence[Any]) -> bool:
    return all(isinstance(v, numbers.Integral) and not isinstance(v, bool) for v in values)


def _columns(
    keys: Mapping[str, Kind],
    scores: Mapping[str, list[float]],
    spans: Mapping[str, list[list[Span]]],
) -> Columns:
    import numpy as np

    return {
        key: np.array(scores[key], np.float64) if kind == "score" else _as_spans(spans[key])
        for key, kind in keys.items()
    }


def _as_spans(lists: Sequence[Sequence[Span]]) -> Spans:
    import numpy as np

    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(found) for found in lists], out=offsets[1:])
    flat = [span for found in lists for span in found]
    start = np.array([span[0] for span in flat], np.int64)
    end = np.array([span[1] for span in flat], np.int64)
    return Spans(offsets, start, end, np.array([span[2] for span in flat], np.float64))


class DocumentMixer(Mixer, frozen=True):
    """A policy made of a function of one document and its attributes."""

    function: ClassVar[Callable[..., Any]]
    names: ClassVar[tuple[str, ...]]
    line: ClassVar[int]

    def columns(self, known: Mapping[str, Kind]) -> list[str]:
        return [self._column(name, known) for name in type(self).names]

    def _column(self, name: str, known: Mapping[str, Any]) -> str:
        """The column that a name means: the one that is called so, or so after its experiment."""
        if name in known:
            return name
        found = [column for column in known if column.endswith(f"__{name}")]
        if len(found) == 1:
            return found[0]
        if found:
            hint = f"say which: {' or '.join(found)}"
        elif near := difflib.get_close_matches(name, known, n=1, cutoff=0.5):
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = "name its experiment in `attributes`"
        have = "several experiments have" if found else "the stream has no"
        raise ConfigError(f"{self.id} ({checking.place(self)}): {have} column {name!r}; {hint}")

    def decide(self, batch: Batch, columns: Columns) -> Decision:
        from dolma_kit.mixing import Decision

        function = type(self).function
        names = type(self).names
        values = [_values(columns[self._column(name, columns)]) for name in names]
        rows = list(zip(*values, strict=True)) if values else [()] * len(batch)
        decision = Decision.keep_all(len(batch))
        for row, document in enumerate(documents(batch)):
            try:
                answer = function(document, dict(zip(names, rows[row], strict=True)))
                if cuts := _cuts(answer):
                    decision.by_document[row] = cuts
            except _FaultError as error:
                raise checking.fault(self, batch, row, str(error)) from None
            except Exception as error:  # a stranger's code may raise whatever it likes
                raise checking.raised(self, batch, row, error) from error
            decision.drop[row] = not _is_list(answer) and not answer
        return decision


def _values(column: Any) -> list[Any]:
    """A column as one Python value a document."""
    if not isinstance(column, Spans):
        return [None if value != value else value for value in column.tolist()]
    offsets = column.offsets.tolist()
    spans = list(
        zip(column.start.tolist(), column.end.tolist(), column.score.tolist(), strict=True)
    )
    return [spans[a:b] for a, b in itertools.pairwise(offsets)]


def _cuts(answer: Any) -> list[Replacement]:
    """The (start, end, replacement) of an answer; none for a truth value."""
    if _is_truth(answer):
        return []
    if not _is_list(answer):
        raise _FaultError(
            f"returned {reprlib.repr(answer)}: True keeps the document, False drops it, a list of "
            "(start, end, replacement) keeps it with these replaced"
        )
    for cut in answer:
        if (
            not _is_list(cut)
            or len(cut) != 3
            or not _are_ints(cut[:2])
            or not isinstance(cut[2], str)
        ):
            raise _FaultError(f"holds {reprlib.repr(cut)}, not (start, end, replacement)")
    return [Replacement(int(start), int(end), text) for start, end, text in answer]
