"""Corpora compared: what they share, and what differs, by documents or by what is saved of them."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dolma_kit.errors import ConfigError
from dolma_kit.statistics import overlap
from dolma_kit.statistics.comparing import jensen_shannon
from dolma_kit.statistics.duplicates import KINDS
from dolma_kit.statistics.stage import stats
from tests.conftest import RunCommand
from tests.killed import everything
from tests.tokens.conftest import byte_level

from . import oracle
from .corpus import write_documents
from .oracle import Placed
from .test_oracle import assert_equal, assert_same, tokenized

QUIET: dict[str, Any] = {"workers": 1, "quiet": True}
VOCABULARY = [f"word{i}" for i in range(40)]
COMPARED = ["summary", "lengths", "urls", "languages", "duplicates", "ngrams"]


class Made:
    """Three corpora of which the first two share some texts, URLs and paragraphs."""

    def __init__(self, folder: Path) -> None:
        rng = random.Random(5)
        pool = [self._text(rng) for _ in range(90)]
        self.rows = {
            name: [
                {"id": f"{name}{i}", "text": text, "source": name,
                 "metadata": {"url": f"http://{'ab'[k % 2]}{i % (30 + 9 * k)}.example.org/"}}
                for i, text in enumerate([*pool[40 * k : 40 * k + 50], "", " "])
            ]
            for k, name in enumerate("ABC")
        }  # fmt: skip
        self.rows["C"] = [{"id": "c", "text": "nothing that others have", "source": "C"}]
        for name, rows in self.rows.items():
            write_documents(folder / name / "documents/1.jsonl", rows[::2])
            write_documents(folder / name / "documents/2.jsonl.zst", rows[1::2])

    def _text(self, rng: random.Random) -> str:
        lines = [" ".join(rng.choices(VOCABULARY, k=rng.randint(1, 3))) for _ in range(4)]
        return "\n".join(lines)

    def corpus(self, name: str) -> tuple[list[Placed], list[Any]]:
        rows = self.rows[name]
        urls = [row.get("metadata", {}).get("url") for row in rows]
        return [Placed("", i, row) for i, row in enumerate(rows)], urls


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(tmp_path)
    return Made(tmp_path)


def compare(name: str, *places: str, **keys: Any) -> Any:
    found = stats(names=[name], documents=list(places), **QUIET, **keys)
    assert list(found.answers) == [name]
    assert found.texts[name]
    return msgspec.to_builtins(found.answers[name])


def save(place: str, out: str, names: list[str], **keys: Any) -> Any:
    return stats(names=names, documents=[place], out=out, **QUIET, **keys)


# overlap


def test_overlap_of_documents(made: Made) -> None:
    answer = compare("overlap", "A", "B", "C")
    assert answer["corpora"] == ["A", "B", "C"]
    assert [(pair["a"], pair["b"]) for pair in answer["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    for pair in answer["pairs"]:
        a, b = (made.corpus("ABC"[pair[key]]) for key in ("a", "b"))
        assert_equal({"kinds": pair["kinds"]}, {"kinds": oracle.overlap(a, b)})
    of_texts = answer["pairs"][0]["kinds"][0]
    assert of_texts["both"]["value"] == 10


def test_overlap_with_itself(made: Made) -> None:
    (pair,) = compare("overlap", "A", "A")["pairs"]
    for kind in pair["kinds"]:
        assert kind["jaccard"] == oracle.exactly(1)
        assert kind["a_in_b"] == oracle.exactly(1)


def test_overlap_of_what_is_saved(made: Made, tmp_path: Path) -> None:
    """Without the documents, and whatever else was asked."""
    expected = compare("overlap", "A", "B", "C")
    for name in "ABC":
        save(name, f"of{name}", ["summary", "overlap"])
    mixed = compare("overlap", "A", "ofB", "C", out="kept")
    for name in "ABC":
        shutil.rmtree(name)
    before = everything(tmp_path / "ofA")
    saved = compare("overlap", "ofA", "ofB", "ofC/")
    again = compare("overlap", "kept/0-A", "ofB", "kept/2-C")
    assert everything(tmp_path / "ofA") == before
    for answer in (mixed, saved, again):
        assert answer["pairs"] == expected["pairs"]
    assert saved["corpora"] == ["ofA", "ofB", "ofC/"]
    assert json.loads(Path("kept/overlap/answer.json").read_bytes()) == mixed


def test_overlap_of_nothing(made: Made) -> None:
    write_documents(Path("E/documents/e.jsonl"), [])
    (pair,) = compare("overlap", "A", "E")["pairs"]
    for kind in pair["kinds"]:
        assert (kind["both"]["value"], kind["jaccard"]["value"]) == (0, 0)
        assert kind["of_b"] == oracle.exactly(0)
        assert kind["b_in_a"]["value"] == 0


@pytest.mark.parametrize(
    ("n_a", "n_b", "n_both"),
    [(30_000, 30_000, 15_000), (80_000, 9_000, 9_000), (20_000, 20_000, 0), (20_000, 100, 50)],
)
def test_estimates_are_within_what_they_say(n_a: int, n_b: int, n_both: int) -> None:
    """Of ten pairs of large sets, the intervals of 95 % hold nearly all figures."""
    true = {
        "of_a": n_a, "of_b": n_b, "both": n_both, "either": n_a + n_b - n_both,
        "jaccard": n_both / (n_a + n_b - n_both), "a_in_b": n_both / n_a, "b_in_a": n_both / n_b,
    }  # fmt: skip
    rng = np.random.default_rng(n_a)
    inside: Counter[str] = Counter()
    n_pairs = 10
    for _ in range(n_pairs):
        keys = rng.integers(-(1 << 63), (1 << 63) - 1, n_a + n_b - n_both, np.int64)
        shared = overlap.shared("text", sketch(keys[:n_a]), sketch(keys[n_a - n_both :]))
        for name, value in true.items():
            estimate = getattr(shared, name)
            assert estimate.low <= estimate.value <= estimate.high
            if name in ("of_a", "of_b", "both", "either"):
                assert abs(estimate.value - value) <= 0.08 * true["either"]
            inside[name] += estimate.low <= value <= estimate.high
            if estimate.exact:
                assert estimate.value == value, name
    assert min(inside[name] for name in true) >= n_pairs - 2, inside


def sketch(keys: Any) -> Any:
    """As a partial has it: written, read and put together."""
    gathering = overlap.OverlapOf(()).gathering()
    found = dict.fromkeys(KINDS, keys.view(np.uint64))
    gathering.take((found, dict.fromkeys(KINDS, len(keys)), dict.fromkeys(KINDS, 0)))
    notes = overlap.OverlapOf(()).merge([gathering.partial()]).notes
    return overlap.sketch_in(notes["text"])


# compare


def test_compare(made: Made, tmp_path: Path) -> None:
    answer = compare("compare", "A", "B", n=[1, 2], out="both")
    assert (answer["a"], answer["b"], answer["left_out"]) == ("A", "B", [])
    assert list(answer["changes"]) == [name for name in COMPARED if name != "ngrams"]
    changes = {
        name: {one["what"]: (one["a"], one["b"]) for one in found}
        for name, found in answer["changes"].items()
    }
    corpora = [made.corpus(name)[0] for name in "AB"]
    amounts = [oracle.summary(documents)["total"]["amount"] for documents in corpora]
    for what in ("documents", "empty", "blank", "bytes", "characters", "words"):
        assert changes["summary"][what] == tuple(amount[what] for amount in amounts)
    assert "tokens" not in changes["summary"]
    assert changes["summary"]["words of A"] == (amounts[0]["words"], None)
    found = [oracle.lengths(documents)["units"]["words"] for documents in corpora]
    assert changes["lengths"]["words, 50%"] == tuple(one["quantiles"]["0.5"] for one in found)
    assert_same(changes["lengths"]["words, mean"][0], found[0]["mean"])
    assert changes["urls"]["host, distinct"] == (30, 39)
    assert changes["duplicates"]["text, distinct"] == (50, 50)
    check_distances(answer["distances"], corpora, [1, 2])
    for name in "AB":
        save(name, f"of{name}", COMPARED, n=[1, 2])
        shutil.rmtree(name)
    saved = compare("compare", "ofA", "ofB")
    again = compare("compare", "both/0-A", "both/1-B")
    assert (saved["changes"], saved["distances"]) == (answer["changes"], answer["distances"])
    assert (again["changes"], again["distances"]) == (answer["changes"], answer["distances"])
    assert json.loads(Path("both/compare/answer.json").read_bytes()) == answer


def check_distances(found: Any, corpora: list[list[Placed]], lengths: list[int]) -> None:
    assert [one["n"] for one in found] == lengths
    for one in found:
        counts = [Counter(grams(documents, one["n"])) for documents in corpora]
        tops = [{gram for gram, _ in count.most_common(1000)} for count in counts]
        assert all(len(count) <= 1000 for count in counts)  # so that no tie decides
        common, either = sorted(tops[0] & tops[1]), sorted(tops[0] | tops[1])
        assert (one["compared"], one["common"]) == (max(map(len, tops)), len(common))
        assert one["error"] == 0
        for name, chosen in (("intersection", common), ("union", either)):
            shares = []
            for count in counts:
                total = sum(count[gram] for gram in chosen)
                shares.append([Fraction(count[gram], total) for gram in chosen])
            expected = oracle.jensen_shannon(*shares)
            assert math.isclose(one[name], expected, abs_tol=1e-9)
            assert 0 < one[name] < 1


def grams(documents: list[Placed], n: int) -> list[tuple[str, ...]]:
    words = [oracle.words(document.text) for document in documents]
    return [tuple(own[i : i + n]) for own in words for i in range(len(own) - n + 1)]


def test_a_corpus_is_at_no_distance_from_itself(made: Made) -> None:
    answer = compare("compare", "A", "A", n=[1])
    (distance,) = answer["distances"]
    assert (distance["intersection"], distance["union"]) == (0, 0)
    for found in answer["changes"].values():
        assert all(one["a"] == one["b"] for one in found)


def test_corpora_without_a_word_in_common(made: Made) -> None:
    (distance,) = compare("compare", "A", "C", n=[1])["distances"]
    assert (distance["common"], distance["intersection"], distance["union"]) == (0, None, 1)


def test_what_only_one_has_is_left_out(made: Made) -> None:
    save("A", "ofA", ["summary", "lengths", "ngrams"], n=[1])
    save("B", "ofB", ["summary", "dates", "ngrams"], n=[1])
    answer = compare("compare", "ofA", "ofB")
    assert sorted(answer["left_out"]) == ["dates", "lengths"]
    assert list(answer["changes"]) == ["summary"]
    assert len(answer["distances"]) == 1
    save("A", "other", ["urls"])
    with pytest.raises(ConfigError, match="ofB and other have no statistic in common"):
        compare("compare", "ofB", "other")


def test_ngrams_of_different_lengths(made: Made) -> None:
    save("A", "ofA", ["ngrams"], n=[1, 2])
    save("B", "ofB", ["ngrams"], n=[2, 3])
    assert [one["n"] for one in compare("compare", "ofA", "ofB")["distances"]] == [2]


def test_ngrams_of_different_units_are_not_compared(made: Made, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tiny.json"
    tokenizer.write_text(byte_level("cl100k").to_str(), encoding="utf-8")
    save("A", "words", ["summary", "ngrams"], n=[1])
    by = {"tokenizer": str(tokenizer), "unit": "tokens"}
    save("A", "tokens", ["summary", "ngrams"], n=[1], **by)
    save("B", "more", ["summary", "ngrams"], n=[1], **by)
    store = tokenized(["A"], tokenizer, tmp_path / "store")
    save("A", "files", ["summary", "ngrams"], n=[1], tokens=store)
    answer = compare("compare", "words", "tokens")
    assert answer["distances"] == []
    assert answer["left_out"] == ["ngrams, which are of different units or tokenizers"]
    assert compare("compare", "tokens", "files")["left_out"] == ["ngrams of token files"]
    assert len(compare("compare", "tokens", "more")["distances"]) == 1


def test_every_statistic_can_be_compared(made: Made) -> None:
    names = [*COMPARED, "dates", "licenses", "pii", "overlap"]
    for name in "AB":
        save(name, f"of{name}", names, n=[1])
    answer = compare("compare", "ofA", "ofB")
    assert answer["left_out"] == []
    assert set(answer["changes"]) == set(names) - {"ngrams", "overlap"}
    assert all(answer["changes"].values())


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["ofA", "words"], "measure them alike"),
        (["ofA", "none"], "none has no sketches: dolma-kit stats overlap DOCS --out none"),
    ],
)
def test_corpora_that_cannot_be_compared(made: Made, places: list[str], said: str) -> None:
    save("A", "ofA", ["overlap"])
    save("A", "words", ["overlap"], separator=" ")
    save("A", "none", ["summary"])
    with pytest.raises(ConfigError, match=said):
        compare("overlap", *places)


def test_the_command(made: Made, dolma_kit: RunCommand) -> None:
    answer = dolma_kit("stats", "overlap", "A", "B", "--quiet", "--workers", 1)
    assert answer.code == 0
    assert answer.json["documents"] == 104
    assert "of A in B" in answer.out
    answer = dolma_kit("stats", "compare", "A", "B", "--n", 1, "--json", "--quiet", "--workers", 1)
    assert answer.out.count("\n") == 1
    assert list(answer.json["statistics"]) == ["compare"]


def test_distances_by_hand() -> None:
    """Half a bit of divergence is a distance of its root."""
    half = jensen_shannon([1, 0], [1, 1])
    p, q = [Fraction(1), Fraction(0)], [Fraction(1, 2), Fraction(1, 2)]
    assert half == pytest.approx(oracle.jensen_shannon(p, q))
    assert half == pytest.approx(math.sqrt(1 - 0.75 * math.log2(3) + 0.5))
