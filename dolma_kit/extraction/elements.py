"""A page as a tree that is quick to walk.

resiliparse's parser (lexbor) builds the tree that a browser would. To ask it about each node costs
microseconds, so it writes the tree down again, which costs next to nothing: then every tag is
closed, every attribute quoted, and one regular expression reads it.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Callable

from dolma_kit.extraction.limits import MAX_DEPTH, VOID, PageError, check

BREAK = "\x00"  # in text, for <br>: no text has it otherwise

#: never text that one reads; with all that is in them
UNREAD = frozenset((
    "applet", "area", "audio", "base", "button", "canvas", "col", "datalist", "dialog", "embed",
    "head", "img", "input", "link", "map", "meta", "meter", "noscript", "object", "optgroup",
    "option", "param", "progress", "rp", "select", "source", "svg", "template", "textarea",
    "title", "track", "video",
))  # fmt: skip
_ATTRIBUTES = r'((?: =?[^\s/>=]*="[^"]*")*)'
_TOKEN = re.compile(rf"<([a-zA-Z][^\s/>]*){_ATTRIBUTES}>|</([^>]*)>|([^<]+)")
_RAW = re.compile(
    rf"<(script|style|iframe|noembed|noframes|xmp|plaintext){_ATTRIBUTES}>(.*?)</\1>|<!--.*?-->",
    re.DOTALL,
)
# they say how text looks and never whether it is content
_LOOKS = re.compile(
    r"</?(?:acronym|abbr|b|bdi|bdo|big|blink|dfn|em|font|i|ins|kbd|mark|nobr|s|samp|small|strike|"
    rf"strong|tt|u|var){_ATTRIBUTES}>|<wbr>"
)
_MATH = re.compile(rf"<math{_ATTRIBUTES}>(.*?)</math>", re.DOTALL)
_TEX = re.compile(r'<annotation encoding="application/x-tex">(.*?)</annotation>', re.DOTALL)
_ALT = re.compile(r' alttext="([^"]*)"')
_STYLED_TEX = re.compile(r"\{\\(?:displaystyle|textstyle) (.*)\}", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Element:
    """An element and what is in it, in order: text, without its entities, and elements."""

    __slots__ = (
        "attributes", "children", "dropped", "end", "index", "n_chars", "n_linked", "n_links",
        "n_own", "n_tables", "parent", "tag",
    )  # fmt: skip

    def __init__(self, tag: str, attributes: str, parent: Element | None, index: int) -> None:
        self.tag = tag
        self.attributes = attributes  # as the parser writes them down: ` name="value"`
        self.parent = parent
        self.index = index  # in the tree, which is in the order of the page
        self.end = index + 1  # of the first after it that is not in it
        self.children: list[Element | str] = []
        self.dropped = 0  # by which pass over the tree, if any
        self.n_tables = 0  # in it
        self.n_own = 0  # characters of text that is in no element in it
        self.n_chars = 0  # of all text in it that is not dropped
        self.n_linked = 0  # of them, within links
        self.n_links = 0

    @property
    def n_prose(self) -> int:
        return self.n_chars - self.n_linked

    def text(self) -> str:
        """All its text that is not dropped, with white space as it comes."""
        pieces: list[str] = []
        stack: list[Element | str] = [self]
        while stack:
            node = stack.pop()
            if isinstance(node, str):
                pieces.append(node)
            elif not node.dropped:
                stack.extend(reversed(node.children))
        return "".join(pieces)


def n_chars_of(text: str) -> int:
    """Its characters, a run of white space counted as one, and none at its ends."""
    if text == BREAK:
        return 0
    return len(" ".join(text.split())) if "\n" in text else len(text.strip())


def is_blank(text: str) -> bool:
    return text == BREAK or text.isspace()


#: the elements of a page in its order, the first of them its body
Tree = list[Element]


def count(tree: Tree) -> None:
    """Sets the counts of all elements; what is dropped counts as nothing."""
    for element in tree:
        element.n_chars = element.n_own
        element.n_linked = element.n_links = 0
    for element in reversed(tree):  # so that what is in an element comes before it
        if element.tag == "a":
            element.n_linked, element.n_links = element.n_chars, int(element.n_chars > 0)
        elif element.tag == "pre":  # code whose names lead to what they stand for
            element.n_linked = element.n_links = 0
        above = element.parent
        if above is not None and not element.dropped:
            above.n_chars += element.n_chars
            above.n_linked += element.n_linked
            above.n_links += element.n_links


def relist(tree: Tree) -> None:
    """Puts a tree whose elements got others in them into its order again."""
    stack = [tree[0]]
    tree.clear()
    while stack:
        element = stack.pop()
        element.index = len(tree)
        element.end = element.index + 1
        tree.append(element)
        stack.extend(c for c in reversed(element.children) if isinstance(c, Element))
    for element in reversed(tree):
        if element.parent is not None:
            element.parent.end = max(element.parent.end, element.end)


def without_surrogates(html: str) -> str:
    """A parser reads UTF-8, in which there are none."""
    return html if html.isascii() else _SURROGATE.sub("\ufffd", html)


def written(html: str) -> str:
    """The page as the parser understands it: all of its elements closed, attributes quoted.

    PageError for what no parser should be given (limits.py).
    """
    from resiliparse.parse.html import HTMLTree

    html = without_surrogates(html)
    check(html)
    document = HTMLTree.parse(html).document
    assert document is not None  # every page has one
    return str(document.html)


def body_of(page: str) -> str:
    """What is in the `<body>` of a page as `written`; of a frameset, nothing."""
    start = re.search(rf"<body{_ATTRIBUTES}>", page)
    return page[start.end() : page.rfind("</body>")] if start else ""


def tree_of(body: str, is_unread: Callable[[str], bool]) -> Tree:
    """The tree of `body_of` a page, without what `is_unread` by its attributes.

    PageError where it is deeper than MAX_DEPTH.
    """
    element = root = Element("body", "", None, 0)
    tree = [root]
    depth, n_unread = 1, 0  # elements that are open in one that is unread, itself counted
    for tag, attributes, end, text in _TOKEN.findall(_simplified(body)):
        if n_unread:
            if end:
                n_unread -= 1
            elif tag and tag not in VOID:
                n_unread += 1
        elif text:
            text = unescaped(text) if "&" in text else text
            element.children.append(text)
            element.n_own += n_chars_of(text)
        elif end:
            if element.parent is not None:
                element.end = len(tree)
                element.parent.n_tables += element.n_tables + (element.tag == "table")
                element = element.parent
                depth -= 1
        elif tag in VOID:
            if tag == "br":
                element.children.append(BREAK)
        elif tag in UNREAD or (attributes and is_unread(attributes)):
            n_unread = 1
        else:
            child = Element(tag, attributes, element, len(tree))
            element.children.append(child)
            tree.append(child)
            element = child
            depth += 1
            if depth > MAX_DEPTH:
                raise PageError("nested too deep")
    while element is not root:  # never of what the parser has written
        element.end = len(tree)
        element = element.parent or root
    root.end = len(tree)
    count(tree)
    return tree


def without_raw(page: str) -> str:
    """Without scripts, styles, comments and what else is written as it is, not escaped."""
    return _RAW.sub("", page)


def _simplified(body: str) -> str:
    body = _RAW.sub(_raw, body)
    if "<math" in body:
        body = _MATH.sub(_formula, body)
    return _LOOKS.sub("", body)


def _raw(found: re.Match[str]) -> str:
    """In place of an element whose content is not escaped."""
    tag, attributes, text = found.groups()
    if tag in ("xmp", "plaintext"):
        return f"<pre>{entities.escape(text, quote=False)}</pre>"
    if tag == "script" and 'type="math/tex' in attributes:  # MathJax 2
        return f"${entities.escape(text, quote=False)}$"
    return ""


def _formula(found: re.Match[str]) -> str:
    """A formula as TeX, where the page has it."""
    attributes, inside = found.groups()
    if tex := _TEX.search(inside) or _ALT.search(attributes):
        source = tex[1].strip()
        styled = _STYLED_TEX.fullmatch(source)
        return f"<span>${styled[1] if styled else source}$</span>"
    return f"<span>{inside}</span>"


def unescaped(text: str) -> str:
    return (
        text.replace("&nbsp;", "\xa0")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )


def attribute(attributes: str, name: str) -> str | None:
    """The value of one, as the parser wrote it down; None where there is none of this name.

    >>> attribute(' class="a" id="b &amp; c"', "id"), attribute(' id="b"', "class")
    ('b & c', None)
    """
    at = attributes.find(f' {name}="')
    if at < 0:
        return None
    at += len(name) + 3
    return entities.unescape(attributes[at : attributes.index('"', at)])
