"""Lists of hosts and links as the Dolma toolkit reads them and looks in them, with its faults.

Source: Dolma's taggers/url.py. Its domain lists hold a host as it is and with `www.` before it, and
a URL is on one where its host is, as it is or so; what is held here is what follows the `www.`.
Faults that are kept: any `w` and `.` at the start of a host is taken for `www.`, so that wwf.org is
f.org; the addresses in front of hosts are on the list themselves, 0.0.0.0 too; a host stands for
itself alone, not for those below it; comments after a host, and queries, are not understood.
What makes Dolma fail while it reads a list is skipped.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from dolma_kit import url_lists, urls
from dolma_kit.errors import DataError
from dolma_kit.url_lists import ADDRESSES, Stored

if TYPE_CHECKING:
    from dolma_kit.kernels.string_set import StringSet

#: which of Dolma's classes reads a list: hosts, lines as they are, the answers of Wikidata
Reading = Literal["domain", "link", "wikidata"]
Names = Callable[[str], "list[str] | None"]  # what a URL is looked up as; None where Dolma fails

# Two characters of labels at least, with single dots between, as Dolma's expression has it; that
# one takes time that doubles with each character where it fails.
_NAME = r"((?=[a-z0-9_-]\.?[a-z0-9_-])[a-z0-9_-]++(?:\.[a-z0-9_-]++)*+\.?)"
_ADDRESS_AND_NAME = re.compile(rf"([0-9a-f.:]++)\s+{_NAME}")
_ONLY_HOST = re.compile("[a-z0-9._-]+")
_ONLY_NAME = re.compile(_NAME)
_FILTER = re.compile(rf"\|+{_NAME}\^")


def domain_names(url: str) -> list[str] | None:
    """The host of a URL without `w` and `.` at its start; [] where there is none."""
    if _ONLY_HOST.fullmatch(url):
        return [url.lstrip("www.")]  # noqa: B005  as Dolma does
    if not url.strip():
        return []
    if (parts := urls.parse_cleaned(url)) is None:
        return None
    return [parts.host.lstrip("www.")] if parts.host else []  # noqa: B005  as Dolma does


def wikidata_names(url: str) -> list[str] | None:
    """That, with and without `www.`, and the last two labels of each where it has four or more."""
    found = domain_names(url)
    if not found:
        return found
    names = [found[0], f"www.{found[0]}"]
    return [other for name in names for other in (name, _last_two(name))]


def _last_two(name: str) -> str:
    return ".".join(name.rsplit(".", 2)[1:]) if name.count(".") > 2 else name


def looked_up(url: str) -> list[str]:
    """All that a URL is looked up as in the lists of Wikidata, until Dolma fails."""
    found: list[str] = []
    for name in wikidata_names(url) or []:
        if (names := wikidata_names(name)) is None:
            break
        found += names
    return found


def entries_in_line(line: str, names: Names) -> Iterator[str]:
    """What a line puts on a list; ValueError where Dolma passes it over or fails."""
    line = line.strip().lower()
    if not line or line[0] in "#;!":
        return
    if found := _ADDRESS_AND_NAME.match(line):
        ipaddress.ip_address(found[1])
        yield found[1]
        if found[2] in ("localhost", "localdomain"):
            return
        line = found[2]
    elif not _ONLY_NAME.match(line):
        if not (found := _FILTER.match(line)):
            raise ValueError(line)
        yield found[1]
        return
    if (known := names(line)) is None:
        raise ValueError(line)
    yield from known


def read(lists: Sequence[str], reading: Reading) -> StringSet:
    """What is on lists that are named by path or URL, as it is looked up."""
    return _read(url_lists.stored(lists), reading)


@functools.lru_cache(maxsize=32)
def _read(lists: tuple[Stored, ...], reading: Reading) -> StringSet:
    parts: list[url_lists.Hosts | list[str]] = []
    n_entries = 0
    for path, *_ in lists:
        found = _READERS[reading](path)
        n_entries += sum(len(p) if isinstance(p, list) else len(p.starts) for p in found)
        parts += found
    if n_entries == 0:
        raise url_lists.no_entries(lists[0].path, "host")
    return url_lists.string_set(parts)


def _read_domains(path: str) -> list[url_lists.Hosts | list[str]]:
    import numpy as np

    hosts = url_lists.hosts_of(url_lists.text_of(path))
    starts = hosts.starts.copy()
    rows = np.arange(len(starts))
    while len(rows):  # what `lstrip("www.")` strips; a last label never goes
        first = hosts.text[np.minimum(starts[rows], len(hosts.text) - 1)]
        rows = rows[((first == 119) | (first == 46)) & (starts[rows] < hosts.ends[rows])]
        starts[rows] += 1
    others = [a for i, a in enumerate(ADDRESSES, 1) if (hosts.addresses == i).any()]
    for line in hosts.others:
        try:
            others += _without_www(line)
        except ValueError:
            continue
    return [hosts._replace(starts=starts), others]


def _without_www(line: str) -> list[str]:
    """The entries of a line, less what no URL is looked up as."""
    found = []
    for entry in entries_in_line(line, domain_names):
        if entry.startswith("www."):
            entry = entry[4:]
        if not entry.startswith(("w", ".")):
            found.append(entry)
    return found


def _read_links(path: str) -> list[url_lists.Hosts | list[str]]:
    lines = [line.strip().lower() for line in _file_lines(path)]
    return [[line for line in lines if not line.startswith("#")]]


def _file_lines(path: str) -> list[str]:
    lines = url_lists.lines_of(url_lists.text_of(path))
    return lines[:-1] if lines[-1] == "" else lines  # nothing stands after the last line's end


def _read_wikidata(path: str) -> list[url_lists.Hosts | list[str]]:
    """JSON arrays of {"url": ..., ...}, one a line as Wikidata sends them, or one in all. Dolma's
    rule for what is not to be allowed is never asked there, and so is not here."""
    found: list[str] = []
    for row in _rows(path):
        url = row.get("url") if isinstance(row, dict) else None
        try:
            for name in (wikidata_names(url) or []) if isinstance(url, str) else []:
                found += entries_in_line(name, wikidata_names)
        except ValueError:
            continue
    return [found]


def _rows(path: str) -> Iterator[object]:
    text = url_lists.text_of(path)
    with contextlib.suppress(msgspec.DecodeError):
        whole = msgspec.json.decode(text)
        yield from whole if isinstance(whole, list) else []
        return
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            rows = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            reason = f"is no JSON array as Wikidata answers: {error}"
            raise DataError(path, number, reason) from None
        yield from rows if isinstance(rows, list) else []


_READERS: dict[Reading, Callable[[str], list[url_lists.Hosts | list[str]]]] = {
    "domain": _read_domains,
    "link": _read_links,
    "wikidata": _read_wikidata,
}
