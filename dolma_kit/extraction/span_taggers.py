"""Taggers that look at pages while they are extracted, and what they find in Dolma's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dolma_kit import checking, kernels, plugins, registry
from dolma_kit.attributes import Spans, column_name

Attributes = dict[str, list[tuple[int, int, float]]]


class SpanTaggers:
    """Taggers by their specs. False where there are none."""

    def __init__(self, specs: Sequence[str | dict[str, Any]], files: Sequence[str]) -> None:
        self._taggers: list[registry.Tagger] = []
        if specs:
            given = plugins.read(files)
            self._taggers = [registry.tagger(spec, given) for spec in specs]
            kernels.load([name for tagger in self._taggers for name in tagger.kernels()])

    def __bool__(self) -> bool:
        return bool(self._taggers)

    def tag(
        self, texts: Sequence[tuple[str, str]], metadata: Sequence[dict[str, Any]] | None = None
    ) -> list[Attributes]:
        """Of each (id, text) the attributes: of spans all, of scores one over the whole text, named
        as `dolma warc` names them."""
        found: list[Attributes] = [{} for _ in texts]
        if not texts or not self._taggers:
            return found
        import numpy as np

        from dolma_kit.documents import batch_of

        batch = batch_of(texts, metadata)
        for tagger in self._taggers:
            for key, values in checking.measure(tagger, batch).items():
                name = column_name(tagger.column, tagger.column, key)
                if isinstance(values, Spans):
                    for i in np.flatnonzero(np.diff(values.offsets)).tolist():
                        rows = range(values.offsets[i], values.offsets[i + 1])
                        found[i][name] = [
                            (int(values.start[k]), int(values.end[k]), float(values.score[k]))
                            for k in rows
                        ]
                else:
                    for i in np.flatnonzero(~np.isnan(values)).tolist():
                        found[i][name] = [(0, len(texts[i][1]), float(values[i]))]
        return found
