"""Joining: what files of documents gave, or buckets of a shuffle, one after the other into parts;
one unit, streamed, and last of all tokens.json."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from dolma_kit import files
from dolma_kit.config import Reshard, Tokenize
from dolma_kit.errors import ConfigError, VerificationError
from dolma_kit.ledger import Result
from dolma_kit.tokens import encoding, store
from dolma_kit.tokens.encoding import Counts

MAX_TOKENS_PER_PART = 2**32
COPYING_THREADS = 8  # enough for the memory's bandwidth


@dataclass(frozen=True)
class JoinTask:
    """Everything that was encoded: stems in the order of the output, and those with counts."""

    encoded: tuple[str, ...]
    counted: tuple[str, ...]
    out: str
    max_tokens_per_part: int
    tokenizer: str
    record: store.Record  # its counts and parts are filled in
    threads: int = 1
    layout: store.Layout = "olmo"


def tokens_per_part(settings: Tokenize | Reshard, itemsize: int) -> int:
    """The limit of a part, which settings give in tokens or bytes."""
    if settings.max_bytes_per_part is None:
        return settings.max_tokens_per_part or MAX_TOKENS_PER_PART
    if settings.max_tokens_per_part is not None:
        raise ConfigError("max_tokens_per_part and max_bytes_per_part are one limit: give one")
    return max(settings.max_bytes_per_part // itemsize, 1)


def join(task: JoinTask) -> Result:
    """Write the parts and tokens.json from what the files of documents gave."""
    totals = Counts()
    for stem in task.counted:
        totals.add(encoding.counts_of(stem))
    if totals.documents == totals.empty:
        raise VerificationError(
            f"no tokens: {totals.documents} documents, none of them with text; nothing was written"
        )
    os.makedirs(task.out, exist_ok=True)
    with suppress(FileNotFoundError):  # never beside parts of which it says nothing
        os.unlink(os.path.join(task.out, store.RECORD_NAME))
    parts, outputs = _write_parts(task)
    n_tokens = sum(part.tokens for part in parts)
    if task.tokenizer:  # token files of others may come without one
        outputs.append(_copy_tokenizer(task))
    record = msgspec.structs.replace(
        task.record,
        documents=totals.documents - totals.empty,
        tokens=n_tokens,
        parts=parts,
    )
    outputs.append(record.write(task.out))
    n_instances = sum(part.tokens // record.sequence_length for part in parts)
    warnings = []
    if n_instances == 0:
        warnings.append(
            f"too few tokens for one instance: sequence_length is {record.sequence_length}, "
            f"the largest of {len(parts)} parts has {max(part.tokens for part in parts)}"
        )
    if totals.eos_in_text:
        warnings.append(
            f"eos_token_id {record.eos_token_id} also comes from text, {totals.eos_in_text} times: "
            "EOS does not tell where documents end; a special token would"
        )
    return Result(
        documents=totals.documents,
        bytes_in=totals.bytes_in,
        bytes_out=sum(files.size(path) for path in outputs),
        outputs=outputs,
        counts={
            "tokens": n_tokens,
            "parts": len(parts),
            "instances": n_instances,
            "empty": totals.empty,
            "eos_in_text": totals.eos_in_text,
            "special_in_text": totals.special_in_text,
            "encoder": record.encoder,
            "warnings": warnings,
        },
    )


def _write_parts(task: JoinTask) -> tuple[list[store.Part], list[str]]:
    """All documents into parts, each closed before it would hold more than is allowed."""
    itemsize = np.dtype(store.NUMPY_DTYPES[task.record.dtype]).itemsize
    parts: list[store.Part] = []
    outputs: list[str] = []
    with ExitStack() as threads, ExitStack() as undoing, ExitStack() as writing:
        undoing.callback(_remove, outputs)
        pool = None
        if task.threads > 1:
            pool = threads.enter_context(ThreadPoolExecutor(min(task.threads, COPYING_THREADS)))

        def next_part() -> store.PartWriter:
            return writing.enter_context(store.PartWriter(task.out, len(parts), pool, task.layout))

        def close(part: store.PartWriter) -> None:
            outputs.extend(part.outputs)
            writing.close()
            parts.append(part.part())

        part = next_part()
        for stem in task.encoded:
            with open(f"{stem}.ids", "rb", buffering=0) as ids:
                for rows in encoding.documents_of(stem):
                    while len(rows):
                        n_fit = _n_that_fit(rows, task.max_tokens_per_part - part.tokens)
                        if n_fit == 0 and part.documents:
                            close(part)
                            part = next_part()
                            continue
                        n_fit = max(n_fit, 1)  # a document larger than a part has one of its own
                        part.append(ids, itemsize, rows.slice(0, n_fit))
                        rows = rows.slice(n_fit)
                if ids.read(1):
                    raise VerificationError(f"{ids.name} holds more than its documents: run again")
        close(part)
        undoing.pop_all()
    return parts, outputs


def _remove(paths: list[str]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _n_that_fit(rows: pa.RecordBatch, room: int) -> int:
    """How many of the first documents together have at most `room` tokens."""
    ends = np.cumsum(rows.column("tokens").to_numpy())
    return int(np.searchsorted(ends, room, side="right"))


def _copy_tokenizer(task: JoinTask) -> str:
    with open(task.tokenizer, "rb") as stream:
        data = stream.read()
    path = os.path.join(task.out, task.record.tokenizer)
    with files.write_atomically(path) as stream:
        stream.write(data)
    return path
