"""Which licence a text is, by phrases that each has and no other; names are SPDX's short ones.

Whether "or later" is meant does not stand in the texts of the GNU licences: `GPL-3.0` is both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_FILES = re.compile(
    r"(?:(?:un)?licen[cs]e|copying|copyright|[a-z0-9.]+[-_.]licen[cs]e)(?:[-_.][a-z0-9.+-]*?)?"
    r"(?:\.(?:txt|md|markdown|rst|html))?",
    re.IGNORECASE,
)
_NOT_FILES = re.compile(r"\.(?:py|js|ts|go|c|h|java|rb|json|ya?ml|toml|sh|png|svg)$", re.IGNORECASE)
_TITLE_CHARACTERS = 300  # at the begin, in which the GNU licences, which quote each other, say who
_NOT_WORDS = re.compile(r"[^a-z0-9.]+")

_GNU = {
    ("affero general public license", "version 3"): "AGPL-3.0",
    ("lesser general public license", "version 3"): "LGPL-3.0",
    ("lesser general public license", "version 2.1"): "LGPL-2.1",
    ("library general public license", "version 2"): "LGPL-2.0",
    ("gnu general public license", "version 3"): "GPL-3.0",
    ("gnu general public license", "version 2"): "GPL-2.0",
}
_PHRASES = {
    "MIT": (
        "permission is hereby granted free of charge to any person obtaining a copy",
        "the above copyright notice and this permission notice shall be included",
    ),
    "Apache-2.0": ("apache license version 2.0",),
    "MPL-2.0": ("mozilla public license version 2.0",),
    "Unlicense": ("this is free and unencumbered software released into the public domain",),
    "CC0-1.0": ("cc0 1.0 universal",),
    "ISC": (
        "permission to use copy modify and or distribute this software for any purpose with or "
        "without fee is hereby granted provided that",
    ),
}
_BSD = "redistribution and use in source and binary forms with or without modification"
_ADVERTISING = "all advertising materials mentioning"
_ENDORSEMENT = "endorse or promote products"


def is_license(name: str) -> bool:
    """Whether a file's name is that of a licence: LICENSE, COPYING.LESSER, MIT-LICENSE.txt ...

    >>> is_license("LICENCE-MIT.txt"), is_license("UNLICENSE"), is_license("license.py")
    (True, True, False)
    """
    return _FILES.fullmatch(name) is not None and _NOT_FILES.search(name) is None


def joined(names: Iterable[str]) -> list[str]:
    """The licences of several files, by name; GPL-3.0 beside LGPL-3.0 is a part of it."""
    found = set(names)
    return sorted(found - {"GPL-3.0"} if "LGPL-3.0" in found else found)


def guess(text: str) -> str | None:
    """The licence that a text is; None for another, and where several are in it.

    >>> guess("Apache License\\n  Version 2.0, January 2004\\n"), guess("All rights reserved.")
    ('Apache-2.0', None)
    """
    words = _NOT_WORDS.sub(" ", text.lower())
    title = words[:_TITLE_CHARACTERS]
    for (name, version), license_ in _GNU.items():
        if name in title and version in title:
            return license_
    found = [name for name, phrases in _PHRASES.items() if all(one in words for one in phrases)]
    if _BSD in words:
        if _ADVERTISING in words:
            found.append("BSD-4-Clause")
        else:
            found.append("BSD-3-Clause" if _ENDORSEMENT in words else "BSD-2-Clause")
    return found[0] if len(found) == 1 else None
