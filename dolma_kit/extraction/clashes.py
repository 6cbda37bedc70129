"""Ids are unique within a source: the phase that looks at those of all files.

By hashes of 64 bits: equal ones are looked up as texts, so a clash is always one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dolma_kit.errors import VerificationError
from dolma_kit.extraction.outputs import ids_in
from dolma_kit.ledger import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CheckTask:
    """The files of records of all units, in canonical order."""

    records: tuple[str, ...]
    output: str


def find_clash(paths: Sequence[str]) -> tuple[str, str, str] | None:
    """An id that two documents have, and the places of the first two; None if there is none."""
    hashes = [_hashes(path) for path in paths]
    together = np.sort(np.concatenate([np.zeros(0, np.uint64), *hashes]))
    twice = np.unique(together[1:][together[1:] == together[:-1]])
    if not len(twice):
        return None
    wanted = set(twice.tolist())
    seen: dict[str, str] = {}
    for path in paths:
        for ids, numbers, names in ids_in(path):
            for id_, number, name in zip(ids, numbers, names, strict=True):
                if _hash(id_) not in wanted:
                    continue
                place = f"{name}:{number}"
                if id_ in seen:
                    return id_, seen[id_], place
                seen[id_] = place
    return None


def check(task: CheckTask) -> Result:
    """VerificationError for a clash, with both places."""
    clash = find_clash(task.records)
    if clash is not None:
        id_, first, second = clash
        raise VerificationError(
            f"the id {id_!r} is that of {first} and of {second}: ids have to be unique within a "
            "source; name another --id-key (of WARC: --record-ids record), or extract the files "
            "into folders of their own"
        )
    return Result()


def _hashes(path: str) -> NDArray[np.uint64]:
    found = [_hash(id_) for ids, _, _ in ids_in(path) for id_ in ids]
    return np.array(found, np.uint64)


def _hash(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "little")
