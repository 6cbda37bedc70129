"""E-mail addresses and IP addresses, as `pii_v3` decides them.

Each function is given the text before and after a place that a kernel has found, some hundred
characters of each, and says where the datum begins and ends, or that there is none.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from pathlib import Path

DATA = Path(__file__).with_name("data")
#: letters of scripts that write spaces between words: next to others, a datum may begin and end
LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f\u0370-\u052f\u1e00-\u1fff"
Place = tuple[int, int]  # start and end, from the place that was found

MAX_LOCAL_OCTETS = 64  # RFC 5321, section 4.5.3.1.1
MAX_DOMAIN_OCTETS = 255  # and 4.5.3.1.2
MAX_LABEL_OCTETS = 63  # RFC 1035, section 2.3.4
#: names that no registry will give away: RFC 2606, RFC 6761, RFC 6762, ICANN on `internal`
RESERVED_DOMAINS = frozenset(
    ("example", "test", "invalid", "local", "localdomain", "internal", "onion", "arpa")
)  #: names that there were once: of countries, and of networks beside the Internet
RETIRED_DOMAINS = frozenset(("an", "tp", "um", "yu", "zr", "bitnet", "csnet", "uucp"))
#: SSH's own algorithms and extensions are named as addresses: RFC 4251, section 6
NAMING_DOMAINS = frozenset(("openssh.com", "libssh.org", "lysator.liu.se"))
_ALGORITHM = re.compile(r"[-0-9]|^zlib$|^fsync$")

_LOCAL_REVERSED = re.compile(rf"[0-9{LETTERS}._%+'\-]*")
_USER_OF_URL = re.compile(r"://[^\s/?#<>\"']*\Z")
_ESCAPE = re.compile(r"\A(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{1,3}|[abfnrtv])")
_PERCENT_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_DOMAIN = re.compile(rf"[0-9{LETTERS}.\-]+")
#: most domains; the rest of the rules is asked about others
_PLAIN_DOMAIN = re.compile(
    rf"((?:[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?\.)+([a-z]{{2,}}))(?![0-9{LETTERS}.\-])"
)
_LABEL = re.compile(rf"[0-9{LETTERS}](?:[0-9{LETTERS}\-]*[0-9{LETTERS}])?")
#: after an address: more of it, a call, or the path of a file on another machine
_NO_EMAIL_AFTER = re.compile(r"[@(_]|:(?:~|[\w.\-]*/)")


@functools.cache
def top_level_domains() -> frozenset[str]:
    """Those of the root zone, as they are written and as `xn--`, the reserved and the retired."""
    names = (DATA / "top_level_domains.txt").read_text(encoding="utf-8").split()
    return RESERVED_DOMAINS.union(RETIRED_DOMAINS, names)


def email(before: str, after: str) -> Place | None:
    """An e-mail address around the `@` that `after` begins with.

    RFC 5321's `dot-string@domain` without what is seldom written and often stands beside an
    address: quoted local parts, address literals, and in local parts ``!#$&*/=?^`{|}~``. Letters
    of RFC 6531 where words have spaces between them. The top-level domain has to exist. Left out
    are the user of a URL (`ftp://user@host`), `@user@host`, and `user@host:path`.
    """
    local = _local_part(before)
    if not local:
        return None
    domain = _domain(after[1 : MAX_DOMAIN_OCTETS + 2])
    if not domain:
        return None
    if domain.lower() in NAMING_DOMAINS and _ALGORITHM.search(local):
        return None
    end = 1 + len(domain)
    if _NO_EMAIL_AFTER.match(after, end):
        return None
    if (
        len(local) > 2
        and local[1] == "'"
        and after[end : end + 1] == "'"
        and local[0] in "bBrRuUfF"
    ):
        local = local[2:]  # a literal of Python
    return -len(local), end


def _local_part(before: str) -> str:
    """The local part that a text ends with, without what stands before it; may be empty."""
    run = _LOCAL_REVERSED.match(before[::-1])
    assert run is not None  # it may be empty
    start = len(before) - run.end()
    local = before[start:]
    if before[start - 1 : start] == "@" or _USER_OF_URL.search(before[:start]):
        return ""
    if before[start - 1 : start] == "\\":
        local = _ESCAPE.sub("", local)  # a line break and the like, written in code
    local = local.rsplit("...", 1)[-1].lstrip(".-'")
    encoded = _PERCENT_ENCODED.match(local)
    local = local[encoded.end() :] if encoded else local
    if ".." in local or local.startswith("%") or len(local.encode()) > MAX_LOCAL_OCTETS:
        return ""
    return local


def _domain(text: str) -> str:
    """The domain that a text begins with, up to an existing top-level domain."""
    plain = _PLAIN_DOMAIN.match(text)
    if plain and plain[2] in top_level_domains() and plain.end() <= MAX_LABEL_OCTETS:
        return plain[1]
    run = _DOMAIN.match(text)
    labels: list[str] = []
    for label in run[0].split(".") if run else ():
        name = label.rstrip("-")
        if not _LABEL.fullmatch(name) or len(name.encode()) > MAX_LABEL_OCTETS:
            break
        if len(labels) > 1 and label[0].isupper() and labels[-1] in top_level_domains():
            break  # the next sentence, after a full stop without a space
        labels.append(name)
        if name != label:
            break
    domain = ".".join(labels)
    if len(labels) < 2 or len(domain.encode()) > MAX_DOMAIN_OCTETS:
        return ""
    return domain if labels[-1].lower() in top_level_domains() else ""


_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?!\d)", re.ASCII)
_OTHER_THAN_IPV4_AFTER = re.compile(r"[\w]|\.[a-z0-9]|[+~][0-9A-Za-z]|-[A-Za-z]", re.ASCII)
_RANGE_AFTER = re.compile(r"-(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.-])|(\d{1,3})(?![\w.-]))", re.ASCII)
_RANGE_BEFORE = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}-\Z")
#: words before four numbers that are a version's, a section's, an object identifier's
NO_ADDRESS_AFTER = frozenset((
    "v", "ver", "vers", "version", "versions", "versión", "versione", "versão", "release", "rel",
    "rev", "revision", "build", "firmware", "fw", "kernel", "oid", "objectidentifier",
    "identifier", "section", "sections", "sec", "sect", "chapter", "chapters", "clause",
    "clauses", "paragraph", "paragraphs", "para", "appendix", "figure", "fig", "table", "errata",
    "erratum",
))  # fmt: skip
#: of documents that are numbered themselves, as `RFC 5545, 3.8.2.4`
NUMBERED = frozenset(("rfc", "iso", "iec"))
NO_ADDRESS_AFTER_CJK = ("版本", "バージョン")  # no space before these
#: what has versions of four small numbers, and few addresses
SOFTWARE = frozenset((
    "linux", "libreoffice", "openoffice", "office", "android", "windows", "firefox", "chrome",
    "opera", "safari", "mozilla", "player", "reader", "driver", "desktop", "explorer", "java",
    "python", "ruby",
))  # fmt: skip
_BETWEEN = re.compile(r"[\"']?\s{0,3}[.:=#(,]?\s{0,3}[\"']?")
_WORD_REVERSED = re.compile(r"[^\W_]+|[§¶]")
_HEADING_AFTER = re.compile(r"\.[ \t]+\S|[ \t]+[A-Z][a-z]")
_PRODUCT_BEFORE = re.compile(r"(?<![^\s(\[\"'])[A-Za-z][\w+-]*/\Z", re.ASCII)
_OIDS = ("1.3.6.1", "2.5.4.", "2.5.29.")  # ITU-T X.660: the Internet, X.500 attributes, extensions
MAX_LABEL = 40  # characters before an address that may say that it is none
MAX_SECTION = 40  # numbers of sections and versions in four parts are below


def ipv4(before: str, after: str, only_global: bool = False) -> Place | None:
    """An IPv4 address at the start of `after`: RFC 1166's dotted decimal, no leading zeros.

    Not part of a longer row of numbers, a version (`v1.2.3.4`, `nginx-1.2.3.4`, `Firefox/1.5.0.4`,
    `1.2.3.4-1ubuntu1`), an object identifier, a heading's number. A port, a prefix length and the
    second half of a range may follow.
    """
    match = _IPV4.match(after)
    if match is None or _OTHER_THAN_IPV4_AFTER.match(after, match.end()):
        return None
    written = match[0]
    octets = [int(octet) for octet in written.split(".")]
    if after.startswith("-", match.end()) and after[match.end() + 1 : match.end() + 2].isdigit():
        in_range = _RANGE_AFTER.match(after, match.end())
        # The revision of a package is not above the version's last number as a range's end is.
        if not in_range or (in_range[1] and not octets[3] < int(in_range[1]) <= 255):
            return None
    last = before[-1:]
    if last and (last in "+~" or (last == "-" and not _is_dash(before))):
        return None
    if _says_other(before, max(octets) < MAX_SECTION):
        return None
    if last == "/" and _PRODUCT_BEFORE.search(before):
        return None
    if max(octets) < MAX_SECTION:
        line = before.rsplit("\n", 1)[-1].strip(" \t#*>|")
        if not line and all(octets) and _HEADING_AFTER.match(after, match.end()):
            return None
    if octets[0] == 0 and any(octets):
        return None  # "this network" of RFC 1122 has no hosts but 0.0.0.0; versions have
    return (0, match.end()) if _is_address(written, only_global) else None


def _says_other(before: str, is_small: bool) -> bool:
    """Whether the last word before four numbers says that they are no address."""
    reversed_ = before[: -MAX_LABEL - 1 : -1]
    words = []
    place = 0
    for _ in range(2):
        between = _BETWEEN.match(reversed_, place)
        assert between is not None  # it may be empty
        word = _WORD_REVERSED.match(reversed_, between.end())
        if word is None:
            break
        place = word.end()
        words.append(word[0][::-1].lower())
    if not words:
        return False
    last = words[0]
    return (
        last in NO_ADDRESS_AFTER
        or last in "§¶"
        or last.endswith(NO_ADDRESS_AFTER_CJK)
        or (last in SOFTWARE and is_small)
        or (last.isdecimal() and len(words) > 1 and words[1] in NUMBERED)
        or (last[:3] in NUMBERED and last[3:].isdecimal())
    )


def _is_dash(before: str) -> bool:
    """Whether the `-` at the end joins the halves of a range, or joins nothing."""
    return not before[-2:-1].isalnum() or _RANGE_BEFORE.search(before) is not None


def _is_address(written: str, only_global: bool) -> bool:
    if written.startswith(_OIDS):
        return False
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    return address.is_global or not only_global


_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")
_ZONE = re.compile(r"%[0-9A-Za-z](?:[0-9A-Za-z._\-]*[0-9A-Za-z])?")
_PREFIX_LENGTH = re.compile(r"/\d{1,3}(?!\w)", re.ASCII)
_PATH = re.compile(r"/(?!\d{1,3}(?!\w))", re.ASCII)  # in a line of /etc/passwd
_WORD = re.compile(r"\w", re.ASCII)
_SLICE_BEFORE = re.compile(r"[\w)\]'\"]\[\Z", re.ASCII)
_DIMENSION_BEFORE = re.compile(r"[:.],\s?\Z")


def ipv6(before: str, after: str, only_global: bool = False) -> Place | None:
    """An IPv6 address at the start of `after`: the forms of RFC 4291, section 2.2, with a zone.

    So that `a::b`, `x[1::2]`, `5::7` and the rows of two digits of EUI-64 are none, an address
    needs a digit, and a group of three or four digits unless it stands as `[address]` in a URL,
    with a prefix length or a zone, has four groups around its `::`, or is `::1`.
    """
    match = _IPV6.match(after)
    if match is None:
        return None
    written, start = match[0].rstrip("."), 0
    if written.endswith(":") and not written.endswith("::"):
        written = written[:-1]
    if written.startswith(":") and not written.startswith("::"):
        written, start = written[1:], 1
    end = start + len(written)
    if _WORD.match(after, end) or (written.endswith("::") and _PATH.match(after, end)):
        return None
    groups = [group for group in written.split(":") if group]
    zone = _ZONE.match(after, end)
    is_marked = (
        zone is not None
        or _PREFIX_LENGTH.match(after, end) is not None
        or (before.endswith(("//[", "@[")) and after.startswith("]", end))
    )
    is_long = any(len(group) > 2 for group in groups)
    if not is_marked:
        if not is_long and written != "::1" and ("::" not in written or len(groups) < 4):
            return None
        if len(groups) < 3 and _SLICE_BEFORE.search(before):
            return None
        if written[2:].isdigit() and (
            _DIMENSION_BEFORE.search(before)
            or (after.startswith("]", end) and not before.endswith("["))
        ):
            return None  # x[..., ::1]
    if not any(character.isdigit() for character in written):
        return None
    if not _is_address(written, only_global):
        return None
    return start, zone.end() if zone else end
