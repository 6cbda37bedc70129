"""Parts: taggers measure documents, mixers decide over them; each is found by its id.

A part is a frozen struct whose fields are its settings: equal when they are equal, its `repr` the
constructor call, `{"id": ..., **settings}` its spec. Specs travel to workers, parts and models do
not. The parts that ship with dolma-kit are the struct classes in the files of `taggers/` and
`mixers/`; importing those files loads no model and no heavy library, so listing is cheap. Other
people's come from plug-ins (see `dolma_kit.plugins`): such classes, or functions under the
decorators `dolma_kit.tagger` and `dolma_kit.mixer`. No two parts of a kind have one id.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from dolma_kit import config, files, plugins
from dolma_kit.errors import ConfigError
from dolma_kit.plugins import Plugin
from dolma_kit.specs import Spec as Spec
from dolma_kit.specs import parse_spec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.attributes import Columns, Kind
    from dolma_kit.documents import Batch
    from dolma_kit.mixing import Decision


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What taggers and mixers have in common: an id of lasting meaning, and settings."""

    id: ClassVar[str]

    @property
    def spec(self) -> dict[str, Any]:
        """The id and the settings as JSON has them: a setting of several values is a list."""
        return {"id": self.id, **msgspec.json.decode(msgspec.json.encode(self))}

    @property
    def recorded(self) -> dict[str, Any]:
        """The spec as outputs record it: a file by its name, not by the place where it is."""
        return self.spec

    def models(self) -> tuple[str, ...]:
        """Paths of files that decide what the part does; their SHA-256 goes into the outputs."""
        return ()

    def kernels(self) -> tuple[str, ...]:
        """Modules of `dolma_kit.kernels` that the part calls, to compile before workers start."""
        return ()


class Tagger(Part, frozen=True, kw_only=True):
    """Measures documents: a batch in, one column for each of its `keys` out."""

    @property
    def column(self) -> str:
        """What stands for the tagger in the names of its columns, `experiment__column__key`."""
        return self.id

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


