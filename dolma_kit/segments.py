"""The pieces of a batch's texts that taggers look at: documents, paragraphs, sentences.

Dolma's: a paragraph ends with its line feed, and paragraphs of white space alone are left out;
sentences are those of Microsoft's BlingFire, as its `text_to_sentences_and_offsets` gives them,
without the white space between them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Spans
from dolma_kit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch

Unit = Literal["document", "paragraph", "sentence"]
KERNELS = ("paragraphs", "rounding")
PREFIX = "segments by "  # of the names under which a batch remembers them


@dataclass(frozen=True)
class Segments:
    """Pieces in the order of their documents; n of them, in int64 arrays (n,).

    `starts`, `ends` are bytes in the batch's `text_bytes`; `from_`, `to` are code points in the
    document `docs`. `n_docs` documents may have none.
    """

    n_docs: int
    docs: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    from_: NDArray[np.int64]
    to: NDArray[np.int64]

    def label_spans(
        self, labels: Sequence[str], scores: NDArray[np.float64], wanted: NDArray[np.bool_]
    ) -> Columns:
        """Label -> the pieces that are wanted for it, with their scores rounded to 5 decimals.

        `scores` and `wanted` are (n, n_labels).
        """
        import numpy as np

        columns: Columns = {}
        for i, label in enumerate(labels):
            rows = np.flatnonzero(wanted[:, i])
            offsets = np.zeros(self.n_docs + 1, np.int64)
            np.cumsum(np.bincount(self.docs[rows], minlength=self.n_docs), out=offsets[1:])
            rounded = kernels.rounding.round5(np.ascontiguousarray(scores[rows, i]))
            columns[label] = Spans(offsets, self.from_[rows], self.to[rows], rounded)
        return columns


def label_scores(
    labels: Sequence[str], scores: NDArray[np.float64], wanted: NDArray[np.bool_]
) -> Columns:
    """Label -> its score for each document, rounded to 5 decimals, where it is wanted.

    `scores` and `wanted` are (n_docs, n_labels).
    """
    import numpy as np

    rounded = kernels.rounding.round5(np.where(wanted, scores, np.nan))
    return {label: rounded[:, i] for i, label in enumerate(labels)}


def segments(batch: Batch, unit: Unit) -> Segments:
    """The pieces of a batch; worked out once."""
    split = {"document": _documents, "paragraph": _paragraphs, "sentence": _sentences}[unit]
    return batch.once(PREFIX + unit, split)


def _documents(batch: Batch) -> Segments:
    import numpy as np

    n = len(batch)
    starts, ends = batch.offsets[:-1], batch.offsets[1:]
    return Segments(n, np.arange(n), starts, ends, np.zeros(n, np.int64), batch.n_characters)


def _paragraphs(batch: Batch) -> Segments:
    import numpy as np

    separator = np.frombuffer(b"\n", np.uint8)
    first, starts, ends, from_, to = kernels.paragraphs.split(
        batch.text_bytes, batch.offsets, separator
    )
    docs = np.repeat(np.arange(len(batch)), np.diff(first))
    rows = np.flatnonzero(~kernels.paragraphs.blank(batch.text_bytes, starts, ends))
    return Segments(len(batch), docs[rows], starts[rows], ends[rows], from_[rows], to[rows])


def _sentences(batch: Batch) -> Segments:
    import numpy as np

    text, offsets = batch.text_bytes, batch.offsets
    find = _Sentences(int(np.diff(offsets).max(initial=0)))
    counts = np.zeros(len(batch), np.int64)
    found = []
    for doc in range(len(batch)):
        bounds = find(text[offsets[doc] : offsets[doc + 1]])
        if bounds is None:
            raise DataError(batch.path, int(batch.lines[doc]), "BlingFire finds no sentences in it")
        found.append(bounds + offsets[doc])
        counts[doc] = len(bounds)
    starts, ends = (
        np.ascontiguousarray(column)
        for column in np.concatenate([np.zeros((0, 2), np.int64), *found]).T
    )
    docs = np.repeat(np.arange(len(batch)), counts)
    # Each step counts from the end of the sentence before, or a long text would be counted over and
    # over again.
    is_first = np.diff(docs, prepend=-1) > 0
    before = np.where(is_first, offsets[:-1][docs], np.roll(ends, 1))
    gaps = kernels.paragraphs.code_points(text, before, starts)
    lengths = kernels.paragraphs.code_points(text, starts, ends)
    to = np.cumsum(gaps + lengths)
    to -= np.repeat((to - gaps - lengths)[is_first], counts[counts > 0])
    return Segments(len(batch), docs, starts, ends, to - lengths, to)


class _Sentences:
    """BlingFire's sentences of one text: (n, 2) int64, where each starts and ends, in bytes.

    Its own Python function takes a step of Python for every byte, so its library is called here.
    """

    def __init__(self, longest: int) -> None:
        import blingfire
        import numpy as np

        self._call: Any = blingfire.blingfire.TextToSentencesWithOffsets
        size = 2 * longest
        self._out = np.empty(size, np.uint8)
        self._starts, self._ends = np.empty(size, np.int32), np.empty(size, np.int32)

    def __call__(self, text: NDArray[np.uint8]) -> NDArray[np.int64] | None:
        import numpy as np

        nothing = np.zeros((0, 2), np.int64)
        n_bytes = len(text)
        if n_bytes == 0:
            return nothing
        self._starts[0] = self._ends[0] = 0  # it may say 1 sentence and write nothing
        written = self._call(
            ctypes.c_char_p(text.tobytes()),
            ctypes.c_int(n_bytes),
            *(ctypes.c_void_p(a.ctypes.data) for a in (self._out, self._starts, self._ends)),
            ctypes.c_int(2 * n_bytes),
        )
        if not 0 <= written <= 2 * n_bytes:
            return nothing
        joined = self._out[:written].tobytes().split(b"\0")[0]
        n = joined.count(b"\n") + 1
        # Ends are those of last bytes. What is not where a character begins is where the text ends.
        bounds = np.stack([self._starts[:n], self._ends[:n] + 1], axis=1).astype(np.int64)
        flat = bounds.reshape(-1)
        inside = (flat >= 0) & (flat < n_bytes)
        good = inside & ((text[np.where(inside, flat, 0)] & 0xC0) != 0x80)
        good[1:] &= np.diff(flat) >= 0
        if not good[:-1].all():
            return None
        if not good[-1]:
            flat[-1] = n_bytes
        return bounds
