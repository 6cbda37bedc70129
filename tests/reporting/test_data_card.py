"""The data card: what it says is what the report says, names do nothing, nothing is left out."""

from __future__ import annotations

import doctest
import functools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dolma_kit.errors import ConfigError
from dolma_kit.explaining import Funnel, RuleCount
from dolma_kit.reporting import markdown
from dolma_kit.reporting.answers import (
    VERSION,
    Corpus,
    Missing,
    Mix,
    Report,
    Stage,
    StreamRemoval,
    Tokens,
)
from dolma_kit.reporting.composition import composition
from dolma_kit.reporting.data_card import data_card, question_list, read_answers
from dolma_kit.reporting.facts import FACTS
from dolma_kit.statistics.stage import stats

STATISTICS = ["summary", "lengths", "urls", "dates", "languages", "licenses", "duplicates", "pii"]
IDS = [one.id for section in question_list() for one in section.questions]
NAME = "a-source"  # of the example, and a stand-in for hostile ones
RENDERER = MarkdownIt("commonmark").enable("table")  # what rich brings; HTML is let through

EMPTY = Report(
    version=VERSION, title="", made_with={}, stages=[], costs=None, composition=[], corpora=[],
    mixes=[], tokens=[], runs=[], similarities=[], missing=[],
)  # fmt: skip

#: name -> how it is seen, if not as it is
HOSTILE = {
    "<script>alert(1)</script>": None,
    "<!-- ": None,
    "a|b": None,
    "|": None,
    "a\\|b": "a\\U+007Cb",
    "\\": None,
    "`x`": None,
    "``": None,
    "a`": None,
    "\\`": None,
    "[a](javascript:alert(1))": None,
    "![a](https://e.example/x.png)": None,
    "**b** _c_ ~~d~~": None,
    "&lt;b&gt;": None,
    "https://e.example www.e.example @user #1": None,
    "line\nbreak\r\n\n# Heading": "lineU+000AbreakU+000DU+000AU+000A# Heading",
    "\u202eevil\u2069": "U+202EevilU+2069",
    "\x00\ud800\t": "U+0000U+D800U+0009",
    "\u05d0\u05d1 1": "\u2068\u05d0\u05d1 1\u2069",
    "ann@example.org": "|||EMAIL_ADDRESS|||",
}


def stream(name: str, rate: float) -> dict[str, Any]:
    return {
        "name": name,
        "keep": "dup = 0 AND q__gopher_v2__word_count >= 20",
        "span_replacement": [{"span": "dup_paragraphs", "replacement": "", "min_score": 0.5}],
        "policies": [{"id": "pii_mask_v1", "max_spans": 7}],
        "rate": rate,
        "output": {"min_text_length": 3},
    }


def stage_of(name: str, folder: str, config: dict[str, Any], **more: Any) -> Stage:
    plain = {
        "folder": folder, "stage": name, "config": config, "config_sha256": "c" * 64,
        "inputs_sha256": "d" * 64, "sources": [], "partial": False, "unmerged_parts": [],
        "units": 1, "documents": 5, "bytes_in": 10, "bytes_out": 20, "quarantined": 0,
        "work_seconds": 1.0, "first": None, "last": "2026-01-02T03:04:05", "executions": [],
    }  # fmt: skip
    return msgspec.convert(plain | more, Stage)


