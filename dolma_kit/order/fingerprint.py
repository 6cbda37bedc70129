"""A run in 64 characters: equal for two that read the same bytes of files in the same batches.

SHA-256 of the path table (each path without the folders that all have in common, bytes, tokens
taken, and SHA-256 where the table has it), dtype, form of the instances, kind and seed of the
order, and the schedule. The contents of files are in it only where the table has their hashes.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit import files

if TYPE_CHECKING:
    from dolma_kit.order.run import Run

VERSION = 1


def fingerprint_of(run: Run) -> str:
    """The run's fingerprint, in hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(fields_of(run))).hexdigest()


def data_hash(run: Run) -> bytes:
    """SHA-256 (32 bytes) of what is read and in what order: the fingerprint without a schedule."""
    fields = fields_of(run)
    kept = {k: v for k, v in fields.items() if k not in ("schedule", "lengths", "parents")}
    return hashlib.sha256(msgspec.json.encode(kept)).digest()


def fields_of(run: Run) -> dict[str, Any]:
    """What the fingerprint is of."""
    description = run.description
    form = msgspec.to_builtins(description.instances)
    order: dict[str, Any] = {"kind": description.order.kind}
    order["chunk_size"] = description.order.chunk_size
    if description.order.kind in ("file", "megatron"):
        order |= run.order.fingerprint_fields()
    else:
        order |= {"seed": description.order.seed}
    schedule = [
        [s.from_step, s.to_step, s.epoch, s.first_position, s.batch_size, s.n_positions, s.skip]
        for s in run.schedule.segments
    ]
    lengths = [
        [run.view_of(n).sequence_length, run.truncated_to(n)]
        for n in range(len(run.schedule.segments))
    ]
    return {
        "version": VERSION,
        "files": [
            [name, f.n_bytes, f.taken, f.sha256]
            for name, f in zip(short_names([f.path for f in run.files]), run.files, strict=True)
        ],
        "dtype": run.files[0].dtype,
        "instances": {k: v for k, v in form.items() if k not in ("indices", "blend")},
        "order": order,
        "schedule": schedule,
        "lengths": lengths,
        "filter": msgspec.to_builtins(description.instance_filter),
        "parents": {n: fingerprint_of(parent) for n, parent in run.parents.items()},
    }


def short_names(paths: list[str]) -> list[str]:
    """Paths without the folders that all have in common, with / between names."""
    split = [path.split("/") if files.is_remote(path) else path.split(os.sep) for path in paths]
    common = 0
    shortest = min(len(names) for names in split) - 1
    while common < shortest and len({names[common] for names in split}) == 1:
        common += 1
    return ["/".join(names[common:]) for names in split]
