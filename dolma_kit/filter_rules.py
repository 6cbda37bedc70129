"""Filters of Adblock Plus, as the lists of ad blockers have them: one line parsed into a rule.

`||host^`, `|prefix`, `suffix|`, `*`, `^` (a separator), `/expression/`, `@@` before an exception
and `$options` after. What each means is taken from adblock-rust 0.8.8 (filters/network.rs), which
Dolma 1.2.1 asks. Rules for the content of pages are no rules for URLs and are left out.

A rule is read for one of two kinds of request. `resource`: what Dolma asks, a request of another
site for something of unknown type. `document`: a page that is opened as itself.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Request = Literal["resource", "document"]

#: bits of what a rule is, of how its pattern is tied, and (from TYPES) of the requests it is for
EXCEPTION, IMPORTANT, BAD, MATCH_CASE, HIDE, REDIRECT, ALSO_BLOCK, OTHER_PURPOSE = (
    1 << i for i in range(8)
)
AT_HOST, LEFT, RIGHT, WILD, EXPRESSION, WILD_HOST = (1 << i for i in range(8, 14))
THIRD_PARTY, FIRST_PARTY, HTTP, HTTPS = (1 << i for i in range(14, 18))
_TYPES = {
    name: 1 << (18 + i)
    for i, names in enumerate(
        [
            ["image"],
            ["media"],
            ["object", "object-subrequest"],
            ["other"],
            ["ping", "beacon"],
            ["script"],
            ["stylesheet", "css"],
            ["subdocument", "frame"],
            ["xmlhttprequest", "xhr"],
            ["websocket"],
            ["font"],
            ["document", "doc"],
        ]
    )
    for name in names
}
DOCUMENT, OTHER = _TYPES["document"], _TYPES["other"]
NETWORK = sum(set(_TYPES.values())) - DOCUMENT
_PARTIES = {"third-party": True, "3p": True, "first-party": False, "1p": False}
_HOST_RULE = re.compile(r"\|\|(?:www\.)*+([a-z0-9](?:[a-z0-9.-]*[a-z0-9-])?)\^")
_HOST_RULE_MASK = AT_HOST | RIGHT | THIRD_PARTY | FIRST_PARTY | HTTP | HTTPS | NETWORK | DOCUMENT


class Rule(NamedTuple):
    """One filter. Patterns are in lower case, but for MATCH_CASE."""

    mask: int
    host: str | None  # after `||`
    pattern: str  # after that; "" matches all
    domains: tuple[str, ...] = ()  # of pages that ask; () is all
    not_domains: tuple[str, ...] = ()
    tag: str | None = None
    modifier: str | None = None


def host_of(line: str) -> str | None:
    """The host of a rule `||host^`, which nearly all rules of many lists are; None of others."""
    found = _HOST_RULE.fullmatch(line)
    return found[1] if found else None


def host_rule(host: str) -> Rule:
    """The rule `||host^`."""
    return Rule(_HOST_RULE_MASK, host, "")


class _Options(NamedTuple):
    mask: int  # bits to set
    parties: int  # bits to clear
    types: int
    not_types: int
    domains: tuple[str, ...]
    not_domains: tuple[str, ...]
    tag: str | None
    modifier: str | None


class _Unknown(ValueError):
    """An option that is not known, or makes no sense here: the whole rule is left out."""


def parse(line: str, request: Request) -> Rule | None:
    """The rule of a line; None for a comment, a rule for the content of pages, or a faulty one."""
    line = line.strip()
    if not is_network(line):
        return None
    try:
        return _parse(line, request)
    except _Unknown:
        return None


def is_network(line: str) -> bool:
    """Whether a line has the form of a rule for URLs."""
    if len(line.encode("utf-8", "replace")) < 2 or line.startswith(("!", "[Adblock")):
        return False
    if line[0] == "#" and line[1].isspace():
        return False
    if line.startswith(("|", "@@|")):
        return True
    sharp = line.find("#")
    is_content = sharp >= 0 and line.startswith(
        ("#", "@#", "@$#", "@%#", "@?#", "%#", "$#", "?#", "$?#"), sharp + 1
    )
    return "$$" not in line and not is_content


def _parse(line: str, request: Request) -> Rule:
    is_exception = line.startswith("@@")
    start, end = 2 * is_exception, line.rfind("$")
    options = _Options(0, 0, 0, 0, (), (), None, None)
    if request == "document" and len(line) > start + 1 and line[start] == line[-1] == "/":
        end = -1  # a `$` of the expression
    if end >= 0:
        options = _parse_options(line[end + 1 :], request)
    else:
        end = len(line)
    mask = (THIRD_PARTY | FIRST_PARTY | HTTP | HTTPS | options.mask) & ~options.parties
    mask |= EXCEPTION * is_exception
    if line.startswith("||", start):
        mask, start = mask | AT_HOST, start + 2
    elif line.startswith("|", start):
        mask, start = mask | LEFT, start + 1
    ends_with_bar = end > start and line[end - 1] == "|"
    if ends_with_bar:
        mask, end = mask | RIGHT, end - 1
    text = line[start:end]
    mask |= options.types
    if options.not_types & NETWORK or not options.types & (NETWORK | DOCUMENT):
        mask |= NETWORK
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        mask |= EXPRESSION
    elif mask & MATCH_CASE:
        raise _Unknown
    host = None
    if mask & AT_HOST:
        mask, host, text = _split_host(mask, text)
    is_all = bool(text) and not text.strip("*")
    mask, text = _without_stars(mask, text)
    mask, text = _without_scheme(mask, text)
    mask |= LEFT * (is_all and host is not None)  # nothing is asked of what follows the host
    mask |= WILD * _is_wild(text)
    if host is not None:
        host = _ascii_host(re.sub(r"^(www\.)+", "", host).lower())
    if mask & HIDE and not is_exception:
        raise _Unknown
    has_types = options.types | options.not_types
    is_host_rule = mask & AT_HOST and mask & RIGHT and not ends_with_bar
    if not has_types and (is_host_rule or request == "document"):
        mask |= NETWORK | DOCUMENT
    elif request == "document" and not options.types:
        mask |= DOCUMENT
    return Rule(
        mask & ~options.not_types,
        host,
        text if mask & MATCH_CASE else _ascii_lower(text),
        options.domains,
        options.not_domains,
        options.tag,
        options.modifier,
    )


def _parse_options(text: str, request: Request) -> _Options:
    mask = parties = types = not_types = 0
    domains: tuple[str, ...] = ()
    not_domains: tuple[str, ...] = ()
    tag = modifier = None
    n_modifiers = 0
    for item in text.split(","):
        is_not = item.startswith("~")
        name, _, value = item.lstrip("~").partition("=")
        if name == "domain" or (name == "from" and request == "document"):
            parts = value.split("|")
            domains = tuple(sorted({p for p in parts if p[:1] != "~"})) or domains
            not_domains = tuple(sorted({p[1:] for p in parts if p[:1] == "~"})) or not_domains
        elif name in _PARTIES:
            parties |= FIRST_PARTY if _PARTIES[name] != is_not else THIRD_PARTY
        elif name in _TYPES and not (is_not and _TYPES[name] == DOCUMENT and request == "resource"):
            if is_not:
                not_types |= _TYPES[name]
            else:
                types |= _TYPES[name]
        elif name == "csp":
            mask, modifier, n_modifiers = mask | OTHER_PURPOSE | DOCUMENT, value, n_modifiers + 1
        elif is_not:
            raise _Unknown
        elif name in ("badfilter", "important", "match-case"):
            mask |= {"badfilter": BAD, "important": IMPORTANT, "match-case": MATCH_CASE}[name]
        elif name in ("generichide", "ghide"):
            mask |= HIDE
        elif name == "tag":
            tag = value
        elif name in ("redirect", "redirect-rule", "removeparam") and value:
            n_modifiers, modifier = n_modifiers + 1, value
            if name == "removeparam":
                mask |= OTHER_PURPOSE
            else:
                mask |= REDIRECT | ALSO_BLOCK * (name == "redirect")
        elif name == "all" and request == "document":
            types |= NETWORK | DOCUMENT
        else:
            raise _Unknown
    if n_modifiers > 1 or (mask & OTHER_PURPOSE and mask & DOCUMENT and types | not_types):
        raise _Unknown
    return _Options(mask, parties, types, not_types, domains, not_domains, tag, modifier)


def _split_host(mask: int, text: str) -> tuple[int, str, str]:
    """Host and pattern of what follows `||`."""
    separator = re.search("[/^*]" if _is_wild(text) else "/", text)
    if separator is None:
        return mask, text, ""
    host, text = text[: separator.start()], text[separator.start() :]
    if separator.group() == "*":
        mask |= WILD_HOST
    if text == "^":
        return mask | RIGHT, host, ""
    return mask | LEFT, host, text


def _without_stars(mask: int, text: str) -> tuple[int, str]:
    """A star at either end says no more than that the pattern may go on there."""
    if text.endswith("*"):
        text = text[:-1]
    if text.startswith("*"):
        mask, text = mask & ~LEFT, text[1:]
    return mask, text


def _without_scheme(mask: int, text: str) -> tuple[int, str]:
    """A pattern of nothing but a scheme is for requests by it."""
    schemes = {"ws://": 0, "http://": HTTP, "https://": HTTPS, "http*://": HTTP | HTTPS}
    if mask & LEFT and text in schemes:
        return (mask & ~(LEFT | HTTP | HTTPS)) | schemes[text], ""
    return mask, text


def _is_wild(text: str) -> bool:
    return "*" in text or "^" in text


def _ascii_lower(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    import idna

    try:
        return idna.encode(host, uts46=True, transitional=False).decode()
    except UnicodeError:
        raise _Unknown from None


def is_for(rule: Rule, request: Request) -> bool:
    """Whether a rule is for requests of this kind; domains and schemes are another matter."""
    if request == "resource":
        wanted = OTHER | THIRD_PARTY | HTTP
        return rule.mask & wanted == wanted
    return bool(rule.mask & FIRST_PARTY) and bool(rule.mask & (DOCUMENT | EXCEPTION))


def expression_of(rule: Rule) -> str:
    """The regular expression that stands for a pattern: RE2's syntax, which is that of Rust."""
    if rule.mask & EXPRESSION:
        return rule.pattern[1:-1].replace("\\/", "/").replace("\\:", ":")
    text = re.sub(r"([|.$+?{}()\[\]])", r"\\\1", rule.pattern).replace("*", ".*")
    text = re.sub(r"\^(.)", r"(?:[^\\w\\d\\._%-])\1", text)
    text = re.sub(r"\^\Z", r"(?:[^\\w\\d\\._%-]|$)", text)
    return f"{'^' if rule.mask & LEFT else ''}{text}{'$' if rule.mask & RIGHT else ''}"


