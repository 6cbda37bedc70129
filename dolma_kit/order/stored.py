"""Orders that are stored: OLMo's `global_indices.npy`, of a run or exported, mapped from disk.

The file is headerless little-endian uint32, one an instance of the order (uint64 before September
2023, to be said by `dtype`). It is checked before it answers anything: its length fits the run's
instances, each value is one of them, none stands twice; what was found is remembered for the file's
size and time, so that it is read whole once. An `inverse` file, one uint32 an instance, has the
position of each, and 4294967295 for one that the order has not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import downloads, files, kernels
from dolma_kit.errors import ConfigError, DataError, VerificationError
from dolma_kit.order.permutation import Permutation

AT_ONCE = 1 << 24
PROBED = 64  # places at each end that a copy is compared at
KERNELS = ("order_files",)


class StoredPermutation(Permutation):
    """The order of one epoch that a file holds.

    `made` is what the file is a copy of, if it is one: its beginning and end are compared. Errors:
    ConfigError for a file that is not there, DataError for one of another form, VerificationError
    for one of another run, with both numbers.
    """

    def __init__(
        self,
        n_instances: int,
        path: str,
        *,
        epoch: int,
        seed: int = 0,
        inverse: str | None = None,
        dtype: str = "uint32",
        padded_to: int | None = None,
        made: Permutation | None = None,
    ) -> None:
        self.n_instances, self.seed, self.epoch = n_instances, seed, epoch
        self.path, self.made = path, made
        self.order = _mapped(path, dtype)
        self.n_positions = len(self.order)
        self._check_length(padded_to)
        if not os.path.exists(_note(path, n_instances, made)):
            self._check_copy()
            _check_values(path, self.order[: min(n_instances, len(self.order))], n_instances)
            remember(path, n_instances, made)
        if self.n_positions > n_instances:
            repeated = self.order[n_instances:]
            if not np.array_equal(repeated, self.order[: len(repeated)]):
                raise VerificationError(
                    f"{path} is longer than the run's {n_instances} instances, and what is over "
                    "does not repeat its head: it is of another run"
                )
        self._inverse = None if inverse is None else self._open_inverse(inverse)

    def _check_length(self, padded_to: int | None) -> None:
        expected = len(self.made) if self.made is not None else None
        if expected is not None and self.n_positions != expected:
            raise VerificationError(
                f"{self.path} has {self.n_positions} positions, the order of this run has "
                f"{expected}: it is of another run"
            )
        if self.n_positions > self.n_instances and self.n_positions != padded_to:
            raise VerificationError(
                f"{self.path} has {self.n_positions} positions, the run's files give "
                f"{self.n_instances} instances: it is of another run, or files are missing"
            )

    def _check_copy(self) -> None:
        if self.made is None:
            return
        for start in {0, max(0, self.n_positions - PROBED)}:
            end = min(start + PROBED, self.n_positions)
            if not np.array_equal(self.order[start:end], self.made.instances_at(start, end)):
                raise VerificationError(f"{self.path} is not the order that this run has")

    def _open_inverse(self, path: str) -> NDArray[np.uint32]:
        inverse = _mapped(path, "uint32")
        if len(inverse) != self.n_instances:
            raise VerificationError(
                f"{path} has {len(inverse)} places, the run has {self.n_instances} instances"
            )
        probes = np.linspace(0, self.n_positions - 1, 1024).astype(np.int64)
        first = probes[probes < self.n_instances]
        if not np.array_equal(inverse[self.order[first]], first):
            raise VerificationError(f"{path} is not the inverse of {self.path}: export both again")
        return inverse

    def _between(self, start: int, end: int) -> NDArray[np.uint32]:
        return np.array(self.order[start:end], np.uint32)

    def positions_of_each(self, instances: Iterable[int]) -> dict[int, tuple[int, ...]]:
        asked = sorted(set(instances))
        found: dict[int, list[int]] = {instance: [] for instance in asked}
        if self._inverse is not None:
            places = self._inverse[np.array(asked, np.int64)].tolist() if asked else []
            for instance, place in zip(asked, places, strict=True):
                if place != kernels.order_files.NOWHERE:
                    found[instance] = list(range(place, self.n_positions, self.n_instances))
        elif asked:
            wanted = np.array(asked, np.uint32)
            room = 2 * len(wanted)
            which, positions = np.empty(room, np.int64), np.empty(room, np.int64)
            n = 0
            for start in range(0, self.n_positions, AT_ONCE):
                piece = np.ascontiguousarray(self.order[start : start + AT_ONCE], np.uint32)
                n = kernels.order_files.find_into(piece, start, wanted, which, positions, n)
            for i, position in zip(which[:n].tolist(), positions[:n].tolist(), strict=True):
                found[asked[i]].append(position)
        return {instance: tuple(places) for instance, places in found.items()}

    def fingerprint_fields(self) -> dict[str, Any]:
        if self.made is not None:
            return self.made.fingerprint_fields()
        return {"positions": self.n_positions, "sha256": files.sha256(self.path)}


def _mapped(path: str, dtype: str) -> NDArray[Any]:
    try:
        n_bytes = os.path.getsize(path)
    except OSError as error:
        raise ConfigError(f"cannot read the order {path}: {error.strerror}") from None
    item = np.dtype(dtype).newbyteorder("<")
    if n_bytes == 0 or n_bytes % item.itemsize:
        reason = f"{n_bytes} bytes are no order: it is {item.itemsize} bytes an instance"
        raise DataError(path, None, reason)
    with open(path, "rb") as stream:
        head = stream.read(64)
    if head.startswith(b"\x93NUMPY"):
        raise DataError(path, None, "has a numpy header: OLMo's global_indices.npy has none")
    values = np.frombuffer(head[: len(head) // 8 * 8], "<u4")
    if dtype == "uint32" and len(values) >= 8 and not values[1::2].any() and values[::2].any():
        raise DataError(
            path, None, "looks like uint64, as OLMo wrote it before September 2023: say dtype: "
            "uint64 in the order"
        )  # fmt: skip
    return np.memmap(path, item, "r")


def _note(path: str, n_instances: int, made: Permutation | None) -> str:
    """Where it is remembered that a file has been checked: against so many instances, and what it
    is a copy of."""
    status = os.stat(path)
    of = None if made is None else [type(made).__name__, made.fingerprint_fields()]
    said = [os.path.abspath(path), status.st_size, status.st_mtime_ns, n_instances, of]
    name = hashlib.sha256(msgspec.json.encode(said)).hexdigest()
    return os.path.join(downloads.cache_folder(), "orders", f"{name}.json")


def remember(path: str, n_instances: int, made: Permutation | None) -> None:
    """Note that a file was found to be an order of so many instances, and what it is a copy of."""
    try:
        with files.write_atomically(_note(path, n_instances, made)) as stream:
            stream.write(msgspec.json.encode({"path": os.path.abspath(path)}))
    except OSError:
        return  # a place that cannot be written costs the next question a check


def _check_values(path: str, order: NDArray[Any], n_instances: int) -> None:
    seen = np.zeros(n_instances // 64 + 1, np.uint64)
    for start in range(0, len(order), AT_ONCE):
        piece = order[start : start + AT_ONCE]
        if piece.dtype.itemsize == 8 and piece.size and int(piece.max()) > 0xFFFFFFFF:
            raise VerificationError(f"{path} holds {int(piece.max())}, which is no instance")
        narrow = np.ascontiguousarray(piece, np.uint32)
        place = kernels.order_files.first_fault(narrow, n_instances, seen)
        if place >= 0:
            value = int(narrow[place])
            why = (
                f"the run's files give {n_instances} instances"
                if value >= n_instances
                else "an order has each instance once"
            )
            stands = "stands twice" if value < n_instances else "is there"
            raise VerificationError(
                f"{path}: instance {value} {stands} (position {start + place}); {why}: it is of "
                "another run, or broken"
            )
