"""Questions to indexes: how often, where, in which documents, what comes next.

What is asked for is token ids, or text: its bytes, in whatever tokens they stand, as `trace text`
finds them. Over several indexes the answers are of all; where things stand is told by index and
part. Documents are those of the token tables; the EOS that ends one is no text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.order.asking.vocabulary import Vocabulary, normalized, vocabulary_of
from dolma_kit.searching.index import Index, Shard, open_index
from dolma_kit.searching.patterns import Pattern, Spelling
from dolma_kit.searching.phrases import PhraseSearch, Places, has_silent_ids

if TYPE_CHECKING:
    from dolma_kit.order.documents import Document

LIMIT = 10
CONTEXT = 40  # tokens on each side
MOST_IDS = 1 << 20


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence: it begins `offset` bytes into token `token` of a part, and touches `n_tokens`
    tokens."""

    index: str
    part: str
    token: int
    n_tokens: int
    offset: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`positions` are the first `limit` of `count`, by index, part and place."""

    query: str
    count: int
    positions: list[Position]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A document with occurrences: tokens [start, end) of the part, how many `occurrences` it has,
    and of the first of them what it is, what comes before and what after."""

    index: str
    part: str
    id: str
    source: str | None
    src: str
    line: int | None
    start: int
    end: int
    occurrences: int
    token: int
    before: str
    match: str
    after: str


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """`documents` hold `count` occurrences; `shown` are the first of them."""

    query: str
    count: int
    documents: int
    shown: list[Shown]


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """A token that follows: how often, and as a share of all that follow."""

    id: int
    text: str | None
    count: int
    share: float


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """What follows `ids`, which occur `count` times; at the end of the tokens nothing does.

    Of an infini-gram (Liu et al. 2024, "Infini-gram", section 2), `used` of the ids that were asked
    for, the longest end of them that occurs at all; `text` is theirs. `probability` is that of the
    token that was asked for, null where none was.
    """

    query: str
    asked: int
    used: int
    text: str | None
    count: int
    distinct: int
    next: list[Next]
    probability: float | None = None


@dataclass(frozen=True)
class Query:
    """What is asked for: ids, or a pattern of bytes; `shown` is how it was written."""

    shown: str
    ids: NDArray[np.int64] | None = None
    phrase: PhraseSearch | None = None


