"""What a text shares with indexed documents: its rarest spans, where they stand, and since when.

As OLMoTrace does it (arXiv 2504.07096, section 3), and exactly:

1. The text, as the corpus's tokenizer cuts it, has maximal spans that stand in documents as they
   are (`spans`). By OLMoTrace's rule they begin and end with whole words (of UAX #29, or white
   space) and hold no token with a period or line feed but at their end.
2. The K = ceil(0.05 * tokens) rarest are kept.
3. Of each, up to 10 documents are shown, spread evenly over the suffixes that begin with it, which
   are in the order of what comes next. (OLMoTrace draws them by chance.)
4. A document that has several spans is one document.
5. Documents are ranked by BM25 of the text's words in up to 250 tokens on both sides of what they
   share: sum over the words w of the text, as often as they stand there, of

       ln(1 + (N - n + 0.5) / (n + 0.5)) * f * 2.5 / (f + 1.5 * (0.25 + 0.75 * length / mean))

   with w in n of the N documents and f times in this one. Words are `\\w+` in any case. A score of
   0.7 * 0.18 * characters of the text or more is high, of 0.5 * 0.18 medium: OLMoTrace's bounds.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import files, kernels
from dolma_kit.errors import ConfigError
from dolma_kit.order.answers import Never, Sighting
from dolma_kit.order.documents import DocumentTable, read_table
from dolma_kit.searching import spans
from dolma_kit.searching.index import Index, Shard
from dolma_kit.searching.spans import KEEP_SHARE, Rule, Span

if TYPE_CHECKING:
    from dolma_kit.order.documents import Document
    from dolma_kit.order.run import Run
    from dolma_kit.searching.queries import Searcher

DOCUMENTS = 10
CONTEXT = 40  # tokens that are shown on each side
RANKED = 250  # tokens that are ranked on each side
MOST_BYTES = 1 << 20  # of the text
MOST_OCCURRENCES = 10_000  # of all spans, the rarest first
SCORE_OF_CHARACTER = 0.18
HIGH, MEDIUM = 0.7, 0.5

Level = Literal["high", "medium", "low"]
RuleName = Literal["olmotrace", "none"]


class Occurrence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a span stands: from token `token` of the part of `documents[document]`, with what comes
    before and after in the document.

    Of a run: `seen` are the instances that held tokens of it when they were trained on, `whole`
    says that one of them held all, and `never` why there is none, as in `trace text`.
    """

    document: int
    token: int
    before: str
    match: str
    after: str
    seen: list[Sighting] | None = None
    whole: bool | None = None
    never: Never | None = None


class SharedSpan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens [start, end) of the text, characters [start_char, end_char): Unicode code points, as
    Python counts them. `count` is how often the span occurs, `log_probability` (natural) the sum of
    the logs of its tokens' shares. Of a run, the steps are those of the occurrences listed."""

    start: int
    end: int
    start_char: int
    end_char: int
    text: str
    count: int
    log_probability: float
    occurrences: list[Occurrence]
    first_step: int | None = None
    last_step: int | None = None


class SharedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document, tokens [start, end) of the part, and which of the `spans` it is listed with."""

    index: str
    part: str
    id: str
    source: str | None
    src: str
    line: int | None
    start: int
    end: int
    score: float
    relevance: Level
    spans: list[int]


class Overlap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of `search overlap`: the rarest `spans` first, of `n_spans` that there are;
    `documents` by relevance. `n_covered` of the text's `n_tokens` tokens are in one of the n_spans.
    Of a run, sightings up to step `until` count, null for all."""

    text: str
    n_tokens: int
    n_spans: int
    n_covered: int
    rule: RuleName
    min_length: int
    max_count: int | None
    keep_share: float | None
    spans: list[SharedSpan]
    documents: list[SharedDocument]
    run: str | None = None
    until: int | None = None


@dataclass(frozen=True)
class Place:
    """A span's occurrence, `token` of a shard, in its document of number `row` there."""

    index: Index
    shard: Shard
    token: int
    row: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Its document's."""
        return self.index.folder, self.shard.about.part, self.shard.about.row + self.row


