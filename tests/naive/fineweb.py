"""Plain twin of kernels.fineweb."""

from __future__ import annotations

import unicodedata

from dolma_kit.kernels import fineweb


def measure(text: str, original: bool = False) -> list[float]:
    """kernels.fineweb.measure"""
    ends = tuple(fineweb.ORIGINAL_ENDS if original else fineweb.terminal_punctuation())
    filled = [line for line in text.split("\n") if line.strip()]
    lines = text.split("\n") if original else filled
    seen: set[str] = set()
    n_repeated = 0
    for line in filled:
        n_repeated += len(line) if line in seen else 0
        seen.add(line)
    return [
        sum(line.endswith(ends) for line in lines) / max(len(lines), 1),
        sum(len(line) <= 30 for line in lines) / max(len(lines), 1),
        n_repeated / max(len(text.replace("\n", "")), 1),
        text.count("\n") / max(sum(map(word_count, text.split())), 1),
    ]


def word_count(word: str) -> int:
    """One, and one for each punctuation mark or symbol at either end."""
    is_inner = [unicodedata.category(character)[0] not in "PS" for character in word]
    if not any(is_inner):
        return len(word)
    return 1 + is_inner.index(True) + is_inner[::-1].index(True)
