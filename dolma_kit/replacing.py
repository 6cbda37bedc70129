"""Putting text in place of spans, so that no character of a masked span survives.

Spans that overlap are united before anything is replaced: what is left in clear is exactly what
no span covers. (Dolma's mixer drops a span that starts inside an earlier one, and so leaves the
tail of it in the text.) A region of overlapping spans gets the replacement of the first of them (by
start, then the longest, then as given) that does not quote what was there, else of the first. Spans
that only touch stay apart, empty ones cover nothing and are ignored.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from dolma_kit import kernels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KERNELS = ("replacements",)


class Replacement(NamedTuple):
    """Put `text` in place of code points [start, end).

    `{}` in it stands for what was there, unless it is to be taken as it is, `literal`.
    """

    start: int
    end: int
    text: str
    literal: bool = False


class Replaced(NamedTuple):
    """Documents whose text changed: their rows (n,), new texts, bytes of these (n,), and how many
    regions were replaced in all of them."""

    rows: NDArray[np.int64]
    texts: list[str]
    n_bytes: NDArray[np.int64]
    n_regions: int


class Cuts:
    """What is to be replaced in a batch, collected rule by rule; spans lie within their texts."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._quotes: list[bool] = []
        self._spans: list[tuple[Any, Any, Any, Any]] = []

    def text(self, text: str, literal: bool = False) -> int:
        """The number of a text for `add`."""
        self._texts.append(text.encode())
        self._quotes.append("{}" in text and not literal)
        return len(self._texts) - 1

    def add(self, docs: Any, starts: Any, ends: Any, texts: Any) -> None:
        """Cuts (n,): row of the document, code points [start, end), number of the text (or one)."""
        import numpy as np

        columns = (docs, starts, ends, np.broadcast_to(texts, np.shape(docs)))
        self._spans.append(tuple(np.asarray(column, np.int64) for column in columns))  # type: ignore[arg-type]

    def apply(
        self,
        text_bytes: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        n_characters: NDArray[np.int64],
    ) -> Replaced:
        """The new texts of the documents that have a span: (n_bytes,) uint8, (n_docs + 1,) int64,
        (n_docs,) int64.

        >>> import numpy as np
        >>> cuts = Cuts()
        >>> cuts.add([0, 0], [5, 7], [8, 12], [cuts.text("#"), cuts.text("<{}>")])
        >>> text = np.frombuffer(b"call 555 now", np.uint8)
        >>> cuts.apply(text, np.array([0, 12]), np.array([12])).texts
        ['call #']
        """
        import numpy as np

        empty = np.zeros(0, np.int64)
        if not self._spans:
            return Replaced(empty, [], empty, 0)
        docs, starts, ends, choices = (
            np.concatenate([empty, *(spans[k] for spans in self._spans)]) for k in range(4)
        )
        some = np.flatnonzero(starts < ends)
        # A stable sort: equal spans stay as given.
        width = int(n_characters.max(initial=0)) + 1
        place = docs[some] * width + starts[some]
        order = some[np.lexsort((-ends[some], place))]
        quotes = np.array([*self._quotes, False], np.uint8)
        docs, from_, to, choices = kernels.replacements.regions(
            text_bytes, offsets, n_characters, docs[order], starts[order], ends[order],
            choices[order], quotes,
        )  # fmt: skip
        if not len(docs):
            return Replaced(empty, [], empty, 0)
        texts = np.frombuffer(b"".join(self._texts), np.uint8)
        text_offsets = np.concatenate(([0], np.cumsum([len(text) for text in self._texts])))
        n_quotes = np.array([t.count(b"{}") for t in self._texts], np.int64) * quotes[:-1]
        was = to - from_
        now = np.diff(text_offsets)[choices] + n_quotes[choices] * (was - 2)
        first = np.flatnonzero(np.diff(docs, prepend=-1))
        rows = docs[first]
        n_bytes = np.diff(offsets)[rows] + np.add.reduceat(now - was, first)
        out_offsets = np.concatenate(([0], np.cumsum(n_bytes)))
        out = np.empty(out_offsets[-1], np.uint8)
        kernels.replacements.write(
            text_bytes, offsets, docs, from_, to, choices, texts, text_offsets, quotes,
            out_offsets, out,
        )  # fmt: skip
        whole = out.tobytes()
        bounds = out_offsets.tolist()
        made = [whole[a:b].decode() for a, b in itertools.pairwise(bounds)]
        return Replaced(rows, made, n_bytes, len(docs))
