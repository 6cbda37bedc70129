"""The answers of statistics in a report, as the structs that they are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Corpus, Report
from dolma_kit.reporting.numbers import integer

#: of many corpora those that went in and the mixed ones come first
MOST_CORPORA = 8
_LIMIT = re.compile(r" --limit (\d{1,18})(?= |$)")


class Section(NamedTuple):
    """A part of the page: HTML, and whether it has anything to show."""

    id: str
    title: str
    body: str
    is_measured: bool


class Answer(NamedTuple):
    """What one corpus has for a statistic: a struct, or None where it could not be read."""

    corpus: Corpus
    value: Any

    @property
    def command(self) -> str | None:
        return None if self.value is None else self.value.about.command


def answers(report: Report, statistic: str, kind: type) -> list[Answer]:
    """Of each corpus that was asked, in the order of the report."""
    found = []
    for corpus in report.corpora:
        if statistic not in corpus.answers:
            continue
        value: Any
        try:
            value = msgspec.convert(corpus.answers[statistic], kind)
        except (msgspec.ValidationError, UnicodeEncodeError):  # or a name of no Unicode
            value = None
        found.append(Answer(corpus, value))
    return found


def section(
    report: Report,
    id_: str,
    title: str,
    statistic: str,
    kind: type,
    show: Callable[[list[Answer]], str],
    *,
    about: str = "",
) -> Section:
    """The section of one statistic: `show` gets those that could be read, at least one."""
    found = answers(report, statistic, kind)
    readable = [one for one in found if one.value is not None]
    body = f"<p>{about}</p>" if about else ""
    if readable:
        body += show(readable[:MOST_CORPORA])
        body += blocks.command(*(one.command for one in readable[:MOST_CORPORA]))
        body += blocks.others(len(readable) - MOST_CORPORA, "corpus of statistics")
    for one in found:
        if one.value is None:
            body += blocks.unreadable(f"{statistic} of {one.corpus.name or blocks.NO_NAME}")
    body += missing(report, id_, is_measured=bool(readable))
    return Section(id_, title, body, bool(readable))


def limits(report: Report) -> dict[int | None, list[str]]:
    """What of a report was made of the first documents only, by how many of them (None where that
    is not known): stages, and the statistics of corpora that are shown."""
    found: dict[int | None, list[str]] = {}
    partial = {one.folder: one for one in report.stages if one.partial}
    for one in partial.values():
        if not one.stage.startswith("stats "):
            found.setdefault(_limit(one.config), []).append(f"{one.stage} in {one.folder}")
    for corpus in report.corpora:
        for name, answer in corpus.answers.items():
            stage = partial.get(os.path.normpath(f"{corpus.folder}/{name}"))
            asked = _LIMIT.search(_command(answer))
            limit = int(asked[1]) if asked else _limit(stage.config) if stage else None
            if asked or stage:
                found.setdefault(limit, []).append(f"{name} of {corpus.name}")
    return found


def first_documents(limit: int | None) -> str:
    """
    >>> first_documents(1), first_documents(2000), first_documents(None)
    ('first document', 'first 2,000 documents', 'first documents')
    """
    if limit == 1:
        return "first document"
    return "first documents" if limit is None else f"first {limit:,} documents"


def _limit(config: Mapping[str, Any]) -> int | None:
    return integer(config.get("limit"))


def _command(answer: Any) -> str:
    """The command of an answer, which may be of any form."""
    about = answer.get("about") if isinstance(answer, dict) else None
    command = about.get("command") if isinstance(about, dict) else None
    return command if isinstance(command, str) else ""


def missing(report: Report, id_: str, *, is_measured: bool) -> str:
    """What a section lacks."""
    some = [one for one in report.missing if one.section == id_]
    if some or not is_measured:
        return blocks.not_measured(some)
    return ""


def heading(corpus: Corpus, found: Sequence[Answer]) -> str:
    """Over what one of several corpora has."""
    return f"<h3>{blocks.name(corpus.name)}</h3>" if len(found) > 1 else ""
