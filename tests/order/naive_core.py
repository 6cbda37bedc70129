"""OLMo-core's and Megatron's loaders restated, as slow and plain as their sources.

OLMo-core: olmo_core/data/data_loader.py and numpy_dataset.py, `InstancePacker` of utils.py.
Megatron: megatron/core/datasets/gpt_dataset.py and helpers.cpp, `build_sample_idx`.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np


def core_order(n: int, seed: int, epoch: int, chunk_size: int, batch_size: int) -> list[int]:
    """`_build_global_indices`, cut to whole batches."""
    rng = np.random.Generator(np.random.PCG64(seed=seed + epoch))
    indices = np.arange(n // chunk_size, dtype=np.uint32)
    rng.shuffle(indices)
    if chunk_size > 1:
        indices = np.repeat(indices * chunk_size, chunk_size).reshape(-1, chunk_size)
        indices = (indices + np.arange(chunk_size).reshape(1, -1)).reshape(-1)
    return [int(i) for i in indices[: batch_size * (n // batch_size)]]


def core_batches(order: list[int], batch_size: int, world_size: int) -> list[list[list[int]]]:
    """By batch and rank, the instances of an epoch."""
    rows = [order[i : i + batch_size] for i in range(0, len(order) - batch_size + 1, batch_size)]
    return [[row[rank::world_size] for rank in range(world_size)] for row in rows]


def documents_of(ids: list[int], eos: int, most: int, long_documents: str) -> list[tuple[int, int]]:
    """`iter_document_indices_with_max_sequence_length` of a local file."""
    found, start = [], 0
    for i, token in enumerate(ids):
        if token != eos:
            continue
        end = i + 1
        if end - start <= most:
            found.append((start, end))
        elif long_documents == "truncate":
            found.append((start, start + most))
        else:
            found += [(a, min(end, a + most)) for a in range(start, end, most)]
        start = end
    return found


def packed(
    files: list[list[int]], eos: int, most: int, long_documents: str
) -> list[list[tuple[int, int, int]]]:
    """The instances of one group of files: (file, start, end) of each one's documents."""
    documents = [
        (file, start, end)
        for file, ids in enumerate(files)
        for start, end in documents_of(ids, eos, most, long_documents)
    ]
    lengths = np.array([end - start for _, start, end in documents], np.int64)
    instances: list[list[tuple[int, int, int]]] = []
    queues: dict[int, deque[int]] = {}
    for i in np.argsort(-1 * lengths):
        file, start, end = documents[int(i)]
        length = end - start
        rooms = [room for room in sorted(queues) if room >= length and queues[room]]
        if rooms and rooms[0] < most:
            number, room = queues[rooms[0]].popleft(), rooms[0]
        else:
            instances.append([])
            number, room = len(instances) - 1, most
        instances[number].append((file, start, end))
        if room > length:
            queues.setdefault(room - length, deque()).append(number)
    return instances


def write_index(stem: Path, sequences: list[list[int]], documents: list[int], code: int) -> None:
    """X.bin and X.idx; `documents` are the first sequence of each document."""
    dtype = {4: "<i4", 8: "<u2"}[code]
    np.concatenate([np.array(s, dtype) for s in sequences]).tofile(f"{stem}.bin")
    lengths = np.array([len(s) for s in sequences], "<i4")
    pointers = (np.cumsum(lengths, dtype="<i8") - lengths) * np.dtype(dtype).itemsize
    head = b"MMIDIDX\x00\x00" + (1).to_bytes(8, "little") + bytes([code])
    head += len(sequences).to_bytes(8, "little") + (len(documents) + 1).to_bytes(8, "little")
    first = np.array([*documents, len(sequences)], "<i8")
    Path(f"{stem}.idx").write_bytes(
        head + lengths.tobytes() + pointers.astype("<i8").tobytes() + first.tobytes()
    )


class GptDataset:
    """The samples of one data set, built as `GPTDataset` builds them."""

    def __init__(
        self, documents: list[list[int]], sequence_length: int, n_epochs: int, seed: int
    ) -> None:
        self.documents, self.sequence_length = documents, sequence_length
        random = np.random.RandomState(seed)
        index = np.mgrid[0:n_epochs, 0 : len(documents)][1].reshape(-1).astype(np.int32)
        random.shuffle(index)
        self.document_index = index
        self.sample_index = self._samples()
        shuffle = np.arange(len(self.sample_index) - 1, dtype=np.uint32)
        random.shuffle(shuffle)
        self.shuffle_index = shuffle

    def _samples(self) -> Any:
        """Walks through the documents, sequence_length tokens a sample (helpers.cpp)."""
        place, offset = 0, 0
        rows = [(place, offset)]
        n_tokens = sum(len(self.documents[d]) for d in self.document_index)
        for _ in range((n_tokens - 1) // self.sequence_length):
            remaining = self.sequence_length + 1
            while remaining:
                length = len(self.documents[self.document_index[place]]) - offset
                remaining -= length
                if remaining <= 0:
                    offset += remaining + length - 1
                    remaining = 0
                else:
                    place, offset = place + 1, 0
            rows.append((place, offset))
        return np.array(rows, np.int32)

    def sample(self, position: int) -> list[int]:
        """`_query_document_sample_shuffle_indices`."""
        i = int(self.shuffle_index[position])
        (first, begin), (last, stop) = self.sample_index[i], self.sample_index[i + 1]
        if first == last:
            return self.documents[self.document_index[first]][begin : stop + 1]
        ids = self.documents[self.document_index[first]][begin:]
        for place in range(first + 1, last):
            ids = ids + self.documents[self.document_index[place]]
        return ids + self.documents[self.document_index[last]][: stop + 1]

    def save(self, prefix: Path) -> None:
        np.save(f"{prefix}-document_index.npy", self.document_index)
        np.save(f"{prefix}-sample_index.npy", self.sample_index)
        np.save(f"{prefix}-shuffle_index.npy", self.shuffle_index)
