"""The stage `tokenize`: documents in, token files out, in canonical order or shuffled.

Encoding, a unit a file of documents: its ids, EOS after each document, as they will stand in the
parts, and a table of its documents, both intermediate. Shuffling, if that is asked for, a unit a
bucket (see `dolma_kit.shuffling`). Joining, one unit: all ids one after the other, cut into parts
between documents; streamed, and last of all tokens.json.
"""

from __future__ import annotations

import glob
import os
from typing import Any

import numpy as np

from dolma_kit import config, files, ledger, shuffling
from dolma_kit.config import Tokenize
from dolma_kit.decoding import Source
from dolma_kit.documents import DocumentReader, Fields, allot
from dolma_kit.errors import BrokenFile, ConfigError
from dolma_kit.execute import Engine, Phase, Plan, Unit, engine_for, execute, usable_cpus
from dolma_kit.execute.local import bound_threads
from dolma_kit.execute.reading import Consumer, Reading
from dolma_kit.layout import Shard, find
from dolma_kit.quarantine import below_output
from dolma_kit.summary import Summary, summarize, summarize_part
from dolma_kit.tokens import encoding, joining, self_check, store, tokenizer_file
from dolma_kit.tokens.encoding import BatchEncoder, BucketTask, EncodedSink, EncodeTask
from dolma_kit.tokens.joining import JoinTask

ENCODING = "encoding"
SHUFFLING = "shuffling"
JOINING = "joining"
SAMPLED_DOCUMENTS = 256


def tokenize(
    settings: Tokenize | None = None, *, engine: Engine | None = None, **keys: Any
) -> Summary:
    """Encode documents into token files; `keys` are those of `config.Tokenize`, or the struct.

    `counts` of the summary: `tokens`, `parts`, `instances` (whole ones of sequence_length), `empty`
    documents (without ids; they are left out), `eos_in_text` (EOS ids that a text gave by itself,
    0 where EOS is a special token and not parsed), `special_in_text` (strings of special tokens in
    texts, by string), `encoder`, and `warnings`.

    >>> tokenize(
    ...     documents=["web"], tokenizer="dolma2.json", eos_token_id=100257, out="tokens"
    ... )  # doctest: +SKIP
    """
    settings = settings or config.build(Tokenize, keys)
    bound_threads(settings.workers or usable_cpus())  # before the libraries start theirs
    with engine_for(settings, engine) as running:
        _warm(settings, running)
        made, note = _plan(settings)
        outcome = execute(made, settings, running)
    partial = settings.limit is not None
    if outcome.part:
        return summarize_part("tokenize", outcome, ENCODING, partial=partial)
    (joined,) = outcome.results[JOINING]
    warnings = [*([note] if note else []), *joined.counts["warnings"]]
    return summarize(
        "tokenize",
        outcome,
        reading=JOINING,
        writing=JOINING,
        outputs=[settings.out],
        partial=partial,
        counts=joined.counts | {"warnings": warnings},
    )


def _warm(settings: Tokenize, engine: Engine) -> None:
    """Have workers load the fast library's tokenizer, as long as another, while it is checked."""
    if settings.encoder == "tokenizers" or not settings.tokenizer:
        return
    tokenizer = tokenizer_file.resolve(settings.tokenizer)
    parse = settings.compat == "dolma" or settings.special_tokens == "parse"
    engine.warm(
        "dolma_kit.tokens.encoder", "load", tokenizer.path, tokenizer.sha256, "fastokens",
        parse,
    )  # fmt: skip


def plan(settings: Tokenize) -> Plan:
    """A unit a file to encode, and one that joins them. The ledger is that of `out`."""
    return _plan(settings)[0]


