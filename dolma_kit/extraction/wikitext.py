"""Wikitext as plain text.

Headings stand on lines of their own, paragraphs are parted by blank lines, items of lists begin
with `- ` or a number, two spaces deeper each level. There are no tables, references, pictures,
categories and links to other languages; of other links the words are kept. Of templates only those
are kept whose value is text, by the rules of `data/wikipedia.json`:

    1, 2, last      that argument
    all, spaced, slashed   the arguments, joined by nothing, a space, a slash
    unit            a number and its unit;    convert  the same, without the converted value
    quote           a paragraph of its own;   circa, as of, currency, nihongo, siècle  as named
    template_texts  always the same text

Sections that hold no prose (references, external links and the like, `dropped_sections`) are left
out, and so are headings with nothing below them.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dolma_kit.extraction import entities
from dolma_kit.extraction.wikitext_pruning import CLOSE, CUT, OPEN, prune

if TYPE_CHECKING:
    from mwparserfromhell.nodes import Template
    from mwparserfromhell.wikicode import Wikicode

MOST_NESTED = 30  # templates within each other that the parser is given
MOST_CHARACTERS = 10_000  # of a template that the parser is given
FILE, CATEGORY = 6, 14
_NAMESPACES = {"file": FILE, "image": FILE, "category": CATEGORY}
_HEADING = re.compile(r"(={1,6})(.+?)\1[\s\x01]*")
_LIST = re.compile(r"([*#:;]+)[ \t]*(.*)")
_RULE = re.compile(r"-{4,}")
_QUOTES = re.compile(r"'{2,}")
_MAGIC = re.compile(r"__[^\W\d_]{3,30}__")
_SPACES = re.compile(r" {2,}")
_MARKED = re.compile(rf"{OPEN}(\d+){CLOSE}")
_VARIANTS = re.compile(r"-\{(?:[A-Za-z;]{1,10}\|)?([^{}]*)\}-")
_BRACES = re.compile(r"\{\{[^{}|\n]*\|?|\}\}")
_FUNCTION_VALUES: dict[str, Callable[[str], str]] = {
    "formatnum": str,
    "lc": str.lower,
    "uc": str.upper,
    "lcfirst": lambda value: value[:1].lower() + value[1:],
    "ucfirst": lambda value: value[:1].upper() + value[1:],
}
_FUNCTIONS = tuple(f"{name}:" for name in _FUNCTION_VALUES)
_ITEMS = {"*": "- ", ":": "", ";": ""}


class Site(NamedTuple):
    """What a wiki's pages depend on: its language and, by their names in lower case, its
    namespaces."""

    language: str = ""
    namespaces: Mapping[str, int] = {}


class Plain(NamedTuple):
    """The text of a page. It is not `is_parsed` where a template was too large for the parser, or
    held too many within each other: of these all words are kept."""

    text: str
    is_parsed: bool


class Rules(NamedTuple):
    """`data/wikipedia.json`; all names in lower case."""

    templates: dict[str, str]  # name -> rule
    texts: dict[str, str]
    currencies: dict[str, str]
    units: dict[str, str]
    ranges: dict[str, str]
    dropped_sections: frozenset[str]
    language_codes: frozenset[str]
    disambiguation: re.Pattern[str]


@functools.cache
def rules() -> Rules:
    data = importlib.resources.files("dolma_kit.extraction") / "data" / "wikipedia.json"
    read = msgspec.json.decode(data.read_bytes())
    names = "|".join(map(re.escape, read["disambiguation_templates"]))
    return Rules(
        templates={
            name.casefold(): rule for rule, names in read["templates"].items() for name in names
        },
        texts={name.casefold(): text for name, text in read["template_texts"].items()},
        currencies=read["currencies"],
        units=read["units"],
        ranges=read["ranges"],
        dropped_sections=frozenset(
            title.casefold() for titles in read["dropped_sections"].values() for title in titles
        ),
        language_codes=frozenset(read["language_codes"]),
        disambiguation=re.compile(rf"\{{\{{\s*(?:{names})\s*[|}}]|__DISAMBIG__", re.IGNORECASE),
    )


def is_disambiguation(wikitext: str) -> bool:
    """Whether a template or mark of the page says that it tells meanings of a title apart."""
    return rules().disambiguation.search(wikitext) is not None


def plain_text(wikitext: str, site: Site) -> Plain:
    """The text of a page; in linear time, whatever is in it.

    >>> plain_text("A '''[[tea|cup of tea]]'''{{cn}} is {{convert|2|dl}}.\\n* one", Site()).text
    'A cup of tea is 2 dl.\\n- one'
    """
    reading = _Reading(site)
    text, kept = prune(wikitext, reading)
    if site.language.startswith("zh"):
        text = _VARIANTS.sub(_variant, text)
    text = "\n".join(_blocks(text))
    text = _MARKED.sub(lambda match: kept[int(match[1])], text)
    return Plain(text.strip(), reading.is_parsed)


class _Reading:
    """How links and templates of a page are read; wikitext_pruning.Rules."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.is_parsed = True

    def keeps(self, name: str) -> bool:
        name = _name(name)
        rule = rules().templates.get(name)
        if rule == "siècle":  # {{s}}, which elsewhere is something else
            return self._site.language == "fr"
        return rule is not None or name in rules().texts or name.startswith(_FUNCTIONS)

    def is_dropped(self, prefix: str) -> bool:
        name = _name(prefix)
        namespace = self._site.namespaces.get(name, _NAMESPACES.get(name))
        # Codes of languages are in lower case; titles as "IT: a film" begin with a capital.
        return namespace in (FILE, CATEGORY) or prefix.strip() in rules().language_codes

    def value_of(self, template: str, depth: int) -> str:
        if depth <= MOST_NESTED and len(template) <= MOST_CHARACTERS:
            is_short = len(template) < 200
            value = _known_value(template) if is_short else _value(template)
            if value is not None:
                return value
        self.is_parsed = False
        return _BRACES.sub("", template)


