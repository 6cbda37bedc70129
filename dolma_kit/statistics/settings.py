"""The keys of `dolma-kit stats`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta

from dolma_kit.config import Count, DocumentOptions

NAMES = (
    "summary", "lengths", "urls", "dates", "languages", "licenses", "ngrams", "duplicates", "pii",
    "toxicity", "contamination", "attributes", "overlap",
)  # fmt: skip
#: what the date of a document is looked for in, in this order
DATE_KEYS = (
    "created", "metadata.date", "metadata.created", "metadata.timestamp", "metadata.warc_date",
    "metadata.published", "metadata.year",
)  # fmt: skip
URL_KEYS = ("metadata.url", "url", "metadata.warc_url")
LICENSE_KEYS = (
    "metadata.license", "metadata.licence", "metadata.license_type",
    "metadata.max_stars_repo_licenses", "license",
)  # fmt: skip
#: n of n-grams, as WIMBD has them
LENGTHS = (1, 2, 3, 5, 10, 100)


def _or(default: Iterable[str]) -> str:
    return f"(default: {','.join(default)})"


class Stats(DocumentOptions, frozen=True, kw_only=True):
    """Ask a corpus what it is made of, in one pass.

    NAMES are, with commas between: summary, lengths, urls, dates, languages, licenses, ngrams,
    duplicates, pii, toxicity, contamination, attributes, overlap; or `overlap` or `compare` alone
    with corpora to compare, each DOCS or an --out of before. See docs/statistics.md.
    """

    names: Annotated[
        list[str],
        Meta(description="Statistics, with commas between.", extra={"argument": "NAMES"}),
    ] = []
    out: Annotated[
        str | None,
        Meta(
            description="Folder for answers and partial results, which the next run goes on from "
            "(default: nothing is kept)."
        ),
    ] = None
    attributes: Annotated[
        str | None, Meta(description="attributes/ folder for files outside a documents/ folder.")
    ] = None
    experiments: Annotated[
        list[str], Meta(description="Attributes to look at (default: all beside the documents).")
    ] = []
    columns: Annotated[
        list[str],
        Meta(description="Attribute columns to look at, for attributes and toxicity; * matches."),
    ] = []
    tokenizer: Annotated[
        str | None,
        Meta(description="Count tokens with this one: a file, a folder or a hub id."),
    ] = None
    tokens: Annotated[
        str | None,
        Meta(description="Count tokens by this folder of token files; ngrams are then exact."),
    ] = None
    url_key: Annotated[
        list[str],
        Meta(description=f"Where the URL is; the first that is there counts {_or(URL_KEYS)}."),
    ] = []
    date_key: Annotated[
        list[str],
        Meta(description=f"Where the date is; the first that is there counts {_or(DATE_KEYS)}."),
    ] = []
    license_key: Annotated[
        list[str],
        Meta(description=f"Where licences are; the first found counts {_or(LICENSE_KEYS)}."),
    ] = []
    n: Annotated[
        list[Count], Meta(description=f"Lengths of n-grams {_or(map(str, LENGTHS))}.")
    ] = []
    unit: Annotated[
        Literal["words", "tokens"] | None,
        Meta(description="What n-grams are of (default: words of UAX #29; with --tokens, tokens)."),
    ] = None
    capacity: Annotated[
        Count, Meta(description="N-grams of each n that a worker keeps counts of.")
    ] = 1 << 19
    top: Annotated[Count, Meta(description="How many of the most and least common to show.")] = 20
    separator: Annotated[
        str, Meta(description="What ends a paragraph, for duplicates and overlap.", min_length=1)
    ] = "\n"
    max_keys: Annotated[
        Count,
        Meta(description="Distinct texts, URLs and paragraphs counted exactly; beyond: a sample."),
    ] = 1 << 25
    pii_tagger: Annotated[
        str, Meta(description="Finds personal data where no attributes have it.")
    ] = "pii_regex_with_counts_fast_v2"
    threshold: Annotated[float, Meta(description="Score from which a text is toxic.")] = 0.5
    lexicon: Annotated[
        str | None,
        Meta(description="Toxic words: a file of lines CATEGORY<tab>WORD or PHRASE."),
    ] = None
    sample: Annotated[
        Count, Meta(description="Size of the samples for judging by hand, of each kind.")
    ] = 100
    seed: Annotated[int, Meta(description="Of samples.", ge=0, le=(1 << 63) - 1)] = 0
    judged: Annotated[
        list[str],
        Meta(
            description="Worksheets with their column `correct` filled in: y or n.",
            extra={"files": True},
        ),
    ] = []
    plot: Annotated[
        bool, Meta(description="Draw lengths and languages, as PNG files in --out.")
    ] = False
    json: Annotated[bool, Meta(description="One line of JSON instead.")] = False
