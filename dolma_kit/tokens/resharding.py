"""`tokens reshard`: token files written again, in other sizes, sampled, repeated or shuffled.

Documents stay whole and keep id, src, loc and source; which are taken follows from a hash of the id
and the seed, as in `mix`. A rate of 2.5 writes all twice and then a half of them once more, unless
they are shuffled.
"""

from __future__ import annotations

import glob
import math
import os
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dolma_kit import config, files, ledger, parquet, shuffling
from dolma_kit.config import Reshard
from dolma_kit.errors import ConfigError, VerificationError
from dolma_kit.execute import Engine, Phase, Plan, Unit, engine_for, execute, usable_cpus
from dolma_kit.ledger import Result
from dolma_kit.shares import surveys
from dolma_kit.shares.sampling import Sample
from dolma_kit.summary import Summary, summarize, summarize_part
from dolma_kit.tokens import encoding, joining, store
from dolma_kit.tokens.encoding import DOCUMENTS, BucketTask, Counts
from dolma_kit.tokens.folder import PartFile, TokenFolder, open_folders
from dolma_kit.tokens.joining import JoinTask

BLOCK_TOKENS = 1 << 22


@dataclass(frozen=True)
class TakeTask:
    """One token file. Documents that are written more often than `thresholds` say go to a stem of
    `stems` each, or into the spill."""

    part: PartFile
    counts_stem: str
    stems: tuple[str, ...]
    thresholds: tuple[int, ...]
    sample: Sample
    seed: int
    spill: shuffling.Spill | None


