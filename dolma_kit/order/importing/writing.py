"""An import: what is asked for, which importer takes the source, and what is written.

`OUT` is a run.yaml; beside it, `OUT.files.csv` (`.yaml` left out) is its path table with sizes, the
manifest from which every question about order is answered without a token file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dolma_kit import files
from dolma_kit.errors import ConfigError
from dolma_kit.order import remote
from dolma_kit.order.importing import revisions
from dolma_kit.order.importing.revisions import Revision
from dolma_kit.order.paths import ITEM_BYTES, Entry, write_table


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an import is told besides its source; None where the source says it.

    `roots` are (from, to): a prefix of paths, and what stands there now. `stat` asks for the sizes
    of remote files. `revisions` are names of checkpoints or files that list them, `at` is the one
    at which the run is to end.
    """

    roots: Sequence[tuple[str, str]] = ()
    stat: bool = False
    revisions: Sequence[str] = ()
    at: str | None = None
    tokens: Sequence[str] = ()
    kind: str | None = None
    seed: int | None = None
    sequence_length: int | None = None
    global_batch_size: int | None = None
    world_size: int | None = None
    epochs: int | None = None
    dtype: str | None = None
    tokenizer: str | None = None
    tokenizer_name: str | None = None
    eos_token_id: int | None = None


@dataclass
class Found:
    """A run as an importer has read it: keys of run.yaml but `tokens`, the entries of its path
    table, what is to be said, and steps that the run has done, if the source says so.

    `max_tokens` and `max_steps` are the duration that a config names.
    """

    keys: dict[str, Any]
    entries: list[Entry]
    warnings: list[str] = field(default_factory=list)
    last_step: int | None = None
    max_tokens: int | None = None
    max_steps: int | None = None


class Imported(msgspec.Struct, frozen=True):
    """What `trace import` has written: the two files, and what it found."""

    command: str
    source: str
    kind: str
    files: int
    bytes: int | None
    instances: int | None
    steps: int | None
    warnings: list[str]
    outputs: list[str]


def import_run(source: str, out: str, options: Options) -> Imported:
    """Write the run.yaml of a source; ConfigError for what no importer reads, and for what its own
    parts contradict."""
    kind, found = _read(source, options)
    _override(found, options)
    entries = [_at_root(entry, options.roots) for entry in found.entries]
    entries = _sized(entries, options.stat, found)
    listed = revisions.read(options.revisions)
    at = revisions.parse(options.at) if options.at else None
    own = revisions.of_stage(listed, at)
    batch, length = found.keys["global_batch_size"], found.keys["sequence_length"]
    revisions.check([*own, *([at] if at else [])], batch, length)
    if at is not None and listed and at.step not in {one.step for one in own}:
        raise ConfigError(
            f"no revision {options.at} among the {len(own)} that are listed of its stage: "
            f"{_nearest(at, own)}"
        )
    last = _last_step(found, own, at)
    found.keys["segments"] = _segments(own, last, found)
    found.keys["epochs"] = found.keys.get("epochs") or 1
    _choose_documents(entries, found, options)
    run = _with_epochs(found, entries, last)
    _write(out, entries, found)
    return Imported(
        command="trace import",
        source=source,
        kind=kind,
        files=len(entries),
        bytes=sum(e.n_bytes for e in entries if e.n_bytes) if _known(entries) else None,
        instances=run[0],
        steps=run[1],
        warnings=found.warnings,
        outputs=[out, _table_of(out)],
    )


def _read(source: str, options: Options) -> tuple[str, Found]:
    from dolma_kit.order.importing import indices, mixes, olmo, olmo_core

    folder = os.path.isdir(source)
    if folder and os.path.isfile(os.path.join(source, "config.json")):
        return "olmo-core", olmo_core.read(source, options)
    if folder and os.path.isfile(os.path.join(source, "config.yaml")):
        return "olmo", olmo.read(os.path.join(source, "config.yaml"), options)
    if folder:
        return "megatron", indices.read_cache(source, options)
    if not os.path.exists(source):
        raise ConfigError(f"nothing to import at {source}")
    if source.endswith((".yaml", ".yml")):
        return "olmo", olmo.read(source, options)
    if source.endswith(".json"):
        return "olmo-core", olmo_core.read(os.path.dirname(source) or ".", options)
    if source.endswith(".txt"):
        return "mix", mixes.read(source, options)
    if source.endswith(".idx"):
        return "pythia", indices.read_sequences(source, options)
    if source.endswith(".npy"):
        return "order-file", indices.read_order(source, options)
    raise ConfigError(
        f"{source}: neither a config.yaml, a checkpoint's folder, a mix (.txt), an order (.npy), "
        "an index (.idx) nor a folder of cached indices"
    )


def _override(found: Found, options: Options) -> None:
    """What was said wins over what the source says."""
    for key in ("sequence_length", "global_batch_size", "dtype", "eos_token_id", "epochs"):
        said = getattr(options, key)
        if said is not None:
            found.keys[key] = said
        if key in ("sequence_length", "global_batch_size", "dtype") and not found.keys.get(key):
            raise ConfigError(f"the source says no {key}: give --{key.replace('_', '-')}")
    order = found.keys["order"]
    if options.seed is not None:
        order["seed"] = options.seed
    if options.world_size is not None:
        order["world_size"] = options.world_size
    if options.tokenizer is not None:
        found.keys["tokenizer"] = os.path.abspath(options.tokenizer)


def _at_root(entry: Entry, roots: Sequence[tuple[str, str]]) -> Entry:
    for before, now in roots:
        if entry.path.startswith(before):
            return msgspec.structs.replace(entry, path=now + entry.path[len(before) :])
    return entry


