"""The taggers: Dolma's keys and values, on texts worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Spans
from taggers import gopher, language, pii

from ..laws import batch_of
from . import settings

TEXTS = [
    "The cat sat on the mat. The cat sat.\n\n- a bullet line of words\n{code} … ",
    "",
    "  \n\t ",
    "Write to jane@example.com or call 206-555-0100 now, host 10.0.0.25 .",
    "Der schnelle braune Fuchs springt über den faulen Hund, und dann schläft er.",
    "これは日本語の文章です。とても短い。",
]


def tag(part_id: str, texts: Sequence[str] = TEXTS) -> Columns:
    return settings.made(part_id).tag(batch_of(texts))


def spans(columns: Columns, key: str, document: int) -> list[tuple[int, int]]:
    found = columns[key]
    assert isinstance(found, Spans)
    rows = slice(found.offsets[document], found.offsets[document + 1])
    return list(zip(found.start[rows].tolist(), found.end[rows].tolist(), strict=True))


def test_gopher_v2() -> None:
    assert gopher.KEYS == kernels.gopher.KEYS
    values = tag("gopher_v2")
    assert values["character_count"][0] == len(TEXTS[0])
    assert values["word_count"].tolist() == [17, 0, 0, 10, 13, 1]
    # `the` and `of`, twice and once: `The` is not among the required words.
    assert values["required_word_count"][0] == 2
    assert values["symbol_to_word_ratio"][0] == round(1 / 17, 5)
    assert values["fraction_of_lines_starting_with_bullet_point"][0] == round(1 / 3, 5)
    # "The cat" and "cat sat" occur twice; "The cat" first: 2 * 6 characters.
    n_characters = len("".join(TEXTS[0].split()))
    assert values["fraction_of_characters_in_most_common_2grams"][0] == round(12 / n_characters, 5)
    assert np.isnan(values["fraction_of_characters_in_most_common_2grams"][1])
    assert values["median_word_length"][1] == 0


def test_c4_v2() -> None:
    columns = tag("c4_v2")
    assert columns["line_count"].tolist() == [4, 1, 2, 1, 1, 1]
    assert columns["has_curly_brace"][0] == 1
    assert np.isnan(columns["has_curly_brace"][1:]).all()
    assert np.isnan(columns["has_javascript"]).all()
    first = TEXTS[0].index("\n") + 1
    assert spans(columns, "lines_with_no_ending_punctuation", 0)[0] == (first, first + 1)
    assert spans(columns, "lines_with_too_few_words", 1) == [(0, 0)]
    shouting = tag("c4_v2", ["Enable JavaScript, LOREM IPSUM", "a\u0130{"])
    assert shouting["has_javascript"][0] == shouting["has_lorem_ipsum"][0] == 1
    assert spans(shouting, "lines_with_no_ending_punctuation", 1) == [(0, 3)]


def test_pii_regex_with_counts_fast_v2() -> None:
    assert pii.TYPES == kernels.pii.TYPES
    columns = tag("pii_regex_with_counts_fast_v2")
    text = TEXTS[3]
    found = {key: [text[a:b] for a, b in spans(columns, key, 3)] for key in pii.TYPES}
    assert found == {
        "EMAIL_ADDRESS": [" jane@example.com "],
        "PHONE_NUMBER": [" 206-555-0100"],
        "IP_ADDRESS": ["10.0.0.25"],
    }
    assert columns["doc_count"].tolist() == [0, 0, 0, 3, 0, 0]
    share = sum(len(s) for matches in found.values() for s in matches) / len(text)
    assert columns["doc_frac"].tolist() == [1, -1, 1, round(share + 1, 5), 1, 1]


def test_language_v1_and_language_en_v1() -> None:
    columns = tag("language_v1")
    assert len(columns) == len(language.labels()) == 176
    best = [max(columns, key=lambda key: np.nan_to_num(columns[key][i])) for i in (3, 4, 5)]
    assert best == ["en", "de", "ja"]
    for value in columns.values():
        assert (np.isnan(value) | (np.asarray(value) > 0.01)).all()
    english = tag("language_en_v1")
    np.testing.assert_allclose(english["en"] + english["not_en"], 1, atol=1.1e-5)
    assert english["en"][3] == columns["en"][3] > 0.5
    assert english["en"][5] < 0.01


def test_language_scores_are_those_of_the_library() -> None:
    import fasttext as reference

    model = reference.load_model(language.model_path())
    columns = tag("language_v1")
    for i, text in enumerate(TEXTS):
        names, scores = model.predict(text.lower().replace("\n", " ").strip(), k=-1)
        expected = {
            name.removeprefix("__label__"): round(float(score), 5)
            for name, score in zip(names, scores, strict=True)
            if score > language.MIN_SCORE
        }
        assert {k: v[i] for k, v in columns.items() if v[i] == v[i]} == expected


def test_language_paragraphs_v1() -> None:
    columns = tag("language_paragraphs_v1", ["Der Fuchs schläft.\n \nThe cat sat on the mat.", ""])
    (german,), (english,) = spans(columns, "de", 0), spans(columns, "en", 0)
    assert (german, english) == ((0, 19), (21, 44))
    alone = tag("language_v1", ["Der Fuchs schläft.\n", "The cat sat on the mat."])
    for label, value in columns.items():
        assert isinstance(value, Spans)
        assert value.offsets[1] == value.offsets[2]
        scores = alone[label]
        assert value.score.tolist() == [s for s in np.asarray(scores) if s == s]


def test_language_labels_are_those_of_the_model() -> None:
    assert sorted(language.model().labels) == sorted(language.labels())


def test_char_length_v1() -> None:
    assert tag("char_length_v1")["length"].tolist() == [len(text) for text in TEXTS]
