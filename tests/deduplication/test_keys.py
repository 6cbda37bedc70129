"""Keys: which part of a document is compared, and which keys take no part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_kit.deduplication.keys import Keys, Selection, keys_of
from dolma_kit.documents import Batch, DocumentReader
from dolma_kit.errors import ConfigError, DataError
from tests.deduplication import naive


def read(folder: Path, documents: list[dict[str, Any]]) -> Batch:
    path = folder / "a.jsonl"
    path.write_bytes(b"".join(json.dumps(document).encode() + b"\n" for document in documents))
    (batch,) = DocumentReader(str(path))
    return batch


def hashes_of(*keys: str) -> list[int]:
    return [xxhash.xxh64_intdigest(key.encode()) for key in keys]


def with_texts(folder: Path, texts: list[str]) -> Batch:
    return read(folder, [{"id": str(i), "text": text} for i, text in enumerate(texts)])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("text", ["un", "deux é"]),
        ("id", ["1", "ü"]),
        ("metadata.url", ["http://a", "http://b"]),
        ("metadata.x.y.z", ["deep", ""]),
    ],
)
def test_key_of_a_document(tmp_path: Path, key: str, expected: list[str]) -> None:
    documents = [
        {"id": "1", "text": "un", "metadata": {"url": "http://a", "x": {"y": {"z": "deep"}}}},
        {"id": "ü", "text": "deux é", "metadata": {"x": {"y": {"z": ""}}, "url": "http://b"}},
    ]
    keys = keys_of(read(tmp_path, documents), Selection(key=key, skip_empty=False))
    assert keys.hashes.tolist() == hashes_of(*expected)
    assert keys.n_per_document.tolist() == [1, 1]
    assert keys.spans is None


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"url": None}, "is null"),
        ({"url": 5}, "is a number"),
        ({"url": 5.5}, "is a number"),
        ({"url": True}, "is true or false"),
        ({"url": ["http://a"]}, "is a list"),
        ({"url": {"href": "http://a"}}, "is an object"),
        ({}, "is missing"),
        (None, "cannot be reached"),
        (["url"], "cannot be reached"),
        ("url", "cannot be reached"),
    ],
)
def test_document_without_its_key_is_named(tmp_path: Path, metadata: Any, reason: str) -> None:
    documents = [
        {"id": "1", "text": "a", "metadata": {"url": "http://a"}},
        {"id": "2", "text": "b", "metadata": metadata},
    ]
    batch = read(tmp_path, documents)
    with pytest.raises(DataError) as fault:
        keys_of(batch, Selection(key="metadata.url"))
    assert (fault.value.path, fault.value.line) == (batch.path, 2)
    assert "metadata.url " + reason in str(fault.value)
    assert "another --key" in str(fault.value)


def test_no_metadata_at_all_is_a_missing_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:1: the key metadata\.url is missing"):
        keys_of(with_texts(tmp_path, ["a"]), Selection(key="metadata.url"))


@pytest.mark.parametrize("key", ["url", "metadata", "metadata.", "metadata..url", "", "text.x"])
def test_no_such_key(key: str) -> None:
    with pytest.raises(ConfigError, match="text, id, or a path"):
        Selection(key=key)


def test_paragraphs_are_of_the_text_only() -> None:
    with pytest.raises(ConfigError, match="paragraphs are those of the text"):
        Selection(by="paragraph", key="id")


NASTY = [
    "",
    " ",
    "\u3000\x85",
    "a",
    "a b",
    "é",
    "日本 語 x",
    "\u200b",
    "\x1c",
    "one two three four",
]


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(NASTY), max_size=8).map("||".join), max_size=6),
    skip_empty=st.booleans(),
    min_length=st.integers(0, 4),
    min_words=st.integers(0, 3),
)
def test_which_keys_take_part(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    skip_empty: bool,
    min_length: int,
    min_words: int,
) -> None:
    rules = {"skip_empty": skip_empty, "min_length": min_length, "min_words": min_words}
    batch = with_texts(tmp_path_factory.mktemp("keys"), [*texts, "x"])
    texts = [*texts, "x"]

    by_document = keys_of(batch, Selection(by="document", **rules))  # type: ignore[arg-type]
    chosen = [naive.takes_part(text, **rules) for text in texts]  # type: ignore[arg-type]
    assert by_document.n_per_document.tolist() == [int(c) for c in chosen]
    assert by_document.hashes.tolist() == hashes_of(
        *(text for text, c in zip(texts, chosen, strict=True) if c)
    )

    selection = Selection(by="paragraph", separator="||", **rules)  # type: ignore[arg-type]
    by_paragraph = keys_of(batch, selection)
    expected = [
        [found for found in naive.paragraphs(text, "||") if naive.takes_part(found[0], **rules)]  # type: ignore[arg-type]
        for text in texts
    ]
    check_paragraphs(by_paragraph, expected)


def check_paragraphs(keys: Keys, expected: list[list[tuple[str, int, int]]]) -> None:
    flat = [found for document in expected for found in document]
    assert keys.n_per_document.tolist() == [len(document) for document in expected]
    assert keys.hashes.tolist() == hashes_of(*(text for text, _, _ in flat))
    assert keys.spans is not None
    assert keys.spans.tolist() == [[start, end] for _, start, end in flat]
