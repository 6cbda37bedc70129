"""`tokens.json`, what tokenizing has recorded beside its parts (design, section 3).

Version 1, the keys that an order needs; others (encoder, sizes, seed) are not read here:

    {"version": 1, "tokenizer": "NAME.json", "tokenizer_sha256": "...", "eos_token_id": N,
     "dtype": "uint32", "parts": [{"path": "part-00000.npy", "tokens": N, ...}], ...}
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.paths import TokenFile

NAME = "tokens.json"


class Part(msgspec.Struct, frozen=True):
    """One token file and the number of tokens it was written with."""

    path: str
    tokens: int


class TokensJson(msgspec.Struct, frozen=True):
    """The record of one folder; paths absolute or relative to it, None where it says nothing."""

    version: Literal[1]
    dtype: Literal["uint16", "uint32"]
    eos_token_id: int | None = None
    tokenizer: str | None = None
    tokenizer_sha256: str | None = None
    parts: list[Part] = []


def read_record(folder: str) -> TokensJson | None:
    """The record of a folder with its paths joined to it, None where there is none.

    DataError for one that is not in the format above.
    """
    path = os.path.join(folder, NAME)
    try:
        with open(path, "rb") as stream:
            record = msgspec.json.decode(stream.read(), type=TokensJson)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(path, None, str(error)) from None
    tokenizer = record.tokenizer and os.path.join(folder, record.tokenizer)
    parts = [Part(os.path.join(folder, part.path), part.tokens) for part in record.parts]
    return msgspec.structs.replace(record, tokenizer=tokenizer, parts=parts)


def recorded(token_paths: Sequence[str]) -> TokensJson | None:
    """What the folders of these files record, as one record with the parts of all of them.

    ConfigError where two folders were made with different tokenizers, EOS ids or dtypes, since
    one run has one of each; None if no folder has a record.
    """
    folders = dict.fromkeys(os.path.dirname(path) for path in token_paths)
    found = [(f, r) for f in folders if (r := read_record(f)) is not None]
    if not found:
        return None
    first_folder, first = found[0]
    for folder, record in found[1:]:
        for key in ("dtype", "eos_token_id", "tokenizer_sha256"):
            ours, theirs = getattr(first, key), getattr(record, key)
            if ours != theirs:
                raise ConfigError(
                    f"one run, two kinds of tokens: {key} is {ours} in "
                    f"{os.path.join(first_folder, NAME)}, {theirs} in {os.path.join(folder, NAME)}"
                )
    parts = [part for _, record in found for part in record.parts]
    return msgspec.structs.replace(first, parts=parts)


def check_parts(record: TokensJson, paths: Sequence[str], folder: str) -> None:
    """VerificationError if the parts of a folder are not exactly those that it records."""
    known = {part.path for part in record.parts}
    if odd := sorted(known ^ set(paths)):
        what = "is recorded but not there" if odd[0] in known else "is there but not recorded"
        raise VerificationError(
            f"{odd[0]} {what} ({len(paths)} parts in {folder}, {len(known)} in its {NAME}): put "
            "the folder right, or list the files in `tokens`"
        )


def check_sizes(record: TokensJson, table: Sequence[TokenFile]) -> None:
    """VerificationError if a file no longer has the tokens that it was recorded with."""
    n_recorded = {part.path: part.tokens for part in record.parts}
    for file in table:
        n_tokens = n_recorded.get(file.path, file.n_tokens)
        if n_tokens != file.n_tokens:
            raise VerificationError(
                f"{file.path} has {file.n_tokens} tokens, {NAME} beside it says {n_tokens}: "
                "tokenize again, or point the run at the right files"
            )
