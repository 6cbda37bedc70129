"""What strangers' parts return is checked before it is believed; ours have tests for that.

A fault is a DataError that names the documents' file and line, the part with its own file and
line, and the document.
"""

from __future__ import annotations

import contextlib
import os
import reprlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dolma_kit import registry
from dolma_kit.attributes import Columns, Kind, Spans, column_name
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.plugins import raised_at, said
from dolma_kit.registry import Mixer, Part, Tagger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.mixing import Decision


def declared(part: Tagger) -> Mapping[str, Kind]:
    """The keys of a tagger; a stranger's that cannot be columns are a ConfigError."""
    keys = part.keys
    if not registry.is_shipped(part):
        check_keys(keys, f"{part.id} ({place(part)})")
    return keys


def check_keys(keys: Any, where: str) -> None:
    """Keys name columns, each another, and each is a `score` or `spans`."""
    if not isinstance(keys, Mapping) or not keys:
        raise ConfigError(f'{where}: keys is {keys!r}: write keys={{"name": "score" or "spans"}}')
    seen: dict[str, str] = {}
    for key, kind in keys.items():
        if not isinstance(key, str) or not key:
            raise ConfigError(f"{where}: the key {key!r} cannot name a column: give it a name")
        if kind not in ("score", "spans"):
            raise ConfigError(f"{where}: the key {key!r} is of kind {kind!r}: score or spans")
        other = seen.setdefault(column_name("_", key), key)
        if other is not key:
            raise ConfigError(f"{where}: the keys {other!r} and {key!r} would be one column")


def place(part: Part, error: BaseException | None = None) -> str:
    """File and line of a part, or of where in its file an error came from."""
    module = sys.modules[type(part).__module__]
    path = getattr(module, "__file__", None) or module.__name__
    line = raised_at(error, path) if error else registry.line_of(type(part))
    return os.path.basename(path) + (f":{line}" if line else "")


def fault(
    part: Part, batch: Batch, row: int | None, reason: str, error: BaseException | None = None
) -> DataError:
    """What to raise where a part goes wrong at a row of a batch, or (None) somewhere in it."""
    kind = "tagger" if isinstance(part, Tagger) else "mixer"
    who = f"{kind} {part.id!r} ({place(part, error)})"
    if row is None:
        lines = f"lines {batch.lines[0]} to {batch.lines[-1]}"
        return DataError(batch.path, None, f"{who} in {lines}: {reason}")
    line = int(batch.lines[row])
    return DataError(batch.path, line, f"{who}, document {batch.ids[row]!r}: {reason}")


def raised(part: Part, batch: Batch, row: int | None, error: Exception) -> DataError:
    """The fault that a stranger's exception is."""
    return fault(part, batch, row, said(error), error)


@contextlib.contextmanager
def _answering(part: Part, batch: Batch) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a stranger's code may raise whatever it likes
        raise raised(part, batch, None, error) from error


def measure(part: Tagger, batch: Batch) -> Columns:
    """What a tagger says of a batch."""
    if registry.is_shipped(part):
        return part.tag(batch)
    with _answering(part, batch):
        found: Any = part.tag(batch)
    keys = part.keys
    if not isinstance(found, Mapping):
        raise fault(part, batch, None, f"returned {reprlib.repr(found)}, not a dict of columns")
    if odd := sorted(str(key) for key in found if key not in keys):
        raise fault(part, batch, None, undeclared(odd[0], keys))
    if missing := [key for key in keys if key not in found]:
        raise fault(part, batch, None, f"no column {missing[0]!r}, which was declared")
    columns: Columns = {}
    for key, kind in keys.items():
        try:
            columns[key] = (_scores if kind == "score" else _spans)(found[key], batch)
        except _BadColumnError as error:
            raise fault(part, batch, error.row, f"{key!r} {error}") from None
    return columns


