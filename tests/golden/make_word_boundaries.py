"""Makes word_boundaries.json: what the libraries of Dolma's taggers make of awkward short texts.

    python tests/golden/make_word_boundaries.py

runs in the environment of `make_dolma_taggers.py`. `classes` has a character of each class of
Word_Break and two pictographs; `triples` has a digit for each three of them, in the order of
`itertools.product`: 2 if there is a boundary before the second, plus 1 if there is one before the
third, by uniseg. `texts` are [text, lengths of the words by uniseg, pieces by Dolma's
pre-tokenizer, matches of `\\w+|[^\\w\\s]+` by regex].
"""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import regex
from dolma.taggers.length import OlmoPreTokenizerV1
from uniseg.wordbreak import word_breakables, words

CLASSES = "x\r\n\x0b\u0308\u200d\U0001f1e6\u00adカאa'\".:,1_ ⌚Ⓜ"
#: what the rules are about, and what is in none of the classes above
MORE = "é中ｶ٣²½$+.-\t\u3000\xa0\u2003\x1f\x85\u0301\ufe0f\U0001f1ea👩🏽·:’״_\u200bๆก"
OUT = Path(__file__).parent / "word_boundaries.json"
SEED = 6198
N_TEXTS = 1500


def some_texts() -> list[str]:
    choose = random.Random(SEED)
    texts = []
    for i in range(N_TEXTS):
        of = CLASSES + MORE if i % 2 else choose.sample(CLASSES + MORE, 5)
        texts.append("".join(choose.choices(of, k=choose.randrange(1, 24))))
    return texts


def main() -> None:
    triples = []
    for triple in product(CLASSES, repeat=3):
        _, second, third = word_breakables("".join(triple))
        triples.append(str(2 * second + third))
    split = OlmoPreTokenizerV1().pre_tokenizer.pre_tokenize_str
    pattern = regex.compile(r"\w+|[^\w\s]+")
    texts = [
        [text, [len(word) for word in words(text)], len(split(text)), len(pattern.findall(text))]
        for text in some_texts()
    ]
    lines = ",\n".join(json.dumps(text, ensure_ascii=True, separators=(",", ":")) for text in texts)
    head = json.dumps({"classes": CLASSES, "triples": "".join(triples)})
    OUT.write_text(f'{head[:-1]}, "texts": [\n{lines}\n]}}\n', encoding="ascii")


if __name__ == "__main__":
    main()
