"""How much a document reads like text that was chosen for its quality.

By fastText models of words and word pairs, trained on reference text against web pages. The
setting `model` is a path or URL of Dolma's model; one with other labels is refused. The ids have
hyphens as Dolma's do; in columns these are `_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dolma_kit import fasttext_models, kernels, segments
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.model_tagging import ModelName, ModelTagger

if TYPE_CHECKING:
    from numpy.typing import NDArray

DCLM = (
    "https://huggingface.co/mlfoundations/fasttext-oh-eli5/resolve/main/"
    "openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin"
)
DOLMA_17 = (
    "https://dolma-artifacts.org/fasttext_models/dolma-1_7/"
    "cc_wiki_wikiref_sw_pes2o_adult_fakenews_math_books_openhermes.bin"
)


class Dolma17Quality(ModelTagger, frozen=True):
    """The probability that a document is of high quality (`hq`), and that it is not (`lq`).

    High quality is what Wikipedia, pages that it cites, books, papers and the like are, low what
    web pages are. Words are what stands between white space, that of Unicode. Differs from Dolma:
    a text of white space alone, where it fails, has no value. Source: Dolma's taggers/quality.py,
    Dolma17QualityClassifier.
    """

    id: ClassVar[str] = "dolma17-quality"
    model: ModelName = DOLMA_17
    known_labels: ClassVar[tuple[str, str]] = ("hq", "lq")

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"hq": "score", "lq": "score"}

    def kernels(self) -> tuple[str, ...]:
        return (*fasttext_models.KERNELS, "lowercase", "rounding", "whitespace")

    def tag(self, batch: Batch) -> Columns:
        model = self.classifier()
        text, is_blank = spaced(batch, kernels.whitespace.WHITE_SPACE)
        scores = model.score(text, batch.offsets[:-1], batch.offsets[1:]).astype(np.float64)
        return segments.label_scores(model.labels, scores, (scores > 0) & ~is_blank[:, None])


class DclmOhEli5(Dolma17Quality, frozen=True):
    """The probability that a document is of high quality, as DCLM-Baseline was filtered by.

    One key, `score`. High quality is what OpenHermes 2.5 and answers in r/explainlikeimfive are,
    low what web pages are (Li et al. 2024, "DataComp-LM"). Lines, those of
    `str.splitlines`, are joined by spaces. Where web page (`cc`) is the likelier label, the score
    is 1 less its probability; as fastText adds 1e-5 to each, it may be below 0. Differs from
    Dolma: a text of which fastText says nothing, where Dolma fails, has no value. Source: Dolma's
    taggers/quality.py, DclmQualityClassifier.
    """

    id: ClassVar[str] = "dclm-oh-eli5"
    model: ModelName = DCLM
    known_labels: ClassVar[tuple[str, str]] = ("hq", "cc")

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"score": "score"}

    def tag(self, batch: Batch) -> Columns:
        model = self.classifier()
        text, _ = spaced(batch, kernels.whitespace.LINE_BREAKS)
        starts, ends = kernels.lowercase.strip(text, batch.offsets[:-1], batch.offsets[1:])
        labels, best = model.best(text, starts, ends, 1)
        scores = best[:, 0].astype(np.float64)
        scores = np.where(labels[:, 0] == model.labels.index("cc"), 1.0 - scores, scores)
        scores = np.where(labels[:, 0] < 0, np.nan, scores)  # fastText says nothing: Dolma fails
        return {"score": kernels.rounding.round5(scores)}


def spaced(batch: Batch, characters: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The batch's bytes with some characters made spaces, and which documents are spaces alone."""
    table = kernels.whitespace.table_of(characters)
    made: tuple[NDArray[np.uint8], NDArray[np.bool_]] = kernels.whitespace.blank_out(
        batch.text_bytes, batch.offsets, table
    )
    return made
