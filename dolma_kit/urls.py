"""URLs: what Dolma makes of one before it looks it up, and the host that a browser would ask.

Dolma (taggers/url.py) parses by urllib3 and keeps host, port and path in lower case. `parse` has
the rules of urllib3 1.26's util/url.py (RFC 3986), with which Dolma 1.2.1 was released; those of
urllib3 2 differ for odd hosts. `host_of` follows the WHATWG's URL standard instead.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote

WEB = ("http", "https", None)  # schemes whose URLs are put in a normal form
DEFAULT_PORTS = {"": {"80", "443"}, "http": {"80"}, "https": {"443"}}
_HEX = "[0-9A-Fa-f]{1,4}"
_QUAD = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
_LAST_32_BITS = f"(?:{_HEX}:{_HEX}|{_QUAD})"
_IPV6 = "|".join(
    [f"(?:{_HEX}:){{6}}{_LAST_32_BITS}", f"::(?:{_HEX}:){{5}}{_LAST_32_BITS}"]
    + [f"(?:(?:{_HEX}:){{0,{i}}}{_HEX})?::(?:{_HEX}:){{{4 - i}}}{_LAST_32_BITS}" for i in range(5)]
    + [f"(?:(?:{_HEX}:){{0,5}}{_HEX})?::{_HEX}", f"(?:(?:{_HEX}:){{0,6}}{_HEX})?::"]
)
_ZONE = r"(?:%25|%)((?:[A-Za-z0-9._~-]|%[a-fA-F0-9]{2})+)"
_ADDRESS = rf"\[(?:{_IPV6})(?:{_ZONE})?\]"
_OUTER = "".join(map(chr, range(0x21)))  # what may stand around a URL
_PLAIN_IN_PATH = "!$&'()*+,;=:@/"  # beside letters, digits and _.-~
MAX_HOST = 253  # characters; names and IP addresses are no longer


class Parsed(NamedTuple):
    """The parts of a URL; None where there is none."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None


@functools.cache
def _expressions() -> dict[str, re.Pattern[str]]:
    name = r"(?:[^\[\]%:/?#]|%[a-fA-F0-9]{2})*"
    return {
        "scheme": re.compile("[a-zA-Z][a-zA-Z0-9+-]*:|/"),
        "url": re.compile(
            r"(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?://([^\\/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?",
            re.DOTALL,
        ),
        "server": re.compile(
            rf"(?P<host>{name}|{_ADDRESS})(?::0*?(?P<port>|0|[1-9][0-9]{{0,4}}))?$", re.DOTALL
        ),
        "IPv6": re.compile(f"{_ADDRESS}$"),
        "IPv4": re.compile(f"{_QUAD}$"),
    }


def parse(url: str, *, with_path: bool = True) -> Parsed | None:
    """A URL's parts as urllib3 1.26 has them, but that %xx in a path may be in lower case.

    None where it raises an error.
    """
    if not url:
        return Parsed(None, None, None, None)
    known = _expressions()
    found = known["url"].match(url if known["scheme"].match(url) else f"//{url}")
    assert found is not None  # it matches any string
    scheme, authority, path, query, fragment = found.groups()
    scheme = scheme.lower() if scheme else None
    host, port = None, None
    if authority:
        server = known["server"].match(authority.rpartition("@")[2])
        if server is None:
            return None
        host, port = server["host"], int(server["port"]) if server["port"] else None
        if port is not None and port > 65535:
            return None
        if scheme in WEB and host:
            host = _normal_host(host)
            if host is None:
                return None
    if not with_path:
        return Parsed(scheme, host, port, None)
    if scheme in WEB and path:
        path = _percent_encoded(_without_dots(path), _PLAIN_IN_PATH)
    if not path:
        path = None if query is None and fragment is None else ""
    elif not path.startswith("/"):
        path = f"/{path}"
    return Parsed(scheme, host, port, path)


def _normal_host(host: str) -> str | None:
    """In lower case and ASCII; None where a label cannot be so."""
    known = _expressions()
    if address := known["IPv6"].match(host):
        zone = address.group(1)
        if zone is None:
            return host.lower()
        start = host.index("%")
        zone = host[start:-1]
        zone = zone[3:] if zone.startswith("%25") and zone != "%25" else zone[1:]
        zone = re.sub("%[a-f0-9]{2}", lambda found: found.group().upper(), zone, flags=re.I)
        return f"{host[:start].lower()}%{_percent_encoded(zone, '')}]"
    if host.isascii():
        return host if known["IPv4"].match(host) else host.lower()
    try:
        return ".".join(
            label.lower() if label.isascii() else _ascii_label(label.lower())
            for label in host.split(".")
        )
    except UnicodeError:
        return None


def _ascii_label(label: str) -> str:
    """A label by IDNA 2008; UnicodeError where there is none, as for what is longer than 63."""
    if len(label) > 63:
        raise UnicodeError("too long")
    return _cached_label(label)


@functools.lru_cache(maxsize=1 << 12)
def _cached_label(label: str) -> str:
    import idna

    return idna.encode(label, strict=True, std3_rules=True).decode()


