"""Attributes from one format to the other: Parquet to Dolma's JSONL and back, nothing lost.

The documents are read beside them, as Dolma's form of a score holds the document's length; so
the conversion also proves that the attributes belong to the documents.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from dolma_kit import attribute_files, attributes, config, files
from dolma_kit.attributes import Columns, Format, Kind, checked_name
from dolma_kit.config import Convert
from dolma_kit.decoding import Source
from dolma_kit.documents import Batch, Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute.reading import Consumer, Read, Reading, Sink
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.quarantine import beside_attributes
from dolma_kit.summary import Summary, summarize

PHASE = "converting"


@dataclass(frozen=True)
class ConvertTask:
    """One attribute file: whose it is and where, what its columns are, where it goes.

    `located` is None where there is none, as of a file that was set aside.
    """

    shard: Shard
    experiment: str
    located: tuple[str, Format] | None
    columns: dict[str, Kind]
    output: str
    format: Format
    partial: bool


def convert(
    settings: Convert | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Convert attributes; `keys` are those of `config.Convert`, or give the struct itself."""
    settings = settings or config.build(Convert, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        outcome = execute(made, settings, running)
    return summarize(
        "attributes convert",
        outcome,
        reading=PHASE,
        writing=PHASE,
        outputs=made.folders,
        partial=settings.limit is not None,
    )


def plan(settings: Convert) -> Plan:
    """One unit a file; the columns keep their names, whatever the folder is called."""
    to = checked_name(settings.to or f"{settings.experiment}_{settings.format}", "to")
    if to == settings.experiment:
        raise ConfigError(f"--to {to}: write to another folder than the one that is read")
    shards = find(settings.documents, attributes=settings.attributes)
    columns: dict[str, Kind] = {}
    for shard in shards:
        if not settings.set_aside or attributes.locate_if_there(shard, settings.experiment):
            columns.update(attribute_files.known_columns(shard, settings.experiment))
    fields = Fields(settings.text_key, settings.id_key)
    units = []
    for shard, limit in allot(shards, settings.limit, fields, set_aside=settings.set_aside):
        located = attributes.locate_if_there(shard, settings.experiment)
        if located is None and not settings.set_aside:
            attributes.require(shard, [settings.experiment])
        task = ConvertTask(
            shard=shard,
            experiment=settings.experiment,
            located=located,
            columns=columns,
            output=shard.attribute_stem(to) + attributes.SUFFIXES[settings.format],
            format=settings.format,
            partial=limit is not None,
        )
        reading = Reading(
            Source(shard.path, fields, limit=limit, set_aside=settings.set_aside),
            (Consumer(Converter, ConvertSink, task, beside_attributes("convert", shard)),),
            needs_rows=True,
            shareable=located is not None and located[1] == "parquet",
        )
        folder = f"{shard.attributes}/{to}"
        n_bytes = files.size(shard.path)
        claims = attributes.claims(shard.attribute_stem(to), settings.format)
        inputs = (shard.path, *([located[0]] if located else []))
        units.append(Unit(shard.tree, reading, inputs, folder, n_bytes, *claims))
    return Plan(
        stage="attributes convert",
        config=settings.deciding() | {"to": to, "columns": columns, "attributes": None},
        phases=[Phase(PHASE, None, units)],
    )


class Converter:
    """The worker: a batch in, its attributes in the other format out."""

    def __init__(self, task: ConvertTask) -> None:
        self._task = task
        self._reader = task.located and attribute_files.Reader(
            *task.located, task.columns, task.shard.path
        )

    def __call__(self, batch: Batch) -> attribute_files.Rows | None:
        if self._reader is None:
            return None
        table = self._reader.read(batch)
        values: Columns = {
            name: attributes.values_of(table.column(name), kind)
            for name, kind in self._task.columns.items()
        }
        return attribute_files.rows_of(batch, values, self._task.format, self._task.columns)


class ConvertSink(Sink):
    """The sink: rows into one attribute file."""

    def __init__(self, task: ConvertTask) -> None:
        self._task = task

    def open(self, stack: contextlib.ExitStack) -> None:
        task = self._task
        stream = stack.enter_context(files.write_atomically(task.output))
        writer = attribute_files.Writer(stream, task.format, task.columns, {"converted": True})
        self._writer = stack.enter_context(writer)

    def take(self, answer: attribute_files.Rows | None) -> None:
        if answer is not None:
            self._writer.write(answer)

    def end(self, read: Read) -> None:
        task = self._task
        if read.documents and task.located is None:
            attributes.require(task.shard, [task.experiment])
        if task.located and not task.partial:
            attribute_files.require_length(*task.located, read.documents, task.shard.path)

    def result(self, read: Read) -> Result:
        return Result(bytes_out=files.size(self._task.output), outputs=[self._task.output])
