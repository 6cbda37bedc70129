"""The answers of statistics in a report, as the structs that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from dolma_kit.reporting import blocks
from dolma_kit.reporting.answers import Corpus, Report

#: of many corpora those that went in and the mixed ones come first
MOST_CORPORA = 8


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


def missing(report: Report, id_: str, *, is_measured: bool) -> str:
    """What a section lacks."""
    some = [one for one in report.missing if one.section == id_]
    if some or not is_measured:
        return blocks.not_measured(some)
    return ""


def heading(corpus: Corpus, found: Sequence[Answer]) -> str:
    """Over what one of several corpora has."""
    return f"<h3>{blocks.name(corpus.name)}</h3>" if len(found) > 1 else ""
