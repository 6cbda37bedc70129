"""Lists of hosts and URLs, named by path or URL: read once a process, held in some 30 bytes a host.

Files may be gzip or zstd (by suffix) and may begin with a byte order mark; lines end as they like.
`#`, `!` and `;` begin a comment. Formats:

- `hosts`: an IP address and the hosts it stands for, as in /etc/hosts; names of the machine itself
  (`localhost`, ...) are left out;
- `domains`: a host a line, in any of the forms `example.com`, `*.example.com`, `.example.com`,
  `||example.com^`, `address=/example.com/...` (Dnsmasq; `server`, `local` too), a URL, or the first
  field of a CSV line;
- `urls`: a URL a line, with or without its scheme;
- `abp`: filters of Adblock Plus, see `dolma_kit.filter_rules`.

A line that is nothing of the kind is skipped and counted. A file of which most lines are so, or
that has no valid line, or is a web page, is a DataError.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from msgspec import Meta

from dolma_kit import downloads, files, kernels, urls
from dolma_kit.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.kernels.string_set import StringSet

MAX_BYTES = 2 << 30  # of a list fetched from a URL
KERNELS = ("host_lists", "string_set")
ADDRESSES = ("0.0.0.0", "127.0.0.1")  # what stands before hosts in the usual lines
Format = Literal["hosts", "domains", "urls", "abp"]
#: paths or URLs of one list or more, which count as one
Lists = Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]


class Stored(NamedTuple):
    """A file as a key of caches: another size or time of change is another file."""

    path: str
    n_bytes: int
    mtime_ns: int


def local_path(name: str) -> str:
    """Where the file of a list is that was named by path or URL; a URL is fetched once."""
    if files.is_remote(name):
        return downloads.fetch(name, max_bytes=MAX_BYTES)
    if not os.path.isfile(name):
        what = "is a folder" if os.path.isdir(name) else "is not there"
        raise ConfigError(f"the list {name} {what}: name a file or a URL")
    return name


def stored(names: Sequence[str]) -> tuple[Stored, ...]:
    """The files of lists that were named by path or URL."""
    found = []
    for path in map(local_path, names):
        status = os.stat(path)
        found.append(Stored(path, status.st_size, status.st_mtime_ns))
    return tuple(found)


def text_of(path: str) -> bytes:
    """A list's bytes, decompressed, with `\\n` at the ends of lines; a web page is a DataError."""
    reader = files.Reader(path)
    try:
        data = b"".join(iter(reader.read, b""))
    finally:
        reader.close()
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise DataError(path, None, "is a web page, no list: was its address that of a raw file?")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def lines_of(text: bytes) -> list[str]:
    return text.decode("utf-8", "replace").split("\n")


def no_entries(path: str, what: str) -> DataError:
    return DataError(path, None, f"holds no {what}: is it a list of the format that was named?")


class Hosts(NamedTuple):
    """Where the hosts of a list are in its bytes."""

    text: NDArray[np.uint8]  # in lower case
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    addresses: NDArray[np.uint8]  # 0, or 1 + which of ADDRESSES stands before it
    others: list[str]  # lines of other than the usual form


def hosts_of(text: bytes) -> Hosts:
    """The lines of the usual form, by a kernel; the others are left to the caller."""
    import numpy as np

    reader = kernels.host_lists
    data = np.frombuffer(text, np.uint8)
    comments = np.frombuffer(b"#;!", np.uint8)
    kinds, starts, ends = reader.read(data, comments, reader.ZERO, reader.LOOPBACK)
    others = np.flatnonzero(kinds == reader.OTHER).tolist()
    usual = (kinds != reader.NOTHING) & (kinds != reader.OTHER)
    lower = np.where((data >= 65) & (data <= 90), data + np.uint8(32), data)
    lines = [text[starts[i] : ends[i]].decode("utf-8", "replace") for i in others]
    return Hosts(lower, starts[usual], ends[usual], kinds[usual] - reader.ALONE, lines)


def string_set(parts: Iterable[Hosts | Sequence[str]]) -> StringSet:
    """The set of all strings of the parts."""
    import numpy as np

    texts, starts, ends, size = [], [], [], 0
    for part in parts:
        if isinstance(part, Hosts):
            text, first, last = part.text, part.starts, part.ends
        else:
            encoded = [item.encode("utf-8", "surrogatepass") for item in part]
            last = np.cumsum([len(item) for item in encoded], dtype=np.int64)
            first = np.concatenate([np.zeros(1, np.int64), last[:-1]]) if encoded else last
            text = np.frombuffer(b"".join(encoded), np.uint8)
        texts.append(text)
        starts.append(first + size)
        ends.append(last + size)
        size += len(text)
    made = kernels.string_set.build(
        np.concatenate(texts), np.concatenate(starts), np.concatenate(ends)
    )
    return kernels.string_set.StringSet(*made)


class Entries(NamedTuple):
    """What was read: the set, and how many lines of other form were skipped."""

    known: StringSet
    n_skipped: int


