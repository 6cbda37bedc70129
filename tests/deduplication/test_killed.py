"""Every method, killed by SIGKILL over and over: the bytes of an undisturbed run in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import killed
from tests.conftest import WriteDocuments
from tests.deduplication.test_stage import FILES, documents

RUNS: list[dict[str, Any]] = [
    {"name": "document", "partitions": 2, "filter": "kept.filter"},
    {"name": "paragraph", "by": "paragraph", "keep": "longest"},
    {"name": "ngram", "by": "ngram", "ngram_length": 2, "overlap_threshold": 0.5},
    {"name": "exact", "method": "exact"},
    {"name": "minhash", "method": "minhash", "bands": 4, "rows": 2, "ngram_length": 1},
    {"name": "substring", "method": "substring", "substring_length": 5},
]


def test_each_method_gives_the_same_bytes(tmp_path: Path, write_documents: WriteDocuments) -> None:
    for place in ("calm", "killed"):
        for name, rows in zip(FILES, documents(21), strict=True):
            write_documents(tmp_path / place / name, rows)
    runs = [{"stage": "dedupe", "documents": ["web", "books"], **run} for run in RUNS]
    killed.check(tmp_path / "calm", tmp_path / "killed", runs, at_least=7)
