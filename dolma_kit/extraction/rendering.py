"""The text of a page's content, as one would set it in plain text.

A blank line between blocks; within them, white space as a browser shows it. Items of lists have
`- ` or their number before them, and are indented in lists of lists; cells of a table's row are
parted by ` | `; what is preformatted stays as it is.
"""

from __future__ import annotations

import re

from dolma_kit.extraction.content import BLOCKS, HEADINGS
from dolma_kit.extraction.elements import BREAK, Element, attribute

CELL = " | "
MAX_INDENT = 24  # characters
LISTS = ("ul", "ol", "menu", "dir")

_SPACE = re.compile(r"[ \t\n\r\f\xa0\u2028\u2029\u3000]+")
_AROUND_BREAK = re.compile(f" ?{BREAK} ?")
_CONTROLS = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f\ufeff\xad\u200b\u2060]")
_SPACED = frozenset((
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "dl", "table", "pre", "blockquote",
    "listing", "details",
))  # fmt: skip
_CLOSE_IN_LISTS = ("p", "ul", "ol")
_NOT_IN_CELLS = ("pre", "article", "section", *HEADINGS)
_UNNUMBERED = re.compile("comment|list-none|unstyled|no-bullet|steps-none", re.IGNORECASE)


class _Writer:
    """Lines of text, and the space between blocks that is still to come."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.line: list[str] = []  # inline text of the block that is being written
        self.gap = 0  # line breaks before the next text
        self.marker = ""  # of the list item whose text comes next
        self.indent = ""

    def break_line(self, n: int) -> None:
        """Ends the block; n - 1 blank lines at least come before the next."""
        if self.line:
            text = _SPACE.sub(" ", "".join(self.line))
            self.line.clear()
            if BREAK in text:
                text = _AROUND_BREAK.sub("\n", text)
                text = re.sub("\n{3,}", "\n\n", text)
            text = text.strip()
            if text:
                self.write(text)
        self.gap = max(self.gap, n)

    def write(self, text: str) -> None:
        if self.pieces:
            self.pieces.append("\n" * max(1, min(self.gap, 2)))
        lead = self.indent + self.marker
        if self.marker and len(self.indent) < MAX_INDENT:  # what follows in the item stands below
            self.indent += " " * len(self.marker)
        self.marker = ""
        rest = self.indent
        if rest and "\n" in text:
            text = text.replace("\n", f"\n{rest}")
        self.pieces.append(lead + text)
        self.gap = 0


def text_of(root: Element) -> str:
    """The text of what in `root` is not dropped."""
    writer = _Writer()
    _write(root, writer)
    writer.break_line(0)
    return _CONTROLS.sub("", "".join(writer.pieces))


def _write(root: Element, writer: _Writer) -> None:
    """In order, without recursion: a page may be deeper than Python's stack."""
    stack: list[tuple[Element | str, bool]] = [(root, False)]
    lists: list[_List] = []
    is_after_link = False
    while stack:
        node, is_end = stack.pop()
        if isinstance(node, str):
            writer.line.append(node)
            is_after_link = False
            continue
        if node.dropped:
            continue
        tag = node.tag
        if is_end:
            is_after_link = tag == "a"
            if not is_after_link:
                _end(tag, writer, lists)
            continue
        if tag in BLOCKS:
            if tag in ("pre", "listing"):
                _write_preformatted(node, writer)
                continue
            if tag == "table" and _is_of_data(node):
                _write_table(node, writer)
                continue
            _start(node, writer, lists)
            stack.append((node, True))
        elif tag == "q":
            writer.line.append("“")
            stack.append(("”", False))
        elif tag == "a":
            if is_after_link:  # nothing is between them but what a style sheet puts there
                writer.line.append(" ")
            stack.append((node, True))
        stack.extend((child, False) for child in reversed(node.children))


class _List:
    __slots__ = ("indents", "number")

    def __init__(self, number: int | None) -> None:
        self.number = number  # of the next item; None where items have bullets
        self.indents: list[str] = []  # around its items that are open


