"""Queries against a plain search of every document's bytes, and plain counting of tokens."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import gc
import itertools
import json
import os
import re
import unicodedata
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from dolma_kit.errors import ConfigError, MissingInput
from dolma_kit.order.asking.vocabulary import vocabulary_of
from dolma_kit.searching import conditions
from dolma_kit.searching.patterns import LONGEST, _cases
from dolma_kit.searching.phrases import PhraseSearch
from dolma_kit.searching.queries import MOST_IDS, Position, Query, Searcher, open_searcher
from dolma_kit.tokens.stage import tokenize
from tests.searching.test_index import Doc, build, write_tokens

EOS = "<|endoftext|>"
EOS_ID = 0
HUGE = 10**9

TEXTS = [
    "a" * 40,
    "aaa aaaa aaaaa a aa",
    "",
    "the quick brown fox jumps over the lazy dog, then the fox sleeps all day",
    "the the the the Then The THE",
    "🦊🦊🦊 naïve café 🦊",
    "👩‍👩‍👧‍👦 family, cafe\u0301 e\u0301e\u0301e\u0301",
    "日本語の文章。日本語。日日日本本",
    "line\r\nline\r\n\r\nline\n\r",
    "nul\0\0byte\0",
    f"one {EOS} two {EOS}{EOS}",
    EOS,
    "\n",
    "ΣΊΣΥΦΟΣ σίσυφος Σίσυφος ςΣσ",
    "straße STRASSE STRAẞE",
    "Istanbul ISTANBUL ıstanbul İstanbul",
    "Kelvin 5 \u212a, 5 k, 5 K; ſet Set set",
    "Привет, ПРИВЕТ, привет; Ǆ ǅ ǆ",
    "\ufffd is not a byte",
    "x",
]
NO_TEXT = [
    b"\xff\xfe\xf0\x9f",
    b"caf\xc3",
    b"\xa9 begins with the rest of one",
    b"a\x80a\x80a\x80a",
]


def train(path: Path, normalizer: Any = None, texts: Sequence[str] = TEXTS) -> Path:
    """A byte-level BPE whose tokens go across words and cut characters; id 0 is the EOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return path


@functools.cache
def contents_of(tokenizer: str) -> list[bytes]:
    """The bytes of each id."""
    vocabulary = vocabulary_of(Tokenizer.from_file(tokenizer), tokenizer)
    table = vocabulary.table.tobytes()
    return [table[a:b] for a, b in itertools.pairwise(vocabulary.offsets.tolist())]


def cut(data: bytes, contents: Sequence[bytes], draw: np.random.Generator) -> list[int]:
    """Tokens that spell bytes, any that fit, the EOS for its own text among them."""
    ids, at = [], 0
    while at < len(data):
        fits = [i for i, one in enumerate(contents) if one and data.startswith(one, at)]
        ids.append(int(draw.choice(fits)))
        at += len(contents[ids[-1]])
    return ids


@dataclasses.dataclass(frozen=True)
class Corpus:
    """An indexed folder, its documents, and what their bytes are."""

    folder: Path
    parts: list[list[Doc]]
    contents: list[bytes]

    @functools.cached_property
    def documents(self) -> list[Decoded]:
        found = []
        for number, part in enumerate(self.parts):
            start = 0
            for line, one in enumerate(part, start=1):
                text = one.ids[:-1] if one.ids[-1:] == [EOS_ID] else one.ids
                sizes = [len(self.contents[i]) for i in text]
                offsets = [0, *itertools.accumulate(sizes)]
                data = b"".join(self.contents[i] for i in text)
                found.append(
                    Decoded(f"part-{number:05d}.npy", start, line, one, data, offsets)
                )  # fmt: skip
                start += len(one.ids)
        return found

    def find(self, expression: bytes) -> list[tuple[Decoded, int, int]]:
        """(document, first byte, last byte) of all that an expression of bytes matches, overlaps
        and all."""
        wanted = re.compile(b"(?=(" + expression + b"))", re.DOTALL)
        return [
            (document, *found.span(1))
            for document in self.documents
            for found in wanted.finditer(document.data)
        ]

    def positions(self, expression: bytes) -> list[Position]:
        return [self.position(*one) for one in self.find(expression)]

    def position(self, document: Decoded, first: int, last: int) -> Position:
        token = bisect.bisect_right(document.offsets, first) - 1
        end = bisect.bisect_left(document.offsets, last)
        return Position(
            index=str(self.folder), part=document.part, token=document.start + token,
            n_tokens=end - token, offset=first - document.offsets[token],
        )  # fmt: skip


class Decoded(NamedTuple):
    """A document in its part; `offsets` are where its tokens begin in `data`, the end as well."""

    part: str
    start: int
    line: int
    doc: Doc
    data: bytes
    offsets: list[int]