def reshard(
    settings: Reshard | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Write token files again; `keys` are those of `config.Reshard`, or give the struct itself."""
    settings = settings or config.build(Reshard, keys)
    made = plan(settings)
    with engine_for(settings, engine) as running:
        outcome = execute(made, settings, running)
    if outcome.part:
        return summarize_part("tokens reshard", outcome, "taking", partial=False)
    (joined,) = outcome.results["joining"]
    return summarize(
        "tokens reshard", outcome, reading="taking", writing="joining", outputs=[settings.out],
        partial=False, counts=joined.counts,
    )  # fmt: skip


def plan(settings: Reshard) -> Plan:
    """A unit a token file, with `shuffle` one a bucket, and one that joins."""
    if not settings.out:
        raise ConfigError("no output folder: name one with --out")
    if settings.limit is not None:
        raise ConfigError("--limit: a sample of token files is --rate")
    folders = open_folders(settings.tokens, settings.dtype)
    if any(os.path.realpath(one.path) == os.path.realpath(settings.out) for one in folders):
        raise ConfigError(f"{settings.out} would be written while it is read: name another --out")
    record, tokenizer = _record(folders, settings)
    itemsize = np.dtype(store.NUMPY_DTYPES[record.dtype]).itemsize
    temporary = ledger.temporary(settings.out, settings.tmp_dir)
    whole, rest = divmod(settings.rate, 1)
    repeated = ([(0, int(whole))] if whole else []) + ([(int(whole), 1)] if rest else [])
    parts = [part for folder in folders for part in folder.parts]
    stored = [(part.path + ".jsonl", part.tokens.n_bytes) for part in parts]  # not compressed
    n_buckets = shuffling.buckets_for(stored, math.ceil(settings.rate))
    taking, tasks = [], []
    for i, part in enumerate(parts):
        stem = os.path.join(temporary, f"{i:06d}")
        task = TakeTask(
            part=part,
            counts_stem=stem,
            stems=tuple(f"{stem}.{k}" for k in range(len(repeated))),
            thresholds=tuple(threshold for threshold, _ in repeated),
            sample=Sample.at(settings.rate),
            seed=settings.seed,
            spill=shuffling.Spill(stem, n_buckets, settings.seed) if settings.shuffle else None,
        )
        tasks.append(task)
        inputs = (part.path, part.require_table())
        name = f"taking {i} {os.path.basename(part.path)}"
        taking.append(Unit(name, task, inputs, settings.out, part.tokens.n_bytes))
    every = tuple(path for unit in taking for path in unit.inputs)
    phases = [Phase("taking", take, taking)]
    stems = [task.stems[k] for k, (_, n) in enumerate(repeated) for _ in range(n) for task in tasks]
    if settings.shuffle:
        spills = tuple(task.spill for task in tasks if task.spill)
        buckets = [
            BucketTask(spills, b, os.path.join(temporary, f"bucket-{b:04d}"), itemsize)
            for b in range(n_buckets)
        ]
        units = [Unit(f"shuffling {b.bucket}", b, every, settings.out) for b in buckets]
        phases.append(Phase("shuffling", encoding.sort_bucket, units))
        stems = [bucket.stem for bucket in buckets]
    join = JoinTask(
        encoded=tuple(stems),
        counted=tuple(task.counts_stem for task in tasks),
        out=settings.out,
        max_tokens_per_part=joining.tokens_per_part(settings, itemsize),
        tokenizer=tokenizer,
        record=record,
        threads=settings.workers or usable_cpus(),
    )
    claims = tuple(os.path.join(glob.escape(settings.out), n) for n in store.NAME_PATTERNS)
    phases.append(
        Phase("joining", joining.join, [Unit("joining", join, every, settings.out, claims=claims)])
    )
    deciding = settings.deciding() | {
        "tokenizer_sha256": record.tokenizer_sha256,
        "parts": [os.path.basename(part.path) for part in parts],
    }
    return Plan("tokens reshard", deciding, phases, temporary=(temporary,))


def _record(folders: list[TokenFolder], settings: Reshard) -> tuple[store.Record, str]:
    """The record of what is written, and the path of the tokenizer ("" where there is none)."""
    records = [folder.record for folder in folders if folder.record is not None]
    if records and len(records) < len(folders):
        raise ConfigError("some of the token files have a tokens.json and some not: reshard apart")
    if len(kinds := {(r.tokenizer_sha256, r.eos_token_id, r.bos_token_id) for r in records}) > 1:
        raise ConfigError(f"the token files are of {len(kinds)} tokenizers: reshard them apart")
    if not records:
        if settings.eos_token_id is None:
            raise ConfigError("no tokens.json says which id ends a document: give --eos-token-id")
        record = store.Record(
            tokenizer="", tokenizer_sha256="", encoder="", eos_token_id=settings.eos_token_id,
            pad_token_id=None, vocab_size=1 << (16 if folders[0].dtype == "uint16" else 32),
            dtype=folders[0].dtype, sequence_length=2048, documents=0, tokens=0, parts=[],
        )  # fmt: skip
    else:
        record = records[0]
        if settings.eos_token_id not in (None, record.eos_token_id):
            raise ConfigError(
                f"tokens.json says that {record.eos_token_id} ends documents, not "
                f"{settings.eos_token_id}"
            )
    made = msgspec.structs.replace(
        record,
        sequence_length=settings.sequence_length or record.sequence_length,
        parts=[],
        seed=settings.seed if settings.shuffle else None,
    )
    path = os.path.join(folders[0].path, record.tokenizer) if record.tokenizer else ""
    return made, path


def take(task: TakeTask) -> Result:
    """The documents of a token file that are taken, as intermediate files."""
    ids = task.part.ids()
    counts = Counts()
    outputs: list[str] = []
    if task.spill is not None:
        with shuffling.SpillWriter(task.spill) as spill:
            for rows, copies in _taken(task):
                ends, own = _gathered(ids, rows, copies > 0)
                lines = encoding.packed(_documents(rows, copies > 0), own, ends)
                pairs = list(zip(lines, copies[copies > 0].tolist(), strict=True))
                spill.add(
                    task.spill.grouped(
                        pairs, rows.filter(pa.array(copies > 0)).column("id").to_pylist()
                    )
                )
                counts.documents += int(copies.sum())
        outputs += spill.outputs
    else:
        for k, (stem, threshold) in enumerate(zip(task.stems, task.thresholds, strict=True)):
            outputs += [f"{stem}.ids", f"{stem}.parquet"]
            with (
                files.write_atomically(f"{stem}.ids", synced=False) as stream,
                files.write_atomically(f"{stem}.parquet", synced=False) as table,
                parquet.writing(table, DOCUMENTS, compression="zstd") as writer,
            ):
                for rows, copies in _taken(task):
                    _, own = _gathered(ids, rows, copies > threshold)
                    stream.write(own.tobytes())
                    writer.write_batch(_documents(rows, copies > threshold))
                    counts.documents += int(copies.sum()) if k == 0 else 0  # each file once
    path = encoding.counts_path(task.counts_stem)
    with files.write_atomically(path, synced=False) as stream:
        stream.write(msgspec.json.encode(counts))
    return Result(
        documents=counts.documents, bytes_in=task.part.tokens.n_bytes, outputs=[*outputs, path]
    )


def _taken(task: TakeTask) -> Any:
    """Batches of documents, and how often each is taken (n,); VerificationError where they do not
    fill the token file."""
    end = 0
    for rows in task.part.rows():
        starts, ends = rows.column("start").to_numpy(), rows.column("end").to_numpy()
        if len(starts) and (
            starts[0] != end or (starts[1:] != ends[:-1]).any() or (ends <= starts).any()
        ):
            raise VerificationError(
                f"{task.part.table}: documents do not follow each other after token {end}: see "
                "`dolma-kit tokens verify`"
            )
        end = int(ends[-1]) if len(ends) else end
        yield rows, task.sample.copies(surveys.draws(rows.column("id").to_pylist(), task.seed))
    if end != task.part.n_tokens:
        raise VerificationError(
            f"{task.part.table} ends at token {end}, {task.part.path} has {task.part.n_tokens}"
        )


def _gathered(ids: Any, rows: pa.RecordBatch, chosen: Any) -> tuple[Any, Any]:
    """Ends (n + 1,) of the chosen documents' tokens, laid one after the other, and these."""
    starts, ends = rows.column("start").to_numpy(), rows.column("end").to_numpy()
    lengths = (ends - starts)[chosen]
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    if not len(starts):
        return bounds, ids[:0]
    block = np.asarray(ids[int(starts[0]) : int(ends[-1])])
    if chosen.all():
        return bounds, block
    return bounds, block[np.repeat(chosen, ends - starts)]


def _documents(rows: pa.RecordBatch, chosen: Any) -> pa.RecordBatch:
    some = rows.filter(pa.array(chosen))
    lengths = pa.array(some.column("end").to_numpy() - some.column("start").to_numpy())
    columns = [some.column(n) for n in ("id", "loc", "source")]
    return pa.RecordBatch.from_arrays([*columns, lengths, some.column("src")], schema=DOCUMENTS)
