"""What the tests of rules share: items and documents of few words, so that things match."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dolma_kit.decontamination.finding import Found, Rule, WordsOf
from dolma_kit.decontamination.items import Item
from dolma_kit.documents import Batch


def item(question: str, benchmark: str = "b", **parts: Any) -> Item:
    given = {"split": "test", "id": question[:20], "src": "evals.jsonl", "line": 1, **parts}
    return Item(benchmark=benchmark, question=question, **given)


def batch(texts: Sequence[str]) -> Batch:
    n = len(texts)
    table = pa.record_batch(
        {
            "id": pa.array([f"d{i}" for i in range(n)]),
            "text": pa.array(list(texts), pa.large_string()),
            "source": pa.array([None] * n, pa.string()),
            "metadata": pa.array([None] * n, pa.large_binary()),
        }
    )
    return Batch(table, path="documents/a.jsonl", first_row=0, lines=np.arange(1, n + 1))


def found(rule: Rule, items: Sequence[Item], texts: Sequence[str]) -> Found:
    documents = batch(texts)
    return rule.finder(rule.index(items).arrays)(documents, WordsOf(documents))


def hits(found: Found) -> dict[tuple[int, int], tuple[float, list[tuple[int, int]]]]:
    """By document and item: the score and the places."""
    made = {}
    for i, key in enumerate(zip(found.documents.tolist(), found.items.tolist(), strict=True)):
        own = found.places[found.place_offsets[i] : found.place_offsets[i + 1]]
        made[key] = float(found.hit_scores[i]), [(int(a), int(b)) for a, b in own]
    return made


def texts_and_items(seed: int) -> tuple[list[str], list[Item]]:
    """Documents that hold questions or most of one, among other words."""
    chance = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(12)] + ["É", "日", "it's", "ΣΑΣ", "x1"]

    def some(n: int) -> str:
        return " ".join(chance.choice(vocabulary) for _ in range(n))

    items = [
        item(
            some(chance.randrange(1, 30)), chance.choice("abc"),
            answer=some(chance.randrange(0, 8)), passage=some(chance.choice([0, 0, 9, 30])),
            choices=tuple(some(chance.randrange(1, 6)) for _ in range(chance.randrange(0, 4))),
        )
        for _ in range(12)
    ]  # fmt: skip
    texts = ["", "  ", "w1"]
    for _ in range(25):
        pieces = [some(chance.randrange(0, 25))]
        for _ in range(chance.randrange(0, 3)):
            one = chance.choice(items)
            own = "\n".join([one.passage, one.question, *one.choices, one.answer]).split(" ")
            for _ in range(chance.randrange(0, 3)):
                own[chance.randrange(len(own))] = chance.choice([*vocabulary, "w1 w2", ""])
            pieces += [chance.choice(["", "\n", ", "]).join([" ".join(own)]), some(9)]
        texts.append("; ".join(pieces).upper() if chance.random() < 0.2 else "; ".join(pieces))
    return texts, items