class Upsampler(Mixer, frozen=True, kw_only=True):
    """Decides how often documents are taken, by groups and by a score; one a stream.

    `score` and `group` are expressions in SQL, as in `keep`. `rate` is how often a document is
    taken on average where the stream says nothing else.
    """

    score: str
    group: str | None = None
    rate: float | None = None

    @property
    def max_rate(self) -> float:
        """The greatest rate, on average, that it can give."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs

    @property
    def max_copies(self) -> int:
        """The most that a document may be taken."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs

    def group_rates(self, amounts: Mapping[str, int], rate: float) -> dict[str, float]:
        """How often each group is taken on average, where all together are at `rate`; `amounts`
        is how much there is of each. ConfigError where that cannot be."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs

    def rates(self, amounts: NDArray[np.int64], rate: float) -> Any:
        """(n_bins,) float64: how often documents of each bin are taken, so that all of the group is
        at `rate`; `amounts` (n_bins,) is how much there is of each, by ascending score."""
        raise NotImplementedError(type(self))  # abstract: msgspec structs cannot be ABCs

    def columns(self, known: Mapping[str, Kind]) -> list[str]:
        return []  # those of its expressions are found there


PartKind = Literal["taggers", "mixers"]
BASES: dict[PartKind, type[Part]] = {"taggers": Tagger, "mixers": Mixer}


@dataclass(frozen=True)
class Entry:
    """A part that can be named, and where it comes from.

    `origin` is `shipped`, `plugin FILE` or `wheel NAME VERSION`. `load` gives the class; only a
    wheel's is imported by that.
    """

    id: str
    origin: str
    load: Callable[[], type[Part]]
    plugin: Plugin | None = None

    @property
    def file(self) -> str:
        return self.plugin.name if self.plugin else f"{self.load().__module__.replace('.', '/')}.py"

    @property
    def fingerprint(self) -> str | None:
        """What tells this code from another under the same id; None for ours, whose ids last."""
        if self.plugin:
            return self.plugin.sha256
        if self.origin == SHIPPED:
            return None
        file = getattr(sys.modules[self.load().__module__], "__file__", None) or ""
        sha256 = f", sha256 {files.sha256(file)}" if os.path.isfile(file) else ""
        return self.origin.removeprefix("wheel ") + sha256


SHIPPED = "shipped"


def entries(kind: PartKind, given: Sequence[Plugin] = ()) -> Mapping[str, Entry]:
    """Id -> entry of every part of a kind, sorted by id. Two of one id are a ConfigError."""
    found: dict[str, Entry] = {}
    for entry in _entries(kind, given):
        if (other := found.setdefault(entry.id, entry)) is not entry:
            raise ConfigError(
                f"two {kind} have the id {entry.id!r}: {_named(other)} and {_named(entry)}; "
                "give one of them a new id"
            )
    return dict(sorted(found.items()))


def _named(entry: Entry) -> str:
    if entry.origin == SHIPPED:
        return f"{entry.file} (shipped)"
    line = line_of(entry.load()) if entry.plugin else None
    return f"{entry.origin}:{line}" if line else entry.origin


def _entries(kind: PartKind, given: Sequence[Plugin]) -> Iterator[Entry]:
    yield from _shipped(kind)
    for point in plugins.installed(f"dolma_kit.{kind}", tuple(sys.path)):
        load = functools.partial(_part_at, kind, point)
        yield Entry(point.name, f"wheel {plugins.wheel(point)}", load)
    for plugin in given:
        for part in _parts_of(plugin):
            if issubclass(part, BASES[kind]):
                yield Entry(
                    part.id, f"plugin {plugin.name}", functools.partial(_same, part), plugin
                )


def parts(kind: PartKind, given: Sequence[Plugin] = ()) -> Mapping[str, type[Part]]:
    """Id -> class of every part of a kind, sorted by id; loads those of wheels, too."""
    return {part_id: entry.load() for part_id, entry in entries(kind, given).items()}


@functools.cache
def _shipped(kind: PartKind) -> tuple[Entry, ...]:
    found = []
    for module_info in pkgutil.iter_modules(_package(kind).__path__):
        module = importlib.import_module(f"{kind}.{module_info.name}")
        for part in _classes_in(module):
            if issubclass(part, BASES[kind]):
                found.append(Entry(part.id, SHIPPED, functools.partial(_same, part)))
    return tuple(found)


def _same(part: type[Part]) -> type[Part]:
    return part


def _classes_in(module: ModuleType) -> list[type[Part]]:
    """The parts that a module defines as classes; a class without an id is a base of others."""
    return [
        value
        for value in dict.fromkeys(v for v in vars(module).values() if inspect.isclass(v))
        if issubclass(value, Part) and value.__module__ == module.__name__ and "id" in vars(value)
    ]


#: parts made of functions, by the module in which that was done
_adopted: dict[str, list[type[Part]]] = {}


def adopt(part: type[Part], module: str) -> None:
    """Note a part that a module made of a function; it has that as the attribute `function`."""
    _adopted.setdefault(module, []).append(part)


def line_of(part: type[Part]) -> int | None:
    """Where in its file a part was made of a function; None for classes."""
    line = getattr(part, "line", None)  # of a class, possibly a setting's descriptor
    return line if isinstance(line, int) else None


@functools.cache
def _parts_of(plugin: Plugin) -> tuple[type[Part], ...]:
    """The taggers and mixers of a plug-in."""
    _adopted.pop(plugin.module, None)  # what an earlier attempt left that failed half-way
    module = plugins.load(plugin)
    found = [*_classes_in(module), *_adopted.get(module.__name__, [])]
    if not found:
        raise ConfigError(
            f"the plug-in {plugin.name} holds no parts: put @dolma_kit.tagger(id, keys=...) or "
            "@dolma_kit.mixer(id) over a function, or derive a class with an id from "
            "dolma_kit.registry.Tagger or Mixer"
        )
    for part in found:
        try:
            check_id(part.id)
        except ConfigError as error:
            raise ConfigError(f"{plugin.name}: {error}") from None
    return tuple(found)


def _part_at(kind: PartKind, point: EntryPoint) -> type[Part]:
    """The part that an entry point names: a class, or a function that was made one."""
    value = plugins.load_point(point)
    known = [value, *(part for made in _adopted.values() for part in made)]
    for part in known:
        if (part is value or vars(part)["function"].__func__ is value) and (
            inspect.isclass(part) and issubclass(part, BASES[kind])
        ):
            if part.id != point.name:
                raise ConfigError(
                    f"the wheel {plugins.wheel(point)} names {point.value} {point.name!r}, "
                    f"but its id is {part.id!r}: an entry point bears the id of its part"
                )
            check_id(part.id)
            return part
    raise ConfigError(
        f"{point.name} = {point.value} of the wheel {plugins.wheel(point)} is no {kind[:-1]}"
    )


def check_id(part_id: object) -> None:
    """An id has to stand in the name of a column, `experiment__id__key`, and be found there."""
    if not isinstance(part_id, str):
        raise ConfigError(f"{part_id!r} is no id: write id: ClassVar[str] = ...")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", part_id):
        raise ConfigError(
            f"the id {part_id!r} cannot name a column: letters and digits, joined by single _, "
            "after a letter"
        )


def is_shipped(part: Part) -> bool:
    """Whether a part is ours; what others return is checked."""
    return type(part).__module__.split(".")[0] in BASES


def fingerprints(made: Sequence[Part], given: Sequence[Plugin]) -> dict[str, str]:
    """Id -> what tells its code from another, for those parts that are not ours."""
    found = {}
    for part in made:
        kind: PartKind = "taggers" if isinstance(part, Tagger) else "mixers"
        if not is_shipped(part) and (mark := entries(kind, given)[part.id].fingerprint):
            found[part.id] = mark
    return found


def _package(kind: PartKind) -> Any:
    """The package beside `dolma_kit`, or an error where a folder of the user's hides it."""
    package = importlib.import_module(kind)
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), kind)
    if package.__file__ is None or os.path.dirname(os.path.abspath(package.__file__)) != ours:
        where = package.__file__ or next(iter(package.__path__))
        raise ConfigError(f"{where} hides the {kind} that ship with dolma-kit: rename that folder")
    return package