def _start(node: Element, writer: _Writer, lists: list[_List]) -> None:
    tag = node.tag
    writer.break_line(_gap(tag, lists))
    if tag in LISTS:
        number = None
        if tag == "ol" and not _UNNUMBERED.search(node.attributes):
            start = attribute(node.attributes, "start") or "1"
            number = int(start) if re.fullmatch("-?[0-9]{1,9}", start) else 1
        lists.append(_List(number))
    elif tag == "li":
        if not lists:
            writer.marker = "- "
            return
        current = lists[-1]
        current.indents.append(writer.indent)
        if current.number is not None:
            writer.marker = f"{current.number}. "
            current.number += 1
        elif node.parent is None or not _UNNUMBERED.search(node.parent.attributes):
            writer.marker = "- "


def _end(tag: str, writer: _Writer, lists: list[_List]) -> None:
    if tag in LISTS:
        current = lists.pop()
        if current.indents:  # of items without an end, which no parser leaves
            writer.indent = current.indents[0]
    writer.break_line(_gap(tag, lists))
    if tag == "li":
        writer.marker = ""
        if lists and lists[-1].indents:
            writer.indent = lists[-1].indents.pop()


def _gap(tag: str, lists: list[_List]) -> int:
    """Line breaks around an element: one in lists, where else would be a blank line."""
    return 2 if tag in _SPACED and not (lists and tag in _CLOSE_IN_LISTS) else 1


def _write_preformatted(node: Element, writer: _Writer) -> None:
    """With its white space, but none at the ends of lines and no empty ones around it."""
    writer.break_line(2)
    pieces: list[str] = []
    stack: list[tuple[Element | str, bool]] = [(node, False)]
    while stack:
        child, is_end = stack.pop()
        if isinstance(child, str):
            pieces.append(child)
        elif is_end:
            if pieces and not pieces[-1].endswith("\n"):
                pieces.append("\n")
        elif not child.dropped:
            if child.tag in BLOCKS and child is not node:  # lines of code may be <div>s
                stack.append((child, True))
            stack.extend((c, False) for c in reversed(child.children))
    text = "".join(pieces).replace("\r\n", "\n").replace("\r", "\n").replace(BREAK, "\n")
    text = re.sub(r"[ \t\xa0]+(?=\n|\Z)", "", text.replace("\xa0", " ")).strip("\n")
    if text.strip():
        writer.write(text)
    writer.gap = 2


def _is_of_data(table: Element) -> bool:
    """Whether a table has rows of short cells: no layout of a page in columns."""
    if table.n_tables:
        return False
    n_cells = 0
    stack: list[Element] = [table]
    while stack:
        node = stack.pop()
        for child in node.children:
            if not isinstance(child, Element) or child.dropped:
                continue
            if child.tag in _NOT_IN_CELLS:
                return False
            if child.tag in ("td", "th"):
                n_cells += 1
                if child.n_chars > 400 and any(
                    isinstance(c, Element) and c.tag in BLOCKS for c in child.children
                ):
                    return False
            stack.append(child)
    return n_cells > 1


def _write_table(table: Element, writer: _Writer) -> None:
    writer.break_line(2)
    for row in _rows(table):
        cells = []
        for cell in row:
            inner = _Writer()
            _write(cell, inner)
            inner.break_line(0)
            cells.append(" ".join("".join(inner.pieces).split("\n")).strip())
        if any(cells):
            writer.write(CELL.join(re.sub(" {2,}", " ", cell) for cell in cells))
            writer.gap = 1
    writer.gap = 2


def _rows(table: Element) -> list[list[Element]]:
    """Its rows, a caption among them, as they stand."""
    rows: list[list[Element]] = []
    stack: list[Element] = [table]
    while stack:
        node = stack.pop()
        if node.dropped:
            continue
        if node.tag == "caption":
            rows.append([node])
        elif node.tag == "tr":
            rows.append([c for c in node.children if isinstance(c, Element) and not c.dropped])
        else:
            stack.extend(c for c in reversed(node.children) if isinstance(c, Element))
    return rows
