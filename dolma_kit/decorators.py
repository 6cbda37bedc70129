"""Parts made of functions: `dolma_kit.tagger` and `dolma_kit.mixer`, for files given by `--plugin`.

The function keeps its name and stays what it was. A part that has settings is a class instead:
a frozen struct that derives from `dolma_kit.registry.Tagger` or `Mixer`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dolma_kit import checking, registry
from dolma_kit.attributes import Kind
from dolma_kit.errors import ConfigError
from dolma_kit.functions import DocumentMixer, DocumentTagger, KernelTagger
from dolma_kit.registry import Part

F = TypeVar("F", bound=Callable[..., Any])


def tagger(part_id: str, *, keys: Mapping[str, Kind], kernel: bool = False) -> Callable[[F], F]:
    """Make a tagger of a function of one document, or of a kernel over a batch.

    `f(document) -> {key: value}`: `document` has `id`, `text`, `source` (None where it has none)
    and `metadata` ({} where it has none). A score is a number, left out (or None) where there is
    no value; spans are a list of (start, end, score) in code points, end exclusive.

    With `kernel=True`, `f(text_bytes, offsets) -> {key: column}`: (n_bytes,) uint8, all texts as
    UTF-8, and (n_docs + 1,) int64, where each starts; both are read-only. A score is (n_docs,)
    float64 with NaN for no value; spans are (offsets, start, end, score) as in
    `dolma_kit.attributes.Spans`, also in code points. The function may be plain numpy or compiled
    by numba; with `cache=True` workers find what an earlier one compiled.

    Values go to the column `experiment__part_id__key`. What a part says must depend on its
    arguments alone: no clock, no random numbers, no count of calls.
    """

    def decorate(function: F) -> F:
        checking.check_keys(keys, str(part_id))
        base = KernelTagger if kernel else DocumentTagger
        _make(base, part_id, function, {"declared": dict(keys)}, place)
        return function

    place = _caller()
    return decorate


def mixer(part_id: str, *, columns: Sequence[str] = ()) -> Callable[[F], F]:
    """Make a policy of a function of one document and its attributes.

    `f(document, attributes)` returns True (keep), False (drop), or a list of (start, end,
    replacement): keep the document with these spans, in code points, replaced; `{}` in a
    replacement stands for what was there. `attributes` has what `columns` names: a number or
    None for a score, a list of (start, end, score) for spans. A column is named in full
    (`q__gopher_v2__word_count`) or without its experiment (`gopher_v2__word_count`), if only one
    experiment of the stream has it.
    """

    def decorate(function: F) -> F:
        if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
            raise ConfigError(f"{part_id}: columns is {columns!r}: write columns=[name, ...]")
        _make(DocumentMixer, part_id, function, {"names": tuple(columns)}, place)
        return function

    place = _caller()
    return decorate


def _caller() -> tuple[str, int]:
    """Module and line that call the decorator; the part belongs there, as a named tuple does."""
    frame = sys._getframe(2)
    return str(frame.f_globals.get("__name__", "__main__")), frame.f_lineno


def _make(
    base: Any,
    part_id: str,
    function: Callable[..., Any],
    more: dict[str, Any],
    place: tuple[str, int],
) -> None:
    """Derive a part class for a function."""
    registry.check_id(part_id)
    if not callable(function):
        raise ConfigError(f"{part_id}: {function!r} is no function")
    module, line = place
    namespace = {
        "__module__": module,
        "__doc__": function.__doc__,
        "id": part_id,
        "function": staticmethod(function),
        "line": line,
        **more,
    }
    name = getattr(function, "__name__", part_id)
    made: type[Part] = type(base)(name, (base,), namespace, frozen=True)
    registry.adopt(made, module)