def _value(template: str) -> str | None:
    """What a template shows; None if it cannot be parsed."""
    import mwparserfromhell
    from mwparserfromhell.parser import ParserError

    try:
        # Bold and italic marks are taken out line by line: the parser's time for them grows with
        # the square of their number where they are not paired.
        code = mwparserfromhell.parse(template, skip_style_tags=True)
    except ParserError:
        return None
    return _text_of(code)


_known_value = functools.lru_cache(maxsize=1 << 14)(_value)


def _text_of(code: Wikicode) -> str:
    return "".join(map(_node, code.nodes))


def _node(node: Any) -> str:
    from mwparserfromhell import nodes

    if isinstance(node, nodes.Template):
        return _template(node)
    if isinstance(node, nodes.Heading):
        marks = "=" * node.level
        return f"{marks}{_text_of(node.title)}{marks}"
    if isinstance(node, nodes.Argument):
        return "" if node.default is None else _text_of(node.default)
    # References are decoded last of all: what they stand for is no mark of wikitext.
    return str(node)


def _template(node: Template) -> str:
    name = _name(str(node.name))
    if (text := rules().texts.get(name)) is not None:
        return text
    rule = rules().templates.get(name)
    if rule is None:
        function, _, value = _text_of(node.name).partition(":")
        made = _FUNCTION_VALUES.get(_name(function))
        return CUT if made is None else made(value.strip())
    given = [(str(one.name).strip(), one) for one in node.params]
    named = {name: _text_of(one.value).strip() for name, one in given if one.showkey}
    listed = [_text_of(one.value).strip() for _, one in given if not one.showkey]
    while (next_one := str(len(listed) + 1)) in named:
        listed.append(named.pop(next_one))
    text = _made(name, rule, listed, named)
    return text if text.strip() else CUT


def _made(name: str, rule: str, listed: list[str], named: dict[str, str]) -> str:
    """A template's value by its rule; empty where it has none."""
    first = listed[0] if listed else ""
    match rule:
        case "1" | "2":
            return next(iter(listed[int(rule) - 1 :]), "") or named.get("text", "")
        case "last":
            return listed[-1] if listed else ""
        case "all":
            return "".join(listed)
        case "spaced":
            return " ".join(filter(None, listed))
        case "slashed":
            return "/".join(listed) if len(listed) < 3 else f"{first} {'/'.join(listed[1:3])}"
        case "unit":
            unit = named.get("u") or named.get("ul") or "".join(listed[1:])
            return f"{first} {unit}".strip()
        case "convert":
            return _converted(listed)
        case "quote":
            text = named.get("text") or named.get("quote") or first
            return f"\n\n{text}\n\n" if text else ""
        case "circa":
            return f"c. {first}".strip()
        case "as of":
            return f"{'as' if named.get('lc') else 'As'} of {'-'.join(listed)}"
        case "nihongo":
            more = ", ".join(filter(None, listed[1:3]))
            return f"{first} ({more})" if first and more else first or more
        case "siècle":
            return f"{first}{'er' if first == 'I' else 'e'} siècle" if first else ""
        case "currency":
            return f"{rules().currencies[name]}{first}" if first else ""
    raise ValueError(f"data/wikipedia.json: {rule!r} is no rule for templates")


def _converted(listed: list[str]) -> str:
    """What is converted: a number or two, and the unit."""
    number, rest = (listed[0], listed[1:]) if listed else ("", [])
    if len(rest) > 1 and (between := rules().ranges.get(rest[0])) is not None:
        number, rest = f"{number}{between}{rest[1]}", rest[2:]
    unit = rest[0] if rest else ""
    return f"{number} {rules().units.get(unit, unit)}".strip()


