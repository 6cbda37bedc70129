"""Where two runs differ: in what they say, in their files, and from which step in their batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit.errors import ConfigError
from dolma_kit.order.fingerprint import fields_of, fingerprint_of, short_names
from dolma_kit.order.instances import InstanceTable

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

STEPS_AT_ONCE = 256


class Difference(msgspec.Struct, frozen=True):
    """A part of what makes a run, in both."""

    what: str
    a: Any
    b: Any


class Comparison(msgspec.Struct, frozen=True):
    """Two runs side by side.

    `first_different_step` is the first whose batch is of other tokens or in another order, null
    if none of the `steps_compared` is. `shared_instances` are those that both had read by then, of
    `instances` that each had, counted once.
    """

    fingerprints: list[str]
    differences: list[Difference]
    only_a: list[str]
    only_b: list[str]
    steps: list[int]
    steps_compared: int
    first_different_step: int | None
    instances: list[int]
    shared_instances: int


def compare(a: Run, b: Run, until: int | None = None) -> Comparison:
    """Compare two runs step by step, up to `until` or the end of the shorter one.

    An instance is the same if it is the same tokens of a file of the same name (without the
    folders that all of a run's files have in common). ConfigError for runs whose instances are
    not stretches of files.
    """
    first = max(a.schedule.first_step, b.schedule.first_step)
    last = min(a.n_steps, b.n_steps) if until is None else min(until, a.n_steps, b.n_steps)
    names_a, names_b = (short_names([f.path for f in run.files]) for run in (a, b))
    codes = {name: i for i, name in enumerate(dict.fromkeys([*names_a, *names_b]))}
    different = None
    seen_a: list[NDArray[np.int64]] = []
    seen_b: list[NDArray[np.int64]] = []
    for step in range(first, last + 1):
        of_a, of_b = _identities(a, step, names_a, codes), _identities(b, step, names_b, codes)
        if different is None and not np.array_equal(of_a, of_b):
            different = step
        seen_a.append(of_a)
        seen_b.append(of_b)
    unique_a, unique_b = (_unique(seen) for seen in (seen_a, seen_b))
    fields_a, fields_b = fields_of(a), fields_of(b)
    return Comparison(
        fingerprints=[fingerprint_of(a), fingerprint_of(b)],
        differences=[
            Difference(key, fields_a[key], fields_b[key])
            for key in fields_a
            if key != "files" and fields_a[key] != fields_b[key]
        ],
        only_a=[name for name in dict.fromkeys(names_a) if name not in names_b],
        only_b=[name for name in dict.fromkeys(names_b) if name not in names_a],
        steps=[a.n_steps, b.n_steps],
        steps_compared=max(0, last - first + 1),
        first_different_step=different,
        instances=[len(unique_a), len(unique_b)],
        shared_instances=len(np.intersect1d(unique_a, unique_b, assume_unique=True)),
    )


def _unique(seen: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.unique(np.concatenate(seen)) if seen else np.zeros(0, np.int64)


def _identities(run: Run, step: int, names: list[str], codes: dict[str, int]) -> NDArray[np.int64]:
    """(B,) int64: the file and the first token of each instance of a step."""
    seen = run.step(step)
    table = seen._view.instances
    if not isinstance(table, InstanceTable):
        raise ConfigError("instances that are not stretches of one file each are not compared")
    if seen._run is not run:  # a parent's, whose files are its own
        names = short_names([f.path for f in seen._run.files])
        for name in names:
            codes.setdefault(name, len(codes))
    instances = seen.instances.astype(np.int64)
    files = np.searchsorted(table.offsets, instances, side="right") - 1
    of = np.array([codes[name] for name in names], np.int64)
    firsts = (instances - table.offsets[files]) * table.sequence_length
    return (of[files] << 40) | firsts
