"""The stage `mix`: which documents are kept, what is cut out of them, in which shares.

Each stream's files are read with their attributes, filtered, masked and sampled on their own
(phase `choosing`, see that module); `joining` lays what is left one after the other in canonical
order, as shards. A rate of 2.5 writes the stream twice and then a half of it once more, so copies
lie far apart.
"""

from __future__ import annotations

import difflib
import glob
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from dolma_kit import (
    attribute_files,
    attributes,
    config,
    decisions,
    dolma_filters,
    files,
    ledger,
    plugins,
    registry,
    shards,
)
from dolma_kit.attributes import Format, Kind
from dolma_kit.choosing import (
    ChoiceSink,
    Chooser,
    ChooseTask,
    add_counts,
    dolma_filter_of,
    filter_of,
)
from dolma_kit.choosing import Decision as Decision
from dolma_kit.config import Mix, Stream
from dolma_kit.decoding import Source
from dolma_kit.documents import Fields, allot
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Outcome, Phase, Plan, Unit, engine_for, execute, part_of
from dolma_kit.execute.reading import Consumer, Reading
from dolma_kit.layout import Shard, find
from dolma_kit.ledger import Result
from dolma_kit.plugins import Plugin
from dolma_kit.quarantine import below_output
from dolma_kit.summary import Summary, summarize, summarize_part


