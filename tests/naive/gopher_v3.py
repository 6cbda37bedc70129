"""Plain twin of kernels.gopher_v3."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from dolma_kit.kernels.gopher_v3 import BULLETS, REQUIRED


def measure(text: str) -> dict[str, float]:
    """kernels.gopher_v3.measure"""
    words = text.split()
    lines = [line.strip() for line in text.split("\n")]
    groups = groupby(text.split("\n"), key=lambda line: bool(line.strip()))
    paragraphs = ["\n".join(group).strip() for is_filled, group in groups if is_filled]
    lines = [line for line in lines if line]
    n_characters = sum(map(len, words))
    n_words, n_lines = max(len(words), 1), max(len(lines), 1)
    symbols = max(text.count("#"), text.count("...") + text.count("…"))
    values: dict[str, float] = {
        "character_count": len(text),
        "word_count": len(words),
        "mean_word_length": n_characters / n_words,
        "symbol_to_word_ratio": symbols / n_words,
        "fraction_of_words_with_alpha_character": sum(any(map(str.isalpha, w)) for w in words)
        / n_words,
        "required_word_count": len(set(REQUIRED) & {without_punctuation(w) for w in words}),
        "fraction_of_lines_starting_with_bullet_point": sum(line[0] in BULLETS for line in lines)
        / n_lines,
        "fraction_of_lines_ending_with_ellipsis": sum(line.endswith(("...", "…")) for line in lines)
        / n_lines,
    }
    for name, pieces in (("lines", lines), ("paragraphs", paragraphs)):
        repeated = [piece for i, piece in enumerate(pieces) if piece in set(pieces[:i])]
        n_repeated = sum(len("".join(piece.split())) for piece in repeated)
        values[f"fraction_of_duplicate_{name}"] = len(repeated) / max(len(pieces), 1)
        values[f"fraction_of_characters_in_duplicate_{name}"] = n_repeated / max(n_characters, 1)
    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        repeated_grams = [
            (gram, count) for gram, count in Counter(grams).most_common() if count > 1
        ]
        wanted = {gram for gram, _ in repeated_grams[: 1 if n <= 4 else None]}
        kind = "most_common" if n <= 4 else "duplicate"
        values[f"fraction_of_characters_in_{kind}_{n}grams"] = covered(
            words, grams, wanted, n
        ) / max(n_characters, 1)
    return values


def covered(
    words: Sequence[str], grams: Sequence[tuple[str, ...]], wanted: set[tuple[str, ...]], n: int
) -> int:
    places = {j for i, gram in enumerate(grams) if gram in wanted for j in range(i, i + n)}
    return sum(len(words[j]) for j in places)


def without_punctuation(word: str) -> str:
    """The word in lower case, ASCII's, without punctuation and symbols at its ends."""
    while word and unicodedata.category(word[0])[0] in "PS":
        word = word[1:]
    while word and unicodedata.category(word[-1])[0] in "PS":
        word = word[:-1]
    return word.lower() if word.isascii() else word
