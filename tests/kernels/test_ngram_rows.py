"""Words as ids, and the distinct n-grams of a text in suffix order, against plain Python."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.language_models import text
from dolma_kit.language_models.counting import NgramCounter, Text
from tests import naive

words = st.sampled_from(
    ["a", "b", "c", "é", "a-long-word-of-its-own", "<s>", "</s>", "<unk>", "\f"]
)
documents = st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=12)


def counted(lines: list[str]) -> tuple[Text, list[list[str]]]:
    made = Text(1 << 30)
    for line in lines:  # one batch each, so that tables have to grow
        made.add(text.split(*naive.as_arrays([line])))
    special = ("<s>", "</s>", "<unk>", "")
    kept = [[w for w in re.split("[\f ]+", line) if w not in special] for line in lines if line]
    return made, [["<s>", *line, "</s>"] for line in kept]


@settings(deadline=None, max_examples=60)
@given(documents)
def test_ids(lines: list[str]) -> None:
    made, sentences = counted(lines)
    names = [word.decode() for word in made.words()]
    assert names[:3] == ["<unk>", "<s>", "</s>"]
    assert len(set(names)) == len(names) == made.n_words
    assert [names[i] for i in made.ids().tolist()] == [w for s in sentences for w in s]


@settings(deadline=None, max_examples=60)
@given(documents, st.integers(1, 5))
def test_rows(lines: list[str], order: int) -> None:
    made, sentences = counted(lines)
    if not sentences:
        return
    ids = made.ids()
    names = [word.decode() for word in made.words()]
    counter = NgramCounter(ids, made.n_words, order)
    for n in range(1, order + 1):
        rows = counter.rows(n)
        plain: Counter[tuple[str, ...]] = Counter()
        longer: set[tuple[str, ...]] = set()
        for sentence in sentences:
            for end in range(1, len(sentence)):
                if end + 1 >= n:
                    plain[tuple(sentence[end + 1 - n : end + 1])] += 1
                if end + 1 > n:
                    longer.add(tuple(sentence[end - n : end + 1]))
        found = [
            tuple(names[i] for i in ids[end + 1 - n : end + 1].tolist())
            for end in rows.examples.tolist()
        ]
        if n == 1:
            found[:2] = [("<unk>",), ("<s>",)]
            plain.update({("<unk>",): 0, ("<s>",): 0})
        assert dict(zip(found, rows.counts.tolist(), strict=True)) == dict(plain)
        order_of = {name: i for i, name in enumerate(names)}
        assert found == sorted(found, key=lambda g: [order_of[w] for w in reversed(g)])
        for ngram, count, adjusted in zip(
            found, rows.counts.tolist(), rows.adjusted.tolist(), strict=True
        ):
            is_plain = n == order or ngram[0] == "<s>"
            lefts = {other[0] for other in longer if other[1:] == ngram}
            assert adjusted == (count if is_plain else len(lefts))
