"""Ids of texts, and the characters that each stands for, as the library `tokenizers` has them.

Unlike the stage, which encodes for training, this recognises special tokens in a text, as the
library does when it is left alone. Ids come from `fastokens` where it agrees; it knows no places.
Those of a byte-level tokenizer follow from the bytes of its tokens, if these are the text's own. A
text that was normalized on the way, and other tokenizers, go to `tokenizers`, some fifty times as
slow. When a tokenizer is loaded, both ways have to agree on texts made to differ.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.tokens import encoder, self_check, tokenizer_file
from dolma_kit.tokens.encoder import Encoded, EncodingError, Places
from dolma_kit.tokens.tokenizer_file import TokenizerFile

KERNELS = ("alignment",)

_SPACE = "\u0120"  # how a byte-level token writes a space
_PLAIN_BYTES = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


class Alphabet(NamedTuple):
    """What the tokens of a byte-level tokenizer are made of; see `kernels.alignment.align`."""

    token_bytes: NDArray[np.uint8]  # (n_bytes,)
    token_offsets: NDArray[np.int64]  # (vocab_size + 1,)
    leading: NDArray[np.int64]  # (vocab_size,)
    trailing: NDArray[np.int64]  # (vocab_size,)


def load(argument: str) -> AlignedTokenizer:
    """The tokenizer that a file, a folder or a hub id names; read once a process, and again where
    a file has changed. Up to two seconds, then nothing. ConfigError as `tokenizer_file.resolve`.
    """
    path = argument
    if os.path.isdir(path):
        path = os.path.join(path, tokenizer_file.NAME)
    status = os.stat(path) if os.path.isfile(path) else None
    return _load(argument, status and (status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _load(argument: str, stamp: tuple[int, int] | None) -> AlignedTokenizer:
    return AlignedTokenizer(tokenizer_file.resolve(argument))


class AlignedTokenizer:
    """A tokenizer that can say where its tokens stand."""

    def __init__(self, file: TokenizerFile) -> None:
        self.file = file
        reference = encoder.load(file.path, file.sha256, "tokenizers", with_special=True)
        assert isinstance(reference, encoder.TokenizersEncoder)
        self._reference = reference
        texts = self_check.adversarial_texts(file)
        encoded, places = self._reference.encode_with_places(texts)
        self._encoder = _fast_encoder(file, texts, encoded) or self._reference
        self._alphabet = _alphabet(file)
        if self._alphabet is not None:
            found, is_aligned = _align(self._alphabet, texts, encoded)
            is_sure = np.repeat(is_aligned, np.diff(encoded.offsets))
            if any(
                (ours != theirs)[is_sure].any() for ours, theirs in zip(found, places, strict=True)
            ):
                self._alphabet = None

    @property
    def is_fast(self) -> bool:
        """Whether most texts need not go to `tokenizers`."""
        return self._encoder is not self._reference and self._alphabet is not None

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The ids of each text; EncodingError where the library gives up on one."""
        return self._encoder.encode(texts)

    def align(self, texts: Sequence[str], encoded: Encoded) -> Places:
        """Where the tokens of `encode(texts)` stand."""
        n_tokens = len(encoded.ids)
        places = Places(np.zeros(n_tokens, np.int64), np.zeros(n_tokens, np.int64))
        is_aligned = np.zeros(len(texts), np.bool_)
        if self._alphabet is not None:
            places, is_aligned = _align(self._alphabet, texts, encoded)
        for i in np.flatnonzero(~is_aligned).tolist():
            rows = slice(encoded.offsets[i], encoded.offsets[i + 1])
            reference, (starts, ends) = self._reference.encode_with_places([texts[i]])
            if not np.array_equal(reference.ids, encoded.ids[rows]):
                raise EncodingError(i, f"{self._encoder.name} and {self._reference.name} disagree")
            places.starts[rows], places.ends[rows] = starts, ends
        return places


