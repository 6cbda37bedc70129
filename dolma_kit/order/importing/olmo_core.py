"""An OLMo-core checkpoint: config.json, data_paths.txt, and the loader's state of train/rank0.pt.

Read are the dataset's class, sequence lengths, dtype, tokenizer, filter and mixture, and of the
loader seed, batch and epoch (reference, 1.8). Batches are in tokens there. data_paths.txt lists the
files in the order in which they were read; without it, `paths` or a mix whose list has to be given.
What is not fixed-length, packed or a mixture of those is refused by its name.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.files import is_remote
from dolma_kit.order import remote
from dolma_kit.order.importing import train_state
from dolma_kit.order.importing.mixture import Source, taken_of
from dolma_kit.order.paths import ITEM_BYTES, Entry

if TYPE_CHECKING:
    from dolma_kit.order.importing.writing import Found, Options

#: classes of datasets, and the names that older configs have instead, that are not read
REFUSED = {
    "NumpyVSLDatasetConfig": "variable sequence lengths",
    "vsl": "variable sequence lengths",
    "NumpyPaddedFSLDatasetConfig": "padded instances, a document each",
    "padded_fsl": "padded instances, a document each",
    "NumpyInterleavedFSLDatasetConfig": "interleaved documents",
    "interleaved_fsl": "interleaved documents",
    "NumpyByteFSLDatasetConfig": "bytes",
    "byte_fsl": "bytes",
}
FIXED = ("NumpyFSLDatasetConfig", "NumpyDatasetConfig", "fsl")
PACKED = ("NumpyPackedFSLDatasetConfig", "packed_fsl")


def read(folder: str, options: Options) -> Found:
    """The run of a checkpoint's folder; ConfigError for a dataset that is not read, by name."""
    from dolma_kit.order.importing.writing import Found

    path = os.path.join(folder, "config.json")
    config = _read_json(path)
    dataset, loader = config.get("dataset"), config.get("data_loader") or {}
    if not isinstance(dataset, dict):
        raise ConfigError(f"{path}: no dataset: is it the config of an OLMo-core run?")
    packed = _is_packed(dataset, loader, path)
    length = options.sequence_length or dataset.get("sequence_length")
    if not length:
        raise ConfigError(f"{path}: dataset has no sequence_length")
    tokenizer = dataset.get("tokenizer") or {}
    warnings: list[str] = []
    order: dict[str, Any] = {"kind": "olmo-core", "seed": loader.get("seed", 0)}
    if loader.get("shuffle") is False:
        order = {"kind": "sequential"}
    keys: dict[str, Any] = {
        "eos_token_id": tokenizer.get("eos_token_id"),
        "dtype": dataset.get("dtype") or _dtype_for(tokenizer.get("vocab_size"), path),
        "sequence_length": length,
        "global_batch_size": _in_instances(loader.get("global_batch_size"), length, path),
        "order": order,
        "instance_filter": _filter(dataset.get("instance_filter_config")),
        "instances": _form(dataset, packed, tokenizer),
    }
    if dataset.get("label_mask_paths"):
        warnings.append("label masks mask tokens that are not marked here")
    found = Found(keys, _entries(folder, dataset, keys, loader, options), warnings)
    _add_duration(found, config.get("trainer") or {}, length)
    _add_state(found, folder, length)
    return found


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            found = msgspec.json.decode(stream.read())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DataError(path, None, "holds no keys")
    return found


def _class_of(part: dict[str, Any]) -> str:
    return str(part.get("_CLASS_") or part.get("name") or "").split(".")[-1]


def _is_packed(dataset: dict[str, Any], loader: dict[str, Any], path: str) -> bool:
    name, of_loader = _class_of(dataset), _class_of(loader)
    if "Composable" in of_loader or "InstanceSource" in name or "composable" in str(
        dataset.get("_CLASS_", "")
    ):  # fmt: skip
        raise ConfigError(
            f"{path}: {name or of_loader} is a composable dataset: its order is not that of "
            "fixed-length instances, and is not read"
        )
    if name in REFUSED:
        raise ConfigError(
            f"{path}: {name} ({REFUSED[name]}) is not read: its order is not that of fixed-length "
            "instances"
        )
    if name in PACKED:
        return True
    if name not in FIXED:
        raise ConfigError(f"{path}: datasets of the class {name or 'none'} are not known here")
    return False


def _dtype_for(vocab_size: Any, path: str) -> str:
    if not isinstance(vocab_size, int):
        raise ConfigError(f"{path}: neither dtype nor tokenizer.vocab_size")
    if vocab_size - 1 <= 0xFF:
        raise ConfigError(
            f"{path}: a vocabulary of {vocab_size} is stored as uint8, which is not read"
        )
    return "uint16" if vocab_size - 1 <= 0xFFFF else "uint32"


