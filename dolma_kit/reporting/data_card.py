"""A data card: what a report knows, and what people say, to the questions of "Datasheets for
Datasets", in Markdown.

The questions are in data_card.yaml (Gebru et al. 2021, arXiv 1803.09010; Dolma's data sheet,
Soldaini et al. 2024, arXiv 2402.00159, answers them, too). What was measured stands with its
numbers and the command that gave them. What people say is quoted, so that its Markdown, an open
fence say, ends where it ends. The same report and answers give the same bytes.
"""

from __future__ import annotations

import difflib
import functools
import os
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from dolma_kit import config
from dolma_kit.errors import ConfigError
from dolma_kit.markup import counted
from dolma_kit.reporting import markdown
from dolma_kit.reporting.answers import Missing, Report
from dolma_kit.reporting.facts import FACTS
from dolma_kit.reporting.facts.composition import total
from dolma_kit.reporting.facts.measured import Blocks, Fact, bullets
from dolma_kit.reporting.numbers import size
from dolma_kit.reporting.reading import first_documents, limits

PLACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data_card.yaml")

By = Literal["data", "both", "people"]
#: what makes a section's facts, if the report does not say; else `dolma-kit stats SECTION`
CURES = {
    "composition": "dolma-kit stats summary DOCS --out statistics",
    "funnel": "dolma-kit mix -c mix.yaml",
    "attributes": "dolma-kit tag DOCS --taggers gopher_v2,c4_v2 --experiment q",
    "provenance": "dolma-kit run -c recipe.yaml",
    "costs": "dolma-kit run -c recipe.yaml",
    "corpora": "dolma-kit report DIR",
    "order": "dolma-kit trace import SRC --out run.yaml",
}
WORDS = {
    "composition": "documents by source",
    "funnel": "what a mix takes and removes",
    "provenance": "what was done by which stage",
    "corpora": "the documents that went in",
    "order": "training runs",
    "pii": "personal data",
}
_EXAMPLE = "motivation-purpose"
MOST_PARTIAL = 6  # of what is, by name


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`by`: the data settles it, the data tells a part of it, or only people can say."""

    id: str
    by: By
    question: str


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    section: str
    questions: list[Question]


class _Answered(NamedTuple):
    """How a question came out: Markdown, and as what it counts."""

    body: str
    by: Literal["data", "part", "people", "none"]


@functools.cache
def question_list() -> list[Section]:
    """All questions by section, in the order of the card."""
    import yaml

    with open(PLACE, encoding="utf-8") as stream:
        return msgspec.convert(yaml.safe_load(stream), list[Section])


def read_answers(path: str) -> dict[str, str]:
    """Answers by question from a YAML file; ConfigError for what is no question or no text."""
    if not os.path.isfile(path):
        raise ConfigError(f"no file {path}: write YAML of answers, such as `{_EXAMPLE}: ...`")
    values = config.read(path)
    _require_questions(values, path)
    for key, value in values.items():
        if not isinstance(value, str) or not value.strip():
            said = reprlib.repr(value)
            raise ConfigError(f"{path}: {key} is {said}, not a text: put it in quotes")
    return values


def _require_questions(keys: Iterable[Any], where: str) -> None:
    known = [one.id for section in question_list() for one in section.questions]
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ConfigError(f"{where}: no question {key!r}; did you mean {near[0]!r}?")


def data_card(report: Report, answers: Mapping[str, str] = {}) -> str:
    """The card; `answers`, by a question's id, stand before what was measured. ConfigError for one
    that answers no question."""
    _require_questions(answers, "answers")
    counts = dict.fromkeys(("data", "part", "people", "none"), 0)
    blocks = _head(report)
    for section in question_list():
        blocks.append(f"## {section.section}")
        for question in section.questions:
            answered = _answered(report, question, answers.get(question.id))
            counts[answered.by] += 1
            blocks += [f"### {question.question}", answered.body]
    blocks += [
        "## How much is answered",
        f"Of {sum(counts.values())} questions {counts['data']} are answered by what was measured, "
        f"{counts['part']} in part, {counts['people']} by people, {counts['none']} not at all.",
    ]
    return "\n\n".join(blocks) + "\n"


def _head(report: Report) -> Blocks:
    """What it is of in one sentence, and how the card is to be read."""
    figures = [
        counted(n, what)
        for n, what in (
            (_amount(report, "documents"), "document"),
            (len(report.composition) or None, "source"),
            (_amount(report, "words"), "word"),
            (total(report, "tokens"), "token"),
        )
        if n is not None
    ]
    n_bytes = _amount(report, "bytes")
    figures += [f"{size(n_bytes)} of text"] if n_bytes is not None else []
    links = " · ".join(f"[{one.section}](#{_anchor(one.section)})" for one in question_list())
    version = report.made_with.get("dolma-kit")
    by = f" {markdown.text(version)}" if version else ""
    mixed = ""
    if any(one.role == "mixed" for one in report.corpora):
        mixed = " What was mixed is the corpus itself; what went in is what it was made of."
    return [
        f"# Data card: {markdown.text(report.title) or 'a corpus'}",
        *([f"In short: {', '.join(figures)}."] if figures else []),
        *(
            f"**Partial: made of the {first_documents(limit)} only**: "
            f"{markdown.codes(made, MOST_PARTIAL)}."
            for limit, made in limits(report).items()
        ),
        "The questions are those of *Datasheets for Datasets* (Gebru et al. 2021), which the data "
        "sheet of Dolma (Soldaini et al. 2024) answers, too. What people say is quoted; all else "
        f"was measured by dolma-kit{by}.{mixed} Folders and commands are as seen from the folder "
        "that is described.",
        links,
    ]


def _amount(report: Report, unit: str) -> int | None:
    """How much was written, or, where nothing was, read."""
    written = total(report, f"{unit}_out")
    return total(report, f"{unit}_in") if written is None else written


def _anchor(title: str) -> str:
    """The name that GitHub and the Hugging Face hub give a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def _answered(report: Report, question: Question, answer: str | None) -> _Answered:
    key = f"Key: `{question.id}`."
    facts = FACTS.get(question.id, ())
    shown = [fact.show(report) for fact in facts]
    blocks = [block for some in shown for block in some]
    if answer is not None:
        by = "people, with what was measured" if blocks else "people"
        quoted = [_quoted(answer), *blocks, f"*Answered by {by}. {key}*"]
        return _Answered("\n\n".join(quoted), "people")
    gaps = [
        gap
        for fact, some in zip(facts, shown, strict=True)
        for gap in _gaps(report, fact, bool(some))
    ]
    blocks += bullets(_told(gaps))
    is_known = any(shown)
    if is_known and question.by == "data":
        return _Answered("\n\n".join([*blocks, f"*Answered by what was measured. {key}*"]), "data")
    if is_known:
        rest = f"*Answered in part, by what was measured. The rest: a person has to say. {key}*"
        return _Answered("\n\n".join([*blocks, rest]), "part")
    why = "nothing was measured" if question.by == "data" else "a person has to say"
    return _Answered("\n\n".join([*blocks, f"*Not answered: {why}. {key}*"]), "none")


