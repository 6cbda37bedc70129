"""Values given to names such as `password`, as detect-secrets (1.4.0) finds them in YAML.

Its plugin KeywordDetector searches a line with four regular expressions and takes the first match
of each. A *name* is one of `NAMES`, in either case, and the word characters after it; a *value* is

    value   (?=\\w)[^'"]*[^,'"`]        after an opening quote, if any, and up to the same again
    colon   name []'"]{0,2}:\\s*['"`]?value
    equals  name []'"]{0,2}\\s*(={1,3}|!==?)\\s*['"`]?value
    before  ['"`]value['"`]\\s*[!=]{2,3}\\s*\\w*name             names in lower case only
    quoted  name \\S{0,50}?\\s*['"`]value['"`];

These take time quadratic in the length of a line, or worse. The functions here give the same
values in linear time (tests compare them with the plugin). Why they can: a name ends with its row
of word characters, wherever in the row it begins, so each row is looked at once; a value cannot
hold `'` or `"`, so what one attempt learns up to the next of these holds for the others, too.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator

NAMES = (
    r"(?:(?:api|auth|service|account|db|database|priv|private|client)_?key"
    r"|(?:db|database|key)_?pass|password|passwd|pwd|secret|contrase[ñn]a)"
)
_NAME = re.compile(rf"{NAMES}\w*+", re.IGNORECASE)
_LOWER_CASE_NAME = re.compile(NAMES)
_COLON = re.compile(r"[]'\"]{0,2}+:\s*+")
_EQUALS = re.compile(r"[]'\"]{0,2}+\s*+(?:={1,3}+|!={1,2}+)\s*+")
_COMPARED = re.compile(r"['\"`](?=\s*+[!=]{2,3}+(?![!=])\s*+(\w++))")
_QUOTE = re.compile(r"['\"]")
_OPENING_BACKTICK = re.compile(r"`(?=\w)")
_SPACES = re.compile(r"\s*+")
_NO_END = ",'\"`"  # a value does not end with one of these
_MAX_BETWEEN = 50


def find(line: str) -> list[str]:
    """The values that the four expressions find in a line, at most one each."""
    ends = [match.end() for match in _NAME.finditer(line)]
    if not ends:
        return []
    values = _Values(line)
    found = (
        values.after(_COLON, ends),
        _compared(line),
        values.after(_EQUALS, ends),
        values.quoted(ends),
    )
    return [value for value in found if value is not None]


class _Values:
    """Reads values of one line; remembers where the next quote is and the last backtick before."""

    def __init__(self, line: str) -> None:
        self.line = line
        self._quote = (0, -1)  # there is no ' or " from the first to the second
        self._backtick: dict[tuple[int, str], int] = {}

    def after(self, sign: re.Pattern[str], ends: list[int]) -> str | None:
        """The value of the first name that is followed by a sign and a value."""
        for end in ends:
            match = sign.match(self.line, end)
            if match is not None and (value := self._value(match.end())) is not None:
                return value
        return None

    def quoted(self, ends: list[int]) -> str | None:
        """The first value in quotes, and a semicolon after it, within 50 characters of a name."""
        line = self.line
        if ";" not in line:
            return None
        for end in ends:
            for i in range(end, min(end + _MAX_BETWEEN + 1, len(line))):
                is_space = line[i].isspace()
                at = _end(_SPACES, line, i) if is_space else i
                if (value := self._in_quotes(at, ";")) is not None:
                    return value
                if is_space:
                    break
        return None

    def _value(self, i: int) -> str | None:
        if not _is_word(self.line, i):
            return self._in_quotes(i, "")
        return self.line[i : self._next_quote(i)].rstrip(",`")

    def _in_quotes(self, i: int, after: str) -> str | None:
        """The value in the quotes that open at `i`, where `after` follows the closing one."""
        line, start = self.line, i + 1
        quote = line[i : i + 1]
        if quote not in ("'", '"', "`") or not _is_word(line, start):
            return None
        end = self._next_quote(start)
        if quote == "`":
            end = self._last_backtick(start, end, after)
        elif not line.startswith(quote + after, end) or line[end - 1] in _NO_END:
            return None
        return line[start:end] if end > start else None

    def _next_quote(self, i: int) -> int:
        """Where the first ' or " from `i` on is, or the end of the line."""
        first, end = self._quote
        if not first <= i <= end:
            match = _QUOTE.search(self.line, i)
            end = match.start() if match else len(self.line)
            self._quote = (i, end)
        return end

    def _last_backtick(self, start: int, end: int, after: str) -> int:
        """The last backtick before the quote at `end` that can close a value, or -1."""
        if (end, after) not in self._backtick:
            k = self.line.rfind("`" + after, 0, end)
            while k > 0 and self.line[k - 1] in _NO_END:
                k = self.line.rfind("`" + after, 0, k)
            self._backtick[end, after] = k
        k = self._backtick[end, after]
        return k if k > start else -1


def _compared(line: str) -> str | None:
    """The first value in quotes that is compared to a name after it."""
    closings = [m.start() for m in _COMPARED.finditer(line) if _LOWER_CASE_NAME.search(m[1])]
    if not closings:
        return None
    quotes = [match.start() for match in _QUOTE.finditer(line)]
    found = [pair for pair in _openings(line, closings, quotes) if line[pair[1] - 1] not in _NO_END]
    if not found:
        return None
    start, end = min(found, key=lambda pair: (pair[0], -pair[1]))
    return line[start + 1 : end]


def _openings(line: str, closings: list[int], quotes: list[int]) -> Iterator[tuple[int, int]]:
    """The quotes that can open the values which close at `closings`, and these."""
    backticks: dict[int, int] = {}
    for end in closings:
        k = bisect.bisect_left(quotes, end)
        before = quotes[k - 1] if k else -1
        start = before
        if line[end] == "`":
            if before not in backticks:
                match = _OPENING_BACKTICK.search(line, before + 1)
                backticks[before] = match.start() if match else len(line)
            start = backticks[before]
        elif before < 0 or line[before] != line[end] or not _is_word(line, before + 1):
            continue
        if start + 1 < end:
            yield start, end


def _is_word(line: str, i: int) -> bool:
    character = line[i : i + 1]
    return character.isalnum() or character == "_"


def _end(pattern: re.Pattern[str], line: str, i: int) -> int:
    match = pattern.match(line, i)
    return match.end() if match else i
