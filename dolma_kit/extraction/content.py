"""What of a page is its content: the page without what all pages of its site have.

Three passes over its tree. What names itself as navigation, banner, advertisement and the like (by
its element, role, class or id) goes, unless most of the page's text is in it. Then the main part is
looked for: an element that says so (`main`, `article`), or else step by step the one child that has
most of the text. Beside and in it, blocks that are mostly links go, and headings that then have
nothing left below them. Where little is left of much, the page has no such parts and all of it is
content.

Text is weighed in characters, those of links apart: navigation is links, prose is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dolma_kit.extraction import labels
from dolma_kit.extraction.elements import BREAK, Element, Tree, count, is_blank, n_chars_of, relist

BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "li", "listing", "main", "menu",
    "nav", "ol", "p", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul",
))  # fmt: skip
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
MOST = 0.6  # share of a page's prose with which an element is its main part
GUARD = 0.5  # share of it that nothing takes away by its name alone
LITTLE = 0.25  # share of it that is too little for all of the content
FEW_CHARS = 250
LISTED = 0.4  # share of the main part that is left without its lists of links, where they are it
LISTED_CHARS = 2_000
LINKED = 0.5  # share of a block's text beside the main part in links that makes it navigation
PER_LINK = 25  # characters of prose for each link, with which it is none all the same
INNER_LINKED = 0.75  # the same within the main part

MAX_ABOVE = 64  # elements around a header among which a section is looked for

NAMED, BESIDE, WITHIN = 1, 2, 3  # the passes that drop elements

_RIGHTS = re.compile(
    r"©|\bcopyright\W{0,3}(?:c\W{1,2}|by )?(?:19|20)\d\d|\(c\)\s*(?:19|20)\d\d|"
    r"\ball rights reserved\b|"
    r"\bpowered by [A-Z]|\bbest viewed (?:with|in)\b|\bvisitor (?:number|no)\b|"
    r"^\W*(?:this )?(?:page )?(?:was )?last (?:modified|updated|changed|edited)\b",
    re.IGNORECASE,
)
#: all that is said by a link or a line that leads elsewhere
_WAYS = re.compile(
    r"[\W_]*(?:(?:back|return|go) to [\w\s]{1,24}|(?:leave|post|write|add) a (?:reply|comment)|"
    r"home(?:page)?|index|top|next|prev(?:ious)?|(?:previous|next|older|newer) [\w\s]{1,12}|older|"
    r"newer|back|return|contents|up|print|share|save(?: this [\w\s]{1,12})?|reply|edit|permalink|"
    r"(?:read|see|view|load|show) (?:more|all)|more|log ?in|sign (?:in|up)|contact(?: us)?|respond|"
    r"about(?: us| this site)?|mail me|subscribe|advertise(?:ment)?|anzeige|sponsored|loading|"
    r"skip to [\w\s]{1,24})[\W_]*",
    re.IGNORECASE,
)
_NO_COLUMNS = ("p", "pre", "ul", "ol", "dl", "blockquote")
_ITEMS = ("li", "tr", "td", "th", "dt", "dd")
_ANCHORS = ("¶", "#", "§", "🔗", "∞", "⚓", "^", "↑", "↩", "↩︎", "[edit]", "[link]", "[source]")


def content_of(tree: Tree, title: str = "") -> Element:
    """Where the content of a page is; all in it that is not content is marked as dropped.

    A heading of the first level elsewhere on the page, with which its `title` begins, or
    that is most of it, is kept.
    """
    body = tree[0]
    _drop_unwanted(tree)
    n_named = body.n_chars
    root = _main_part(tree)
    n_main = root.n_chars
    _drop_navigation(tree, root)
    _drop_bare_headings(tree, root)
    if root.n_chars < min(LISTED_CHARS, LISTED * n_main):
        _take_back(tree, WITHIN)  # a page of links, which they are the content of
    if root.n_chars < min(FEW_CHARS, LITTLE * n_named) or not root.n_chars:
        _take_back(tree, BESIDE)
        root = body
    if not root.n_chars:
        _take_back(tree, NAMED)
    _restore_title(tree, root, title)
    return root


class _Dropping:
    """Of a pass over a tree: what it drops; counts are set again only if that is anything."""

    def __init__(self, tree: Tree, number: int) -> None:
        self.tree = tree
        self.number = number
        self.is_any = False

    def drop(self, element: Element) -> None:
        element.dropped = self.number
        self.is_any = True

    def close(self) -> None:
        if self.is_any:
            count(self.tree)


def _take_back(tree: Tree, first: int) -> None:
    """What this pass and those after it have dropped."""
    for element in tree:
        if element.dropped >= first:
            element.dropped = 0
    count(tree)


def _drop_unwanted(tree: Tree) -> None:
    dropping = _Dropping(tree, NAMED)
    n_prose = tree[0].n_prose
    most = GUARD * n_prose
    i = 1
    while i < len(tree):
        element = tree[i]
        if _says_unwanted(element, n_prose) and element.n_prose <= most:
            dropping.drop(element)
            i = element.end
            continue
        i += 1
    dropping.close()


def _says_unwanted(element: Element, n_prose: int) -> bool:
    tag, attributes = element.tag, element.attributes
    if labels.is_unwanted(tag, attributes):
        # a page may be nothing but a table of contents
        return not labels.is_contents(attributes) or n_prose - element.n_prose > FEW_CHARS
    if tag == "a" and 0 < element.n_chars <= 8 and _is_small(element):
        return element.text().strip() in _ANCHORS
    return (tag == "header" or labels.is_header(attributes)) and _is_of_site(element)


def _is_of_site(header: Element) -> bool:
    """Whether a header has links and is in nothing that has a header of its own."""
    above = header.parent
    for _ in range(MAX_ABOVE):
        if above is None:
            break
        if above.tag in ("article", "main", "section"):
            return False
        above = above.parent
    return header.n_linked >= 0.25 * header.n_chars


def _kept(tree: Tree, root: Element) -> Iterator[Element]:
    """The elements in `root` that are not dropped, in order; may be dropped on the way."""
    i = root.index + 1
    while i < root.end:
        element = tree[i]
        if not element.dropped:
            yield element
        i = element.end if element.dropped else i + 1


def _main_part(tree: Tree) -> Element:
    """The element that has the content; beside the way to it, what is navigation is dropped."""
    body = tree[0]
    mains = [e for e in _kept(tree, body) if e.tag == "main" or ' role="main"' in e.attributes]
    if mains:
        root = max(mains, key=lambda e: e.n_prose)
        if root.n_prose > LITTLE * body.n_prose:
            return root
    node, depth = body, 0
    while True:
        blocks = [c for c in node.children if isinstance(c, Element) and not c.dropped]
        main = max(blocks, key=lambda e: e.n_prose, default=None)
        if main is None or main.n_prose < MOST * node.n_prose or main.tag not in BLOCKS:
            break
        for block in _blocks_beside(tree, node, main):
            if _is_beside(tree, block, main, block_is_last=block.index > main.index and depth < 3):
                block.dropped = BESIDE
        if main.tag in _NO_COLUMNS:
            break
        node, depth = main, depth + 1
    relist(tree)  # with the blocks that were made
    count(tree)
    return body


def _blocks_beside(tree: Tree, node: Element, main: Element) -> list[Element]:
    """What else is in `node`; text that is in no block is put into one."""
    children: list[Element | str] = []
    beside: list[Element] = []
    run: Element | None = None
    is_after = False  # the main part
    for child in node.children:
        if isinstance(child, Element) and (child.tag in BLOCKS or child.dropped):
            run = None
            children.append(child)
            is_after = is_after or child is main
            if child is not main and not child.dropped:
                beside.append(child)
            continue
        if run is None:
            if isinstance(child, str) and is_blank(child):
                continue
            run = Element("div", "", node, main.end if is_after else 0)
            children.append(run)
            beside.append(run)
        run.children.append(child)
        if isinstance(child, Element):
            child.parent = run
            run.n_chars += child.n_chars
            run.n_linked += child.n_linked
            run.n_links += child.n_links
        else:
            run.n_own += n_chars_of(child)
            run.n_chars += n_chars_of(child)
    node.children = children
    node.n_own = 0
    return beside


def _is_beside(tree: Tree, block: Element, main: Element, *, block_is_last: bool) -> bool:
    """Whether a block beside the main part is none of it."""
    if block.tag in HEADINGS or not block.n_chars:
        return False
    if (
        block.n_linked >= LINKED * block.n_chars
        and block.n_prose <= min(PER_LINK * block.n_links, 2 * FEW_CHARS)
        and not any(e.tag == "h1" for e in tree[block.index : block.end])
    ):
        return True
    if block.n_chars > 600:
        return False
    if block_is_last and block.n_links and block.n_chars < min(200, 0.15 * main.n_chars):
        return True
    text = block.text().replace(BREAK, " ")
    return bool(_RIGHTS.search(text)) or (block_is_last and bool(_WAYS.fullmatch(text.strip())))


def _drop_navigation(tree: Tree, root: Element) -> None:
    """Within the content: blocks that are mostly links, and those that only lead elsewhere."""
    dropping = _Dropping(tree, WITHIN)
    most = 0.3 * root.n_chars
    blocks: list[Element] = []
    for element in _kept(tree, root):
        if not element.n_chars or element.tag in HEADINGS:
            continue
        if element.tag == "form" and element.n_prose < FEW_CHARS:
            dropping.drop(element)
        elif element.tag in BLOCKS:
            blocks.append(element)
            if element.n_links >= 2 and element.n_linked >= INNER_LINKED * element.n_chars:
                if element.n_chars < most and element.tag not in _ITEMS:
                    dropping.drop(element)
            elif element.tag in ("p", "div") and _is_way(element):
                dropping.drop(element)
        elif element.tag == "a" and _is_way(element) and _is_alone(element):
            dropping.drop(element)
    for element in reversed(blocks[-6:]):  # what says whose the page is comes last
        if element.n_chars > FEW_CHARS or (
            not element.dropped and not _RIGHTS.search(element.text())
        ):
            break
        dropping.drop(element)
    dropping.close()


def _is_small(element: Element) -> bool:
    return element.end - element.index <= 8


def _is_way(element: Element) -> bool:
    if element.n_chars >= 60 or not _is_small(element):
        return False
    return _WAYS.fullmatch(element.text().replace(BREAK, " ").strip()) is not None


def _is_alone(link: Element) -> bool:
    """Whether a link is in no sentence."""
    siblings = link.parent.children if link.parent else []
    return len(siblings) < 100 and not any(
        isinstance(c, str) and any(map(str.isalnum, c)) for c in siblings
    )


def _drop_bare_headings(tree: Tree, root: Element) -> None:
    """Headings of what was dropped, with nothing else before the next one of their level."""
    dropping = _Dropping(tree, WITHIN)
    waiting: list[Element] = []  # headings with nothing below them yet
    was_dropped = False
    i = root.index + 1
    while i <= root.end:
        element = tree[i] if i < root.end else None
        if element is not None and element.dropped:
            was_dropped = was_dropped or bool(waiting)
            i = element.end
            continue
        if element is None or element.tag in HEADINGS:
            while waiting and (element is None or waiting[-1].tag >= element.tag):
                heading = waiting.pop()
                if was_dropped and heading.tag != "h1":
                    dropping.drop(heading)
            was_dropped = False
            if element is not None:
                waiting.append(element)
                i = element.end
                continue
        elif waiting and any(isinstance(c, str) and not is_blank(c) for c in element.children):
            waiting.clear()
        i += 1
    dropping.close()


def _restore_title(tree: Tree, root: Element, title: str) -> None:
    plain = " ".join(title.split()).casefold()
    found = {e.tag for e in _kept(tree, root)}
    if not plain or "h1" in found:
        return
    for element in tree:
        if element.tag == "h1" and element.n_chars <= len(plain):
            text = " ".join(element.text().split())
            is_start = plain.startswith(text.casefold()) and "h2" not in found
            if text and (is_start or (text.casefold() in plain and 2 * len(text) >= len(plain))):
                heading = Element("h1", "", root, root.index)
                heading.children = [text]
                heading.n_own = heading.n_chars = len(text)
                root.children.insert(0, heading)
                return
