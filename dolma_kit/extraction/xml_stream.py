"""XML of any size as a stream of records, the children of its root; made for dumps.

By expat, which is told of nothing that lies outside the file, so nothing is fetched. A DOCTYPE with
declarations is refused, for entities that stand for entities (a billion laughs) or one long one
that is used often (quadratic blow-up) have to be declared there. What is held is bounded: a record
has at most `max_bytes` bytes and MOST_ELEMENTS elements, MOST_DEPTH deep. A record that breaks a
rule, of XML or of these, is told with the reason, and reading goes on at the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.parsers import expat

from dolma_kit.extraction.records import RAW_BYTES
from dolma_kit.extraction.streams import Stream

MOST_DEPTH = 32
MOST_ELEMENTS = 100_000
BLOCK = 1 << 18
_ASCII_BASED = re.compile(r"(?i)utf-?8|us-ascii|ascii|iso-8859-\d+|windows-125\d|latin-?1")


class Element:
    """An element and what is in it; `text` is that of its own, not of its children."""

    __slots__ = ("_begin", "_n", "_texts", "attributes", "children", "n_bytes", "tag")

    def __init__(self, tag: str, attributes: dict[str, str], begin: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element] = []
        self.n_bytes = 0  # in the file; known once it is closed
        self._texts: list[str] = []
        self._begin = begin
        self._n = 1

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def first(self, tag: str) -> Element | None:
        """Its first child of that name."""
        return next((child for child in self.children if child.tag == tag), None)

    def text_of(self, tag: str) -> str | None:
        """The text of its first child of that name."""
        child = self.first(tag)
        return None if child is None else child.text


class Found(NamedTuple):
    """A child of the root that begins at byte `offset` of the decompressed file, or with a `fault`
    what stood there; `raw` are its first RAW_BYTES. After a fault that `is_last` comes nothing."""

    offset: int
    raw: bytes
    element: Element | None = None
    fault: str | None = None
    is_last: bool = False


class _Refused(Exception):
    """A file that is not read at all."""


class _Broken(Exception):
    """A record that breaks a rule of ours."""


class XmlRecords:
    """The records of a stream whose root is `root`.

    `record` is the tag that reading goes on at after a fault. With `newest`, of the children of a
    record that bear the tag `newest[0]` only one is held: `newest[1](one, another)` says which, so
    that a page with a million revisions needs the memory of two.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        root: str,
        record: str,
        max_bytes: int,
        newest: tuple[str, Callable[[Element, Element], Element]] | None = None,
    ) -> None:
        self.attributes: dict[str, str] = {}  # of the root, once it was read
        self._stream = stream
        self._root = root
        self._record = record
        self._max_bytes = max_bytes
        self._newest = newest
        self._again = re.compile(rb"<" + re.escape(record.encode()) + rb"[\s/>]")
        self._encoding = "utf-8"
        self._has_root = False
        self._made: list[Found] = []  # of the block that is being read
        self._block = b""
        self._block_offset = 0
        self._after = 0  # where the last whole record ends, or was begun again after a fault
        self._is_searching = False  # for the next record, after a fault
        self._begin()

    def __iter__(self) -> Iterator[Found]:
        for block in self._blocks():
            self._block += block
            place: int | None = 0
            while place is not None:
                if self._is_searching:
                    match = self._again.search(self._block, place)
                    if match is None:
                        break
                    place = match.start()
                    self._begin(self._block_offset + place)
                place, last = self._parse(place)
                yield from self._taken()
                if last is not None:
                    yield last
                    return
                self._is_searching = place is not None
            # The tag that is searched for may lie across blocks.
            kept = self._block[-len(self._record) - 1 :] if self._is_searching else b""
            self._block_offset += len(self._block) - len(kept)
            self._block = kept
        yield from self._end()

    def _blocks(self) -> Iterator[bytes]:
        """Blocks of BLOCK bytes, or as many as are held of a tag that has no end yet: expat begins
        each time at its beginning, so that smaller ones would take quadratic time."""
        waiting: list[bytes] = []
        n = 0
        for block in self._stream:
            waiting.append(block)
            n += len(block)
            if n >= max(BLOCK, self._n_held()):
                yield b"".join(waiting)
                waiting, n = [], 0
        if waiting:
            yield b"".join(waiting)

    def _n_held(self) -> int:
        """Bytes of a tag that has begun and not ended."""
        if self._is_searching:
            return 0
        return max(self._given - self._base - max(self._parser.CurrentByteIndex, 0), 0)

    def _begin(self, offset: int | None = None) -> None:
        """A new parser: for the file, or within the root at a byte of it."""
        self._stack: list[Element] = []
        self._depth = 0
        self._dropped = 0  # bytes of what `newest` let go of the record
        self._n_elements = 0
        self._held_from = -1  # byte at which the record began that goes on in the next block,
        self._raw_start = b""  # and its first bytes
        self._is_searching = False
        parser = expat.ParserCreate(None if offset is None else self._encoding)
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        self._parser = parser
        self._base = 0  # byte of the file that is the parser's first
        self._given = offset or 0  # byte of the file up to which the parser was given it
        if offset is not None:
            opening = f"<{self._root}>".encode()
            parser.Parse(opening, False)
            self._base = offset - len(opening)
            self._after = offset

    def _parse(self, place: int) -> tuple[int | None, Found | None]:
        """Parse the block from `place` on. Where something was wrong: from where in the block the
        next record is to be looked for; or the last that is to be told."""
        try:
            self._give(place)
        except _Refused as error:
            return None, Found(0, self._block[:RAW_BYTES], fault=str(error), is_last=True)
        except (expat.ExpatError, _Broken) as error:
            index = self._parser.CurrentByteIndex
            reason = str(error)
            if isinstance(error, expat.ExpatError):
                index = self._parser.ErrorByteIndex
                reason = f"not XML: {expat.ErrorString(error.code)} at byte {self._base + index:,}"
            if not self._has_root:
                return None, Found(0, self._block[:RAW_BYTES], fault=reason, is_last=True)
            at = self._base + index
            if self._raw_start and self._held_from + len(self._raw_start) == self._block_offset:
                self._block = self._raw_start + self._block  # what is wrong may begin there
                self._block_offset, self._raw_start, place = self._held_from, b"", 0
            begin = self._beginning_of(at)
            is_last = _ASCII_BASED.fullmatch(self._encoding) is None
            # What was wrong may be only where the next one begins: within this one, after the root.
            step = int(at <= begin and self._depth > 0)
            resume = max(at - self._block_offset, place) + step
            next_one = self._again.search(self._block, resume)
            until = None if next_one is None else self._block_offset + next_one.start()
            found = Found(begin, self._raw(begin, until), fault=reason, is_last=is_last)
            if is_last:
                return None, found
            self._made.append(found)
            return resume, None
        begin = self._stack[0]._begin if self._stack else self._given - self._n_held()
        if len(self._raw_start) < RAW_BYTES or begin != self._held_from:
            self._raw_start, self._held_from = self._raw(begin), begin
        return None, None

    def _give(self, place: int) -> None:
        """Give the parser the block from `place` on, in pieces, so that a fault costs one of them
        and not all that comes after it."""
        while place < len(self._block):
            piece = self._block[place : place + max(BLOCK, self._n_held())]
            place += len(piece)
            self._given = self._block_offset + place
            self._parser.Parse(piece, False)
            if self._n_held() > self._max_bytes:
                raise _Broken(f"a tag of more than max_record_bytes ({self._max_bytes:,})")

    def _beginning_of(self, at: int) -> int:
        """Where the record begins that was found to be broken at a byte."""
        if self._stack:
            return self._stack[0]._begin
        tag = b"<" + self._record.encode()
        first, last = self._after - self._block_offset, at - self._block_offset
        place = self._block.rfind(tag, max(first, 0), max(last, 0))
        if place >= 0:
            return self._block_offset + place
        return self._held_from if self._raw_start else at

    def _end(self) -> Iterator[Found]:
        """What is to be told at the end of the file."""
        at = self._block_offset
        begin, raw = at, b""
        if not self._is_searching and self._raw_start:
            begin, raw = self._held_from, self._raw_start
        if self._stream.fault is not None:
            fault = f"{self._stream.fault}, after {at:,} bytes"
            yield Found(begin, raw, fault=fault, is_last=True)
            return
        if self._is_searching:
            return
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            said = expat.ErrorString(error.code)
            fault = f"{'truncated' if self._has_root else 'not'} XML: {said} at byte {at:,}"
            yield Found(begin, raw, fault=fault, is_last=True)
            return
        yield from self._taken()

    def _taken(self) -> list[Found]:
        made, self._made = self._made, []
        return made

    def _raw(self, begin: int, end: int | None = None) -> bytes:
        """The first RAW_BYTES of what begins at a byte of the file."""
        last = None if end is None else max(end - self._block_offset, 0)
        start = begin - self._block_offset
        if start >= 0:
            return self._block[start : start + RAW_BYTES if last is None else last][:RAW_BYTES]
        kept = self._raw_start if begin == self._held_from else b""
        return (kept + self._block[:last][: RAW_BYTES - len(kept)])[:RAW_BYTES]

    # What expat calls:

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        self._encoding = encoding or "utf-8"

    def _on_doctype(
        self, name: str, system_id: str | None, public_id: str | None, has_declarations: int
    ) -> None:
        if has_declarations or system_id is not None:
            raise _Refused(
                f"a DOCTYPE {name} that declares entities or names a file that does, as no dump "
                "has: they may stand for any amount of text or for other files; remove it"
            )

    def _on_start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            if not self._has_root:
                if tag != self._root:
                    raise _Refused(f"the root is <{tag}>, not <{self._root}>")
                self._has_root = True
                self.attributes = attributes
            return
        at = self._base + self._parser.CurrentByteIndex
        if not self._stack:
            self._dropped = self._n_elements = 0
        self._n_elements += 1
        self._stack.append(Element(tag, attributes, at))
        self._require_small(at)

    def _on_text(self, text: str) -> None:
        if self._stack:
            self._stack[-1]._texts.append(text)
            self._require_small(self._base + self._parser.CurrentByteIndex)

    def _on_end(self, tag: str) -> None:
        self._depth -= 1
        if not self._depth:
            return
        at = self._base + self._parser.CurrentByteIndex
        self._require_small(at)
        closing = f"</{tag}>".encode()
        here = at - self._block_offset  # of `<a/>` it is the end, of `</a>` the beginning
        end = at + len(closing) if here < 0 or self._block.startswith(closing, here) else at
        element = self._stack.pop()
        element.n_bytes = end - element._begin
        if self._stack:
            parent = self._stack[-1]
            if self._newest is not None and len(self._stack) == 1 and tag == self._newest[0]:
                element = self._the_newest(parent, element)
            parent.children.append(element)
            parent._n += element._n
            return
        self._after = end
        self._made.append(Found(element._begin, self._raw(element._begin, end), element))

    def _the_newest(self, parent: Element, element: Element) -> Element:
        """Of this one and the one that was kept; the other's size counts no more."""
        assert self._newest is not None
        before = parent.first(element.tag)
        if before is None:
            return element
        parent.children.remove(before)
        parent._n -= before._n
        kept = self._newest[1](before, element)
        gone = element if kept is before else before
        self._dropped += gone.n_bytes
        self._n_elements -= gone._n
        return kept

    def _require_small(self, at: int) -> None:
        if at - self._stack[0]._begin - self._dropped > self._max_bytes:
            raise _Broken(f"larger than max_record_bytes ({self._max_bytes:,})")
        if len(self._stack) > MOST_DEPTH:
            raise _Broken(f"more than {MOST_DEPTH} elements within each other")
        if self._n_elements > MOST_ELEMENTS:
            raise _Broken(f"more than {MOST_ELEMENTS:,} elements")
