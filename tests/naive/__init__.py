"""Plain twins of the kernels: what they must give, in readable Python, one document at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from statistics import median

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]


def as_arrays(texts: Iterable[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Texts as kernels see them: bytes (read-only) and offsets, both read-only as Arrow's are."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    offsets.flags.writeable = False
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def code_point_count(text: str) -> int:
    """kernels.unicode.code_point_counts"""
    return len(text)


def gopher(text: str, keep_empty_lines: bool = False) -> dict[str, float]:
    """kernels.gopher.measure: the keys that the document has, in any order."""
    words = text.split()
    lines = text.split("\n") if keep_empty_lines else re.split(r"\n+", text)
    if not text:
        lines = []
    n_words, n_lines = max(len(words), 1), max(len(lines), 1)
    n_characters = max(sum(map(len, words)), 1)
    repeated_lines = {line: count for line, count in Counter(lines).items() if count > 1}
    required = {"the", "be", "to", "of", "and", "that", "have", "with"}
    values: dict[str, float] = {
        "character_count": len(text),
        "word_count": len(words),
        "median_word_length": median(map(len, words)) if words else 0,
        "symbol_to_word_ratio": sum("#" in w or "…" in w for w in words) / n_words,
        "fraction_of_words_with_alpha_character": sum(any(map(str.isalpha, w)) for w in words)
        / n_words,
        "required_word_count": sum(word in required for word in words),
        "fraction_of_lines_starting_with_bullet_point": sum(
            line.startswith(("*", "-")) for line in lines
        )
        / n_lines,
        "fraction_of_lines_ending_with_ellipsis": sum(line.endswith("…") for line in lines)
        / n_lines,
        "fraction_of_duplicate_lines": sum(repeated_lines.values()) / n_lines,
        "fraction_of_characters_in_duplicate_lines": sum(
            len(line) * count for line, count in repeated_lines.items()
        )
        / n_characters,
    }
    for n in range(2, min(10, len(words)) + 1):
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        size = {gram: sum(map(len, gram)) for gram in grams}
        if n <= 4:
            gram, count = grams.most_common(1)[0]
            key = f"fraction_of_characters_in_most_common_{n}grams"
            values[key] = count * size[gram] / n_characters
        else:
            total = sum(count * size[gram] for gram, count in grams.items())
            repeated = sum(count * size[gram] for gram, count in grams.items() if count > 1)
            values[f"fraction_of_characters_in_duplicate_{n}grams"] = repeated / total
    return values


def c4(
    text: str, words: Iterable[str], by_line: bool = False
) -> tuple[set[str], int, list[Span], list[Span]]:
    """kernels.c4.find: flags, lines, lines without ending punctuation, lines with few words."""
    words = set(words)
    lowered = text.lower()
    tokens = set(lowered.split())
    found = {
        "has_curly_brace": "{" in lowered,
        "has_lorem_ipsum": "lorem ipsum" in lowered,
        "has_javascript": "javascript" in (tokens if by_line else lowered),
        "has_naughty_word": bool(words & tokens) or any(w in lowered for w in words if " " in w),
    }
    lines = (text if by_line else lowered).split("\n")
    unpunctuated, short = [], []
    start = 0
    for number, line in enumerate(lines, start=1):
        end = start + len(line) + (number < len(lines))
        span = (min(start, len(text)), min(end, len(text)))
        if not line.strip().endswith((".", "?", "!", '"')):
            unpunctuated.append(span)
        if len(line.split()) < 3:
            short.append(span)
        start = end
    return {flag for flag, holds in found.items() if holds}, len(lines), unpunctuated, short


_EMAIL = re.compile(r"[.\s@,?!;:)(]*([^\s@]+@[^\s@,?!;:)(]+?)[.\s@,?!;:)(]?[\s\n\r]")
_PHONE = re.compile(r"\s+\(?(\d{3})\)?[-\. ]*(\d{3})[-. ]?(\d{4})")
_IP = re.compile(
    r"(?:(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
)


def emails(paragraph: str) -> list[Span]:
    """kernels.pii.find_emails: Dolma's pattern itself (quadratic and worse)."""
    spans = []
    for match in _EMAIL.finditer(paragraph):
        addressee, domain = match[1].split("@")
        if addressee != "(" and "." in domain:
            spans.append(match.span())
    return spans


def phones(paragraph: str) -> list[Span]:
    """kernels.pii.find_phones: Dolma's pattern itself."""
    return [match.span() for match in _PHONE.finditer(paragraph)]


def ips(paragraph: str) -> list[Span]:
    """kernels.pii.find_ips: Dolma's pattern itself."""
    return [match.span() for match in _IP.finditer(paragraph)]


def pii(text: str) -> list[tuple[str, int, int]]:
    """kernels.pii.find: type, start and end of each span."""
    spans: list[tuple[str, int, int]] = []
    if text.count("?") > 10_000:
        return spans
    start = 0
    for paragraph in re.findall(r"[^\n]*\n|[^\n]+$", text):
        for kind, search in (
            ("EMAIL_ADDRESS", emails),
            ("PHONE_NUMBER", phones),
            ("IP_ADDRESS", ips),
        ):
            spans += [(kind, start + s, start + e) for s, e in search(paragraph)]
        start += len(paragraph)
    return spans


_URL = re.compile(
    "(?i)\b((?:https?://|www\\d{0,3}[.]|[a-z0-9.\\-]+[.][a-z]{2,4}/)"
    "(?:[^\\s()<>]+|\\(([^\\s()<>]+|(\\([^\\s()<>]+\\)))*\\))+"
    "(?:\\(([^\\s()<>]+|(\\([^\\s()<>]+\\)))*\\)"
    "|[^\\s`!()\\[\\]{};:'\".,<>?«»“”‘’]))"
)


def has_url(text: str) -> bool:
    """kernels.pii_documents.has_url: Dolma's pattern itself, backspace and all (exponential)."""
    return _URL.search(text) is not None


def pii_documents(text: str) -> list[tuple[str, int, int]]:
    """kernels.pii_documents.find: type, start and end of each span."""
    spans = []
    for match in _EMAIL.finditer(text):
        parts = match[0].split("@")
        if parts[0].strip() != "(" and "." in parts[1]:
            spans.append(("EMAIL_ADDRESS", *match.span()))
    for kind, pattern in (("PHONE_NUMBER", _PHONE), ("IP_ADDRESS", _IP)):
        for match in pattern.finditer(text):
            context = text[max(0, match.start() - 100) : match.end() + 100]
            if "isbn" in context or "doi" in context or "#" in context:
                continue
            if kind == "IP_ADDRESS" or not has_url(text):
                spans.append((kind, *match.span()))
    return spans


def blank_out(text: str, characters: str) -> tuple[bytes, bool]:
    """kernels.whitespace.blank_out: bytes, and whether they are spaces alone."""
    made = b"".join(b" " * len(c.encode()) if c in characters else c.encode() for c in text)
    return made, not made.strip(b" ")


def round5(value: float) -> float:
    """kernels.rounding.round5: to the nearest multiple of 1e-5, ties of the exact value to even."""
    if value != value or abs(value) == float("inf"):
        return value
    rounded = round(Fraction(value) * 100_000)
    # A quotient of integers is rounded correctly; zero keeps its sign.
    return rounded / 100_000 if rounded else 0.0 * value


def lower(text: str) -> str:
    """kernels.lowercase.lower"""
    return text.lower()


def strip(text: str) -> str:
    """kernels.lowercase.strip"""
    return text.strip()
