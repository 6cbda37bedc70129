"""What an address asks for: numbers out of text, and the refusal of what cannot be meant."""

from __future__ import annotations

from collections.abc import Mapping

from dolma_kit.errors import ConfigError, DataError, DolmaKitError, MissingInput, VerificationError

MOST_DIGITS = 18


class Refused(DolmaKitError):
    """A question that has no answer: `status` is HTTP's."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason, status)
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return self.reason


def number(query: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    """A whole number of an address; one that is too large is the largest. Refused for others.

    >>> number({"at": " 7,000"}, "at", 0, least=0, most=9000), number({}, "at", 0, least=0, most=9)
    (7000, 0)
    """
    text = query.get(name, "").strip()
    if not text:
        return default
    found = whole_number(text)
    if found is None or found < least:
        raise Refused(f"{name}={shortened(text)}: a whole number from {least:,} on", 400)
    return min(found, most)


def whole_number(text: str) -> int | None:
    """What digits say, with or without commas between them; None for other text.

    >>> whole_number("12,000"), whole_number("-1"), whole_number("²")
    (12000, None, None)
    """
    digits = text.strip().replace(",", "")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MOST_DIGITS:
        return None
    return int(digits)


def shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def status_of(error: Exception) -> int:
    """HTTP's status for what went wrong: 404 for what there is not, 409 where files are missing or
    do not belong together."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, MissingInput | DataError | VerificationError | OSError):
        return 409
    return 404 if isinstance(error, ConfigError) else 409


def line_of(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
