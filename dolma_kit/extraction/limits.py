"""What a parser of HTML can bear, by experiment, and a check of it.

resiliparse's parser (lexbor) survives 1,000,000 elements in each other, but writes `<template>`s
down by recursion (a stack of 8 MiB ends between 30,000 and 100,000 of them), and compares each
attribute of a tag with all others of it (100,000 take 19 seconds). Formatting that nobody closes is
opened again in every block: 1,000 `<font>`s before 5,000 paragraphs take 2 GB. Its extractor's time
grows with the square of the depth: 2,000 take 0.06 seconds, 10,000 take 2. Browsers nest 512 deep.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict

from dolma_kit.errors import DolmaKitError

MAX_DEPTH = 2_000  # elements in each other
MAX_UNCLOSED = 20_000  # tags; by counting, before anything is parsed
MAX_TAGS = 500_000
MAX_ATTRIBUTES = 1_000  # of a tag
MAX_TEMPLATES = 10_000
MAX_COPIES = 500_000  # elements that a parser makes of formatting that nobody closes
USUALLY_OPEN = 8  # tags of formatting, in each other
MAX_SAME = 3  # of them, of those that are the same, are opened again (WHATWG's "Noah's Ark")
UNSUSPECTED = 5_000  # attributes of a page; even if all are one tag's, they take no time
MAX_CHARS = 1 << 26

VOID = frozenset((
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr",
))  # fmt: skip
_IMPLIED = frozenset((
    "html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot",
    "caption", "colgroup", "option", "optgroup", "rp", "rt", "rb", "rtc",
))  # fmt: skip


class PageError(DolmaKitError):
    """A page that is not read: the `reason` is the same for all that it holds for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check(html: str) -> None:
    """Raises PageError for what no parser should be given."""
    if len(html) > MAX_CHARS:
        raise PageError("too long")
    n_tags = html.count("<")
    if n_tags > MAX_TAGS:
        raise PageError("too many tags")
    if _has_too_many_attributes(html):
        raise PageError("too many attributes")
    if n_tags > MAX_TEMPLATES and len(re.findall("<template", html, re.I)) > MAX_TEMPLATES:
        raise PageError("too many templates")
    if n_tags > MAX_UNCLOSED and n_unclosed(html) > MAX_UNCLOSED:
        raise PageError("nested too deep")
    if n_tags**2 > MAX_COPIES and (n_reopened(html) - USUALLY_OPEN) * n_tags > MAX_COPIES:
        raise PageError("formatting that is never closed")


def _has_too_many_attributes(html: str) -> bool:
    if html.count("=") <= UNSUSPECTED and not _long_tag().search(html):
        return False
    for found in _whole_tag().finditer(html):
        attributes = found["attributes"] or ""
        if len(attributes) > 2 * MAX_ATTRIBUTES and (
            len(_attribute().findall(attributes)) > MAX_ATTRIBUTES
        ):
            return True
    return False


def n_unclosed(html: str) -> int:
    """The greatest number of tags that are open at once, those apart that need no end tag.

    By counting, in one pass and without a parser. Misplaced end tags are taken at their word, so
    that a page may be deeper than this.
    """
    is_open: Counter[str] = Counter()
    now = most = 0
    for end, written in _tag().findall(html):
        name = written.lower()
        if not end:
            if name not in VOID and name not in _IMPLIED:
                is_open[name] += 1
                now += 1
                most = max(most, now)
        elif is_open[name]:
            is_open[name] -= 1
            now -= 1
    return most


def n_reopened(html: str) -> int:
    """The greatest number of tags of formatting that are open at once, MAX_SAME of each."""
    is_open: dict[str, list[str]] = defaultdict(list)
    n_same: Counter[str] = Counter()
    now = most = 0
    for end, name, attributes in _formatting_tag().findall(html):
        tags = is_open[name.lower()]
        if not end:
            tag = f"{name} {attributes}"
            tags.append(tag)
            n_same[tag] += 1
            now += n_same[tag] <= MAX_SAME
            most = max(most, now)
        elif tags:
            tag = tags.pop()
            now -= n_same[tag] <= MAX_SAME
            n_same[tag] -= 1
    return most


@functools.cache
def _tag() -> re.Pattern[str]:
    return re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")


@functools.cache
def _formatting_tag() -> re.Pattern[str]:
    names = "b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u"
    return re.compile(rf"<(/?)({names})(?=[\s/>])([^>]*)", re.IGNORECASE)


@functools.cache
def _long_tag() -> re.Pattern[str]:
    return re.compile(rf"<[a-zA-Z][^<>]{{{2 * MAX_ATTRIBUTES},}}")


@functools.cache
def _whole_tag() -> re.Pattern[str]:
    """A tag with its attributes; without any, what has text in which there are no tags."""
    return re.compile(
        r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title|xmp)\b[^>]*+>.*?(?:</\1|\Z)|"
        r"""<[a-zA-Z][^\s/>]*+(?P<attributes>(?:[^>"']++|"[^"]*+"|'[^']*+')*+)""",
        re.IGNORECASE | re.DOTALL,
    )


@functools.cache
def _attribute() -> re.Pattern[str]:
    return re.compile(r"""[^\s"'=/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"']+))?""")