def make(
    folder: Path, tokenizer: Path, kind: str, n_parts: int, *, seed: int = 7, **keys: Any
) -> Corpus:
    """The texts in parts, each cut into tokens by the tokenizer and at random.

    `whole`: every document ends with an EOS and holds no other. Else some hold the EOS, and some
    have bytes that are no text; and unless `ended`, some end with no EOS, or have no tokens.
    """
    draw = np.random.default_rng(seed)
    contents = contents_of(str(tokenizer))
    encode = Tokenizer.from_file(str(tokenizer)).encode
    plain = [b"" if i == EOS_ID else one for i, one in enumerate(contents)]
    datas = [text.encode() for text in TEXTS] + ([] if kind == "whole" else NO_TEXT)
    spelt = [cut(data, plain, draw) for data in datas]
    if kind == "whole":
        spelt += [encode(text).ids for text in TEXTS if EOS not in text]
        documents = [[*ids, EOS_ID] for ids in spelt]
    else:
        spelt += [cut(data, contents, draw) for data in datas]
        spelt += [encode(text).ids for text in TEXTS]
        ends: list[list[int]] = [[EOS_ID], [EOS_ID, EOS_ID], []][: 2 if kind == "ended" else 3]
        documents = [ids + ends[int(draw.integers(0, len(ends)))] for ids in spelt]
    order = draw.permutation(len(documents)).tolist()
    parts = [
        [Doc(f"{k}-{n}", documents[i], "ab"[i % 2]) for k, i in enumerate(order[n::n_parts])]
        for n in range(n_parts)
    ]
    write_tokens(folder, parts, tokenizer=tokenizer, eos=EOS_ID, dtype=keys.pop("dtype", "uint16"))
    build(folder, **keys)
    return Corpus(folder, parts, contents)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("tokenizer") / "tiny.json")


