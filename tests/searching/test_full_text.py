"""dolma_kit.searching.text_index and full_text: what is found, in which order, and what is
refused."""

from __future__ import annotations

import doctest
import itertools
import json
import math
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import typer

from dolma_kit.cli.search_text import add_text_commands
from dolma_kit.documents import DocumentReader
from dolma_kit.errors import ConfigError, DataError, DolmaKitError, MissingInput, VerificationError
from dolma_kit.searching import (
    full_text,
    text_queries,
    text_words,
)
from dolma_kit.searching.full_text import Filters, open_index, search
from dolma_kit.searching.snippets import snippet
from dolma_kit.searching.text_index import build
from dolma_kit.searching.text_queries import Pattern, edits
from dolma_kit.searching.text_words import words_in
from tests.conftest import WriteDocuments
from tests.naive import words as naive

LATIN = [
    "The quick brown fox jumps over the lazy dog.",
    "A quick note: don’t panic, the DOG sleeps.",
    "Brown dogs and brown foxes; the fox is not a dog",
    "",
    "!!! ... ???",
    "Foxes don't read RFC 2616, section 4.2 -- nor a_b or x2",
]
OTHERS = [
    "中国的首都是北京，不是上海。",
    "日本の首都は東京です。カタカナ語もあります。",
    "เมืองหลวงของประเทศไทยคือกรุงเทพ",
    "Столица России — Москва. ВЕЛИКИЙ Новгород",
    "العاصمة هي القاهرة",
    "cafe\u0301 und Straße, ΟΔΥΣΣΕΥΣ",
    "emoji 🎉\u202fand \U0001d54f and 𠮷野家",
]
DATES: dict[int, Any] = {0: "2020-05-01", 1: "2021", 2: "2022-12-31", 5: "nonsense"}


def documents() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for i, text in enumerate(LATIN + OTHERS):
        one: dict[str, Any] = {"id": f"d{i}", "text": text}
        if i != 3:
            one["source"] = "latin" if i < len(LATIN) else "others"
        if i in DATES:
            one["created"] = DATES[i]
        made.append(one)
    return made


TEXTS = LATIN + OTHERS


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents in two files, with languages beside the first."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "documents").mkdir()
    for name, part in (("a", documents()[:6]), ("b", documents()[6:])):
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in part]
        (folder / f"documents/{name}.jsonl").write_text("\n".join(lines) if name == "b" else
                                                        "".join(lines))  # fmt: skip
    attributes = folder / "attributes/lang/a.jsonl"
    attributes.parent.mkdir(parents=True)
    rows = []
    for i in range(6):
        n = len(LATIN[i])
        scores = {"en": 0.2 + 0.6 * (i != 2), "fr": 0.5}
        spans = {f"lang__language_v1__{k}": [[0, n, v]] for k, v in scores.items() if n}
        rows.append(json.dumps({"id": f"d{i}", "attributes": spans}) + "\n")
    attributes.write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def index(corpus: Path) -> full_text.TextIndex:
    out = corpus / "index"
    build(documents=[str(corpus)], out=str(out), workers=1, quiet=True)
    return open_index(str(out))


def ids(index: full_text.TextIndex, query: str, **keys: Any) -> list[str]:
    found = search(index, query, limit=100, **keys)
    assert found.total == len(found.hits)
    return [hit.id for hit in found.hits]


def numbers(index: full_text.TextIndex, query: str, **keys: Any) -> list[int]:
    return sorted(int(one[1:]) for one in ids(index, query, **keys))


def plain_words(text: str) -> list[str]:
    """The words by the rules of UAX #29 one by one: what `words_in` has to give."""
    text = unicodedata.normalize("NFC", text).replace("\u202f", " ")
    cuts = [i for i in range(len(text)) if naive.is_boundary(text, i)] + [len(text)]
    parts = [text[a:b] for a, b in itertools.pairwise(cuts)]
    kept = [part.lower().replace("’", "'") for part in parts if any(map(str.isalnum, part))]
    return [one.encode()[: text_words.MAX_WORD_BYTES].decode(errors="ignore") for one in kept]


def holds(words: Sequence[str], phrase: Sequence[str]) -> bool:
    n = len(phrase)
    return any(list(words[i : i + n]) == list(phrase) for i in range(len(words) - n + 1))


@pytest.mark.parametrize(
    "text", [*TEXTS, "é" * 300, "a\u0300\u200dΣ. İ", "‘don’t’ a.b 3,4", "av\u202fpág 1\u202f000"]
)
def test_words_are_those_of_the_plain_rules(text: str) -> None:
    assert words_in(text) == plain_words(text)


