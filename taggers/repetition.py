"""Strings and tokens that stand several times in a row.

Each tagger has spans, `repetition`, scored by how often what repeats is there, and of each document
the highest of these scores, the length of the longest span in characters, and the characters in
spans by those of the text: more than 1 where spans overlap. Source: Dolma's taggers/repetitions/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Meta

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind, Spans
from dolma_kit.documents import Batch
from dolma_kit.errors import DataError
from dolma_kit.registry import Tagger

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dolma_kit.tokens.alignment import AlignedTokenizer

KEYS: dict[str, Kind] = {
    "repetition": "spans",
    "doc_max_score_repetition": "score",
    "doc_max_length_repetition": "score",
    "doc_frac_repetition": "score",
}
#: a tokenizer.json, a folder that holds one, or a hub id
TokenizerName = Annotated[str, Meta(min_length=1)]
NEOX_WITH_PII = "allenai/eleuther-ai-gpt-neox-20b-pii-special"
MAX_PERIOD = 13
BLOCK = 100_000
PARAGRAPH = re.compile(r"[^\n]*\n|[^\n]+")


class Found(NamedTuple):
    """Spans by document, (n_spans,) each; they may go beyond the text, as Dolma's do."""

    docs: NDArray[np.int64]
    starts: NDArray[np.int64]  # code points
    ends: NDArray[np.int64]
    scores: NDArray[np.int64]


class Pieces(NamedTuple):
    """What is tokenized by itself: texts, their documents, and what to add to their places."""

    texts: list[str]
    docs: list[int]
    shifts: list[int]


class RepetitionsV1(Tagger, frozen=True):
    """Strings that stand four times or more in a row, with or without white space between them.

    The matches of `(.+?)(\\s?\\1){3,}`, as in Dolma, whose time grows with the square of a line's
    length. Source: Dolma's taggers/repetitions/, RepetitionsTagger.
    """

    id: ClassVar[str] = "repetitions_v1"
    _by_paragraph: ClassVar[bool] = False

    @property
    def keys(self) -> Mapping[str, Kind]:
        return KEYS

    def kernels(self) -> tuple[str, ...]:
        return ("repeats", "rounding")

    def tag(self, batch: Batch) -> Columns:
        found = kernels.repeats.find(
            batch.text_bytes, batch.offsets, by_paragraph=self._by_paragraph
        )
        return columns_of(batch, Found(*found), without=0.0)


class ParagraphRepetitionsV1(RepetitionsV1, frozen=True):
    """As `repetitions_v1`, within each paragraph: a line with its line break.

    Source: Dolma's taggers/repetitions/, ParagraphRepetitionsTagger.
    """

    id: ClassVar[str] = "paragraph_repetitions_v1"
    _by_paragraph: ClassVar[bool] = True


class TokenizerRepetitionsV1(Tagger, frozen=True):
    """Stretches of tokens that repeat three times or more with a period of 1 to 13 tokens.

    A stretch of one period is mostly one of its multiples too, and is a span for each. `tokenizer`
    is a tokenizer.json, a folder with one, or a hub id; the default is Dolma's. Special tokens in a
    text are recognised; truncation and padding are not done, whatever the tokenizer.json asks for.
    Source: Dolma's taggers/repetitions/, TokenizerRepetitionsTagger.
    """

    id: ClassVar[str] = "tokenizer_repetitions_v1"
    tokenizer: TokenizerName = NEOX_WITH_PII

    @property
    def keys(self) -> Mapping[str, Kind]:
        return KEYS

    @property
    def recorded(self) -> dict[str, Any]:
        return self.spec | {"tokenizer": self.loaded().file.name}

    def models(self) -> tuple[str, ...]:
        return (self.loaded().file.path,)

    def kernels(self) -> tuple[str, ...]:
        return ("periods", "alignment", "rounding")

    def loaded(self) -> AlignedTokenizer:
        from dolma_kit.tokens import alignment

        return alignment.load(self.tokenizer)

    def tag(self, batch: Batch) -> Columns:
        n = len(batch)
        pieces = Pieces(batch.texts, list(range(n)), [0] * n)
        return columns_of(batch, repeated_tokens(batch, self.loaded(), pieces)[0], without=0.0)


