"""Plain twins of kernels.fasttext_training: words, rows and steps of a training."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..fasttext_twin import Twin

F = np.float32
END = "</s>"


def words(text: str) -> list[str]:
    """kernels.fasttext_training.number_words: the words that count, `</s>` at the end."""
    found = [word for word in re.split(r"[ \t\n\v\f\r\0]", text) if word]
    found = found[: found.index(END)] if END in found else found
    return [*(word for word in found if not word.startswith("__label__")), END]


def signed(word: str) -> int:
    h = Twin.hash(word.encode())
    return h - 2**32 if h >= 2**31 else h


def word_ngrams(text: str, longest: int) -> list[int]:
    """Hashes of the word n-grams of two words and more, by where they begin."""
    hashes = [signed(word) for word in words(text)]
    found = []
    for first in range(len(hashes)):
        h = hashes[first]
        for other in hashes[first + 1 : first + longest]:
            h = (h * 116049371 + other) % 2**64
            found.append(h % 2**64)
    return found


def subwords(word: str, min_n: int, max_n: int) -> list[int]:
    """Hashes of a word's character n-grams."""
    marked, found = f"<{word}>", []
    for i in range(len(marked) if word != END else 0):
        for n in range(max(min_n, 1), min(max_n, len(marked) - i) + 1):
            if n > 1 or 0 < i < len(marked) - 1:
                found.append(Twin.hash(marked[i : i + n].encode()))
    return found


def rows(
    text: str, dictionary: Sequence[str], bucket: int, longest: int, min_n: int, max_n: int
) -> list[int]:
    """kernels.fasttext_training.rows_of"""
    found = []
    for word in words(text):
        found += [dictionary.index(word)] if word in dictionary else []
        found += [len(dictionary) + h % bucket for h in subwords(word, min_n, max_n)]
    return found + [len(dictionary) + h % bucket for h in word_ngrams(text, longest)]


def probabilities(scores: Any, loss: str) -> Any:
    if loss == "ova":
        return np.array([1 / (1 + math.exp(-s)) for s in scores.tolist()], F)
    powers = [math.exp(s - max(scores.tolist())) for s in scores.tolist()]
    return np.array([power / sum(powers) for power in powers], F)


def step(input_: Any, output: Any, found: list[int], label: int, rate: float, loss: str) -> None:
    """kernels.fasttext_training.train: one text, whose rows are `found`."""
    hidden = sum((input_[row] for row in found), np.zeros(input_.shape[1], F)) / F(len(found))
    errors = -probabilities(output @ hidden, loss)
    errors[label] += 1
    errors *= F(rate)
    gradient = errors @ output / F(len(found))
    output += np.outer(errors, hidden)
    for row in found:
        input_[row] += gradient
