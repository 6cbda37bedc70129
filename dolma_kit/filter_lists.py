"""Lists of filters of Adblock Plus, and whether they block a URL.

For `resource` requests the answers are those of adblock-rust 0.8.8, faults too: of a host that
stands twice in a URL only the first place counts, and whether its last label ends there is looked
up in the wrong place; a rule for the pages of some sites is found by
its rarest word, and asks who asks only if that is the site; of expressions that are looked for
together, one that cannot be compiled takes the others with it. For `document` requests a rule is
judged alone, and a page asks for itself: it is its own first party.

An exception takes back what other rules than `$important` ones block.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dolma_kit import filter_rules, kernels, url_lists
from dolma_kit.filter_rules import (
    ALSO_BLOCK,
    AT_HOST,
    BAD,
    EXCEPTION,
    EXPRESSION,
    HIDE,
    IMPORTANT,
    OTHER_PURPOSE,
    REDIRECT,
    WILD,
    Request,
    Rule,
    host_rule,
)
from dolma_kit.url_lists import Stored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.kernels.filters import Index

KERNELS = ("filters", "string_set")
FREQUENT = ("http", "https", "www", "com")  # words that are never rare
_ROOM = 1 << 12
_ODD = re.compile(r"[\x00-\x02\\]")
_USELESS = BAD | OTHER_PURPOSE | HIDE
_SCHEMES = filter_rules.HTTP | filter_rules.HTTPS


class Urls(NamedTuple):
    """URLs to ask about: in lower case, and as they are for rules that mind the case."""

    lower: NDArray[np.uint8]
    original: NDArray[np.uint8]
    places: NDArray[np.int64]  # (n, 4): start, start and end of the host, end

    def text(self, i: int, *, as_is: bool = False) -> str:
        start, _, _, end = self.places[i].tolist()
        data = self.original if as_is else self.lower
        return data[start:end].tobytes().decode("utf-8", "surrogatepass")

    def host(self, i: int) -> str:
        _, start, end, _ = self.places[i].tolist()
        return self.lower[start:end].tobytes().decode("utf-8", "surrogatepass")


class FilterList:
    """Rules for one kind of request. `n_rules` is how many there are, `n_skipped` how many lines
    are no rule that is known; comments and rules for the content of pages do not count."""

    def __init__(self, lines: Iterable[str], request: Request) -> None:
        rules: list[Rule] = []
        hosts: set[str] = set()
        self.n_skipped = 0
        for line in lines:
            if (host := filter_rules.host_of(line)) is not None:
                hosts.add(host)
            elif (rule := filter_rules.parse(line, request)) is not None:
                rules.append(rule)
            else:
                self.n_skipped += filter_rules.is_network(line.strip())
        self.n_rules = len(rules) + len(hosts)
        bad = {rule._replace(mask=rule.mask & ~BAD) for rule in rules if rule.mask & BAD}
        hosts -= {rule.host for rule in bad if rule.host and rule == host_rule(rule.host)}
        important, blocking, exceptions = [], [], []
        for rule in rules:
            if rule.mask & _USELESS or rule.tag is not None or (bad and rule in bad):
                continue
            if rule.mask & EXCEPTION:
                exceptions.append(rule)
            elif rule.mask & IMPORTANT:
                important.append(rule)
            elif rule.mask & ALSO_BLOCK or not rule.mask & REDIRECT:
                blocking.append(rule)
        self._is_document = request == "document"
        self._hosts = url_lists.string_set([sorted(hosts)])
        self._important = _Group(important, request)
        self._blocking = _Group(blocking, request, hosts)
        self._exceptions = _Group(exceptions, request)

    def blocks(self, asked: Urls) -> NDArray[np.bool_]:
        """Which of the URLs are blocked, (n,) bool."""
        import numpy as np

        filters = kernels.filters
        important = self._important.find(asked, np.ones(len(asked.places), np.bool_))
        blocked = filters.find_hosts(*self._hosts, asked.lower, asked.places, self._is_document)
        blocked |= self._blocking.find(asked, ~important & ~blocked)
        excepted = self._exceptions.find(asked, blocked)
        answer: NDArray[np.bool_] = important | (blocked & ~excepted)
        return answer


class _Group:
    """Rules of which it is enough that one matches."""

    def __init__(
        self, rules: Sequence[Rule], request: Request, hosts: Collection[str] = ()
    ) -> None:
        self._is_document = request == "document"
        self._others: dict[int, _Other] = {}
        self._index = self._made(rules, request, hosts) if rules else None

    def _made(self, rules: Sequence[Rule], request: Request, hosts: Collection[str]) -> Index:
        by_word = _buckets(rules, request, hosts)
        if request == "resource":
            for word, bucket in by_word.items():
                by_word[word] = _compiled_together(bucket)
        flat: list[Rule] = []
        bounds = [0]
        words = [word for word in by_word if filter_rules.is_word(word)]
        for word in ["", *words]:
            flat += [rule for rule in by_word.get(word, ()) if filter_rules.is_for(rule, request)]
            bounds.append(len(flat))
        return self._arrays(flat, bounds, words)

    def _arrays(self, rules: list[Rule], bounds: list[int], words: list[str]) -> Index:
        """Rules, bucket by bucket, as the kernel has them."""
        import numpy as np

        filters, bits = kernels.filters, _bits()
        kinds = np.zeros(len(rules), np.uint8)
        places = np.zeros((len(rules), 3), np.int64)
        texts: list[bytes] = []
        size = 0
        for i, rule in enumerate(rules):
            pattern = _encoded(rule, self._is_document)
            if pattern is None:
                self._others[i] = _Other(rule, _expression(rule))
                kinds[i] = filters.OTHER
                continue
            host = (rule.host or "").encode()
            texts += (host, pattern)
            places[i] = size, size + len(host), size + len(host) + len(pattern)
            size += len(host) + len(pattern)
            kinds[i] = sum(ours for bit, ours in bits if rule.mask & bit)
        encoded = [word.encode("utf-8", "surrogatepass") for word in words]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        keys, slots = filters.table_of(np.frombuffer(b"".join(encoded), np.uint8), offsets)
        text = np.frombuffer(b"".join(texts), np.uint8)
        arrays = (text, places, kinds, np.array(bounds, np.int64), keys, slots)
        for array in arrays:
            array.flags.writeable = False
        return filters.Index(*arrays)

    def find(self, asked: Urls, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the URLs that are wanted a rule matches, (n,) bool."""
        import numpy as np

        found = np.zeros(len(wanted), np.bool_)
        if self._index is None or not wanted.any():
            return found
        room = _ROOM
        while True:
            pairs = np.empty((room, 2), np.int64)
            n_pairs = kernels.filters.find(
                self._index, asked.lower, asked.places, self._is_document, wanted, found, pairs
            )
            if n_pairs <= room:
                break
            room = n_pairs
            found[:] = False
        pairs = pairs[:n_pairs]
        for rule in np.unique(pairs[:, 1]).tolist():
            rows = pairs[pairs[:, 1] == rule, 0]
            rows = rows[~found[rows]]
            found[rows] = self._others[rule].matches(asked, rows.tolist(), self._is_document)
        return found


