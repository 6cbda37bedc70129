"""What facts have in common: the answers of statistics, the corpus itself first, and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from dolma_kit.reporting import markdown, reading
from dolma_kit.reporting.answers import Corpus, Report
from dolma_kit.reporting.reading import Answer

#: tells of stages, their configs and versions again
REPORT = "dolma-kit report ."
MOST_CORPORA = 4
MOST_ROWS = 40
MOST_FOLDERS = 8  # that a command names one by one
_ORDER = {"mixed": 0, "sources": 1, "other": 2}
#: paragraphs and tables, Markdown; none where nothing is known
Blocks = list[str]


class Fact(NamedTuple):
    """What `show` says of a report. What it lacks is in the section of `Report.missing`, and is
    told always, only where nothing is shown, or never: another fact tells it."""

    section: str
    show: Callable[[Report], Blocks]
    gaps: Literal["always", "if empty", "never"] = "always"


def answers(report: Report, statistic: str, kind: type) -> list[Answer]:
    """Those that can be read: of the corpus itself, then of what went in, then others."""
    found = [one for one in reading.answers(report, statistic, kind) if one.value is not None]
    return sorted(found, key=lambda one: _ORDER[one.corpus.role])[:MOST_CORPORA]


def named(corpus: Corpus) -> str:
    """Which documents, in words."""
    return markdown.code(corpus.name) if corpus.role == "other" else markdown.text(corpus.name)


def asked(found: Sequence[Answer]) -> Blocks:
    """The commands that gave the answers, with the corpus's own folders."""
    said = markdown.command(*(_of_folders(one) for one in found))
    return [said] if said else []


def _of_folders(one: Answer) -> str:
    folders = one.corpus.documents
    command: str = one.value.about.command
    if not 0 < len(folders) <= MOST_FOLDERS:
        return command
    together = " ".join(map(shlex.quote, folders))
    return re.sub(r"\bDOCS(?: DOCS)*\b", lambda _: together, command, count=1)


def table(
    found: Sequence[Answer],
    heads: Sequence[str],
    rows: Callable[[Any], Iterable[Sequence[str]]],
) -> Blocks:
    """A table of the rows that each answer has, of several in front which documents they are of,
    and the commands; nothing without rows."""
    of = len(found) > 1
    made = [
        [*([named(one.corpus)] if of else []), *row] for one in found for row in rows(one.value)
    ]
    if not made:
        return []
    left = len(made) - MOST_ROWS
    more = [f"And {left:,} rows more, in the JSON beside this card."] if left > 0 else []
    return [markdown.table(["of", *heads] if of else heads, made[:MOST_ROWS]), *more, *asked(found)]


def bullets(lines: Iterable[str]) -> Blocks:
    """A list; nothing without lines."""
    made = "\n".join(f"- {line}" for line in lines)
    return [made] if made else []


def asked_of_mixes(report: Report, question: str) -> Blocks:
    """The commands that ask each mix."""
    commands = [
        f"dolma-kit mix {question} --from {shlex.quote(mix.folder)}" for mix in report.mixes
    ]
    said = markdown.command(*commands)
    return [said] if said else []
