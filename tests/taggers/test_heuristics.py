"""`gopher_v3`, `c4_v3` and `fineweb_v1`, worked out by hand, and the configs that use them."""

from __future__ import annotations

import gzip
import itertools
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_kit import config, kernels, recipe, registry
from dolma_kit.attributes import Columns, Spans
from dolma_kit.errors import ConfigError
from taggers import fineweb, gopher
from tests.naive.c4_v3 import clean_page

from ..conftest import WriteDocuments
from .test_taggers import batch_of, spans

PAGE = (
    "The cat sat on the mat.\nThe cat sat on the mat. \n\n• one\n  * two...\n \n"
    "The cat sat on the mat.\nThe cat sat on the mat."
)
ARTICLE = (
    "Main page\r\n"
    "Cats are small animals that like milk.[1][citation needed] They sleep all day.\r\n"
    "Dr. J. Smith keeps nine of them [2]\r\n"
    "Please enable JavaScript to see the cats.\r\n"
    "By reading on you accept our Terms of Use.\r\n"
    "They are asleep.\r\n"
    "And so they go on and on...\r\n" + "z" * 1001 + " is no word of any language.\r\n"
    "Would you like to have a cat? {"
)


def tag(part: Any, *texts: str) -> Columns:
    return registry.tagger(part).tag(batch_of(texts))


def scores(columns: Columns, document: int = 0) -> dict[str, float]:
    return {k: float(v[document]) for k, v in columns.items() if not isinstance(v, Spans)}


def test_gopher_v3() -> None:
    assert gopher.KEYS_V3 == kernels.gopher_v3.KEYS
    found = scores(tag("gopher_v3", PAGE))
    n_characters = 4 * len("Thecatsatonthemat.") + len("•one*two...")
    expected = {
        "character_count": len(PAGE),
        "word_count": 28,
        "mean_word_length": n_characters / 28,
        "symbol_to_word_ratio": 1 / 28,
        "fraction_of_words_with_alpha_character": 26 / 28,
        "required_word_count": 1,
        "fraction_of_lines_starting_with_bullet_point": 2 / 6,
        "fraction_of_lines_ending_with_ellipsis": 1 / 6,
        "fraction_of_duplicate_lines": 3 / 6,
        "fraction_of_characters_in_duplicate_lines": 3 * 18 / n_characters,
        # Three paragraphs, of which the last is the first again.
        "fraction_of_duplicate_paragraphs": 1 / 3,
        "fraction_of_characters_in_duplicate_paragraphs": 2 * 18 / n_characters,
        "fraction_of_characters_in_most_common_2grams": 4 * len("Thecat") / n_characters,
        "fraction_of_characters_in_most_common_3grams": 4 * len("Thecatsat") / n_characters,
        "fraction_of_characters_in_most_common_4grams": 4 * len("Thecatsaton") / n_characters,
        **{
            f"fraction_of_characters_in_duplicate_{n}grams": 4 * 18 / n_characters
            for n in range(5, 11)
        },
    }
    assert found == {key: round(value, 5) for key, value in expected.items()}


def test_gopher_v3_where_dolmas_values_go_wrong() -> None:
    repeated = "a b c d e f g h i j " * 100
    stops = "the the the The"
    lines = "\n".join(["x y"] * 10)
    new, old = (tag(part, repeated, stops, lines, "") for part in ("gopher_v3", "gopher_v2"))
    for key in gopher.KEYS_V3[6:]:
        assert all(0 <= scores(new, i)[key] <= 1 for i in range(4)), key
    assert scores(new)["fraction_of_characters_in_duplicate_5grams"] == 1
    assert scores(new, 2)["fraction_of_characters_in_most_common_2grams"] == 1
    assert scores(new, 1)["required_word_count"] == 1
    assert scores(old, 1)["required_word_count"] == 3
    assert scores(new, 2)["fraction_of_characters_in_duplicate_lines"] == 0.9
    assert scores(old, 2)["fraction_of_characters_in_duplicate_lines"] == 1.5
    assert set(scores(new, 3).values()) == {0}


def test_c4_v3() -> None:
    columns = tag("c4_v3", ARTICLE)
    lines = {
        key: [ARTICLE[a:b].split()[0] for a, b in spans(columns, key, 0)]
        for key, value in columns.items()
        if isinstance(value, Spans)
    }
    long_word = "z" * 1001
    assert lines == {
        "lines_with_too_long_word": [long_word],
        "lines_with_no_ending_punctuation": ["Main", "Dr.", "And", "Would"],
        "lines_with_too_few_words": ["Main", "They"],
        "lines_with_javascript": ["Please"],
        "lines_with_policy": ["By"],
        "citations": ["[1]", "[citation", "[2]"],
    }
    (javascript,) = spans(columns, "lines_with_javascript", 0)
    assert ARTICLE[slice(*javascript)] == "Please enable JavaScript to see the cats.\r\n"
    assert scores(columns) == {
        "line_count": 9,
        "kept_line_count": 1,
        "sentence_count": 2,
        "has_lorem_ipsum": 0,
        "has_curly_brace": 1,
        "has_naughty_word": 0,
        "lorem_ipsum_in_kept_lines": 0,
        "curly_brace_in_kept_lines": 0,
        "naughty_word_in_kept_lines": 0,
    }


def test_c4_v3_wants_as_many_words_as_is_said() -> None:
    found = [
        scores(tag({"id": "c4_v3", "min_words_per_line": n}, "They are asleep.\nSo."))
        for n in (0, 2, 3, 4)
    ]
    assert [values["kept_line_count"] for values in found] == [2, 1, 1, 0]
    assert registry.tagger("c4_v3").spec == {"id": "c4_v3", "min_words_per_line": 5}
    with pytest.raises(ConfigError):
        registry.tagger({"id": "c4_v3", "min_words_per_line": -1})


