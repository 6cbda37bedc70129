"""Suffix arrays over token files: what they take, and how long questions take.

    python benchmarks/search.py [--corpus DIR] [--tokens 1000000000] [--asked 500]

The documents of `$DOLMA_KIT_DATA/corpus` (or DIR) as tokens of OLMo 1 (uint16) and OLMo 2 (uint32):
how fast one worker sorts them, bytes a token, and the time of a count in one open process, for
n-grams of n from 1 to 100 that occur, and for those whose last token is another. With --tokens, of
as many tokens of uint16 instead, in shards of 2^28, made of the corpus's documents in random order
with one token in fifty replaced: cold (opened anew, the files' pages given back, before each
question) and warm (all files read before).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import Measured

LENGTHS = (1, 2, 3, 5, 10, 20, 50, 100)
TOKENIZERS = {"uint16": ("gpt-neox-olmo-dolma-v1_5.json", 50279), "uint32": ("dolma2.json", 100257)}


def percentiles(seconds: list[float]) -> str:
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    return f"p50 {p50:.3f} ms, p95 {p95:.3f} ms"


def forget(folder: Path) -> None:
    """Have the system give back the pages of a folder's files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def counts(folder: Path, asked: int, *, cold: bool = False) -> None:
    """Times of counts by ids, of n-grams that are there and of others."""
    from dolma_kit.searching.queries import open_searcher

    if not cold:
        for path in folder.rglob("*"):
            if path.is_file():
                path.read_bytes()
    searcher = open_searcher([str(folder)])
    shards = [shard for _, shard in searcher.shards]
    random = np.random.default_rng(1)
    there, others, by_n = [], [], {}
    for n in LENGTHS:
        for k in range(asked):
            if cold:  # what is mapped is not given back, so that it is opened anew
                del searcher, shards
                forget(folder)
                searcher = open_searcher([str(folder)])
                shards = [shard for _, shard in searcher.shards]
            shard = shards[int(random.integers(len(shards)))]
            at = int(random.integers(len(shard.tokens) - n))
            ids = shard.tokens[at : at + n].astype(np.int64).tolist()
            if k % 2:
                ids[-1] = int(shard.tokens[int(random.integers(len(shard.tokens)))])
            query = searcher.ids(ids)
            started = time.perf_counter()
            searcher.count(query)
            seconds = time.perf_counter() - started
            (others if k % 2 else there).append(seconds)
            by_n.setdefault(n, []).append(seconds)
    state = "cold" if cold else "warm"
    print(f"  count, {state}, n of {LENGTHS[0]} to {LENGTHS[-1]}: {percentiles(there)}; where the "
          f"last token is another: {percentiles(others)}")  # fmt: skip
    worst = max(by_n, key=lambda n: float(np.percentile(by_n[n], 95)))
    print(f"    the slowest n is {worst}: {percentiles(by_n[worst])}")


def sizes(folder: Path, said: dict[str, object], seconds: float, peak: float) -> None:
    index = folder / "search"
    n_tokens = said["counts"]["tokens"]  # type: ignore[index]
    tokens = sum(path.stat().st_size for path in folder.glob("*.npy"))
    suffixes = sum(path.stat().st_size for path in index.glob("*.suffixes"))
    ends = sum(path.stat().st_size for path in index.glob("*.ends"))
    print(
        f"  {n_tokens:,} tokens, {said['counts']['shards']} shards, one worker: {seconds:.1f} s, "  # type: ignore[index]
        f"{n_tokens / seconds / 1e6:.2f} M tokens/s, peak {peak:,.0f} MiB; "
        f"{(tokens + suffixes) / n_tokens:.2f} bytes a token with the tokens, and documents' ends "
        f"{ends / n_tokens:.3f}"
    )


def indexed(folder: Path) -> None:
    made = Measured(["search", "index", str(folder), "--workers", "1", "--quiet"], folder)
    sizes(folder, made.summary, made.seconds, made.peak_mib)