def _fast_encoder(
    file: TokenizerFile, texts: Sequence[str], expected: Encoded
) -> encoder.Encoder | None:
    """fastokens, where it is there and gives the expected ids."""
    try:
        fast = encoder.load(file.path, file.sha256, "fastokens", with_special=True)
        found = fast.encode(texts)
    except (ModuleNotFoundError, ConfigError, EncodingError):
        return None
    return fast if self_check.first_difference(expected, found) is None else None


def _align(
    alphabet: Alphabet, texts: Sequence[str], encoded: Encoded
) -> tuple[Places, NDArray[np.bool_]]:
    """Places by the bytes of the tokens, and for which texts they hold."""
    pieces = [text.encode() for text in texts]
    text_offsets = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=text_offsets[1:])
    starts, ends, is_aligned = kernels.alignment.align(
        encoded.ids,
        encoded.offsets,
        np.frombuffer(b"".join(pieces), np.uint8),
        text_offsets,
        *alphabet,
    )
    return Places(starts, ends), is_aligned


class _Step(msgspec.Struct):
    """A pre-tokenizer or post-processor, or a sequence of them."""

    type: str
    add_prefix_space: bool = True
    trim_offsets: bool = True
    pretokenizers: list[_Step] = []
    processors: list[_Step] = []

    def parts(self) -> list[_Step]:
        """The steps of a sequence, or the step itself."""
        nested = [*self.pretokenizers, *self.processors]
        return [part for step in nested for part in step.parts()] if nested else [self]


class _Model(msgspec.Struct):
    type: str
    vocab: dict[str, int]


class _File(msgspec.Struct):
    model: _Model
    pre_tokenizer: _Step | None = None
    post_processor: _Step | None = None


def _alphabet(file: TokenizerFile) -> Alphabet | None:
    """The tokens' bytes; None for a tokenizer that is not byte-level, or trims in other ways."""
    try:
        found = msgspec.json.decode(encoder.read(file.path, file.sha256), type=_File)
    except msgspec.ValidationError:  # a model of another kind
        return None
    before = found.pre_tokenizer.parts() if found.pre_tokenizer else []
    after = found.post_processor.parts() if found.post_processor else []
    trimming = [step for step in after if step.type == "ByteLevel" and step.trim_offsets]
    if (
        found.model.type != "BPE"
        or not any(step.type == "ByteLevel" for step in before)
        or any(step.type not in ("ByteLevel", "TemplateProcessing") for step in after)
        or len(trimming) > 1
        or any(step.add_prefix_space for step in trimming)
    ):
        return None
    names = {i: token for token, i in found.model.vocab.items()}
    byte_of = bytes_of_characters()
    contents = [bytes(byte_of.get(c, 0) for c in names.get(i, "")) for i in range(file.vocab_size)]
    for token in file.added_tokens:
        names[token.id], contents[token.id] = token.content, token.content.encode()
    offsets = np.zeros(file.vocab_size + 1, np.int64)
    np.cumsum([len(content) for content in contents], out=offsets[1:])
    leading, trailing = np.zeros(file.vocab_size, np.int64), np.zeros(file.vocab_size, np.int64)
    for i, name in names.items() if trimming else ():
        leading[i], trailing[i] = _n_spaces(name), _n_spaces(name[::-1])
    return Alphabet(np.frombuffer(b"".join(contents), np.uint8), offsets, leading, trailing)


def bytes_of_characters() -> dict[str, int]:
    """The byte that each character of a byte-level token stands for (GPT-2's table)."""
    others = [b for b in range(256) if b not in _PLAIN_BYTES]
    return {chr(b): b for b in _PLAIN_BYTES} | {chr(256 + i): b for i, b in enumerate(others)}


def _n_spaces(name: str) -> int:
    """With how much white space a token begins, as trimming counts it."""
    return len(name) - len(name.replace(_SPACE, " ").lstrip())
