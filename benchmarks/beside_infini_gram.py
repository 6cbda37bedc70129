"""Searches beside the package infini-gram, on the same tokens: equal answers, and their times.

    pip install infini-gram==2.6.0 --target /somewhere
    PYTHONPATH=/somewhere python benchmarks/beside_infini_gram.py [--corpus DIR] [--texts N]

Tokenizes `$DOLMA_KIT_DATA/corpus` (or DIR) for OLMo 2, makes our index and exports one for the
package's engine. Then: counts of random n-grams, a third of them with one token replaced; what
follows the longest end of a prompt; the spans of texts of 458 tokens put together from pieces of
documents; and the whole of `search overlap` for such a text, with documents and ranking.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EOS = 100257
VOCAB = 100278
LENGTHS = (1, 2, 3, 4, 5, 8, 13, 30)
PIECES = (1, 2, 3, 6, 12, 25)
TEXT = 458
MOST = 10_000  # occurrences of what is asked to go on: of more, the engine starts too many threads


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dolma_kit", *arguments], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


def middle(work: Callable[[], Any], n: int = 9) -> float:
    """The median milliseconds of n times."""
    times = []
    for _ in range(n):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


class Pieces:
    """Random stretches of the tokens, within documents."""

    def __init__(self, tokens: Any, seed: int) -> None:
        self._tokens = tokens
        self._random = random.Random(seed)

    def one(self, n: int) -> list[int]:
        while True:
            at = self._random.randrange(len(self._tokens) - n)
            ids: list[int] = self._tokens[at : at + n].tolist()
            if EOS not in ids:
                return ids

    def query(self) -> list[int]:
        ids = self.one(self._random.choice(LENGTHS))
        if self._random.random() < 1 / 3:
            ids[self._random.randrange(len(ids))] = self.one(1)[0]
        return ids

    def text(self) -> list[int]:
        ids: list[int] = []
        while len(ids) < TEXT:
            ids += self.one(self._random.choice(PIECES))
        return ids[:TEXT]


def compare(tokens: str, exported: str, n_queries: int, n_texts: int) -> None:
    from infini_gram.engine import InfiniGramEngine

    from dolma_kit.searching import overlap, queries, spans

    searcher = queries.open_searcher([tokens])
    _, shard = next(searcher.shards)
    theirs = InfiniGramEngine(
        index_dir=exported, eos_token_id=EOS, vocab_size=VOCAB, token_dtype="u32",
        precompute_unigram_logprobs=True, max_support=MOST,
    )  # fmt: skip
    pieces = Pieces(shard.tokens, 5)
    asked = [pieces.query() for _ in range(n_queries)]
    for _ in range(2):  # the second time is warm
        started = time.perf_counter()
        a = [theirs.count(input_ids=ids)["count"] for ids in asked]
        between = time.perf_counter()
        b = [searcher.count(searcher.ids(ids)) for ids in asked]
        ended = time.perf_counter()
    print(
        f"count: {sum(x == y for x, y in zip(a, b, strict=True)):,} of {n_queries:,} equal; "
        f"infini-gram {1e6 * (between - started) / n_queries:.0f} us, ours "
        f"{1e6 * (ended - between) / n_queries:.0f} us a query"
    )
    n_same = 0
    prompts = [ids for ids in asked if searcher.infgram(ids, limit=1).count <= MOST][:300]
    for ids in prompts:
        x, y = theirs.infgram_ntd(prompt_ids=ids), searcher.infgram(ids, limit=1 << 30)
        next_ids = {k: one["cont_cnt"] for k, one in x["result_by_token_id"].items()}
        ours = {one.id: one.count for one in y.next}
        n_same += (x["suffix_len"], x["prompt_cnt"], next_ids) == (y.used, y.count, ours)
    print(f"infgram: {n_same} of {len(prompts)} equal")
    n_same = n_spans = 0
    options = {"delim_ids": [], "min_len": 1, "max_cnt": 1 << 30, "enforce_bow": False}
    texts = [pieces.text() for _ in range(n_texts)]
    for ids in texts:
        found = theirs.attribute(input_ids=ids, **options)["spans"]
        ours = [(one.start, one.end, one.count) for one in spans.maximal_spans(searcher, ids)]
        n_same += [(one["l"], one["r"], one["count"]) for one in found] == ours
        n_spans += len(ours)
    print(f"spans: {n_same} of {n_texts} texts equal, {n_spans:,} spans")
    ids = texts[0]
    a_ms = middle(lambda: theirs.attribute(input_ids=ids, **options))
    b_ms = middle(lambda: spans.maximal_spans(searcher, ids))
    print(f"spans of {TEXT} tokens: infini-gram {a_ms:.1f} ms, ours {b_ms:.1f} ms")
    search = overlap.OverlapSearch(searcher)
    text = searcher.tokenizer.decode(ids)
    search.find(text)
    whole = middle(lambda: search.find(text))
    print(f"search overlap of {search.find(text).n_tokens} tokens, warm: {whole:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default=None)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--texts", type=int, default=50)
    given = parser.parse_args()
    data = Path(os.environ["DOLMA_KIT_DATA"])
    corpus = given.corpus or str(data / "corpus")
    with tempfile.TemporaryDirectory() as made:
        tokens, exported = f"{made}/tokens", f"{made}/infini-gram"
        run("tokenize", corpus, "--tokenizer", str(data / "tokenizers" / "dolma2.json"),
            "--eos-token-id", str(EOS), "--out", tokens, "--quiet")  # fmt: skip
        run("search", "index", tokens, "--quiet")
        run("search", "export", tokens, "--out", exported)
        compare(tokens, exported, given.queries, given.texts)


if __name__ == "__main__":
    main()
