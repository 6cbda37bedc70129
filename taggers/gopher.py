"""Statistics of the Gopher rules (Rae et al. 2021, "Scaling Language Models", table A1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

KEYS = (
    "character_count",
    "word_count",
    "median_word_length",
    "symbol_to_word_ratio",
    "fraction_of_words_with_alpha_character",
    "required_word_count",
    "fraction_of_lines_starting_with_bullet_point",
    "fraction_of_lines_ending_with_ellipsis",
    "fraction_of_duplicate_lines",
    "fraction_of_characters_in_duplicate_lines",
    *(f"fraction_of_characters_in_most_common_{n}grams" for n in (2, 3, 4)),
    *(f"fraction_of_characters_in_duplicate_{n}grams" for n in (5, 6, 7, 8, 9, 10)),
)

KEYS_V3 = (
    "character_count",
    "word_count",
    "mean_word_length",
    "symbol_to_word_ratio",
    "fraction_of_words_with_alpha_character",
    "required_word_count",
    "fraction_of_lines_starting_with_bullet_point",
    "fraction_of_lines_ending_with_ellipsis",
    "fraction_of_duplicate_lines",
    "fraction_of_characters_in_duplicate_lines",
    "fraction_of_duplicate_paragraphs",
    "fraction_of_characters_in_duplicate_paragraphs",
    *KEYS[10:],
)


class GopherV1(Tagger, frozen=True):
    """Word, line and n-gram statistics, as Dolma's `gopher_v1` has them; empty lines count.

    Words are split at white space; lengths are in code points; an n-gram fraction has no value
    where a document has fewer than n words. Differs from the paper as Dolma does: stop words
    count with repetition, overlapping duplicate n-grams count twice, the fraction of characters in
    duplicate lines can exceed 1, and two empty lines are duplicates. Source: Dolma's
    taggers/gopher.py.
    """

    id: ClassVar[str] = "gopher_v1"
    _keep_empty_lines: ClassVar[bool] = True

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(KEYS, "score")

    def kernels(self) -> tuple[str, ...]:
        return ("gopher", "rounding")

    def tag(self, batch: Batch) -> Columns:
        values = kernels.gopher.measure(
            batch.text_bytes, batch.offsets, keep_empty_lines=self._keep_empty_lines
        )
        return {key: kernels.rounding.round5(values[:, i]) for i, key in enumerate(KEYS)}


class GopherV2(GopherV1, frozen=True):
    """Word, line and n-gram statistics, as Dolma's `gopher_v2` has them; empty lines do not count.

    As `gopher_v1`, but lines are parted by any number of line feeds, so that of empty lines only
    one at the start of a text and one at its end remain. Source: Dolma's taggers/gopher.py.
    """

    id: ClassVar[str] = "gopher_v2"
    _keep_empty_lines: ClassVar[bool] = False


class GopherV3(Tagger, frozen=True):
    """Word, line, paragraph and n-gram statistics as the paper of Gopher describes them.

    Every key has a value,
    0 for a document without words, and no fraction exceeds 1. Words are those of `str.split()`;
    lines end at line feeds, are stripped, and are none if nothing is left; a paragraph is a row of
    such lines, up to one with nothing but white space. C is the number of characters that are not
    white space, and all fractions of characters are shares of C.

    - `character_count`: characters, white space too. `word_count`: words.
    - `mean_word_length`: C by words; `gopher_v2` has the median.
    - `symbol_to_word_ratio`: the greater of hash signs by words and ellipses by words. Each `…` is
      an ellipsis, and each `...` (six full stops are two); `gopher_v2` counts words with a `#` or
      `…`, for both symbols together.
    - `fraction_of_words_with_alpha_character`: words with a letter (`str.isalpha`), of all words.
    - `required_word_count`: how many of the, be, to, of, and, that, have, with the text has. Case,
      and punctuation and symbols around a word, do not matter. `gopher_v2` counts occurrences, in
      lower case, standing alone.
    - `fraction_of_lines_starting_with_bullet_point`: `*`, `-`, `–`, `•`, `·`, whatever Unicode's
      name calls a bullet, and `▪▫■□▶▸►◀●○`; `gopher_v2` knows `*` and `-`.
    - `fraction_of_lines_ending_with_ellipsis`: `…` or `...`; `gopher_v2` knows `…`.
    - `fraction_of_duplicate_lines`: lines that stand before in the text, of all lines;
      `fraction_of_characters_in_duplicate_lines`: their share of C. Likewise for paragraphs, which
      `gopher_v2` lacks. There the first copy of a line counts as well, and its spaces do.
    - `fraction_of_characters_in_most_common_{2,3,4}grams`: the share of C that the most frequent
      n-gram covers, overlapping copies counted once; of several the first in the text. 0 if none
      occurs twice.
    - `fraction_of_characters_in_duplicate_{5..10}grams`: the share of C that is in n-grams which
      occur more than once, in all their copies, each character counted once. `gopher_v2` counts
      overlaps again, and takes shares of the characters of all n-grams.

    Differs from Dolma: as each key says of `gopher_v2`. Source: Rae et al. 2021 (arXiv:2112.11446),
    appendix A.1.1 and table A1.
    """

    id: ClassVar[str] = "gopher_v3"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(KEYS_V3, "score")

    def kernels(self) -> tuple[str, ...]:
        return ("gopher_v3", "rounding")

    def tag(self, batch: Batch) -> Columns:
        values = kernels.gopher_v3.measure(batch.text_bytes, batch.offsets)
        return {key: kernels.rounding.round5(values[:, i]) for i, key in enumerate(KEYS_V3)}
