"""Counts of tokens for parts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from dolma_kit.errors import ConfigError
from dolma_kit.tokens import counting, encoder
from dolma_kit.tokens.encoder import Encoded, EncodingError

from .conftest import EMAIL, EOS, MakeTokenizer

TEXTS = ["", " ", "the", f"the{EOS} {EOS}the {EMAIL}x", "e\u0301 中 don't\r\n\n 123", "q" * 300]


def adds_eos(content: Any) -> None:
    (eos,) = (token["id"] for token in content["added_tokens"] if token["content"] == EOS)
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": EOS, "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {EOS: {"id": EOS, "ids": [eos], "tokens": [EOS]}},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["gpt2", "cl100k"])
def test_counts_are_those_of_tokenizers(make_tokenizer: MakeTokenizer, kind: str) -> None:
    path = make_tokenizer(kind, change=adds_eos)
    reference = tokenizers.Tokenizer.from_file(str(path))
    made = counting.counter(str(path))
    counts = made.count(TEXTS)
    assert counts.dtype == np.float64
    encoded = [reference.encode(text, add_special_tokens=False) for text in TEXTS]
    assert counts.tolist() == [len(ids) for ids in encoded]
    assert (counts + made.n_added).tolist() == [len(reference.encode(text)) for text in TEXTS]
    assert made.n_added == 1
    assert counting.counter(str(path)) is made
    assert made.count([]).tolist() == []


@pytest.mark.parametrize("library", ["fastokens", "tokenizers"])
def test_special_tokens_are_recognised_only_where_asked(
    make_tokenizer: MakeTokenizer, library: encoder.Library
) -> None:
    found = counting.resolve(str(make_tokenizer()))
    lengths = [
        np.diff(
            encoder.load(found.path, found.sha256, library, with_special=special)
            .encode([f"the{EOS}", EMAIL])
            .offsets
        ).tolist()
        for special in (True, False)
    ]
    assert lengths == [[2, 1], [14, 1]]


def test_a_file_is_read_once_and_anew_where_it_changes(make_tokenizer: MakeTokenizer) -> None:
    path = make_tokenizer()
    found = counting.resolve(str(path))
    assert counting.resolve(str(path)) is found
    make_tokenizer(change=adds_eos)
    os.utime(path, ns=(1, 1))
    assert counting.resolve(str(path)).sha256 != found.sha256


def test_a_text_that_the_library_gives_up_on_has_no_count(
    make_tokenizer: MakeTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counting.TokenCounter(counting.resolve(str(make_tokenizer())))
    encode = made._encoder.encode

    def gives_up(texts: list[str]) -> Encoded:
        if "bad" in texts:
            raise EncodingError(texts.index("bad"), "for a test")
        return encode(texts)

    monkeypatch.setattr(made._encoder, "encode", gives_up)
    assert str(made.count(["the", "bad", "the the"]).tolist()) == "[1.0, nan, 2.0]"


def test_names_and_errors(make_tokenizer: MakeTokenizer, tmp_path: Path) -> None:
    path = make_tokenizer()
    assert counting.recorded_name(str(path)) == "tiny.json"
    assert (
        counting.recorded_name("allenai/dolma2-tokenizer@main") == "allenai/dolma2-tokenizer@main"
    )
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        counting.resolve(str(tmp_path))
    with pytest.raises(ConfigError, match="no tokenizer"):
        counting.resolve(str(tmp_path / "none.json"))
    (tmp_path / "tokenizer.json").write_bytes(path.read_bytes())
    found = counting.resolve(str(tmp_path))
    assert found.sha256 == counting.resolve(str(path)).sha256
