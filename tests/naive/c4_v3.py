"""Plain twin of kernels.c4_v3: C4's own patterns and tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from dolma_kit.kernels.c4_v3 import COUNTS, RULES
from dolma_kit.kernels.c4_words import PHRASES

Span = tuple[int, int]

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_CLOSING = "\"')]}’”»"
_TITLES = {"mr", "mrs", "ms", "dr", "prof", "st"}


def find(
    text: str, words: Iterable[str], min_words: int = 5
) -> tuple[dict[str, int], dict[str, list[Span]], list[Span]]:
    """kernels.c4_v3.find: counts, the lines that break each rule, citations."""
    naughty = re.compile(rf"(?:\W|^)({'|'.join(map(re.escape, words))})(?:\W|$)")
    counts = dict.fromkeys(COUNTS, 0)
    broken: dict[str, list[Span]] = {rule: [] for rule in RULES}
    citations = []
    start = 0
    for with_break in text.splitlines(keepends=True):
        original = with_break.splitlines()[0]
        stripped = original.strip()
        before = start + len(original) - len(original.lstrip())
        citations += [
            (before + a, before + b) for a, b in map(re.Match.span, _CITATION.finditer(stripped))
        ]
        line = _CITATION.sub("", stripped)
        lowered = line.lower()
        holds = [
            any(len(word) > 1000 for word in stripped.split()),
            not line.endswith((".", "?", "!", '"')) or line.endswith("..."),
            len(line.split()) < min_words,
            "javascript" in lowered,
            any(phrase in lowered for phrase in PHRASES),
        ]
        for rule, is_broken in zip(RULES, holds, strict=True):
            if is_broken:
                broken[rule].append((start, start + len(with_break)))
        start += len(with_break)
        counts["line_count"] += 1
        if not any(holds):
            counts["kept_line_count"] += 1
            like_ascii = line.replace("\u212a", "K").replace("\u0130", "I\u0307")
            counts["sentence_count"] += sentence_count(like_ascii)
        for name, has, before_it in (
            ("lorem_ipsum", "lorem ipsum" in lowered, 3),
            ("curly_brace", "{" in line, 4),
            ("naughty_word", naughty.search(lowered) is not None, 5),
        ):
            counts[f"has_{name}"] |= has
            counts[f"{name}_in_kept_lines"] |= has and not any(holds[:before_it])
    return counts, broken, citations


def sentence_count(line: str) -> int:
    """One, and one more for each word but the last that ends a sentence."""
    words = line.split()
    ends = [
        ends_sentence(word) and not re.match("[a-z]", following)
        for word, following in pairwise(words)
    ]
    return sum(ends) + bool(words)


def ends_sentence(word: str) -> bool:
    word = word.rstrip(_CLOSING)
    if word.endswith(("?", "!", "…")):
        return True
    if not word.endswith("."):
        return False
    before = re.sub("^[^A-Za-z]*", "", word[:-1])
    return not re.fullmatch("[A-Z]", before) and before.lower() not in _TITLES


def clean_page(
    text: str, words: Iterable[str], min_words: int = 5, min_sentences: int = 3
) -> str | None:
    """What C4 makes of a page before it drops repeated lines, rule by rule; None: nothing."""
    naughty = re.compile(rf"(?:\W|^)({'|'.join(map(re.escape, words))})(?:\W|$)")
    kept = []
    for line in map(str.strip, text.splitlines()):
        if any(len(word) > 1000 for word in line.split()):
            continue
        line = _CITATION.sub("", line)
        lowered = line.lower()
        if not line.endswith((".", "?", "!", '"')) or line.endswith("..."):
            continue
        if len(line.split()) < min_words:
            continue
        if "lorem ipsum" in lowered:
            return None
        if "javascript" in lowered:
            continue
        if "{" in line:
            return None
        if not any(phrase in lowered for phrase in PHRASES):
            kept.append(line)
    cleaned = "\n".join(kept).strip()
    if sum(map(sentence_count, kept)) < min_sentences or naughty.search(cleaned.lower()):
        return None
    return cleaned