def mix(settings: Mix | None = None, *, engine: Engine | None = None, **keys: Any) -> Summary:
    """Mix streams of documents; `keys` are those of `config.Mix`, or give the struct itself."""
    settings = settings or config.build(Mix, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        return summary(settings, made, execute(made, settings, running))


def summary(settings: Mix, made: Plan, outcome: Outcome) -> Summary:
    """What an executed plan did."""
    choosing = outcome.results["choosing"]
    streams: dict[str, dict[str, Any]] = {}
    units = part_of(made.phases[0].units, *outcome.part) if outcome.part else made.phases[0].units
    for unit, result in zip(units, choosing, strict=True):
        more = {"documents": result.documents, **result.counts}
        del more["sha256"]
        add_counts(streams.setdefault(unit.task.consumers[0].task.stream.name, {}), more)
    counts: dict[str, Any] = {
        "kept": outcome.total("choosing", "kept"),
        "written": outcome.total("choosing", "written"),
        "streams": streams,
    }
    if warnings := _warnings(settings, streams):
        counts["warnings"] = warnings
    partial = settings.limit is not None
    if outcome.part:
        return summarize_part("mix", outcome, "choosing", partial=partial, counts=counts)
    made_files = [path for result in outcome.results["joining"] for path in result.outputs]
    shards_made = [path for path in made_files if not path.endswith(decisions.NAME)]
    return summarize(
        "mix",
        outcome,
        reading="choosing",
        writing="joining",
        outputs=sorted({os.path.dirname(path) for path in shards_made}) or made.folders,
        partial=partial,
        counts={**counts, "shards": len(shards_made)},
    )


def _warnings(settings: Mix, streams: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was asked for and seems to do nothing, or too much."""
    given = plugins.read(settings.plugin)
    found = []
    for stream in settings.streams:
        shards_found = find(stream.documents)
        columns = stream_columns(stream, shards_found, given, settings.set_aside)
        found += unknown_keys(stream, columns)
        counts = streams.get(stream.name, {})
        removed = counts.get("removed", {})
        rules = [*stream.expressions, *(["keep"] if stream.rule else [])]
        found += [
            f"stream {stream.name!r}: {rule} removes nothing"
            for rule in rules
            if counts.get("documents") and not removed.get(rule)
        ]
        if counts.get("documents") and not counts.get("kept"):
            most = max(removed, key=removed.__getitem__, default="keep")
            found.append(f"stream {stream.name!r}: nothing is left; {most} removes most")
    return found


def plan(settings: Mix) -> Plan:
    """A unit a file and stream, then one a stream; the ledger is that of the output's `path`."""
    if not settings.streams:
        raise ConfigError("no streams: a mix names at least one; see `dolma-kit list configs`")
    _check_outputs(settings.streams)
    fields = Fields(settings.text_key, settings.id_key)
    given = plugins.read(settings.plugin)
    choosing, joining, deciding, temporary = [], [], [], set()
    taken: dict[str, str] = {}
    decided: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for stream in settings.streams:
        found = find(stream.documents)
        _check_inputs(stream, found, settings.streams)
        columns = stream_columns(stream, found, given, settings.set_aside)
        wanted = _wanted(stream, columns, given)
        if (odd := unknown_keys(stream, columns)) and settings.strict_keys:
            raise ConfigError(odd[0])
        folder = output_folder(stream)
        place = ledger.temporary(folder, settings.tmp_dir)
        temporary.add(place)
        passes: list[list[str]] = [[] for _ in range(max(1, math.ceil(stream.rate)))]
        inputs_of: list[tuple[str, ...]] = []
        allotted = allot(found, settings.limit, fields, set_aside=settings.set_aside)
        for i, (shard, limit) in enumerate(allotted):
            located = _located(shard, stream, settings)
            own_inputs = (shard.path, *(path for path, _ in located or ()))
            pieces = tuple(
                os.path.join(place, stream.name, f"{i:06d}.{n}.piece") for n in range(len(passes))
            )
            piece = os.path.join(place, stream.name, f"{i:06d}.decisions")
            decided.setdefault(folder, []).append((piece, own_inputs))
            choose_task = ChooseTask(
                stream=stream,
                fields=fields,
                seed=settings.seed,
                shard=shard,
                attributes=None
                if located is None
                else tuple(
                    (path, format, {n: k for n, k in columns[name].items() if n in wanted})
                    for name, (path, format) in zip(stream.attributes, located, strict=True)
                ),
                pieces=pieces,
                decisions=piece,
                partial=limit is not None,
                plugins=given,
            )
            aside = below_output(f"mix/{stream.name}", folder, shard)
            reading = Reading(
                Source(shard.path, fields, True, limit, settings.set_aside),
                (Consumer(Chooser, ChoiceSink, choose_task, aside, empty_if_broken=True),),
                needs_rows=bool(stream.attributes),
                shareable=all(format == "parquet" for _, format in located or ()),
            )
            name = f"choosing {stream.name} {shard.src}"
            choosing.append(Unit(name, reading, own_inputs, folder, files.size(shard.path)))
            for pass_, own_piece in zip(passes, pieces, strict=True):
                pass_.append(own_piece)
            inputs_of.append(own_inputs)
        for name, join_task, own_inputs in _joins(
            settings, stream, found, passes, inputs_of, taken
        ):
            claims = join_task.claims()
            joining.append(Unit(f"joining {name}", join_task, own_inputs, folder, claims=claims))
        deciding.append({"name": stream.name, "inputs": [shard.src for shard in found]})
    for folder, parts in decided.items():
        decision_task = decisions.JoinTask(
            tuple(piece for piece, _ in parts), decisions.path_in(folder)
        )
        inputs = tuple(dict.fromkeys(path for _, own in parts for path in own))
        claims = (glob.escape(decision_task.output),)
        joining.append(Unit("joining decisions", decision_task, inputs, folder, claims=claims))
    return Plan(
        stage="mix",
        config=_deciding(settings, deciding, given),
        phases=[Phase("choosing", None, choosing), Phase("joining", join, joining)],
        temporary=tuple(sorted(temporary)),
    )


def join(task: shards.JoinTask | decisions.JoinTask) -> Result:
    """Lay pieces together: those of shards, or of decisions."""
    return decisions.join(task) if isinstance(task, decisions.JoinTask) else shards.join(task)


def _joins(
    settings: Mix,
    stream: Stream,
    found: Sequence[Shard],
    passes: Sequence[Sequence[str]],
    inputs_of: Sequence[tuple[str, ...]],
    taken: dict[str, str],
) -> list[tuple[str, shards.JoinTask, tuple[str, ...]]]:
    """What lays pieces together: one for the stream, or with `shuffle: false` one a file.

    `taken` are the outputs of all streams so far, each with the file that it is made of.
    """
    suffix = ".jsonl." + stream.compression.output
    folder = documents_folder(stream)
    if settings.shuffle:
        pieces = tuple(piece for pass_ in passes for piece in pass_)
        size = stream.output.max_size_in_bytes
        task = shards.JoinTask(pieces, os.path.join(folder, stream.name), suffix, size)
        return [(stream.name, task, tuple(path for own in inputs_of for path in own))]
    made = []
    for i, own in enumerate(inputs_of):  # a limit may leave out the last files
        shard = found[i]
        pieces = tuple(pass_[i] for pass_ in passes)
        task = shards.JoinTask(pieces, os.path.join(folder, shard.tree), suffix, None)
        if (other := taken.setdefault(task.stem + suffix, shard.path)) != shard.path:
            raise ConfigError(
                f"stream {stream.name!r}: {other} and {shard.path} would both become "
                f"{task.stem}{suffix}: give each folder an output path of its own"
            )
        made.append((f"{stream.name} {shard.src}", task, own))
    return made


def _deciding(
    settings: Mix, inputs: list[dict[str, Any]], given: Sequence[Plugin]
) -> dict[str, Any]:
    """The config without places: a mix moved to another folder is the same mix."""
    plain = settings.deciding()
    for stream in plain["streams"]:
        stream.pop("documents")
        stream["output"].pop("path")
        stream["attributes"] = [os.path.basename(a.rstrip("/")) for a in stream["attributes"]]
    policies = [registry.mixer(spec, given) for s in settings.streams for spec in s.policies]
    if foreign := registry.fingerprints(policies, given):
        plain["plugins"] = foreign
    return plain | {"inputs": inputs}


def _check_outputs(streams: list[Stream]) -> None:
    seen = set()
    for stream in streams:
        key = (os.path.abspath(documents_folder(stream)), stream.name)
        if key in seen:
            raise ConfigError(f"two streams named {stream.name!r} write to {stream.output.path}")
        seen.add(key)


def _check_inputs(stream: Stream, shards: list[Shard], streams: list[Stream]) -> None:
    """No input lies where a stream writes: a shard would replace it, or be read the next time."""
    folders = [os.path.join(os.path.realpath(documents_folder(s)), "") for s in streams]
    for shard in shards:
        if not files.is_remote(shard.path) and os.path.realpath(shard.path).startswith(
            tuple(folders)
        ):
            raise ConfigError(
                f"stream {stream.name!r} reads {shard.path}, which lies in a folder that this mix "
                "writes to: give another output path"
            )


def output_folder(stream: Stream) -> str:
    """The folder that holds `documents/` and the ledger."""
    path = stream.output.path.rstrip("/") or "/"
    return (os.path.dirname(path) or ".") if os.path.basename(path) == "documents" else path


def documents_folder(stream: Stream) -> str:
    """`<path>/documents`; Dolma's `path` already ends in it."""
    return os.path.join(output_folder(stream), "documents")


def _located(shard: Shard, stream: Stream, settings: Mix) -> list[tuple[str, Format]] | None:
    """The attribute files of a shard. A shard without one is an error, but None where that may be
    because the shard cannot be read and was set aside."""
    found = [attributes.locate_if_there(shard, name) for name in stream.attributes]
    there = [each for each in found if each is not None]
    if len(there) == len(found):
        return there
    if not settings.set_aside:
        attributes.require(shard, stream.attributes)
    return None


def stream_columns(
    stream: Stream, documents: list[Shard], given: Sequence[Plugin] = (), set_aside: bool = False
) -> dict[str, dict[str, Kind]]:
    """Experiment -> its known columns and their kinds, over all files of the stream."""
    found: dict[str, dict[str, Kind]] = {}
    for name in stream.attributes:
        columns: dict[str, Kind] = {}
        for shard in documents:
            if not attributes.locate_if_there(shard, name):
                if set_aside:
                    continue
                attributes.require(shard, [name])
            columns.update(attribute_files.known_columns(shard, name, given))
        found[name] = columns
    everywhere = [column for columns in found.values() for column in columns]
    if twice := sorted({c for c in everywhere if everywhere.count(c) > 1}):
        raise ConfigError(
            f"stream {stream.name!r}: two of its experiments have a column {twice[0]!r}; "
            "leave one of them out"
        )
    return found


def _wanted(
    stream: Stream, columns: Mapping[str, Mapping[str, Kind]], given: Sequence[Plugin]
) -> set[str]:
    """The columns that the stream's rules read; a rule that names an unknown one is an error."""
    known = {name: kind for group in columns.values() for name, kind in group.items()}
    wanted: set[str] = set()
    for rule in stream.span_replacement:
        span = dolma_filters.selected(rule.span, rule.syntax)
        if known.get(span) == "spans":
            wanted.add(span)
        elif span == rule.span:
            spans = [name for name, kind in known.items() if kind == "spans"]
            near = difflib.get_close_matches(rule.span, spans, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"known spans: {', '.join(spans) or 'none'}"
            )
            raise ConfigError(
                f"stream {stream.name!r}: no spans {rule.span!r} in its attributes; {hint}"
            )
    for spec in stream.policies:
        wanted.update(registry.mixer(spec, given).columns(known))
    names = tuple(sorted(known.items()))
    for expression in stream.expressions.values():
        wanted.update(filter_of(expression, names).columns)
    if stream.rule is not None:
        wanted.update(dolma_filter_of(stream.rule, names).columns)
    return wanted


def unknown_keys(stream: Stream, columns: Mapping[str, Mapping[str, Kind]]) -> list[str]:
    """A line for each attribute that a rule in Dolma's form names and nobody declares."""
    known = {name: kind for group in columns.values() for name, kind in group.items()}
    keys = []
    if stream.rule is not None:
        keys += dolma_filter_of(stream.rule, tuple(sorted(known.items()))).unknown
    for rule in stream.span_replacement:
        if (span := dolma_filters.selected(rule.span, rule.syntax)) not in known:
            keys.append(span)
    return [
        f"stream {stream.name!r}: no attributes {key!r}, so what is asked of them never holds"
        f"{dolma_filters.nearest(key, list(known))}"
        for key in dict.fromkeys(keys)
    ]
