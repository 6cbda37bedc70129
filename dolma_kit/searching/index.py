"""The index of a folder of token files: a suffix array for each stretch of tokens, and documents.

Beside the tokens, in `<tokens>/search/` or where `--out` says:

    index.json            `Description`: which tokens, cut into which shards
    NAME.suffixes         int32, little-endian: where the shard's suffixes begin, in tokens from
                          the shard's first, by the ids that follow (`kernels.suffix_array`)
    NAME.ends             int64, little-endian: where its documents end, likewise; EOS included
    .dolma-kit/           the ledger, and `tokens.json`, sizes and times of the token files

A shard is a part, or as much of it as whole documents have at most `shard_tokens` tokens. Tokens
are not copied. An index whose token files have changed is refused: by size and time, and where the
time alone differs, by SHA-256.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import mmap
import os
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import files, kernels, ledger
from dolma_kit.errors import DataError, MissingInput, VerificationError
from dolma_kit.tokens.folder import PartFile, TokenFolder, open_folder
from dolma_kit.tokens.lookup import PartLookup
from dolma_kit.tokens.tokenizer_file import Dtype

VERSION = 1
FOLDER, DESCRIPTION, SEEN = "search", "index.json", "tokens.json"
AGAIN = "make the index again (dolma-kit search index)"


class ShardDescription(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens [first, first + tokens) of a part, documents from row `row` of its table on.

    `sha256` is that of the tokens. `ended`: each document that has tokens ends with the EOS, so
    that nothing without one lies across an end; `whole`: and has no other.
    """

    name: str
    part: str
    first: int
    tokens: int
    row: int
    documents: int
    sha256: str
    ended: bool
    whole: bool


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """index.json. `tokens` is the folder of the token files, seen from the index; `parts` their
    sizes in bytes."""

    version: Literal[1] = 1
    tokens: str
    dtype: Dtype
    eos_token_id: int | None
    parts: dict[str, int]
    shards: list[ShardDescription]


@dataclass(frozen=True)
class Shard:
    """A shard, its arrays mapped: `tokens` (n,) uint16 or uint32, `suffixes` (n,) int32, `ends`
    (n_documents,) int64; `eos` is what ends its documents, None where that is not known."""

    number: int
    about: ShardDescription
    part: PartFile
    tokens: NDArray[Any]
    suffixes: NDArray[np.int32]
    ends: NDArray[np.int64]
    eos: int | None

    def find(self, ids: NDArray[np.int64]) -> tuple[int, int]:
        """The range of suffixes that begin with ids."""
        low, high = kernels.suffix_search.find(
            self.tokens, self.suffixes, ids, 0, len(self.suffixes)
        )
        return int(low), int(high)

    def documents_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which document, from 0 in the shard, holds each place."""
        return np.searchsorted(self.ends, places, "right")

    def document_start(self, document: int) -> int:
        return int(self.ends[document - 1]) if document else 0

    @functools.cached_property
    def lookup(self) -> PartLookup:
        return PartLookup(self.part)


@dataclass(frozen=True)
class Index:
    """An open index: its folder, the token files, and the shards in the order of the tokens."""

    folder: str
    about: Description
    tokens: TokenFolder
    shards: list[Shard]

    @property
    def n_tokens(self) -> int:
        return sum(shard.about.tokens for shard in self.shards)

    @functools.cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the token files; MissingInput where none is recorded."""
        from tokenizers import Tokenizer

        record = self.tokens.record
        path = "" if record is None else os.path.join(self.tokens.path, record.tokenizer)
        if not os.path.isfile(path):
            raise MissingInput(
                f"{self.tokens.path} records no tokenizer: search by --ids, or name it with "
                "--tokenizer"
            )
        return Tokenizer.from_file(path)


def place_of(path: str) -> str:
    """Where the index is that a path names: beside its tokens, or the folder itself."""
    beside = os.path.join(path, FOLDER)
    if not os.path.exists(os.path.join(beside, DESCRIPTION)) and os.path.exists(
        os.path.join(path, DESCRIPTION)
    ):
        return path
    return beside


def exists(path: str) -> bool:
    """Whether a folder of tokens has an index beside them."""
    return os.path.exists(os.path.join(path, FOLDER, DESCRIPTION))


