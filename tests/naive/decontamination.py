"""Plain twins of the rules of decontamination and of the kernels under them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

Word = tuple[str, int, int]
NO_SPACES = ("CJK", "HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR")


def fold(character: str) -> str:
    """kernels.normal_words: lower case, one character for one."""
    return {"İ": "i", "Σ": "σ", "ς": "σ"}.get(character, character.lower())


def words(text: str, normalization: str = "words") -> list[Word]:
    """kernels.normal_words.of_documents: each word, folded, with its start and end."""
    found: list[Word] = []
    run: list[str] | None = None
    for i, character in enumerate(text):
        folded = character if normalization == "none" else fold(character)
        along = unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        if along:
            kind = "along"
        elif not character.isalnum():
            kind = "parts" if normalization == "words" or character.isspace() else "alone"
        elif unicodedata.name(character, "").startswith(NO_SPACES):
            kind = "alone"
        else:
            kind = "runs"
        if kind == "along" and run is None:
            continue
        if kind in ("runs", "along"):
            if run is None:
                run, start = [], i
            run.append(folded)
            continue
        if run is not None:
            found.append(("".join(run), start, i))
            run = None
        if kind == "alone":
            found.append((folded, i, i + 1))
    if run is not None:
        found.append(("".join(run), start, len(text)))
    return found


def plain(text: str, normalization: str = "words") -> list[str]:
    return [word for word, _, _ in words(text, normalization)]


def ngrams(own: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(own[i : i + n]) for i in range(len(own) - n + 1)]


def unite(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places united where they overlap or touch."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def places_of(text: str, wanted: set[tuple[str, ...]], n: int) -> list[tuple[int, int]]:
    """Where n-grams stand in a text, united."""
    own = words(text)
    grams = ngrams([word for word, _, _ in own], n)
    return unite([(own[i][1], own[i + n - 1][2]) for i, gram in enumerate(grams) if gram in wanted])


def covered(own: Sequence[str], known: set[tuple[str, ...]], n: int) -> set[int]:
    """The words that lie in known n-grams."""
    return {i + k for i, gram in enumerate(ngrams(own, n)) if gram in known for k in range(n)}


def item_share(question: str, text: str, n: int, least: int) -> float | None:
    """The rule ngram_item: None of an item that cannot be found."""
    own = plain(question)
    n = min(n, len(own))
    if n < least:
        return None
    return len(covered(own, set(ngrams(plain(text), n)), n)) / len(own)


def document_share(parts: Sequence[str], text: str, n: int) -> float:
    """The rule ngram_document; `parts` are those of all items."""
    known = {gram for part in parts for gram in ngrams(plain(part), n)}
    grams = ngrams(plain(text), n)
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def has_phrase(own: Sequence[str], phrase: Sequence[str]) -> bool:
    return not phrase or tuple(phrase) in ngrams(own, len(phrase))


def holds_all(fields: Sequence[str], text: str) -> bool:
    """The rule wimbd."""
    return all(has_phrase(plain(text), plain(one)) for one in fields)


def substring_share(question: str, text: str, length: int) -> float | None:
    """The rule substring50."""
    windows = {question[i : i + length] for i in range(len(question) - length + 1)}
    return sum(window in text for window in windows) / len(windows) if windows else None


@dataclass
class Question:
    """An item of the rule decon, as words."""

    question: list[str]
    answer: list[str]
    passage: list[str]


@dataclass
class Decon:
    """The rule decon over all items, which is made of their words."""

    items: list[Question]
    n: int = 5
    threshold: float = 0.8
    sample_every: int = 10
    max_misses: int = 11
    hot: int = 1000
    min_words: int = 20
    min_distinct: int = 4
    short: int = 3
    window: int = 50
    passage_window: int = 100
    idf: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.searchable = [
            len(item.question) >= self.n
            and len(item.question + item.answer + item.passage) >= self.min_words
            and len({*item.question, *item.answer, *item.passage}) >= self.min_distinct
            for item in self.items
        ]
        own = [item for item, is_in in zip(self.items, self.searchable, strict=True) if is_in]
        for part in ("question", "answer", "passage"):
            df: dict[tuple[str, ...], int] = {}
            for item in own:
                for gram in self.grams(getattr(item, part)):
                    df[gram] = df.get(gram, 0) + 1
            n = sum(bool(getattr(item, part)) for item in own)
            self.idf[part] = {gram: 1 + math.log((1 + n) / (1 + k)) for gram, k in df.items()}
        self.having: dict[tuple[str, ...], list[int]] = {}
        for i, item in enumerate(self.items):
            if self.searchable[i]:
                for gram in self.grams(item.question):
                    self.having.setdefault(gram, []).append(i)

    def grams(self, own: list[str]) -> set[tuple[str, ...]]:
        return set(ngrams(own, min(self.n, len(own)))) if own else set()

    def overlap(self, part: str, own: list[str], there: set[tuple[str, ...]]) -> float:
        idf = self.idf[part]
        grams = self.grams(own)
        return sum(idf[g] for g in grams if g in there) / sum(idf[g] for g in grams)

    def required(self, i: int) -> float:
        item = self.items[i]
        n = len(item.question + item.answer + item.passage)
        if n <= 20:
            return 1.0
        return self.threshold if n >= 50 else 1 - (1 - self.threshold) * (n - 20) / 30

    def weights(self, item: Question) -> tuple[float, float, float]:
        q, a, p = {
            (True, True): (0.7, 0.2, 0.1), (True, False): (0.75, 0.25, 0.0),
            (False, True): (0.85, 0.0, 0.15), (False, False): (1.0, 0.0, 0.0),
        }[bool(item.answer), bool(item.passage)]  # fmt: skip
        if not a + p:
            return q, a, p
        moved = q * (1 - min(1.0, 0.5 + 0.5 * len(self.grams(item.question)) / 20))
        return q - moved, a + moved * a / (a + p), p + moved * p / (a + p)

    def matches(self, text: list[str]) -> list[tuple[int, int, int, set[tuple[str, ...]]]]:
        """Item, first and last n-gram, and the n-grams met, of each stretch."""
        grams = ngrams(text, self.n)
        found = []
        place, step = 0, self.sample_every
        while place < len(grams):
            seeds = self.having.get(grams[place], [])
            if not seeds or len(seeds) > self.hot:
                step = self.sample_every if not seeds else 1
                place += step
                continue
            right = place
            for i in seeds:
                met = {grams[place]}
                ends = {}
                for direction in (1, -1):
                    at, last = place, place
                    far = 2 * len(self.grams(self.items[i].question)) + self.max_misses
                    while 0 <= at < len(grams) and abs(at - last) <= self.max_misses:
                        if abs(at - place) > far:
                            break
                        if i in self.having.get(grams[at], []):
                            met.add(grams[at])
                            last = at
                        at += direction
                    ends[direction] = last
                right = max(right, ends[1])
                found.append((i, ends[-1], ends[1], met))
            place = right + 1
        return found

    def scores(self, text: list[str]) -> dict[int, float]:
        """The best score of each item."""
        best: dict[int, float] = {}
        for i, first, last, met in self.matches(text):
            item = self.items[i]
            q, a, p = self.weights(item)
            end = last + self.n
            score = q * self.overlap("question", item.question, met)

            def near(width: int, first: int = first, end: int = end) -> list[str]:
                return text[max(0, first - width) : end + width]

            if item.answer and len(item.answer) <= self.short:
                score += a * has_phrase(near(self.window + len(item.answer)), item.answer)
            elif item.answer:
                width = max(self.window, 2 * len(item.answer))
                n = min(self.n, len(item.answer))
                score += a * self.overlap("answer", item.answer, set(ngrams(near(width), n)))
            if item.passage:
                n = min(self.n, len(item.passage))
                there = set(ngrams(near(self.passage_window + len(item.passage)), n))
                score += p * self.overlap("passage", item.passage, there)
            best[i] = max(score, best.get(i, 0.0))
        return best

    def hits(self, text: list[str]) -> dict[int, float]:
        scores = self.scores(text)
        return {i: s for i, s in scores.items() if s >= self.required(i) - 1e-9}
