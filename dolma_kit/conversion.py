"""Attributes from one format to the other: Parquet to Dolma's JSONL and back, nothing lost.

The documents are read beside them, as Dolma's form of a score holds the document's length; so
the conversion also proves that the attributes belong to the documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dolma_kit import attribute_files, attributes, config, files
from dolma_kit.attributes import Columns, Format, Kind
from dolma_kit.config import Convert
from dolma_kit.documents import DocumentReader, Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute.progress import advance
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.summary import Summary, summarize
from dolma_kit.tagging import checked_name

PHASE = "converting"


@dataclass(frozen=True)
class ConvertTask:
    """One attribute file: where it is, what its columns are, where it goes."""

    shard: Shard
    source: str
    source_format: Format
    columns: dict[str, Kind]
    output: str
    format: Format
    fields: Fields
    limit: int | None


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
        columns.update(attribute_files.known_columns(shard, settings.experiment))
    fields = Fields(settings.text_key, settings.id_key)
    units = []
    for shard, limit in allot(shards, settings.limit, fields):
        source, source_format = attributes.locate(shard, settings.experiment)
        task = ConvertTask(
            shard=shard,
            source=source,
            source_format=source_format,
            columns=columns,
            output=shard.attribute_stem(to) + attributes.SUFFIXES[settings.format],
            format=settings.format,
            fields=fields,
            limit=limit,
        )
        folder = f"{shard.attributes}/{to}"
        n_bytes = files.size(shard.path)
        claims = attributes.claims(shard.attribute_stem(to), settings.format)
        units.append(Unit(shard.tree, task, (shard.path, source), folder, n_bytes, *claims))
    return Plan(
        stage="attributes convert",
        config=settings.deciding() | {"to": to, "columns": columns, "attributes": None},
        phases=[Phase(PHASE, convert_file, units)],
    )


def convert_file(task: ConvertTask) -> Result:
    """Read one attribute file beside its documents and write it in the other format."""
    documents = DocumentReader(task.shard.path, fields=task.fields, limit=task.limit)
    reader = attribute_files.Reader(task.source, task.source_format, task.columns, task.shard.path)
    with (
        files.write_atomically(task.output) as stream,
        attribute_files.Writer(stream, task.format, task.columns, {"converted": True}) as writer,
    ):
        for batch in documents:
            table = reader.read(batch)
            values: Columns = {
                name: attributes.values_of(table.column(name), kind)
                for name, kind in task.columns.items()
            }
            writer.write(batch, values)
            advance(len(batch), batch.n_bytes)
        if task.limit is None:
            reader.finish()
    return Result(
        documents=documents.n_documents,
        bytes_in=documents.n_bytes,
        bytes_out=files.size(task.output),
        outputs=[task.output],
    )