def _plan(settings: Tokenize) -> tuple[Plan, str | None]:
    """The plan, and why it does not encode with fastokens, if it was free to and does not."""
    if not settings.out:
        raise ConfigError("no output folder: name one with --out")
    if not settings.documents:
        raise ConfigError("no documents: give files, folders or globs")
    tokenizer = tokenizer_file.resolve(settings.tokenizer)
    eos_token_id = tokenizer.require_eos(settings.eos_token_id)
    pad_token_id = tokenizer.require_pad(settings.pad_token_id)
    if tokenizer.name == store.RECORD_NAME:
        raise ConfigError(
            f"a tokenizer cannot be called {store.RECORD_NAME}: rename {tokenizer.path}"
        )
    copy = os.path.join(settings.out, tokenizer.name)
    if settings.overwrite and os.path.exists(copy) and os.path.samefile(copy, tokenizer.path):
        raise ConfigError(f"--overwrite would remove {copy} before it is read: give the original")
    fields = Fields(settings.text_key, settings.id_key)
    shards = find(settings.documents)
    bos_token_id = tokenizer.require_bos(settings.bos_token_id)
    dolmas = settings.compat == "dolma"
    parse = dolmas or settings.special_tokens == "parse"
    chosen = self_check.choose(
        settings.encoder,
        tokenizer,
        _sample(shards, fields, settings.set_aside) if settings.encoder != "tokenizers" else (),
        with_special=parse,
    )
    itemsize = np.dtype(store.NUMPY_DTYPES[tokenizer.dtype]).itemsize
    temporary = ledger.temporary(settings.out, settings.tmp_dir)
    units, encoded = [], []
    allotted = allot(shards, settings.limit, fields, set_aside=settings.set_aside)
    n_buckets = shuffling.buckets_for([(s.path, files.size(s.path)) for s, _ in allotted], 1)
    for i, (shard, limit) in enumerate(allotted):
        stem = os.path.join(temporary, f"{i:06d}")
        task = EncodeTask(
            stem=stem,
            src=shard.src,
            tokenizer=tokenizer.path,
            tokenizer_sha256=tokenizer.sha256,
            library=chosen.library,
            special=tuple(token for token in tokenizer.added_tokens if token.special),
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            dtype=tokenizer.dtype,
            parse=parse,
            dolmas=dolmas,
            spill=shuffling.Spill(stem, n_buckets, settings.seed) if settings.shuffle else None,
        )
        encoded.append(task)
        aside = below_output("tokenize", settings.out, shard)
        units.append(
            Unit(
                name=f"{ENCODING} {shard.src}",
                task=Reading(
                    Source(shard.path, fields, limit=limit, set_aside=settings.set_aside),
                    (Consumer(BatchEncoder, EncodedSink, task, aside, empty_if_broken=True),),
                ),
                inputs=(shard.path,),
                folder=settings.out,
                n_bytes=files.size(shard.path),
            )
        )
    record = store.Record(
        tokenizer=tokenizer.name,
        tokenizer_sha256=tokenizer.sha256,
        encoder=chosen.name,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
        bos_token_id=bos_token_id,
        vocab_size=tokenizer.vocab_size,
        dtype=tokenizer.dtype,
        sequence_length=settings.sequence_length,
        documents=0,
        tokens=0,
        parts=[],
        seed=settings.seed if settings.shuffle else None,
    )
    inputs = tuple(dict.fromkeys(path for unit in units for path in unit.inputs))
    sorting = []
    spills = tuple(task.spill for task in encoded if task.spill)
    for bucket in range(n_buckets if spills else 0):
        bucket_task = BucketTask(
            spills, bucket, os.path.join(temporary, f"bucket-{bucket:04d}"), itemsize
        )
        sorting.append(Unit(f"{SHUFFLING} {bucket}", bucket_task, inputs, settings.out))
    last = Unit(
        name=JOINING,
        task=JoinTask(
            encoded=tuple([unit.task.stem for unit in sorting] or [task.stem for task in encoded]),
            counted=tuple(task.stem for task in encoded),
            out=settings.out,
            max_tokens_per_part=joining.tokens_per_part(settings, itemsize),
            tokenizer=tokenizer.path,
            record=record,
            threads=settings.workers or usable_cpus(),
            layout=settings.layout,
        ),
        inputs=inputs,
        folder=settings.out,
        n_bytes=sum(unit.n_bytes for unit in units),
        threads=settings.workers or usable_cpus(),
        claims=tuple(os.path.join(glob.escape(settings.out), n) for n in store.NAME_PATTERNS),
    )
    deciding = settings.deciding() | {
        "tokenizer": tokenizer.name,
        "tokenizer_sha256": tokenizer.sha256,
        "encoder": chosen.name,
        "dtype": tokenizer.dtype,
        "src": [task.src for task in encoded],
    }
    del deciding["out"]
    if not settings.shuffle:
        del deciding["seed"]
    phases = [Phase(ENCODING, None, units)]
    if settings.shuffle:
        phases.append(Phase(SHUFFLING, encoding.sort_bucket, sorting))
    phases.append(Phase(JOINING, joining.join, [last]))
    made = Plan(
        stage="tokenize",
        config=deciding,
        phases=phases,
        temporary=(temporary,),
    )
    return made, chosen.note


def _sample(shards: list[Shard], fields: Fields, set_aside: bool) -> list[str]:
    """The texts of the first documents of the first file, or with `set_aside` of the first that
    can be read."""
    for shard in shards:
        reader = DocumentReader(
            shard.path, fields=fields, limit=SAMPLED_DOCUMENTS, set_aside=set_aside
        )
        try:
            return [text for batch in reader for text in batch.texts]
        except BrokenFile:
            if not set_aside:
                raise
    return []
