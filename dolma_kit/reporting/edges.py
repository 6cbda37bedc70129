"""What stands at the edge of each threshold of a mix: how many documents, and the nearest of them.

Values come from attributes, what became of a document from the mix's decisions. Only the few
documents that are shown are read, from the beginning of their files, and of all files together no
more than MOST_BYTES_READ.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from dolma_kit import decisions, explaining
from dolma_kit.decoding import Fields, Source
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import DolmaKitError, VerificationError
from dolma_kit.reporting import provenance, stream_values
from dolma_kit.reporting.answers import Edge, Example, Missing
from dolma_kit.reporting.inventory import Book
from dolma_kit.reporting.masking import masked
from dolma_kit.reporting.stream_values import StreamFile, StreamValues
from dolma_kit.reporting.thresholds import Threshold, thresholds_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES_READ = 256_000_000
EXCERPT = 300  # characters
N_BINS = 40
NEAR = 0.1
WIDE = 20.0
_HOLDS = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
#: the numbers of documents on the side that is kept, and on the other, the nearest first
Sides = tuple[list[int], list[int]]


class EdgeFinder:
    """Finds the edges of one report: `n_examples` on each side, with the start of their texts or
    without. What cannot be had is added to `missing`, faults as `told` puts them."""

    def __init__(
        self, n_examples: int, told: Callable[[Exception], str], *, with_excerpts: bool
    ) -> None:
        self._n_examples = n_examples
        self._told = told
        self._with_excerpts = with_excerpts
        self._bytes_left = MOST_BYTES_READ
        self.missing: list[Missing] = []

    def edges(self, book: Book, name: str) -> list[Edge]:
        """Those of a stream of a mix, in the order of its rules."""
        config = book.header.config
        (stream, *_) = (one for one in provenance.streams_of(book.header) if one["name"] == name)
        experiments = stream.get("attributes") or []
        try:
            files = stream_values.files_of(book, name)
            kinds = stream_values.kinds_of(files, experiments)
            wanted = self._answerable(thresholds_of(stream, kinds), name)
            expressions = list(dict.fromkeys(one.value for one in wanted))
            found = stream_values.evaluate(files, experiments, kinds, expressions)
            _require_rows(book.folder, name, found)
            sides = [self._nearest(found, one) for one in wanted]
            shown = {number for pair in sides for side in pair for number in side}
            fields = Fields(config.get("text_key", "text"), config.get("id_key", "id"))
            examples = self._examples(book, name, fields, found, sorted(shown))
        except (DolmaKitError, OSError, LookupError, TypeError) as error:
            self._miss(f"the edges of thresholds of stream {name}", self._told(error))
            return []
        return [
            _edge(found, one, pair, examples) for one, pair in zip(wanted, sides, strict=True)
        ]  # fmt: skip

    def _miss(self, what: str, why: str) -> None:
        self.missing.append(Missing(section="edges", what=what, why=why))

    def _answerable(self, thresholds: Sequence[Threshold], name: str) -> list[Threshold]:
        for one in thresholds:
            if one.needs_document:
                self._miss(
                    f"the edge of {one.value} {one.operator} {one.number:g} in stream {name}",
                    "it is of the text, and only attributes are looked at",
                )
        return [one for one in thresholds if not one.needs_document]

    def _nearest(self, found: StreamValues, one: Threshold) -> Sides:
        values = found.values[one.value]
        passes = _HOLDS[one.operator](values, one.number)
        with np.errstate(over="ignore"):  # infinitely far is far enough
            distance = np.abs(values - one.number)
        is_known = ~np.isnan(values)
        return (
            _smallest(distance, is_known & passes, self._n_examples),
            _smallest(distance, is_known & ~passes, self._n_examples),
        )

    def _examples(
        self,
        book: Book,
        stream: str,
        fields: Fields,
        found: StreamValues,
        numbers: Sequence[int],
    ) -> dict[int, Example]:
        """By number, without its value."""
        if not numbers:
            return {}
        places = {number: found.place(number) for number in numbers}
        rows = _decided(book.folder, stream, places.values())
        excerpts = self._excerpts(fields, places.values()) if self._with_excerpts else {}
        known = {}
        for number, (file, row) in places.items():
            if (file.src, row) not in rows:
                continue
            id_, line, first, copies = rows[file.src, row]
            there = found.ids[found.files.index(file)][row].as_py()
            if there != id_:
                raise VerificationError(
                    f"{file.src}: row {row + 1:,} of its attributes is of {there!r}, its document "
                    f"is {id_!r}: tag it again"
                )
            known[number] = Example(
                id=id_, file=file.src, line=line, value=0.0, kept=first is None and copies > 0,
                first_rule=first, excerpt=excerpts.get((file.src, row)),
            )  # fmt: skip
        return known

    def _excerpts(
        self, fields: Fields, places: Iterable[tuple[StreamFile, int]]
    ) -> dict[tuple[str, int], str]:
        """By file and row, the start of a text, masked; of those within what may be read."""
        wanted: dict[StreamFile, list[int]] = {}
        for file, row in places:
            wanted.setdefault(file, []).append(row)
        found: dict[tuple[str, int], str] = {}
        for file, rows in wanted.items():
            for row, text in self._texts(file, fields, sorted(set(rows))):
                found[file.src, row] = text
        shown = masked([text[: 2 * EXCERPT] for text in found.values()])
        return dict(zip(found, (text[:EXCERPT] for text in shown), strict=True))

    def _texts(self, file: StreamFile, fields: Fields, rows: list[int]) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        # What was set aside when the mix was made is no row of it.
        for batch in DocumentReader(Source(file.shard.path, fields, set_aside=True)):
            self._bytes_left -= batch.n_bytes_read
            while rows and rows[0] < batch.first_row + len(batch):
                row = rows.pop(0)
                found.append((row, batch.texts[row - batch.first_row]))
            if not rows or self._bytes_left < 0:
                break
        return found


def _smallest(distance: NDArray[np.float64], where: NDArray[np.bool_], n: int) -> list[int]:
    """The numbers of the n smallest, in order; of equal ones those that come first."""
    there = np.flatnonzero(where)
    if len(there) > n > 0:
        bound = np.partition(distance[there], n - 1)[n - 1]
        there = there[distance[there] <= bound]
    order = np.argsort(distance[there], kind="stable")
    chosen: list[int] = there[order[:n]].tolist()
    return chosen


def _require_rows(folder: str, stream: str, found: StreamValues) -> None:
    """VerificationError where attributes are of another number of documents than was decided."""
    counts = dict(
        explaining.query(
            os.path.join(folder, decisions.NAME),
            "SELECT src::VARCHAR, count(*) FROM decisions WHERE stream = ? GROUP BY ALL",
            [stream],
        )
    )
    for i, file in enumerate(found.files):
        n, decided = found.starts[i + 1] - found.starts[i], counts.get(file.src, 0)
        if n != decided and found.values:
            raise VerificationError(
                f"the attributes of {file.src} have {n:,} rows, the mix has read {decided:,} "
                "documents: tag it again"
            )


def _decided(
    folder: str, stream: str, places: Iterable[tuple[StreamFile, int]]
) -> dict[tuple[str, int], tuple[str, int, str | None, int]]:
    """By file and row, what a mix has decided: id, line, first rule, copies."""
    wanted = [(file.src, row + 1) for file, row in places]
    listed = ", ".join("(?, ?)" for _ in wanted)
    rows = explaining.query(
        os.path.join(folder, decisions.NAME),
        "SELECT src, nth, id, line, first, copies FROM (SELECT *, row_number() OVER (PARTITION BY "
        "src ORDER BY file_row_number) AS nth FROM decisions WHERE stream = ?) "
        f"WHERE (src::VARCHAR, nth) IN ({listed})",
        [stream, *(value for pair in wanted for value in pair)],
    )
    return {
        (src, nth - 1): (id_, line, first, copies) for src, nth, id_, line, first, copies in rows
    }


def _edge(
    found: StreamValues, one: Threshold, sides: Sides, examples: dict[int, Example]
) -> Edge:  # fmt: skip
    values = found.values[one.value]
    known = values[~np.isnan(values)]
    n_passing = int(np.count_nonzero(_HOLDS[one.operator](known, one.number)))
    with np.errstate(over="ignore"):
        spread = float(np.ptp(known)) if len(known) else 0.0
        distance = np.abs(known - one.number)
    width = NEAR * (abs(one.number) or spread)
    bounds, counts = _histogram(known, one.number)
    passing, failing = (
        [_valued(examples[n], values[n]) for n in side if n in examples] for side in sides
    )
    return Edge(
        rule=one.rule, column=one.value, operator=one.operator, threshold=one.number,
        documents=len(values), without=len(values) - len(known), passing=n_passing,
        failing=len(known) - n_passing,
        within=int(np.count_nonzero(distance <= width)),
        histogram=counts, bounds=bounds, files_read=len(found.files), files=found.n_files,
        pass_examples=passing, fail_examples=failing,
    )  # fmt: skip


def _valued(example: Example, value: Any) -> Example:
    return msgspec.structs.replace(example, value=float(value))


def _histogram(known: NDArray[np.float64], number: float) -> tuple[list[float], list[int]]:
    """Bounds and counts of bins over what most have and the threshold; (N_BINS + 1,) and (N_BINS,).

    They are even, or of even ratios where values go far beyond the threshold. What lies beyond
    counts in the outermost.
    """
    finite = known[np.isfinite(known)]
    if not len(finite):
        return [], []
    low, high = np.quantile(finite, [0.005, 0.995], method="nearest")
    low, high = min(float(low), number), max(float(high), number)
    if high <= low:
        high = low + (abs(low) or 1.0)
    if not math.isfinite((high - low) * N_BINS):  # no bins of even width are that wide
        return [], []
    if low >= 0 and number > 0 and high > WIDE * number:  # else all would lie far from the edge
        low = max(low, number / WIDE)
        bounds = np.geomspace(low, high, N_BINS + 1)
    else:
        bounds = np.linspace(low, high, N_BINS + 1)
    bounds[-1] = high
    counts, _ = np.histogram(np.clip(finite, low, high), bounds)
    return bounds.tolist(), counts.tolist()
