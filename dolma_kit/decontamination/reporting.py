"""What was found, for eyes: a report, a list of items, and a sheet to judge false positives by.

Beside the first folder of attributes, of name dec:

    dec.report.json    by rule: its parameters; by benchmark how many items are contaminated, with
                       Wilson's interval; items it cannot find, and why; items that are common text;
                       sets of benchmarks that were tried. How rules agree. Items that are the same
    dec.items.parquet  a row for each rule and contaminated item, with the document that has most
                       of it and the text that matches (`ITEMS`)
    dec.sheet.csv      a sample of hits with what stands around, to be judged in the last column
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import attribute_files, files, parquet
from dolma_kit.decontamination.deciding import Decided, decided_in
from dolma_kit.decontamination.intervals import wilson
from dolma_kit.decontamination.items import Item
from dolma_kit.decontamination.scanning import Indexed, ScanTask, hits_in
from dolma_kit.execute.spill import Spill, mapped
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    from dolma_kit.decontamination.finding import Rule

VERSION = 1
MOST_LISTED = 50  # common items, and groups of items that are the same
ITEMS = {
    "rule": "string", "benchmark": "string", "split": "string", "id": "string", "src": "string",
    "line": "int64", "status": "string", "share": "double", "documents": "int64",
    "common": "bool", "document_id": "string", "document_src": "string", "document_line": "int64",
    "start": "int64", "end": "int64", "text": "string",
}  # fmt: skip
SHEET = (
    "rule", "benchmark", "split", "item", "score", "document_id", "document_src", "document_line",
    "before", "matched", "after", "item_text", "is_contaminated",
)  # fmt: skip


@dataclass(frozen=True)
class ReportTask:
    """All files; `srcs` are the inputs' names, `stem` is that of the outputs."""

    scans: tuple[ScanTask, ...]
    srcs: tuple[str, ...]
    stem: str
    common: int
    sample: int
    seed: int
    max_removed: float | None
    made_by: dict[str, Any]

    @property
    def temporary(self) -> str:
        return self.scans[0].temporary

    @property
    def outputs(self) -> list[str]:
        return [f"{self.stem}.{kind}" for kind in ("report.json", "items.parquet", "sheet.csv")]


class Row(NamedTuple):
    """A hit to be shown: its texts, its first and last place, and its document."""

    score: float
    text: str
    before: str
    after: str
    start: int
    end: int
    document_id: str
    src: str
    line: int


class Hits(NamedTuple):
    """The first hit of each document and item, over all files; (n,) each."""

    files: NDArray[np.int64]
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]  # of the hit in its file
    documents: NDArray[np.int64]  # counted over all files
    items: NDArray[np.int64]
    scores: NDArray[np.float64]


def write(task: ReportTask) -> Result:
    """Write the report, the list and the sheet."""
    indexed = task.scans[0].index.indexed()
    n_documents = sum(Spill(task.temporary, scan.number).n_documents for scan in task.scans)
    report: dict[str, Any] = {
        "version": VERSION,
        **task.made_by,
        "documents": n_documents,
        "evaluations": _evaluations(indexed),
        "rules": {},
    }
    rows: list[dict[str, Any]] = []
    sheet: list[list[Any]] = []
    flagged: dict[str, NDArray[np.int64]] = {}
    contaminated: dict[str, NDArray[np.int64]] = {}
    for rule in task.scans[0].rules:
        decided = decided_in(task.temporary, rule.id)
        hits = first_hits(task.scans, rule.id, decided)
        shares = item_shares(task.scans, rule, hits, len(indexed.items))
        threshold = getattr(rule, "threshold", 1.0)
        contaminated[rule.id] = np.flatnonzero(shares >= threshold)
        counting = _counting(hits, decided, indexed.items)
        flagged[rule.id] = np.unique(hits.documents[counting])
        report["rules"][rule.id] = _of_rule(
            task, rule, indexed, decided, hits, shares, len(flagged[rule.id]), n_documents
        )
        rows += _item_rows(task, rule, indexed.items, hits, shares)
        sheet += _sheet_rows(task, rule, indexed.items, hits)
    report["agreement"] = {
        "documents": agreement(flagged), "items": agreement(contaminated),
    }  # fmt: skip
    _write_all(task, report, rows, sheet)
    return Result(
        bytes_out=sum(files.size(path) for path in task.outputs),
        outputs=task.outputs,
        counts={
            "items": len(indexed.items),
            "rules": {
                name: {
                    "documents": found["contaminated_documents"],
                    "items": sum(one["contaminated"] for one in found["benchmarks"].values()),
                }
                for name, found in report["rules"].items()
            },
        },
    )


