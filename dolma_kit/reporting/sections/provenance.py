"""What was made of what, by which config, versions and times."""

from __future__ import annotations

from dolma_kit.markup import counted, escaped
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report, Stage
from dolma_kit.reporting.blocks import n
from dolma_kit.reporting.drawings.lineage import lineage
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, duration, size
from dolma_kit.reporting.reading import Section, missing

ID = "provenance"
MOST_STAGES = 120
MOST_SOURCES = 12


def section(report: Report) -> Section:
    stages = report.stages[:MOST_STAGES]
    if not stages:
        return Section(ID, "Provenance", missing(report, ID, is_measured=False), False)
    body = ""
    if drawn := lineage("lineage", "What was made of what", report):
        body += figure_of(
            drawn,
            "What was made of what, from left to right. Folders to which the same was done share a "
            "box; statistics are left out.",
        )
    body += _table("Stages, as their ledgers tell; work is added up over workers", [
        one for one in stages if not _is_statistic(one)
    ])  # fmt: skip
    statistics = [one for one in stages if _is_statistic(one)]
    if statistics:
        title = f"{counted(len(statistics), 'statistic')} of these folders"
        body += blocks.folded(title, _table("Statistics, as their ledgers tell", statistics))
    body += blocks.others(len(report.stages) - len(stages), "stage")
    body += "<h3>Configs and versions</h3>" + "".join(map(_details, _distinct(stages)))
    body += blocks.command('dolma-kit sql "select * from ledger" FOLDER')
    return Section(ID, "Provenance", body + missing(report, ID, is_measured=True), True)


def _is_statistic(one: Stage) -> bool:
    return one.stage.startswith("stats")


def _time(when: str | None) -> str:
    return f"<span class=when>{escaped((when or '')[:16].replace('T', ' '))}</span>"


def _table(caption: str, stages: list[Stage]) -> str:
    rows = [
        (
            blocks.name(one.stage), f"{blocks.name(one.folder)}{_flags(one)}", _sources(one),
            count(one.documents), size(one.bytes_in), size(one.bytes_out), count(one.units),
            count(one.quarantined), duration(one.work_seconds), _time(one.last),
        )
        for one in stages
    ]  # fmt: skip
    heads = ["stage", "folder", "made from", n("documents"), n("read"), n("written"), n("units"),
             n("quarantined"), n("work"), "finished (UTC)"]  # fmt: skip
    return blocks.table(caption, heads, rows)


def _flags(one: Stage) -> str:
    said = []
    if one.partial:
        said.append("only a part of the documents")
    if one.unmerged_parts:
        said.append(f"{counted(len(one.unmerged_parts), 'part')} not put together")
    return "".join(f" <span class='badge bad'>{words}</span>" for words in said)


def _sources(one: Stage) -> str:
    shown = [
        blocks.name(source.removesuffix("/documents")) for source in one.sources[:MOST_SOURCES]
    ]
    left = len(one.sources) - len(shown)
    if len(shown) > 3:
        rest = f", and {left} more" if left else ""
        return blocks.folded(counted(len(one.sources), "folder"), ", ".join(shown) + rest)
    return ", ".join(shown)


def _distinct(stages: list[Stage]) -> list[list[Stage]]:
    """Stages by what they are and their config: what is the same is told once."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for one in stages:
        groups.setdefault((one.stage, one.config_sha256), []).append(one)
    return list(groups.values())


def _details(same: list[Stage]) -> str:
    one = same[0]
    folders = ", ".join(blocks.name(stage.folder) for stage in same[:MOST_SOURCES])
    if len(same) > MOST_SOURCES:
        folders += f" and {len(same) - MOST_SOURCES} more"
    rows = [
        (
            escaped(run.started[:19]), escaped(run.engine), count(run.workers), count(run.units),
            duration(run.seconds), duration(run.cpu_seconds),
            "–" if run.joules is None else f"{run.joules:,.0f} J",
            escaped(", ".join(f"{k} {v}" for k, v in run.versions.items())),
        )
        for stage in same[:MOST_SOURCES]
        for run in stage.executions[:MOST_SOURCES]
    ]  # fmt: skip
    heads = ["started (UTC)", "engine", n("workers"), n("units"), n("wall time"), n("CPU time"),
             n("energy"), blocks.texts("versions")]  # fmt: skip
    runs = blocks.table(f"Commands that worked on {blocks.name(one.stage)}", heads, rows)
    digests = "".join(
        f"<p class=small>{blocks.name(stage.folder)}: inputs {blocks.digest(stage.inputs_sha256)}"
        f"{_period(stage)}</p>"
        for stage in same[:MOST_SOURCES]
    )
    inside = f"{digests}{runs if rows else ''}{blocks.json_of(one.config)}"
    title = f"<b>{blocks.name(one.stage)}</b> {folders}, config {blocks.digest(one.config_sha256)}"
    return blocks.folded(title, inside)


def _period(stage: Stage) -> str:
    if not stage.first or not stage.last:
        return ""
    return f", finished {escaped(stage.first[:19])} to {escaped(stage.last[:19])}"
