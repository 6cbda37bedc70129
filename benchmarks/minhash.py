"""Which pairs of documents MinHash links, by their true Jaccard similarity.

    python benchmarks/minhash.py [--data FOLDER] [--documents 1500] [--threshold 0.8]
                                 [--bands 14 --rows 8] [--ngram-length 5] [--seeds 10]

Takes the first documents of each file in `<source>/documents/` of FOLDER (default:
$DOLMA_KIT_DATA/corpus), counts the word n-grams that each pair shares, and compares: for pairs of
each similarity, how many have a key in common in a band, and how many should by
1 - (1 - s^rows)^bands; then the recall of pairs at or above the threshold, and the precision of
links. Bands and rows are those given, and those that datasketch chooses for the threshold. Many
pairs are of one family, and are linked or not together; so all is the mean of some seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from dolma_kit.config import Dedupe
from dolma_kit.deduplication.near import Shape, shape_of
from dolma_kit.documents import DocumentReader
from dolma_kit.kernels import minhash
from tests import naive
from tests.naive.minhash import grams

EDGES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


def texts_of(data: Path, limit: int) -> Iterator[str]:
    for path in sorted(data.glob("*/documents/*.jsonl.gz")):
        for batch in DocumentReader(str(path), limit=limit):
            yield from (text.lower() for text in batch.texts if text.split())


def similarities(texts: list[str], n: int) -> scipy.sparse.coo_array:
    """(n_docs, n_docs), upper half: the Jaccard similarity of each pair that shares an n-gram."""
    numbers: dict[object, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    sizes: list[int] = []
    for i, text in enumerate(texts):
        own = {numbers.setdefault(gram, len(numbers)) for gram in grams(text, n)}
        rows += [i] * len(own)
        columns += own
        sizes.append(len(own))
    shape = (len(texts), len(numbers))
    has = scipy.sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape)
    both = scipy.sparse.triu(has @ has.T, k=1).tocoo()
    size = np.array(sizes)
    both.data = both.data / (size[both.row] + size[both.col] - both.data)
    return both


def linked(
    texts: list[str], shape: Shape, pairs: scipy.sparse.coo_array, n_seeds: int
) -> NDArray[np.float64]:
    """(n_pairs,) float64: with which share of the seeds they have a key in common."""
    data, offsets = naive.as_arrays(texts)
    n_linked = np.zeros(pairs.nnz)
    for seed in range(n_seeds):
        by = minhash.permutations(shape.bands * shape.rows, seed)
        found, _ = minhash.signatures(data, offsets[:-1], offsets[1:], shape.n, by)
        keys = minhash.band_keys(found, shape.bands, shape.rows)
        n_linked += np.any([band[pairs.row] == band[pairs.col] for band in keys], axis=0)
    return n_linked / n_seeds


def show(
    shape: Shape, similarity: NDArray[np.float64], shares: NDArray[np.float64], threshold: float
) -> None:
    print(f"\n{shape.bands} bands of {shape.rows}, {shape.n}-grams\n")
    print("| similarity | pairs | share linked | by the formula |\n|---|--:|--:|--:|")
    for low, high in itertools.pairwise(EDGES):
        within = (similarity >= low) & ((similarity < high) | (high == EDGES[-1]))
        if within.any():
            should = 1 - (1 - similarity[within] ** shape.rows) ** shape.bands
            print(f"| {low:.2f} to {high:.2f} | {within.sum():,} | {shares[within].mean():.4f} | "
                  f"{should.mean():.4f} |")  # fmt: skip
    alike = similarity >= threshold
    print(f"\nrecall of pairs at or above {threshold:g}: {shares[alike].mean():.4f}; "
          f"precision of links: {shares[alike].sum() / shares.sum():.4f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--documents", type=int, default=1500, metavar="N", help="of each file")
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--bands", type=int, default=14)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--ngram-length", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ["DOLMA_KIT_DATA"]) / "corpus"
    texts = list(texts_of(data, arguments.documents))
    pairs = similarities(texts, arguments.ngram_length)
    print(f"{len(texts):,} documents, {pairs.nnz:,} pairs that share an n-gram")
    given = Shape(arguments.ngram_length, arguments.bands, arguments.rows, 0)
    chosen = shape_of(Dedupe(threshold=arguments.threshold, ngram_length=arguments.ngram_length))
    for shape in (given, chosen):
        show(shape, pairs.data, linked(texts, shape, pairs, arguments.seeds), arguments.threshold)


if __name__ == "__main__":
    main()