def _in_instances(tokens: Any, length: int, path: str) -> int | None:
    if tokens is None:
        return None
    if int(tokens) % length:
        raise ConfigError(
            f"{path}: global_batch_size {tokens} tokens are no multiple of sequence_length {length}"
        )
    return int(tokens) // length


def _filter(settings: Any) -> dict[str, int] | None:
    from dolma_kit.order.importing.olmo import _filter as of_olmo

    return of_olmo(settings)


def _form(dataset: dict[str, Any], packed: bool, tokenizer: dict[str, Any]) -> dict[str, Any]:
    if not packed:
        longest = dataset.get("max_target_sequence_length")
        return {"kind": "fixed", "max_target_sequence_length": longest} if longest else {}
    form: dict[str, Any] = {
        "kind": "packed",
        "long_documents": str(dataset.get("long_doc_strategy") or "truncate").split(".")[-1],
        "group_size": dataset.get("source_group_size") or 1,
    }
    if tokenizer.get("bos_token_id") is not None:
        form["bos_token_id"] = tokenizer["bos_token_id"]
    if dataset.get("use_array_if_local") is False or any(
        is_remote(str(path)) for path in dataset.get("paths") or []
    ):
        form["boundaries"] = "documents"
    return form


def _entries(
    folder: str,
    dataset: dict[str, Any],
    keys: dict[str, Any],
    loader: dict[str, Any],
    options: Options,
) -> list[Entry]:
    """The path table in the order of the loader."""
    mixture = dataset.get("source_mixture_config")
    if isinstance(mixture, dict):
        return _mixed(mixture, keys, loader, options)
    listed = os.path.join(folder, "data_paths.txt")
    if os.path.isfile(listed):
        with open(listed, encoding="utf-8") as stream:
            paths = [line.strip() for line in stream if line.strip()]
        if not paths:
            raise DataError(listed, None, "lists no file")
        return [Entry(path, None) for path in paths]
    if dataset.get("expand_glob"):
        raise ConfigError(f"{folder}: paths are globs: put data_paths.txt beside config.json")
    if dataset.get("paths"):
        paths = [str(path) for path in dataset["paths"]]
        return [Entry(path, None) for path in _permuted(paths, dataset)]
    name = dataset.get("mix")
    if name is None:
        raise ConfigError(f"{folder}: neither data_paths.txt, paths, a mix nor a source mixture")
    if not options.tokens:
        raise ConfigError(
            f"{folder}: the data is the mix {name}, and data_paths.txt is not there: give the "
            "mix's list with --tokens FILE.txt"
        )
    from dolma_kit.order.importing.mixes import read_mix

    base = str(dataset.get("mix_base_dir") or "")
    identifier = (dataset.get("tokenizer") or {}).get("identifier")
    entries = read_mix(options.tokens[0], base, options.tokenizer_name or identifier)
    return [entries[i] for i in _permutation(len(entries), dataset)]


def _permuted(paths: list[str], dataset: dict[str, Any]) -> list[str]:
    return [paths[i] for i in _permutation(len(paths), dataset)]


def _permutation(n: int, dataset: dict[str, Any]) -> list[int]:
    """`source_permutation_seed`: the files in the order in which Python's random puts them."""
    order = list(range(n))
    seed = dataset.get("source_permutation_seed")
    if seed is not None:
        random.Random(seed).shuffle(order)
    return order


