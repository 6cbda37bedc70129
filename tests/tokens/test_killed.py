"""`tokenize --shuffle` killed by SIGKILL over and over, and on Ray: the same bytes in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import dolma_kit
from dolma_kit.execute.ray import RayEngine
from tests import killed
from tests.tokens.conftest import MakeTokenizer
from tests.tokens.test_stage import EOS_ID


def write(folder: Path) -> None:
    for k in range(3):
        path = folder / f"web/documents/{k}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": f"{k}-{i}", "text": f"text {k} {i} " * (i % 4)} for i in range(40)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(tokenizer: Path, out: str) -> dict[str, Any]:
    return {
        "documents": ["web"], "tokenizer": str(tokenizer), "eos_token_id": EOS_ID, "out": out,
        "shuffle": True, "seed": 3, "max_tokens_per_part": 700, "layout": "megatron",
    }  # fmt: skip


def test_killed(tmp_path: Path, make_tokenizer: MakeTokenizer) -> None:
    for place in ("calm", "killed"):
        write(tmp_path / place)
    settings = {"stage": "tokenize", **run(make_tokenizer(), "out")}
    killed.check(tmp_path / "calm", tmp_path / "killed", [settings], at_least=8)


def test_on_ray(
    tmp_path: Path, make_tokenizer: MakeTokenizer, monkeypatch: pytest.MonkeyPatch,
    ray_cluster: RayEngine,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    tokenizer = make_tokenizer()
    dolma_kit.tokenize(**run(tokenizer, "local"), workers=1, quiet=True)
    dolma_kit.tokenize(**run(tokenizer, "ray"), engine=ray_cluster, quiet=True)
    local, ray = killed.everything(tmp_path / "local"), killed.everything(tmp_path / "ray")
    assert len(local) > 10
    assert ray == local
