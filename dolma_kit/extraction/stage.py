"""The stage `extract`: sources in, documents in Dolma's form out; each unit streams its files.

A last phase looks at the ids of all files, and writes `OUT/extraction.json`: what became of how
many records, by outcome and, of those left out, by reason.
"""

from __future__ import annotations

import glob
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dolma_kit import config, files, ledger, plugins, registry
from dolma_kit.config import Extract
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Outcome, Phase, Plan, Unit, engine_for, execute
from dolma_kit.execute import progress as reporting
from dolma_kit.extraction import clashes, git_trees
from dolma_kit.extraction.clashes import CheckTask
from dolma_kit.extraction.listing import READERS, source_files
from dolma_kit.extraction.outputs import SUFFIXES, Outputs, paths_of, row_of
from dolma_kit.extraction.records import Record, SourceFile
from dolma_kit.extraction.span_taggers import SpanTaggers
from dolma_kit.ledger import Result
from dolma_kit.summary import Summary

NAME = "extraction.json"
AT_ONCE = 64  # documents that post-taggers see together


@dataclass(frozen=True)
class ExtractTask:
    """The sources of one unit; with `limit` it stops after so many documents."""

    sources: tuple[SourceFile, ...]
    settings: Extract
    tree: str
    limit: int | None


def extract(
    settings: Extract | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Extract documents; `keys` are those of `config.Extract`, or give the struct itself.

    >>> extract(sources=["a.warc.gz"], out="web")  # doctest: +SKIP
    """
    settings = settings or config.build(Extract, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        outcome = execute(made, settings, running)
    return summary(settings, made, outcome)


def plan(settings: Extract) -> Plan:
    """A unit a source file, then the check of ids; ConfigError for what cannot be extracted."""
    if not settings.sources:
        raise ConfigError("no sources: give files, folders or globs")
    if not settings.out:
        raise ConfigError("no folder for the documents: give one with --out DIR")
    if settings.added is not None:
        _require_date(settings.added)
    _require_extractor(settings.extractor)
    given = plugins.read(settings.plugin)
    taggers = registry.taggers([*settings.pre_taggers, *settings.post_taggers], given)
    found = source_files(settings)
    groups: list[tuple[str, tuple[SourceFile, ...]]] = [(one.tree, (one,)) for one in found]
    if settings.limit is not None:  # which documents are the first is known in one place only
        groups = [(found[0].tree, tuple(found))]
    units, records = [], []
    for tree, sources in groups:
        written = paths_of(settings.out, tree, settings.compression)
        stem = written.documents.removesuffix(SUFFIXES[settings.compression])
        inputs = tuple(path for one in sources for path in inputs_of(one))
        units.append(
            Unit(
                name=f"reading {tree}",
                task=ExtractTask(sources, settings, tree, settings.limit),
                inputs=inputs,
                folder=settings.out,
                n_bytes=sum(map(_size, inputs)),
                claims=tuple(map(glob.escape, written)),
                rivals=tuple(
                    glob.escape(stem + suffix)
                    for suffix in (*SUFFIXES.values(), ".jsonl", ".parquet")
                    if stem + suffix != written.documents
                ),
            )
        )
        records.append(written.records)
    summed = os.path.join(settings.out, NAME)
    end = Unit(
        name="checking ids",
        task=CheckTask(tuple(records), summed),
        inputs=tuple(dict.fromkeys(path for unit in units for path in unit.inputs)),
        folder=settings.out,
        claims=(glob.escape(summed),),
    )
    deciding = settings.deciding() | {
        "source": source_of(settings),
        "inputs": [tree for tree, _ in groups],
        "kinds": sorted({one.kind for one in found}),
        "libraries": _libraries(settings, found),
        "commits": sorted(
            {c for one in found if one.kind == "git" and (c := git_trees.commit_of(one.path))}
        ),
        "models": {
            os.path.basename(path): files.sha256(path)
            for tagger in taggers
            for path in tagger.models()
        },
    }
    deciding.pop("plugin", None)
    if foreign := registry.fingerprints(taggers, given):
        deciding["plugins"] = foreign
    return Plan(
        stage="extract",
        config=deciding,
        phases=[Phase("reading", read, units), Phase("checking", finish, [end])],
        temporary=(ledger.temporary(settings.out, settings.tmp_dir),),
    )


def summary(settings: Extract, made: Plan, outcome: Outcome) -> Summary:
    results = outcome.results["reading"]
    filtered: dict[str, int] = {}
    notes: dict[str, int] = {}
    for result in results:
        for name, n in result.counts["filtered"].items():
            filtered[name] = filtered.get(name, 0) + n
        for name, n in result.counts["notes"].items():
            notes[name] = notes.get(name, 0) + n
    bytes_in = outcome.total("reading", "bytes_in")
    return Summary(
        command="extract",
        documents=outcome.total("reading", "documents"),
        bytes_in=bytes_in,
        bytes_out=outcome.total("reading", "bytes_out"),
        seconds=round(outcome.seconds, 3),
        mb_per_s=round(bytes_in / 1e6 / max(outcome.seconds, 1e-9), 3),
        quarantined=outcome.quarantined,
        outputs=[settings.out],
        partial=settings.limit is not None,
        engine=outcome.engine,
        compile_seconds=round(outcome.compile_seconds, 3),
        units_skipped=outcome.units_skipped,
        shard=settings.shard,
        complete=settings.part is None,
        counts={
            "files": len(results),
            "filtered": dict(sorted(filtered.items())),
            "failed": outcome.total("reading", "failed"),
            "notes": dict(sorted(notes.items())),
        },
    )


def read(task: ExtractTask) -> Result:
    """The unit of a source: read it, write what comes of it."""
    settings = task.settings
    source = source_of(settings)
    after = SpanTaggers(settings.post_taggers, settings.plugin)
    outputs = Outputs(settings.out, task.tree, settings.compression, set_aside=settings.set_aside)
    bytes_in = 0
    with outputs:
        for one in task.sources:
            module, _ = READERS[one.kind]
            reader = importlib.import_module(f"dolma_kit.extraction.{module}")
            n_bytes = sum(map(_size, inputs_of(one)))
            bytes_in += n_bytes
            pending: list[Record] = []
            for record in reader.read(one, settings):
                pending.append(record)
                if len(pending) == AT_ONCE:
                    _write(outputs, one, pending, settings, source, after, task.limit)
                    pending = []
                if task.limit is not None and outputs.n_documents >= task.limit:
                    break
            _write(outputs, one, pending, settings, source, after, task.limit)
            reporting.advance(0, n_bytes)
            if task.limit is not None and outputs.n_documents >= task.limit:
                break
    return outputs.result(bytes_in)


def _write(
    outputs: Outputs,
    file: SourceFile,
    records: Sequence[Record],
    settings: Extract,
    source: str,
    after: SpanTaggers,
    limit: int | None,
) -> None:
    """Write records, after post-taggers have looked at their texts."""
    texts = [(one.document.id, one.document.text) for one in records if one.document]
    tagged = iter(after.tag(texts))
    for one in records:
        row = None
        if one.document is not None:
            found = next(tagged)
            one = _judged(one, settings, bool(after), found)
            if one.document is not None:
                if limit is not None and outputs.n_documents >= limit:
                    return
                attributes = {**(one.document.attributes or {}), **found} or None
                row = row_of(
                    one.document._replace(attributes=attributes), source, settings.added
                )  # fmt: skip
        outputs.take(file.tree, file.path, one, row)
    reporting.advance(len(texts), 0)


def _judged(one: Record, settings: Extract, has_taggers: bool, found: dict[str, Any]) -> Record:
    """The record, or why its document is left out after all."""
    assert one.document is not None
    text = one.document.text
    if not text.strip():
        return one._replace(document=None, reason="empty")
    if len(text) < settings.min_characters:
        return one._replace(document=None, reason="too short", detail=f"{len(text):,} characters")
    if settings.skip_no_post_taggers and has_taggers and not found:
        return one._replace(document=None, reason="no post-tagger finds anything")
    return one


def finish(task: CheckTask) -> Result:
    """Check the ids of all files, and tell what became of all records."""
    clashes.check(task)
    with files.write_atomically(task.output) as stream:
        data = msgspec.json.encode({"version": 1, "records": _told(task.records)})
        stream.write(msgspec.json.format(data, indent=2) + b"\n")
    return Result(outputs=[task.output], bytes_out=files.size(task.output))


def _told(paths: Sequence[str]) -> dict[str, Any]:
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        rows = connection.execute(
            "SELECT outcome, CASE WHEN outcome = 'filtered' THEN reason END AS why, count(*) "
            "FROM read_parquet(?) GROUP BY ALL ORDER BY ALL",
            [list(paths)],
        ).fetchall()
    finally:
        connection.close()
    told: dict[str, Any] = {"documents": 0, "failed": 0, "filtered": {}}
    for outcome, why, n in rows:
        if outcome == "filtered":
            told["filtered"][why] = n
        else:
            told["documents" if outcome == "document" else "failed"] = n
    return told


def inputs_of(source: SourceFile) -> Iterator[str]:
    """The files whose change makes a source due again."""
    if not source.members or not os.path.isdir(source.path):
        yield source.path
        return
    found = [os.path.join(source.path, member) for member in source.members]
    # A bare repository has none of its files; its commit is in the config.
    yield from [path for path in found if os.path.isfile(path)] or [source.path]


def _size(path: str) -> int:
    return files.size(path) if not os.path.isdir(path) else 0


def source_of(settings: Extract) -> str:
    """`source` of the documents."""
    return settings.source or os.path.basename(os.path.abspath(settings.out))


def _require_date(text: str) -> None:
    import datetime

    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(f"--added {text}: a date of ISO 8601, as 2024-05-01") from None


def _require_extractor(name: str) -> None:
    import importlib.util

    if name == "trafilatura" and importlib.util.find_spec("trafilatura") is None:
        raise ConfigError("--extractor trafilatura: pip install 'dolma-kit[trafilatura]'")


def _libraries(settings: Extract, found: Sequence[SourceFile]) -> dict[str, str]:
    """The versions of libraries that decide texts."""
    from importlib.metadata import version

    names = {library for one in found for library in READERS[one.kind][1]}
    if settings.extractor == "trafilatura" and "resiliparse" in names:
        names.add("trafilatura")
    return {name: version(name) for name in sorted(names)}
