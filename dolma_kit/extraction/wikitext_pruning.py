"""Wikitext taken apart in linear time: what is never text is cut out, links become their words.

Three marks stand in what is left, all of them characters that XML cannot hold: CUT where something
was taken out, and between OPEN and CLOSE the number of a stretch that is taken as it stands (what
is in <nowiki>, <pre>, <math>, <syntaxhighlight>), which `kept` holds.

`{{`, `[[` and `{|` that are never closed, or closed by something else first, are left out: a parser
that has to look for their ends goes through the rest of the page once for each of them. So one is
given whole templates only, and of these those whose value is text.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from dolma_kit.extraction import entities

CUT, OPEN, CLOSE = "\x01", "\x02", "\x03"
_MARKS = re.compile("[\x00-\x03]")
_VERBATIM = frozenset(["nowiki", "pre", "math", "chem", "ce", "syntaxhighlight", "source"])
_BLOCKS = frozenset(["pre", "syntaxhighlight", "source"])
_DROPPED = (
    "ref", "references", "gallery", "timeline", "imagemap", "score", "graph", "chart", "mapframe",
    "maplink", "templatedata", "templatestyles", "inputbox", "hiero", "categorytree", "indicator",
    "includeonly", "section", "style", "rt", "rp",
)  # fmt: skip
_OPENING = re.compile(
    rf"<!--|<({'|'.join([*_VERBATIM, *_DROPPED])})(?=[\s/>])([^<>]*?)(/?)>", re.IGNORECASE
)
_CLOSING = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in (*_VERBATIM, *_DROPPED)}
_TAG = re.compile(
    r"</?(abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|data|dd|del|dfn|div|dl|dt|em|"
    r"font|h[1-6]|hr|i|includeonly|ins|kbd|langconvert|li|link|mark|meta|noinclude|nobr|ol|"
    r"onlyinclude|p|poem|q|rb|rtc|ruby|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|"
    r"th|thead|time|tr|translate|tt|tvar|u|ul|var|wbr)(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
_BREAKING = frozenset(["br", "li", "dd", "dt", "tr", "ul", "ol", "dl"])
_PARTING = frozenset(["blockquote", "p", "poem", "div", "center"])
_SCHEME = r"(?:(?:https?|ftps?|irc|news|git|svn):|mailto:|(?=//))"
_LINK_OUT = re.compile(
    rf"\[{_SCHEME}[^\s\[\]<>\x01]+[^\S\n]*((?:[^\[\]\n]|\[\[[^\[\]\n]*\]\])*)\]", re.IGNORECASE
)
_LINK_OUT_BROKEN = re.compile(rf"\[(?={_SCHEME})", re.IGNORECASE)
_BRACKETS = re.compile(  # each begins with a character, not with `^`, for which re is slow
    r"\{\{|\}\}|\[\[|\]\]|\n[ \t:]*\{\||\n[ \t]*\|\}(?!\}(?!\}))|\n==(?=[^=\n])"
)
_OTHER_TAG = re.compile(r"<(?=[A-Za-z/!])")
_OPENER_OF = {"}}": "{{", "]]": "[[", "|}": "{|"}
_NAME = re.compile(r"[^|{}\[\]\n]{1,100}")
_PREFIX = re.compile(r"\s*([^:|\[\]{}\n]{1,100}):")
MOST_OPEN = 200  # brackets that are open at once; those beyond are left out


class Rules(Protocol):
    """What becomes of templates and links."""

    def keeps(self, name: str) -> bool:
        """Whether the value of a template, by its name as it is written, is text."""

    def is_dropped(self, prefix: str) -> bool:
        """Whether nothing of a link is text, by what is before its colon."""

    def value_of(self, template: str, depth: int) -> str:
        """The value of a template that `keeps` is true of, from `{{` to `}}`, in which `depth`
        templates stand within each other. In it links are words."""


class Pruned(NamedTuple):
    text: str
    kept: list[str]


def prune(wikitext: str, rules: Rules) -> Pruned:
    text = _MARKS.sub("", wikitext).replace("\r\n", "\n").replace("\r", "\n")
    text, kept = _without_opaque(text)
    text = _TAG.sub(_tag, text)
    text = _OTHER_TAG.sub("&lt;", text)
    text = _LINK_OUT.sub(lambda match: match[1] or CUT, text)
    text = _LINK_OUT_BROKEN.sub("&#91;", text)
    text, is_whole = _Scan(rules).scan(text)
    if not is_whole:  # within templates that have no end some may be left as they were written
        text, _ = _Scan(rules).scan(text)
    return Pruned(text, kept)


def _without_opaque(text: str) -> tuple[str, list[str]]:
    """Comments and elements whose content is no wikitext: dropped, or set aside."""
    out: list[str] = []
    kept: list[str] = []
    unclosed: set[str] = set()  # of which no end is to be looked for again
    place = 0
    while (match := _OPENING.search(text, place)) is not None:
        out.append(text[place : match.start()])
        place = match.end()
        name = (match[1] or "").lower()
        if not name:  # a comment, which without an end goes to the end of the page
            end = text.find("-->", place)
            place = len(text) if end < 0 else end + 3
            continue
        content = ""
        if not match[3]:
            closing = None if name in unclosed else _CLOSING[name].search(text, place)
            if closing is None:
                unclosed.add(name)  # what is in it is taken to be wikitext
                continue
            content, place = text[place : closing.start()], closing.end()
        if name not in _VERBATIM:
            out.append(CUT)
        elif content.strip():
            is_block = name in _BLOCKS
            content = content.strip("\n").rstrip() if is_block else content.strip()
            kept.append(entities.decoded(content) if name in ("nowiki", "pre") else content)
            mark = f"{OPEN}{len(kept) - 1}{CLOSE}"
            out.append(f"\n\n{mark}\n\n" if is_block else mark)
    out.append(text[place:])
    return "".join(out), kept


def _tag(match: re.Match[str]) -> str:
    name = match[1].lower()
    if name == "table":
        return "\n|}\n" if match[0].startswith("</") else "\n{|\n"
    if name in _PARTING:
        return "\n\n" if name != "div" else "\n"
    return "\n" if name in _BREAKING else ""


class _Frame:
    """An opening bracket whose end is yet to come; `place` is where in the output it stands."""

    __slots__ = ("depth", "opener", "place")

    def __init__(self, opener: str, place: int) -> None:
        self.opener = opener
        self.place = place
        self.depth = 0  # of templates that are kept within it


class _Scan:
    """Goes once through a text, from bracket to bracket."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._out: list[str] = []
        self._frames = [_Frame("", 0)]
        self._n_open = {"{{": 0, "[[": 0, "{|": 0}
        self._is_whole = True

    def scan(self, text: str) -> tuple[str, bool]:
        """What is left of it, and whether all templates had their ends."""
        out, place = self._out, 0
        text = f"\n{text}"
        for match in _BRACKETS.finditer(text):
            out.append(text[place : match.start()])
            place = match.end()
            token = match[0]
            if token[0] == "\n":
                out.append("\n")
                token = token.strip(" \t:\n")
            if token in self._n_open:
                if len(self._frames) <= MOST_OPEN:
                    self._frames.append(_Frame(token, len(out)))
                    self._n_open[token] += 1
                    out.append(token)
            elif token == "==":  # a section: a table that is open here was left so by mistake
                while self._n_open["{|"]:
                    self._give_up()
                out.append(token)
            elif self._n_open[_OPENER_OF[token]]:
                while self._frames[-1].opener != _OPENER_OF[token]:
                    self._give_up()
                self._close(token)
        out.append(text[place:])
        while len(self._frames) > 1:
            self._give_up()
        return "".join(out)[1:], self._is_whole

    def _pop(self) -> _Frame:
        frame = self._frames.pop()
        self._n_open[frame.opener] -= 1
        return frame

    def _give_up(self) -> None:
        """The last bracket has no partner; of a table, all that came after it goes."""
        frame = self._pop()
        self._is_whole = self._is_whole and frame.opener != "{{"
        if frame.opener == "{|":
            self._replace(frame, f"{CUT}\n")
        else:
            self._out[frame.place] = ""
            self._frames[-1].depth = max(self._frames[-1].depth, frame.depth)

    def _close(self, token: str) -> None:
        frame = self._pop()
        pieces = self._out[frame.place + 1 :]
        first = pieces[0] if pieces else ""
        if token == "}}" and (name := _NAME.match(first)) and self._rules.keeps(name[0]):
            depth = frame.depth + 1
            if self._n_open["{{"]:
                self._out.append(token)
                self._frames[-1].depth = max(self._frames[-1].depth, depth)
            else:
                template = "".join(["{{", *pieces, "}}"])
                self._replace(frame, self._rules.value_of(template, depth))
        elif token == "]]":
            prefix = _PREFIX.match(first)
            if prefix and self._rules.is_dropped(prefix[1]):
                self._replace(frame, CUT)
                return
            self._frames[-1].depth = max(self._frames[-1].depth, frame.depth)
            words = _words(first, pieces)
            if self._n_open["{{"] and not frame.depth:  # where these part and name arguments
                words = words.replace("|", "&#124;").replace("=", "&#61;")
            self._replace(frame, words)
        else:
            self._replace(frame, CUT)

    def _replace(self, frame: _Frame, text: str) -> None:
        del self._out[frame.place :]
        self._out.append(text)


def _words(first: str, pieces: list[str]) -> str:
    """What a link shows: what follows the first `|`, or its title."""
    content = "".join(pieces)
    title, pipe, label = content.partition("|") if "|" in first else content.rpartition("|")
    if not pipe:
        title, label = content, ""
    return label if label.strip() else title.strip().removeprefix(":")