_LOOPBACK = re.compile(r"localhost|localdomain|local|broadcasthost|0\.0\.0\.0|ip6-\w+")
_DNSMASQ = re.compile(r"(?:address|server|local)=/(.+)/[^/]*")


def _hosts_in_line(line: str, format: Format) -> list[str] | None:
    """The hosts of a line in normal form, [] of a comment; None where it is no such line."""
    line = line.strip(" \t\x0b\x0c\ufeff\u00a0")
    if not line or line[0] in "#;!" or line.startswith("[Adblock"):
        return []
    line = re.split(r"\s[#;!]", line, maxsplit=1)[0].rstrip()
    if format == "hosts":
        address, *names = line.split()
        address = address.partition("%")[0]
        if not urls.is_address(
            urls.normal_host(f"[{address}]" if ":" in address else address) or ""
        ):
            return None
    elif found := _DNSMASQ.fullmatch(line):
        names = found[1].split("/")
    else:
        name = re.split(r"[,;\t]", line, maxsplit=1)[0].strip(" \"'")
        name = re.sub(r"\^(\$\w+)?$", "", name.removeprefix("||")) if name[:1] == "|" else name
        names = [name.removeprefix("*").removeprefix(".")]
    hosts = [urls.host_of(name) for name in names if not _LOOPBACK.fullmatch(name.lower())]
    known = [host for host in hosts if host and not re.search(r"[\s*,]", host)]
    if len(known) < len(hosts) or any("." not in host and host[0] != "[" for host in known):
        return None
    return [urls.without_www(host) for host in known]


def _url_in_line(line: str) -> list[str] | None:
    """The URL of a line in normal form, likewise."""
    line = line.strip("\ufeff \t")
    if not line or line[0] in "#;!":
        return []
    found = urls.address_of(line)
    if found is None or ("." not in found.host and found.host[0] != "["):
        return None
    return [urls.without_www(found.host) + found.rest]


def read(names: Sequence[str], format: Format) -> Entries:
    """The hosts (or URLs) of lists of a format, without `www.` before them."""
    return _read(stored(names), format)


@functools.lru_cache(maxsize=16)
def _read(lists: tuple[Stored, ...], format: Format) -> Entries:
    parts: list[Hosts | list[str]] = []
    n_skipped = 0
    for path, *_ in lists:
        text = text_of(path).removeprefix(b"\xef\xbb\xbf")
        found, n_taken, n_bad = _urls(text) if format == "urls" else _hosts(text, format)
        if n_taken == 0:
            raise no_entries(path, "URL" if format == "urls" else "host")
        if n_bad > n_taken:
            fault = f"{n_bad} of {n_bad + n_taken} lines are no {format}: is that its format?"
            raise DataError(path, None, fault)
        parts += found
        n_skipped += n_bad
    return Entries(string_set(parts), n_skipped)


_Found = tuple[list[Hosts | list[str]], int, int]  # what was found, lines taken, lines skipped


def _by_line(lines: Iterable[str], read_line: Callable[[str], list[str] | None]) -> _Found:
    found: list[str] = []
    n_taken = n_bad = 0
    for line in lines:
        entries = read_line(line)
        n_taken += bool(entries)
        n_bad += entries is None
        found += entries or []
    return [found], n_taken, n_bad


def _urls(text: bytes) -> _Found:
    return _by_line(lines_of(text), _url_in_line)


def _hosts(text: bytes, format: Format) -> _Found:
    import numpy as np

    usual = hosts_of(text)
    fits = (usual.addresses > 0) == (format == "hosts")
    last = usual.text[usual.ends - 1]
    is_name = fits & (last >= 97) & (last <= 122)  # not 1.2.3.4
    rows = np.flatnonzero(fits & ~is_name)
    bounds = zip(usual.starts[rows].tolist(), usual.ends[rows].tolist(), strict=True)
    texts = (usual.text[start:end].tobytes().decode() for start, end in bounds)
    before = (("", *ADDRESSES)[i] for i in usual.addresses[rows].tolist())
    odd = [f"{address} {text}" for address, text in zip(before, texts, strict=True)]
    found, n_taken, n_bad = _by_line(
        [*usual.others, *odd], lambda line: _hosts_in_line(line, format)
    )
    starts, ends = usual.starts[is_name], usual.ends[is_name]
    names = usual._replace(starts=skip_www(usual.text, starts, ends), ends=ends)
    return [names, *found], n_taken + len(starts), n_bad + int((~fits).sum())


def skip_www(
    text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The starts of hosts after `www.`, where more than a top-level domain follows."""
    import numpy as np

    n_dots = np.concatenate([np.zeros(1, np.int32), np.cumsum(text == 46, dtype=np.int32)])
    has_www = (n_dots[ends] - n_dots[starts] > 1) & (starts >= 0)
    padded = np.concatenate([text, np.zeros(4, np.uint8)])
    for k, byte in enumerate(b"www."):
        has_www &= padded[starts + k] == byte
    after: NDArray[np.int64] = starts + 4 * has_www
    return after
