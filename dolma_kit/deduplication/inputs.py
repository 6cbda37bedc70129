"""The inputs of a de-duplication: one joint run over all of them, whatever the method.

What is a duplicate in any file depends on all files. So each attribute file has all documents for
its inputs, and the list of their names is part of the config. What lies between reading and writing
belongs to the ledger of the first file's folder.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dolma_kit import attributes, files, ledger
from dolma_kit.attributes import Kind
from dolma_kit.config import Dedupe
from dolma_kit.decoding import Source
from dolma_kit.documents import Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Phase, Plan, Unit
from dolma_kit.execute.plans import Work
from dolma_kit.execute.reading import Consumer, Reading, Sink, Worker
from dolma_kit.layout import Shard, find
from dolma_kit.quarantine import beside_attributes
from dolma_kit.tagging import checked_name

READING, WRITING = "hashing", "writing"
#: settings that do not say how duplicates were found, but where to, or of what
_NOT_HOW = ("attributes", "format", "limit", "text_key", "id_key", "expected_items")
#: settings of which a method itself says what they decide
_PLACES = ("partitions", "filter", "read_only", "rebuild", "shard_bytes")


@dataclass(frozen=True)
class Inputs:
    """Files of documents in canonical order, each with how many of its documents count (None: all).

    `name` is that of the attribute, `temporary` where intermediate files go.
    """

    settings: Dedupe
    name: str
    experiment: str
    shards: tuple[tuple[Shard, int | None], ...]
    temporary: str

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
        return {k: v for k, v in self._deciding().items() if k not in _NOT_HOW}

    def _deciding(self) -> dict[str, Any]:
        """The settings that decide; of methods' own, those of this one."""
        others = {key for keys in OF_METHOD.values() for key in keys}.union(_PLACES, OF_NGRAMS)
        own = OF_METHOD[self.settings.method]
        if self.settings.by == "ngram":
            own += OF_NGRAMS
        found = self.settings.deciding().items()
        return {k: v for k, v in found if k in own or k not in others}

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
            aside = beside_attributes("dedupe", shard)
            reading = Reading(
                Source(shard.path, fields, limit=limit, set_aside=settings.set_aside),
                (Consumer(worker, sink, task(i), aside, empty_if_broken=True),),
            )
            name, size = f"{READING} {shard.src}", files.size(shard.path)
            units.append(Unit(name, reading, (shard.path,), folder, size))
        return Phase(READING, None, units)

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
        return Phase(WRITING, work, units)

    def plan(
        self,
        phases: Sequence[Phase],
        columns: Mapping[str, Kind],
        kernels: tuple[str, ...],
        more: Mapping[str, Any] | None = None,
    ) -> Plan:
        """The plan of these phases; `more` is what else decides the outputs."""
        deciding = self._deciding() | {
            **(more or {}),
            "columns": dict(columns),
            "inputs": [shard.src for shard, _ in self.shards],
        }
        return Plan(
            stage="dedupe",
            config={key: value for key, value in deciding.items() if key != "attributes"},
            phases=phases,
            kernels=kernels,
            temporary=(self.temporary,),
        )


#: settings that one method alone has
OF_METHOD: dict[str, tuple[str, ...]] = {
    "bloom": ("expected_items", "fp_rate", "classic"),
    "exact": (),
    "minhash": ("ngram_length", "threshold", "bands", "rows", "seed"),
    "substring": ("substring_length", "substring_unit"),
}
#: and settings that count by n-gram
OF_NGRAMS = ("ngram_length", "stride", "overlap_threshold", "skip_short_paragraphs")


def _require_by_ngram(settings: Dedupe) -> None:
    """ConfigError for a rule about n-grams where whole keys are compared: it would do nothing."""
    if settings.by == "ngram":
        return
    for key in ("stride", "overlap_threshold", "skip_short_paragraphs"):
        if getattr(settings, key) != getattr(Dedupe(), key):
            flag = key.replace("_", "-")
            raise ConfigError(f"--{flag} is for --by ngram: leave it out, or give that")


def inputs_of(settings: Dedupe) -> Inputs:
    """The files that settings name; ConfigError where a name is missing or no name."""
    _require_by_ngram(settings)
    if not settings.name:
        raise ConfigError("no name for the attribute: give one with --name, like --name dup")
    name = checked_name(settings.name, "name")
    experiment = checked_name(settings.experiment or name, "experiment")
    found = find(settings.documents, attributes=settings.attributes)
    fields = Fields(settings.text_key, settings.id_key)
    shards = allot(found, settings.limit, fields, set_aside=settings.set_aside)
    first = f"{shards[0][0].attributes}/{experiment}"
    temporary = ledger.temporary(first, settings.tmp_dir)
    return Inputs(settings, name, experiment, tuple(shards), temporary)
