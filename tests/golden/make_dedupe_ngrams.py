"""Makes `dedupe_ngrams.json`: shares of n-grams by the package `dolma` 1.2.1, in its Python.

    python tests/golden/make_dedupe_ngrams.py

`dolma dedupe` by n-grams of three words, one process, threshold 0: texts, and for each of their
paragraphs the share that it gives, without and with `skip_short_paragraphs`. No n-gram occurs twice
in a paragraph, as Dolma would take the second one for known.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

RANDOM = random.Random(3)
VOCABULARY = [f"w{i}" for i in range(400)] + ["é,", "don't", "(x)", "日本語", "3.5", "a-b"]
PARAGRAPHS = [" ".join(RANDOM.sample(VOCABULARY, RANDOM.randrange(1, 14))) for _ in range(30)]


def paragraph() -> str:
    """One of the thirty, half of the time with a word of its own, or two to four words of it."""
    words = RANDOM.choice(PARAGRAPHS).split()
    if RANDOM.random() < 0.3:
        start = RANDOM.randrange(len(words))
        return " ".join(words[start : start + RANDOM.randrange(2, 5)])
    if RANDOM.random() < 0.5:
        words[RANDOM.randrange(len(words))] = f"n{RANDOM.randrange(10**6)}"
    return " ".join(words)


def shares(texts: list[str], *, skip_short: bool) -> list[list[float]]:
    """What Dolma gives each text's paragraphs; one that it leaves out has no number."""
    with tempfile.TemporaryDirectory() as place:
        documents = Path(place) / "web" / "documents" / "a.jsonl.gz"
        documents.parent.mkdir(parents=True)
        with gzip.open(documents, "wt") as stream:
            for i, text in enumerate(texts):
                stream.write(json.dumps({"id": f"d{i}", "text": text, "source": "web"}) + "\n")
        by_ngram = {"ngram_length": 3, "stride": 0, "overlap_threshold": 0.0,
                    "skip_short_paragraphs": skip_short}  # fmt: skip
        bloom = {"file": str(Path(place) / "filter"), "read_only": False,
                 "estimated_doc_count": 10_000, "desired_false_positive_rate": 1e-9}  # fmt: skip
        rule = {"attribute_name": "ng", "by_ngram": by_ngram}
        config = {"documents": [str(documents)], "processes": 1, "bloom_filter": bloom,
                  "dedupe": {"name": "ng", "paragraphs": rule, "skip_empty": True}}  # fmt: skip
        path = Path(place) / "config.json"
        path.write_text(json.dumps(config))
        subprocess.run(
            [sys.executable, "-I", "-m", "dolma.cli", "-c", str(path), "dedupe"], check=True
        )
        found = Path(place) / "web" / "attributes" / "ng" / "a.jsonl.gz"
        with gzip.open(found, "rt") as stream:
            rows = [json.loads(line)["attributes"].get("ng", []) for line in stream]
    return [[round(score, 5) for _, _, score in row] for row in rows]


def main() -> None:
    texts = ["\n".join(paragraph() for _ in range(RANDOM.randrange(1, 5))) for _ in range(90)]
    golden = {
        "texts": texts,
        "shares": shares(texts, skip_short=False),
        "without_short": shares(texts, skip_short=True),
    }
    target = Path(__file__).with_name("dedupe_ngrams.json")
    target.write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
