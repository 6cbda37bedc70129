"""The page and line rules of C4 (Raffel et al. 2020, section 2.2)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any, ClassVar

import numpy as np

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


def _spans(rows: Any, offsets: Any) -> Spans:
    return Spans(offsets, rows[:, 0].copy(), rows[:, 1].copy(), np.ones(len(rows)))


@functools.cache
def _naughty_words() -> Any:
    """The list, packed for the kernel; once a process."""
    path = resources.files("taggers") / "data" / "naughty_words_en.txt"
    return kernels.c4.pack_words(path.read_text(encoding="utf-8").splitlines())
