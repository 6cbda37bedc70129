"""Each rule beside its plain twin, on texts of few words."""

from __future__ import annotations

import numpy as np
import pytest

from dolma_kit.decontamination import rules
from dolma_kit.decontamination.collisions import Gpt3
from dolma_kit.decontamination.decon import Decon
from dolma_kit.decontamination.ngrams import NgramDocument, NgramItem
from dolma_kit.decontamination.paragraphs import Paloma
from dolma_kit.decontamination.phrases import Wimbd
from dolma_kit.decontamination.substrings import Substring50
from dolma_kit.errors import ConfigError
from tests.decontamination.finding import found, hits, item, texts_and_items
from tests.naive import decontamination as twin

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_ngram_item(seed: int) -> None:
    texts, items = texts_and_items(seed)
    rule = NgramItem(n=4, threshold=0.4, min_words=3)
    made = found(rule, items, texts)
    expected = {}
    for d, text in enumerate(texts):
        shares = [twin.item_share(one.question, text, 4, 3) or 0.0 for one in items]
        assert made.scores[d] == pytest.approx(max(shares))
        for i, share in enumerate(shares):
            if share >= 0.4:
                own = twin.plain(items[i].question)
                n = min(4, len(own))
                expected[d, i] = share, twin.places_of(text, set(twin.ngrams(own, n)), n)
    assert hits(made) == {key: (pytest.approx(s), places) for key, (s, places) in expected.items()}
    assert expected


@pytest.mark.parametrize("seed", SEEDS)
def test_ngram_document(seed: int) -> None:
    texts, items = texts_and_items(seed)
    made = found(NgramDocument(n=3, threshold=0.5), items, texts)
    expected = {}
    for d, text in enumerate(texts):
        parts = [[one.question, one.passage, one.answer, *one.choices] for one in items]
        share = twin.document_share([text for own in parts for text in own], text, 3)
        assert made.scores[d] == pytest.approx(share)
        if share >= 0.5:
            there = set(twin.ngrams(twin.plain(text), 3))
            for i, own in enumerate(parts):
                grams = {gram for part in own for gram in twin.ngrams(twin.plain(part), 3)}
                if grams & there:
                    expected[d, i] = share, twin.places_of(text, grams, 3)
    assert hits(made) == {key: (pytest.approx(s), places) for key, (s, places) in expected.items()}
    assert expected


