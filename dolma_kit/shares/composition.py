"""What a mix is made of: `composition.json` beside its `documents/`, planned and as written.

    {"streams": [{"name", "asked", "rate", "available": {"documents", "bytes", "tokens"},
                  "planned": {...} | null, "written": {...}, "groups": {name: {...}}}],
     "total": {...}}

Sizes of what is available and planned come from the survey that budgets need, and are null where
nothing was surveyed; `written` counts copies, and texts as they were written. A dry run has no
`written`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

import msgspec
import pyarrow as pa

from dolma_kit import files
from dolma_kit.errors import DataError, MissingInput
from dolma_kit.shares.solving import Planned
from dolma_kit.shares.surveys import Size

NAME = "composition.json"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A stream, or a group of one. `asked` says what was asked for, `rate` is how often its
    documents were to be taken on average."""

    name: str
    asked: str
    rate: float | None = None
    available: Size | None = None
    planned: Size | None = None
    written: Size | None = None
    groups: list[Part] = []


class Composition(msgspec.Struct, frozen=True, kw_only=True):
    """The streams of one output folder (of all, in a dry run), and all of them together."""

    streams: list[Part]

    def total(self, kind: str) -> Size | None:
        """`available`, `planned` or `written`, added up; None where one stream has none."""
        sizes: list[Size | None] = [getattr(part, kind) for part in self.streams]
        known = [size for size in sizes if size is not None]
        if not known or len(known) < len(sizes):
            return None
        total = known[0]
        for size in known[1:]:
            total += size
        return total


class Counter:
    """Adds up what was written, from rows of decisions."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def add(self, rows: pa.RecordBatch) -> None:
        import pyarrow.compute as pc

        copies = rows.column("copies").cast(pa.int64())
        table = pa.table(
            {
                "stream": rows.column("stream").cast(pa.string()),
                "group": rows.column("group").cast(pa.string()),
                "documents": copies,
                "bytes": pc.multiply(copies, rows.column("written_bytes")),
                "tokens": pc.multiply(copies, rows.column("written_tokens")),
            }
        )
        self._tables.append(_added(table))
        if len(self._tables) > 64:
            self._tables = [_added(pa.concat_tables(self._tables))]

    def sizes(self) -> dict[str, dict[str | None, Size]]:
        """Stream -> group (or None) -> what was written."""
        found: dict[str, dict[str | None, Size]] = {}
        if self._tables:
            for row in _added(pa.concat_tables(self._tables)).to_pylist():
                size = Size(row["documents"], row["bytes"], row["tokens"])
                found.setdefault(row["stream"], {})[row["group"]] = size
        return found


def _added(table: pa.Table) -> pa.Table:
    sums = ["documents", "bytes", "tokens"]
    added = table.group_by(["stream", "group"], use_threads=False).aggregate(
        [(name, "sum") for name in sums]
    )
    return added.rename_columns(["stream", "group", *sums])


def composed(
    asked: Mapping[str, str],
    planned: Mapping[str, Planned],
    written: Mapping[str, Mapping[str | None, Size]] | None,
) -> Composition:
    """Streams in the order of `asked`, each with what was planned and written of it."""
    streams = []
    for name, said in asked.items():
        plan = planned.get(name)
        of_groups = (written or {}).get(name, {})
        groups = [
            _part(group, said, own, None if written is None else of_groups.get(group, _NOTHING))
            for group, own in (plan.groups if plan else {}).items()
        ]
        whole = None
        if written is not None:
            whole = _sum(of_groups.values()) or _NOTHING
        streams.append(_part(name, said, plan, whole, groups))
    return Composition(streams=streams)


_NOTHING = Size(0, 0, None)


def _sum(sizes: Iterable[Size]) -> Size | None:
    total: Size | None = None
    for size in sizes:
        total = size if total is None else total + size
    return total


def _part(
    name: str,
    asked: str,
    plan: Planned | None,
    written: Size | None,
    groups: Iterable[Part] = (),
) -> Part:
    return Part(
        name=name, asked=asked, rate=plan.rate if plan else None,
        available=plan.available if plan else None, planned=plan.taken if plan else None,
        written=written, groups=list(groups),
    )  # fmt: skip


def write(path: str, composition: Composition) -> None:
    with files.write_atomically(path) as stream:
        data = msgspec.json.encode(composition, order="deterministic")
        stream.write(msgspec.json.format(data, indent=2) + b"\n")


def read(place: str) -> Composition:
    """That of an output folder, or of the file itself."""
    path = os.path.join(place, NAME) if os.path.isdir(place) else place
    if not os.path.exists(path):
        raise MissingInput(f"no {NAME} at {place}: name the folder that a mix wrote to")
    with open(path, "rb") as stream:
        try:
            return msgspec.json.decode(stream.read(), type=Composition)
        except msgspec.DecodeError as error:
            raise DataError(path, None, f"cannot be read as a composition: {error}") from None


def table(composition: Composition) -> str:
    """For eyes: each stream and group with what there is, what was planned, what was written."""
    kinds = [k for k in ("available", "planned", "written") if composition.total(k) is not None]
    parts = [(0, part) for part in composition.streams]
    for i in reversed(range(len(parts))):
        parts[i + 1 : i + 1] = [(1, group) for group in parts[i][1].groups]
    has_tokens = any(
        (size := getattr(part, kind)) is not None and size.tokens is not None
        for part in composition.streams
        for kind in kinds
    )
    units = ("documents", "tokens") if has_tokens else ("documents", "bytes")
    totals = {kind: composition.total(kind) for kind in kinds}
    width = max([len("in all"), *(2 * depth + len(part.name) for depth, part in parts)])
    heads = [f"{kind} {unit}" for kind in kinds for unit in units]
    lines = [" ".join([f"{'stream':{width}}", *(f"{head:>20}" for head in [*heads, "share"])])]

    def line(name: str, size_of: Callable[[str], Size | None]) -> str:
        cells = []
        for kind in kinds:
            size = size_of(kind)
            for unit in units:
                value = None if size is None else getattr(size, unit)
                cells.append(f"{'-' if value is None else f'{value:,}':>20}")
        last, whole = size_of(kinds[-1]), totals[kinds[-1]]
        part, all_ = (getattr(last, units[1], None), getattr(whole, units[1], None))
        share = "-" if part is None or not all_ else f"{part / all_:.2%}"
        return " ".join([f"{name:{width}}", *cells, f"{share:>20}"])

    if not kinds:
        return "nothing is known of what there is"
    for depth, part in parts:
        lines.append(line("  " * depth + part.name, lambda kind, part=part: getattr(part, kind)))  # type: ignore[misc]
    lines.append(line("in all", lambda kind: totals[kind]))
    return "\n".join(lines)
