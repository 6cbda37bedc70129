"""The statistics of FineWeb's own filters (Penedo et al. 2024, section 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

KEYS = (
    "fraction_of_lines_ending_with_terminal_punctuation",
    "fraction_of_short_lines",
    "fraction_of_characters_in_duplicate_lines",
    "newline_to_word_ratio",
)


class FineWebV1(Tagger, frozen=True):
    """How many lines of a document are punctuated, short or repeated, as FineWeb's filters count.

    Lines are `text.split("\\n")`, not
    stripped; those of white space alone are none.

    - `fraction_of_lines_ending_with_terminal_punctuation`: lines whose last character is one of
      Unicode's 159 ends of sentences that datatrove lists (no quotes, no `…`), of all lines.
    - `fraction_of_short_lines`: lines of at most 30 characters, of all lines.
    - `fraction_of_characters_in_duplicate_lines`: characters of lines that stand before in the
      document, of all characters but line feeds.
    - `newline_to_word_ratio`: line feeds by words, datatrove's "list ratio". Words are those of
      `str.split()`, and each punctuation mark or symbol at either end of one is a word too.
      datatrove's are spaCy's, which parts some words further, so that its ratio is mostly a few
      per cent smaller.

    `original` counts as datatrove 0.2.0 did when FineWeb was made: the ends are `. ' " ! ?`, and
    lines of white space alone are lines, though no duplicates. Divisions by 0 are by 1 instead, so
    an empty document has zeros. Source: Penedo et al. 2024 (arXiv:2406.17557), section 3.6, and
    datatrove 0.10.1's `FineWebQualityFilter`, with its values but for the words.
    """

    id: ClassVar[str] = "fineweb_v1"
    original: bool = False

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(KEYS, "score")

    def kernels(self) -> tuple[str, ...]:
        return ("fineweb", "rounding")

    def tag(self, batch: Batch) -> Columns:
        values = kernels.fineweb.measure(batch.text_bytes, batch.offsets, original=self.original)
        return {key: kernels.rounding.round5(values[:, i]) for i, key in enumerate(KEYS)}
