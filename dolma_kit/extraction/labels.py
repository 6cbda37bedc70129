"""What an element says of itself: by its tag, its role, the names of its class and id.

Answers are kept by these names, which repeat within a page and a site.
"""

from __future__ import annotations

import functools
import re
from importlib import resources

from dolma_kit.extraction.elements import attribute

MAX_NAMES = 300  # characters

_KEPT_TAGS = ("main", "article", "body", "pre", "code")
_DROPPED_TAGS = ("nav", "aside", "footer", "menu", "search", "label", "legend")
_DROPPED_ROLES = (
    "navigation", "banner", "contentinfo", "search", "complementary", "dialog", "alertdialog",
    "menu", "menubar", "toolbar", "tablist", "button", "doc-toc", "doc-backlink",
)  # fmt: skip
_HEADER = {"header", "hdr", "banner", "appbar", "logo", "branding"}
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: these tell how a page is laid out around its content, not what they hold
_LAYOUT = re.compile(
    r"\b(?:has|with|without|no|is|js|not|hide|show|open)-?[\w-]*?"
    r"(?:sidebar|nav|menu|header|footer|ads?|banner|modal|toc|widget|share|hidden)s?\b|"
    r"\b(?:sidebar|nav|menu|modal|toc|footer|drawer)s?[-_]"
    r"(?:open|closed|left|right|enabled|layout|content|wrap(?:per)?|container|visible|shift)\b|"
    r"\bhidden(?=[^\"]*\b(?:sm|md|lg|xl|2xl):(?:block|flex|grid|inline|table))|"
    r"\b(?:quote|comment)-footer\b"
)
_CONTENT_HEADER = re.compile(
    r"(?:entry|post|article|content|story|question|recipe|section|card|review|product|comment|"
    r"title|thread|topic|event|chapter|doc|table|panel)[-_]{0,2}(?:header|head|hdr|title)|hero",
    re.IGNORECASE,
)
_KEPT_ASIDE = re.compile(
    r"note|admonition|callout|tip|warning|topic|important|caution|danger|example|definition|info"
)
_TOC = re.compile(r"\b(?:tocs?|table-of-contents|tableofcontents)\b", re.IGNORECASE)


@functools.cache
def _unwanted() -> tuple[frozenset[str], re.Pattern[str]]:
    """Words of names, parted at `-`, `_`, spaces and capitals; parts of names."""
    words = " ".join(_lines("boilerplate_words.txt")).split()
    return frozenset(words), re.compile("|".join(_lines("boilerplate_parts.txt")))


def _lines(name: str) -> list[str]:
    text = (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def is_hidden(attributes: str) -> bool:
    """Whether an element is never seen, by its own attributes."""
    plain = attributes.lower()
    if "hidden" not in plain and "display" not in plain and "modal" not in plain:
        return False
    if "mwe-math" in attributes or "katex-mathml" in attributes:
        return False  # hidden beside a picture of the same formula
    style = attribute(attributes, "style")
    if style and _HIDDEN_STYLE.search(style):
        return True
    return (
        attribute(attributes, "aria-hidden") == "true"
        or attribute(attributes, "hidden") is not None
        or attribute(attributes, "aria-modal") == "true"
    )


def is_unwanted(tag: str, attributes: str) -> bool:
    """Whether an element says of itself that it is no content."""
    if not attributes:
        return tag in _DROPPED_TAGS
    return _is_unwanted(tag, attribute(attributes, "role"), _names(attributes))


def is_header(attributes: str) -> bool:
    """Whether an element says that it is the head of something, perhaps of the site."""
    return bool(attributes) and _is_header(_names(attributes))


def is_contents(attributes: str) -> bool:
    """Whether an element is a table of contents."""
    return _TOC.search(_names(attributes)) is not None


@functools.lru_cache(maxsize=1 << 14)
def _is_unwanted(tag: str, role: str | None, names: str) -> bool:
    if role in _DROPPED_ROLES:
        return True
    if tag in _DROPPED_TAGS:
        if tag == "aside":
            return _KEPT_ASIDE.search(names) is None
        return tag != "footer" or re.search("meta|author|quote", names) is None
    if not names or tag in _KEPT_TAGS or role == "main":
        return False
    plain = _LAYOUT.sub(" ", names)
    words, parts = _unwanted()
    return (
        not words.isdisjoint(_words(plain))
        or parts.search(plain.lower()) is not None
        or _TOC.search(names) is not None
    )


@functools.lru_cache(maxsize=1 << 14)
def _is_header(names: str) -> bool:
    return not _HEADER.isdisjoint(_words(names)) and _CONTENT_HEADER.search(names) is None


def _names(attributes: str) -> str:
    """Of the class and the id; what is longer is for scripts."""
    class_, id_ = attribute(attributes, "class"), attribute(attributes, "id")
    return (f"{class_} {id_}" if class_ and id_ else class_ or id_ or "")[:MAX_NAMES]


def _words(names: str) -> set[str]:
    return set(re.findall("[a-z0-9]+", _CAMEL.sub(" ", names).lower()))