def _sized(entries: list[Entry], stat: bool, found: Found) -> list[Entry]:
    """The entries with the sizes that are known or asked for."""
    unknown = [entry.path for entry in entries if entry.n_bytes is None]
    local = {p: os.path.getsize(p) for p in unknown if not files.is_remote(p) and os.path.isfile(p)}
    asked = list(dict.fromkeys(p for p in unknown if p not in local))
    if asked and stat:
        local |= dict(zip(asked, remote.sizes(asked), strict=True))
    elif asked:
        found.warnings.append(
            f"the sizes of {len(asked)} files are not known, so neither is their number of "
            f"instances: --stat asks for them (the first is {asked[0]})"
        )
    return [
        entry if entry.n_bytes is not None else msgspec.structs.replace(
            entry, n_bytes=local.get(entry.path)
        )
        for entry in entries
    ]  # fmt: skip


def _known(entries: Sequence[Entry]) -> bool:
    return all(entry.n_bytes is not None for entry in entries)


def _nearest(at: Revision, own: Sequence[Revision]) -> str:
    near = sorted(own, key=lambda one: abs(one.step - at.step))[:2]
    return f"the nearest are {' and '.join(one.name for one in near)}" if near else "none"


def _last_step(found: Found, own: Sequence[Revision], at: Revision | None) -> int | None:
    """The step at which the run ends, as far as anything says so."""
    if at is not None:
        return at.step
    if own:
        return max(max(one.step for one in own), found.last_step or 0)
    if found.last_step is not None:
        return found.last_step
    if found.max_steps is not None:
        return found.max_steps
    if found.max_tokens is not None:
        per_step = int(found.keys["global_batch_size"]) * int(found.keys["sequence_length"])
        found.warnings.append(
            "the run ends where its config says; a config is not the run: give the names of its "
            "checkpoints with --revisions"
        )
        return -(-found.max_tokens // per_step)
    return None


def _segments(own: Sequence[Revision], last: int | None, found: Found) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = found.keys.get("segments", [])
    if written or last is None:
        if last is not None:
            written = [one for one in written if one["from_step"] <= last]
            written[-1]["to_step"] = last
        return written
    rows = revisions.lineage(own)
    if len({run for _, _, run in rows}) < 2:
        return [{"from_step": 1, "to_step": last}]
    segments = [
        {"from_step": first, "to_step": min(end, last), "note": f"trained by {run}"}
        for first, end, run in rows
        if first <= last
    ]
    segments[-1]["to_step"] = last
    return segments


def _choose_documents(entries: Sequence[Entry], found: Found, options: Options) -> None:
    """Whether documents have lists beside the tokens; if not, EOS tokens tell them apart."""
    if "documents" in found.keys or not entries:
        return
    first = entries[0].path
    stem = os.path.splitext(first)[0]
    if files.is_remote(first):
        listed = not options.stat or remote.exists(stem + ".csv.gz")
    else:
        there = os.path.isfile(first)
        suffixes = (".docs.parquet", ".csv.gz", *([".idx"] if first.endswith(".bin") else []))
        listed = not there or any(os.path.isfile(stem + s) for s in suffixes)
    if not listed:
        found.keys["documents"] = "eos-scan"
        found.warnings.append(
            f"no csv.gz beside {first}: documents are told apart by EOS tokens alone, and have no "
            "ids"
        )


def _with_epochs(
    found: Found, entries: Sequence[Entry], last: int | None
) -> tuple[int | None, int | None]:
    """Set as many epochs as the steps need; (instances, steps) where sizes are known."""
    form = found.keys.get("instances", {"kind": "fixed"})
    if not _known(entries) or form.get("kind", "fixed") != "fixed":
        return None, last
    item, length = ITEM_BYTES[found.keys["dtype"]], found.keys["sequence_length"]
    longest = form.get("max_target_sequence_length") or length
    n = sum(
        (e.taken if e.taken is not None else (e.n_bytes or 0) // item) // longest
        * (longest // length)
        for e in entries
    )  # fmt: skip
    per_epoch = n // found.keys["global_batch_size"]
    if per_epoch and last is not None:
        needed = -(-last // per_epoch)
        if needed > found.keys["epochs"]:
            found.keys["epochs"] = needed
    return n, last if last is not None else per_epoch * found.keys["epochs"]


def _table_of(out: str) -> str:
    return f"{out.removesuffix('.yaml')}.files.csv"


def _write(out: str, entries: Sequence[Entry], found: Found) -> None:
    import yaml

    folder = os.path.dirname(os.path.abspath(out))
    table = _table_of(out)
    for key in ("tokenizer",):
        if key in found.keys:
            found.keys[key] = _relative(found.keys[key], folder)
    keys = {"tokens": os.path.basename(table)} | {
        key: value for key, value in found.keys.items() if value not in (None, [], {})
    }
    said = "".join(f"# {warning}\n" for warning in found.warnings)
    text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=100)
    write_table(table, [_entry_relative(entry, folder) for entry in entries])
    with files.write_atomically(out) as stream:
        stream.write(
            f"# A training run, imported by `dolma-kit trace import`.\n{said}{text}".encode()
        )


def _entry_relative(entry: Entry, folder: str) -> Entry:
    return msgspec.structs.replace(entry, path=_relative(entry.path, folder))


def _relative(path: str, folder: str) -> str:
    """A local path as it is named from the folder, where it lies in it; else absolute."""
    if files.is_remote(path):
        return path
    absolute = os.path.abspath(path)
    if absolute.startswith(folder + os.sep):
        return os.path.relpath(absolute, folder)
    return absolute
