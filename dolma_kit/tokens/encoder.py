"""Texts to ids, by the fastest library that gives the ids of `tokenizers`.

`tokenizers` is the reference; `fastokens` is some fifty times as fast. Both encode as OLMo's data
was: nothing is added, and the strings of special tokens that stand in a text are ordinary text, so
that no document can end itself; but where tokens are only counted, these may be recognised. Added
tokens that are not special (`|||EMAIL_ADDRESS|||`, runs of spaces) are always recognised.
Truncation and padding that a tokenizer.json asks for are turned off.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DolmaKitError, VerificationError

T = TypeVar("T")
Library = Literal["fastokens", "tokenizers"]

REFERENCE_CHARACTERS = 1 << 20  # at a time: the reference keeps some 100 bytes for each token


class Encoded(NamedTuple):
    """The ids of text i are `ids[offsets[i]:offsets[i + 1]]`."""

    ids: NDArray[np.uint32]  # (n_tokens,)
    offsets: NDArray[np.int64]  # (n_texts + 1,)


class Places(NamedTuple):
    """Where each token starts and ends in its text, in code points."""

    starts: NDArray[np.int64]  # (n_tokens,)
    ends: NDArray[np.int64]  # (n_tokens,)


class Encoder(Protocol):
    """What both libraries are here; `name` is the library's with its version."""

    name: str

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The ids of each text, without EOS; EncodingError where the library gives up on one."""
        ...


class EncodingError(DolmaKitError):
    """The library gave up on a text; `index` is its place among those that were given."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason

    def __str__(self) -> str:
        return f"text {self.index}: {self.reason}"


def version(library: Library) -> str:
    """Name and version, as tokens.json records them."""
    return f"{library} {importlib.metadata.version(library)}"


def load(path: str, sha256: str, library: Library, with_special: bool = False) -> Encoder:
    """The encoder of a tokenizer.json, once a process; up to a second, then nothing.

    `with_special` recognises special tokens in texts. VerificationError if the file is no longer
    the one with this sha256, ConfigError if the library cannot make a tokenizer of it.
    """
    return _load(path, sha256, library, with_special)


@functools.cache
def _load(path: str, sha256: str, library: Library, with_special: bool) -> Encoder:
    content = read(path, sha256)
    try:
        return LIBRARIES[library](content, with_special)
    except BaseException as error:
        if isinstance(error, ImportError) or not _is_library_failure(error):
            raise
        raise ConfigError(f"{library} cannot read {path}: {_first_line(error)}") from None


def read(path: str, sha256: str) -> str:
    """A tokenizer.json; VerificationError if it is no longer the one with this sha256."""
    with open(path, "rb") as stream:
        data = stream.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise VerificationError(f"{path} has changed while it was in use: run again")
    return data.decode("utf-8")


class TokenizersEncoder:
    """The reference."""

    def __init__(self, tokenizer_json: str, with_special: bool = False) -> None:
        import tokenizers

        self.name = version("tokenizers")
        self._tokenizer: Any = tokenizers.Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = not with_special
        #: how many tokens the file's post-processor would add to a text
        self.n_added = int(self._tokenizer.num_special_tokens_to_add(False))

    def encode(self, texts: Sequence[str]) -> Encoded:
        portions = (self._encode(texts, start, end, _ids) for start, end in _portions(texts))
        return _joined([ids for portion in portions for ids in portion])

    def encode_with_places(self, texts: Sequence[str]) -> tuple[Encoded, Places]:
        """The same, and where the tokens stand."""

        def arrays(encoding: Any) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
            return _ids(encoding), np.array(encoding.offsets, np.int64).reshape(-1, 2)

        portions = (
            self._encode(texts, start, end, arrays, fast=False) for start, end in _portions(texts)
        )
        found = [one for portion in portions for one in portion]
        bounds = np.concatenate([np.zeros((0, 2), np.int64), *(places for _, places in found)])
        starts, ends = np.ascontiguousarray(bounds.T)
        return _joined([ids for ids, _ in found]), Places(starts, ends)

    def _encode(
        self,
        texts: Sequence[str],
        start: int,
        end: int,
        take: Callable[[Any], T],
        *,
        fast: bool = True,  # and without places
    ) -> list[T]:
        encode = self._tokenizer.encode_batch_fast if fast else self._tokenizer.encode_batch
        try:
            found = encode(texts[start:end], add_special_tokens=False)
        except BaseException as error:
            if not _is_library_failure(error):
                raise
            if end - start > 1:
                singly = (self._encode(texts, i, i + 1, take, fast=fast) for i in range(start, end))
                return [one for found in singly for one in found]
            reason = f"{self.name} gives up on it: {_first_line(error)}"
            raise EncodingError(start, reason) from None
        return [take(encoding) for encoding in found]


def _ids(encoding: Any) -> NDArray[np.uint32]:
    return np.array(encoding.ids, np.uint32)


class FastokensEncoder:
    """The fast one. A text that it gives up on goes to the reference."""

    def __init__(self, tokenizer_json: str, with_special: bool = False) -> None:
        import fastokens

        self.name = version("fastokens")
        self._tokenizer_json = tokenizer_json
        self._with_special = with_special
        self._tokenizer = fastokens.Tokenizer.from_json_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> Encoded:
        try:
            ids, offsets = self._tokenizer.encode_batch_flat(
                list(texts), add_special_tokens=False, split_special_tokens=not self._with_special
            )
        except BaseException as error:
            if not _is_library_failure(error):
                raise
            if len(texts) > 1:
                return self._encode_singly(texts)
            return self._reference.encode(texts)
        return Encoded(np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<i8"))

    def _encode_singly(self, texts: Sequence[str]) -> Encoded:
        ids = []
        for i, text in enumerate(texts):
            try:
                ids.append(self.encode([text]).ids)
            except EncodingError as error:
                raise EncodingError(i, error.reason) from None
        return _joined(ids)

    @functools.cached_property
    def _reference(self) -> TokenizersEncoder:
        return TokenizersEncoder(self._tokenizer_json, self._with_special)


#: how each library makes an encoder of a tokenizer.json
LIBRARIES: dict[Library, Callable[[str, bool], Encoder]] = {
    "fastokens": FastokensEncoder,
    "tokenizers": TokenizersEncoder,
}


def _portions(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of texts of about REFERENCE_CHARACTERS each."""
    start = n_characters = 0
    for i, text in enumerate(texts):
        n_characters += len(text)
        if n_characters >= REFERENCE_CHARACTERS:
            yield start, i + 1
            start, n_characters = i + 1, 0
    if start < len(texts):
        yield start, len(texts)


def _joined(ids: list[NDArray[np.uint32]]) -> Encoded:
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(one) for one in ids], out=offsets[1:])
    return Encoded(np.concatenate([np.zeros(0, np.uint32), *ids]), offsets)


def _is_library_failure(error: BaseException) -> bool:
    """An error or a panic of Rust code, which derives from BaseException; not Ctrl-C."""
    if type(error).__name__ == "PanicException":
        return True
    return isinstance(error, Exception) and not isinstance(error, MemoryError | EncodingError)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
