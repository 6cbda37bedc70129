"""Creative Commons licences that the HTML of a page links to.

After the licence detector of C4Corpus (Habernal et al. 2016), as Dolma took it over. Both read
`metadata.html`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

TYPES = tuple(
    "by" + "".join(parts) for parts in itertools.product(("", "-nc"), ("", "-nd"), ("", "-sa"))
)
IN_USE = tuple(name for name in TYPES if not name.endswith("-nd-sa"))  # that exist, with languages
PUBLIC_DOMAIN = tuple(f"publicdomain/{name}" for name in ("zero", "certification", "mark"))
VERSIONS = ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")
OTHER = "cc_other"
FAST_TYPES = ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", "publicdomain")

_LINKS = ("creativecommons.org/licenses", "creativecommons.org/publicdomain")
_SITE = "creativecommons.org/"


class CcRe(Tagger, frozen=True):
    """Creative Commons licences in attributes `href` and `content` of the page's tags.

    A span over the whole text for each, under `cc_TYPE_VERSION_LANGUAGE`, of which the last two
    may be missing: score 1 for the first of the page, 0.75 for the second, then 0.66667, 0.625, ...
    Differs from Dolma: it makes keys of whatever the links say; ours have the versions that exist,
    and, by default, the codes of all languages and countries in which they do, with `le` and `de`,
    which Dolma takes `legalcode` and `deed` for: 4,719 keys; `languages="de en"` makes do with
    these. What has another version or code, or one for a licence that there is not, is `cc_other`.
    Pages without `html`, for which Dolma fails, have nothing. Source: Dolma's taggers/licenses.py,
    CreativeCommonsRegexLicenseExtractor.
    """

    id: ClassVar[str] = "cc_re"
    languages: str | None = None  # codes, parted by spaces

    @property
    def keys(self) -> Mapping[str, Kind]:
        given = self.languages
        languages = known_languages() if given is None else tuple(given.split())
        return dict.fromkeys(names(languages), "spans")

    def kernels(self) -> tuple[str, ...]:
        return ("rounding",)

    def tag(self, batch: Batch) -> Columns:
        return columns_of(batch, tuple(self.keys), licences)


class CcReFast(Tagger, frozen=True):
    """Creative Commons licences that stand as addresses anywhere in the page's HTML.

    A span over the whole text for each, under `cc_TYPE`, scored as in `cc_re`; a type is known by a
    quote, `/`, a space or `>` after it. Differs from Dolma: pages without `html`, for which it
    fails, have nothing. Source: Dolma's taggers/licenses.py, CreativeCommonsFastRegexHtmlExtractor.
    """

    id: ClassVar[str] = "cc_re_fast"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys((f"cc_{name}" for name in FAST_TYPES), "spans")

    def kernels(self) -> tuple[str, ...]:
        return ("rounding",)

    def tag(self, batch: Batch) -> Columns:
        return columns_of(batch, tuple(self.keys), addresses)


@functools.cache
def known_languages() -> tuple[str, ...]:
    path = resources.files(__package__) / "data" / "licence_languages.txt"
    return tuple(path.read_text(encoding="utf-8").split())


@functools.lru_cache(maxsize=16)
def names(languages: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that licences may have, with these languages."""
    bare = itertools.product((*TYPES, *PUBLIC_DOMAIN), ("", *(f"_{v}" for v in VERSIONS)))
    in_languages = [
        *itertools.product(IN_USE, VERSIONS, languages),
        *itertools.product(PUBLIC_DOMAIN, ("1.0",), languages),
    ]
    return (
        *(f"cc_{name}{version}" for name, version in bare),
        *(f"cc_{name}_{version}_{language}" for name, version, language in in_languages),
        OTHER,
    )


