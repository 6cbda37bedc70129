"""What full-text search costs: indexing, the index, and queries.

    python benchmarks/full_text.py [--corpus DIR] [--workers 2] [--queries 200] [--seed 0]

On the documents of `$DOLMA_KIT_DATA/corpus` (or DIR): MB of JSONL a second of the second of two
indexings (the first may compile), with texts kept and without; the index beside the bytes of the
texts, by kind of file; and the median and the 95th percentile of queries in an open index, once all
have been asked: words from the most frequent to those that occur once, evenly by the logarithm of
their rank, and phrases of two words from random places. Each is counted and its best ten documents
named, without snippets, and with them from kept texts or from the documents.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolma_kit.documents import DocumentReader
from dolma_kit.layout import find
from dolma_kit.searching import full_text, text_files, text_index, text_words


def read(corpus: str) -> tuple[int, Counter[str], list[list[str]]]:
    """Bytes of all texts, how often each word is in them, and the words of every tenth document."""
    n_bytes, n_documents = 0, 0
    counts: Counter[str] = Counter()
    kept = []
    for shard in find([corpus]):
        for batch in DocumentReader(shard.path):
            n_bytes += batch.n_bytes
            made = text_words.words_of_texts(batch.texts)
            for i in range(len(batch)):
                words = made.of(i)
                counts.update(words)
                if n_documents % 10 == 0 and len(words) > 1:
                    kept.append(words)
                n_documents += 1
    return n_bytes, counts, kept


def asked(counts: Counter[str], kept: Sequence[list[str]], n: int, seed: int) -> list[str]:
    """Half of them words, half phrases."""
    random = np.random.default_rng(seed)
    by_rank = [word for word, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    ranks = np.geomspace(1, len(by_rank), n // 2).astype(int) - 1
    queries = [by_rank[rank] for rank in ranks]
    for document in random.integers(0, len(kept), n - len(queries)):
        words = kept[document]
        at = int(random.integers(0, len(words) - 1))
        queries.append(f"{words[at]} {words[at + 1]}")
    return queries


def indexed(corpus: str, out: str, workers: int, store_text: bool) -> float:
    started = time.perf_counter()
    summary = text_index.build(
        documents=[corpus], out=out, workers=workers, store_text=store_text, quiet=True,
        overwrite=True,
    )  # fmt: skip
    return summary.bytes_in / 1e6 / (time.perf_counter() - started)


def said(seconds: Sequence[float]) -> str:
    median, most = np.percentile(seconds, [50, 95])
    return f"p50 {median * 1e3:.2f} ms, p95 {most * 1e3:.2f} ms, max {max(seconds) * 1e3:.2f} ms"


def latencies(index: full_text.TextIndex, queries: Sequence[str], snippets: bool) -> list[float]:
    times = []
    for query in queries:
        started = time.perf_counter()
        full_text.search(index, query, phrase=True, snippets=snippets)
        times.append(time.perf_counter() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default=os.path.join(os.environ["DOLMA_KIT_DATA"], "corpus"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n_bytes, counts, kept = read(arguments.corpus)
    queries = asked(counts, kept, arguments.queries, arguments.seed)
    print(f"{n_bytes / 1e6:.1f} MB of text, {counts.total():,} words, {len(counts):,} different")
    with tempfile.TemporaryDirectory(prefix="full-text-") as folder:
        for name, store_text in (("plain", False), ("kept", True)):
            out = os.path.join(folder, name)
            if not store_text:
                indexed(arguments.corpus, out, arguments.workers, store_text)
            speed = indexed(arguments.corpus, out, arguments.workers, store_text)
            sizes: Counter[str] = Counter()
            for path in Path(out, text_files.SEGMENTS).glob("*.*"):
                sizes[path.suffix[1:]] += path.stat().st_size
            shares = ", ".join(
                f"{kind} {size / n_bytes:.3f}" for kind, size in sorted(sizes.items())
            )
            print(f"{name}: {speed:.1f} MB/s with {arguments.workers} workers; index "
                  f"{sizes.total() / n_bytes:.3f} of the texts ({shares})")  # fmt: skip
            started = time.perf_counter()
            index = full_text.open_index(out)
            print(f"{name}: opening {1e3 * (time.perf_counter() - started):.1f} ms")
            latencies(index, queries, False)
            half = len(queries) // 2
            for what, some in (("words", queries[:half]), ("phrases", queries[half:]),
                               ("both", queries)):  # fmt: skip
                print(f"{name}: {what}: {said(latencies(index, some, False))}")
            with_snippets = latencies(index, queries[:: 1 if store_text else 10], True)
            print(f"{name}: with snippets: {said(with_snippets)}")


if __name__ == "__main__":
    main()
