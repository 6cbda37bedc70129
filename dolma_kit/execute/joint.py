"""Joint runs: what is said of one file's documents depends on all files.

Such a stage reads each file once and leaves what it needs of it in a temporary folder, decides over
all of them together, and writes an attribute file beside each. So each attribute file has all
documents for its inputs, and the list of their names is part of the config. What lies between
reading and writing belongs to the ledger of the first file's folder.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dolma_kit import attributes, files, ledger
from dolma_kit.attributes import Kind
from dolma_kit.config import JointOptions
from dolma_kit.decoding import Source
from dolma_kit.documents import Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute.plans import Phase, Plan, Unit, Work
from dolma_kit.execute.reading import Consumer, Reading, Sink, Worker
from dolma_kit.layout import Shard, find
from dolma_kit.quarantine import beside_attributes

#: settings that do not say how something was found, but where to, or of what
NOT_HOW = ("attributes", "format", "limit", "text_key", "id_key")


@dataclass(frozen=True)
class JointRun:
    """Files of documents in canonical order, each with how many of its documents count (None: all).

    `name` is that of the attribute, `temporary` where intermediate files go.
    """

    stage: ClassVar[str]
    reading_phase: ClassVar[str] = "reading"
    writing_phase: ClassVar[str] = "writing"

    #: settings that are left out of what goes into attribute files
    not_how: ClassVar[tuple[str, ...]] = NOT_HOW

    settings: JointOptions
    name: str
    experiment: str
    shards: tuple[tuple[Shard, int | None], ...]
    temporary: str

    @classmethod
    def of(cls, settings: JointOptions) -> Self:
        """The files that settings name; ConfigError where a name is missing or no name."""
        if not settings.name:
            raise ConfigError("no name for the attribute: give one with --name, like --name dup")
        name = attributes.checked_name(settings.name, "name")
        experiment = attributes.checked_name(settings.experiment or name, "experiment")
        found = find(settings.documents, attributes=settings.attributes)
        fields = Fields(settings.text_key, settings.id_key)
        shards = allot(found, settings.limit, fields, set_aside=settings.set_aside)
        first = f"{shards[0][0].attributes}/{experiment}"
        temporary = ledger.temporary(first, settings.tmp_dir)
        return cls(settings, name, experiment, tuple(shards), temporary)

    def __len__(self) -> int:
        return len(self.shards)

    @functools.cached_property  # one object: units that share it are looked at once
    def paths(self) -> tuple[str, ...]:
        return tuple(shard.path for shard, _ in self.shards)

    @property
    def folders(self) -> list[str]:
        return [f"{shard.attributes}/{self.experiment}" for shard, _ in self.shards]

    @property
    def made_by(self) -> dict[str, Any]:
        """What goes into attribute files."""
        return {k: v for k, v in self.deciding().items() if k not in self.not_how}

    def deciding(self) -> dict[str, Any]:
        """The settings that decide."""
        return self.settings.deciding()

    def reading(
        self,
        worker: Callable[[Any], Worker],
        sink: Callable[[Any], Sink],
        task: Callable[[int], Any],
    ) -> Phase:
        """A unit a file; `task(i)` is what worker and sink of file i get."""
        settings, folder = self.settings, self.folders[0]
        fields = Fields(settings.text_key, settings.id_key)
        units = []
        for i, (shard, limit) in enumerate(self.shards):
            aside = beside_attributes(self.stage, shard)
            reading = Reading(
                Source(shard.path, fields, limit=limit, set_aside=settings.set_aside),
                (Consumer(worker, sink, task(i), aside, empty_if_broken=True),),
            )
            name, size = f"{self.reading_phase} {shard.src}", files.size(shard.path)
            units.append(Unit(name, reading, (shard.path,), folder, size))
        return Phase(self.reading_phase, None, units)

    def between(self, name: str, work: Work, tasks: Mapping[str, Any], threads: int = 1) -> Phase:
        """Units, by name, that need all of what the phase before made."""
        units = [
            Unit(unit, task, self.paths, self.folders[0], threads=threads)
            for unit, task in tasks.items()
        ]
        return Phase(name, work, units)

    def writing(self, work: Work, task: Callable[[int, str], Any]) -> Phase:
        """A unit a file; `task(i, path)` is for the attribute file `path` of file i."""
        units = []
        for i, (shard, _) in enumerate(self.shards):
            stem = shard.attribute_stem(self.experiment)
            path = stem + attributes.SUFFIXES[self.settings.format]
            claims = attributes.claims(stem, self.settings.format)
            size = files.size(shard.path)
            unit = Unit(shard.tree, task(i, path), self.paths, self.folders[i], size, *claims)
            units.append(unit)
        return Phase(self.writing_phase, work, units)

    def plan(
        self,
        phases: Sequence[Phase],
        columns: Mapping[str, Kind],
        kernels: tuple[str, ...],
        more: Mapping[str, Any] | None = None,
    ) -> Plan:
        """The plan of these phases; `more` is what else decides the outputs."""
        deciding = self.deciding() | {
            **(more or {}),
            "columns": dict(columns),
            "inputs": [shard.src for shard, _ in self.shards],
        }
        return Plan(
            stage=self.stage,
            config={key: value for key, value in deciding.items() if key != "attributes"},
            phases=phases,
            kernels=kernels,
            temporary=(self.temporary,),
        )
