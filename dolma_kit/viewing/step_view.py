"""A step and its batch: instances as cards, some of them a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dolma_kit.markup import counted, escaped
from dolma_kit.order.answers import DocumentPart, InstancePart
from dolma_kit.order.asking import page as pieces
from dolma_kit.viewing.addresses import Addresses
from dolma_kit.viewing.asked import Refused, number, shortened, whole_number
from dolma_kit.viewing.document_view import linked
from dolma_kit.viewing.viewed import Viewed

if TYPE_CHECKING:
    from dolma_kit.order.run import Run
    from dolma_kit.order.steps import Part, Step

SHOWN_INSTANCES = 32
SHOWN_TOKENS = 1 << 16  # of a page; one instance is shown whatever its length

STYLE = (
    pieces.STYLE
    + """
article h2 { font-size: 1rem; margin: 0; } h3 a { color: inherit; }
article > h2, article > h2 + p { display: inline-block; margin: 0 0.8rem 0 0; }
article > h2 + p, section > h3 + p { font-size: 0.9rem; }
"""
)


def answer(viewed: Viewed, step: str, query: Mapping[str, str]) -> str:
    """The page of a step; Refused for one that there is not."""
    run, to = viewed.run, viewed.addresses
    asked = whole_number(step)
    first_step = run.schedule.segments[0].from_step
    if asked is None or not first_step <= asked <= run.n_steps:
        raise Refused(
            f"no step {shortened(step)}: the run has steps {first_step:,} to {run.n_steps:,}", 404
        )
    seen = run.step(asked)
    n_instances = len(seen.instances)
    shown_at_once = instances_a_page(run)
    first = _first(seen, query, shown_at_once)
    stop = min(first + shown_at_once, n_instances)
    shown = [_instance(seen, nth) for nth in range(first, stop)]

    def name(part: DocumentPart) -> str:
        if part.line is None:  # borders by EOS tokens: it has no id that could be asked for
            return f"<bdi>{escaped(part.id)}</bdi>"
        return linked(to, part.id)

    title = f"Step {asked:,} of {run.n_steps:,}"
    parts = sum(len(parts) for _, parts in shown)
    some = "" if stop - first == n_instances else f" Here: {first + 1:,} to {stop:,}."
    told = (
        f"<p>Batch {seen.batch:,} (from 0) of epoch {seen.epoch}; "
        f"{counted(n_instances, 'instance')}.{some} {counted(parts, 'part')} of documents are "
        "shown.</p><p class='soft small'>The first token of an instance is context only: no "
        "prediction of it is trained. <span class=mark>EOS</span> ends a document.</p>"
    )
    turning = _turning(to, asked, first, n_instances, shown_at_once)
    main = (
        f"<h1>{title}</h1>{_steps(to, asked, first_step, run.n_steps)}"
        f"<div class=about><div>{told}</div>{pieces.sources_table([one for one, _ in shown])}</div>"
        f"{turning}{pieces.cards(shown, name)}{turning}"
    )
    return viewed.shell.page(title, main, place="steps", style=STYLE)


def found(viewed: Viewed, asked: str) -> str:
    """The address of a step by its number in a form; without one, of the first."""
    step = whole_number(asked) if asked.strip() else viewed.run.schedule.segments[0].from_step
    if step is None:
        raise Refused(f"n={shortened(asked)}: the number of a step", 400)
    return viewed.addresses.step(step)


def instances_a_page(run: Run) -> int:
    """How many instances a page shows, so that a large batch opens as fast as a small one."""
    return max(1, min(SHOWN_INSTANCES, SHOWN_TOKENS // run.description.sequence_length))


def _first(seen: Step, query: Mapping[str, str], shown: int) -> int:
    """The first instance of the batch that is shown, from 0."""
    size = len(seen.instances)
    if "instance" in query:
        wanted = whole_number(query["instance"])
        places = [nth for nth, one in enumerate(seen.instances.tolist()) if one == wanted]
        if not places:
            raise Refused(
                f"step {seen.step} has no instance {shortened(query['instance'])} in its batch", 404
            )
        return places[0] // shown * shown
    return number(query, "from", 0, least=0, most=size - 1)


def _instance(seen: Step, nth: int) -> tuple[InstancePart, list[Part]]:
    instance, position = int(seen.instances[nth]), seen.positions[nth]
    parts = seen.parts(instance)
    made = InstancePart(
        instance=instance,
        position=position,
        rank=seen.rank_of(position),
        status=seen.status(instance),
        documents=[part.document for part in parts],
        boundaries=seen.boundaries(instance),
    )
    return made, parts


def _steps(to: Addresses, step: int, first: int, last: int) -> str:
    """To the steps before and after, and to any other."""
    before = (
        f"<a rel=prev href='{to.step(step - 1)}'>← Step {step - 1:,}</a>"
        if step > first else "<span class=button>← First step</span>"
    )  # fmt: skip
    after = (
        f"<a rel=next href='{to.step(step + 1)}'>Step {step + 1:,} →</a>"
        if step < last else "<span class=button>Last step →</span>"
    )  # fmt: skip
    return f"<nav class=go aria-label=Steps>{before}{after}{step_form(to, first, last)}</nav>"


def step_form(to: Addresses, first: int, last: int) -> str:
    """A field for the number of a step."""
    return (
        f"<form action='{to.steps}'><label for=step>Step</label><input id=step type=number name=n "
        f"min={first} max={last} required><button>Go</button></form>"
    )


def _turning(to: Addresses, step: int, first: int, n_instances: int, shown: int) -> str:
    """To the other instances of a large batch; nothing where all are shown."""
    if n_instances <= shown:
        return ""
    links = []
    if first:
        links.append(f"<a href='{to.step(step, first=max(0, first - shown))}'>Instances before</a>")
    if first + shown < n_instances:
        links.append(f"<a href='{to.step(step, first=first + shown)}'>Instances after</a>")
    stop = min(first + shown, n_instances)
    said = f"<span class=soft>{first + 1:,} to {stop:,} of {n_instances:,}</span>"
    return f"<div class=go>{''.join(links)}{said}</div>"
