"""`urls`: from where documents come, by scheme, host, registered domain and public suffix.

The URL of a document is the first string at the keys `url_key`. Hosts are in normal form (lower
case, IDNA, as a browser asks for them). Registered domain and suffix are those of the Public Suffix
List's ICANN section, as WIMBD's (Elazar et al. 2023, section 4.2.2), so that `a.github.io` is of
`github.io`. An IP address is its own domain; a host without a listed suffix, too.

Table: `source`, `state` (url, missing, not a string, not a URL), `scheme`, `host`, and how many
`documents`, `words` and `tokens` they have. Notes: `examples`, the first values that are no URLs,
each [value, file, line].
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np

from dolma_kit import urls
from dolma_kit.statistics import tables
from dolma_kit.statistics.partials import Partial, added, of_file, tallied
from dolma_kit.statistics.statistic import (
    About,
    Measure,
    Statistic,
    fields_of,
    first_at,
    n_words,
    sources,
)
from dolma_kit.statistics.token_counts import TokenCounts

if TYPE_CHECKING:
    import pyarrow as pa

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

URL, MISSING, NOT_STRING, NOT_URL = "url", "missing", "not a string", "not a URL"
KEYS = ("source", "state", "scheme", "host")
SUMS = ("documents", "words", "tokens")
N_EXAMPLES = 10
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
ADDRESS, UNLISTED = "(address)", "(unlisted)"
#: a scheme and a host that nothing but a path, query or fragment follows
_PLAIN = re.compile(r"(https?)://([a-z0-9.-]+)(?:[/?#]|$)", re.ASCII)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What has one value: `tokens` null where nobody counted."""

    name: str
    documents: int
    words: int
    tokens: int | None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How documents, words or tokens are spread over hosts or domains.

    `quantiles` of what one has, the share of the `top` 1, 10, 100 and 1,000, and the Gini
    coefficient: 0 if all have as much, near 1 if one has all.
    """

    quantiles: dict[str, int]
    top: dict[str, float]
    gini: float


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One part of URLs: `distinct` values, the most frequent by documents and, for as many, by
    words; `spread` by unit."""

    distinct: int
    by_documents: list[Share]
    by_words: list[Share]
    spread: dict[str, Spread]


class Example(msgspec.Struct, frozen=True):
    value: str
    file: str
    line: int


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """`states` count documents: those with a URL, and those without one by why; `sources` too.

    `missing_rate` is the share of documents without a URL, for whatever reason. `levels` are of
    documents with one: scheme, host, domain, suffix. `not_urls` are the first values that are
    none. `suffix_list` is the version of the Public Suffix List.
    """

    about: About
    keys: list[str]
    documents: int
    missing_rate: float
    states: dict[str, int]
    sources: dict[str, dict[str, int]]
    levels: dict[str, Level]
    not_urls: list[Example]
    suffix_list: str


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [*((key, pa.string()) for key in KEYS), *((name, pa.int64()) for name in SUMS)]
    )


