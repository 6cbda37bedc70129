"""The page of a report: what each section shows, and that no text of a corpus does anything."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from dolma_kit.reporting.answers import Report
from dolma_kit.reporting.page import report_page
from dolma_kit.reporting.sections import overview
from dolma_kit.reporting.sections.comparisons import wimbd

from . import example

SECTIONS = (
    "missing", "provenance", "composition", "funnel", "edges", "lengths", "languages", "urls",
    "dates", "licenses", "ngrams", "duplicates", "attributes", "pii", "toxicity", "contamination",
    "overlap", "order", "costs", "published",
)  # fmt: skip


class Parsed(HTMLParser):
    """The tags, with their attributes, and the words of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, str] = {}
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs).get("id") or ""

    def handle_data(self, data: str) -> None:
        self.words[self._section] = self.words.get(self._section, "") + data

    def all(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(attribute)) is not None]


@pytest.fixture(scope="module")
def page(page_text: str) -> Parsed:
    return Parsed(page_text)


def test_sections_are_in_their_order(page: Parsed) -> None:
    assert tuple(a["id"] for tag, a in page.tags if tag == "section") == SECTIONS
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS] * 2


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("", ["A small corpus", "documents read", "steps of training", "epochs"]),
        ("missing", ["dates of wiki", "nobody asked", "dolma-kit stats dates wiki"]),
        ("provenance", ["tokenize", "web/attributes/q", "gopher_v2", "quarantined", "dolma-kit"]),
        ("composition", ["web", "wiki", "dolma-kit mix composition --from mixed"]),
        ("funnel", ["rate", "alone", "--from mixed --json"]),
        ("edges", ["40 of 55 documents stay", "Of 2 files 1 were looked at", "mix sweep"]),
        ("lengths", ["median", "exact", "dolma-kit stats lengths"]),
        ("languages", ["unsure", "dolma-kit stats languages"]),
        ("urls", ["example.org", "https", "Gini", "without a URL"]),
        ("dates", ["2010", "none there", "Not measured: dates of wiki: nobody asked"]),
        ("licenses", ["none", "dolma-kit stats licenses"]),
        ("ngrams", ["exact", "occur once", "the same line"]),
        ("duplicates", ["paragraphs", "could be removed", "exact"]),
        ("attributes", ["q__char_length_v1__length", "missing", "median"]),
        ("pii", ["|||EMAIL_ADDRESS|||", "per million words", "not judged"]),
        ("toxicity", ["insults", "3 of 5", "2 to 8", "f•••"]),
        ("contamination", ["arc_easy", "22.5 %", "12.3 to 37.5 %; 9 of 40", "Which of these is"]),
        ("overlap", ["31 %", "± 2 %", "exact", "≈ 18", "dolma-kit stats overlap web wiki"]),
        ("order", ["steps of 4 instances", "times each", "trace exposure --run run.yaml"]),
        ("costs", ["measured (RAPL)", "modelled", "8 W a core", "PUE of 1.2", "432 J"]),
        ("published", ["OpenWebText", "364,868,892", "2310.20707", "what went in"]),
    ],
)  # fmt: skip
def test_a_section_shows(page: Parsed, section: str, words: list[str]) -> None:
    for one in words:
        assert one in page.words[section], one


def test_every_number_says_what_asks_for_it(page: Parsed) -> None:
    for section in SECTIONS[1:]:
        assert "dolma-kit" in page.words[section], section


def test_a_page_is_whole_and_alone(page: Parsed) -> None:
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "link"})
    assert all(href.startswith("#") for href in page.all("href"))
    assert page.all("src") == []


def test_ids_are_one_of_a_kind_and_known(page: Parsed) -> None:
    ids = Counter(page.all("id"))
    assert [name for name, n in ids.items() if n > 1] == []
    for names in page.all("aria-labelledby"):
        assert set(names.split()) <= ids.keys()


def test_headings_are_in_order(page: Parsed) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_tables_have_captions_and_scopes(page: Parsed) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 30
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    boxes = [a for _, a in page.tags if a.get("class") in ("scroll", "drawn")]
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in boxes)


def test_what_texts_say_of_people_is_not_shown(whole: Report, page: Parsed) -> None:
    """Addresses stand in the n-grams' words, in excerpts and in paragraphs."""
    shown = " ".join(page.words.values())
    assert not re.search(r"user\d+ ?@ ?mail|ann@mail", shown)
    assert "|||EMAIL_ADDRESS|||" in page.words["edges"]


