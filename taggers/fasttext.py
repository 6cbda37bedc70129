"""What any classifier of fastText says of a text: topic, quality, toxicity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from dolma_kit import checking, fasttext_models, kernels, registry, segments
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.model_tagging import ModelName
from dolma_kit.registry import Tagger
from dolma_kit.segments import Segments, Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FastText(Tagger, frozen=True):
    """The labels that a fastText model predicts, with their probabilities.

    `model` is a `.bin` or `.ftz` file, or its URL, which is fetched once. `name` stands in the
    columns' names instead of `fasttext`. Keys are the model's labels without `__label__`. `k` is
    how many labels a text may get, the best ones (None: all of them); below `threshold` a label
    has no value. `by` is document, which gives scores, paragraph or sentence, which give spans
    (see `dolma_kit.segments`). Line feeds count as spaces and ends are stripped, as in Dolma's
    fastText taggers; with `lowercase`, for a model that was trained so, text is put in lower case.
    Scores are those of fastText's `predict`, rounded to 5 decimals. Source: Joulin et al. 2016,
    "Bag of Tricks for Efficient Text Classification".
    """

    id: ClassVar[str] = "fasttext"
    model: ModelName
    name: str | None = None
    k: Annotated[int, Meta(ge=1)] | None = None
    threshold: float | None = None
    by: Unit = "document"
    lowercase: bool = False

    @property
    def column(self) -> str:
        if self.name is None:
            return self.id
        registry.check_id(self.name)
        return self.name

    @property
    def recorded(self) -> dict[str, Any]:
        return self.spec | {"model": fasttext_models.file_name(self.model)}

    @property
    def keys(self) -> Mapping[str, Kind]:
        kind: Kind = "score" if self.by == "document" else "spans"
        keys = dict.fromkeys(fasttext_models.load(self.model).labels, kind)
        checking.check_keys(keys, self.model)
        return keys

    def models(self) -> tuple[str, ...]:
        return (fasttext_models.local_path(self.model),)

    def kernels(self) -> tuple[str, ...]:
        return (*fasttext_models.KERNELS, *segments.KERNELS, "lowercase", "rounding")

    def tag(self, batch: Batch) -> Columns:
        model = fasttext_models.load(self.model)
        pieces = segments.segments(batch, self.by)
        text, starts, ends = fasttext_models.prepared(
            batch.text_bytes, pieces.starts, pieces.ends, lowercase=self.lowercase
        )
        if self.k is None:
            scores = model.score(text, starts, ends).astype(np.float64)
        else:
            labels, best = model.best(text, starts, ends, self.k)
            scores = np.zeros((len(labels), len(model.labels)))
            rows, places = np.nonzero(labels >= 0)
            scores[rows, labels[rows, places]] = best[rows, places]
        predicted = scores > 0
        if self.threshold is not None:
            predicted &= scores >= self.threshold
        if self.by != "document":
            return pieces.label_spans(model.labels, scores, predicted)
        return segments.label_scores(model.labels, scores, predicted)


def stripped(batch: Batch, unit: Unit) -> tuple[Segments, NDArray[np.int64], NDArray[np.int64]]:
    """The pieces of a batch, and in its bytes their starts and ends without outer white space."""
    pieces = segments.segments(batch, unit)
    return pieces, *kernels.lowercase.strip(batch.text_bytes, pieces.starts, pieces.ends)