_WORD = re.compile(r"(?:[^\W_]|%)+")


def words_of(rule: Rule, request: Request) -> list[str]:
    """Words of which every URL that the rule matches has each as a whole word.

    For `resource` those that adblock-rust takes for such: it errs with a pattern that is tied to
    nothing at its start, whose first word a URL may have as the end of another.
    """
    found = []
    text = "" if rule.mask & EXPRESSION else rule.pattern
    left, right = rule.mask & LEFT, rule.mask & RIGHT
    for match in _WORD.finditer(text):
        start, end = match.span()
        if request == "document":
            begins = start > 0 or left
            ends = end < len(text) or right
        else:
            begins = start > 0 or end == len(text) or not right
            ends = end < len(text) or right
        if (
            is_word(match.group())
            and begins
            and ends
            and text[start - 1 : start] != "*"
            and text[end : end + 1] != "*"
        ):
            found.append(match.group())
    if rule.host is not None and not rule.mask & WILD_HOST:
        found += words_of_host(rule.host)
    return found


def words_of_host(host: str) -> list[str]:
    return [word for word in _WORD.findall(host) if len(word) > 1]


def is_word(text: str) -> bool:
    """Whether a URL may have this as a word: letters, digits and `%`, of two bytes or more."""
    return len(text.encode("utf-8", "surrogatepass")) > 1 and _WORD.fullmatch(text) is not None
