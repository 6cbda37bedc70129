"""What a page says about itself, in its head, its links and the headers that it came with.

Its title, language and address, the licences it names, when it was published, and what it reserves:
the directives of robots (`noindex`, `noai`, ...; Google's documentation of robots meta tags, and
DeviantArt's for `noai`), and the reservation of text and data mining (W3C TDMRep). A directive for
any of the ROBOTS counts: what is said to one crawler of models is not hidden from another.
"""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dolma_kit.extraction import dates, elements
from dolma_kit.extraction.elements import attribute
from dolma_kit.extraction.licences import licence_name

ROBOTS = frozenset((
    "robots", "googlebot", "bingbot", "slurp", "duckduckbot", "yandex", "ccbot", "gptbot",
    "google-extended", "ai2bot", "ai2bot-dolma", "claudebot", "anthropic-ai", "bytespider",
    "applebot-extended", "meta-externalagent", "perplexitybot",
))  # fmt: skip
MAX_TITLE = 1_000  # characters; what is longer is a title that was never closed
MAX_JSON = 2_000_000  # characters of one piece of JSON-LD

_TAG = re.compile(r'<(html|meta|link|time)((?: =?[^\s/>=]*="[^"]*")*)>')
_LINK = re.compile(r'<(?:a|area)((?: =?[^\s/>=]*="[^"]*")*)>')
_LICENSED = re.compile("licen[cs]e|publicdomain|copyleft|mpl/|rightsstatements", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title>")
_JSON_LD = re.compile(r'<script[^>]* type="application/ld\+json"[^>]*>(.*?)</script>', re.DOTALL)
_PLACES = ("rel", "json-ld", "meta", "link")  # the clearest first
_VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_PUBLISHED = (
    "article:published_time", "og:article:published_time", "datepublished", "date",
    "dc.date.issued", "dcterms.issued", "dc.date", "dcterms.created", "dc.date.created",
    "citation_publication_date", "citation_date", "parsely-pub-date", "sailthru.date", "pubdate",
    "publishdate", "publish-date", "publication_date",
)  # fmt: skip
_MODIFIED = ("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified",
             "dc.date.modified", "last-modified", "revised")  # fmt: skip
_RIGHTS = ("dc.rights", "dcterms.rights", "dcterms.license", "dc.rights.license", "copyright",
           "license", "rights", "dcterms.rightsholder")  # fmt: skip
#: of JSON-LD, what is about something else than the page
_OTHERS = frozenset((
    "comment", "review", "author", "publisher", "creator", "mentions", "isPartOf", "hasPart",
    "itemListElement", "citation", "video", "image", "logo", "isBasedOn", "suggestedAnswer",
    "acceptedAnswer", "aggregateRating", "offers",
))  # fmt: skip


class Licence(NamedTuple):
    """A licence that a page names: its `name` (licences.py), None where it is not known.

    `where`: "rel" (a link with rel=license), "json-ld", "meta", or "link": any other link to a
    licence that is known, which may speak of something else than the page.
    """

    name: str | None
    url: str
    where: str


class PageFacts(NamedTuple):
    """What a page says about itself; None and empty where it says nothing.

    `licences` are each told once, by where it is said most clearly. `robots` are sorted and in
    lower case: `noindex`, `noai`, `noimageai`, `nosnippet`, `noarchive`, `nofollow` and what else
    there is; `none` is `noindex` and `nofollow`, `max-snippet:0` is `nosnippet`. Dates are as in
    dates.py.
    """

    title: str | None
    language: str | None
    canonical: str | None
    licences: tuple[Licence, ...]
    robots: tuple[str, ...]
    tdm_reservation: bool | None
    tdm_policy: str | None
    published: str | None
    modified: str | None


def metadata_of(facts: PageFacts) -> dict[str, Any]:
    """The facts as metadata of a document; what a page does not say is left out."""
    found = {key: value for key, value in facts._asdict().items() if value not in (None, ())}
    if facts.licences:
        found["licences"] = [one._asdict() for one in facts.licences]
    return found


def facts_of(html: str, headers: Iterable[tuple[str, str]] = ()) -> PageFacts:
    """The facts of a page that came with these HTTP headers. PageError as in `extract_text`."""
    return facts_of_page(elements.written(html), headers)


def facts_of_page(page: str, headers: Iterable[tuple[str, str]] = ()) -> PageFacts:
    """The facts of a page that the parser has written down."""
    found = _Found()
    for name, value in headers:
        found.read_header(name.lower(), value)
    if "application/ld+json" in page:
        for script in _JSON_LD.findall(page):
            found.read_json(script)
    plain = elements.without_raw(page)
    read = {
        "html": found.read_html, "meta": found.read_meta, "link": found.read_link,
        "time": found.read_time,
    }  # fmt: skip
    for tag, attributes in _TAG.findall(plain):
        if attributes:
            read[tag](attributes)
    if _LICENSED.search(plain):
        for attributes in _LINK.findall(plain):
            if _LICENSED.search(attributes):
                found.read_link(attributes)
    title = _TITLE.search(plain)
    plain_title = " ".join(entities.unescape(title[1]).split())[:MAX_TITLE] if title else None
    return PageFacts(
        plain_title or None,
        found.language,
        found.canonical,
        _told_once(found.licences),
        tuple(sorted(found.robots)),
        found.tdm_reservation,
        found.tdm_policy,
        next(iter(found.published), None),
        next(iter(found.modified), None),
    )


class _Found:
    """What has been found on the page so far; what comes first counts, where there is one."""

    def __init__(self) -> None:
        self.language: str | None = None
        self.canonical: str | None = None
        self.licences: list[Licence] = []
        self.robots: set[str] = set()
        self.tdm_reservation: bool | None = None
        self.tdm_policy: str | None = None
        self.published: list[str] = []
        self.modified: list[str] = []

    def read_header(self, name: str, value: str) -> None:
        if name == "x-robots-tag":  # `noindex, bingbot: noai, max-snippet: 0`, of several joined
            agent = "robots"
            for part in value.lower().split(","):
                before, colon, after = part.partition(":")
                if colon and before.strip() not in _VALUED:
                    agent, part = before.strip(), after
                if agent in ROBOTS:
                    self._read_robots(part)
        elif name == "tdm-reservation":
            self._read_reservation(value)
        elif name == "tdm-policy":
            self.tdm_policy = self.tdm_policy or value.strip() or None
        elif name == "content-language":
            self.language = self.language or value.strip() or None

    def read_html(self, attributes: str) -> None:
        language = attribute(attributes, "lang") or attribute(attributes, "xml:lang")
        self.language = (language or "").strip() or self.language

    def read_meta(self, attributes: str) -> None:
        names = (attribute(attributes, key) for key in ("name", "property", "itemprop"))
        name = next(filter(None, names), "").strip().lower()
        content = (attribute(attributes, "content") or "").strip()
        if not content:
            return
        if name in ROBOTS:
            self._read_robots(content)
        elif name == "tdm-reservation":
            self._read_reservation(content)
        elif name == "tdm-policy":
            self.tdm_policy = self.tdm_policy or content
        elif name in _PUBLISHED:
            # what is about articles comes before what may be the date of the template
            _add(self.published, content, first=name.startswith("article:"))
        elif name in _MODIFIED:
            _add(self.modified, content)
        elif name in _RIGHTS and (known := licence_name(content)):
            self.licences.append(Licence(known, content, "meta"))
        elif (attribute(attributes, "http-equiv") or "").lower() == "content-language":
            self.language = self.language or content

    def read_link(self, attributes: str) -> None:
        rel = (attribute(attributes, "rel") or "").lower().split()
        href = (attribute(attributes, "href") or "").strip()
        if not href:
            return
        if "canonical" in rel:
            self.canonical = self.canonical or href
        name = licence_name(href)
        if "license" in rel or "licence" in rel:
            self.licences.append(Licence(name, href, "rel"))
        elif name is not None:
            self.licences.append(Licence(name, href, "link"))

    def read_time(self, attributes: str) -> None:
        date = attribute(attributes, "datetime")
        if not date:
            return
        names = (attribute(attributes, key) or "" for key in ("itemprop", "class", "property"))
        said = " ".join(names).lower()
        if "modified" in said or "updated" in said.split():
            _add(self.modified, date)
        elif "publish" in said or "entry-date" in said or " pubdate=" in attributes:
            _add(self.published, date)

    def read_json(self, script: str) -> None:
        if len(script) > MAX_JSON:
            return
        try:
            data = json.loads(script, strict=False)
        except (ValueError, RecursionError):
            return
        for node in _about_page(data):
            _add(self.published, node.get("datePublished"))
            _add(self.modified, node.get("dateModified"))
            given = node.get("license")
            for one in given if isinstance(given, list) else [given]:
                url = one.get("@id", one.get("url")) if isinstance(one, dict) else one
                if isinstance(url, str) and url.strip():
                    self.licences.append(Licence(licence_name(url), url.strip(), "json-ld"))

    def _read_robots(self, content: str) -> None:
        for directive in re.split(r"[,;\s]+", re.sub(r"\s*:\s*", ":", content.lower())):
            if directive == "none":
                self.robots.update(("noindex", "nofollow"))
            elif directive == "max-snippet:0":
                self.robots.add("nosnippet")
            elif directive.startswith("no"):
                self.robots.add(directive)

    def _read_reservation(self, value: str) -> None:
        if value.strip() in ("0", "1"):
            self.tdm_reservation = value.strip() == "1" or bool(self.tdm_reservation)


def _add(found: list[str], date: Any, *, first: bool = False) -> None:
    if isinstance(date, str) and (day := dates.iso(date)) is not None:
        found.insert(0 if first else len(found), day)


def _about_page(data: Any) -> Iterator[dict[str, Any]]:
    """The objects of JSON-LD that are about the page, those nearest to the top first."""
    level, depth = [data], 0
    while level and depth < 8:
        below: list[Any] = []
        for node in level:
            if isinstance(node, list):
                below.extend(node)
            elif isinstance(node, dict):
                yield node
                below.extend(value for key, value in node.items() if key not in _OTHERS)
        level, depth = below, depth + 1


def _told_once(licences: list[Licence]) -> tuple[Licence, ...]:
    best: dict[str, Licence] = {}
    for licence in sorted(licences, key=lambda one: _PLACES.index(one.where)):
        best.setdefault(licence.name or licence.url, licence)
    return tuple(best.values())
