"""Orders in the form that other programs read."""

from __future__ import annotations

import os

import numpy as np

from dolma_kit.files import write_atomically
from dolma_kit.order.run import Run

POSITIONS_AT_ONCE = 1 << 24


def export_global_indices(run: Run, path: str | os.PathLike[str], epoch: int | None = None) -> int:
    """Write the order of one epoch (default: the run's first) as OLMo's `global_indices.npy`.

    The file holds little-endian uint32 without a header, one an instance, as many as the epoch
    has positions: the tail that fills no batch included, what drop_last cuts off not
    (olmo/data/iterable_dataset.py). A file of that name is replaced at once or not at all.
    Returns the number of positions; ConfigError for an epoch that the run does not have.
    """
    order = run.order if epoch is None else run.order_of(epoch)
    with write_atomically(os.fspath(path)) as stream:
        for start in range(0, len(order), POSITIONS_AT_ONCE):
            end = min(start + POSITIONS_AT_ONCE, len(order))
            stream.write(order.instances_at(start, end).astype(np.dtype("<u4")).tobytes())
    return len(order)