def _quoted(answer: str) -> str:
    lines = markdown.visible(answer.replace("\r\n", "\n").strip(), kept="\n\t").split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _gaps(report: Report, fact: Fact, is_shown: bool) -> list[Missing]:
    """What a fact lacks, as the report tells, or at least by what one gets it."""
    if fact.gaps == "never" or (fact.gaps == "if empty" and is_shown):
        return []
    told = [one for one in report.missing if one.section == fact.section]
    if told or is_shown:
        return told
    cure = CURES.get(fact.section, f"dolma-kit stats {fact.section} DOCS --out statistics")
    what = WORDS.get(fact.section, fact.section)
    why = "the report says nothing of it"
    return [Missing(section=fact.section, what=what, why=why, cure=cure)]


def _told(gaps: Sequence[Missing]) -> Iterator[str]:
    """What is lacking for one reason is told together."""
    groups: dict[tuple[str, str | None], list[str]] = {}
    for one in gaps:
        why = one.why.removeprefix(f"{one.section}: ")
        groups.setdefault((why, one.cure), []).append(one.what)
    for (why, cure), what in groups.items():
        how = f" To get it: {markdown.code(cure, markdown.MOST_OF_COMMAND)}." if cure else ""
        names = ", ".join(markdown.text(one) for one in dict.fromkeys(what))
        yield f"Not known: {names}: {markdown.text(why)}.{how}"
