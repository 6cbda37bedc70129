"""Every method, killed by SIGKILL over and over: the bytes of an undisturbed run in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dolma_kit import ledger
from tests.conftest import WriteDocuments
from tests.deduplication.test_stage import FILES, documents

PLACES = ("calm", "killed")
ROOT = Path(__file__).parents[2]
RUNS: list[dict[str, Any]] = [
    {"name": "document", "partitions": 2, "filter": "kept.filter"},
    {"name": "paragraph", "by": "paragraph", "keep": "longest"},
    {"name": "ngram", "by": "ngram", "ngram_length": 2, "overlap_threshold": 0.5},
    {"name": "exact", "method": "exact"},
    {"name": "minhash", "method": "minhash", "bands": 4, "rows": 2, "ngram_length": 1},
    {"name": "substring", "method": "substring", "substring_length": 5},
]


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ledger.FOLDER not in path.parts
    }


def test_each_method_gives_the_same_bytes(tmp_path: Path, write_documents: WriteDocuments) -> None:
    for place in PLACES:
        for name, rows in zip(FILES, documents(21), strict=True):
            write_documents(tmp_path / place / name, rows)
    runs = [{"documents": ["web", "books"], **run} for run in RUNS]
    places = [str(tmp_path / place) for place in PLACES]
    done = subprocess.run(
        [sys.executable, "-m", "tests.deduplication.killed", *places],
        input="".join(json.dumps(run) + "\n" for run in runs),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n_killed = [int(line) for line in done.stdout.split()]
    assert len(n_killed) == len(runs)
    assert min(n_killed) >= 7
    calm, killed = (everything(tmp_path / place) for place in PLACES)
    assert len(calm) > 5 * len(FILES)
    assert killed == calm
