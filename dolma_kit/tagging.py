"""The stage `tag`: documents in, one attribute file beside each file of documents out."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from dolma_kit import (
    attribute_files,
    attributes,
    checking,
    config,
    files,
    plugins,
    registry,
    segments,
)
from dolma_kit.attributes import Format, Kind
from dolma_kit.config import Tag
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Outcome, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute.reading import Consumer, Read, Reading, Sink
from dolma_kit.layout import find
from dolma_kit.ledger import Result
from dolma_kit.plugins import Plugin
from dolma_kit.quarantine import beside_attributes
from dolma_kit.registry import Tagger
from dolma_kit.summary import Summary, summarize

PHASE = "measuring"
# what is not a tagger's; no column name has parentheses
READING, SEGMENTING, WRITING = "(reading)", "(segmenting)", "(writing)"
OWN_WORK = (READING, SEGMENTING, WRITING)


@dataclass(frozen=True)
class TagTask:
    """One file of documents to measure. `taggers` are specs, `made_by` goes into the output.

    `plugins` travel with their source: a worker on another machine has no such files.
    """

    output: str
    format: Format
    taggers: tuple[dict[str, Any], ...]
    experiment: str
    made_by: dict[str, Any]
    plugins: tuple[Plugin, ...] = ()
    profile: bool = False


def tag(settings: Tag | None = None, *, engine: Engine | None = None, **keys: Any) -> Summary:
    """Tag documents; `keys` are those of `config.Tag`, or give the struct itself.

    >>> tag(documents=["web"], taggers=["gopher_v2"], experiment="q")  # doctest: +SKIP
    """
    settings = settings or config.build(Tag, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        return summary(settings, made, execute(made, settings, running))


def summary(settings: Tag, made: Plan, outcome: Outcome) -> Summary:
    """What an executed plan did; with `profile`, `counts` has the cost of each part."""
    return summarize(
        "tag",
        outcome,
        reading=PHASE,
        writing=PHASE,
        outputs=made.folders,
        partial=settings.limit is not None,
        counts={"profile": _profile(outcome)} if settings.profile else None,
    )


def _profile(outcome: Outcome) -> dict[str, dict[str, float]]:
    """Part -> nanoseconds of one worker for a byte of text, and its share of all; in the order of
    the work. Of files that were finished before, what they cost then, if that was asked for."""
    n_bytes, seconds = 0, dict[str, float]()
    for result in outcome.results[PHASE]:
        found = result.counts.get("profile", {"text_bytes": 0, "seconds": {}})
        n_bytes += found["text_bytes"]
        for name, value in found["seconds"].items():
            seconds[name] = seconds.get(name, 0.0) + value
    order = [READING, SEGMENTING, *(n for n in seconds if n not in OWN_WORK), WRITING]
    whole = sum(seconds.values())
    return {
        name: {
            "ns_per_byte": round(seconds[name] * 1e9 / max(n_bytes, 1), 3),
            "share": round(seconds[name] / max(whole, 1e-9), 4),
        }
        for name in order
        if name in seconds
    }


def plan(settings: Tag) -> Plan:
    """One unit a file. The ledger is that of each `attributes/<experiment>/` folder."""
    if not settings.taggers:
        raise ConfigError(
            "no taggers: name some with --taggers; `dolma-kit list taggers` shows them"
        )
    experiment = attributes.checked_name(settings.experiment, "experiment")
    given = plugins.read(settings.plugin)
    taggers = registry.taggers(settings.taggers, given)
    shards = find(settings.documents, attributes=settings.attributes)
    fields = Fields(settings.text_key, settings.id_key)
    made_by = {
        "experiment": experiment,
        "taggers": [part.recorded for part in taggers],
        "models": _models(taggers),
    }
    if foreign := registry.fingerprints(taggers, given):
        made_by["plugins"] = foreign
    written = columns(taggers, experiment)
    units = []
    for shard, limit in allot(shards, settings.limit, fields, set_aside=settings.set_aside):
        stem = shard.attribute_stem(experiment)
        task = TagTask(
            output=stem + attributes.SUFFIXES[settings.format],
            format=settings.format,
            taggers=tuple(part.spec for part in taggers),
            experiment=experiment,
            made_by=made_by,
            plugins=given,
            profile=settings.profile,
        )
        claims, rivals = attributes.claims(stem, settings.format)
        units.append(
            Unit(
                name=shard.tree,
                task=Reading(
                    Source(shard.path, fields, limit=limit, set_aside=settings.set_aside),
                    (Consumer(Measurer, AttributeSink, task, beside_attributes("tag", shard)),),
                ),
                inputs=(shard.path,),
                folder=f"{shard.attributes}/{experiment}",
                n_bytes=files.size(shard.path),
                claims=claims,
                rivals=rivals,
            )
        )
    deciding = settings.deciding() | {k: v for k, v in made_by.items() if k != "experiment"}
    deciding["columns"] = written
    return Plan(
        stage="tag",
        config={k: v for k, v in deciding.items() if k != "attributes"},
        phases=[Phase(PHASE, None, units)],
        kernels=tuple(dict.fromkeys(name for part in taggers for name in part.kernels())),
    )


def _models(taggers: list[Tagger]) -> dict[str, str]:
    """File name -> SHA-256 of the taggers' models; of two with one name, the second gets a #2."""
    sha256: dict[str, str] = {}
    paths = dict.fromkeys(path for part in taggers for path in part.models())
    for path in paths:
        name = base = os.path.basename(path)
        n = 1
        while name in sha256:
            n += 1
            name = f"{base}#{n}"
        sha256[name] = files.sha256(path)
    return sha256