class Searcher:
    """Open indexes, and what is known of their vocabulary."""

    def __init__(self, indexes: Sequence[Index], tokenizer: str | None = None) -> None:
        if not indexes:
            raise ConfigError("no index: name a folder of tokens that has one with --index")
        self.indexes = list(indexes)
        self._tokenizer: Any = None
        self._named = tokenizer
        self._spelling: Spelling | None = None
        self._vocabulary: Vocabulary | None = None

    @property
    def shards(self) -> Iterator[tuple[Index, Shard]]:
        for index in self.indexes:
            for shard in index.shards:
                yield index, shard

    @property
    def tokenizer(self) -> Any:
        """That of all indexes; ConfigError where they have different ones."""
        if self._tokenizer is None:
            if self._named is not None:
                from tokenizers import Tokenizer

                from dolma_kit.tokens import tokenizer_file

                self._tokenizer = Tokenizer.from_file(tokenizer_file.resolve(self._named).path)
                return self._tokenizer
            records = [one.tokens.record for one in self.indexes]
            if len({None if r is None else r.tokenizer_sha256 for r in records}) > 1:
                raise ConfigError(
                    "the indexes are of different tokenizers: search them one by one, or by --ids"
                )
            self._tokenizer = self.indexes[0].tokenizer
        return self._tokenizer

    @property
    def vocabulary(self) -> Vocabulary:
        if self._vocabulary is None:
            self._vocabulary = vocabulary_of(self.tokenizer, self.indexes[0].tokens.path)
        return self._vocabulary

    def text(self, text: str, *, ignore_case: bool = False) -> Query:
        """A query by text: its bytes as the tokenizer normalizes it."""
        data = bytes_of(normalized(self.tokenizer, text) if _is_text(text) else text)
        pattern = Pattern(data, ignore_case=ignore_case)
        if self._spelling is None:
            self._spelling = Spelling(self.vocabulary)
            for one, shard in self.shards:
                if has_silent_ids(shard, self.vocabulary):
                    raise ConfigError(
                        f"{one.tokens.path} has ids beyond its tokenizer's: it is another's; name "
                        "the right one with --tokenizer, or search by --ids"
                    )
        shown = text if _is_text(text) else data.decode("utf-8", "backslashreplace")
        return Query(shown, phrase=PhraseSearch(pattern, self._spelling))

    def ids(self, ids: Sequence[int]) -> Query:
        """A query by token ids."""
        if not len(ids):
            raise ConfigError("no ids: a query of no tokens is everywhere")
        if len(ids) > MOST_IDS:
            raise ConfigError(f"a query of {len(ids):,} ids: at most {MOST_IDS:,}")
        for one in ids:
            if not 0 <= one < 1 << 32:
                raise ConfigError(f"{one} is no token id")
        shown = " ".join(map(str, ids[:100])) + (" ..." if len(ids) > 100 else "")
        return Query(shown, ids=np.array(ids, np.int64))

    def encoded(self, text: str) -> list[int]:
        """The ids that the tokenizer makes of a text, without what it adds."""
        if not _is_text(text):
            raise ConfigError("the text is no valid UTF-8: give --ids")
        if (n_bytes := len(text.encode())) > MOST_IDS:
            raise ConfigError(f"a text of {n_bytes:,} bytes: at most {MOST_IDS:,}")
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not found:
            raise ConfigError("an empty text has no tokens: give some")
        return found

    def count_in(self, shard: Shard, query: Query) -> int:
        if query.phrase is not None:
            return query.phrase.count(shard)
        assert query.ids is not None
        low, high = shard.find(query.ids)
        if self._needs_check(shard, query.ids):
            return len(self.places_in(shard, query).tokens)
        return high - low

    def places_in(self, shard: Shard, query: Query) -> Places:
        """All occurrences in a shard, by place."""
        if query.phrase is not None:
            return query.phrase.find(shard)
        assert query.ids is not None
        n = len(query.ids)
        low, high = shard.find(query.ids)
        places = np.sort(shard.suffixes[low:high].astype(np.int64))
        if self._needs_check(shard, query.ids):
            ends = shard.ends[np.minimum(shard.documents_at(places), len(shard.ends) - 1)]
            places = places[places + n <= ends]
        return Places(places, np.zeros(len(places), np.int64), np.full(len(places), n, np.int64))

    def _needs_check(self, shard: Shard, ids: NDArray[np.int64]) -> bool:
        """Whether ids could stand across the end of a document."""
        return not shard.about.ended or bool((ids[:-1] == shard.eos).any())

    def count(self, query: Query) -> int:
        """How often it occurs."""
        return sum(self.count_in(shard, query) for _, shard in self.shards)

    def find(self, query: Query, limit: int = LIMIT) -> Found:
        """Where it occurs."""
        count, positions = 0, list[Position]()
        for index, shard in self.shards:
            if len(positions) >= limit:
                count += self.count_in(shard, query)
                continue
            places = self.places_in(shard, query)
            count += len(places.tokens)
            rows = zip(*(column[: limit - len(positions)].tolist() for column in places),
                       strict=True)  # fmt: skip
            positions += [
                Position(
                    index=_name(index), part=shard.about.part, token=shard.about.first + token,
                    n_tokens=n, offset=offset,
                )
                for token, offset, n in rows
            ]  # fmt: skip
        return Found(query=query.shown, count=count, positions=positions)

    def documents(self, query: Query, limit: int = LIMIT, context: int = CONTEXT) -> Documents:
        """The documents in which it occurs."""
        count = n_documents = 0
        shown: list[Shown] = []
        for index, shard in self.shards:
            places = self.places_in(shard, query)
            owners = shard.documents_at(places.tokens)
            distinct, first, times = np.unique(owners, return_index=True, return_counts=True)
            count += len(owners)
            n_documents += len(distinct)
            rows = zip(first.tolist(), times.tolist(), strict=True)
            for i, n in list(rows)[: max(limit - len(shown), 0)]:
                one = (int(places.tokens[i]), int(places.n_tokens[i]), int(places.offsets[i]))
                shown.append(self.show(index, shard, one, n, query, context))
        return Documents(query=query.shown, count=count, documents=n_documents, shown=shown)

    def show(
        self,
        index: Index,
        shard: Shard,
        place: tuple[int, int, int],
        n_times: int,
        query: Query,
        context: int,
    ) -> Shown:
        """The document of an occurrence, (token, tokens, bytes into the first), with the text
        around it."""
        token, n_tokens, offset = place
        document = document_at(shard, token)
        first = shard.about.first
        low = max(token - context, document.start - first)
        high = min(token + n_tokens + context, document.end - first)
        before, match, after = self._texts(shard, low, token, token + n_tokens, high)
        if query.phrase is not None:
            size = len(query.phrase.pattern.data)
            whole = match
            match = whole[offset : offset + size] if query.phrase.pattern.is_exact else (
                whole[offset : offset + self._size_at(whole[offset:], query.phrase.pattern)]
            )  # fmt: skip
            before, after = before + whole[:offset], whole[offset + len(match) :] + after
        return Shown(
            index=_name(index), part=shard.about.part, id=document.id, source=document.source,
            src=document.src, line=document.line, start=document.start, end=document.end,
            occurrences=n_times, token=first + token, before=before.decode("utf-8", "replace"),
            match=match.decode("utf-8", "replace"), after=after.decode("utf-8", "replace"),
        )  # fmt: skip

    def _size_at(self, data: bytes, pattern: Pattern) -> int:
        """How many bytes of data, from its begin on, a pattern with alternatives takes."""
        states = frozenset(((0, b""),))
        for n, byte in enumerate(data, start=1):
            states = frozenset(new for state in states for new in pattern.after(state, byte))
            if any(map(pattern.is_complete, states)):
                return n
        return len(data)

    def _texts(self, shard: Shard, *bounds: int) -> tuple[bytes, bytes, bytes]:
        """The bytes of tokens between bounds; an EOS where a document ends is silent."""
        ids = shard.tokens[bounds[0] : bounds[-1]]
        silent = np.zeros(len(ids), np.bool_)
        if shard.eos is not None and len(ids):
            at_end = np.isin(np.arange(bounds[0] + 1, bounds[-1] + 1), shard.ends)
            silent = (ids == shard.eos) & at_end
        data, offsets = self.vocabulary.decode(ids, silent)
        cuts = [int(offsets[bound - bounds[0]]) for bound in bounds]
        return data[cuts[0] : cuts[1]], data[cuts[1] : cuts[2]], data[cuts[2] : cuts[3]]

    def next(
        self, ids: Sequence[int], limit: int = LIMIT, token: int | None = None, shown: str = ""
    ) -> Following:
        """What follows some ids, none of them dropped."""
        query = self.ids(ids)
        return self._following(query, len(ids), limit, token, shown or query.shown)

    def infgram(
        self, ids: Sequence[int], limit: int = LIMIT, token: int | None = None, shown: str = ""
    ) -> Following:
        """What follows the longest end of the ids that occurs at all."""
        query = self.ids(ids)
        used = self.longest_end(query.ids)
        return self._following(query, used, limit, token, shown or query.shown)

    def longest_end(self, ids: NDArray[np.int64] | None) -> int:
        """How many of the ids, from the last backwards, occur together."""
        assert ids is not None
        known, wrong = 0, len(ids) + 1  # a longer end occurs only where a shorter one does
        step = 1
        while known + 1 < wrong:
            n = min(known + step, wrong - 1) if wrong == len(ids) + 1 else (known + wrong) // 2
            if any(low < high for low, high in self._ranges(ids[len(ids) - n :])):
                known, step = n, step * 2
            else:
                wrong = n
        return known

    def _ranges(self, ids: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        for _, shard in self.shards:
            yield shard.find(ids) if len(ids) else (0, len(shard.suffixes))

    def _following(
        self, query: Query, used: int, limit: int, token: int | None, shown: str
    ) -> Following:
        assert query.ids is not None
        ids = query.ids[len(query.ids) - used :]
        tallies: dict[int, int] = {}
        count = 0
        for (_, shard), (low, high) in zip(self.shards, self._ranges(ids), strict=True):
            count += high - low
            for one, n in continuations(shard, low, high, used):
                tallies[one] = tallies.get(one, 0) + n
        n_next = sum(tallies.values())
        best = sorted(tallies.items(), key=lambda item: (-item[1], item[0]))[:limit]
        has_text = self._has_text()
        return Following(
            query=shown,
            asked=len(query.ids),
            used=used,
            text=self._decoded(ids.tolist()) if has_text else None,
            count=count,
            distinct=len(tallies),
            next=[
                Next(id=one, text=self._decoded([one]) if has_text else None, count=n,
                     share=n / n_next)
                for one, n in best
            ],
            probability=None if token is None or not n_next else tallies.get(token, 0) / n_next,
        )  # fmt: skip

    def _has_text(self) -> bool:
        """Whether ids can be shown as text: what was asked by ids is answered without, too."""
        if self._named is None:
            try:
                return self.tokenizer is not None
            except ConfigError:
                return False
        return True

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))


def open_searcher(paths: Sequence[str], tokenizer: str | None = None) -> Searcher:
    """The indexes at some places: folders of tokens, or of indexes."""
    return Searcher([open_index(path) for path in paths], tokenizer)


def continuations(shard: Shard, low: int, high: int, depth: int) -> list[tuple[int, int]]:
    """(id, count) of what follows the `depth` tokens that a range shares, by id."""
    room = min(high - low, 1 << 17)
    while True:
        ids, counts = np.empty(room, np.int64), np.empty(room, np.int64)
        n = kernels.suffix_search.continuations(
            shard.tokens, shard.suffixes, low, high, depth, ids, counts
        )
        if n >= 0:
            return list(zip(ids[:n].tolist(), counts[:n].tolist(), strict=True))
        room = min(high - low, room * 8)


def document_at(shard: Shard, token: int) -> Document:
    """The document that holds a token of a shard."""
    return shard.lookup.at(shard.about.first + token).document


def bytes_of(text: str) -> bytes:
    """The bytes of a text; of what the shell gave that is no UTF-8, those that it gave."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(text)
        except UnicodeEncodeError:
            raise ConfigError("the phrase holds half a surrogate pair, which is no text") from None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(index: Index) -> str:
    return index.tokens.path
