"""Label masks: files of a byte for each token, 1 where the token is a label, which a loss is of.

Fine-tuning has them, to train on answers and not on questions; `tokens chat` writes them as OLMo
reads them (its `data.label_mask_paths`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import VerificationError
from dolma_kit.order import remote
from dolma_kit.order.instances import Instances
from dolma_kit.order.paths import TokenFile


class LabelMasks:
    """The masks of a run's token files, one each; VerificationError for one of another length."""

    def __init__(self, paths: Sequence[str], files: Sequence[TokenFile]) -> None:
        self._paths = paths
        for path, file in zip(paths, files, strict=True):
            n_bytes = remote.sizes([path])[0]
            if n_bytes != file.n_tokens:
                raise VerificationError(
                    f"{path} has {n_bytes} bytes, {file.path} {file.n_tokens} tokens: a mask has "
                    "a byte for each"
                )

    def read(self, file: int, start: int, end: int) -> NDArray[np.bool_]:
        """Which of the tokens [start, end) of a file are labels."""
        found = remote.read_range(self._paths[file], start, end)
        return np.frombuffer(found, np.uint8).astype(np.bool_)

    def count(self, instances: Instances, instance: int, start: int, end: int) -> int:
        """How many of the tokens [start, end) of an instance are labels."""
        n, at = 0, 0
        for file, first, stop in instances.spans(instance):
            begins, ends = max(first, first + start - at), min(stop, first + end - at)
            if begins < ends:
                n += int(np.count_nonzero(self.read(file, begins, ends)))
            at += stop - first
        return n
