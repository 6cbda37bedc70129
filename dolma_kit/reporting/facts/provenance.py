"""Where a corpus came from and what became of it: the documents before, software, costs, training
runs, digests of this version."""

from __future__ import annotations

import shlex

from dolma_kit.markup import counted
from dolma_kit.reporting import markdown
from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.facts.measured import MOST_ROWS, REPORT, Blocks, bullets
from dolma_kit.reporting.facts.processing import steps_of, versions_of
from dolma_kit.reporting.numbers import NONE, count, duration, number, part, percent, size


def raw(report: Report) -> Blocks:
    """The documents as they were read, which stages leave as they are."""
    return bullets(
        f"What went in is in {markdown.codes(corpus.documents)}, {size(corpus.bytes_stored)} as "
        "stored; stages write beside it and never change it."
        for corpus in report.corpora
        if corpus.role == "sources" and corpus.documents
    )


def software(report: Report) -> Blocks:
    versions = versions_of([stage for same in steps_of(report) for stage in same])
    if not versions:
        return []
    rows = [[markdown.code(name), markdown.codes(known)] for name, known in versions.items()]
    said = "With dolma-kit, which is open source (Apache 2.0), in these versions:"
    return [said, markdown.table(["software", "versions"], rows), markdown.command(REPORT)]


def costs(report: Report) -> Blocks:
    told = report.costs
    if told is None:
        return []
    rows = [
        [markdown.code(one.stage), duration(one.wall_seconds), duration(one.cpu_seconds),
         f"{one.kwh_with_pue:.3g}", "measured" if one.energy == "rapl" else "modelled",
         NONE if one.carbon_kg is None else f"{one.carbon_kg:.3g}"]
        for one in told.stages
    ]  # fmt: skip
    carbon = NONE if told.total_carbon_kg is None else f"{told.total_carbon_kg:.3g}"
    rows.append(["in all", NONE, duration(told.total_cpu_seconds),
                 f"{told.total_kwh_with_pue:.3g}", "", carbon])  # fmt: skip
    heads = ["work", ">wall time", ">CPU time", ">kWh", "energy is", ">kg CO2"]
    said = (
        f"What it took. Energy that no counter told is modelled as {number(told.watts_per_core)} W "
        f"for each core at work; a PUE of {number(told.pue)} is in it."
    )
    return [said, markdown.filled(heads, rows, NONE), markdown.command(REPORT)]


def runs(report: Report) -> Blocks:
    """What training runs see of it."""
    blocks: Blocks = []
    for one in report.runs:
        said = (
            f"The training run {markdown.code(one.run)}: {counted(one.n_steps, 'step')} of "
            f"{counted(one.global_batch_size, 'instance')} of "
            f"{counted(one.sequence_length, 'token')} each, in the order "
            f"{markdown.code(str(one.order.get('kind', 'unknown')))}."
        )
        blocks.append(said)
        if not one.exposures:
            continue
        last = one.exposures[-1]
        rows = [
            [markdown.code(each.source), count(each.tokens), percent(each.share),
             count(each.unique_tokens), part(each.unique_tokens, each.available_tokens),
             number(each.repeats)]
            for each in last.sources[:MOST_ROWS]
        ]  # fmt: skip
        rows.append(
            ["in all", count(last.tokens), "", count(last.unique_tokens),
             part(last.unique_tokens, last.available_tokens), number(last.epochs)]
        )  # fmt: skip
        heads = ["source", ">tokens trained on", ">share", ">different ones",
                 ">of those there are", ">times seen"]  # fmt: skip
        command = f"dolma-kit trace exposure --run {shlex.quote(one.run)}"
        blocks += [markdown.table(heads, rows), markdown.command(command)]
    return blocks


def digests(report: Report) -> Blocks:
    """By what this version can be told from others."""
    made = [one for one in report.stages if one.stage in ("mix", "tokenize")]
    lines = [
        f"{markdown.code(one.folder)}, by {markdown.code(one.stage)}: config "
        f"{markdown.code(one.config_sha256)}, inputs {markdown.code(one.inputs_sha256)}"
        + (f", finished {markdown.text(one.last[:19])} UTC" if one.last else "")
        + "."
        for one in made
    ]
    lines += [f"The run {markdown.code(one.run)}: {markdown.code(one.fingerprint)}."
              for one in report.runs]  # fmt: skip
    if not lines:
        return []
    return ["This version, by SHA-256:", *bullets(lines), markdown.command(REPORT)]
