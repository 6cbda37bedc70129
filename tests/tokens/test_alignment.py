"""Tokens and their places against the library `tokenizers` itself."""

from __future__ import annotations

import gzip
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from dolma_kit.errors import ConfigError
from dolma_kit.tokens import alignment
from dolma_kit.tokens.alignment import AlignedTokenizer
from dolma_kit.tokens.encoder import Encoded, EncodingError, TokenizersEncoder

from .conftest import EMAIL, EOS, MakeTokenizer, byte_level

TEXTS = [
    "",
    " the  the\n\n\tthe's 123 the",
    f"a{EOS}{EOS} {EMAIL}{EOS[:-1]} {EOS}",
    "👩\u200d👩 é日本語 \u3000\u00a0x\x00",
    "e\u0301 \u212b \u00e9 \u1100\u1161\u11a8",
    "\u00e9\u0301 x",
]


def trimming(content: dict[str, Any], **settings: Any) -> None:
    """Makes the tokenizer trim the places of its tokens, as GPT-NeoX's does."""
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    content["post_processor"] = step | settings


def nested(content: dict[str, Any]) -> None:
    trimming(content)
    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    template = {"type": "TemplateProcessing", "single": [a], "pair": [a, b], "special_tokens": {}}
    steps = [content["post_processor"], template]
    content["post_processor"] = {"type": "Sequence", "processors": steps}


def keeping_the_prefix(content: dict[str, Any]) -> None:
    trimming(content, add_prefix_space=True)


def of_words(content: dict[str, Any]) -> None:
    vocab = {"the": 0, "a": 1, "?": 2}
    content |= {"model": {"type": "WordLevel", "vocab": vocab, "unk_token": "?"}}
    content |= {"pre_tokenizer": {"type": "Whitespace"}, "added_tokens": [], "decoder": None}


def of_pieces(content: dict[str, Any]) -> None:
    vocab = [["?", 0.0], ["t", -2.0], ["he", -3.0]]
    content |= {"model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False}}
    content |= {"pre_tokenizer": {"type": "Whitespace"}, "added_tokens": [], "decoder": None}


def cutting_off(content: dict[str, Any]) -> None:
    content["truncation"] = {
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> AlignedTokenizer:
    path = str(tmp_path_factory.mktemp("plain") / "gpt2.json")
    byte_level("gpt2").save(path)
    return alignment.load(path)


def check(path: str, texts: list[str]) -> AlignedTokenizer:
    """Ids and places are those of the library as it comes, without truncation and padding."""
    reference = tokenizers.Tokenizer.from_file(path)
    reference.no_truncation()
    ours = alignment.load(path)
    encoded = ours.encode(texts)
    places = ours.align(texts, encoded)
    assert places.starts.dtype == places.ends.dtype == np.int64
    for i, text in enumerate(texts):
        rows = slice(encoded.offsets[i], encoded.offsets[i + 1])
        expected = reference.encode(text, add_special_tokens=False)
        assert encoded.ids[rows].tolist() == expected.ids
        found = zip(places.starts[rows].tolist(), places.ends[rows].tolist(), strict=True)
        assert list(found) == expected.offsets
    return ours


@pytest.mark.parametrize(
    ("kind", "change", "is_fast"),
    [
        ("gpt2", trimming, True),
        ("gpt2", keeping_the_prefix, False),
        ("cl100k", nested, True),
        ("cl100k", cutting_off, True),
        ("cl100k", of_words, False),
        ("cl100k", of_pieces, False),
    ],
)
def test_equals_the_library(
    make_tokenizer: MakeTokenizer, kind: str, change: Any, is_fast: bool
) -> None:
    ours = check(str(make_tokenizer(kind, change=change)), [*TEXTS, "the a the b"])
    assert ours.is_fast == is_fast


def test_only_texts_that_are_normalized_on_the_way_go_to_the_reference(
    plain: AlignedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(self: TokenizersEncoder, texts: list[str]) -> Any:
        asked.extend(texts)
        return original(self, texts)

    original = TokenizersEncoder.encode_with_places
    monkeypatch.setattr(TokenizersEncoder, "encode_with_places", ask)
    plain.align(TEXTS, plain.encode(TEXTS))
    assert asked == [text for text in TEXTS if unicodedata.normalize("NFC", text) != text]


def test_ids_that_the_reference_does_not_give_are_an_error(plain: AlignedTokenizer) -> None:
    ids = plain.encode(["a"]).ids.repeat(2)
    with pytest.raises(EncodingError, match=r"text 1: fastokens .* disagree"):
        plain.align(["a", "b"], Encoded(ids, np.array([0, 1, 2])))


def test_without_fastokens_there_is_the_reference(
    make_tokenizer: MakeTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastokens", None)
    assert not check(str(make_tokenizer(change=of_words)), TEXTS).is_fast


def test_a_tokenizer_is_read_once_and_again_when_it_has_changed(
    make_tokenizer: MakeTokenizer,
) -> None:
    path = make_tokenizer(change=of_words, name="tokenizer.json")
    first = alignment.load(str(path.parent))
    assert alignment.load(str(path.parent)) is first
    make_tokenizer(change=of_pieces, name="tokenizer.json")
    os.utime(path, ns=(0, 0))
    assert alignment.load(str(path.parent)).file.sha256 != first.file.sha256


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer 'x/y\.json'"):
        alignment.load("x/y.json")
    path = tmp_path / "odd.json"
    path.write_text('{"model": {"vocab": {"a": 0}}}')
    with pytest.raises(ConfigError, match="tokenizers cannot read"):
        alignment.load(str(path))


def test_real_texts(shared_data: Path) -> None:
    (path,) = (shared_data / "corpus" / "wiki" / "documents").iterdir()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in list(lines)[::60]]
    ours = check(str(shared_data / "tokenizers" / "gpt-neox-olmo-dolma-v1_5.json"), texts)
    assert ours.is_fast
