"""Documents as the lines of words that a language model is trained on and asked about.

1. Each line of a document is a sentence, or with `sentence="document"` the whole document is one.
2. `normalize="ccnet"`: as cc_net's text_normalizer.normalize has it (see kernels.ccnet_text).
3. `tokenizer`, a SentencePiece model (.model) or a tokenizer.json: the line becomes its pieces,
   joined by spaces. Without one, words are what stands between white space.

cc_net's DocLM is 1 to 3 by line; its pipeline (mine.py) applies 2 to whole documents before it
looks for lines, and 2 takes line feeds out, so there a document is one sentence, its lines run
together.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from dolma_kit import files, kernels
from dolma_kit.errors import ConfigError, DataError
from dolma_kit.language_models.models import local_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch

Normalize = Literal["ccnet"]
Sentence = Literal["line", "document"]
KERNELS = ("ccnet_text", "lowercase")


class Lines(NamedTuple):
    """Lines of documents: line i is `text[starts[i]:ends[i]]`; those of document d are numbers
    `first_lines[d]` to `first_lines[d + 1]`; an empty document has none."""

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    first_lines: NDArray[np.int64]  # (n_docs + 1,)


class Preparation(NamedTuple):
    """How text becomes lines of words; see the module."""

    normalize: Normalize | None = "ccnet"
    tokenizer: str | None = None
    sentence: Sentence = "line"

    def note(self) -> dict[str, Any]:
        """What a model records of it: the tokenizer by its SHA-256."""
        sha256 = (
            None if self.tokenizer is None else _sha256(local_path(self.tokenizer, "tokenizer"))
        )
        return self._asdict() | {"tokenizer": sha256}

    def require(self, note: str | None, path: str) -> None:
        """Raise ConfigError where a model's note says of its text that it was prepared otherwise.

        A note of another making, or none, says nothing.
        """
        if note is None:
            return
        try:
            theirs = msgspec.json.decode(note, type=dict[str, Any])
        except msgspec.DecodeError:
            return
        for key, value in self.note().items():
            if key in theirs and theirs[key] != value:
                raise ConfigError(
                    f"{path} was trained on text with {key}={theirs[key]}, not {key}={value}: "
                    "say so in the tagger's settings, or train it anew"
                )

    def lines(self, batch: Batch) -> Lines:
        """The lines of a batch's documents."""
        made = split(batch.text_bytes, batch.offsets, self.sentence)
        if self.normalize == "ccnet":
            made = normalized(made)
        if self.tokenizer is not None:
            made = tokenized(made, self.tokenizer)
        return made


@functools.lru_cache(maxsize=16)
def _sha256(path: str) -> str:
    return files.sha256(path)


def split(
    text_bytes: NDArray[np.uint8], offsets: NDArray[np.int64], sentence: Sentence = "line"
) -> Lines:
    """Documents as lines, parted by line feeds alone, or as one line each."""
    starts, ends, first_lines = kernels.ccnet_text.split_lines(
        text_bytes, offsets, sentence == "line"
    )
    return Lines(text_bytes, starts, ends, first_lines)


def normalized(lines: Lines) -> Lines:
    """cc_net's normalisation of each line."""
    starts, ends = kernels.lowercase.strip(lines.text, lines.starts, lines.ends)
    text, starts, ends = kernels.ccnet_text.normalize(lines.text, starts, ends)
    return Lines(text, starts, ends, lines.first_lines)


def tokenized(lines: Lines, tokenizer: str) -> Lines:
    """Each line as the pieces that a tokenizer file makes of it, joined by spaces."""
    import numpy as np

    data = lines.text.tobytes()
    bounds = zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)
    texts = [data[start:end].decode() for start, end in bounds]
    joined = [" ".join(pieces).encode() for pieces in load_tokenizer(tokenizer)(texts)]
    ends = np.cumsum([len(line) for line in joined], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(ends)]
    return Lines(np.frombuffer(b"".join(joined), np.uint8), starts, ends, lines.first_lines)


def load_tokenizer(name: str) -> Any:
    """A function from texts to lists of pieces; the file is read once a process."""
    path = local_path(name, "tokenizer")
    status = os.stat(path)
    return _load_tokenizer(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _load_tokenizer(path: str, n_bytes: int, mtime_ns: int) -> Any:
    with open(path, "rb") as stream:
        is_json = stream.read(64).lstrip().startswith(b"{")
    if is_json:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(path)
        except Exception as error:  # tokenizers raises nothing narrower
            raise DataError(path, None, f"is no tokenizer.json: {error}") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return lambda texts: [
            tokenizer.encode(text, add_special_tokens=False).tokens for text in texts
        ]
    from sentencepiece import SentencePieceProcessor

    try:
        processor = SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise DataError(
            path, None, f"is no tokenizer.json and no SentencePiece model: {error}"
        ) from None
    return lambda texts: processor.encode(texts, out_type=str, num_threads=1)
