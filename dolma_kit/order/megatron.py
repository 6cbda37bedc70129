"""Instances of Megatron: sequences of a `.idx`, and samples of the indices that a run has cached.

`SequenceInstances`: each sequence is an instance, as Pythia's data was stored, shuffled beforehand,
2,049 tokens so that 2,048 are targets.

`MegatronInstances` (megatron/core/datasets/gpt_dataset.py): a run's cached indices are, for each
of its data sets, PREFIX-document_index.npy (documents in a shuffled order, of all epochs),
-sample_index.npy (n + 1 rows: place in that order and first token of each sample) and
-shuffle_index.npy (position -> sample); GPT-NeoX's are PREFIX_doc_idx.npy, _sample_idx.npy,
_shuffle_idx.npy. A sample has sequence_length + 1 tokens, the last of them also the first of the
next sample. A blend of data sets has -dataset_index.npy and -dataset_sample_index.npy besides
(megatron/core/datasets/blended_dataset.py). Samples are numbered through all data sets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dolma_kit import files as stored_files
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.description import InstanceForm
from dolma_kit.order.instances import Held, Instances, Left, Span
from dolma_kit.order.paths import TokenFile
from dolma_kit.order.permutation import Permutation
from dolma_kit.order.sequences import SequenceIndex, index_of

SUFFIXES = {
    "document": ("-document_index.npy", "_doc_idx.npy"),
    "sample": ("-sample_index.npy", "_sample_idx.npy"),
    "shuffle": ("-shuffle_index.npy", "_shuffle_idx.npy"),
}
BLEND = ("-dataset_index.npy", "-dataset_sample_index.npy")


class SequenceInstances(Instances):
    """Each sequence of the files' indices is an instance; one may be of fewer tokens."""

    def __init__(self, files: Sequence[TokenFile], sequence_length: int) -> None:
        self._indices = [_checked(index_of(file.path), file) for file in files]
        counts = [len(index.lengths) for index in self._indices]
        self._offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        self.n_instances = int(self._offsets[-1])
        longest = max(int(index.lengths.max()) for index in self._indices)
        if longest > sequence_length + 1:
            raise ConfigError(
                f"sequence_length is {sequence_length}, a sequence of the indices has {longest} "
                "tokens"
            )
        self.sequence_length = sequence_length
        self.extra_tokens = max(0, longest - sequence_length)

    def spans(self, instance: int) -> list[Span]:
        self._check(instance)
        file = int(np.searchsorted(self._offsets, instance, side="right")) - 1
        index, i = self._indices[file], instance - int(self._offsets[file])
        start = int(index.pointers[i]) // index.item_bytes
        return [Span(file, start, start + int(index.lengths[i]))]

    def holding(self, file: int, start: int, end: int) -> list[Held]:
        index = self._indices[file]
        found = []
        i = max(int(np.searchsorted(index.pointers, start * index.item_bytes, "right")) - 1, 0)
        while i < len(index.lengths):
            first = int(index.pointers[i]) // index.item_bytes
            if first >= end:
                break
            a, b = max(start, first), min(end, first + int(index.lengths[i]))
            if a < b:
                found.append(Held(int(self._offsets[file]) + i, a - first, b - first))
            i += 1
        return found

    def left_out(self, file: int, start: int, end: int) -> Left:
        return "file-remainder"