def columns(taggers: list[Tagger], experiment: str) -> dict[str, Kind]:
    """The columns that taggers write in an experiment, in their order."""
    found: dict[str, Kind] = {}
    for part in taggers:
        for key, kind in checking.declared(part).items():
            found[attributes.column_name(experiment, part.column, key)] = kind
    return found


class Measured(NamedTuple):
    """The rows of a batch's attributes, and the seconds that each tagger took, by column name."""

    rows: attribute_files.Rows
    seconds: dict[str, float]


class Measurer:
    """The worker: a batch in, the rows of its attributes out."""

    def __init__(self, task: TagTask) -> None:
        self._task = task
        self._taggers = registry.taggers(task.taggers, task.plugins)
        self._kinds = columns(self._taggers, task.experiment)

    def __call__(self, batch: Batch) -> Measured:
        measured: attributes.Columns = {}
        seconds: dict[str, float] = {}
        for part in self._taggers:
            started, segmented = time.perf_counter(), _segmenting(batch)
            for key, value in checking.measure(part, batch).items():
                name = attributes.column_name(self._task.experiment, part.column, key)
                measured[name] = value
            segmenting = _segmenting(batch) - segmented
            seconds[part.column] = time.perf_counter() - started - segmenting
        seconds[SEGMENTING] = _segmenting(batch)
        started = time.perf_counter()
        rows = attribute_files.rows_of(batch, measured, self._task.format, self._kinds)
        seconds[WRITING] = time.perf_counter() - started
        return Measured(rows, seconds)


def _segmenting(batch: Batch) -> float:
    """The seconds that cutting a batch's texts into paragraphs and the like took so far."""
    return sum(s for name, s in batch.seconds.items() if name.startswith(segments.PREFIX))


class AttributeSink(Sink):
    """The sink: rows into one attribute file."""

    def __init__(self, task: TagTask) -> None:
        self._task = task
        self._seconds = {WRITING: 0.0}

    def open(self, stack: contextlib.ExitStack) -> None:
        task = self._task
        kinds = columns(registry.taggers(task.taggers, task.plugins), task.experiment)
        stream = stack.enter_context(files.write_atomically(task.output))
        writer = attribute_files.Writer(stream, task.format, kinds, task.made_by)
        self._writer = stack.enter_context(writer)

    def take(self, answer: Measured) -> None:
        started = time.perf_counter()
        self._writer.write(answer.rows)
        for name, seconds in answer.seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        self._seconds[WRITING] += time.perf_counter() - started

    def result(self, read: Read) -> Result:
        counts: dict[str, Any] = {}
        if self._task.profile:
            seconds = {READING: read.seconds, **self._seconds}
            counts["profile"] = {"text_bytes": read.text_bytes, "seconds": seconds}
        output = self._task.output
        return Result(bytes_out=files.size(output), outputs=[output], counts=counts)
