"""How many tokens texts have, for parts: `counter("tokenizer.json").count(texts)`.

Counts are those of `tokenizers`' `encode`: the strings of special tokens that stand in a text are
these tokens, unlike in what `tokenize` writes. Truncation and padding are off.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dolma_kit.tokens import encoder, self_check, tokenizer_file
from dolma_kit.tokens.encoder import EncodingError, TokenizersEncoder
from dolma_kit.tokens.tokenizer_file import NAME, TokenizerFile


def resolve(tokenizer: str) -> TokenizerFile:
    """As `tokenizer_file.resolve`, but once a process, or again where a local file has changed."""
    path = os.path.join(tokenizer, NAME) if os.path.isdir(tokenizer) else tokenizer
    if not os.path.isfile(path):
        return _resolve(tokenizer, None)
    status = os.stat(path)
    return _resolve(os.path.abspath(path), (status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=16)
def _resolve(tokenizer: str, state: tuple[int, int] | None) -> TokenizerFile:
    return tokenizer_file.resolve(tokenizer)


def recorded_name(tokenizer: str) -> str:
    """A tokenizer as outputs record it: a hub id, or the name of a file without its folder."""
    return os.path.basename(os.path.abspath(tokenizer)) if os.path.exists(tokenizer) else tokenizer


def counter(tokenizer: str) -> TokenCounter:
    """The counter of a file, a folder with a tokenizer.json, or a hub id; made once a process.

    That takes some seconds, most of them to find out whether the fast library can be trusted with
    this tokenizer. Errors are those of `tokenizer_file.resolve` and `encoder.load`.
    """
    return _counter(resolve(tokenizer))


@functools.lru_cache(maxsize=16)
def _counter(found: TokenizerFile) -> TokenCounter:
    return TokenCounter(found)


class TokenCounter:
    """Counts tokens of texts. `n_added` is how many the tokenizer's post-processor adds to each."""

    def __init__(self, found: TokenizerFile) -> None:
        library = self_check.choose("auto", found, with_special=True).library
        self._encoder = encoder.load(found.path, found.sha256, library, with_special=True)
        reference = encoder.load(found.path, found.sha256, "tokenizers", with_special=True)
        assert isinstance(reference, TokenizersEncoder)
        self.n_added = reference.n_added

    def count(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Tokens of each text, without what is added, (n_texts,) float64; NaN where the library
        gives up on one."""
        try:
            return np.diff(self._encoder.encode(texts).offsets).astype(np.float64)
        except EncodingError:
            if len(texts) == 1:
                return np.array([np.nan])
            return np.concatenate([self.count([text]) for text in texts])