class MegatronInstances(Instances):
    """The samples of cached indices, of one data set a file."""

    extra_tokens = 1

    def __init__(
        self, form: InstanceForm, files: Sequence[TokenFile], sequence_length: int
    ) -> None:
        if len(form.indices) != len(files):
            raise ConfigError(
                f"instances: {len(form.indices)} indices for {len(files)} files of tokens: one each"
            )
        self.sequence_length = sequence_length
        self._indices = [_checked(index_of(file.path), file) for file in files]
        self._documents = [_load(prefix, SUFFIXES["document"]) for prefix in form.indices]
        self._samples = [_load(prefix, SUFFIXES["sample"]) for prefix in form.indices]
        self.shuffles = [_load(prefix, SUFFIXES["shuffle"]) for prefix in form.indices]
        self.blend = None if form.blend is None else [_load(form.blend, (one,)) for one in BLEND]
        for prefix, samples, shuffle, documents, index in zip(
            form.indices, self._samples, self.shuffles, self._documents, self._indices, strict=True
        ):
            if samples.ndim != 2 or samples.shape[1] != 2 or len(samples) < 2:
                raise DataError(prefix, None, f"sample index of shape {samples.shape}, not (n, 2)")
            n_tokens = self._n_tokens(samples, documents, index, prefix)
            # The last one may be of fewer tokens.
            if not 0 <= (len(samples) - 1) * sequence_length - n_tokens < sequence_length:
                raise VerificationError(
                    f"{prefix}: its {len(samples) - 1} samples cover {n_tokens} tokens, those of "
                    f"sequence_length {sequence_length} "
                    f"{(len(samples) - 1) * sequence_length}: it is of another run"
                )
            if len(shuffle) != len(samples) - 1:
                raise VerificationError(
                    f"{prefix}: {len(samples) - 1} samples, {len(shuffle)} of them shuffled"
                )
        self.offsets = np.concatenate(
            ([0], np.cumsum([len(samples) - 1 for samples in self._samples]))
        ).astype(np.int64)
        self.n_instances = int(self.offsets[-1])

    @property
    def index_paths(self) -> list[str]:
        """All cached indices: together they say what each sample is and where it stands."""
        arrays = [*self._documents, *self._samples, *self.shuffles, *(self.blend or [])]
        return [array.filename for array in arrays]

    @staticmethod
    def _n_tokens(
        samples: NDArray[Any], documents: NDArray[Any], index: SequenceIndex, prefix: str
    ) -> int:
        """The tokens from the first sample's beginning to the last one's end."""
        first, last = (int(v) for v in (samples[0, 0], samples[-1, 0]))
        if last >= len(documents) + 1 or int(documents.max()) >= len(index.lengths):
            raise VerificationError(
                f"{prefix}: names documents that {index.path} has not ({len(index.lengths)})"
            )
        lengths = index.lengths[np.asarray(documents[first:last])]
        return int(lengths.sum(dtype=np.int64)) - int(samples[0, 1]) + int(samples[-1, 1])

    def spans(self, instance: int) -> list[Span]:
        self._check(instance)
        file = int(np.searchsorted(self.offsets, instance, side="right")) - 1
        return [span for _, span in self._pieces(file, instance - int(self.offsets[file]))]

    def _pieces(self, file: int, i: int) -> list[tuple[int, Span]]:
        """The pieces of a sample, each with its document's place in the document index."""
        samples, documents, index = self._samples[file], self._documents[file], self._indices[file]
        (first, begin), (last, stop) = (map(int, samples[i]), map(int, samples[i + 1]))
        found = []
        for place in range(first, min(last, len(documents) - 1) + 1):
            document = int(documents[place])
            at = int(index.pointers[document]) // index.item_bytes
            length = int(index.lengths[document])
            a = begin if place == first else 0
            b = min(stop + 1, length) if place == last else length
            if a < b:
                found.append((place, Span(file, at + a, at + b)))
        return found

    def holding(self, file: int, start: int, end: int) -> list[Held]:
        index, documents, samples = self._indices[file], self._documents[file], self._samples[file]
        found: dict[Held, None] = {}
        first = max(int(np.searchsorted(index.pointers, start * index.item_bytes, "right")) - 1, 0)
        last = int(np.searchsorted(index.pointers, end * index.item_bytes, "left"))
        wanted = np.arange(first, max(last, first + 1))
        for place in np.flatnonzero(np.isin(documents, wanted)).tolist():
            document = int(documents[place])
            at = int(index.pointers[document]) // index.item_bytes
            a, b = max(start - at, 0), min(end - at, int(index.lengths[document]))
            if a >= b:
                continue
            # The sample before the first that begins in the document or later holds its head.
            i = max(int(np.searchsorted(samples[:, 0], place, "left")) - 1, 0)
            while i < len(samples) - 1 and tuple(samples[i]) < (place, b):
                for held in self._held(file, i, place, at + a, at + b):
                    found[held] = None
                i += 1
        return list(found)

    def _held(self, file: int, i: int, place: int, start: int, end: int) -> list[Held]:
        """Where tokens [start, end) of the document at a place lie in a sample."""
        found = []
        at = 0
        instance = int(self.offsets[file]) + i
        for where, span in self._pieces(file, i):
            a, b = max(start, span.start), min(end, span.end)
            if where == place and a < b:
                found.append(Held(instance, a - span.start + at, b - span.start + at))
            at += span.end - span.start
        return found

    def left_out(self, file: int, start: int, end: int) -> Left:
        return "file-remainder"