def columns_of(
    batch: Batch, keys: tuple[str, ...], find: Callable[[str], Iterable[str]]
) -> Columns:
    """Key -> spans of what was found in the HTML of each page, in its order."""
    known = set(keys)
    rows: dict[str, list[tuple[int, float]]] = {}
    for doc, html in enumerate(batch.metadata_strings("html")):
        if html is None or not any(link in html for link in _LINKS):
            continue
        for i, name in enumerate(find(html)):
            rows.setdefault(name if name in known else OTHER, []).append((doc, 0.5 + 0.5 / (i + 1)))
    none = np.zeros(0, np.int64)
    nothing = Spans(np.zeros(len(batch) + 1, np.int64), none, none, np.zeros(0))
    columns: Columns = dict.fromkeys(keys, nothing)
    for name, found in rows.items():
        docs = np.array([doc for doc, _ in found], np.int64)
        offsets = np.zeros(len(batch) + 1, np.int64)
        np.cumsum(np.bincount(docs, minlength=len(batch)), out=offsets[1:])
        scores = kernels.rounding.round5(np.array([score for _, score in found]))
        columns[name] = Spans(offsets, np.zeros_like(docs), batch.n_characters[docs], scores)
    return columns


class _Patterns(NamedTuple):
    tag: Any
    link: Any
    quote: Any
    address: Any


@functools.cache
def patterns() -> _Patterns:
    """Dolma's expressions in pieces; word characters and punctuation are those of regex."""
    import regex

    return _Patterns(
        tag=regex.compile(r"(<(?:a|A|meta)\s)[\w\p{Punct}\s=]*+"),
        link=regex.compile(
            r"(?:href|HREF|content)=(?:['\"]|&quot;)?https*+://creativecommons\.org/"
            r"(?:licenses/(?P<type>by(?:-nc)?(?:-nd)?(?:-sa)?)"
            r"|(?P<type>publicdomain/(?:zero|certification|mark)))"
            r"(?P<version>/\d+\.\d+)?"
            r"(?:(?:/\w{2})?/(?:(?:deed|legalcode)\.)?(?P<lang>\w{2}))?"
        ),
        quote=regex.compile("['\"]|&quot;"),
        address=regex.compile(
            r"https?://creativecommons\.org/licenses/"
            r"(?P<type>by|by-sa|by-nd|by-nc|by-nc-sa|by-nc-nd|publicdomain)[\"/ >]"
        ),
    )


def addresses(html: str) -> Iterator[str]:
    """What `cc_re_fast` finds."""
    for match in patterns().address.finditer(html):
        yield f"cc_{match['type']}"


def licences(html: str) -> Iterator[str]:
    """What `cc_re` finds, in linear time. Dolma's expression is, less its groups,

        <(a|A|meta)\\s[\\w\\p{Punct}\\s=]*\\n*LINK.*?(['"]|&quot;).*?>

    where LINK is an attribute with the address of a licence. The class has no `<` or `>`, so only
    the last `<` before an address can begin a match. Of several links in one tag the last one
    counts after which there are, on its line, a quote and then a `>`; there the match ends.
    """
    found = patterns()
    line = _Line(html)
    position = searched = 0
    while (site := html.find(_SITE, searched)) >= 0:
        start = html.rfind("<", max(position, searched), site)
        searched = site + len(_SITE)
        tag = found.tag.match(html, start) if start >= 0 else None
        if tag is None:
            continue
        links = found.link.finditer(html, tag.end(1), tag.end(), overlapped=True)
        for link in reversed(list(links)):
            if (end := line.tag_end(link.end())) >= 0:
                version = (link["version"] or "").strip("/")
                yield "_".join(filter(None, ("cc", link["type"], version, link["lang"])))
                position = end
                break


class _Line:
    """The line of HTML that was looked at last, and what is known of it."""

    def __init__(self, html: str) -> None:
        self.html = html
        self._start = self._end = -1
        self._last = -1  # the last `>` on it
        self._unquoted = -1  # from here to that there is no quote

    def tag_end(self, at: int) -> int:
        """Where, on the line of `at`, the first `>` after the first quote ends; -1 if nowhere."""
        if not self._start <= at <= self._end:
            self._start = self.html.rfind("\n", 0, at) + 1 if at <= self._end else at
            newline = self.html.find("\n", at)
            self._end = newline if newline >= 0 else len(self.html)
            self._last = self._unquoted = self.html.rfind(">", at, self._end)
        if at >= self._unquoted:
            return -1
        quote = patterns().quote.search(self.html, at, self._unquoted)
        if quote is None:
            self._unquoted = at
            return -1
        return self.html.find(">", quote.end()) + 1