class _Other(NamedTuple):
    """A rule that plain code decides, with its regular expression."""

    rule: Rule
    expression: str

    def matches(self, asked: Urls, rows: Sequence[int], is_document: bool) -> list[bool]:
        """Which of some URLs it matches."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts: list[str] = []
        which: list[int] = []
        for i, row in enumerate(rows):
            found = self._parts(asked, row, is_document)
            parts += found
            which += [i] * len(found)
        answers = [False] * len(rows)
        try:
            fits = pc.match_substring_regex(pa.array(parts, pa.large_string()), self.expression)
        except pa.ArrowInvalid:  # no expression that RE2 and Rust know
            return answers
        for i, is_fit in zip(which, fits.to_pylist(), strict=True):
            answers[i] |= is_fit
        return answers

    def _parts(self, asked: Urls, row: int, is_document: bool) -> list[str]:
        """The parts of a URL of which the pattern has to fit one; none if it is not asked."""
        rule, host = self.rule, asked.host(row)
        url = asked.text(row, as_is=bool(rule.mask & filter_rules.MATCH_CASE))
        if is_document and not _is_for_page(rule, url, host):
            return []
        if rule.host is None:
            return [url]
        size = len(rule.host)
        ends = [at + size for at in _at_labels(rule, host, is_document)]
        if not rule.pattern and _ends_host(rule):
            return [""] if ends and host.endswith(rule.host) else []
        if is_document:
            start, host_start, _, _ = asked.places[row].tolist()
            return [url[host_start - start + end :] for end in ends]
        return [url[url.index(rule.host) + size :]] if ends else []


def _is_for_page(rule: Rule, url: str, host: str) -> bool:
    """Whether a rule's scheme and domains are those of a page."""
    scheme = filter_rules.HTTPS if url.startswith("https:") else filter_rules.HTTP
    above = {host, *(host[i + 1 :] for i, byte in enumerate(host) if byte == ".")}
    return (
        bool(rule.mask & scheme)
        and (not rule.domains or not above.isdisjoint(rule.domains))
        and above.isdisjoint(rule.not_domains)
    )


def _ends_host(rule: Rule) -> bool:
    return bool(rule.mask & filter_rules.RIGHT) and not rule.mask & filter_rules.LEFT


