"""How long a document is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger


class CharLength(Tagger, frozen=True):
    """Length of the text in code points (`length`). Source: Dolma's taggers/length.py."""

    id: ClassVar[str] = "char_length_v1"

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"length": "score"}

    def tag(self, batch: Batch) -> Columns:
        return {"length": batch.n_characters.astype(np.float64)}
