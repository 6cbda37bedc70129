"""`trace text` by index: the occurrences of a phrase where the run's token files have one.

A file whose folder has no index, or one of other documents, another EOS or dtype than the run's, is
read as before. An index that is older than its tokens is refused, not passed over.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import numpy as np

from dolma_kit import files
from dolma_kit.order.asking import phrases
from dolma_kit.order.asking.phrases import LIMIT, Found, Occurrence
from dolma_kit.order.asking.vocabulary import Vocabulary
from dolma_kit.searching import index
from dolma_kit.searching.patterns import LONGEST, Pattern, Spelling
from dolma_kit.searching.phrases import (
    PhraseSearch,
    document_starts,
    has_silent_ids,
    occurrences,
)

if TYPE_CHECKING:
    from dolma_kit.order.answers import TextAnswer
    from dolma_kit.order.run import Run


def trace_text(
    run: Run, text: str, *, limit: int = LIMIT, until: int | None = None, workers: int = 1
) -> TextAnswer:
    """As `order.asking.phrases.trace_text`, with the indexes that there are."""
    known = IndexedFiles(run)
    return phrases.trace_text(
        run, text, limit=limit, until=until, workers=workers, known=known.found
    )


class IndexedFiles:
    """The indexes beside a run's token files."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spelling: Spelling | None = None

    @functools.cached_property
    def _indexes(self) -> dict[str, index.Index]:
        """Folder -> its index, of those that answer for the run's documents."""
        wanted = self._run.description
        if wanted.documents is not None:
            return {}
        local = [one.path for one in self._run.files if not files.is_remote(one.path)]
        found = {}
        for folder in dict.fromkeys(os.path.dirname(path) for path in local):
            if index.exists(folder):
                one = index.open_index(folder)
                if (one.about.eos_token_id, one.about.dtype) == (wanted.eos_token_id, wanted.dtype):
                    found[folder] = one
        return found

    def found(self, file: int, needle: bytes, vocabulary: Vocabulary, most: int) -> Found | None:
        """What is in a file by its index; None where it has none."""
        path = self._run.files[file].path
        there = self._indexes.get(os.path.dirname(path))
        name = os.path.basename(path)
        if there is None or name not in there.about.parts or len(needle) > LONGEST:
            return None
        if self._spelling is None:
            self._spelling = Spelling(vocabulary)
        if any(has_silent_ids(shard, vocabulary) for shard in there.shards):
            return None
        search = PhraseSearch(Pattern(needle), self._spelling)
        lengths = np.diff(vocabulary.offsets)
        n, documents = 0, [np.zeros(0, np.int64)]
        first: list[Occurrence] = []
        for shard in there.shards:
            if shard.about.part == name:
                places = search.find(shard)
                n += len(places.tokens)
                documents.append(document_starts(shard, places))
                first += occurrences(shard, places.first(most - len(first)), lengths)
        return Found(n, len(np.unique(np.concatenate(documents))), first)