def _at_labels(rule: Rule, host: str, anywhere: bool) -> list[int]:
    """Where a rule's host begins in that of a URL, see the kernel of this name."""
    name = rule.host or ""
    if len(name) >= len(host) or not name:
        return [0] if name == host or not name else []
    found = []
    at = host.find(name)
    while at >= 0:
        end = at + len(name)
        goes_on = rule.mask & filter_rules.WILD_HOST or name[-1] == "."
        if (at == 0 or name[0] == "." or host[at - 1] == ".") and (
            goes_on or end == len(host) or host[end if anywhere else len(name)] == "."
        ):
            found.append(at)
        at = host.find(name, at + 1) if anywhere else -1
    return found


def _buckets(
    rules: Sequence[Rule], request: Request, hosts: Collection[str]
) -> dict[str, list[Rule]]:
    """Rules by the rarest of their words, "" for those without one.

    The words of the hosts of other rules count as well.
    """
    words = [_words(rule, request) for rule in rules]
    counts = Counter(word for options in words for option in options for word in option)
    counts.update(word for host in hosts for word in filter_rules.words_of_host(host))
    n_words = counts.total()
    for word in FREQUENT:
        counts[word] = n_words
    buckets: dict[str, list[Rule]] = defaultdict(list)
    for rule, options in zip(rules, words, strict=True):
        for option in options:
            buckets[min(option, key=counts.__getitem__) if option else ""].append(rule)
    return buckets


def _words(rule: Rule, request: Request) -> list[list[str]]:
    """The words to find a rule by; several lists if it is found by either."""
    words = filter_rules.words_of(rule, request)
    if request == "document":
        return [words]
    if rule.domains and not rule.not_domains:
        if len(rule.domains) == 1:
            words = [rule.domains[0], *words]
        elif not words:
            return [[domain] for domain in rule.domains]
    schemes = rule.mask & (filter_rules.HTTP | filter_rules.HTTPS)
    if schemes == filter_rules.HTTP:
        words.append("http")
    elif schemes == filter_rules.HTTPS:
        words.append("https")
    return [words]


def _compiled_together(bucket: list[Rule]) -> list[Rule]:
    """A bucket without the rules that adblock-rust cannot compile, alone or in company."""
    if not any(_is_expression(rule) for rule in bucket):
        return bucket
    companies: dict[object, list[Rule]] = defaultdict(list)
    for i, rule in enumerate(bucket):
        is_alone = rule.domains or rule.not_domains or rule.mask & (AT_HOST | REDIRECT)
        companies[i if is_alone else f"together {rule.mask}"].append(rule)
    kept = []
    for company in companies.values():
        if all(_compiles(_expression(rule)) for rule in company if _is_expression(rule)):
            kept += company
    return kept


def _is_expression(rule: Rule) -> bool:
    """Whether it is one that a list may get wrong."""
    return bool(rule.mask & EXPRESSION) or (rule.mask & WILD > 0 and "\\" in rule.pattern)


def _expression(rule: Rule) -> str:
    if not rule.pattern:
        return ""
    if rule.mask & (EXPRESSION | WILD):
        return filter_rules.expression_of(rule)
    return filter_rules.expression_of(rule._replace(pattern=rule.pattern.replace("\\", "\\\\")))


def _compiles(expression: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), expression)
    except pa.ArrowInvalid:
        return False
    return True


def _bits() -> list[tuple[int, int]]:
    """Bits of rules, and those of the kernel for them."""
    names = ("AT_HOST", "LEFT", "RIGHT", "WILD", "WILD_HOST")
    return [(getattr(filter_rules, n), getattr(kernels.filters, n)) for n in names]


def _encoded(rule: Rule, is_document: bool) -> bytes | None:
    """A pattern as the kernel reads it; None of a rule that plain code decides."""
    text = rule.pattern
    if is_document:
        has_one_scheme = rule.mask & _SCHEMES != _SCHEMES
        if rule.domains or rule.not_domains or has_one_scheme:
            return None
    if rule.mask & EXPRESSION or not text.isascii() or _ODD.search(text):
        return None
    if not rule.mask & WILD:
        return text.encode()
    if "^^" in text[:-1]:
        return None
    if text.endswith("^"):
        text = f"{text[:-1]}\x02"
    return text.replace("*", "\x00").replace("^", "\x01").encode()


def read(names: Sequence[str], request: Request) -> FilterList:
    """The rules of lists that are named by path or URL."""
    return _read(url_lists.stored(names), request)


@functools.lru_cache(maxsize=16)
def _read(lists: tuple[Stored, ...], request: Request) -> FilterList:
    lines: set[str] = set()
    for path, *_ in lists:
        text = url_lists.text_of(path).removeprefix(b"\xef\xbb\xbf")
        found = [line for line in url_lists.lines_of(text) if not line.startswith("!")]
        lines.update(line.strip() for line in found)
    made = FilterList(sorted(lines), request)
    if made.n_rules == 0:
        raise url_lists.no_entries(lists[0].path, "filter for URLs")
    return made
