"""A number for each document by which to draw samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from dolma_kit import kernels
from dolma_kit.attributes import Columns, Kind
from dolma_kit.documents import Batch
from dolma_kit.registry import Tagger

N_BITS = 53  # of a float's mantissa: every multiple of 2^-53 below 1 is a float


class RandomV2(Tagger, frozen=True):
    """A number from 0 to 1 (`random`), 1 excluded, that depends on the document's id and the seed.

    It is the upper 53 bits of XXH64 of the id's UTF-8 with `seed`, as a fraction, and not rounded.
    So it is the same in every run, on every machine, in any order: `random < 0.1` draws the same
    tenth of the ids each time, another seed an independent one, and documents of one id are drawn
    together. Differs from Dolma: the numbers of its `random_number_v1`, which is not offered,
    depend on the process that happened to tag the document and are other ones in each run. Source:
    Yann Collet, xxHash's specification, XXH64.
    """

    id: ClassVar[str] = "random_v2"
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {"random": "score"}

    def kernels(self) -> tuple[str, ...]:
        return ("hashing",)

    def tag(self, batch: Batch) -> Columns:
        ids = [name.encode() for name in batch.ids]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(name) for name in ids], out=offsets[1:])
        data = np.frombuffer(b"".join(ids), np.uint8)
        hashes = kernels.hashing.hash_slices(data, offsets[:-1], offsets[1:], np.uint64(self.seed))
        return {"random": (hashes >> np.uint64(64 - N_BITS)) * 2.0**-N_BITS}