def phrases(folder: Path, asked: int) -> None:
    """Times of counts by text, of 1 to 60 bytes that are there, edges anywhere."""
    from dolma_kit.searching.queries import open_searcher

    searcher = open_searcher([str(folder)])
    (shard,) = (shard for _, shard in searcher.shards)
    searcher.count(searcher.text("a"))  # the vocabulary is made ready
    random = np.random.default_rng(2)
    times: dict[str, list[float]] = {}
    for _ in range(asked):
        at = int(random.integers(len(shard.tokens) - 100))
        data, _ = searcher.vocabulary.decode(shard.tokens[at : at + 100], np.zeros(100, np.bool_))
        start = int(random.integers(40))
        size = int(random.integers(1, 61))
        text = os.fsdecode(data[start : start + size])
        started = time.perf_counter()
        searcher.count(searcher.text(text))
        bucket = "1 to 4" if size < 5 else "5 to 15" if size < 16 else "16 to 60"
        times.setdefault(bucket, []).append(time.perf_counter() - started)
    for bucket, seconds in sorted(times.items()):
        print(f"  count of a text of {bucket} bytes, however tokenized: {percentiles(seconds)}")


def many(source: Path, folder: Path, n_wanted: int) -> None:
    """Documents of token files in random order, one token in fifty replaced, in parts of 2^28."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from dolma_kit.order.documents import SCHEMA
    from dolma_kit.tokens.folder import open_folder

    old = open_folder(str(source))
    (part,) = old.parts
    ids = np.array(part.ids())
    table = pa.Table.from_batches(list(part.rows()))
    starts, ends = (table.column(name).to_numpy() for name in ("start", "end"))
    eos = old.record.eos_token_id if old.record else 0
    random = np.random.default_rng(3)
    folder.mkdir()
    shutil.copy(source / old.record.tokenizer, folder)  # type: ignore[union-attr]
    n_done, parts = 0, []
    while n_done < n_wanted:
        name = f"part-{len(parts):05d}"
        rows: dict[str, list[object]] = {key: [] for key in SCHEMA.names}
        size = 0
        with open(folder / f"{name}.npy", "wb") as stream:
            while size < min(1 << 28, n_wanted - n_done) - 500_000:
                i = int(random.integers(len(starts)))
                text = ids[starts[i] : ends[i]].copy()
                swapped = random.random(len(text) - 1) < 0.02
                text[:-1][swapped] = ids[random.integers(0, len(ids), int(swapped.sum()))]
                text[:-1][text[:-1] == eos] = text[0]
                stream.write(text.tobytes())
                values = (size, size + len(text), f"d{i}", "a.jsonl", len(rows["id"]) + 1, None)
                for key, value in zip(rows, values, strict=True):
                    rows[key].append(value)
                size += len(text)
        pq.write_table(pa.table(rows, schema=SCHEMA), folder / f"{name}.docs.parquet",
                       row_group_size=2048)  # fmt: skip
        parts.append({"path": f"{name}.npy", "documents": len(rows["id"]), "tokens": size})
        n_done += size
        if size < 1 << 27:
            break
    record = json.loads((source / "tokens.json").read_text())
    record |= {
        "parts": parts,
        "tokens": n_done,
        "documents": sum(one["documents"] for one in parts),
    }  # type: ignore[misc]
    (folder / "tokens.json").write_text(json.dumps(record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default=None)
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--asked", type=int, default=500)
    given = parser.parse_args()
    data = Path(os.environ["DOLMA_KIT_DATA"])
    corpus = given.corpus or str(data / "corpus")
    with tempfile.TemporaryDirectory() as made:
        for dtype, (name, eos) in TOKENIZERS.items():
            if given.tokens and dtype == "uint32":
                break
            folder = Path(made) / dtype
            Measured(["tokenize", corpus, "--tokenizer", str(data / "tokenizers" / name),
                      "--eos-token-id", str(eos), "--out", str(folder), "--quiet"],
                     Path(made))  # fmt: skip
            if given.tokens:
                continue
            print(f"{name}, {dtype}")
            indexed(folder)
            counts(folder, given.asked)
            phrases(folder, given.asked)
        if given.tokens:
            large = Path(made) / "large"
            many(Path(made) / "uint16", large, given.tokens)
            print(f"{given.tokens:,} tokens of uint16, made of these")
            indexed(large)
            counts(large, max(given.asked // 20, 4), cold=True)
            counts(large, given.asked)


if __name__ == "__main__":
    main()
