"""Orders in the form that other programs read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dolma_kit import files, kernels
from dolma_kit.deduplication.bloom import available_memory
from dolma_kit.errors import ConfigError
from dolma_kit.order import stored
from dolma_kit.order.permutation import OlmoCorePermutation, OlmoPermutation, Permutation
from dolma_kit.order.run import Run

POSITIONS_AT_ONCE = 1 << 24
KERNELS = ("order_files",)


def export_global_indices(
    run: Run,
    path: str | os.PathLike[str],
    epoch: int | None = None,
    inverse: str | os.PathLike[str] | None = None,
) -> int:
    """Write the order of one epoch (default: the run's first) as OLMo's `global_indices.npy`.

    The file holds little-endian uint32 without a header, one an instance, as many as the epoch
    has positions: the tail that fills no batch included, what drop_last cuts off not
    (olmo/data/iterable_dataset.py). `inverse` is written with the position of each instance, the
    first of several; 4294967295 for one that the order has not. A file of that name is replaced at
    once or not at all. Shuffling takes 4 bytes an instance of memory where twice as much is free;
    where it is not, it is done within the mapped file, slower.

    Returns the number of positions; ConfigError for an epoch that the run does not have.
    """
    order = run.order if epoch is None else run.order_of(epoch)
    path = os.fspath(path)
    if inverse is not None and os.path.realpath(path) == os.path.realpath(inverse):
        raise ConfigError("the order and its inverse are two files: give two names")
    with files.write_atomically(path) as stream:
        if _is_shuffled(order) and order.n_instances > POSITIONS_AT_ONCE:
            _shuffle_into(stream, order)
        else:
            for start in range(0, len(order), POSITIONS_AT_ONCE):
                end = min(start + POSITIONS_AT_ONCE, len(order))
                stream.write(order.instances_at(start, end).astype(np.dtype("<u4")).tobytes())
    stored.remember(path, order.n_instances, order)
    if inverse is not None:
        _write_inverse(path, os.fspath(inverse), order)
    return len(order)


def _is_shuffled(order: Permutation) -> bool:
    """Whether it is numpy's shuffle as it is, which can be done in place."""
    whole = isinstance(order, OlmoPermutation) or (
        isinstance(order, OlmoCorePermutation) and order.chunk_size == 1
    )
    return whole and len(order) <= order.n_instances


def _shuffle_into(stream: IO[bytes], order: Permutation) -> None:
    """numpy's shuffle of 0 to n - 1, cut to the positions of the order."""
    n = order.n_instances
    with _array(stream, n) as instances:
        for start in range(0, n, POSITIONS_AT_ONCE):
            end = min(start + POSITIONS_AT_ONCE, n)
            instances[start:end] = np.arange(start, end, dtype=np.uint32)
        # numpy's method itself, in place: as exact as the run, and without a second array.
        np.random.Generator(np.random.PCG64(order.seed + order.epoch)).shuffle(instances)
    stream.truncate(4 * len(order))
    stream.seek(0, os.SEEK_END)


@contextlib.contextmanager
def _array(stream: IO[bytes], n: int) -> Iterator[NDArray[np.uint32]]:
    """(n,) uint32 that is in the file afterwards: of memory, if twice as much is free, which is
    some five times as fast; else the mapped file itself, of which nothing has to stay in memory."""
    free = available_memory()
    if free is not None and free > 8 * n:
        array = np.empty(n, "<u4")
        yield array
        for start in range(0, n, POSITIONS_AT_ONCE):
            stream.write(array[start : start + POSITIONS_AT_ONCE].data)
        stream.flush()
        return
    stream.truncate(4 * n)
    stream.flush()
    mapped = np.memmap(stream.name, "<u4", "r+", shape=(n,))
    yield np.asarray(mapped)
    mapped.flush()


def _write_inverse(path: str, inverse: str, order: Permutation) -> None:
    n = order.n_instances
    positions = np.memmap(path, "<u4", "r")
    with files.write_atomically(inverse) as stream:
        with _array(stream, n) as places:
            places[:] = kernels.order_files.NOWHERE
            # Once each: what an order repeats behind n_instances has its first position.
            for start in range(0, min(n, len(positions)), POSITIONS_AT_ONCE):
                end = min(start + POSITIONS_AT_ONCE, n, len(positions))
                piece = np.array(positions[start:end], np.uint32)
                kernels.order_files.invert_into(piece, start, places)
        stream.seek(0, os.SEEK_END)
