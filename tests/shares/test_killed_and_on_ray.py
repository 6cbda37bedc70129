"""Mixes of every phase: killed by SIGKILL over and over, and on Ray; the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit.execute.ray import RayEngine
from tests import killed
from tests.conftest import WriteDocuments

N = 120
POLICY = {"id": "upsample_v1", "score": "length(text)", "group": "source", "cap": 3.0}


def write(folder: Path, write_documents: WriteDocuments) -> None:
    for source in ("web", "wiki"):
        for part in range(2):
            rows = [
                {"id": f"{source}{part}-{i}", "source": "ab"[i % 2], "text": f"{i} " * (i % 37 + 1)}
                for i in range(N)
            ]
            write_documents(folder / source / f"documents/{part}.jsonl", rows)


def mix(out: str) -> dict[str, Any]:
    streams = [
        {
            "name": "web", "documents": ["web"], "share": 0.5, "policies": [POLICY],
            "removed": f"{out}-gone", "output": {"path": out, "max_size_in_bytes": 3000},
        },
        {
            "name": "wiki", "documents": ["wiki"], "keep": "length(text) > 9",
            "output": {"path": out, "format": "parquet"},
        },
    ]  # fmt: skip
    return {"streams": streams, "budget": {"bytes": 20_000}, "shuffle_seed": 5}


def test_killed(tmp_path: Path, write_documents: WriteDocuments) -> None:
    for place in ("calm", "killed"):
        write(tmp_path / place, write_documents)
    killed.check(
        tmp_path / "calm", tmp_path / "killed", [{"stage": "mix", **mix("out")}], at_least=10
    )


def test_on_ray(
    tmp_path: Path, write_documents: WriteDocuments, monkeypatch: pytest.MonkeyPatch,
    ray_cluster: RayEngine,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path, write_documents)
    dolma_kit.mix(**mix("local/out"), workers=1, quiet=True)
    dolma_kit.mix(**mix("ray/out"), engine=ray_cluster, quiet=True)
    local, ray = killed.everything(tmp_path / "local"), killed.everything(tmp_path / "ray")
    assert len(local) >= 6
    assert ray == local