def _mixed(
    mixture: dict[str, Any], keys: dict[str, Any], loader: dict[str, Any], options: Options
) -> list[Entry]:
    """The files of a source mixture, with the tokens that it takes of each: sizes are asked for."""
    from dolma_kit.order.importing.writing import _at_root

    listed = mixture.get("source_list") or mixture.get("source_configs") or {}
    rows = listed.get("sources") if isinstance(listed, dict) else listed
    if not rows:
        raise ConfigError("source_mixture_config lists no sources")
    sources = [
        Source(
            name=str(row["source_name"]),
            ratio=float(row["target_ratio"]),
            paths=[_at_root(Entry(str(path), None), options.roots).path for path in row["paths"]],
            max_repetition=float(row.get("max_repetition_ratio") or 1.0),
            max_fraction=float(row.get("max_source_fraction") or 1.0),
        )
        for row in rows
    ]
    paths = list(dict.fromkeys(path for source in sources for path in source.paths))
    if globs := [path for path in paths if "*" in path]:
        raise ConfigError(f"source_mixture_config names files by the glob {globs[0]}: list them")
    sizes = dict(zip(paths, remote.sizes(paths), strict=True))
    item = ITEM_BYTES[keys["dtype"]]
    length = keys["sequence_length"]
    taken = taken_of(
        sources,
        {path: size // item for path, size in sizes.items()},
        requested_tokens=int(mixture.get("requested_tokens") or mixture.get("max_tokens") or 0),
        batch_tokens=int(mixture.get("global_batch_size") or loader["global_batch_size"]),
        sequence_length=length,
    )
    return [Entry(one.path, sizes[one.path], one.source, None, one.tokens) for one in taken]


def _add_duration(found: Found, trainer: dict[str, Any], length: int) -> None:
    duration = trainer.get("max_duration")
    if isinstance(duration, dict) and isinstance(duration.get("value"), int):
        unit = str(duration.get("unit", "")).split(".")[-1]
        if unit == "tokens":
            found.max_tokens = duration["value"]
        elif unit == "steps":
            found.max_steps = duration["value"]
        elif unit == "epochs":
            found.keys["epochs"] = duration["value"]
    for callback in (trainer.get("callbacks") or {}).values():
        name = _class_of(callback) if isinstance(callback, dict) else ""
        if "BatchSize" in name:
            _add_batches(found, callback, length)
        if "SequenceLength" in name:
            raise ConfigError(
                f"{name}: the sequence length changes within the run: import it without, and "
                "write its segments"
            )


def _add_batches(found: Found, callback: dict[str, Any], length: int) -> None:
    """A schedule of batch sizes, in steps or tokens from which each holds."""
    sizes, schedule = callback.get("batch_sizes"), callback.get("schedule")
    if not sizes or not schedule or len(sizes) != len(schedule):
        raise ConfigError("the schedule of batch sizes is not understood: write its segments")
    segments: list[dict[str, Any]] = []
    step = 1
    tokens = 0
    for size, start in zip(sizes, schedule, strict=True):
        value, unit = (start.get("value"), str(start.get("unit", "")).split(".")[-1])
        if segments:
            before = int(segments[-1]["global_batch_size"]) * length
            if unit == "tokens":
                step += -(-(int(value) - tokens) // before)
            elif unit == "steps":
                step = int(value) + 1
            else:
                raise ConfigError(f"a schedule of batch sizes in {unit} is not understood")
            tokens += (step - int(segments[-1]["from_step"])) * before
            # It grows only where whole batches of the new size have been read.
            while tokens % int(size) and int(size) > before:
                step, tokens = step + 1, tokens + before
            segments[-1]["to_step"] = step - 1
        segments.append({"from_step": step, "global_batch_size": int(size) // length})
    found.keys["segments"] = segments


def _add_state(found: Found, folder: str, length: int) -> None:
    """What the loader's state says; its seed wins over the config's, as OLMo-core has it."""
    path = os.path.join(folder, "train", "rank0.pt")
    if not os.path.isfile(path):
        found.warnings.append("no train/rank0.pt: how far the run has come is not known")
        return
    state = train_state.read_state(path)
    loader = state.get("data_loader")
    step = state.get("global_step")
    if not isinstance(loader, dict) or not isinstance(step, int):
        raise DataError(path, None, "has no data_loader and global_step: not OLMo-core's trainer")
    seed = loader.get("seed")
    if isinstance(seed, int) and seed != found.keys["order"].get("seed", seed):
        found.warnings.append(
            f"the state's seed is {seed}, the config's {found.keys['order']['seed']}: the state's "
            "is what was used"
        )
        found.keys["order"]["seed"] = seed
    if isinstance(world_size := state.get("world_size"), int):
        found.keys["order"]["world_size"] = world_size
    batch, epoch = found.keys["global_batch_size"], loader.get("epoch") or 1
    processed = loader.get("tokens_processed")
    found.last_step = step
    if found.keys.get("segments") or not isinstance(processed, int) or not batch:
        return
    position = processed // length
    if epoch == 1 and position == step * batch:
        return
    if epoch > 1 and position <= step * batch:
        found.warnings.append(
            f"the state is in epoch {epoch}, {position:,} instances in; the epochs before are "
            "taken to be whole"
        )
        found.keys["epochs"] = max(found.keys.get("epochs") or 1, epoch)
        return
    found.warnings.append(
        f"{step:,} steps of {batch} are {step * batch:,} instances, the state has {position:,}: "
        f"steps up to {step:,} are not described, those after it are"
    )
    found.keys["segments"] = [{"from_step": step + 1, "epoch": epoch, "first_position": position}]
    found.keys["epochs"] = max(found.keys.get("epochs") or 1, epoch)
    found.last_step = found.max_tokens = found.max_steps = None
