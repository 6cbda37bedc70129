"""Which lines of a document are code and which are prose, by a fastText model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dolma_kit import fasttext_models, kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.model_tagging import ModelName, ModelTagger

CODE_AND_PROSE = "https://huggingface.co/techarb/code-prose-composition/resolve/main/code-comment-prose-model.bin"
LABELS = ("code", "prose", "other")
MIN_CHARACTERS = 4  # of a line that the model is asked about


class CodeComposition(ModelTagger, frozen=True):
    """How many lines are `code`, `prose` and `other`, and how sure the model is of that.

    Lines are those of `str.splitlines` without white space at their ends, empty ones left out; of
    up to 3 characters they are `other`. For each label that a line has: their number, their share
    (`_pct`, rounded to 2 decimals) and the mean entropy of the model's predictions in bits
    (`_entropy`; 0 for short lines). `boundaries` are the places where a line of code follows one of
    prose or the other way round. Differs from Dolma: a text with a line that the model predicts
    nothing for, where it fails, has no values. Source: Dolma's taggers/code_composition.py.
    """

    id: ClassVar[str] = "code_composition"
    model: ModelName = CODE_AND_PROSE
    known_labels: ClassVar[tuple[str, ...]] = LABELS

    @property
    def keys(self) -> Mapping[str, Kind]:
        keys: dict[str, Kind] = {"boundaries": "score"}
        for label in LABELS:
            keys |= {f"{label}_pct": "score", label: "score", f"{label}_entropy": "score"}
        return keys

    def kernels(self) -> tuple[str, ...]:
        return (*fasttext_models.KERNELS, "code", "rounding")

    def tag(self, batch: Batch) -> Columns:
        model = self.classifier()
        docs, starts, ends, lengths = kernels.code.stripped_lines(batch.text_bytes, batch.offsets)
        asked = lengths >= MIN_CHARACTERS
        best, scores = model.best(batch.text_bytes, starts[asked], ends[asked], len(LABELS))
        labels = np.full(len(docs), LABELS.index("other"))
        entropies = np.zeros(len(docs))
        order = np.array([LABELS.index(label) for label in model.labels])
        labels[asked] = np.where(best[:, 0] >= 0, order[best[:, 0]], -1)
        for probabilities in scores.astype(np.float64).T:  # the likeliest first, as Dolma adds up
            logarithms = np.log2(probabilities, out=np.zeros(len(best)), where=probabilities > 0)
            entropies[asked] -= probabilities * logarithms
        failed = np.zeros(len(batch), np.bool_)
        failed[docs[labels < 0]] = True
        columns: Columns = {
            "boundaries": np.where(failed, np.nan, boundaries(docs, labels, len(batch)))
        }
        totals = np.bincount(docs, minlength=len(batch))
        for i, label in enumerate(LABELS):
            rows = labels == i
            counts = np.bincount(docs[rows], minlength=len(batch)).astype(np.float64)
            counts[failed | (counts == 0)] = np.nan
            sums = np.bincount(docs[rows], weights=entropies[rows], minlength=len(batch))
            shares = (counts / np.maximum(totals, 1)).tolist()
            columns[label] = counts
            columns[f"{label}_pct"] = np.array([round(share, 2) for share in shares], np.float64)
            columns[f"{label}_entropy"] = kernels.rounding.round5(sums / counts)
        return columns


def boundaries(
    docs: np.ndarray[tuple[int], np.dtype[np.int64]],
    labels: np.ndarray[tuple[int], np.dtype[np.int64]],
    n_docs: int,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How often, in each document, a line of code stands next to one of prose, (n_docs,)."""
    known = (labels == LABELS.index("code")) | (labels == LABELS.index("prose"))
    changes = (docs[1:] == docs[:-1]) & known[1:] & known[:-1] & (labels[1:] != labels[:-1])
    return np.bincount(docs[1:][changes], minlength=n_docs).astype(np.float64)