def _name(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _variant(match: re.Match[str]) -> str:
    """Of Chinese text that is told in variants, the simplified or first one."""
    told = [part.partition(":") for part in match[1].split(";") if part.strip()]
    if not told or not all(colon for _, colon, _ in told):
        return match[1]
    by_code = {code.strip().lower(): text for code, _, text in reversed(told)}
    return by_code.get("zh-hans") or by_code.get("zh-cn") or told[0][2]


def _blocks(text: str) -> Iterator[str]:
    """The lines of the finished text, blank ones between paragraphs."""
    headings: list[tuple[int, str]] = []  # that are written once something stands below them
    dropped: int | None = None  # the level of the section that is left out
    counts: list[int] = []
    before = ""  # the marks of the item before
    is_first, is_apart = True, False
    for line in text.split("\n"):
        heading = _HEADING.fullmatch(line.strip())
        if heading is not None and (title := _cleaned(heading[2])):
            level = len(heading[1])
            if dropped is not None and level > dropped:
                continue
            is_dropped = title.casefold().rstrip(":") in rules().dropped_sections
            dropped = level if is_dropped else None
            while headings and headings[-1][0] >= level:
                headings.pop()
            if not is_dropped:
                headings.append((level, title))
            is_apart, before = True, ""
            continue
        if dropped is not None:
            continue
        item = _LIST.fullmatch(line)
        cleaned = _cleaned(line if item is None else item[2])
        if not cleaned or _RULE.fullmatch(cleaned):
            is_cut = CUT in line and not line.replace(CUT, "").strip()
            is_apart = is_apart or not (is_cut or item is not None)
            continue
        for _, title in headings:
            if not is_first:
                yield ""
            yield title
            is_first, is_apart = False, True
        headings.clear()
        if is_apart and not is_first:
            yield ""
        is_first, is_apart = False, False
        if item is None:
            before = ""
            indent = line[1:] if line.startswith(" ") else ""  # a blank marks text as it is typed
            yield indent[: len(indent) - len(indent.lstrip(" "))] + cleaned
        else:
            yield _marked(item[1], before, counts) + cleaned
            before = item[1]


def _marked(marks: str, before: str, counts: list[int]) -> str:
    """What stands before an item; `counts` are those of numbered ones, by level."""
    same = 0
    while same < min(len(marks), len(before)) and marks[same] == before[same]:
        same += 1
    if len(marks) >= len(before) or same < len(marks):
        del counts[same:]
    else:
        del counts[len(marks) :]
    counts.extend([0] * (len(marks) - len(counts)))
    indent = "  " * sum(mark in "*#" for mark in marks[:-1])
    if marks[-1] != "#":
        return indent + _ITEMS[marks[-1]]
    counts[-1] += 1
    return f"{indent}{counts[-1]}. "


def _cleaned(line: str) -> str:
    """A line without marks of any kind, and without what the things that were cut out of it leave:
    empty brackets, commas and spaces that belonged to them."""
    line = _QUOTES.sub(_quotes, line)
    if "__" in line:
        line = _MAGIC.sub(lambda match: "" if match[0].isupper() else match[0], line)
    line = entities.decoded(line)
    line = line.replace("\xa0", " ").replace("\t", " ")
    if CUT in line:
        line = _closed_up(line)
    if "  " in line:
        line = _SPACES.sub(" ", line)
    return line.strip()


def _closed_up(line: str) -> str:
    """A line without what surrounded the things that were cut out of it."""
    first, *others = _CUTS.sub(CUT, line).split(CUT)
    made = [first]
    looks = 1000  # each may copy the line so far
    for right in others:
        left = made.pop()
        while made and looks and not left.strip(_SEPARATORS):  # between two cuts
            left = made.pop() + left
            looks -= 1
        opening, closing = left.rstrip(_SEPARATORS), right.lstrip(_SEPARATORS)
        if opening.endswith(("(", "（")):
            left, right = opening, closing
            if closing.startswith((")", "）")):
                left, right = opening[:-1].rstrip(" "), closing[1:]
        elif closing.startswith((")", "）")):
            left, right = opening, closing
        elif right.lstrip(" ").startswith(_POINTS):
            left, right = left.rstrip(" "), right.lstrip(" ")
            if left.endswith(_COMMAS) and right.startswith((*_COMMAS, ".", "。")):
                left = left[:-1]
        made += [left, right]
    return "".join(made)


_CUTS = re.compile(r"\x01(?: ?\x01)+")
_COMMAS = (",", ";", "،", "、", "；", "，")
_POINTS = (*_COMMAS, ".", ":", "!", "?", "。", "：", ")", "）")
_SEPARATORS = "".join(_COMMAS) + " :/–-"


def _quotes(match: re.Match[str]) -> str:
    """Two are italic, three bold, five both; what is beyond is written."""
    n = len(match[0])
    return "'" * (1 if n == 4 else max(n - 5, 0))
