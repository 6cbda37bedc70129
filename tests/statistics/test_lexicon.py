"""Words and phrases of a lexicon, found as whole words: every one of them, where it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.documents import Batch
from dolma_kit.errors import DataError
from dolma_kit.statistics.lexicon import Finder, Lexicon, read

Found = dict[str, list[tuple[int, int, int]]]


def batch_of(texts: list[str]) -> Batch:
    columns = {
        "id": pa.array([str(i) for i in range(len(texts))], pa.string()),
        "text": pa.array(texts, pa.large_string()),
    }
    lines = np.arange(1, len(texts) + 1)
    return Batch(pa.RecordBatch.from_pydict(columns), path="x", first_row=0, lines=lines)


def find(phrases: dict[str, tuple[str, ...]], *texts: str) -> Found:
    """By category: document, first and last code point of each hit."""
    return places_in(Finder(phrases), batch_of(list(texts)))


def places_in(finder: Finder, batch: Batch) -> Found:
    found = {}
    for category, hits in finder(batch).items():
        columns = (hits.docs.tolist(), hits.starts.tolist(), hits.ends.tolist())
        found[category] = list(zip(*columns, strict=True))
        assert hits.scores.tolist() == [1.0] * len(hits.docs)
    return found


def matched(word: str, text: str) -> list[str]:
    return [text[start:end] for _, start, end in find({"a": (word,)}, text)["a"]]


# Files.


def lexicon(tmp_path: Path, data: str | bytes) -> Lexicon:
    path = tmp_path / "words.tsv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read(str(path))


def test_a_file_of_categories(tmp_path: Path) -> None:
    found = lexicon(
        tmp_path,
        "\ufeff# toxic words\nA\tone\r\n\n  \nB\ttwo words \n"
        "A\tthree\nA\tone\n B \tcafé\n#A\tnot\nA\t#hash",
    )
    assert found.phrases == {"A": ("one", "three", "#hash"), "B": ("two words", "café")}
    assert list(found.phrases) == ["A", "B"]
    assert len(found.sha256) == 64
    assert found == read(found.path)


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        ("", None, "has no words"),
        ("# nothing\n\n", None, "has no words"),
        ("A\tone\nword\n", 2, "CATEGORY, a tab"),
        ("A one\n", 1, "CATEGORY, a tab"),
        ("A\t\n", 1, "CATEGORY, a tab"),
        ("\tword\n", 1, "CATEGORY, a tab"),
        ("A\tone\n\nA\t \n", 3, "CATEGORY, a tab"),
        ("A\tone\nA\tcaf\xe9\n".encode("latin-1"), 2, "is not UTF-8"),
        ("A\tone\n".encode("utf-16"), 1, "is not UTF-8"),
    ],
)
def test_what_is_no_lexicon(
    tmp_path: Path, data: str | bytes, line: int | None, reason: str
) -> None:
    with pytest.raises(DataError, match=reason) as raised:
        lexicon(tmp_path, data)
    assert raised.value.line == line


# Texts.


@pytest.mark.parametrize("n_words", [1, 2, 3, 10, 500])
def test_every_word_of_a_category_is_found_the_last_too(n_words: int) -> None:
    r"""WIMBD's pattern of a category ends in "\b" of no raw string, a backspace, after the last."""
    words = {
        name: tuple(f"{name}{i}" for i in range(n_words)) for name in ("first", "second", "last")
    }
    texts = [word for own in words.values() for word in own]
    found = find(words, *texts)
    for k, (name, own) in enumerate(words.items()):
        assert found[name] == [(k * n_words + i, 0, len(word)) for i, word in enumerate(own)]


