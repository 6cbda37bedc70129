"""Parts: taggers measure documents, mixers decide over them; each is found by its id.

A part is a frozen struct whose fields are its settings: equal when they are equal, its `repr` the
constructor call, `{"id": ..., **settings}` its spec. Specs travel to workers, parts and models do
not. The parts that ship with dolma-kit are the struct classes in the files of `taggers/` and
`mixers/`; importing those files loads no model and no heavy library, so listing is cheap.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import msgspec

from dolma_kit import config
from dolma_kit.errors import ConfigError

if TYPE_CHECKING:
    from dolma_kit.attributes import Columns, Kind
    from dolma_kit.documents import Batch
    from dolma_kit.mixing import Decision

Spec = str | dict[str, Any]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What taggers and mixers have in common: an id of lasting meaning, and settings."""

    id: ClassVar[str]

    @property
    def spec(self) -> dict[str, Any]:
        return {"id": self.id, **msgspec.to_builtins(self)}

    def models(self) -> tuple[str, ...]:
        """Paths of files that decide what the part does; their SHA-256 goes into the outputs."""
        return ()

    def kernels(self) -> tuple[str, ...]:
        """Modules of `dolma_kit.kernels` that the part calls, to compile before workers start."""
        return ()


class Tagger(Part, frozen=True, kw_only=True):
    """Measures documents: a batch in, one column for each of its `keys` out."""

    @property
    def keys(self) -> Mapping[str, Kind]:
        """Each key and its kind: `score`, one number a document, or `spans`."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs

    def tag(self, batch: Batch) -> Columns:
        """Key -> (n_docs,) float64 (NaN: no value) or Spans, for exactly the declared keys."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs


class Mixer(Part, frozen=True, kw_only=True):
    """Decides over documents by their attributes: what to drop, what to cut out."""

    def columns(self, known: Mapping[str, Kind]) -> list[str]:
        """The attribute columns it reads, out of those that the stream has.

        Raises ConfigError where one that it needs is not there.
        """
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs

    def decide(self, batch: Batch, columns: Columns) -> Decision:
        """Which documents to drop and which spans to replace by what."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs


P = TypeVar("P", bound=Part)
PartKind = Literal["taggers", "mixers"]


@functools.cache
def parts(kind: PartKind) -> Mapping[str, type[Part]]:
    """Id -> class of every part of a kind, sorted by id. Two of one id are a ConfigError."""
    base: type[Part] = Tagger if kind == "taggers" else Mixer
    found: dict[str, type[Part]] = {}
    package = _package(kind)
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{kind}.{module_info.name}")
        for value in vars(module).values():
            if not (inspect.isclass(value) and issubclass(value, base) and "id" in vars(value)):
                continue
            if value.__module__ != module.__name__:
                continue
            if value.id in found:
                raise ConfigError(
                    f"two parts have the id {value.id!r}: {found[value.id].__module__} and "
                    f"{value.__module__}; give one of them a new id"
                )
            found[value.id] = value
    return dict(sorted(found.items()))


def _package(kind: PartKind) -> Any:
    """The package beside `dolma_kit`, or an error where a folder of the user's hides it."""
    package = importlib.import_module(kind)
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), kind)
    if package.__file__ is None or os.path.dirname(os.path.abspath(package.__file__)) != ours:
        where = package.__file__ or next(iter(package.__path__))
        raise ConfigError(f"{where} hides the {kind} that ship with dolma-kit: rename that folder")
    return package


def tagger(spec: Spec) -> Tagger:
    """The tagger that a spec describes: `"id"`, `"id(key=value)"` or `{"id": ..., key: value}`."""
    part = _build(spec, "taggers")
    assert isinstance(part, Tagger)
    return part


def mixer(spec: Spec) -> Mixer:
    """The mixer that a spec describes, in the forms that `tagger` takes."""
    part = _build(spec, "mixers")
    assert isinstance(part, Mixer)
    return part


def taggers(specs: Sequence[Spec]) -> list[Tagger]:
    """The taggers of a command; the same id twice is an error, as their columns would collide."""
    made = [tagger(spec) for spec in specs]
    ids = [part.id for part in made]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise ConfigError(f"tagger {twice[0]!r} is named twice: their columns would have one name")
    return made


def _build(spec: Spec, kind: PartKind) -> Part:
    settings = parse_spec(spec) if isinstance(spec, str) else dict(spec)
    part_id = settings.pop("id", None)
    known = parts(kind)
    if part_id is None:
        raise ConfigError(f"no id in {spec!r}: write {{id: ...}}, one of `dolma-kit list {kind}`")
    if part_id not in known:
        near = difflib.get_close_matches(str(part_id), known, n=3)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"`dolma-kit list {kind}` shows them"
        )
        raise ConfigError(f"unknown {kind[:-1]} {part_id!r}; {hint}")
    return config.build(known[part_id], settings, where=str(part_id))


def parse_spec(text: str) -> dict[str, Any]:
    """`name(key=value, ...)` as `{"id": "name", key: value}`; values are Python literals or words.

    >>> parse_spec("fasttext(model=lid.bin, k=1)")
    {'id': 'fasttext', 'model': 'lid.bin', 'k': 1}
    """
    match = re.fullmatch(r"\s*([\w.-]+)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if match is None:
        raise ConfigError(f"cannot read {text!r} as a part: write id or id(key=value, key=value)")
    settings: dict[str, Any] = {"id": match.group(1)}
    for item in split_specs(match.group(2) or ""):
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {item!r} in {text!r}: write key=value")
        try:
            settings[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            settings[key.strip()] = value.strip()
    return settings


def split_specs(text: str) -> list[str]:
    """Split at commas that stand outside of parentheses, brackets and quotes.

    >>> split_specs("a, b(k=1, l=2)")
    ['a', 'b(k=1, l=2)']
    """
    items, depth, quote, start = [], 0, "", 0
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            items.append(text[start:i].strip())
            start = i + 1
    items.append(text[start:].strip())
    return [item for item in items if item]
