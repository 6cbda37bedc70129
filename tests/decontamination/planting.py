"""Items put into clean documents in several ways, and which of them each rule finds.

whole        passage, question, choices or answer, a line each
shortened    the first two thirds of the question's words, then the answer
reformatted  as Markdown: bold, bullets, other quotes, dashes for full stops, doubled spaces
re-cased     all in capitals
split        a new paragraph after each six words
answered     passage, question, and the answer of another item
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dolma_kit.decontamination.finding import Rule, WordsOf
from dolma_kit.decontamination.items import Item
from tests.decontamination.finding import batch

AT_ONCE = 200


def _whole(item: Item, other: Item) -> str:
    return "\n".join(item.fields)


def _shortened(item: Item, other: Item) -> str:
    words = item.question.split(" ")
    return " ".join(words[: -(-len(words) * 2 // 3)]) + "\n" + item.answer


def _reformatted(item: Item, other: Item) -> str:
    text = "\n".join(
        [f"**{one}**  " if one == item.question else f"- {one}" for one in item.fields]
    )
    text = re.sub(r"[.](?= |$)", " --", text).replace("'", "\u2019").replace(", ", " ,  ")
    return re.sub('"', "\u201c", text)


def _recased(item: Item, other: Item) -> str:
    return _whole(item, other).upper()


def _split(item: Item, other: Item) -> str:
    words = _whole(item, other).split()
    return "\n\n".join(" ".join(words[i : i + 6]) for i in range(0, len(words), 6))


def _answered(item: Item, other: Item) -> str:
    return "\n".join([*item.part("passage"), item.question, other.answer or other.question])


KINDS: dict[str, Callable[[Item, Item], str]] = {
    "whole": _whole,
    "shortened": _shortened,
    "reformatted": _reformatted,
    "re-cased": _recased,
    "split": _split,
    "answered": _answered,
}


@dataclass
class Count:
    """Of planted items that a rule can find at all, those that it found; of documents with nothing
    in them, those that it took for contaminated; and items found where another one was planted,
    which mostly are near copies of it."""

    planted: int = 0
    found: int = 0
    clean: int = 0
    false: int = 0
    others: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else float("nan")


def plant(
    rules: Sequence[Rule], items: Sequence[Item], texts: Sequence[str], n: int, seed: int
) -> dict[str, dict[str, Count]]:
    """What each rule finds of `n` items of each kind, by rule and kind.

    Each item stands alone in the middle of one of `texts`, between two of its lines; as many texts
    are left as they are.
    """
    chance = random.Random(seed)
    indexes = {rule.id: rule.index(items) for rule in rules}
    finders = {rule.id: rule.finder(indexes[rule.id].arrays) for rule in rules}
    counts = {rule.id: {kind: Count() for kind in KINDS} for rule in rules}
    for kind, made in KINDS.items():
        chosen = chance.sample(range(len(items)), n)
        clean = chance.sample(range(len(texts)), 2 * n)
        documents = []
        for i, at in zip(chosen, clean[:n], strict=True):
            lines = texts[at].split("\n")
            middle = len(lines) // 2
            own = made(items[i], items[chance.randrange(len(items))])
            documents.append("\n".join([*lines[:middle], own, *lines[middle:]]))
        documents += [texts[at] for at in clean[n:]]
        for first in range(0, len(documents), AT_ONCE):
            some = batch(documents[first : first + AT_ONCE])
            words = WordsOf(some)
            for rule, finder in finders.items():
                found, count = finder(some, words), counts[rule][kind]
                pairs = set(
                    zip((found.documents + first).tolist(), found.items.tolist(), strict=True)
                )
                for d in range(first, first + len(some)):
                    own_items = {i for doc, i in pairs if doc == d}
                    if d >= n:
                        count.clean += 1
                        count.false += bool(own_items)
                    else:
                        can_be_found = indexes[rule].left_out[chosen[d]] == 0
                        count.planted += bool(can_be_found)
                        count.found += bool(can_be_found and chosen[d] in own_items)
                        count.others += len(own_items - {chosen[d]})
    return counts


def table(counts: dict[str, dict[str, Count]]) -> str:
    """Recall of each rule by kind, and what it found besides."""
    kinds = list(next(iter(counts.values())))
    lines = [
        "| rule | " + " | ".join(kinds) + " | clean documents found | near copies found |",
        "|---|" + "--:|" * (len(kinds) + 2),
    ]
    for rule, by_kind in counts.items():
        cells = [f"{by_kind[kind].recall:.3f}" for kind in kinds]
        false = sum(one.false for one in by_kind.values())
        clean = sum(one.clean for one in by_kind.values())
        others = sum(one.others for one in by_kind.values())
        lines.append(
            f"| {rule} | " + " | ".join([*cells, f"{false} of {clean:,}", str(others)]) + " |"
        )
    return "\n".join(lines)


def clean_texts(texts: Sequence[str], n: int, seed: int) -> list[str]:
    """`n` of the texts that are neither short nor long, chosen by chance."""
    fit = [text for text in texts if 1_000 <= len(text) <= 20_000]
    order = np.random.default_rng(seed).permutation(len(fit))[:n]
    return [fit[i] for i in order]