@pytest.mark.parametrize(
    ("word", "text", "hits"),
    [
        ("ass", "assess class Ass, ASS! ass", ["Ass", "ASS", "ass"]),
        ("ass", "assess", []), ("ass", "bass", []), ("ass", "ass_hole ass1 1ass", []),
        ("ass", "(ass)-ass/ass", ["ass", "ass", "ass"]), ("ass", "ass's", []),
        ("ass", "", []), ("ass", " ", []), ("ass", "ass", ["ass"]),
        ("Ass", "ass ASS aSs", ["ass", "ASS", "aSs"]), ("STRASSE", "strasse Straße", ["strasse"]),
        ("CAFÉ", "café Café CAFÉ cafe", ["café", "Café", "CAFÉ"]),
        ("слово", "Слово, слова. СЛОВО", ["Слово", "СЛОВО"]),
        ("don't", "don't DON'T dont don t", ["don't", "DON'T"]),
        ("new york", "New York, new  york new\nyork newyork new-york York new",
         ["New York", "new  york", "new\nyork"]),
        ("new york", "new", []), ("new york", "new new york york", ["new york"]),
        ("a a", "a a a", ["a a", "a a"]),
        ("b.", "a b. b", ["b."]), ("f*ck", "f*ck F*CK fck", ["f*ck", "F*CK"]),
        ("😀", "a😀b 😀😀", ["😀", "😀", "😀"]), ("😀 x", "😀x 😀 X", ["😀x", "😀 X"]),
        ("one two three", "one two one two three", ["one two three"]),
    ],
)  # fmt: skip
def test_words(word: str, text: str, hits: list[str]) -> None:
    assert matched(word, text) == hits


def test_places_are_code_points_of_each_text() -> None:
    texts = ["😀😀 é bad", "", "bad", "no", "日本 bad😀bad"]
    assert find({"a": ("bad",)}, *texts)["a"] == [
        (0, 5, 8), (2, 0, 3), (4, 3, 6), (4, 7, 10),
    ]  # fmt: skip


def test_a_phrase_does_not_go_on_in_the_next_text() -> None:
    assert find({"a": ("new york",)}, "a new", "york", "new york")["a"] == [(2, 0, 8)]


def test_categories_and_phrases_that_begin_alike_are_each_found() -> None:
    phrases = {"a": ("new", "new york"), "b": ("new york city", "york"), "c": ("boston",)}
    assert find(phrases, "New York City") == {
        "a": [(0, 0, 3), (0, 0, 8)], "b": [(0, 0, 13), (0, 4, 8)], "c": [],
    }  # fmt: skip


def test_a_word_that_is_listed_twice_counts_once() -> None:
    phrases = {"a": ("Bad", "bad", "BAD", "so  bad", "So Bad"), "b": ("bad",)}
    assert find(phrases, "so bad") == {"a": [(0, 0, 6), (0, 3, 6)], "b": [(0, 3, 6)]}


def test_a_part_of_a_batch_is_as_a_batch_of_its_own() -> None:
    whole = batch_of(["bad é", "😀 bad", "bad bad"])
    part = Batch(whole.table.slice(1, 2), path="x", first_row=1, lines=whole.lines[1:])
    assert places_in(Finder({"a": ("bad",)}), part)["a"] == [(0, 2, 5), (1, 0, 3), (1, 4, 7)]


def test_no_documents_and_no_words() -> None:
    finder = Finder({"a": ("bad",)})
    assert places_in(finder, batch_of([])) == {"a": []}
    assert places_in(finder, batch_of(["", "  \n", ""])) == {"a": []}


WORDS = ["bad", "Bad", "worse", "é", "ÉÉ", "日", ",", "."]
PHRASES = {"one": ("bad", "ÉÉ"), "two": ("bad worse", "worse , bad"), "three": ("日 .",)}


def places(words: list[str], spaces: list[str]) -> tuple[str, Found]:
    """A text and its hits, word by word."""
    text, spans = "", []
    for word, space in zip(words, spaces, strict=True):
        text += space
        spans.append((len(text), len(text) + len(word)))
        text += word
    found: Found = {}
    lowered = [word.lower() for word in words]
    for category, phrases in PHRASES.items():
        own = [phrase.lower().split() for phrase in phrases]
        found[category] = sorted(
            (0, spans[i][0], spans[i + len(phrase) - 1][1])
            for phrase in own
            for i in range(len(words) - len(phrase) + 1)
            if lowered[i : i + len(phrase)] == phrase
        )
    return text, found


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", "\n", "  ", "\u3000"]))),
    st.text("😀é b", max_size=4),
)
def test_hits_are_those_of_a_search_word_by_word(rows: list[tuple[str, str]], before: str) -> None:
    text, found = places([word for word, _ in rows], [space for _, space in rows])
    lead = before + " | "
    shifted = {
        name: [(doc, start + len(lead), end + len(lead)) for doc, start, end in own]
        for name, own in found.items()
    }
    assert find(PHRASES, lead.replace("é", "x") + text) == shifted
