"""The page and line rules of C4 (Raffel et al. 2020, section 2.2)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger


class C4V1(Tagger, frozen=True):
    """Lines that C4 would drop, as spans, and page flags, as Dolma's `c4_v1` has them.

    Spans: lines without ending punctuation (`. ? ! "`), lines of fewer than 3 words. Flags are 1
    where they hold and have no value elsewhere: a word of the LDNOOBW list, the word "javascript",
    "lorem ipsum", a curly brace. Source: Dolma's taggers/c4.py.
    """

    id: ClassVar[str] = "c4_v1"
    _by_line: ClassVar[bool] = True

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {
            "has_curly_brace": "score",
            "has_lorem_ipsum": "score",
            "has_javascript": "score",
            "has_naughty_word": "score",
            "lines_with_no_ending_punctuation": "spans",
            "lines_with_too_few_words": "spans",
            "line_count": "score",
        }

    def kernels(self) -> tuple[str, ...]:
        return ("c4",)

    def tag(self, batch: Batch) -> Columns:
        found = kernels.c4.find(
            batch.text_bytes, batch.offsets, _naughty_words(), by_line=self._by_line
        )
        columns: Columns = {
            name: np.where(found.flags[:, i], 1.0, np.nan)
            for i, name in enumerate(kernels.c4.FLAGS)
        }
        columns["lines_with_no_ending_punctuation"] = _spans(
            found.no_ending_punctuation, found.no_ending_punctuation_offsets
        )
        columns["lines_with_too_few_words"] = _spans(
            found.too_few_words, found.too_few_words_offsets
        )
        columns["line_count"] = found.line_counts.astype(np.float64)
        return columns


class C4V2(C4V1, frozen=True):
    """Lines that C4 would drop, as spans, and page flags, as Dolma's `c4_v2` has them.

    As `c4_v1`, but "javascript" counts within words too, and spans are in code points of the
    lower-cased text, which is longer by one for each U+0130. Differs from Dolma: spans do not go
    beyond the text. Source: Dolma's taggers/c4.py.
    """

    id: ClassVar[str] = "c4_v2"
    _by_line: ClassVar[bool] = False


class C4V3(Tagger, frozen=True):
    """All rules of C4: lines and citations that it cuts out, and what it drops pages for.

    Lines are those of `str.splitlines`, stripped;
    a span covers the line and its line break in the text as it is. All but the first rule see the
    line without its citation marks (and not stripped again). Each rule is asked of every line:

    - `lines_with_too_long_word`: a word of more than 1000 characters.
    - `lines_with_no_ending_punctuation`: the end is not one of `. ? ! "`, or it is `...`.
    - `lines_with_too_few_words`: fewer than `min_words_per_line` words. It is 5 in C4's code and in
      the paper as it stands; the paper's first version, and datatrove, say 3.
    - `lines_with_javascript`: "javascript" anywhere, in any case.
    - `lines_with_policy`: "terms of use", "privacy policy", "cookie policy", "uses cookies",
      "use of cookies" or "use cookies" anywhere, in any case.
    - `citations`: `[1]` (any digits, or none), `[edit]`, `[citation needed]`.

    A line that breaks none of the five rules is kept. Scores, with 0 and 1 for no and yes:

    - `line_count`, `kept_line_count`.
    - `sentence_count`: sentences in kept lines, of which C4 wants 3 (5 in the first version). C4
      counts with NLTK's Punkt, a model. Here a line has one, and one more for each word before its
      last that ends in `.`, `?`, `!` or `…` (quotes and brackets may follow) if the next word does
      not begin with a letter from a to z and the word is no initial (`J.`) or title (Mr, Mrs, Ms,
      Dr, Prof, St).
    - `has_lorem_ipsum`, `has_curly_brace` (`{`), `has_naughty_word`: anywhere in the text, as the
      paper says. A naughty word is an entry of the LDNOOBW list, in any case, with no letter, digit
      or `_` beside it.
    - `lorem_ipsum_in_kept_lines`, `curly_brace_in_kept_lines`, `naughty_word_in_kept_lines`: the
      same as C4's code does it, in lines that no rule before has dropped: the first three rules for
      "lorem ipsum", the first four for `{`, all for naughty words.

    C4's other steps are other taggers' and stages': English (langdetect), at most 190,000
    characters, no line twice. Differs from Dolma: `c4_v2` lacks the rules of long words, of policy
    and `...`, the citations and the sentences; it wants 3 words a line, has no value for a flag
    that does not hold, no spans for "javascript" and positions in the lower-cased text; its naughty
    words stand between white space, its phrases anywhere. Source: Raffel et al. 2020
    (arXiv:1910.10683), section 2.2, and tensorflow_datasets, `text/c4_utils.py`, whose order of
    rules is kept.
    """

    id: ClassVar[str] = "c4_v3"
    min_words_per_line: Annotated[int, Meta(ge=0)] = 5

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {
            "lines_with_too_long_word": "spans",
            "lines_with_no_ending_punctuation": "spans",
            "lines_with_too_few_words": "spans",
            "lines_with_javascript": "spans",
            "lines_with_policy": "spans",
            "citations": "spans",
            "line_count": "score",
            "kept_line_count": "score",
            "sentence_count": "score",
            "has_lorem_ipsum": "score",
            "has_curly_brace": "score",
            "has_naughty_word": "score",
            "lorem_ipsum_in_kept_lines": "score",
            "curly_brace_in_kept_lines": "score",
            "naughty_word_in_kept_lines": "score",
        }

    def kernels(self) -> tuple[str, ...]:
        return ("c4_v3",)

    def tag(self, batch: Batch) -> Columns:
        found = kernels.c4_v3.find(
            batch.text_bytes, batch.offsets, _words_of_c4(), min_words=self.min_words_per_line
        )
        columns: Columns = {"citations": _spans(found.citations, found.citation_offsets)}
        for i, name in enumerate(kernels.c4_v3.RULES):
            rows = np.flatnonzero(found.rules >> i & 1)
            offsets = np.searchsorted(rows, found.line_offsets)
            columns[name] = _spans(found.lines[rows], offsets)
        for i, name in enumerate(kernels.c4_v3.COUNTS):
            columns[name] = found.counts[:, i].astype(np.float64)
        return columns


def _spans(rows: Any, offsets: Any) -> Spans:
    return Spans(offsets, rows[:, 0].copy(), rows[:, 1].copy(), np.ones(len(rows)))


def _ldnoobw() -> list[str]:
    path = resources.files("taggers") / "data" / "naughty_words_en.txt"
    return path.read_text(encoding="utf-8").splitlines()


@functools.cache
def _naughty_words() -> Any:
    """The list, packed for the kernel of Dolma's ids; once a process."""
    return kernels.c4.pack_words(_ldnoobw())


@functools.cache
def _words_of_c4() -> Any:
    """The list, packed for the kernel of `c4_v3`; once a process."""
    return kernels.c4_words.pack_words(_ldnoobw())
