"""How surprising a text is to a language model of n-grams, as CCNet sorts web pages by it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.errors import ConfigError
from dolma_kit.language_models import models, text
from dolma_kit.language_models.models import Model
from dolma_kit.language_models.text import Lines, Normalize, Preparation, Sentence
from dolma_kit.registry import Tagger

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS = ("perplexity", "log10_probability", "token_count", "unknown_token_count")
HEAD, MIDDLE, TAIL = 0.0, 1.0, 2.0


class PerplexityV1(Tagger, frozen=True):
    """The perplexity of each document under an n-gram model, and CCNet's bucket.

    `model` is an ARPA file (`dolma-kit train-language-model` makes one) or KenLM's binary form of
    the kind "probing", as cc_net publishes it, or the URL of one, which is fetched once. Text is
    prepared as `normalize`, `tokenizer` (SentencePiece's .model or a tokenizer.json) and `sentence`
    say, see `dolma_kit.language_models.text`; a model of ours knows how its text was, and another
    way is refused. cc_net's pipeline is tokenizer=en.sp.model, sentence=document.

    `perplexity` is 10 ** (-log10_probability / token_count), `token_count` the tokens and one for
    the end of each line, empty lines too; the highest float64 where that is more. An empty text has
    no values. With both cutoffs, `bucket` is 0 (head) below `head`, 1 (middle) below `tail`, else 2
    (tail). Differs from cc_net, which rounds the perplexity to one decimal, also for the bucket.
    Source: Wenzek et al. 2019 (arXiv:1911.00359), cc_net/perplexity.py, DocLM and
    PerplexityBucket; scores are KenLM's, summed in double precision.
    """

    id: ClassVar[str] = "perplexity_v1"
    model: Annotated[str, Meta(min_length=1)]
    normalize: Normalize | None = "ccnet"
    tokenizer: Annotated[str, Meta(min_length=1)] | None = None
    sentence: Sentence = "line"
    head: float | None = None
    tail: float | None = None

    def __post_init__(self) -> None:
        if self._has_buckets and not self.head <= self.tail:  # type: ignore[operator]
            raise ConfigError(
                f"{self.id}: head={self.head} is above tail={self.tail}: the head is what the "
                "model finds least surprising, give the lower cutoff as head"
            )

    @property
    def _has_buckets(self) -> bool:
        return self.head is not None and self.tail is not None

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys((*KEYS, "bucket") if self._has_buckets else KEYS, "score")

    @property
    def recorded(self) -> dict[str, Any]:
        names = {"model": os.path.basename(models.local_path(self.model))}
        if self.tokenizer is not None:
            names["tokenizer"] = os.path.basename(models.local_path(self.tokenizer, "tokenizer"))
        return self.spec | names

    def models(self) -> tuple[str, ...]:
        paths = [models.local_path(self.model)]
        if self.tokenizer is not None:
            paths.append(models.local_path(self.tokenizer, "tokenizer"))
        return tuple(paths)

    def kernels(self) -> tuple[str, ...]:
        return (*models.KERNELS, *text.KERNELS)

    def tag(self, batch: Batch) -> Columns:
        prepared = Preparation(self.normalize, self.tokenizer, self.sentence)
        model = self._loaded(prepared)

        def prepare(batch: Batch) -> Lines:
            return prepared.lines(batch)

        scores = model.score(batch.once(f"lines of words {prepared}", prepare))
        names = kernels.language_model
        is_empty = scores[:, names.LENGTH] == 0
        perplexities = models.perplexity(scores)
        columns: Columns = {
            "perplexity": perplexities,
            "log10_probability": np.where(is_empty, np.nan, scores[:, names.LOG10]),
            "token_count": np.where(is_empty, np.nan, scores[:, names.LENGTH]),
            "unknown_token_count": np.where(is_empty, np.nan, scores[:, names.N_UNKNOWN]),
        }
        if self.head is not None and self.tail is not None:
            columns["bucket"] = buckets(perplexities, self.head, self.tail)
        return columns

    def _loaded(self, prepared: Preparation) -> Model:
        """The model, which was trained on text that was prepared as ours is, if it says how."""
        model = models.load(self.model)
        prepared.require(model.note, model.path)
        return model


def buckets(perplexities: NDArray[np.float64], head: float, tail: float) -> NDArray[np.float64]:
    """CCNet's bucket of each perplexity, NaN where that is NaN."""
    found = np.where(perplexities < tail, MIDDLE, TAIL)
    found[perplexities < head] = HEAD
    return np.where(np.isnan(perplexities), np.nan, found)
