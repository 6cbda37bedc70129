"""Instance table, the second layer: which tokens each training instance is made of.

In the form that OLMo trains on (`InstanceTable`), an instance is `sequence_length` (T) consecutive
tokens of one file. File f gives n_tokens[f] // T of them; what is left at its end, its remainder,
is never trained on, and no instance crosses from one file into the next
(olmo/data/memmap_dataset.py). Instances are numbered through all files. Other forms are in
`mixture`, `packing` and `megatron`; all of them are an `Instances`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from dolma_kit.errors import ConfigError

Left = Literal["file-remainder", "not-sampled", "truncated"]


class Span(NamedTuple):
    """Tokens [start, end) of a file."""

    file: int
    start: int
    end: int


class Held(NamedTuple):
    """Tokens [start, end) of an instance."""

    instance: int
    start: int
    end: int


class Instances(abc.ABC):
    """What any form of instances answers.

    An instance has `sequence_length` tokens, those of its spans one after the other; where they
    are fewer, it is padded at its end.
    """

    n_instances: int
    sequence_length: int
    extra_tokens: int = 0  # beyond sequence_length: targets that another instance has as context

    @abc.abstractmethod
    def spans(self, instance: int) -> list[Span]:
        """Where the tokens of an instance lie; IndexError outside 0 to n_instances - 1."""

    @abc.abstractmethod
    def holding(self, file: int, start: int, end: int) -> list[Held]:
        """The instances that hold tokens of [start, end) of a file, and where in them."""

    @abc.abstractmethod
    def left_out(self, file: int, start: int, end: int) -> Left:
        """Why tokens of [start, end) are in no instance; asked of those only."""

    def _check(self, instance: int) -> None:
        if not 0 <= instance < self.n_instances:
            raise IndexError(f"instance {instance} of {self.n_instances}")


class InstanceTable(Instances):
    """Where the instances of a list of files lie; needs the files' sizes only.

    `offsets` (n_files + 1,) int64: the instances of file f are offsets[f] to offsets[f + 1] - 1.
    `multiple` is for a run that is to go on with a longer sequence (OLMo-core's
    max_target_sequence_length): of each file as many instances count as fill whole ones of that
    length. ConfigError if there is no instance at all, with the tokens that there are.

    >>> table = InstanceTable([10, 3, 9], sequence_length=4)
    >>> table.n_instances, table.locate(2), table.remainder(0)
    (4, (2, 0), 2)
    >>> table.overlapping(0, 2, 5), table.overlapping(0, 8, 10)
    (range(0, 2), range(0, 0))
    """

    def __init__(
        self,
        n_tokens: Sequence[int],
        sequence_length: int,
        *,
        multiple: int | None = None,
        n_taken: Sequence[int] | None = None,
    ) -> None:
        self.n_tokens = tuple(n_tokens)
        self.sequence_length = sequence_length
        longest = multiple or sequence_length
        if longest % sequence_length:
            raise ConfigError(
                f"max_target_sequence_length {longest} is no multiple of sequence_length "
                f"{sequence_length}"
            )
        #: tokens of each file that instances are made of, in a mixture fewer than it has
        self.n_taken = tuple(self.n_tokens if n_taken is None else n_taken)
        per_file = np.array(self.n_taken, np.int64) // longest * (longest // sequence_length)
        self.offsets = np.concatenate(([0], np.cumsum(per_file))).astype(np.int64)
        if self.n_instances == 0:
            raise ConfigError(
                f"too few tokens for one instance: sequence_length is {sequence_length}, the "
                f"largest of {len(self.n_tokens)} token files has {max(self.n_tokens, default=0)}"
            )

    @property
    def n_instances(self) -> int:  # type: ignore[override]
        return int(self.offsets[-1])

    def locate(self, instance: int) -> tuple[int, int]:
        """(file, first token of the instance in it); IndexError outside 0 to n_instances - 1."""
        self._check(instance)
        # side="right" steps over files without an instance, whose offset is their successor's
        file = int(np.searchsorted(self.offsets, instance, side="right")) - 1
        return file, (instance - int(self.offsets[file])) * self.sequence_length

    def spans(self, instance: int) -> list[Span]:
        file, first = self.locate(instance)
        return [Span(file, first, first + self.sequence_length)]

    def overlapping(self, file: int, start: int, end: int) -> range:
        """The instances that hold a token of [start, end) of `file`; tokens of the remainder
        belong to none, so the range may be empty."""
        first, beyond = int(self.offsets[file]), int(self.offsets[file + 1])
        begin = min(first + start // self.sequence_length, beyond)
        stop = min(first + -(-end // self.sequence_length), beyond)
        return range(begin, stop) if start < end and begin < stop else range(0)

    def holding(self, file: int, start: int, end: int) -> list[Held]:
        found = []
        for instance in self.overlapping(file, start, end):
            first = (instance - int(self.offsets[file])) * self.sequence_length
            stop = min(end - first, self.sequence_length)
            found.append(Held(instance, max(start - first, 0), stop))
        return found

    def left_out(self, file: int, start: int, end: int) -> Left:
        return "not-sampled" if self.n_taken[file] <= start < self.n_tokens[file] else (
            "file-remainder"
        )  # fmt: skip

    def remainder(self, file: int) -> int:
        """How many tokens at the end of `file` are in no instance."""
        n_instances = int(self.offsets[file + 1] - self.offsets[file])
        return self.n_tokens[file] - n_instances * self.sequence_length

    @property
    def n_remainder_tokens(self) -> int:
        """How many tokens of all files are in no instance."""
        return sum(self.n_tokens) - self.n_instances * self.sequence_length