@pytest.mark.parametrize("seed", SEEDS)
def test_gpt3(seed: int) -> None:
    texts, items = texts_and_items(seed)
    rule = Gpt3(min_n=3, max_n=5)
    made = found(rule, items, texts)
    parts = [
        [twin.plain(text) for text in (one.question, one.passage, one.answer, *one.choices)]
        for one in items
    ]
    n_words = np.array([sum(map(len, own)) for own in parts])
    n_of = rule.lengths(items, n_words)
    assert set(n_of.values()) <= {3, 4, 5}
    expected = set()
    for d, text in enumerate(texts):
        for i, own in enumerate(parts):
            n = n_of[items[i].benchmark]
            for gram in set(twin.ngrams(twin.plain(text), n)):
                if any(gram in twin.ngrams(part, n) for part in own):
                    expected.add((d, i, tuple(twin.places_of(text, {gram}, n))))
    got = set()
    for k in range(len(made.documents)):
        own = made.places[made.place_offsets[k] : made.place_offsets[k + 1]].tolist()
        got.add((int(made.documents[k]), int(made.items[k]), tuple(map(tuple, own))))
    assert got == expected
    assert len(made.documents) == len(set(zip(*made[1:4], strict=True)))
    assert made.scores.tolist() == [
        float(any(e[0] == d for e in expected)) for d in range(len(texts))
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_wimbd(seed: int) -> None:
    texts, items = texts_and_items(seed)
    made = found(Wimbd(min_words=2), items, texts)
    expected = set()
    for i, one in enumerate(items):
        fields = [twin.plain(text) for text in one.fields]
        if sum(map(bool, fields)) >= 2 and max(map(len, fields)) >= 2:
            expected |= {(d, i) for d, text in enumerate(texts) if twin.holds_all(one.fields, text)}
    assert set(hits(made)) == expected
    for (d, i), (_, places) in hits(made).items():
        covered = " ".join(texts[d][a:b] for a, b in places)
        assert set(twin.plain(covered)) <= {w for f in items[i].fields for w in twin.plain(f)}


@pytest.mark.parametrize("seed", SEEDS)
def test_substring50(seed: int) -> None:
    texts, items = texts_and_items(seed)
    made = found(Substring50(length=12, threshold=0.5), items, texts)
    expected = {}
    windows = {one.question[i : i + 12] for one in items for i in range(len(one.question) - 11)}
    for d, text in enumerate(texts):
        shares = [twin.substring_share(one.question, text, 12) or 0.0 for one in items]
        assert made.scores[d] == pytest.approx(max(shares))
        for i, share in enumerate(shares):
            if share >= 0.5:
                own = items[i].question
                of_item = {own[k : k + 12] for k in range(len(own) - 11)}
                places = [(k, k + 12) for k in range(len(text)) if text[k : k + 12] in of_item]
                expected[d, i] = share, twin.unite(places)
    assert hits(made) == {key: (pytest.approx(s), places) for key, (s, places) in expected.items()}
    assert len(made.windows) == sum(any(w in text for text in texts) for w in windows)


@pytest.mark.parametrize("seed", SEEDS)
def test_paloma(seed: int) -> None:
    texts, items = texts_and_items(seed)
    items = [item(one.question.replace(" w3 ", "\n"), answer=one.answer) for one in items]
    texts += [f"a\n{one.question}\nb" for one in items] + [items[0].question]
    made = found(Paloma(min_words=4), items, texts)
    expected = set()
    for i, one in enumerate(items):
        for line in f"{one.question}\n{one.answer}".split("\n"):
            if len(line.split()) >= 4:  # of these texts, as many as words of UAX #29
                expected |= {(d, i) for d, text in enumerate(texts) if line in text.split("\n")}
    assert set(hits(made)) == expected
    for (d, _), (_, places) in hits(made).items():
        for start, end in places:
            assert start == 0 or texts[d][start - 1] == "\n"
            assert end == len(texts[d]) or texts[d][end - 1] == "\n"


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("sample_every", [1, 4])
def test_decon(seed: int, sample_every: int) -> None:
    texts, items = texts_and_items(seed)
    keys = {"n": 3, "sample_every": sample_every, "hot": 3, "max_misses": 4}
    made = found(Decon(**keys, min_words=6, threshold=0.6), items, texts)
    parts = [
        twin.Question(*(twin.plain(text) for text in (one.question, one.answer, one.passage)))
        for one in items
    ]
    plain = twin.Decon(parts, **keys, min_words=6, threshold=0.6)
    expected = {}
    for d, text in enumerate(texts):
        scores = plain.scores(twin.plain(text))
        own = plain.hits(twin.plain(text))
        expected |= {(d, i): score for i, score in own.items()}
        # The kernel leaves out questions that answer and passage could not make up for.
        if own:
            assert made.scores[d] >= max(own.values()) - 1e-6
        assert made.scores[d] <= max(scores.values(), default=0.0) + 1e-6
    assert {key: s for key, (s, _) in hits(made).items()} == pytest.approx(expected)


def test_what_is_asked_for() -> None:
    made = rules.build(["ngram_item(n=3)", {"id": "gpt3"}], {"n": 9, "action": "drop"})
    assert [rule.id for rule in made] == ["ngram_item", "gpt3"]
    assert (made[0].n, made[1].min_n, made[1].max_n, made[1].action) == (3, 9, 9, "drop")
    assert [rule.id for rule in rules.build(["all"], {})] == list(rules.RULES)


@pytest.mark.parametrize(
    ("specs", "flags", "message"),
    [
        ([], {}, "no rule: give one with --rule"),
        (["palomar"], {}, "did you mean 'paloma'"),
        (["paloma(n=3)"], {}, "unknown field `n`"),
        (["paloma"], {"n": 3}, "--n is no parameter of paloma"),
        (["decon", "decon(n=4)"], {}, "names decon twice"),
        (["all", "decon"], {}, "no other one"),
        (["ngram_item(threshold=2)"], {}, "threshold"),
        (["gpt3(parts=[\"title\"])"], {}, "parts"),
    ],
)  # fmt: skip
def test_what_is_no_rule(specs: list[str], flags: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules.build(specs, flags)