def rule(name: str, documents: int) -> RuleCount:
    return RuleCount(
        rule=name, documents=documents, bytes=11, tokens=None, first_documents=documents,
        first_bytes=11, first_tokens=None, alone_documents=0, alone_bytes=0, alone_tokens=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report with real statistics of five documents of two sources, and a mix of them."""
    path = tmp_path_factory.mktemp("card") / "web/documents/a.jsonl"
    path.parent.mkdir(parents=True)
    rows = [
        {"id": "0", "source": NAME, "text": "Write to ann@example.org or bob@example.org, please.",
         "metadata": {"url": "https://www.bbc.co.uk/a", "license": "CC-BY-4.0"}},
        {"id": "1", "source": NAME, "text": "The same text twice.", "created": "2019-05-01"},
        {"id": "2", "source": "b", "text": "The same text twice.", "created": "2021-07-01"},
        {"id": "3", "source": "b", "text": " "},
        {"id": "4", "source": "b", "text": "A fifth text, which is about nothing in particular."},
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = stats(names=STATISTICS, documents=[str(path)], workers=1, quiet=True)
    corpus = Corpus(
        name="what went in", role="sources", documents=["web"], bytes_stored=path.stat().st_size,
        folder=None, answers=msgspec.to_builtins(found.answers),
    )  # fmt: skip
    tokens = Tokens(
        folder="tokens",
        about={"tokenizer": "t.json", "tokenizer_sha256": "e" * 64, "vocab_size": 8192,
               "documents": 5, "tokens": 12_345},
        sources={NAME: {"documents": 2, "tokens": 12_000}, "b": {"documents": 3, "tokens": 345}},
    )  # fmt: skip
    funnel = Funnel(
        stream=NAME, documents=5, bytes=100, tokens=None, kept_documents=3, kept_bytes=60,
        kept_tokens=None, written=4, rules=[rule("keep", 1), rule("pii_mask_v1", 1)], overlaps={},
    )  # fmt: skip
    dedupe = {"by": "paragraph", "method": "bloom", "min_words": 3, "columns": {"dup": "spans"}}
    return msgspec.structs.replace(
        EMPTY,
        title="An example",
        made_with={"dolma-kit": "0.1.0"},
        stages=[
            stage_of("dedupe", "web/attributes/dup", dedupe, config_sha256="a" * 64),
            stage_of("mix", "mixed", {"streams": [stream(NAME, 1.5)], "seed": 6198},
                     quarantined=2),
            stage_of("tag", "web/attributes/q",
                     {"taggers": [{"id": "c4_v2", "x": None}, {"id": "ngram", "n": [1, 2]}],
                      "models": {"m.bin": "f00"}}, config_sha256="b" * 64),
            stage_of("stats pii", "statistics/pii", {}, quarantined=2),
        ],
        corpora=[corpus],
        composition=composition([corpus], [tokens], []),
        tokens=[tokens],
        mixes=[Mix(folder="mixed", decisions="mixed/decisions.parquet",
                   streams=[StreamRemoval(funnel=funnel, combinations=[], edges=[])])],
        missing=[Missing(section="toxicity", what="toxicity of the sources", why="no attributes",
                         cure="dolma-kit tag web --taggers jigsaw_nsfw_sentence_v2")],
    )  # fmt: skip


def answered(card: str, id_: str) -> str:
    """What stands below the heading of a question."""
    for part in re.split(r"^#+ ", card, flags=re.MULTILINE):
        if f"Key: `{id_}`." in part:
            return part.split("\n", 1)[1]
    raise AssertionError(f"{id_} is not in the card")


def cells(card: str, id_: str) -> list[list[str]]:
    """The rows of tables at a question, with their heads."""
    lines = [line for line in answered(card, id_).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_ids_are_unique_and_begin_with_their_section() -> None:
    assert len(set(IDS)) == len(IDS) == 58
    prefixes = ["motivation", "composition", "collection", "preprocessing", "uses",
                "distribution", "maintenance"]  # fmt: skip
    for section, prefix in zip(question_list(), prefixes, strict=True):
        assert {one.id.split("-")[0] for one in section.questions} == {prefix}


def test_a_question_has_facts_if_the_data_may_answer_it() -> None:
    by_data = {q.id for s in question_list() for q in s.questions if q.by != "people"}
    assert set(FACTS) == by_data


@pytest.mark.parametrize("which", ["empty", "example"])
def test_every_question_stands_once(which: str, example: Report) -> None:
    card = data_card(EMPTY if which == "empty" else example)
    keys = re.findall(r"Key: `([a-z-]+)`", card)
    assert keys == IDS
    headings = re.findall(r"^### (.*)$", card, flags=re.MULTILINE)
    assert headings == [q.question for s in question_list() for q in s.questions]


def test_it_is_the_same_each_time(example: Report) -> None:
    again = msgspec.json.decode(msgspec.json.encode(example), type=Report)
    assert data_card(example) == data_card(again)


def test_an_empty_report_tells_what_is_missing_and_how_to_get_it() -> None:
    card = data_card(EMPTY)
    for id_ in FACTS:
        said = answered(card, id_)
        assert "Not known: " in said, id_
        assert "To get it: `dolma-kit " in said, id_
    assert "0 are answered by what was measured, 0 in part, 0 by people, 58 not at all" in card
    purpose = answered(card, "motivation-purpose").strip()
    assert purpose == "*Not answered: a person has to say. Key: `motivation-purpose`.*"


def test_what_a_report_misses_is_told_in_its_words(example: Report) -> None:
    said = answered(data_card(example), "composition-offensive")
    assert "Not known: toxicity of the sources: no attributes." in said
    assert "To get it: `dolma-kit tag web --taggers jigsaw_nsfw_sentence_v2`." in said


def test_counts_are_those_of_the_report(example: Report) -> None:
    card = data_card(example)
    rows = {row[0]: row[1:] for row in cells(card, "composition-count")[2:]}
    for share in example.composition:
        assert rows[f"`{share.source}`"][:1] == [f"{share.documents_in:,}"]
        assert rows[f"`{share.source}`"][2:4] == [f"{share.words_in:,}", f"{share.tokens:,}"]
    assert rows["in all"][0] == "5"
    assert rows["in all"][3] == "12,345"
    assert "In short: 5 documents, 2 sources, " in card


@pytest.mark.parametrize(
    ("id_", "row"),
    [
        ("composition-errors", ["texts", "4", "3", "2", "1", "25 %"]),
        ("composition-identifiable",
         ["`EMAIL_ADDRESS`", "1", "20 %", "2", "60,606", "not judged"]),
        ("collection-acquired", ["`bbc.co.uk`", "1", "100 %", "12"]),
        ("collection-timeframe", ["2", "40 %", "2019-05", "2021-07"]),
        ("collection-timeframe", ["`2019`", "1", "50 %"]),
        ("distribution-restrictions", ["`CC-BY-4.0`", "`metadata.license`", "1", "20 %",
                                       "52 bytes"]),
        ("composition-sample", [f"`{NAME}`", "5", "3", "60 %", "4"]),
        ("collection-sampling", [f"`{NAME}`", "rate `1.5`"]),
        ("preprocessing-done", [f"`{NAME}`", "`pii_mask_v1`", "1", "1", "11 bytes"]),
    ],
)  # fmt: skip
def test_a_row_of_the_card(id_: str, row: list[str], example: Report) -> None:
    assert row in cells(data_card(example), id_)


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("composition-missing", "what went in: 0 of 5 documents have no text, 1 nothing but white"),
        ("composition-missing", "4 of 5 documents have no URL (80 %)"),
        ("composition-missing", "3 of 5 documents have no date that can be read (60 %)"),
        ("composition-missing", "4 of 5 documents have no licence (80 %)"),
        ("composition-missing", "Asked by `dolma-kit stats dates web`."),
        ("composition-relationships", "2 of 4 texts are the same as another one, in 1 groups"),
        ("composition-errors", "`mix` set 2 lines aside"),
        ("composition-identifiable", "`pii_mask_v1(max_spans=7)` masks what was found"),
        ("composition-identifiable", "it removes 1 document as a whole"),
        ("preprocessing-done", "Step 1, `dedupe`: `by = paragraph`; `method = bloom`; "
                               "`min_words = 3`."),
        ("preprocessing-done", "kept is `dup = 0 AND q__gopher_v2__word_count >= 20`; spans of "
         "`dup_paragraphs` from a score of 0.5 are cut out; policy `pii_mask_v1(max_spans=7)`; "
         "texts below 3 bytes are left out."),
        ("preprocessing-done", "Step 3, `tag`: `taggers` `c4_v2`, `ngram(n=[1, 2])`; model "
                               "`m.bin`, SHA-256 `f00`."),
        ("preprocessing-done", "| `aaaaaaaaaaaa` |"),
        ("maintenance-versions", f"config `{'c' * 64}`, inputs `{'d' * 64}`"),
    ],
)  # fmt: skip
def test_a_sentence_of_the_card(id_: str, said: str, example: Report) -> None:
    assert said in answered(data_card(example), id_)


def test_lengths_are_those_of_the_report(example: Report) -> None:
    rows = {row[0]: row for row in cells(data_card(example), "composition-instance-data")}
    for unit, one in example.corpora[0].answers["lengths"]["units"].items():
        quantiles = [f"{one['quantiles'][point]:,}" for point in ("0.05", "0.5", "0.95", "1.0")]
        assert rows[unit] == [unit, f"{one['documents']:,}", f"{one['mean']:.4g}", *quantiles]


def test_what_people_say_stands_before_what_was_measured(example: Report) -> None:
    given = {"motivation-purpose": "To test.", "composition-count": "Five.\n\nNo more."}
    card = data_card(example, given)
    assert answered(card, "motivation-purpose").strip().split("\n\n") == [
        "> To test.",
        "*Answered by people. Key: `motivation-purpose`.*",
    ]
    said = answered(card, "composition-count")
    assert said.index("> Five.\n>\n> No more.\n") < said.index(f"| `{NAME}` |")
    assert "*Answered by people, with what was measured." in said
    before, after = (
        [int(n) for n in re.findall(r"\d+", one.splitlines()[-1])]
        for one in (data_card(example), card)
    )
    assert before[0] == after[0] == sum(after[1:]) == 58
    assert after[3] == before[3] + 2


def test_markdown_of_an_answer_ends_with_it(example: Report) -> None:
    card = data_card(example, {"motivation-purpose": "```\nan open fence\n\n# no heading\n\u202e"})
    found = [token.content for token in RENDERER.parse(card) if token.type == "fence"]
    assert found == ["an open fence\n\n# no heading\nU+202E\n"]
    assert headings(RENDERER.parse(card)) == headings(RENDERER.parse(data_card(example)))


def headings(tokens: list[Token]) -> list[str]:
    # Quoted ones are not at level 0.
    return [
        tokens[i + 1].content
        for i, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]


@functools.cache
def shape(card: str) -> list[tuple[str, list[str]]]:
    """Of what a card is made, as it is rendered, without its words."""
    return [
        (token.type, [child.type for child in token.children or ()])
        for token in RENDERER.parse(card)
    ]


def renamed(report: Report, name: str) -> Report:
    """The report with another name for one of its sources, domains, licences and streams."""

    def replace(value: Any) -> Any:
        if isinstance(value, dict):
            return {replace(key): replace(one) for key, one in value.items()}
        if isinstance(value, list):
            return [replace(one) for one in value]
        return name if value in (NAME, "bbc.co.uk", "CC-BY-4.0", "language_v1") else value

    return msgspec.convert(replace(msgspec.to_builtins(report)), Report)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_do_nothing(name: str, example: Report) -> None:
    card = data_card(renamed(example, name))
    assert shape(card) == shape(data_card(example))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\ud800-\udfff]", card)
    seen = Counter(
        child.content
        for token in RENDERER.parse(card)
        for child in token.children or ()
        if child.type == "code_inline"
    )
    # Outside of tables a pipe is one, whatever stands before it.
    assert sum(seen[one] for one in {name, HOSTILE[name] or name}) >= 10


@pytest.mark.parametrize("name", HOSTILE)
def test_words_do_nothing(name: str) -> None:
    """Titles, and why something is missing: no code, but no Markdown either."""
    told = Missing(section="toxicity", what=f"x{name}x", why=f"x{name}x")
    plain = Missing(section="toxicity", what="x", why="x")
    card, calm = (
        data_card(msgspec.structs.replace(EMPTY, title=title, missing=[one]))
        for title, one in ((f"x{name}x", told), ("x", plain))
    )

    def kinds(text: str) -> list[tuple[str, list[str]]]:
        # An escaped character is a piece of text of its own, and an @ stands as code.
        plain = shape(text.replace("`@`", "@"))
        return [(a, [b for b in inside if b != "text"]) for a, inside in plain]

    assert kinds(card) == kinds(calm)
    assert not re.search("(?<!`)@", card)
    assert "https://e" not in card.split("## Motivation")[0]


@pytest.mark.parametrize("name", ["", " ", "\u3000"])
def test_a_name_that_is_not_seen_is_told(name: str, example: Report) -> None:
    assert markdown.code(name) == "(no name)"
    assert "(no name)" in data_card(renamed(example, name))


def test_examples_of_markdown_hold() -> None:
    tried = doctest.testmod(markdown)
    assert tried.failed == 0 < tried.attempted


def test_statistics_without_a_pipeline_are_counted(example: Report) -> None:
    other = msgspec.structs.replace(example.corpora[0], role="other", name="statistics")
    card = data_card(msgspec.structs.replace(EMPTY, corpora=[other]))
    assert cells(card, "composition-count")[2 + 1][:2] == ["`b`", "3"]
    assert "Not known" not in answered(card, "composition-count")


def test_an_answer_of_another_form_is_told_as_missing(example: Report) -> None:
    corpus = msgspec.structs.replace(example.corpora[0], answers={"pii": {"form": "older"}})
    card = data_card(msgspec.structs.replace(EMPTY, corpora=[corpus]))
    assert "Not known: personal data" in answered(card, "composition-identifiable")


def test_partial_is_said_at_the_top(example: Report) -> None:
    stages = [msgspec.structs.replace(example.stages[0], partial=True, config={"limit": 5})]
    about = {"about": {"command": "dolma-kit stats urls DOCS --limit 7"}}
    corpora = [msgspec.structs.replace(example.corpora[0], answers={"urls": about})]
    card = data_card(msgspec.structs.replace(example, stages=stages, corpora=corpora))
    head = card.split("## Motivation")[0]
    assert (
        "**Partial: made of the first 5 documents only**: `dedupe in web/attributes/dup`." in head
    )
    assert "**Partial: made of the first 7 documents only**: `urls of what went in`." in head
    assert "Partial" not in data_card(example)


def test_what_others_wrote_may_lack_anything(example: Report) -> None:
    """Addresses without a level, token counts that are texts."""
    corpus = msgspec.structs.replace(
        example.corpora[0], answers={"urls": {**example.corpora[0].answers["urls"], "levels": {}}}
    )
    tokens = [
        msgspec.structs.replace(example.tokens[0], about={"documents": "1", "tokens": [], "x": 1})
    ]
    card = data_card(msgspec.structs.replace(example, corpora=[corpus], tokens=tokens))
    assert "Tokens in `tokens`: –, of – documents" in answered(card, "composition-count")
    assert "have no URL" in answered(card, "composition-missing")


def test_answers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text("motivation-purpose: To test.\nmaintenance-who: |\n  Us,\n  and you.\n")
    assert read_answers(str(path)) == {
        "motivation-purpose": "To test.",
        "maintenance-who": "Us,\nand you.\n",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("motivation-purpos: x", "no question 'motivation-purpos'; did you mean "
                                 "'motivation-purpose'?"),
        ("license: x", "no question 'license'; did you mean 'distribution-licence'?"),
        ("1: x", "no question 1; did you mean "),
        ("motivation-purpose: 3", "motivation-purpose is 3, not a text"),
        ("motivation-purpose: no", "motivation-purpose is False, not a text"),
        ("motivation-purpose: [x]", r"motivation-purpose is \['x'\], not a text"),
        ("motivation-purpose: 2001-13-45", "'2001-13-45' is no timestamp"),
        ("motivation-purpose: &a [*a]", "is nested more than 100 deep"),
        ("motivation-purpose:", "motivation-purpose is None, not a text"),
        ("motivation-purpose: ' '", "motivation-purpose is ' ', not a text"),
        ("motivation-purpose: a\nmotivation-purpose: b", "stands twice"),
        ("- x", "holds no keys"),
        ("a: [", "is not YAML"),
    ],
)  # fmt: skip
def test_answers_that_are_none(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_answers(str(path))


def test_answers_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match=r"no file .*write YAML of answers"):
            read_answers(str(path))


def test_answers_to_no_question_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'uses-tasks'"):
        data_card(EMPTY, {"uses-task": "x"})
