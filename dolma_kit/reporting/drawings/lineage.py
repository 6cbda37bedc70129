"""What was made of what, from left to right. Statistics, of which nothing is made, are left out."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dolma_kit.reporting import figures
from dolma_kit.reporting.answers import Report, Stage
from dolma_kit.reporting.figures import FONT
from dolma_kit.reporting.numbers import count

LINE_HEIGHT = 13.5  # points, as all lengths here
PADDING = 8
GAP, BETWEEN = 16, 44
MOST_LINES = 8
MOST_NODES = 40


@dataclass
class Node:
    """A box: its lines, the first of which is its name, and the names of those it is made from."""

    lines: list[str]
    sources: set[str] = field(default_factory=set)
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        wide = max(map(figures.columns, self.lines)) * 0.56, figures.columns(self.lines[0]) * 0.66
        return max(wide) * FONT + 2 * PADDING  # the first line is bold

    @property
    def height(self) -> float:
        return len(self.lines) * LINE_HEIGHT + 2 * PADDING - 3


def lineage(name: str, title: str, report: Report) -> str:
    """The picture; empty where there are no stages, or too many for one."""
    nodes = _nodes(report)
    if not nodes or len(nodes) > MOST_NODES:
        return ""
    depths = _depths(nodes)
    columns = [[k for k in nodes if depths[k] == d] for d in range(max(depths.values()) + 1)]
    tall = [sum(nodes[k].height for k in c) + GAP * (len(c) - 1) for c in columns]
    x, height = 2.0, max(tall) + 4
    for column, tallness in zip(columns, tall, strict=True):
        y = (height - tallness) / 2
        for key in column:
            nodes[key].x, nodes[key].y = x, y
            y += nodes[key].height + GAP
        x += max(nodes[key].width for key in column) + BETWEEN
    body = [_arrow(nodes[s], n) for n in nodes.values() for s in sorted(_direct(nodes, n))]
    body += [_box(node) for node in nodes.values()]
    told = ". ".join(
        f"{', '.join(node.lines)}"
        + (f", from {', '.join(nodes[s].lines[0] for s in sorted(node.sources))}"
           if node.sources else "")
        for node in nodes.values()
    )  # fmt: skip
    return figures.framed("".join(body), name, title, told, width=x - BETWEEN + 4, height=height)


def _key(stage: Stage) -> str:
    """Stages that do the same to several folders are one box."""
    parts = stage.folder.split("/")
    return f"{stage.stage} {parts[-1] if 'attributes' in parts else stage.folder}"


def _nodes(report: Report) -> dict[str, Node]:
    stages = [one for one in report.stages if not one.stage.startswith("stats")]
    groups: dict[str, list[Stage]] = {}
    for one in stages:
        groups.setdefault(_key(one), []).append(one)
    makers = {one.folder: key for key, some in groups.items() for one in some}
    nodes: dict[str, Node] = {}
    leaves: dict[frozenset[str], list[str]] = {}
    users: dict[str, set[str]] = {}
    for key, some in groups.items():
        nodes[key] = Node([some[0].stage, *_folder_lines(some), _documents(some)])
        for source in dict.fromkeys(s for one in some for s in one.sources):
            maker = _maker(source, makers)
            if maker is None:
                users.setdefault(source, set()).add(key)
            elif maker != key:
                nodes[key].sources.add(maker)
    for leaf, its_users in users.items():
        leaves.setdefault(frozenset(its_users), []).append(leaf)
    first: dict[str, Node] = {}
    for number, (keys, folders) in enumerate(leaves.items()):
        first[f"leaf {number}"] = Node(["documents", *_listed(map(_shown, folders))])
        for key in keys:
            nodes[key].sources.add(f"leaf {number}")
    tokens = [key for key, some in groups.items() if some[0].stage == "tokenize"]
    for number, run in enumerate(report.runs if len(tokens) == 1 else ()):
        steps = f"{count(run.n_steps)} steps"
        nodes[f"run {number}"] = Node(["run", figures.label(run.run), steps], {tokens[0]})
    return first | nodes


def _maker(source: str, makers: dict[str, str]) -> str | None:
    """The stage that wrote a folder, or the one above it."""
    parts = source.split("/")
    for n in range(len(parts), 0, -1):
        if (found := makers.get("/".join(parts[:n]))) is not None:
            return found
    return None


def _folder_lines(some: Sequence[Stage]) -> list[str]:
    folder = some[0].folder
    parts = folder.split("/")
    if "attributes" in parts:
        return [figures.label(parts[-1])]
    return [figures.label(folder)]


def _documents(some: Sequence[Stage]) -> str:
    return f"{count(sum(one.documents for one in some))} documents"


def _shown(folder: str) -> str:
    return figures.label(folder.removesuffix("/documents"))


def _listed(folders: Iterable[str]) -> list[str]:
    known = list(folders)
    if len(known) <= MOST_LINES:
        return known
    return [*known[: MOST_LINES - 1], f"and {len(known) - MOST_LINES + 1} more"]


def _depths(nodes: dict[str, Node]) -> dict[str, int]:
    """The longest way from the left to each; a stage that feeds itself ends the way."""
    found: dict[str, int] = {}

    def depth(key: str, on_the_way: frozenset[str]) -> int:
        if key not in found:
            before = [
                depth(source, on_the_way | {key}) + 1
                for source in sorted(nodes[key].sources - on_the_way - {key})
            ]
            found[key] = max(before, default=0)
        return found[key]

    for key in nodes:
        depth(key, frozenset())
    return found


def _direct(nodes: dict[str, Node], node: Node) -> set[str]:
    """The sources but for those that another source is made from."""
    others = {key for source in node.sources for key in nodes[source].sources}
    return node.sources - others or node.sources


def _arrow(a: Node, b: Node) -> str:
    x1, y1 = a.x + a.width, a.y + a.height / 2
    x2, y2 = b.x - 3, b.y + b.height / 2
    middle = (x1 + x2) / 2
    return (
        f'<path d="M {x1:.1f} {y1:.1f} C {middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} '
        f'{x2:.1f} {y2:.1f}" style="fill:none;stroke:var(--soft);stroke-width:1.2"/>'
        f'<path d="M {x2 - 5:.1f} {y2 - 4:.1f} L {x2 + 2:.1f} {y2:.1f} L {x2 - 5:.1f} '
        f'{y2 + 4:.1f} Z" style="fill:var(--soft)"/>'
    )


def _box(node: Node) -> str:
    lines = []
    for n, line in enumerate(node.lines):
        y = node.y + PADDING + LINE_HEIGHT * (n + 0.75)
        weight = "font-weight:600;fill:var(--ink)" if n == 0 else "fill:var(--soft)"
        lines.append(
            f'<text x="{node.x + PADDING:.1f}" y="{y:.1f}" '
            f'style="font-size:{FONT if n == 0 else 9.5}px;{weight}">{html.escape(line)}</text>'
        )
    return (
        f'<rect x="{node.x:.1f}" y="{node.y:.1f}" width="{node.width:.1f}" '
        f'height="{node.height:.1f}" rx="4" style="fill:var(--card);stroke:var(--line)"/>'
        + "".join(lines)
    )
