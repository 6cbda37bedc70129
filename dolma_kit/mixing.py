"""The stage `mix`: which documents are kept, what is cut out of them, in which shares.

Each stream's files are read with their attributes, filtered, masked and sampled on their own
(phase `choosing`, see that module); `joining` lays what is left one after the other in canonical
order, as shards. A rate of 2.5 writes the stream twice and then a half of it once more, so copies
lie far apart. Where a budget or a curve over quality says how much to take, the phases `surveying`
and `solving` (see `shares`) come first; with `shuffle_seed` a phase `shuffling` comes before the
last.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import msgspec

from dolma_kit import (
    config,
    decisions,
    plugins,
)
from dolma_kit.config import Mix
from dolma_kit.execute import Engine, Outcome, Plan, engine_for, execute, part_of
from dolma_kit.judging import Decision as Decision
from dolma_kit.judging import add_counts
from dolma_kit.layout import find
from dolma_kit.mixing_planner import Planner, asked
from dolma_kit.mixing_streams import (
    folder_of,
    output_folder,
    stream_columns,
    unknown_keys,
)
from dolma_kit.shares import composition
from dolma_kit.shares.composition import Composition
from dolma_kit.shares.solving import Planned
from dolma_kit.summary import Summary, summarize, summarize_part


def mix(settings: Mix | None = None, *, engine: Engine | None = None, **keys: Any) -> Summary:
    """Mix streams of documents; `keys` are those of `config.Mix`, or give the struct itself."""
    settings = settings or config.build(Mix, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        return summary(settings, made, execute(made, settings, running))


def summary(settings: Mix, made: Plan, outcome: Outcome) -> Summary:
    """What an executed plan did."""
    first = made.phases[0]
    if outcome.part and first.name != "choosing":
        partial = settings.limit is not None
        return summarize_part("mix", outcome, first.name, partial=partial)
    choosing = next(phase for phase in made.phases if phase.name == "choosing")
    streams: dict[str, dict[str, Any]] = {}
    units = part_of(choosing.units, *outcome.part) if outcome.part else choosing.units
    for unit, result in zip(units, outcome.results["choosing"], strict=True):
        more = {"documents": result.documents, **result.counts}
        del more["sha256"]
        add_counts(streams.setdefault(unit.task.consumers[0].task.of.stream.name, {}), more)
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
    removed = {folder_of(s.removed) for s in settings.streams if s.removed}
    shards_made = []
    for unit, result in zip(made.phases[-1].units, outcome.results["joining"], strict=True):
        if isinstance(unit.task, decisions.JoinTask):
            counts.setdefault("composition", []).extend(result.counts["composition"])
        elif unit.folder not in removed:
            shards_made += result.outputs
    return summarize(
        "mix",
        outcome,
        reading="choosing",
        writing="joining",
        outputs=sorted({os.path.dirname(path) for path in shards_made})
        or sorted({output_folder(stream) for stream in settings.streams}),
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
    """A unit a file and stream to survey it, if budgets need that, and to choose from it; then one
    a stream. The ledger is that of the output's `path`."""
    return Planner(settings).plan()


def predict(settings: Mix, *, engine: Engine | None = None) -> Composition:
    """What a mix would be made of. Reads all of it and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="dolma-kit-", dir=settings.tmp_dir) as folder:
        alone = msgspec.structs.replace(settings, shard=None, overwrite=False)
        made = Planner(alone, surveyed_in=folder).survey_only(folder)
        with engine_for(alone, engine) as running:
            (result,) = execute(made, alone, running).results["solving"]
    planned = msgspec.convert(result.counts["planned"], dict[str, Planned])
    return composition.composed(asked(settings), planned, None)
