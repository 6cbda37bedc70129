"""What statistics cost, beside the bounds that they are to keep.

    python benchmarks/corpus_statistics.py [--corpus DIR] [--keys 33] [--repeats 3]

On the documents of `$DOLMA_KIT_DATA/corpus` (or DIR): seconds of the command for six statistics in
one pass with 2 workers, warm; CPU-seconds and memory of n-grams of all six n, from texts in bounded
memory and from tokens exactly; and the error of a HyperLogLog at 2^KEYS different hashes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ONE_PASS = "summary,lengths,urls,languages,duplicates,pii"


def command(*arguments: str) -> tuple[dict[str, object], float, float, int]:
    """The last line of a command's answer, its seconds, the CPU-seconds of it and its workers, and
    the greatest resident memory of any of them, in bytes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dolma_kit", *arguments], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return json.loads(done.stdout.rsplit("\n", 2)[-2]), seconds, cpu, after.ru_maxrss * 1024


def one_pass(corpus: str, repeats: int) -> None:
    times = []
    for _ in range(repeats + 1):  # the first may compile, and reads the files from the disk
        said, seconds, _, _ = command("stats", ONE_PASS, corpus, "--workers", "2", "--quiet")
        times.append(seconds)
    best = min(times[1:])
    n_bytes = said["bytes_in"]
    assert isinstance(n_bytes, int)
    print(f"{ONE_PASS}: {best:.2f} s (best of {repeats}), {n_bytes / 1e6 / best:.0f} MB/s")


def ngrams(corpus: str) -> None:
    said, seconds, cpu, memory = command("stats", "ngrams", corpus, "--workers", "1", "--json")
    lengths = said["statistics"]["ngrams"]["lengths"]  # type: ignore[index]
    n_words = lengths["1"]["total"]
    print(
        f"n-grams of {', '.join(lengths)} words, from texts: {n_words:,} words, {seconds:.1f} s, "
        f"{1e6 * cpu / n_words:.2f} CPU-s a million words, {memory / 1e6:,.0f} MB resident"
    )
    from dolma_kit.statistics import token_ngrams
    from dolma_kit.tokens.folder import open_folder

    tokenizer = Path(os.environ["DOLMA_KIT_DATA"]) / "tokenizers" / "dolma2.json"
    with tempfile.TemporaryDirectory() as folder:
        command("tokenize", corpus, "--tokenizer", str(tokenizer), "--eos-token-id", "100257",
                "--out", folder, "--quiet")  # fmt: skip
        n_tokens = open_folder(folder).n_tokens
        said, seconds, cpu, memory = command(
            "stats", "ngrams", "--tokens", folder, "--workers", "1", "--json"
        )
        print(
            f"n-grams of all six n, from tokens, exact: {n_tokens:,} tokens, {seconds:.1f} s, "
            f"{1e6 * cpu / n_tokens:.2f} CPU-s a million tokens, {memory / n_tokens:.1f} bytes of "
            "resident memory a token, the program's own and the tokens included "
            f"({token_ngrams.BYTES_A_TOKEN} beside the tokens are reckoned with)"
        )


def distinct(log2_keys: int) -> None:
    from dolma_kit import kernels
    from dolma_kit.statistics import cardinality

    registers = np.zeros(cardinality.N_REGISTERS, np.uint8)
    started = time.perf_counter()
    kernels.ngram_sketches.register_numbers(registers, np.uint64(0), np.uint64(1 << log2_keys))
    seconds = time.perf_counter() - started
    found = cardinality.estimate(registers)
    error = found.value / (1 << log2_keys) - 1
    print(
        f"HyperLogLog, {len(registers):,} registers: of 2^{log2_keys} keys {found.value:,.0f}, "
        f"off by {100 * error:+.2f} % (standard error {100 * cardinality.STANDARD_ERROR:.2f} %), "
        f"{seconds:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default=None)
    parser.add_argument("--keys", type=int, default=33)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    corpus = given.corpus or str(Path(os.environ["DOLMA_KIT_DATA"]) / "corpus")
    one_pass(corpus, given.repeats)
    ngrams(corpus)
    distinct(given.keys)


if __name__ == "__main__":
    main()
