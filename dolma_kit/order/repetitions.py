"""OLMo's instance filter: repetitions that mask an instance (olmo/data/util.py; reference, 1.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dolma_kit import kernels
from dolma_kit.order.description import InstanceFilter


def is_masked(tokens: NDArray[Any], settings: InstanceFilter) -> bool:
    """Whether (T,) token ids hold max_count or more copies, one after the other, of a sequence of
    min_period to max_period ids; a period longer than a third of them is not looked for."""
    ids = np.ascontiguousarray(tokens, np.uint32)
    found = kernels.periods.find(
        ids,
        np.array([0, len(ids)], np.int64),
        min_period=settings.min_period,
        max_period=min(settings.max_period, len(ids) // 3),
        min_times=settings.max_count,
    )
    return len(found.starts) > 0
