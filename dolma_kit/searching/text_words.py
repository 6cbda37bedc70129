"""Words of texts as the index of `search index-text` has them; see `text_index`."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dolma_kit import kernels
from dolma_kit.documents import Batch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_WORD_BYTES = 255
NARROW_SPACE = "\u202f"  # joins words by UAX #29, for Mongolian's sake; French has it before marks
THIN_SPACE = "\u2009"  # has as many bytes, and parts words


class Words(NamedTuple):
    """The words of some texts.

    `folded` are their bytes, each followed by a space; text i's are `bounds[i]` to `bounds[i + 1]`
    of them. `starts` and `ends` (n_words,) int64 are where each word lies in the texts' own bytes.
    """

    folded: NDArray[np.uint8]
    bounds: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def text(self, i: int) -> str:
        """What text i's words are indexed as, with spaces between."""
        made = self.folded[self.bounds[i] : self.bounds[i + 1]].tobytes()
        return made.decode().replace("’", "'")

    def of(self, i: int) -> list[str]:
        """Text i's words."""
        return self.text(i).split(" ")[:-1]


def words_of(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Words:
    """The words of texts in NFC without U+202F, `data[offsets[i]:offsets[i + 1]]` each."""
    import numpy as np

    begins, stops = offsets[:-1], offsets[1:]
    first, ends = kernels.uax29.words(data, begins, stops)
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1]
    has_words = first[:-1] < first[1:]
    starts[first[:-1][has_words]] = begins[has_words]
    n_before = np.zeros(len(data) + 1, np.int32)  # letters and digits before each byte
    np.cumsum(_begins_alphanumeric(data), dtype=np.int32, out=n_before[1:])
    kept = n_before[ends] != n_before[starts]  # whether it wraps or not
    first_kept = np.zeros(len(kept) + 1, np.int64)
    np.cumsum(kept, out=first_kept[1:])
    starts, ends = starts[kept], ends[kept]
    folded, bounds = _spaced(*kernels.lowercase.lower(data, starts, _shortened(data, starts, ends)))
    return Words(folded, bounds[first_kept[first]], starts, ends)


def _begins_alphanumeric(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a letter or digit begins at each byte, as `str.isalnum` has it."""
    import numpy as np

    table = _alphanumeric()
    found: NDArray[np.bool_] = table[:256][data] & (data < 0x80)
    at = np.flatnonzero(data >= 0xC0)
    lead = data[at].astype(np.int32)
    code_points = (lead & 0x1F) << 6 | (data[at + 1] & 0x3F)
    three = lead >= 0xE0
    at_three = at[three]
    wide = (lead[three] & 0x0F) << 12 | (code_points[three] & 0x3F) << 6 | data[at_three + 2] & 0x3F
    four = lead[three] >= 0xF0
    # The first of four bytes has three bits of its own; the two below came with `wide`.
    wide[four] = (wide[four] & 0x7FFF) << 6 | data[at_three[four] + 3] & 0x3F
    code_points[three] = wide
    found[at] = table[code_points]
    return found


@functools.cache
def _alphanumeric() -> NDArray[np.bool_]:
    """(0x110000,) bool: the running Python's `str.isalnum`."""
    import numpy as np

    packed = kernels.unicode.bit_table(str.isalnum)
    return np.unpackbits(packed, bitorder="little").astype(np.bool_)


def _shortened(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Ends of words of which no more than MAX_WORD_BYTES count, whole characters of them."""
    import numpy as np

    shortened: NDArray[np.int64] = np.minimum(ends, starts + MAX_WORD_BYTES)
    cut = np.flatnonzero(shortened < ends)
    while len(cut := cut[(data[shortened[cut]] & 0xC0) == 0x80]):
        shortened[cut] -= 1
    return shortened


def _spaced(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Slices one after the other, a space after each, and (n + 1,) where each of them begins."""
    import numpy as np

    lengths = ends - starts + 1
    bounds = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    if not len(starts):
        return np.zeros(0, np.uint8), bounds
    source = np.repeat(starts - bounds[:-1], lengths)
    source += np.arange(len(source))
    made = data[np.minimum(source, len(data) - 1)]
    made[bounds[1:] - 1] = 0x20
    return made, bounds


def words_of_texts(texts: Sequence[str]) -> Words:
    """The words of texts in any form; places are those in their NFC."""
    import numpy as np

    normal = (unicodedata.normalize("NFC", text) for text in texts)
    encoded = [text.replace(NARROW_SPACE, THIN_SPACE).encode() for text in normal]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    return words_of(np.frombuffer(b"".join(encoded), np.uint8), offsets)


def words_in(text: str) -> list[str]:
    """The words of one text, as they are indexed.

    >>> words_in("Don’t, 我们, C++!")
    ["don't", '我', '们', 'c']
    """
    return words_of_texts([text]).of(0)


def words_of_batch(batch: Batch) -> Words:
    if all(unicodedata.is_normalized("NFC", t) and NARROW_SPACE not in t for t in batch.texts):
        return words_of(batch.text_bytes, batch.offsets)
    return words_of_texts(batch.texts)
