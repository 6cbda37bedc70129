"""Instance table, the second layer: which tokens each training instance is made of.

An instance is `sequence_length` (T) consecutive tokens of one file. File f gives n_tokens[f] // T
of them; what is left at its end, its remainder, is never trained on, and no instance crosses from
one file into the next (olmo/data/memmap_dataset.py). Instances are numbered through all files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dolma_kit.errors import ConfigError


class InstanceTable:
    """Where the instances of a list of files lie; needs the files' sizes only.

    `offsets` (n_files + 1,) int64: the instances of file f are offsets[f] to offsets[f + 1] - 1.
    ConfigError if there is no instance at all, with the tokens that there are.

    >>> table = InstanceTable([10, 3, 9], sequence_length=4)
    >>> table.n_instances, table.locate(2), table.remainder(0)
    (4, (2, 0), 2)
    >>> table.overlapping(0, 2, 5), table.overlapping(0, 8, 10)
    (range(0, 2), range(0, 0))
    """

    def __init__(self, n_tokens: Sequence[int], sequence_length: int) -> None:
        self.n_tokens = tuple(n_tokens)
        self.sequence_length = sequence_length
        per_file = np.array(self.n_tokens, dtype=np.int64) // sequence_length
        self.offsets = np.concatenate(([0], np.cumsum(per_file))).astype(np.int64)
        if self.n_instances == 0:
            raise ConfigError(
                f"too few tokens for one instance: sequence_length is {sequence_length}, the "
                f"largest of {len(self.n_tokens)} token files has {max(self.n_tokens, default=0)}"
            )

    @property
    def n_instances(self) -> int:
        return int(self.offsets[-1])

    def locate(self, instance: int) -> tuple[int, int]:
        """(file, first token of the instance in it); IndexError outside 0 to n_instances - 1."""
        if not 0 <= instance < self.n_instances:
            raise IndexError(f"instance {instance} of {self.n_instances}")
        # side="right" steps over files without an instance, whose offset is their successor's
        file = int(np.searchsorted(self.offsets, instance, side="right")) - 1
        return file, (instance - int(self.offsets[file])) * self.sequence_length

    def overlapping(self, file: int, start: int, end: int) -> range:
        """The instances that hold a token of [start, end) of `file`; tokens of the remainder
        belong to none, so the range may be empty."""
        first, beyond = int(self.offsets[file]), int(self.offsets[file + 1])
        begin = min(first + start // self.sequence_length, beyond)
        stop = min(first + -(-end // self.sequence_length), beyond)
        return range(begin, stop) if start < end and begin < stop else range(0)

    def remainder(self, file: int) -> int:
        """How many tokens at the end of `file` are in no instance."""
        return self.n_tokens[file] % self.sequence_length

    @property
    def n_remainder_tokens(self) -> int:
        """How many tokens of all files are in no instance."""
        return sum(n % self.sequence_length for n in self.n_tokens)
