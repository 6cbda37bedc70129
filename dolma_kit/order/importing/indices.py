"""Orders that lie in files: a global_indices.npy, Pythia's .idx, Megatron's cached indices."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Any

import msgspec

from dolma_kit.errors import ConfigError, DataError
from dolma_kit.order.paths import Entry, token_paths
from dolma_kit.order.sequences import read_index

if TYPE_CHECKING:
    from dolma_kit.order.importing.writing import Found, Options

PYTHIA_BATCH = 1024


def read_order(path: str, options: Options) -> Found:
    """The run of an order file over token files, which have to be given."""
    from dolma_kit.order.importing.writing import Found

    if not options.tokens:
        raise ConfigError(f"{path} orders instances: name the token files with --tokens")
    return Found(
        {
            "dtype": options.dtype or _recorded_dtype(options.tokens),
            "sequence_length": options.sequence_length,
            "global_batch_size": options.global_batch_size,
            "order": {"kind": "file", "path": os.path.abspath(path)},
        },
        [Entry(one, None) for one in _token_files(options.tokens)],
    )


def _token_files(tokens: Any) -> list[str]:
    found: list[str] = []
    for one in tokens:
        found += token_paths(one) if os.path.isdir(one) else [one]
    return found


def _recorded_dtype(tokens: Any) -> str | None:
    from dolma_kit.order.tokens_json import recorded

    record = recorded(_token_files(tokens))
    return None if record is None else record.dtype


def read_sequences(path: str, options: Options) -> Found:
    """Pythia's data: sequences stored in the order of training (or those of --tokens, in turn)."""
    from dolma_kit.order.importing.writing import Found

    index = read_index(path)
    lengths = {int(index.lengths[0]), int(index.lengths[-1])}
    if len(lengths) > 1:
        raise ConfigError(
            f"{path}: its sequences are of {' and '.join(map(str, sorted(lengths)))} tokens: they "
            "are documents, not instances; import the cached indices of the run"
        )
    (length,) = lengths
    return Found(
        {
            "dtype": index.dtype,
            "eos_token_id": options.eos_token_id,
            "sequence_length": options.sequence_length or length - 1,
            "global_batch_size": options.global_batch_size or PYTHIA_BATCH,
            "order": {"kind": "sequential"},
            "instances": {"kind": "sequences"},
            "documents": "eos-scan",
        },
        [Entry(path.removesuffix(".idx") + ".bin", None)],
        ["steps count from 1 here; the batch that Pythia's viewer calls step s is step s + 1"],
    )


def read_cache(folder: str, options: Options) -> Found:
    """A folder of Megatron-core's cached indices: one data set, or several and their blend.

    ConfigError where the folder holds none, or descriptions that name no data sets and none are
    given with --tokens.
    """
    from dolma_kit.order.importing.writing import Found

    found = sorted(glob.glob(os.path.join(glob.escape(folder), "*-train-document_index.npy")))
    found = found or sorted(glob.glob(os.path.join(glob.escape(folder), "*-document_index.npy")))
    if not found:
        raise ConfigError(
            f"{folder} holds neither config.json, config.yaml nor *-document_index.npy"
        )
    prefixes = [path.removesuffix("-document_index.npy") for path in found]
    descriptions = [_description(prefix) for prefix in prefixes]
    blends = sorted(glob.glob(os.path.join(glob.escape(folder), "*-dataset_index.npy")))
    blend = blends[0].removesuffix("-dataset_index.npy") if blends else None
    if len(blends) > 1:
        raise ConfigError(f"{folder} holds {len(blends)} blends: leave the one of the run in it")
    if blend is not None:
        prefixes, descriptions = _in_order(prefixes, descriptions, _description(blend))
    tokens = [_bin(one) for one in options.tokens] or [
        _bin(str(said["dataset_path"])) for said in descriptions if "dataset_path" in said
    ]
    if len(tokens) != len(prefixes):
        raise ConfigError(
            f"{folder} has indices of {len(prefixes)} data sets, {len(tokens)} are named: give "
            "each one's .bin with --tokens, in the order of the blend"
        )
    lengths = [said["sequence_length"] for said in descriptions if "sequence_length" in said]
    return Found(
        {
            "dtype": options.dtype or read_index(tokens[0].removesuffix(".bin") + ".idx").dtype,
            "eos_token_id": options.eos_token_id,
            "sequence_length": options.sequence_length or (lengths[0] if lengths else None),
            "global_batch_size": options.global_batch_size,
            "order": {"kind": "megatron"},
            "instances": {
                "kind": "megatron",
                "indices": [os.path.abspath(prefix) for prefix in prefixes],
                "blend": blend and os.path.abspath(blend),
            },
        },
        [Entry(one, None) for one in tokens],
    )


def _bin(path: str) -> str:
    return path if path.endswith(".bin") else path + ".bin"


def _description(prefix: str) -> dict[str, Any]:
    """What Megatron has noted beside cached indices; empty where it has not."""
    path = f"{prefix}-description.txt"
    try:
        with open(path, "rb") as stream:
            found = msgspec.json.decode(stream.read())
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"is not JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _in_order(
    prefixes: list[str], descriptions: list[dict[str, Any]], blend: dict[str, Any]
) -> tuple[list[str], list[dict[str, Any]]]:
    """The data sets in the order in which the blend numbers them, where it says so."""
    named = blend.get("datasets")
    if not isinstance(named, list) or len(named) != len(prefixes):
        return prefixes, descriptions
    by_path = {said.get("dataset_path"): i for i, said in enumerate(descriptions)}
    order = [by_path.get(one.get("dataset_path")) for one in named if isinstance(one, dict)]
    if None in order or sorted(i for i in order if i is not None) != list(range(len(prefixes))):
        raise ConfigError("the blend's description names other data sets than there are indices of")
    places = [i for i in order if i is not None]
    return [prefixes[i] for i in places], [descriptions[i] for i in places]
