from __future__ import annotations

from pathlib import Path

import pytest

from .tiny_run import train_tokenizer, write_run


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tiny.json"
    train_tokenizer(path)
    return path


@pytest.fixture
def run_yaml(tmp_path: Path, tokenizer: Path) -> Path:
    return write_run(tmp_path, tokenizer)
