"""Perplexity and bits per byte by source, on token files that were held out.

Each document is read alone, cut into windows of the model's length: of each token the loss given
those before it in its window, of a window's first token given an EOS (Paloma, Magnusson et al.
2023: documents are not run together). Perplexity is exp(sum of losses / tokens); bits per byte are
the sum of losses over ln 2 and over the bytes of the documents' texts, so that models of other
tokenizers compare. The EOS that ends a document is not predicted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError
from dolma_kit.order.documents import DocumentTable
from dolma_kit.order.run import Run
from dolma_kit.training.models import Transformer
from dolma_kit.training.optimizer import summed_loss

UNKNOWN = "unknown"
WINDOWS_AT_ONCE = 16


class SourceLoss(msgspec.Struct, frozen=True):
    """Of a source: documents, tokens that were predicted, bytes of their text, the mean loss in
    nats, perplexity, and bits per byte."""

    source: str
    documents: int
    tokens: int
    bytes: int
    loss: float
    perplexity: float
    bits_per_byte: float


@dataclass
class _Sum:
    documents: int = 0
    tokens: int = 0
    n_bytes: int = 0
    loss: float = 0.0


def evaluate(
    model: Transformer, run: Run, *, sequence_length: int, max_documents: int | None = None
) -> list[SourceLoss]:
    """The losses of the documents of a run's token files, by source, and `all` behind them.

    `max_documents` are taken of each source, the first ones. ConfigError for a tokenizer that is
    not byte-level, and for a run without eos_token_id or lists of documents.
    """
    eos = run.description.eos_token_id
    if eos is None:
        raise ConfigError(f"{run.path}: no eos_token_id, before which a document begins")
    sizes = np.diff(run.vocabulary.offsets)
    sums: dict[str, _Sum] = {}
    windows = _windows(run, eos, sizes, sequence_length, max_documents, sums)
    model.eval()
    with torch.no_grad():
        while batch := list(itertools.islice(windows, WINDOWS_AT_ONCE)):
            _add(model, batch, sums)
    rows = [_row(source, one) for source, one in sorted(sums.items())]
    whole = _Sum(
        sum(s.documents for s in sums.values()),
        sum(s.tokens for s in sums.values()),
        sum(s.n_bytes for s in sums.values()),
        sum(s.loss for s in sums.values()),
    )
    return [*rows, _row("all", whole)]


def _windows(
    run: Run,
    eos: int,
    sizes: NDArray[np.int64],
    length: int,
    max_documents: int | None,
    sums: dict[str, _Sum],
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """(source, ids with an EOS before them) of each window, documents and bytes counted."""
    for n, file in enumerate(run.files):
        table = run.documents(n)
        if not isinstance(table, DocumentTable):
            raise ConfigError(f"{file.path} has no list of documents")
        codes, names = table.sources()
        for row in range(len(table)):
            source = names[int(codes[row])] or UNKNOWN
            total = sums.setdefault(source, _Sum())
            if max_documents is not None and total.documents >= max_documents:
                continue
            ids = file.read(int(table.starts[row]), int(table.ends[row])).astype(np.int64)
            if len(ids) and ids[-1] == eos:
                ids = ids[:-1]
            if not len(ids):
                continue
            total.documents += 1
            total.n_bytes += int(sizes[ids].sum())
            for start in range(0, len(ids), length - 1):
                yield source, np.concatenate(([eos], ids[start : start + length - 1]))


def _add(
    model: Transformer, batch: list[tuple[str, NDArray[np.int64]]], sums: dict[str, _Sum]
) -> None:
    """Add the losses of some windows, padded to the longest."""
    longest = max(len(ids) for _, ids in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    is_target = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, (_, window) in enumerate(batch):
        ids[row, : len(window)] = torch.from_numpy(window)
        is_target[row, 1 : len(window)] = True
    device = next(model.parameters()).device
    ids, is_target = ids.to(device), is_target.to(device)
    logits = model(ids)
    for row, (source, window) in enumerate(batch):
        loss, _ = summed_loss(
            logits[row : row + 1], ids[row : row + 1], is_target[row : row + 1], 0.0
        )
        sums[source].loss += float(loss)
        sums[source].tokens += len(window) - 1


def _row(source: str, total: _Sum) -> SourceLoss:
    mean = total.loss / max(total.tokens, 1)
    return SourceLoss(
        source=source,
        documents=total.documents,
        tokens=total.tokens,
        bytes=total.n_bytes,
        loss=round(mean, 6),
        perplexity=round(math.exp(min(mean, 700.0)), 4),
        bits_per_byte=round(total.loss / math.log(2) / max(total.n_bytes, 1), 6),
    )