class OverlapSearch:
    """Finds what texts share with the documents of a searcher's indexes; `run` is the training run
    of exactly these token files, ConfigError for one of others."""

    def __init__(self, searcher: Searcher, run: Run | None = None) -> None:
        self.searcher = searcher
        self.run = run
        self._numbers = {} if run is None else _numbers_of_files(searcher, run)
        self._tables: dict[str, DocumentTable] = {}

    def find(
        self,
        text: str,
        *,
        rule: RuleName = "olmotrace",
        min_length: int = 1,
        max_count: int | None = None,
        keep_share: float | None = KEEP_SHARE,
        documents: int = DOCUMENTS,
        context: int = CONTEXT,
        until: int | None = None,
    ) -> Overlap:
        """What a text of MOST_BYTES at most shares; ConfigError for an empty or a larger one."""
        if not text:
            raise ConfigError("an empty text shares nothing: give some")
        if (size := len(text.encode())) > MOST_BYTES:
            raise ConfigError(
                f"a text of {size:,} bytes: at most {MOST_BYTES:,}; of whole corpora, see "
                "dolma-kit decon"
            )
        encoding = self.searcher.tokenizer.encode(text, add_special_tokens=False)
        ids, offsets = encoding.ids, encoding.offsets
        if not ids:
            raise ConfigError("the tokenizer leaves nothing of the text: give some")
        terms = Rule(min_length=min_length, max_count=max_count)
        if rule == "olmotrace":
            terms = Rule(
                min_length=min_length, max_count=max_count,
                delimiters=self._ends_of_sentences(ids), boundaries=word_boundaries(text, offsets),
            )  # fmt: skip
        found = spans.maximal_spans(self.searcher, ids, terms)
        kept = spans.rarest(found, len(ids), keep_share)
        chosen = self._chosen(kept, documents)
        ranked, numbers = self._ranked(text, kept, chosen)
        sightings = self._sightings(kept, chosen, until)
        shared = []
        for span, places in zip(kept, chosen, strict=True):
            n = span.end - span.start
            listed = []
            for place in places:
                seen, never = next(sightings, (None, None))
                listed.append(
                    Occurrence(
                        document=numbers[place.key],
                        token=place.shard.about.first + place.token,
                        **dict(zip(("before", "match", "after"), self._around(place, n, context),
                                   strict=True)),
                        seen=seen,
                        whole=None if seen is None else any(s.end - s.start == n for s in seen),
                        never=never,
                    )
                )  # fmt: skip
            steps = [s.step for one in listed for s in one.seen or ()]
            first, last = offsets[span.start][0], offsets[span.end - 1][1]
            shared.append(
                SharedSpan(
                    start=span.start, end=span.end, start_char=first, end_char=last,
                    text=text[first:last], count=span.count,
                    log_probability=span.log_probability, occurrences=listed,
                    first_step=min(steps, default=None), last_step=max(steps, default=None),
                )
            )  # fmt: skip
        covered = np.zeros(len(ids), np.bool_)
        for span in found:
            covered[span.start : span.end] = True
        return Overlap(
            text=text, n_tokens=len(ids), n_spans=len(found), n_covered=int(covered.sum()),
            rule=rule, min_length=min_length, max_count=max_count, keep_share=keep_share,
            spans=shared, documents=ranked, run=None if self.run is None else self.run.path,
            until=until,
        )  # fmt: skip

    def _ends_of_sentences(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids whose bytes have a period or a line feed."""
        vocabulary = self.searcher.vocabulary
        table, bounds = vocabulary.table, vocabulary.offsets
        contents = ((one, table[bounds[one] : bounds[one + 1]].tobytes()) for one in set(ids))
        return {one for one, data in contents if b"." in data or b"\n" in data}

    def _chosen(self, kept: Sequence[Span], limit: int) -> list[list[Place]]:
        """Of each span, occurrences in up to `limit` documents."""
        shards = [(index, shard) for index, shard in self.searcher.shards if shard.about.tokens]
        left = MOST_OCCURRENCES
        chosen = []
        for span in kept:
            places = _places(shards, span, min(limit, left))
            left -= len(places)
            chosen.append(places)
        return chosen

    def _document(self, place: Place) -> Document:
        part = place.shard.part
        if part.path not in self._tables:
            self._tables[part.path] = read_table(part.require_table(), part.tokens)
        return self._tables[part.path][place.shard.about.row + place.row]

    def _around(self, place: Place, n: int, context: int) -> tuple[str, str, str]:
        """The text before a place's n tokens, theirs, and that after, within the document."""
        shard = place.shard
        low, high = shard.document_start(place.row), int(shard.ends[place.row])
        if high > place.token + n and shard.tokens[high - 1] == shard.eos:
            high -= 1
        low, high = max(low, place.token - context), min(high, place.token + n + context)
        ids = shard.tokens[low:high]
        data, offsets = self.searcher.vocabulary.decode(ids, np.zeros(len(ids), np.bool_))
        a, b = int(offsets[place.token - low]), int(offsets[place.token + n - low])
        texts = (part.decode("utf-8", "replace") for part in (data[:a], data[a:b], data[b:]))
        return next(texts), next(texts), next(texts)

    def _ranked(
        self, text: str, kept: Sequence[Span], chosen: Sequence[Sequence[Place]]
    ) -> tuple[list[SharedDocument], dict[tuple[str, str, int], int]]:
        """The documents by relevance, and the number there of each by its key."""
        places: dict[tuple[str, str, int], Place] = {}
        texts: dict[tuple[str, str, int], list[str]] = {}
        with_spans: dict[tuple[str, str, int], list[int]] = {}
        for number, (span, of_span) in enumerate(zip(kept, chosen, strict=True)):
            for place in of_span:
                places.setdefault(place.key, place)
                with_spans.setdefault(place.key, []).append(number)
                around = self._around(place, span.end - span.start, RANKED)
                texts.setdefault(place.key, []).append("".join(around))
        keys = list(places)
        scores = bm25(text, ["\n".join(texts[key]) for key in keys])
        order = sorted(range(len(keys)), key=lambda i: (-scores[i], i))
        ranked = []
        for i in order:
            place, document = places[keys[i]], self._document(places[keys[i]])
            ranked.append(
                SharedDocument(
                    index=place.index.tokens.path, part=place.shard.about.part, id=document.id,
                    source=document.source, src=document.src, line=document.line,
                    start=document.start, end=document.end, score=round(scores[i], 3),
                    relevance=level(scores[i], len(text)), spans=with_spans[keys[i]],
                )
            )  # fmt: skip
        return ranked, {keys[i]: number for number, i in enumerate(order)}

    def _sightings(
        self, kept: Sequence[Span], chosen: Sequence[Sequence[Place]], until: int | None
    ) -> Iterator[tuple[list[Sighting] | None, Never | None]]:
        """Of each occurrence, when the run saw it, or why never; nothing without a run."""
        if self.run is None:
            return
        groups = []
        for span, places in zip(kept, chosen, strict=True):
            for place in places:
                start = place.shard.about.first + place.token
                stop = start + span.end - span.start
                numbers = self._numbers[os.path.realpath(place.shard.part.path)]
                groups.append([(n, start, stop) for n in numbers])
        for seen, never in self.run.sightings_of_each(groups) if groups else ():
            if until is not None and seen:
                seen = [one for one in seen if one.step <= until]
                never = None if seen else "not-reached"
            yield seen, never


def word_boundaries(text: str, offsets: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """(n_tokens + 1,): before which tokens, and after the last, no word of a text is cut, given the
    characters [start, end) of each.

    >>> word_boundaries("a cat's", [(0, 1), (1, 5), (5, 7)]).tolist()
    [True, True, False, True]
    """
    data = np.frombuffer(text.encode(), np.uint8)
    begins = np.append((data & 0xC0) != 0x80, True)  # of characters, by byte
    character = np.cumsum(begins) - 1
    _, ends = kernels.uax29.words(data, np.zeros(1, np.int64), np.array([len(data)]))
    whole = np.zeros(len(text) + 1, np.bool_)
    whole[0] = True
    whole[character[ends]] = True
    blank = np.fromiter((one.isspace() for one in text), np.bool_, len(text))
    whole[:-1] |= blank
    whole[1:] |= blank
    bounds = np.array(offsets, np.int64).reshape(-1, 2)
    found = np.ones(len(bounds) + 1, np.bool_)
    # Tokens that share a character say the same of where it is.
    found[1:-1] = (bounds[:-1, 1] <= bounds[1:, 0]) & whole[bounds[1:, 0]]
    return found


def bm25(text: str, documents: Sequence[str]) -> list[float]:
    """The score of each document for a text, by the formula above.

    >>> [round(score, 2) for score in bm25("a red fox", ["the fox", "a dog"])]
    [0.69, 0.69]
    """
    asked = Counter(_words(text))
    counts = [Counter(_words(one)) for one in documents]
    lengths = [one.total() for one in counts]
    mean = sum(lengths) / max(len(lengths), 1) or 1.0
    holding = Counter(word for one in counts for word in asked.keys() & one.keys())
    weights = {
        word: asked[word] * math.log(1 + (len(counts) - n + 0.5) / (n + 0.5))
        for word, n in holding.items()
    }
    scores = []
    for one, length in zip(counts, lengths, strict=True):
        norm = 1.5 * (0.25 + 0.75 * length / mean)
        shared = asked.keys() & one.keys()
        scores.append(math.fsum(weights[w] * one[w] * 2.5 / (one[w] + norm) for w in shared))
    return scores


def level(score: float, n_characters: int) -> Level:
    """OLMoTrace's word for a score."""
    share = score / (SCORE_OF_CHARACTER * max(n_characters, 1))
    return "high" if share >= HIGH else "medium" if share >= MEDIUM else "low"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _places(shards: spans.Shards, span: Span, limit: int) -> list[Place]:
    """Occurrences of a span in up to `limit` documents, in the order of the shards."""
    n = span.end - span.start
    bounds = np.cumsum([0, *(high - low for low, high in span.ranges)])
    found: dict[tuple[int, int], int] = {}
    for n_tries in (limit, 8 * limit):  # first as far apart as may be, then for what is missing
        for rank in _spread(int(bounds[-1]), n_tries):
            number = int(np.searchsorted(bounds, rank, "right")) - 1
            shard = shards[number][1]
            place = int(shard.suffixes[span.ranges[number][0] + rank - bounds[number]])
            row = int(np.searchsorted(shard.ends, place, "right"))
            if row < len(shard.ends) and place + n <= shard.ends[row] and len(found) < limit:
                found.setdefault((number, row), place)
    return [Place(*shards[number], place, row) for (number, row), place in sorted(found.items())]


def _spread(n: int, n_taken: int) -> list[int]:
    """As many of 0 to n - 1, as far apart as may be."""
    taken = min(n, n_taken)
    return [(2 * k + 1) * n // (2 * taken) for k in range(taken)]


def _numbers_of_files(searcher: Searcher, run: Run) -> dict[str, list[int]]:
    """The numbers of each token file in a run, by its path; ConfigError where they are not those of
    the indexes."""
    parts = {
        os.path.realpath(part.path): part for one in searcher.indexes for part in one.tokens.parts
    }
    numbers: dict[str, list[int]] = {}
    for n, file in enumerate(run.files):
        path = file.path if files.is_remote(file.path) else os.path.realpath(file.path)
        if path not in parts:
            raise ConfigError(
                f"{run.path} trains on {file.path}, of which no --index is: its steps would be "
                "missing"
            )
        part = parts[path].tokens
        if (part.n_bytes, part.dtype) != (file.n_bytes, file.dtype):
            raise ConfigError(
                f"{file.path} is {part.n_bytes:,} bytes of {part.dtype} for the index, "
                f"{file.n_bytes:,} of {file.dtype} for {run.path}: they do not belong together"
            )
        numbers.setdefault(path, []).append(n)
    for path in parts.keys() - numbers.keys():
        raise ConfigError(f"{parts[path].path} is indexed, but {run.path} does not train on it")
    return numbers
