"""Toxic and obscene text, by the classifiers that Dolma was filtered with.

They are fastText models of words and word pairs, trained on the comments of the Jigsaw Toxic
Comment Classification Challenge. Line feeds count as spaces and ends are stripped. The setting
`model` is a path or URL of Dolma's model; one with other labels is refused. Keys are the labels as
the model's file has them, with `__label__`, as Dolma writes them, so that columns end in
`____label__toxic`. A text of which fastText says nothing has no value; Dolma fails there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dolma_kit import fasttext_models, segments
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.model_tagging import ModelName, ModelTagger
from dolma_kit.segments import Unit
from taggers.fasttext import stripped

_JIGSAW = "https://dolma-artifacts.org/fasttext_models/jigsaw_fasttext_bigrams_20230515/"
HATESPEECH = _JIGSAW + "jigsaw_fasttext_bigrams_hatespeech_final.bin"
NSFW = _JIGSAW + "jigsaw_fasttext_bigrams_nsfw_final.bin"


class JigsawHatespeechDocumentV2(ModelTagger, frozen=True):
    """The probability that a document is toxic, and that it is not.

    Differs from Dolma: a text of which fastText says nothing, where Dolma fails, has no value.
    Source: Dolma's taggers/jigsaw.py, FastTextJigsawHatespeechDocumentTagger.
    """

    id: ClassVar[str] = "jigsaw_hatespeech_document_v2"
    model: ModelName = HATESPEECH
    known_labels: ClassVar[tuple[str, str]] = ("toxic", "non-toxic")
    by: ClassVar[Unit] = "document"

    @property
    def keys(self) -> Mapping[str, Kind]:
        kind: Kind = "score" if self.by == "document" else "spans"
        return {f"__label__{label}": kind for label in self.known_labels}

    def kernels(self) -> tuple[str, ...]:
        return (*fasttext_models.KERNELS, *segments.KERNELS, "lowercase")

    def tag(self, batch: Batch) -> Columns:
        model = self.classifier()
        pieces, starts, ends = stripped(batch, self.by)
        scores = model.score(batch.text_bytes, starts, ends).astype(np.float64)
        labels = [f"__label__{label}" for label in model.labels]
        if self.by == "document":
            return segments.label_scores(labels, scores, scores > 0)
        return pieces.label_spans(labels, scores, scores > 0)


class JigsawHatespeechSentenceV2(JigsawHatespeechDocumentV2, frozen=True):
    """The sentences of a document, with the probability that each is toxic, and that it is not.

    Sentences are BlingFire's, without the white space between them. Differs from Dolma: it takes
    NLTK's sentences where BlingFire is not installed; and as `jigsaw_hatespeech_document_v2`.
    Source: Dolma's taggers/jigsaw.py, FastTextJigsawHatespeechSentenceTagger.
    """

    id: ClassVar[str] = "jigsaw_hatespeech_sentence_v2"
    by: ClassVar[Unit] = "sentence"


class JigsawNsfwDocumentV1(JigsawHatespeechDocumentV2, frozen=True):
    """The probability that a document is obscene (not safe for work), and that it is not.

    Differs from Dolma: as `jigsaw_hatespeech_document_v2`. Source: Dolma's taggers/jigsaw.py,
    FastTextJigsawNsfwDocumentTagger.
    """

    id: ClassVar[str] = "jigsaw_nsfw_document_v1"
    model: ModelName = NSFW
    known_labels: ClassVar[tuple[str, str]] = ("nsfw", "non-nsfw")


class JigsawNsfwSencenceV2(JigsawNsfwDocumentV1, frozen=True):
    """The sentences of a document, with the probability that each is obscene, and that it is not.

    The id is misspelt as Dolma's is. Differs from Dolma: as `jigsaw_hatespeech_sentence_v2`.
    Source: Dolma's taggers/jigsaw.py, FastTextJigsawNsfwSentenceTagger.
    """

    id: ClassVar[str] = "jigsaw_nsfw_sencence_v2"
    by: ClassVar[Unit] = "sentence"
