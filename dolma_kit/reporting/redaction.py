"""The last look at what a page shows of a text: what reads as personal data, or as abuse, does not
come through.

Who makes a report masks what its rules find in documents (`masking`). A page masks once more, by
form alone, since it also has texts that no rule was made for: n-grams, whose words stand apart, and
names. Twice is once.
"""

from __future__ import annotations

import re

from dolma_kit.statistics.urls import UNLISTED, domain_of

EMAIL, PHONE, IP = "|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "|||IP_ADDRESS|||"
MOST_WORDS = 8
MOST_DOTS = 12
_MASK = re.compile(r"\|{3}[A-Z_]{1,40}\|{3}")
_EMAIL = re.compile(r"[\w.+%-]{1,64} ?@ ?((?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24})\b")
#: an n-gram, or an excerpt, may end within an address
_CUT_EMAIL = re.compile(r"[\w.+%-]{1,64} ?@ ?[\w.-]{0,64}$")
_PHONE = re.compile(r"(?<![\w.])\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}(?![\w.]*\d)")
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IP = re.compile(rf"(?<![\w.])(?:{_BYTE}\.){{3}}{_BYTE}\b(?!\.?\d)")


def redacted(text: str) -> str:
    """A text with e-mail addresses, telephone numbers and IP addresses masked, as far as their form
    tells; of what only looks like an address (`a @ b.parse`) the suffix tells.

    >>> redacted("ask ann@example.org, (206) 430-7757 or 10.0.0.1")
    'ask |||EMAIL_ADDRESS|||, |||PHONE_NUMBER||| or |||IP_ADDRESS|||'
    >>> redacted("write to ann@exam"), redacted("x = a @ b.parse(c)")
    ('write to |||EMAIL_ADDRESS|||', 'x = a @ b.parse(c)')
    """
    if "@" in text:
        text = _CUT_EMAIL.sub(EMAIL, _EMAIL.sub(_email, text))
    return _IP.sub(IP, _PHONE.sub(PHONE, text))


def _email(match: re.Match[str]) -> str:
    return match[0] if domain_of(match[1].lower())[1] == UNLISTED else EMAIL


def dotted(match: str) -> str:
    """What was found, unreadable: a mask as it is, of words their first letters.

    >>> dotted("|||IP_ADDRESS|||"), dotted("You fool"), dotted(dotted("You fool"))
    ('|||IP_ADDRESS|||', 'Y•• f•••', 'Y•• f•••')
    """
    words = [
        word if _MASK.fullmatch(word) else word[0] + "•" * min(len(word) - 1, MOST_DOTS)
        for word in match[:1000].split()
    ]
    return " ".join(words[:MOST_WORDS]) + (" …" if len(words) > MOST_WORDS else "")