def _without_dots(path: str) -> str:
    """A path without its segments `.` and `..` (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if path.startswith("/") and (not kept or kept[0]):
        kept.insert(0, "")
    if path.endswith(("/.", "/..")):
        kept.append("")
    return "/".join(kept)


def _percent_encoded(text: str, plain: str) -> str:
    """Other characters than letters, digits, `_.-~` and plain ones as %XX; a `%` stays where all of
    them begin a %XX."""
    if re.search("%(?![a-fA-F0-9]{2})", text) is None:
        plain = f"{plain}%"
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe=plain)


def cleaned(url: str) -> str | None:
    """Host, port and path as Dolma looks them up: in lower case, no `/` at the end.

    No host is the word `none`, as in Dolma. None where Dolma has nothing to look up, or fails.
    """
    if not url.strip() or (parts := parse(url)) is None:
        return None
    return f"{_server(parts)}{parts.path or ''}".rstrip("/").lower()


def _server(parts: Parsed) -> str:
    return f"{parts.host}:{parts.port}" if parts.port else f"{parts.host}"


def parse_cleaned(url: str) -> Parsed | None:
    """The parts of `cleaned(url)`, as far as its host; None where either cannot be parsed."""
    parts = parse(url, with_path=False)
    if parts is None:
        return None
    if parts.host == "":  # then the path comes first, in which a host may be
        return parse(cleaned(url) or "", with_path=False)
    return parse(_server(parts).lower(), with_path=False)


def cleaned_host(url: str) -> str | None:
    """The host of `cleaned(url)` without any `w` and `.` at its start: Dolma means `www.`.

    Dolma looks for it and for it with `www.` before it. None where there is no host.
    """
    if not url.strip() or (parts := parse_cleaned(url)) is None or not parts.host:
        return None
    return parts.host.lstrip("www.")  # noqa: B005  as Dolma does


class Requested(NamedTuple):
    """A URL as adblock-rust takes it apart, and where its host is in it."""

    url: str
    host_start: int
    host_end: int


_SPECIAL = ("http", "https", "ws", "wss", "ftp", "gopher")  # any number of slashes may follow


def requested(address: str) -> Requested | None:
    """What Dolma asks adblock-rust about a cleaned URL; None where it fails or has no answer.

    Source: Dolma's core/url_blocker.py, and the url_parser of adblock-rust 0.8.8.
    """
    if (parts := parse(address)) is None:
        return None
    url = address if parts.scheme else f"http://{address}"
    found = re.match("([a-zA-Z][a-zA-Z0-9+.-]*):", url := url.strip(_OUTER))
    if found is None or (scheme := found[1].lower()) not in _SPECIAL[:2]:
        return None
    rest = url[found.end() :].lstrip("/\\")
    size = len(re.split(r"[/\\?#]", rest, maxsplit=1)[0])
    rest = rest[rest.rfind("@", 0, size) + 1 :]
    taken = re.match(r"(?:\[[^\]/\\?#]*\]?|[^:/\\?#\[])*", rest)
    assert taken is not None  # it may be empty
    # adblock-rust counts tabs and line breaks, but then leaves out as many characters at the end
    host = taken[0][: len(_CONTROLS.sub("", taken[0]))]
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True, transitional=False).decode()
        except UnicodeError:
            return None
    start = len(scheme) + 3
    return (
        Requested(f"{scheme}://{host}{rest[taken.end() :]}", start, start + len(host))
        if host
        else None
    )


class Address(NamedTuple):
    """Where a URL leads: its host in normal form, and all of it after the scheme."""

    scheme: str  # "" where the URL has none
    host: str
    rest: str  # port, path and query; no default port, no `/` that ends the path


_AUTHORITY = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*):[/\\]{2,}|[/\\]{2,}|(?![a-z][a-z0-9+.-]*:(?!\d)))"
    r"(?:[^/\\?#]*@)?(?P<host>\[[^\]/\\?#]*\]|[^/\\?#:@\[\]]+)(?::(?P<port>\d*))?"
    r"(?P<path>(?:[/\\][^?#]*)?)(?P<query>(?:\?[^#]*)?)(?:#.*)?",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}")
_CONTROLS = re.compile("[\t\n\r]")


def address_of(url: str) -> Address | None:
    """What a browser would ask for; the scheme may be left out. None for what has no host."""
    found = _AUTHORITY.fullmatch(_CONTROLS.sub("", url.strip(_OUTER)))
    if found is None or (host := normal_host(found["host"])) is None:
        return None
    path, query, port = found["path"].replace("\\", "/").rstrip("/"), found["query"], found["port"]
    if not (path + query).isascii():
        path, query = (quote(p, safe=_SAFE, errors="surrogatepass") for p in (path, query))
    scheme = (found["scheme"] or "").lower()
    if port and port not in DEFAULT_PORTS.get(scheme, ()):
        path = f":{port}{path}"
    return Address(scheme, host, path + query)


_SAFE = "".join(map(chr, range(0x80)))


def host_of(url: str) -> str | None:
    """The host of a URL in normal form (see `normal_host`), or None."""
    found = address_of(url)
    return None if found is None else found.host


def normal_host(host: str) -> str | None:
    """A host in lower case and ASCII (IDNA, UTS 46), without a dot at its end; None if it is none.

    IP addresses in their usual form: `127.1` is 127.0.0.1. IPv6 is in brackets.
    """
    return _cached_host(host) if len(host) <= 4 * MAX_HOST else None


@functools.lru_cache(maxsize=1 << 12)
def _cached_host(host: str) -> str | None:
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return None
    host = unquote(host).rstrip(".\u3002\uff0e\uff61")
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True, transitional=False).decode()
        except UnicodeError:
            return None
    host = host.lower()
    if not 0 < len(host) <= MAX_HOST or re.search(r"[\x00-\x20#/<>?@\[\\\]^|%:\x7f]", host):
        return None
    if _NUMBERS.fullmatch(host):
        try:
            return socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return None
    return host


def is_address(host: str) -> bool:
    """Whether a host in normal form is an IP address, which has no parent domains."""
    return host.startswith("[") or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", host) is not None


def without_www(host: str) -> str:
    """A host without `www.` before it, where more than a top-level domain follows."""
    return host[4:] if host.startswith("www.") and host.count(".") > 1 else host
