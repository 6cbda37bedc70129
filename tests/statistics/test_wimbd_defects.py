"""What WIMBD's code gets wrong, and ours must not.

Found by reading wimbd 0.3.0 and its scripts (Elazar et al. 2023, "What's In My Big Data?", arXiv
2310.20707).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit.statistics import ngram_counting
from dolma_kit.statistics.ngram_counting import COUNT, Counting
from dolma_kit.statistics.stage import stats

from .corpus import write_documents

QUIET: dict[str, Any] = {"workers": 1, "quiet": True}


def ask(folder: Path, name: str, rows: Sequence[dict[str, Any]], **keys: Any) -> Any:
    path = folder / "documents/a.jsonl"
    write_documents(path, [{"id": f"d{i}", **row} for i, row in enumerate(rows)])
    return stats(names=[name], documents=[str(path)], **QUIET, **keys).answers[name]


# unique


def test_distinct_ngrams_are_not_slots_of_a_table(tmp_path: Path) -> None:
    """`unique` prints the slots that are not empty of a table with five hashes an n-gram: up to
    five times as many as there are."""
    texts = [" ".join(f"w{i * j % 997}" for j in range(60)) for i in range(1, 80)]
    answer = ask(tmp_path, "ngrams", [{"text": text} for text in texts], n=[3])
    grams = Counter(g for text in texts for g in zip(*(text.split()[k:] for k in range(3))))  # noqa: B905
    found = answer.lengths["3"]
    assert found.distinct.exact
    assert found.distinct.value == len(grams)
    assert found.once.value == sum(n == 1 for n in grams.values())


def test_estimates_of_distinct_ngrams_do_not_saturate(tmp_path: Path) -> None:
    """Nor in bounded memory: a table of 4 billion slots that is full says 4 billion for ever."""
    n_texts, n_words = 40, 500
    texts = [" ".join(f"x{i}y{j}" for j in range(n_words)) for i in range(n_texts)]
    answer = ask(tmp_path, "ngrams", [{"text": text} for text in texts], n=[1, 2], capacity=64)
    for n in (1, 2):
        found = answer.lengths[str(n)]
        true = n_texts * (n_words - n + 1)
        assert not found.exact
        assert found.distinct.low <= true <= found.distinct.high
        assert found.distinct.high < 1.02 * true
        assert found.error < 0.005


# botk


def test_the_least_common_are_there_by_default(tmp_path: Path) -> None:
    """`botk` compares with a threshold that is the greatest number by default: it shows nothing."""
    rows = [{"text": "b b b c c d a a a a"}, {"text": "b c e"}]
    found = ask(tmp_path, "ngrams", rows, n=[1]).lengths["1"]
    assert [(gram.text, gram.count) for gram in found.least] == [
        ("d", 1), ("e", 1), ("c", 3), ("b", 4), ("a", 4),
    ]  # fmt: skip


def test_the_least_common_are_there_in_bounded_memory(tmp_path: Path) -> None:
    texts = ["the common words"] * 500 + [f"rare{i}" for i in range(5000)]
    found = ask(tmp_path, "ngrams", [{"text": t} for t in texts], n=[1], capacity=100).lengths["1"]
    assert not found.exact
    assert len(found.least) == 20
    assert all(gram.count == 1 and gram.text.startswith("rare") for gram in found.least)
    assert [gram.text for gram in found.most[:3]] == ["the", "common", "words"]


# topk


@pytest.mark.parametrize("times", [2**32 - 1, 2**32, 2**33 + 7, 2**40])
def test_counts_do_not_end_at_32_bits(times: int) -> None:
    """Of six corpora, `topk` gives 4,294,967,295 for all of the most common words."""
    counting = Counting(1, 1000)
    tokens = np.array([11, 11, 22], np.uint64)
    counting.add(tokens, np.array([0, 3], np.int64), np.array([1], np.int64), lambda i: str(i))
    tally = counting.tally(1000)
    rows = tally.rows.copy()
    rows[:, COUNT] *= times
    large = tally._replace(rows=rows, total=tally.total * times)
    whole = ngram_counting.merged([large, large], 1000)
    first, second = ngram_counting.most_common(whole, 2)
    assert whole.rows[first, COUNT] == 4 * times
    assert whole.rows[second, COUNT] == 2 * times
    assert whole.total == 6 * times


# Personal data

FILLER = "nothing of this kind stands here, only words that fill the line up "
NUMBER = " 206-430-7757"


def phones(folder: Path, text: str) -> list[dict[str, Any]]:
    """The phone numbers that the sheet shows."""
    keys = {"pii_tagger": "pii_regex_v1", "out": str(folder / "out"), "overwrite": True}
    answer = ask(folder, "pii", [{"text": text}], **keys)
    rows = csv.DictReader(io.StringIO((folder / "out/pii/sheet.csv").read_text(encoding="utf-8")))
    found = [row for row in rows if row["kind"] == "PHONE_NUMBER"]
    assert answer.kinds["PHONE_NUMBER"].hits == len(found)
    return found


def test_what_stands_around_a_number_is_what_stands_around_it(tmp_path: Path) -> None:
    """WIMBD looks for "2064307757" in the text, finds it nowhere, and so looks for `isbn` and for
    URLs in the first 59 characters, whatever stands beside the number."""
    far = f"isbn {FILLER * 3}call{NUMBER} today"
    near = f"{FILLER * 3} isbn{NUMBER} today"
    assert len(phones(tmp_path, far)) == 1
    assert phones(tmp_path, near) == []
    far = f"see http://example.com/ {FILLER * 3}call{NUMBER} today"
    assert len(phones(tmp_path, far)) == 1


def test_places_are_those_of_the_text_as_it_is(tmp_path: Path) -> None:
    """WIMBD searches in lower case and looks for places in the text: İ is two characters there."""
    text = f"İİİİ call{NUMBER} today"
    (row,) = phones(tmp_path, text)
    start, end = int(row["start"]), int(row["end"])
    assert text[start:end] == row["match"]
    assert text[start:end].strip() == NUMBER.strip()
    assert row["before"] == text[:start]
    assert row["after"] == text[end:]


def test_documents_that_are_not_searched_are_told(tmp_path: Path) -> None:
    """WIMBD leaves out long texts and rows of marks, and counts them as having nothing."""
    rows = [{"text": "?" * 10_001 + " me@example.com now"}, {"text": "to me@example.com now"}]
    answer = ask(tmp_path, "pii", rows)
    assert (answer.total.not_searched, answer.total.documents) == (1, 2)
    kind = answer.kinds["EMAIL_ADDRESS"]
    assert (kind.documents, kind.searched) == (1, 1)
    assert kind.per_million_words == 1e6 / answer.total.words


# Toxic words


def test_the_last_word_of_a_category_is_found(tmp_path: Path) -> None:
    r"""WIMBD joins words as "\b" + "|".join(words) + "\b", of which the last is a backspace."""
    words = {"one": ["darn", "heck"], "two": ["blast", "drat it"], "three": ["fudge"]}
    lines = [f"{category}\t{word}" for category, own in words.items() for word in own]
    (tmp_path / "words.tsv").write_text("\n".join(lines))
    rows = [{"text": f"Oh, {word.upper()}!"} for own in words.values() for word in own]
    rows.append({"text": "darnit heckle blasts fudged undarn, drat them"})  # no whole words
    answer = ask(tmp_path, "toxicity", rows, lexicon=str(tmp_path / "words.tsv"))
    found = {name: (kind.documents, kind.hits) for name, kind in answer.kinds.items()}
    assert found == {"one": (2, 2), "two": (2, 2), "three": (1, 1)}


# Lengths, URLs, samples


def test_tables_of_words_and_of_characters_are_not_swapped(tmp_path: Path) -> None:
    rows = [{"text": "a bc def"}, {"text": "abcdefgh ij"}]
    answer = ask(tmp_path, "lengths", rows)
    assert answer.units["words"].histogram.lengths == [2, 3]
    assert answer.units["characters"].histogram.lengths == [8, 11]
    answer = ask(tmp_path, "summary", rows)
    assert (answer.total.amount.words, answer.total.amount.characters) == (5, 19)
    assert answer.total.longest["words"].length == 3
    assert answer.total.longest["characters"].length == 11


def test_urls_are_found_wherever_a_corpus_has_them(tmp_path: Path) -> None:
    """WIMBD's scripts read `row['url']` alone; with `metadata.url` commented out."""
    rows = [
        {"text": "a", "url": "https://top.example.org/"},
        {"text": "b", "metadata": {"url": "https://inner.example.org/"}},
        {"text": "c", "metadata": {"url": None}, "url": "https://top.example.org/"},
        {"text": "d", "metadata": {"warc_url": "https://warc.example.org/"}},
        {"text": "e", "metadata": "https://no.example.org/"},
        {"text": "f"},
    ]
    answer = ask(tmp_path, "urls", rows)
    assert answer.states == {"url": 4, "missing": 2}
    assert {one.name: one.documents for one in answer.levels["host"].by_documents} == {
        "top.example.org": 2, "inner.example.org": 1, "warc.example.org": 1,
    }  # fmt: skip
    assert ask(tmp_path, "duplicates", rows).kinds["url"].keys == 4


