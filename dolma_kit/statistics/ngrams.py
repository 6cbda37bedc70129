"""`ngrams`: the most and the least common n-grams, and how many different ones there are.

Tokens are words by UAX #29 without white space, as WIMBD's (Elazar et al. 2023, section 4.3.1), or
those of a tokenizer. An n-gram lies within one document. Counting is exact while there are no more
different n-grams than a worker may hold; beyond, each count has a bound of its own, and the number
of different ones is an estimate (see `ngram_counting`, `cardinality`). With a folder of token files
everything is exact: `token_ngrams`.

Table: `n`, `hash`, `count`, `missed`, `file`, `line`, `token`: where it came in. Notes: by n
`floor`, `total`, `registers` (zlib, base64), `threshold` (as text) and `sample`, each [hash as
text, count, n-gram]; and `texts`, the n-grams by n and hash that answers have shown, `texts_by`
their unit and tokenizer.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import msgspec
import numpy as np

from dolma_kit import kernels
from dolma_kit.statistics import cardinality, ngram_counting, tables, token_counts
from dolma_kit.statistics.key_counts import ALL, Estimate
from dolma_kit.statistics.ngram_counting import (
    COUNT,
    HASH,
    MISSED,
    PLACE,
    Counting,
    Sample,
    Tally,
    least_common,
    most_common,
)
from dolma_kit.statistics.partials import Partial
from dolma_kit.statistics.statistic import About, Corpus, Gathering, Measure, Statistic, words_in
from dolma_kit.statistics.token_counts import TokenCounts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

KEPT_SHARE = 4  # rows of a partial: capacity by this
LINE_BITS = 32


class Ngram(msgspec.Struct, frozen=True, kw_only=True):
    """`count` is exact where `at_most` is equal to it; else the true one lies between. `file` and
    `line` are where it was first noted, null in a sample."""

    text: str
    count: int
    at_most: int
    file: str | None = None
    line: int | None = None


class OfLength(msgspec.Struct, frozen=True, kw_only=True):
    """Of one n: `total` n-grams, `distinct` ones, those that occur `once`.

    `most` common ones; one that is not listed occurs `floor` times at most. `least` common ones:
    the least where `exact`, else those of a sample of `sampled` different ones. `entropy` in bits,
    null where not exact. `error` is the relative standard error of an estimated `distinct`.
    """

    n: int
    exact: bool
    total: int
    distinct: Estimate
    error: float
    once: Estimate
    entropy: float | None
    floor: int
    sampled: int
    most: list[Ngram]
    least: list[Ngram]


class Ngrams(msgspec.Struct, frozen=True, kw_only=True):
    about: About
    unit: str
    lengths: dict[str, OfLength]


class Tokens(NamedTuple):
    """The tokens of a batch: their hashes, where each document's begin, and what n of them from
    token i on are as text."""

    hashes: NDArray[np.uint64]  # (n_tokens,)
    offsets: NDArray[np.int64]  # (n_docs + 1,)
    text_of: Callable[..., str]  # (i, n)


class _Found(NamedTuple):
    tokens: Tokens
    lines: NDArray[np.int64]


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("n", pa.int64()), ("hash", pa.uint64()), ("count", pa.int64()),
            ("missed", pa.int64()), ("file", pa.int32()), ("line", pa.int64()),
            ("token", pa.int64()),
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class NgramsOf(Statistic):
    lengths: tuple[int, ...]
    unit: Literal["words", "tokens"] = "words"
    tokens: TokenCounts | None = None
    capacity: int = 1 << 19
    top: int = 20

    id: ClassVar[str] = "ngrams"
    asking: ClassVar[tuple[str, ...]] = ("top",)
    kernels: ClassVar[tuple[str, ...]] = ("uax29", "paragraphs", "hashing", "ngram_sketches")

    @property
    def shareable(self) -> bool:
        return False  # what a batch gives is too much to send

    def start(self, shard: Shard) -> Measure:
        return lambda batch: _Found(self.tokens_of(batch), batch.lines)

    def tokens_of(self, batch: Batch) -> Tokens:
        if self.unit == "words":
            return _words(batch)
        assert self.tokens is not None
        return _encoded(batch, self.tokens)

    def gathering(self) -> Gathering:
        return _Gathering(self)

    @property
    def kept(self) -> int:
        return max(self.capacity // KEPT_SHARE, 1)

    def empty(self) -> Partial:
        return _partial({n: ngram_counting.nothing() for n in self.lengths}, {})

    def merge(self, partials: Sequence[Partial]) -> Partial:
        parts = [tallies_in(partial) for partial in partials]
        together = {
            n: ngram_counting.merged([part[n] for part in parts], self.capacity)
            for n in self.lengths
        }
        return _partial(together, {})

    def completed(self, whole: Partial, corpus: Corpus, before: dict[str, Any]) -> Partial:
        """With the texts of the most common: they are looked up where they came in, but for those
        that are known from before."""
        by = [self.unit, None if self.tokens is None else self.tokens.recorded()]
        known = before["texts"] if before.get("texts_by") == by else {}
        texts: dict[str, dict[str, str]] = {str(n): {} for n in self.lengths}
        wanted: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
        for n, tally in tallies_in(whole).items():
            chosen = list(most_common(tally, self.top))
            if _is_exact(tally):
                chosen += least_common(tally, self.top)
            for row in chosen:
                file, place = int(tally.files[row]), int(tally.rows[row, PLACE])
                line, token = place >> LINE_BITS, place & ((1 << LINE_BITS) - 1)
                hash_ = int(tally.rows[row, HASH].view(np.uint64))
                text = known.get(str(n), {}).get(str(hash_))
                if text is not None:
                    texts[str(n)][str(hash_)] = text
                    continue
                wanted.setdefault((file, line), set()).add((n, token, hash_))
        for file in sorted({file for file, _ in wanted}):
            shard, limit = corpus.shards[file]
            lines = {line: there for (f, line), there in wanted.items() if f == file}
            for n, hash_, text in self._looked_up(shard.path, corpus, limit, lines):
                texts[str(n)][str(hash_)] = text
        return whole._replace(notes={**whole.notes, "texts": texts, "texts_by": by})

    def _looked_up(
        self,
        path: str,
        corpus: Corpus,
        limit: int | None,
        lines: dict[int, set[tuple[int, int, int]]],
    ) -> list[tuple[int, int, str]]:
        """(n, hash, text) of the n-grams on some lines of a file."""
        import pyarrow as pa

        from dolma_kit.decoding import Source
        from dolma_kit.documents import Batch, DocumentReader

        source = Source(path, corpus.fields, limit=limit, set_aside=corpus.set_aside)
        left = set(lines)
        found = []
        for batch in DocumentReader(source):
            rows = [i for i, line in enumerate(batch.lines.tolist()) if line in left]
            if rows:
                part = Batch(
                    pa.Table.from_batches([batch.table]).take(rows).combine_chunks().to_batches()[0],
                    path=path, first_row=batch.first_row, lines=batch.lines[rows],
                )  # fmt: skip
                tokens = self.tokens_of(part)
                for i, line in enumerate(part.lines.tolist()):
                    left.discard(line)
                    for n, token, hash_ in sorted(lines[line]):
                        text = tokens.text_of(int(tokens.offsets[i]) + token, n)
                        found.append((n, hash_, text))
            if not left:
                break
        return found

    def answer(self, whole: Partial, about: About) -> Ngrams:
        lengths = {}
        for n, tally in tallies_in(whole).items():
            lengths[str(n)] = _of_length(n, tally, whole.notes["texts"][str(n)], self.top, about)
        return Ngrams(about=about, unit=self.unit, lengths=lengths)

    def text(self, answer: Ngrams) -> str:
        return text_of(answer)

    def tables(self, whole: Partial, answer: Ngrams, about: About) -> dict[str, pa.Table]:
        return tables_of(answer)


class _Gathering(Gathering):
    def __init__(self, statistic: NgramsOf) -> None:
        self._kept = statistic.kept
        self._counting = [Counting(n, statistic.capacity) for n in statistic.lengths]

    def take(self, found: _Found) -> None:
        tokens, lines = found
        for counting in self._counting:
            text_of = functools.partial(tokens.text_of, n=counting.n)
            counting.add(tokens.hashes, tokens.offsets, lines, text_of)

    def partial(self) -> Partial:
        return _partial({c.n: c.tally(self._kept) for c in self._counting}, {})


def _words(batch: Batch) -> Tokens:
    """The words of a batch that are not white space."""
    text = batch.text_bytes
    starts, ends, offsets = words_in(text, batch.offsets)
    hashes = kernels.hashing.hash_slices(text, starts, ends, np.uint64(0))

    def text_of(i: int, n: int) -> str:
        pieces = zip(starts[i : i + n].tolist(), ends[i : i + n].tolist(), strict=True)
        return " ".join(text[a:b].tobytes().decode() for a, b in pieces)

    return Tokens(hashes, offsets, text_of)


def _encoded(batch: Batch, tokens: TokenCounts) -> Tokens:
    ids, offsets = token_counts.encoded(batch, tokens.path, tokens.sha256, tokens.library)
    decoder = tokens.decoder()

    def text_of(i: int, n: int) -> str:
        return decoder(ids[i : i + n].tolist())

    hashes = kernels.ngram_sketches.hash_ids(np.ascontiguousarray(ids, np.uint32))
    return Tokens(hashes, offsets, text_of)


def tallies_in(partial: Partial) -> dict[int, Tally]:
    """The tally of each n in a partial."""
    table = partial.table
    names = ("n", "hash", "count", "missed", "file", "line", "token")
    ns, hashes, counts, missed, files, lines, tokens = (
        table.column(name).to_numpy() for name in names
    )
    found = {}
    for n in sorted(map(int, partial.notes["lengths"])):
        notes = partial.notes["lengths"][str(n)]
        a, b = np.searchsorted(ns, [n, n + 1])
        rows = np.empty((b - a, 4), np.int64)
        rows[:, HASH] = hashes[a:b].view(np.int64)
        rows[:, COUNT], rows[:, MISSED] = counts[a:b], missed[a:b]
        rows[:, PLACE] = (lines[a:b] << LINE_BITS) | tokens[a:b]
        sample = notes["sample"]
        found[n] = Tally(
            rows, files[a:b], notes["floor"], notes["total"], _unpacked(notes["registers"]),
            Sample(
                np.array([int(one[0]) for one in sample], np.uint64),
                np.array([one[1] for one in sample], np.int64),
                [one[2] for one in sample],
                int(notes["threshold"]),
            ),
        )  # fmt: skip
    return found


def _partial(tallies: dict[int, Tally], texts: dict[str, dict[str, str]]) -> Partial:
    import pyarrow as pa

    ordered = sorted(tallies.items())
    rows = np.concatenate([tally.rows for _, tally in ordered])
    columns = [
        np.repeat([n for n, _ in ordered], [len(tally.rows) for _, tally in ordered]),
        rows[:, HASH].view(np.uint64),
        rows[:, COUNT],
        rows[:, MISSED],
        np.concatenate([tally.files for _, tally in ordered]),
        rows[:, PLACE] >> LINE_BITS,
        rows[:, PLACE] & ((1 << LINE_BITS) - 1),
    ]
    arrays = [pa.array(np.ascontiguousarray(column)) for column in columns]
    notes = {
        str(n): {
            "floor": tally.floor,
            "total": tally.total,
            "registers": _packed(tally.registers),
            "threshold": str(tally.sample.threshold),
            "sample": [
                [str(hash_), count, text]
                for hash_, count, text in zip(
                    tally.sample.hashes.tolist(), tally.sample.counts.tolist(),
                    tally.sample.texts, strict=True,
                )
            ],
        }
        for n, tally in ordered
    }  # fmt: skip
    table = pa.table(arrays, names=schema().names).cast(schema())
    return Partial({"lengths": notes, "texts": texts}, table)


def _packed(registers: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(registers.tobytes(), 6)).decode()


def _unpacked(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)


def _is_exact(tally: Tally) -> bool:
    return tally.floor == 0


def _of_length(n: int, tally: Tally, texts: dict[str, str], top: int, about: About) -> OfLength:
    def shown(row: int) -> Ngram:
        hash_, count, missed, place = tally.rows[row].tolist()
        text = texts[str(hash_ % (1 << 64))]
        file = about.files[int(tally.files[row])]
        return Ngram(
            text=text, count=count, at_most=count + missed, file=file, line=place >> LINE_BITS
        )  # fmt: skip

    exact = _is_exact(tally)
    counts = tally.rows[:, COUNT]
    if exact:
        n_distinct, n_once = float(len(counts)), float(np.count_nonzero(counts == 1))
        distinct = Estimate(n_distinct, n_distinct, n_distinct, True)
        once = Estimate(n_once, n_once, n_once, True)
        least = [shown(row) for row in least_common(tally, top)]
    else:
        distinct = cardinality.estimate(tally.registers)
        once = _once(tally.sample, distinct)
        least = _least_of(tally.sample, top)
    return OfLength(
        n=n,
        exact=exact,
        total=tally.total,
        distinct=distinct,
        error=0.0 if exact else cardinality.STANDARD_ERROR,
        once=once,
        entropy=_entropy(counts) if exact and len(counts) else None,
        floor=tally.floor,
        sampled=len(tally.sample.hashes),
        most=[shown(row) for row in most_common(tally, top)],
        least=least,
    )


def _once(sample: Sample, distinct: Estimate) -> Estimate:
    """How many n-grams occur once, by their share of a sample; bounds are those of both."""
    from dolma_kit.decontamination.intervals import wilson

    n_once = int(np.count_nonzero(sample.counts == 1))
    size = len(sample.counts)
    if sample.threshold >= ALL:
        return Estimate(float(n_once), float(n_once), float(n_once), True)
    low, high = wilson(n_once, size)
    return Estimate(distinct.value * n_once / size, distinct.low * low, distinct.high * high, False)


def _least_of(sample: Sample, top: int) -> list[Ngram]:
    order = np.lexsort((sample.hashes, sample.counts))[:top]
    return [
        Ngram(text=sample.texts[i], count=int(sample.counts[i]), at_most=int(sample.counts[i]))
        for i in order.tolist()
    ]


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts / counts.sum()
    return max(-float((shares * np.log2(shares)).sum()), 0.0)


def text_of(answer: Ngrams) -> str:
    """An answer for eyes."""
    rows = []
    for one in answer.lengths.values():
        how = "exact" if one.exact else f"+- {100 * one.error:.2f} %"
        rows.append(
            [str(one.n), one.total, round(one.distinct.value), how, round(one.once.value),
             tables.share(one.once.value, one.distinct.value), one.floor]
        )  # fmt: skip
    heads = [
        f"n, in {answer.unit}",
        "n-grams",
        "distinct",
        "",
        "occur once",
        "",
        "unlisted at most",
    ]
    lines = [tables.aligned(heads, rows)]
    for one in answer.lengths.values():
        for name, ngrams in (("most", one.most), ("least", one.least)):
            if ngrams:
                of = "" if one.exact or name == "most" else f", of {one.sampled:,} in a sample"
                rows = [
                    [gram.count, "" if gram.count == gram.at_most else f"to {gram.at_most:,}",
                     gram.text]
                    for gram in ngrams[:10]
                ]  # fmt: skip
                heads = [f"n = {one.n}, {name} common{of}", "", ""]
                lines += ["", tables.aligned(heads, rows)]
    return "\n".join(lines)


def tables_of(answer: Ngrams) -> dict[str, pa.Table]:
    """The n-grams of an answer as rows."""
    import pyarrow as pa

    rows = [
        {"n": one.n, "kind": name, **msgspec.to_builtins(gram)}
        for one in answer.lengths.values()
        for name, grams in (("most", one.most), ("least", one.least))
        for gram in grams
    ]
    types = pa.schema(
        [
            ("n", pa.int64()), ("kind", pa.string()), ("text", pa.string()),
            ("count", pa.int64()), ("at_most", pa.int64()), ("file", pa.string()),
            ("line", pa.int64()),
        ]
    )  # fmt: skip
    return {"ngrams": pa.Table.from_pylist(rows, types)}
