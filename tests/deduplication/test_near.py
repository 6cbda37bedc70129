"""`dedupe --method minhash`: clusters, what is kept, the list of duplicates, bad settings."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import dolma_kit
from dolma_kit.config import Dedupe
from dolma_kit.deduplication import near
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.execute.local import LocalEngine
from dolma_kit.execute.ray import RayEngine
from tests.conftest import WriteDocuments
from tests.naive import clusters as plain_clusters
from tests.naive import minhash as plain

FILES = ["web/documents/a.jsonl.gz", "web/documents/b.jsonl", "books/documents/a.jsonl"]
SHAPE = {"bands": 6, "rows": 3, "ngram_length": 2}


def texts_of(seed: int) -> list[str]:
    """Some families of texts, whose members differ in a few words, and some odd ones."""
    rng = random.Random(seed)
    texts = ["", " \n", "one", "One", "two words", "é ü 中文 😀"]
    for _ in range(12):
        words = [f"w{rng.randrange(5000)}" for _ in range(rng.randrange(20, 60))]
        for _ in range(rng.randrange(1, 5)):
            varied = [w if rng.random() < 0.97 else "other" for w in words]
            texts.append(" ".join(w.upper() if rng.random() < 0.1 else w for w in varied))
    rng.shuffle(texts)
    return texts


def expected_roots(texts: list[str], bands: int, rows: int, ngram_length: int) -> list[int]:
    """By the twins: documents that share a band's key are linked."""
    permuted_by = plain.permutations(bands * rows)
    first: dict[tuple[int, int], int] = {}
    edges = []
    for i, text in enumerate(texts):
        if not text.split():
            continue
        signature = plain.signature(text.lower(), ngram_length, permuted_by)
        for pair in enumerate(plain.band_keys(signature, bands, rows)):
            edges.append((first.setdefault(pair, i), i))
    return plain_clusters.roots(len(texts), edges)


@pytest.fixture
def corpus(tmp_path: Path, write_documents: WriteDocuments, monkeypatch: Any) -> list[str]:
    """Writes FILES below the working directory; gives their texts in canonical order."""
    monkeypatch.chdir(tmp_path)
    texts = texts_of(6198)
    parts = [texts[0:10], texts[10:11], texts[11:]]
    n = 0
    for name, part in zip(FILES, parts, strict=True):
        rows = [{"id": f"d{n + i}", "text": text} for i, text in enumerate(part)]
        write_documents(tmp_path / name, rows)
        n += len(part)
    return texts


def read(name: str) -> list[dict[str, Any]]:
    paths = [f"web/attributes/{name}/a.parquet", f"web/attributes/{name}/b.parquet",
             f"books/attributes/{name}/a.parquet"]  # fmt: skip
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_clusters_are_those_of_the_twins(corpus: list[str]) -> None:
    roots = expected_roots(corpus, **SHAPE)
    summary = dolma_kit.dedupe(
        documents=["web", "books"], method="minhash", name="near", workers=1, quiet=True, **SHAPE
    )
    for i, (row, text) in enumerate(zip(read("near"), corpus, strict=True)):
        assert row["id"] == f"d{i}"
        assert row["near"] == float(roots[i] != i)
        has_words = bool(text.split())
        assert row["near_cluster"] == (roots[i] if has_words else None)
        assert row["near_cluster_size"] == (roots.count(roots[i]) if has_words else None)
    goes = [i for i, root in enumerate(roots) if root != i]
    assert len(goes) > 10
    assert summary.counts == {
        "documents": len(corpus),
        "without_words": 2,
        "duplicates": len(goes),
        "clusters": len({roots[i] for i in goes}),
        "largest_cluster": max(map(roots.count, roots)),
    }
    places = [(name, i) for name, n in zip(("web/documents/a.jsonl.gz", "web/documents/b.jsonl",
              "books/documents/a.jsonl"), (10, 1, len(corpus) - 11), strict=True)
              for i in range(1, n + 1)]  # fmt: skip
    listed = pq.read_table("web/attributes/near.duplicates.parquet").to_pylist()
    assert [tuple(row.values()) for row in listed] == [
        (f"d{i}", *places[i], f"d{roots[i]}", *places[roots[i]], roots.count(roots[i]))
        for i in goes
    ]


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_same_bytes_on_every_engine(corpus: list[str], ray_cluster: RayEngine, format: str) -> None:
    def outputs() -> dict[str, bytes]:
        found = [*Path().glob("*/attributes/near*/**/*.*"), *Path().glob("*/attributes/near.*")]
        return {str(p): p.read_bytes() for p in found if p.is_file() and ".dolma" not in str(p)}

    settings: dict[str, Any] = SHAPE | {
        "documents": ["web", "books"], "method": "minhash", "name": "near", "quiet": True,
        "format": format, "overwrite": True,
    }  # fmt: skip
    dolma_kit.dedupe(workers=1, **settings)
    expected = outputs()
    assert len(expected) == len(FILES) + 1
    with_pool = LocalEngine(2)
    try:
        dolma_kit.dedupe(engine=with_pool, **settings)
    finally:
        with_pool.close()
    assert outputs() == expected
    dolma_kit.dedupe(engine=ray_cluster, partitions=3, **settings)
    assert outputs() == expected