@dataclass(frozen=True)
class UrlsOf(Statistic):
    keys: tuple[str, ...]
    tokens: TokenCounts | None = None
    top: int = 20

    id: ClassVar[str] = "urls"
    asking: ClassVar[tuple[str, ...]] = ("top",)
    kernels: ClassVar[tuple[str, ...]] = ("uax29",)

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_of(self.keys)

    def start(self, shard: Shard) -> Measure:
        counter = None if self.tokens is None else self.tokens.counter(shard)

        def measure(batch: Batch) -> Partial:
            values, _ = first_at(batch, self.keys)
            found = [parse(value) for value in values]
            examples = [
                [str(values[i])[:200], 0, int(batch.lines[i])]
                for i, one in enumerate(found)
                if one[0] in (NOT_STRING, NOT_URL)
            ]
            n_tokens = np.zeros(len(batch), np.int64)
            if counter is not None:
                n_tokens = np.maximum(counter(batch), 0)
            columns = {
                "source": sources(batch).of_documents(),
                "state": [state for state, _, _ in found],
                "scheme": [scheme for _, scheme, _ in found],
                "host": [host for _, _, host in found],
                "documents": np.ones(len(batch), np.int64),
                "words": n_words(batch),
                "tokens": n_tokens,
            }
            notes = {"examples": examples[:N_EXAMPLES]}
            return Partial(notes, tallied(columns, schema(), KEYS, SUMS))

        return measure

    def placed(self, partial: Partial, file: int) -> Partial:
        for example in partial.notes["examples"]:
            example[1] = file
        return of_file(partial, file)

    def empty(self) -> Partial:
        return Partial({"examples": []}, schema().empty_table())

    def merge(self, partials: Sequence[Partial]) -> Partial:
        examples = [example for partial in partials for example in partial.notes["examples"]]
        table = added([partial.table for partial in partials], KEYS, SUMS)
        return Partial({"examples": examples[:N_EXAMPLES]}, table)

    def answer(self, whole: Partial, about: About) -> Urls:
        table = whole.table
        states: dict[str, int] = {URL: 0}
        by_source: dict[str, dict[str, int]] = {}
        columns = (table.column(name).to_pylist() for name in ("source", "state", "documents"))
        for source, state, n in zip(*columns, strict=True):
            states[state] = states.get(state, 0) + n
            counts = by_source.setdefault(source, {URL: 0})
            counts[state] = counts.get(state, 0) + n
        levels = {}
        for name, tally in _levels(whole).items():
            levels[name] = _level(tally, self.top, self.tokens is not None)
        n_all = sum(states.values())
        return Urls(
            about=about,
            keys=list(self.keys),
            documents=n_all,
            missing_rate=1 - states[URL] / n_all if n_all else 0.0,
            states=states,
            sources=by_source,
            levels=levels,
            not_urls=[Example(v, about.files[f], n) for v, f, n in whole.notes["examples"]],
            suffix_list=_list_version(),
        )

    def text(self, answer: Urls) -> str:
        missing = tables.share(answer.documents - answer.states[URL], answer.documents)
        lines = [
            f"{answer.states[URL]:,} of {answer.documents:,} documents have a URL at "
            f"{' or '.join(answer.keys)}; without one: {missing}"
        ]
        states = [state for state in answer.states if state != URL]
        if states and len(answer.sources) > 1:
            rows = [
                [name or "(none)", found[URL], *(found.get(state, 0) for state in states)]
                for name, found in answer.sources.items()
            ]
            lines += ["", tables.aligned(["source", "with a URL", *states], rows)]
        lines += [
            f"{tables.shown(example.value)!r} is no URL: {tables.place(example.file, example.line)}"
            for example in answer.not_urls[:3]
        ]
        with_url = answer.states[URL]
        for name, level in answer.levels.items():
            heads = [f"{name} ({level.distinct:,})", "documents", "", "words"]
            rows = [
                [display(one.name), one.documents, tables.share(one.documents, with_url), one.words]
                for one in level.by_documents
            ]
            has_tokens = any(one.tokens is not None for one in level.by_documents)
            if has_tokens:
                heads.append("tokens")
                rows = [
                    [*row, one.tokens] for row, one in zip(rows, level.by_documents, strict=True)
                ]
            lines += ["", tables.aligned(heads, rows)]
            if name == "domain" and level.distinct:
                lines += ["", _spread_text(level)]
        return "\n".join(lines)

    def tables(self, whole: Partial, answer: Urls, about: About) -> dict[str, pa.Table]:
        import pyarrow as pa

        made = {}
        for name, tally in _levels(whole).items():
            rows = sorted(tally.items())
            made[name] = pa.table(
                {
                    name: pa.array([key for key, _ in rows], pa.string()),
                    **{
                        unit: pa.array([sums[i] for _, sums in rows], pa.int64())
                        for i, unit in enumerate(SUMS)
                    },
                }
            )
        return made


def parse(value: Any) -> tuple[str, str, str]:
    """What state a value is in, and its scheme and host; "" where there is none.

    >>> parse("HTTP://Bücher.de:80/a"), parse("man page"), parse(7)
    (('url', 'http', 'xn--bcher-kva.de'), ('not a URL', '', ''), ('not a string', '', ''))
    """
    if value is msgspec.UNSET:
        return MISSING, "", ""
    if not isinstance(value, str):
        return NOT_STRING, "", ""
    if (plain := _PLAIN.match(value)) and (host := urls.normal_host(plain[2])) is not None:
        return URL, plain[1], host  # nearly all are so, and the whole of them need not be read
    address = urls.address_of(value)
    if address is None or (not address.scheme and not _is_bare_host(address.host, value)):
        return NOT_URL, "", ""
    return URL, address.scheme, address.host