def test_a_sample_has_its_size_and_can_be_drawn_again(tmp_path: Path) -> None:
    """`random_sample` keeps each row with a probability, by a generator without a seed."""
    rows = [{"text": f"to n{i}@example.com now"} for i in range(400)]

    def drawn(name: str, size: int, seed: int, **keys: Any) -> list[str]:
        out = tmp_path / name
        answer = ask(
            tmp_path, "pii", rows, sample=size, seed=seed, out=str(out), overwrite=True, **keys
        )
        sheet = (out / "pii/sheet.csv").read_text()
        ids = [row["id"] for row in csv.DictReader(io.StringIO(sheet))]
        assert answer.kinds["EMAIL_ADDRESS"].sampled == len(ids)
        return ids

    for size in (1, 50, 399, 400, 1000):
        assert len(set(drawn("out", size, 0))) == min(size, 400)
    first = drawn("out", 50, 7)
    assert drawn("again", 50, 7) == first
    assert drawn("other", 50, 8) != first
    assert drawn("more", 100, 7)[:50] == first  # a larger one goes on from it
    # No place of the corpus is preferred.
    mean = sum(int(name[1:]) for name in first) / 50
    assert 130 < mean < 270


def test_the_sample_is_the_same_however_files_are_cut(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "text": f"to n{i}@example.com now"} for i in range(200)]
    found = []
    for n_files in (1, 7):
        folder = tmp_path / str(n_files)
        for k in range(n_files):
            write_documents(folder / f"documents/{k}.jsonl", rows[k::n_files])
        out = folder / "out"
        stats(names=["pii"], documents=[str(folder)], out=str(out), sample=30, **QUIET)
        sheet = csv.DictReader(io.StringIO((out / "pii/sheet.csv").read_text()))
        found.append([row["id"] for row in sheet])
    assert found[0] == found[1]
    key = (0).to_bytes(8, "little")
    draws = {
        row["id"]: hashlib.blake2b(
            f"EMAIL_ADDRESS\0{row['id']}\0{2}\0{row['text'].index(' now') + 1}".encode(),
            digest_size=8, key=key,
        ).digest()
        for row in rows
    }  # fmt: skip
    by_hash = sorted(draws, key=lambda name: int.from_bytes(draws[name], "little") >> 11)
    assert found[0] == by_hash[:30]


def test_answers_name_what_they_are_of(tmp_path: Path) -> None:
    """Table 19 of the paper divides each corpus's hits by another's words: here both are in one
    answer, by source too."""
    rows = [{"text": "to a@example.com now", "source": "x"}, {"text": "one two three"}]
    answer = ask(tmp_path, "pii", rows, out=str(tmp_path / "out"))
    assert answer.total.words == 5 + 3
    assert {name: one.documents for name, one in answer.sources.items()} == {"": 1, "x": 1}
    kept = json.loads((tmp_path / "out/pii/answer.json").read_text())
    assert kept["kinds"]["EMAIL_ADDRESS"]["per_million_words"] == 1e6 / answer.total.words
