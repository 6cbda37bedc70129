"""What the names of checkpoints say: how many steps, how many tokens, and which run trained them.

    step556000-tokens2460B                      a revision: 556,000 steps, some 2,460 * 10^9 tokens
    stage2-ingredient1-step11931-tokens50B      of a later stage, which counts its steps anew
    .../wvc30anm/step477000-unsharded/          a checkpoint's folder, in a list of them

Labels round tokens to 10^9, some up and some down (reference, section 1.7), so they are compared
with a margin of one; a batch that differs by more than 1 % besides is another batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dolma_kit.errors import ConfigError, DataError

BILLION = 10**9
TOLERANCE = 0.01
_LABEL = re.compile(
    r"(?P<stage>[\w.-]*?-)?step(?P<step>\d+)(-tokens(?P<tokens>\d+)(?P<unit>[BT]))?"
)


@dataclass(frozen=True)
class Revision:
    """A checkpoint: `tokens` is rounded to `rounded`, None where the name does not say; `run` is
    the folder of the run that wrote it, `stage` what stands before the step."""

    name: str
    step: int
    tokens: int | None
    stage: str
    run: str | None


def parse(text: str) -> Revision:
    """A revision or the path of a checkpoint; ConfigError for a name without a step."""
    names = [name for name in text.strip().rstrip("/").split("/") if name]
    name = names[-1] if names else ""
    found = _LABEL.match(name)
    if found is None:
        raise ConfigError(f"{text!r} names no step: a revision is like step1000-tokens4B")
    tokens = None
    if found["tokens"] is not None:
        tokens = int(found["tokens"]) * (BILLION if found["unit"] == "B" else 1000 * BILLION)
    run = names[-2] if len(names) > 1 else None
    return Revision(name, int(found["step"]), tokens, (found["stage"] or "").rstrip("-"), run)


def read(sources: Sequence[str]) -> list[Revision]:
    """The revisions of arguments: names themselves, and files that list one a line (or in a column
    of a CSV); by stage, then step. DataError for a file without any."""
    found = []
    for source in sources:
        if not os.path.isfile(source):
            found.append(parse(source))
            continue
        with open(source, encoding="utf-8") as stream:
            lines = [_of_line(line) for line in stream]
        listed = [one for one in lines if one is not None]
        if not listed:
            raise DataError(source, None, "lists no revision, like step1000-tokens4B")
        found += listed
    return sorted(found, key=lambda one: (one.stage, one.step))


def _of_line(line: str) -> Revision | None:
    for cell in line.strip().split(","):
        name = cell.strip().rstrip("/").split("/")[-1]
        if _LABEL.match(name):
            return parse(cell)
    return None


def check(revisions: Sequence[Revision], batch_size: int, sequence_length: int) -> None:
    """ConfigError where a revision's tokens are not those of so many steps of this batch."""
    per_step = batch_size * sequence_length
    for one in revisions:
        if one.tokens is None or not one.step:
            continue
        expected = one.step * per_step
        if abs(one.tokens - expected) <= BILLION + TOLERANCE * expected:
            continue
        said = one.tokens / one.step
        raise ConfigError(
            f"{one.name}: {one.tokens / BILLION:,.0f} billion tokens in {one.step:,} steps are "
            f"{said:,.0f} a step; the config says {batch_size} x {sequence_length} = "
            f"{per_step:,}, {abs(said / per_step - 1):.1%} off. The run's batch was about "
            f"{said / sequence_length:,.0f} instances: give it with --global-batch-size (a config "
            "is not the run)"
        )


def of_stage(revisions: Sequence[Revision], at: Revision | None) -> list[Revision]:
    """Those of the stage that is asked for: that of `at`, else the first."""
    if not revisions:
        return []
    stage = at.stage if at is not None else min(one.stage for one in revisions)
    return [one for one in revisions if one.stage == stage]


def lineage(revisions: Sequence[Revision]) -> list[tuple[int, int, str | None]]:
    """(first step, last step, run) of the runs that trained one after the other, from step 1."""
    found: list[tuple[int, int, str | None]] = []
    for one in sorted(revisions, key=lambda r: r.step):
        if not one.step:
            continue
        if found and found[-1][2] == one.run:
            found[-1] = (found[-1][0], one.step, one.run)
        else:
            found.append((found[-1][1] + 1 if found else 1, one.step, one.run))
    return [row for row in found if row[1] >= row[0]]