@pytest.mark.parametrize("text", TEXTS)
def test_every_word_and_pair_finds_the_documents_that_hold_it(
    index: full_text.TextIndex, text: str
) -> None:
    all_words = [plain_words(one) for one in TEXTS]
    words = plain_words(text)
    for n in (1, 2, 3):
        for at in range(len(words) - n + 1):
            phrase = words[at : at + n]
            expected = [i for i, one in enumerate(all_words) if holds(one, phrase)]
            joined = " ".join(phrase)
            assert numbers(index, joined, phrase=True) == expected
            assert numbers(index, f'"{joined}"') == expected


@pytest.mark.parametrize(
    ("query", "keys", "expected"),
    [
        ("fox dog", {}, [0, 2]),
        ("fox panic", {}, []),
        ("fox panic", {"any_word": True}, [0, 1, 2]),
        ("fox OR panic", {}, [0, 1, 2]),
        ("fox AND NOT lazy", {}, [2]),
        ("+fox -lazy", {"any_word": True}, [2]),
        ("-the", {}, [3, 4, 5, *range(6, 13)]),
        ("NOT (fox OR panic) brown", {}, []),
        ('"quick fox"', {}, []),
        ('"quick fox"~1', {}, [0]),
        ('"fox quick"~1', {}, []),
        ("fox*", {}, [0, 2, 5]),
        ('"brown fo"*', {}, [0, 2]),
        ("fux~", {}, [0, 2]),
        ("fux~0", {}, []),
        ("fxoes~1", {}, [2, 5]),
        ("/fox(es)?/", {}, [0, 2, 5]),
        ("IN [panic lazy]", {}, [0, 1]),
        ("don't", {}, [1, 5]),
        ("don’t", {}, [1, 5]),
        ("DON'T PANIC", {}, [1]),
        ("!!! dog", {}, [0, 1, 2]),
        ("*", {}, list(range(13))),
        ("4.2", {}, [5]),
        ("首都", {}, [6, 7]),
        ("首都是北京", {}, [6]),
        ("北京首都", {}, []),
        ("北 京", {}, [6]),
        ("กรุงเทพ", {}, [8]),
        ("москва великий", {}, [9]),
        ("القاهرة", {}, [10]),
        ("café", {}, [11]),
        ("cafe", {}, []),
        ("STRASSE", {}, []),
        ("straße", {}, [11]),
        ("οδυσσευς", {}, [11]),
        ("𠮷野家", {}, [12]),
        ("id:d3", {}, [3]),
        ("id:IN [d3 d5]", {}, [3, 5]),
        ("source:latin brown", {}, [0, 2]),
        ("source:* -source:latin", {}, list(range(6, 13))),
        ("date:2020-05", {}, [0]),
        ("date:2021", {}, [1]),
        ("date:>=2021-01", {}, [1, 2]),
        ("date:[2020-01 TO 2021-06]", {}, [0]),
        ("brown^2 fox", {}, [0, 2]),
        ("a AND (b OR", {"phrase": True}, []),
        ("read RFC 2616, section", {"phrase": True}, [5]),
    ],
)
def test_queries(
    index: full_text.TextIndex, query: str, keys: dict[str, Any], expected: list[int]
) -> None:
    assert numbers(index, query, **keys) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), list(range(13))),
        (Filters(sources=["others"]), list(range(6, 13))),
        (Filters(sources=["others", "latin"]), [i for i in range(13) if i != 3]),
        (Filters(languages=["en"]), [0, 1, 4, 5]),
        (Filters(languages=["fr"]), [2]),
        (Filters(languages=["en", "fr"], sources=["latin"]), [0, 1, 2, 4, 5]),
        (Filters(since="2020"), [0, 1, 2]),
        (Filters(since="2021-01"), [1, 2]),
        (Filters(since="2021-02"), [2]),
        (Filters(until="2021-12"), [0, 1]),
        (Filters(until="2021-11"), [0]),
        (Filters(until="2022"), [0, 1, 2]),
        (Filters(since="2022-12", until="2022-12"), [2]),
        (Filters(since="2021-01", until="2021-11"), []),
        (Filters(since="2023", until="2021"), []),
    ],
)
def test_filters(index: full_text.TextIndex, filters: Filters, expected: list[int]) -> None:
    assert numbers(index, "*", filters=filters) == expected
    words = [i for i in expected if "fox" in plain_words(TEXTS[i])]
    found = search(index, "fox", filters=filters)
    assert sorted(int(hit.id[1:]) for hit in found.hits) == words
    scores = {hit.id: hit.score for hit in search(index, "fox").hits}
    assert all(hit.score == scores[hit.id] for hit in found.hits)


