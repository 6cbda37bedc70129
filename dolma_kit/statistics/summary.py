"""`summary`: how much there is, by source; the longest and the shortest documents.

Notes: `sources`, by name, each the fields of `Amount` and `extremes`: unit -> [longest, shortest],
each [length, file, line, id]. Words are those of UAX #29 that are not white space, as WIMBD's
(Elazar et al. 2023, appendix B.1). The table is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit import kernels
from dolma_kit.statistics import tables
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.statistic import About, Measure, Statistic, n_bytes, n_words, sources
from dolma_kit.statistics.token_counts import UNKNOWN, TokenCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

UNITS = ("bytes", "characters", "words", "tokens")


class Amount(msgspec.Struct, kw_only=True):
    """Of some documents: how many, and of what they consist.

    `empty` have no text, `blank` nothing but white space (those that are empty not counted).
    `tokens` has the EOS of each document that has tokens; it is null where nobody counted, and
    `uncounted` are documents of which the token files have nothing.
    """

    documents: int = 0
    empty: int = 0
    blank: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    tokens: int | None = None
    uncounted: int | None = None

    def add(self, other: Amount) -> None:
        for key in self.__struct_fields__:
            mine, theirs = getattr(self, key), getattr(other, key)
            if theirs is not None:
                setattr(self, key, theirs if mine is None else mine + theirs)


class Extreme(msgspec.Struct, frozen=True):
    """The longest or the shortest document by a unit; of equal ones the first."""

    length: int
    file: str
    line: int
    id: str


class OfSource(msgspec.Struct, frozen=True, kw_only=True):
    """`longest` and `shortest` are by unit: bytes, characters, words, tokens."""

    amount: Amount
    longest: dict[str, Extreme]
    shortest: dict[str, Extreme]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """By `source` ("" of documents without one), and of all."""

    about: About
    total: OfSource
    sources: dict[str, OfSource]


_Place = list[Any]  # length, file, line, id


@dataclass(frozen=True)
class Summaries(Statistic):
    tokens: TokenCounts | None = None

    id: ClassVar[str] = "summary"
    kernels: ClassVar[tuple[str, ...]] = ("uax29", "paragraphs")

    def start(self, shard: Shard) -> Measure:
        counter = None if self.tokens is None else self.tokens.counter(shard)

        def measure(batch: Batch) -> Partial:
            return _measured(batch, None if counter is None else counter(batch))

        return measure

    def placed(self, partial: Partial, file: int) -> Partial:
        for said in partial.notes["sources"].values():
            for pair in said["extremes"].values():
                for place in pair:
                    place[1] = file
        return partial

    def empty(self) -> Partial:
        import pyarrow as pa

        return Partial({"sources": {}}, pa.table({"none": pa.array([], pa.int8())}))

    def merge(self, partials: Sequence[Partial]) -> Partial:
        amounts: dict[str, Amount] = {}
        extremes: dict[str, dict[str, list[_Place]]] = {}
        for partial in partials:
            for name, said in partial.notes["sources"].items():
                amount = {k: said[k] for k in Amount.__struct_fields__}
                amounts.setdefault(name, Amount()).add(msgspec.convert(amount, Amount))
                _spread(extremes.setdefault(name, {}), said["extremes"])
        notes = {
            name: {**msgspec.to_builtins(amount), "extremes": extremes[name]}
            for name, amount in sorted(amounts.items())
        }
        return Partial({"sources": notes}, partials[0].table)

    def answer(self, whole: Partial, about: About) -> Summary:
        total = Amount()
        extremes: dict[str, list[_Place]] = {}
        found = {}
        for name, said in whole.notes["sources"].items():
            amount = msgspec.convert({k: said[k] for k in Amount.__struct_fields__}, Amount)
            total.add(amount)
            _spread(extremes, said["extremes"])
            found[name] = _of_source(amount, said["extremes"], about)
        return Summary(about=about, total=_of_source(total, extremes, about), sources=found)

    def text(self, answer: Summary) -> str:
        whole = answer.total.amount
        has_tokens = whole.tokens is not None
        heads = ["source", "documents", "bytes", "characters", "words", "empty", "blank"]
        heads += ["tokens", "bytes/token"] if has_tokens else []
        rows = []
        for name, one in [*answer.sources.items(), ("in all", answer.total)]:
            amount = one.amount
            row = [name or "(none)", amount.documents, amount.bytes, amount.characters,
                   amount.words, amount.empty, amount.blank]  # fmt: skip
            if has_tokens:
                row += [amount.tokens, amount.bytes / amount.tokens if amount.tokens else None]
            rows.append(row)
        lines = [tables.aligned(heads, rows)]
        if whole.uncounted:
            lines.append(f"{whole.uncounted:,} documents are not in the token files")
        ends = []
        for kind, by_unit in (
            ("longest", answer.total.longest), ("shortest", answer.total.shortest)
        ):  # fmt: skip
            for unit, end in by_unit.items():
                ends.append([kind, unit, end.length, tables.place(end.file, end.line), end.id])
        if ends:
            lines += ["", tables.aligned(["", "unit", "length", "document", "id"], ends)]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Summary, about: About) -> dict[str, Any]:
        import pyarrow as pa

        rows = [
            {"source": name, **msgspec.to_builtins(one.amount)}
            for name, one in answer.sources.items()
        ]
        counts = Amount.__struct_fields__
        schema = pa.schema([("source", pa.string()), *((name, pa.int64()) for name in counts)])
        return {"sources": pa.Table.from_pylist(rows, schema)}


def _measured(batch: Batch, n_tokens: NDArray[np.int64] | None) -> Partial:
    import pyarrow as pa

    by_source = sources(batch)
    lengths = {"bytes": n_bytes(batch), "characters": batch.n_characters, "words": n_words(batch)}
    if n_tokens is not None:
        lengths["tokens"] = n_tokens
    n = len(by_source.names)
    is_empty = lengths["bytes"] == 0
    is_blank = kernels.paragraphs.blank(batch.text_bytes, batch.offsets[:-1], batch.offsets[1:])
    counts = {
        "documents": _sums(by_source.codes, np.ones(len(batch), np.int64), n),
        "empty": _sums(by_source.codes, is_empty, n),
        "blank": _sums(by_source.codes, is_blank & ~is_empty, n),
        "uncounted": None,
        "tokens": None,
    }
    for unit, values in lengths.items():
        counts[unit] = _sums(by_source.codes, np.maximum(values, 0), n)
    if n_tokens is not None:
        counts["uncounted"] = _sums(by_source.codes, n_tokens == UNKNOWN, n)
    notes = {}
    for code, name in enumerate(by_source.names):
        said: dict[str, Any] = {k: None if v is None else int(v[code]) for k, v in counts.items()}
        rows = np.flatnonzero(by_source.codes == code)
        said["extremes"] = {}
        for unit, values in lengths.items():
            known = rows[values[rows] != UNKNOWN]
            if len(known):
                ends = (known[np.argmax(values[known])], known[np.argmin(values[known])])
                said["extremes"][unit] = [
                    [int(values[i]), 0, int(batch.lines[i]), batch.ids[i]] for i in ends
                ]
        notes[name] = said
    return Partial({"sources": notes}, pa.table({"none": pa.array([], pa.int8())}))


def _sums(codes: NDArray[np.int64], values: NDArray[Any], n: int) -> NDArray[np.int64]:
    """(n,) int64: the values summed by code."""
    sums = np.zeros(n, np.int64)
    np.add.at(sums, codes, values.astype(np.int64))
    return sums


def _spread(known: dict[str, list[_Place]], more: dict[str, list[_Place]]) -> None:
    """Longest and shortest of both, by unit; of equal ones the first by file and line."""
    for unit, (longest, shortest) in more.items():
        if unit not in known:
            known[unit] = [longest, shortest]
            continue
        pair = known[unit]
        known[unit] = [
            min(pair[0], longest, key=lambda place: (-place[0], *place[1:3])),
            min(pair[1], shortest, key=lambda place: place[:3]),
        ]


def _of_source(amount: Amount, extremes: dict[str, list[_Place]], about: About) -> OfSource:
    ends: list[dict[str, Extreme]] = [{}, {}]
    for unit in UNITS:
        for found, (length, file, line, id_) in zip(ends, extremes.get(unit, ()), strict=False):
            found[unit] = Extreme(length, about.files[file], line, id_)
    return OfSource(amount=amount, longest=ends[0], shortest=ends[1])
