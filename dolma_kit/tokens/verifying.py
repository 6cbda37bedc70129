"""`tokens verify`: whether a token folder is what its files say of each other.

Checked for each part: its size against tokens.json; that its documents follow each other from its
first token to its last; that the csv.gz and the docs.parquet say the same; that EOS ends each
document (and BOS begins it, if there is one); that no id lies beyond the vocabulary. And the totals
and the tokenizer's SHA-256 of tokens.json. Streams: a batch of documents is in memory at a time.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa

from dolma_kit.errors import DataError
from dolma_kit.order import documents
from dolma_kit.order.paths import ITEM_BYTES
from dolma_kit.tokens.folder import PartFile, TokenFolder

BLOCK_TOKENS = 1 << 22
COLUMNS = ("start", "end", "id", "src", "loc")


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `faults` is empty where all is as it should be.

    `eos_within` counts EOS ids that do not end a document.
    """

    parts: int
    documents: int
    tokens: int
    instances: int
    eos_within: int
    faults: list[str]


def verify(
    folder: TokenFolder, *, eos_token_id: int | None = None, vocab_size: int | None = None
) -> Verified:
    """Check a folder; what tokens.json does not say may be given."""
    record = folder.record
    eos = eos_token_id if eos_token_id is not None else record.eos_token_id if record else None
    bos = record.bos_token_id if record else None
    vocabulary = vocab_size or (record.vocab_size if record else None)
    faults: list[str] = []
    n_documents = n_within = 0
    for part in folder.parts:
        found = _part_faults(part, eos, bos, vocabulary)
        try:
            n, within = 0, 0
            for n, within, fault in found:  # noqa: B007  the last ones count
                if fault:
                    faults.append(fault)
        except DataError as error:
            faults.append(str(error))
        n_documents += n
        n_within += within
    faults += _record_faults(folder, n_documents)
    length = record.sequence_length if record else 0
    instances = sum(part.n_tokens // length for part in folder.parts) if length else 0
    return Verified(
        parts=len(folder.parts), documents=n_documents, tokens=folder.n_tokens,
        instances=instances, eos_within=n_within, faults=faults,
    )  # fmt: skip


def _record_faults(folder: TokenFolder, n_documents: int) -> Iterator[str]:
    record = folder.record
    if record is None:
        return
    for said, part in zip(record.parts, folder.parts, strict=False):
        if said.tokens != part.n_tokens:
            yield f"{part.path} has {part.n_tokens} tokens, tokens.json says {said.tokens}"
    if record.tokens != folder.n_tokens:
        yield f"the parts have {folder.n_tokens} tokens, tokens.json says {record.tokens}"
    if record.documents != n_documents:
        yield f"the tables have {n_documents} documents, tokens.json says {record.documents}"
    path = os.path.join(folder.path, record.tokenizer)
    try:
        with open(path, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
    except FileNotFoundError:
        yield f"{path}, which tokens.json names, is not there"
    else:
        if digest != record.tokenizer_sha256:
            yield f"{path} is not the tokenizer that tokens.json names: its SHA-256 is {digest}"


def _part_faults(
    part: PartFile, eos: int | None, bos: int | None, vocab_size: int | None
) -> Iterator[tuple[int, int, str | None]]:
    """Documents and EOS within them so far, with a fault or None; the last one counts all."""
    n_documents = n_within = 0
    if part.tokens.n_bytes % ITEM_BYTES[part.tokens.dtype]:
        yield 0, 0, f"{part.path} is {part.tokens.n_bytes} bytes long: no whole number of tokens"
    ids = part.ids()
    if vocab_size is not None and (fault := _beyond(part, ids, vocab_size)):
        yield 0, 0, fault
    end = 0
    for rows in part.rows():
        starts, ends = (rows.column(name).to_numpy() for name in ("start", "end"))
        begins = np.concatenate(([end], ends[:-1]))
        wrong = np.flatnonzero((starts != begins) | (ends <= starts) | (ends > len(ids)))
        if len(wrong):
            row = int(wrong[0])
            yield (
                n_documents + row,
                n_within,
                (
                    f"{part.table}: row {n_documents + row + 1} has tokens {starts[row]} to "
                    f"{ends[row]}, after {begins[row]}, of {len(ids)}"
                ),
            )
            return
        for token_id, places, what in ((eos, ends - 1, "end"), (bos, starts, "begin")):
            if token_id is not None and len(places):
                odd = np.flatnonzero(ids[places] != token_id)
                if len(odd):
                    row = n_documents + int(odd[0])
                    yield (
                        row,
                        n_within,
                        (
                            f"{part.table}: row {row + 1} ({rows.column('id')[int(odd[0])]}) does "
                            f"not {what} with {token_id}, nor do {len(odd) - 1} more"
                        ),
                    )
        if eos is not None and len(ends):
            n_eos = int(np.count_nonzero(ids[int(starts[0]) : int(ends[-1])] == eos))
            n_within += n_eos - int(np.count_nonzero(ids[ends - 1] == eos))
        end = int(ends[-1]) if len(ends) else end
        n_documents += len(rows)
    fault = None
    if end != len(ids):
        fault = f"{part.table} ends at token {end}, {part.path} has {len(ids)}"
    yield n_documents, n_within, fault
    stem = os.path.splitext(part.path)[0]
    if all(os.path.exists(stem + suffix) for suffix in documents.SUFFIXES):
        yield n_documents, n_within, _difference(part, stem + ".csv.gz")


def _beyond(part: PartFile, ids: np.ndarray[tuple[int], np.dtype[np.unsignedinteger]],
            vocab_size: int) -> str | None:  # fmt: skip
    for first in range(0, len(ids), BLOCK_TOKENS):
        block = ids[first : first + BLOCK_TOKENS]
        if block.max() >= vocab_size:
            at = first + int(np.argmax(block >= vocab_size))
            return f"{part.path}: token {at} is {ids[at]}, beyond the vocabulary of {vocab_size}"
    return None


def _difference(part: PartFile, csv_path: str) -> str | None:
    """The first row in which the two tables of a part differ."""
    ours = (row for rows in part.rows() for row in _plain(rows))
    theirs = (row for rows in documents.stream_csv(csv_path) for row in _plain(rows))
    for i, (a, b) in enumerate(itertools.zip_longest(ours, theirs)):
        if a != b:
            return f"{csv_path}: row {i + 1} is {b}, and in {part.table} {a}"
    return None


def _plain(rows: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    return zip(*(rows.column(name).to_pylist() for name in COLUMNS), strict=True)