@pytest.fixture(scope="module")
def whole(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(tmp_path_factory.mktemp("whole"), tokenizer, "whole", 2, shard_tokens=90)


@pytest.fixture(scope="module")
def odd(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(
        tmp_path_factory.mktemp("odd"), tokenizer, "odd", 3, shard_tokens=200, dtype="uint32"
    )


@pytest.fixture(scope="module")
def ended(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(tmp_path_factory.mktemp("ended"), tokenizer, "ended", 1, shard_tokens=400)


@pytest.fixture(scope="module", params=["whole", "ended", "odd"])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    found: Corpus = request.getfixturevalue(request.param)
    return found


@functools.cache
def searcher_of(*folders: Path) -> Searcher:
    return open_searcher([str(folder) for folder in folders])


def as_argument(data: bytes) -> str:
    """As Python's argv has bytes."""
    return data.decode("utf-8", "surrogateescape")


def needles(data: st.DataObject, corpus: Corpus) -> bytes:
    """A part of a document, also one that cuts characters or goes beyond; or any bytes."""
    document = data.draw(st.sampled_from(corpus.documents)).data
    first = data.draw(st.integers(0, max(len(document) - 1, 0)))
    size = data.draw(st.sampled_from([1, 1, 2, 3, 4, 5, 7, 9, 15, 40]))
    piece = document[first : first + size]
    more = data.draw(st.sampled_from([b"", b"", b"", b"a", EOS.encode(), b"\x80", b"\0"]))
    return data.draw(st.sampled_from([piece, piece, piece + more, more + piece])) or data.draw(
        st.binary(min_size=1, max_size=3)
    )


def check(searcher: Searcher, corpora: Sequence[Corpus], query: Query, expression: bytes) -> None:
    expected = [one for corpus in corpora for one in corpus.positions(expression)]
    assert searcher.count(query) == len(expected)
    found = searcher.find(query, HUGE)
    assert (found.count, found.positions) == (len(expected), expected)


def test_the_corpora_are_what_they_say(whole: Corpus, ended: Corpus, odd: Corpus) -> None:
    for corpus, is_whole, is_ended in (
        (whole, True, True), (ended, False, True), (odd, False, False),
    ):  # fmt: skip
        (index,) = searcher_of(corpus.folder).indexes
        assert len(index.shards) > 2
        assert {shard.about.whole for shard in index.shards} == {is_whole}
        assert {shard.about.ended for shard in index.shards} == {is_ended}
        decode = Tokenizer.from_file(str(corpus.folder / "tiny.json")).decode
        for one in corpus.documents:
            ids = one.doc.ids[: len(one.offsets) - 1]
            assert decode(ids, skip_special_tokens=False) == one.data.decode("utf-8", "replace")
    assert {one.data.decode("utf-8", "replace") for one in whole.documents} >= set(TEXTS)
    for corpus in (ended, odd):
        assert any(EOS_ID in one.doc.ids[:-1] for one in corpus.documents)
    assert any(one.doc.ids[-1:] != [EOS_ID] for one in odd.documents)
    assert any(not one.doc.ids for one in odd.documents)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_texts_are_found_as_bytes(corpus: Corpus, data: st.DataObject) -> None:
    needle = needles(data, corpus)
    searcher = searcher_of(corpus.folder)
    check(searcher, [corpus], searcher.text(as_argument(needle)), re.escape(needle))


@pytest.mark.parametrize(
    "text",
    [*(t for t in TEXTS if t), "aa", "a" * 39, "a" * 41, "🦊🦊", "\r\n", "\n\r", "\0", "e\u0301",
     f"{EOS}{EOS}", "|endof", "> two", "not there", "日本", "\u0301"],
)  # fmt: skip
def test_texts_across_both_folders(whole: Corpus, odd: Corpus, text: str) -> None:
    searcher = searcher_of(whole.folder, odd.folder)
    check(searcher, [whole, odd], searcher.text(text), re.escape(text.encode()))
    same = searcher_of(odd.folder, whole.folder)
    check(same, [odd, whole], same.text(text), re.escape(text.encode()))


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_ids_lie_within_a_document_its_eos_included(corpus: Corpus, data: st.DataObject) -> None:
    """What is asked for is taken from the stream, where documents touch as well."""
    part = data.draw(st.sampled_from(corpus.parts))
    stream = [i for one in part for i in one.ids]
    first = data.draw(st.integers(0, len(stream) - 1))
    ids = stream[first : first + data.draw(st.integers(1, 6))]
    ids = data.draw(st.sampled_from([ids, ids, [*ids, EOS_ID], [EOS_ID, *ids], [*ids, 419]]))
    expected = []
    for one in corpus.documents:
        for i in range(len(one.doc.ids) - len(ids) + 1):
            if one.doc.ids[i : i + len(ids)] == ids:
                expected.append((one.part, one.start + i))
    searcher = searcher_of(corpus.folder)
    query = searcher.ids(ids)
    found = searcher.find(query, HUGE)
    assert [(p.part, p.token) for p in found.positions] == expected
    assert {(p.n_tokens, p.offset) for p in found.positions} <= {(len(ids), 0)}
    assert searcher.count(query) == found.count == len(expected)


# Letters in any case

CASES: list[tuple[str, set[str]]] = [
    ("a", {"a", "A"}),
    ("A", {"a", "A"}),
    ("1", {"1"}),
    ("п", {"п", "П"}),
    ("П", {"п", "П"}),
    ("é", {"é", "É"}),
    ("σ", {"ς", "σ", "Σ"}),
    ("Σ", {"ς", "σ", "Σ"}),
    ("ς", {"ς", "σ", "Σ"}),
    ("ß", {"ß", "ẞ"}),  # SS and ss are two characters
    ("ẞ", {"ß", "ẞ"}),
    ("k", {"k", "K", "\u212a"}),
    ("\u212a", {"k", "K", "\u212a"}),
    ("s", {"s", "S", "ſ"}),
    ("ſ", {"s", "S", "ſ"}),
    ("i", {"i", "I", "ı"}),
    ("ı", {"i", "I", "ı"}),
    ("İ", {"İ"}),  # lower case is i and a dot above
    ("ǆ", {"ǆ", "ǅ", "Ǆ"}),
    ("Ǆ", {"ǆ", "ǅ", "Ǆ"}),
    ("日", {"日"}),
    ("🦊", {"🦊"}),
    ("\u0301", {"\u0301"}),
]


@pytest.mark.parametrize(("character", "cases"), CASES, ids=[c for c, _ in CASES])
def test_cases_of_a_character(character: str, cases: set[str]) -> None:
    """What is promised: the characters that Python's upper, lower, title and folded case lead to
    from one another, where they are one."""
    assert {one.decode() for one in _cases(character)} == cases
    for other in cases:  # whichever of them is asked for
        assert _cases(other) == _cases(character)


def in_any_case(text: str) -> bytes:
    """An expression of the alternatives."""
    return b"".join(
        b"(?:" + b"|".join(map(re.escape, _cases(character))) + b")" for character in text
    )


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_texts_in_any_case(corpus: Corpus, data: st.DataObject) -> None:
    text = as_argument(needles(data, corpus))
    change: Callable[[str], str] = data.draw(
        st.sampled_from([str, str.upper, str.lower, str.swapcase, str.title])
    )
    text = change(text)
    searcher = searcher_of(corpus.folder)
    query = searcher.text(text, ignore_case=True)
    check(searcher, [corpus], query, in_any_case(text))
    assert searcher.count(query) >= searcher.count(searcher.text(text))


@pytest.mark.parametrize(
    ("text", "n"),
    [("THE FOX", 1), ("привет", 3), ("ΣΊΣΥΦΟ", 3), ("σίσυφοσ", 3), ("σίσυφος", 3), ("STRASSE", 1),
     ("straẞe", 2), ("straße", 2), ("ISTANBUL", 3), ("ıSTANBUL", 3), ("5 \u212a", 3), ("5 k", 3),
     ("ſET", 3), ("set", 3), ("ǆ ǆ ǆ", 1), ("日本語", 2)],
)  # fmt: skip
def test_fixed_examples_of_any_case(tokenizer: Path, tmp_path: Path, text: str, n: int) -> None:
    contents = contents_of(str(tokenizer))
    draw = np.random.default_rng(3)
    plain = [b"" if i == EOS_ID else one for i, one in enumerate(contents)]
    documents = [
        Doc(str(i), [*cut(text.encode(), plain, draw), EOS_ID]) for i, text in enumerate(TEXTS)
    ]
    build(write_tokens(tmp_path / "t", [documents], tokenizer=tokenizer, eos=EOS_ID))
    searcher = open_searcher([str(tmp_path / "t")])
    assert searcher.count(searcher.text(text, ignore_case=True)) == n


# Documents


@settings(deadline=None, max_examples=80)
@given(data=st.data(), context=st.sampled_from([0, 1, 2, 5, 10**6]), any_case=st.booleans())
def test_documents_with_what_is_around(
    corpus: Corpus, data: st.DataObject, context: int, any_case: bool
) -> None:
    text = as_argument(needles(data, corpus))
    expression = in_any_case(text) if any_case else re.escape(os.fsencode(text))
    by_document: dict[tuple[str, int], list[tuple[Decoded, int, int]]] = {}
    for found in corpus.find(expression):
        by_document.setdefault((found[0].part, found[0].line), []).append(found)
    searcher = searcher_of(corpus.folder)
    query = searcher.text(text, ignore_case=any_case)
    answer = searcher.documents(query, HUGE, context)
    assert answer.count == searcher.count(query)
    assert answer.documents == len(answer.shown) == len(by_document)
    for shown, places in zip(answer.shown, by_document.values(), strict=True):
        one, first, last = places[0]
        end = one.start + len(one.doc.ids)
        assert (shown.part, shown.id, shown.source) == (one.part, one.doc.id, one.doc.source)
        assert (shown.src, shown.line) == (f"{one.doc.source}.jsonl.gz", one.line)
        assert (shown.start, shown.end, shown.occurrences) == (one.start, end, len(places))
        position = corpus.position(one, first, last)
        assert shown.token == position.token
        token = position.token - one.start
        low = one.offsets[max(token - context, 0)]
        high = one.offsets[min(token + position.n_tokens + context, len(one.offsets) - 1)]
        pieces = (one.data[low:first], one.data[first:last], one.data[last:high])
        around = tuple(piece.decode("utf-8", "replace") for piece in pieces)
        assert (shown.before, shown.match, shown.after) == around
        if "\ufffd" not in "".join(around):
            assert "".join(around) in one.data.decode("utf-8", "replace")
        if context == 10**6:
            assert low == 0
            assert high == len(one.data)


def test_documents_by_ids(corpus: Corpus) -> None:
    """The EOS that ends a document is no text, one within it is."""
    searcher = searcher_of(corpus.folder)
    answer = searcher.documents(searcher.ids([EOS_ID]), HUGE, 3)
    expected = [(one.doc.id, one.doc.ids.count(EOS_ID)) for one in corpus.documents]
    assert [(one.id, one.occurrences) for one in answer.shown] == [e for e in expected if e[1]]
    by_id = {one.doc.id: one for one in corpus.documents}
    for shown in answer.shown:
        first = by_id[shown.id].doc.ids.index(EOS_ID)
        at_end = first == len(by_id[shown.id].doc.ids) - 1
        assert shown.match == ("" if at_end else EOS)


def test_how_many_are_shown(whole: Corpus, odd: Corpus) -> None:
    searcher = searcher_of(whole.folder, odd.folder)
    query = searcher.text("a")
    every = searcher.find(query, HUGE)
    documents = searcher.documents(query, HUGE)
    followed = searcher.next([EOS_ID], HUGE)
    assert every.count == len(every.positions) > 100
    for limit in (0, 1, 2, 30, every.count - 1, every.count, every.count + 1):
        assert searcher.find(query, limit) == shortened(every, limit)
        cut_short = searcher.documents(query, limit)
        assert (cut_short.count, cut_short.documents) == (every.count, documents.documents)
        assert cut_short.shown == documents.shown[:limit]
        few = searcher.next([EOS_ID], limit)
        assert (few.count, few.distinct, few.next) == (
            followed.count, followed.distinct, followed.next[:limit],
        )  # fmt: skip


def shortened(found: Any, limit: int) -> Any:
    return type(found)(query=found.query, count=found.count, positions=found.positions[:limit])


# What comes next


def following(streams: Sequence[Sequence[int]], ids: Sequence[int]) -> tuple[int, Counter[int]]:
    """How often ids stand in the streams, and what is next there."""
    n, count, after = len(ids), 0, Counter[int]()
    for stream in streams:
        for i in range(len(stream) - n + 1):
            if list(stream[i : i + n]) == list(ids):
                count += n > 0 or i < len(stream)
                after.update(stream[i + n : i + n + 1])
    return count, after


def streams_of(searcher: Searcher) -> list[list[int]]:
    return [shard.tokens.tolist() for _, shard in searcher.shards]


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_what_follows_is_counted(whole: Corpus, odd: Corpus, data: st.DataObject) -> None:
    """In the stream of a shard, in which the EOS stands like any token."""
    searcher = searcher_of(whole.folder, odd.folder)
    streams = streams_of(searcher)
    stream = data.draw(st.sampled_from(streams))
    first = data.draw(st.integers(0, len(stream) - 1))
    ids = stream[first : first + data.draw(st.integers(1, 5))]
    noise = data.draw(st.lists(st.integers(0, 500), max_size=4))
    ids = data.draw(st.sampled_from([ids, noise + ids, ids + noise])) or [EOS_ID]
    asked = data.draw(st.sampled_from([None, EOS_ID, ids[0], 419, 10**9]))
    for used in (len(ids), longest_end(streams, ids)):
        count, after = following(streams, ids[len(ids) - used :])
        answer = (
            searcher.next(ids, HUGE, asked)
            if used == len(ids)
            else searcher.infgram(ids, HUGE, asked)
        )
        assert (answer.asked, answer.used, answer.count) == (len(ids), used, count)
        assert answer.distinct == len(after)
        assert [(one.id, one.count) for one in answer.next] == sorted(
            after.items(), key=lambda item: (-item[1], item[0])
        )
        total = after.total()
        assert [one.share for one in answer.next] == [one.count / total for one in answer.next]
        assert answer.probability == (None if asked is None or not total else after[asked] / total)
    infinite = searcher.infgram(ids, HUGE, asked)
    assert infinite.used == longest_end(streams, ids)
    if infinite.used == len(ids):
        assert infinite == searcher.next(ids, HUGE, asked)


def longest_end(streams: Sequence[Sequence[int]], ids: Sequence[int]) -> int:
    return max(
        n for n in range(len(ids) + 1) if not n or following(streams, ids[len(ids) - n :])[0]
    )


def test_a_long_prompt_of_which_the_end_occurs(whole: Corpus) -> None:
    searcher = searcher_of(whole.folder)
    (stream, *_) = streams_of(searcher)
    for n in (1, 2, 3, 7, 8, 9, 63, 64, 65):
        prompt = [*range(100, 300), 10**6, *stream[3 : 3 + n]]
        assert searcher.infgram(prompt).used == n
    nothing = searcher.infgram([10**6] * 70, HUGE, stream[0])
    assert (nothing.used, nothing.text) == (0, "")
    assert nothing.count == sum(map(len, streams_of(searcher)))
    counts = Counter(i for stream in streams_of(searcher) for i in stream)
    assert {one.id: one.count for one in nothing.next} == counts
    assert nothing.probability == counts[stream[0]] / counts.total()


def test_the_text_of_what_follows(whole: Corpus) -> None:
    searcher = searcher_of(whole.folder)
    ids = searcher.encoded("the quick")
    answer = searcher.next(ids, shown="the quick")
    assert (answer.query, answer.text) == ("the quick", "the quick")
    decode = searcher.tokenizer.decode
    for one in searcher.next([EOS_ID], HUGE).next:
        assert one.text == decode([one.id], skip_special_tokens=False)
    assert searcher.encoded(f"x{EOS}")[-1] == EOS_ID


# Several clauses


def meeting(
    searcher: Searcher, corpora: Sequence[Corpus], clauses: Sequence[Sequence[str]], within: int
) -> tuple[list[int], int, list[tuple[str, str]]]:
    """Occurrences of each clause, of the anchors that fit, and (part, id) of their documents."""
    documents = {
        (str(corpus.folder), one.part, one.line): (corpus, one)
        for corpus in corpora
        for one in corpus.documents
    }
    totals, count = [0] * len(clauses), 0
    held: list[tuple[str, str]] = []
    found_in = []
    for index, shard in searcher.shards:
        rows = range(shard.about.row + 1, shard.about.row + 1 + shard.about.documents)
        mine = [documents[index.tokens.path, shard.about.part, row] for row in rows]
        # (row, token, offset) of each clause's occurrences
        places: list[list[tuple[int, int, int]]] = []
        for clause in clauses:
            found = set()
            for row, (_, one) in enumerate(mine):
                for phrase in clause:
                    for match in re.finditer(b"(?=" + re.escape(phrase.encode()) + b")", one.data):
                        token = bisect.bisect_right(one.offsets, match.start()) - 1
                        found.add((row, token, match.start() - one.offsets[token]))
            places.append(sorted(found))
        totals = [a + len(b) for a, b in zip(totals, places, strict=True)]
        found_in.append((mine, places))
    anchor = min(range(len(clauses)), key=lambda i: (totals[i], i))
    for mine, places in found_in:
        fits = [
            row
            for row, token, _ in places[anchor]
            if all(
                any(other == row and abs(at - token) <= within for other, at, _ in others)
                for others in places
            )
        ]
        count += len(fits)
        held += [(mine[row][1].part, mine[row][1].doc.id) for row in dict.fromkeys(fits)]
    return totals, count, held


PHRASES = [
    "a",
    "the",
    "the ",
    " ",
    "fox",
    "o",
    "e",
    "aa",
    "日",
    "🦊",
    "Σ",
    EOS,
    "\r\n",
    "no such",
    "x",
]


@settings(deadline=None, max_examples=30)
@given(
    clauses=st.lists(
        st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3), min_size=1, max_size=3
    ),
    within=st.sampled_from([0, 1, 3, 10, 100]),
)
def test_clauses_near_each_other(
    whole: Corpus, odd: Corpus, clauses: list[list[str]], within: int
) -> None:
    searcher = searcher_of(whole.folder, odd.folder)
    queries = [[searcher.text(phrase) for phrase in clause] for clause in clauses]
    answer = conditions.meet(searcher, queries, within=within, limit=HUGE)
    totals, count, held = meeting(searcher, [whole, odd], clauses, within)
    assert (answer.query, answer.within, answer.sampled) == (clauses, within, False)
    assert (answer.occurrences, answer.count) == (totals, count)
    assert [(one.part, one.id) for one in answer.shown] == held
    assert answer.documents == len(held)
    assert sum(one.occurrences for one in answer.shown) == count
    for one in answer.shown:
        assert one.match in {phrase for clause in clauses for phrase in clause}
    few = conditions.meet(searcher, queries, within=within, limit=2)
    assert (few.count, few.documents, few.shown) == (count, len(held), answer.shown[:2])


def test_a_sample_of_a_clause(whole: Corpus) -> None:
    searcher = searcher_of(whole.folder)
    queries = [[searcher.text("a"), searcher.text("e")], [searcher.text(" ")]]
    full = conditions.meet(searcher, queries, within=5, limit=HUGE)
    most = max(
        len(conditions._of_clause(searcher, shard, clause).tokens)
        for _, shard in searcher.shards
        for clause in queries
    )
    for n in (1, 3, most - 1, most, most + 1):
        answer = conditions.meet(searcher, queries, within=5, limit=HUGE, max_occurrences=n)
        assert answer.sampled == (n < most)
        assert answer.occurrences == full.occurrences
        assert answer.count <= full.count
        assert {one.id for one in answer.shown} <= {one.id for one in full.shown}
        assert answer == conditions.meet(searcher, queries, within=5, limit=HUGE, max_occurrences=n)
        if not answer.sampled:
            assert answer == full


def test_clauses_that_are_none(whole: Corpus) -> None:
    searcher = searcher_of(whole.folder)
    for clauses in ([], [[]], [[searcher.text("a")], []]):
        with pytest.raises(ConfigError, match="no clause"):
            conditions.meet(searcher, clauses)
    for text in ("", " OR ", "a OR ", " OR a", "a OR  OR b"):
        with pytest.raises(ConfigError, match="has an empty phrase"):
            conditions.clause_of(text)
    assert conditions.clause_of("a ORb OR c or d") == ["a ORb", "c or d"]


# Several indexes, and what is refused


def test_each_index_has_its_own_eos(tokenizer: Path, whole: Corpus, tmp_path: Path) -> None:
    """A folder of which nobody knows the EOS made all others forget theirs, where it came first."""
    unknown = write_tokens(
        tmp_path / "unknown", whole.parts, dtype="uint16", form="csv", record=False
    )
    build(unknown, dtype="uint16")
    other_ids = [[Doc(d.id, [*d.ids[:-1], 300]) for d in part] for part in whole.parts]
    other = write_tokens(tmp_path / "other", other_ids, tokenizer=tokenizer, eos=300)
    build(other)
    folders = [str(whole.folder), str(unknown), str(other)]
    alone = [open_searcher([folder], str(tokenizer)) for folder in folders]
    across = [*whole.documents[0].doc.ids[-3:], *whole.documents[1].doc.ids[:2]]
    texts = ["a", "<", EOS, "|>", "the", whole.contents[300].decode("utf-8", "replace"), "x"]
    for order in itertools.permutations(range(3)):
        together = open_searcher([folders[i] for i in order], str(tokenizer))
        for text in texts:
            counts = [alone[i].count(alone[i].text(text)) for i in order]
            assert together.count(together.text(text)) == sum(counts)
        for ids in ([EOS_ID], [300], across, [EOS_ID, across[-1]], [300, 300]):
            counts = [alone[i].count(alone[i].ids(ids)) for i in order]
            assert together.count(together.ids(ids)) == sum(counts)
            shown = together.documents(together.ids(ids), HUGE).shown
            expected = [one for i in order for one in alone[i].documents(
                alone[i].ids(ids), HUGE).shown]  # fmt: skip
            assert shown == expected
    assert alone[0].count(alone[0].ids(across)) == 0
    assert alone[0].count(alone[0].text(EOS)) == 4  # those within texts


def test_different_tokenizers(whole: Corpus, tmp_path: Path) -> None:
    other = train(tmp_path / "other.json", texts=["something else", "else"])
    folder = write_tokens(tmp_path / "t", whole.parts, tokenizer=other, eos=EOS_ID)
    build(folder)
    searcher = open_searcher([str(whole.folder), str(folder)])
    for ask in (lambda: searcher.text("a"), lambda: searcher.encoded("a")):
        with pytest.raises(
            ConfigError, match="of different tokenizers: search them one by one, or"
        ):
            ask()
    # By ids all is answered but the text.
    assert searcher.count(searcher.ids([EOS_ID])) == 2 * sum(map(len, whole.parts))
    answer = searcher.next([EOS_ID])
    assert answer.count == 2 * searcher_of(whole.folder).next([EOS_ID]).count
    assert {answer.text, *(one.text for one in answer.next)} == {None}
    assert searcher.infgram([EOS_ID]) == answer


@pytest.mark.parametrize("record", [True, False])
def test_no_tokenizer(whole: Corpus, tmp_path: Path, tokenizer: Path, record: bool) -> None:
    folder = write_tokens(tmp_path / "t", whole.parts, eos=EOS_ID, record=record)
    build(folder, dtype="uint16", shard_tokens=90)
    searcher = open_searcher([str(folder)])
    known = searcher_of(whole.folder)
    with pytest.raises(MissingInput, match="search by --ids, or name it with --tokenizer"):
        searcher.text("a")
    assert searcher.count(searcher.ids([EOS_ID])) == known.count(known.ids([EOS_ID]))
    answer = searcher.infgram([EOS_ID], HUGE, 5)
    assert answer.text is None
    expected = known.infgram([EOS_ID], HUGE, 5)
    assert (answer.count, answer.distinct) == (expected.count, expected.distinct)
    assert [(one.id, one.count, one.share) for one in answer.next] == [
        (one.id, one.count, one.share) for one in expected.next
    ]
    named = open_searcher([str(folder)], str(tokenizer))
    if record:
        assert named.count(named.text("the")) == known.count(known.text("the"))
    assert named.next([EOS_ID]).next[0].text is not None


def test_the_normalizer_reads_the_query_too(tmp_path: Path) -> None:
    nfc = train(tmp_path / "nfc.json", normalizers.NFC())
    encode = Tokenizer.from_file(str(nfc)).encode
    documents = [Doc(str(i), [*encode(text).ids, EOS_ID]) for i, text in enumerate(TEXTS)]
    build(write_tokens(tmp_path / "t", [documents], tokenizer=nfc, eos=EOS_ID))
    searcher = open_searcher([str(tmp_path / "t")])
    for text, n in (("cafe\u0301", 2), ("caf\u00e9", 2), ("CAFE\u0301", 0), ("\u212a", 3)):
        assert searcher.count(searcher.text(text)) == n
    assert searcher.count(searcher.text("CAFE\u0301", ignore_case=True)) == 2
    # Bytes that are no text are taken as they stand.
    assert searcher.count(searcher.text("caf\udcc3")) == 2


def test_what_cannot_be_asked(whole: Corpus) -> None:
    searcher = searcher_of(whole.folder)
    refused: list[tuple[Callable[[], Any], str]] = [
        (lambda: searcher.text(""), "an empty phrase is everywhere"),
        (lambda: searcher.text("a" * (LONGEST + 1)), "a phrase of 65,537 bytes: at most 65,536"),
        (lambda: searcher.text("\ud800"), "half a surrogate pair"),
        (lambda: searcher.text("é\udcff\ud800"), "half a surrogate pair"),
        (lambda: searcher.ids([]), "no ids"),
        (lambda: searcher.ids([-1]), "-1 is no token id"),
        (lambda: searcher.ids([1 << 32]), "4294967296 is no token id"),
        (lambda: searcher.ids([1] * (MOST_IDS + 1)), "at most 1,048,576"),
        (lambda: searcher.next([]), "no ids"),
        (lambda: searcher.infgram([]), "no ids"),
        (lambda: searcher.encoded(""), "an empty text has no tokens"),
        (lambda: searcher.encoded("a" * (MOST_IDS + 1)), "bytes: at most 1,048,576"),
        (lambda: searcher.encoded("\udcff"), "no valid UTF-8: give --ids"),
        (lambda: Searcher([]), "no index: name a folder of tokens that has one with --index"),
    ]
    for ask, message in refused:
        with pytest.raises(ConfigError, match=message):
            ask()


def test_the_longest_queries(whole: Corpus) -> None:
    searcher = searcher_of(whole.folder)
    assert searcher.count(searcher.text("a" * LONGEST)) == 0
    assert searcher.count(searcher.text("é" * (LONGEST // 2), ignore_case=True)) == 0
    assert searcher.count(searcher.ids([5] * MOST_IDS)) == 0
    assert searcher.infgram([5] * MOST_IDS).used <= 1


def test_a_text_of_many_tokens_is_found(tokenizer: Path, tmp_path: Path) -> None:
    """As many steps as it has tokens, and not as deep a recursion."""
    contents = contents_of(str(tokenizer))
    data = b"ab" * 800 + b"c" + b"a" * 1999
    single = [i for i in range(len(contents)) if contents[i] in (b"a", b"b", b"c")]
    ids = {contents[i]: i for i in single}
    document = Doc("a", [*(ids[bytes((byte,))] for byte in data), EOS_ID])
    build(write_tokens(tmp_path / "t", [[document]], tokenizer=tokenizer, eos=EOS_ID))
    searcher = open_searcher([str(tmp_path / "t")])
    assert searcher.count(searcher.text(data.decode())) == 1
    assert searcher.count(searcher.text(data.decode().upper(), ignore_case=True)) == 1
    assert searcher.count(searcher.text("a" * 1000)) == 1000


def test_nothing_keeps_a_search_that_is_done(whole: Corpus) -> None:
    """Steps were kept by a cache of the class, for as long as the process lived."""
    searcher = searcher_of(whole.folder)
    query = searcher.text("the")
    assert searcher.count(query) > 0
    assert isinstance(query.phrase, PhraseSearch)
    gone = weakref.ref(query.phrase.pattern)
    del query
    gc.collect()
    assert gone() is None


def test_what_is_no_text_can_be_written_down(whole: Corpus, odd: Corpus) -> None:
    """Bytes that are no UTF-8 come as lone surrogates, which JSON has not."""
    searcher = searcher_of(whole.folder, odd.folder)
    query = searcher.text("caf\udcc3")
    assert query.shown == "caf\\xc3"
    assert searcher.find(query).count > 0


# Real texts

SLICE = 1000


class Slice(NamedTuple):
    searcher: Searcher
    texts: list[bytes]
    ids: list[str]


@pytest.fixture(scope="module", params=["dolma2.json", "gpt-neox-olmo-dolma-v1_5.json"])
def real(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Slice:
    """The first documents of web and wiki, each source an index, and their texts as encoded."""
    tokenizer = shared_data / "tokenizers" / request.param
    eos = 100257 if request.param == "dolma2.json" else 50279
    normalize = "NFC" if request.param != "dolma2.json" else None
    out = tmp_path_factory.mktemp("real")
    texts, ids, folders = [], [], []
    for source in ("web", "wiki"):
        folder = out / source
        tokenize(
            documents=[str(shared_data / "corpus" / source)], tokenizer=str(tokenizer),
            eos_token_id=eos, out=str(folder), workers=1, quiet=True, limit=SLICE,
        )  # fmt: skip
        build(folder, shard_tokens=600_000)
        folders.append(str(folder))
        for document in first_documents(shared_data / "corpus" / source, SLICE):
            text = document["text"]
            texts.append((unicodedata.normalize(normalize, text) if normalize else text).encode())
            ids.append(document["id"])
    return Slice(open_searcher(folders), texts, ids)


def first_documents(folder: Path, n: int) -> list[dict[str, Any]]:
    import gzip

    found: list[dict[str, Any]] = []
    for path in sorted((folder / "documents").rglob("*.jsonl.gz")):
        with gzip.open(path) as stream:
            found += map(json.loads, itertools.islice(stream, n - len(found)))
    return found


def places(joined: bytes, needle: bytes) -> Iterator[int]:
    at = joined.find(needle)
    while at >= 0:
        yield at
        at = joined.find(needle, at + 1)


def test_real_texts(real: Slice) -> None:
    web = real.searcher.indexes[0]
    assert len(web.shards) > 1
    assert web.about.dtype == ("uint16" if web.about.eos_token_id == 50279 else "uint32")
    joined = b"\xff".join(real.texts)
    starts = np.cumsum([0, *(len(text) + 1 for text in real.texts)])
    draw = np.random.default_rng(11)
    n_found = 0
    for k in range(100):
        text = real.texts[int(draw.integers(0, len(real.texts)))]
        size = int(draw.choice([2, 4, 7, 10, 20, 40, 100]))
        first = int(draw.integers(0, max(len(text) - size, 1)))
        needle = text[first : first + size]
        at = np.fromiter(places(joined, needle), np.int64)
        found = Counter((np.searchsorted(starts, at, "right") - 1).tolist())
        query = real.searcher.text(as_argument(needle))
        assert real.searcher.count(query) == found.total() > 0, needle
        if k % 8 == 0:
            answer = real.searcher.documents(query, 5)
            assert (answer.count, answer.documents) == (found.total(), len(found))
            assert [(one.id, one.occurrences) for one in answer.shown] == [
                (real.ids[number], n) for number, n in found.items()
            ][:5]
        n_found += found.total()
    assert n_found > 500
