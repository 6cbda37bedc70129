"""Lengths: what they count, on texts worked out by hand; Dolma's own answers are golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolma_kit import registry
from dolma_kit.attributes import Spans
from dolma_kit.documents import DocumentReader

from . import settings
from .test_taggers import batch_of, spans, tag

TEXTS = ["It's 3.5 km.\n \nNo — yes!\n", "", " \n", "a\u0301b"]


def scores_of(part_id: str, key: str, texts: list[str] = TEXTS) -> list[float]:
    value = tag(part_id, texts)[key]
    found = value.score if isinstance(value, Spans) else value
    assert not np.signbit(np.where(found == 0, found, 1)).any(), "no negative zero"
    return found.tolist()


@pytest.mark.parametrize(
    ("part_id", "key", "expected"),
    [
        ("bytes_length_v1", "bytes", [27, 0, 2, 4]),
        ("doc_count_v1", "docs", [1, 1, 1, 1]),
        ("char_length_v1", "length", [25, 0, 2, 3]),
        ("char_length_strip_ws_v1", "length_no_ws", [24, 0, 0, 3]),
        ("char_length_with_paragraphs_v1", "document", [25, 0, 2, 3]),
        ("char_length_with_paragraphs_v1", "paragraph", [13, 10, 3]),
        ("whitespace_tokenizer_v1", "length", [13, 1, 1, 2]),
        ("whitespace_tokenizer_with_paragraphs_v1", "document", [14, 0, 0, 2]),
        ("whitespace_tokenizer_with_paragraphs_v1", "paragraph", [9, 5, 2]),
        ("uniseg_length_v1", "length", [15, 0, 0, 1]),
        ("uniseg_length_paragraphs_v1", "paragraph", [4, 4, 1]),
        ("uniseg_length_paragraphs_v1", "negative_paragraph", [-4, -4, -1]),
        ("uniseg_length_paragraphs_with_empty_v1", "paragraph", [4, 0, 4, 0, 1]),
        ("uniseg_length_paragraphs_with_empty_v1", "negative_paragraph", [-4, 0, -4, 0, -1]),
        ("uniseg_length_paragraphs_with_doc_length_v1", "document", [8, 0, 0, 1]),
        ("uniseg_length_paragraphs_with_doc_length_v1", "negative_document", [-8, 0, 0, -1]),
        ("olmo_pretokenizer_v1", "length", [15, 0, 1, 3]),
        ("olmo_pretokenizer_with_paragraphs_v1", "document", [14, 0, 0, 3]),
    ],
)
def test_lengths(part_id: str, key: str, expected: list[float]) -> None:
    assert scores_of(part_id, key) == expected


def test_paragraphs_are_covered_with_their_line_feeds() -> None:
    columns = tag("uniseg_length_paragraphs_with_empty_v1", TEXTS)
    assert spans(columns, "paragraph", 0) == [(0, 13), (13, 15), (15, 25)]
    assert spans(tag("uniseg_length_paragraphs_v1", TEXTS), "paragraph", 0) == [(0, 13), (15, 25)]


def test_tokens_of_stripped_and_of_whole_texts() -> None:
    texts = [" the ", "", " ", "<|endoftext|>"]
    assert scores_of("dolma_v1_tokenizer", "length", texts) == [2, 0, 0, 2]  # it adds one
    assert scores_of("dolma_v2_tokenizer", "length", texts) == [1, 0, 0, 1]
    assert scores_of("tokenizers_EleutherAI_GPT_NeoX_20B", "tokens", texts) == [2, 0, 1, 1]
    assert scores_of("tokenizers_AI2_OLMo_v1", "tokens", texts) == [2, 0, 1, 1]


def test_the_tokenizer_is_recorded_by_name_and_digested() -> None:
    made = settings.made("dolma_v1_tokenizer")
    assert made.recorded == {"id": "dolma_v1_tokenizer", "tokenizer": "neox.json"}
    assert made.models() == (settings.spec("dolma_v1_tokenizer")["tokenizer"],)
    default = registry.tagger("dolma_v2_tokenizer")
    assert default.recorded["tokenizer"] == "allenai/dolma2-tokenizer"


def test_tokens_of_real_texts_are_those_of_tokenizers(shared_data: Path) -> None:
    import tokenizers

    path = str(shared_data / "tokenizers" / "gpt-neox-olmo-dolma-v1_5.json")
    reference = tokenizers.Tokenizer.from_file(path)
    texts = []
    for source in ("wiki", "code", "books"):
        file = min((shared_data / "corpus" / source).glob("documents/*.jsonl.gz"))
        texts += [text[:20_000] for b in DocumentReader(str(file), limit=10) for text in b.texts]
    made = registry.tagger({"id": "dolma_v1_tokenizer", "tokenizer": path})
    found = made.tag(batch_of(texts))["length"]
    assert np.asarray(found).tolist() == [len(reference.encode(text.strip())) for text in texts]
