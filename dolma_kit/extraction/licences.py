"""Names of licences, by the addresses that pages link to.

Creative Commons: `cc-by-sa-4.0`, with the code of a ported version after it, `cc-by-3.0-de`;
`cc0-1.0`; `cc-pdm-1.0` for the public domain mark. Others by their SPDX identifier in lower case,
those of the British government as `ogl-uk-3.0`, statements of rightsstatements.org as
`rightsstatements-inc-1.0`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_CC = re.compile(
    r"creativecommons\.org/(?:licen[cs]es|publicdomain)/(?P<type>[a-z+-]+)"
    r"(?:/(?P<version>\d\.\d))?(?:/(?P<place>[a-z]{2,3}(?![a-z.])))?",
    re.IGNORECASE,
)
_CC_TYPES = frozenset((
    "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", "by-nd-nc", "sa", "nd", "nc", "nc-sa",
    "nd-nc", "sampling", "sampling+", "nc-sampling+", "devnations",
))  # fmt: skip
_PUBLIC_DOMAIN = {
    "zero": "cc0",
    "mark": "cc-pdm",
    "certification": "cc-pddc",
    "publicdomain": "cc-pddc",
}
_OTHER: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"gnu\.org/(?:copyleft|licenses(?:/old-licenses)?)/(fdl|a?gpl|lgpl)(?:-(\d(?:\.\d)?))?",
     lambda m: _versioned({"fdl": "gfdl"}.get(m[1], m[1]), _two_parts(m[2]))),
    (r"apache\.org/licenses/license-(\d\.\d)", lambda m: f"apache-{m[1]}"),
    (r"opensource\.org/licen[cs]es?/([a-z0-9.-]+?)(?:\.php|\.html)?(?=[/?#]|$)", lambda m: m[1]),
    (r"spdx\.org/licenses/([a-z0-9.+-]+?)(?:\.html)?(?=[/?#]|$)", lambda m: m[1]),
    (r"mozilla\.org/(?:[a-z-]+/)?mpl/(\d\.\d)", lambda m: f"mpl-{m[1]}"),
    (r"nationalarchives\.gov\.uk/doc/open-government-licence(?:/version/(\d))?",
     lambda m: _versioned("ogl-uk", _two_parts(m[1]))),
    (r"opendatacommons\.org/licenses/(odbl|by|pddl|dbcl)(?:/(?:v|summary/)?(\d)-?\.?(\d))?",
     lambda m: _versioned({"by": "odc-by"}.get(m[1], m[1]), f"{m[2]}.{m[3]}" if m[2] else None)),
    (r"artlibre\.org/licen[cs]e", lambda m: "lal"),
    (r"rightsstatements\.org/(?:vocab|page)/([a-z-]+)(?:/(\d\.\d))?",
     lambda m: _versioned(f"rightsstatements-{m[1]}", m[2])),
    (r"etalab\.gouv\.fr/.*licence-ouverte", lambda m: "etalab"),
    (r"govdata\.de/dl-de/([a-z]+)-(\d-\d)", lambda m: f"dl-de-{m[1]}-{m[2].replace('-', '.')}"),
)  # fmt: skip


def licence_name(address: str) -> str | None:
    """The name of the licence that an address leads to; None where it is none that is known.

    >>> licence_name("//creativecommons.org/licenses/by-nc-sa/3.0/de/deed.de")
    'cc-by-nc-sa-3.0-de'
    """
    plain = address.strip().lower()
    if found := _CC.search(plain):
        kind, version, place = found["type"], found["version"], found["place"]
        if kind in _PUBLIC_DOMAIN:
            return _versioned(_PUBLIC_DOMAIN[kind], version)
        if kind not in _CC_TYPES:
            return None
        kind = {"by-nd-nc": "by-nc-nd"}.get(kind, kind)
        name = _versioned(f"cc-{kind}", version)
        # of 4.0 there are only translations; `legalcode` and `deed` are no places
        return f"{name}-{place}" if place and version and version < "4" else name
    for pattern, name_of in _OTHER:
        if other := re.search(pattern, plain):
            return name_of(other)
    return None


def _versioned(name: str, version: str | None) -> str:
    return f"{name}-{version}" if version else name


def _two_parts(version: str | None) -> str | None:
    return f"{version}.0" if version and "." not in version else version
