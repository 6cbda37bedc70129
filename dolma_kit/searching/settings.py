"""The keys of `dolma-kit search index` and `search index-text`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dolma_kit.config import Count, DocumentOptions, Options
from dolma_kit.statistics.settings import DATE_KEYS


class IndexTokens(Options, frozen=True, kw_only=True):
    """Make suffix arrays of token files, for search and trace text."""

    tokens: Annotated[
        str, Meta(description="Folder of token files.", extra={"argument": "TOKENS"})
    ] = ""
    out: Annotated[
        str | None, Meta(description="Folder for the index (default: search/ in that folder).")
    ] = None
    dtype: Annotated[
        str | None, Meta(description="Of the tokens, where no tokens.json says it.")
    ] = None
    shard_tokens: Annotated[
        Count,
        Meta(description="Tokens of a shard at most; a worker holds one."),
    ] = 1 << 28


class IndexText(DocumentOptions, frozen=True, kw_only=True):
    """Index the words of documents, for search text."""

    out: Annotated[str, Meta(description="Folder for the index.")] = ""
    attributes: Annotated[
        str | None, Meta(description="attributes/ folder for files outside a documents/ folder.")
    ] = None
    experiments: Annotated[
        list[str],
        Meta(description="Attributes to look for languages in (default: all by the documents)."),
    ] = []
    languages: Annotated[
        Literal["attributes", "tag", "none"],
        Meta(
            description="Where languages are from: attributes of language_v1 or ft_lang_id_*, if "
            "there are any; tag: language_v1 looks at the texts."
        ),
    ] = "attributes"
    date_key: Annotated[
        list[str],
        Meta(
            description="Where the date is; the first that is there counts (default: "
            f"{','.join(DATE_KEYS)})."
        ),
    ] = []
    store_text: Annotated[
        bool,
        Meta(description="Keep the texts, so that snippets need no documents (half their size)."),
    ] = False
    segment_bytes: Annotated[
        Count, Meta(description="Words of a segment; a worker holds some four times as much.")
    ] = 1 << 27