class MegatronPermutation(Permutation):
    """Which sample stands at which position, as the run's indices say."""

    def __init__(self, instances: MegatronInstances, *, epoch: int) -> None:
        self._instances = instances
        self.n_instances, self.seed, self.epoch = instances.n_instances, 0, epoch
        blend = instances.blend
        if blend is None and len(instances.shuffles) > 1:
            raise ConfigError("instances of several data sets need `blend`, which mixes them")
        self.n_positions = len(blend[0]) if blend else len(instances.shuffles[0])

    def _between(self, start: int, end: int) -> NDArray[np.uint32]:
        places = np.arange(start, end)
        blend, instances = self._instances.blend, self._instances
        if blend is None:
            return np.asarray(instances.shuffles[0][places], np.uint32)
        found = np.zeros(len(places), np.uint32)
        of = np.asarray(blend[0][places])
        samples = np.asarray(blend[1][places])
        for number in np.unique(of).tolist():
            if not 0 <= number < len(instances.shuffles):
                raise VerificationError(f"the blend names data set {number}, which is not there")
            its = of == number
            shuffled = instances.shuffles[number][samples[its]].astype(np.int64)
            found[its] = (shuffled + instances.offsets[number]).astype(np.uint32)
        return found

    def positions_of_each(self, instances: Iterable[int]) -> dict[int, tuple[int, ...]]:
        found: dict[int, tuple[int, ...]] = {}
        table = self._instances
        for instance in sorted(set(instances)):
            number = int(np.searchsorted(table.offsets, instance, side="right")) - 1
            of_data_set = instance - int(table.offsets[number])
            samples = np.flatnonzero(table.shuffles[number] == of_data_set)
            if table.blend is None:
                positions = samples
            else:
                its = (table.blend[0] == number) & np.isin(table.blend[1], samples)
                positions = np.flatnonzero(its)
            found[instance] = tuple(positions.tolist())
        return found

    def fingerprint_fields(self) -> dict[str, Any]:
        hashes = [stored_files.sha256(path) for path in self._instances.index_paths]
        return {"positions": self.n_positions, "indices": hashes}


def _checked(index: SequenceIndex, file: TokenFile) -> SequenceIndex:
    if index.dtype != file.dtype:
        raise ConfigError(f"{index.path} says {index.dtype}, the run {file.dtype}")
    if index._end() > file.n_bytes:
        raise VerificationError(
            f"{index.path} lists {index._end()} bytes of tokens, {file.path} has {file.n_bytes}: "
            "they do not belong together"
        )
    return index


def _load(prefix: str, suffixes: Sequence[str]) -> Any:
    for suffix in suffixes:
        path = prefix + suffix
        if os.path.isfile(path):
            try:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            except (ValueError, OSError, EOFError) as error:
                raise DataError(path, None, f"is no array of numpy: {error}") from None
    raise ConfigError(f"no {prefix}{suffixes[0]}: name the prefix of a run's cached indices")