def tagger(spec: Spec, given: Sequence[Plugin] = ()) -> Tagger:
    """The tagger that a spec describes: `"id"`, `"id(key=value)"` or `{"id": ..., key: value}`."""
    part = _build(spec, "taggers", given)
    assert isinstance(part, Tagger)
    return part


def mixer(spec: Spec, given: Sequence[Plugin] = ()) -> Mixer:
    """The mixer that a spec describes, in the forms that `tagger` takes."""
    part = _build(spec, "mixers", given)
    assert isinstance(part, Mixer)
    return part


def taggers(specs: Sequence[Spec], given: Sequence[Plugin] = ()) -> list[Tagger]:
    """The taggers of a command; no two may write columns of one name."""
    from dolma_kit.attributes import column_name

    made = [tagger(spec, given) for spec in specs]
    names = [column_name(part.column) for part in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"tagger {twice[0]!r} is named twice: their columns would have one name")
    known = {column_name(part_id) for part_id in entries("taggers", given)}
    if taken := [part for part in made if part.column != part.id and part.column in known]:
        raise ConfigError(
            f"{taken[0].id}: the name {taken[0].column!r} is the id of another tagger: "
            "choose another"
        )
    return made


def _build(spec: Spec, kind: PartKind, given: Sequence[Plugin]) -> Part:
    settings = parse_spec(spec) if isinstance(spec, str) else dict(spec)
    part_id = settings.pop("id", None)
    known = entries(kind, given)
    if part_id is None:
        raise ConfigError(f"no id in {spec!r}: write {{id: ...}}, one of `dolma-kit list {kind}`")
    if part_id not in known:
        near = difflib.get_close_matches(str(part_id), known, n=3)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"`dolma-kit list {kind}` shows them"
        )
        raise ConfigError(f"unknown {kind[:-1]} {part_id!r}; {hint}")
    return config.build(known[part_id].load(), settings, where=str(part_id))
