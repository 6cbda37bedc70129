"""How many tokens documents have: by a tokenizer, or as a folder of token files has them.

A document's tokens are those that `tokenize` writes: without special strings, with the EOS that
ends it, none of an empty text.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from dolma_kit import config, files
from dolma_kit.errors import ConfigError, DataError, VerificationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dolma_kit.documents import Batch
    from dolma_kit.layout import Shard

Counter = Callable[["Batch"], "NDArray[np.int64]"]
UNKNOWN = -1  # tokens of a document that nobody has counted


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Where counts come from.

    `kind` tokenizer: `path` is a tokenizer.json, of which `sha256` is; tokens: a folder of token
    files, of which `sha256` is that of the description, and `state` tells one making of them from
    another.
    """

    kind: Literal["tokenizer", "tokens"]
    path: str
    sha256: str
    library: str = ""
    state: str = ""

    def recorded(self) -> dict[str, str]:
        """What decides counts: not where things lie."""
        return {"kind": self.kind, "sha256": self.sha256, "library": self.library}

    def inputs(self) -> tuple[str, ...]:
        """Files that counts depend on, beside the documents."""
        return () if self.kind == "tokenizer" else tuple(_tables(self.path, self.state))

    def decoder(self) -> Callable[[list[int]], str]:
        """What makes text of ids; bytes that are not whole characters show as U+FFFD."""
        assert self.kind == "tokenizer"
        return _decoder(self.path, self.sha256)

    def counter(self, shard: Shard) -> Counter:
        """What counts the batches of a file: (n_docs,) int64, UNKNOWN where there is none."""
        if self.kind == "tokenizer":
            return lambda batch: _encoded(batch, self)
        stored = _stored(self.path, self.state, shard)
        return lambda batch: batch.once(f"tokens in {self.path}", stored)


def of(tokenizer: str | None, tokens: str | None) -> TokenCounts | None:
    """What the flags --tokenizer and --tokens ask for; ConfigError for both."""
    if tokenizer is not None and tokens is not None:
        raise ConfigError("--tokenizer and --tokens both count tokens: leave one of them out")
    if tokens is not None:
        record = os.path.join(tokens, "tokens.json")
        if not os.path.isdir(tokens):
            raise ConfigError(f"--tokens {tokens}: no such folder of token files")
        if not (tables := _found_tables(tokens)):
            raise ConfigError(
                f"--tokens {tokens}: neither part-*.docs.parquet nor part-*.csv.gz is there"
            )
        sha256 = files.sha256(record if os.path.exists(record) else tables[0])
        state = config.digest({path: files.fingerprint(path) for path in tables})
        return TokenCounts(kind="tokens", path=tokens, sha256=sha256, state=state)
    if tokenizer is None:
        return None
    from dolma_kit.tokens import self_check, tokenizer_file

    found = tokenizer_file.resolve(tokenizer)
    library = self_check.choose("auto", found, with_special=False).library
    return TokenCounts(kind="tokenizer", path=found.path, sha256=found.sha256, library=library)


@functools.lru_cache(maxsize=4)
def _decoder(path: str, sha256: str) -> Callable[[list[int]], str]:
    from tokenizers import Tokenizer

    from dolma_kit.tokens.encoder import read

    loaded = Tokenizer.from_str(read(path, sha256))
    return lambda ids: loaded.decode(ids, skip_special_tokens=False)


def _encoded(batch: Batch, counts: TokenCounts) -> NDArray[np.int64]:
    def count(batch: Batch) -> NDArray[np.int64]:
        import numpy as np

        n_tokens = np.diff(encoded(batch, counts.path, counts.sha256, counts.library)[1])
        return n_tokens + (n_tokens > 0)

    return batch.once(f"tokens by {counts.sha256}", count)


