"""The bytes that each token of a byte-level tokenizer stands for.

A byte-level decoder joins the bytes of tokens, so a stream of tokens is a stream of bytes that may
be cut anywhere, and text can be looked for in it however it was tokenized. As the `tokenizers`
library decodes: a token whose characters all stand for bytes (GPT-2's table) gives those, another
one (an added token with a space, say) its own UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.errors import ConfigError
from dolma_kit.tokens.alignment import bytes_of_characters

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KERNELS = ("token_bytes",)


@dataclass(frozen=True)
class Vocabulary:
    """`table` (n_bytes,) uint8, the bytes of all ids one after the other, `offsets` (n_ids + 1,)
    int64."""

    table: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def decode(
        self, ids: NDArray[Any], is_silent: NDArray[np.bool_]
    ) -> tuple[bytes, NDArray[np.int64]]:
        """The bytes of (n,) ids, and where those of each begin, (n + 1,) int64; `is_silent` (n,)
        marks tokens that are no text."""
        wide = np.ascontiguousarray(ids, np.uint32)
        offsets = np.empty(len(wide) + 1, np.int64)
        kernels.token_bytes.measure_into(wide, self.offsets, is_silent, offsets)
        decoded = np.empty(int(offsets[-1]), np.uint8)
        kernels.token_bytes.copy_into(wide, self.table, self.offsets, offsets, decoded)
        return decoded.tobytes(), offsets


def vocabulary_of(tokenizer: Tokenizer, where: str) -> Vocabulary:
    """The bytes of a tokenizer's ids; ConfigError for one that is not byte-level."""
    decoder = msgspec.json.decode(tokenizer.to_str())["decoder"]
    kinds = _kinds(decoder)
    if kinds != ["ByteLevel"]:
        said = " and ".join(kinds) or "nothing"
        raise ConfigError(
            f"{where}: its tokenizer decodes by {said}; text is looked for in the bytes of tokens, "
            "which only a byte-level tokenizer (ByteLevel) has"
        )
    byte_of = bytes_of_characters()
    ids = tokenizer.get_vocab(with_added_tokens=True)
    contents = [b""] * (max(ids.values(), default=-1) + 1)
    for token, number in ids.items():
        if all(character in byte_of for character in token):
            contents[number] = bytes(byte_of[character] for character in token)
        else:
            contents[number] = token.encode()
    offsets = np.zeros(len(contents) + 1, np.int64)
    np.cumsum([len(content) for content in contents], out=offsets[1:])
    return Vocabulary(np.frombuffer(b"".join(contents) or b"\0", np.uint8), offsets)


def normalized(tokenizer: Tokenizer, text: str) -> str:
    """A text as the tokenizer reads it."""
    if tokenizer.normalizer is None:
        return text
    return str(tokenizer.normalizer.normalize_str(text))


def _kinds(decoder: Any) -> list[str]:
    if decoder is None:
        return []
    if decoder["type"] == "Sequence":
        return [kind for one in decoder["decoders"] for kind in _kinds(one)]
    return [decoder["type"]]
