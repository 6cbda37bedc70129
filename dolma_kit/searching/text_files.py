"""What lies in the folder of `search index-text`; see `text_index`."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from dolma_kit import files, ledger

DESCRIPTION, SEGMENTS, META = "text-index.json", "segments", "meta.json"
SEEN = "text-index-seen.json"
TOKENIZER = "uax29-nfc-lower"


class SegmentDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A segment: its id, and the sizes and SHA-256 of its files, by suffix."""

    id: str
    documents: int
    sizes: dict[str, int]
    sha256: dict[str, str]


class FileDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A file of documents. `path` is seen from the index, `sha256` None where --limit cut it."""

    src: str
    path: str
    bytes: int
    sha256: str | None
    documents: int
    segments: list[SegmentDescription]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """text-index.json. `languages` says what told them, None: nothing; `with_language` and
    `with_date` how many documents have one. `meta_sha256` is that of segments/meta.json."""

    version: Literal[1] = 1
    tantivy: str
    tokenizer: str
    text_key: str
    id_key: str
    store_text: bool
    date_keys: list[str]
    languages: str | None
    documents: int
    words: int
    with_language: int
    with_date: int
    files: list[FileDescription]
    meta_sha256: str


def tantivy_version() -> str:
    return importlib.metadata.version("tantivy")


def schema(store_text: bool) -> Any:
    """tantivy's schema of an index."""
    import tantivy

    made = tantivy.SchemaBuilder()
    made.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    made.add_text_field("text", tokenizer_name="whitespace")
    for name in ("source", "language"):
        made.add_text_field(
            name, stored=True, fast=True, tokenizer_name="raw", index_option="basic"
        )
    made.add_unsigned_field("date", indexed=True, fast=True)
    made.add_unsigned_field("line", fast=True)
    if store_text:
        made.add_bytes_field("original", stored=True)
    return made.build()


def segment_paths(segments: Sequence[SegmentDescription]) -> dict[str, tuple[int, str]]:
    """The files of segments, seen from the index: their sizes and SHA-256."""
    return {
        os.path.join(SEGMENTS, f"{segment.id}.{suffix}"): (size, segment.sha256[suffix])
        for segment in segments
        for suffix, size in segment.sizes.items()
    }


def note_seen(folder: str, seen: Mapping[str, Any]) -> None:
    """Note sizes and times under which files are known to be those of the index."""
    with files.write_atomically(os.path.join(folder, ledger.FOLDER, SEEN)) as stream:
        stream.write(msgspec.json.encode(seen, order="deterministic"))
