"""When a document was seen, as a table with links to the steps; or why never, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_kit.markup import escaped
from dolma_kit.order.answers import Never, Sighting
from dolma_kit.viewing import shell
from dolma_kit.viewing.addresses import Addresses
from dolma_kit.viewing.copies import Decided, Traced

SHOWN = 20  # of a document, a page
SHOWN_STEPS = 12

NEVER: dict[Never, str] = {
    "masked": "it is in instances that were read, and the instance filter masked each",
    "skipped": "it is in batches that were read and not trained on",
    "truncated": "its tokens are behind the part of an instance or document that was kept",
    "not-reached": "the run stopped before the steps that would have read it",
    "epoch-tail": "it is in instances, but each was left over when an epoch ended",
    "not-sampled": "its tokens are behind the part of their file that a mixture takes",
    "file-remainder": "all its tokens are in what is left of a file after its last instance",
    "removed": "a mix removed it before tokenizing",
}


def table(to: Addresses, seen: Sequence[Sighting], first: int) -> str:
    """Some sightings, from one on (from 0)."""
    if not seen:
        return ""
    labels = any(one.labels is not None for one in seen)
    heads = [("step", True), ("epoch", True), ("rank", True), ("instance", True)]
    heads += [("tokens", True)] + ([("labels", True)] if labels else [])
    rows = [_row(to, one, labels) for one in seen[first : first + SHOWN]]
    return shell.table("Steps that saw the document", heads, rows)


def _row(to: Addresses, one: Sighting, labels: bool) -> list[str]:
    link = f"<a href='{to.step(one.step, instance=one.instance)}'>{one.step:,}</a>"
    row = [link, str(one.epoch), str(one.rank), f"{one.instance:,}", f"{one.start:,}–{one.end:,}"]
    return [*row, f"{one.labels:,}"] if labels and one.labels is not None else row + [""] * labels


def step_links(to: Addresses, seen: Sequence[Sighting]) -> str:
    """Links to the first steps of some sightings, at the instance."""
    first = {one.step: one for one in reversed(seen)}
    steps = sorted(first)
    links = [
        f"<a href='{to.step(step, instance=first[step].instance)}'>{step:,}</a>"
        for step in steps[:SHOWN_STEPS]
    ]
    rest = f" and {len(steps) - SHOWN_STEPS:,} more" if steps[SHOWN_STEPS:] else ""
    return f"{'step' if len(steps) == 1 else 'steps'} {', '.join(links)}{rest}"


def why_never(found: Traced) -> str:
    """Why there is no sighting, and what mixes say of the documents of the id."""
    made = ""
    if found.never is not None:
        made = f"<p class='told bad'>Never: {NEVER[found.never]} (<code>{found.never}</code>).</p>"
    elif not found.seen:
        made = (
            "<p class='told bad'>Never: a mix kept it, but it is not among the tokens of this run."
            "</p>"
        )
    return made + "".join(map(_decided, found.decided[:20]))


def _decided(one: Decided) -> str:
    why = one.why
    where = f"Stream <bdi>{escaped(why.stream)}</bdi> of the mix"
    place = f"<bdi class=id>{escaped(why.src)}:{why.line}</bdi>"
    if why.first is None:
        times = "once" if why.copies == 1 else f"{why.copies:,} times"
        return f"<p class='told good'>{where} kept {place} and wrote it {times}.</p>"
    others = ", ".join(_rule(rule) for rule in why.rules)
    return (
        f"<p class=told>{where} removed {place} by {_rule(why.first)}; all rules that say so: "
        f"{others}.</p>"
    )


def _rule(rule: str) -> str:
    return f"<code><bdi>{escaped(rule)}</bdi></code>"