class ParagraphTokenizerRepetitionsV1(TokenizerRepetitionsV1, frozen=True):
    """As `tokenizer_repetitions_v1`, within each paragraph, before which a space is put.

    Dolma's spans may begin with that space, one character before the text; these do not. Source:
    Dolma's taggers/repetitions/, ParagraphTokenizerRepetitionsTagger.
    """

    id: ClassVar[str] = "paragraph_tokenizer_repetitions_v1"

    def tag(self, batch: Batch) -> Columns:
        pieces = Pieces([], [], [])
        for doc, text in enumerate(batch.texts):
            start = 0
            for paragraph in PARAGRAPH.findall(text):
                pieces.texts.append(" " + paragraph)
                pieces.docs.append(doc)
                pieces.shifts.append(start - 1)
                start += len(paragraph)
        return columns_of(batch, repeated_tokens(batch, self.loaded(), pieces)[0], without=0.0)


class TokenizerRepetitionsV2r2(TokenizerRepetitionsV1, frozen=True):
    """As `tokenizer_repetitions_v1`, without spans that lie within another one.

    The rule that made Dolma. Texts are cut into blocks of 100,000 characters. A document without
    spans has no values. Source: Dolma's taggers/repetitions/, TokenizerRepetitionsSkipEmptyTagger.
    """

    id: ClassVar[str] = "tokenizer_repetitions_v2r2"

    def tag(self, batch: Batch) -> Columns:
        pieces = Pieces([], [], [])
        for doc, text in enumerate(batch.texts):
            for start in range(0, len(text), BLOCK):
                pieces.texts.append(text[start : start + BLOCK])
                pieces.docs.append(doc)
                pieces.shifts.append(start)
        found, owners = repeated_tokens(batch, self.loaded(), pieces)
        order = np.lexsort((-found.scores, -found.ends, found.starts, owners))
        found, owners = Found(*(column[order] for column in found)), owners[order]
        kept = kernels.periods.outermost(owners, found.ends)
        return columns_of(batch, Found(*(column[kept] for column in found)), without=np.nan)


def repeated_tokens(
    batch: Batch, tokenizer: AlignedTokenizer, pieces: Pieces
) -> tuple[Found, NDArray[np.int64]]:
    """The stretches of each piece, by period and place, and the piece of each, (n_spans,) int64."""
    from dolma_kit.tokens.encoder import Encoded, EncodingError

    rows = np.zeros(0, np.int64)
    try:
        encoded = tokenizer.encode(pieces.texts)
        stretches = kernels.periods.find(encoded.ids, encoded.offsets, max_period=MAX_PERIOD)
        # Few pieces repeat anything: the places of tokens are worked out in those alone.
        rows, owners = np.unique(stretches.sequences, return_inverse=True)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(np.diff(encoded.offsets)[rows], out=offsets[1:])
        ids = [encoded.ids[slice(*encoded.offsets[i : i + 2])] for i in rows]
        chosen = Encoded(np.concatenate([np.zeros(0, np.uint32), *ids]), offsets)
        places = tokenizer.align([pieces.texts[i] for i in rows], chosen)
    except EncodingError as error:
        piece = rows[error.index] if len(rows) else error.index
        line = int(batch.lines[pieces.docs[piece]])
        raise DataError(batch.path, line, error.reason) from None
    shifts = np.array(pieces.shifts, np.int64)[stretches.sequences]
    first = offsets[owners]
    found = Found(
        np.array(pieces.docs, np.int64)[stretches.sequences],
        places.starts[first + stretches.starts] + shifts,
        places.ends[first + stretches.ends - 1] + shifts,
        stretches.times,
    )
    return found, stretches.sequences


def columns_of(batch: Batch, found: Found, *, without: float) -> Columns:
    """The columns of KEYS; a document without spans has the statistics `without`."""
    n_characters = batch.n_characters
    counts = np.bincount(found.docs, minlength=len(batch))
    offsets = np.zeros(len(batch) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    docs = np.flatnonzero(counts)
    first = offsets[docs]
    lengths = found.ends - found.starts
    highest, longest, share = (np.full(len(batch), without) for _ in range(3))
    if len(docs):
        highest[docs] = np.maximum.reduceat(found.scores, first)
        longest[docs] = np.maximum.reduceat(lengths, first)
        share[docs] = np.add.reduceat(lengths, first) / n_characters[docs]
    starts = np.clip(found.starts, 0, n_characters[found.docs])
    ends = np.clip(found.ends, starts, n_characters[found.docs])
    return {
        "repetition": Spans(offsets, starts, ends, found.scores.astype(np.float64)),
        "doc_max_score_repetition": highest,
        "doc_max_length_repetition": longest,
        "doc_frac_repetition": kernels.rounding.round5(share),
    }