def open_index(path: str) -> Index:
    """The index of a folder of tokens, or in a folder of its own.

    MissingInput where there is none, VerificationError where it is older than its tokens or cut
    short, DataError for what is no index.
    """
    folder = place_of(path)
    about = read_description(folder)
    tokens = open_folder(os.path.normpath(os.path.join(folder, about.tokens)), about.dtype)
    parts = {os.path.basename(part.path): part for part in tokens.parts}
    _require_same(folder, about, parts)
    shards = []
    for number, one in enumerate(about.shards):
        part = parts.get(one.part)
        if part is None or not 0 <= one.first <= one.first + one.tokens <= part.n_tokens:
            raise DataError(
                os.path.join(folder, DESCRIPTION), None,
                f"is no index: {one.name} is of tokens that {one.part} has not; {AGAIN}",
            )  # fmt: skip
        ids = _at_random(part.ids())[one.first : one.first + one.tokens]
        suffixes = _mapped(os.path.join(folder, f"{one.name}.suffixes"), "<i4", one.tokens)
        ends = _mapped(os.path.join(folder, f"{one.name}.ends"), "<i8", one.documents)
        # Seen as plain arrays: the kernels take no subclass.
        shards.append(
            Shard(
                number, one, part, np.asarray(ids), np.asarray(suffixes), np.asarray(ends),
                about.eos_token_id,
            )
        )  # fmt: skip
    return Index(folder, about, tokens, shards)


def read_description(folder: str) -> Description:
    path = os.path.join(folder, DESCRIPTION)
    try:
        with open(path, "rb") as stream:
            return msgspec.json.decode(stream.read(), type=Description)
    except FileNotFoundError:
        raise MissingInput(
            f"no index at {folder}: make one with dolma-kit search index TOKENS"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"is no index: {error}; {AGAIN}") from None


def _mapped(path: str, dtype: str, n: int) -> NDArray[Any]:
    """A file as an array of n values; VerificationError where it has not as many."""
    try:
        size = os.path.getsize(path)
    except FileNotFoundError:
        raise VerificationError(f"{path} is gone: {AGAIN}") from None
    if size != n * np.dtype(dtype).itemsize:
        raise VerificationError(
            f"{path} has {size:,} bytes, not {n * np.dtype(dtype).itemsize:,}: it is cut short or "
            f"of another index; {AGAIN}"
        )
    return _at_random(np.memmap(path, dtype, "r", shape=(n,))) if n else np.zeros(0, dtype)


def _at_random(array: NDArray[Any]) -> NDArray[Any]:
    """A mapped array of which no more is read from the disk than what is looked at: a search looks
    here and there, and reading on from each place would cost more than the place itself."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    return array


def _require_same(folder: str, about: Description, parts: dict[str, PartFile]) -> None:
    """VerificationError where token files are not those that the index was made of."""
    if about.parts.keys() != parts.keys():
        odd = ", ".join(sorted(about.parts.keys() ^ parts.keys()))
        raise VerificationError(
            f"{folder} is not of the token files that are there: {odd}; {AGAIN}"
        )
    seen = _seen(folder)
    for name, n_bytes in about.parts.items():
        path = parts[name].path
        now = files.fingerprint(path)
        if os.path.getsize(path) != n_bytes:
            raise VerificationError(f"{path} has changed since {folder} was made of it: {AGAIN}")
        if seen.get(name) != now:
            for one in about.shards:
                if one.part == name and sha256_of(parts[name], one.first, one.tokens) != one.sha256:
                    raise VerificationError(
                        f"{path} has changed since {folder} was made of it: {AGAIN}"
                    )
            seen[name] = now
            with contextlib.suppress(OSError):  # nobody has to be able to write here
                note_seen(folder, seen)


def _seen(folder: str) -> dict[str, Any]:
    """Sizes and times under which the token files are known to be those of the index."""
    try:
        with open(os.path.join(folder, ledger.FOLDER, SEEN), "rb") as stream:
            found: dict[str, Any] = msgspec.json.decode(stream.read(), type=dict)
            return found
    except (OSError, msgspec.MsgspecError):
        return {}


def note_seen(folder: str, seen: dict[str, Any]) -> None:
    with files.write_atomically(os.path.join(folder, ledger.FOLDER, SEEN)) as stream:
        stream.write(msgspec.json.encode(seen, order="deterministic"))


def sha256_of(part: PartFile, first: int, n_tokens: int) -> str:
    """Of a stretch of a part's tokens."""
    digest = hashlib.sha256()
    ids = part.ids()
    step = 1 << 22
    for start in range(first, first + n_tokens, step):
        digest.update(ids[start : min(start + step, first + n_tokens)].tobytes())
    return digest.hexdigest()
