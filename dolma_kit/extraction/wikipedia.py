"""Dumps of MediaWiki, as Wikipedia's pages-articles: a document an article.

XML, plain, .bz2 (also multistream), .gz or .zst. Left out are pages of other namespaces than that
of articles, redirects, what is no wikitext or was deleted, and an id that was there before. Of
several revisions the latest is taken. `id` is the page's, so that a source is one wiki.
"""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterator

from dolma_kit.config import Extract
from dolma_kit.extraction import dates, wikitext
from dolma_kit.extraction.outcomes import faulty, taken
from dolma_kit.extraction.records import Document, Record, SourceFile
from dolma_kit.extraction.streams import Stream
from dolma_kit.extraction.wikitext import Site
from dolma_kit.extraction.xml_stream import Element, XmlRecords

NAMES = re.compile(r"\.xml(\.(gz|bz2|zst|zstd))?$", re.IGNORECASE)
INDEX = re.compile(r"-multistream-index\d*\.txt")  # beside a dump; no source
_ROOT = re.compile(rb"<mediawiki[\s>]")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_REDIRECT = re.compile(r"\s*#redirect\b", re.IGNORECASE)
_UNQUOTED = ";@$!*(),/~:"  # in titles of MediaWiki's own addresses


def is_wikipedia(path: str, head: bytes) -> bool:
    """By the name of a file and its first bytes, decompressed."""
    return NAMES.search(path) is not None and _ROOT.search(head) is not None


def read(file: SourceFile, settings: Extract) -> Iterator[Record]:
    """The pages of one file."""
    stream = Stream(file.path)
    try:
        yield from _Wiki(stream, settings.max_record_bytes).records()
    finally:
        stream.close()


class _Unreadable(Exception):
    """A page that cannot be read, and why."""


class _Wiki:
    """What is known of a wiki while its dump is read."""

    def __init__(self, stream: Stream, max_bytes: int) -> None:
        self._xml = XmlRecords(
            stream, root="mediawiki", record="page", max_bytes=max_bytes,
            newest=("revision", _later),
        )  # fmt: skip
        self._site = Site()
        self._base: str | None = None
        self._seen: dict[int, bytearray] = {}  # page ids, a bit each, 2**16 of them together

    def records(self) -> Iterator[Record]:
        numbers = itertools.count(1)
        self._site = Site(_language(self._xml.attributes, None))
        for found in self._xml:
            element = found.element
            if element is None:
                yield faulty(next(numbers), f"byte {found.offset:,}", found.fault or "", found.raw)
            elif element.tag == "siteinfo":
                self._read_site(element)
            elif element.tag != "page":
                yield Record(next(numbers), element.tag, reason="no page", detail=element.tag)
            else:
                number = next(numbers)
                try:
                    yield self._page(number, element)
                except _Unreadable as error:
                    name = element.text_of("title") or f"byte {found.offset:,}"
                    yield faulty(number, name, str(error), found.raw)

    def _read_site(self, siteinfo: Element) -> None:
        listed = siteinfo.first("namespaces")
        self._site = Site(
            _language(self._xml.attributes, siteinfo.text_of("dbname")),
            {
                one.text.casefold(): int(one.attributes["key"])
                for one in (listed.children if listed is not None else ())
                if one.text and re.fullmatch(r"-?\d{1,9}", one.attributes.get("key", ""))
            },
        )
        base = siteinfo.text_of("base")
        self._base = base.rpartition("/")[0] + "/" if base and "/" in base else None

    def _page(self, number: int, page: Element) -> Record:
        title = " ".join((page.text_of("title") or "").split())
        if not title:
            raise _Unreadable("a page without a title")
        page_id = page.text_of("id") or ""
        if not _NUMBER.fullmatch(page_id):
            raise _Unreadable(f"the page's id is {page_id[:40]!r}, not a number")
        namespace = (page.text_of("ns") or "0").strip()
        if namespace != "0":
            return Record(number, title, reason="namespace", detail=namespace)
        redirect = page.first("redirect")
        if redirect is not None:
            target = redirect.attributes.get("title", "")
            return Record(number, title, reason="redirect", detail=target)
        revision = page.first("revision")
        if revision is None:
            raise _Unreadable("a page without a revision")
        model = revision.text_of("model") or "wikitext"
        if model != "wikitext":
            return Record(number, title, reason="content model", detail=model)
        text = revision.first("text")
        if text is None or "deleted" in text.attributes:
            return Record(number, title, reason="deleted")
        source = text.text
        if _REDIRECT.match(source):  # dumps before 2010 have no <redirect>
            return Record(number, title, reason="redirect")
        if self._was_there(int(page_id)):
            return Record(number, title, reason="duplicate", detail=f"of page {page_id}")
        created = dates.iso(revision.text_of("timestamp"))
        plain = wikitext.plain_text(source, self._site)
        told = {"unreadable date": created is None, "unparsed": not plain.is_parsed}
        notes = tuple(note for note, is_so in told.items() if is_so)
        metadata = {
            "title": title,
            "url": self._url(title),
            "revision": revision.text_of("id"),
            "language": self._site.language or None,
            "wikitext_length": len(source),
            "disambiguation": wikitext.is_disambiguation(source),
        }
        metadata = {key: value for key, value in metadata.items() if value is not None}
        return taken(number, title, Document(page_id, plain.text, created, metadata), notes)

    def _url(self, title: str) -> str | None:
        if self._base is None:
            return None
        return self._base + urllib.parse.quote(title.replace(" ", "_"), safe=_UNQUOTED)

    def _was_there(self, page_id: int) -> bool:
        """Whether the id was asked for before."""
        bits = self._seen.setdefault(page_id >> 16, bytearray(1 << 13))
        place, bit = (page_id & 0xFFFF) >> 3, 1 << (page_id & 7)
        was_there = bool(bits[place] & bit)
        bits[place] |= bit
        return was_there


def _later(one: Element, another: Element) -> Element:
    """Of two revisions the one with the later time stamp, of equal ones the second."""
    first, second = one.text_of("timestamp") or "", another.text_of("timestamp") or ""
    return one if first > second else another


def _language(root: dict[str, str], database: str | None) -> str:
    """As `xml:lang` tells it; else of a database as `dewiki`, its beginning."""
    match = re.match(r"([a-z_]{2,12}?)wik[ti]", database or "")
    return root.get("xml:lang") or (match[1].replace("_", "-") if match else "")
