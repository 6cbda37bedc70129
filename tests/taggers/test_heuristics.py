"""`gopher_v3`, `c4_v3`, `fineweb_v1`: on texts worked out by hand, and as configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_kit import config, kernels
from dolma_kit.recipe import run
from taggers import fineweb, gopher

from ..conftest import WriteDocuments
from ..laws import batch_of
from . import settings
from .test_taggers import spans, tag


def test_gopher_v3_has_the_kernels_columns() -> None:
    assert gopher.KEYS_V3 == kernels.gopher_v3.KEYS
    assert len(set(gopher.KEYS_V3)) == len(gopher.KEYS_V3)


def test_gopher_v3() -> None:
    text = "The cat, the mat.\n• and...\n\nThe cat, the mat.\n- # x1 …\n"
    found = {key: float(value[0]) for key, value in tag("gopher_v3", [text]).items()}
    words = text.split()
    n = sum(map(len, words))
    assert found["character_count"] == len(text)
    assert found["word_count"] == len(words) == 14
    assert found["mean_word_length"] == round(n / 14, 5)
    assert found["symbol_to_word_ratio"] == round(2 / 14, 5), "two ellipses, one hash sign"
    assert found["required_word_count"] == 2, "`the`, whatever its case, and `and...`"
    assert found["fraction_of_lines_starting_with_bullet_point"] == 2 / 4
    assert found["fraction_of_lines_ending_with_ellipsis"] == 2 / 4
    assert found["fraction_of_duplicate_lines"] == 1 / 4
    assert found["fraction_of_characters_in_duplicate_lines"] == round(14 / n, 5)
    assert found["fraction_of_duplicate_paragraphs"] == 0
    assert found["fraction_of_characters_in_most_common_2grams"] == round(2 * 7 / n, 5)
    assert found["fraction_of_characters_in_duplicate_5grams"] == 0


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10])
def test_no_character_of_gopher_v3_counts_twice(n: int) -> None:
    """Dolma's exceed 1 on overlaps."""
    kind = "most_common" if n < 5 else "duplicate"
    key = f"fraction_of_characters_in_{kind}_{n}grams"
    assert tag("gopher_v3", ["na " * 500])[key][0] == 1
    if n < 5:
        assert tag("gopher_v2", ["na " * 500])[key][0] > 1


PAGE = """Welcome to the page of cats.
Menu | Home | About
Cats sleep for most of the day [1]. They wake in the evening. "Why?" asked Mr. S. [citation needed].
Please enable JavaScript to see all of this page.
Read our Privacy Policy before you read on, please.
This line of words just trails off...
"""


def test_c4_v3() -> None:
    columns = tag("c4_v3", [PAGE])

    def lines(key: str) -> list[str]:
        return [PAGE[start:end].rstrip("\n") for start, end in spans(columns, key, 0)]

    rows = PAGE.rstrip("\n").split("\n")
    assert lines("lines_with_no_ending_punctuation") == [rows[1], rows[5]]
    assert lines("lines_with_javascript") == [rows[3]]
    assert lines("lines_with_policy") == [rows[4]]
    assert lines("citations") == ["[1]", "[citation needed]"]
    assert lines("lines_with_too_long_word") == lines("lines_with_too_few_words") == []
    assert columns["line_count"][0] == 6
    assert columns["kept_line_count"][0] == 2
    assert columns["sentence_count"][0] == 1 + 3, 'Mr. ends none, nor does `?"` before `asked`'
    assert columns["has_curly_brace"][0] == columns["has_naughty_word"][0] == 0
    flags = tag(
        "c4_v3", ["Lorem Ipsum {\n", "An ass, as one says it here.", "A class of many here."]
    )
    assert flags["has_lorem_ipsum"].tolist() == flags["has_curly_brace"].tolist() == [1, 0, 0]
    assert flags["has_naughty_word"].tolist() == [0, 1, 0]
    assert flags["curly_brace_in_kept_lines"].tolist() == [0, 0, 0], "that line goes anyway"


def test_c4_v3_wants_as_many_words_as_it_is_told() -> None:
    text = "One two three four.\n"
    assert spans(tag("c4_v3", [text]), "lines_with_too_few_words", 0) == [(0, len(text))]
    made = settings.registry.tagger("c4_v3(min_words_per_line=3)")
    assert spans(made.tag(batch_of([text])), "lines_with_too_few_words", 0) == []


def test_fineweb_v1() -> None:
    long = "This is a line of more than thirty characters"
    text = f"{long}.\nshort\n\n{long}.\n{long},\n"
    found = {key: float(value[0]) for key, value in tag("fineweb_v1", [text]).items()}
    assert tuple(found) == fineweb.KEYS
    n = len(text.replace("\n", ""))
    assert found["fraction_of_lines_ending_with_terminal_punctuation"] == 0.5
    assert found["fraction_of_short_lines"] == 0.25
    assert found["fraction_of_characters_in_duplicate_lines"] == round(len(long + ".") / n, 5)
    assert found["newline_to_word_ratio"] == round(5 / (9 * 3 + 1 + 3), 5)


GOOD = """The harbour was quiet when the fishermen came back from the sea that morning.
Nobody on the pier had expected them before noon, and most of the stalls were still closed.
A boy with a red cap ran to tell his grandmother what he had seen behind the breakwater.
She put down her knitting, looked out of the window, and said that the weather would turn.
By the evening every boat had been pulled onto the beach, far above the line of the tide.
People have talked about that storm ever since, with more water in it each time they do."""


@pytest.mark.parametrize("name", ["c4", "gopher", "fineweb"])
def test_a_config_drops_what_its_paper_drops(
    name: str, tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": "good", "text": GOOD},
        {"id": "short", "text": "Too few words here"},
        {"id": "list", "text": "* Home\n* About\n* Contact\n" * 40},
    ]
    write_documents(tmp_path / "web/documents/a.jsonl", rows)
    values: dict[str, Any] = config.read(name)
    run(config.build(config.Recipe, values | {"workers": 1, "quiet": True}))
    (shard,) = Path("mixed/documents").glob("*")
    import gzip

    kept = [msgspec.json.decode(line) for line in gzip.decompress(shard.read_bytes()).splitlines()]
    assert [document["id"] for document in kept] == ["good"]
    assert kept[0]["text"].strip() == GOOD
