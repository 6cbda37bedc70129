"""The stage `decontaminate`: documents and evaluations in, attributes and a report out.

Any number of rules look at the documents in one run. `scanning`, a unit a file, leaves what it
finds on disk; `deciding`, one unit, says what counts; `writing`, a unit a file, makes the attribute
files, and one unit more the report (`reporting`).

Columns, for one rule and the name `dec`; with several, `dec__RULE` stands for `dec`:

    dec               spans: what matches, or with the action cut what is to go, with the rule's
                      score of it
    dec_score         the rule's score of the document
    dec_contaminated  1.0 if something was found that counts, else 0.0
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from dolma_kit import attribute_files, attributes, config, files
from dolma_kit.attributes import Format, Kind, Spans
from dolma_kit.config import Decontaminate
from dolma_kit.decontamination import items, reporting, rules, scanning
from dolma_kit.decontamination.deciding import DECIDING, DecideTask, decide, decided_in
from dolma_kit.decontamination.scanning import (
    IndexFiles,
    Scanner,
    ScanSink,
    ScanTask,
    hits_in,
)
from dolma_kit.errors import ConfigError
from dolma_kit.execute import Engine, Outcome, Plan, Unit, engine_for, execute
from dolma_kit.execute.joint import NOT_HOW, JointRun
from dolma_kit.ledger import Result
from dolma_kit.summary import Summary, summarize, summarize_part

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.decontamination.finding import Rule
    from dolma_kit.decontamination.reporting import ReportTask

SCANNING, WRITING = "scanning", "writing"
KERNELS = ("unicode", "uax29", "lowercase", "minhash")
#: settings that stand in the rules, or are about the report only
_IN_RULES = (
    "evals", "fields", "rule", "n", "share", "normalize", "action", "max_documents",
)  # fmt: skip
_OF_REPORT = ("common", "sample", "seed")


@dataclass(frozen=True)
class Inputs(JointRun):
    """Files of documents to be decontaminated together."""

    stage: ClassVar[str] = "decontaminate"
    reading_phase: ClassVar[str] = SCANNING
    writing_phase: ClassVar[str] = WRITING
    not_how: ClassVar[tuple[str, ...]] = (*NOT_HOW, *_OF_REPORT)

    settings: Decontaminate

    def deciding(self) -> dict[str, Any]:
        found = self.settings.deciding().items()
        return {k: v for k, v in found if k not in _IN_RULES}


@dataclass(frozen=True)
class WriteTask:
    """One attribute file to write; `made_by` goes into it."""

    scan: ScanTask
    output: str
    format: Format
    name: str
    made_by: dict[str, Any]


def decontaminate(
    settings: Decontaminate | None = None, *, engine: Engine | None = None, **keys: object
) -> Summary:
    """Find evaluations in documents; `keys` are those of `config.Decontaminate`, or the struct.

    >>> decontaminate(
    ...     documents=["web"], evals=["evals"], rule=["ngram_item"], name="dec"
    ... )  # doctest: +SKIP
    """
    settings = settings or config.build(Decontaminate, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        return summary(settings, made, execute(made, settings, running))


def summary(settings: Decontaminate, made: Plan, outcome: Outcome) -> Summary:
    """What an executed plan did."""
    partial = settings.limit is not None
    if outcome.part:
        counts = {"hits": outcome.total(SCANNING, "hits")}
        return summarize_part("decontaminate", outcome, SCANNING, partial=partial, counts=counts)
    reported = next(result for result in outcome.results[WRITING] if "rules" in result.counts)
    return summarize(
        "decontaminate",
        outcome,
        reading=WRITING,  # alone at hand when everything was done before
        writing=WRITING,
        outputs=[*made.folders, *reported.outputs],
        partial=partial,
        counts=reported.counts,
    )


def plan(settings: Decontaminate) -> Plan:
    """One joint run over all inputs."""
    inputs = Inputs.of(settings)
    flags = {
        name: getattr(settings, name)
        for name in ("n", "share", "normalize", "action", "max_documents")
        if getattr(settings, name) is not None
    }
    asked = tuple(rules.build(settings.rule, flags))
    fields = _fields(settings.fields)
    evals = [(path, files.sha256(path)) for path in items.paths_of(settings.evals)]
    index = IndexFiles(
        tuple(evals), tuple(sorted(fields.items())), tuple(settings.splits), asked,
        inputs.temporary,
    )  # fmt: skip
    scans = tuple(ScanTask(i, index) for i in range(len(inputs)))
    backoff = tuple(tuple(one.split("+")) for one in settings.backoff)
    if backoff and settings.max_removed is None:
        raise ConfigError("--backoff is about a limit: give one with --max-removed")
    more: dict[str, Any] = {
        "rules": [msgspec.to_builtins(rule) for rule in asked],
        "evals": [[os.path.basename(path), sha256] for path, sha256 in evals],
        "fields": fields,
    }
    made_by = inputs.made_by | {"rules": more["rules"], "evals": more["evals"]}
    name, format = inputs.name, settings.format
    writing = inputs.writing(
        write, lambda i, path: WriteTask(scans[i], path, format, name, made_by)
    )
    stem = inputs.folders[0]
    reporting_task = reporting.ReportTask(
        scans=scans,
        srcs=tuple(shard.src for shard, _ in inputs.shards),
        stem=stem,
        common=settings.common,
        sample=settings.sample,
        seed=settings.seed,
        max_removed=settings.max_removed,
        made_by=made_by,
    )
    report = Unit(
        "report", reporting_task, inputs.paths, stem, 0,
        tuple(glob.escape(path) for path in reporting_task.outputs),
    )  # fmt: skip
    phases = [
        inputs.reading(Scanner, ScanSink, lambda i: scans[i]),
        inputs.between(
            DECIDING, decide, {DECIDING: DecideTask(scans, settings.max_removed, backoff)}
        ),
        _with_unit(writing, report),
    ]
    kernels = dict.fromkeys((*KERNELS, *(name for rule in asked for name in rule.kernels)))
    return inputs.plan(phases, columns(inputs.name, asked), tuple(kernels), more)


def _with_unit(phase: Any, unit: Unit) -> Any:
    import dataclasses

    return dataclasses.replace(phase, units=[*phase.units, unit])


def _fields(given: list[str]) -> dict[str, str]:
    """`--fields question=Q,answer=A` as a mapping."""
    found = {}
    for one in given:
        part, equals, field = one.partition("=")
        if not equals or not field:
            raise ConfigError(f"--fields {one}: write PART=NAME, like question=prompt")
        if part not in items.FIELDS:
            raise ConfigError(f"--fields {one}: no part {part!r}, but {', '.join(items.FIELDS)}")
        found[part] = field
    return found


def columns(name: str, asked: tuple[Rule, ...]) -> dict[str, Kind]:
    """The columns that are written, in their order."""
    found: dict[str, Kind] = {}
    for rule in asked:
        column = _column(name, rule, len(asked))
        found |= {column: "spans", f"{column}_score": "score", f"{column}_contaminated": "score"}
    return found


def _column(name: str, rule: Rule, n_rules: int) -> str:
    return attributes.column_name(name if n_rules == 1 else f"{name}__{rule.id}")


def write(task: WriteTask | ReportTask) -> Result:
    """Make one attribute file, or the report."""
    return _write_attributes(task) if isinstance(task, WriteTask) else reporting.write(task)


def _write_attributes(task: WriteTask) -> Result:
    from dolma_kit.execute.spill import Spill

    scan = task.scan
    spill = Spill(scan.temporary, scan.number)
    about = spill.about()
    counts: dict[str, Any] = {"sha256": about.sha256, "contaminated": {}}
    if about.set_aside:
        return Result(counts=counts)
    kinds = columns(task.name, scan.rules)
    verdicts = {rule.id: Verdicts(scan, rule) for rule in scan.rules}
    first = 0
    with (
        files.write_atomically(task.output) as output,
        attribute_files.Writer(output, task.format, kinds, task.made_by) as writer,
    ):
        for rows in spill.rows():
            n_characters = rows.column("n_characters").to_numpy()
            values: list[Any] = []
            for verdict in verdicts.values():
                values += verdict.columns(first, n_characters)
            by_column = dict(zip(kinds, values, strict=True))
            ids, sources = rows.column("id"), rows.column("source")
            writer.write(
                attribute_files.rows(ids, sources, n_characters, by_column, task.format, kinds)
            )
            first += rows.num_rows
    for rule, verdict in verdicts.items():
        counts["contaminated"][rule] = verdict.n_contaminated
    return Result(
        documents=about.documents,
        bytes_in=about.bytes_in,
        bytes_out=files.size(task.output),
        outputs=[task.output],
        counts=counts,
    )


class Verdicts:
    """What a rule says of each document of a file."""

    def __init__(self, scan: ScanTask, rule: Rule) -> None:
        import numpy as np
        import pyarrow as pa

        from dolma_kit.execute.spill import mapped

        self._rule = rule
        self._scores = mapped(scan.path(rule.id, "scores"), "<f8")
        decided = decided_in(scan.temporary, rule.id)
        found = pa.Table.from_batches(
            hits_in(scan, rule.id), schema=scanning.hits_schema()
        ).combine_chunks()
        counting = ~np.isin(found.column("needle").to_numpy(), decided.common_needles)
        if decided.benchmarks is not None:
            of_items = [item.benchmark for item in scan.index.indexed().items]
            is_chosen = np.isin(np.array(of_items), decided.benchmarks)
            counting &= is_chosen[found.column("item").to_numpy()]
        rows = found.column("row").to_numpy()
        #: documents with hits of which none counts: they have no score either
        self._void = np.setdiff1d(rows, rows[counting])
        chosen = found.filter(pa.array(counting))
        self._rows = chosen.column("row").to_numpy()
        self.n_contaminated = len(np.unique(self._rows))
        self._hit_scores = chosen.column("score").to_numpy()
        self._places = _places(chosen)

    def columns(
        self, first: int, n_characters: NDArray[np.int64]
    ) -> tuple[Spans, NDArray[np.float64], NDArray[np.float64]]:
        """Spans, scores and verdicts of the documents from `first` on."""
        import numpy as np

        from dolma_kit.decontamination import cutting

        n = len(n_characters)
        scores = np.array(self._scores[first : first + n])
        void = self._void[(self._void >= first) & (self._void < first + n)]
        scores[void - first] = 0.0
        contaminated = np.zeros(n)
        offsets, starts, ends = self._places
        parts: list[tuple[NDArray[Any], ...]] = []
        sizes = np.zeros(n, np.int64)
        low, high = np.searchsorted(self._rows, [first, first + n])
        rows, begins = np.unique(self._rows[low:high], return_index=True)
        bounds = np.append(begins + low, high)
        for k, row in enumerate((rows - first).tolist()):
            hits = slice(bounds[k], bounds[k + 1])
            span = slice(offsets[hits.start], offsets[hits.stop])
            of_places = np.repeat(
                self._hit_scores[hits], np.diff(offsets[hits.start : hits.stop + 1])
            )
            places = starts[span], ends[span], of_places
            if self._rule.action == "cut":
                part = cutting.cut(*places, int(n_characters[row]), self._rule)
            else:
                part = cutting.united(*places)
            parts.append(part)
            sizes[row] = len(part[0])
            contaminated[row] = 1.0
        together = [
            np.concatenate([np.zeros(0, kind), *(part[i] for part in parts)])
            for i, kind in enumerate((np.int64, np.int64, np.float64))
        ]
        spans = Spans(np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), *together)
        return spans, scores, contaminated


def _places(hits: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The places of hits: offsets (n_hits + 1,), starts and ends (n_places,)."""
    import numpy as np
    import pyarrow as pa

    column = hits.column("places")
    chunks = column.chunks if column.num_chunks else [pa.array([], column.type)]
    array = pa.concat_arrays(chunks)
    offsets = np.asarray(array.offsets.to_numpy(), np.int64)
    flat = array.flatten()
    return offsets - offsets[0], flat.field(0).to_numpy(), flat.field(1).to_numpy()
