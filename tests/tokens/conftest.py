"""Small tokenizers without training: the bytes, some merges, and what the tests need to see."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

EOS = "<|endoftext|>"
EMAIL = "|||EMAIL_ADDRESS|||"
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGES = ["t h", "th e", "Ġ the", "' s", "Ċ Ċ", "Ġ Ġ", "ĠĠ ĠĠ", "1 2", "12 3", "č Ċ", "Ì ģ", "e Ì"]

MakeTokenizer = Callable[..., Path]
MakeDocuments = Callable[..., str]


def byte_level(kind: str) -> Tokenizer:
    """Ids 0-255 are bytes, then the merges in their order, then e-mail and EOS."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(a, b) for a, b in (merge.split(" ") for merge in MERGES)]
    vocab = {token: i for i, token in enumerate([*alphabet, *("".join(m) for m in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    if kind == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.normalizer = normalizers.NFC()
    else:
        split = pre_tokenizers.Split(Regex(CL100K), behavior="removed", invert=True)
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(EMAIL, normalized=False)])
    tokenizer.add_special_tokens([AddedToken(EOS, normalized=False)])
    return tokenizer


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of a tokenizer is of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def make_tokenizer(tmp_path: Path) -> MakeTokenizer:
    def make(kind: str = "cl100k", name: str = "tiny.json", change: Any = None) -> Path:
        content = json.loads(byte_level(kind).to_str())
        if change is not None:
            change(content)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return make


@pytest.fixture
def make_documents(tmp_path: Path) -> MakeDocuments:
    """Writes `corpus/<folder>/documents/<name>.jsonl.gz`; returns the corpus folder."""

    def make(texts: Sequence[str], folder: str = "web", name: str = "a", **more: Any) -> str:
        path = tmp_path / "corpus" / folder / "documents" / f"{name}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": f"{name}-{i}", "text": text, **more} for i, text in enumerate(texts)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_bytes(gzip.compress(lines.encode(), mtime=0))
        return str(tmp_path / "corpus")

    return make
