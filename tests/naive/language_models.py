"""Plain twins of what reads, asks and trains language models of n-grams."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

Ngram = tuple[str, ...]
Model = dict[Ngram, tuple[float, float]]  # log10 of probability and of backoff

PUNCTUATION = {
    "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"', "１": '"',
    "」": '"', "「": '"', "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?", "！": "!",
    "（": "(", "）": ")", "；": ";", "–": "-", "—": " - ", "．": ". ", "～": "~", "’": "'",
    "…": "...", "━": "-", "〈": "<", "〉": ">", "【": "[", "】": "]", "％": "%", "►": "-",
}  # fmt: skip


def ccnet_normalized(text: str) -> str:
    """kernels.ccnet_text.normalize, step by step as in cc_net/text_normalizer.py."""
    text = unicodedata.normalize("NFD", text.strip().lower())
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    text = re.sub(r"\d", "0", text)
    text = "".join(PUNCTUATION.get(c, c) for c in text)
    return "".join(c for c in text if not (ord(c) < 32 or 127 <= ord(c) < 160))


def murmur_hash(data: bytes) -> int:
    """kernels.language_model.hash_word"""
    multiplier, every = 0xC6A4A7935BD1E995, 2**64 - 1
    h = len(data) * multiplier & every
    for i in range(0, len(data) - 7, 8):
        k = int.from_bytes(data[i : i + 8], "little") * multiplier & every
        h = (h ^ (k ^ k >> 47) * multiplier) * multiplier & every
    if rest := data[len(data) // 8 * 8 :]:
        h = (h ^ int.from_bytes(rest, "little")) * multiplier & every
    h = (h ^ h >> 47) * multiplier & every
    return h ^ h >> 47


def read_arpa(text: str) -> Model:
    """language_models.arpa_files.read, of a file without faults."""
    model: Model = {("<unk>",): (-100.0, 0.0)}
    n = 0
    for line in text.split("\\data\\")[1].split("\n"):
        if match := re.fullmatch(r"\\(\d+)-grams:", line):
            n = int(match[1])
        elif n and line and not line.startswith("\\"):
            fields = line.split()
            backoff = float(fields[n + 1]) if len(fields) > n + 1 else 0.0
            model[tuple(fields[1 : n + 1])] = (float(fields[0]), backoff)
    return model


def log10_of_word(model: Model, context: Ngram, word: str) -> float:
    """log10 p(word | context): that of the longest n-gram, and the backoffs of longer contexts."""
    ngram = (*context, word)
    if ngram in model:
        return model[ngram][0]
    return model.get(context, (0.0, 0.0))[1] + log10_of_word(model, context[1:], word)


def score_line(model: Model, line: str) -> tuple[float, int, int]:
    """kernels.language_model.score_documents of one line: log10, length, unknown words."""
    known = {ngram[0] for ngram in model if len(ngram) == 1} - {"<unk>"}
    order = max(map(len, model))
    words = [w if w in known else "<unk>" for w in re.split("[\0\t\n\v\f\r ]+", line) if w]
    history: Ngram = ("<s>",)
    total = 0.0
    for word in (*words, "</s>"):
        total += log10_of_word(model, history[max(0, len(history) - order + 1) :], word)
        history = (*history, word)
    return total, len(line.split()) + 1, words.count("<unk>")


def kneser_ney(
    lines: Iterable[Sequence[str]], order: int, thresholds: Sequence[int], fallback: Sequence[float]
) -> Model:
    """language_models.training.train, from the definitions (Heafield et al. 2013, section 3)."""
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order + 1)]
    sentences = [("<s>", *line, "</s>") for line in lines]
    for sentence in sentences:
        for end in range(1, len(sentence)):
            for n in range(1, min(order, end + 1) + 1):
                counts[n][sentence[end + 1 - n : end + 1]] += 1
    ids = {w: i for i, w in enumerate(dict.fromkeys(w for s in [("<s>", "</s>"), *sentences]
                                                    for w in s))}  # fmt: skip
    last = max((s[: end + 1] for s in sentences for end in range(1, len(s))),
               key=lambda s: [ids[w] for w in s[: -order - 1 : -1]])  # fmt: skip
    counts[1].update({("<unk>",): 0, ("<s>",): 0})
    adjusted = [Counter(of_order) for of_order in counts]
    for n in range(1, order):
        lefts: defaultdict[Ngram, set[str]] = defaultdict(set)
        for ngram in counts[n + 1]:
            lefts[ngram[1:]].add(ngram[0])
        for ngram in adjusted[n]:
            if ngram[0] != "<s>" and ngram != ("<unk>",):
                adjusted[n][ngram] = len(lefts[ngram])
    model: Model = {}
    probabilities: dict[Ngram, float] = {}
    backoffs: dict[Ngram, float] = {}
    for n in range(1, order + 1):
        seen = Counter(adjusted[n].values())
        if n < order and n <= len(last):  # lmplz's slip: the last one counts with its plain count
            seen[adjusted[n][last[-n:]]] -= 1
            seen[counts[n][last[-n:]]] += 1
        discount = _discounts(seen) or [0.0, *fallback]
        kept = {g for g in adjusted[n] if counts[n][g] > thresholds[n - 1]}
        if n == 1:
            kept |= {("<unk>",), ("<s>",), ("</s>",)}
        sums: defaultdict[Ngram, float] = defaultdict(float)
        masses: defaultdict[Ngram, float] = defaultdict(float)
        for ngram, a in adjusted[n].items():
            sums[ngram[:-1]] += a
            masses[ngram[:-1]] += discount[min(a, 3)] if ngram in kept else a
        for context in sums:
            backoffs[context] = masses[context] / sums[context]
        for ngram in kept:
            a = adjusted[n][ngram]
            shorter = probabilities[ngram[1:]] if n > 1 else 1 / (len(kept) - 1)
            context = ngram[:-1]
            own = (a - discount[min(a, 3)]) / sums[context]
            probabilities[ngram] = own + backoffs[context] * shorter
    probabilities["<s>",] = 1.0
    for ngram, p in probabilities.items():
        model[ngram] = (math.log10(p), math.log10(backoffs.get(ngram, 1.0)))
    return model


def _discounts(seen: Counter[int]) -> list[float] | None:
    if not (seen[1] and seen[2] and seen[3]):
        return None
    y = seen[1] / (seen[1] + 2 * seen[2])
    found = [0.0, *(i - (i + 1) * y * seen[i + 1] / seen[i] for i in (1, 2, 3))]
    return found if all(0 <= d <= i for i, d in enumerate(found)) else None