def test_what_is_kept_survives_a_mix(corpus: list[str]) -> None:
    dolma_kit.dedupe(
        documents=["web", "books"], method="minhash", name="near", workers=1, quiet=True, **SHAPE
    )
    stream = {"name": "m", "documents": ["web", "books"], "attributes": ["near"],
              "keep": "near = 0", "output": {"path": "mixed"}}  # fmt: skip
    summary = dolma_kit.mix(streams=[stream], workers=1, quiet=True)
    roots = expected_roots(corpus, **SHAPE)
    assert summary.counts["kept"] == len(set(roots))


def test_bands_and_rows_are_datasketchs() -> None:
    from datasketch import MinHashLSH

    for threshold in (0.5, 0.8, 0.9):
        chosen = near.shape_of(Dedupe(threshold=threshold))
        theirs = MinHashLSH(threshold=threshold, num_perm=near.PERMUTATIONS)
        assert (chosen.bands, chosen.rows) == (theirs.b, theirs.r)
    assert near.shape_of(Dedupe(bands=14, rows=8))[1:3] == (14, 8)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bands": 14}, "--bands and --rows go together"),
        ({"rows": 8}, "--bands and --rows go together"),
        ({"by": "paragraph"}, "compares the texts of documents"),
        ({"key": "id"}, "compares the texts of documents"),
        ({"threshold": 1.0}, "threshold"),
        ({"bands": 0, "rows": 1}, "bands"),
        ({"ngram_length": 0}, "ngram_length"),
    ],
)
def test_settings_that_make_no_sense(corpus: list[str], keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dolma_kit.dedupe(documents=["web"], method="minhash", name="near", quiet=True, **keys)


def test_a_setting_of_another_method_is_not_part_of_the_config(corpus: list[str]) -> None:
    settings: dict[str, Any] = {"documents": ["web"], "name": "d", "workers": 1, "quiet": True}
    dolma_kit.dedupe(**settings)
    assert dolma_kit.dedupe(threshold=0.5, **settings).units_skipped == 2
    with pytest.raises(ConfigError, match="method"):
        dolma_kit.dedupe(method="minhash", **SHAPE, **settings)


def test_a_line_that_cannot_be_read_stops_or_is_set_aside(corpus: list[str]) -> None:
    path = Path("web/documents/b.jsonl")
    path.write_bytes(b'{"id": "x", "text": 5}\n' + path.read_bytes())
    settings: dict[str, Any] = SHAPE | {
        "documents": ["web", "books"], "method": "minhash", "name": "near", "workers": 1,
        "quiet": True,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"b\.jsonl:1: "):
        dolma_kit.dedupe(**settings)
    summary = dolma_kit.dedupe(on_error="quarantine", **settings)
    assert summary.quarantined == 1
    roots = expected_roots(corpus, **SHAPE)
    assert [row["near"] for row in read("near")] == [float(r != i) for i, r in enumerate(roots)]


@pytest.mark.shared_data
def test_recall_and_precision_around_the_threshold(shared_data: Path, tmp_path: Path) -> None:
    """14 bands of 8: pairs above 0.8 are found nearly always, pairs below 0.5 nearly never."""
    from dolma_kit.documents import DocumentReader
    from dolma_kit.kernels import minhash

    path = shared_data / "corpus/man/documents/man-0001.jsonl.gz"
    texts = [t.lower() for batch in DocumentReader(str(path), limit=1500) for t in batch.texts]
    from tests import naive

    data, offsets = naive.as_arrays(texts)
    found, n = minhash.signatures(data, offsets[:-1], offsets[1:], 5, minhash.permutations(112))
    keys = minhash.band_keys(found, 14, 8)
    grams = [plain.grams(text, 5) for text in texts]
    pairs = {True: [0, 0], False: [0, 0]}
    near_pairs = np.argwhere((found[:, None, ::4] == found[None, :, ::4]).mean(axis=2) > 0.3)
    for a, b in near_pairs.tolist():
        if a >= b or not n[a] or not n[b]:
            continue
        similarity = len(grams[a] & grams[b]) / len(grams[a] | grams[b])
        linked = bool((keys[:, a] == keys[:, b]).any())
        if similarity >= 0.85 or similarity <= 0.5:
            pairs[similarity >= 0.85][linked] += 1
    missed, hit = pairs[True]
    right, wrong = pairs[False]
    print(f"above 0.85: {hit} of {hit + missed} linked; below 0.5: {wrong} of {wrong + right}")
    assert hit >= 20
    assert hit / (hit + missed) > 0.97
    assert wrong / max(wrong + right, 1) < 0.1
