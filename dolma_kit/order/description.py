"""`run.yaml`: which data a training run read, in which order, in which batches.

    tokens: [tokens/part-00000.npy]      # training order; or one folder = its part-[0-9]*.npy;
                                         # or a table of files, run.files.csv (see `paths`)
    tokenizer: dolma2.json               # this and the next two from tokens.json where there is one
    eos_token_id: 100257
    dtype: uint32
    sequence_length: 2048
    global_batch_size: 2048              # instances
    order: {kind: olmo, seed: 6198, epoch: 0, world_size: 1, drop_last: true}
    epochs: 1                            # each with its own shuffle
    instance_filter: null                # {max_period: 13, min_period: 1, max_count: 32}
    documents: null                      # pattern of docs.parquet or csv.gz not beside the tokens;
                                         # eos-scan where there are none
    decisions: []                        # mixes that say why a document was removed
    label_masks: []                      # for each of tokens, a file of bytes: 1 is a label
    instances: {kind: fixed}             # what an instance is made of
    segments: []                         # empty: one run from step 1

Orders are `{kind: olmo-core, seed, epoch, chunk_size}`, `{kind: feistel, seed}`,
`{kind: file, path, inverse}`, `{kind: sequential}`, `{kind: megatron}` as well; in `path` and
`inverse`, `{epoch}` is the epoch's number. `olmo` and `olmo-core` take `stored` and `inverse`,
copies of the order that `trace export` writes.

A segment: `{from_step, to_step, first_position, epoch, global_batch_size, sequence_length,
truncate_to, skip, parent, note}`. Steps follow those of the segment above, a place that is not
given goes on where that one stopped, sizes are those at the top of the file. `skip`: batches that
were read and not trained on; `truncate_to`: tokens of each instance that were; `parent`: the
run.yaml of the run that trained these steps, where this one forked from it; `note` is for readers.

Relative paths are relative to the file.
"""

from __future__ import annotations

import glob
import os
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from dolma_kit import config, files
from dolma_kit.errors import ConfigError
from dolma_kit.order.documents import EOS_SCAN
from dolma_kit.order.paths import TABLE_SUFFIX, Entry, at, read_table, token_paths
from dolma_kit.order.tokens_json import NAME, check_parts, recorded

Natural = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Value = TypeVar("Value", bound=int | str)


#: by kind, the keys besides it that an order may have
ORDER_KEYS = {
    "olmo": {"seed", "epoch", "world_size", "drop_last", "stored", "inverse"},
    "olmo-core": {"seed", "epoch", "world_size", "chunk_size", "stored", "inverse"},
    "feistel": {"seed", "epoch", "world_size", "drop_last"},
    "file": {"path", "inverse", "dtype", "epoch", "world_size", "drop_last"},
    "sequential": {"epoch", "world_size"},
    "megatron": {"epoch", "world_size"},
}
SEEDED = ("olmo", "olmo-core", "feistel")


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`olmo`: PCG64(seed + epoch) for the first epoch, one more for each that follows; the other
    kinds are in `permutation` and `stored`. From `load`, `epoch` is set."""

    kind: Literal["olmo", "olmo-core", "feistel", "file", "sequential", "megatron"]
    seed: Natural | None = None
    epoch: Natural | None = None
    world_size: Count = 1
    drop_last: bool = True
    chunk_size: Count = 1
    path: str | None = None
    stored: str | None = None
    inverse: str | None = None
    dtype: Literal["uint32", "uint64"] = "uint32"


class InstanceFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OLMo's filter of repetitions: an instance in which max_count or more copies of a sequence of
    min_period to max_period tokens follow each other is masked: read, and not trained on."""

    max_period: Count = 13
    min_period: Count = 1
    max_count: Annotated[int, Meta(ge=3)] = 32


class InstanceForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What instances are made of: `fixed` (OLMo, OLMo-core), `packed` (OLMo-core), `sequences` (one
    each of a `.idx`, Pythia), `megatron` (samples of cached indices)."""

    kind: Literal["fixed", "packed", "sequences", "megatron"] = "fixed"
    max_target_sequence_length: Count | None = None
    long_documents: Literal["truncate", "fragment"] = "truncate"
    group_size: Count = 1
    boundaries: Literal["eos", "documents"] = "eos"
    bos_token_id: Natural | None = None
    indices: list[str] = []
    blend: str | None = None


class SegmentKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `segments`; `parent` is absolute from `load`."""

    from_step: Count | None = None
    to_step: Count | None = None
    first_position: Natural | None = None
    epoch: Natural | None = None
    global_batch_size: Count | None = None
    sequence_length: Count | None = None
    truncate_to: Count | None = None
    skip: bool = False
    parent: str | None = None
    note: str | None = None


class RunDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of run.yaml. From `load`, `tokens` is a list and every path is absolute."""

    tokens: Annotated[list[str], Meta(min_length=1)] | str
    sequence_length: Count
    global_batch_size: Count
    order: Order
    tokenizer: str | None = None
    eos_token_id: Natural | None = None
    dtype: Literal["uint16", "uint32"] | None = None
    epochs: Count = 1
    documents: str | None = None
    decisions: list[str] = []
    label_masks: list[str] = []
    instance_filter: InstanceFilter | None = None
    instances: InstanceForm = InstanceForm()
    segments: list[SegmentKeys] = []


class Loaded(msgspec.Struct, frozen=True):
    """A description with all that it leaves out filled in, and the entries of its path table."""

    description: RunDescription
    entries: list[Entry]


def load(path: str | os.PathLike[str]) -> RunDescription:
    """The description in a file, with what it leaves out taken from tokens.json.

    `dtype` is set in what returns; `tokenizer` and `eos_token_id` may be None, since only text
    needs them. ConfigError for a key that is unknown, missing or of a wrong value, and for one
    that contradicts tokens.json.
    """
    return load_all(path).description


def load_all(path: str | os.PathLike[str]) -> Loaded:
    """The same, with the entries of the path table."""
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise ConfigError(f"no run description {path}")
    written = config.build(RunDescription, config.read(path), where=path)
    folder = os.path.dirname(path)
    tokens = written.tokens
    if isinstance(tokens, str) and tokens.endswith(TABLE_SUFFIX):
        entries = read_table(at(folder, tokens))
        if not entries:
            raise ConfigError(f"tokens: {at(folder, tokens)} lists no file")
        paths = [entry.path for entry in entries]
    else:
        tokens = at(folder, tokens) if isinstance(tokens, str) else [at(folder, t) for t in tokens]
        paths = token_paths(tokens)
        entries = [Entry(one, None) for one in paths]
    record = recorded([one for one in paths if not files.is_remote(one)])
    if record is not None and isinstance(tokens, str) and not tokens.endswith(TABLE_SUFFIX):
        check_parts(record, paths, tokens)
    eos_token_id, dtype, tokenizer = written.eos_token_id, written.dtype, written.tokenizer
    if record is not None:
        eos_token_id = _agreed(path, "eos_token_id", eos_token_id, record.eos_token_id)
        dtype = _agreed(path, "dtype", dtype, record.dtype)
    if dtype is None:
        raise ConfigError(
            f"{path}: no key dtype, and no {NAME} beside the tokens: add dtype: uint16 or uint32"
        )
    if tokenizer is not None:
        tokenizer = at(folder, tokenizer)
    elif record is not None:
        tokenizer = record.tokenizer
    documents = written.documents
    if documents is not None and documents != EOS_SCAN and not files.is_remote(documents):
        # the folder's own name may hold characters that mean something in a pattern
        documents = os.path.join(glob.escape(folder), documents)
    form = written.instances
    description = msgspec.structs.replace(
        written,
        tokens=paths,
        tokenizer=tokenizer,
        eos_token_id=eos_token_id,
        dtype=dtype,
        documents=documents,
        order=_order(path, folder, written.order),
        decisions=[at(folder, one) for one in written.decisions],
        label_masks=_label_masks(path, [at(folder, m) for m in written.label_masks], paths),
        instances=msgspec.structs.replace(
            form,
            indices=[at(folder, one) for one in form.indices],
            blend=form.blend and at(folder, form.blend),
        ),
        segments=[
            msgspec.structs.replace(one, parent=at(folder, one.parent) if one.parent else None)
            for one in written.segments
        ],
    )
    return Loaded(description, entries)


def _label_masks(path: str, masks: list[str], tokens: list[str]) -> list[str]:
    if masks and len(masks) != len(tokens):
        raise ConfigError(
            f"{path}: {len(masks)} label_masks for {len(tokens)} files of tokens: one each"
        )
    return masks


def _order(path: str, folder: str, order: Order) -> Order:
    """The order with its paths joined and its first epoch, once its keys are those of its kind."""
    for field in msgspec.structs.fields(Order):
        if field.name == "kind" or field.name in ORDER_KEYS[order.kind]:
            continue
        if getattr(order, field.name) != field.default:
            known = ", ".join(sorted(ORDER_KEYS[order.kind]))
            raise ConfigError(
                f"{path}: order kind {order.kind} has no key {field.name!r}; its keys: {known}"
            )
    if order.kind in SEEDED and order.seed is None:
        raise ConfigError(f"{path}: missing the key `seed` - at `order`")
    if order.kind == "file" and order.path is None:
        raise ConfigError(f"{path}: order kind file has no key path, the file that holds it")
    if order.inverse is not None and not (order.path or order.stored):
        raise ConfigError(
            f"{path}: an inverse goes with the order that it is the inverse of: add stored"
        )
    least = 1 if order.kind == "olmo-core" else 0
    epoch = least if order.epoch is None else order.epoch
    if epoch < least:
        raise ConfigError(f"{path}: order.epoch is 0, OLMo-core's epochs count from 1")
    return msgspec.structs.replace(
        order,
        epoch=epoch,
        path=order.path and at(folder, order.path),
        stored=order.stored and at(folder, order.stored),
        inverse=order.inverse and at(folder, order.inverse),
    )


def _agreed(path: str, key: str, written: Value | None, found: Value | None) -> Value | None:
    """What run.yaml says, else what tokens.json does."""
    if written is not None and found is not None and written != found:
        raise ConfigError(
            f"{path}: {key} is {written}, {NAME} beside the tokens says {found}: leave the key "
            "out, or name other tokens"
        )
    return found if written is None else written