def _is_bare_host(host: str, value: str) -> bool:
    """Whether a host counts without a scheme: under a listed suffix, or an address in full.

    A browser would ask for `12345`, `file.txt` and `a@b.com`, too, but as values those are others.
    """
    if urls.is_address(host):
        return host in value
    return "@" not in value and domain_of(host)[1] not in (UNLISTED, host)


def display(host: str) -> str:
    """A host with what its IDNA labels stand for beside it."""
    if "xn--" not in host:
        return host
    import idna

    try:
        return f"{host} ({idna.decode(host)})"
    except UnicodeError:
        return host


def domain_of(host: str) -> tuple[str, str]:
    """The registered domain and the public suffix of a host in normal form.

    >>> domain_of("www.bbc.co.uk"), domain_of("127.0.0.1"), domain_of("localhost")
    (('bbc.co.uk', 'co.uk'), ('127.0.0.1', '(address)'), ('localhost', '(unlisted)'))
    """
    if urls.is_address(host):
        return host, ADDRESS
    suffixes = _suffixes()
    suffix = suffixes.publicsuffix(host)
    if suffix is None:
        return host, UNLISTED
    return suffixes.privatesuffix(host) or host, suffix


_list: Any = None


def _suffixes() -> Any:
    global _list
    if _list is None:
        from publicsuffixlist import PublicSuffixList

        _list = PublicSuffixList(only_icann=True, accept_unknown=False)
    return _list


def _list_version() -> str:
    from importlib.metadata import version

    return f"publicsuffixlist {version('publicsuffixlist')}"


def _levels(whole: Partial) -> dict[str, dict[str, list[int]]]:
    """Level -> value -> documents, words, tokens, of documents that have a URL."""
    found: dict[str, dict[str, list[int]]] = {k: {} for k in ("scheme", "host", "domain", "suffix")}
    columns = [whole.table.column(name).to_pylist() for name in ("state", "scheme", "host", *SUMS)]
    for state, scheme, host, *sums in zip(*columns, strict=True):
        if state != URL:
            continue
        domain, suffix = domain_of(host)
        for level, name in (
            ("scheme", scheme or "(none)"), ("host", host), ("domain", domain), ("suffix", suffix),
        ):  # fmt: skip
            known = found[level].setdefault(name, [0] * len(SUMS))
            for i, value in enumerate(sums):
                known[i] += value
    return found


def _level(tally: dict[str, list[int]], top: int, has_tokens: bool) -> Level:
    def best(unit: int) -> list[Share]:
        names = sorted(tally, key=lambda name: (-tally[name][unit], name))[:top]
        return [
            Share(
                name=name, documents=tally[name][0], words=tally[name][1],
                tokens=tally[name][2] if has_tokens else None,
            )
            for name in names
        ]  # fmt: skip

    units = SUMS if has_tokens else SUMS[:2]
    return Level(
        distinct=len(tally),
        by_documents=best(0),
        by_words=best(1),
        spread={unit: spread([sums[i] for sums in tally.values()]) for i, unit in enumerate(units)},
    )


def spread(amounts: Sequence[int]) -> Spread:
    """How unequal amounts are.

    >>> spread([1, 1, 1, 97]).top, spread([5, 5]).gini
    ({'1': 0.97, '10': 1.0, '100': 1.0, '1000': 1.0}, 0.0)
    """
    ordered = np.sort(np.array(amounts, np.int64))
    n, total = len(ordered), int(ordered.sum())
    if total == 0:
        return Spread(quantiles={}, top={}, gini=0.0)
    at = [max(-(-int(q * 1000) * n // 1000), 1) - 1 for q in QUANTILES]
    ranks = np.arange(1, n + 1)
    gini = 2 * float((ranks * (ordered / total)).sum()) / n - (n + 1) / n
    return Spread(
        quantiles={str(q): int(ordered[i]) for q, i in zip(QUANTILES, at, strict=True)},
        top={str(k): float(ordered[::-1][:k].sum()) / total for k in (1, 10, 100, 1000)},
        gini=max(gini, 0.0),
    )


def _spread_text(level: Level) -> str:
    rows = [
        [unit, *found.quantiles.values(), *(f"{100 * s:.1f} %" for s in found.top.values()),
         round(found.gini, 3)]
        for unit, found in level.spread.items()
    ]  # fmt: skip
    heads = ["of a domain", *(f"{q:.0%}" for q in QUANTILES), "top 1", "top 10", "top 100",
             "top 1,000", "Gini"]  # fmt: skip
    return tables.aligned(heads, rows)
