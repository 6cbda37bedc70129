"""`tokenize --shuffle`: a permutation of the documents, the same for any workers and any files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dolma_kit import shuffling
from dolma_kit.errors import ConfigError
from tests.tokens.conftest import MakeDocuments, MakeTokenizer
from tests.tokens.test_stage import digests, ids_of, run

N = 300


@pytest.fixture
def corpus(make_documents: MakeDocuments, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 800)
    for k in range(3):
        texts = [f"document {i} " + "é" * (i % 9) for i in range(k * N // 3, (k + 1) * N // 3)]
        documents = make_documents(texts, name=f"f{k}", source=f"s{k}")
    return documents


def documents_of(out: Path) -> list[tuple[Any, ...]]:
    """Each document: id, src, loc, source, ids."""
    found = []
    for path in sorted(out.glob("part-*.npy")):
        ids = np.fromfile(path, "<u2")
        table = pq.read_table(path.with_suffix(".docs.parquet"))
        rows = csv.reader(io.StringIO(gzip.decompress(
            path.with_suffix(".csv.gz").read_bytes()).decode(), newline=""))  # fmt: skip
        for row, line in zip(table.to_pylist(), rows, strict=True):
            assert [str(row[name]) for name in ("start", "end", "id", "src", "loc")] == line
            own = ids[row["start"] : row["end"]].tolist()
            found.append((row["id"], row["src"], row["loc"], row["source"], tuple(own)))
    return found


def test_a_permutation(corpus: str, make_tokenizer: MakeTokenizer, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    run(corpus, tokenizer, tmp_path / "plain")
    run(corpus, tokenizer, tmp_path / "a", shuffle=True, seed=1)
    run(corpus, tokenizer, tmp_path / "b", shuffle=True, seed=1, workers=2)
    run(corpus, tokenizer, tmp_path / "c", shuffle=True, seed=2)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    plain, a, c = (documents_of(tmp_path / name) for name in ("plain", "a", "c"))
    assert sorted(plain) == sorted(a) == sorted(c)
    assert plain != a != c
    thirds = [sum(one[3] == "s0" for one in a[k : k + N // 3]) for k in range(0, N, N // 3)]
    assert min(thirds) > 15  # a third of 100, give or take
    assert json.loads((tmp_path / "a/tokens.json").read_text())["seed"] == 1
    assert json.loads((tmp_path / "plain/tokens.json").read_text())["seed"] is None


def test_the_same_for_other_files(
    corpus: str, make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    """Ids say where documents go, so one file of all of them gives the same tokens."""
    tokenizer = make_tokenizer()
    run(corpus, tokenizer, tmp_path / "a", shuffle=True)
    rows = []
    for path in sorted(Path(corpus, "web/documents").iterdir()):
        rows += gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    one = tmp_path / "one/documents/x.jsonl"
    one.parent.mkdir(parents=True)
    one.write_bytes(b"".join(rows))
    run(str(tmp_path / "one"), tokenizer, tmp_path / "b", shuffle=True)
    assert ids_of(tmp_path / "a").tolist() == ids_of(tmp_path / "b").tolist()


def test_parts_by_bytes(corpus: str, make_tokenizer: MakeTokenizer, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    run(corpus, tokenizer, tmp_path / "a", shuffle=True, max_bytes_per_part=1000)
    run(corpus, tokenizer, tmp_path / "b", shuffle=True, max_tokens_per_part=500)
    parts = sorted((tmp_path / "a").glob("part-*.npy"))
    assert len(parts) > 5
    assert all(path.stat().st_size <= 1000 for path in parts)
    assert [path.read_bytes() for path in parts] == [
        path.read_bytes() for path in sorted((tmp_path / "b").glob("part-*.npy"))
    ]
    with pytest.raises(ConfigError, match="are one limit: give one"):
        run(corpus, tokenizer, tmp_path / "c", max_bytes_per_part=9, max_tokens_per_part=9)


def test_nothing_but_an_empty_file_beside(
    corpus: str, make_tokenizer: MakeTokenizer, make_documents: MakeDocuments, tmp_path: Path
) -> None:
    make_documents([], name="empty")
    run(corpus, make_tokenizer(), tmp_path / "a", shuffle=True)
    assert len(documents_of(tmp_path / "a")) == N