def test_the_same_report_gives_the_same_bytes(
    whole: Report, page_text: str, tmp_path: Path
) -> None:
    """Also in another process, whose sets are in another order."""
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(whole))
    program = (
        "import hashlib, msgspec, sys; from dolma_kit.reporting.answers import Report; "
        "from dolma_kit.reporting.page import report_page; "
        "report = msgspec.json.decode(open(sys.argv[1], 'rb').read(), type=Report); "
        "sys.stdout.buffer.write(report_page(report).encode('utf-8', 'replace'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert done.stdout == page_text.encode("utf-8", "replace")


def test_a_report_of_nothing_says_so() -> None:
    page = Parsed(report_page(example.NOTHING))
    for section in SECTIONS[1:-1]:
        assert "Not measured" in page.words[section], section
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links == ["#missing"] * 2
    assert "OpenWebText" in page.words["published"]


def test_an_answer_of_another_form_is_one_line(whole: Report) -> None:
    answers = {"lengths": {"about": 1}, "pii": {"kinds": [2]}}
    changed = msgspec.structs.replace(whole.corpora[0], answers=answers)
    page = Parsed(report_page(msgspec.structs.replace(example.NOTHING, corpora=[changed])))
    for section in ("lengths", "pii"):
        assert "of another form than this version reads" in page.words[section]


def test_of_too_many_the_largest_are_shown(whole: Report) -> None:
    text = report_page(example.many(whole))
    page = Parsed(text)
    assert len(text.encode()) < 5_000_000
    assert "others" in page.words["composition"]
    assert "source 299" in page.words["composition"]
    assert re.search(r"100 %1\.5and", page.words["composition"])  # epochs are those of all sources
    assert f"and {example.MANY - 40} sources more" in page.words["composition"]
    assert "284 languages more" in page.words["languages"]
    assert "240 streams more" in page.words["funnel"]


def test_no_text_of_a_corpus_does_anything(hostile_text: str) -> None:
    page = Parsed(hostile_text)
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "link", "b1"})
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all(href.startswith("#") for href in page.all("href"))
    assert not re.search("[\u202e\0\ud800-\udfff]", hostile_text)
    assert len(hostile_text) < 5_000_000
    assert "U+202E" in hostile_text


def test_what_is_partial_is_said_in_the_head(whole: Report, page: Parsed) -> None:
    assert "Partial" not in page.words[""]
    stages = [
        msgspec.structs.replace(one, partial=True, config={**one.config, "limit": limit})
        for one, limit in zip(whole.stages, (1, 2000, 2000, None), strict=False)
    ]
    about = {"about": {"command": "dolma-kit stats pii DOCS --limit 7 --top 3"}}
    corpus = msgspec.structs.replace(whole.corpora[0], answers={"pii": about}, folder=None)
    changed = msgspec.structs.replace(whole, stages=stages, corpora=[corpus])
    said = Parsed(overview.head(changed)).words[""]
    first = stages[0]
    assert f"made of the first document only: {first.stage} in {first.folder}." in said
    assert f"made of the first 2,000 documents only: {stages[1].stage} in " in said
    assert "made of the first documents only: " in said
    assert "made of the first 7 documents only: pii of what went in." in said


def test_partial_statistics_are_said_where_they_are_shown(whole: Report) -> None:
    (pii,) = [s for s in whole.stages if s.folder == "statistics/sources/pii"]
    pii = msgspec.structs.replace(pii, partial=True, config={**pii.config, "limit": 5})
    for corpora, is_said in ((whole.corpora, True), ([], False)):
        shown = msgspec.structs.replace(whole, stages=[pii], corpora=corpora)
        said = "Partial: made of the first 5 documents only: pii of what went in."
        assert (said in Parsed(overview.head(shown)).words[""]) == is_said


def test_small_shares_are_whole_html(whole: Report) -> None:
    """`< 0.001 %` and `< 1e-300` are no tags, in captions and their names neither."""
    rare = msgspec.structs.replace(whole.composition[0], token_share=1e-7)
    many = example.many(whole)
    text = report_page(
        msgspec.structs.replace(
            many, composition=[rare], corpora=many.corpora[:1], mixes=[], stages=[]
        )
    )
    assert "&lt; 0.001 %" in text
    assert "&lt; 1e-300" in text
    assert not re.search(r"<[\s\d]", text)
    pii = dict(whole.corpora[0].answers["contamination"], missing_rate=1e-7)
    corpus = msgspec.structs.replace(whole.corpora[0], answers={"contamination": pii})
    page = Parsed(report_page(msgspec.structs.replace(example.NOTHING, corpora=[corpus])))
    assert any("< 0.001 %" in label for label in page.all("aria-label"))
    assert "(< 0.001 %)" in page.words["contamination"]


def test_commands_are_quoted(whole: Report) -> None:
    """A folder's name is no second command."""
    name = "a b; touch pwned"
    edge = msgspec.structs.replace(whole.mixes[0].streams[0].edges[0], column=name)
    stream = msgspec.structs.replace(whole.mixes[0].streams[0], edges=[edge])
    changed = msgspec.structs.replace(
        example.NOTHING,
        composition=whole.composition,
        mixes=[msgspec.structs.replace(whole.mixes[0], folder=name, streams=[stream])],
        runs=[msgspec.structs.replace(whole.runs[0], run=name)],
        similarities=[msgspec.structs.replace(whole.similarities[0], names=[name, "b"])],
    )
    page = Parsed(report_page(changed))
    for section, command in {
        "composition": "dolma-kit mix composition --from 'a b; touch pwned'",
        "funnel": "dolma-kit mix funnel --from 'a b; touch pwned' --json",
        "edges": "dolma-kit mix sweep DOCS --column 'a b; touch pwned'",
        "overlap": "dolma-kit stats overlap 'a b; touch pwned' b",
        "order": "dolma-kit trace exposure --run 'a b; touch pwned' --at ",
    }.items():
        assert command in page.words[section]
    assert "trace exposure --run 'a b; touch pwned'" in page.words["composition"]


def test_the_reference_is_as_printed() -> None:
    """A few figures of WIMBD, by hand, and what must hold of them."""
    corpora = {one["name"]: one for one in wimbd()["corpora"]}
    assert len(corpora) == 10
    assert corpora["C4"]["tokens"] == 153_607_833_664
    assert corpora["The Pile"]["duplicates"] == 138_716_558
    assert corpora["S2ORC"]["median_tokens"] == 4538
    for one in corpora.values():
        assert one["shortest"] <= one["median_tokens"] <= one["longest"]
        assert one["duplicates"] <= one["documents"]
