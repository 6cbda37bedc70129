"""What was made of what, by which config and version, and what that took."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from dolma_kit import config, executions, ledger
from dolma_kit.energy import JOULES_PER_KWH
from dolma_kit.errors import DolmaKitError
from dolma_kit.execute.joint import JointRun
from dolma_kit.executions import Execution
from dolma_kit.layout import format_of
from dolma_kit.ledger import Header, Record
from dolma_kit.reporting.answers import Cost, Costs, Missing, Stage
from dolma_kit.reporting.inventory import Book, Inventory, inputs_of

USUAL_ORDER = ("extract", "tag", "dedupe", "decontaminate", "mix", "tokenize")


def stages(inventory: Inventory) -> list[Stage]:
    """Each ledger, in order of when it was finished, then of folders."""
    sources: dict[tuple[str, str], set[str]] = {}
    for book in inventory.books:
        sources.setdefault(_how(book), set()).update(_sources(inventory, book))
    found = [
        # Where all files are decided over together, one folder's ledger names the inputs of all.
        _stage(inventory, book, sorted(sources[_how(book)] if is_joint(book) else
                                       _sources(inventory, book)))
        for book in inventory.books
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.last or "", _rank(one.stage), one.folder))


def _rank(stage: str) -> int:
    """The usual order of stages, for those that ended in one second."""
    return USUAL_ORDER.index(stage) if stage in USUAL_ORDER else len(USUAL_ORDER)


def _how(book: Book) -> tuple[str, str]:
    return book.header.stage, config.digest(book.header.config)


def is_joint(book: Book) -> bool:
    """Whether what is said of one file depends on all (`execute.joint`)."""
    return "inputs" in book.header.config and any(
        record.phase == JointRun.writing_phase for record in book.records
    )


def _stage(inventory: Inventory, book: Book, sources: list[str]) -> Stage:
    records = book.records
    by_phase: dict[str, list[Record]] = {}
    for record in records:
        by_phase.setdefault(record.phase, []).append(record)
    # Phases pass the same documents on; the first that reads most has all of them. Of a joint run
    # the last phase alone is about the folder's own.
    phases = list(by_phase.values())
    if is_joint(book):
        phases = [by_phase[JointRun.writing_phase]]
    read = max(phases, key=_bytes_in, default=[])
    outputs = {
        name: size
        for record in records
        for name, size in record.sizes.items()
        if not name.startswith(ledger.FOLDER)
    }
    done = sorted(record.finished for record in records)
    inputs = sorted({record.inputs for record in records})
    return Stage(
        folder=inventory.seen_from_root(book.folder),
        stage=book.header.stage,
        config=book.header.config,
        config_sha256=config.digest(book.header.config),
        inputs_sha256=config.digest({"inputs": inputs}),
        sources=sources,
        partial=book.header.config.get("limit") is not None,
        unmerged_parts=[f"{number}/{n_parts}" for number, n_parts in ledger.parts(book.folder)],
        units=len(records),
        documents=sum(record.result.documents for record in read),
        bytes_in=_bytes_in(read),
        bytes_out=sum(outputs.values()),
        quarantined=sum(record.result.quarantined for record in records),
        work_seconds=round(sum(record.seconds for record in records), 3),
        first=done[0] if done else None,
        last=done[-1] if done else None,
        executions=_executions(inventory, book),
    )


def _executions(inventory: Inventory, book: Book) -> list[Execution]:
    """What commands took; notes that cannot be read are told, and cost the report nothing else."""
    try:
        return executions.read(os.path.join(book.folder, ledger.FOLDER))
    except (DolmaKitError, OSError) as error:
        what = f"what commands took in {inventory.seen_from_root(book.folder)}"
        inventory.missing.append(Missing(section="costs", what=what, why=inventory.told(error)))
        return []


def _bytes_in(records: Iterable[Record]) -> int:
    return sum(record.result.bytes_in for record in records)


def _sources(inventory: Inventory, book: Book) -> list[str]:
    """The folders that inputs lie in, as the report shows them; of a mix also the attributes."""
    found: dict[str, None] = {}
    for path in inputs_of(book):
        found[inventory.seen_from_root(_folder_of(path))] = None
    for stream in streams_of(book.header):
        for experiment in stream.get("attributes") or ():
            for folder in list(found):
                beside = os.path.join(os.path.dirname(folder), "attributes", experiment)
                if _is_below(folder) and os.path.isdir(os.path.join(inventory.root, beside)):
                    found[os.path.normpath(beside)] = None
    return sorted(found)


def streams_of(header: Header) -> list[dict[str, Any]]:
    """The streams of a mix's config; none where it has none, or something else there."""
    found = header.config.get("streams")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _is_below(folder: str) -> bool:
    return "documents" in folder.split(os.sep)


def _folder_of(path: str) -> str:
    """The `documents/` folder of a file, where it has one, else the folder that it lies in."""
    parts = path.split(os.sep)
    if "documents" in parts[:-1] and format_of(path) is not None:
        last = len(parts) - 1 - parts[::-1].index("documents")
        return os.sep.join(parts[: last + 1])
    return os.path.dirname(path) or "."


def costs(
    found: Sequence[Stage], *, watts_per_core: float, pue: float, kg_per_kwh: float | None
) -> Costs | None:
    """What stages of each kind took, in the order of the first of each; None without stages."""
    kinds: dict[str, list[Stage]] = {}
    for one in found:
        kinds.setdefault(one.stage.split(" ")[0], []).append(one)
    if not kinds:
        return None
    rows = [
        _cost(kind, some, watts_per_core, pue, kg_per_kwh) for kind, some in kinds.items()
    ]  # fmt: skip
    carbon = None if kg_per_kwh is None else round(sum(row.carbon_kg or 0 for row in rows), 6)
    return Costs(
        stages=rows,
        total_cpu_seconds=round(sum(row.cpu_seconds for row in rows), 3),
        total_kwh_with_pue=round(sum(row.kwh_with_pue for row in rows), 9),
        total_carbon_kg=carbon,
        watts_per_core=watts_per_core,
        pue=pue,
        kg_per_kwh=kg_per_kwh,
    )


def _cost(
    kind: str, some: Sequence[Stage], watts: float, pue: float, kg_per_kwh: float | None
) -> Cost:
    noted: list[Execution] = [execution for one in some for execution in one.executions]
    whole = all(one.executions for one in some)  # a killed command notes nothing
    cpu = [execution.cpu_seconds for execution in noted]
    is_measured = whole and all(seconds is not None for seconds in cpu)
    cpu_seconds = (
        sum(seconds or 0.0 for seconds in cpu)
        if is_measured
        else sum(one.work_seconds for one in some)
    )
    joules = [execution.joules for execution in noted]
    is_counted = whole and all(one is not None for one in joules)
    spent = sum(one or 0.0 for one in joules) if is_counted else cpu_seconds * watts
    kwh = spent / JOULES_PER_KWH
    return Cost(
        stage=kind,
        folders=len(some),
        bytes_in=sum(one.bytes_in for one in some),
        wall_seconds=round(sum(e.seconds for e in noted), 3) if whole else None,
        cpu_seconds=round(cpu_seconds, 3),
        cpu="measured" if is_measured else "units",
        energy="rapl" if is_counted else "modelled",
        kwh=round(kwh, 9),
        kwh_with_pue=round(kwh * pue, 9),
        carbon_kg=None if kg_per_kwh is None else round(kwh * pue * kg_per_kwh, 9),
    )