def _evaluations(indexed: Indexed) -> dict[str, Any]:
    """How many items there are, and which are the same question."""
    from dolma_kit.decontamination.finding import words_of

    items = indexed.items
    words = words_of([item.question for item in items], "words")
    groups: dict[bytes, list[int]] = {}
    for i in range(len(items)):
        own = words.hashes[words.offsets[i] : words.offsets[i + 1]]
        groups.setdefault(own.tobytes(), []).append(i)
    same = [group for key, group in groups.items() if len(group) > 1 and key]
    by_benchmark: dict[str, int] = {}
    for item in items:
        name = f"{item.benchmark}/{item.split}" if item.split else item.benchmark
        by_benchmark[name] = by_benchmark.get(name, 0) + 1
    return {
        "items": len(items),
        "without_question": indexed.n_empty,
        "of_other_splits": indexed.n_other_splits,
        "by_benchmark": by_benchmark,
        "same_question": {
            "items": sum(len(group) for group in same),
            "groups": len(same),
            "listed": [
                {
                    "question": items[group[0]].question[:200],
                    "items": [_name(items[i]) for i in group],
                }
                for group in same[:MOST_LISTED]
            ],
        },
    }  # fmt: skip


def _name(item: Item) -> str:
    return "/".join(part for part in (item.benchmark, item.split, item.id) if part)


def first_hits(scans: Sequence[ScanTask], rule: str, decided: Decided) -> Hits:
    """Of each document and item the first hit that is no common text."""
    columns: list[list[NDArray[Any]]] = [[] for _ in Hits._fields]
    first = 0
    for scan in scans:
        number, last = 0, (-1, -1)
        for batch in hits_in(scan, rule):
            rows, items, needles = (batch.column(i).to_numpy() for i in range(3))
            chosen = np.flatnonzero(~np.isin(needles, decided.common_needles))
            rows, items = rows[chosen], items[chosen]
            is_new = np.ones(len(rows), np.bool_)
            is_new[1:] = (rows[1:] != rows[:-1]) | (items[1:] != items[:-1])
            if len(rows) and (int(rows[0]), int(items[0])) == last:
                is_new[0] = False
            if len(rows):
                last = int(rows[-1]), int(items[-1])
            own = chosen[is_new]
            values = (
                np.full(len(own), scan.number), rows[is_new], own + number, rows[is_new] + first,
                items[is_new], batch.column("score").to_numpy()[own],
            )  # fmt: skip
            for column, value in zip(columns, values, strict=True):
                column.append(value)
            number += batch.num_rows
        first += Spill(scan.temporary, scan.number).n_documents
    kinds = [np.zeros(0, np.float64 if name == "scores" else np.int64) for name in Hits._fields]
    return Hits(*(np.concatenate([kind, *col]) for kind, col in zip(kinds, columns, strict=True)))


def item_shares(
    scans: Sequence[ScanTask], rule: Rule, hits: Hits, n_items: int
) -> NDArray[np.float64]:
    """(n_items,) the greatest score of each item in any document; 0 of one that is in none.

    Of `substring50` the share that is found in all documents together.
    """
    shares = np.zeros(n_items)
    np.maximum.at(shares, hits.items, hits.scores)
    if rule.id == "substring50":
        from dolma_kit.decontamination.finding import Postings

        arrays = scans[0].index.arrays(rule.id)
        found = [mapped(scan.path(rule.id, "windows"), "<i8") for scan in scans]
        _, items, _ = Postings.from_arrays(arrays, "windows").expanded(
            np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
        )
        n_found = np.bincount(items, minlength=n_items)
        shares = n_found / np.maximum(arrays["n_windows"], 1)
    return shares


def _counting(hits: Hits, decided: Decided, items: Sequence[Item]) -> NDArray[np.bool_]:
    """Which hits count, after backing off."""
    if decided.benchmarks is None:
        return np.ones(len(hits.items), np.bool_)
    chosen = np.array([item.benchmark in decided.benchmarks for item in items])
    counting: NDArray[np.bool_] = chosen[hits.items]
    return counting


