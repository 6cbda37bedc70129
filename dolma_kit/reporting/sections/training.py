"""What training runs see: tokens by source over steps, different ones and repeats."""

from __future__ import annotations

import shlex

from dolma_kit.markup import escaped
from dolma_kit.order.asking.exposure import Exposure
from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Report, RunExposure
from dolma_kit.reporting.blocks import n, part, percent
from dolma_kit.reporting.drawings.exposure import exposure
from dolma_kit.reporting.drawings.stacks import OTHERS
from dolma_kit.reporting.figures import figure_of
from dolma_kit.reporting.numbers import count, number
from dolma_kit.reporting.reading import Section, missing

ID = "order"
MOST_RUNS = 6
MOST_PARTS = 8
MOST_SOURCES = 40


def section(report: Report) -> Section:
    title = "What a run sees"
    runs = [one for one in report.runs if one.exposures]
    if not runs:
        return Section(ID, title, missing(report, ID, is_measured=False), False)
    body = "".join(_run(number_, one) for number_, one in enumerate(runs[:MOST_RUNS]))
    body += blocks.others(len(runs) - MOST_RUNS, "run")
    return Section(ID, title, body + missing(report, ID, is_measured=True), True)


def _run(number_: int, one: RunExposure) -> str:
    last = one.exposures[-1]
    order = ", ".join(
        f"{escaped(str(key)[:40])} {escaped(str(value)[:60])}"
        for key, value in one.order.items()
        if value is not None
    )
    body = (
        f"<h3>{blocks.name(one.run)}</h3><p>{count(one.n_steps)} steps of "
        f"{count(one.global_batch_size)} instances of {count(one.sequence_length)} tokens, in the "
        f"order {order or 'that is described there'}; fingerprint "
        f"{blocks.digest(one.fingerprint)}. By step {count(last.step)}: {count(last.tokens)} "
        f"tokens, {count(last.unique_tokens)} different ones of {count(last.available_tokens)} "
        f"({part(last.unique_tokens, last.available_tokens)}), {number(last.epochs, 3)} epochs"
        f"{_masked(last)}.</p>"
    )
    drawn = [each for each in one.exposures if each.tokens]
    if drawn:
        own = [s.source for s in sorted(last.sources, key=lambda s: (-s.tokens, s.source))]
        shown = own if len(own) <= MOST_PARTS else [*own[: MOST_PARTS - 1], OTHERS]
        body += figure_of(
            exposure(f"exposure-{number_}", f"What {one.run} sees over its steps", drawn, shown),
            "Left: of all tokens trained on up to a step, the share of each source. Right: tokens "
            "trained on, and different ones among them; where the two part, text is seen again.",
        )
    body += _sources(last) + _steps(one)
    run = shlex.quote(one.run)
    return body + blocks.command(f"dolma-kit trace exposure --run {run} --at {last.step}")


def _masked(last: Exposure) -> str:
    return f"; {count(last.masked_tokens)} tokens masked" if last.masked_tokens else ""


def _sources(last: Exposure) -> str:
    ranked = sorted(last.sources, key=lambda one: (-one.tokens, one.source))
    rows = [
        (
            blocks.name(one.source), count(one.tokens), percent(one.share),
            count(one.unique_tokens), count(one.available_tokens),
            part(one.unique_tokens, one.available_tokens), number(one.repeats, 3),
            count(one.documents_seen), count(one.documents), number(one.steps_since, 3),
        )
        for one in ranked[:MOST_SOURCES]
    ]  # fmt: skip
    heads = ["source", n("tokens"), n("share"), n("different"), n("available"), n("seen"),
             n("times each"), n("documents seen"), n("of"), n("steps since")]  # fmt: skip
    caption = f"By source at step {count(last.step)}"
    return blocks.table(caption, heads, rows) + blocks.others(len(ranked) - len(rows), "source")


def _steps(one: RunExposure) -> str:
    rows = [
        (count(each.step), count(each.tokens), count(each.unique_tokens),
         part(each.unique_tokens, each.tokens), number(each.epochs, 3),
         "; ".join(f"{k}: {count(v)}" for k, v in list(each.times_seen.items())[:6]))
        for each in one.exposures
    ]  # fmt: skip
    heads = [n("step"), n("tokens"), n("different"), n("of these"), n("epochs"),
             "tokens by how often"]  # fmt: skip
    table = blocks.table(f"Over the steps of {blocks.name(one.run)}", heads, rows)
    return blocks.folded(f"Over the steps of {blocks.name(one.run)} as a table", table)