def encoded(
    batch: Batch, path: str, sha256: str, library: str
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The ids (n_tokens,) of a batch's texts, one after the other and without EOS, and where each
    text's begin, (n_docs + 1,) int64. Worked out once a batch."""

    def encode(batch: Batch) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        import numpy as np

        from dolma_kit.tokens import encoder
        from dolma_kit.tokens.encoder import EncodingError

        loaded = encoder.load(path, sha256, library, with_special=False)  # type: ignore[arg-type]
        try:
            found = loaded.encode(batch.texts)
        except EncodingError as error:
            raise DataError(batch.path, int(batch.lines[error.index]), error.reason) from None
        return found.ids, np.asarray(found.offsets, np.int64)

    return batch.once(f"token ids by {sha256}", encode)


@functools.lru_cache(maxsize=4)
def _tables(folder: str, state: str) -> list[str]:
    return _found_tables(folder)


def _found_tables(folder: str) -> list[str]:
    """The tables of documents of a folder of token files: of each part the Parquet, if there."""
    found: dict[str, str] = {}
    for suffix in (".csv.gz", ".docs.parquet"):
        for path in files.expand(f"{folder.rstrip('/')}/*{suffix}"):
            found[path.removesuffix(suffix)] = path
    return list(found.values())


@functools.lru_cache(maxsize=2)
def _tables_by_src(folder: str, state: str) -> dict[str, list[str]]:
    """`src` -> the tables that have rows of it; once a process, as it goes through all of them."""
    import pyarrow.compute as pc

    found: dict[str, list[str]] = {}
    for path in _tables(folder, state):
        for src in pc.unique(_rows(path).column("src")).to_pylist():
            found.setdefault(src, []).append(path)
    return found


@functools.lru_cache(maxsize=2)
def _stored(folder: str, state: str, shard: Shard) -> _Stored:
    return _Stored(folder, state, shard)


class _Stored:
    """The rows of a folder's tables that are of one file of documents."""

    def __init__(self, folder: str, state: str, shard: Shard) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        self._folder = folder
        tables = _tables_by_src(folder, state)
        names = [src for src in tables if _is_of(src, shard)]
        if not names:
            raise VerificationError(
                f"{folder} has no tokens of {shard.path}: tokenize it too, or leave out --tokens"
            )
        src = max(names, key=len)  # that which tells most of its path
        chosen = []
        for path in tables[src]:
            rows = _rows(path)
            chosen.append(rows.filter(pc.equal(rows.column("src"), src)))
        table = pa.concat_tables(chosen).combine_chunks()
        lines = table.column("loc").to_numpy()
        order = np.argsort(lines, kind="stable")
        self._lines = lines[order]
        self._counts = (table.column("end").to_numpy() - table.column("start").to_numpy())[order]
        self._ids = table.column("id").take(pa.array(order))

    def __call__(self, batch: Batch) -> NDArray[np.int64]:
        import numpy as np
        import pyarrow as pa

        at = np.searchsorted(self._lines, batch.lines)
        inside = np.minimum(at, max(len(self._lines) - 1, 0))
        there = (
            self._lines[inside] == batch.lines if len(self._lines) else np.zeros(len(batch), "?")
        )
        rows = np.flatnonzero(there)
        theirs = self._ids.take(pa.array(inside[rows])).to_pylist()
        for row, other in zip(rows.tolist(), theirs, strict=True):
            if batch.ids[row] != other:
                raise VerificationError(
                    f"{self._folder} has tokens of {other!r} for {batch.path}:"
                    f"{batch.lines[row]}, which is {batch.ids[row]!r}: tokenize it again"
                )
        counts = np.full(len(batch), UNKNOWN, np.int64)
        counts[rows] = self._counts[inside[rows]]
        counts[~there & (np.diff(batch.offsets) == 0)] = 0  # what has no tokens is not written
        return counts


def _rows(path: str) -> pa.Table:
    from dolma_kit.order import documents

    return documents.read_rows(path).select(["start", "end", "id", "src", "loc"])


def _is_of(src: str, shard: Shard) -> bool:
    """Whether a `src` of tokens may name this file: it is the end of its path, whole names only."""
    path = shard.path.replace(os.sep, "/")
    return path == src or path.endswith(f"/{src}") or src in (shard.src, shard.name)