def decide(policy: Mixer, batch: Batch, columns: Columns) -> Decision:
    """What a mixer says of a batch."""
    if registry.is_shipped(policy):
        return policy.decide(batch, columns)
    import numpy as np

    with _answering(policy, batch):
        decision = policy.decide(batch, columns)
    drop = getattr(decision, "drop", None)
    if not isinstance(drop, np.ndarray) or drop.dtype != bool or drop.shape != (len(batch),):
        reason = f"returned {reprlib.repr(decision)}, not a Decision with drop of (n_docs,) bool"
        raise fault(policy, batch, None, reason)
    for row, cuts in decision.by_document.items():
        length = int(batch.n_characters[row])
        for start, end, *_ in cuts:
            if not 0 <= start <= end <= length:
                reason = f"a replacement {outside(start, end, length)}"
                raise fault(policy, batch, row, reason)
    return decision


def undeclared(key: object, keys: Mapping[str, Kind]) -> str:
    return f"gave the key {key!r}, which was not declared; declared: {', '.join(keys)}"


class _BadColumnError(Exception):
    """A column that is not what its kind says; `row` where one document is to blame."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


def _array(value: Any, kinds: str) -> NDArray[Any] | None:
    """A value as an array of one dimension with a dtype of these kinds; None where it is not."""
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        return None
    fits = array.ndim == 1 and (array.dtype.kind in kinds or not array.size)
    return array if fits else None


def _scores(value: Any, batch: Batch) -> NDArray[np.float64]:
    """(n_docs,) numbers as float64; NaN stands for no value."""
    import numpy as np

    array = _array(value, "biuf")
    if array is None or len(array) != len(batch):
        raise _BadColumnError(
            f"is {reprlib.repr(value)}, not an array of {len(batch)} numbers, one a document"
        )
    scores = array.astype(np.float64)
    if (rows := np.flatnonzero(np.isinf(scores))).size:
        raise _BadColumnError("is infinite: a score is a finite number", int(rows[0]))
    return scores


def _spans(value: Any, batch: Batch) -> Spans:
    """(offsets, start, end, score) as Spans that lie within the texts."""
    import numpy as np

    shape = "not (offsets, start, end, score): int64[n_docs + 1], int64[], int64[], float64[]"
    if not isinstance(value, tuple) or len(value) != 4:
        raise _BadColumnError(f"is {reprlib.repr(value)}, {shape}")
    arrays = [
        _array(part, kinds) for part, kinds in zip(value, ("iu", "iu", "iu", "biuf"), strict=True)
    ]
    if any(array is None for array in arrays):
        raise _BadColumnError(f"is {reprlib.repr(value)}, {shape}")
    offsets, start, end = (np.asarray(array, np.int64) for array in arrays[:3])
    score = np.asarray(arrays[3], np.float64)
    counts = np.diff(offsets)
    if len(counts) != len(batch) or offsets[0] or (counts < 0).any():
        raise _BadColumnError(
            f"has offsets that do not go from 0 up to the number of spans in {len(batch)} steps"
        )
    if not offsets[-1] == len(start) == len(end) == len(score):
        raise _BadColumnError(
            f"has {len(start)} starts, {len(end)} ends, {len(score)} scores, "
            f"but offsets for {offsets[-1]} spans"
        )
    document = np.repeat(np.arange(len(batch)), counts)
    lengths = batch.n_characters
    bad = (start < 0) | (end < start) | (end > lengths[document])
    if (at := np.flatnonzero(bad)).size:
        i, row = int(at[0]), int(document[at[0]])
        raise _BadColumnError(outside(int(start[i]), int(end[i]), int(lengths[row])), row)
    if (at := np.flatnonzero(~np.isfinite(score))).size:
        raise _BadColumnError("has a span whose score is no number", int(document[at[0]]))
    return Spans(offsets, start, end, score)


def outside(start: int, end: int, length: int) -> str:
    return f"has the span {start} to {end} in a text of {length} code points"