def _of_rule(
    task: ReportTask, rule: Rule, indexed: Indexed, decided: Decided, hits: Hits,
    shares: NDArray[np.float64], n_flagged: int, n_documents: int,
) -> dict[str, Any]:  # fmt: skip
    items = indexed.items
    left_out = task.scans[0].index.left_out(rule.id)
    n_in = np.bincount(hits.items, minlength=len(items))
    threshold = getattr(rule, "threshold", 1.0)
    suspicious = getattr(rule, "suspicious", None)
    names = np.array([item.benchmark for item in items])
    benchmarks = {}
    for name in dict.fromkeys(names.tolist()):
        own = names == name
        searchable = own & (left_out == 0)
        n, n_found = int(searchable.sum()), int((shares[searchable] >= threshold).sum())
        low, high = wilson(n_found, n)
        benchmarks[name] = {
            "items": int(own.sum()),
            "searchable": n,
            "contaminated": n_found,
            "share": n_found / n if n else None,
            "low": low,
            "high": high,
            "documents": len(np.unique(hits.documents[own[hits.items]])),
        }
        if suspicious is not None:
            among = shares[searchable]
            benchmarks[name]["suspicious"] = int(
                ((among >= suspicious) & (among < threshold)).sum()
            )
    common = np.flatnonzero(n_in > task.common)
    common = common[np.argsort(-n_in[common], kind="stable")]
    reasons = {
        reason: int((left_out == k).sum())
        for k, reason in enumerate(indexed.reasons[rule.id], start=1)
    }
    found: dict[str, Any] = {
        "parameters": msgspec.to_builtins(rule),
        "contaminated_documents": n_flagged,
        "share_of_documents": n_flagged / n_documents if n_documents else None,
        "left_out": reasons,
        "benchmarks": benchmarks,
        "common_text": {
            "not_counted": len(decided.common_needles),
            "items": len(common),
            "listed": [
                {
                    "item": _name(items[i]),
                    "question": items[i].question[:200],
                    "documents": int(n_in[i]),
                }
                for i in common[:MOST_LISTED].tolist()
            ],
        },
    }
    if decided.tried:
        found["back_off"] = {
            "max_removed": task.max_removed,
            "tried": [
                {**msgspec.to_builtins(one), "share": one.documents / n_documents}
                for one in decided.tried
            ],
        }
    return found