def test_a_hit_says_where_it_is(index: full_text.TextIndex, corpus: Path) -> None:
    (hit,) = search(index, "panic").hits
    assert hit == full_text.Hit(
        score=hit.score, id="d1", source="latin", language="en", date="2021",
        file=str(corpus / "documents/a.jsonl"), line=2,
        snippet="A quick note: don’t **panic**, the DOG sleeps.",
    )  # fmt: skip
    (hit,) = search(index, "首都是北京").hits
    assert (hit.file, hit.line) == (str(corpus / "documents/b.jsonl"), 1)
    assert hit.snippet == "中国的**首都是北京**，不是上海。"
    (hit,) = search(index, "กรุงเทพ").hits  # every other line of this file is empty
    assert (hit.line, hit.source, hit.language, hit.date) == (5, "others", None, None)
    assert search(index, "panic", snippets=False).hits[0].snippet is None


def bm25(texts: Sequence[str], words: Sequence[str]) -> list[float]:
    """Scores of documents for words, by the formula."""
    counts = [Counter(plain_words(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(texts)
    scores = [0.0] * len(texts)
    for word in words:
        n = sum(word in count for count in counts)
        idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
        for i, count in enumerate(counts):
            norm = 1.2 * (0.25 + 0.75 * lengths[i] / mean)
            scores[i] += idf * count[word] * 2.2 / (count[word] + norm)
    return scores


@pytest.mark.parametrize("words", [["fox"], ["brown"], ["the", "dog"], ["quick", "首"]])
def test_scores_are_bm25_over_all_files(index: full_text.TextIndex, words: list[str]) -> None:
    expected = bm25(TEXTS, words)
    found = search(index, " ".join(words), any_word=True, limit=100)
    assert {hit.id for hit in found.hits} == {f"d{i}" for i, x in enumerate(expected) if x > 0}
    for hit in found.hits:
        assert hit.score == pytest.approx(expected[int(hit.id[1:])], rel=1e-5)
    assert [hit.score for hit in found.hits] == sorted((h.score for h in found.hits), reverse=True)


def write_files(folder: Path, write: WriteDocuments, names: Sequence[str], n: int = 40) -> None:
    """Files whose documents have many equal scores."""
    for name in names:
        made = [
            {"id": f"{name}{i}", "text": f"same words here {'rare ' * (i % 3)}w{i % 7} x{i}"}
            for i in range(n)
        ]
        write(folder / f"documents/{name}.jsonl.gz", made)


def said(folder: Path, queries: Sequence[str] = ("same", "rare", "w3 rare", '"words here"')) -> Any:
    index = open_index(str(folder))
    found = [search(index, query, limit=25) for query in queries]
    return [(one.total, [(h.id, h.score, h.line, h.snippet) for h in one.hits]) for one in found]


def segment_bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in [*sorted((folder / "segments").glob("*.*")), folder / "text-index.json"]
        if not path.name.startswith(".")
    }


def test_equal_scores_are_in_canonical_order(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    write_files(tmp_path, write_documents, "ba", 10)
    build(documents=[str(tmp_path)], out=str(tmp_path / "i"), workers=1, quiet=True)
    index = open_index(str(tmp_path / "i"))
    expected = [f"{name}{i}" for name in "ab" for i in range(10)]
    assert [hit.id for hit in search(index, "*", limit=20).hits] == expected
    found = [hit.id for hit in search(index, "same", limit=20).hits]
    lengths = {one: int(one[1:]) % 3 for one in expected}
    assert found == sorted(expected, key=lambda one: (lengths[one], expected.index(one)))


def test_neither_workers_nor_parts_nor_growth_change_a_byte(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    write_files(tmp_path, write_documents, "bd")
    docs = [str(tmp_path / "documents")]
    grown = tmp_path / "grown"
    build(documents=docs, out=str(grown), workers=1, quiet=True, segment_bytes=500)
    write_files(tmp_path, write_documents, "ac")
    summary = build(documents=docs, out=str(grown), workers=1, quiet=True, segment_bytes=500)
    assert (summary.units_skipped, summary.documents) == (2, 160)
    for name, workers in (("one", 1), ("two", 2)):
        made = build(documents=docs, out=str(tmp_path / name), workers=workers, quiet=True,
                     segment_bytes=500)  # fmt: skip
        assert made.counts["segments"] > 4
    parts = tmp_path / "parts"
    for shard in ("1/2", "0/2"):
        made = build(documents=docs, out=str(parts), shard=shard, workers=1, quiet=True,
                     segment_bytes=500)  # fmt: skip
        assert not made.complete
    made = build(documents=docs, out=str(parts), workers=1, quiet=True, segment_bytes=500)
    assert made.units_skipped == 4
    expected = segment_bytes_of(tmp_path / "one")
    for other in ("two", "grown", "parts"):
        assert segment_bytes_of(tmp_path / other) == expected
        assert said(tmp_path / other) == said(tmp_path / "one")
    assert not (grown / ".dolma-kit/tmp").exists()
    build(documents=docs, out=str(tmp_path / "whole"), workers=1, quiet=True)
    assert said(tmp_path / "whole") == said(tmp_path / "one")


def test_a_file_that_goes_or_changes_is_indexed_anew(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    write_files(tmp_path, write_documents, "ab")
    out, docs = tmp_path / "i", [str(tmp_path / "documents")]
    build(documents=docs, out=str(out), workers=1, quiet=True)
    (tmp_path / "documents/a.jsonl.gz").unlink()
    with pytest.raises(VerificationError, match=r"a\.jsonl\.gz is gone: index the documents again"):
        open_index(str(out))
    write_documents(tmp_path / "documents/b.jsonl.gz", [{"id": "x", "text": "other words"}])
    with pytest.raises(VerificationError, match="is gone"):
        open_index(str(out))
    build(documents=docs, out=str(out), workers=1, quiet=True)
    assert [hit.id for hit in search(open_index(str(out)), "*").hits] == ["x"]


def test_texts_that_are_kept_need_no_documents(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    write_files(tmp_path, write_documents, "a")
    keys: dict[str, Any] = {"documents": [str(tmp_path)], "workers": 1, "quiet": True}
    build(out=str(tmp_path / "plain"), **keys)
    build(out=str(tmp_path / "kept"), store_text=True, **keys)
    expected = said(tmp_path / "plain")
    shutil.rmtree(tmp_path / "documents")
    assert said(tmp_path / "kept") == expected


def test_languages_are_found_by_the_tagger_or_not_at_all(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    texts = ["This is a sentence in plain English words.", "Das ist ein Satz in deutscher Sprache."]
    made = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    write_documents(tmp_path / "documents/a.jsonl", made)
    keys: dict[str, Any] = {"documents": [str(tmp_path)], "workers": 1, "quiet": True}
    build(out=str(tmp_path / "tagged"), languages="tag", **keys)
    index = open_index(str(tmp_path / "tagged"))
    assert [hit.language for hit in search(index, "*").hits] == ["en", "de"]
    assert ids(index, "in", filters=Filters(languages=["de"])) == ["1"]
    build(out=str(tmp_path / "none"), **keys)
    index = open_index(str(tmp_path / "none"))
    assert [hit.language for hit in search(index, "*").hits] == [None, None]
    with pytest.raises(ConfigError, match=r"no document of .* has a language: tag the documents"):
        search(index, "in", filters=Filters(languages=["de"]))
    with pytest.raises(ConfigError, match=r"no document of .* has a date at created, metadata"):
        search(index, "in", filters=Filters(since="2020"))


def test_no_documents_and_no_text_are_an_index_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/a.jsonl").write_text("")
    build(documents=[str(tmp_path)], out=str(tmp_path / "i"), workers=1, quiet=True)
    found = search(open_index(str(tmp_path / "i")), "word")
    assert (found.total, found.hits) == (0, [])


def test_bad_lines_are_set_aside_and_lines_stay_right(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    lines = ['{"id": "a", "text": "one"}', "{nonsense", "", '{"id": "b", "text": "two"}']
    (tmp_path / "documents/a.jsonl").write_text("\n".join(lines) + "\n")
    keys: dict[str, Any] = {
        "documents": [str(tmp_path)], "out": str(tmp_path / "i"), "workers": 1, "quiet": True
    }  # fmt: skip
    with pytest.raises(DataError, match=r"a\.jsonl:2"):
        build(**keys)
    assert build(on_error="quarantine", **keys).quarantined == 1
    (hit,) = search(open_index(str(tmp_path / "i")), "two").hits
    assert (hit.id, hit.line, hit.snippet) == ("b", 4, "**two**")


@pytest.mark.parametrize(
    ("query", "keys", "message"),
    [
        ("", {}, "has no word"),
        ("  ", {}, "has no word"),
        ("?!", {}, "has no word"),
        ("", {"phrase": True}, "has no word"),
        ("...", {"phrase": True}, "has no word"),
        ('"open', {}, "is no query"),
        ("(fox", {}, "is no query"),
        ("fox AND", {}, "is no query"),
        ("fox)", {}, "is no query"),
        ("a\ud800b", {}, "no text: character 1"),
        ("a\udcff", {"phrase": True}, "no text: character 1"),
        ("word " * 2_000_000, {}, "has 10,000,000 bytes, at most 65,536"),
        ("word " * 2_000_000, {"phrase": True}, "has 10,000,000 bytes"),
        ("(" * 30_000, {}, "more than 100 parentheses"),
        ("NOT " * 10_000 + "a", {}, "more than 100 parentheses or NOT"),
        ("nofield:fox", {}, "no field 'nofield': there are text, id"),
        ("http://example.org", {}, "no field 'http'"),
        ("/fox(/", {}, "unclosed group"),
        ("date:yesterday", {}, "'yesterday' is no date"),
        ("date:2020-13", {}, "'2020-13' is no date"),
        ("date:{2020 TO 2021}", {}, "ranges have"),
        ("source:[a TO b]", {}, "range of source cannot"),
        (
            "fox",
            {"filters": Filters(sources=["latn"])},
            "source .latn.: there are others, latin",
        ),
        ("fox", {"filters": Filters(languages=["\ud800"])}, r"has language .* there are en, fr"),
        ("fox", {"filters": Filters(since="May")}, "'May' is no date"),
    ],
)
def test_what_cannot_be_asked(
    index: full_text.TextIndex, query: str, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        search(index, query, **keys)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("query", ["w " * 32_000, '"w ' + "w " * 30_000 + '"', "a" * 60_000])
def test_long_queries_are_answered(index: full_text.TextIndex, query: str) -> None:
    assert search(index, query).total == 0


def corrupted(folder: Path, what: str) -> None:
    """Break an index of one file."""
    (term,) = (folder / "segments").glob("*.term")
    data = term.read_bytes()
    if what == "cut":
        term.write_bytes(data[:-3])
    elif what == "flipped":
        term.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    elif what == "gone":
        term.unlink()
    elif what == "meta":
        (folder / "segments/meta.json").write_text("{}")
    elif what == "no meta":
        (folder / "segments/meta.json").unlink()
    elif what == "description":
        (folder / "text-index.json").write_text('{"version": 1')
    elif what == "version":
        path = folder / "text-index.json"
        path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    elif what == "tokenizer":
        path = folder / "text-index.json"
        path.write_text(path.read_text().replace("uax29-nfc-lower", "stems"))
    elif what == "nothing":
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("cut", VerificationError, r"\.term is damaged: index the documents again"),
        ("flipped", VerificationError, r"\.term is damaged"),
        ("gone", VerificationError, r"\.term is gone"),
        ("meta", VerificationError, r"meta\.json is damaged"),
        ("no meta", VerificationError, r"meta\.json is gone"),
        ("description", DataError, "is no text index"),
        ("version", DataError, "is no text index"),
        ("tokenizer", VerificationError, "has words by 'stems'"),
        ("nothing", MissingInput, "no text index at .*: make one with dolma-kit search index-text"),
    ],
)
def test_an_index_that_is_not_whole(
    tmp_path: Path, write_documents: WriteDocuments, what: str, kind: type[DolmaKitError],
    message: str,
) -> None:  # fmt: skip
    write_files(tmp_path, write_documents, "a", 3)
    out = tmp_path / "i"
    build(documents=[str(tmp_path)], out=str(out), workers=1, quiet=True)
    corrupted(out, what)
    with pytest.raises(kind, match=message):
        open_index(str(out))


def test_documents_that_changed_are_noticed_by_their_bytes(
    tmp_path: Path, write_documents: WriteDocuments
) -> None:
    path = write_documents(tmp_path / "documents/a.jsonl", [{"id": "a", "text": "one fox"}])
    out = tmp_path / "i"
    build(documents=[str(tmp_path)], out=str(out), workers=1, quiet=True)
    data = path.read_bytes()
    path.write_bytes(data)  # another time, the same bytes
    assert search(open_index(str(out)), "fox").total == 1
    path.write_bytes(data.replace(b"fox", b"dog"))
    with pytest.raises(VerificationError, match=r"a\.jsonl has changed since then: index the"):
        open_index(str(out))


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("nothing here", ["fox"], "nothing here"),
        ("a fox\n\n and\ta  fox", ["fox"], "a **fox** and a **fox**"),
        ("x " * 200 + "fox" + " y" * 200, ["fox"], None),
        ("fox " + "x " * 300 + "fox dog" + " y" * 200, ["fox", "dog"], None),
    ],
)
def test_snippets(text: str, words: list[str], expected: str | None) -> None:
    made = snippet(text, [Pattern((word,)) for word in words])
    if expected is not None:
        assert made == expected
    assert all(f"**{word}**" in made for word in words if word in text)
    assert len(made) <= 200 + 4 * len(words) + 4


@pytest.mark.parametrize(
    ("a", "b", "n"),
    [("a", "a", 0), ("ab", "ba", 1), ("abc", "", 3), ("fox", "foxes", 2), ("ca", "abc", 3)],
)
def test_edits(a: str, b: str, n: int) -> None:
    assert edits(a, b) == edits(b, a) == n


def test_commands(
    tmp_path: Path, write_documents: WriteDocuments, capsys: pytest.CaptureFixture[str]
) -> None:
    group = typer.Typer()
    add_text_commands(group)
    app = typer.main.get_command(group)
    write_files(tmp_path, write_documents, "a")

    def run(*arguments: object) -> str:
        capsys.readouterr()
        app.main([str(one) for one in arguments], standalone_mode=False)
        return capsys.readouterr().out

    out = tmp_path / "i"
    dry = run("index-text", tmp_path, "--out", out, "--dry-run")
    assert "search index-text: into" in dry
    assert not out.exists()
    summary = json.loads(run("index-text", tmp_path, "--out", out, "--workers", 1, "--quiet"))
    assert (summary["command"], summary["documents"]) == ("search index-text", 40)
    assert summary["counts"]["words"] == open_index(str(out)).about.words
    found = json.loads(run("text", "rare w3", "--index", out, "--json", "--limit", 2))
    assert found == msgspec.to_builtins(search(open_index(str(out)), "rare w3", limit=2))
    assert run("text", "same", "--index", out, "--count") == "40\n"
    assert json.loads(run("text", "same", "--index", out, "--count", "--json"))["total"] == 40
    shown = run("text", "w3 nowhere", "--index", out, "--any", "--limit", 1)
    assert shown.startswith("6 documents\n\n1. a3\n   ")
    assert "same words here **w3** x3" in shown
    with pytest.raises(ConfigError, match="leave out --any"):
        run("text", "same", "--index", out, "--any", "--phrase")
    with pytest.raises(MissingInput, match="no text index at"):
        run("text", "same", "--index", tmp_path)


@pytest.mark.parametrize("module", [text_queries, text_words])
def test_examples_are_true(module: ModuleType) -> None:
    tried = doctest.testmod(module)
    assert tried.failed == 0
    assert tried.attempted > 0


@pytest.mark.shared_data
def test_a_phrase_of_each_language_is_found(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "corpus/wiki"
    build(documents=[str(folder)], out=str(tmp_path / "i"), workers=1, quiet=True)
    index = open_index(str(tmp_path / "i"))
    of_language: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((folder / "documents").iterdir()):
        for batch in DocumentReader(str(path)):
            languages = batch.metadata_strings("lang")
            for i, language in enumerate(languages):
                assert language is not None
                of_language.setdefault(language, []).append((batch.ids[i], batch.texts[i]))
    assert len(of_language) >= 11
    for language, found in of_language.items():
        document_id, text = found[len(found) // 2]
        start = len(text) // 3
        end = start + 40
        if " " in text[start:end]:  # whole words
            start, end = text.index(" ", start), text.rindex(" ", start, end)
        while unicodedata.category(text[start])[0] == "M":  # or whole characters
            start += 1
        while unicodedata.category(text[end])[0] == "M":
            end += 1
        phrase = text[start:end]
        hits = search(index, phrase, phrase=True).hits
        assert document_id in [hit.id for hit in hits], (language, phrase)
        wanted = words_in(phrase)
        texts = {one: text for of_one in of_language.values() for one, text in of_one}
        assert all(holds(words_in(texts[hit.id]), wanted) for hit in hits)
        assert all(hit.snippet and "**" in hit.snippet for hit in hits)
