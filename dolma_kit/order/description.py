"""`run.yaml`: which data a training run read, in which order, in which batches.

    tokens: [tokens/part-00000.npy]      # training order; or one folder = its part-[0-9]*.npy
    tokenizer: dolma2.json               # this and the next two from tokens.json where there is one
    eos_token_id: 100257
    dtype: uint32
    sequence_length: 2048
    global_batch_size: 2048              # instances
    order: {kind: olmo, seed: 6198, epoch: 0, world_size: 1, drop_last: true}   # or kind: feistel
    epochs: 1                            # each with its own shuffle
    documents: null                      # pattern of docs.parquet or csv.gz not beside the tokens

Relative paths are relative to the file. `instance_filter: null` and `segments: []` may be written
out; another value for them is an error, as is another kind of order.
"""

from __future__ import annotations

import glob
import os
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from dolma_kit import config
from dolma_kit.errors import ConfigError
from dolma_kit.order.paths import token_paths
from dolma_kit.order.tokens_json import NAME, check_parts, recorded

Natural = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Value = TypeVar("Value", bound=int | str)


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`olmo`: PCG64(seed + epoch) for the first epoch, one more for each that follows; `feistel`:
    a keyed permutation for new runs (see `permutation`)."""

    kind: Literal["olmo", "feistel"]
    seed: Natural
    epoch: Natural = 0
    world_size: Count = 1
    drop_last: bool = True


class RunDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of run.yaml. From `load`, `tokens` is a list and every path is absolute."""

    tokens: Annotated[list[str], Meta(min_length=1)] | str
    sequence_length: Count
    global_batch_size: Count
    order: Order
    tokenizer: str | None = None
    eos_token_id: Natural | None = None
    dtype: Literal["uint16", "uint32"] | None = None
    epochs: Count = 1
    documents: str | None = None
    instance_filter: None = None
    segments: tuple[()] = ()


def load(path: str | os.PathLike[str]) -> RunDescription:
    """The description in a file, with what it leaves out taken from tokens.json.

    `dtype` is set in what returns; `tokenizer` and `eos_token_id` may be None, since only text
    needs them. ConfigError for a key that is unknown, missing or of a wrong value, and for one
    that contradicts tokens.json.
    """
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise ConfigError(f"no run description {path}")
    written = config.build(RunDescription, config.read(path), where=path)
    folder = os.path.dirname(path)
    tokens = written.tokens
    tokens = _at(folder, tokens) if isinstance(tokens, str) else [_at(folder, t) for t in tokens]
    paths = token_paths(tokens)
    record = recorded(paths)
    if record is not None and isinstance(tokens, str):
        check_parts(record, paths, tokens)
    eos_token_id, dtype, tokenizer = written.eos_token_id, written.dtype, written.tokenizer
    if record is not None:
        eos_token_id = _agreed(path, "eos_token_id", eos_token_id, record.eos_token_id)
        dtype = _agreed(path, "dtype", dtype, record.dtype)
    if dtype is None:
        raise ConfigError(
            f"{path}: no key dtype, and no {NAME} beside the tokens: add dtype: uint16 or uint32"
        )
    if tokenizer is not None:
        tokenizer = _at(folder, tokenizer)
    elif record is not None:
        tokenizer = record.tokenizer
    documents = written.documents
    if documents is not None:
        # the folder's own name may hold characters that mean something in a pattern
        documents = os.path.join(glob.escape(folder), documents)
    return msgspec.structs.replace(
        written,
        tokens=paths,
        tokenizer=tokenizer,
        eos_token_id=eos_token_id,
        dtype=dtype,
        documents=documents,
    )


def _at(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _agreed(path: str, key: str, written: Value | None, found: Value | None) -> Value | None:
    """What run.yaml says, else what tokens.json does."""
    if written is not None and found is not None and written != found:
        raise ConfigError(
            f"{path}: {key} is {written}, {NAME} beside the tokens says {found}: leave the key "
            "out, or name other tokens"
        )
    return found if written is None else written