def agreement(by_rule: dict[str, NDArray[np.int64]]) -> dict[str, dict[str, dict[str, Any]]]:
    """For each two rules: how much both find, either, and the share of the two (Jaccard)."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for a, of_a in by_rule.items():
        found[a] = {}
        for b, of_b in by_rule.items():
            both = len(np.intersect1d(of_a, of_b))
            either = len(of_a) + len(of_b) - both
            jaccard = both / either if either else None
            found[a][b] = {"both": both, "either": either, "jaccard": jaccard}
    return found


def _item_rows(
    task: ReportTask, rule: Rule, items: Sequence[Item], hits: Hits, shares: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """A row for each item that is contaminated or suspicious, in the order of items."""
    threshold = getattr(rule, "threshold", 1.0)
    least = getattr(rule, "suspicious", threshold)
    n_in = np.bincount(hits.items, minlength=len(items))
    # The best hit of each item: the greatest score, then the first document.
    order = np.lexsort((hits.documents, -hits.scores, hits.items))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = hits.items[order][1:] != hits.items[order][:-1]
    best = dict(zip(hits.items[order][is_first].tolist(), order[is_first].tolist(), strict=True))
    shown = _shown(task, rule.id, hits, best.values())
    rows = []
    for i in np.flatnonzero((shares >= least) & (shares > 0)).tolist():
        item, row = items[i], shown.get(best.get(i, -1))
        rows.append(
            {
                "rule": rule.id, "benchmark": item.benchmark, "split": item.split, "id": item.id,
                "src": os.path.basename(item.src), "line": item.line,
                "status": "contaminated" if shares[i] >= threshold else "suspicious",
                "share": float(shares[i]), "documents": int(n_in[i]),
                "common": bool(n_in[i] > task.common),
                "document_id": row and row.document_id, "document_src": row and row.src,
                "document_line": row and row.line, "start": row and row.start,
                "end": row and row.end, "text": row and row.text,
            }
        )  # fmt: skip
    return rows


def _sheet_rows(task: ReportTask, rule: Rule, items: Sequence[Item], hits: Hits) -> list[list[Any]]:
    """A sample without regard to anything but a hash of seed, document and item."""

    def key(i: int) -> bytes:
        place = f"{task.seed}\t{task.srcs[hits.files[i]]}\t{hits.rows[i]}\t{hits.items[i]}"
        return hashlib.blake2b(place.encode(), digest_size=8).digest()

    chosen = sorted(sorted(range(len(hits.items)), key=key)[: task.sample])
    shown = _shown(task, rule.id, hits, chosen)
    rows = []
    for i in chosen:
        item, row = items[hits.items[i]], shown[i]
        item_text = "\n".join(item.fields)
        rows.append(
            [rule.id, item.benchmark, item.split, item.id, round(row.score, 5), row.document_id,
             row.src, row.line, row.before, row.text, row.after, item_text[:1000], ""]
        )  # fmt: skip
    return rows


def _shown(task: ReportTask, rule: str, hits: Hits, wanted: Iterable[int]) -> dict[int, Row]:
    """The texts and documents of some hits, read file by file."""
    by_file: dict[int, list[int]] = {}
    for i in wanted:
        by_file.setdefault(int(hits.files[i]), []).append(i)
    found = {}
    for number, own in sorted(by_file.items()):
        documents = _documents(Spill(task.temporary, number), {int(hits.rows[i]) for i in own})
        by_number = {int(hits.numbers[i]): i for i in own}
        first = 0
        for batch in hits_in(task.scans[number], rule):
            for k in range(batch.num_rows):
                if first + k not in by_number:
                    continue
                i = by_number[first + k]
                row = batch.slice(k, 1).to_pylist()[0]
                document_id, line = documents[row["row"]]
                places = row["places"]
                found[i] = Row(
                    row["score"], row["text"] or "", row["before"] or "", row["after"] or "",
                    places[0]["start"] if places else 0, places[-1]["end"] if places else 0,
                    document_id, task.srcs[number], line,
                )  # fmt: skip
            first += batch.num_rows
    return found


def _documents(spill: Spill, rows: set[int]) -> dict[int, tuple[str, int]]:
    """Id and line of some documents."""
    found, first = {}, 0
    for batch in spill.rows():
        for row in sorted(r for r in rows if first <= r < first + batch.num_rows):
            at = row - first
            found[row] = batch.column("id")[at].as_py(), batch.column("line")[at].as_py()
        first += batch.num_rows
    return found


def _write_all(
    task: ReportTask, report: dict[str, Any], rows: list[dict[str, Any]], sheet: list[list[Any]]
) -> None:
    import pyarrow as pa

    report_path, items_path, sheet_path = task.outputs
    with files.write_atomically(report_path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in ITEMS.items()])
    note = msgspec.json.encode({"version": VERSION, **task.made_by}, order="deterministic")
    schema = schema.with_metadata({attribute_files.METADATA_KEY: note})
    with (
        files.write_atomically(items_path) as output,
        parquet.writing(output, schema, compression="zstd") as items,
    ):
        items.write_table(pa.Table.from_pylist(rows, schema))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SHEET)
    writer.writerows(sheet)
    with files.write_atomically(sheet_path) as stream:
        stream.write(text.getvalue().encode())


def text_of(report: dict[str, Any]) -> str:
    """A report as tables of text: what was found by rule and benchmark, and how rules agree."""
    head = f"{'rule':15} {'benchmark':20} {'items':>7} {'found':>6} {'share':>8} "
    lines = [f"{head}{'95 % interval':>19} {'documents':>10}"]
    for name, rule in report["rules"].items():
        every = rule["benchmarks"].items()
        for benchmark, row in every:
            if row["contaminated"]:
                lines.append(_line(name, benchmark, row))
        n, n_found = (sum(row[k] for _, row in every) for k in ("searchable", "contaminated"))
        low, high = wilson(n_found, n)
        share = n_found / n if n else None
        lines.append(
            _line(name, "all", {
                "searchable": n, "contaminated": n_found, "share": share, "low": low, "high": high,
                "documents": rule["contaminated_documents"],
            })
        )  # fmt: skip
    for name, rule in report["rules"].items():
        parameters = ", ".join(
            f"{k}={_shown_value(v)}" for k, v in rule["parameters"].items() if k != "id"
        )
        lines.append(f"{name}: {parameters}")
        left_out = "; ".join(f"{n:,} {reason}" for reason, n in rule["left_out"].items() if n)
        if left_out:
            lines.append(f"{name}: not searchable: {left_out}")
        common = rule["common_text"]
        if common["items"]:
            first = common["listed"][0]
            lines.append(
                f"{name}: {common['items']} items look like common text, the first, "
                f"{first['item']}, in {first['documents']:,} documents"
            )
        if common["not_counted"]:
            lines.append(f"{name}: {common['not_counted']:,} matches are common text: not counted")
        for tried in rule.get("back_off", {}).get("tried", ()):
            lines.append(
                f"{name}: {tried['share']:.4%} of documents go by {'+'.join(tried['benchmarks'])}"
            )
    if len(report["rules"]) > 1:
        lines += _agreement_lines(report["agreement"]["documents"])
    return "\n".join(lines)


def _line(rule: str, benchmark: str, row: dict[str, Any]) -> str:
    share = "" if row["share"] is None else f"{row['share']:.2%}"
    interval = f"{row['low']:.2%} to {row['high']:.2%}"
    return (
        f"{rule:15} {benchmark:20} {row['searchable']:7,} {row['contaminated']:6,} {share:>8} "
        f"{interval:>19} {row['documents']:10,}"
    )


def _shown_value(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return "none" if value is None else str(value)


def _agreement_lines(matrix: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    names = list(matrix)
    width = max(len(name) for name in names) + 1
    lines = ["documents that both rules find, of those that either does:"]
    lines.append(" " * width + "".join(f"{name:>{width}}" for name in names))
    for a in names:
        cells = []
        for b in names:
            jaccard = matrix[a][b]["jaccard"]
            cells.append(f"{'-' if jaccard is None else f'{jaccard:.3f}':>{width}}")
        lines.append(f"{a:{width}}" + "".join(cells))
    return lines