@pytest.mark.parametrize(
    ("line", "is_kept", "flags"),
    [
        ("Here it goes: lorem ipsum dolor.", True, {"lorem_ipsum"}),
        ("Here it goes: lorem ipsum dolor", False, {"lorem_ipsum"}),
        ("Here is a { for you.", True, {"curly_brace"}),
        ("Here is some JavaScript with a {.", False, {"curly_brace"}),
        ("What a pain in the ASS!", True, {"naughty_word"}),
        ("Our cookie policy is a pain in the ass.", False, {"naughty_word"}),
        ("What a class of pain it is!", True, set()),
    ],
)
def test_c4_v3_flags_a_page_as_the_paper_and_as_the_code_do(
    line: str, is_kept: bool, flags: set[str]
) -> None:
    found = scores(tag("c4_v3", f"One two three four five.\n{line}"))
    names = ("lorem_ipsum", "curly_brace", "naughty_word")
    assert {name for name in names if found[f"has_{name}"]} == flags
    assert {name for name in names if found[f"{name}_in_kept_lines"]} == (
        flags if is_kept else set()
    )


def test_c4_v3_spans_are_of_the_text_not_of_its_lower_case() -> None:
    text = "\u0130\u0130 [1] \u0130.\nno end"
    columns = tag("c4_v3", text)
    assert spans(columns, "citations", 0) == [(3, 6)]
    assert spans(columns, "lines_with_no_ending_punctuation", 0) == [(10, 16)]


def test_fineweb_v1() -> None:
    assert fineweb.KEYS == kernels.fineweb.KEYS
    text = 'A line of more than thirty characters.\nAgain it is\n \nAgain it is\n"Quoted."\n'
    n_characters = len(text) - text.count("\n")
    n_words = 7 + 1 + 3 + 3 + 4  # of the first line the full stop, of the last all four pieces
    columns = tag("fineweb_v1", text, "", " \n")
    assert scores(columns) == {
        "fraction_of_lines_ending_with_terminal_punctuation": 1 / 4,
        "fraction_of_short_lines": 3 / 4,
        "fraction_of_characters_in_duplicate_lines": round(11 / n_characters, 5),
        "newline_to_word_ratio": round(5 / n_words, 5),
    }
    assert set(scores(columns, 1).values()) == {0}
    original = scores(tag({"id": "fineweb_v1", "original": True}, text))
    assert original["fraction_of_lines_ending_with_terminal_punctuation"] == round(2 / 6, 5)
    assert original["fraction_of_short_lines"] == round(5 / 6, 5)
    assert original["fraction_of_characters_in_duplicate_lines"] == round(11 / n_characters, 5)


def read(folder: Path) -> dict[str, str]:
    """id -> text of all documents of a folder."""
    found = {}
    for path in sorted(folder.glob("documents/*.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            document = json.loads(line)
            found[document["id"]] = document["text"]
    return found


def test_the_config_c4_drops_what_c4_drops(
    tmp_path: Path, monkeypatch: Any, write_documents: WriteDocuments, shared_data: Path
) -> None:
    texts = {"article": ARTICLE, "cat": ARTICLE.replace("{", "Do you? Really?")}
    for name in ("web", "books"):
        path = min((shared_data / "corpus" / name / "documents").iterdir())
        with gzip.open(path) as stream:
            for line in itertools.islice(stream, 40):
                text = json.loads(line)["text"][:3_000]
                texts[f"{name} {len(texts)}"] = text
    path = tmp_path / "web" / "documents" / "a.jsonl.gz"
    write_documents(path, [{"id": id, "text": text} for id, text in texts.items()])
    monkeypatch.chdir(tmp_path)
    settings = config.read("c4") | {"workers": 1, "quiet": True}
    recipe.run(config.build(config.Recipe, settings))
    ids = list(texts)
    english = np.asarray(tag("language_en_v1", *texts.values())["en"]) >= 0.9
    words = (resources.files("taggers") / "data" / "naughty_words_en.txt").read_text("utf-8")
    expected = {
        id: cleaned
        for id, is_english in zip(ids, english, strict=True)
        if is_english and (cleaned := clean_page(texts[id], words.splitlines())) is not None
    }
    found = read(tmp_path / "cleaned")
    assert found.keys() == expected.keys()
    assert len(ids) > len(found) > 15
    for id, text in found.items():  # spans leave the white space around lines
        assert "\n".join(map(str.strip, text.splitlines())).strip() == expected[id]
    lines = [
        line for text in read(tmp_path / "mixed").values() for line in text.split("\n") if line
    ]
    assert len(lines) == len(set(lines))


PROSE = """The cats of the old house sleep all day, and they have no wish to be woken up again.
When night falls, one of them climbs the wall with great care and looks over our garden.
Nobody knows what it hopes to find there, since every mouse moved away many years ago.
By dawn it returns, washes both paws near my kitchen door, then waits for warm milk."""


@pytest.mark.parametrize("name", ["gopher", "fineweb"])
def test_the_configs_filter(
    name: str, tmp_path: Path, monkeypatch: Any, write_documents: WriteDocuments
) -> None:
    line = PROSE.split("\n")[0]
    texts = {"prose": PROSE, "repeated": "\n".join([line] * 9), "list": "- the and\n" * 60}
    path = tmp_path / "web" / "documents" / "a.jsonl.gz"
    write_documents(path, [{"id": id, "text": text} for id, text in texts.items()])
    monkeypatch.chdir(tmp_path)
    settings = config.read(name) | {"workers": 1, "quiet": True}
    recipe.run(config.build(config.Recipe, settings))
    assert list(read(tmp_path / "mixed")) == ["prose"]
