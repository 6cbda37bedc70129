"""`search index`: a suffix array of each shard of a folder's tokens, a unit a shard.

Memory of a worker: the shard's tokens, 4 bytes a token for the array, and while it is sorted 1 to
12 more (`kernels.suffix_array`). What was finished is not done again.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dolma_kit import config, files, kernels
from dolma_kit.errors import ConfigError, VerificationError
from dolma_kit.execute import Engine, Outcome, Phase, Plan, Unit, engine_for, execute
from dolma_kit.ledger import Result
from dolma_kit.searching import index
from dolma_kit.searching.index import Description, ShardDescription
from dolma_kit.searching.settings import IndexTokens
from dolma_kit.summary import Summary, summarize, summarize_part
from dolma_kit.tokens.folder import PartFile, TokenFolder, open_folder

PHASE = "sorting"
MOST_TOKENS = (1 << 31) - 1


@dataclass(frozen=True)
class SortTask:
    """Tokens [first, last) of a part, documents from `row` on; outputs are `stem` and suffixes."""

    part: PartFile
    first: int
    last: int
    row: int
    ends: tuple[int, int]  # rows of the table
    stem: str
    eos: int | None


def build(
    settings: IndexTokens | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Make the index; `keys` are those of `IndexTokens`, or give the struct itself."""
    settings = settings or config.build(IndexTokens, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        outcome = execute(made, settings, running)
    if outcome.part:
        return summarize_part("search index", outcome, PHASE, partial=False)
    out = _out(settings)
    _describe(settings, outcome, made, out)
    counts = {
        "tokens": sum(r.counts["tokens"] for r in outcome.results[PHASE]),
        "shards": len(outcome.results[PHASE]),
    }
    return summarize(
        "search index", outcome, reading=PHASE, writing=PHASE, outputs=[out], partial=False,
        counts=counts,
    )  # fmt: skip


def _out(settings: IndexTokens) -> str:
    return settings.out or os.path.join(settings.tokens.rstrip("/"), index.FOLDER)


def plan(settings: IndexTokens) -> Plan:
    """A unit a shard."""
    if not settings.tokens:
        raise ConfigError("no tokens: name the folder of token files")
    if os.path.isfile(settings.tokens):
        raise ConfigError(f"{settings.tokens} is a file: an index is of a folder of token files")
    if settings.limit is not None:
        raise ConfigError("--limit: an index is of all tokens")
    if settings.shard_tokens > MOST_TOKENS:
        raise ConfigError(f"--shard-tokens {settings.shard_tokens}: at most {MOST_TOKENS:,}")
    folder = open_folder(settings.tokens, settings.dtype)
    out = _out(settings)
    eos = None if folder.record is None else folder.record.eos_token_id
    units = []
    itemsize = np.dtype(folder.dtype).itemsize
    for part in folder.parts:
        name = os.path.splitext(os.path.basename(part.path))[0]
        for n, (first, last, row, n_rows) in enumerate(_shards(part, settings.shard_tokens)):
            stem = os.path.join(out, f"{name}-{n:03d}")
            task = SortTask(part, first, last, row, (row, row + n_rows), stem, eos)
            claims = tuple(glob.escape(stem) + suffix for suffix in (".suffixes", ".ends"))
            size = (last - first) * itemsize
            units.append(
                Unit(
                    os.path.basename(stem),
                    task,
                    (part.path, part.require_table()),
                    out,
                    size,
                    claims,
                )
            )
    return Plan(
        stage="search index",
        config={"dtype": folder.dtype, "shard_tokens": settings.shard_tokens, "eos_token_id": eos},
        phases=[Phase(PHASE, sort, units)],
        kernels=("suffix_array",),
    )


def _shards(part: PartFile, most: int) -> Iterator[tuple[int, int, int, int]]:
    """(first token, last token, first row, rows) of the shards of a part."""
    first = row = n_rows = 0
    last = end = 0
    for batch in part.rows():
        ends = batch.column("end").to_numpy()
        end = _require_rows(part, batch.column("start").to_numpy(), ends, end, row + n_rows)
        at = 0
        while at < len(ends):
            fit = int(np.searchsorted(ends, first + most, "right"))
            if fit > at:
                n_rows += fit - at
                last, at = int(ends[fit - 1]), fit
            if at < len(ends):
                if not n_rows:
                    raise ConfigError(
                        f"{part.path}: a document has {int(ends[at]) - first:,} tokens, more than "
                        f"a shard may have: raise --shard-tokens {most}"
                    )
                yield first, last, row, n_rows
                first, row, n_rows = last, row + n_rows, 0
    if end != part.n_tokens:
        raise VerificationError(
            f"{part.table} ends at token {end}, {part.path} has {part.n_tokens} tokens: they do "
            "not belong together"
        )
    if n_rows:
        yield first, last, row, n_rows


def _require_rows(
    part: PartFile, starts: NDArray[np.int64], ends: NDArray[np.int64], end: int, row: int
) -> int:
    """Where the last document ends; VerificationError where one begins or ends out of order."""
    begins = np.concatenate(([end], ends))[:-1]
    wrong = np.flatnonzero((starts != begins) | (ends < starts))
    if len(wrong):
        i = int(wrong[0])
        raise VerificationError(
            f"{part.table}: row {row + i + 1} has tokens {starts[i]} to {ends[i]}, after "
            f"{begins[i]}: documents follow each other from 0 on without a gap"
        )
    return int(ends[-1]) if len(ends) else end


def sort(task: SortTask) -> Result:
    """Runs in a worker: the suffix array of a shard, and where its documents end."""
    ids = np.asarray(task.part.ids()[task.first : task.last])
    ends = _ends(task)
    suffixes = kernels.suffix_array.build(ids)
    outputs = [f"{task.stem}.suffixes", f"{task.stem}.ends"]
    for path, array in zip(outputs, (suffixes.astype("<i4", copy=False), ends), strict=True):
        with files.write_atomically(path) as stream:
            stream.write(memoryview(array).cast("B"))
    lasts = ids[ends[np.diff(ends, prepend=0) > 0] - 1]
    ended = task.eos is not None and bool((lasts == task.eos).all())
    whole = ended and int(np.count_nonzero(ids == task.eos)) == len(lasts)
    return Result(
        documents=len(ends),
        bytes_in=ids.nbytes,
        bytes_out=sum(map(files.size, outputs)),
        outputs=outputs,
        counts={
            "tokens": len(ids),
            "ended": ended,
            "whole": whole,
            "sha256": index.sha256_of(task.part, task.first, len(ids)),
        },
    )


def _ends(task: SortTask) -> NDArray[np.int64]:
    """Where the shard's documents end, from its first token."""
    found = []
    row = 0
    for batch in task.part.rows():
        a = min(max(task.ends[0] - row, 0), len(batch))
        b = min(max(task.ends[1] - row, 0), len(batch))
        if b > a:
            found.append(batch.column("end").to_numpy()[a:b])
        row += len(batch)
    ends = np.concatenate([np.zeros(0, np.int64), *found]).astype("<i8")
    return ends - task.first


def _describe(settings: IndexTokens, outcome: Outcome, made: Plan, out: str) -> None:
    """Write index.json, and note the token files as they are."""
    folder: TokenFolder = open_folder(settings.tokens, settings.dtype)
    shards = []
    for unit, result in zip(made.phases[0].units, outcome.results[PHASE], strict=True):
        task: SortTask = unit.task
        shards.append(
            ShardDescription(
                name=unit.name,
                part=os.path.basename(task.part.path),
                first=task.first,
                tokens=result.counts["tokens"],
                row=task.row,
                documents=result.documents,
                sha256=result.counts["sha256"],
                ended=result.counts["ended"],
                whole=result.counts["whole"],
            )
        )
    about = Description(
        tokens=os.path.relpath(folder.path, out),
        dtype=folder.dtype,
        eos_token_id=made.config["eos_token_id"],
        parts={os.path.basename(p.path): os.path.getsize(p.path) for p in folder.parts},
        shards=shards,
    )
    with files.write_atomically(os.path.join(out, index.DESCRIPTION)) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
    seen = {os.path.basename(p.path): files.fingerprint(p.path) for p in folder.parts}
    index.note_seen(out, seen)
