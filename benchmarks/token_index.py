"""From a token to its document and from an id to its rows, on synthetic folders.

    python benchmarks/token_index.py [--tokens 1000000000] [--ids 100000000] [--built 2000000]

Makes a part of so many tokens (a sparse file) with documents of 1 to 2,000 tokens, and asks 1,000
times which document holds a token, the table open; builds the index of the ids of a folder of so
many documents; and makes an index of so many hashes to ask 1,000 times for an id, half of which are
there. Prints medians and greatest times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dolma_kit.order.paths import TokenFile
from dolma_kit.tokens import id_index, lookup, store
from dolma_kit.tokens.folder import PartFile, TokenFolder

ASKED = 1000


def make_part(folder: Path, n_tokens: int, seed: int) -> PartFile:
    """A part without its tokens, and with its table."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 2001, n_tokens // 1000)
    ends = np.cumsum(lengths)
    n = len(ends)
    path = folder / "part-00000.npy"
    with path.open("wb") as stream:
        stream.truncate(4 * int(ends[-1]))
    ids = pa.array([f"{i * 2654435761 % 2**64:016x}-{i:023x}" for i in range(n)])
    table = pa.table(
        [ends - lengths, ends, ids, pa.array(["documents/web-0000.jsonl.gz"] * n),
         np.arange(1, n + 1), pa.array(["web"] * n)],
        schema=store.SCHEMA,
    )  # fmt: skip
    target = str(path.with_suffix(".docs.parquet"))
    pq.write_table(
        table, target, row_group_size=store.ROWS_IN_GROUP, compression="zstd",
        use_dictionary=["src", "source"], column_encoding=store.ENCODINGS,
    )  # fmt: skip
    return PartFile(TokenFile(str(path), 4 * int(ends[-1]), "uint32"), target)


def said(seconds: list[float]) -> str:
    return f"median {np.median(seconds) * 1e3:.3f} ms, greatest {max(seconds) * 1e3:.3f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=int, default=10**9)
    parser.add_argument("--ids", type=int, default=10**8)
    parser.add_argument("--built", type=int, default=2 * 10**6)
    arguments = parser.parse_args()
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="token-index-") as place:
        folder = Path(place)
        part = make_part(folder, arguments.tokens, 0)
        started = time.perf_counter()
        found = lookup.PartLookup(part)
        found.at(0)
        opening = time.perf_counter() - started
        times = []
        for token in random.integers(0, part.n_tokens, ASKED).tolist():
            started = time.perf_counter()
            one = found.at(token)
            times.append(time.perf_counter() - started)
            assert one.document.start <= token < one.document.end
        print(f"document of a token, {part.n_tokens:,} tokens: {said(times)}; "
              f"opening {opening * 1e3:.1f} ms")  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="token-index-") as place:
        part = make_part(Path(place), 1000 * arguments.built, 2)
        tokens = TokenFolder(place, (part,), None)
        started = time.perf_counter()
        path, n = id_index.build(tokens)
        seconds = time.perf_counter() - started
        print(
            f"index of {n:,} ids: {seconds:.1f} s, {Path(path).stat().st_size / n:.2f} bytes each"
        )

    with tempfile.TemporaryDirectory(prefix="token-index-") as place:
        part = make_part(Path(place), 10**6, 3)
        tokens = TokenFolder(place, (part,), None)
        asked = [f"id {i}" for i in range(ASKED)]
        n = arguments.ids
        hashes = random.integers(0, 2**64, n, dtype=np.uint64)
        there = np.frombuffer("".join(asked[::2]).encode(), np.uint8)
        sizes = np.array([len(one) for one in asked[::2]])
        ends = np.cumsum(sizes)
        hashes[: len(sizes)] = id_index.kernels.hashing.hash_slices(
            there, ends - sizes, ends, np.uint64(0)
        )
        hashes.sort()
        with Path(place, id_index.NAME).open("wb") as stream:
            stream.write(id_index.MAGIC + np.array(n, "<u8").tobytes())
            stream.write(id_index.fingerprint(tokens))
            hashes.tofile(stream)
            np.arange(n, dtype="<u8").tofile(stream)
        index = id_index.open_index(tokens)
        assert index is not None
        index.rows("warm")
        times = []
        for i, one in enumerate(asked):
            started = time.perf_counter()
            rows = index.rows(one)
            times.append(time.perf_counter() - started)
            assert bool(rows) == (i % 2 == 0)
        print(f"rows of an id, {n:,} ids: {said(times)}")


if __name__ == "__main__":
    main()
