"""A folder of token files as it lies on disk: its parts, their tables of documents, its record.

Also a folder that the Dolma toolkit made, or single `.npy` files: there is no tokens.json then, and
the dtype has to be given.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError, DataError, MissingInput, VerificationError
from dolma_kit.order import documents
from dolma_kit.order.paths import TokenFile
from dolma_kit.tokens import store
from dolma_kit.tokens.tokenizer_file import Dtype

ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class PartFile:
    """A token file and where its documents are listed; None where they are not."""

    tokens: TokenFile
    table: str | None

    @property
    def path(self) -> str:
        return self.tokens.path

    @property
    def n_tokens(self) -> int:
        return self.tokens.n_tokens

    def require_table(self) -> str:
        if self.table is None:
            stem = os.path.splitext(self.path)[0]
            raise MissingInput(
                f"no documents of {self.path}: neither {stem}.docs.parquet nor {stem}.csv.gz"
            )
        return self.table

    def ids(self) -> NDArray[np.unsignedinteger]:
        """(n_tokens,) of the dtype, mapped from disk."""
        dtype = np.dtype(self.tokens.dtype).newbyteorder("<")
        if not self.tokens.n_tokens:  # which cannot be mapped
            return np.zeros(0, dtype)
        return np.memmap(self.path, dtype, "r", shape=(self.tokens.n_tokens,))

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Its documents, of the tables' schema, in batches; DataError for a broken table."""
        path = self.require_table()
        if not path.endswith(".docs.parquet"):
            yield from documents.read_rows(path).to_batches(max_chunksize=ROWS_AT_ONCE)
            return
        try:
            with pq.ParquetFile(path) as table:
                for batch in table.iter_batches(batch_size=ROWS_AT_ONCE):
                    yield batch.select(documents.SCHEMA.names)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError) as error:
            raise DataError(path, None, " ".join(str(error).split())) from None


@dataclass(frozen=True)
class TokenFolder:
    """Token files in their order; `path` is the folder, `record` its tokens.json, if it has one."""

    path: str
    parts: tuple[PartFile, ...]
    record: store.Record | None

    @property
    def n_tokens(self) -> int:
        return sum(part.n_tokens for part in self.parts)

    @property
    def dtype(self) -> Dtype:
        return "uint16" if self.parts[0].tokens.dtype == "uint16" else "uint32"


def open_folder(path: str, dtype: str | None = None) -> TokenFolder:
    """The token files of a folder (or one file); `dtype` where no tokens.json says it.

    MissingInput where there are none, ConfigError where nothing says the dtype, or another one.
    """
    if not os.path.exists(path):
        raise MissingInput(f"no token files at {path}")
    folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
    record = read_record(folder)
    if record is not None and dtype is not None and dtype != record.dtype:
        raise ConfigError(f"{folder} holds {record.dtype}, as its tokens.json says, not {dtype}")
    found_dtype = dtype or (record.dtype if record else None)
    if found_dtype is None:
        raise ConfigError(
            f"{folder} has no tokens.json: say of what dtype its tokens are with --dtype uint16 or "
            "uint32"
        )
    if not os.path.isdir(path):
        paths = [path]
    elif record is not None:
        paths = [os.path.join(folder, part.path) for part in record.parts]
    else:
        paths = sorted(glob.glob(os.path.join(glob.escape(folder), "*.npy")), key=os.fsencode)
    if not paths:
        raise MissingInput(f"no token files in {folder}")
    return TokenFolder(folder, tuple(_part(one, found_dtype) for one in paths), record)


def _part(path: str, dtype: str) -> PartFile:
    try:
        n_bytes = os.path.getsize(path)
    except OSError:
        raise VerificationError(f"{path}, which tokens.json names, is not there") from None
    stem = os.path.splitext(path)[0]
    table = next((stem + s for s in documents.SUFFIXES if os.path.isfile(stem + s)), None)
    return PartFile(TokenFile(path, n_bytes, dtype), table)


def read_record(folder: str) -> store.Record | None:
    """The folder's tokens.json, None where there is none; DataError for one that is broken."""
    path = os.path.join(folder, store.RECORD_NAME)
    try:
        with open(path, "rb") as stream:
            return msgspec.json.decode(stream.read(), type=store.Record)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(path, None, str(error)) from None


def open_folders(paths: Sequence[str], dtype: str | None = None) -> list[TokenFolder]:
    """Several, which have to be of one dtype."""
    if not paths:
        raise ConfigError("no token files: name folders or .npy files")
    found = [open_folder(path, dtype) for path in paths]
    if len(dtypes := {one.dtype for one in found}) > 1:
        raise ConfigError(f"{', '.join(paths)} are of {' and '.join(sorted(dtypes))}: give one")
    return found
